// Byte-wise decoders from the output text to code points. A decoder's state is 32 bits, 0 between characters, so that
// automaton states stay small values that can be copied, compared and used as cache keys.
#pragma once

#include <cstdint>

#include "grammar/char_set.h"

namespace millrace::grammar {

enum class TextEncoding : uint8_t {
  kBytes,       // each byte is its own character; any byte string
  kUtf8,        // well-formed UTF-8
  kJsonString,  // a JSON string with its quotes: raw UTF-8, short escapes, \uXXXX, surrogate pairs
};

struct DecodeStep {
  enum Kind : uint8_t {
    kDead,     // no text continues like this
    kPartial,  // inside a character; state is the new decoder state
    kChar,     // c is complete, the state is 0 again
    kClose,    // the closing quote
    kOpen,     // the opening quote
  };
  Kind kind = kDead;
  uint32_t c = 0;
  uint32_t state = 0;
};

inline constexpr uint32_t kJsonBeforeQuote = 1u << 28;  // decoder state before the opening quote
inline constexpr uint32_t kJsonDone = 2u << 28;         // after the closing quote

DecodeStep DecodeByte(TextEncoding encoding, uint32_t state, uint8_t byte);

// The code points that a partial character (state of kPartial) can still become: at most two ranges.
struct PartialRange {
  CharRange ranges[3];
  int count = 0;
};
PartialRange RangeOf(uint32_t state);

// How many bytes a partial character needs at most until it is complete; 0 between characters.
uint32_t BytesToFinish(uint32_t state);

}  // namespace millrace::grammar
