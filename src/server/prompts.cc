#include "server/prompts.h"

#include <algorithm>
#include <array>

namespace millrace {
namespace {

// Longer than the longest token of the vocabularies in use (o200k has 128 spaces).
constexpr size_t kMaxBytesPerToken = 128;

// Spellings of the prefix, suffix and middle tokens: CodeLlama, StarCoder, Qwen, DeepSeek, Gemma, Granite.
constexpr std::array<std::array<const char*, 3>, 5> kFimTokens = {{
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
    {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},
    {"▁<PRE>", "▁<SUF>", "▁<MID>"},
    {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},
}};

Result<Prompt> TextPrompt(const Service& service, const char* field, const std::string& text, bool add_special) {
  RETURN_IF_ERROR(CheckTextSize(service, field, text.size()));
  return Prompt{service.engine.tokenizer().Encode(text, {.add_special = add_special}), text};
}

Result<Prompt> IdsPrompt(const Service& service, const char* field, const Json& ids) {
  Prompt prompt;
  const int vocab_size = service.engine.checkpoint().config().vocab_size;
  for (const Json& id : ids) {
    if (!id.is_number_integer())
      return InvalidArgument("{} has {} among its token ids", field, DumpJson(id).substr(0, 64));
    const double value = id.get<double>();
    if (value < 0 || value >= vocab_size)
      return InvalidArgument("{} has token {}, the vocabulary has {} tokens", field, DumpJson(id), vocab_size);
    prompt.token_ids.push_back(id.get<TokenId>());
  }
  prompt.text = service.engine.tokenizer().Decode(prompt.token_ids);
  return prompt;
}

}  // namespace

Status CheckTextSize(const Service& service, const char* field, size_t bytes) {
  const size_t limit = static_cast<size_t>(service.engine.max_model_len()) * kMaxBytesPerToken;
  if (bytes <= limit) return OkStatus();
  return InvalidArgument("{} has {} bytes, more than {} tokens can stand for (--max-model-len)", field, bytes,
                         service.engine.max_model_len());
}

Result<std::vector<Prompt>> ReadPrompts(const Service& service, const Fields& fields, const char* field,
                                        size_t max_prompts) {
  const Json& value = fields.Get(field);
  const bool add_special = fields.Bool("add_special_tokens", true);
  if (value.is_null()) return InvalidArgument("{} is missing", field);
  const bool one = value.is_string() || (value.is_array() && !value.empty() && value.front().is_number());
  if (!one && (!value.is_array() || value.empty()))
    return InvalidArgument("{} is {}, expected a string or a list", field, DumpJson(value).substr(0, 64));
  if (!one && value.size() > max_prompts)
    return InvalidArgument("{} has {} prompts, the limit is {}", field, value.size(), max_prompts);
  const Json list = one ? Json::array({value}) : value;
  std::vector<Prompt> prompts;
  for (const Json& item : list) {
    if (!item.is_string() && !item.is_array()) {
      return InvalidArgument("{} has {} in its list, expected strings or lists of token ids", field,
                             DumpJson(item).substr(0, 64));
    }
    ASSIGN_OR_RETURN(Prompt prompt, item.is_string() ? TextPrompt(service, field, item.get<std::string>(), add_special)
                                                     : IdsPrompt(service, field, item));
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

Status InsertSuffix(const Tokenizer& tokenizer, const std::string& suffix, std::vector<Prompt>& prompts) {
  for (const auto& spelling : kFimTokens) {
    const auto prefix = tokenizer.FindToken(spelling[0]), rest = tokenizer.FindToken(spelling[1]),
               middle = tokenizer.FindToken(spelling[2]);
    if (!prefix || !rest || !middle) continue;
    const std::vector<TokenId> after = tokenizer.Encode(suffix);
    for (Prompt& prompt : prompts) {
      const bool has_bos =
          tokenizer.bos_id() && !prompt.token_ids.empty() && prompt.token_ids.front() == *tokenizer.bos_id();
      prompt.token_ids.insert(prompt.token_ids.begin() + (has_bos ? 1 : 0), *prefix);
      prompt.token_ids.push_back(*rest);
      prompt.token_ids.insert(prompt.token_ids.end(), after.begin(), after.end());
      prompt.token_ids.push_back(*middle);
    }
    return OkStatus();
  }
  return Unsupported("suffix is not supported: the model's vocabulary has no fill-in-the-middle tokens");
}

}  // namespace millrace
