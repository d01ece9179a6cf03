// DeriveOutputFormat: renders probe conversations whose names and values stand nowhere else, and reads off what the
// template writes around them.
#include <algorithm>
#include <array>
#include <utility>

#include "chat/output_format.h"

namespace millrace {
namespace {

using Json = nlohmann::ordered_json;
using Kind = ToolFormat::Kind;

// The probes. Mistral's templates want ids of nine letters.
constexpr std::string_view kContent = "\x01zqcontent\x01";
constexpr std::string_view kNameA = "zqnamea";
constexpr std::string_view kNameB = "zqnameb";
constexpr std::string_view kIdA = "zqcallida";
constexpr std::string_view kArgumentsA = R"({"zqkeya": "zqvala", "zqkeyb": "zqvalb"})";
constexpr std::string_view kArgumentsB = R"({"zqkeyc": "zqvalc"})";

std::string Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1));
}

size_t CommonPrefix(std::string_view a, std::string_view b) {
  size_t size = 0;
  while (size < a.size() && size < b.size() && a[size] == b[size]) ++size;
  return size;
}

size_t CommonSuffix(std::string_view a, std::string_view b) {
  size_t size = 0;
  while (size < a.size() && size < b.size() && a[a.size() - 1 - size] == b[b.size() - 1 - size]) ++size;
  return size;
}

// The common end of two texts, from where a tag begins in it.
std::string CommonTag(std::string_view a, std::string_view b) {
  const std::string_view common = a.substr(a.size() - CommonSuffix(a, b));
  const size_t tag = common.find_first_of("<[");
  return tag == std::string_view::npos ? "" : std::string(common.substr(tag));
}

bool TakePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

Json Call(std::string_view id, std::string_view name, std::string_view arguments) {
  return {{"id", id}, {"type", "function"}, {"function", {{"name", name}, {"arguments", Json::parse(arguments)}}}};
}

class Prober {
 public:
  Prober(const ChatTemplate& chat_template, const Json& special_tokens)
      : template_(chat_template), special_tokens_(special_tokens) {}

  // The part of the prompt that an assistant message with these calls adds after the assistant's header, up to the end
  // of its turn; empty when the template can't.
  std::string Turn(const Json& calls) const {
    const std::string plain = Render({{"role", "assistant"}, {"content", kContent}});
    const size_t content = plain.find(kContent);
    if (content == std::string::npos) return "";
    const std::string turn_end = plain.substr(content + kContent.size());
    const std::string text = Render({{"role", "assistant"}, {"content", ""}, {"tool_calls", calls}});
    if (text.find(kNameA) == std::string::npos) return "";
    size_t begin = CommonPrefix(plain, text);
    // Two tags that begin alike part in their middle.
    const size_t open = begin == 0 ? std::string::npos : text.find_last_of("<[", begin - 1);
    const size_t close = begin == 0 ? std::string::npos : text.find_last_of(">] \n", begin - 1);
    if (open != std::string::npos && (close == std::string::npos || close < open)) begin = open;
    std::string turn = text.substr(begin);
    const std::string tag = turn_end.substr(0, turn_end.find('\n'));
    const size_t last = turn.rfind("zq");
    if (const size_t end = tag.empty() ? std::string::npos : turn.find(tag, last); end != std::string::npos)
      turn.resize(end);
    return turn;
  }

  // A question and an answer; without one, a question and the generation prompt.
  std::string Render(const Json& answer) const {
    RenderInput input;
    input.messages = {{{"role", "user"}, {"content", "Q"}}};
    if (answer.is_null()) {
      input.add_generation_prompt = true;
    } else {
      input.messages.push_back(answer);
    }
    Json tool = {{"type", "function"},
                 {"function",
                  {{"name", "f"},
                   {"description", "d"},
                   {"parameters",
                    {{"type", "object"},
                     {"properties", {{"a", {{"type", "string"}, {"description", "d"}}}}},
                     {"required", Json::array()}}}}}};
    input.tools = Json::array({std::move(tool)});
    input.special_tokens = special_tokens_;
    const auto spans = template_.Render(input);
    return spans.ok() ? JoinSpans(*spans) : "";
  }

 private:
  const ChatTemplate& template_;
  const Json& special_tokens_;
};

// What a turn holds around its probes.
struct Turn {
  std::string_view before;   // ... name A
  std::string_view between;  // name A ... arguments A
  std::string_view middle;   // arguments A ... name B; empty for a single call
  std::string_view after;    // the last arguments ...
};

// {"name": "NAME", "arguments": ARGUMENTS} between two markers.
std::optional<ToolFormat> LearnJson(const Turn& turn) {
  const size_t brace = turn.before.rfind('{');
  if (brace == std::string_view::npos) return std::nullopt;
  const std::string_view head = turn.before.substr(brace);
  const bool named =
      head.find("\"name\"") != std::string_view::npos || head.find("\"tool_name\"") != std::string_view::npos;
  if (!named) return std::nullopt;
  ToolFormat format;
  format.kind = Kind::kJson;
  if (head.find("\"tool_name\"") != std::string_view::npos) format.name_key = "tool_name";
  if (turn.between.find("\"parameters\"") != std::string_view::npos) format.arguments_key = "parameters";
  std::string begin = Trim(turn.before.substr(0, brace));
  const bool array = format.in_array = begin.ends_with('[');
  if (array) begin = Trim(std::string_view(begin).substr(0, begin.size() - 1));
  const size_t tag = begin.find_last_of(" \t\r\n");
  format.call_begin = tag == std::string::npos ? begin : begin.substr(tag + 1);
  if (format.call_begin.empty()) {
    format.section_begin = "<|python_tag|>";
    return format;
  }
  std::string_view end = turn.middle.empty() || array ? turn.after : turn.middle;
  end = end.substr(std::min(end.size(), end.find(array ? ']' : '}') + 1));
  format.call_end = Trim(end.substr(0, end.find(format.call_begin)));
  return format;
}

// NAME then ARGUMENTS as JSON, with tags between them.
std::optional<ToolFormat> LearnNamed(const Turn& turn) {
  ToolFormat format;
  format.kind = Kind::kNamed;
  const std::string_view single = turn.middle.empty() ? turn.before : turn.middle;
  format.call_begin = CommonTag(turn.before, single);
  if (format.call_begin.empty()) return std::nullopt;
  if (const size_t tag_end = format.call_begin.find_last_of(">]"); tag_end != std::string::npos) {
    format.name_prefix = format.call_begin.substr(tag_end + 1);
    format.call_begin.resize(tag_end + 1);
  }
  const size_t section = turn.before.rfind(format.call_begin);
  format.section_begin = Trim(turn.before.substr(0, section));
  const size_t id = turn.between.find(kIdA);
  std::string_view args = turn.between;
  if (id != std::string_view::npos) {
    format.id_begin = Trim(args.substr(0, id));
    args.remove_prefix(id + kIdA.size());
  }
  const size_t tag = args.find_first_of("<[");
  format.args_begin = std::string(tag == std::string_view::npos ? args : args.substr(tag));
  if (format.args_begin.empty()) return std::nullopt;
  std::string_view end = turn.after;
  if (!turn.middle.empty()) {
    format.call_end = Trim(turn.middle.substr(0, turn.middle.rfind(format.call_begin)));
    end.remove_prefix(std::min(end.size(), end.find_first_not_of(" \t\r\n")));
    TakePrefix(end, format.call_end);
    format.section_end = Trim(end);
  } else {
    format.call_end = Trim(end);
  }
  if (format.section_begin.empty() != format.section_end.empty()) return std::nullopt;
  return format;
}

// Each parameter in tags of its own. The markers are cut where two places that repeat them agree.
std::optional<ToolFormat> LearnXml(std::string_view text) {
  std::array<size_t, 8> at = {};
  constexpr std::array<std::string_view, 8> kProbes = {"zqnamea", "zqkeya",  "zqvala", "zqkeyb",
                                                       "zqvalb",  "zqnameb", "zqkeyc", "zqvalc"};
  for (size_t i = 0, from = 0; i < at.size(); ++i) {
    at[i] = text.find(kProbes[i], from);
    if (at[i] == std::string_view::npos) return std::nullopt;
    from = at[i] + kProbes[i].size();
  }
  const auto gap = [&](size_t i) {
    const size_t begin = at[i] + kProbes[i].size();
    return text.substr(begin, at[i + 1] - begin);
  };
  ToolFormat format;
  format.kind = Kind::kXml;
  const std::string_view before = text.substr(0, at[0]);
  format.param_begin = CommonTag(gap(0), gap(2));
  if (format.param_begin.empty()) return std::nullopt;
  format.name_end = Trim(gap(0).substr(0, gap(0).size() - format.param_begin.size()));
  const std::string_view param_end = gap(2).substr(0, gap(2).size() - format.param_begin.size());
  format.param_end = Trim(param_end);
  format.value_newlines = gap(1).ends_with('\n') && param_end.starts_with('\n');
  format.param_name_end = Trim(gap(1));
  if (const size_t tag = format.param_name_end.rfind('<'); tag != std::string::npos && tag > 0) {
    format.value_begin = format.param_name_end.substr(tag);
    format.param_name_end = Trim(std::string_view(format.param_name_end).substr(0, tag));
  } else if (format.param_name_end.starts_with("\" ") && format.param_name_end.ends_with('>')) {
    // Attributes that vary with the value: name="city" string="true">
    format.param_name_end = "\"";
    format.value_begin = ">";
  }
  format.call_begin = CommonTag(before, gap(4));
  std::string_view call_end = gap(4);
  if (format.call_begin.empty() || format.param_end.empty() || format.param_name_end.empty()) return std::nullopt;
  call_end.remove_suffix(format.call_begin.size());
  call_end.remove_prefix(std::min(call_end.size(), call_end.find_first_not_of(" \t\r\n")));
  if (!TakePrefix(call_end, format.param_end)) return std::nullopt;
  // Two tags with blanks between them are a section around one call.
  format.call_end = Trim(call_end);
  const size_t inner = format.call_begin.find_first_of(" \t\r\n");
  const size_t outer = format.call_end.find_last_of(" \t\r\n");
  const std::string_view head = before.substr(0, before.rfind(format.call_begin));
  const bool nested = inner != std::string::npos && format.call_begin.find('<', inner) != std::string::npos;
  if (nested && outer != std::string::npos) {
    format.section_begin = format.call_begin.substr(0, inner);
    format.call_begin = Trim(std::string_view(format.call_begin).substr(inner));
    format.section_end = format.call_end.substr(outer + 1);
    format.call_end = Trim(std::string_view(format.call_end).substr(0, outer));
  } else if (!Trim(head).empty()) {
    const std::string section = Trim(head);
    format.section_begin = section.substr(section.find_last_of(" \t\r\n") + 1);
    std::string_view rest = text.substr(at[7] + kProbes[7].size());
    const size_t last = rest.rfind(format.call_end);
    if (last == std::string_view::npos) return std::nullopt;
    format.section_end = Trim(rest.substr(last + format.call_end.size()));
  }
  return format.call_end.empty() ? std::nullopt : std::optional(format);
}

// [NAME(key='value', ...)] between two markers.
std::optional<ToolFormat> LearnPythonic(const Turn& turn) {
  const size_t bracket = turn.before.rfind('[');
  if (!turn.between.starts_with('(') || bracket == std::string_view::npos) return std::nullopt;
  ToolFormat format;
  format.kind = Kind::kPythonic;
  format.call_begin = Trim(turn.before.substr(0, bracket));
  if (format.call_begin.empty()) format.section_begin = "<|python_tag|>";
  const size_t end = turn.after.find(']');
  if (end != std::string_view::npos) format.call_end = Trim(turn.after.substr(end + 1));
  return format;
}

// A marker that holds a probe was misunderstood.
bool HoldsProbe(const ToolFormat& format) {
  for (const std::string* marker : {&format.section_begin, &format.section_end, &format.call_begin, &format.call_end,
                                    &format.id_begin, &format.args_begin, &format.name_end, &format.param_begin}) {
    if (marker->find("zq") != std::string::npos) return true;
  }
  return false;
}

ToolFormat LearnCalls(const Prober& prober) {
  std::string text = prober.Turn({Call(kIdA, kNameA, kArgumentsA), Call("zqcallidb", kNameB, kArgumentsB)});
  const bool two = text.find(kNameB) != std::string::npos;
  if (!two) text = prober.Turn(Json::array({Call(kIdA, kNameA, kArgumentsA)}));
  if (text.empty()) return {};
  if (text.find("<|channel|>") != std::string::npos) return FindToolFormat("harmony").value();
  // An empty reasoning block may stand before the calls.
  for (const std::string_view tag : {"</think>", "</seed:think>", "[/THINK]", "<|END_THINKING|>"}) {
    if (const size_t at = text.find(tag); at < text.find(kNameA)) text.erase(0, at + tag.size());
  }
  const size_t name = text.find(kNameA);
  const size_t arguments = text.find(kArgumentsA);
  if (arguments == std::string::npos || arguments < name) {
    const std::string_view rest = std::string_view(text).substr(name + kNameA.size());
    const Turn turn = {std::string_view(text).substr(0, name), rest, "",
                       rest.substr(std::min(rest.size(), rest.rfind("zq")))};
    if (auto format = LearnPythonic(turn)) return *format;
    return two ? LearnXml(text).value_or(ToolFormat()) : ToolFormat();
  }
  const std::string_view view = text;
  Turn turn;
  turn.before = view.substr(0, name);
  turn.between = view.substr(name + kNameA.size(), arguments - name - kNameA.size());
  size_t last = arguments + kArgumentsA.size();
  if (two) {
    const size_t name_b = view.find(kNameB, last);
    const size_t arguments_b = view.find(kArgumentsB, last);
    if (name_b == std::string_view::npos || arguments_b == std::string_view::npos) return {};
    turn.middle = view.substr(last, name_b - last);
    last = arguments_b + kArgumentsB.size();
  }
  turn.after = view.substr(last);
  if (auto format = LearnJson(turn)) return *format;
  return LearnNamed(turn).value_or(ToolFormat());
}

ToolFormat LearnTools(const Prober& prober) {
  ToolFormat format = LearnCalls(prober);
  // An end-of-turn token right behind the last tag is not part of it.
  for (std::string* end : {&format.call_end, &format.section_end}) {
    if (const size_t next = end->find("><"); next != std::string::npos) end->resize(next + 1);
  }
  return HoldsProbe(format) ? ToolFormat() : format;
}

ReasoningFormat LearnReasoning(const Prober& prober) {
  const Json answer = {
      {"role", "assistant"}, {"content", kContent}, {"reasoning_content", "zqreasoning"}, {"thinking", "zqreasoning"}};
  const Json tagged = {{"role", "assistant"}, {"content", "<think>zqreasoning</think>" + std::string(kContent)}};
  const std::string plain = prober.Render({{"role", "assistant"}, {"content", kContent}});
  const std::string prompt = prober.Render(nullptr);
  for (const char* name : {"think", "seed", "mistral", "cohere"}) {
    const ReasoningFormat format = FindReasoningFormat(name).value();
    const std::string text = prober.Render(answer);
    const size_t begin = text.find(format.begin);
    if (begin != std::string::npos && text.find(format.end, begin) != std::string::npos) return format;
    // Templates that drop old reasoning cut it off the content at its tag.
    const std::string cut = prober.Render(tagged);
    const bool drops = !cut.empty() && cut.find("zqreasoning") == std::string::npos;
    const bool writes = plain.find(format.end) != std::string::npos || prompt.find(format.begin) != std::string::npos;
    if (drops || writes) return format;
  }
  return {};
}

}  // namespace

OutputFormat DeriveOutputFormat(const ChatTemplate& chat_template, const nlohmann::ordered_json& special_tokens) {
  const Prober prober(chat_template, special_tokens);
  OutputFormat format;
  format.tools = LearnTools(prober);
  if (format.tools.kind != Kind::kHarmony) format.reasoning = LearnReasoning(prober);
  return format;
}

}  // namespace millrace
