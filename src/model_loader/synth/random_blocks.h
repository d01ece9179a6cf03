// Random weights made directly in their stored type.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace millrace {

// SplitMix64 (Steele, Lea, Flood 2014): eight random bytes a step.
class RandomBytes {
 public:
  explicit RandomBytes(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

// Fills dst with the blocks of `count` values (a multiple of the type's block) whose standard deviation is about sigma
// and whose mean is about 0. Every value is finite. A function of the arguments and the generator's state alone.
void FillRandom(DType type, float sigma, int64_t count, RandomBytes& random, std::byte* dst);

}  // namespace millrace
