#include "tokenizer/unigram.h"

#include <algorithm>
#include <limits>

#include "tokenizer/parts.h"
#include "tokenizer/unicode.h"

namespace millrace {
namespace {

constexpr double kUnknownPenalty = 10.0;

class UnigramModel final : public TokenModel {
 public:
  UnigramModel(const TokenMap& tokens, const std::vector<double>& scores, const UnigramOptions& options)
      : options_(options) {
    double lowest = std::numeric_limits<double>::infinity();
    nodes_.push_back({});
    bool has_metaspace = false;
    splits_ = true;
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string_view text = tokens.key(i);
      const TokenId id = tokens.id(i);
      Add(text, id, scores[static_cast<size_t>(id)]);
      lowest = std::min(lowest, scores[static_cast<size_t>(id)]);
      has_metaspace |= text == kMetaspace;
      while (text.starts_with(kMetaspace)) text.remove_prefix(kMetaspace.size());
      splits_ &= text.find(kMetaspace) == std::string_view::npos;
    }
    splits_ &= has_metaspace;
    unknown_score_ = (tokens.size() == 0 ? 0.0 : lowest) - kUnknownPenalty;
  }

  void EncodeWord(std::string_view word, std::vector<TokenId>* ids) const override {
    std::vector<Best> best(word.size() + 1);
    const char* const end = word.data() + word.size();
    best[0].begin = 0;
    for (size_t at = 0; at < word.size();) {
      const size_t next = at + DecodeUtf8(word.data() + at, end).size;
      bool whole_char = false;
      uint32_t node = 0;
      for (size_t i = at; i < word.size(); ++i) {
        const auto edge = edges_.Find(static_cast<TokenId>(node), static_cast<unsigned char>(word[i]));
        if (edge.rank == MergeTable::kNone) break;
        node = static_cast<uint32_t>(edge.merged);
        if (nodes_[node].id < 0) continue;
        best[i + 1].Offer(best[at].score + nodes_[node].score, nodes_[node].id, at);
        whole_char |= i + 1 == next;
      }
      if (!whole_char) best[next].Offer(best[at].score + unknown_score_, -1, at);
      at = next;
    }
    Backtrack(word, best, ids);
  }

  bool SplitsBeforeMetaspace() const override { return splits_; }

 private:
  struct Node {
    TokenId id = -1;
    double score = 0;
  };

  // The best segmentation that ends at one position: its last token began at `begin`.
  struct Best {
    static constexpr uint32_t kNowhere = 0xFFFFFFFF;
    double score = 0;
    TokenId id = -1;
    uint32_t begin = kNowhere;

    void Offer(double candidate, TokenId candidate_id, size_t candidate_begin) {
      if (begin != kNowhere && !(candidate > score)) return;
      *this = {candidate, candidate_id, static_cast<uint32_t>(candidate_begin)};
    }
  };

  void Add(std::string_view text, TokenId id, double score) {
    uint32_t node = 0;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      auto edge = edges_.Find(static_cast<TokenId>(node), byte);
      if (edge.rank == MergeTable::kNone) {
        edge = {0, static_cast<TokenId>(nodes_.size())};
        edges_.Insert(static_cast<TokenId>(node), byte, edge);
        nodes_.push_back({});
      }
      node = static_cast<uint32_t>(edge.merged);
    }
    nodes_[node] = {id, score};
  }

  void Backtrack(std::string_view word, const std::vector<Best>& best, std::vector<TokenId>* ids) const {
    const size_t first = ids->size();
    bool unknown_after = false;  // the token to the right was unknown
    for (size_t at = word.size(); at > 0; at = best[at].begin) {
      if (best[at].id >= 0) {
        ids->push_back(best[at].id);
      } else if (options_.byte_fallback[0] >= 0) {
        for (size_t i = at; i > best[at].begin; --i) {
          ids->push_back(options_.byte_fallback[static_cast<unsigned char>(word[i - 1])]);
        }
      } else if (options_.unk_id && !unknown_after) {
        ids->push_back(*options_.unk_id);
      }
      unknown_after = best[at].id < 0;
    }
    std::reverse(ids->begin() + static_cast<ptrdiff_t>(first), ids->end());
  }

  const UnigramOptions options_;
  std::vector<Node> nodes_;
  MergeTable edges_;  // (node, byte) -> child, as `merged`
  double unknown_score_ = 0;
  bool splits_ = false;
};

}  // namespace

std::unique_ptr<TokenModel> MakeUnigramModel(const std::vector<VocabEntry>& entries, const std::vector<double>& scores,
                                             const UnigramOptions& options) {
  return std::make_unique<UnigramModel>(NormalTokens(entries), scores, options);
}

}  // namespace millrace
