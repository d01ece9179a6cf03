// lanes.h for AVX-512 F, BW, VL, DQ, VNNI, BF16.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace millrace::kernels {
namespace {

using F32x16 = __m512;
using I32x16 = __m512i;
using LaneMask = uint16_t;

constexpr int kAccumulators = 24;  // F32x16 sums that stay in registers beside their operands

inline void PrefetchToL2(const void* p) {
  __builtin_prefetch(p, 0, 2);
}

inline F32x16 ZeroF32() {
  return _mm512_setzero_ps();
}
inline F32x16 SetF32(float x) {
  return _mm512_set1_ps(x);
}
inline F32x16 LoadF32(const float* p) {
  return _mm512_loadu_ps(p);
}
inline void StoreF32(float* p, F32x16 v) {
  _mm512_storeu_ps(p, v);
}
// The first n lanes, 0 < n <= 16; the others are zero, or stay as they are in memory.
inline F32x16 LoadPartF32(const float* p, int n) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>(0xffffu >> (16 - n)), p);
}
inline void StorePartF32(float* p, F32x16 v, int n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>(0xffffu >> (16 - n)), v);
}
inline F32x16 Add(F32x16 a, F32x16 b) {
  return _mm512_add_ps(a, b);
}
inline F32x16 Sub(F32x16 a, F32x16 b) {
  return _mm512_sub_ps(a, b);
}
inline F32x16 Mul(F32x16 a, F32x16 b) {
  return _mm512_mul_ps(a, b);
}
inline F32x16 Div(F32x16 a, F32x16 b) {
  return _mm512_div_ps(a, b);
}
inline F32x16 Fma(F32x16 a, F32x16 b, F32x16 c) {
  return _mm512_fmadd_ps(a, b, c);
}
// b when either is NaN.
inline F32x16 Max(F32x16 a, F32x16 b) {
  return _mm512_max_ps(a, b);
}
inline F32x16 Min(F32x16 a, F32x16 b) {
  return _mm512_min_ps(a, b);
}
inline F32x16 Abs(F32x16 a) {
  return _mm512_abs_ps(a);
}
// Neighbours (2i, 2i + 1) exchanged.
inline F32x16 SwapPairs(F32x16 a) {
  return _mm512_permute_ps(a, 0xb1);
}
inline F32x16 RoundToEven(F32x16 a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// a * 2^n for whole n <= 127; results below the normal range may become zero.
inline F32x16 ScaleByPowerOf2(F32x16 a, F32x16 n) {
  return _mm512_scalef_ps(a, n);
}
inline F32x16 Select(LaneMask mask, F32x16 yes, F32x16 no) {
  return _mm512_mask_blend_ps(mask, no, yes);
}

// Sums and maxima over lanes, folding halves: (i, i + 8), (i, i + 4), (i, i + 2), (0, 1).
inline float ReduceAdd(F32x16 v) {
  __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
inline float ReduceMax(F32x16 v) {
  __m256 a = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

inline F32x16 LoadF16(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
inline F32x16 LoadHalfF16(const void* p) {  // 8 lanes, the others zero
  return _mm512_cvtph_ps(_mm256_zextsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p))));
}
// 16 and 8 e4m3 codes as their values / 256, exact: shifted into place they are f16 of that value. The codes of NaN
// give 1.875.
inline __m256i F8ToF16(__m256i codes) {
  return _mm256_and_si256(_mm256_srai_epi16(_mm256_slli_epi16(codes, 8), 1),
                          _mm256_set1_epi16(static_cast<int16_t>(0xbf80)));
}
inline F32x16 LoadF8(const void* p) {
  return _mm512_cvtph_ps(F8ToF16(_mm256_cvtepu8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)))));
}
inline F32x16 LoadHalfF8(const void* p) {
  return _mm512_cvtph_ps(F8ToF16(_mm256_cvtepu8_epi16(_mm_loadl_epi64(static_cast<const __m128i*>(p)))));
}
inline void StoreF16(void* p, F32x16 v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
// Round to nearest even; subnormals may become zero, NaN stays NaN.
inline void StoreBf16(uint16_t* p, F32x16 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
}
// v rounded to bf16, as f32.
inline F32x16 RoundToBf16(F32x16 v) {
  const __m256i rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded), 16));
}
// Lanes are whole numbers in int16.
inline void StoreI16(int16_t* p, F32x16 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(v)));
}
// Lanes are whole numbers 256 * high + low of signed bytes. Per four lanes the high bytes, then the low ones, of lanes
// 0, 2, 1, 3.
inline void StoreI16Halves(void* p, F32x16 v) {
  const __m256i words = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(v));
  // Adding 128 carries into the high byte where the low one is negative, and flips the low one's sign bit.
  const __m256i carried = _mm256_add_epi16(words, _mm256_set1_epi16(0x80));
  const __m256i halves = _mm256_xor_si256(carried, _mm256_set1_epi16(0x80));
  const __m128i order = _mm_setr_epi8(1, 5, 3, 7, 0, 4, 2, 6, 9, 13, 11, 15, 8, 12, 10, 14);
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm256_shuffle_epi8(halves, _mm256_broadcastsi128_si256(order)));
}

inline I32x16 ZeroI32() {
  return _mm512_setzero_si512();
}
inline I32x16 SetI32(int32_t x) {
  return _mm512_set1_epi32(x);
}
inline I32x16 LoadI32(const void* p) {
  return _mm512_loadu_si512(p);
}
inline I32x16 LoadHalfI32(const void* p) {
  return _mm512_zextsi256_si512(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
inline I32x16 AddI32(I32x16 a, I32x16 b) {
  return _mm512_add_epi32(a, b);
}
inline I32x16 SubI32(I32x16 a, I32x16 b) {
  return _mm512_sub_epi32(a, b);
}
inline I32x16 Times256(I32x16 a) {
  return _mm512_slli_epi32(a, 8);
}
// The lower 16 bits of each lane.
inline I32x16 LowHalves(I32x16 a) {
  return _mm512_and_si512(a, _mm512_set1_epi32(0xffff));
}
inline F32x16 ToF32(I32x16 a) {
  return _mm512_cvtepi32_ps(a);
}
// The even and the odd bytes of 64, each zero-extended to 16 bits.
inline I32x16 EvenBytes(I32x16 a) {
  return _mm512_and_si512(a, _mm512_set1_epi16(0xff));
}
inline I32x16 OddBytes(I32x16 a) {
  return _mm512_srli_epi16(a, 8);
}
// acc + sum over the two int16 of each lane of a * b, exact.
inline I32x16 DotI16(I32x16 acc, I32x16 a, I32x16 b) {
  return _mm512_dpwssd_epi32(acc, a, b);
}
// acc + sum over the four bytes of each lane of a (unsigned) * b (signed), exact. Written out because g++ 12 copies
// every accumulator twice in loops of the intrinsic.
inline I32x16 DotU8I8(I32x16 acc, I32x16 a, I32x16 b) {
  asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
  return acc;
}
// acc + sum over the two bf16 of each lane of a * b.
inline F32x16 DotBf16(F32x16 acc, I32x16 a, I32x16 b) {
  return _mm512_dpbf16_ps(acc, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

}  // namespace
}  // namespace millrace::kernels
