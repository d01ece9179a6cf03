// OpTable::moe: a mixture-of-experts layer with its residual.
//
//   p = router logits of norm(x);  kSoftmaxTopK: softmax over all experts, the best k, divided by their sum when
//   norm_topk_prob
//                                  kTopKSoftmax: the best k logits, softmax over those
//   x += scale * (sum over the chosen experts, best first, of p_e * down_e(act(gate_e) * up_e) + sigmoid(g) * shared
//   expert)
// Equal logits go to the lowest expert. Sums run in that order whatever else is in the batch, so a token's bits depend
// on the token alone.
//
// Tokens are grouped by expert: a step reads each expert's weights once for every kMoeChunkTokens tokens.
#pragma once

#include "kernels/op_table.h"

namespace millrace::kernels {

inline constexpr int64_t kMoeChunkTokens =
    512;  // bounds the outputs kept until they are added: tokens * experts per token * hidden

void MoeCpu(OpContext* context, const MoeArgs* args);

// Workspace that MoeCpu may take, its products included.
int64_t MoeWorkspaceBytes(const WorkspaceQuery& query);

// One token's choice: experts [k] best first and their weights [k]. logits [num_experts]. A NaN among the logits makes
// every weight NaN.
struct RouterRule {
  RouterKind kind = RouterKind::kSoftmaxTopK;
  bool norm_topk_prob = true;
  int num_experts = 0;
  int num_experts_per_tok = 0;
};
void RouteToken(const RouterRule& rule, const float* logits, int32_t* experts, float* weights);

}  // namespace millrace::kernels
