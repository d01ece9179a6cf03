#include "model_loader/hf_gather.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "base/dequantize.h"
#include "base/half.h"
#include "base/quant_blocks.h"

namespace millrace {
namespace {

template <size_t kElement>
void GatherStrided(const StridedSource& s, int64_t first, int64_t count, std::byte* dst) {
  for (int64_t r = first; r < first + count; ++r) {
    const std::byte* row = s.bytes.data() + r * s.row_stride * static_cast<int64_t>(kElement);
    for (int64_t c = 0; c < s.cols; ++c, dst += kElement)
      std::memcpy(dst, row + c * s.col_stride * static_cast<int64_t>(kElement), kElement);
  }
}

void GatherRows(const StridedSource& s, int64_t first, int64_t count, std::byte* dst) {
  switch (RowBytes(s.dtype, 1)) {
    case 1:
      return GatherStrided<1>(s, first, count, dst);
    case 2:
      return GatherStrided<2>(s, first, count, dst);
    case 4:
      return GatherStrided<4>(s, first, count, dst);
    default:
      return GatherStrided<8>(s, first, count, dst);
  }
}

// The 256 values of FP8; computing each takes a call of ldexp.
const std::array<float, 256> kF8Values = [] {
  std::array<float, 256> values;
  for (int v = 0; v < 256; ++v) values[static_cast<size_t>(v)] = F8E4M3ToF32(static_cast<uint8_t>(v));
  return values;
}();

float ScaleAt(const Fp8Source& s, int64_t index) {
  float value;
  DequantizeRow(s.scale_type, s.scales.data() + index * RowBytes(s.scale_type, 1), &value, 1);
  return value;
}

void GatherFp8(const Fp8Source& s, int64_t first, int64_t count, std::byte* dst) {
  const int64_t scales_per_row = (s.cols + s.scale_cols - 1) / s.scale_cols;
  for (int64_t r = first; r < first + count; ++r) {
    const std::byte* row = s.values.data() + r * s.cols;
    for (int64_t begin = 0; begin < s.cols; begin += s.scale_cols) {
      const float scale = ScaleAt(s, r / s.scale_rows * scales_per_row + begin / s.scale_cols);
      const int64_t end = std::min(begin + s.scale_cols, s.cols);
      for (int64_t c = begin; c < end; ++c, dst += sizeof(uint16_t)) {
        const uint16_t value = F32ToBf16(kF8Values[static_cast<uint8_t>(row[c])] * scale);
        std::memcpy(dst, &value, sizeof(value));
      }
    }
  }
}

void GatherMx(const MxSource& s, int64_t first, int64_t count, std::byte* dst) {
  const int64_t blocks = s.cols / kQuantBlock;
  for (int64_t r = first; r < first + count; ++r) {
    const int64_t stored = (s.first + s.step * r) * blocks;
    for (int64_t b = 0; b < blocks; ++b, dst += sizeof(BlockMXFP4)) {
      const std::byte* codes = s.codes.data() + (stored + b) * 16;
      BlockMXFP4 block;
      block.e = static_cast<uint8_t>(s.scales[static_cast<size_t>(stored + b)]);
      for (int j = 0; j < 16; ++j) {
        const auto code = [&](int i) { return (static_cast<uint8_t>(codes[i / 2]) >> (4 * (i % 2))) & 15; };
        block.qs[j] = static_cast<uint8_t>(code(j) | (code(j + 16) << 4));
      }
      std::memcpy(dst, &block, sizeof(block));
    }
  }
}

}  // namespace

WeightTensor StridedWeight(const StridedSource& source, std::string name) {
  WeightTensor tensor{std::move(name), source.dtype, source.rows, source.cols, nullptr, nullptr};
  const bool contiguous = source.col_stride == 1 && (source.row_stride == source.cols || source.rows == 1);
  const bool aligned =
      reinterpret_cast<uintptr_t>(source.bytes.data()) % static_cast<uintptr_t>(RowBytes(source.dtype, 1)) == 0;
  if (contiguous && aligned) {
    tensor.data = source.bytes.data();
  } else {
    tensor.gather = [source](int64_t first, int64_t count, std::byte* dst) { GatherRows(source, first, count, dst); };
  }
  return tensor;
}

Status AddStrided(const StridedSource& source, std::string name, WeightTable& table) {
  WeightTensor tensor = StridedWeight(source, std::move(name));
  ByteRanges sources = tensor.data != nullptr ? ByteRanges() : ByteRanges{source.bytes};
  return table.AddGathered(std::move(tensor), std::move(sources));
}

Status AddFp8Weight(const Fp8Source& source, std::string name, WeightTable& table) {
  WeightTensor tensor{std::move(name), DType::kBF16, source.rows, source.cols, nullptr, nullptr};
  tensor.gather = [source](int64_t first, int64_t count, std::byte* dst) { GatherFp8(source, first, count, dst); };
  return table.AddGathered(std::move(tensor), {source.values, source.scales});
}

Status AddMxWeight(const MxSource& source, std::string name, WeightTable& table) {
  WeightTensor tensor{std::move(name), DType::kMXFP4, source.rows, source.cols, nullptr, nullptr};
  tensor.gather = [source](int64_t first, int64_t count, std::byte* dst) { GatherMx(source, first, count, dst); };
  return table.AddGathered(std::move(tensor), {source.codes, source.scales});
}

}  // namespace millrace
