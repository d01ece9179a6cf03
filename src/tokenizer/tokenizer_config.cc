#include "tokenizer/tokenizer_config.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "tokenizer/parts.h"

namespace millrace {
namespace {

constexpr size_t kMaxConfigBytes = 32 << 20;
constexpr int kMaxConfigDepth = 64;

// nlohmann's parser is used here, since published files have numbers ("model_max_length") beyond 64 bits, which
// simdjson refuses. It has no bound on depth, so brackets outside strings are counted first.
bool IsTooDeep(std::string_view json) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxConfigDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

std::string StringOr(const nlohmann::json& value, const char* key, const char* fallback) {
  const auto it = value.is_object() ? value.find(key) : value.end();
  return it != value.end() && it->is_string() ? it->get<std::string>() : std::string(fallback);
}

std::optional<bool> MaybeBool(const nlohmann::json& value, const char* key) {
  const auto it = value.is_object() ? value.find(key) : value.end();
  return it != value.end() && it->is_boolean() ? std::optional(it->get<bool>()) : std::nullopt;
}

// "bos_token" is a string or an object with "content".
std::optional<std::string> TokenText(const nlohmann::json& root, const char* key) {
  std::string text = StringOr(root, key, "");
  const auto it = root.find(key);
  if (text.empty() && it != root.end()) text = StringOr(*it, "content", "");
  return text.empty() ? std::nullopt : std::optional(std::move(text));
}

Result<AddedToken> ReadAdded(const std::string& key, const nlohmann::json& value) {
  AddedToken token;
  const auto [rest, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
  token.content = StringOr(value, "content", "");
  if (error != std::errc() || rest != key.data() + key.size() || token.id < 0 || token.content.empty()) {
    return DataLoss("tokenizer_config.json has an added token '{}' without a number or without content", key);
  }
  token.special = MaybeBool(value, "special").value_or(false);
  token.lstrip = MaybeBool(value, "lstrip").value_or(false);
  token.rstrip = MaybeBool(value, "rstrip").value_or(false);
  token.single_word = MaybeBool(value, "single_word").value_or(false);
  token.normalized = MaybeBool(value, "normalized").value_or(false);
  return token;
}

std::optional<TokenId> FindEntry(const std::vector<VocabEntry>& entries, std::string_view text) {
  for (size_t i = entries.size(); i > 0; --i) {
    if (entries[i - 1].text == text) return static_cast<TokenId>(i - 1);
  }
  return std::nullopt;
}

}  // namespace

Result<nlohmann::json> ParseConfigJson(std::string_view json, std::string_view name) {
  if (json.size() > kMaxConfigBytes)
    return OutOfRange("{} has {} bytes, expected at most {}", name, json.size(), kMaxConfigBytes);
  if (IsTooDeep(json)) return OutOfRange("{} nests deeper than {} levels", name, kMaxConfigDepth);
  nlohmann::json root = nlohmann::json::parse(json, nullptr, false);
  if (!root.is_object()) return DataLoss("{} is not a JSON object", name);
  return root;
}

Result<TokenizerConfig> ParseTokenizerConfig(std::string_view json) {
  TokenizerConfig config;
  if (json.empty()) return config;
  ASSIGN_OR_RETURN(const nlohmann::json root, ParseConfigJson(json, "tokenizer_config.json"));
  config.tokenizer_class = StringOr(root, "tokenizer_class", "");
  config.bos_token = TokenText(root, "bos_token");
  config.eos_token = TokenText(root, "eos_token");
  config.add_bos = MaybeBool(root, "add_bos_token");
  config.add_eos = MaybeBool(root, "add_eos_token");
  config.add_prefix_space = MaybeBool(root, "add_prefix_space");
  const auto ends = root.find("eos_token_id");
  if (ends != root.end()) {
    for (const nlohmann::json& id : ends->is_array() ? *ends : nlohmann::json::array({*ends})) {
      const int64_t value = id.is_number_integer() ? id.get<int64_t>() : -1;
      if (value >= 0 && value < static_cast<int64_t>(kMaxVocabTokens))
        config.end_ids.push_back(static_cast<TokenId>(value));
    }
  }
  const auto decoder = root.find("added_tokens_decoder");
  if (decoder == root.end() || !decoder->is_object()) return config;
  for (const auto& [key, value] : decoder->items()) {
    ASSIGN_OR_RETURN(AddedToken token, ReadAdded(key, value));
    config.added.push_back(std::move(token));
  }
  return config;
}

Status AddToVocabulary(const std::vector<AddedToken>& added, std::vector<VocabEntry>* entries) {
  const size_t limit = std::min(kMaxVocabTokens, 2 * (entries->size() + added.size()) + 1024);
  for (const AddedToken& token : added) {
    const size_t index = static_cast<size_t>(token.id);
    if (token.id < 0 || index >= limit) {
      return DataLoss("added token '{}' has id {}, expected 0 to {}", token.content, token.id, limit - 1);
    }
    const VocabEntry gap{"", "", TokenKind::kUnused};
    if (index >= entries->size()) entries->resize(index + 1, gap);
    VocabEntry& entry = (*entries)[index];
    entry.text = token.content;
    entry.bytes = token.content;
    if (entry.kind != TokenKind::kUnknown) entry.kind = token.special ? TokenKind::kControl : TokenKind::kUserDefined;
  }
  return OkStatus();
}

void KeepEndIds(const TokenizerConfig& config, TokenizerParts* parts) {
  for (const TokenId id : config.end_ids) {
    if (static_cast<size_t>(id) < parts->entries.size()) parts->end_ids.push_back(id);
  }
}

void SetBosAndEos(const TokenizerConfig& config, TokenizerParts* parts) {
  KeepEndIds(config, parts);
  const auto find_first = [parts](std::initializer_list<std::string_view> names) -> std::optional<TokenId> {
    for (const std::string_view name : names) {
      if (const auto id = FindEntry(parts->entries, name)) return id;
    }
    return std::nullopt;
  };
  if (config.bos_token) {
    parts->bos_id = FindEntry(parts->entries, *config.bos_token);
  } else if (config.tokenizer_class.empty()) {
    parts->bos_id = find_first({"<|begin_of_text|>", "<bos>", "<s>", "[CLS]"});
  }
  if (config.eos_token) {
    parts->eos_id = FindEntry(parts->entries, *config.eos_token);
  } else if (config.tokenizer_class.empty()) {
    parts->eos_id = find_first({"<|end_of_text|>", "<eos>", "</s>", "<|endoftext|>", "[SEP]"});
  }
}

}  // namespace millrace
