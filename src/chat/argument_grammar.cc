#include "chat/argument_grammar.h"

#include <algorithm>
#include <utility>

#include "chat/grammar_words.h"
#include "chat/parameter_types.h"

namespace millrace {
namespace {

using namespace grammar_words;

// Parameters that need not be there: each may come first.
constexpr size_t kMaxOptionalArguments = 64;

struct Parameter {
  std::string name;
  Json schema;  // with the definitions of the whole
  bool required = false;
};

// A schema that stands alone: references of its parent's definitions are found in it.
Json StandAlone(const Json& schema, const Json& parent) {
  if (!schema.is_object()) return schema;
  Json copy = schema;
  for (const char* key : {"$defs", "definitions"}) {
    if (parent.contains(key) && !copy.contains(key)) copy[key] = parent[key];
  }
  return copy;
}

// The parameters of an object schema that says nothing else about its members.
Result<std::vector<Parameter>> SplitParameters(const CallableFunction& function) {
  const Json& schema = function.parameters;
  static constexpr std::string_view kKnown[] = {"type",        "properties", "required", "additionalProperties",
                                                "description", "title",      "$defs",    "$schema",
                                                "definitions", "default",    "$id",      "examples",
                                                "strict",      "$comment"};
  for (const auto& [key, value] : schema.items()) {
    if (std::find(std::begin(kKnown), std::end(kKnown), key) != std::end(kKnown)) continue;
    return Unsupported("function {}: parameters.{} can't be enforced in this model's call format", function.name, key);
  }
  std::vector<Parameter> parameters;
  const Json properties = schema.value("properties", Json::object());
  if (!properties.is_object())
    return InvalidArgument("function {}: parameters.properties is not an object", function.name);
  Json required = schema.value("required", Json::array());
  for (const auto& [name, property] : properties.items()) {
    const auto found = std::find(required.begin(), required.end(), Json(name));
    const bool is_required = found != required.end();
    if (is_required) required.erase(found);
    if (property == Json(false) && !is_required) continue;
    parameters.push_back({name, StandAlone(property, schema), is_required});
  }
  if (!required.empty()) {
    return Unsupported("function {}: parameters.required has {}, which is not among the properties", function.name,
                       required[0].dump());
  }
  return parameters;
}

Structure JsonValue(const Json& schema) {
  return InGrammar(GrammarKind::kJsonSchema, schema.dump());
}

// Mirrors how the parser types bare text: see TypedValue in xml_calls.cc.
Structure XmlValue(const ToolFormat& format, const Json& schema) {
  const std::vector<std::string> types = SchemaTypes(&schema);
  const bool text = std::find(types.begin(), types.end(), "string") != types.end();
  if (!text) return JsonValue(schema);
  if (types.size() == 1) return RawString(schema.dump(), {format.param_end});
  // Text that reads as a value of another type becomes that value.
  const bool harmless = std::all_of(types.begin(), types.end(), [](const std::string& type) {
    return type == "string" || type == "null" || type == "boolean";
  });
  Structure string = RawString(schema.dump(), {format.param_end}, harmless ? "" : "^\\s*[-0-9({\\[]");
  Json others = schema;
  const Json not_string = {{"not", {{"type", "string"}}}};
  if (others.contains("allOf") && others["allOf"].is_array()) {
    others["allOf"].push_back(not_string);
  } else {
    others["allOf"] = Json::array({not_string});
  }
  return Choice({std::move(string), JsonValue(others)});
}

Structure XmlParameter(const ToolFormat& format, const Parameter& parameter) {
  Structure name = Text(format.param_begin + parameter.name + format.param_name_end);
  Structure open = Sequence({});
  if (!format.value_begin.empty()) {
    // Attributes may follow a quoted name; elsewhere a line break may stand between the tags.
    const bool attributes = format.param_name_end == "\"" && format.value_begin == ">";
    Structure between =
        attributes ? Optional(InGrammar(GrammarKind::kRegex, " [a-z]+=\"[a-z]+\"")) : Optional(Text("\n"));
    open = Sequence({std::move(between), Text(format.value_begin)});
  }
  Structure line = format.value_newlines ? Text("\n") : Sequence({});
  return Sequence(
      {std::move(name), std::move(open), line, XmlValue(format, parameter.schema), line, Text(format.param_end)});
}

// Any parameters with any text.
Structure AnyXmlParameters(const ToolFormat& format) {
  Structure name = Sequence({Text(format.param_begin), InGrammar(GrammarKind::kRegex, "[a-zA-Z0-9_]{1,64}"),
                             Text(format.param_name_end + format.value_begin)});
  return Many(Sequence({std::move(name), Until({format.param_end}, {Optional(Text("\n"))})}));
}

}  // namespace

Structure JsonArguments(const CallableFunction& function) {
  return function.any_arguments ? JsonValue({{"type", "object"}}) : JsonValue(function.parameters);
}

Result<Structure> XmlArguments(const ToolFormat& format, const CallableFunction& function) {
  if (function.any_arguments) return AnyXmlParameters(format);
  ASSIGN_OR_RETURN(const std::vector<Parameter> parameters, SplitParameters(function));
  std::vector<Structure> parts;
  for (const Parameter& parameter : parameters) {
    Structure one = Sequence({XmlParameter(format, parameter), Optional(Text("\n"))});
    parts.push_back(parameter.required ? std::move(one) : Optional(std::move(one)));
  }
  return Sequence(std::move(parts));
}

Result<Structure> PythonicArguments(const CallableFunction& function) {
  if (function.any_arguments) {
    Structure one =
        Sequence({InGrammar(GrammarKind::kRegex, "[a-zA-Z_][a-zA-Z0-9_]{0,63}="), JsonValue(Json::object())});
    Structure more = Many(Sequence({Text(", "), one}));
    return Optional(Sequence({std::move(one), std::move(more)}));
  }
  ASSIGN_OR_RETURN(const std::vector<Parameter> parameters, SplitParameters(function));
  std::vector<Structure> required, optional;
  for (const Parameter& parameter : parameters) {
    const bool boolean = parameter.schema.is_object() && parameter.schema.value("type", Json()) == Json("boolean") &&
                         !parameter.schema.contains("enum") && !parameter.schema.contains("const");
    Structure value = boolean ? Choice({Text("True"), Text("False")}) : JsonValue(parameter.schema);
    Structure one = Sequence({Text(parameter.name + "="), std::move(value)});
    if (parameter.required) {
      required.push_back(required.empty() ? std::move(one) : Sequence({Text(", "), std::move(one)}));
    } else {
      optional.push_back(std::move(one));
    }
  }
  if (optional.size() > kMaxOptionalArguments) {
    return Unsupported("function {}: {} optional parameters, expected at most {} in this model's call format",
                       function.name, optional.size(), kMaxOptionalArguments);
  }
  std::vector<Structure> tail;
  std::vector<Structure> choices = {Sequence({})};
  for (size_t i = optional.size(); i-- > 0;) {
    std::vector<Structure> begin = {optional[i]};
    begin.insert(begin.end(), tail.rbegin(), tail.rend());
    choices.push_back(Sequence(std::move(begin)));
    tail.push_back(Optional(Sequence({Text(", "), optional[i]})));
  }
  if (required.empty()) return Choice(std::move(choices));
  required.insert(required.end(), tail.rbegin(), tail.rend());
  return Sequence(std::move(required));
}

}  // namespace millrace
