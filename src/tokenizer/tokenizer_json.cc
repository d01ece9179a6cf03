#include <algorithm>

#include "tokenizer/json.h"
#include "tokenizer/json_steps.h"
#include "tokenizer/load.h"
#include "tokenizer/parts.h"
#include "tokenizer/tokenizer_config.h"
#include "tokenizer/unigram.h"
#include "tokenizer/wordpiece.h"

namespace millrace {
namespace {

std::string_view ModelType(JsonValue model) {
  const std::string_view type = JsonType(model);
  if (!type.empty()) return type;
  // Old files leave the type out.
  if (JsonMember(model, "merges")) return "BPE";
  return JsonMember(model, "continuing_subword_prefix") ? "WordPiece" : "Unigram";
}

// [["token", score], ...]
Status ReadVocabList(simdjson::dom::array list, std::vector<VocabEntry>* entries, std::vector<double>* scores) {
  for (const JsonValue item : list) {
    simdjson::dom::array pair;
    std::string_view text;
    double score = 0;
    if (item.get(pair) || pair.at(0).get(text) || pair.at(1).get(score)) {
      return DataLoss("token {} of the Unigram vocabulary is no pair of text and score", entries->size());
    }
    if (entries->size() >= kMaxVocabTokens)
      return OutOfRange("the vocabulary has more than {} tokens", kMaxVocabTokens);
    entries->push_back({std::string(text), std::string(text), TokenKind::kNormal});
    scores->push_back(score);
  }
  return OkStatus();
}

class Loader {
 public:
  Loader(JsonValue root, TokenizerConfig config) : root_(root), config_(std::move(config)) {}

  Result<std::unique_ptr<Tokenizer>> Load() {
    const auto model = JsonMember(root_, "model");
    if (!model) return DataLoss("tokenizer.json has no model");
    model_ = *model;
    RETURN_IF_ERROR(ReadSteps());
    RETURN_IF_ERROR(ReadVocab());
    RETURN_IF_ERROR(ReadAdded());
    SetBosAndEos(config_, &parts_);
    MarkEnds(&parts_);
    MarkUnknown();
    const std::string_view type = ModelType(model_);
    if (type == "BPE") {
      RETURN_IF_ERROR(MakeBpe());
    } else if (type == "Unigram") {
      RETURN_IF_ERROR(MakeUnigram());
    } else if (type == "WordPiece") {
      RETURN_IF_ERROR(MakeWordPiece());
    } else {
      return Unsupported("tokenizer.json has a model of type '{}', expected BPE, Unigram or WordPiece", type);
    }
    SetDecodedBytes();
    NormalizeAdded();
    return BuildTokenizer(std::move(parts_));
  }

 private:
  Status ReadSteps() {
    if (const auto json = JsonMember(root_, "normalizer")) {
      RETURN_IF_ERROR(ReadNormalizer(*json, &byte_level_, &parts_.normalizers));
    }
    if (const auto json = JsonMember(root_, "pre_tokenizer")) {
      RETURN_IF_ERROR(ReadPreTokenizer(*json, &byte_level_, &parts_.pre_tokenizers));
    }
    if (const auto json = JsonMember(root_, "post_processor")) RETURN_IF_ERROR(ReadPostProcessor(*json, &parts_));
    if (const auto json = JsonMember(root_, "decoder")) RETURN_IF_ERROR(ReadDecoder(*json, &decoder_));
    return OkStatus();
  }

  Status ReadVocab() {
    const auto vocab = JsonMember(model_, "vocab");
    simdjson::dom::object object;
    simdjson::dom::array list;
    if (vocab && !vocab->get(object)) return ReadVocabObject(object, &parts_.entries);
    if (vocab && !vocab->get(list)) return ReadVocabList(list, &parts_.entries, &scores_);
    return DataLoss("the model of tokenizer.json has no vocab");
  }

  Status ReadAdded() {
    const auto added = JsonMember(root_, "added_tokens");
    simdjson::dom::array list;
    if (!added || added->get(list)) return OkStatus();
    for (const JsonValue item : list) {
      AddedToken token;
      const int64_t id = JsonInt(item, "id").value_or(-1);
      if (id < 0 || id >= static_cast<int64_t>(kMaxVocabTokens))
        return DataLoss("an added token of tokenizer.json has id {}", id);
      token.id = static_cast<TokenId>(id);
      token.content = JsonString(item, "content");
      if (token.content.empty()) continue;
      token.special = JsonBool(item, "special", false);
      token.lstrip = JsonBool(item, "lstrip", false);
      token.rstrip = JsonBool(item, "rstrip", false);
      token.single_word = JsonBool(item, "single_word", false);
      token.normalized = JsonBool(item, "normalized", !token.special);
      parts_.added.push_back(std::move(token));
    }
    return AddToVocabulary(parts_.added, &parts_.entries);
  }

  void MarkUnknown() {
    const std::string_view text = JsonString(model_, "unk_token");
    if (const auto id = JsonInt(model_, "unk_id");
        id && *id >= 0 && *id < static_cast<int64_t>(parts_.entries.size())) {
      unk_id_ = static_cast<TokenId>(*id);
    }
    for (size_t i = 0; i < parts_.entries.size() && !unk_id_ && !text.empty(); ++i) {
      if (parts_.entries[i].text == text) unk_id_ = static_cast<TokenId>(i);
    }
    unk_id_ = ClaimUnknown(unk_id_, &parts_);
  }

  bool MayComeFromText(size_t i) const {
    return parts_.entries[i].kind == TokenKind::kNormal || parts_.entries[i].kind == TokenKind::kUserDefined;
  }

  Status MakeBpe() {
    for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!JsonString(model_, key).empty()) return Unsupported("tokenizer.json has a BPE model with {}", key);
    }
    BpeOptions options;
    options.byte_level = byte_level_;
    options.ignore_merges = JsonBool(model_, "ignore_merges", false);
    options.fuse_unk = JsonBool(model_, "fuse_unk", false);
    options.unk_id = unk_id_;
    options.byte_fallback.fill(-1);
    if (JsonBool(model_, "byte_fallback", false)) options.byte_fallback = TakeByteTokens(&parts_.entries);
    TokenMap by_text;
    TokenMap tokens;
    by_text.Reserve(parts_.entries.size());
    tokens.Reserve(parts_.entries.size());
    for (size_t i = 0; i < parts_.entries.size(); ++i) {
      const std::string& text = parts_.entries[i].text;
      if (text.empty() || !MayComeFromText(i)) continue;
      by_text.Insert(text, static_cast<TokenId>(i));
      const auto bytes = byte_level_ ? ByteAlphabet::ToBytes(text) : std::optional(text);
      if (bytes) tokens.Insert(*bytes, static_cast<TokenId>(i));
    }
    ASSIGN_OR_RETURN(MergeRules rules, ReadMerges(by_text));
    parts_.model = std::make_unique<BpeModel>(std::move(tokens), std::move(rules), options);
    return OkStatus();
  }

  // "left right" or ["left", "right"]. Merges of control tokens are left out: text must not become one.
  Result<MergeRules> ReadMerges(const TokenMap& by_text) {
    MergeRules rules;
    rules.phantom_base = static_cast<TokenId>(parts_.entries.size());
    const auto merges = JsonMember(model_, "merges");
    simdjson::dom::array list;
    if (!merges || merges->get(list)) return DataLoss("the BPE model of tokenizer.json has no merges");
    uint32_t rank = 0;
    for (const JsonValue item : list) {
      std::string_view left, right;
      simdjson::dom::array pair;
      if (!item.get(left)) {
        const size_t space = left.find(' ');
        if (space == std::string_view::npos) return DataLoss("merge {} of tokenizer.json is no pair", rank);
        right = left.substr(space + 1);
        left = left.substr(0, space);
        // Copies of Llama 2's file in circulation lost their no-break spaces; such merges can't be told apart.
        if (right.find(' ') != std::string_view::npos) right = {};
      } else if (item.get(pair) || pair.at(0).get(left) || pair.at(1).get(right)) {
        return DataLoss("merge {} of tokenizer.json is no pair", rank);
      }
      const auto left_id = by_text.Find(left);
      const auto right_id = by_text.Find(right);
      const auto merged = by_text.Find(std::string(left).append(right));
      if (left_id && right_id && merged) rules.table.Insert(*left_id, *right_id, {rank, *merged});
      ++rank;
    }
    return rules;
  }

  Status MakeUnigram() {
    if (scores_.empty()) return DataLoss("the Unigram model of tokenizer.json has no scores");
    scores_.resize(parts_.entries.size(), 0.0);
    UnigramOptions options;
    options.unk_id = unk_id_;
    options.byte_fallback.fill(-1);
    if (JsonBool(model_, "byte_fallback", false)) options.byte_fallback = TakeByteTokens(&parts_.entries);
    parts_.model = MakeUnigramModel(parts_.entries, scores_, options);
    return OkStatus();
  }

  Status MakeWordPiece() {
    if (!unk_id_) return DataLoss("the WordPiece model of tokenizer.json has no unk_token of its own");
    const std::string prefix(JsonString(model_, "continuing_subword_prefix", "##"));
    WordPieceOptions options;
    options.unk_id = *unk_id_;
    const int64_t max_chars = JsonInt(model_, "max_input_chars_per_word").value_or(100);
    if (max_chars < 1 || max_chars > 1000)
      return OutOfRange("max_input_chars_per_word is {}, expected 1 to 1000", max_chars);
    options.max_chars_per_word = static_cast<size_t>(max_chars);
    auto model = std::make_unique<WordPieceModel>(options);
    for (size_t i = 0; i < parts_.entries.size(); ++i) {
      const std::string_view text = parts_.entries[i].text;
      if (text.empty() || !MayComeFromText(i)) continue;
      const bool continuation = !prefix.empty() && text.starts_with(prefix) && text.size() > prefix.size();
      if (continuation) model->Add(text.substr(prefix.size()), true, static_cast<TokenId>(i));
      model->Add(text, false, static_cast<TokenId>(i));
    }
    parts_.model = std::move(model);
    return OkStatus();
  }

  std::string Decoded(const VocabEntry& entry) const {
    std::string bytes = entry.text;
    if (decoder_.byte_level) {
      if (entry.kind == TokenKind::kUserDefined || entry.kind == TokenKind::kControl) return bytes;
      if (auto raw = ByteAlphabet::ToBytes(bytes)) bytes = *std::move(raw);
    }
    if (decoder_.word_piece) {
      const bool continuation = bytes.starts_with(decoder_.word_piece_prefix);
      return WordPieceBytes(continuation ? bytes.substr(decoder_.word_piece_prefix.size()) : bytes, continuation,
                            decoder_.cleanup);
    }
    for (const auto& [from, to] : decoder_.replacements) {
      bytes = ReplaceStep(LiteralPattern(from), to)->Apply(std::move(bytes), {});
    }
    return decoder_.present ? bytes : " " + bytes;
  }

  void SetDecodedBytes() {
    if (decoder_.byte_fallback) TakeByteTokens(&parts_.entries);
    for (VocabEntry& entry : parts_.entries) {
      if (entry.kind != TokenKind::kByte) entry.bytes = Decoded(entry);
    }
    parts_.replaces_each_invalid_byte = decoder_.byte_fallback && !decoder_.byte_level;
    parts_.first_token = decoder_.present ? decoder_.first_token : FirstToken::kDropOneSpace;
  }

  // Normalized tokens are searched by their normalized text; special ones in the text as given, where a normalizer's
  // U+2581 is a space. Special ones are also found as they are written: a chat template puts them behind other text,
  // where the normalizer adds no prefix.
  void NormalizeAdded() {
    std::vector<AddedToken> plain;
    for (AddedToken& token : parts_.added) {
      if (!token.normalized) continue;
      std::string text = token.content;
      for (const auto& step : parts_.normalizers) text = step->Apply(std::move(text), {});
      if (text == token.content || text.empty()) continue;
      if (token.special) {
        plain.push_back(token);
        text = ReplaceStep(LiteralPattern(kMetaspace), " ")->Apply(std::move(text), {});
      }
      token.content = std::move(text);
    }
    parts_.added.insert(parts_.added.end(), plain.begin(), plain.end());
  }

  const JsonValue root_;
  const TokenizerConfig config_;
  JsonValue model_;
  TokenizerParts parts_;
  std::vector<double> scores_;
  DecoderInfo decoder_;
  std::optional<TokenId> unk_id_;
  bool byte_level_ = false;
};

}  // namespace

Status ReadVocabObject(simdjson::dom::object object, std::vector<VocabEntry>* entries) {
  if (object.size() >= kMaxVocabTokens) {
    return OutOfRange("the vocabulary has {} tokens, expected at most {}", object.size(), kMaxVocabTokens);
  }
  // simdjson caps object.size() at 2^24 - 1, far above the bound.
  const int64_t limit = static_cast<int64_t>(std::min(kMaxVocabTokens, 2 * object.size() + 1024));
  for (const auto& [text, value] : object) {
    int64_t id = -1;
    if (value.get(id) || id < 0 || id >= limit)
      return DataLoss("the token '{}' has a bad id, expected 0 to {}", text, limit - 1);
    if (static_cast<size_t>(id) >= entries->size()) {
      entries->resize(static_cast<size_t>(id) + 1, VocabEntry{"", "", TokenKind::kUnused});
    }
    (*entries)[static_cast<size_t>(id)] = {std::string(text), std::string(text), TokenKind::kNormal};
  }
  return OkStatus();
}

Result<std::unique_ptr<Tokenizer>> LoadTokenizerJson(std::string_view tokenizer_json,
                                                     std::string_view tokenizer_config_json) {
  ASSIGN_OR_RETURN(TokenizerConfig config, ParseTokenizerConfig(tokenizer_config_json));
  ASSIGN_OR_RETURN(const JsonDocument document, JsonDocument::Parse(tokenizer_json, "tokenizer.json"));
  return Loader(document.root(), std::move(config)).Load();
}

}  // namespace millrace
