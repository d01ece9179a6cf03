// lanes.h for AVX2 + FMA + F16C: two 256-bit halves.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace millrace::kernels {
namespace {

struct F32x16 {
  __m256 lo, hi;
};
struct I32x16 {
  __m256i lo, hi;
};
using LaneMask = uint16_t;

constexpr int kAccumulators = 4;

inline __m256i FirstLanes8(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline __m256i MaskLanes8(unsigned bits) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), bit), bit);
}

inline void PrefetchToL2(const void* p) {
  __builtin_prefetch(p, 0, 2);
}

inline F32x16 ZeroF32() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
inline F32x16 SetF32(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
inline F32x16 LoadF32(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline void StoreF32(float* p, F32x16 v) {
  _mm256_storeu_ps(p, v.lo);
  _mm256_storeu_ps(p + 8, v.hi);
}
inline F32x16 LoadPartF32(const float* p, int n) {
  return {_mm256_maskload_ps(p, FirstLanes8(n)), _mm256_maskload_ps(p + 8, FirstLanes8(n - 8))};
}
inline void StorePartF32(float* p, F32x16 v, int n) {
  _mm256_maskstore_ps(p, FirstLanes8(n), v.lo);
  _mm256_maskstore_ps(p + 8, FirstLanes8(n - 8), v.hi);
}
inline F32x16 Add(F32x16 a, F32x16 b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline F32x16 Sub(F32x16 a, F32x16 b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline F32x16 Mul(F32x16 a, F32x16 b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline F32x16 Div(F32x16 a, F32x16 b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline F32x16 Fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline F32x16 Max(F32x16 a, F32x16 b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
inline F32x16 Min(F32x16 a, F32x16 b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
inline F32x16 Abs(F32x16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
inline F32x16 SwapPairs(F32x16 a) {
  return {_mm256_permute_ps(a.lo, 0xb1), _mm256_permute_ps(a.hi, 0xb1)};
}
inline F32x16 RoundToEven(F32x16 a) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.lo, kMode), _mm256_round_ps(a.hi, kMode)};
}
inline __m256 PowerOf2(__m256 n) {
  n = _mm256_max_ps(n, _mm256_set1_ps(-127.0f));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
inline F32x16 ScaleByPowerOf2(F32x16 a, F32x16 n) {
  return {_mm256_mul_ps(a.lo, PowerOf2(n.lo)), _mm256_mul_ps(a.hi, PowerOf2(n.hi))};
}
inline F32x16 Select(LaneMask mask, F32x16 yes, F32x16 no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, _mm256_castsi256_ps(MaskLanes8(mask & 0xffu))),
          _mm256_blendv_ps(no.hi, yes.hi, _mm256_castsi256_ps(MaskLanes8(mask >> 8)))};
}

inline float ReduceAdd(F32x16 v) {
  const __m256 a = _mm256_add_ps(v.lo, v.hi);
  __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
inline float ReduceMax(F32x16 v) {
  const __m256 a = _mm256_max_ps(v.lo, v.hi);
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

inline F32x16 LoadF16(const void* p) {
  const auto* at = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at + 1))};
}
inline F32x16 LoadHalfF16(const void* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p))), _mm256_setzero_ps()};
}
inline __m256 F8ToF32(__m128i codes) {  // 8 codes, 16 bits each
  const __m128i half = _mm_srai_epi16(_mm_slli_epi16(codes, 8), 1);
  return _mm256_cvtph_ps(_mm_and_si128(half, _mm_set1_epi16(static_cast<int16_t>(0xbf80))));
}
inline F32x16 LoadF8(const void* p) {
  const __m128i codes = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {F8ToF32(_mm_cvtepu8_epi16(codes)), F8ToF32(_mm_cvtepu8_epi16(_mm_srli_si128(codes, 8)))};
}
inline F32x16 LoadHalfF8(const void* p) {
  return {F8ToF32(_mm_cvtepu8_epi16(_mm_loadl_epi64(static_cast<const __m128i*>(p)))), _mm256_setzero_ps()};
}
inline void StoreF16(void* p, F32x16 v) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  auto* at = static_cast<__m128i*>(p);
  _mm_storeu_si128(at, _mm256_cvtps_ph(v.lo, kMode));
  _mm_storeu_si128(at + 1, _mm256_cvtps_ph(v.hi, kMode));
}
inline __m256i RoundedBf16Bits(__m256 v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7fff));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, _mm256_or_si256(bits, _mm256_set1_epi32(0x400000)), is_nan);
}
inline void StoreBf16(uint16_t* p, F32x16 v) {
  const __m256i packed =
      _mm256_packus_epi32(_mm256_srli_epi32(RoundedBf16Bits(v.lo), 16), _mm256_srli_epi32(RoundedBf16Bits(v.hi), 16));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}
inline F32x16 RoundToBf16(F32x16 v) {
  const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  return {_mm256_castsi256_ps(_mm256_and_si256(RoundedBf16Bits(v.lo), high)),
          _mm256_castsi256_ps(_mm256_and_si256(RoundedBf16Bits(v.hi), high))};
}
inline void StoreI16(int16_t* p, F32x16 v) {
  const __m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(v.lo), _mm256_cvtps_epi32(v.hi));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}

inline I32x16 ZeroI32() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
inline I32x16 SetI32(int32_t x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
inline I32x16 LoadI32(const void* p) {
  const auto* at = static_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)};
}
inline I32x16 LoadHalfI32(const void* p) {
  return {_mm256_loadu_si256(static_cast<const __m256i*>(p)), _mm256_setzero_si256()};
}
inline I32x16 AddI32(I32x16 a, I32x16 b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
inline I32x16 SubI32(I32x16 a, I32x16 b) {
  return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)};
}
inline I32x16 LowHalves(I32x16 a) {
  const __m256i low = _mm256_set1_epi32(0xffff);
  return {_mm256_and_si256(a.lo, low), _mm256_and_si256(a.hi, low)};
}
inline F32x16 ToF32(I32x16 a) {
  return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)};
}
inline I32x16 EvenBytes(I32x16 a) {
  const __m256i low = _mm256_set1_epi16(0xff);
  return {_mm256_and_si256(a.lo, low), _mm256_and_si256(a.hi, low)};
}
inline I32x16 OddBytes(I32x16 a) {
  return {_mm256_srli_epi16(a.lo, 8), _mm256_srli_epi16(a.hi, 8)};
}
inline I32x16 DotI16(I32x16 acc, I32x16 a, I32x16 b) {
  return {_mm256_add_epi32(acc.lo, _mm256_madd_epi16(a.lo, b.lo)),
          _mm256_add_epi32(acc.hi, _mm256_madd_epi16(a.hi, b.hi))};
}
inline __m256 OddBf16(__m256i a) {
  return _mm256_castsi256_ps(_mm256_and_si256(a, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
}
inline __m256 EvenBf16(__m256i a) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(a, 16));
}
inline F32x16 DotBf16(F32x16 acc, I32x16 a, I32x16 b) {
  acc.lo = _mm256_fmadd_ps(EvenBf16(a.lo), EvenBf16(b.lo), acc.lo);
  acc.hi = _mm256_fmadd_ps(EvenBf16(a.hi), EvenBf16(b.hi), acc.hi);
  return {_mm256_fmadd_ps(OddBf16(a.lo), OddBf16(b.lo), acc.lo), _mm256_fmadd_ps(OddBf16(a.hi), OddBf16(b.hi), acc.hi)};
}

}  // namespace
}  // namespace millrace::kernels
