#include "cuda/moe.h"

#include <algorithm>

#include "cuda/moe_kernels.h"
#include "cuda/products.h"

namespace millrace::cuda {
namespace {

using namespace kernels;  // NOLINT: the arguments of every function here

constexpr int64_t kChunkTokens = 512;  // bounds the rows that experts keep until they are added

struct Chunk {
  OpContext* context;
  const MoeArgs& args;
  float* x;  // [num_tokens, hidden]
  int64_t num_tokens;

  int64_t NumChoices() const { return num_tokens * args.num_experts_per_tok; }
  template <typename T>
  T* Take(int64_t count) const {
    return context->workspace->Take<T>(count);
  }
  LinearArgs Product(const kernels::PackedMatrix* matrix, const float* from, int64_t cols, float* out,
                     int64_t rows) const {
    LinearArgs product;
    product.x = from;
    product.x_stride = cols;
    product.num_tokens = num_tokens;
    product.matrix = matrix;
    product.out = out;
    product.out_stride = rows;
    return product;
  }
};

// Every expert's matrix with its rows; the experts are alike in all but their weights.
void RunExperts(const Chunk& chunk, const kernels::PackedMatrix* const* matrices, ExpertProductParams params) {
  const PackedMatrix& first = Matrix(matrices[0]);
  params.num_experts = chunk.args.num_experts;
  for (int e = 0; e < chunk.args.num_experts; ++e) {
    const PackedMatrix& matrix = Matrix(matrices[e]);
    CHECK(
        matrix.format == first.format && matrix.padded_rows == first.padded_rows && matrix.num_steps == first.num_steps,
        "experts of different shapes or formats");
    params.weights[e] = matrix.weights.data();
    params.scales[e] = matrix.scales.as<uint32_t>();
    params.bias[e] = matrix.bias.as<float>();
  }
  const auto rows_per_expert =
      static_cast<int>((chunk.NumChoices() + chunk.args.num_experts - 1) / chunk.args.num_experts);
  LaunchExpertProduct(first.format, params, rows_per_expert, chunk.context->stream);
}

struct Routing {
  float* weights;
  int *start, *token_of_row, *row_of_choice;
};

Routing ChooseExperts(const Chunk& chunk) {
  const MoeArgs& args = chunk.args;
  void* stream = chunk.context->stream;
  Routing routing;
  routing.weights = chunk.Take<float>(chunk.NumChoices());
  routing.start = chunk.Take<int>(args.num_experts + 1);
  routing.token_of_row = chunk.Take<int>(chunk.NumChoices());
  routing.row_of_choice = chunk.Take<int>(chunk.NumChoices());
  int* experts = chunk.Take<int>(chunk.NumChoices());
  float* logits = chunk.Take<float>(chunk.num_tokens * args.num_experts);
  LinearArgs router = chunk.Product(args.router, chunk.x, args.hidden, logits, args.num_experts);
  router.pre_norm = args.pre_norm;
  LinearOp(chunk.context, &router);
  RouteParams route;
  route.logits = logits;
  route.num_tokens = static_cast<int>(chunk.num_tokens);
  route.num_experts = args.num_experts;
  route.k = args.num_experts_per_tok;
  route.softmax_over_all = args.router_kind == RouterKind::kSoftmaxTopK && !args.norm_topk_prob;
  route.experts = experts;
  route.weights = routing.weights;
  LaunchRoute(route, stream);
  SortChoicesParams sort;
  sort.experts = experts;
  sort.num_choices = static_cast<int>(chunk.NumChoices());
  sort.num_experts = args.num_experts;
  sort.k = args.num_experts_per_tok;
  sort.start = routing.start;
  sort.token_of_row = routing.token_of_row;
  sort.row_of_choice = routing.row_of_choice;
  LaunchSortChoices(sort, stream);
  return routing;
}

// down(act(gate(norm x)) * up(norm x)) of every choice, [num_choices, hidden] in the order of rows.
float* RunRoutedExperts(const Chunk& chunk, const Routing& routing) {
  const MoeArgs& args = chunk.args;
  float* y = chunk.Take<float>(chunk.NumChoices() * args.hidden);
  Workspace::Scope scope(*chunk.context->workspace);
  float* inner = chunk.Take<float>(chunk.NumChoices() * args.intermediate);
  const PackedMatrix& gate_up = Matrix(args.gate_up[0]);
  ExpertProductParams up;
  up.product = ProductOf(
      gate_up, PrepareInput(chunk.context, gate_up, chunk.x, args.hidden, chunk.num_tokens, args.pre_norm), 0);
  up.product.activation = static_cast<Activation>(args.activation);
  up.product.swiglu_limit = args.swiglu_limit;
  up.product.out = inner;
  up.product.out_stride = args.intermediate;
  up.start = routing.start;
  up.x_rows = routing.token_of_row;
  RunExperts(chunk, args.gate_up, up);
  const PackedMatrix& matrix = Matrix(args.down[0]);
  ExpertProductParams down;
  down.product =
      ProductOf(matrix, PrepareInput(chunk.context, matrix, inner, args.intermediate, chunk.NumChoices(), Norm()), 0);
  down.product.out = y;
  down.product.out_stride = args.hidden;
  down.start = routing.start;
  RunExperts(chunk, args.down, down);
  return y;
}

void RunSharedExpert(const Chunk& chunk, CombineParams* combine) {
  const MoeArgs& args = chunk.args;
  if (args.shared_gate_up == nullptr) return;
  float* y = chunk.Take<float>(chunk.num_tokens * args.hidden);
  if (args.shared_expert_gate != nullptr) {
    float* gate = chunk.Take<float>(chunk.num_tokens);
    LinearArgs product = chunk.Product(args.shared_expert_gate, chunk.x, args.hidden, gate, 1);
    product.pre_norm = args.pre_norm;
    LinearOp(chunk.context, &product);
    combine->shared_gate = gate;
  }
  Workspace::Scope scope(*chunk.context->workspace);
  float* inner = chunk.Take<float>(chunk.num_tokens * args.shared_intermediate);
  MlpUpArgs up;
  up.x = chunk.x;
  up.x_stride = args.hidden;
  up.num_tokens = chunk.num_tokens;
  up.pre_norm = args.pre_norm;
  up.matrix = args.shared_gate_up;
  up.activation = args.activation;
  up.swiglu_limit = args.swiglu_limit;
  up.out = inner;
  up.out_stride = args.shared_intermediate;
  MlpUpOp(chunk.context, &up);
  const LinearArgs down = chunk.Product(args.shared_down, inner, args.shared_intermediate, y, args.hidden);
  LinearOp(chunk.context, &down);
  combine->shared = y;
}

void RunChunk(const Chunk& chunk) {
  const MoeArgs& args = chunk.args;
  Workspace::Scope scope(*chunk.context->workspace);
  const Routing routing = ChooseExperts(chunk);
  CombineParams combine;
  combine.y = RunRoutedExperts(chunk, routing);
  RunSharedExpert(chunk, &combine);
  combine.x = chunk.x;
  combine.weights = routing.weights;
  combine.row_of_choice = routing.row_of_choice;
  combine.num_tokens = static_cast<int>(chunk.num_tokens);
  combine.hidden = static_cast<int>(args.hidden);
  combine.k = args.num_experts_per_tok;
  combine.scale = args.scale;
  LaunchCombine(combine, chunk.context->stream);
}

}  // namespace

void MoeOp(OpContext* context, const MoeArgs* args) {
  CHECK(args->num_experts <= kMaxExperts && args->num_experts_per_tok <= kMaxChoicesPerToken, "{} of {} experts",
        args->num_experts_per_tok, args->num_experts);
  for (int64_t begin = 0; begin < args->num_tokens; begin += kChunkTokens) {
    RunChunk({context, *args, args->x + begin * args->hidden, std::min(kChunkTokens, args->num_tokens - begin)});
  }
}

int64_t MoeWorkspaceBytes(const WorkspaceQuery& query) {
  if (query.num_experts == 0) return 0;
  const int64_t tokens = std::min(query.max_tokens, kChunkTokens), choices = tokens * query.num_experts_per_tok;
  const int64_t hidden = std::min(query.max_k, query.max_n), inner = query.max_intermediate;
  const int64_t padding = 128;  // of a row of activations
  const int64_t words =
      choices * (4 + hidden + inner) + tokens * (query.num_experts + hidden + 1 + inner) + query.num_experts + 1;
  const int64_t inputs = 2 * (tokens * (2 * query.max_k + 2 * padding) + choices * (inner + padding));
  return 4 * words + inputs + 16 * 64;
}

}  // namespace millrace::cuda
