#include "dispatch.h"

#include <stdlib.h>

#include "errors.h"

#if defined(GRUS_HAVE_X86)
#include <cpuid.h>
#endif

namespace grus {

#define GRUS_DECLARE(NAME)                              \
  namespace NAME {                                      \
  const Kernels<float>& kernels_f32();                  \
  const Kernels<double>& kernels_f64();                 \
  const StoredKernels<float, Bf16>& kernels_bf16();     \
  const StoredKernels<float, Int8>& kernels_int8();     \
  }
GRUS_DECLARE(portable)
#if defined(GRUS_HAVE_X86)
GRUS_DECLARE(avx2)
GRUS_DECLARE(avx512)
namespace avx512vnni {
const StoredKernels<float, Int8>& kernels_int8();
}
#endif
#if defined(GRUS_HAVE_NEON)
GRUS_DECLARE(neon)
#endif
#undef GRUS_DECLARE

namespace {

#if defined(GRUS_HAVE_X86)
struct X86 {
  bool avx2 = false, avx512 = false, vnni = false;
  X86() {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    const bool fma = c & (1u << 12), osxsave = c & (1u << 27), avx = c & (1u << 28);
    if (!fma || !osxsave || !avx) return;
    unsigned lo, hi;
    // XGETBV: does the operating system save the wide registers? Bits 1-2: SSE, AVX; 5-7: AVX-512 state.
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    if ((lo & 0x6) != 0x6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    avx2 = b & (1u << 5);
    const unsigned needed = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);  // F, DQ, BW, VL
    avx512 = avx2 && (b & needed) == needed && (lo & 0xe0) == 0xe0;
    vnni = avx512 && (c & (1u << 11));
  }
};
#endif

std::vector<Isa> find() {
  std::vector<Isa> found;
#define GRUS_ADD(NAME) \
  found.push_back({#NAME, &NAME::kernels_f32(), &NAME::kernels_f64(), &NAME::kernels_bf16(), &NAME::kernels_int8()})
#if defined(GRUS_HAVE_X86)
  const X86 cpu;
  if (cpu.avx512) GRUS_ADD(avx512);
  if (cpu.vnni) found.back().int8 = &avx512vnni::kernels_int8();
  if (cpu.avx2) GRUS_ADD(avx2);
#endif
#if defined(GRUS_HAVE_NEON)
  GRUS_ADD(neon);
#endif
  GRUS_ADD(portable);
#undef GRUS_ADD
  return found;
}

}  // namespace

const std::vector<Isa>& available_isas() {
  static const std::vector<Isa> isas = find();
  return isas;
}

const Isa& isa_by_name(const std::string& name) {
  const char* forced = getenv("GRUS_ISA");
  const bool asked = !name.empty();
  const std::string wanted = asked ? name : forced ? forced : "";
  if (wanted.empty()) return available_isas().front();
  std::string choices;
  for (const Isa& isa : available_isas()) {
    if (wanted == isa.name) return isa;
    choices += choices.empty() ? isa.name : std::string(", ") + isa.name;
  }
  throw UsageError(std::string(asked ? "isa" : "GRUS_ISA") + ": must be one of " + choices +
                   " on this machine, got '" + wanted + "'");
}

}  // namespace grus
