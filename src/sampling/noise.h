// The noise of sampling. A pure function of (seed, choice, position, token), so that the same request draws the same
// tokens whatever the batch, and a draft model that uses the same noise proposes what the target will draw.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/philox.h"
#include "base/token.h"

namespace millrace {

struct NoiseKey {
  uint64_t seed = 0;
  int choice_index = 0;
  int position = 0;
};

// What a random number is for; part of the Philox counter.
enum class NoiseDomain : uint32_t { kGumbel = 0, kXtc = 1 };

inline float UniformNoise(const NoiseKey& key, NoiseDomain domain, uint32_t index) {
  const std::array<uint32_t, 4> bits =
      Philox4x32({index >> 2, static_cast<uint32_t>(key.position), static_cast<uint32_t>(key.choice_index),
                  static_cast<uint32_t>(domain)},
                 {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)});
  return UniformFromBits(bits[index & 3]);
}

// argmax(log p + Gumbel) draws from p (Gumbel 1954; Maddison et al. 2014).
inline float GumbelNoise(const NoiseKey& key, TokenId token) {
  return -std::log(-std::log(UniformNoise(key, NoiseDomain::kGumbel, static_cast<uint32_t>(token))));
}

// The largest value GumbelNoise can return: -log(-log(1 - 2^-24)).
inline constexpr float kMaxGumbel = 16.64f;

}  // namespace millrace
