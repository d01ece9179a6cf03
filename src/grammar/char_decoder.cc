#include "grammar/char_decoder.h"

#include <algorithm>

namespace millrace::grammar {
namespace {

// State layout: the phase in the top 4 bits, data below.
enum Phase : uint32_t {
  kBody = 0,  // data: UTF-8 in progress, 0 when none
  kBeforeQuote = 1,
  kDone = 2,
  kEscape = 3,      // after a backslash
  kHex = 4,         // data: digits << 16 | value
  kHighAlone = 5,   // data: the 10 bits of a high surrogate; a backslash must follow
  kHighEscape = 6,  // ... then a u
  kHighHex = 7,     // data: digits << 26 | value << 10 | high bits
};

constexpr uint32_t Make(Phase phase, uint32_t data) {
  return (uint32_t{phase} << 28) | data;
}

// UTF-8 data: remaining bytes << 24 | total length << 21 | bits so far (right-aligned). Never 0 inside a character.
constexpr uint32_t Utf8State(uint32_t remaining, uint32_t length, uint32_t bits) {
  return (remaining << 24) | ((length - 2) << 22) | bits;
}

CharRange Utf8Range(uint32_t data) {
  const uint32_t remaining = data >> 24, length = ((data >> 22) & 3) + 2, bits = data & 0x3FFFFF;
  const uint32_t low = bits << (6 * remaining), high = low + (1u << (6 * remaining)) - 1;
  const uint32_t min = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  const uint32_t max = length == 2 ? 0x7FF : length == 3 ? 0xFFFF : kMaxCodePoint;
  return {std::max(low, min), std::min(high, max)};
}

DecodeStep Dead() {
  return {};
}
DecodeStep Char(uint32_t c) {
  return {DecodeStep::kChar, c, 0};
}
DecodeStep Partial(uint32_t state) {
  return {DecodeStep::kPartial, 0, state};
}

DecodeStep Utf8Byte(uint32_t data, uint8_t byte) {
  if (data == 0) {
    if (byte < 0x80) return Char(byte);
    if (byte >= 0xC2 && byte <= 0xDF) return Partial(Utf8State(1, 2, byte & 0x1F));
    if (byte >= 0xE0 && byte <= 0xEF) return Partial(Utf8State(2, 3, byte & 0x0F));
    if (byte >= 0xF0 && byte <= 0xF4) return Partial(Utf8State(3, 4, byte & 0x07));
    return Dead();
  }
  if ((byte & 0xC0) != 0x80) return Dead();
  const uint32_t remaining = (data >> 24) - 1, length = ((data >> 22) & 3) + 2;
  const uint32_t next = Utf8State(remaining, length, ((data & 0x3FFFFF) << 6) | (byte & 0x3F));
  const CharRange range = Utf8Range(next);
  if (range.first > range.last || (range.first >= kSurrogateFirst && range.last <= kSurrogateLast)) return Dead();
  return remaining == 0 ? Char(range.first) : Partial(next);
}

int HexValue(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  const uint8_t lower = byte | 0x20;
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

DecodeStep EscapeByte(uint8_t byte) {
  switch (byte) {
    case '"':
    case '\\':
    case '/':
      return Char(byte);
    case 'b':
      return Char('\b');
    case 'f':
      return Char('\f');
    case 'n':
      return Char('\n');
    case 'r':
      return Char('\r');
    case 't':
      return Char('\t');
    case 'u':
      return Partial(Make(kHex, 0));
    default:
      return Dead();
  }
}

DecodeStep HexByte(uint32_t data, uint8_t byte) {
  const int digit = HexValue(byte);
  if (digit < 0) return Dead();
  const uint32_t digits = (data >> 16) + 1, value = (data & 0xFFFF) * 16 + static_cast<uint32_t>(digit);
  if (digits < 4) {
    // "dc".."df" start only low surrogates, which can't come first.
    if (digits == 2 && value >= 0xDC && value <= 0xDF) return Dead();
    return Partial(Make(kHex, (digits << 16) | value));
  }
  if (value >= kSurrogateFirst && value < 0xDC00) return Partial(Make(kHighAlone, value - kSurrogateFirst));
  return Char(value);
}

DecodeStep HighHexByte(uint32_t data, uint8_t byte) {
  const int digit = HexValue(byte);
  if (digit < 0) return Dead();
  const uint32_t digits = (data >> 26) + 1, high = data & 0x3FF;
  const uint32_t value = ((data >> 10) & 0xFFFF) * 16 + static_cast<uint32_t>(digit);
  const uint32_t low = value << (4 * (4 - digits)), last = low + (1u << (4 * (4 - digits))) - 1;
  if (last < 0xDC00 || low > 0xDFFF) return Dead();
  if (digits == 4) return Char(0x10000 + (high << 10) + (value - 0xDC00));
  return Partial(Make(kHighHex, (digits << 26) | (value << 10) | high));
}

DecodeStep JsonByte(uint32_t state, uint8_t byte) {
  const uint32_t data = state & 0x0FFFFFFF;
  switch (state >> 28) {
    case kBody:
      if (data == 0) {
        if (byte == '"') return {DecodeStep::kClose, 0, Make(kDone, 0)};
        if (byte == '\\') return Partial(Make(kEscape, 0));
        if (byte < 0x20) return Dead();
      }
      return Utf8Byte(data, byte);
    case kBeforeQuote:
      return byte == '"' ? DecodeStep{DecodeStep::kOpen, 0, 0} : Dead();
    case kEscape:
      return EscapeByte(byte);
    case kHex:
      return HexByte(data, byte);
    case kHighAlone:
      return byte == '\\' ? Partial(Make(kHighEscape, data)) : Dead();
    case kHighEscape:
      return byte == 'u' ? Partial(Make(kHighHex, data)) : Dead();
    case kHighHex:
      return HighHexByte(data, byte);
    default:
      return Dead();
  }
}

}  // namespace

DecodeStep DecodeByte(TextEncoding encoding, uint32_t state, uint8_t byte) {
  switch (encoding) {
    case TextEncoding::kBytes:
      return Char(byte);
    case TextEncoding::kUtf8:
      return Utf8Byte(state, byte);
    case TextEncoding::kJsonString:
      return JsonByte(state, byte);
  }
  return Dead();
}

uint32_t BytesToFinish(uint32_t state) {
  const uint32_t data = state & 0x0FFFFFFF;
  switch (state >> 28) {
    case kBody:
      return data >> 24;
    case kEscape:
      return 1;
    case kHex:
      return 10 - (data >> 16);  // the low surrogate may still be to come
    case kHighAlone:
      return 6;
    case kHighEscape:
      return 5;
    case kHighHex:
      return 4 - (data >> 26);
    default:
      return 0;
  }
}

PartialRange RangeOf(uint32_t state) {
  PartialRange out;
  auto add = [&](uint32_t first, uint32_t last) { out.ranges[out.count++] = {first, last}; };
  const uint32_t data = state & 0x0FFFFFFF;
  switch (state >> 28) {
    case kBody: {
      const CharRange range = Utf8Range(data);
      add(range.first, range.last);
      break;
    }
    case kEscape:
      add(0, kMaxCodePoint);
      break;
    case kHex: {
      const uint32_t digits = data >> 16, shift = 4 * (4 - digits);
      const uint32_t low = (data & 0xFFFF) << shift, high = low + (1u << shift) - 1;
      add(low, high);
      const uint32_t first = std::max(low, kSurrogateFirst), last = std::min(high, 0xDBFFu);
      if (first <= last) {
        add(0x10000 + ((first - kSurrogateFirst) << 10), 0x10000 + ((last - kSurrogateFirst) << 10) + 0x3FF);
      }
      break;
    }
    case kHighAlone:
    case kHighEscape:
      add(0x10000 + (data << 10), 0x10000 + (data << 10) + 0x3FF);
      break;
    case kHighHex: {
      const uint32_t digits = data >> 26, high = data & 0x3FF, shift = 4 * (4 - digits);
      const uint32_t low = ((data >> 10) & 0xFFFF) << shift;
      const uint32_t first = std::max(low, 0xDC00u), last = std::min(low + (1u << shift) - 1, 0xDFFFu);
      const uint32_t base = 0x10000 + (high << 10);
      add(base + (first - 0xDC00), base + (last - 0xDC00));
      break;
    }
    default:
      break;
  }
  return out;
}

}  // namespace millrace::grammar
