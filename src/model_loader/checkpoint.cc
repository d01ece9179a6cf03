#include "model_loader/checkpoint.h"

#include <filesystem>
#include <system_error>

#include "model_loader/file_checkpoint.h"

namespace millrace {

Result<const WeightTensor*> Checkpoint::Require(std::string_view name, int64_t rows, int64_t cols) const {
  const WeightTensor* tensor = Find(name);
  if (tensor == nullptr) return InvalidArgument("{}: tensor {} is missing", info().path, name);
  if (tensor->rows != rows || tensor->cols != cols) {
    return InvalidArgument("{}: tensor {} is {} x {}, expected {} x {}", info().path, name, tensor->rows, tensor->cols,
                           rows, cols);
  }
  return tensor;
}

void FileCheckpoint::Release(const WeightTensor& tensor) const {
  for (const std::span<const std::byte>& range : table_.Sources(tensor)) {
    for (const MappedFile& file : files_) {
      const std::span<const std::byte> bytes = file.bytes();
      if (range.data() >= bytes.data() && range.data() < bytes.data() + bytes.size()) {
        file.Release(static_cast<size_t>(range.data() - bytes.data()), range.size());
      }
    }
  }
}

void FileCheckpoint::Count(DType type, int64_t elements, int64_t bytes) {
  info_.num_parameters += elements;
  info_.bytes_by_type[DTypeName(type)] += bytes;
}

Result<std::unique_ptr<Checkpoint>> OpenCheckpoint(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (error || !std::filesystem::exists(status)) return NotFound("{}: there is no such file or folder", path);
  if (std::filesystem::is_directory(status)) return OpenSafetensorsCheckpoint(path);
  if (std::filesystem::is_regular_file(status)) return OpenGgufCheckpoint(path);
  return InvalidArgument("{} is neither a file nor a folder", path);
}

}  // namespace millrace
