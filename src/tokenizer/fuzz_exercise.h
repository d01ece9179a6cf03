// What the fuzz targets do with a tokenizer that damaged bytes made: its promises hold whatever the file says.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tokenizer/tokenizer.h"

namespace millrace::testing {

inline void Exercise(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool parse_special : {false, true}) {
    const std::vector<TokenId> ids = tokenizer.Encode(text, {parse_special, parse_special});
    for (const TokenId id : ids) {
      CHECK(id >= 0 && id < tokenizer.vocab_size(), "id {} of {}", id, tokenizer.vocab_size());
      CHECK(parse_special || tokenizer.Kind(id) != TokenKind::kControl, "user text became control token {}", id);
    }
    StreamingDetokenizer stream(tokenizer);
    std::string streamed;
    for (const TokenId id : ids) streamed += stream.Push(id);
    streamed += stream.Finish();
    CHECK(streamed == tokenizer.Decode(ids), "streaming differs from Decode");
  }
  for (TokenId id = -1; id <= tokenizer.vocab_size() && id < 300; ++id) {
    tokenizer.TokenBytes(id);
    tokenizer.FindToken(tokenizer.TokenText(id));
  }
}

}  // namespace millrace::testing
