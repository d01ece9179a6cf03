#include "server/grammar_fields.h"

#include <algorithm>
#include <vector>

namespace millrace {
namespace {

// A schema or grammar as text: a string is taken as it is, anything else is written as JSON.
std::string TextOf(const Json& value) { return value.is_string() ? value.get<std::string>() : DumpJson(value); }

Status AddResponseFormat(const Json& format, std::vector<OutputConstraint>* found) {
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
void AddKinds(const std::string& prefix, const auto& get, std::vector<OutputConstraint>* found) {
  for (const char* kind : {"json", "regex", "choice", "grammar"}) {
    const Json& value = get(kind);
    if (!value.is_null()) found->push_back({prefix + kind, kind, TextOf(value)});
  }
}

Status CheckChoices(const OutputConstraint& constraint) {
  const Json list = Json::parse(constraint.text, nullptr, false);
  const bool strings = list.is_array() && !list.empty() &&
                       std::all_of(list.begin(), list.end(), [](const Json& choice) { return choice.is_string(); });
  return strings ? OkStatus() : InvalidArgument("{}: expected a list of strings", constraint.field);
}

}  // namespace

Result<grammar::GrammarPtr> GrammarCache::Get(const std::string& key, const Compile& compile) {
  std::call_once(vocabulary_made_, [this] { vocabulary_ = std::make_shared<const grammar::GrammarVocabulary>(tokenizer_, end_ids_); });
  {
    std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end()) return found->second;
  }
  ASSIGN_OR_RETURN(grammar::GrammarPtr compiled, compile(vocabulary_));
  std::lock_guard lock(mutex_);
  if (entries_.size() >= kMaxEntries) entries_.clear();
  entries_[key] = compiled;
  return compiled;
}

grammar::Structure OutputConstraint::AsStructure() const {
  using grammar::GrammarKind;
  if (kind == "object") return grammar::InGrammar(GrammarKind::kJsonSchema, R"({"type":"object"})");
  if (kind == "json") return grammar::InGrammar(GrammarKind::kJsonSchema, text);
  if (kind == "regex") return grammar::InGrammar(GrammarKind::kRegex, text);
  if (kind == "choice") return grammar::RawString(R"({"enum":)" + text + "}", {});
  return grammar::InGrammar(GrammarKind::kEbnf, text);
}

Result<std::optional<OutputConstraint>> ReadConstraint(const Fields& fields) {
  std::vector<OutputConstraint> found;
  RETURN_IF_ERROR(AddResponseFormat(fields.Get("response_format"), &found));
  AddKinds("guided_", [&](const char* kind) -> const Json& { return fields.Get((std::string("guided_") + kind).c_str()); }, &found);
  static const Json kNone;
  if (const Json& outputs = fields.Get("structured_outputs"); outputs.is_object()) {
    AddKinds("structured_outputs.", [&](const char* kind) -> const Json& { return outputs.contains(kind) ? outputs[kind] : kNone; }, &found);
  }
  if (found.empty()) return std::optional<OutputConstraint>();
  if (found.size() > 1) return InvalidArgument("{} is given together with {}, expected one constraint", found[1].field, found[0].field);
  if (found[0].kind == "choice") RETURN_IF_ERROR(CheckChoices(found[0]));
  return std::optional(std::move(found[0]));
}

Result<grammar::GrammarPtr> CompileConstraint(GrammarCache& cache, const std::optional<OutputConstraint>& constraint) {
  if (!constraint) return grammar::GrammarPtr();
  Result<grammar::GrammarPtr> compiled = cache.Get(constraint->kind + '\n' + constraint->text, [&](const grammar::VocabularyPtr& vocabulary) {
    return grammar::CompileStructure(constraint->AsStructure(), vocabulary);
  });
  if (!compiled.ok()) return Status(StatusCode::kInvalidArgument, fmt::format("{}: {}", constraint->field, compiled.status().message()));
  return compiled;
}

}  // namespace millrace
