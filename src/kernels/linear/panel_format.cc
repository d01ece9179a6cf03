#include "kernels/linear/panel_format.h"

#include <cstring>

#include "base/check.h"
#include "base/checked_math.h"
#include "base/half.h"
#include "base/quant_blocks.h"

namespace millrace::kernels {
namespace {

constexpr int HeaderBytes(Scales scales) {
  switch (scales) {
    case Scales::kNone:
      return 0;
    case Scales::kHalf:
      return kHalfRow;
    case Scales::kHalfMin:
      return 2 * kHalfRow;
    case Scales::kMx:
      return 2 * kPanelRows;
    case Scales::kSuper:
      return kHalfRow + 8 * kPanelRows;
    case Scales::kSuperHalves:
      return kHalfRow;
    case Scales::kSuperMin:
      return 2 * kHalfRow;
    case Scales::kSuperNibbleMin:
      return 2 * kHalfRow;
  }
  return 0;
}

constexpr int ChunkBlocks(Scales scales) {
  if (scales == Scales::kMx) return 2;
  return scales == Scales::kHalf || scales == Scales::kHalfMin ? 1 : 8;
}

constexpr PanelFormat Quantised(DType dtype, Scales scales, int code_bits, int offset, const int8_t* table = nullptr) {
  PanelFormat format;
  format.dtype = dtype;
  format.scales = scales;
  format.code_bits = code_bits;
  format.offset = offset;
  format.table = table;
  format.chunk_blocks = ChunkBlocks(scales);
  format.header_bytes = HeaderBytes(scales);
  format.block_scale_bytes = format.chunk_blocks == 8 && scales != Scales::kSuper ? 2 * kPanelRows : 0;
  format.block_bytes = format.block_scale_bytes + 128 * code_bits;
  return format;
}

constexpr PanelFormat Plain(DType dtype, int value_bytes) {
  PanelFormat format;
  format.dtype = dtype;
  format.block_bytes = kPanelRows * kBlockValues * value_bytes;
  return format;
}

constexpr PanelFormat kFormats[] = {
    Plain(DType::kF32, 4),
    Plain(DType::kF16, 2),
    Plain(DType::kBF16, 2),
    Plain(DType::kF8E4M3, 1),
    Quantised(DType::kQ4_0, Scales::kHalf, 4, 8),
    Quantised(DType::kQ4_1, Scales::kHalfMin, 4, 0),
    Quantised(DType::kQ5_0, Scales::kHalf, 5, 16),
    Quantised(DType::kQ5_1, Scales::kHalfMin, 5, 0),
    Quantised(DType::kQ8_0, Scales::kHalf, 8, 128),
    Quantised(DType::kQ2_K, Scales::kSuperNibbleMin, 2, 0),
    Quantised(DType::kQ3_K, Scales::kSuperHalves, 3, 4),
    Quantised(DType::kQ4_K, Scales::kSuperMin, 4, 0),
    Quantised(DType::kQ5_K, Scales::kSuperMin, 5, 0),
    Quantised(DType::kQ6_K, Scales::kSuperHalves, 6, 32),
    Quantised(DType::kIQ4_NL, Scales::kHalf, 4, 128, kIQ4Values.data()),
    Quantised(DType::kIQ4_XS, Scales::kSuper, 4, 128, kIQ4Values.data()),
    Quantised(DType::kMXFP4, Scales::kMx, 4, 12, kMXFP4Values.data()),
};

template <typename T>
T Load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

int Code(const PanelFormat& format, const std::byte* body, int row, int k) {
  const QuadFields fields = FieldsOf(format.code_bits, k / 4);
  int code = 0;
  for (int i = 0; i < fields.count; ++i) {
    const CodeField& field = fields.field[i];
    const int byte = static_cast<int>(body[field.plane * 128 + row * 4 + k % 4]);
    code |= ((byte >> field.from) & ((1 << field.width) - 1)) << field.to;
  }
  return code;
}

// Scale and min of one row and half. `scales` are the bytes before the block's codes.
void UnpackScale(const PanelFormat& format, const std::byte* header, const std::byte* scales, int block, int half,
                 int row, float* scale, float* min) {
  const auto f16 = [&](int plane) { return F16ToF32(Load<uint16_t>(header + plane * kHalfRow + row * 2)); };
  const auto byte_at = [&](int plane) { return static_cast<uint8_t>(scales[plane * kPanelRows + row]); };
  *min = 0.0f;
  switch (format.scales) {
    case Scales::kNone:
      break;
    case Scales::kHalf:
      *scale = f16(0);
      break;
    case Scales::kHalfMin:
      *scale = f16(0);
      *min = -f16(1);
      break;
    case Scales::kMx:
      *scale = MxScaleHalf(static_cast<uint8_t>(header[block * kPanelRows + row]));
      break;
    case Scales::kSuper:
      *scale = f16(0) * static_cast<float>(static_cast<int8_t>(header[kHalfRow + block * kPanelRows + row]));
      break;
    case Scales::kSuperHalves:
      *scale = f16(0) * static_cast<float>(static_cast<int8_t>(byte_at(half)));
      break;
    case Scales::kSuperMin:
      *scale = f16(0) * static_cast<float>(byte_at(0));
      *min = f16(1) * static_cast<float>(byte_at(1));
      break;
    case Scales::kSuperNibbleMin:
      *scale = f16(0) * static_cast<float>(byte_at(half) & 15);
      *min = f16(1) * static_cast<float>(byte_at(half) >> 4);
      break;
  }
}

float PlainValue(DType dtype, const std::byte* body, int row, int k) {
  switch (dtype) {
    case DType::kF32:
      return Load<float>(body + (k * kPanelRows + row) * 4);
    case DType::kF16:
      return F16ToF32(Load<uint16_t>(body + (k * kPanelRows + row) * 2));
    case DType::kBF16:
      return Bf16ToF32(Load<uint16_t>(body + (k / 2 * kPanelRows + row) * 4 + k % 2 * 2));
    default: {
      const int index = k / 2 * 64 + row % 16 / 4 * 16 + row / 16 * 8 + row % 4 * 2 + k % 2;
      return F8E4M3ToF32(static_cast<uint8_t>(body[index]));
    }
  }
}

}  // namespace

const PanelFormat* FindPanelFormat(DType dtype) {
  for (const PanelFormat& format : kFormats) {
    if (format.dtype == dtype) return &format;
  }
  return nullptr;
}

int64_t NumChunks(const PanelFormat& format, int64_t cols) {
  return CeilDiv<int64_t>(cols, static_cast<int64_t>(format.chunk_blocks) * kBlockValues);
}

void UnpackBlock(const PanelFormat& format, const std::byte* chunk, int block, BlockValues* out) {
  const std::byte* body = chunk + format.header_bytes + static_cast<int64_t>(block) * format.block_bytes;
  if (format.code_bits == 0) {
    for (int row = 0; row < kPanelRows; ++row) {
      for (int k = 0; k < kBlockValues; ++k) out->plain[row][k] = PlainValue(format.dtype, body, row, k);
    }
    return;
  }
  for (int row = 0; row < kPanelRows; ++row) {
    for (int k = 0; k < kBlockValues; ++k) {
      const int code = Code(format, body + format.block_scale_bytes, row, k);
      out->value[row][k] = static_cast<int8_t>(format.table != nullptr ? format.table[code] : code - format.offset);
    }
    for (int half = 0; half < 2; ++half) {
      UnpackScale(format, chunk, body, block, half, row, &out->scale[half][row], &out->min[half][row]);
    }
  }
}

}  // namespace millrace::kernels
