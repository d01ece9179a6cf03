// Rotary position embedding (Su et al. 2021): the table of cosines and sines of one step.
#pragma once

#include <cstdint>

namespace millrace::kernels {

// out[t, i] = attention_factor * (cos, sin)(positions[t] * inv_freq[i]). The angle is rounded to f32 as transformers
// does; cosine and sine are taken in double and rounded once. inv_freq [half], positions [num_tokens], out [num_tokens,
// half, 2].
void FillCosSin(const float* inv_freq, int half, float attention_factor, const int32_t* positions, int64_t num_tokens,
                float* out);

}  // namespace millrace::kernels
