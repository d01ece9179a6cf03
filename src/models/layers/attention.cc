#include "models/layers/attention.h"

#include <algorithm>

namespace millrace {
namespace {

// Qwen3-Next keeps query and gate rows of a head together; this reads one of the two out of every pair.
struct InterleavedHeads {
  kernels::WeightRows source;
  int head_dim;
  bool gate;
};

void GatherInterleaved(const void* context, int64_t first, int64_t count, std::byte* dst) {
  const auto& heads = *static_cast<const InterleavedHeads*>(context);
  const int64_t bytes = RowBytes(heads.source.dtype, heads.source.cols);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t head = (first + i) / heads.head_dim;
    const int64_t row = (head * 2 + (heads.gate ? 1 : 0)) * heads.head_dim + (first + i) % heads.head_dim;
    if (heads.source.data != nullptr) {
      std::copy_n(heads.source.data + row * bytes, bytes, dst + i * bytes);
    } else {
      heads.source.gather(heads.source.context, row, 1, dst + i * bytes);
    }
  }
}

kernels::WeightRows HalfOf(const InterleavedHeads& heads) {
  kernels::WeightRows rows;
  rows.dtype = heads.source.dtype;
  rows.rows = heads.source.rows / 2;
  rows.cols = heads.source.cols;
  rows.gather = GatherInterleaved;
  rows.context = &heads;
  return rows;
}

}  // namespace

Status Attention::LoadProjections(WeightLoader& loader) {
  const int64_t hidden = config_.hidden_size;
  const int64_t q_rows = int64_t{config_.num_attention_heads} * config_.head_dim;
  const int64_t kv_rows = int64_t{config_.num_key_value_heads} * config_.head_dim;
  const std::string attn = spec_.prefix + ".self_attn.";
  if (spec_.output_gate) {
    ASSIGN_OR_RETURN(const WeightTensor* q, loader.checkpoint().Require(attn + "q_proj.weight", 2 * q_rows, hidden));
    ASSIGN_OR_RETURN(const WeightTensor* k, loader.checkpoint().Require(attn + "k_proj.weight", kv_rows, hidden));
    ASSIGN_OR_RETURN(const WeightTensor* v, loader.checkpoint().Require(attn + "v_proj.weight", kv_rows, hidden));
    const InterleavedHeads query{RowsOf(*q), config_.head_dim, false};
    const InterleavedHeads gate{RowsOf(*q), config_.head_dim, true};
    ASSIGN_OR_RETURN(qkv_,
                     loader.PackRows({HalfOf(query), RowsOf(*k), RowsOf(*v), HalfOf(gate)}, hidden, {}, attn + "qkv"));
  } else {
    ASSIGN_OR_RETURN(
        qkv_,
        loader.LoadLinear({{attn + "q_proj", q_rows}, {attn + "k_proj", kv_rows}, {attn + "v_proj", kv_rows}}, hidden));
  }
  ASSIGN_OR_RETURN(output_, loader.LoadLinear({{attn + "o_proj", hidden}}, q_rows));
  return OkStatus();
}

Result<std::unique_ptr<Block>> Attention::Load(WeightLoader& loader, const AttentionSpec& spec) {
  const ModelConfig& config = loader.config();
  std::unique_ptr<Attention> layer(new Attention(config, spec));
  if (!spec.pre_norm.empty()) {
    ASSIGN_OR_RETURN(layer->pre_norm_,
                     loader.LoadNorm(spec.prefix + "." + spec.pre_norm, config.hidden_size, spec.norm_kind));
  }
  if (!spec.post_norm.empty()) {
    ASSIGN_OR_RETURN(layer->post_norm_,
                     loader.LoadNorm(spec.prefix + "." + spec.post_norm, config.hidden_size, spec.norm_kind));
  }
  RETURN_IF_ERROR(layer->LoadProjections(loader));
  if (spec.qk_norm || spec.qk_norm_whole) {
    const int64_t q_size = spec.qk_norm_whole ? int64_t{config.num_attention_heads} * config.head_dim : config.head_dim;
    const int64_t k_size = spec.qk_norm_whole ? int64_t{config.num_key_value_heads} * config.head_dim : config.head_dim;
    ASSIGN_OR_RETURN(layer->q_norm_, loader.LoadNorm(spec.prefix + ".self_attn.q_norm", q_size));
    ASSIGN_OR_RETURN(layer->k_norm_, loader.LoadNorm(spec.prefix + ".self_attn.k_norm", k_size));
  }
  if (spec.sinks) {
    ASSIGN_OR_RETURN(const std::vector<float> sinks,
                     loader.LoadVector(spec.prefix + ".self_attn.sinks", config.num_attention_heads));
    ASSIGN_OR_RETURN(layer->sinks_, loader.ToDevice(sinks));
  }
  return std::unique_ptr<Block>(std::move(layer));
}

void Attention::Forward(const Step& step, float* x) const {
  const int64_t tokens = step.num_tokens;
  const int64_t qkv_cols = qkv_.out_features();
  const int64_t q_cols = int64_t{config_.num_attention_heads} * config_.head_dim;
  const int64_t gate_offset = q_cols + 2 * int64_t{config_.num_key_value_heads} * config_.head_dim;
  Workspace::Scope scope(*step.context.workspace);
  float* qkv = step.context.workspace->Take<float>(tokens * qkv_cols);  // [T, q | k | v | gate]
  float* mixed = step.context.workspace->Take<float>(tokens * q_cols);  // [T, num_heads * head_dim]
  const kernels::AttentionBatch& batch = step.groups[static_cast<size_t>(spec_.kv_group)];
  const kernels::KvCacheView kv = {step.kv_blocks, step.kv_block_bytes,         spec_.kv_layer_offset,
                                   step.kv_dtype,  config_.num_key_value_heads, config_.head_dim};

  kernels::LinearArgs project;
  project.x = x;
  project.x_stride = config_.hidden_size;
  project.num_tokens = tokens;
  project.pre_norm = pre_norm_.view();
  project.matrix = qkv_.matrix();
  project.out = qkv;
  project.out_stride = qkv_cols;
  step.ops.linear(&step.context, &project);

  kernels::RopeKvWriteArgs write;
  write.qkv = qkv;
  write.stride = qkv_cols;
  write.num_heads = config_.num_attention_heads;
  write.q_norm = q_norm_.view();
  write.k_norm = k_norm_.view();
  write.norm_whole_row = spec_.qk_norm_whole;
  write.cos_sin = spec_.rope_variant >= 0 ? step.cos_sin[static_cast<size_t>(spec_.rope_variant)] : nullptr;
  write.rotary_dim = config_.rotary_dim;
  write.rope_interleaved = config_.rope_layout == RopeLayout::kInterleaved;
  write.kv = kv;
  write.batch = &batch;
  step.ops.rope_kv_write(&step.context, &write);

  kernels::AttentionArgs attend;
  attend.q = qkv;
  attend.q_stride = qkv_cols;
  attend.num_heads = config_.num_attention_heads;
  attend.scale = spec_.scale;
  attend.window = spec_.window;
  attend.softcap = config_.attn_logit_softcapping;
  attend.sinks = sinks_.as<float>();
  attend.kv = kv;
  attend.batch = &batch;
  attend.out_gate = spec_.output_gate ? qkv + gate_offset : nullptr;
  attend.out_gate_stride = qkv_cols;
  attend.out = mixed;
  attend.out_stride = q_cols;
  step.ops.attention(&step.context, &attend);

  kernels::LinearArgs output;
  output.x = mixed;
  output.x_stride = q_cols;
  output.num_tokens = tokens;
  output.matrix = output_.matrix();
  output.post_norm = post_norm_.view();
  output.scale = config_.residual_multiplier;
  output.accumulate = true;
  output.out = x;
  output.out_stride = config_.hidden_size;
  step.ops.linear(&step.context, &output);
}

int64_t Attention::ScratchBytes(int64_t max_tokens) const {
  return max_tokens * (qkv_.out_features() + output_.in_features()) * static_cast<int64_t>(sizeof(float)) + 256;
}

void Attention::AddToQuery(kernels::WorkspaceQuery* query) const {
  query->max_k = std::max({query->max_k, qkv_.in_features(), output_.in_features()});
  query->max_n = std::max({query->max_n, qkv_.out_features(), output_.out_features()});
  query->num_heads = std::max(query->num_heads, config_.num_attention_heads);
  query->head_dim = std::max(query->head_dim, config_.head_dim);
}

}  // namespace millrace
