#include "model_loader/synth/type_mix.h"

#include <strings.h>

#include <charconv>

namespace millrace {
namespace {

// The layers that get more bits: the first and last eighth, and every third between them.
bool UseMoreBits(int layer, int layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

int LayerOf(std::string_view name) {
  int layer = 0;
  if (name.starts_with("blk.")) std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return layer;
}

DType ValueType(const TypeMix& mix, const SynthShape& shape, int layer) {
  const int layers = shape.num_hidden_layers, groups = shape.num_attention_heads / shape.num_key_value_heads;
  DType type = mix.base;
  if (mix.name == "Q2_K") type = groups >= 4 ? DType::kQ4_K : DType::kQ3_K;
  if (mix.name == "Q2_K_S" && groups >= 4) type = DType::kQ4_K;
  if (mix.name == "Q3_K_M") type = layer < 2 ? DType::kQ5_K : DType::kQ4_K;
  if (mix.name == "Q3_K_L") type = DType::kQ5_K;
  if ((mix.name == "IQ4_NL" || mix.name == "IQ4_XS") && groups >= 4) type = DType::kQ5_K;
  if ((mix.name == "Q4_K_M" || mix.name == "Q5_K_M") && UseMoreBits(layer, layers)) type = DType::kQ6_K;
  if (mix.name == "Q4_K_S" && layer < 4) type = DType::kQ5_K;
  // The 70B models share values among eight heads and get more bits for them.
  if (layers == 80 && (type == DType::kQ3_K || type == DType::kQ4_K)) type = DType::kQ5_K;
  if (shape.num_experts == 8) type = DType::kQ8_0;
  return type;
}

DType DownType(const TypeMix& mix, const SynthShape& shape, int layer) {
  const int layers = shape.num_hidden_layers;
  if (mix.name == "Q2_K") return DType::kQ3_K;
  if (mix.name == "Q2_K_S" && layer < layers / 8) return DType::kQ4_K;
  if (mix.name == "Q3_K_M") return layer < layers / 16 ? DType::kQ5_K : DType::kQ4_K;
  if (mix.name == "Q3_K_L") return DType::kQ5_K;
  if ((mix.name == "Q4_K_M" || mix.name == "Q5_K_M") && UseMoreBits(layer, layers)) return DType::kQ6_K;
  if ((mix.name == "Q4_K_S" || mix.name == "IQ4_NL" || mix.name == "IQ4_XS") && layer < layers / 8) return DType::kQ5_K;
  return mix.base;
}

DType OutputType(const TypeMix& mix, const SynthShape& shape) {
  const bool k_small = mix.name.starts_with("Q2_K") || mix.name.starts_with("Q3_K") || mix.name.starts_with("Q4_K") ||
                       mix.name.starts_with("IQ4");
  if (shape.num_experts == 8) return k_small ? DType::kQ5_K : mix.base;
  if (mix.name == "Q2_K") return DType::kQ3_K;
  if (mix.name == "Q3_K_M") return DType::kQ4_K;
  if (mix.name == "Q3_K_L") return DType::kQ5_K;
  return mix.base;
}

DType FusedQkvType(const TypeMix& mix) {
  if (mix.name == "Q3_K_M" || mix.name == "Q3_K_L") return DType::kQ4_K;
  if (mix.name == "Q4_K_M") return DType::kQ5_K;
  if (mix.name == "Q5_K_M") return DType::kQ6_K;
  return mix.base;
}

DType WantedType(const TypeMix& mix, const SynthShape& shape, std::string_view name) {
  const int layer = LayerOf(name);
  const auto has = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  const bool head = name == "output.weight" || (name == "token_embd.weight" && shape.tied);
  if (mix.base == DType::kMXFP4 && shape.num_experts > 0) return has("_exps.") ? DType::kMXFP4 : DType::kQ8_0;
  if (head) return mix.base == DType::kQ8_0 ? DType::kQ8_0 : DType::kQ6_K;
  if (name == "token_embd.weight" && mix.name.starts_with("Q2_K_S")) return DType::kQ2_K;
  if (has("attn_v.")) return ValueType(mix, shape, layer);
  if (has("attn_k.") && shape.num_experts == 8) return DType::kQ8_0;
  if (has("ffn_down")) return DownType(mix, shape, layer);
  if (has("attn_output.")) return OutputType(mix, shape);
  if (has("attn_qkv.")) return FusedQkvType(mix);
  return mix.base;
}

// What takes a type's place when rows are no whole number of its blocks.
DType Fallback(DType type, int64_t cols) {
  if (cols % GetDTypeInfo(type).block_elems == 0) return type;
  switch (type) {
    case DType::kIQ4_XS:
      type = DType::kIQ4_NL;
      break;
    case DType::kQ2_K:
    case DType::kQ3_K:
      type = DType::kQ4_0;
      break;
    case DType::kQ4_K:
      type = DType::kQ5_0;
      break;
    case DType::kQ5_K:
      type = DType::kQ5_1;
      break;
    case DType::kQ6_K:
      type = DType::kQ8_0;
      break;
    default:
      break;
  }
  return cols % GetDTypeInfo(type).block_elems == 0 ? type : DType::kF16;
}

}  // namespace

const std::vector<TypeMix>& TypeMixes() {
  static const std::vector<TypeMix> mixes = {
      {"F32", DType::kF32, 0},        {"F16", DType::kF16, 1},        {"BF16", DType::kBF16, 32},
      {"Q4_0", DType::kQ4_0, 2},      {"Q4_1", DType::kQ4_1, 3},      {"Q5_0", DType::kQ5_0, 8},
      {"Q5_1", DType::kQ5_1, 9},      {"Q8_0", DType::kQ8_0, 7},      {"Q2_K", DType::kQ2_K, 10},
      {"Q2_K_S", DType::kQ2_K, 21},   {"Q3_K_S", DType::kQ3_K, 11},   {"Q3_K_M", DType::kQ3_K, 12},
      {"Q3_K_L", DType::kQ3_K, 13},   {"Q4_K_S", DType::kQ4_K, 14},   {"Q4_K_M", DType::kQ4_K, 15},
      {"Q5_K_S", DType::kQ5_K, 16},   {"Q5_K_M", DType::kQ5_K, 17},   {"Q6_K", DType::kQ6_K, 18},
      {"IQ4_NL", DType::kIQ4_NL, 25}, {"IQ4_XS", DType::kIQ4_XS, 30}, {"MXFP4", DType::kMXFP4, 38},
  };
  return mixes;
}

Result<TypeMix> FindTypeMix(std::string_view name) {
  std::string wanted(name);
  for (const char* family : {"Q3_K", "Q4_K", "Q5_K"}) {
    if (strcasecmp(wanted.c_str(), family) == 0) wanted += "_M";
  }
  std::vector<std::string_view> names;
  for (const TypeMix& mix : TypeMixes()) {
    if (strcasecmp(std::string(mix.name).c_str(), wanted.c_str()) == 0) return mix;
    names.push_back(mix.name);
  }
  return InvalidArgument("there is no type {}, expected one of {}", name, fmt::join(names, ", "));
}

DType ChooseType(const TypeMix& mix, const SynthShape& shape, std::string_view name, int64_t cols, bool is_matrix) {
  const auto has = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  if (!is_matrix || has("ffn_gate_inp") || has("ssm_conv1d") || name == "position_embd.weight" ||
      name.ends_with(".bias"))
    return DType::kF32;
  if (!IsQuantised(mix.base)) return mix.base;
  return Fallback(WantedType(mix, shape, name), cols);
}

}  // namespace millrace
