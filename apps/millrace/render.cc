#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "chat/template.h"
#include "commands.h"

namespace millrace {
namespace {

constexpr size_t kMaxFile = size_t{32} << 20;

struct RenderOptions {
  std::string template_file, messages_file, tools_file, variables_file;
  std::string bos_token, eos_token;
  bool add_generation_prompt = false;
};

Result<nlohmann::ordered_json> ReadJson(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFile));
  nlohmann::ordered_json value = nlohmann::ordered_json::parse(text, nullptr, false);
  if (value.is_discarded()) return InvalidArgument("{} is not valid JSON", path);
  return value;
}

Status Render(const RenderOptions& options) {
  ASSIGN_OR_RETURN(const std::string source, ReadFile(options.template_file, ChatTemplate::kMaxSourceBytes));
  ASSIGN_OR_RETURN(const ChatTemplate chat_template, ChatTemplate::Compile(source));
  RenderInput input;
  ASSIGN_OR_RETURN(input.messages, ReadJson(options.messages_file));
  if (!options.tools_file.empty()) {
    ASSIGN_OR_RETURN(input.tools, ReadJson(options.tools_file));
  }
  if (!options.variables_file.empty()) {
    ASSIGN_OR_RETURN(input.variables, ReadJson(options.variables_file));
  }
  input.add_generation_prompt = options.add_generation_prompt;
  input.special_tokens = {{"bos_token", options.bos_token}, {"eos_token", options.eos_token}};
  ASSIGN_OR_RETURN(const std::vector<RenderedSpan> spans, chat_template.Render(input));
  const std::string text = JoinSpans(spans);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return OkStatus();
}

}  // namespace

void AddRenderCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<RenderOptions>();
  CLI::App* command = app.add_subcommand("render", "Render a chat template and print the text");
  command->add_option("--template", options->template_file, "Jinja source")->required();
  command->add_option("--messages", options->messages_file, "JSON array of messages")->required();
  command->add_option("--tools", options->tools_file, "JSON array of tools");
  command->add_option("--variables", options->variables_file, "JSON object of further variables, as enable_thinking");
  command->add_option("--bos-token", options->bos_token, "text of the variable bos_token");
  command->add_option("--eos-token", options->eos_token, "text of the variable eos_token");
  command->add_flag("--add-generation-prompt", options->add_generation_prompt,
                    "end with the start of an assistant's turn");
  command->callback([=] { *exit_code = ReportStatus(Render(*options)); });
}

}  // namespace millrace
