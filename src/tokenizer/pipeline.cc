#include "tokenizer/pipeline.h"

#include <algorithm>

#include "tokenizer/parts.h"
#include "tokenizer/unicode.h"

namespace millrace {
namespace {

// Text is encoded in slices of this size, so that offsets fit in 32 bits and scratch memory stays bounded.
constexpr size_t kMaxSliceBytes = 64 << 20;

size_t CutBefore(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text.size();
  while (limit > 1 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return limit;
}

class Pipeline final : public Tokenizer {
 public:
  explicit Pipeline(TokenizerParts parts)
      : vocab_(parts.entries),
        normalizers_(std::move(parts.normalizers)),
        pre_tokenizers_(std::move(parts.pre_tokenizers)),
        model_(std::move(parts.model)),
        prefix_ids_(std::move(parts.prefix_ids)),
        suffix_ids_(std::move(parts.suffix_ids)),
        first_token_(parts.first_token),
        replaces_each_invalid_byte_(parts.replaces_each_invalid_byte),
        bos_id_(parts.bos_id),
        eos_id_(parts.eos_id),
        end_ids_(std::move(parts.end_ids)),
        raw_added_(TakeAdded(&parts.added, false)),
        normalized_added_(TakeAdded(&parts.added, true)) {
    if (model_->SplitsBeforeMetaspace()) pre_tokenizers_.push_back(MetaspaceCutStep());
  }

  std::vector<TokenId> Encode(std::string_view text, const EncodeOptions& options) const override {
    std::vector<TokenId> ids;
    ids.reserve(text.size() / 4 + prefix_ids_.size() + suffix_ids_.size());
    if (options.add_special) ids = prefix_ids_;
    std::unique_ptr<WordCache> cache = caches_.Borrow();
    TextPosition position;
    for (size_t offset = 0; !text.empty();) {
      const size_t size = CutBefore(text, kMaxSliceBytes);
      position.at_end = size == text.size();
      EncodeSlice(text.substr(0, size), offset, position, options, cache.get(), &ids);
      text.remove_prefix(size);
      offset += size;
      position.at_start = false;
    }
    caches_.Return(std::move(cache));
    if (options.add_special) ids.insert(ids.end(), suffix_ids_.begin(), suffix_ids_.end());
    return ids;
  }

  std::string Decode(std::span<const TokenId> ids, bool skip_special) const override {
    StreamingDetokenizer stream(*this, skip_special);
    std::string text;
    for (const TokenId id : ids) text += stream.Push(id);
    return text += stream.Finish();
  }

  int vocab_size() const override { return static_cast<int>(vocab_.size()); }
  std::string_view TokenBytes(TokenId id) const override {
    const TokenKind kind = Kind(id);
    const bool silent = kind == TokenKind::kControl || kind == TokenKind::kUnknown || kind == TokenKind::kUnused;
    return silent ? std::string_view() : vocab_.bytes[Index(id)];
  }
  std::string_view TokenText(TokenId id) const override {
    return Inside(id) ? vocab_.texts[Index(id)] : std::string_view();
  }
  TokenKind Kind(TokenId id) const override { return Inside(id) ? vocab_.kinds[Index(id)] : TokenKind::kUnused; }
  std::optional<TokenId> FindToken(std::string_view text) const override { return vocab_.by_text.Find(text); }
  std::optional<TokenId> bos_id() const override { return bos_id_; }
  std::optional<TokenId> eos_id() const override { return eos_id_; }
  std::span<const TokenId> end_ids() const override { return end_ids_; }
  bool replaces_each_invalid_byte() const override { return replaces_each_invalid_byte_; }

  std::string_view DecodedBytes(TokenId id, bool first, bool skip_special) const override {
    const TokenKind kind = Kind(id);
    const bool special = kind == TokenKind::kControl || kind == TokenKind::kUnknown;
    if (kind == TokenKind::kUnused || (special && skip_special)) return {};
    const std::string_view bytes = vocab_.bytes[Index(id)];
    if (!first || bytes.empty()) return bytes;
    switch (first_token_) {
      case FirstToken::kSame:
        return bytes;
      case FirstToken::kText:
        return vocab_.texts[Index(id)];
      case FirstToken::kDropOneSpace:
        return bytes.substr(bytes[0] == ' ' ? 1 : 0);
      case FirstToken::kDropLeadingSpaces:
        return bytes.substr(std::min(bytes.size(), bytes.find_first_not_of(' ')));
    }
    return bytes;
  }

 private:
  static size_t Index(TokenId id) { return static_cast<size_t>(id); }
  bool Inside(TokenId id) const { return id >= 0 && Index(id) < vocab_.size(); }

  // Control tokens are always searched in the text as given: what a user wrote is known by its place there.
  static AddedTokenMatcher TakeAdded(std::vector<AddedToken>* added, bool normalized) {
    std::vector<AddedToken> taken;
    for (AddedToken& token : *added) {
      if ((token.normalized && !token.special) == normalized) taken.push_back(std::move(token));
    }
    return AddedTokenMatcher(std::move(taken));
  }

  void EncodeSlice(std::string_view text, size_t offset, TextPosition position, const EncodeOptions& options,
                   WordCache* cache, std::vector<TokenId>* ids) const {
    std::vector<AddedTokenMatcher::Piece> pieces;
    raw_added_.Split(text, offset, options, &pieces);
    bool continues = false;
    for (const auto& piece : pieces) {
      if (piece.id >= 0) {
        ids->push_back(piece.id);
        continues = piece.normalized;
        continue;
      }
      const TextPosition at = {position.at_start && piece.span.begin == 0,
                               position.at_end && piece.span.end == text.size(), continues};
      const std::string_view raw = text.substr(piece.span.begin, piece.span.end - piece.span.begin);
      if (normalizers_.empty()) {
        EncodeNormalized(raw, at.at_start, cache, ids);
        continue;
      }
      std::string normalized(raw);
      for (const auto& step : normalizers_) normalized = step->Apply(std::move(normalized), at);
      EncodeNormalized(normalized, at.at_start, cache, ids);
    }
  }

  void EncodeNormalized(std::string_view text, bool at_start, WordCache* cache, std::vector<TokenId>* ids) const {
    if (normalized_added_.empty()) {
      EncodeText(text, at_start, cache, ids);
      return;
    }
    std::vector<AddedTokenMatcher::Piece> pieces;
    normalized_added_.Split(text, 0, {}, &pieces);
    for (const auto& piece : pieces) {
      if (piece.id >= 0) {
        ids->push_back(piece.id);
      } else {
        EncodeText(text.substr(piece.span.begin, piece.span.end - piece.span.begin), at_start && piece.span.begin == 0,
                   cache, ids);
      }
    }
  }

  void EncodeText(std::string_view text, bool at_start, WordCache* cache, std::vector<TokenId>* ids) const {
    if (text.empty()) return;
    Words words;
    words.text = text;
    words.spans = {{0, static_cast<uint32_t>(text.size())}};
    words.at_start = at_start;
    for (const auto& step : pre_tokenizers_) step->Apply(&words);
    for (const Span& span : words.spans) {
      const std::string_view word = words.text.substr(span.begin, span.end - span.begin);
      if (word.size() <= WordCache::kMaxWordBytes) {
        EncodeShortWord(word, cache, ids);
      } else {
        EncodeLongWord(word, ids);
      }
    }
  }

  void EncodeShortWord(std::string_view word, WordCache* cache, std::vector<TokenId>* ids) const {
    if (word.empty()) return;
    const WordCache::Key key = WordCache::KeyOf(word);
    WordCache::Entry& entry = cache->EntryOf(key);
    if (entry.key.low == key.low && entry.key.high == key.high) {
      if (entry.num_ids == 1) {
        ids->push_back(entry.ids[0]);
      } else {
        ids->insert(ids->end(), entry.ids, entry.ids + entry.num_ids);
      }
      return;
    }
    const size_t before = ids->size();
    model_->EncodeWord(word, ids);
    const size_t count = ids->size() - before;
    if (count > WordCache::kMaxIds) return;
    entry.key = key;
    entry.num_ids = static_cast<uint32_t>(count);
    std::copy(ids->begin() + static_cast<ptrdiff_t>(before), ids->end(), entry.ids);
  }

  void EncodeLongWord(std::string_view word, std::vector<TokenId>* ids) const {
    while (!word.empty()) {
      const size_t size = CutBefore(word, kMaxWordBytes);
      model_->EncodeWord(word.substr(0, size), ids);
      word.remove_prefix(size);
    }
  }

  const Vocab vocab_;
  const std::vector<std::unique_ptr<NormalizerStep>> normalizers_;
  std::vector<std::unique_ptr<PreTokenizerStep>> pre_tokenizers_;
  const std::unique_ptr<TokenModel> model_;
  const std::vector<TokenId> prefix_ids_;
  const std::vector<TokenId> suffix_ids_;
  const FirstToken first_token_;
  const bool replaces_each_invalid_byte_;
  const std::optional<TokenId> bos_id_;
  const std::optional<TokenId> eos_id_;
  const std::vector<TokenId> end_ids_;
  const AddedTokenMatcher raw_added_;
  const AddedTokenMatcher normalized_added_;
  mutable WordCachePool caches_;
};

Status CheckIds(const TokenizerParts& parts) {
  const auto inside = [&parts](TokenId id) { return id >= 0 && static_cast<size_t>(id) < parts.entries.size(); };
  if (parts.entries.empty()) return DataLoss("the vocabulary has no tokens");
  if (parts.entries.size() > kMaxVocabTokens) {
    return OutOfRange("the vocabulary has {} tokens, expected at most {}", parts.entries.size(), kMaxVocabTokens);
  }
  for (const auto* list : {&parts.prefix_ids, &parts.suffix_ids, &parts.end_ids}) {
    for (const TokenId id : *list) {
      if (!inside(id)) return DataLoss("special token {} is not one of the {} tokens", id, parts.entries.size());
    }
  }
  for (const auto& id : {parts.bos_id, parts.eos_id}) {
    if (id && !inside(*id))
      return DataLoss("BOS or EOS token {} is not one of the {} tokens", *id, parts.entries.size());
  }
  for (const AddedToken& token : parts.added) {
    if (!inside(token.id) || token.content.empty())
      return DataLoss("added token {} is empty or not in the vocabulary", token.id);
  }
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> BuildTokenizer(TokenizerParts parts) {
  RETURN_IF_ERROR(CheckIds(parts));
  // Two added tokens may share an id: it is a control token when one of them says so.
  for (AddedToken& token : parts.added) {
    token.special |= parts.entries[static_cast<size_t>(token.id)].kind == TokenKind::kControl;
  }
  return std::unique_ptr<Tokenizer>(std::make_unique<Pipeline>(std::move(parts)));
}

}  // namespace millrace
