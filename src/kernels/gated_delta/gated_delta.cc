#include "kernels/gated_delta/gated_delta.h"

#include <cstring>

#include "kernels/gated_delta/gated_delta_kernels.h"

namespace millrace::kernels {
namespace {

// Copies the convolution inputs of one token, in channel order.
void CopyConvInputs(const GatedDeltaArgs& args, const float* qkvz, float* to) {
  const size_t key_bytes = static_cast<size_t>(args.key_head_dim) * sizeof(float);
  const size_t value_bytes = static_cast<size_t>(args.value_head_dim) * sizeof(float);
  for (int head = 0; head < args.num_value_heads; ++head) {
    const DeltaOffsets at = OffsetsOf(args, head);
    std::memcpy(to + at.q_conv, qkvz + at.q, key_bytes);
    std::memcpy(to + at.k_conv, qkvz + at.k, key_bytes);
    std::memcpy(to + at.v_conv, qkvz + at.v, value_bytes);
  }
}

// The last conv_kernel - 1 inputs after this step. In ascending order, so that the state may be updated in place.
void UpdateConvState(const GatedDeltaArgs& args, int row) {
  const int64_t pieces = 1 + args.num_value_heads;
  const float* before = args.state_in[row * pieces];
  float* after = args.state_out[row * pieces];
  const int64_t channels = ConvChannels(args);
  const size_t bytes = static_cast<size_t>(channels) * sizeof(float);
  const int history = args.conv_kernel - 1;
  const int begin = args.query_start[row];
  const int num_new = args.query_start[row + 1] - begin;
  for (int i = 0; i < history; ++i) {
    const int input = i + num_new - history;  // new token, or before them when negative
    if (input >= 0) {
      CopyConvInputs(args, args.qkvz + (begin + input) * args.qkvz_stride, after + i * channels);
    } else if (before == nullptr) {
      std::memset(after + i * channels, 0, bytes);
    } else if (before != after || num_new > 0) {
      std::memmove(after + i * channels, before + (i + num_new) * channels, bytes);
    }
  }
}

}  // namespace

GatedDeltaKernel* GetGatedDeltaKernel(Isa isa) {
#define X(listed, function) \
  if (isa == (listed)) return function;
#include "kernels/gated_delta/gated_delta_kernels.inc"
#undef X
  CHECK(false, "no gated_delta kernel for {}", IsaName(isa));
}

void RunGatedDelta(GatedDeltaKernel* kernel, OpContext* context, const GatedDeltaArgs& args) {
  CHECK_LE(args.key_head_dim, kMaxDeltaHeadDim);
  CHECK_LE(args.value_head_dim, kMaxDeltaHeadDim);
  CHECK(args.conv_kernel >= 1 && args.conv_kernel <= kMaxConvKernel, "conv_kernel is {}", args.conv_kernel);
  CHECK_EQ(args.num_value_heads % args.num_key_heads, 0);
  context->pool->ParallelFor(
      static_cast<int64_t>(args.num_rows) * args.num_value_heads, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          kernel(args, static_cast<int>(i / args.num_value_heads), static_cast<int>(i % args.num_value_heads));
        }
      });
  // Only now, since every head above reads it.
  context->pool->ParallelFor(args.num_rows, 4, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) UpdateConvState(args, static_cast<int>(row));
  });
}

void GatedDeltaCpu(OpContext* context, const GatedDeltaArgs* args) {
  static GatedDeltaKernel* const kernel = GetGatedDeltaKernel(SelectIsa().value());
  RunGatedDelta(kernel, context, *args);
}

}  // namespace millrace::kernels
