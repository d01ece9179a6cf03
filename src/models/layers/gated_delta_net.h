// GatedDeltaNet: Qwen3-Next's linear attention. Norm, projections, short convolution, delta rule, gated norm, output
// projection.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/layers/block.h"
#include "models/layers/linear.h"

namespace millrace {

class GatedDeltaNet : public Block {
 public:
  // state_layer: the layer's number inside its recurrent KV group.
  static Result<std::unique_ptr<Block>> Load(WeightLoader& loader, const std::string& prefix, int kv_group,
                                             int state_layer);

  void Forward(const Step& step, float* x) const override;
  int64_t ScratchBytes(int64_t max_tokens) const override;
  void AddToQuery(kernels::WorkspaceQuery* query) const override;
  int64_t weight_bytes() const override { return qkvz_.bytes() + ba_.bytes() + output_.bytes(); }

  // Pieces of one layer's state: the convolution's window, then a matrix per value head. Bytes each.
  static std::vector<int64_t> StatePieceBytes(const ModelConfig& config);

 private:
  GatedDeltaNet(const ModelConfig& config, int kv_group, int state_layer)
      : config_(config), kv_group_(kv_group), state_layer_(state_layer) {}
  // Fills one pointer per row and piece, from the first (read) or last (write) half of the rows' table entries.
  void FillStatePointers(const Step& step, bool write, float** pointers) const;

  const ModelConfig& config_;
  const int kv_group_;
  const int state_layer_;
  NormLayer pre_norm_, out_norm_;
  Linear qkvz_, ba_, output_;
  std::vector<float> conv_weight_, a_log_, dt_bias_;
};

}  // namespace millrace
