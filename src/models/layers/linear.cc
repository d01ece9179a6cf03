#include "models/layers/linear.h"

#include <algorithm>
#include <cstring>

#include "base/dequantize.h"
#include "base/half.h"

namespace millrace {

kernels::WeightRows RowsOf(const WeightTensor& tensor) {
  kernels::WeightRows rows;
  rows.dtype = tensor.dtype;
  rows.rows = tensor.rows;
  rows.cols = tensor.cols;
  rows.data = tensor.data;
  if (tensor.data == nullptr) {
    rows.gather = [](const void* context, int64_t first, int64_t count, std::byte* dst) {
      static_cast<const WeightTensor*>(context)->gather(first, count, dst);
    };
    rows.context = &tensor;
  }
  return rows;
}

Result<Linear> WeightLoader::LoadLinear(const std::vector<Part>& parts, int64_t cols, bool gated) {
  std::vector<kernels::WeightRows> rows;
  std::vector<const WeightTensor*> tensors;
  std::vector<float> bias;
  int64_t total = 0;
  for (const Part& part : parts) {
    ASSIGN_OR_RETURN(const WeightTensor* tensor, checkpoint_.Require(part.name + ".weight", part.rows, cols));
    tensors.push_back(tensor);
    rows.push_back(RowsOf(*tensor));
    if (Has(part.name + ".bias")) {
      ASSIGN_OR_RETURN(const std::vector<float> values, LoadVector(part.name + ".bias", part.rows));
      bias.resize(static_cast<size_t>(total), 0.0f);
      bias.insert(bias.end(), values.begin(), values.end());
    }
    total += part.rows;
  }
  if (!bias.empty()) bias.resize(static_cast<size_t>(total), 0.0f);
  ASSIGN_OR_RETURN(Linear linear, PackRows(rows, cols, bias, parts[0].name, gated));
  for (const WeightTensor* tensor : tensors) checkpoint_.Release(*tensor);
  return linear;
}

Result<Linear> WeightLoader::PackRows(const std::vector<kernels::WeightRows>& parts, int64_t cols,
                                      const std::vector<float>& bias, const std::string& name, bool gated) {
  Linear linear;
  linear.in_features_ = cols;
  for (const kernels::WeightRows& part : parts) linear.out_features_ += part.rows;
  kernels::ErrorText error;
  linear.matrix_ = {ops_.pack_matrix(&context_, parts.data(), static_cast<int>(parts.size()),
                                     bias.empty() ? nullptr : bias.data(), gated, &error),
                    ops_.free_matrix};
  if (linear.matrix_ == nullptr) return Unsupported("{}: {}", name, error.text);
  linear.bytes_ = ops_.packed_bytes(linear.matrix_.get());
  return linear;
}

Result<std::vector<float>> WeightLoader::LoadVector(const std::string& name, int64_t size) {
  const WeightTensor* tensor = checkpoint_.Find(name);
  if (tensor == nullptr) return InvalidArgument("tensor {} is missing", name);
  if (tensor->rows * tensor->cols != size) {
    return InvalidArgument("tensor {} has {} values, expected {}", name, tensor->rows * tensor->cols, size);
  }
  std::vector<float> values(static_cast<size_t>(size));
  std::vector<std::byte> row(static_cast<size_t>(tensor->row_bytes()));
  for (int64_t r = 0; r < tensor->rows; ++r) {
    const std::byte* source = tensor->data != nullptr ? tensor->data + r * tensor->row_bytes() : row.data();
    if (tensor->data == nullptr) tensor->gather(r, 1, row.data());
    DequantizeRow(tensor->dtype, source, values.data() + r * tensor->cols, tensor->cols);
  }
  return values;
}

Result<Buffer> WeightLoader::ToDevice(const std::vector<float>& values) {
  const int64_t bytes = static_cast<int64_t>(values.size() * sizeof(float));
  ASSIGN_OR_RETURN(Buffer buffer, Buffer::Allocate(bytes, ops_.memory));
  if (ops_.memory != nullptr) {
    ops_.memory->copy(context_.stream, buffer.data(), values.data(), bytes);
  } else {
    std::memcpy(buffer.data(), values.data(), static_cast<size_t>(bytes));
  }
  return buffer;
}

Result<kernels::WeightRows> WeightLoader::LoadTable(const WeightTensor& tensor, Buffer* storage) {
  kernels::WeightRows rows = RowsOf(tensor);
  if (ops_.memory == nullptr) return rows;
  const bool plain = tensor.dtype == DType::kF32 || tensor.dtype == DType::kF16 || tensor.dtype == DType::kBF16;
  const DType type = plain ? tensor.dtype : DType::kF16;  // quantised values need no more than f16 has
  const int64_t row_bytes = RowBytes(type, tensor.cols);
  ASSIGN_OR_RETURN(*storage, Buffer::Allocate(tensor.rows * row_bytes, ops_.memory));
  constexpr int64_t kPieceRows = 1024;
  std::vector<std::byte> piece(static_cast<size_t>(std::min(kPieceRows, tensor.rows) * row_bytes)), stored;
  std::vector<float> values(static_cast<size_t>(tensor.cols));
  stored.resize(static_cast<size_t>(tensor.row_bytes()));
  for (int64_t begin = 0; begin < tensor.rows; begin += kPieceRows) {
    const int64_t count = std::min(kPieceRows, tensor.rows - begin);
    for (int64_t i = 0; i < count; ++i) {
      if (tensor.data == nullptr) tensor.gather(begin + i, 1, stored.data());
      const std::byte* source = tensor.data != nullptr ? tensor.data + (begin + i) * tensor.row_bytes() : stored.data();
      std::byte* to = piece.data() + i * row_bytes;
      if (plain) {
        std::memcpy(to, source, static_cast<size_t>(row_bytes));
        continue;
      }
      DequantizeRow(tensor.dtype, source, values.data(), tensor.cols);
      for (int64_t k = 0; k < tensor.cols; ++k)
        reinterpret_cast<uint16_t*>(to)[k] = F32ToF16(values[static_cast<size_t>(k)]);
    }
    ops_.memory->copy(context_.stream, storage->data() + begin * row_bytes, piece.data(), count * row_bytes);
  }
  rows.dtype = type;
  rows.data = storage->data();
  rows.gather = nullptr;
  return rows;
}

Result<NormLayer> WeightLoader::LoadNorm(const std::string& name, int64_t size, kernels::NormKind kind,
                                         bool add_offset) {
  NormLayer norm;
  norm.kind_ = kind;
  norm.eps_ = config().rms_norm_eps;
  const auto copy = [&](const std::string& tensor, float offset, Buffer* out) -> Status {
    ASSIGN_OR_RETURN(std::vector<float> values, LoadVector(tensor, size));
    for (float& value : values) value += offset;
    ASSIGN_OR_RETURN(*out, ToDevice(values));
    return OkStatus();
  };
  RETURN_IF_ERROR(copy(name + ".weight", add_offset ? config().norm_weight_offset : 0.0f, &norm.weight_));
  if (Has(name + ".bias")) RETURN_IF_ERROR(copy(name + ".bias", 0.0f, &norm.bias_));
  return norm;
}

}  // namespace millrace
