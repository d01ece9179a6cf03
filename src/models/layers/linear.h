// Linear: a packed weight matrix with its bias, for one device. One class behind every product of every model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/op_table.h"
#include "model_loader/checkpoint.h"

namespace millrace {

class Linear {
 public:
  Linear() = default;

  explicit operator bool() const { return matrix_ != nullptr; }
  const kernels::PackedMatrix* matrix() const { return matrix_.get(); }
  int64_t out_features() const { return out_features_; }
  int64_t in_features() const { return in_features_; }
  int64_t bytes() const { return bytes_; }

 private:
  friend class WeightLoader;
  std::unique_ptr<kernels::PackedMatrix, void (*)(kernels::PackedMatrix*)> matrix_{nullptr, nullptr};
  int64_t out_features_ = 0;
  int64_t in_features_ = 0;
  int64_t bytes_ = 0;
};

// A norm with its weights in f32, in the device's memory.
class NormLayer {
 public:
  kernels::Norm view() const {
    return {kind_, weight_.as<float>(), bias_.size() > 0 ? bias_.as<float>() : nullptr, eps_};
  }

 private:
  friend class WeightLoader;
  kernels::NormKind kind_ = kernels::NormKind::kNone;
  float eps_ = 0.0f;
  Buffer weight_, bias_;
};

// Turns a checkpoint's tensors into packed layers. Errors name the tensor.
class WeightLoader {
 public:
  WeightLoader(const Checkpoint& checkpoint, const kernels::OpTable& ops, kernels::OpContext& context)
      : checkpoint_(checkpoint), ops_(ops), context_(context) {
    context_.weights = &arena_;
  }
  ~WeightLoader() { context_.weights = nullptr; }
  WeightLoader(const WeightLoader&) = delete;
  WeightLoader& operator=(const WeightLoader&) = delete;

  const Checkpoint& checkpoint() const { return checkpoint_; }
  const ModelConfig& config() const { return checkpoint_.config(); }
  const kernels::OpTable& ops() const { return ops_; }
  bool Has(const std::string& name) const { return checkpoint_.Find(name) != nullptr; }

  // The rows of NAME.weight for each part, one below the other, with NAME.bias where it exists. A gated pair is gate,
  // up.
  struct Part {
    std::string name;
    int64_t rows;
  };
  Result<Linear> LoadLinear(const std::vector<Part>& parts, int64_t cols, bool gated = false);
  // Rows picked by the caller from tensors it already found (sub-ranges, interleavings); bias may be empty.
  Result<Linear> PackRows(const std::vector<kernels::WeightRows>& parts, int64_t cols, const std::vector<float>& bias,
                          const std::string& name, bool gated = false);

  // RMSNorm NAME.weight [size] plus the config's norm_weight_offset, or LayerNorm when `kind` says so.
  Result<NormLayer> LoadNorm(const std::string& name, int64_t size, kernels::NormKind kind = kernels::NormKind::kRms,
                             bool add_offset = true);
  // Any tensor of `size` values as f32.
  Result<std::vector<float>> LoadVector(const std::string& name, int64_t size);
  // Copies f32 values to memory of the table's device.
  Result<Buffer> ToDevice(const std::vector<float>& values);
  // The table as `embed` reads it: where the device has its own memory a copy there, which `storage` keeps, of a plain
  // type.
  Result<kernels::WeightRows> LoadTable(const WeightTensor& tensor, Buffer* storage);

 private:
  const Checkpoint& checkpoint_;
  const kernels::OpTable& ops_;
  kernels::OpContext& context_;
  HostArena arena_;  // of the packed matrices, which outlive it
};

// The rows of a checkpoint tensor as kernels read them. The tensor must outlive the result.
kernels::WeightRows RowsOf(const WeightTensor& tensor);

}  // namespace millrace
