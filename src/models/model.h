// Model: an architecture with its packed weights on one rank. Immutable after loading; Forward writes only the step's
// buffers and KV.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/batch.h"
#include "core/kv_spec.h"
#include "core/model_config.h"
#include "kernels/op_table.h"
#include "model_loader/checkpoint.h"

namespace millrace {

// Everything a layer needs to know about the step at hand. Lives on the runner's stack for one step.
struct Step {
  const kernels::OpTable& ops;
  kernels::OpContext& context;
  int64_t num_tokens = 0;
  const int32_t* token_ids = nullptr;  // [num_tokens], resolved
  const int32_t* positions = nullptr;  // [num_tokens]
  const Batch* batch = nullptr;
  std::byte* kv_blocks = nullptr;
  int64_t kv_block_bytes = 0;
  DType kv_dtype = DType::kBF16;
  std::vector<kernels::AttentionBatch> groups;  // [KV groups]; unused entries for recurrent groups
  std::vector<const float*> cos_sin;            // [rope variants], each [num_tokens, rotary_dim / 2, 2]
  // Sees the residual stream after every block; null outside of tests and analysis.
  const std::function<void(int block, const float* x)>* observer = nullptr;
};

struct ModelOptions {
  int max_model_len = 0;  // 0: config.max_position_embeddings
  DType kv_cache_dtype = DType::kBF16;
  std::function<void(double fraction)> on_progress;  // called after each block is packed; may be empty
};

class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelConfig& config() const = 0;
  virtual const std::vector<KvGroupSpec>& kv_groups() const = 0;
  // Angles per position for every rope variant of the model; Step::cos_sin is made from these.
  struct RopeVariant {
    std::vector<float> inv_freq;  // [rotary_dim / 2]
    float attention_factor = 1.0f;
  };
  virtual const std::vector<RopeVariant>& rope_variants() const = 0;

  // Bytes of workspace that Forward and Logits need for a step of up to max_tokens tokens and max_rows sequences.
  virtual int64_t WorkspaceBytes(int64_t max_tokens, int64_t max_rows) const = 0;

  // Runs all layers: x [num_tokens, hidden_size] is the final residual stream, before the last norm.
  virtual void Forward(const Step& step, float* x) const = 0;
  // logits [num_rows, vocab_size] of final residual rows x [num_rows, hidden_size], softcap and scaling applied.
  virtual void Logits(kernels::OpContext& context, const float* x, int64_t num_rows, float* logits) const = 0;

  // The norm between the final residual stream and the head.
  virtual kernels::Norm final_norm() const = 0;

  // Bytes of packed weights read by one decode step (the embedding table aside), for bandwidth figures.
  virtual int64_t weight_bytes() const = 0;
};

// Builds the architecture that config().model_type names; kUnsupported with the list of known ones otherwise. The
// checkpoint must outlive the model (embeddings are read from its mapping).
Result<std::unique_ptr<Model>> LoadModel(const Checkpoint& checkpoint, const kernels::OpTable& ops,
                                         kernels::OpContext& context, const ModelOptions& options);

}  // namespace millrace
