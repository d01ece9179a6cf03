#include "model_loader/gguf_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/check.h"
#include "base/checked_math.h"
#include "model_loader/gguf_reader.h"

namespace millrace {
namespace {

constexpr uint64_t kAlignment = 32;

template <typename T>
void Append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendString(std::string& out, std::string_view text) {
  Append<uint64_t>(out, text.size());
  out.append(text);
}

Status WriteAll(int fd, uint64_t offset, const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t written = ::pwrite(fd, bytes, size, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Unavailable("cannot write the model file: {}", std::strerror(errno));
    bytes += written;
    offset += static_cast<uint64_t>(written);
    size -= static_cast<size_t>(written);
  }
  return OkStatus();
}

}  // namespace

void GgufWriter::Key(std::string_view key, uint32_t type) {
  CHECK(fd_ < 0, "{} is set after Begin", key);
  AppendString(metadata_, key);
  Append<uint32_t>(metadata_, type);
  ++num_values_;
}

void GgufWriter::ArrayKey(std::string_view key, uint32_t type, size_t count) {
  Key(key, static_cast<uint32_t>(GgufType::kArray));
  Append<uint32_t>(metadata_, type);
  Append<uint64_t>(metadata_, count);
}

void GgufWriter::SetUint32(std::string_view key, uint32_t value) {
  Key(key, static_cast<uint32_t>(GgufType::kUint32));
  Append(metadata_, value);
}

void GgufWriter::SetFloat(std::string_view key, float value) {
  Key(key, static_cast<uint32_t>(GgufType::kFloat32));
  Append(metadata_, value);
}

void GgufWriter::SetBool(std::string_view key, bool value) {
  Key(key, static_cast<uint32_t>(GgufType::kBool));
  Append<uint8_t>(metadata_, value ? 1 : 0);
}

void GgufWriter::SetString(std::string_view key, std::string_view value) {
  Key(key, static_cast<uint32_t>(GgufType::kString));
  AppendString(metadata_, value);
}

void GgufWriter::SetStrings(std::string_view key, const std::vector<std::string>& values) {
  ArrayKey(key, static_cast<uint32_t>(GgufType::kString), values.size());
  for (const std::string& value : values) AppendString(metadata_, value);
}

void GgufWriter::SetInt32s(std::string_view key, const std::vector<int32_t>& values) {
  ArrayKey(key, static_cast<uint32_t>(GgufType::kInt32), values.size());
  for (const int32_t value : values) Append(metadata_, value);
}

void GgufWriter::SetFloats(std::string_view key, const std::vector<float>& values) {
  ArrayKey(key, static_cast<uint32_t>(GgufType::kFloat32), values.size());
  for (const float value : values) Append(metadata_, value);
}

void GgufWriter::SetBools(std::string_view key, const std::vector<bool>& values) {
  ArrayKey(key, static_cast<uint32_t>(GgufType::kBool), values.size());
  for (const bool value : values) Append<uint8_t>(metadata_, value ? 1 : 0);
}

size_t GgufWriter::AddTensor(std::string_view name, DType dtype, const std::vector<int64_t>& dims) {
  CHECK(fd_ < 0 && !dims.empty() && dims.size() <= 4, "tensor {} has {} dimensions", name, dims.size());
  CHECK(GgufTypeId(dtype).has_value(), "GGUF has no type {}", DTypeName(dtype));
  int64_t rows = 1;
  for (size_t d = 1; d < dims.size(); ++d) rows *= dims[d];
  const uint64_t bytes = static_cast<uint64_t>(rows * RowBytes(dtype, dims[0]));
  tensors_.push_back({std::string(name), dtype, dims, bytes, data_bytes_});
  data_bytes_ = RoundUp(data_bytes_ + bytes, kAlignment);
  return tensors_.size() - 1;
}

Status GgufWriter::Begin(int fd) {
  std::string header = "GGUF";
  Append<uint32_t>(header, 3);
  Append<uint64_t>(header, tensors_.size());
  Append<uint64_t>(header, num_values_);
  header += metadata_;
  for (const Tensor& tensor : tensors_) {
    AppendString(header, tensor.name);
    Append<uint32_t>(header, static_cast<uint32_t>(tensor.dims.size()));
    for (const int64_t size : tensor.dims) Append(header, size);
    Append(header, *GgufTypeId(tensor.dtype));
    Append(header, tensor.offset);
  }
  data_begin_ = RoundUp<uint64_t>(header.size(), kAlignment);
  fd_ = fd;
  RETURN_IF_ERROR(WriteAll(fd, 0, header.data(), header.size()));
  if (::ftruncate(fd, static_cast<off_t>(data_begin_ + data_bytes_)) != 0) {
    return Unavailable("cannot make the model file {} bytes long: {}", data_begin_ + data_bytes_, std::strerror(errno));
  }
  return OkStatus();
}

Status GgufWriter::Write(size_t index, uint64_t offset, std::span<const std::byte> bytes) const {
  CHECK(fd_ >= 0 && index < tensors_.size() && RangeFits<uint64_t>(offset, bytes.size(), tensors_[index].bytes));
  const uint64_t position = data_begin_ + tensors_[index].offset + offset;
  return WriteAll(fd_, position, reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Status WriteGgufFile(const std::string& path, GgufWriter& writer,
                     const std::function<Status(const GgufWriter&)>& fill) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, ::getpid());
  const int fd = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return Unavailable("cannot create {}: {}", temporary, std::strerror(errno));
  Status status = writer.Begin(fd);
  if (status.ok()) status = fill(writer);
  if (::close(fd) != 0 && status.ok()) status = Unavailable("cannot write {}: {}", temporary, std::strerror(errno));
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = Unavailable("cannot rename {} to {}: {}", temporary, path, std::strerror(errno));
  }
  if (!status.ok()) std::remove(temporary.c_str());
  return status;
}

}  // namespace millrace
