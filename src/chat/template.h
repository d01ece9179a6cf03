// ChatTemplate: a model's chat template (Jinja with Hugging Face's settings), compiled once and rendered for any number
// of conversations from any number of threads.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "chat/jinja/interpreter.h"

namespace millrace {

// A piece of a rendered prompt. Trusted bytes were written by the template itself (or are its special tokens); the
// others came from messages, tools and variables. The prompt is encoded as one text in which a special token counts
// only when all of its bytes are trusted, so that nobody can type <|im_end|> into a conversation.
struct RenderedSpan {
  std::string text;
  bool trusted = false;
};

// The spans as one string.
std::string JoinSpans(const std::vector<RenderedSpan>& spans);

struct RenderInput {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  nlohmann::ordered_json tools;      // an array of tool definitions, or null
  nlohmann::ordered_json documents;  // an array, or null
  bool add_generation_prompt = false;
  // The model goes on with the last message: the prompt ends where its content (a string, or its last text part) does.
  bool continue_final_message = false;
  nlohmann::ordered_json special_tokens;  // {"bos_token": "<s>", ...}: trusted; an object or null
  nlohmann::ordered_json variables;       // {"enable_thinking": false, ...}: not trusted; an object or null
};

class ChatTemplate {
 public:
  // Sources longer than this are refused.
  static constexpr size_t kMaxSourceBytes = size_t{4} << 20;

  // kInvalidArgument with the line when the source is not valid or uses what chat templates don't ({% include %} ...).
  static Result<ChatTemplate> Compile(std::string_view source);

  // The prompt: neighbouring spans differ in trust, none is empty. The template sees what Hugging Face's
  // apply_chat_template gives it: messages, tools and documents (None when null), add_generation_prompt, the special
  // tokens and the variables, which may not redefine one of the former. A message's reasoning, under any of the names
  // `reasoning_content`, `thinking` and `reasoning`, is given under the first two. A message's `role` is trusted when
  // it is one of the well-known words, since templates build special tokens from it (<|user|>). Errors name the line:
  // kInvalidArgument when the template raises or misuses a value, kOutOfRange when a limit is passed.
  Result<std::vector<RenderedSpan>> Render(const RenderInput& input, const jinja::Limits& limits = {}) const;

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::Tree> tree) : tree_(std::move(tree)) {}
  std::shared_ptr<const jinja::Tree> tree_;
};

}  // namespace millrace
