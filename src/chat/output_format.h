// OutputFormat: how a model writes its reasoning and its tool calls, as markers. Found by name, or learnt from the
// model's chat template; read by OutputParser, and the source of the structural tag that guides decoding.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "chat/template.h"

namespace millrace {

struct ReasoningFormat {
  std::string begin;  // "<think>"; empty when the model doesn't reason in tags
  std::string end;
  bool operator==(const ReasoningFormat&) const = default;
};

struct ToolFormat {
  enum class Kind : uint8_t {
    kNone,
    kJson,      // call_begin {"name": ..., "arguments": ...} call_end, or an array of such objects
    kNamed,     // call_begin name [id_begin id] args_begin {...} call_end
    kXml,       // call_begin name name_end (param_begin key param_name_end value_begin value param_end)* call_end
    kPythonic,  // call_begin [name(key=value, ...), ...] call_end
    kHarmony,   // GPT-OSS channels, which carry the reasoning too
  };
  Kind kind = Kind::kNone;
  // Around all calls of a turn; empty when each call stands alone. What lies between calls is skipped.
  std::string section_begin;
  std::string section_end;
  // Around one call. A kJson or kPythonic format without call_begin recognises a call by its first character, which
  // must be the first of the content, or follow section_begin there.
  std::string call_begin;
  std::string call_end;
  // kJson: how models spell a call. Other spellings are read too.
  std::string name_key = "name";
  std::string arguments_key = "arguments";
  bool in_array = false;  // [{...}, {...}] between call_begin and call_end
  std::string id_begin;
  std::string args_begin;
  std::string name_prefix;      // taken off a name: "functions."
  std::string content_name;     // a call of this name is content: "all"
  bool starts_in_call = false;  // the prompt ends with call_begin
  std::string name_end;
  std::string param_begin;
  std::string param_name_end;
  std::string value_begin;
  std::string param_end;
  bool value_newlines = false;  // a line break after value_begin and one before param_end are not part of the value
  bool operator==(const ToolFormat&) const = default;
};

struct OutputFormat {
  ReasoningFormat reasoning;
  ToolFormat tools;
};

// Formats by name: for tools hermes, qwen3_coder, seed_oss, llama3_json, pythonic, mistral, mistral_json, deepseek_v3,
// deepseek_v31, glm45, kimi_k2, minimax_m2, harmony, granite, cohere, lfm2, functionary, functionary_v32; for reasoning
// think (also called deepseek_r1, qwen3, glm45, kimi_k2, minimax_m2), seed, mistral, cohere, granite; and none for
// either. kNotFound lists the names.
Result<ToolFormat> FindToolFormat(std::string_view name);
Result<ReasoningFormat> FindReasoningFormat(std::string_view name);

// Learns both from a template: renders probe calls and reads the markers around their names and arguments. A template
// that renders no calls, or in no way that is understood, gives Kind::kNone.
OutputFormat DeriveOutputFormat(const ChatTemplate& chat_template, const nlohmann::ordered_json& special_tokens);

// Whether a prompt ends inside a reasoning block, so that the output starts there.
bool PromptOpensReasoning(const ReasoningFormat& format, std::string_view prompt);
// Whether it ends with the end of one, so that the output has no reasoning.
bool PromptClosesReasoning(const ReasoningFormat& format, std::string_view prompt);

}  // namespace millrace
