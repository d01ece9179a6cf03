// Weights that a file does not store as contiguous rows of their type, and how their rows are gathered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/dtype.h"
#include "base/status.h"
#include "model_loader/weight_table.h"

namespace millrace {

// Element (r, c) of a plain type is at bytes + (r * row_stride + c * col_stride) * element size; the last one lies
// inside bytes.
struct StridedSource {
  std::span<const std::byte> bytes;
  DType dtype;
  int64_t rows, cols;
  int64_t row_stride, col_stride;  // in elements
};

// A view when rows are contiguous and aligned to the element, else gathered.
WeightTensor StridedWeight(const StridedSource& source, std::string name);
Status AddStrided(const StridedSource& source, std::string name, WeightTable& table);

// FP8 values of [rows, cols] with one scale for every scale_rows x scale_cols block, scales row-major: w = value *
// scale, gathered as BF16, which is what the files were made from.
struct Fp8Source {
  std::span<const std::byte> values;
  std::span<const std::byte> scales;
  DType scale_type;
  int64_t rows, cols;
  int64_t scale_rows, scale_cols;
};
Status AddFp8Weight(const Fp8Source& source, std::string name, WeightTable& table);

// MXFP4 with codes and scales apart (GPT-OSS): row r of the weight is stored row first + step * r; 16 bytes hold 32
// values, value 2 i in the low nibble of byte i. Gathered as blocks of GGUF's MXFP4.
struct MxSource {
  std::span<const std::byte> codes;   // [stored rows, cols / 32, 16]
  std::span<const std::byte> scales;  // [stored rows, cols / 32]
  int64_t rows, cols;
  int64_t first, step;
};
Status AddMxWeight(const MxSource& source, std::string name, WeightTable& table);

}  // namespace millrace
