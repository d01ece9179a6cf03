#include "server/sampling_fields.h"

#include <openssl/sha.h>

#include <array>
#include <charconv>
#include <cstring>
#include <random>

namespace millrace {
namespace {

uint64_t RandomSeed() {
  static thread_local std::mt19937_64 generator{std::random_device{}()};
  return generator();
}

float Float(const Fields& fields, const char* name, double fallback) {
  return static_cast<float>(fields.Number(name, fallback));
}
int Int(const Fields& fields, const char* name, int64_t fallback) {
  return static_cast<int>(fields.Int(name, fallback));
}

Status ReadLogitBias(const Fields& fields, SamplingParams* params) {
  if (!fields.Has("logit_bias")) return OkStatus();
  for (const auto& [key, value] : fields.Get("logit_bias").items()) {
    TokenId token = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size()) {
      return InvalidArgument("logit_bias has the key {}, expected a token id", key.substr(0, 64));
    }
    if (!value.is_number())
      return InvalidArgument("logit_bias of token {} is {}, expected a number", token, DumpJson(value).substr(0, 64));
    params->logit_bias.emplace_back(token, value.get<float>());
  }
  return OkStatus();
}

// A word as it continues a text: by itself and after a space.
Status ReadBadWords(const Service& service, const Fields& fields, SamplingParams* params) {
  for (const std::string& word : fields.Strings("bad_words")) {
    if (word.empty() || word.size() > 1024)
      return InvalidArgument("bad_words has a text of {} bytes, expected 1 to 1024", word.size());
    for (const std::string& text : {word, " " + word}) {
      std::vector<TokenId> ids = service.engine.tokenizer().Encode(text);
      if (!ids.empty() && (params->bad_words.empty() || params->bad_words.back() != ids))
        params->bad_words.push_back(std::move(ids));
    }
  }
  return OkStatus();
}

Status ReadDryBreakers(const Service& service, const Fields& fields, SamplingParams* params) {
  if (params->dry_multiplier == 0.0f) return OkStatus();
  std::vector<std::string> breakers = {"\n", ":", "\"", "*"};
  if (fields.Has("dry_sequence_breakers")) breakers = fields.Strings("dry_sequence_breakers");
  for (const std::string& text : breakers) {
    if (text.size() > 64)
      return InvalidArgument("dry_sequence_breakers has a text of {} bytes, the limit is 64", text.size());
    for (const TokenId id : service.engine.tokenizer().Encode(text)) params->dry_sequence_breakers.push_back(id);
  }
  return OkStatus();
}

void ReadFilters(const Service& service, const Fields& fields, SamplingParams* params) {
  const GenerationDefaults& model = service.engine.checkpoint().generation_defaults();
  params->temperature = Float(fields, "temperature", model.temperature.value_or(1.0f));
  params->top_p = Float(fields, "top_p", model.top_p.value_or(1.0f));
  params->top_k = std::max(0, Int(fields, "top_k", model.top_k.value_or(0)));
  params->min_p = Float(fields, "min_p", model.min_p.value_or(0.0f));
  params->typical_p = Float(fields, "typical_p", 1.0);
  params->repetition_penalty = Float(fields, "repetition_penalty", model.repetition_penalty.value_or(1.0f));
  params->repetition_last_n = Int(fields, "repeat_last_n", -1);
  params->frequency_penalty = Float(fields, "frequency_penalty", 0.0);
  params->presence_penalty = Float(fields, "presence_penalty", 0.0);
  params->dry_multiplier = Float(fields, "dry_multiplier", 0.0);
  params->dry_base = Float(fields, "dry_base", 1.75);
  params->dry_allowed_length = Int(fields, "dry_allowed_length", 2);
  params->dry_penalty_last_n = Int(fields, "dry_penalty_last_n", -1);
  params->xtc_probability = Float(fields, "xtc_probability", 0.0);
  params->xtc_threshold = Float(fields, "xtc_threshold", 0.1);
  params->mirostat_mode = Int(fields, "mirostat", 0);
  params->mirostat_tau = Float(fields, "mirostat_tau", 5.0);
  params->mirostat_eta = Float(fields, "mirostat_eta", 0.1);
}

// Shared prefixes stay within a tenant and a salt.
uint64_t CacheSalt(const std::string& tenant, const std::string& salt) {
  if (tenant.empty() && salt.empty()) return 0;
  const std::string text = tenant + '\0' + salt;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  uint64_t value = 0;
  std::memcpy(&value, digest.data(), sizeof(value));
  return value;
}

}  // namespace

Result<SamplingParams> ReadSampling(const Service& service, const Fields& fields) {
  SamplingParams params;
  ReadFilters(service, fields, &params);
  params.max_tokens =
      Int(fields, "max_completion_tokens", fields.Int("max_output_tokens", fields.Int("max_tokens", 0)));
  params.min_tokens = Int(fields, "min_tokens", 0);
  params.n = Int(fields, "n", 1);
  params.use_beam_search = fields.Bool("use_beam_search", false);
  params.length_penalty = Float(fields, "length_penalty", 1.0);
  params.early_stopping = fields.Bool("early_stopping", false);
  params.seed = fields.Has("seed") ? static_cast<uint64_t>(fields.Int("seed", 0)) : RandomSeed();
  params.stop = fields.Has("stop") ? fields.Strings("stop") : fields.Strings("stop_sequences");
  std::erase(params.stop, "");
  params.stop_token_ids = fields.Ids("stop_token_ids");
  params.include_stop_str_in_output = fields.Bool("include_stop_str_in_output", false);
  params.ignore_eos = fields.Bool("ignore_eos", false);
  params.allowed_token_ids = fields.Ids("allowed_token_ids");
  params.prompt_logprobs = Int(fields, "prompt_logprobs", -1);
  if (params.use_beam_search && !fields.Has("temperature")) params.temperature = 0.0f;
  RETURN_IF_ERROR(ReadLogitBias(fields, &params));
  RETURN_IF_ERROR(ReadBadWords(service, fields, &params));
  RETURN_IF_ERROR(ReadDryBreakers(service, fields, &params));
  return params;
}

Result<GenerationSpec> ReadSpec(const Service& service, const Fields& fields, const HttpRequest& request) {
  RETURN_IF_ERROR(CheckModel(service, fields));
  GenerationSpec spec;
  ASSIGN_OR_RETURN(spec.sampling, ReadSampling(service, fields));
  spec.priority = static_cast<int>(fields.Int("priority", 0));
  spec.timeout_us = static_cast<int64_t>(fields.Number("timeout", 0.0) * 1e6);
  spec.cache_ttl_us = static_cast<int64_t>(fields.Number("cache_ttl", 0.0) * 1e6);
  spec.queue_timeout_us = static_cast<int64_t>(fields.Number("queue_timeout", 0.0) * 1e6);
  spec.tenant = request.tenant;
  for (const char* field : {"messages", "prompt", "input"}) {
    if (fields.Has(field)) spec.prompt_field = field;
  }
  ASSIGN_OR_RETURN(spec.constraint, ReadConstraint(fields));
  spec.cache_salt = CacheSalt(request.tenant, fields.String("cache_salt"));
  return spec;
}

Result<GenerationSpec> ReadSpec(const Service& service, Fields fields, const HttpRequest& request, FormatPlace place) {
  const Json& holder = fields.Get(place.field);
  const std::string name = fmt::format("{}.{}", place.field, place.member);
  if (holder.is_object() && holder.contains(place.member) && !holder[place.member].is_null()) {
    Json format = holder[place.member];
    if (!format.is_object()) return InvalidArgument("{} is not an object", name);
    if (format.contains("schema")) format["json_schema"] = {{"schema", format["schema"]}};
    fields.Set("response_format", std::move(format));
  }
  Result<GenerationSpec> spec = ReadSpec(service, fields, request);
  constexpr std::string_view kOwnName = "response_format";
  if (spec.ok() && spec->constraint) spec->constraint->field = name;
  if (spec.ok() || !spec.status().message().starts_with(kOwnName)) return spec;
  return Status(spec.status().code(), name + spec.status().message().substr(kOwnName.size()));
}

Status CheckModel(const Service& service, const Fields& fields) {
  const std::string model = fields.String("model");
  if (model.empty() || model == service.model_name) return OkStatus();
  return NotFound("model is {}, this server has {}", model, service.model_name);
}

}  // namespace millrace
