#include "model_loader/hf_names.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

using Rename = std::pair<std::string_view, std::string_view>;

constexpr std::string_view kForeignPrefixes[] = {
    "vision_tower.", "model.vision_tower.", "vision_model.", "multi_modal_projector.", "model.multi_modal_projector.",
    "mtp.",          "model.mtp.",
};

constexpr std::string_view kForeignSuffixes[] = {
    ".rotary_emb.inv_freq", ".input_scale", ".activation_scale", ".k_scale", ".v_scale",
};

constexpr Rename kPrefixes[] = {
    {"language_model.model.", "model."},
    {"model.language_model.", "model."},
    {"language_model.lm_head.", "lm_head."},
};

// Parts of names; the first that matches in a name is replaced, for each entry in turn.
constexpr Rename kParts[] = {
    {".block_sparse_moe.", ".mlp."},     {".mlp.router.", ".mlp.gate."},    {".w1.weight", ".gate_proj.weight"},
    {".w2.weight", ".down_proj.weight"}, {".w3.weight", ".up_proj.weight"},
};

constexpr Rename kGpt2Parts[] = {
    {"wte.", "model.embed_tokens."},
    {"wpe.", "model.embed_positions."},
    {"ln_f.", "model.norm."},
    {".ln_1.", ".input_layernorm."},
    {".ln_2.", ".post_attention_layernorm."},
    {".attn.c_attn.", ".self_attn.qkv_proj."},
    {".attn.c_proj.", ".self_attn.o_proj."},
    {".mlp.c_fc.", ".mlp.up_proj."},
    {".mlp.c_proj.", ".mlp.down_proj."},
};

void ReplacePart(std::string& name, const Rename& rename) {
  const size_t at = name.find(rename.first);
  if (at != std::string::npos) name.replace(at, rename.first.size(), rename.second);
}

std::optional<std::string> Gpt2Name(std::string_view name) {
  constexpr std::string_view kPrefix = "transformer.";
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  if (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias")) return std::nullopt;
  std::string out(name);
  if (out.starts_with("h.")) out.replace(0, 2, "model.layers.");
  for (const Rename& rename : kGpt2Parts) ReplacePart(out, rename);
  return out;
}

// "mlp.experts.gate_up_proj" (a parameter, not a module) gets a place for the expert's number and ".weight".
void NameExpertStack(std::string& name) {
  constexpr std::string_view kExperts = ".mlp.experts.";
  const size_t at = name.find(kExperts);
  if (at == std::string::npos) return;
  const std::string_view rest = std::string_view(name).substr(at + kExperts.size());
  if (rest != "gate_up_proj" && rest != "down_proj") return;
  name = name.substr(0, at + kExperts.size()) + "*." + std::string(rest) + ".weight";
}

}  // namespace

std::optional<std::string> CanonicalHfName(std::string_view name, const ModelConfig& config) {
  const auto starts = [&](std::string_view prefix) { return name.starts_with(prefix); };
  const auto ends = [&](std::string_view suffix) { return name.ends_with(suffix); };
  if (std::any_of(std::begin(kForeignPrefixes), std::end(kForeignPrefixes), starts)) return std::nullopt;
  if (std::any_of(std::begin(kForeignSuffixes), std::end(kForeignSuffixes), ends)) return std::nullopt;
  if (config.model_type == "gpt2") return Gpt2Name(name);
  std::string out(name);
  for (const Rename& rename : kPrefixes) {
    if (out.starts_with(rename.first)) out.replace(0, rename.first.size(), rename.second);
  }
  if (!out.starts_with("model.") && !out.starts_with("lm_head.")) out = "model." + out;
  for (const Rename& rename : kParts) ReplacePart(out, rename);
  if (config.model_type != "gpt_oss") NameExpertStack(out);
  return out;
}

}  // namespace millrace
