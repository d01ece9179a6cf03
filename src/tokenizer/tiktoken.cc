// Rank files: one "base64 rank" a line.
#include <algorithm>
#include <charconv>

#include "tokenizer/json.h"
#include "tokenizer/load.h"
#include "tokenizer/parts.h"
#include "tokenizer/pre_names.h"
#include "tokenizer/tokenizer_config.h"

namespace millrace {
namespace {

struct Special {
  TokenId id;
  std::string text;
};

// A published encoding: what a rank file leaves out.
struct Encoding {
  size_t num_ranks;
  std::string_view pattern;
  std::vector<Special> specials;
  std::string_view bos, eos;
};

std::vector<Special> Llama3Specials() {
  std::vector<Special> specials;
  for (const char* text : {"<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
                           "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>", "<|step_id|>",
                           "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"}) {
    specials.push_back({static_cast<TokenId>(128000 + specials.size()), text});
  }
  for (int i = 2; specials.size() < 256; ++i) {
    specials.push_back(
        {static_cast<TokenId>(128000 + specials.size()), fmt::format("<|reserved_special_token_{}|>", i)});
  }
  return specials;
}

const std::vector<Encoding>& Encodings() {
  static const std::vector<Encoding> encodings = {
      {50256, Gpt2Regex(), {{50256, "<|endoftext|>"}}, "<|endoftext|>", "<|endoftext|>"},
      {50281, Gpt2Regex(), {{50256, "<|endoftext|>"}}, "<|endoftext|>", "<|endoftext|>"},
      {100256,
       Cl100kRegex(),
       {{100257, "<|endoftext|>"},
        {100258, "<|fim_prefix|>"},
        {100259, "<|fim_middle|>"},
        {100260, "<|fim_suffix|>"},
        {100276, "<|endofprompt|>"}},
       "",
       "<|endoftext|>"},
      {128000, Llama3Regex(), Llama3Specials(), "<|begin_of_text|>", "<|end_of_text|>"},
      {199998, O200kRegex(), {{199999, "<|endoftext|>"}, {200018, "<|endofprompt|>"}}, "", "<|endoftext|>"},
  };
  return encodings;
}

Status ReadRanks(std::string_view text, std::vector<VocabEntry>* entries) {
  if (text.size() > kMaxTokenFileBytes) {
    return OutOfRange("the rank file has {} bytes, expected at most {}", text.size(), kMaxTokenFileBytes);
  }
  // A line has at least 3 bytes, so ids beyond a third of the file are lies.
  const size_t limit = std::min(kMaxVocabTokens, text.size() / 3 + 1024);
  size_t line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const size_t newline = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, newline);
    text.remove_prefix(std::min(newline + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    uint32_t rank = 0;
    auto bytes = space == std::string_view::npos ? std::nullopt : DecodeBase64(line.substr(0, space));
    if (!bytes || bytes->empty()) return DataLoss("line {} of the rank file is no 'base64 rank'", line_number);
    const char* const end = line.data() + line.size();
    const auto [rest, error] = std::from_chars(line.data() + space + 1, end, rank);
    if (error != std::errc() || rest != end || rank >= limit)
      return DataLoss("line {} of the rank file has a bad rank", line_number);
    if (rank >= entries->size()) entries->resize(rank + 1, VocabEntry{"", "", TokenKind::kUnused});
    (*entries)[rank] = {ByteAlphabet::FromBytes(*bytes), *bytes, TokenKind::kNormal};
  }
  return OkStatus();
}

std::optional<TokenId> FindAdded(const std::vector<AddedToken>& added, std::string_view text) {
  for (const AddedToken& token : added) {
    if (token.content == text) return token.id;
  }
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> LoadTiktoken(std::string_view ranks, std::string_view tokenizer_config_json) {
  ASSIGN_OR_RETURN(const TokenizerConfig config, ParseTokenizerConfig(tokenizer_config_json));
  TokenizerParts parts;
  RETURN_IF_ERROR(ReadRanks(ranks, &parts.entries));
  const size_t num_ranks = parts.entries.size();
  const auto encoding = std::find_if(Encodings().begin(), Encodings().end(),
                                     [num_ranks](const Encoding& known) { return known.num_ranks == num_ranks; });
  if (encoding == Encodings().end()) {
    return Unsupported("the rank file has {} ranks, which is none of r50k, p50k, cl100k, Llama 3 and o200k", num_ranks);
  }
  TokenMap tokens;
  tokens.Reserve(num_ranks);
  std::vector<uint32_t> rank_of(num_ranks);
  for (size_t i = 0; i < num_ranks; ++i) {
    rank_of[i] = static_cast<uint32_t>(i);
    if (!parts.entries[i].bytes.empty()) tokens.Insert(parts.entries[i].bytes, static_cast<TokenId>(i));
  }
  BpeOptions options;
  // tiktoken looks a word up before it merges, which is what ignore_merges means.
  options.ignore_merges = true;
  options.byte_fallback.fill(-1);
  MergeRules rules = MergeRules::FromRanks(tokens, rank_of, true);
  parts.model = std::make_unique<BpeModel>(std::move(tokens), std::move(rules), options);
  parts.added = config.added;
  if (parts.added.empty()) {
    for (const Special& special : encoding->specials) {
      AddedToken token;
      token.content = special.text;
      token.id = special.id;
      token.special = true;
      parts.added.push_back(std::move(token));
    }
  }
  for (const AddedToken& token : parts.added) {
    if (token.id >= 0 && static_cast<size_t>(token.id) < num_ranks) {
      return DataLoss("added token '{}' has id {}, expected one behind the {} ranks", token.content, token.id,
                      num_ranks);
    }
  }
  RETURN_IF_ERROR(AddToVocabulary(parts.added, &parts.entries));
  ASSIGN_OR_RETURN(std::unique_ptr<Pattern> pattern, CompilePattern(encoding->pattern));
  parts.pre_tokenizers.push_back(SplitStep(std::move(pattern), SplitBehavior::kIsolated, false));
  KeepEndIds(config, &parts);
  parts.bos_id = FindAdded(parts.added, config.bos_token.value_or(std::string(encoding->bos)));
  parts.eos_id = FindAdded(parts.added, config.eos_token.value_or(std::string(encoding->eos)));
  MarkEnds(&parts);
  const bool add_bos = config.add_bos.value_or(encoding->bos == "<|begin_of_text|>");
  if (add_bos && parts.bos_id) parts.prefix_ids = {*parts.bos_id};
  return BuildTokenizer(std::move(parts));
}

}  // namespace millrace
