// SentencePiece's precompiled character map: a Darts-clone double array over UTF-8 prefixes, whose values are offsets
// into a blob of NUL-terminated replacements. Layout: uint32 trie_bytes, trie (uint32 units), blob; all little-endian.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace millrace {

class Charsmap {
 public:
  // kDataLoss when the sizes do not fit together. Lookups stay inside the arrays whatever the units say.
  static Result<Charsmap> Parse(std::string_view blob);

  struct Match {
    size_t size;  // bytes of text that are replaced
    std::string_view replacement;
  };
  // The longest (or shortest) prefix of text that the map knows. O(prefix).
  std::optional<Match> Longest(std::string_view text) const { return Find(text, true); }
  std::optional<Match> Shortest(std::string_view text) const { return Find(text, false); }

 private:
  std::optional<Match> Find(std::string_view text, bool longest) const;
  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace millrace
