#include "tokenizer/parts.h"

#include <algorithm>

#include "tokenizer/unicode.h"

namespace millrace {
namespace {

constexpr std::string_view kEndTexts[] = {"<|eot_id|>",
                                          "<|im_end|>",
                                          "<|end|>",
                                          "<|return|>",
                                          "<|call|>",
                                          "<end_of_turn>",
                                          "<|endoftext|>",
                                          "<|end_of_text|>",
                                          "<|eom_id|>",
                                          "<EOT>",
                                          "[EOT]",
                                          "<turn|>",
                                          "<end_of_utterance>",
                                          "[e~[",
                                          "<\xEF\xBD\x9C"
                                          "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"};

void ReplaceAll(std::string_view from, std::string_view to, std::string* text) {
  for (size_t at = text->find(from); at != std::string::npos; at = text->find(from, at + to.size())) {
    text->replace(at, from.size(), to);
  }
}

}  // namespace

bool IsEndText(std::string_view text) {
  return std::find(std::begin(kEndTexts), std::end(kEndTexts), text) != std::end(kEndTexts);
}

void MarkEnds(TokenizerParts* parts) {
  std::vector<TokenId>& ends = parts->end_ids;
  if (parts->eos_id) ends.push_back(*parts->eos_id);
  std::erase_if(ends, [parts](TokenId id) { return id < 0 || static_cast<size_t>(id) >= parts->entries.size(); });
  bool has_return = false;
  for (size_t i = 0; i < parts->entries.size(); ++i) {
    const VocabEntry& entry = parts->entries[i];
    if (!IsEndText(entry.text)) continue;
    has_return |= entry.text == "<|return|>";
    ends.push_back(static_cast<TokenId>(i));
  }
  // gpt-oss ends a message with <|end|> and a generation with <|return|> or <|call|>.
  if (has_return)
    std::erase_if(ends, [parts](TokenId id) { return parts->entries[static_cast<size_t>(id)].text == "<|end|>"; });
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  for (const TokenId id : ends) parts->entries[static_cast<size_t>(id)].kind = TokenKind::kControl;
}

std::optional<TokenId> ClaimUnknown(std::optional<TokenId> id, TokenizerParts* parts) {
  if (!id || *id < 0 || static_cast<size_t>(*id) >= parts->entries.size()) return std::nullopt;
  VocabEntry& entry = parts->entries[static_cast<size_t>(*id)];
  const bool ends = std::find(parts->end_ids.begin(), parts->end_ids.end(), *id) != parts->end_ids.end();
  if (ends || id == parts->bos_id || id == parts->eos_id || IsEndText(entry.text)) return std::nullopt;
  entry.kind = TokenKind::kUnknown;
  return id;
}

std::array<TokenId, 256> TakeByteTokens(std::vector<VocabEntry>* entries) {
  std::array<TokenId, 256> ids;
  ids.fill(-1);
  for (size_t i = 0; i < entries->size(); ++i) {
    const auto byte = ParseByteToken((*entries)[i].text);
    if (byte && ids[*byte] < 0 && (*entries)[i].kind != TokenKind::kControl) ids[*byte] = static_cast<TokenId>(i);
  }
  if (std::find(ids.begin(), ids.end(), -1) != ids.end()) {
    ids.fill(-1);
    return ids;
  }
  for (size_t b = 0; b < ids.size(); ++b) {
    VocabEntry& entry = (*entries)[static_cast<size_t>(ids[b])];
    entry.kind = TokenKind::kByte;
    entry.bytes.assign(1, static_cast<char>(b));
  }
  return ids;
}

void UnescapeMetaspace(std::vector<VocabEntry>* entries) {
  for (VocabEntry& entry : *entries) {
    if (entry.kind != TokenKind::kByte) ReplaceAll(kMetaspace, " ", &entry.bytes);
  }
}

void SearchMetaspaceTokensNormalized(std::vector<AddedToken>* added) {
  for (AddedToken& token : *added) token.normalized |= token.content.find(kMetaspace) != std::string::npos;
}

TokenMap NormalTokens(const std::vector<VocabEntry>& entries) {
  TokenMap tokens;
  tokens.Reserve(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].kind == TokenKind::kNormal && !entries[i].text.empty()) {
      tokens.Insert(entries[i].text, static_cast<TokenId>(i));
    }
  }
  return tokens;
}

std::unique_ptr<TokenModel> SentencePieceBpe(const std::vector<VocabEntry>& entries, const std::vector<float>& scores,
                                             const BpeOptions& options) {
  std::vector<float> order = scores;
  std::sort(order.begin(), order.end(), [](float a, float b) { return a > b || (a == a && b != b); });
  order.erase(std::unique(order.begin(), order.end()), order.end());
  std::vector<uint32_t> ranks(entries.size(), MergeTable::kNone);
  TokenMap tokens = NormalTokens(entries);
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto place = std::lower_bound(order.begin(), order.end(), scores[i], std::greater<>());
    ranks[i] = static_cast<uint32_t>(place - order.begin());
  }
  MergeRules rules = MergeRules::FromRanks(tokens, ranks, false);
  return std::make_unique<BpeModel>(std::move(tokens), std::move(rules), options);
}

void AddBertSplits(std::vector<std::unique_ptr<PreTokenizerStep>>* steps) {
  steps->push_back(SplitStep(CharacterPattern(kSpace, false), SplitBehavior::kRemoved, false));
  steps->push_back(SplitStep(CharacterPattern(kPunctuation, true), SplitBehavior::kIsolated, false));
}

std::string WordPieceBytes(std::string_view letters, bool continuation, bool cleanup) {
  std::string bytes = continuation ? std::string(letters) : std::string(" ").append(letters);
  if (!cleanup) return bytes;
  static constexpr std::pair<std::string_view, std::string_view> kJoins[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kJoins) ReplaceAll(from, to, &bytes);
  return bytes;
}

}  // namespace millrace
