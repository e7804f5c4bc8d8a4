// The one body of every instruction set. isa/NAME.cpp defines GRUS_ISA, GRUS_TILE_ROWS and the lane types
// NAME::F32 and NAME::F64 and then includes this file; nothing here names an instruction set.
#if !defined(GRUS_ISA) || !defined(GRUS_TILE_ROWS)
#error "core/body.h is included by isa/*.cpp only, after the lane types"
#endif
#include <math.h>

#include "core/kernels.h"

namespace grus {
namespace GRUS_ISA {

#include "core/tile.h"
#include "core/pack.h"
#include "core/linear.h"
#include "core/sequence.h"
#include "core/backward.h"
#include "core/mingru.h"

template <class L>
static void each_sigmoid(const typename L::T* a, typename L::T* out, idx n) {
  for (idx i = 0; i < n; i += L::W) {
    const typename L::M m = L::mask((int)least(L::W, n - i));
    L::store(m, out + i, L::sigmoid(L::load(m, a + i)));
  }
}
template <class L>
static void each_tanh(const typename L::T* a, typename L::T* out, idx n) {
  for (idx i = 0; i < n; i += L::W) {
    const typename L::M m = L::mask((int)least(L::W, n - i));
    L::store(m, out + i, L::tanh(L::load(m, a + i)));
  }
}
template <class L>
static void each_decay(const typename L::T* a, typename L::T* out, idx n) {
  for (idx i = 0; i < n; i += L::W) {
    const typename L::M m = L::mask((int)least(L::W, n - i));
    L::store(m, out + i, L::decay(L::load(m, a + i)));
  }
}

#include "core/grud.h"
#include "core/attend.h"
#include "core/best.h"

template <class L, class S>
constexpr StoredKernels<typename L::T, S> stored() {
  using P = Pack<L>;
  using Q = Sequence<L, S>;
  using M = Minimal<L, S>;
  using O = BestOutputs<L, S>;
  return {P::template gru_wx_size<S>, P::template gru_wh_size<S>, P::template linear_w_size<S>,
          P::template gru<S>,         Q::scratch,                 Q::run,
          Q::step_row,                Q::step_room,               Q::one,
          Q::many,                    P::template linear<S>,      Linear<L, S>::room_size,
          Linear<L, S>::run,      P::template min_wx_size<S>, P::template minimal<S>,
          M::scratch,             M::run,                     O::room_size,
          O::run};
}

template <class L>
struct Table {
  static constexpr Kernels<typename L::T> kernels = {
      stored<L, typename L::T>(),
      L::W,
      Pack<L>::gru_bias_size,
      Pack<L>::biases,
      Pack<L>::gain_size,
      Pack<L>::gain,
      Sequence<L>::saved_size,
      Pack<L>::whT_size,
      Pack<L>::wxT_size,
      Pack<L>::backward,
      Backward<L>::scratch,
      Backward<L>::run,
      Pack<L>::linear_bias_size,
      Pack<L>::min_bias_size,
      Pack<L>::min_wxT_size,
      Pack<L>::min_backward,
      MinimalBackward<L>::scratch,
      MinimalBackward<L>::run,
      each_sigmoid<L>,
      each_tanh<L>,
      each_decay<L>,
      LookBack<L>::run,
      LookBack<L>::back,
      Attend<L>::run,
      Best<L>::run,
  };
};

#if !defined(GRUS_ONLY_INT8)
const Kernels<float>& kernels_f32() { return Table<F32>::kernels; }
const Kernels<double>& kernels_f64() { return Table<F64>::kernels; }
const StoredKernels<float, Bf16>& kernels_bf16() {
  static constexpr StoredKernels<float, Bf16> kernels = stored<F32, Bf16>();
  return kernels;
}
#endif
const StoredKernels<float, Int8>& kernels_int8() {
  static constexpr StoredKernels<float, Int8> kernels = stored<F32, Int8>();
  return kernels;
}

}  // namespace GRUS_ISA
}  // namespace grus
