#include "base/half.h"

#include <algorithm>

namespace millrace {

uint8_t F32ToF8E4M3(float f) {
  if (std::isnan(f)) return 0x7f;
  const uint8_t sign = std::signbit(f) ? 0x80 : 0;
  const float magnitude = std::min(std::fabs(f), 448.0f);
  if (magnitude < 0x1p-6f) {
    return static_cast<uint8_t>(sign | static_cast<uint8_t>(std::nearbyintf(magnitude * 0x1p9f)));
  }
  int exponent;
  const float fraction = std::frexp(magnitude, &exponent);  // magnitude = fraction * 2^exponent, fraction in [0.5, 1)
  int mantissa = static_cast<int>(std::nearbyintf(fraction * 16.0f));  // 8..16
  int biased = exponent - 1 + 7;
  if (mantissa == 16) {
    mantissa = 8;
    ++biased;
  }
  const int code = std::min((biased << 3) | (mantissa - 8), 0x7e);
  return static_cast<uint8_t>(sign | code);
}

}  // namespace millrace
