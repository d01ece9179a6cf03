// Files: read-only mappings and whole-file reads with a bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"

namespace millrace {

// A read-only, private mapping of a whole file, unmapped on destruction. An empty file maps to an empty span.
class MappedFile {
 public:
  // kNotFound when it can't be opened, kInvalidArgument when it is not a regular file.
  static Result<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // Tells the kernel that [offset, offset + size) is no longer needed, so that packed weights don't count twice.
  void Release(size_t offset, size_t size) const;

 private:
  MappedFile(std::string path, const std::byte* data, size_t size) : path_(std::move(path)), data_(data), size_(size) {}
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// The whole file as a string; kOutOfRange when it is larger than max_bytes.
Result<std::string> ReadFile(const std::string& path, size_t max_bytes);

// Writes to a temporary sibling and renames it, so that a reader never sees half a file.
Status WriteFileAtomic(const std::string& path, std::string_view contents);

}  // namespace millrace
