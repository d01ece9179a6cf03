// lanes.h in portable C++: arrays that any compiler may vectorise.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace millrace::kernels {
namespace {

struct F32x16 {
  float lane[16];
};
struct I32x16 {
  int32_t lane[16];
};
using LaneMask = uint16_t;

constexpr int kAccumulators = 4;

inline void PrefetchToL2(const void* p) {
  __builtin_prefetch(p, 0, 2);
}

template <typename Fn>
inline F32x16 MapF32(const Fn& fn) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.lane[i] = fn(i);
  return out;
}
template <typename Fn>
inline I32x16 MapI32(const Fn& fn) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.lane[i] = fn(i);
  return out;
}

inline F32x16 SetF32(float x) {
  return MapF32([=](int) { return x; });
}
inline F32x16 ZeroF32() {
  return SetF32(0.0f);
}
inline F32x16 LoadPartF32(const float* p, int n) {
  F32x16 out = ZeroF32();
  std::memcpy(out.lane, p, static_cast<size_t>(n) * sizeof(float));
  return out;
}
inline F32x16 LoadF32(const float* p) {
  return LoadPartF32(p, 16);
}
inline void StorePartF32(float* p, const F32x16& v, int n) {
  std::memcpy(p, v.lane, static_cast<size_t>(n) * sizeof(float));
}
inline void StoreF32(float* p, const F32x16& v) {
  StorePartF32(p, v, 16);
}
inline F32x16 Add(const F32x16& a, const F32x16& b) {
  return MapF32([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline F32x16 Sub(const F32x16& a, const F32x16& b) {
  return MapF32([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline F32x16 Mul(const F32x16& a, const F32x16& b) {
  return MapF32([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline F32x16 Div(const F32x16& a, const F32x16& b) {
  return MapF32([&](int i) { return a.lane[i] / b.lane[i]; });
}
inline F32x16 Fma(const F32x16& a, const F32x16& b, const F32x16& c) {
  return MapF32([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}
inline F32x16 Max(const F32x16& a, const F32x16& b) {
  return MapF32([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline F32x16 Min(const F32x16& a, const F32x16& b) {
  return MapF32([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline F32x16 Abs(const F32x16& a) {
  return MapF32([&](int i) { return std::fabs(a.lane[i]); });
}
inline F32x16 SwapPairs(const F32x16& a) {
  return MapF32([&](int i) { return a.lane[i ^ 1]; });
}
// Adding and taking away 1.5 * 2^23 rounds |a| < 2^22 to nearest even without a call.
inline F32x16 RoundToEven(const F32x16& a) {
  return MapF32([&](int i) { return (a.lane[i] + 0x1.8p23f) - 0x1.8p23f; });
}
// The low bits of n + 1.5 * 2^23 are the whole number n.
inline F32x16 ScaleByPowerOf2(const F32x16& a, const F32x16& n) {
  return MapF32([&](int i) {
    const float exponent = n.lane[i] > -127.0f ? n.lane[i] : -127.0f;
    const uint32_t bits = std::bit_cast<uint32_t>(exponent + (0x1.8p23f + 127.0f));
    return a.lane[i] * std::bit_cast<float>(bits << 23);
  });
}
inline F32x16 Select(LaneMask mask, const F32x16& yes, const F32x16& no) {
  return MapF32([&](int i) { return (mask >> i & 1) != 0 ? yes.lane[i] : no.lane[i]; });
}

inline float ReduceAdd(F32x16 v) {
  for (int half = 8; half >= 1; half /= 2) {
    for (int i = 0; i < half; ++i) v.lane[i] += v.lane[i + half];
  }
  return v.lane[0];
}
inline float ReduceMax(F32x16 v) {
  for (int half = 8; half >= 1; half /= 2) {
    for (int i = 0; i < half; ++i) v.lane[i] = v.lane[i] > v.lane[i + half] ? v.lane[i] : v.lane[i + half];
  }
  return v.lane[0];
}

inline F32x16 LoadPartF16(const void* p, int n) {
  uint16_t bits[16] = {};
  std::memcpy(bits, p, static_cast<size_t>(n) * sizeof(uint16_t));
  return MapF32([&](int i) { return F16ToF32(bits[i]); });
}
inline F32x16 LoadF16(const void* p) {
  return LoadPartF16(p, 16);
}
inline F32x16 LoadHalfF16(const void* p) {
  return LoadPartF16(p, 8);
}
inline F32x16 LoadPartF8(const void* p, int n) {
  uint8_t codes[16] = {};
  std::memcpy(codes, p, static_cast<size_t>(n));
  return MapF32([&](int i) {
    const auto shifted = static_cast<int16_t>(codes[i] << 8);
    return F16ToF32(static_cast<uint16_t>((shifted >> 1) & 0xbf80));
  });
}
inline F32x16 LoadF8(const void* p) {
  return LoadPartF8(p, 16);
}
inline F32x16 LoadHalfF8(const void* p) {
  return LoadPartF8(p, 8);
}
inline void StoreF16(void* p, const F32x16& v) {
  uint16_t bits[16];
  for (int i = 0; i < 16; ++i) bits[i] = F32ToF16(v.lane[i]);
  std::memcpy(p, bits, sizeof(bits));
}
inline void StoreBf16(uint16_t* p, const F32x16& v) {
  for (int i = 0; i < 16; ++i) p[i] = F32ToBf16(v.lane[i]);
}
inline F32x16 RoundToBf16(const F32x16& v) {
  return MapF32([&](int i) { return Bf16ToF32(F32ToBf16(v.lane[i])); });
}
inline void StoreI16(int16_t* p, const F32x16& v) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<int16_t>(v.lane[i]);
}

inline I32x16 SetI32(int32_t x) {
  return MapI32([=](int) { return x; });
}
inline I32x16 ZeroI32() {
  return SetI32(0);
}
inline I32x16 LoadI32(const void* p) {
  I32x16 out;
  std::memcpy(out.lane, p, sizeof(out.lane));
  return out;
}
inline I32x16 LoadHalfI32(const void* p) {
  I32x16 out = ZeroI32();
  std::memcpy(out.lane, p, sizeof(out.lane) / 2);
  return out;
}
// Sums wrap around, as in the vector ISAs.
inline int32_t WrapAdd(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}
inline I32x16 AddI32(const I32x16& a, const I32x16& b) {
  return MapI32([&](int i) { return WrapAdd(a.lane[i], b.lane[i]); });
}
inline I32x16 SubI32(const I32x16& a, const I32x16& b) {
  return MapI32(
      [&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) - static_cast<uint32_t>(b.lane[i])); });
}
inline I32x16 LowHalves(const I32x16& a) {
  return MapI32([&](int i) { return a.lane[i] & 0xffff; });
}
inline F32x16 ToF32(const I32x16& a) {
  return MapF32([&](int i) { return static_cast<float>(a.lane[i]); });
}
inline I32x16 EvenBytes(const I32x16& a) {
  return MapI32([&](int i) { return a.lane[i] & 0x00ff00ff; });
}
inline I32x16 OddBytes(const I32x16& a) {
  return MapI32([&](int i) { return a.lane[i] >> 8 & 0x00ff00ff; });
}
inline I32x16 DotI16(const I32x16& acc, const I32x16& a, const I32x16& b) {
  return MapI32([&](int i) {
    const int32_t low = static_cast<int16_t>(a.lane[i]) * static_cast<int16_t>(b.lane[i]);
    return WrapAdd(acc.lane[i], WrapAdd(low, (a.lane[i] >> 16) * (b.lane[i] >> 16)));
  });
}
inline F32x16 DotBf16(const F32x16& acc, const I32x16& a, const I32x16& b) {
  return MapF32([&](int i) {
    const auto x = static_cast<uint32_t>(a.lane[i]);
    const auto y = static_cast<uint32_t>(b.lane[i]);
    const float even = std::bit_cast<float>(x << 16) * std::bit_cast<float>(y << 16) + acc.lane[i];
    return std::bit_cast<float>(x & 0xffff0000u) * std::bit_cast<float>(y & 0xffff0000u) + even;
  });
}

}  // namespace
}  // namespace millrace::kernels
