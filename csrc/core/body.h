// The one body of every instruction set. isa/NAME.cpp defines GRUS_ISA, GRUS_TILE_ROWS and the lane types
// NAME::F32 and NAME::F64 and then includes this file; nothing here names an instruction set.
#if !defined(GRUS_ISA) || !defined(GRUS_TILE_ROWS)
#error "core/body.h is included by isa/*.cpp only, after the lane types"
#endif
#include "core/kernels.h"

namespace grus {
namespace GRUS_ISA {

#include "core/tile.h"
#include "core/pack.h"
#include "core/linear.h"
#include "core/sequence.h"
#include "core/backward.h"

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

template <class L, class S>
constexpr StoredKernels<typename L::T, S> stored() {
  return {Pack<L>::gru, Sequence<L, S>::run, Sequence<L, S>::one, Sequence<L, S>::many, Pack<L>::linear, Linear<L, S>::run};
}

template <class L>
struct Table {
  static constexpr Kernels<typename L::T> kernels = {
      stored<L, typename L::T>(),
      L::W,
      Pack<L>::gru_wx_size,
      Pack<L>::gru_wh_size,
      Pack<L>::gru_bias_size,
      Pack<L>::biases,
      Sequence<L>::scratch,
      Sequence<L>::step_row,
      Sequence<L>::step_room,
      Pack<L>::gain_size,
      Pack<L>::gain,
      Sequence<L>::saved_size,
      Pack<L>::whT_size,
      Pack<L>::wxT_size,
      Pack<L>::backward,
      Backward<L>::scratch,
      Backward<L>::run,
      Pack<L>::linear_w_size,
      Pack<L>::linear_bias_size,
      each_sigmoid<L>,
      each_tanh<L>,
  };
};

const Kernels<float>& kernels_f32() { return Table<F32>::kernels; }
const Kernels<double>& kernels_f64() { return Table<F64>::kernels; }
const StoredKernels<float, Bf16>& kernels_bf16() {
  static constexpr StoredKernels<float, Bf16> kernels = stored<F32, Bf16>();
  return kernels;
}

}  // namespace GRUS_ISA
}  // namespace grus
