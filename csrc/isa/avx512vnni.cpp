// AVX-512 with VNNI: products with Int8 weights in half the instructions, the rest is that of avx512.
#if !defined(__AVX512VNNI__)
#error "isa/avx512vnni.cpp needs -mavx512vnni beside the flags of avx512.cpp"
#endif
#define GRUS_ISA avx512vnni
#define GRUS_ONLY_INT8
#include "isa/avx512.cpp"
