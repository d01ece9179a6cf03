#include "server/grammar_fields.h"

#include <vector>

namespace millrace {
namespace {

struct Constraint {
  std::string field, kind, text;
};

// A schema or grammar as text: a string is taken as it is, anything else is written as JSON.
std::string TextOf(const Json& value) { return value.is_string() ? value.get<std::string>() : DumpJson(value); }

Status AddResponseFormat(const Json& format, std::vector<Constraint>* found) {
  if (format.is_null()) return OkStatus();
  const std::string type = format.is_object() && format.contains("type") && format["type"].is_string() ? format["type"].get<std::string>() : "";
  if (type == "text") return OkStatus();
  if (type == "json_object") {
    found->push_back({"response_format", "object", ""});
    return OkStatus();
  }
  if (type != "json_schema") {
    return InvalidArgument("response_format.type is {}, expected text, json_object or json_schema", type.empty() ? "missing" : type);
  }
  if (!format.contains("json_schema") || !format["json_schema"].is_object() || !format["json_schema"].contains("schema")) {
    return InvalidArgument("response_format.json_schema.schema is missing");
  }
  found->push_back({"response_format", "json", DumpJson(format["json_schema"]["schema"])});
  return OkStatus();
}

// vLLM's names of the kinds: json, regex, choice, grammar.
void AddKinds(const std::string& prefix, const auto& get, std::vector<Constraint>* found) {
  for (const char* kind : {"json", "regex", "choice", "grammar"}) {
    const Json& value = get(kind);
    if (!value.is_null()) found->push_back({prefix + kind, kind, TextOf(value)});
  }
}

Result<grammar::GrammarPtr> CompileChoices(const std::string& text, grammar::VocabularyPtr vocabulary) {
  const Json list = Json::parse(text, nullptr, false);
  std::vector<std::string> choices;
  if (!list.is_array()) return InvalidArgument("expected a list of strings");
  for (const Json& choice : list) {
    if (!choice.is_string()) return InvalidArgument("expected a list of strings");
    choices.push_back(choice.get<std::string>());
  }
  return grammar::CompileChoice(choices, std::move(vocabulary));
}

GrammarCache::Compile CompilerOf(const std::string& kind) {
  using grammar::VocabularyPtr;
  if (kind == "object") return [](const std::string&, VocabularyPtr v) { return grammar::CompileJsonObject(std::move(v)); };
  if (kind == "json") return [](const std::string& text, VocabularyPtr v) { return grammar::CompileJsonSchema(text, std::move(v)); };
  if (kind == "regex") return [](const std::string& text, VocabularyPtr v) { return grammar::CompileRegexGrammar(text, std::move(v)); };
  if (kind == "choice") return CompileChoices;
  return [](const std::string& text, VocabularyPtr v) { return grammar::CompileEbnf(text, std::move(v)); };
}

}  // namespace

Result<grammar::GrammarPtr> GrammarCache::Get(const std::string& kind, const std::string& text, Compile compile) {
  std::call_once(vocabulary_made_, [this] { vocabulary_ = std::make_shared<const grammar::GrammarVocabulary>(tokenizer_); });
  const std::string key = kind + '\n' + text;
  {
    std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end()) return found->second;
  }
  ASSIGN_OR_RETURN(grammar::GrammarPtr compiled, compile(text, vocabulary_));
  std::lock_guard lock(mutex_);
  if (entries_.size() >= kMaxEntries) entries_.clear();
  entries_[key] = compiled;
  return compiled;
}

Result<grammar::GrammarPtr> ReadGrammar(GrammarCache& cache, const Fields& fields) {
  std::vector<Constraint> found;
  RETURN_IF_ERROR(AddResponseFormat(fields.Get("response_format"), &found));
  AddKinds("guided_", [&](const char* kind) -> const Json& { return fields.Get((std::string("guided_") + kind).c_str()); }, &found);
  static const Json kNone;
  if (const Json& outputs = fields.Get("structured_outputs"); outputs.is_object()) {
    AddKinds("structured_outputs.", [&](const char* kind) -> const Json& { return outputs.contains(kind) ? outputs[kind] : kNone; }, &found);
  }
  if (found.empty()) return grammar::GrammarPtr();
  if (found.size() > 1) return InvalidArgument("{} is given together with {}, expected one constraint", found[1].field, found[0].field);
  Result<grammar::GrammarPtr> compiled = cache.Get(found[0].kind, found[0].text, CompilerOf(found[0].kind));
  if (!compiled.ok()) return Status(StatusCode::kInvalidArgument, fmt::format("{}: {}", found[0].field, compiled.status().message()));
  return compiled;
}

}  // namespace millrace
