#include <array>

#include "server/fields.h"

namespace millrace {
namespace {

using enum FieldType;
using enum FieldEffect;

constexpr double kMany = 1 << 30;
constexpr double kBody = 32 << 20;
constexpr double kSeed = 0x1p63;  // OpenAI's schema has all integers of 64 bits
constexpr uint32_t kGenerate = kChat | kCompletions | kResponses;
constexpr uint32_t kSample = kGenerate | kMessages;
constexpr uint32_t kOpenAi = kChat | kCompletions;
constexpr uint32_t kAnthropic = kMessages | kCountTokens;
constexpr const char* kGrammar = "use response_format, guided_* or structured_outputs";

constexpr FieldSpec kTable[] = {
    // What to answer.
    {"model", kString, 0, 512, "the served model",
     kSample | kCountTokens | kEmbeddings | kTokenize | kDetokenize | kApplyTemplate, kUsed,
     "Name of the model, as `/v1/models` lists it. Another name is a 404."},
    {"messages", kArray, 1, 4096, "", kChat | kApplyTemplate, kUsed,
     "The conversation: objects with `role` and `content` (a string, or a list of text parts)."},
    {"messages", kArray, 1, 4096, "", kAnthropic, kUsed,
     "The conversation: objects with `role` and `content` (a string, or blocks of type text, tool_use, tool_result, "
     "thinking). "
     "An answer that the last message begins is continued."},
    {"messages", kArray, 1, 4096, "", kTokenize, kUsed, "A conversation to render and tokenize, instead of `prompt`."},
    {"prompt", kString, 0, kBody, "", kTokenize, kUsed, "The text to tokenize."},
    {"prompt", kAny, 0, 0, "", kCompletions, kUsed,
     "A string, a list of strings, a list of token ids or a list of such lists (at most 256 prompts)."},
    {"content", kString, 0, kBody, "", kTokenize, kUsed, "llama.cpp's name of `prompt`."},
    {"input", kAny, 0, 0, "", kResponses, kUsed, "A string, or a list of message and function-call items."},
    {"input", kAny, 0, 0, "", kEmbeddings, kUsed,
     "What to embed: a string, a list of strings, a list of token ids or a list of such lists (at most 2048)."},
    {"instructions", kString, 0, kBody, "", kResponses, kUsed, "System message put before the input."},
    {"previous_response_id", kString, 0, 128, "", kResponses, kUsed,
     "Continues a stored response; its instructions are not taken over."},
    {"store", kBool, 0, 0, "true", kResponses, kUsed,
     "Keep the response for `previous_response_id` and GET, in bounded memory."},
    {"system", kAny, 0, 0, "", kAnthropic, kUsed, "System prompt: a string or a list of text blocks."},
    {"suffix", kString, 0, kBody, "", kCompletions, kUsed,
     "Text that follows the completion: fill-in-the-middle, for models with the tokens for it."},
    {"echo", kBool, 0, 0, "false", kCompletions, kUsed,
     "Put the prompt before the completion, with its logprobs when these are wanted."},
    {"tools", kArray, 0, 512, "", kChat | kAnthropic | kResponses | kApplyTemplate | kTokenize, kUsed,
     "Functions that the model may call."},
    {"tool_choice", kAny, 0, 0, "auto", kChat | kAnthropic | kResponses, kUsed,
     "`auto`, `none`, `required`, or a named function: the call is enforced, its arguments meet the function's "
     "schema."},
    {"functions", kArray, 1, 128, "", kChat, kUsed,
     "The older form of `tools`: objects with `name` and `parameters`. A call is answered as `function_call`, one at "
     "most."},
    {"function_call", kAny, 0, 0, "auto", kChat, kUsed,
     "The older form of `tool_choice`: `auto`, `none` or `{\"name\": ...}`, which is enforced."},
    {"parallel_tool_calls", kBool, 0, 0, "true", kChat | kResponses, kUsed, "false: at most one call."},
    {"documents", kArray, 0, 1024, "", kChat | kApplyTemplate, kUsed, "Documents for the chat template."},
    {"chat_template_kwargs", kObject, 0, 64, "", kChat | kApplyTemplate | kTokenize, kUsed,
     "Variables for the chat template."},
    {"add_generation_prompt", kBool, 0, 0, "true", kChat | kApplyTemplate | kTokenize, kUsed,
     "End the prompt with the opening of the answer."},
    {"continue_final_message", kBool, 0, 0, "false", kChat | kApplyTemplate | kTokenize, kUsed,
     "Go on with the last message, which is the assistant's, instead of opening an answer."},
    {"reasoning_effort", kString, 0, 32, "", kChat, kUsed, "Template variable of the same name."},
    {"thinking_token_budget", kInt, 0, kMany, "none", kChat | kResponses, kUsed,
     "Tokens of reasoning at most: then its end is forced. Constraints apply to what follows the reasoning."},
    {"reasoning", kObject, 0, 16, "", kResponses, kUsed, "`effort` becomes the template variable reasoning_effort."},
    {"thinking", kObject, 0, 16, "", kAnthropic, kUsed,
     "`type: enabled` or `adaptive` sets the template variables enable_thinking and thinking; they are off otherwise. "
     "`budget_tokens` bounds the reasoning of models that mark it."},
    {"output_config", kObject, 0, 16, "", kAnthropic, kUsed,
     "`format: {\"type\": \"json_schema\", \"schema\": ...}` is enforced; `effort` becomes the template variable "
     "reasoning_effort."},
    {"tokens", kInts, 0, 4 << 20, "", kDetokenize, kUsed, "Token ids."},
    {"add_special_tokens", kBool, 0, 0, "true", kCompletions | kTokenize | kEmbeddings, kUsed,
     "Put BOS and the like where the tokenizer says so."},
    {"return_token_strs", kBool, 0, 0, "false", kTokenize, kUsed, "Also return how the vocabulary spells each token."},
    // How much of it.
    {"max_tokens", kInt, 1, kMany, "up to the model's length", kChat, kUsed, "Tokens to generate at most."},
    {"max_tokens", kInt, 1, kMany, "must be given", kMessages, kUsed, "Tokens to generate at most."},
    {"max_tokens", kInt, 0, kMany, "16", kCompletions, kUsed, "Tokens to generate at most; 0 only with `echo`."},
    {"max_completion_tokens", kInt, 1, kMany, "up to the model's length", kChat, kUsed, "Newer name of `max_tokens`."},
    {"max_output_tokens", kInt, 1, kMany, "up to the model's length", kResponses, kUsed, "Tokens to generate at most."},
    {"min_tokens", kInt, 0, kMany, "0", kGenerate, kUsed, "End tokens are impossible before this many."},
    {"n", kInt, 1, 128, "1", kOpenAi, kUsed, "Answers per prompt."},
    {"best_of", kInt, 1, 128, "n", kCompletions, kUsed, "Sequences run per prompt; the n most likely are returned."},
    {"use_beam_search", kBool, 0, 0, "false", kOpenAi, kUsed, "Beam search of width n; needs temperature 0 or 1."},
    {"length_penalty", kNumber, -10, 10, "1", kOpenAi, kUsed, "Beam search divides scores by length to this power."},
    {"early_stopping", kBool, 0, 0, "false", kOpenAi, kUsed, "Beam search ends with the first n finished beams."},
    {"stop", kStrings, 0, 16, "", kGenerate, kUsed, "Texts that end the answer; at most 1024 bytes each."},
    {"stop_sequences", kStrings, 0, 16, "", kMessages, kUsed, "Texts that end the answer."},
    {"stop_token_ids", kInts, 0, 256, "", kGenerate, kUsed, "Tokens that end the answer."},
    {"include_stop_str_in_output", kBool, 0, 0, "false", kGenerate, kUsed, "Keep the stop text in the answer."},
    {"ignore_eos", kBool, 0, 0, "false", kGenerate, kUsed, "Go on after an end token."},
    {"timeout", kNumber, 0.001, 86400, "none", kSample | kEmbeddings, kUsed,
     "Seconds after which the answer ends where it is."},
    {"priority", kInt, -1000000, 1000000, "0", kGenerate | kEmbeddings, kUsed,
     "Lower runs first, under --scheduling-policy priority."},
    {"cache_salt", kString, 0, 1024, "", kGenerate | kEmbeddings, kUsed,
     "Cached prefixes are shared only among requests with the same salt."},
    {"cache_ttl", kNumber, 0.001, 86400, "none", kGenerate, kUsed,
     "Seconds for which the prompt's KV is pinned in the prefix cache, from the first token on."},
    {"queue_timeout", kNumber, 0.001, 86400, "--queue-timeout-seconds", kGenerate, kUsed,
     "Seconds after which a request that still waits is given up (504)."},
    // How tokens are drawn.
    {"temperature", kNumber, 0, 100, "the model's, or 1", kSample, kUsed, "0 is greedy."},
    {"top_p", kNumber, 1e-9, 1, "the model's, or 1", kSample, kUsed,
     "Keep the most likely tokens of this total probability."},
    {"top_k", kInt, -1, kMany, "the model's, or 0", kSample, kUsed,
     "Keep the k most likely tokens; 0 or -1 keeps all."},
    {"min_p", kNumber, 0, 1, "the model's, or 0", kGenerate, kUsed, "Keep tokens this likely relative to the best."},
    {"typical_p", kNumber, 1e-9, 1, "1", kGenerate, kUsed, "Locally typical sampling."},
    {"repetition_penalty", kNumber, 0.001, 100, "the model's, or 1", kGenerate, kUsed,
     "Divides the logits of tokens seen before."},
    {"repeat_last_n", kInt, -1, kMany, "-1", kGenerate, kUsed, "Tokens that the penalties look back on; -1 is all."},
    {"frequency_penalty", kNumber, -2, 2, "0", kGenerate, kUsed, "Per earlier appearance of a token."},
    {"presence_penalty", kNumber, -2, 2, "0", kGenerate, kUsed, "For a token that appeared."},
    {"dry_multiplier", kNumber, 0, 100, "0", kGenerate, kUsed,
     "DRY: strength of the penalty on repeated phrases; 0 is off."},
    {"dry_base", kNumber, 1, 100, "1.75", kGenerate, kUsed, "DRY: growth per token."},
    {"dry_allowed_length", kInt, 1, kMany, "2", kGenerate, kUsed, "DRY: longest repetition without a penalty."},
    {"dry_penalty_last_n", kInt, -1, kMany, "-1", kGenerate, kUsed, "DRY: tokens looked back on; -1 is all."},
    {"dry_sequence_breakers", kStrings, 0, 64, "\\n : \" *", kGenerate, kUsed,
     "DRY: texts across which nothing repeats."},
    {"xtc_probability", kNumber, 0, 1, "0", kGenerate, kUsed, "XTC: how often top choices are excluded."},
    {"xtc_threshold", kNumber, 0, 1, "0.1", kGenerate, kUsed, "XTC: probability from which a token is a top choice."},
    {"mirostat", kInt, 0, 2, "0", kGenerate, kUsed, "Mirostat 1 or 2; 0 is off."},
    {"mirostat_tau", kNumber, 0, 100, "5", kGenerate, kUsed, "Mirostat: target surprise."},
    {"mirostat_eta", kNumber, 0, 1, "0.1", kGenerate, kUsed, "Mirostat: learning rate."},
    {"seed", kInt, -kSeed, kSeed, "random", kGenerate, kUsed,
     "Same seed, same request: same answer, whatever the load."},
    {"logit_bias", kObject, 0, 1024, "", kGenerate, kUsed, "Token id (as a string) to a number from -100 to 100."},
    {"allowed_token_ids", kInts, 0, 1 << 20, "", kGenerate, kUsed, "Only these tokens are drawn."},
    {"bad_words", kStrings, 0, 1024, "", kGenerate, kUsed, "Texts that are never completed."},
    // What is reported.
    {"stream", kBool, 0, 0, "false", kSample, kUsed, "Answer with server-sent events."},
    {"stream_options", kObject, 0, 16, "", kOpenAi, kUsed, "`include_usage`: a last event with the usage."},
    {"logprobs", kBool, 0, 0, "false", kChat, kUsed, "Report the logprob of each token."},
    {"logprobs", kInt, 0, 20, "none", kCompletions, kUsed,
     "Report the logprob of each token and of this many most likely ones."},
    {"top_logprobs", kInt, 0, 20, "0", kChat | kResponses, kUsed, "Most likely tokens reported with each."},
    {"prompt_logprobs", kInt, 0, 20, "none", kOpenAi, kUsed,
     "The same for the tokens of the prompt; not with `stream`."},
    {"return_token_ids", kBool, 0, 0, "false", kOpenAi, kUsed,
     "Also return the token ids of prompt and answer; the prompt's with the first event of a stream."},
    {"include", kWords, 0, 16, "", kResponses, kUsed, "`message.output_text.logprobs`; the others do not arise here."},
    {"metadata", kObject, 0, 16, "", kResponses, kUsed, "Returned as it is."},
    // Of embeddings.
    {"encoding_format", kString, 0, 16, "float", kEmbeddings, kUsed,
     "`float`, or `base64` of little-endian 32-bit floats."},
    {"dimensions", kInt, 1, 65536, "the model's", kEmbeddings, kUsed,
     "Only the first ones, normalised again; at most the model's."},
    {"pooling", kString, 0, 16, "mean", kEmbeddings, kUsed, "`mean` of all tokens, or the `last` one's state."},
    {"normalize", kBool, 0, 0, "true", kEmbeddings, kUsed, "Length 1."},
    // Accepted without effect.
    {"user", kAny, 0, 0, "", kGenerate | kEmbeddings, kIgnored, "Not used."},
    {"metadata", kAny, 0, 0, "", kChat | kAnthropic, kIgnored, "Not used."},
    {"store", kAny, 0, 0, "", kChat, kIgnored, "Not used."},
    {"service_tier", kAny, 0, 0, "", kSample | kCountTokens, kIgnored, "Not used."},
    {"prompt_cache_options", kAny, 0, 0, "", kChat | kResponses, kIgnored, "Equal prefixes are found without it."},
    {"prompt_cache_key", kAny, 0, 0, "", kGenerate, kIgnored, "Equal prefixes are found without it."},
    {"prompt_cache_retention", kAny, 0, 0, "", kGenerate, kIgnored, "Not used."},
    {"safety_identifier", kAny, 0, 0, "", kGenerate, kIgnored, "Not used."},
    {"verbosity", kAny, 0, 0, "", kChat, kIgnored, "Not used."},
    {"prediction", kAny, 0, 0, "", kChat, kIgnored, "Predicted outputs give no gain here."},
    {"moderation", kAny, 0, 0, "", kChat | kResponses, kIgnored, "Nothing is moderated."},
    {"background_options", kAny, 0, 0, "", kResponses, kIgnored, "Responses are made while the client waits."},
    {"access_programs", kAny, 0, 0, "", kResponses, kIgnored, "Not used."},
    {"image", kAny, 0, 0, "", kResponses, kIgnored, "This server generates text."},
    {"diagnostics", kAny, 0, 0, "", kMessages, kIgnored, "Not used."},
    {"billing_policy", kAny, 0, 0, "", kAnthropic, kIgnored, "Nothing is billed."},
    {"fallback_credit_token", kAny, 0, 0, "", kMessages, kIgnored, "Nothing is billed."},
    {"fallbacks", kAny, 0, 0, "", kMessages, kIgnored, "The one model does not decline."},
    {"cache_control", kAny, 0, 0, "", kAnthropic, kIgnored, "Prefixes are cached without it."},
    {"context_management", kAny, 0, 0, "", kAnthropic | kResponses, kIgnored, "The whole conversation is read."},
    {"inference_geo", kAny, 0, 0, "", kAnthropic, kIgnored, "Not used."},
    {"speed", kAny, 0, 0, "", kAnthropic, kIgnored, "Not used."},
    {"stream_options", kAny, 0, 0, "", kResponses, kIgnored, "Events carry no padding."},
    {"max_tool_calls", kAny, 0, 0, "", kResponses, kIgnored, "There are no built-in tools."},
    {"skip_special_tokens", kAny, 0, 0, "", kOpenAi, kIgnored, "Special tokens are never part of the text."},
    {"spaces_between_special_tokens", kAny, 0, 0, "", kOpenAi, kIgnored, "Not used."},
    {"request_id", kAny, 0, 0, "", kOpenAi, kIgnored, "Send an X-Request-Id header."},
    // Refused.
    {"response_format", kAny, 0, 0, "text", kOpenAi, kUsed,
     "`{\"type\": \"text\"}`, `json_object`, `json_schema` with a schema, which is enforced exactly or refused, or "
     "`structural_tag` (structured_output.md)."},
    {"text", kObject, 0, 16, "", kResponses, kUsed,
     "`format`: `{\"type\": \"text\"}`, `json_object`, or `json_schema` with a `schema`."},
    {"guided_json", kAny, 0, 0, "", kOpenAi, kUsed, "A JSON Schema."},
    {"guided_regex", kAny, 0, 0, "", kOpenAi, kUsed, "A regular expression that the whole output matches."},
    {"guided_choice", kAny, 0, 0, "", kOpenAi, kUsed, "A list of strings, one of which is the output."},
    {"guided_grammar", kAny, 0, 0, "", kOpenAi, kUsed,
     "A GBNF or Lark grammar, or `sql`: the SQL subset that ships with the engine."},
    {"structured_outputs", kAny, 0, 0, "", kOpenAi, kUsed,
     "An object with one of json, regex, choice, grammar, json_object, structural_tag."},
    {"grammar", kAny, 0, 0, "", kOpenAi, kRefused, kGrammar},
    {"json_schema", kAny, 0, 0, "", kOpenAi, kRefused, kGrammar},
    {"audio", kAny, 0, 0, "", kChat, kRefused, "this server generates text"},
    {"modalities", kOnly, 0, 0, "[\"text\"]", kChat, kUsed, "This server generates text."},
    {"web_search_options", kAny, 0, 0, "", kChat, kRefused, "this server has no web access"},
    {"background", kOnly, 0, 0, "false", kResponses, kUsed, "Responses are made while the client waits."},
    {"truncation", kOnly, 0, 0, "\"disabled\"", kResponses, kUsed, "Nothing is truncated."},
    {"prompt", kAny, 0, 0, "", kResponses, kRefused, "there are no stored prompts; send instructions and input"},
    {"compaction", kAny, 0, 0, "", kMessages, kRefused, "ask for the summary in a message"},
    {"compaction", kAny, 0, 0, "", kCountTokens, kIgnored, "As in Anthropic's own."},
    {"thread", kAny, 0, 0, "", kMessages, kRefused, "send the whole conversation"},
    {"container", kAny, 0, 0, "", kMessages, kRefused, "there are no containers"},
    {"mcp_servers", kAny, 0, 0, "", kAnthropic, kRefused, "connect to MCP servers in the client and send their tools"},
    {"output_format", kAny, 0, 0, "", kAnthropic, kRefused, "use output_config.format"},
    {"conversation", kAny, 0, 0, "", kResponses, kRefused, "use previous_response_id"},
    {"chat_template", kAny, 0, 0, "", kChat, kRefused, "templates come from the model or --chat-template"},
    {"prompt_embeds", kAny, 0, 0, "", kCompletions, kRefused, "tensors are not accepted from clients"},
};

struct Section {
  Endpoint endpoint;
  const char* title;
};
constexpr Section kSections[] = {
    {kChat, "POST /v1/chat/completions"},
    {kCompletions, "POST /v1/completions"},
    {kResponses, "POST /v1/responses"},
    {kEmbeddings, "POST /v1/embeddings"},
    {kMessages, "POST /v1/messages"},
    {kCountTokens, "POST /v1/messages/count_tokens"},
    {kTokenize, "POST /tokenize"},
    {kDetokenize, "POST /detokenize"},
    {kApplyTemplate, "POST /apply-template"},
};

std::string Bounds(const FieldSpec& spec) {
  switch (spec.type) {
    case kInt:
      return IsAnyInt64(spec) ? "64 bits" : fmt::format("{} to {}", spec.min, spec.max);
    case kNumber:
      return fmt::format("{} to {}", spec.min, spec.max);
    case kString:
      return fmt::format("{} bytes at most", spec.max);
    case kStrings:
    case kInts:
    case kArray:
    case kWords:
    case kObject:
      return fmt::format("{} to {} entries", spec.min, spec.max);
    case kOnly:
      return "nothing else";
    default:
      return "";
  }
}

// "`a.b`, `c`": the paths below a field of the members of this effect.
std::string MemberNames(const FieldSpec& spec, uint32_t endpoints, FieldEffect effect) {
  std::string text;
  for (const MemberSpec& member : MemberTable()) {
    const std::string_view path = member.field, name = spec.name;
    const bool below = path == name || (path.starts_with(name) && path[name.size()] == '.');
    if (!below || (member.endpoints & endpoints) == 0 || member.effect != effect) continue;
    const std::string_view parents = path.substr(std::min(path.size(), name.size() + 1));
    text += fmt::format("{}`{}{}{}`", text.empty() ? "" : ", ", parents, parents.empty() ? "" : ".", member.name);
  }
  return text;
}

// What the member table says of a field at these endpoints, beyond its doc.
std::string DescribeMembers(const FieldSpec& spec, uint32_t endpoints) {
  if (spec.effect != kUsed) return "";
  const std::string ignored = MemberNames(spec, endpoints, kIgnored);
  const std::string in_template = MemberNames(spec, endpoints, kInTemplate);
  std::string text;
  if (!in_template.empty()) text += fmt::format(" Of effect where the chat template reads them: {}.", in_template);
  if (!ignored.empty()) text += fmt::format(" No effect: {}.", ignored);
  return text;
}

}  // namespace

std::span<const FieldSpec> FieldTable() {
  return kTable;
}

std::string DescribeFields() {
  std::string page =
      "# Request fields\n\n"
      "Made by `millrace print-api` from the table in `src/server/field_table.cc`, which also checks every request.\n"
      "A field that is null counts as absent. An unknown field, or one without effect, is named in the "
      "`X-Millrace-Warnings`\n"
      "header, and is an error with `--strict-fields`; so is a member at any depth of the\n"
      "objects and lists whose members are known (all but the schemas, metadata and variables that are the client's "
      "own).\n";
  for (const Section& section : kSections) {
    page +=
        fmt::format("\n## {}\n\n| field | type | bounds | default | meaning |\n|---|---|---|---|---|\n", section.title);
    for (const FieldSpec& spec : FieldTable()) {
      if ((spec.endpoints & section.endpoint) == 0) continue;
      const char* prefix = spec.effect == kRefused ? "Refused: " : (spec.effect == kIgnored ? "No effect. " : "");
      page += fmt::format("| `{}` | {} | {} | {} | {}{}{} |\n", spec.name, FieldTypeName(spec.type), Bounds(spec),
                          spec.fallback, prefix, spec.doc, DescribeMembers(spec, section.endpoint));
    }
  }
  return page;
}

}  // namespace millrace
