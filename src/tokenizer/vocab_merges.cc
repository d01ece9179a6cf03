// vocab.json + merges.txt, and the choice among what a model folder holds.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "tokenizer/json.h"
#include "tokenizer/json_steps.h"
#include "tokenizer/load.h"
#include "tokenizer/parts.h"
#include "tokenizer/pre_names.h"
#include "tokenizer/tokenizer_config.h"

namespace millrace {
namespace {

Status ReadVocabJson(std::string_view json, std::vector<VocabEntry>* entries) {
  ASSIGN_OR_RETURN(const JsonDocument document, JsonDocument::Parse(json, "vocab.json"));
  simdjson::dom::object object;
  if (document.root().get(object)) return DataLoss("vocab.json is no object");
  return ReadVocabObject(object, entries);
}

// "left right" lines, best first; a first line "#version: ..." is skipped.
Result<MergeRules> ReadMergesTxt(std::string_view text, const TokenMap& by_text, size_t vocab_size) {
  if (text.size() > kMaxTokenFileBytes) {
    return OutOfRange("merges.txt has {} bytes, expected at most {}", text.size(), kMaxTokenFileBytes);
  }
  MergeRules rules;
  rules.phantom_base = static_cast<TokenId>(vocab_size);
  uint32_t rank = 0;
  for (bool first = true; !text.empty(); first = false) {
    const size_t newline = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, newline);
    text.remove_prefix(std::min(newline + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (first && line.starts_with("#version"))) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) return DataLoss("merge {} of merges.txt is no pair", rank);
    const auto left = by_text.Find(line.substr(0, space));
    const auto right = by_text.Find(line.substr(space + 1));
    const auto merged = by_text.Find(std::string(line.substr(0, space)).append(line.substr(space + 1)));
    if (!left || !right || !merged) return DataLoss("merge {} of merges.txt has a token that vocab.json lacks", rank);
    rules.table.Insert(*left, *right, {rank++, *merged});
  }
  return rules;
}

// The text of FOLDER/NAME; empty when there is none.
Result<std::string> ReadIfPresent(const std::filesystem::path& folder, const char* name) {
  const std::filesystem::path path = folder / name;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::string();
  return ReadFile(path.string(), kMaxTokenFileBytes);
}

// tokenizer_config.json with "eos_token_id" of generation_config.json and config.json, which know more ends than it
// does.
Result<std::string> ReadConfig(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const std::string text, ReadIfPresent(folder, "tokenizer_config.json"));
  nlohmann::json config = nlohmann::json::object();
  if (!text.empty()) {
    ASSIGN_OR_RETURN(config, ParseConfigJson(text, "tokenizer_config.json"));
  }
  nlohmann::json ends = nlohmann::json::array();
  for (const char* name : {"generation_config.json", "config.json"}) {
    ASSIGN_OR_RETURN(const std::string other_text, ReadIfPresent(folder, name));
    if (other_text.empty()) continue;
    ASSIGN_OR_RETURN(const nlohmann::json other, ParseConfigJson(other_text, name));
    const auto ids = other.find("eos_token_id");
    if (ids == other.end()) continue;
    for (const nlohmann::json& id : ids->is_array() ? *ids : nlohmann::json::array({*ids})) ends.push_back(id);
  }
  config["eos_token_id"] = std::move(ends);
  return config.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// A rank file starts with base64, a space and a number; SentencePiece's with a field tag.
bool LooksLikeRanks(std::string_view file) {
  const std::string_view line = file.substr(0, std::min<size_t>(file.find('\n'), 256));
  const size_t space = line.find(' ');
  return space != std::string_view::npos && DecodeBase64(line.substr(0, space)).has_value();
}

Result<std::unique_ptr<Tokenizer>> LoadFiles(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const std::string config, ReadConfig(folder));
  ASSIGN_OR_RETURN(const std::string json, ReadIfPresent(folder, "tokenizer.json"));
  if (!json.empty()) return LoadTokenizerJson(json, config);
  ASSIGN_OR_RETURN(const std::string model, ReadIfPresent(folder, "tokenizer.model"));
  if (LooksLikeRanks(model)) return LoadTiktoken(model, config);
  if (!model.empty()) return LoadSentencePiece(model, config);
  ASSIGN_OR_RETURN(const std::string vocab, ReadIfPresent(folder, "vocab.json"));
  ASSIGN_OR_RETURN(const std::string merges, ReadIfPresent(folder, "merges.txt"));
  if (!vocab.empty() && !merges.empty()) return LoadVocabAndMerges(vocab, merges, config);
  return NotFound("{} has no tokenizer: expected tokenizer.json, tokenizer.model, or vocab.json with merges.txt",
                  folder.string());
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> LoadVocabAndMerges(std::string_view vocab_json, std::string_view merges,
                                                      std::string_view tokenizer_config_json) {
  ASSIGN_OR_RETURN(const TokenizerConfig config, ParseTokenizerConfig(tokenizer_config_json));
  TokenizerParts parts;
  RETURN_IF_ERROR(ReadVocabJson(vocab_json, &parts.entries));
  parts.added = config.added;
  if (parts.added.empty()) {
    for (size_t i = 0; i < parts.entries.size(); ++i) {
      if (parts.entries[i].text != "<|endoftext|>") continue;
      AddedToken token;
      token.content = parts.entries[i].text;
      token.id = static_cast<TokenId>(i);
      token.special = true;
      parts.added.push_back(std::move(token));
    }
  }
  RETURN_IF_ERROR(AddToVocabulary(parts.added, &parts.entries));
  SetBosAndEos(config, &parts);
  MarkEnds(&parts);
  TokenMap by_text;
  TokenMap tokens;
  by_text.Reserve(parts.entries.size());
  tokens.Reserve(parts.entries.size());
  for (size_t i = 0; i < parts.entries.size(); ++i) {
    VocabEntry& entry = parts.entries[i];
    if (entry.kind != TokenKind::kNormal || entry.text.empty()) continue;
    by_text.Insert(entry.text, static_cast<TokenId>(i));
    if (auto bytes = ByteAlphabet::ToBytes(entry.text)) entry.bytes = *std::move(bytes);
    tokens.Insert(entry.bytes, static_cast<TokenId>(i));
  }
  ASSIGN_OR_RETURN(MergeRules rules, ReadMergesTxt(merges, by_text, parts.entries.size()));
  BpeOptions options;
  options.byte_fallback.fill(-1);
  parts.model = std::make_unique<BpeModel>(std::move(tokens), std::move(rules), options);
  const bool qwen = config.tokenizer_class.starts_with("Qwen2");
  if (qwen) parts.normalizers.push_back(NormalFormStep(NormalForm::kNfc));
  if (config.add_prefix_space.value_or(false)) parts.pre_tokenizers.push_back(PrefixSpaceStep());
  ASSIGN_OR_RETURN(std::unique_ptr<Pattern> pattern, CompilePattern(qwen ? Qwen2Regex() : Gpt2Regex()));
  parts.pre_tokenizers.push_back(SplitStep(std::move(pattern), SplitBehavior::kIsolated, false));
  if (config.add_bos.value_or(false) && parts.bos_id) parts.prefix_ids = {*parts.bos_id};
  if (config.add_eos.value_or(false) && parts.eos_id) parts.suffix_ids = {*parts.eos_id};
  return BuildTokenizer(std::move(parts));
}

Result<std::unique_ptr<Tokenizer>> LoadTokenizerFromFolder(const std::string& folder) {
  auto tokenizer = LoadFiles(folder);
  if (!tokenizer.ok()) return tokenizer.status().WithPrefix(folder);
  return tokenizer;
}

}  // namespace millrace
