#include "model_loader/hf_weights.h"

#include <unordered_map>

#include "model_loader/fused_weights.h"
#include "model_loader/hf_gather.h"

namespace millrace {
namespace {

using ByName = std::unordered_map<std::string_view, const HfTensor*>;

// Shape as a matrix: the last dimension is a column index, a vector is one row.
struct Matrix {
  int64_t rows, cols;
};

Matrix AsMatrix(const HfTensor& tensor) {
  const std::vector<int64_t>& shape = tensor.stored->shape;
  const int64_t cols = shape.empty() ? 1 : shape.back();
  return {tensor.stored->elements() / cols, cols};
}

Status BadShape(const HfTensor& tensor, std::string_view expected) {
  return DataLoss("tensor {} has shape [{}], expected {}", tensor.stored->name, fmt::join(tensor.stored->shape, ", "),
                  expected);
}

Result<DType> StoredType(const HfTensor& tensor) {
  if (tensor.stored->dtype) return *tensor.stored->dtype;
  return Unsupported("tensor {} has dtype {}, which this build does not read", tensor.stored->name,
                     tensor.stored->type_name);
}

// GPT-2 stores its projections as [in, out].
bool IsConv1D(const HfTensor& tensor, const ModelConfig& config) {
  return config.model_type == "gpt2" && tensor.stored->shape.size() == 2 && tensor.name.ends_with("_proj.weight");
}

Status AddPlain(const HfTensor& tensor, const ModelConfig& config, WeightTable& table) {
  ASSIGN_OR_RETURN(const DType dtype, StoredType(tensor));
  const Matrix m = AsMatrix(tensor);
  const bool transposed = IsConv1D(tensor, config);
  StridedSource source{tensor.bytes, dtype, m.rows, m.cols, m.cols, 1};
  if (transposed) source = {tensor.bytes, dtype, m.cols, m.rows, 1, m.cols};
  if (tensor.name.find(".experts.*.") == std::string::npos) return AddStrided(source, tensor.name, table);
  if (tensor.stored->shape.size() != 3 || tensor.stored->shape[0] != config.num_experts) {
    return BadShape(tensor, fmt::format("[{}, rows, columns]", config.num_experts));
  }
  return AddExpertStack(StridedWeight(source, tensor.name), config, table);
}

// The scale that belongs to an FP8 weight, or null.
const HfTensor* FindScale(const ByName& by_name, const std::string& weight) {
  for (const char* suffix : {"_scale_inv", "_scale"}) {
    const auto it = by_name.find(weight + suffix);
    if (it != by_name.end()) return it->second;
  }
  return nullptr;
}

Status AddFp8(const HfTensor& weight, const HfTensor& scale, WeightTable& table) {
  constexpr int64_t kBlock = 128;
  const Matrix m = AsMatrix(weight);
  if (weight.stored->shape.size() != 2) return BadShape(weight, "a matrix, as it has a scale");
  ASSIGN_OR_RETURN(const DType scale_type, StoredType(scale));
  if (scale_type != DType::kF32 && scale_type != DType::kF16 && scale_type != DType::kBF16) {
    return Unsupported("tensor {} has dtype {}, expected F32, F16 or BF16", scale.stored->name,
                       scale.stored->type_name);
  }
  Fp8Source source{weight.bytes, scale.bytes, scale_type, m.rows, m.cols, m.rows, m.cols};
  const std::vector<int64_t>& shape = scale.stored->shape;
  const int64_t count = scale.stored->elements();
  const bool blocks =
      shape.size() == 2 && shape[0] == (m.rows + kBlock - 1) / kBlock && shape[1] == (m.cols + kBlock - 1) / kBlock;
  if (count == m.rows && (shape.size() == 1 || (shape.size() == 2 && shape[1] == 1))) {
    source.scale_rows = 1;
  } else if (blocks) {
    source.scale_rows = source.scale_cols = kBlock;
  } else if (count != 1) {
    return BadShape(scale, fmt::format("one scale for [{}, {}], one for each row, or one for each 128 x 128 block",
                                       m.rows, m.cols));
  }
  return AddFp8Weight(source, weight.name, table);
}

// GPT-OSS keeps experts as [experts, ...] with the rows of gate and up alternating. `name` holds one '*'.
struct GptOssPart {
  const char* target;   // "gate_proj", "up_proj", "down_proj"
  int64_t first, step;  // rows taken from an expert
};

std::string ExpertName(const std::string& stack, std::string_view from, const char* target, const char* suffix,
                       int expert) {
  const size_t at = stack.find(from);
  return fmt::format("{}{}.{}.{}", stack.substr(0, at), expert, target, suffix);
}

Status AddGptOssExperts(const HfTensor& tensor, const ByName& by_name, const ModelConfig& config, WeightTable& table) {
  const std::string& name = tensor.name;
  const bool gate_up = name.find("gate_up_proj") != std::string::npos;
  const std::string_view stem = gate_up ? "gate_up_proj" : "down_proj";
  const std::vector<GptOssPart> parts = gate_up ? std::vector<GptOssPart>{{"gate_proj", 0, 2}, {"up_proj", 1, 2}}
                                                : std::vector<GptOssPart>{{"down_proj", 0, 1}};
  const std::vector<int64_t>& shape = tensor.stored->shape;
  const bool bias = name.ends_with("_bias"), blocks = name.ends_with("_blocks");
  if (shape.size() != (bias ? 2u : blocks ? 4u : 3u) || shape[0] != config.num_experts) {
    return BadShape(tensor, fmt::format("{} experts first", config.num_experts));
  }
  // An expert's outputs are the middle dimension of blocks, the last one of biases and of plain weights ([in, out]).
  const int64_t outputs = blocks ? shape[1] : shape.back();
  if (outputs % (gate_up ? 2 : 1) != 0) return BadShape(tensor, "an even number of gate and up rows");
  const HfTensor* scales = nullptr;
  if (blocks) {
    const std::string scales_name = name.substr(0, name.size() - std::string_view("blocks").size()) + "scales";
    const auto it = by_name.find(scales_name);
    scales = it == by_name.end() ? nullptr : it->second;
    if (scales == nullptr) return DataLoss("tensor {} has no scales beside it", tensor.stored->name);
    if (shape[3] != 16 || tensor.stored->type_name != "U8") return BadShape(tensor, "blocks of 16 bytes (U8)");
    const std::vector<int64_t> expected(shape.begin(), shape.end() - 1);
    if (scales->stored->shape != expected || scales->stored->type_name != "U8")
      return BadShape(*scales, "a byte for each block (U8)");
  }
  ASSIGN_OR_RETURN(const DType dtype, StoredType(tensor));
  const int64_t expert_bytes = static_cast<int64_t>(tensor.bytes.size()) / shape[0];
  for (int e = 0; e < config.num_experts; ++e) {
    const std::span<const std::byte> bytes =
        tensor.bytes.subspan(static_cast<size_t>(e * expert_bytes), static_cast<size_t>(expert_bytes));
    for (const GptOssPart& part : parts) {
      const int64_t rows = outputs / part.step;
      const std::string target = ExpertName(name, stem, part.target, bias ? "bias" : "weight", e);
      if (blocks) {
        const int64_t scale_bytes = shape[1] * shape[2];
        const MxSource source{
            bytes,      scales->bytes.subspan(static_cast<size_t>(e * scale_bytes), static_cast<size_t>(scale_bytes)),
            rows,       shape[2] * 32,
            part.first, part.step};
        RETURN_IF_ERROR(AddMxWeight(source, target, table));
      } else {
        const int64_t element = RowBytes(dtype, 1);
        StridedSource source{bytes.subspan(static_cast<size_t>(part.first * element)),
                             dtype,
                             rows,
                             bias ? 1 : shape[1],
                             part.step,
                             outputs};
        if (bias) source = {source.bytes, dtype, 1, rows, outputs, part.step};
        RETURN_IF_ERROR(AddStrided(source, target, table));
      }
    }
  }
  return OkStatus();
}

// True for GPT-OSS's stacked expert parameters, which AddGptOssExperts splits.
bool IsGptOssExperts(const HfTensor& tensor, const ModelConfig& config) {
  return config.model_type == "gpt_oss" && tensor.name.find(".mlp.experts.") != std::string::npos;
}

}  // namespace

bool IsScaleTensor(std::string_view name) {
  return name.ends_with(".weight_scale") || name.ends_with(".weight_scale_inv") || name.ends_with("_proj_scales");
}

Status AddHfWeights(const std::vector<HfTensor>& tensors, const ModelConfig& config, WeightTable& table) {
  ByName by_name;
  for (const HfTensor& tensor : tensors) by_name.emplace(tensor.name, &tensor);
  for (const HfTensor& tensor : tensors) {
    if (IsScaleTensor(tensor.name)) continue;
    const HfTensor* scale = FindScale(by_name, tensor.name);
    if (IsGptOssExperts(tensor, config)) {
      RETURN_IF_ERROR(AddGptOssExperts(tensor, by_name, config, table));
    } else if (scale != nullptr && tensor.stored->dtype == DType::kF8E4M3) {
      RETURN_IF_ERROR(AddFp8(tensor, *scale, table));
    } else {
      RETURN_IF_ERROR(AddPlain(tensor, config, table));
    }
  }
  return OkStatus();
}

}  // namespace millrace
