// Sixteen lanes of f32 or i32: the vocabulary in which kernels are written once for every ISA.
//
// Include it only from ISA files (<op>_avx512.cc, <op>_avx2.cc, <op>_generic.cc) and from bodies that those include:
// everything has internal linkage, so that code of one ISA can never replace another's at link time. Every ISA gives
// the same result for everything except Fma (the generic ISA rounds twice) and the order inside DotBf16.
//
//   F32x16, I32x16   values; Bf16x32 and I16x32 are I32x16 whose lanes hold two numbers
//   LaneMask         bit i selects lane i
#pragma once

#if defined(__AVX512F__)
#include "kernels/simd/lanes_avx512.h"
#elif defined(__AVX2__)
#include "kernels/simd/lanes_avx2.h"
#else
#include "kernels/simd/lanes_generic.h"
#endif
