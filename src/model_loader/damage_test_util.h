// For tests and fuzz targets: everything that opening a model does, over bytes in memory, and builders of small and of
// hostile files.
#pragma once

#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model_loader/fused_weights.h"
#include "model_loader/gguf_config.h"
#include "model_loader/gguf_reader.h"
#include "model_loader/gguf_tokenizer.h"
#include "model_loader/gguf_weights.h"
#include "model_loader/hf_config.h"
#include "model_loader/hf_names.h"
#include "model_loader/hf_weights.h"
#include "model_loader/safetensors_reader.h"
#include "model_loader/weight_table.h"

namespace millrace {

// The most memory that the process has had so far.
inline int64_t PeakBytes() {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}
inline constexpr int64_t kMaxExtraBytes = 64 << 20;

inline std::span<const std::byte> AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// Reads one row of every listed weight, which touches the ends of its memory.
inline void TouchWeights(const WeightTable& table) {
  for (const WeightTensor* tensor : table.Listed()) {
    std::vector<std::byte> row(static_cast<size_t>(tensor->row_bytes()));
    for (const int64_t r : {int64_t{0}, tensor->rows - 1}) {
      if (tensor->data != nullptr) {
        std::memcpy(row.data(), tensor->data + r * tensor->row_bytes(), row.size());
      } else {
        tensor->gather(r, 1, row.data());
      }
    }
  }
}

inline Status ReadWholeGguf(std::string_view file, const std::string& name) {
  ASSIGN_OR_RETURN(const GgufHeader header, GgufHeader::Parse(AsBytes(file), name));
  ASSIGN_OR_RETURN(const ModelConfig config, ReadGgufConfig(header, AsBytes(file), name));
  RETURN_IF_ERROR(ReadGgufGenerationDefaults(header, name).status());
  WeightTable table;
  RETURN_IF_ERROR(AddGgufWeights(header, AsBytes(file), name, config, table));
  RETURN_IF_ERROR(AddFusedViews(config, table).WithPrefix(name));
  TouchWeights(table);
  return ReadGgufVocab(header, name).status();
}

inline Status ReadWholeSafetensors(std::string_view file, const ModelConfig& config, const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<SafeTensor> stored, ParseSafetensors(AsBytes(file), name));
  std::vector<HfTensor> tensors;
  for (const SafeTensor& tensor : stored) {
    std::optional<std::string> canonical = CanonicalHfName(tensor.name, config);
    if (canonical)
      tensors.push_back({std::move(*canonical), &tensor, AsBytes(file).subspan(tensor.offset, tensor.bytes)});
  }
  WeightTable table;
  RETURN_IF_ERROR(AddHfWeights(tensors, config, table).WithPrefix(name));
  RETURN_IF_ERROR(AddFusedViews(config, table).WithPrefix(name));
  TouchWeights(table);
  return OkStatus();
}

// Appends the fields of a GGUF header one by one, honest or not.
class GgufBytes {
 public:
  template <typename T>
  GgufBytes& Put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  GgufBytes& Text(std::string_view text) {
    Put<uint64_t>(text.size());
    bytes_.append(text);
    return *this;
  }
  GgufBytes& Start(uint64_t tensors, uint64_t values, uint32_t version = 3) {
    bytes_ = "GGUF";
    return Put(version).Put(tensors).Put(values);
  }
  GgufBytes& Uint32(std::string_view key, uint32_t value) { return Text(key).Put(GgufType::kUint32).Put(value); }
  GgufBytes& String(std::string_view key, std::string_view value) {
    return Text(key).Put(GgufType::kString).Text(value);
  }
  GgufBytes& Tensor(std::string_view name, const std::vector<int64_t>& dims, uint32_t type, uint64_t offset) {
    Text(name).Put(static_cast<uint32_t>(dims.size()));
    for (const int64_t size : dims) Put(size);
    return Put(type).Put(offset);
  }
  // The header padded to the data section, and `size` bytes of data.
  std::string WithData(size_t size) const {
    std::string out = bytes_;
    out.resize((out.size() + 31) / 32 * 32 + size);
    return out;
  }
  size_t size() const { return bytes_.size(); }

 private:
  std::string bytes_;
};

// A valid Llama of one layer; *header_bytes is where its data section's padding starts. part 0 and 1 give the two files
// of the same model split after its fifth tensor.
inline std::string SmallGguf(size_t* header_bytes = nullptr, int part = -1) {
  GgufBytes g;
  const bool split = part >= 0;
  constexpr uint64_t kFirst = 5, kAll = 11;
  g.Start(!split ? kAll : part == 0 ? kFirst : kAll - kFirst, split ? (part == 0 ? 15 : 3) : 12);
  if (split) {
    g.Text("split.no").Put(GgufType::kUint16).Put(static_cast<uint16_t>(part));
    g.Text("split.count").Put(GgufType::kUint16).Put<uint16_t>(2);
    g.Text("split.tensors.count").Put(GgufType::kInt32).Put(static_cast<int32_t>(kAll));
  }
  if (part <= 0) {
    g.String("general.architecture", "llama").String("general.name", "small").Uint32("general.alignment", 32);
    g.Uint32("llama.context_length", 64).Uint32("llama.embedding_length", 32).Uint32("llama.block_count", 1);
    g.Uint32("llama.feed_forward_length", 32)
        .Uint32("llama.attention.head_count", 2)
        .Uint32("llama.attention.head_count_kv", 1);
    g.Text("llama.attention.layer_norm_rms_epsilon").Put(GgufType::kFloat32).Put(1e-5f);
    g.Text("tokenizer.ggml.tokens").Put(GgufType::kArray).Put(GgufType::kString).Put<uint64_t>(4);
    for (const char* token : {"<s>", "</s>", "a", "b"}) g.Text(token);
    g.Text("tokenizer.ggml.scores").Put(GgufType::kArray).Put(GgufType::kFloat32).Put<uint64_t>(4);
    for (int i = 0; i < 4; ++i) g.Put(-1.0f * static_cast<float>(i));
  }
  constexpr uint32_t kF32 = 0, kQ8_0 = 8;
  uint64_t offset = 0, index = 0;
  const auto tensor = [&](const char* name, std::vector<int64_t> dims) {
    const bool here = !split || (index++ < kFirst) == (part == 0);
    if (!here) return;
    const bool matrix = dims.size() > 1;
    const uint64_t bytes = matrix ? static_cast<uint64_t>(dims[1]) * 34 : 128;
    g.Tensor(name, dims, matrix ? kQ8_0 : kF32, offset);
    offset += (bytes + 31) / 32 * 32;
  };
  tensor("token_embd.weight", {32, 4});
  tensor("blk.0.attn_norm.weight", {32});
  tensor("blk.0.attn_q.weight", {32, 32});
  tensor("blk.0.attn_k.weight", {32, 16});
  tensor("blk.0.attn_v.weight", {32, 16});
  tensor("blk.0.attn_output.weight", {32, 32});
  tensor("blk.0.ffn_norm.weight", {32});
  tensor("blk.0.ffn_gate.weight", {32, 32});
  tensor("blk.0.ffn_up.weight", {32, 32});
  tensor("blk.0.ffn_down.weight", {32, 32});
  tensor("output_norm.weight", {32});
  if (header_bytes != nullptr) *header_bytes = g.size();
  return g.WithData(offset);
}

inline std::string SafetensorsBytes(std::string_view json, size_t data_bytes) {
  const uint64_t length = json.size();
  std::string out(reinterpret_cast<const char*>(&length), sizeof(length));
  out += json;
  out.resize(out.size() + data_bytes);
  return out;
}

}  // namespace millrace
