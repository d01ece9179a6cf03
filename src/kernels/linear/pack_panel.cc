// From stored rows to panels (panel_format.h). Codes move as dwords of four values, four at a time, so that packing
// keeps up with the disk.
#include <cstring>

#include "base/check.h"
#include "base/checked_math.h"
#include "base/quant_blocks.h"
#include "kernels/linear/panel_format.h"

namespace millrace::kernels {
namespace {

constexpr uint32_t kNibbles = 0x0f0f0f0fu;
constexpr uint32_t kPairs = 0x03030303u;
constexpr uint32_t kBits = 0x01010101u;

// Four dwords, each a quad; and the eight quads of 32 values.
using Dwords = uint32_t __attribute__((vector_size(16)));
struct Quads {
  Dwords low, high;  // 0 to 3, 4 to 7
};

Dwords Load(const void* from) {
  Dwords value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}
Quads LoadQuads(const void* from) {
  return {Load(from), Load(static_cast<const uint8_t*>(from) + 16)};
}

void StoreHalf(std::byte* header, int plane, int row, uint16_t value) {
  std::memcpy(header + plane * kHalfRow + row * 2, &value, 2);
}

// Bits 0..3 of n, one to a byte.
uint32_t SpreadBits(uint32_t n) {
  return ((n & 15u) * 0x00204081u) & kBits;
}

Quads NibbleQuads(const uint8_t* qs) {
  const Dwords both = Load(qs);
  return {both & kNibbles, (both >> 4) & kNibbles};
}

Quads FiveBitQuads(const uint8_t* qs, const uint8_t* qh) {
  Quads quads = NibbleQuads(qs);
  uint32_t bits;
  std::memcpy(&bits, qh, sizeof(bits));
  for (int j = 0; j < 4; ++j) {
    quads.low[j] |= SpreadBits(bits >> (4 * j)) << 4;
    quads.high[j] |= SpreadBits(bits >> (4 * j + 16)) << 4;
  }
  return quads;
}

// Bits [shift, shift + n) of each of 32 bytes, mask having n bits of each byte set.
Quads Bits(const uint8_t* from, int shift, uint32_t mask) {
  const Quads all = LoadQuads(from);
  return {(all.low >> shift) & mask, (all.high >> shift) & mask};
}

Quads Join(const Quads& low, const Quads& high, int shift) {
  return {low.low | high.low << shift, low.high | high.high << shift};
}

// Codes(block, b): the codes of the b-th 32 values of a stored block. Header(block, row, b, header): the scales
// of the whole block, its first 32 values being block b of the chunk. Scales(block, b, row, scales): the bytes before
// the codes of its b-th 32 values.
struct NoBlockScales {
  template <typename Block>
  static void Scales(const Block&, int, int, std::byte*) {}
};

// Formats whose 16 bytes of codes are the four planes of a row already have Planes(block, b) instead of Codes.
template <typename Stored>
concept HasPlanes = requires(const typename Stored::Block& block) {
  Stored::Planes(block, 0);
};

struct FormatQ4_0 : NoBlockScales {
  using Block = BlockQ4_0;
  static const uint8_t* Planes(const Block& block, int) { return block.qs; }
  static void Header(const Block& block, int row, int, std::byte* header) { StoreHalf(header, 0, row, block.d); }
};

struct FormatQ4_1 : NoBlockScales {
  using Block = BlockQ4_1;
  static const uint8_t* Planes(const Block& block, int) { return block.qs; }
  static void Header(const Block& block, int row, int, std::byte* header) {
    StoreHalf(header, 0, row, block.d);
    StoreHalf(header, 1, row, block.m);
  }
};

struct FormatQ5_0 : NoBlockScales {
  using Block = BlockQ5_0;
  static Quads Codes(const Block& block, int) { return FiveBitQuads(block.qs, block.qh); }
  static void Header(const Block& block, int row, int, std::byte* header) { StoreHalf(header, 0, row, block.d); }
};

struct FormatQ5_1 : NoBlockScales {
  using Block = BlockQ5_1;
  static Quads Codes(const Block& block, int) { return FiveBitQuads(block.qs, block.qh); }
  static void Header(const Block& block, int row, int, std::byte* header) {
    StoreHalf(header, 0, row, block.d);
    StoreHalf(header, 1, row, block.m);
  }
};

struct FormatQ8_0 : NoBlockScales {
  using Block = BlockQ8_0;
  static Quads Codes(const Block& block, int) {
    const Quads values = LoadQuads(block.qs);
    return {values.low ^ 0x80808080u, values.high ^ 0x80808080u};
  }
  static void Header(const Block& block, int row, int, std::byte* header) { StoreHalf(header, 0, row, block.d); }
};

struct FormatIQ4_NL : NoBlockScales {
  using Block = BlockIQ4_NL;
  static const uint8_t* Planes(const Block& block, int) { return block.qs; }
  static void Header(const Block& block, int row, int, std::byte* header) { StoreHalf(header, 0, row, block.d); }
};

struct FormatMXFP4 : NoBlockScales {
  using Block = BlockMXFP4;
  static const uint8_t* Planes(const Block& block, int) { return block.qs; }
  static void Header(const Block& block, int row, int index, std::byte* header) {
    header[index * kPanelRows + row] = static_cast<std::byte>(block.e);
  }
};

struct FormatQ2_K {
  using Block = BlockQ2_K;
  static Quads Codes(const Block& block, int b) { return Bits(block.qs + b / 4 * 32, b % 4 * 2, kPairs); }
  static void Header(const Block& block, int row, int, std::byte* header) {
    StoreHalf(header, 0, row, block.d);
    StoreHalf(header, 1, row, block.dmin);
  }
  static void Scales(const Block& block, int b, int row, std::byte* scales) {
    for (int h = 0; h < 2; ++h) scales[h * kPanelRows + row] = static_cast<std::byte>(block.scales[2 * b + h]);
  }
};

struct FormatQ3_K {
  using Block = BlockQ3_K;
  static Quads Codes(const Block& block, int b) {
    return Join(Bits(block.qs + b / 4 * 32, b % 4 * 2, kPairs), Bits(block.hmask, b, kBits), 2);
  }
  static void Header(const Block& block, int row, int, std::byte* header) { StoreHalf(header, 0, row, block.d); }
  static void Scales(const Block& block, int b, int row, std::byte* scales) {
    for (int h = 0; h < 2; ++h) {
      scales[h * kPanelRows + row] = static_cast<std::byte>(UnpackScaleQ3(block.scales, 2 * b + h) - 32);
    }
  }
};

void StoreScaleMin(const uint8_t* stored, int b, int row, std::byte* scales) {
  const ScaleMin6 both = UnpackScaleMin6(stored, b);
  scales[row] = static_cast<std::byte>(both.scale);
  scales[kPanelRows + row] = static_cast<std::byte>(both.min);
}

struct FormatQ4_K {
  using Block = BlockQ4_K;
  static Quads Codes(const Block& block, int b) { return Bits(block.qs + b / 2 * 32, b % 2 * 4, kNibbles); }
  static void Header(const Block& block, int row, int, std::byte* header) {
    StoreHalf(header, 0, row, block.d);
    StoreHalf(header, 1, row, block.dmin);
  }
  static void Scales(const Block& block, int b, int row, std::byte* scales) {
    StoreScaleMin(block.scales, b, row, scales);
  }
};

struct FormatQ5_K {
  using Block = BlockQ5_K;
  static Quads Codes(const Block& block, int b) {
    return Join(Bits(block.qs + b / 2 * 32, b % 2 * 4, kNibbles), Bits(block.qh, b, kBits), 4);
  }
  static void Header(const Block& block, int row, int, std::byte* header) {
    StoreHalf(header, 0, row, block.d);
    StoreHalf(header, 1, row, block.dmin);
  }
  static void Scales(const Block& block, int b, int row, std::byte* scales) {
    StoreScaleMin(block.scales, b, row, scales);
  }
};

struct FormatQ6_K {
  using Block = BlockQ6_K;
  static Quads Codes(const Block& block, int b) {
    return Join(Bits(block.ql + b / 4 * 64 + b % 2 * 32, b % 4 / 2 * 4, kNibbles),
                Bits(block.qh + b / 4 * 32, b % 4 * 2, kPairs), 4);
  }
  static void Header(const Block& block, int row, int, std::byte* header) { StoreHalf(header, 0, row, block.d); }
  static void Scales(const Block& block, int b, int row, std::byte* scales) {
    for (int h = 0; h < 2; ++h) scales[h * kPanelRows + row] = static_cast<std::byte>(block.scales[2 * b + h]);
  }
};

struct FormatIQ4_XS : NoBlockScales {
  using Block = BlockIQ4_XS;
  static const uint8_t* Planes(const Block& block, int b) { return block.qs + b * 16; }
  static void Header(const Block& block, int row, int, std::byte* header) {
    StoreHalf(header, 0, row, block.d);
    for (int s = 0; s < 8; ++s) {
      header[kHalfRow + s * kPanelRows + row] = static_cast<std::byte>(UnpackScaleIQ4(block, s) - 32);
    }
  }
};

// Writes the codes of one row and block into the planes of its body. `first` is the row's dword in plane 0.
template <int kCodeBits>
void StoreQuads(const Quads& quads, std::byte* first) {
  uint32_t planes[kCodeBits] = {};
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    const uint32_t codes = j < 4 ? quads.low[j] : quads.high[j - 4];
    const QuadFields fields = FieldsOf(kCodeBits, j);
#pragma GCC unroll 3
    for (int i = 0; i < fields.count; ++i) {
      const CodeField& field = fields.field[i];
      planes[field.plane] |= ((codes >> field.to) & (kBits * ((1u << field.width) - 1))) << field.from;
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < kCodeBits; ++p) std::memcpy(first + p * 128, &planes[p], 4);
}

template <typename Stored, int kCodeBits>
void PackQuantised(const PanelFormat& format, const std::byte* const rows[kPanelRows], int64_t cols, std::byte* dst) {
  using Block = typename Stored::Block;
  const int64_t span = GetDTypeInfo(format.dtype).block_elems / kBlockValues;  // blocks of 32 in a stored block
  const int64_t num_blocks = cols / kBlockValues;
  const int64_t num_chunks = NumChunks(format, cols);
  for (int64_t chunk = 0; chunk < num_chunks; ++chunk, dst += format.ChunkBytes()) {
    for (int row = 0; row < kPanelRows; ++row) {
      if (rows[row] == nullptr) continue;
      std::byte* body = dst + format.header_bytes;
      Block stored;
      for (int b = 0; b < format.chunk_blocks; ++b, body += format.block_bytes) {
        const int64_t block = chunk * format.chunk_blocks + b;
        if (block >= num_blocks) break;
        if (block % span == 0) {
          std::memcpy(&stored, rows[row] + block / span * static_cast<int64_t>(sizeof(Block)), sizeof(Block));
          Stored::Header(stored, row, b, dst);
        }
        std::byte* first = body + format.block_scale_bytes + row * 4;
        if constexpr (HasPlanes<Stored>) {
          const uint8_t* planes = Stored::Planes(stored, static_cast<int>(block % span));
          for (int j = 0; j < 4; ++j) std::memcpy(first + j * 128, planes + 4 * j, 4);
        } else {
          StoreQuads<kCodeBits>(Stored::Codes(stored, static_cast<int>(block % span)), first);
        }
        Stored::Scales(stored, static_cast<int>(block % span), row, body);
      }
    }
  }
}

// Copies T-sized groups of values of each row to `offset(row)` of its group's place, group_bytes apart.
template <typename T, typename OffsetFn>
void PackPlain(const std::byte* const rows[kPanelRows], int64_t row_bytes, std::byte* dst, const OffsetFn& offset) {
  const int64_t num_groups = row_bytes / static_cast<int64_t>(sizeof(T));
  constexpr int64_t kGroupBytes = kPanelRows * static_cast<int64_t>(sizeof(T));
  constexpr int64_t kStep = 64;  // groups at a time, so that the lines being written stay in L1
  for (int64_t first = 0; first < num_groups; first += kStep) {
    const int64_t end = first + kStep < num_groups ? first + kStep : num_groups;
    for (int row = 0; row < kPanelRows; ++row) {
      if (rows[row] == nullptr) continue;
      std::byte* out = dst + offset(row);
      for (int64_t g = first; g < end; ++g) std::memcpy(out + g * kGroupBytes, rows[row] + g * sizeof(T), sizeof(T));
    }
  }
  const int64_t rest = row_bytes - num_groups * static_cast<int64_t>(sizeof(T));
  if (rest == 0) return;
  for (int row = 0; row < kPanelRows; ++row) {
    if (rows[row] == nullptr) continue;
    const int64_t source = num_groups * static_cast<int64_t>(sizeof(T));
    std::memcpy(dst + offset(row) + num_groups * kGroupBytes, rows[row] + source, static_cast<size_t>(rest));
  }
}

}  // namespace

void PackPanel(const PanelFormat& format, const std::byte* const rows[kPanelRows], int64_t cols, std::byte* dst) {
  const auto in_order = [](int size) { return [size](int row) { return row * size; }; };
  switch (format.dtype) {
    case DType::kF32:
      return PackPlain<uint32_t>(rows, cols * 4, dst, in_order(4));
    case DType::kF16:
      return PackPlain<uint16_t>(rows, cols * 2, dst, in_order(2));
    case DType::kBF16:
      return PackPlain<uint32_t>(rows, cols * 2, dst, in_order(4));
    case DType::kF8E4M3:
      return PackPlain<uint16_t>(rows, cols, dst,
                                 [](int row) { return row % 16 / 4 * 16 + row / 16 * 8 + row % 4 * 2; });
    case DType::kQ4_0:
      return PackQuantised<FormatQ4_0, 4>(format, rows, cols, dst);
    case DType::kQ4_1:
      return PackQuantised<FormatQ4_1, 4>(format, rows, cols, dst);
    case DType::kQ5_0:
      return PackQuantised<FormatQ5_0, 5>(format, rows, cols, dst);
    case DType::kQ5_1:
      return PackQuantised<FormatQ5_1, 5>(format, rows, cols, dst);
    case DType::kQ8_0:
      return PackQuantised<FormatQ8_0, 8>(format, rows, cols, dst);
    case DType::kQ2_K:
      return PackQuantised<FormatQ2_K, 2>(format, rows, cols, dst);
    case DType::kQ3_K:
      return PackQuantised<FormatQ3_K, 3>(format, rows, cols, dst);
    case DType::kQ4_K:
      return PackQuantised<FormatQ4_K, 4>(format, rows, cols, dst);
    case DType::kQ5_K:
      return PackQuantised<FormatQ5_K, 5>(format, rows, cols, dst);
    case DType::kQ6_K:
      return PackQuantised<FormatQ6_K, 6>(format, rows, cols, dst);
    case DType::kIQ4_NL:
      return PackQuantised<FormatIQ4_NL, 4>(format, rows, cols, dst);
    case DType::kIQ4_XS:
      return PackQuantised<FormatIQ4_XS, 4>(format, rows, cols, dst);
    case DType::kMXFP4:
      return PackQuantised<FormatMXFP4, 4>(format, rows, cols, dst);
    default:
      CHECK(false, "{} is not a weight type", DTypeName(format.dtype));
  }
}

}  // namespace millrace::kernels
