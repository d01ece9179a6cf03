// Decoder: the one Model class. An architecture file is a function that tells a DecoderBuilder which blocks to stack.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/layers/attention.h"
#include "models/layers/block.h"
#include "models/layers/linear.h"

namespace millrace {

class Decoder : public Model {
 public:
  const ModelConfig& config() const override { return config_; }
  const std::vector<KvGroupSpec>& kv_groups() const override { return kv_groups_; }
  const std::vector<RopeVariant>& rope_variants() const override { return rope_variants_; }
  int64_t WorkspaceBytes(int64_t max_tokens, int64_t max_rows) const override;
  void Forward(const Step& step, float* x) const override;
  void Logits(kernels::OpContext& context, const float* x, int64_t num_rows, float* logits) const override;
  kernels::Norm final_norm() const override { return final_norm_.view(); }
  int64_t weight_bytes() const override;

 private:
  friend class DecoderBuilder;
  Decoder(const ModelConfig& config, const kernels::OpTable& ops) : config_(config), ops_(ops) {}

  const ModelConfig config_;
  const kernels::OpTable& ops_;
  std::vector<KvGroupSpec> kv_groups_;
  std::vector<RopeVariant> rope_variants_;
  int max_model_len_ = 0;
  kernels::WeightRows embedding_;           // in the checkpoint's mapping, or in the device's memory
  kernels::WeightRows position_embedding_;  // GPT-2; rows == 0: none
  Buffer embedding_storage_, position_storage_;
  std::vector<std::unique_ptr<Block>> blocks_;
  NormLayer final_norm_;
  Linear head_;
};

// Collects the parts of a Decoder. Layers are added in order; any error ends the build.
class DecoderBuilder {
 public:
  DecoderBuilder(WeightLoader& loader, const ModelOptions& options);

  WeightLoader& loader() { return loader_; }
  const ModelConfig& config() const { return loader_.config(); }

  // A new rope variant; its index goes into AttentionSpec::rope_variant.
  int AddRope(float theta, const RopeScaling& scaling);
  // Prefix, KV place, window and scale of layer i, the rest at AttentionSpec's defaults and rope variant 0.
  AttentionSpec AttentionFor(int layer) const;
  // The layer's KV group and its number inside it.
  struct KvSlot {
    int group = 0;
    int index = 0;
  };
  KvSlot kv_slot(int layer) const { return kv_slots_[static_cast<size_t>(layer)]; }

  Status Add(Result<std::unique_ptr<Block>> block);
  // Before any layer: while a matrix is packed its bytes are in memory twice, so the largest comes first.
  Status LoadHead();
  // Embeddings and final norm. final_norm: "model.norm" by default.
  Result<std::unique_ptr<Model>> Finish(kernels::NormKind norm_kind = kernels::NormKind::kRms,
                                        bool learned_positions = false);

 private:
  void PlanKvGroups();

  WeightLoader& loader_;
  const ModelOptions options_;
  std::unique_ptr<Decoder> model_;
  std::vector<KvSlot> kv_slots_;
};

std::string LayerPrefix(int layer);  // "model.layers.3"

}  // namespace millrace
