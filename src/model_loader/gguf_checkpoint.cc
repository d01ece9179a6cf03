#include <algorithm>
#include <charconv>
#include <filesystem>

#include "model_loader/file_checkpoint.h"
#include "model_loader/fused_weights.h"
#include "model_loader/gguf_config.h"
#include "model_loader/gguf_reader.h"
#include "model_loader/gguf_tokenizer.h"
#include "model_loader/gguf_weights.h"
#include "model_loader/printable.h"

namespace millrace {
namespace {

constexpr int kMaxSplits = 512;

// "model-00002-of-00005.gguf" -> ("model", 2, 5).
struct SplitName {
  std::string stem;
  int number = 0, count = 0;
  std::string File(int i) const { return fmt::format("{}-{:05d}-of-{:05d}.gguf", stem, i, count); }
};

std::optional<SplitName> ParseSplitName(const std::string& path) {
  constexpr size_t kTail = sizeof("-00001-of-00005.gguf") - 1;
  if (path.size() <= kTail) return std::nullopt;
  const std::string tail = path.substr(path.size() - kTail);
  SplitName name{path.substr(0, path.size() - kTail)};
  const auto number = std::from_chars(tail.data() + 1, tail.data() + 6, name.number);
  const auto count = std::from_chars(tail.data() + 10, tail.data() + 15, name.count);
  if (number.ptr != tail.data() + 6 || count.ptr != tail.data() + 15 || name.File(name.number) != path)
    return std::nullopt;
  return name;
}

class GgufCheckpoint final : public FileCheckpoint {
 public:
  Status Open(const std::string& path);
  Result<std::unique_ptr<Tokenizer>> MakeTokenizer() const override;

 private:
  Status OpenSplits(const std::string& path);
  Status ReadInfo(const std::string& path);

  std::vector<GgufHeader> headers_;  // one for each of files_; metadata is in the first
};

// Maps and parses all files of the model. A split's parts are found by their names and must agree on their count.
Status GgufCheckpoint::OpenSplits(const std::string& path) {
  ASSIGN_OR_RETURN(MappedFile first, MappedFile::Open(path));
  ASSIGN_OR_RETURN(GgufHeader header, GgufHeader::Parse(first.bytes(), path));
  FieldReader fields(header, path, "split.");
  const int64_t count = fields.Int("count", 1, 0, kMaxSplits), number = fields.Int("no", 0, 0, kMaxSplits);
  const int64_t expected_tensors =
      fields.Int("tensors.count", 0, 0, static_cast<int64_t>(kMaxGgufTensors) * kMaxSplits);
  RETURN_IF_ERROR(fields.status());
  files_.push_back(std::move(first));
  headers_.push_back(std::move(header));
  if (count <= 1) return OkStatus();
  if (number != 0) return InvalidArgument("{} is part {} of a split model, expected the first part", path, number + 1);
  const std::optional<SplitName> name = ParseSplitName(path);
  if (!name || name->count != count || name->number != 1) {
    return InvalidArgument("{} is the first of {} files, expected a name that ends in -00001-of-{:05d}.gguf", path,
                           count, count);
  }
  size_t num_tensors = headers_[0].tensors().size();
  for (int i = 2; i <= count; ++i) {
    const std::string part_path = name->File(i);
    ASSIGN_OR_RETURN(MappedFile part, MappedFile::Open(part_path));
    ASSIGN_OR_RETURN(GgufHeader part_header, GgufHeader::Parse(part.bytes(), part_path));
    FieldReader part_fields(part_header, part_path, "split.");
    if (part_fields.Int("no", 0, 0, kMaxSplits) != i - 1)
      part_fields.Fail("no", fmt::format("does not say that this is part {}", i));
    if (part_fields.Int("count", 0, 0, kMaxSplits) != count) part_fields.Fail("count", fmt::format("is not {}", count));
    RETURN_IF_ERROR(part_fields.status());
    num_tensors += part_header.tensors().size();
    files_.push_back(std::move(part));
    headers_.push_back(std::move(part_header));
  }
  if (expected_tensors != 0 && num_tensors != static_cast<size_t>(expected_tensors)) {
    return DataLoss("{}: the {} files hold {} tensors, expected {}", path, count, num_tensors, expected_tensors);
  }
  return OkStatus();
}

Status GgufCheckpoint::ReadInfo(const std::string& path) {
  info_.format = "gguf";
  info_.path = path;
  const std::string stem = std::filesystem::path(path).stem().string();
  info_.name = WithoutControls(headers_[0].FindString("general.name").value_or(stem));
  for (size_t i = 0; i < files_.size(); ++i) {
    info_.file_bytes += static_cast<int64_t>(files_[i].bytes().size());
    for (const GgufTensor& tensor : headers_[i].tensors())
      Count(tensor.dtype, tensor.elements(), static_cast<int64_t>(tensor.bytes));
  }
  chat_template_ = std::string(headers_[0].FindString("tokenizer.chat_template").value_or(""));
  ASSIGN_OR_RETURN(defaults_, ReadGgufGenerationDefaults(headers_[0], path));
  return OkStatus();
}

Status GgufCheckpoint::Open(const std::string& path) {
  RETURN_IF_ERROR(OpenSplits(path));
  RETURN_IF_ERROR(ReadInfo(path));
  ASSIGN_OR_RETURN(config_, ReadGgufConfig(headers_[0], files_[0].bytes(), path));
  for (size_t i = 0; i < files_.size(); ++i) {
    RETURN_IF_ERROR(AddGgufWeights(headers_[i], files_[i].bytes(), files_[i].path(), config_, table_));
  }
  return AddFusedViews(config_, table_).WithPrefix(path);
}

Result<std::unique_ptr<Tokenizer>> GgufCheckpoint::MakeTokenizer() const {
  ASSIGN_OR_RETURN(const GgufVocab vocab, ReadGgufVocab(headers_[0], info_.path));
  Result<std::unique_ptr<Tokenizer>> tokenizer = millrace::MakeTokenizer(vocab);
  if (!tokenizer.ok()) return tokenizer.status().WithPrefix(info_.path);
  return tokenizer;
}

}  // namespace

Result<std::unique_ptr<Checkpoint>> OpenGgufCheckpoint(const std::string& path) {
  auto checkpoint = std::make_unique<GgufCheckpoint>();
  RETURN_IF_ERROR(checkpoint->Open(path));
  return std::unique_ptr<Checkpoint>(std::move(checkpoint));
}

}  // namespace millrace
