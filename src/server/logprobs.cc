#include "server/logprobs.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace millrace {
namespace {

// JSON has no infinity; OpenAI's own floor.
double Finite(float logprob) {
  return std::isfinite(logprob) ? logprob : -9999.0;
}

Json Entry(const Tokenizer& tokenizer, TokenId token, float logprob) {
  const std::string_view bytes = tokenizer.DecodedBytes(token, false, false);
  Json list = Json::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  return {{"token", ValidUtf8(bytes)}, {"logprob", Finite(logprob)}, {"bytes", std::move(list)}};
}

std::span<const TokenLogprob> Top(const OutputResult& result, int num_top) {
  return std::span(result.top).first(std::min(result.top.size(), static_cast<size_t>(std::max(num_top, 0))));
}

}  // namespace

std::string TokenString(const Tokenizer& tokenizer, TokenId token) {
  return ValidUtf8(tokenizer.DecodedBytes(token, false, false));
}

std::vector<TokenId> TokenIds(std::span<const OutputResult> tokens) {
  std::vector<TokenId> ids;
  for (const OutputResult& token : tokens) ids.push_back(token.token);
  return ids;
}

Json ChatLogprobs(const Tokenizer& tokenizer, std::span<const OutputResult> tokens, int num_top) {
  Json content = Json::array();
  for (const OutputResult& result : tokens) {
    Json entry = Entry(tokenizer, result.token, result.logprob);
    entry["top_logprobs"] = Json::array();
    for (const TokenLogprob& top : Top(result, num_top))
      entry["top_logprobs"].push_back(Entry(tokenizer, top.token, top.logprob));
    content.push_back(std::move(entry));
  }
  return content;
}

void CompletionLogprobs::Append(TokenId token, Json logprob, Json top) {
  if (pending_.is_null()) {
    pending_ = {{"tokens", Json::array()},
                {"token_logprobs", Json::array()},
                {"top_logprobs", Json::array()},
                {"text_offset", Json::array()}};
  }
  const std::string text = TokenString(tokenizer_, token);
  pending_["tokens"].push_back(text);
  pending_["token_logprobs"].push_back(std::move(logprob));
  pending_["top_logprobs"].push_back(std::move(top));
  pending_["text_offset"].push_back(offset_);
  offset_ += std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

void CompletionLogprobs::AddUnknown(TokenId token) {
  Append(token, nullptr, nullptr);
}

void CompletionLogprobs::Add(std::span<const OutputResult> tokens, int num_top) {
  for (const OutputResult& result : tokens) {
    Json top = Json::object();
    for (const TokenLogprob& entry : Top(result, num_top))
      top[TokenString(tokenizer_, entry.token)] = Finite(entry.logprob);
    Append(result.token, Finite(result.logprob), num_top > 0 ? std::move(top) : Json(nullptr));
  }
}

Json CompletionLogprobs::Take() {
  return std::exchange(pending_, Json());
}

Json PromptLogprobs(const Tokenizer& tokenizer, std::span<const OutputResult> tokens) {
  Json list = Json::array({nullptr});
  for (const OutputResult& result : tokens) {
    Json entry = Json::object();
    const auto add = [&](TokenId token, float logprob, int rank) {
      entry[std::to_string(token)] = {
          {"logprob", Finite(logprob)}, {"rank", rank}, {"decoded_token", TokenString(tokenizer, token)}};
    };
    add(result.token, result.logprob, result.rank);
    for (const TokenLogprob& top : result.top) add(top.token, top.logprob, top.rank);
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace millrace
