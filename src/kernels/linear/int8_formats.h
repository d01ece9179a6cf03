// The quantised weight formats as policies for the tile loops, written once for every register width. Included by ISA
// files alone; everything has internal linkage, so that no ISA's code can replace another's.
//
// V is a register width: V::I and V::F (integers and floats), kLanes rows to a register. Codes are unsigned and kOffset
// too large. `block` points at a block's body, `chunk` at its header.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/linear/linear_kernel.h"

namespace millrace::kernels {
namespace {

alignas(16) constexpr uint8_t kIQ4Plus128[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                 129, 141, 153, 166, 181, 197, 217, 241};
alignas(16) constexpr uint8_t kMXFP4Plus12[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

template <typename V>
inline typename V::I LoadPlane(const std::byte* planes, int plane, int group) {
  return V::LoadBytes(planes + plane * 128 + group * V::kLanes * 4);
}

// One field of a quad, in its place.
template <typename V>
[[gnu::always_inline]] inline typename V::I LoadField(const std::byte* planes, const CodeField& field, int group) {
  const typename V::I plane = LoadPlane<V>(planes, field.plane, group);
  const int right = field.from - field.to;
  const typename V::I moved = right > 0 ? V::ShiftRight(plane, right) : right < 0 ? V::ShiftLeft(plane, -right) : plane;
  return V::And(moved, V::SetBytes(((1 << field.width) - 1) << field.to));
}

// Quad 3 of the three planes of four 6-bit quads: its fields as FieldsOf has them, but with one mask, for want of
// registers in wide tiles.
template <typename V>
[[gnu::always_inline]] inline typename V::I FourthSixBits(const std::byte* planes, int group) {
  const typename V::I mask = V::SetBytes(63);
  const typename V::I two =
      V::Select(mask, V::ShiftRight(LoadPlane<V>(planes, 0, group), 2), LoadPlane<V>(planes, 1, group));
  const typename V::I three = V::Select(mask, V::ShiftRight(two, 2), LoadPlane<V>(planes, 2, group));
  return V::And(V::ShiftRight(three, 2), mask);
}

// Codes of n bits, n = 2, 3, 4, 5, 6 (panel_format.h).
template <typename V, int kBits>
struct Codes {
  static constexpr int kMaxCode = (1 << kBits) - 1;
  static constexpr int kCodeBits = kBits;
  [[gnu::always_inline]] static typename V::I Quad(const std::byte* planes, int j, int group) {
    if (kBits == 6 && j % 4 == 3) return FourthSixBits<V>(planes + j / 4 * 3 * 128, group);
    const QuadFields fields = FieldsOf(kBits, j);
    typename V::I codes = LoadField<V>(planes, fields.field[0], group);
    if (fields.count > 1) codes = V::Or(codes, LoadField<V>(planes, fields.field[1], group));
    if (fields.count > 2) codes = V::Or(codes, LoadField<V>(planes, fields.field[2], group));
    return codes;
  }
};

template <typename V>
struct ByteCodes {
  static constexpr int kMaxCode = 255;
  static constexpr int kCodeBits = 8;
  static constexpr int kOffset = 128;
  static typename V::I Quad(const std::byte* planes, int j, int group) { return LoadPlane<V>(planes, j, group); }
};

template <typename V>
struct IQ4Codes {
  static constexpr int kMaxCode = 241;
  static constexpr int kCodeBits = 4;
  static constexpr int kOffset = 128;
  static typename V::I Quad(const std::byte* planes, int j, int group) {
    return V::LookUp(kIQ4Plus128, Codes<V, 4>::Quad(planes, j, group));
  }
};

template <typename V>
struct MXFP4Codes {
  static constexpr int kMaxCode = 24;
  static constexpr int kCodeBits = 4;
  static constexpr int kOffset = 12;
  static typename V::I Quad(const std::byte* planes, int j, int group) {
    return V::LookUp(kMXFP4Plus12, Codes<V, 4>::Quad(planes, j, group));
  }
};

// One block to a chunk: d.
template <typename V>
struct HalfScale {
  static constexpr BlockSum kSum = BlockSum::kOffset;
  static constexpr bool kMins = false;
  static constexpr int kParts = 1;
  static constexpr int kChunkBlocks = 1;
  static constexpr int kHeaderBytes = 64;
  static constexpr int kBlockScaleBytes = 0;
  static typename V::F Scale(const std::byte* chunk, int, int group) {
    return V::LoadHalves(chunk + group * V::kLanes * 2);
  }
};

// d, m; weight = d * code + m.
template <typename V>
struct HalfScaleMin {
  static constexpr BlockSum kSum = BlockSum::kFloat;
  static constexpr bool kMins = true;
  static constexpr int kParts = 1;
  static constexpr int kOffset = 0;
  static constexpr int kChunkBlocks = 1;
  static constexpr int kHeaderBytes = 128;
  static constexpr int kBlockScaleBytes = 0;
  static typename V::F Scale(const std::byte* chunk, int, int group) {
    return V::LoadHalves(chunk + group * V::kLanes * 2);
  }
  static typename V::F NegativeMin(const std::byte* chunk, int group) {
    return V::LoadHalves(chunk + 64 + group * V::kLanes * 2);
  }
};

// 2^(e - 128): e shifted into the exponent is 2^(e - 127), and halving it is exact down to e = 1. e = 0 gives 0 for
// 2^-128.
template <typename V>
struct MxScale {
  static constexpr BlockSum kSum = BlockSum::kOffset;
  static constexpr bool kMins = false;
  static constexpr int kParts = 1;
  static constexpr int kChunkBlocks = 2;
  static constexpr int kHeaderBytes = 64;
  static constexpr int kBlockScaleBytes = 0;
  static typename V::F Scale(const std::byte* chunk, int b, int group) {
    return V::LoadExponentsHalved(chunk + b * kPanelRows + group * V::kLanes);
  }
};

// Chunks of 256 values: weight = Factor * Scale * value (+ NegativeMinFactor * min). Scale, whole numbers, is of block
// b and half `part`; factors are of the chunk.

// d, then a signed byte for each of the 8 blocks.
template <typename V>
struct SuperScale {
  static constexpr BlockSum kSum = BlockSum::kOffset;
  static constexpr bool kMins = false;
  static constexpr int kParts = 1;
  static constexpr int kChunkBlocks = 8;
  static constexpr int kHeaderBytes = 64 + 8 * kPanelRows;
  static constexpr int kBlockScaleBytes = 0;
  static typename V::F Factor(const std::byte* chunk, int group) {
    return V::LoadHalves(chunk + group * V::kLanes * 2);
  }
  static typename V::I Scale(const std::byte* chunk, const std::byte*, int b, int, int group) {
    return V::WidenSigned(chunk + 64 + b * kPanelRows + group * V::kLanes);
  }
};

// d for the chunk, a signed byte for each half before the codes of a block.
template <typename V>
struct SuperScaleHalves {
  static constexpr BlockSum kSum = V::kPairedSums ? BlockSum::kHalfPair : BlockSum::kOffsetHalves;
  static constexpr bool kMins = false;
  static constexpr int kParts = 2;
  static constexpr int kChunkBlocks = 8;
  static constexpr int kHeaderBytes = 64;
  static constexpr int kBlockScaleBytes = 64;
  static typename V::F Factor(const std::byte* chunk, int group) {
    return V::LoadHalves(chunk + group * V::kLanes * 2);
  }
  static typename V::I Scale(const std::byte*, const std::byte* block, int, int part, int group) {
    return V::WidenSigned(block + part * kPanelRows + group * V::kLanes);
  }
};

// d and dmin for the chunk, a scale and a min byte before the codes of a block.
template <typename V>
struct SuperScaleMin {
  static constexpr BlockSum kSum = BlockSum::kBlockPair;
  static constexpr bool kMins = true;
  static constexpr int kParts = 1;
  static constexpr int kOffset = 0;
  static constexpr int kChunkBlocks = 8;
  static constexpr int kHeaderBytes = 128;
  static constexpr int kBlockScaleBytes = 64;
  static typename V::F Factor(const std::byte* chunk, int group) {
    return V::LoadHalves(chunk + group * V::kLanes * 2);
  }
  static typename V::F NegativeMinFactor(const std::byte* chunk, int group) {
    return V::Negate(V::LoadHalves(chunk + 64 + group * V::kLanes * 2));
  }
  static typename V::I Scale(const std::byte*, const std::byte* block, int, int, int group) {
    return V::Widen(block + group * V::kLanes);
  }
  // The mins of `block` and the one after it.
  static typename V::I MinPair(const std::byte* block, int block_bytes, int group) {
    const std::byte* bytes = block + kPanelRows + group * V::kLanes;
    return V::Pair(V::Widen(bytes), V::Widen(bytes + block_bytes));
  }
};

// d and dmin for the chunk, a byte for each half before the codes: scale in its low, min in its high nibble.
template <typename V>
struct SuperScaleNibbleMin {
  static constexpr BlockSum kSum = BlockSum::kHalfPair;
  static constexpr bool kMins = true;
  static constexpr int kParts = 2;
  static constexpr int kOffset = 0;
  static constexpr int kChunkBlocks = 8;
  static constexpr int kHeaderBytes = 128;
  static constexpr int kBlockScaleBytes = 64;
  static typename V::F Factor(const std::byte* chunk, int group) {
    return V::LoadHalves(chunk + group * V::kLanes * 2);
  }
  static typename V::F NegativeMinFactor(const std::byte* chunk, int group) {
    return V::Negate(V::LoadHalves(chunk + 64 + group * V::kLanes * 2));
  }
  static typename V::I Scale(const std::byte*, const std::byte* block, int, int part, int group) {
    return V::And(V::Widen(block + part * kPanelRows + group * V::kLanes), V::SetBytes(15));
  }
  // The mins of the halves of `block`.
  static typename V::I MinPair(const std::byte* block, int, int group) {
    const std::byte* bytes = block + group * V::kLanes;
    return V::ShiftRight(V::Pair(V::Widen(bytes), V::Widen(bytes + kPanelRows)), 4);
  }
};

template <typename CodesOf, typename ScaleOf>
struct Format : CodesOf, ScaleOf {
  static constexpr int kBlockBytes = ScaleOf::kBlockScaleBytes + 128 * CodesOf::kCodeBits;
};

template <typename V>
struct FormatQ4_0 : Format<Codes<V, 4>, HalfScale<V>> {
  static constexpr int kOffset = 8;
};
template <typename V>
struct FormatQ5_0 : Format<Codes<V, 5>, HalfScale<V>> {
  static constexpr int kOffset = 16;
};
template <typename V>
struct FormatQ3_K : Format<Codes<V, 3>, SuperScaleHalves<V>> {
  static constexpr int kOffset = 4;
};
template <typename V>
struct FormatQ6_K : Format<Codes<V, 6>, SuperScaleHalves<V>> {
  static constexpr int kOffset = 32;
};
template <typename V>
using FormatQ4_1 = Format<Codes<V, 4>, HalfScaleMin<V>>;
template <typename V>
using FormatQ5_1 = Format<Codes<V, 5>, HalfScaleMin<V>>;
template <typename V>
using FormatQ8_0 = Format<ByteCodes<V>, HalfScale<V>>;
template <typename V>
using FormatQ2_K = Format<Codes<V, 2>, SuperScaleNibbleMin<V>>;
template <typename V>
using FormatQ4_K = Format<Codes<V, 4>, SuperScaleMin<V>>;
template <typename V>
using FormatQ5_K = Format<Codes<V, 5>, SuperScaleMin<V>>;
template <typename V>
using FormatIQ4_NL = Format<IQ4Codes<V>, HalfScale<V>>;
template <typename V>
using FormatIQ4_XS = Format<IQ4Codes<V>, SuperScale<V>>;
template <typename V>
using FormatMXFP4 = Format<MXFP4Codes<V>, MxScale<V>>;

}  // namespace
}  // namespace millrace::kernels
