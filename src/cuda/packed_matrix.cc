#include "cuda/packed_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/dequantize.h"
#include "base/half.h"
#include "base/quant_blocks.h"
#include "cuda/gpu.h"
#include "cuda/k_blocks.h"

namespace millrace::cuda {
namespace {

using kernels::WeightRows;

constexpr int64_t kPieceRows = 512;  // packed and copied at once: bounds the extra host memory

bool IsInt8(DType type) {
  return type == DType::kQ4_0 || type == DType::kQ5_0 || type == DType::kQ8_0 || type == DType::kIQ4_NL;
}

// Where stored row `row` (parts counted through) goes; a gated pair is interleaved by eight.
int64_t PackedRow(int64_t row, int64_t num_rows, bool gated) {
  if (!gated) return row;
  const int64_t half = num_rows / 2, up = row >= half ? 1 : 0, i = row - up * half;
  return i / 8 * 16 + up * 8 + i % 8;
}

// One row of values into its steps; pointers at the row's first byte and the scale of its first group.
class RowPacker {
 public:
  RowPacker(WeightFormat format, int64_t cols, int64_t padded_rows)
      : format_(format), cols_(cols), padded_rows_(padded_rows), values_(static_cast<size_t>(cols)) {}

  // out [num_steps * StepBytes], zeros before; scales [num_steps, padded_rows, ScaleWords] of the whole matrix, this
  // row being `packed_row`.
  void Pack(DType type, const std::byte* source, std::byte* out, uint32_t* scales, int64_t packed_row) {
    if (type == DType::kBF16) {
      std::memcpy(out, source, static_cast<size_t>(cols_) * 2);
    } else if (format_ == WeightFormat::kBf16) {
      DequantizeRow(type, source, values_.data(), cols_);
      auto* to = reinterpret_cast<uint16_t*>(out);
      for (int64_t k = 0; k < cols_; ++k) to[k] = F32ToBf16(values_[static_cast<size_t>(k)]);
    } else if (IsK(format_)) {
      PackKRow(type, source, out, scales, packed_row);
    } else {
      PackGroups(type, source, out, scales, packed_row);
    }
  }

 private:
  void PackGroups(DType type, const std::byte* source, std::byte* out, uint32_t* scales, int64_t packed_row) const {
    const int groups = StepGroups(format_);
    const int64_t block_bytes = GetDTypeInfo(type).block_bytes;
    auto* halves = reinterpret_cast<uint16_t*>(scales);
    for (int64_t block = 0; block * kGroup < cols_; ++block) {
      const std::byte* from = source + block * block_bytes;
      uint16_t d;
      std::memcpy(&d, from, sizeof(d));  // every type here starts with its scale
      int8_t q[kGroup];
      Integers(type, from, q);
      const int64_t step = block / groups;
      halves[(step * padded_rows_ + packed_row) * groups + block % groups] = d;
      for (int i = 0; i < kGroup; ++i) Store(q[i], format_ == WeightFormat::kInt8 ? 128 : 8, block * kGroup + i, out);
    }
  }

  void PackKRow(DType type, const std::byte* source, std::byte* out, uint32_t* scales, int64_t packed_row) const {
    const int step_elems = StepElems(format_), group = step_elems / 4, scale_bias = IsInt4(format_) ? 0 : 128;
    for (int64_t begin = 0; begin < cols_; begin += kSuperBlock) {
      const KBlock block = ReadKBlock(type, source + begin / kSuperBlock * GetDTypeInfo(type).block_bytes);
      for (int at = 0; at < kSuperBlock; at += step_elems) {
        uint32_t* words = scales + ((begin + at) / step_elems * padded_rows_ + packed_row) * ScaleWords(format_);
        words[0] = block.d | static_cast<uint32_t>(block.dmin) << 16;
        words[1] = words[2] = 0;
        for (int g = 0; g < 4; ++g) {
          const int sixteen = (at + g * group) / 16;
          words[1] |= static_cast<uint32_t>(block.scale[sixteen] + scale_bias) << (8 * g);
          words[2] |= static_cast<uint32_t>(block.min[sixteen]) << (8 * g);
        }
      }
      for (int i = 0; i < kSuperBlock; ++i) Store(block.q[i], IsInt4(format_) ? 0 : 128, begin + i, out);
    }
  }

  // Value k of the row, plus the format's bias.
  void Store(int q, int bias, int64_t k, std::byte* out) const {
    const int step_elems = StepElems(format_), place = static_cast<int>(k % step_elems);
    std::byte* to = out + k / step_elems * StepBytes(format_);
    if (IsInt4(format_)) {
      to[Int4Byte(place)] |= static_cast<std::byte>((q + bias) << Int4Shift(place));
    } else {
      to[Int8Place(place)] = static_cast<std::byte>(q + bias);
    }
  }

  // The whole numbers that a block's scale multiplies: its values with the scale put to one.
  static void Integers(DType type, const std::byte* block, int8_t* q) {
    std::byte unit[sizeof(BlockQ8_0)];
    std::memcpy(unit, block, static_cast<size_t>(GetDTypeInfo(type).block_bytes));
    const uint16_t one = F32ToF16(1.0f);
    std::memcpy(unit, &one, sizeof(one));
    float values[kGroup];
    DequantizeRow(type, unit, values, kGroup);
    for (int i = 0; i < kGroup; ++i) q[i] = static_cast<int8_t>(std::lrintf(values[i]));
  }

  const WeightFormat format_;
  const int64_t cols_;
  const int64_t padded_rows_;
  std::vector<float> values_;
};

bool Refuse(kernels::ErrorText* error, const char* text) {
  std::snprintf(error->text, sizeof(error->text), "%s", text);
  return false;
}

bool CheckParts(const WeightRows* parts, int num_parts, bool gated, kernels::ErrorText* error) {
  if (gated && (num_parts != 2 || parts[0].rows != parts[1].rows))
    return Refuse(error, "a gated pair needs two parts of equal shape");
  for (int i = 0; i < num_parts; ++i) {
    const DTypeInfo& info = GetDTypeInfo(parts[i].dtype);
    if (parts[i].cols != parts[0].cols || parts[i].cols % info.block_elems != 0) {
      return Refuse(error, "rows of the parts differ in length or are not whole blocks");
    }
    if (parts[i].dtype == DType::kI8 || parts[i].dtype == DType::kI32 || parts[i].dtype == DType::kI64) {
      return Refuse(error, "integers are no weight type");
    }
  }
  return true;
}

// Packs every row and copies it to the device, a piece at a time; a piece is whole tiles of 16 packed rows.
bool FillWeights(ThreadPool& pool, const WeightRows* parts, PackedMatrix* matrix, kernels::ErrorText* error) {
  const int64_t row_bytes = int64_t{matrix->num_steps} * StepBytes(matrix->format);
  std::vector<uint32_t> scales(
      static_cast<size_t>(int64_t{matrix->num_steps} * ScaleWords(matrix->format) * matrix->padded_rows));
  std::vector<int64_t> source(static_cast<size_t>(matrix->padded_rows), -1);  // stored row of each packed row
  for (int64_t row = 0; row < matrix->num_rows; ++row) {
    source[static_cast<size_t>(PackedRow(row, matrix->num_rows, matrix->gated))] = row;
  }
  std::vector<std::byte> piece(static_cast<size_t>(std::min<int64_t>(kPieceRows, matrix->padded_rows) * row_bytes));
  for (int64_t begin = 0; begin < matrix->padded_rows; begin += kPieceRows) {
    const int64_t count = std::min<int64_t>(kPieceRows, matrix->padded_rows - begin);
    std::fill(piece.begin(), piece.end(), std::byte{0});
    pool.ParallelFor(count, kTileRows, [&](int64_t first, int64_t end) {
      RowPacker packer(matrix->format, matrix->num_cols, matrix->padded_rows);
      std::vector<std::byte> gathered;
      for (int64_t i = first; i < end; ++i) {
        int64_t row = source[static_cast<size_t>(begin + i)];
        if (row < 0) continue;
        const WeightRows* part = parts;
        while (row >= part->rows) row -= part++->rows;
        const int64_t stored_bytes = RowBytes(part->dtype, part->cols);
        const std::byte* from = part->data + row * stored_bytes;
        if (part->data == nullptr) {
          gathered.resize(static_cast<size_t>(stored_bytes));
          part->gather(part->context, row, 1, gathered.data());
          from = gathered.data();
        }
        packer.Pack(part->dtype, from, piece.data() + i * row_bytes, scales.data(), begin + i);
      }
    });
    gpu::Upload(matrix->weights.data() + begin * row_bytes, piece.data(), count * row_bytes);
  }
  if (!scales.empty())
    gpu::Upload(matrix->scales.data(), scales.data(), static_cast<int64_t>(scales.size() * sizeof(uint32_t)));
  return gpu::Synchronize(nullptr, error->text, sizeof(error->text));
}

bool FillBias(const float* bias, PackedMatrix* matrix) {
  std::vector<float> packed(static_cast<size_t>(matrix->padded_rows), 0.0f);
  for (int64_t row = 0; row < matrix->num_rows; ++row) {
    packed[static_cast<size_t>(PackedRow(row, matrix->num_rows, matrix->gated))] = bias[row];
  }
  Result<Buffer> buffer = Buffer::Allocate(static_cast<int64_t>(packed.size() * sizeof(float)), gpu::Memory());
  if (!buffer.ok()) return false;
  matrix->bias = std::move(*buffer);
  gpu::Upload(matrix->bias.data(), packed.data(), matrix->bias.size());
  return true;
}

}  // namespace

WeightFormat FormatFor(const WeightRows* parts, int num_parts) {
  const auto all = [&](const auto& fits) {
    return std::all_of(parts, parts + num_parts, [&](const WeightRows& part) { return fits(part.dtype); });
  };
  if (all([](DType type) { return type == DType::kQ4_0; })) return WeightFormat::kInt4;
  if (all(IsInt8)) return WeightFormat::kInt8;
  if (all([](DType type) { return type == DType::kQ4_K; })) return WeightFormat::kInt4K;
  return all(IsKBlockType) ? WeightFormat::kInt8K : WeightFormat::kBf16;
}

kernels::PackedMatrix* PackMatrix(kernels::OpContext* context, const WeightRows* parts, int num_parts,
                                  const float* bias, bool gated, kernels::ErrorText* error) {
  if (!CheckParts(parts, num_parts, gated, error)) return nullptr;
  auto matrix = std::make_unique<PackedMatrix>();
  int64_t rows = 0;
  for (int i = 0; i < num_parts; ++i) rows += parts[i].rows;
  if (rows > (1 << 26) || parts[0].cols > (1 << 24) || rows <= 0 || parts[0].cols <= 0) {
    Refuse(error, "a matrix of this size is not supported");
    return nullptr;
  }
  matrix->format = FormatFor(parts, num_parts);
  matrix->num_rows = static_cast<int>(rows);
  matrix->num_cols = static_cast<int>(parts[0].cols);
  matrix->num_outputs = static_cast<int>(gated ? rows / 2 : rows);
  matrix->gated = gated;
  matrix->padded_rows = gated ? (matrix->num_outputs + 7) / 8 * 16 : (matrix->num_rows + 15) / 16 * 16;
  matrix->num_steps = (matrix->num_cols + StepElems(matrix->format) - 1) / StepElems(matrix->format);
  matrix->num_splits = NumSplits(matrix->padded_rows, matrix->num_steps);

  const int64_t weight_bytes = int64_t{matrix->padded_rows} * matrix->num_steps * StepBytes(matrix->format);
  const int64_t scale_bytes = int64_t{matrix->padded_rows} * matrix->num_steps * ScaleWords(matrix->format) * 4;
  Result<Buffer> weights = Buffer::Allocate(weight_bytes, gpu::Memory());
  Result<Buffer> scales = Buffer::Allocate(scale_bytes, gpu::Memory());
  if (!weights.ok() || !scales.ok()) {
    Refuse(error, "the GPU's memory is full");
    return nullptr;
  }
  matrix->weights = std::move(*weights);
  matrix->scales = std::move(*scales);
  if (bias != nullptr && !FillBias(bias, matrix.get())) {
    Refuse(error, "the GPU's memory is full");
    return nullptr;
  }
  if (!FillWeights(*context->pool, parts, matrix.get(), error)) return nullptr;
  return reinterpret_cast<kernels::PackedMatrix*>(matrix.release());
}

void FreeMatrix(kernels::PackedMatrix* matrix) {
  delete reinterpret_cast<PackedMatrix*>(matrix);
}

int64_t PackedBytes(const kernels::PackedMatrix* matrix) {
  return Matrix(matrix).weights.size() + Matrix(matrix).scales.size();
}

}  // namespace millrace::cuda
