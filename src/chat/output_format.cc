#include "chat/output_format.h"

#include <array>
#include <utility>

namespace millrace {
namespace {

using Kind = ToolFormat::Kind;

struct NamedTools {
  std::string_view name;
  ToolFormat (*make)();
};

ToolFormat JsonCalls(std::string begin, std::string end) {
  ToolFormat format;
  format.kind = Kind::kJson;
  format.call_begin = std::move(begin);
  format.call_end = std::move(end);
  return format;
}

ToolFormat JsonArray(std::string begin, std::string end) {
  ToolFormat format = JsonCalls(std::move(begin), std::move(end));
  format.in_array = true;
  return format;
}

ToolFormat Cohere() {
  ToolFormat format = JsonArray("<|START_ACTION|>", "<|END_ACTION|>");
  format.name_key = "tool_name";
  format.arguments_key = "parameters";
  return format;
}

ToolFormat Named(std::string begin, std::string args_begin, std::string end) {
  ToolFormat format;
  format.kind = Kind::kNamed;
  format.call_begin = std::move(begin);
  format.args_begin = std::move(args_begin);
  format.call_end = std::move(end);
  return format;
}

ToolFormat DeepSeek(std::string begin, std::string args_begin, std::string end) {
  ToolFormat format = Named(std::move(begin), std::move(args_begin), std::move(end));
  format.section_begin = "<｜tool▁calls▁begin｜>";
  format.section_end = "<｜tool▁calls▁end｜>";
  return format;
}

ToolFormat Xml(std::string section, std::string section_end) {
  ToolFormat format;
  format.kind = Kind::kXml;
  format.section_begin = std::move(section);
  format.section_end = std::move(section_end);
  format.call_begin = "<function=";
  format.call_end = "</function>";
  format.name_end = ">";
  format.param_begin = "<parameter=";
  format.param_name_end = ">";
  format.param_end = "</parameter>";
  return format;
}

ToolFormat Qwen3Coder() {
  ToolFormat format = Xml("<tool_call>", "</tool_call>");
  format.value_newlines = true;
  return format;
}

ToolFormat MiniMax() {
  ToolFormat format = Xml("<minimax:tool_call>", "</minimax:tool_call>");
  format.call_begin = "<invoke name=\"";
  format.call_end = "</invoke>";
  format.name_end = "\">";
  format.param_begin = "<parameter name=\"";
  format.param_name_end = "\">";
  return format;
}

ToolFormat Glm() {
  ToolFormat format;
  format.kind = Kind::kXml;
  format.call_begin = "<tool_call>";
  format.call_end = "</tool_call>";
  format.param_begin = "<arg_key>";
  format.param_name_end = "</arg_key>";
  format.value_begin = "<arg_value>";
  format.param_end = "</arg_value>";
  return format;
}

ToolFormat Kimi() {
  ToolFormat format = Named("<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>");
  format.section_begin = "<|tool_calls_section_begin|>";
  format.section_end = "<|tool_calls_section_end|>";
  format.name_prefix = "functions.";
  return format;
}

ToolFormat Mistral() {
  ToolFormat format = Named("[TOOL_CALLS]", "[ARGS]", "");
  format.id_begin = "[CALL_ID]";
  return format;
}

ToolFormat FunctionaryV32() {
  ToolFormat format = Named(">>>", "\n", "");
  format.content_name = "all";
  format.starts_in_call = true;
  return format;
}

// Llama's formats, where nothing but an optional tag marks a call.
ToolFormat Bare(Kind kind) {
  ToolFormat format;
  format.kind = kind;
  format.section_begin = "<|python_tag|>";
  format.arguments_key = "parameters";
  return format;
}

ToolFormat Lfm2() {
  ToolFormat format;
  format.kind = Kind::kPythonic;
  format.call_begin = "<|tool_call_start|>";
  format.call_end = "<|tool_call_end|>";
  return format;
}

ToolFormat Harmony() {
  ToolFormat format;
  format.kind = Kind::kHarmony;
  format.name_prefix = "functions.";
  return format;
}

constexpr NamedTools kTools[] = {
    {"none", [] { return ToolFormat(); }},
    {"hermes", [] { return JsonCalls("<tool_call>", "</tool_call>"); }},
    {"qwen3_coder", Qwen3Coder},
    {"seed_oss", [] { return Xml("<seed:tool_call>", "</seed:tool_call>"); }},
    {"llama3_json", [] { return Bare(Kind::kJson); }},
    {"pythonic", [] { return Bare(Kind::kPythonic); }},
    {"mistral", Mistral},
    {"mistral_json", [] { return JsonArray("[TOOL_CALLS]", ""); }},
    {"deepseek_v3",
     [] { return DeepSeek("<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "\n```json\n", "```<｜tool▁call▁end｜>"); }},
    {"deepseek_v31", [] { return DeepSeek("<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"); }},
    {"glm45", Glm},
    {"kimi_k2", Kimi},
    {"minimax_m2", MiniMax},
    {"harmony", Harmony},
    {"cohere", Cohere},
    {"lfm2", Lfm2},
    {"granite", [] { return JsonArray("<|tool_call|>", ""); }},
    {"functionary", [] { return Named("<function=", ">", "</function>"); }},
    {"functionary_v32", FunctionaryV32},
};

struct NamedReasoning {
  std::string_view name;
  std::string_view begin;
  std::string_view end;
};

constexpr NamedReasoning kReasoning[] = {
    {"none", "", ""},
    {"think", "<think>", "</think>"},
    {"deepseek_r1", "<think>", "</think>"},
    {"qwen3", "<think>", "</think>"},
    {"glm45", "<think>", "</think>"},
    {"kimi_k2", "<think>", "</think>"},
    {"minimax_m2", "<think>", "</think>"},
    {"seed", "<seed:think>", "</seed:think>"},
    {"mistral", "[THINK]", "[/THINK]"},
    {"cohere", "<|START_THINKING|>", "<|END_THINKING|>"},
    {"granite", "Here is my thought process:", "Here is my response:"},
};

template <typename Table>
std::string Names(const Table& table) {
  std::string names;
  for (const auto& entry : table) names += (names.empty() ? "" : ", ") + std::string(entry.name);
  return names;
}

// Nothing but blanks may follow, or the tag is an older turn's or somebody's text.
bool EndsWithTag(std::string_view text, const std::string& tag) {
  if (tag.empty()) return false;
  const size_t begin = text.rfind(tag);
  if (begin == std::string_view::npos) return false;
  return text.substr(begin + tag.size()).find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

Result<ToolFormat> FindToolFormat(std::string_view name) {
  for (const NamedTools& entry : kTools) {
    if (entry.name == name) return entry.make();
  }
  return NotFound("no tool-call parser '{}', expected one of {}", name, Names(kTools));
}

Result<ReasoningFormat> FindReasoningFormat(std::string_view name) {
  for (const NamedReasoning& entry : kReasoning) {
    if (entry.name == name) return ReasoningFormat{std::string(entry.begin), std::string(entry.end)};
  }
  return NotFound("no reasoning parser '{}', expected one of {}", name, Names(kReasoning));
}

bool PromptOpensReasoning(const ReasoningFormat& format, std::string_view prompt) {
  return EndsWithTag(prompt, format.begin);
}

bool PromptClosesReasoning(const ReasoningFormat& format, std::string_view prompt) {
  return EndsWithTag(prompt, format.end);
}

}  // namespace millrace
