#include "server/grammar_fields.h"

#include <algorithm>
#include <vector>

#include "grammar/sql_grammar.h"

namespace millrace {
namespace {

// A schema or grammar as text: a string is taken as it is, anything else is written as JSON.
std::string TextOf(const Json& value) {
  return value.is_string() ? value.get<std::string>() : DumpJson(value);
}

Status AddResponseFormat(const Json& format, std::vector<OutputConstraint>* found) {
  if (format.is_null()) return OkStatus();
  const std::string type = format.is_object() && format.contains("type") && format["type"].is_string()
                               ? format["type"].get<std::string>()
                               : "";
  if (type == "text") return OkStatus();
  if (type == "json_object") {
    found->push_back({"response_format", "object", ""});
    return OkStatus();
  }
  if (type == "structural_tag") {
    found->push_back({"response_format", "tags", DumpJson(format)});
    return OkStatus();
  }
  if (type != "json_schema") {
    return InvalidArgument("response_format.type is {}, expected text, json_object, json_schema or structural_tag",
                           type.empty() ? "missing" : type);
  }
  if (!format.contains("json_schema") || !format["json_schema"].is_object() ||
      !format["json_schema"].contains("schema")) {
    return InvalidArgument("response_format.json_schema.schema is missing");
  }
  found->push_back({"response_format", "json", DumpJson(format["json_schema"]["schema"])});
  return OkStatus();
}

// vLLM's names of the kinds: json, regex, choice, grammar.
Status AddKinds(const std::string& prefix, const auto& get, std::vector<OutputConstraint>* found) {
  for (const std::string_view kind : {"json", "regex", "choice", "grammar"}) {
    const Json& value = get(kind.data());
    if (value.is_null()) continue;
    if ((kind == "regex" || kind == "grammar") && !value.is_string()) {
      return InvalidArgument("{}{} is {}, expected a string", prefix, kind, DumpJson(value).substr(0, 64));
    }
    found->push_back({prefix + std::string(kind), std::string(kind), TextOf(value)});
  }
  return OkStatus();
}

// vLLM's object of constraints. What is neither enforced nor without effect is refused.
Status AddStructuredOutputs(const Json& outputs, std::vector<OutputConstraint>* found) {
  if (outputs.is_null()) return OkStatus();
  if (!outputs.is_object()) return InvalidArgument("structured_outputs: expected an object");
  static const Json kNone;
  RETURN_IF_ERROR(AddKinds(
      "structured_outputs.",
      [&](const char* kind) -> const Json& { return outputs.contains(kind) ? outputs[kind] : kNone; }, found));
  for (const auto& [key, value] : outputs.items()) {
    if (value.is_null() || key == "json" || key == "regex" || key == "choice" || key == "grammar") continue;
    if (value.is_boolean() && (!value.get<bool>() || key == "disable_fallback")) continue;
    if (key == "json_object" && value.is_boolean()) {
      found->push_back({"structured_outputs.json_object", "object", ""});
    } else if (key == "structural_tag") {
      found->push_back({"structured_outputs.structural_tag", "tags", TextOf(value)});
    } else {
      return InvalidArgument(
          "structured_outputs.{} is not supported, expected json, regex, choice, grammar, json_object or "
          "structural_tag",
          key);
    }
  }
  return OkStatus();
}

bool HasString(const Json& value, const char* key) {
  return value.contains(key) && value[key].is_string();
}

// {"structures": [{"begin", "schema", "end"}], "triggers": [text]}: every begin starts with a trigger.
Status CheckTags(const OutputConstraint& constraint) {
  const Json tags = Json::parse(constraint.text, nullptr, false);
  const bool lists = tags.is_object() && tags.contains("structures") && tags["structures"].is_array() &&
                     tags.contains("triggers") && tags["triggers"].is_array() && !tags["triggers"].empty();
  if (!lists) return InvalidArgument("{}: expected structures and triggers, both lists", constraint.field);
  for (const Json& trigger : tags["triggers"]) {
    if (!trigger.is_string() || trigger.get_ref<const std::string&>().empty())
      return InvalidArgument("{}: a trigger is no text", constraint.field);
  }
  for (const Json& tag : tags["structures"]) {
    if (!tag.is_object() || !HasString(tag, "begin") || !HasString(tag, "end") || !tag.contains("schema")) {
      return InvalidArgument("{}: a structure lacks begin, schema or end", constraint.field);
    }
    const std::string begin = tag["begin"];
    const auto starts = [&](const Json& trigger) { return begin.starts_with(trigger.get_ref<const std::string&>()); };
    if (std::none_of(tags["triggers"].begin(), tags["triggers"].end(), starts)) {
      return InvalidArgument("{}: \"{}\" begins with none of the triggers", constraint.field, begin);
    }
  }
  return OkStatus();
}

// Text in which each trigger starts one of its tags.
grammar::Structure TagsStructure(const Json& tags) {
  std::vector<std::string> stops;
  std::vector<grammar::Structure> children;
  for (const Json& trigger : tags["triggers"]) {
    const std::string stop = trigger;
    std::vector<grammar::Structure> choices;
    for (const Json& tag : tags["structures"]) {
      const std::string begin = tag["begin"];
      if (!begin.starts_with(stop)) continue;
      choices.push_back(grammar::Sequence(
          {grammar::Text(begin.substr(stop.size())),
           grammar::InGrammar(grammar::GrammarKind::kJsonSchema, DumpJson(tag["schema"])), grammar::Text(tag["end"])}));
    }
    if (choices.empty()) continue;
    stops.push_back(stop);
    children.push_back(grammar::Choice(std::move(choices)));
  }
  std::vector<std::string> all = stops;
  return grammar::Sequence(
      {grammar::Many(grammar::Until(std::move(stops), std::move(children))), grammar::Free(std::move(all))});
}

Status CheckChoices(const OutputConstraint& constraint) {
  const Json list = Json::parse(constraint.text, nullptr, false);
  const bool strings = list.is_array() && !list.empty() &&
                       std::all_of(list.begin(), list.end(), [](const Json& choice) { return choice.is_string(); });
  return strings ? OkStatus() : InvalidArgument("{}: expected a list of strings", constraint.field);
}

}  // namespace

Result<grammar::GrammarPtr> GrammarCache::Get(const std::string& key, const Compile& compile) {
  std::call_once(vocabulary_made_,
                 [this] { vocabulary_ = std::make_shared<const grammar::GrammarVocabulary>(tokenizer_, end_ids_); });
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
  if (kind == "tags") return TagsStructure(Json::parse(text));
  if (kind == "grammar" && text == "sql") return grammar::InGrammar(GrammarKind::kEbnf, grammar::SqlGrammar());
  if (kind == "choice") return grammar::RawString(R"({"enum":)" + text + "}", {});
  return grammar::InGrammar(GrammarKind::kEbnf, text);
}

Result<std::optional<OutputConstraint>> ReadConstraint(const Fields& fields) {
  std::vector<OutputConstraint> found;
  RETURN_IF_ERROR(AddResponseFormat(fields.Get("response_format"), &found));
  RETURN_IF_ERROR(AddKinds(
      "guided_", [&](const char* kind) -> const Json& { return fields.Get((std::string("guided_") + kind).c_str()); },
      &found));
  RETURN_IF_ERROR(AddStructuredOutputs(fields.Get("structured_outputs"), &found));
  if (found.empty()) return std::optional<OutputConstraint>();
  if (found.size() > 1)
    return InvalidArgument("{} is given together with {}, expected one constraint", found[1].field, found[0].field);
  if (found[0].kind == "choice") RETURN_IF_ERROR(CheckChoices(found[0]));
  if (found[0].kind == "tags") RETURN_IF_ERROR(CheckTags(found[0]));
  return std::optional(std::move(found[0]));
}

Result<grammar::GrammarPtr> CompileConstraint(GrammarCache& cache, const std::optional<OutputConstraint>& constraint) {
  if (!constraint) return grammar::GrammarPtr();
  Result<grammar::GrammarPtr> compiled =
      cache.Get(constraint->kind + '\n' + constraint->text, [&](const grammar::VocabularyPtr& vocabulary) {
        return grammar::CompileStructure(constraint->AsStructure(), vocabulary);
      });
  if (!compiled.ok())
    return Status(StatusCode::kInvalidArgument, fmt::format("{}: {}", constraint->field, compiled.status().message()));
  return compiled;
}

}  // namespace millrace
