// Checkpoint: an opened model file or folder as a config, tokenizer data and named tensors over mmap. GGUF and
// safetensors look the same from here: tensors carry canonical names (Hugging Face's Llama naming), so that model code
// has no format cases.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "core/model_config.h"
#include "tokenizer/tokenizer.h"

namespace millrace {

// One weight matrix or vector, [rows, cols] row-major (a vector has rows == 1), in its stored type.
//
// Canonical names, the same for every format:
//   model.embed_tokens.weight, model.norm.weight, lm_head.weight (absent when tied), model.embed_positions.weight
//   (GPT-2) model.layers.N.
//     input_layernorm.weight, post_attention_layernorm.weight (.bias too for GPT-2)
//     pre_feedforward_layernorm.weight, post_feedforward_layernorm.weight   Gemma: both, OLMo 2: post only
//     self_attn.{q,k,v,o}_proj.{weight,bias}, self_attn.{q,k}_norm.weight, self_attn.sinks (GPT-OSS, [1, heads])
//     mlp.{gate,up,down}_proj.{weight,bias}
//     mlp.gate.{weight,bias}                                                the router, whatever the file calls it
//     mlp.experts.E.{gate,up,down}_proj.{weight,bias}                       one by one, whatever the file's stacking
//     mlp.shared_expert.{gate,up,down}_proj.weight, mlp.shared_expert_gate.weight
//     linear_attn.{in_proj_qkvz,in_proj_ba,conv1d,norm,out_proj}.weight, linear_attn.A_log, linear_attn.dt_bias
// conv1d is [channels, kernel]. linear_attn.norm has no norm_weight_offset. q_proj of Qwen3-Next holds [query, gate]
// for every head. Conv1D weights of GPT-2 are transposed to [out, in]. Fused tensors are offered whole and as views:
// self_attn.qkv_proj, mlp.gate_up_proj; linear_attn.in_proj_qkvz (rows grouped by key head, as in Hugging Face files)
// and linear_attn.{in_proj_qkv, in_proj_z} (rows in order q, k, v and z) each give the other, in_proj_qkvz only when
// both parts have one type; linear_attn.in_proj_ba gives {in_proj_b, in_proj_a}.
struct WeightTensor {
  std::string name;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  // The rows as stored, contiguous (RowBytes(dtype, cols) apart), or null when they must be gathered.
  const std::byte* data = nullptr;
  // Writes rows [first, first + count) contiguously to dst; set when data is null (transposed Conv1D, MXFP4 with scales
  // apart, FP8 with block scales, interleaved gate/up). Thread-safe.
  std::function<void(int64_t first, int64_t count, std::byte* dst)> gather;

  int64_t row_bytes() const { return RowBytes(dtype, cols); }
  int64_t bytes() const { return rows * row_bytes(); }
};

// Generation defaults of the checkpoint (generation_config.json, or GGUF's general.sampling.*); absent means the model
// says nothing.
struct GenerationDefaults {
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<int> top_k;
};

struct CheckpointInfo {
  std::string format;  // "gguf", "safetensors"
  std::string name;    // general.name, or the folder's name
  std::string path;
  int64_t file_bytes = 0;  // all files
  int64_t num_parameters = 0;
  std::map<std::string, int64_t> bytes_by_type;  // "Q4_0" -> bytes
};

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  virtual const ModelConfig& config() const = 0;
  virtual const CheckpointInfo& info() const = 0;
  virtual const GenerationDefaults& generation_defaults() const = 0;
  virtual const std::string& chat_template() const = 0;  // "" when there is none

  // Null when there is no such tensor. The pointer lives as long as the checkpoint.
  virtual const WeightTensor* Find(std::string_view name) const = 0;
  // kInvalidArgument naming the tensor when it is missing or its shape is not [rows, cols].
  Result<const WeightTensor*> Require(std::string_view name, int64_t rows, int64_t cols) const;

  // Every stored tensor once, in file order: experts one by one, fused tensors whole.
  virtual std::vector<const WeightTensor*> tensors() const = 0;

  // Builds the tokenizer that came with the model; kNotFound when there is none.
  virtual Result<std::unique_ptr<Tokenizer>> MakeTokenizer() const = 0;

  // Tells the system that a tensor's pages were packed and are not needed any more.
  virtual void Release(const WeightTensor& tensor) const = 0;
};

// Opens a .gguf file (also the first of a split series) or a folder with config.json and *.safetensors. Every (offset,
// size) is proven against the file length before use; errors name the file and the field.
Result<std::unique_ptr<Checkpoint>> OpenCheckpoint(const std::string& path);

}  // namespace millrace
