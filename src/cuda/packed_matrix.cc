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

  // out [num_steps * StepBytes]; scales of the whole matrix, this row being `packed_row`.
  void Pack(DType type, const std::byte* source, std::byte* out, uint16_t* scales, int64_t packed_row) {
    if (type == DType::kBF16) {
      std::memcpy(out, source, static_cast<size_t>(cols_) * 2);
      return;
    }
    if (format_ == WeightFormat::kBf16) {
      DequantizeRow(type, source, values_.data(), cols_);
      auto* to = reinterpret_cast<uint16_t*>(out);
      for (int64_t k = 0; k < cols_; ++k) to[k] = F32ToBf16(values_[static_cast<size_t>(k)]);
      return;
    }
    const int step_elems = StepElems(format_), groups = StepGroups(format_);
    const int64_t block_bytes = GetDTypeInfo(type).block_bytes;
    for (int64_t block = 0; block * kGroup < cols_; ++block) {
      const std::byte* from = source + block * block_bytes;
      uint16_t d;
      std::memcpy(&d, from, sizeof(d));  // every type here starts with its scale
      int8_t q[kGroup];
      Integers(type, from, q);
      const int64_t step = block / groups;
      scales[(step * padded_rows_ + packed_row) * groups + block % groups] = d;
      std::byte* to = out + step * StepBytes(format_);
      for (int i = 0; i < kGroup; ++i) {
        const int k = static_cast<int>(block * kGroup + i) % step_elems;
        if (format_ == WeightFormat::kInt8) {
          to[Int8Place(k)] = static_cast<std::byte>(q[i] + 128);
        } else {
          to[Int4Byte(k)] |= static_cast<std::byte>((q[i] + 8) << Int4Shift(k));
        }
      }
    }
  }

 private:
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
  if (gated && (num_parts != 2 || parts[0].rows != parts[1].rows)) return Refuse(error, "a gated pair needs two parts of equal shape");
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
  const int64_t groups = StepGroups(matrix->format);
  std::vector<uint16_t> scales;
  if (matrix->format != WeightFormat::kBf16) scales.resize(static_cast<size_t>(matrix->num_steps * groups * matrix->padded_rows));
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
  if (!scales.empty()) gpu::Upload(matrix->scales.data(), scales.data(), static_cast<int64_t>(scales.size() * sizeof(uint16_t)));
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
  bool int4 = true, int8 = true;
  for (int i = 0; i < num_parts; ++i) {
    int4 = int4 && parts[i].dtype == DType::kQ4_0;
    int8 = int8 && IsInt8(parts[i].dtype);
  }
  return int4 ? WeightFormat::kInt4 : int8 ? WeightFormat::kInt8 : WeightFormat::kBf16;
}

kernels::PackedMatrix* PackMatrix(kernels::OpContext* context, const WeightRows* parts, int num_parts, const float* bias, bool gated,
                                  kernels::ErrorText* error) {
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
  const int64_t scale_bytes = matrix->format == WeightFormat::kBf16
                                  ? 0
                                  : int64_t{matrix->padded_rows} * matrix->num_steps * StepGroups(matrix->format) * 2;
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

void FreeMatrix(kernels::PackedMatrix* matrix) { delete reinterpret_cast<PackedMatrix*>(matrix); }

int64_t PackedBytes(const kernels::PackedMatrix* matrix) { return Matrix(matrix).weights.size() + Matrix(matrix).scales.size(); }

}  // namespace millrace::cuda
