// Elementary functions of sixteen lanes, written with lanes.h; include it only where lanes.h may be included.
#pragma once

#include "kernels/simd/lanes.h"

namespace millrace::kernels {
namespace {

constexpr float kLog2E = 1.44269504088896341f;

// e^x within 2 ulp (Cephes expf: Cody-Waite reduction, degree 6). Below about -87.7 the result is a
// subnormal or zero, from -104 down zero; above 88.37 it stays at e^88.37; NaN gives NaN.
inline F32x16 Exp(F32x16 x) {
  x = Min(SetF32(88.37f), Max(SetF32(-110.0f), x));
  const F32x16 n = RoundToEven(Mul(x, SetF32(kLog2E)));
  F32x16 r = Fma(n, SetF32(-0.693359375f), x);
  r = Fma(n, SetF32(2.12194440e-4f), r);
  F32x16 p = SetF32(1.9875691500e-4f);
  p = Fma(p, r, SetF32(1.3981999507e-3f));
  p = Fma(p, r, SetF32(8.3334519073e-3f));
  p = Fma(p, r, SetF32(4.1665795894e-2f));
  p = Fma(p, r, SetF32(1.6666665459e-1f));
  p = Fma(p, r, SetF32(5.0000001201e-1f));
  p = Fma(p, Mul(r, r), Add(r, SetF32(1.0f)));
  return ScaleByPowerOf2(p, n);
}

// 2^x for x < 128 within 3 ulp; exactly 1 at 0, zero or a subnormal below -126, zero from -160 down and at -infinity;
// NaN gives NaN. The polynomial is the minimax of degree 5 on [-0.5, 0.5] with constant term 1 (relative error 9.2e-8,
// Lawson iteration).
inline F32x16 Exp2(F32x16 x) {
  x = Max(SetF32(-160.0f), x);
  const F32x16 n = RoundToEven(x);
  const F32x16 r = Sub(x, n);
  F32x16 p = SetF32(0x1.5bba14p-10f);
  p = Fma(p, r, SetF32(0x1.3cea88p-7f));
  p = Fma(p, r, SetF32(0x1.c6b752p-5f));
  p = Fma(p, r, SetF32(0x1.ebf9bcp-3f));
  p = Fma(p, r, SetF32(0x1.62e42ap-1f));
  p = Fma(p, r, SetF32(1.0f));
  return ScaleByPowerOf2(p, n);
}

inline F32x16 Sigmoid(F32x16 x) {
  return Div(SetF32(1.0f), Add(SetF32(1.0f), Exp(Sub(ZeroF32(), x))));
}

// x * sigmoid(x)
inline F32x16 Silu(F32x16 x) {
  return Div(x, Add(SetF32(1.0f), Exp(Sub(ZeroF32(), x))));
}

// tanh(x) with an absolute error of 2e-7.
inline F32x16 Tanh(F32x16 x) {
  return Sub(SetF32(1.0f), Div(SetF32(2.0f), Add(SetF32(1.0f), Exp(Add(x, x)))));
}

}  // namespace
}  // namespace millrace::kernels
