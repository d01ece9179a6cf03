#include "kernels/rope/rope.h"

#include <cmath>

namespace millrace::kernels {

void FillCosSin(const float* inv_freq, int half, float attention_factor, const int32_t* positions, int64_t num_tokens,
                float* out) {
  for (int64_t t = 0; t < num_tokens; ++t) {
    const float position = static_cast<float>(positions[t]);
    for (int i = 0; i < half; ++i, out += 2) {
      const double angle = position * inv_freq[i];
      out[0] = static_cast<float>(std::cos(angle)) * attention_factor;
      out[1] = static_cast<float>(std::sin(angle)) * attention_factor;
    }
  }
}

}  // namespace millrace::kernels
