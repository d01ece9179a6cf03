#include "server/embedding.h"

#include <openssl/evp.h>

#include <bit>
#include <cmath>
#include <cstring>

namespace millrace {

std::vector<float> ShapeEmbedding(std::vector<float> pooled, const EmbeddingFormat& format) {
  if (format.dimensions > 0 && format.dimensions < pooled.size()) pooled.resize(format.dimensions);
  if (!format.normalize) return pooled;
  double square = 0.0;
  for (const float value : pooled) square += static_cast<double>(value) * value;
  if (square == 0.0) return pooled;
  for (float& value : pooled) value = static_cast<float>(value / std::sqrt(square));
  return pooled;
}

Json EncodeEmbedding(const std::vector<float>& values, bool base64) {
  static_assert(std::endian::native == std::endian::little);
  if (!base64) return values;
  const size_t num_bytes = values.size() * sizeof(float);
  std::string text(4 * ((num_bytes + 2) / 3) + 1, '\0');  // OpenSSL ends it with a zero byte
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(values.data()), static_cast<int>(num_bytes));
  text.resize(static_cast<size_t>(length));
  return text;
}

}  // namespace millrace
