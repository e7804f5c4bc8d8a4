// Which instruction set: asked of the CPU and of the operating system at run time. No Python in here.
#pragma once
#include <string>
#include <vector>

#include "core/kernels.h"

namespace grus {

struct Isa {
  const char* name;
  const Kernels<float>* f32;
  const Kernels<double>* f64;
  const StoredKernels<float, Bf16>* bf16;
  const StoredKernels<float, Int8>* int8;
};

// Those that this build contains and this machine can run, best first; portable is always last.
const std::vector<Isa>& available_isas();

// By name; an empty name means GRUS_ISA, else the best. Throws UsageError naming the choices.
const Isa& isa_by_name(const std::string& name);

template <class T>
const Kernels<T>& kernels_of(const Isa& isa);
template <>
inline const Kernels<float>& kernels_of<float>(const Isa& isa) { return *isa.f32; }
template <>
inline const Kernels<double>& kernels_of<double>(const Isa& isa) { return *isa.f64; }

// Weights stored as they are, as Bf16 or as Int8.
template <class T, class S>
const StoredKernels<T, S>& stored_kernels_of(const Isa& isa) {
  if constexpr (sizeof(S) == sizeof(T))
    return kernels_of<T>(isa).stored;
  else if constexpr (sizeof(S) == sizeof(Bf16))
    return *isa.bf16;
  else
    return *isa.int8;
}

}  // namespace grus
