// The list of gated_delta kernels. Internal to this folder and its tests.
#pragma once

#include "kernels/gated_delta/gated_delta.h"
#include "kernels/isa.h"

namespace millrace::kernels {

// All tokens of a row for one value head: out and the state of the head; reads the convolution's state, does not write
// it.
using GatedDeltaKernel = void(const GatedDeltaArgs& args, int row, int head);

#define X(isa, function) GatedDeltaKernel function;
#include "kernels/gated_delta/gated_delta_kernels.inc"
#undef X

// The kernel of an ISA that IsaAvailable accepts.
GatedDeltaKernel* GetGatedDeltaKernel(Isa isa);

// Where the parts of a value head lie.
struct DeltaOffsets {
  int64_t q, k, v, z;              // in a qkvz row
  int64_t b, a;                    // in a ba row
  int64_t q_conv, k_conv, v_conv;  // conv channels
};
[[gnu::always_inline]] inline DeltaOffsets OffsetsOf(const GatedDeltaArgs& args, int head) {
  const int64_t ratio = args.num_value_heads / args.num_key_heads;
  const int64_t group = head / ratio;
  const int64_t member = head % ratio;
  const int64_t key_dim = args.key_head_dim;
  const int64_t value_dim = args.value_head_dim;
  const int64_t keys = args.num_key_heads * key_dim;
  const int64_t base = group * 2 * (key_dim + ratio * value_dim);
  const int64_t value = base + 2 * key_dim + member * value_dim;
  return {base,
          base + key_dim,
          value,
          value + ratio * value_dim,
          group * 2 * ratio + member,
          group * 2 * ratio + ratio + member,
          group * key_dim,
          keys + group * key_dim,
          2 * keys + head * value_dim};
}
[[gnu::always_inline]] inline int64_t ConvChannels(const GatedDeltaArgs& args) {
  return 2ll * args.num_key_heads * args.key_head_dim +
         static_cast<int64_t>(args.num_value_heads) * args.value_head_dim;
}

// GatedDeltaCpu with a given kernel.
void RunGatedDelta(GatedDeltaKernel* kernel, OpContext* context, const GatedDeltaArgs& args);

}  // namespace millrace::kernels
