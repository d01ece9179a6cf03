#include <algorithm>
#include <map>

#include "tokenizer/bpe.h"
#include "tokenizer/load.h"
#include "tokenizer/parts.h"
#include "tokenizer/pre_names.h"
#include "tokenizer/unigram.h"
#include "tokenizer/wordpiece.h"

namespace millrace {
namespace {

// Kinds by GGUF's token_type; out of range counts as normal.
TokenKind KindOf(const GgufVocab& vocab, size_t i) {
  if (IsEndText(vocab.tokens[i])) return TokenKind::kControl;
  switch (vocab.token_types.empty() ? 1 : vocab.token_types[i]) {
    case 2:
      return TokenKind::kUnknown;
    case 3:
      return TokenKind::kControl;
    case 4:
      return TokenKind::kUserDefined;
    case 5:
      return TokenKind::kUnused;
    case 6:
      return TokenKind::kByte;
    default:
      return TokenKind::kNormal;
  }
}

Status Check(const GgufVocab& vocab) {
  const size_t n = vocab.tokens.size();
  if (n == 0) return DataLoss("tokenizer.ggml.tokens is empty");
  if (n > kMaxVocabTokens)
    return OutOfRange("tokenizer.ggml.tokens has {} entries, expected at most {}", n, kMaxVocabTokens);
  if (!vocab.scores.empty() && vocab.scores.size() != n) {
    return DataLoss("tokenizer.ggml.scores has {} entries, expected {}", vocab.scores.size(), n);
  }
  if (!vocab.token_types.empty() && vocab.token_types.size() != n) {
    return DataLoss("tokenizer.ggml.token_type has {} entries, expected {}", vocab.token_types.size(), n);
  }
  return OkStatus();
}

// Drops ids that are not in the vocabulary: published files carry stale ones, and llama.cpp ignores them too.
std::optional<TokenId> Valid(std::optional<TokenId> id, const GgufVocab& vocab) {
  return id && *id >= 0 && static_cast<size_t>(*id) < vocab.tokens.size() ? id : std::nullopt;
}

struct Defaults {
  std::optional<TokenId> bos, eos, unk;
  bool add_bos = false;
  bool add_eos = false;
};

// Everything but the model and its steps.
TokenizerParts CommonParts(const GgufVocab& vocab, const Defaults& defaults) {
  TokenizerParts parts;
  parts.bos_id = Valid(vocab.bos_id ? vocab.bos_id : defaults.bos, vocab);
  parts.eos_id = Valid(vocab.eos_id ? vocab.eos_id : defaults.eos, vocab);
  for (const auto& id : {vocab.eot_id, vocab.eom_id}) {
    if (Valid(id, vocab)) parts.end_ids.push_back(*id);
  }
  if (vocab.add_bos.value_or(defaults.add_bos) && parts.bos_id) parts.prefix_ids.push_back(*parts.bos_id);
  if (vocab.add_eos.value_or(defaults.add_eos) && parts.eos_id) parts.suffix_ids.push_back(*parts.eos_id);
  parts.entries.resize(vocab.tokens.size());
  for (size_t i = 0; i < vocab.tokens.size(); ++i) {
    VocabEntry& entry = parts.entries[i];
    entry.text = vocab.tokens[i];
    entry.kind = KindOf(vocab, i);
    entry.bytes = entry.text;
  }
  MarkEnds(&parts);
  for (size_t i = 0; i < parts.entries.size(); ++i) {
    const VocabEntry& entry = parts.entries[i];
    const bool added =
        entry.kind == TokenKind::kControl || entry.kind == TokenKind::kUserDefined || entry.kind == TokenKind::kUnknown;
    if (added && !entry.text.empty()) {
      AddedToken token;
      token.content = entry.text;
      token.id = static_cast<TokenId>(i);
      token.special = entry.kind != TokenKind::kUserDefined;
      parts.added.push_back(std::move(token));
    }
  }
  return parts;
}

std::array<TokenId, 256> NoByteTokens() {
  std::array<TokenId, 256> ids;
  ids.fill(-1);
  return ids;
}

// Merges by the text of their halves; those of tokens that are not there can't apply.
MergeRules RulesFromMerges(const GgufVocab& vocab, const TokenMap& by_text) {
  MergeRules rules;
  rules.phantom_base = static_cast<TokenId>(vocab.tokens.size());
  rules.table.Reserve(vocab.merges.size());
  for (size_t rank = 0; rank < vocab.merges.size(); ++rank) {
    const std::string_view merge = vocab.merges[rank];
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos) continue;
    const auto left = by_text.Find(merge.substr(0, space));
    const auto right = by_text.Find(merge.substr(space + 1));
    if (!left || !right) continue;
    const auto merged = by_text.Find(std::string(merge.substr(0, space)).append(merge.substr(space + 1)));
    if (merged) rules.table.Insert(*left, *right, {static_cast<uint32_t>(rank), *merged}, true);
  }
  return rules;
}

bool IsModelToken(TokenKind kind) {
  return kind == TokenKind::kNormal;
}

Result<std::unique_ptr<Tokenizer>> MakeBpe(const GgufVocab& vocab) {
  const std::string_view pre = vocab.model == "gemma4" ? std::string_view("gemma4") : std::string_view(vocab.pre);
  const PreTokenizerInfo* info = FindPreTokenizer(pre);
  if (info == nullptr) {
    return Unsupported("tokenizer.ggml.pre is '{}', which is no pre-tokenizer that this build knows", vocab.pre);
  }
  Defaults defaults;
  defaults.add_bos = info->add_bos;
  TokenizerParts parts = CommonParts(vocab, defaults);
  TokenMap tokens;
  TokenMap by_text;
  tokens.Reserve(vocab.tokens.size());
  by_text.Reserve(vocab.tokens.size());
  for (size_t i = 0; i < parts.entries.size(); ++i) {
    VocabEntry& entry = parts.entries[i];
    if (!IsModelToken(entry.kind)) continue;
    by_text.Insert(entry.text, static_cast<TokenId>(i));
    if (info->byte_level) {
      if (auto bytes = ByteAlphabet::ToBytes(entry.text)) entry.bytes = *std::move(bytes);
    }
    tokens.Insert(entry.bytes, static_cast<TokenId>(i));
  }
  BpeOptions options;
  options.byte_level = info->byte_level;
  options.ignore_merges = info->ignore_merges;
  options.unk_id = ClaimUnknown(vocab.unk_id, &parts);
  options.byte_fallback = info->byte_level ? NoByteTokens() : TakeByteTokens(&parts.entries);
  if (info->nfc) parts.normalizers.push_back(NormalFormStep(NormalForm::kNfc));
  if (!info->byte_level) {
    parts.normalizers.push_back(ReplaceStep(LiteralPattern(" "), std::string(kMetaspace)));
    UnescapeMetaspace(&parts.entries);
    parts.replaces_each_invalid_byte = true;
  }
  for (const std::string_view regex : info->patterns) {
    ASSIGN_OR_RETURN(std::unique_ptr<Pattern> pattern, CompilePattern(regex));
    parts.pre_tokenizers.push_back(SplitStep(std::move(pattern), SplitBehavior::kIsolated, false));
  }
  MergeRules rules = RulesFromMerges(vocab, by_text);
  parts.model = std::make_unique<BpeModel>(std::move(tokens), std::move(rules), options);
  return BuildTokenizer(std::move(parts));
}

// SentencePiece BPE: ranks by descending score.
Result<std::unique_ptr<Tokenizer>> MakeSentencePieceBpe(const GgufVocab& vocab) {
  if (vocab.scores.empty()) return DataLoss("tokenizer.ggml.scores is missing, expected one score per token");
  TokenizerParts parts = CommonParts(vocab, {1, 2, 0, true, false});
  BpeOptions options;
  options.byte_level = false;
  options.byte_fallback = TakeByteTokens(&parts.entries);
  options.unk_id = ClaimUnknown(vocab.unk_id.value_or(0), &parts);
  SearchMetaspaceTokensNormalized(&parts.added);
  parts.model = SentencePieceBpe(parts.entries, vocab.scores, options);
  if (vocab.add_space_prefix.value_or(true)) {
    parts.normalizers.push_back(PrependStep(" "));
    parts.first_token = FirstToken::kDropOneSpace;
  }
  parts.normalizers.push_back(ReplaceStep(LiteralPattern(" "), std::string(kMetaspace)));
  parts.replaces_each_invalid_byte = true;
  UnescapeMetaspace(&parts.entries);
  return BuildTokenizer(std::move(parts));
}

Result<std::unique_ptr<Tokenizer>> MakeUnigram(const GgufVocab& vocab) {
  if (vocab.scores.empty()) return DataLoss("tokenizer.ggml.scores is missing, expected one score per token");
  TokenizerParts parts = CommonParts(vocab, {std::nullopt, 1, 2, false, true});
  UnigramOptions options;
  options.unk_id = ClaimUnknown(vocab.unk_id.value_or(2), &parts);
  options.byte_fallback = TakeByteTokens(&parts.entries);
  SearchMetaspaceTokensNormalized(&parts.added);
  parts.model = MakeUnigramModel(parts.entries, {vocab.scores.begin(), vocab.scores.end()}, options);
  SentencePieceNormalizerOptions normalizer;
  normalizer.charsmap = vocab.precompiled_charsmap;
  normalizer.add_dummy_prefix = vocab.add_space_prefix.value_or(true);
  normalizer.prefix_every_piece = true;
  normalizer.remove_extra_whitespaces = vocab.remove_extra_whitespaces.value_or(false);
  if (normalizer.add_dummy_prefix) parts.first_token = FirstToken::kDropOneSpace;
  ASSIGN_OR_RETURN(std::unique_ptr<NormalizerStep> step, SentencePieceStep(std::move(normalizer)));
  parts.normalizers.push_back(std::move(step));
  parts.replaces_each_invalid_byte = true;
  UnescapeMetaspace(&parts.entries);
  return BuildTokenizer(std::move(parts));
}

// BERT's words carry U+2581 in front here, and their continuations nothing: the reverse of "##".
Result<std::unique_ptr<Tokenizer>> MakeWordPiece(const GgufVocab& vocab) {
  TokenizerParts parts = CommonParts(vocab, {101, std::nullopt, 100, false, false});
  WordPieceOptions options;
  const auto unk = ClaimUnknown(vocab.unk_id.value_or(100), &parts);
  if (!unk) return DataLoss("a WordPiece vocabulary needs tokenizer.ggml.unknown_token_id");
  options.unk_id = *unk;
  auto model = std::make_unique<WordPieceModel>(options);
  for (size_t i = 0; i < parts.entries.size(); ++i) {
    VocabEntry& entry = parts.entries[i];
    if (!IsModelToken(entry.kind) || entry.text.empty()) continue;
    const bool starts_word = entry.text.starts_with(kMetaspace);
    const std::string letters = starts_word ? entry.text.substr(kMetaspace.size()) : entry.text;
    if (letters.empty()) continue;
    model->Add(letters, !starts_word, static_cast<TokenId>(i));
    entry.bytes = WordPieceBytes(letters, !starts_word, true);
  }
  parts.model = std::move(model);
  parts.normalizers.push_back(BertStep({}));
  AddBertSplits(&parts.pre_tokenizers);
  parts.first_token = FirstToken::kDropOneSpace;
  const auto cls = Valid(vocab.cls_id ? vocab.cls_id : vocab.bos_id ? vocab.bos_id : 101, vocab);
  const auto sep = Valid(vocab.sep_id ? vocab.sep_id : 102, vocab);
  parts.prefix_ids.clear();
  if (cls && vocab.add_bos.value_or(true)) parts.prefix_ids.push_back(*cls);
  if (sep && vocab.add_sep.value_or(vocab.add_eos.value_or(true))) parts.suffix_ids = {*sep};
  return BuildTokenizer(std::move(parts));
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> MakeTokenizer(const GgufVocab& vocab) {
  RETURN_IF_ERROR(Check(vocab));
  if (vocab.model == "gpt2" || vocab.model == "gemma4") return MakeBpe(vocab);
  if (vocab.model == "llama") return MakeSentencePieceBpe(vocab);
  if (vocab.model == "t5") return MakeUnigram(vocab);
  if (vocab.model == "bert") return MakeWordPiece(vocab);
  return Unsupported("tokenizer.ggml.model is '{}', expected gpt2, llama, t5, bert or gemma4", vocab.model);
}

}  // namespace millrace
