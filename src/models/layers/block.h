// Block: one residual step of a decoder, x += f(norm(x)). A model is an embedding, a list of blocks and a head.
#pragma once

#include <cstdint>

#include "models/model.h"

namespace millrace {

class Block {
 public:
  virtual ~Block() = default;

  // x [num_tokens, hidden_size], in and out.
  virtual void Forward(const Step& step, float* x) const = 0;
  // The block's own scratch (not the kernels') for a step of max_tokens.
  virtual int64_t ScratchBytes(int64_t max_tokens) const = 0;
  // Raises the sizes that the kernels' workspace depends on to what this block needs.
  virtual void AddToQuery(kernels::WorkspaceQuery* query) const = 0;
  virtual int64_t weight_bytes() const = 0;
};

}  // namespace millrace
