#include "model_loader/gguf_tokenizer.h"

namespace millrace {
namespace {

constexpr int64_t kNoToken = 4294967295;  // how some writers store -1

std::optional<TokenId> ReadId(FieldReader& fields, std::string_view key, size_t num_tokens) {
  const int64_t id = fields.Int(key, -1, -1, kNoToken);
  if (id < 0 || static_cast<size_t>(id) >= num_tokens) return std::nullopt;
  return static_cast<TokenId>(id);
}

std::optional<bool> ReadFlag(FieldReader& fields, std::string_view key) {
  if (!fields.Has(key)) return std::nullopt;
  return fields.Bool(key, false);
}

std::vector<std::string> Strings(const GgufHeader& header, std::string_view key) {
  const std::vector<std::string_view> views = header.FindStrings(key);
  return std::vector<std::string>(views.begin(), views.end());
}

// Bytes of an array of one-byte numbers.
std::string Bytes(const GgufHeader& header, std::string_view key) {
  const GgufValue* value = header.Find(key);
  if (value == nullptr || !value->is_array || GgufTypeBytes(value->type) != 1) return {};
  return std::string(reinterpret_cast<const char*>(value->bytes.data()), value->bytes.size());
}

}  // namespace

Result<GgufVocab> ReadGgufVocab(const GgufHeader& header, const std::string& where) {
  constexpr std::string_view kPrefix = "tokenizer.ggml.";
  const auto key = [&](std::string_view name) { return std::string(kPrefix) + std::string(name); };
  GgufVocab vocab;
  vocab.tokens = Strings(header, key("tokens"));
  const size_t n = vocab.tokens.size();
  if (n == 0) return NotFound("{}: the file has no vocabulary (tokenizer.ggml.tokens)", where);
  FieldReader fields(header, where, std::string(kPrefix));
  vocab.model = fields.String("model", "");
  vocab.pre = fields.String("pre", "");
  vocab.scores = header.FindNumbers<float>(key("scores"));
  vocab.token_types = header.FindNumbers<int32_t>(key("token_type"));
  vocab.merges = Strings(header, key("merges"));
  vocab.precompiled_charsmap = Bytes(header, key("precompiled_charsmap"));
  vocab.bos_id = ReadId(fields, "bos_token_id", n);
  vocab.eos_id = ReadId(fields, "eos_token_id", n);
  vocab.unk_id = ReadId(fields, "unknown_token_id", n);
  vocab.sep_id = ReadId(fields, "seperator_token_id", n);  // the format's own spelling
  vocab.pad_id = ReadId(fields, "padding_token_id", n);
  vocab.eot_id = ReadId(fields, "eot_token_id", n);
  vocab.eom_id = ReadId(fields, "eom_token_id", n);
  vocab.cls_id = ReadId(fields, "cls_token_id", n);
  vocab.add_bos = ReadFlag(fields, "add_bos_token");
  vocab.add_eos = ReadFlag(fields, "add_eos_token");
  vocab.add_sep = ReadFlag(fields, "add_sep_token");
  vocab.add_space_prefix = ReadFlag(fields, "add_space_prefix");
  vocab.remove_extra_whitespaces = ReadFlag(fields, "remove_extra_whitespaces");
  RETURN_IF_ERROR(fields.status());
  const size_t scores = vocab.scores.size(), types = vocab.token_types.size();
  if ((scores != 0 && scores != n) || (types != 0 && types != n)) {
    return DataLoss("{}: {} tokens have {} scores and {} types, expected one for each or none", where, n, scores,
                    types);
  }
  return vocab;
}

}  // namespace millrace
