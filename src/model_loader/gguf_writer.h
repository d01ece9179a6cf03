// GgufWriter: writes a GGUF (version 3) file whose tensors can be filled in any order and from several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"

namespace millrace {

// Use: Set* and AddTensor in the order that the file should have, Begin once, then Write until every byte of every
// tensor is there (what is never written reads as zero).
class GgufWriter {
 public:
  void SetUint32(std::string_view key, uint32_t value);
  void SetFloat(std::string_view key, float value);
  void SetBool(std::string_view key, bool value);
  void SetString(std::string_view key, std::string_view value);
  void SetStrings(std::string_view key, const std::vector<std::string>& values);
  void SetInt32s(std::string_view key, const std::vector<int32_t>& values);
  void SetFloats(std::string_view key, const std::vector<float>& values);
  void SetBools(std::string_view key, const std::vector<bool>& values);

  // dims[0] is contiguous and a multiple of the type's block; 1 to 4 dimensions. Returns the tensor's index. The type
  // must be one that GGUF has.
  size_t AddTensor(std::string_view name, DType dtype, const std::vector<int64_t>& dims);

  size_t num_tensors() const { return tensors_.size(); }
  uint64_t tensor_bytes(size_t index) const { return tensors_[index].bytes; }

  // Writes the header to the start of an open file and sets the file's length. The descriptor stays the caller's and
  // must outlive the Writes.
  Status Begin(int fd);
  // Puts bytes at an offset inside a tensor. Thread-safe after Begin.
  Status Write(size_t index, uint64_t offset, std::span<const std::byte> bytes) const;

 private:
  struct Tensor {
    std::string name;
    DType dtype;
    std::vector<int64_t> dims;
    uint64_t bytes;
    uint64_t offset;  // in the data section
  };
  void Key(std::string_view key, uint32_t type);
  void ArrayKey(std::string_view key, uint32_t type, size_t count);

  std::string metadata_;
  uint64_t num_values_ = 0;
  std::vector<Tensor> tensors_;
  uint64_t data_bytes_ = 0;
  uint64_t data_begin_ = 0;
  int fd_ = -1;
};

// Creates `path` whole or not at all: `fill` runs on a temporary sibling, which is renamed when it succeeds.
Status WriteGgufFile(const std::string& path, GgufWriter& writer, const std::function<Status(const GgufWriter&)>& fill);

}  // namespace millrace
