// Added tokens: strings that are cut out of the text before the model sees it, leftmost first and longest first, as
// Hugging Face's AddedVocabulary does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pattern.h"
#include "tokenizer/tokenizer.h"

namespace millrace {

struct AddedToken {
  std::string content;  // never empty
  TokenId id = 0;
  bool special = false;      // a control token: matched only with parse_special
  bool lstrip = false;       // takes the white space on its left along
  bool rstrip = false;       // and on its right
  bool single_word = false;  // only where no word character touches it
  bool normalized = false;   // searched in the normalized text
};

class AddedTokenMatcher {
 public:
  struct Piece {
    Span span;
    TokenId id;               // -1: text between added tokens
    bool normalized = false;  // AddedToken::normalized
  };

  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }
  // Cuts `text`, which begins at `offset` of the whole text that options.untrusted speaks of, into pieces that cover
  // it, none empty. O(text * longest token), and one look per byte where no token starts.
  void Split(std::string_view text, size_t offset, const EncodeOptions& options, std::vector<Piece>* pieces) const;

 private:
  struct Node {
    int32_t token = -1;  // index into tokens_
    uint32_t first_edge = 0;
    uint32_t num_edges = 0;
  };
  struct Edge {
    unsigned char byte;
    uint32_t node;
  };

  // The longest token that starts at `at`, or null.
  const AddedToken* MatchAt(std::string_view text, size_t at, size_t offset, const EncodeOptions& options) const;
  bool TouchesWord(std::string_view text, size_t begin, size_t end) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;  // of one node: consecutive, ascending
  bool starts_[256] = {};    // bytes that begin a token
};

}  // namespace millrace
