// AVX-512 prepare (norm + encode) and epilogue of matrix products.
#include <immintrin.h>

#include "kernels/linear/linear_kernel.h"

namespace millrace::kernels {
namespace {

inline __mmask16 MaskOf(int64_t count) {
  return count >= 16  ? static_cast<__mmask16>(0xffff)
         : count <= 0 ? __mmask16{0}
                      : static_cast<__mmask16>((1u << count) - 1);
}

// Four accumulators, added pairwise: an order that depends on cols alone. kSquares: sum of (x - mean)^2, else of x.
template <bool kSquares>
float SumRow(const float* x, int64_t cols, float mean) {
  const __m512 shift = _mm512_set1_ps(mean);
  __m512 sum[4];
  for (int i = 0; i < 4; ++i) sum[i] = _mm512_setzero_ps();
  const auto add = [&](int i, __m512 v, __mmask16 mask) {
    if constexpr (kSquares) {
      v = _mm512_maskz_sub_ps(mask, v, shift);
      sum[i] = _mm512_fmadd_ps(v, v, sum[i]);
    } else {
      sum[i] = _mm512_add_ps(sum[i], v);
    }
  };
  int64_t k = 0;
  for (; k + 64 <= cols; k += 64) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) add(i, _mm512_loadu_ps(x + k + 16 * i), 0xffff);
  }
  for (int i = 0; i < 4 && k + 16 * i < cols; ++i) {
    const __mmask16 mask = MaskOf(cols - k - 16 * i);
    add(i, _mm512_maskz_loadu_ps(mask, x + k + 16 * i), mask);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
}

// A block with a scale of its own.
void StoreInt8(const __m512 v[2], const Encoding& encoding, std::byte* dst) {
  // As unsigned integers, magnitudes order as floats do, with infinity and NaN above all.
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  const __m512i both = _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(v[0]), magnitude),
                                        _mm512_and_si512(_mm512_castps_si512(v[1]), magnitude));
  const uint32_t bits = _mm512_reduce_max_epu32(both);
  const bool finite = bits < 0x7f800000u;
  const float max = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(bits))));
  const bool usable = finite && max > 0x1p-100f;
  const __m512 inverse = _mm512_set1_ps(usable ? 127.0f / max : 0.0f);
  const __m512 zero = _mm512_setzero_ps();
  const __mmask16 keep = usable ? 0xffff : 0;
  const __m128i low = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mask_mul_ps(zero, keep, v[0], inverse)));
  const __m128i high = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mask_mul_ps(zero, keep, v[1], inverse)));
  auto* block = reinterpret_cast<Int8Block*>(dst);
  _mm_store_si128(reinterpret_cast<__m128i*>(block->q), low);
  _mm_store_si128(reinterpret_cast<__m128i*>(block->q + 16), high);
  block->scale = finite ? max / 127.0f : __builtin_nanf("");

  const __m128i ones = _mm_set1_epi8(1);
  const __m128i none = _mm_setzero_si128();
  const __m128i pairs = _mm_hadd_epi32(_mm_dpbusd_epi32(none, ones, low), _mm_dpbusd_epi32(none, ones, high));
  const __m128i sums = _mm_hadd_epi32(pairs, pairs);  // of the two halves
  int32_t sum[2] = {_mm_cvtsi128_si32(sums), _mm_extract_epi32(sums, 1)};
  if (encoding.sum == BlockSum::kFloat) {
    block->sum.value = static_cast<float>(sum[0] + sum[1]);
    return;
  }
  if (encoding.sum == BlockSum::kOffset) sum[0] += sum[1];
  for (int h = 0; h < 2; ++h) block->sum.offset[h] = -encoding.offset * sum[h];
}

inline __m512i MaxOfLanes(__m512i a, __m512i b) {  // of the two halves of each pair: a, b, a, b in every 128 bits
  return _mm512_max_epu32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

inline __m512i MaxMagnitude(__m512 a, __m512 b) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  return _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(a), magnitude),
                          _mm512_and_si512(_mm512_castps_si512(b), magnitude));
}

// Whether largest magnitudes `bits` are finite and give a scale.
inline bool Usable(__m512i bits) {
  const __m512i smallest = _mm512_castps_si512(_mm512_set1_ps(0x1p-100f));
  return (_mm512_cmplt_epu32_mask(bits, _mm512_set1_epi32(0x7f800000)) & _mm512_cmpgt_epu32_mask(bits, smallest)) ==
         0xffff;
}

// Whole and half sums of four blocks as the encoding stores them first (the second are `halves`), the former where
// `halves` has first halves: its 128 bits are those of the halves of blocks 0 and 1, with blocks 2 and 3 in second
// place.
inline __m512i LeadingSums(const Encoding& encoding, __m512i halves) {
  constexpr __mmask32 kHigh = 0xaaaaaaaa;
  const __m512i other_half = _mm512_shuffle_i32x4(halves, halves, 0xb1);
  switch (encoding.sum) {
    case BlockSum::kOffset:
    case BlockSum::kFloat:
      return _mm512_add_epi32(halves, other_half);
    case BlockSum::kHalfPair:
      return _mm512_mask_blend_epi16(kHigh, halves, _mm512_slli_epi32(other_half, 16));
    case BlockSum::kBlockPair: {
      const __m512i whole = _mm512_add_epi32(halves, other_half);
      return _mm512_mask_blend_epi16(kHigh, whole, _mm512_slli_epi32(_mm512_shuffle_i32x4(whole, whole, 0x4e), 16));
    }
    default:
      return halves;
  }
}

// Four blocks at `dst`, `stride` bytes apart, their largest magnitudes being `bits` in every 128 bits. Reductions share
// shuffles.
[[gnu::always_inline]] inline void StoreFourScaled(const __m512 v[8], __m512i bits, const Encoding& encoding,
                                                   std::byte* dst, int64_t stride) {
  const __m512 of_127 = _mm512_set1_ps(127.0f);
  const __m512 inverse = _mm512_div_ps(of_127, _mm512_castsi512_ps(bits));
  const __m512 scale = _mm512_div_ps(_mm512_castsi512_ps(bits), of_127);
  const auto pack = [&](int b, __m512 factor) {
    return _mm512_packs_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(v[2 * b], factor)),
                              _mm512_cvtps_epi32(_mm512_mul_ps(v[2 * b + 1], factor)));
  };
  const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i q01 =
      _mm512_permutexvar_epi32(in_order, _mm512_packs_epi16(pack(0, _mm512_shuffle_ps(inverse, inverse, 0x00)),
                                                            pack(1, _mm512_shuffle_ps(inverse, inverse, 0x55))));
  const __m512i q23 =
      _mm512_permutexvar_epi32(in_order, _mm512_packs_epi16(pack(2, _mm512_shuffle_ps(inverse, inverse, 0xaa)),
                                                            pack(3, _mm512_shuffle_ps(inverse, inverse, 0xff))));
  // Sums of eight values + 8 x 128, then of halves: 128 bits for each half of blocks 0 and 1, beside them those of
  // blocks 2 and 3.
  const __m512i high_bit = _mm512_set1_epi8(static_cast<char>(0x80));
  const __m512i eights =
      _mm512_or_si512(_mm512_sad_epu8(_mm512_xor_si512(q01, high_bit), _mm512_setzero_si512()),
                      _mm512_slli_epi64(_mm512_sad_epu8(_mm512_xor_si512(q23, high_bit), _mm512_setzero_si512()), 32));
  const __m512i halves = _mm512_sub_epi32(_mm512_add_epi32(eights, _mm512_shuffle_epi32(eights, _MM_PERM_BADC)),
                                          _mm512_set1_epi32(16 * 128));
  const __m512i by_block = _mm512_setr_epi32(0, 0, 16 + 4, 0, 0, 8, 16 + 12, 0, 0, 1, 16 + 5, 0, 0, 9, 16 + 13, 0);
  const __m512i sums = _mm512_permutex2var_epi32(LeadingSums(encoding, halves), by_block, halves);
  const bool pairs = encoding.sum == BlockSum::kHalfPair || encoding.sum == BlockSum::kBlockPair;
  const __m512 stored = encoding.sum == BlockSum::kFloat ? _mm512_cvtepi32_ps(sums)
                        : pairs                          ? _mm512_castsi512_ps(sums)
                                : _mm512_castsi512_ps(_mm512_mullo_epi32(sums, _mm512_set1_epi32(-encoding.offset)));
  const __m512i own = _mm512_setr_epi32(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0);
  const __m512i rest = _mm512_castps_si512(_mm512_mask_permutexvar_ps(stored, 0x1111, own, scale));

  const auto store = [&](int b, __m256i q, __m128i after) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + b * stride), q);
    _mm_store_si128(reinterpret_cast<__m128i*>(dst + b * stride + 32), after);
  };
  store(0, _mm512_castsi512_si256(q01), _mm512_castsi512_si128(rest));
  store(1, _mm512_extracti64x4_epi64(q01, 1), _mm512_extracti32x4_epi32(rest, 1));
  store(2, _mm512_castsi512_si256(q23), _mm512_extracti32x4_epi32(rest, 2));
  store(3, _mm512_extracti64x4_epi64(q23, 1), _mm512_extracti32x4_epi32(rest, 3));
}

// Four blocks with a scale each.
void StoreFourInt8(const __m512 v[8], const Encoding& encoding, std::byte* dst, int64_t stride) {
  __m512i max[4];
#pragma GCC unroll 4
  for (int b = 0; b < 4; ++b) max[b] = MaxMagnitude(v[2 * b], v[2 * b + 1]);
  const __m512i first = MaxOfLanes(max[0], max[1]), last = MaxOfLanes(max[2], max[3]);
  __m512i bits = _mm512_max_epu32(_mm512_unpacklo_epi64(first, last), _mm512_unpackhi_epi64(first, last));
  bits = _mm512_max_epu32(bits, _mm512_shuffle_i32x4(bits, bits, 0x4e));
  bits = _mm512_max_epu32(bits, _mm512_shuffle_i32x4(bits, bits, 0xb1));  // of blocks 0 to 3 in every 128 bits
  if (Usable(bits)) return StoreFourScaled(v, bits, encoding, dst, stride);
  for (int b = 0; b < 4; ++b) StoreInt8(v + 2 * b, encoding, dst + b * stride);
}

// Eight blocks with a scale in common.
void StoreSuperInt8(const __m512 v[16], const Encoding& encoding, std::byte* dst, int64_t stride) {
  __m512i max = MaxMagnitude(v[0], v[1]);
#pragma GCC unroll 8
  for (int b = 1; b < kSuperBlocks; ++b) max = _mm512_max_epu32(max, MaxMagnitude(v[2 * b], v[2 * b + 1]));
  const uint32_t largest = _mm512_reduce_max_epu32(max);
  const __m512i bits = _mm512_set1_epi32(static_cast<int>(largest));
  if (Usable(bits)) {
    StoreFourScaled(v, bits, encoding, dst, stride);
    StoreFourScaled(v + 8, bits, encoding, dst + 4 * stride, stride);
    return;
  }
  Int8Block block = {};
  block.scale = largest < 0x7f800000u ? _mm512_cvtss_f32(_mm512_castsi512_ps(bits)) / 127.0f : __builtin_nanf("");
  for (int b = 0; b < kSuperBlocks; ++b) *reinterpret_cast<Int8Block*>(dst + b * stride) = block;
}

void StoreBlock(const __m512 v[2], const Encoding& encoding, std::byte* dst) {
  switch (encoding.type) {
    case ActivationType::kInt8:
      StoreInt8(v, encoding, dst);
      break;
    case ActivationType::kInt8Signs:  // of AVX2 alone
      break;
    case ActivationType::kBf16:
      _mm512_store_si512(dst, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(v[1], v[0])));
      break;
    case ActivationType::kF32:
      _mm512_store_ps(dst, v[0]);
      _mm512_store_ps(dst + 64, v[1]);
      break;
  }
}

void EncodeRun(const float* x, int num_blocks, const Encoding& encoding, std::byte* dst) {
  constexpr int64_t kStride = sizeof(Int8Block);
  int block = 0;
  for (; block + 4 <= num_blocks; block += 4) {
    __m512 v[8];
    for (int i = 0; i < 8; ++i) v[i] = _mm512_loadu_ps(x + block * kBlockValues + 16 * i);
    StoreFourInt8(v, encoding, dst + block * kStride, kStride);
  }
  for (; block < num_blocks; ++block) {
    const __m512 v[2] = {_mm512_loadu_ps(x + block * kBlockValues), _mm512_loadu_ps(x + block * kBlockValues + 16)};
    StoreInt8(v, encoding, dst + block * kStride);
  }
}

// Rows of a tile share lines that the other core may have read last.
constexpr int64_t kStoreAheadBlocks = 8;

void PrepareRow(const PrepareArgs& args) {
  const bool normed = args.norm.kind != NormKind::kNone;
  float mean = 0.0f;
  float factor = 1.0f;
  if (normed) {
    const auto cols = static_cast<float>(args.cols);
    if (args.norm.kind == NormKind::kLayer) mean = SumRow<false>(args.x, args.cols, 0.0f) / cols;
    const float variance = SumRow<true>(args.x, args.cols, mean) / cols;
    factor = 1.0f / __builtin_sqrtf(variance + args.norm.eps);
  }
  const __m512 shift = _mm512_set1_ps(mean);
  const __m512 multiplier = _mm512_set1_ps(factor);
  const auto load = [&](int64_t k, __mmask16 mask) {
    __m512 v = mask != 0 ? _mm512_maskz_loadu_ps(mask, args.x + k) : _mm512_setzero_ps();
    if (!normed || mask == 0) return v;
    const __m512 weight = _mm512_maskz_loadu_ps(mask, args.norm.weight + k);
    v = _mm512_maskz_mul_ps(mask, _mm512_mul_ps(_mm512_sub_ps(v, shift), multiplier), weight);
    return args.norm.bias == nullptr ? v : _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, args.norm.bias + k));
  };
  int64_t block = 0;
  static_assert(kSectionBlocks % kSuperBlocks == 0);
  for (; args.encoding.scale_blocks == kSuperBlocks && (block + kSuperBlocks) * kBlockValues <= args.cols;
       block += kSuperBlocks) {
    __m512 v[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) v[i] = load(block * kBlockValues + 16 * i, 0xffff);
    for (int b = 0; b < kSuperBlocks; ++b)
      __builtin_prefetch(args.Block(block + kStoreAheadBlocks) + b * args.dst_stride, 1);
    StoreSuperInt8(v, args.encoding, args.Block(block), args.dst_stride);
  }
  for (; args.encoding.type == ActivationType::kInt8 && (block + 4) * kBlockValues <= args.cols; block += 4) {
    __m512 v[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) v[i] = load(block * kBlockValues + 16 * i, 0xffff);
    for (int b = 0; b < 4; ++b) __builtin_prefetch(args.Block(block + kStoreAheadBlocks) + b * args.dst_stride, 1);
    StoreFourInt8(v, args.encoding, args.Block(block), args.dst_stride);
  }
  for (; block < args.num_blocks; ++block) {
    __m512 v[2];
    for (int half = 0; half < 2; ++half) {
      const int64_t k = block * kBlockValues + half * 16;
      v[half] = load(k, MaskOf(args.cols - k));
    }
    StoreBlock(v, args.encoding, args.Block(block));
  }
}

// exp(x) to about 1 ulp: 2^n * p(r), r in [-ln2 / 2, ln2 / 2], p the degree-6 minimax polynomial of Cephes' expf.
inline __m512 Exp(__m512 x) {
  x = _mm512_min_ps(_mm512_set1_ps(89.0f), _mm512_max_ps(_mm512_set1_ps(-104.0f), x));  // keeps NaN, the second operand
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 8);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
  return _mm512_scalef_ps(p, n);
}

// x / (1 + exp(-y))
inline __m512 TimesSigmoid(__m512 x, __m512 y) {
  const __m512 one = _mm512_set1_ps(1.0f);
  return _mm512_div_ps(x, _mm512_add_ps(one, Exp(_mm512_sub_ps(_mm512_setzero_ps(), y))));
}

// Abramowitz & Stegun 7.1.26, absolute error 1.5e-7.
inline __m512 Erf(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 a = _mm512_abs_ps(x);
  const __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(a, _mm512_set1_ps(0.3275911f), one));
  __m512 p = _mm512_set1_ps(1.061405429f);
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-1.453152027f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(1.421413741f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.284496736f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.254829592f));
  const __m512 rest = _mm512_mul_ps(_mm512_mul_ps(p, t), Exp(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(a, a))));
  const __m512 sign = _mm512_and_ps(x, _mm512_set1_ps(-0.0f));
  return _mm512_or_ps(_mm512_sub_ps(one, rest), sign);
}

inline __m512 Activate(ActivationKind kind, __m512 x) {
  switch (kind) {
    case ActivationKind::kNone:
      return x;
    case ActivationKind::kSilu:
      return TimesSigmoid(x, x);
    case ActivationKind::kGeluTanh: {  // x (1 + tanh(u)) / 2 = x sigmoid(2 u)
      const __m512 square = _mm512_mul_ps(x, x);
      const __m512 inner = _mm512_fmadd_ps(square, _mm512_set1_ps(2.0f * 0.7978845608f * 0.044715f),
                                           _mm512_set1_ps(2.0f * 0.7978845608f));
      return TimesSigmoid(x, _mm512_mul_ps(x, inner));
    }
    case ActivationKind::kGeluErf: {
      const __m512 erf = Erf(_mm512_mul_ps(x, _mm512_set1_ps(0.7071067812f)));
      return _mm512_mul_ps(_mm512_mul_ps(x, _mm512_set1_ps(0.5f)), _mm512_add_ps(_mm512_set1_ps(1.0f), erf));
    }
    case ActivationKind::kSwigluOai:
      return TimesSigmoid(x, _mm512_mul_ps(x, _mm512_set1_ps(1.702f)));
    case ActivationKind::kRelu2:
      return _mm512_mul_ps(x, _mm512_max_ps(_mm512_setzero_ps(), x));
  }
  return x;
}

inline __m512 FinishHalf(const EpilogueArgs& args, int t, int first, __mmask16 mask) {
  const bool oai = args.activation == ActivationKind::kSwigluOai;
  const __m512 limit = _mm512_set1_ps(args.swiglu_limit);
  const int at = t * kPanelRows + first;
  __m512 value = _mm512_loadu_ps(args.acc + at);
  if (args.bias != nullptr) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, args.bias + first));
  if (oai) value = _mm512_min_ps(limit, value);
  value = Activate(args.activation, value);
  if (args.acc_up != nullptr) {
    __m512 up = _mm512_loadu_ps(args.acc_up + at);
    if (args.bias_up != nullptr) up = _mm512_add_ps(up, _mm512_maskz_loadu_ps(mask, args.bias_up + first));
    if (oai) {
      up = _mm512_max_ps(_mm512_set1_ps(-args.swiglu_limit), _mm512_min_ps(limit, up));
      up = _mm512_add_ps(up, _mm512_set1_ps(1.0f));
    }
    value = _mm512_mul_ps(value, up);
  }
  return _mm512_mul_ps(value, _mm512_set1_ps(args.scale));
}

void Epilogue(const EpilogueArgs& args) {
  for (int t = 0; t < args.tokens; ++t) {
    for (int first = 0; first < args.count; first += 16) {
      const __mmask16 mask = MaskOf(args.count - first);
      float* out = args.out + t * args.out_stride + first;
      __m512 value = FinishHalf(args, t, first, mask);
      if (args.accumulate) value = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), value);
      _mm512_mask_storeu_ps(out, mask, value);
    }
  }
}

}  // namespace

const LinearIsa kLinearAvx512 = {Isa::kAvx512, PrepareRow, EncodeRun, Epilogue};

}  // namespace millrace::kernels
