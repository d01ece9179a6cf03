// OpTable: the device seam. One const table of function pointers per device, filled at load by the CPU or by the CUDA
// plugin. Entries are fused layer steps; how activations are quantised, tiled or cached never shows above them. Plain C
// types only, so that a plugin can fill the table across a shared-library boundary.
//
// Residual streams and activations are f32. T is the number of tokens of the step. All pointers in arguments are device
// memory of the table's device, except where a comment says host; calls return before a device has done them, in the
// order of OpContext::stream. Every entry gives the same bits for a token whatever else is in the batch and whatever
// the number of threads (DESIGN 3).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/thread_pool.h"
#include "tensor/buffer.h"

namespace millrace::kernels {

// What a call may use besides its arguments: owned by the ModelRunner, one per rank.
struct OpContext {
  ThreadPool* pool = nullptr;      // CPU, and packing
  Workspace* workspace = nullptr;  // scratch of the step, in device memory
  void* stream = nullptr;          // CUDA
  void* state = nullptr;           // OpTable::state_bytes of device memory, cleared once, for the table alone
  HostArena* weights = nullptr;    // CPU: where packed matrices lie side by side; null: each has its own mapping
};

// Room for the one-sentence reason when an entry refuses.
struct ErrorText {
  char text[256] = {0};
};

// Rows of a weight matrix in their stored type. Exactly one of data and gather is set.
struct WeightRows {
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  const std::byte* data = nullptr;  // RowBytes(dtype, cols) apart; host memory, except in EmbedArgs
  void (*gather)(const void* context, int64_t first, int64_t count, std::byte* dst) = nullptr;
  const void* context = nullptr;
};

// A matrix packed for one device and ISA: [N, K], N the sum of its parts' rows. Opaque; made and freed by the table.
struct PackedMatrix;

enum class NormKind : int { kNone, kRms, kLayer };

// weight and bias [dim] f32; bias may be null. RMS: x * rsqrt(mean(x^2) + eps) * weight (Zhang & Sennrich 2019).
struct Norm {
  NormKind kind = NormKind::kNone;
  const float* weight = nullptr;
  const float* bias = nullptr;
  float eps = 1e-5f;
};

enum class ActivationKind : int { kNone, kSilu, kGeluTanh, kGeluErf, kSwigluOai, kRelu2 };

// x[t] = embedding row of token_ids[t] * scale (+ positions' row).
struct EmbedArgs {
  // The CPU takes any type; other devices F32, F16 and BF16.
  const WeightRows* table = nullptr;           // [vocab, hidden]
  const WeightRows* position_table = nullptr;  // [max positions, hidden] or null (GPT-2)
  const int32_t* token_ids = nullptr;          // [T]
  const int32_t* positions = nullptr;          // [T]
  int64_t num_tokens = 0;
  float scale = 1.0f;
  float* x = nullptr;  // out [T, hidden]
};

// out[t, :] (=|+=) scale * post_norm(matrix * pre_norm(x[t, :]) + bias), the bias being part of the matrix.
// Covers norm + QKV, output projection + residual, down + residual, and the LM head.
struct LinearArgs {
  const float* x = nullptr;  // [T, K], rows x_stride apart
  int64_t x_stride = 0;
  bool x_from_mlp_up = false;  // x is what mlp_up left for this matrix (MlpUpArgs::next); no pre_norm
  int64_t num_tokens = 0;
  Norm pre_norm;
  const PackedMatrix* matrix = nullptr;  // [N, K]
  Norm post_norm;                        // over N, before adding
  float scale = 1.0f;                    // residual_multiplier
  float softcap = 0.0f;                  // > 0: softcap * tanh(value / softcap) after scale (Gemma's head)
  bool accumulate = false;               // add to out instead of storing
  float* out = nullptr;                  // [T, N], rows out_stride apart
  int64_t out_stride = 0;
};

// out[t, :] = act(gate * norm(x[t])) * (up * norm(x[t])), or act(up * norm(x[t])) when not gated.
// The matrix is packed with `gated`: its first part is gate, its second up, both [I, K].
struct MlpUpArgs {
  const float* x = nullptr;  // [T, K]
  int64_t x_stride = 0;
  int64_t num_tokens = 0;
  Norm pre_norm;
  const PackedMatrix* matrix = nullptr;  // [2I, K] or [I, K]
  bool gated = true;
  ActivationKind activation = ActivationKind::kSilu;
  float swiglu_limit = 7.0f;  // kSwigluOai: gate <= limit, -limit <= up <= limit, gate * sigmoid(1.702 gate) * (up + 1)
  float* out = nullptr;       // [T, I]
  int64_t out_stride = 0;
  // The matrix of the one product that will read out, I its columns = out_stride, called with x_from_mlp_up: out may
  // then hold its activations in a form of the device's own, within the same bytes. Null: f32.
  const PackedMatrix* next = nullptr;
};

// Where one layer of one KV group keeps its keys and values. kernels/attention/kv_layout.h defines the bytes inside a
// layer.
struct KvCacheView {
  std::byte* blocks = nullptr;  // the pool: block b starts at blocks + b * block_bytes
  int64_t block_bytes = 0;
  int64_t layer_offset = 0;    // of this layer inside a block
  DType dtype = DType::kBF16;  // kF32, kF16, kBF16, kI8 or kF8E4M3 (f32 scale per token and head)
  int num_kv_heads = 0;
  int head_dim = 0;
};

// The rows of a step as attention sees them, for one KV group (core/batch.h has the meaning).
struct AttentionBatch {
  int num_rows = 0;
  int num_tokens = 0;
  const int32_t* query_start = nullptr;  // [num_rows + 1]
  const int32_t* context_len = nullptr;  // [num_rows]
  const int32_t* positions = nullptr;    // [T]
  const int32_t* parent = nullptr;       // [T] or null
  const int32_t* table_start = nullptr;  // [num_rows + 1]
  const int32_t* block_ids = nullptr;    // concatenated tables
  const AttentionBatch* host = nullptr;  // the same arrays in host memory; null on the CPU, where the above are
};

// Applies q/k norms (per head, optional) and rope to q and k in place, then writes k and v to the cache.
struct RopeKvWriteArgs {
  float* qkv = nullptr;  // [T, (num_heads + 2 num_kv_heads) * head_dim]: q, k, v side by side
  int64_t stride = 0;
  int num_heads = 0;
  Norm q_norm, k_norm;  // weight [head_dim], or [heads * head_dim] when norm_whole_row (OLMo 2)
  bool norm_whole_row = false;
  const float* cos_sin = nullptr;  // [T, rotary_dim / 2, 2] of this step; null: no rope in this layer
  int rotary_dim = 0;
  bool rope_interleaved = false;  // pairs (2i, 2i + 1) instead of (i, i + rotary_dim / 2)
  KvCacheView kv;
  const AttentionBatch* batch = nullptr;
};

// Causal attention of every new token over its sequence's cached keys and values, this step's included.
// p = softmax(softcap(scale * q.k)), window and tree masks applied; sinks add exp(sink[h]) to the denominator.
struct AttentionArgs {
  const float* q = nullptr;  // [T, num_heads * head_dim], rows q_stride apart
  int64_t q_stride = 0;
  int num_heads = 0;
  float scale = 1.0f;
  int window = 0;                // > 0: token at slot s sees slots (s - window, s]
  float softcap = 0.0f;          // > 0: softcap * tanh(score / softcap)
  const float* sinks = nullptr;  // [num_heads] or null
  KvCacheView kv;
  const AttentionBatch* batch = nullptr;
  const float* out_gate = nullptr;  // [T, num_heads * head_dim] or null: out *= sigmoid(out_gate) (Qwen3-Next)
  int64_t out_gate_stride = 0;
  float* out = nullptr;  // [T, num_heads * head_dim]
  int64_t out_stride = 0;
};

enum class RouterKind : int {
  kSoftmaxTopK,  // softmax over all experts, then the best k (Qwen3-MoE, Mixtral when renormalised)
  kTopKSoftmax,  // the best k logits, softmax over those (GPT-OSS)
};

// x += sum over the chosen experts of weight * down(act(gate(norm(x))) * up(norm(x))), plus the shared expert.
// Experts add in routing order (best first), ties go to the lowest id.
struct MoeArgs {
  float* x = nullptr;  // [T, hidden], in and out
  int64_t num_tokens = 0;
  int64_t hidden = 0;
  Norm pre_norm;
  const PackedMatrix* router = nullptr;  // [E, hidden]
  RouterKind router_kind = RouterKind::kSoftmaxTopK;
  bool norm_topk_prob = true;
  int num_experts = 0;
  int num_experts_per_tok = 0;
  const PackedMatrix* const* gate_up = nullptr;  // host [E], each [2I, hidden]
  const PackedMatrix* const* down = nullptr;     // host [E], each [hidden, I]
  int64_t intermediate = 0;
  ActivationKind activation = ActivationKind::kSilu;
  float swiglu_limit = 7.0f;
  const PackedMatrix* shared_gate_up = nullptr;  // null: no shared expert
  const PackedMatrix* shared_down = nullptr;
  int64_t shared_intermediate = 0;
  const PackedMatrix* shared_expert_gate = nullptr;  // [1, hidden]: sigmoid weight; null: 1
  float scale = 1.0f;
};

// Gated delta net (Yang et al. 2024, as in Qwen3-Next): short causal convolution over q, k, v, then per value head
// S = exp(g) S + beta k (v - S^T k)^T, o = S^T q, followed by a gated RMSNorm. State lives in a recurrent KV group.
struct GatedDeltaArgs {
  const float* qkvz = nullptr;  // [T, ...] projection output
  int64_t qkvz_stride = 0;
  const float* ba = nullptr;  // [T, 2 * num_value_heads]
  int64_t ba_stride = 0;
  const float* conv_weight = nullptr;  // [conv_dim, kernel]
  const float* a_log = nullptr;        // [num_value_heads]
  const float* dt_bias = nullptr;      // [num_value_heads]
  Norm out_norm;                       // weight [value_head_dim]
  int num_key_heads = 0, num_value_heads = 0, key_head_dim = 0, value_head_dim = 0, conv_kernel = 0;
  int num_rows = 0;
  const int32_t* query_start = nullptr;  // [num_rows + 1]
  const int32_t* context_len = nullptr;  // [num_rows]
  // State pieces, [num_rows, 1 + num_value_heads] pointers: piece 0 is the convolution's last conv_kernel - 1 inputs
  // [conv_kernel - 1, conv_dim], piece 1 + h the matrix S of value head h [key_head_dim, value_head_dim], all f32.
  // Pieces of a sequence need not be contiguous (a state spans several KV blocks). state_in entries are null for a new
  // sequence: zeros; state_out may be the same memory.
  const float* const* state_in = nullptr;
  float* const* state_out = nullptr;
  float* out = nullptr;  // [T, num_value_heads * value_head_dim]
  int64_t out_stride = 0;
};

// out[r, :] = x[rows[r], :]
struct GatherRowsArgs {
  const float* x = nullptr;
  int64_t cols = 0;
  const int32_t* rows = nullptr;  // [num_rows]
  int64_t num_rows = 0;
  float* out = nullptr;
};

// How to draw from one row of logits: temperature, top-k, top-p, min-p as sampling/filters.h, noise as
// sampling/noise.h.
struct SampleRow {
  uint64_t seed = 0;
  int32_t choice_index = 0;
  int32_t position = 0;
  float temperature = 0.0f;  // 0: the best, ties to the lowest id
  int32_t top_k = 0;         // 0: all
  float top_p = 1.0f;
  float min_p = 0.0f;
};

struct SampleArgs {
  const float* logits = nullptr;    // [num_rows, vocab_size]
  const SampleRow* rows = nullptr;  // [num_rows]
  int64_t vocab_size = 0;
  int64_t num_rows = 0;
  int32_t* tokens = nullptr;  // out [num_rows]; -1 where a logit is not finite
};

// Sizes that the workspace plan depends on; the largest values over all layers of a rank.
struct WorkspaceQuery {
  int64_t max_tokens = 0;  // of one step
  int64_t max_rows = 0;
  int64_t max_k = 0;  // inner dimension of any product
  int64_t max_n = 0;  // outer dimension of any product but the head
  int64_t max_intermediate = 0;
  int num_heads = 0;
  int head_dim = 0;
  int64_t max_model_len = 0;
  int num_experts = 0;
  int num_experts_per_tok = 0;
};

struct OpTable {
  uint32_t struct_size = sizeof(OpTable);
  const char* device = "";               // "cpu", "cuda"
  const char* isa = "";                  // "avx512", "NVIDIA H200"
  const DeviceMemory* memory = nullptr;  // null: the device's memory is the host's
  int64_t state_bytes = 0;               // see OpContext

  // Packs the rows of `parts` one below the other; bias [N] f32 (host) or null. `gated` marks a gate/up pair of equal
  // shapes. Null with the reason in `error` when a type or shape is not supported.
  PackedMatrix* (*pack_matrix)(OpContext* context, const WeightRows* parts, int num_parts, const float* bias,
                               bool gated, ErrorText* error) = nullptr;
  void (*free_matrix)(PackedMatrix* matrix) = nullptr;
  int64_t (*packed_bytes)(const PackedMatrix* matrix) = nullptr;  // bytes read per multiplication

  int64_t (*workspace_bytes)(const WorkspaceQuery* query) = nullptr;

  // An entry that is null is not supported by the device; the loader refuses models that need it.
  void (*embed)(OpContext* context, const EmbedArgs* args) = nullptr;
  void (*linear)(OpContext* context, const LinearArgs* args) = nullptr;
  void (*mlp_up)(OpContext* context, const MlpUpArgs* args) = nullptr;
  void (*rope_kv_write)(OpContext* context, const RopeKvWriteArgs* args) = nullptr;
  void (*attention)(OpContext* context, const AttentionArgs* args) = nullptr;
  void (*moe)(OpContext* context, const MoeArgs* args) = nullptr;
  void (*gated_delta)(OpContext* context, const GatedDeltaArgs* args) = nullptr;
  void (*gather_rows)(OpContext* context, const GatherRowsArgs* args) = nullptr;
  void (*sample)(OpContext* context, const SampleArgs* args) = nullptr;  // null: logits are drawn from on the host

  // Bytes of one layer of a paged group inside a block (keys, values, scales) for this device's layout; 0 when it has
  // none for the type.
  int64_t (*kv_layer_bytes)(DType dtype, int num_kv_heads, int head_dim) = nullptr;
  // Copies whole blocks of the pool (copy-on-write, forks), pair by pair in order; from, to are host arrays [n].
  void (*copy_blocks)(OpContext* context, std::byte* blocks, int64_t block_bytes, const int32_t* from,
                      const int32_t* to, int64_t n) = nullptr;
};

// The CPU's table for the ISA that SelectIsa gives; kUnsupported when MILLRACE_FORCE_ISA can't be honoured.
Result<const OpTable*> CpuOpTable();

}  // namespace millrace::kernels
