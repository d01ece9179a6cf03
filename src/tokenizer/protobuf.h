// A reader of protocol buffer messages over bytes that nobody vouches for: every length is checked against what is
// left, nothing is allocated.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace millrace {

class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view message) : rest_(message) {}

  // Moves to the next field; false at the end of the message or where it is damaged (ok() tells which).
  bool Next() {
    if (rest_.empty() || !ok_) return false;
    const uint64_t tag = TakeVarint();
    field_ = static_cast<uint32_t>(tag >> 3);
    bytes_ = {};
    value_ = 0;
    switch (tag & 7) {
      case 0:
        value_ = TakeVarint();
        break;
      case 1:
        bytes_ = Take(8);
        break;
      case 2:
        bytes_ = Take(TakeVarint());
        break;
      case 5:
        bytes_ = Take(4);
        break;
      default:
        ok_ = false;
    }
    if (tag >> 3 == 0 || tag >> 32 != 0) ok_ = false;
    return ok_;
  }

  bool ok() const { return ok_; }
  uint32_t field() const { return field_; }
  // The field as a number, as bytes (a string or a nested message), as a float. Zero or empty where the wire type is
  // another.
  uint64_t value() const { return value_; }
  std::string_view bytes() const { return bytes_; }
  float as_float() const {
    float number = 0;
    if (bytes_.size() == sizeof(number)) std::memcpy(&number, bytes_.data(), sizeof(number));
    return number;
  }

 private:
  uint64_t TakeVarint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    ok_ = false;
    return 0;
  }

  std::string_view Take(uint64_t size) {
    if (size > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  static_assert(std::endian::native == std::endian::little, "fixed-width fields are read as they lie");
  std::string_view rest_;
  uint32_t field_ = 0;
  uint64_t value_ = 0;
  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace millrace
