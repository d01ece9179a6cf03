// Arguments of the op table to parameters of kernels: sizes, scratch and the choice between kernels. Runs on the host,
// touches no device memory itself.
#include "cuda/ops.h"

#include <algorithm>
#include <cstddef>

#include "cuda/attention.h"
#include "cuda/gpu.h"
#include "cuda/moe.h"
#include "cuda/norm_params.h"
#include "cuda/products.h"
#include "cuda/rope_kv_write.h"
#include "cuda/rows.h"
#include "cuda/sample.h"

namespace millrace::cuda {
namespace {

using namespace kernels;  // NOLINT: the arguments of every function here

constexpr int64_t kMaxTickets = 1 << 16;     // (row, kv head) pairs of one attention launch
constexpr int64_t kPartialBytes = 64 << 20;  // scratch of split attention at most

TableType ToTableType(DType type) {
  CHECK(type == DType::kF32 || type == DType::kF16 || type == DType::kBF16, "embeddings of type {}", DTypeName(type));
  return type == DType::kF32 ? TableType::kF32 : type == DType::kF16 ? TableType::kF16 : TableType::kBf16;
}

void EmbedOp(OpContext* context, const EmbedArgs* args) {
  EmbedParams params;
  params.table = args->table->data;
  params.table_type = ToTableType(args->table->dtype);
  if (args->position_table != nullptr) {
    params.position_table = args->position_table->data;
    params.position_type = ToTableType(args->position_table->dtype);
  }
  params.token_ids = args->token_ids;
  params.positions = args->positions;
  params.num_tokens = static_cast<int>(args->num_tokens);
  params.hidden = static_cast<int>(args->table->cols);
  params.scale = args->scale;
  params.x = args->x;
  LaunchEmbed(params, context->stream);
}

PagedKv ToPagedKv(const KvCacheView& kv, const AttentionBatch& batch) {
  CHECK(kv.dtype == DType::kBF16, "KV of type {}", DTypeName(kv.dtype));
  PagedKv paged;
  paged.blocks = kv.blocks;
  paged.block_bytes = kv.block_bytes;
  paged.layer_offset = kv.layer_offset;
  paged.num_kv_heads = kv.num_kv_heads;
  paged.head_dim = kv.head_dim;
  paged.num_rows = batch.num_rows;
  paged.query_start = batch.query_start;
  paged.context_len = batch.context_len;
  paged.table_start = batch.table_start;
  paged.block_ids = batch.block_ids;
  return paged;
}

void RopeKvWriteOp(OpContext* context, const RopeKvWriteArgs* args) {
  const int num_tokens = args->batch->num_tokens;
  RopeKvWriteParams params;
  params.qkv = args->qkv;
  params.stride = args->stride;
  params.num_tokens = num_tokens;
  params.num_heads = args->num_heads;
  params.cos_sin = args->cos_sin;
  params.rotary_dim = args->rotary_dim;
  params.interleaved = args->rope_interleaved;
  params.kv = ToPagedKv(args->kv, *args->batch);
  if (!args->norm_whole_row) {
    params.q_norm = ToNorm(args->q_norm);
    params.k_norm = ToNorm(args->k_norm);
  } else {
    const int q_size = args->num_heads * args->kv.head_dim;
    if (args->q_norm.kind != NormKind::kNone) {
      LaunchNormInPlace({args->qkv, args->stride, num_tokens, q_size, ToNorm(args->q_norm)}, context->stream);
    }
    if (args->k_norm.kind != NormKind::kNone) {
      const int k_size = args->kv.num_kv_heads * args->kv.head_dim;
      LaunchNormInPlace({args->qkv + q_size, args->stride, num_tokens, k_size, ToNorm(args->k_norm)}, context->stream);
    }
  }
  LaunchRopeKvWrite(params, context->stream);
}

// Splits the rows of the step so that the results of segments fit the scratch.
void AttendSmallRows(OpContext* context, AttentionParams params, const AttentionBatch& rows, int64_t scratch_bytes) {
  int longest = 0;
  for (int row = 0; row < rows.num_rows; ++row) {
    longest = std::max(longest, rows.context_len[row] + rows.query_start[row + 1] - rows.query_start[row]);
  }
  params.num_segments = (longest + kSegmentSlots - 1) / kSegmentSlots;
  const int64_t row_floats =
      int64_t{params.kv.num_kv_heads} * params.num_segments * kSmallRows * PartialStride(params.kv.head_dim);
  const int64_t fit = std::min(scratch_bytes / (row_floats * 4), kMaxTickets / params.kv.num_kv_heads);
  CHECK(fit > 0, "attention over {} segments needs {} bytes of scratch, {} planned", params.num_segments,
        row_floats * 4, scratch_bytes);
  Workspace::Scope scope(*context->workspace);
  params.partial = context->workspace->Take<float>(std::min<int64_t>(fit, rows.num_rows) * row_floats);
  params.tickets = static_cast<unsigned*>(context->state);
  for (int first = 0; first < rows.num_rows; first += static_cast<int>(fit)) {
    params.first_row = first;
    params.num_rows = static_cast<int>(std::min<int64_t>(fit, rows.num_rows - first));
    LaunchAttentionSmall(params, context->stream);
  }
}

// Scratch that the longest single row needs, or what many rows can use.
int64_t PartialBytes(int64_t num_kv_heads, int64_t head_dim, int64_t max_rows, int64_t max_model_len) {
  const int64_t segments = (max_model_len + kSegmentSlots - 1) / kSegmentSlots + 1;
  const int64_t row_bytes = num_kv_heads * segments * kSmallRows * PartialStride(static_cast<int>(head_dim)) * 4;
  return std::max(row_bytes, std::min(row_bytes * max_rows, kPartialBytes));
}

void AttentionOp(OpContext* context, const AttentionArgs* args) {
  if (args->batch->num_tokens == 0) return;
  CHECK(args->batch->parent == nullptr, "token trees on the GPU");
  const AttentionBatch& rows = *args->batch->host;
  AttentionParams params;
  params.q = args->q;
  params.q_stride = args->q_stride;
  params.num_heads = args->num_heads;
  params.scale = args->scale;
  params.window = args->window;
  params.softcap = args->softcap;
  params.sinks = args->sinks;
  params.out_gate = args->out_gate;
  params.out_gate_stride = args->out_gate_stride;
  params.out = args->out;
  params.out_stride = args->out_stride;
  params.kv = ToPagedKv(args->kv, *args->batch);
  params.num_rows = rows.num_rows;
  const int group = args->num_heads / args->kv.num_kv_heads;
  bool small = false;
  int max_large = 0;
  for (int row = 0; row < rows.num_rows; ++row) {
    const int length = rows.query_start[row + 1] - rows.query_start[row];
    if (length * group <= kSmallRows) {
      small = true;
    } else {
      max_large = std::max(max_large, length);
    }
  }
  if (max_large > 0) LaunchAttentionLarge(params, max_large, context->stream);
  if (small) AttendSmallRows(context, params, rows, context->workspace->size() - context->workspace->used());
}

void GatherRowsOp(OpContext* context, const GatherRowsArgs* args) {
  LaunchGather({args->x, args->rows, static_cast<int>(args->num_rows), static_cast<int>(args->cols), args->out},
               context->stream);
}

static_assert(sizeof(DrawRow) == sizeof(SampleRow) && offsetof(DrawRow, min_p) == offsetof(SampleRow, min_p));

void SampleOp(OpContext* context, const SampleArgs* args) {
  LaunchSample({args->logits, reinterpret_cast<const DrawRow*>(args->rows), static_cast<int>(args->vocab_size),
                static_cast<int>(args->num_rows), args->tokens},
               context->stream);
}

int64_t KvLayerBytes(DType dtype, int num_kv_heads, int head_dim) {
  const bool supported = dtype == DType::kBF16 && head_dim % 8 == 0 && head_dim <= kMaxHeadDim;
  return supported ? num_kv_heads * KvHeadBytes(head_dim) : 0;
}

void CopyBlocksOp(OpContext* context, std::byte* blocks, int64_t block_bytes, const int32_t* from, const int32_t* to,
                  int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    gpu::Memory()->copy(context->stream, blocks + to[i] * block_bytes, blocks + from[i] * block_bytes, block_bytes);
  }
}

int64_t WorkspaceBytes(const WorkspaceQuery* query) {
  const int64_t padded_k = std::max(query->max_k, query->max_intermediate) + 128;
  const int64_t product = query->max_tokens * (padded_k * 2 + query->max_n * 4) + 256;
  // The number of kv heads is not in the query; there are no more than heads.
  const int64_t attention =
      PartialBytes(query->num_heads, query->head_dim, query->max_rows, query->max_model_len) + 256;
  return std::max({product, attention, MoeWorkspaceBytes(*query)});
}

OpTable MakeTable() {
  OpTable table;
  table.device = "cuda";
  table.memory = gpu::Memory();
  table.state_bytes = kMaxTickets * static_cast<int64_t>(sizeof(unsigned));
  table.pack_matrix = PackMatrix;
  table.free_matrix = FreeMatrix;
  table.packed_bytes = PackedBytes;
  table.workspace_bytes = WorkspaceBytes;
  table.embed = EmbedOp;
  table.linear = LinearOp;
  table.mlp_up = MlpUpOp;
  table.rope_kv_write = RopeKvWriteOp;
  table.attention = AttentionOp;
  table.moe = MoeOp;
  table.gather_rows = GatherRowsOp;
  table.sample = SampleOp;
  table.kv_layer_bytes = KvLayerBytes;
  table.copy_blocks = CopyBlocksOp;
  return table;
}

}  // namespace

const OpTable& CudaOpTable() {
  static const OpTable table = MakeTable();
  return table;
}

}  // namespace millrace::cuda
