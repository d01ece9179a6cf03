// AVX2 prepare (norm + encode) and epilogue of matrix products.
#include <immintrin.h>

#include "kernels/linear/linear_kernel.h"

namespace millrace::kernels {
namespace {

// Lanes below count (0..8).
inline __m256i MaskOf(int64_t count) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const int limit = count >= 8 ? 8 : count <= 0 ? 0 : static_cast<int>(count);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(limit), lanes);
}

inline float Sum(__m256 v) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}

// Four accumulators, added pairwise: an order that depends on cols alone. kSquares: sum of (x - mean)^2, else of x.
template <bool kSquares>
float SumRow(const float* x, int64_t cols, float mean) {
  const __m256 shift = _mm256_set1_ps(mean);
  __m256 sum[4];
  for (int i = 0; i < 4; ++i) sum[i] = _mm256_setzero_ps();
  for (int64_t k = 0; k < cols; k += 32) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m256i mask = MaskOf(cols - k - 8 * i);
      __m256 v = _mm256_maskload_ps(x + k + 8 * i, mask);
      if constexpr (kSquares) {
        v = _mm256_and_ps(_mm256_sub_ps(v, shift), _mm256_castsi256_ps(mask));
        sum[i] = _mm256_fmadd_ps(v, v, sum[i]);
      } else {
        sum[i] = _mm256_add_ps(sum[i], v);
      }
    }
  }
  return Sum(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
}

inline uint32_t MaxBits(__m256i v) {
  __m128i half = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0x4e));
  half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(half));
}

// The largest magnitude of num values of 8; as unsigned integers, magnitudes order as floats do, with infinity and NaN
// above all.
template <int kCount>
inline uint32_t LargestBits(const __m256* v) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i all = _mm256_setzero_si256();
  for (int i = 0; i < kCount; ++i) all = _mm256_max_epu32(all, _mm256_and_si256(_mm256_castps_si256(v[i]), magnitude));
  return MaxBits(all);
}

void StoreSums(const Encoding& encoding, const int32_t sum[2], Int8Block* block) {
  switch (encoding.sum) {
    case BlockSum::kFloat:
      block->sum.value = static_cast<float>(sum[0] + sum[1]);
      break;
    case BlockSum::kHalfPair:
      for (int h = 0; h < 2; ++h) block->sum.pair[h] = static_cast<int16_t>(sum[h]);
      break;
    case BlockSum::kOffsetHalves:
      for (int h = 0; h < 2; ++h) block->sum.offset[h] = -encoding.offset * sum[h];
      break;
    default:  // of kBlockPair, StoreSuperInt8 makes pairs
      block->sum.offset[0] = encoding.sum == BlockSum::kOffset ? -encoding.offset * (sum[0] + sum[1]) : sum[0] + sum[1];
      block->sum.offset[1] = 0;
      break;
  }
}

[[gnu::always_inline]] inline void StoreSigns(__m256i bytes, float scale, Int8SignsBlock* block) {
  const __m256i magnitude = _mm256_abs_epi8(bytes);
  const __m256i negative = _mm256_cmpgt_epi8(_mm256_setzero_si256(), bytes);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(block->magnitude), magnitude);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(block->flip), _mm256_xor_si256(negative, _mm256_set1_epi8(-128)));
  block->scale = scale;
  const __m256i sums = _mm256_sad_epu8(_mm256_and_si256(magnitude, negative), _mm256_setzero_si256());
  const __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  block->negatives = _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_unpackhi_epi64(half, half)));
}

// A block of values whose scale follows from the largest magnitude `bits`, as an Int8SignsBlock or Int8Block.
template <bool kSigns>
[[gnu::always_inline]] inline void StoreScaled(const __m256 v[4], uint32_t bits, const Encoding& encoding,
                                               std::byte* dst) {
  const bool finite = bits < 0x7f800000u;
  const float max = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(bits))));
  const bool usable = finite && max > 0x1p-100f;
  const __m256 inverse = _mm256_set1_ps(usable ? 127.0f / max : 0.0f);
  const __m256 keep = _mm256_castsi256_ps(_mm256_set1_epi32(usable ? -1 : 0));
  __m256i q[4];
  for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_and_ps(v[i], keep), inverse));
  const __m256i words[2] = {_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3])};
  const __m256i mixed = _mm256_packs_epi16(words[0], words[1]);  // dwords in the order 0 2 4 6 1 3 5 7
  const __m256i bytes = _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  const float scale = finite ? max / 127.0f : __builtin_nanf("");
  if constexpr (kSigns) return StoreSigns(bytes, scale, reinterpret_cast<Int8SignsBlock*>(dst));
  auto* block = reinterpret_cast<Int8Block*>(dst);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(block->q), bytes);
  block->scale = scale;

  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
  __m256i sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  sums = _mm256_hadd_epi32(sums, sums);
  sums = _mm256_hadd_epi32(sums, sums);
  const int32_t sum[2] = {_mm_cvtsi128_si32(_mm256_castsi256_si128(sums)),
                          _mm_cvtsi128_si32(_mm256_extracti128_si256(sums, 1))};
  StoreSums(encoding, sum, block);
}

// Eight blocks with a scale in common.
template <bool kSigns>
void StoreSuperInt8(const __m256 v[32], const Encoding& encoding, std::byte* dst, int64_t stride) {
  const uint32_t bits = LargestBits<32>(v);
  for (int b = 0; b < kSuperBlocks; ++b) StoreScaled<kSigns>(v + 4 * b, bits, encoding, dst + b * stride);
  if (encoding.sum != BlockSum::kBlockPair) return;
  for (int b = 0; b < kSuperBlocks; b += 2) {
    auto* even = reinterpret_cast<Int8Block*>(dst + b * stride);
    const auto* odd = reinterpret_cast<const Int8Block*>(dst + (b + 1) * stride);
    const int16_t pair[2] = {static_cast<int16_t>(even->sum.offset[0]), static_cast<int16_t>(odd->sum.offset[0])};
    for (int i = 0; i < 2; ++i) even->sum.pair[i] = pair[i];
  }
}

// bf16 with rounding to nearest even, for callers that mix this file's prepare with a bf16 tile.
void StoreBf16(const __m256 v[4], std::byte* dst) {
  for (int i = 0; i < 4; ++i) {
    const __m256i bits = _mm256_castps_si256(v[i]);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7fff)), 16);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v[i], v[i], _CMP_UNORD_Q));
    const __m256i words = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), nan);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + i * 16), _mm256_castsi256_si128(packed));
  }
}

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
  const __m256 shift = _mm256_set1_ps(mean);
  const __m256 multiplier = _mm256_set1_ps(factor);
  const auto load = [&](int64_t k) {
    const __m256i mask = MaskOf(args.cols - k);
    __m256 v = _mm256_maskload_ps(args.x + k, mask);
    if (!normed) return v;
    const __m256 weight = _mm256_maskload_ps(args.norm.weight + k, mask);
    v = _mm256_mul_ps(_mm256_mul_ps(_mm256_sub_ps(v, shift), multiplier), weight);
    if (args.norm.bias != nullptr) v = _mm256_add_ps(v, _mm256_maskload_ps(args.norm.bias + k, mask));
    return _mm256_and_ps(v, _mm256_castsi256_ps(mask));
  };
  const bool signs = args.encoding.type == ActivationType::kInt8Signs;
  int64_t block = 0;
  static_assert(kSectionBlocks % kSuperBlocks == 0);
  for (; args.encoding.scale_blocks == kSuperBlocks && block < args.num_blocks; block += kSuperBlocks) {
    __m256 v[4 * kSuperBlocks];
    for (int i = 0; i < 4 * kSuperBlocks; ++i) v[i] = load(block * kBlockValues + i * 8);
    (signs ? StoreSuperInt8<true> : StoreSuperInt8<false>)(v, args.encoding, args.Block(block), args.dst_stride);
  }
  for (; block < args.num_blocks; ++block) {
    __m256 v[4];
    for (int i = 0; i < 4; ++i) v[i] = load(block * kBlockValues + i * 8);
    std::byte* dst = args.Block(block);
    switch (args.encoding.type) {
      case ActivationType::kInt8:
        StoreScaled<false>(v, LargestBits<4>(v), args.encoding, dst);
        break;
      case ActivationType::kInt8Signs:
        StoreScaled<true>(v, LargestBits<4>(v), args.encoding, dst);
        break;
      case ActivationType::kBf16:
        StoreBf16(v, dst);
        break;
      case ActivationType::kF32:
        for (int i = 0; i < 4; ++i) _mm256_storeu_ps(reinterpret_cast<float*>(dst) + i * 8, v[i]);
        break;
    }
  }
}

template <bool kSigns>
void EncodeBlocks(const float* x, int num_blocks, const Encoding& encoding, std::byte* dst) {
  constexpr int64_t kStride = kSigns ? sizeof(Int8SignsBlock) : sizeof(Int8Block);
  for (int block = 0; block < num_blocks; ++block) {
    __m256 v[4];
    for (int i = 0; i < 4; ++i) v[i] = _mm256_loadu_ps(x + block * kBlockValues + 8 * i);
    StoreScaled<kSigns>(v, LargestBits<4>(v), encoding, dst + block * kStride);
  }
}

void EncodeRun(const float* x, int num_blocks, const Encoding& encoding, std::byte* dst) {
  const bool signs = encoding.type == ActivationType::kInt8Signs;
  (signs ? EncodeBlocks<true> : EncodeBlocks<false>)(x, num_blocks, encoding, dst);
}

// exp(x) to about 1 ulp: 2^n * p(r), r in [-ln2 / 2, ln2 / 2], p the degree-6 minimax polynomial of Cephes' expf. Below
// -87 it stays at 2^-126, which is nothing in what it is used for.
inline __m256 Exp(__m256 x) {
  x = _mm256_min_ps(_mm256_set1_ps(88.3f), _mm256_max_ps(_mm256_set1_ps(-87.0f), x));  // keeps NaN, the second operand
  const __m256 n =
      _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
  __m256 p = _mm256_set1_ps(1.9875691500e-4f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
  p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
  const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

// x / (1 + exp(-y))
inline __m256 TimesSigmoid(__m256 x, __m256 y) {
  return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), Exp(_mm256_sub_ps(_mm256_setzero_ps(), y))));
}

// Abramowitz & Stegun 7.1.26, absolute error 1.5e-7.
inline __m256 Erf(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0f));
  const __m256 a = _mm256_xor_ps(x, sign);
  const __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(a, _mm256_set1_ps(0.3275911f), one));
  __m256 p = _mm256_set1_ps(1.061405429f);
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(-1.453152027f));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(1.421413741f));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(-0.284496736f));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.254829592f));
  const __m256 rest = _mm256_mul_ps(_mm256_mul_ps(p, t), Exp(_mm256_sub_ps(_mm256_setzero_ps(), _mm256_mul_ps(a, a))));
  return _mm256_or_ps(_mm256_sub_ps(one, rest), sign);
}

inline __m256 Activate(ActivationKind kind, __m256 x) {
  switch (kind) {
    case ActivationKind::kNone:
      return x;
    case ActivationKind::kSilu:
      return TimesSigmoid(x, x);
    case ActivationKind::kGeluTanh: {  // x (1 + tanh(u)) / 2 = x sigmoid(2 u)
      constexpr float kTwice = 2.0f * 0.7978845608f;
      const __m256 inner =
          _mm256_fmadd_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(kTwice * 0.044715f), _mm256_set1_ps(kTwice));
      return TimesSigmoid(x, _mm256_mul_ps(x, inner));
    }
    case ActivationKind::kGeluErf: {
      const __m256 erf = Erf(_mm256_mul_ps(x, _mm256_set1_ps(0.7071067812f)));
      return _mm256_mul_ps(_mm256_mul_ps(x, _mm256_set1_ps(0.5f)), _mm256_add_ps(_mm256_set1_ps(1.0f), erf));
    }
    case ActivationKind::kSwigluOai:
      return TimesSigmoid(x, _mm256_mul_ps(x, _mm256_set1_ps(1.702f)));
    case ActivationKind::kRelu2:
      return _mm256_mul_ps(x, _mm256_max_ps(_mm256_setzero_ps(), x));
  }
  return x;
}

inline __m256 FinishPart(const EpilogueArgs& args, int t, int first, __m256i mask) {
  const bool oai = args.activation == ActivationKind::kSwigluOai;
  const __m256 limit = _mm256_set1_ps(args.swiglu_limit);
  const int at = t * kPanelRows + first;
  __m256 value = _mm256_loadu_ps(args.acc + at);
  if (args.bias != nullptr) value = _mm256_add_ps(value, _mm256_maskload_ps(args.bias + first, mask));
  if (oai) value = _mm256_min_ps(limit, value);
  value = Activate(args.activation, value);
  if (args.acc_up != nullptr) {
    __m256 up = _mm256_loadu_ps(args.acc_up + at);
    if (args.bias_up != nullptr) up = _mm256_add_ps(up, _mm256_maskload_ps(args.bias_up + first, mask));
    if (oai) {
      up = _mm256_max_ps(_mm256_set1_ps(-args.swiglu_limit), _mm256_min_ps(limit, up));
      up = _mm256_add_ps(up, _mm256_set1_ps(1.0f));
    }
    value = _mm256_mul_ps(value, up);
  }
  return _mm256_mul_ps(value, _mm256_set1_ps(args.scale));
}

void Epilogue(const EpilogueArgs& args) {
  for (int t = 0; t < args.tokens; ++t) {
    for (int first = 0; first < args.count; first += 8) {
      const __m256i mask = MaskOf(args.count - first);
      float* out = args.out + t * args.out_stride + first;
      __m256 value = FinishPart(args, t, first, mask);
      if (args.count - first >= 8) {  // a masked store takes 12 cycles on Zen 4
        if (args.accumulate) value = _mm256_add_ps(_mm256_loadu_ps(out), value);
        _mm256_storeu_ps(out, value);
        continue;
      }
      if (args.accumulate) value = _mm256_add_ps(_mm256_maskload_ps(out, mask), value);
      _mm256_maskstore_ps(out, mask, value);
    }
  }
}

}  // namespace

const LinearIsa kLinearAvx2 = {Isa::kAvx2, PrepareRow, EncodeRun, Epilogue};

}  // namespace millrace::kernels
