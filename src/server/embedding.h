// Embeddings as /v1/embeddings returns them.
#pragma once

#include <string>
#include <vector>

#include "server/json.h"

namespace millrace {

struct EmbeddingFormat {
  size_t dimensions = 0;  // 0: all
  bool normalize = true;
  bool base64 = false;
};

// The first dimensions of a pooled vector, scaled to length 1; a vector of zeros stays.
std::vector<float> ShapeEmbedding(std::vector<float> pooled, const EmbeddingFormat& format);
// A list of numbers, or base64 of the floats in little-endian order.
Json EncodeEmbedding(const std::vector<float>& values, bool base64);

}  // namespace millrace
