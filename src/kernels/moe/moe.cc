#include "kernels/moe/moe.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/linear/linear.h"
#include "kernels/moe/moe_kernels.h"

namespace millrace::kernels {
namespace {

constexpr int kMaxExpertsPerToken = 64;

// Choice j of token t of the chunk has row `row[t * k + j]` in the outputs; rows [start[e], start[e + 1]) belong to
// expert e and to tokens `token`.
struct Routing {
  int32_t* experts;  // [tokens, k]
  float* weights;    // [tokens, k]
  int32_t* start;    // [num_experts + 1]
  int32_t* row;      // [tokens, k]
  int32_t* token;    // [tokens * k]
};

struct Chunk {
  const MoeArgs* args;
  float* x;  // [num_tokens, hidden]
  int64_t num_tokens;

  int64_t NumChoices() const { return num_tokens * args->num_experts_per_tok; }
};

// y[t, :] (=) matrix * norm(x[t, :]) for the tokens of the chunk.
void Project(OpContext* context, const Chunk& chunk, const PackedMatrix* matrix, int64_t out_features, float* out) {
  LinearArgs linear;
  linear.x = chunk.x;
  linear.x_stride = chunk.args->hidden;
  linear.num_tokens = chunk.num_tokens;
  linear.pre_norm = chunk.args->pre_norm;
  linear.matrix = matrix;
  linear.out = out;
  linear.out_stride = out_features;
  LinearCpu(context, &linear);
}

struct Expert {
  const PackedMatrix* gate_up;
  const PackedMatrix* down;
  int64_t intermediate;
};

// Products of one expert for n rows: inner [n, intermediate] = act(gate) * up of norm(x), y [n, hidden] = down of
// inner.
MlpUpArgs UpOf(const Chunk& chunk, const Expert& expert, int64_t n, float* inner) {
  MlpUpArgs up;
  up.x = chunk.x;
  up.x_stride = chunk.args->hidden;
  up.num_tokens = n;
  up.pre_norm = chunk.args->pre_norm;
  up.matrix = expert.gate_up;
  up.gated = true;
  up.activation = chunk.args->activation;
  up.swiglu_limit = chunk.args->swiglu_limit;
  up.out = inner;
  up.out_stride = expert.intermediate;
  return up;
}

LinearArgs DownOf(const Chunk& chunk, const Expert& expert, int64_t n, const float* inner, float* y) {
  LinearArgs down;
  down.x = inner;
  down.x_stride = expert.intermediate;
  down.num_tokens = n;
  down.matrix = expert.down;
  down.out = y;
  down.out_stride = chunk.args->hidden;
  return down;
}

Routing Route(OpContext* context, const Chunk& chunk) {
  const MoeArgs& args = *chunk.args;
  Workspace& workspace = *context->workspace;
  const int k = args.num_experts_per_tok;
  Routing routing;
  routing.experts = workspace.Take<int32_t>(chunk.NumChoices());
  routing.weights = workspace.Take<float>(chunk.NumChoices());
  routing.start = workspace.Take<int32_t>(args.num_experts + 1);
  routing.row = workspace.Take<int32_t>(chunk.NumChoices());
  routing.token = workspace.Take<int32_t>(chunk.NumChoices());
  float* logits = workspace.Take<float>(chunk.num_tokens * args.num_experts);
  Project(context, chunk, args.router, args.num_experts, logits);
  const RouterRule rule{args.router_kind, args.norm_topk_prob, args.num_experts, k};
  context->pool->ParallelFor(chunk.num_tokens, 8, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      RouteToken(rule, logits + t * args.num_experts, routing.experts + t * k, routing.weights + t * k);
  });

  std::fill_n(routing.start, args.num_experts + 1, 0);
  for (int64_t i = 0; i < chunk.NumChoices(); ++i) ++routing.start[routing.experts[i] + 1];
  for (int e = 0; e < args.num_experts; ++e) routing.start[e + 1] += routing.start[e];
  for (int64_t i = 0; i < chunk.NumChoices(); ++i) {
    routing.row[i] = routing.start[routing.experts[i]]++;
    routing.token[routing.row[i]] = static_cast<int32_t>(i / k);
  }
  // Handing out rows moved every start to the next expert's.
  std::memmove(routing.start + 1, routing.start, static_cast<size_t>(args.num_experts) * sizeof(int32_t));
  routing.start[0] = 0;
  return routing;
}

// y [tokens * k, hidden], in the order of routing.row. Two regions for all experts: a product of few tokens is too
// short to be one.
void RunExperts(OpContext* context, const Chunk& chunk, const Routing& routing, float* y) {
  const MoeArgs& args = *chunk.args;
  Workspace& workspace = *context->workspace;
  Workspace::Scope scope(workspace);
  float* inner = workspace.Take<float>(chunk.NumChoices() * args.intermediate);
  MlpUpArgs* up = workspace.Take<MlpUpArgs>(args.num_experts);
  LinearArgs* down = workspace.Take<LinearArgs>(args.num_experts);
  const int32_t** rows = workspace.Take<const int32_t*>(args.num_experts);
  int num_used = 0;
  for (int e = 0; e < args.num_experts; ++e) {
    const int64_t first = routing.start[e];
    const int64_t n = routing.start[e + 1] - first;
    if (n == 0) continue;
    const Expert expert{args.gate_up[e], args.down[e], args.intermediate};
    up[num_used] = UpOf(chunk, expert, n, inner + first * args.intermediate);
    down[num_used] = DownOf(chunk, expert, n, inner + first * args.intermediate, y + first * args.hidden);
    rows[num_used++] = routing.token + first;
  }
  MlpUpGroupCpu(context, up, rows, num_used);
  LinearGroupCpu(context, down, nullptr, num_used);
}

// The shared expert's outputs [tokens, hidden] and weights [tokens].
struct Shared {
  float* y = nullptr;
  float* weights = nullptr;
};
Shared RunShared(OpContext* context, const Chunk& chunk) {
  const MoeArgs& args = *chunk.args;
  Shared shared;
  if (args.shared_gate_up == nullptr) return shared;
  shared.y = context->workspace->Take<float>(chunk.num_tokens * args.hidden);
  shared.weights = context->workspace->Take<float>(chunk.num_tokens);
  std::fill_n(shared.weights, chunk.num_tokens, 1.0f);
  if (args.shared_expert_gate != nullptr) {
    Project(context, chunk, args.shared_expert_gate, 1, shared.weights);
    for (int64_t t = 0; t < chunk.num_tokens; ++t) shared.weights[t] = 1.0f / (1.0f + std::exp(-shared.weights[t]));
  }
  Workspace::Scope scope(*context->workspace);
  float* inner = context->workspace->Take<float>(chunk.num_tokens * args.shared_intermediate);
  const Expert expert{args.shared_gate_up, args.shared_down, args.shared_intermediate};
  const MlpUpArgs up = UpOf(chunk, expert, chunk.num_tokens, inner);
  MlpUpCpu(context, &up);
  const LinearArgs down = DownOf(chunk, expert, chunk.num_tokens, inner, shared.y);
  LinearCpu(context, &down);
  return shared;
}

void RunChunk(CombineKernel* combine, OpContext* context, const Chunk& chunk) {
  const MoeArgs& args = *chunk.args;
  const int k = args.num_experts_per_tok;
  Workspace::Scope scope(*context->workspace);
  const Routing routing = Route(context, chunk);
  float* y = context->workspace->Take<float>(chunk.NumChoices() * args.hidden);
  RunExperts(context, chunk, routing, y);
  const Shared shared = RunShared(context, chunk);
  context->pool->ParallelFor(chunk.num_tokens, 4, [&](int64_t begin, int64_t end) {
    float weights[kMaxExpertsPerToken + 1];
    const float* rows[kMaxExpertsPerToken + 1];
    for (int64_t t = begin; t < end; ++t) {
      for (int j = 0; j < k; ++j) {
        weights[j] = routing.weights[t * k + j];
        rows[j] = y + routing.row[t * k + j] * args.hidden;
      }
      CombineTask task{k, weights, rows, args.scale, args.hidden, chunk.x + t * args.hidden};
      if (shared.y != nullptr) {
        weights[k] = shared.weights[t];
        rows[k] = shared.y + t * args.hidden;
        task.num_outputs = k + 1;
      }
      combine(task);
    }
  });
}

}  // namespace

CombineKernel* GetCombineKernel(Isa isa) {
#define X(listed, function) \
  if (isa == (listed)) return function;
#include "kernels/moe/moe_kernels.inc"
#undef X
  CHECK(false, "no kernel for {}", IsaName(isa));
}

void RouteToken(const RouterRule& rule, const float* logits, int32_t* experts, float* weights) {
  const int k = rule.num_experts_per_tok;
  for (int j = 0; j < k; ++j) {
    int best = -1;
    for (int e = 0; e < rule.num_experts; ++e) {
      if (std::find(experts, experts + j, e) != experts + j) continue;
      if (best < 0 || logits[e] > logits[best]) best = e;
    }
    experts[j] = best;
  }
  const float max = logits[experts[0]];
  float sum = 0;
  if (rule.kind == RouterKind::kSoftmaxTopK && !rule.norm_topk_prob) {
    for (int e = 0; e < rule.num_experts; ++e) sum += std::exp(logits[e] - max);
  } else {
    // Renormalised probabilities are the softmax over the chosen.
    for (int j = 0; j < k; ++j) sum += std::exp(logits[experts[j]] - max);
  }
  const bool has_nan = std::any_of(logits, logits + rule.num_experts, [](float v) { return std::isnan(v); });
  for (int j = 0; j < k; ++j) {
    weights[j] = has_nan ? std::numeric_limits<float>::quiet_NaN() : std::exp(logits[experts[j]] - max) / sum;
  }
}

int64_t MoeWorkspaceBytes(const WorkspaceQuery& query) {
  if (query.num_experts == 0) return 0;
  const int64_t tokens = std::min(query.max_tokens, kMoeChunkTokens);
  const int64_t hidden = std::min(query.max_k, query.max_n);
  const int64_t choices = tokens * query.num_experts_per_tok;
  const int64_t values = choices * (4 + hidden + query.max_intermediate) + 2 * query.num_experts +
                         tokens * (query.num_experts + hidden + 1 + query.max_intermediate);
  const int64_t products = std::min<int64_t>(choices, query.num_experts);
  const int64_t per_expert = sizeof(MlpUpArgs) + sizeof(LinearArgs) + sizeof(int32_t*);
  const int64_t group =
      LinearGroupWorkspaceBytes(choices, std::max(query.max_k, query.max_intermediate), static_cast<int>(products));
  constexpr int64_t kAlignment = 16 * 64;
  WorkspaceQuery single = query;
  single.max_tokens = tokens;
  return values * static_cast<int64_t>(sizeof(float)) + query.num_experts * per_expert + kAlignment +
         std::max(group, LinearWorkspaceBytes(&single));
}

void MoeCpu(OpContext* context, const MoeArgs* args) {
  static CombineKernel* const combine = GetCombineKernel(SelectIsa().value());
  CHECK(args->num_experts_per_tok >= 1 && args->num_experts_per_tok <= std::min(args->num_experts, kMaxExpertsPerToken),
        "{} of {} experts per token", args->num_experts_per_tok, args->num_experts);
  for (int64_t begin = 0; begin < args->num_tokens; begin += kMoeChunkTokens) {
    RunChunk(combine, context,
             {args, args->x + begin * args->hidden, std::min(kMoeChunkTokens, args->num_tokens - begin)});
  }
}

}  // namespace millrace::kernels
