#include "models/layers/gated_delta_net.h"

#include <algorithm>

namespace millrace {
namespace {

int64_t ConvDim(const ModelConfig& c) {
  return 2 * int64_t{c.linear_num_key_heads} * c.linear_key_head_dim +
         int64_t{c.linear_num_value_heads} * c.linear_value_head_dim;
}

int64_t ValueDim(const ModelConfig& c) {
  return int64_t{c.linear_num_value_heads} * c.linear_value_head_dim;
}

// Rows [first, first + count) of a matrix.
struct RowRange {
  kernels::WeightRows source;
  int64_t first;
};

kernels::WeightRows RowsOf(const RowRange& range, int64_t count) {
  kernels::WeightRows rows;
  rows.dtype = range.source.dtype;
  rows.rows = count;
  rows.cols = range.source.cols;
  if (range.source.data != nullptr) {
    rows.data = range.source.data + range.first * RowBytes(rows.dtype, rows.cols);
    return rows;
  }
  rows.gather = [](const void* context, int64_t first, int64_t num_rows, std::byte* dst) {
    const auto& r = *static_cast<const RowRange*>(context);
    r.source.gather(r.source.context, r.first + first, num_rows, dst);
  };
  rows.context = &range;
  return rows;
}

// The projection as the kernel wants it, [q, k, v.., z..] for each key head, from a checkpoint that stores [q, k, v]
// and z apart (with different types in quantised GGUF files).
Result<Linear> LoadSplitQkvz(WeightLoader& loader, const std::string& mixer) {
  const ModelConfig& c = loader.config();
  ASSIGN_OR_RETURN(const WeightTensor* qkv,
                   loader.checkpoint().Require(mixer + "in_proj_qkv.weight", ConvDim(c), c.hidden_size));
  ASSIGN_OR_RETURN(const WeightTensor* z,
                   loader.checkpoint().Require(mixer + "in_proj_z.weight", ValueDim(c), c.hidden_size));
  const int64_t key_rows = c.linear_key_head_dim, key_dim = key_rows * c.linear_num_key_heads;
  const int64_t value_rows = ValueDim(c) / c.linear_num_key_heads;  // of all value heads that share a key head
  std::vector<RowRange> ranges;
  std::vector<int64_t> counts;
  for (int64_t head = 0; head < c.linear_num_key_heads; ++head) {
    ranges.push_back({RowsOf(*qkv), head * key_rows});
    ranges.push_back({RowsOf(*qkv), key_dim + head * key_rows});
    ranges.push_back({RowsOf(*qkv), 2 * key_dim + head * value_rows});
    ranges.push_back({RowsOf(*z), head * value_rows});
    counts.insert(counts.end(), {key_rows, key_rows, value_rows, value_rows});
  }
  std::vector<kernels::WeightRows> parts;
  for (size_t i = 0; i < ranges.size(); ++i) parts.push_back(RowsOf(ranges[i], counts[i]));
  return loader.PackRows(parts, c.hidden_size, {}, mixer + "in_proj_qkv");
}

}  // namespace

std::vector<int64_t> GatedDeltaNet::StatePieceBytes(const ModelConfig& c) {
  std::vector<int64_t> pieces = {(c.linear_conv_kernel_dim - 1) * ConvDim(c) * 4};
  pieces.insert(pieces.end(), static_cast<size_t>(c.linear_num_value_heads),
                int64_t{c.linear_key_head_dim} * c.linear_value_head_dim * 4);
  return pieces;
}

Result<std::unique_ptr<Block>> GatedDeltaNet::Load(WeightLoader& loader, const std::string& prefix, int kv_group,
                                                   int state_layer) {
  if (loader.ops().gated_delta == nullptr)
    return Unsupported("device {} has no gated delta net yet", loader.ops().device);
  const ModelConfig& c = loader.config();
  std::unique_ptr<GatedDeltaNet> layer(new GatedDeltaNet(c, kv_group, state_layer));
  const std::string mixer = prefix + ".linear_attn.";
  ASSIGN_OR_RETURN(layer->pre_norm_, loader.LoadNorm(prefix + ".input_layernorm", c.hidden_size));
  if (loader.Has(mixer + "in_proj_qkvz.weight")) {
    ASSIGN_OR_RETURN(layer->qkvz_,
                     loader.LoadLinear({{mixer + "in_proj_qkvz", ConvDim(c) + ValueDim(c)}}, c.hidden_size));
  } else {
    ASSIGN_OR_RETURN(layer->qkvz_, LoadSplitQkvz(loader, mixer));
  }
  ASSIGN_OR_RETURN(layer->ba_,
                   loader.LoadLinear({{mixer + "in_proj_ba", 2 * c.linear_num_value_heads}}, c.hidden_size));
  ASSIGN_OR_RETURN(layer->output_, loader.LoadLinear({{mixer + "out_proj", c.hidden_size}}, ValueDim(c)));
  ASSIGN_OR_RETURN(layer->conv_weight_,
                   loader.LoadVector(mixer + "conv1d.weight", ConvDim(c) * c.linear_conv_kernel_dim));
  ASSIGN_OR_RETURN(layer->a_log_, loader.LoadVector(mixer + "A_log", c.linear_num_value_heads));
  ASSIGN_OR_RETURN(layer->dt_bias_, loader.LoadVector(mixer + "dt_bias", c.linear_num_value_heads));
  ASSIGN_OR_RETURN(layer->out_norm_,
                   loader.LoadNorm(mixer + "norm", c.linear_value_head_dim, kernels::NormKind::kRms, false));
  return std::unique_ptr<Block>(std::move(layer));
}

void GatedDeltaNet::FillStatePointers(const Step& step, bool write, float** pointers) const {
  KvGroupSpec group;
  group.kind = KvGroupKind::kRecurrent;
  group.layers.resize(static_cast<size_t>(state_layer_) + 1);
  group.state_piece_bytes = StatePieceBytes(config_);
  const StatePlacement placement = PlaceState(group, step.kv_block_bytes);
  const size_t num_pieces = group.state_piece_bytes.size();
  const size_t first_piece = static_cast<size_t>(state_layer_) * num_pieces;
  const GroupTables& tables = step.batch->groups[static_cast<size_t>(kv_group_)];
  for (int row = 0; row < step.batch->num_rows(); ++row) {
    const BlockId* ids = tables.block_ids.data() + tables.row_start[static_cast<size_t>(row)];
    const int num_entries = tables.row_start[static_cast<size_t>(row) + 1] - tables.row_start[static_cast<size_t>(row)];
    const BlockId* state = write ? ids + num_entries / 2 : ids;
    for (size_t p = 0; p < num_pieces; ++p) {
      const StatePlacement::Piece piece = placement.pieces[first_piece + p];
      const BlockId block = state[piece.block];
      *pointers++ = block == kNullBlock
                        ? nullptr
                        : reinterpret_cast<float*>(step.kv_blocks + block * step.kv_block_bytes + piece.offset);
    }
  }
}

void GatedDeltaNet::Forward(const Step& step, float* x) const {
  const ModelConfig& c = config_;
  const int64_t tokens = step.num_tokens;
  const int64_t num_pieces = 1 + c.linear_num_value_heads;
  Workspace& workspace = *step.context.workspace;
  Workspace::Scope scope(workspace);
  float* qkvz = workspace.Take<float>(tokens * qkvz_.out_features());
  float* ba = workspace.Take<float>(tokens * ba_.out_features());
  float* mixed = workspace.Take<float>(tokens * ValueDim(c));
  float** state_in = workspace.Take<float*>(step.batch->num_rows() * num_pieces);
  float** state_out = workspace.Take<float*>(step.batch->num_rows() * num_pieces);
  FillStatePointers(step, false, state_in);
  FillStatePointers(step, true, state_out);

  kernels::LinearArgs project;
  project.x = x;
  project.x_stride = c.hidden_size;
  project.num_tokens = tokens;
  project.pre_norm = pre_norm_.view();
  project.matrix = qkvz_.matrix();
  project.out = qkvz;
  project.out_stride = qkvz_.out_features();
  step.ops.linear(&step.context, &project);
  project.matrix = ba_.matrix();
  project.out = ba;
  project.out_stride = ba_.out_features();
  step.ops.linear(&step.context, &project);

  kernels::GatedDeltaArgs delta;
  delta.qkvz = qkvz;
  delta.qkvz_stride = qkvz_.out_features();
  delta.ba = ba;
  delta.ba_stride = ba_.out_features();
  delta.conv_weight = conv_weight_.data();
  delta.a_log = a_log_.data();
  delta.dt_bias = dt_bias_.data();
  delta.out_norm = out_norm_.view();
  delta.num_key_heads = c.linear_num_key_heads;
  delta.num_value_heads = c.linear_num_value_heads;
  delta.key_head_dim = c.linear_key_head_dim;
  delta.value_head_dim = c.linear_value_head_dim;
  delta.conv_kernel = c.linear_conv_kernel_dim;
  delta.num_rows = step.batch->num_rows();
  delta.query_start = step.batch->query_start.data();
  delta.context_len = step.batch->context_len.data();
  delta.state_in = state_in;
  delta.state_out = state_out;
  delta.out = mixed;
  delta.out_stride = ValueDim(c);
  step.ops.gated_delta(&step.context, &delta);

  kernels::LinearArgs output;
  output.x = mixed;
  output.x_stride = ValueDim(c);
  output.num_tokens = tokens;
  output.matrix = output_.matrix();
  output.accumulate = true;
  output.out = x;
  output.out_stride = c.hidden_size;
  step.ops.linear(&step.context, &output);
}

int64_t GatedDeltaNet::ScratchBytes(int64_t max_tokens) const {
  const int64_t cols = qkvz_.out_features() + ba_.out_features() + output_.in_features();
  // Two pointers per row and piece; a step has at most as many rows as tokens.
  return max_tokens * (cols * 4 + 16 * (1 + config_.linear_num_value_heads)) + 512;
}

void GatedDeltaNet::AddToQuery(kernels::WorkspaceQuery* query) const {
  query->max_k = std::max({query->max_k, qkvz_.in_features(), output_.in_features()});
  query->max_n = std::max({query->max_n, qkvz_.out_features(), output_.out_features()});
}

}  // namespace millrace
