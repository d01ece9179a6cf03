#include "models/layers/decoder.h"

#include <algorithm>
#include <cmath>

#include "models/layers/gated_delta_net.h"
#include "models/layers/rope.h"

namespace millrace {

std::string LayerPrefix(int layer) {
  return fmt::format("model.layers.{}", layer);
}

DecoderBuilder::DecoderBuilder(WeightLoader& loader, const ModelOptions& options)
    : loader_(loader), options_(options), model_(new Decoder(loader.config(), loader.ops())) {
  model_->max_model_len_ = options.max_model_len > 0 ? options.max_model_len : config().max_position_embeddings;
  PlanKvGroups();
}

// One pool serves all groups, so groups should weigh the same: where a model mixes full and window layers, both kinds
// are split into groups of as many layers as the rarer kind has (Gemma 3: 26 layers become 1 full and 6 window groups
// of up to 4).
void DecoderBuilder::PlanKvGroups() {
  const ModelConfig& c = config();
  const auto type_of = [&](int layer) {
    return c.layer_types.empty() ? LayerType::kFullAttention : c.layer_types[static_cast<size_t>(layer)];
  };
  int counts[3] = {0, 0, 0};
  for (int i = 0; i < c.num_hidden_layers; ++i) ++counts[static_cast<int>(type_of(i))];
  const int num_full = counts[static_cast<int>(LayerType::kFullAttention)];
  const int num_window = counts[static_cast<int>(LayerType::kSlidingAttention)];
  const int group_layers = num_full > 0 && num_window > 0 ? std::min(num_full, num_window) : c.num_hidden_layers;
  const int64_t layer_bytes = loader_.ops().kv_layer_bytes(options_.kv_cache_dtype, c.num_key_value_heads, c.head_dim);

  kv_slots_.resize(static_cast<size_t>(c.num_hidden_layers));
  for (const LayerType type : {LayerType::kFullAttention, LayerType::kSlidingAttention, LayerType::kLinearAttention}) {
    KvGroupSpec* group = nullptr;
    for (int i = 0; i < c.num_hidden_layers; ++i) {
      if (type_of(i) != type) continue;
      const bool paged = type != LayerType::kLinearAttention;
      if (group == nullptr || (paged && static_cast<int>(group->layers.size()) == group_layers)) {
        group = &model_->kv_groups_.emplace_back();
        group->kind = !paged ? KvGroupKind::kRecurrent
                             : (type == LayerType::kSlidingAttention ? KvGroupKind::kWindow : KvGroupKind::kFull);
        group->window_tokens = type == LayerType::kSlidingAttention ? c.sliding_window : 0;
        if (!paged) group->state_piece_bytes = GatedDeltaNet::StatePieceBytes(c);
      }
      kv_slots_[static_cast<size_t>(i)] = {static_cast<int>(model_->kv_groups_.size()) - 1,
                                           static_cast<int>(group->layers.size())};
      group->layers.push_back(i);
      if (paged) group->bytes_per_block = static_cast<int64_t>(group->layers.size()) * layer_bytes;
    }
  }
}

int DecoderBuilder::AddRope(float theta, const RopeScaling& scaling) {
  model_->rope_variants_.push_back(MakeRopeVariant(config(), theta, scaling, model_->max_model_len_));
  return static_cast<int>(model_->rope_variants_.size()) - 1;
}

AttentionSpec DecoderBuilder::AttentionFor(int layer) const {
  const ModelConfig& c = config();
  AttentionSpec spec;
  spec.prefix = LayerPrefix(layer);
  const KvSlot slot = kv_slot(layer);
  const KvGroupSpec& group = model_->kv_groups_[static_cast<size_t>(slot.group)];
  spec.kv_group = slot.group;
  spec.kv_layer_offset = slot.index * (group.bytes_per_block / static_cast<int64_t>(group.layers.size()));
  spec.window = group.kind == KvGroupKind::kWindow ? group.window_tokens : 0;
  const float per_head = c.query_pre_attn_scalar > 0.0f ? c.query_pre_attn_scalar : static_cast<float>(c.head_dim);
  spec.scale = c.attention_multiplier > 0.0f ? c.attention_multiplier : 1.0f / std::sqrt(per_head);
  if (!c.no_rope_layers.empty() && c.no_rope_layers[static_cast<size_t>(layer)]) spec.rope_variant = -1;
  return spec;
}

Status DecoderBuilder::LoadHead() {
  const ModelConfig& c = config();
  if (loader_.Has("lm_head.weight")) {
    ASSIGN_OR_RETURN(model_->head_, loader_.LoadLinear({{"lm_head", c.vocab_size}}, c.hidden_size));
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const WeightTensor* embedding,
                   loader_.checkpoint().Require("model.embed_tokens.weight", c.vocab_size, c.hidden_size));
  ASSIGN_OR_RETURN(model_->head_, loader_.PackRows({RowsOf(*embedding)}, c.hidden_size, {}, "model.embed_tokens"));
  loader_.checkpoint().Release(*embedding);
  return OkStatus();
}

Status DecoderBuilder::Add(Result<std::unique_ptr<Block>> block) {
  if (!block.ok()) return block.status();
  model_->blocks_.push_back(std::move(block).value());
  // Two blocks a layer, a mixer and an MLP, in every architecture so far; the head is the last percent.
  if (options_.on_progress) {
    options_.on_progress(
        std::min(0.99, static_cast<double>(model_->blocks_.size()) / (2.0 * config().num_hidden_layers)));
  }
  return OkStatus();
}

Result<std::unique_ptr<Model>> DecoderBuilder::Finish(kernels::NormKind norm_kind, bool learned_positions) {
  const ModelConfig& c = config();
  const Checkpoint& checkpoint = loader_.checkpoint();
  ASSIGN_OR_RETURN(const WeightTensor* embedding,
                   checkpoint.Require("model.embed_tokens.weight", c.vocab_size, c.hidden_size));
  ASSIGN_OR_RETURN(model_->embedding_, loader_.LoadTable(*embedding, &model_->embedding_storage_));
  if (learned_positions) {
    ASSIGN_OR_RETURN(const WeightTensor* positions,
                     checkpoint.Require("model.embed_positions.weight", c.max_position_embeddings, c.hidden_size));
    ASSIGN_OR_RETURN(model_->position_embedding_, loader_.LoadTable(*positions, &model_->position_storage_));
  }
  ASSIGN_OR_RETURN(model_->final_norm_, loader_.LoadNorm("model.norm", c.hidden_size, norm_kind));
  return std::unique_ptr<Model>(std::move(model_));
}

int64_t Decoder::WorkspaceBytes(int64_t max_tokens, int64_t max_rows) const {
  kernels::WorkspaceQuery query;
  query.max_tokens = max_tokens;
  query.max_rows = max_rows;
  query.max_model_len = max_model_len_;
  query.max_k = query.max_n = config_.hidden_size;
  int64_t scratch = 0;
  for (const auto& block : blocks_) {
    block->AddToQuery(&query);
    scratch = std::max(scratch, block->ScratchBytes(max_tokens));
  }
  return scratch + ops_.workspace_bytes(&query);
}

void Decoder::Forward(const Step& step, float* x) const {
  kernels::EmbedArgs embed;
  embed.table = &embedding_;
  embed.position_table = position_embedding_.rows > 0 ? &position_embedding_ : nullptr;
  embed.token_ids = step.token_ids;
  embed.positions = step.positions;
  embed.num_tokens = step.num_tokens;
  embed.scale = config_.embedding_multiplier;
  embed.x = x;
  ops_.embed(&step.context, &embed);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i]->Forward(step, x);
    if (step.observer != nullptr) (*step.observer)(static_cast<int>(i), x);
  }
}

void Decoder::Logits(kernels::OpContext& context, const float* x, int64_t num_rows, float* logits) const {
  kernels::LinearArgs head;
  head.x = x;
  head.x_stride = config_.hidden_size;
  head.num_tokens = num_rows;
  head.pre_norm = final_norm_.view();
  head.matrix = head_.matrix();
  head.scale = 1.0f / config_.logits_scaling;
  head.softcap = config_.final_logit_softcapping;
  head.out = logits;
  head.out_stride = config_.vocab_size;
  ops_.linear(&context, &head);
}

int64_t Decoder::weight_bytes() const {
  int64_t bytes = head_.bytes();
  for (const auto& block : blocks_) bytes += block->weight_bytes();
  return bytes;
}

}  // namespace millrace
