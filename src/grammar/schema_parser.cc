#include <algorithm>
#include <map>
#include <set>

#include "grammar/char_set.h"
#include "grammar/formats.h"
#include "grammar/regex.h"
#include "grammar/schema_node.h"
#include "grammar/schema_scope.h"

namespace millrace::grammar {
namespace {

constexpr size_t kMaxNodes = 100'000;

int DraftOf(const JsonValue& root) {
  const JsonValue* schema = root.Find("$schema");
  if (schema == nullptr || !schema->is(JsonValue::kString)) return 2020;
  for (const auto& [name, draft] :
       {std::pair{"draft-03", 4}, {"draft-04", 4}, {"draft-06", 6}, {"draft-07", 7}, {"2019-09", 2019}}) {
    if (schema->text.find(name) != std::string::npos) return draft;
  }
  return 2020;
}

// Says nothing about an instance that a schema without it wouldn't.
bool IsTrivial(const JsonValue& schema) {
  return (schema.is(JsonValue::kBool) && schema.boolean) || (schema.is(JsonValue::kObject) && schema.members.empty());
}

class SchemaParser {
 public:
  SchemaParser(SchemaDocument& doc, FormatCache& formats, Budget& budget)
      : doc_(doc), formats_(formats), budget_(budget), draft_(DraftOf(*doc.root)), scope_(*doc.root, draft_) {}

  Status Run() {
    ASSIGN_OR_RETURN(NodeId root, NodeOf({doc_.root.get(), "", ""}));
    (void)root;
    for (size_t i = 0; i < places_.size(); ++i) {
      const SchemaPlace place = places_[i];
      SchemaNode node;
      node.pointer = place.pointer;
      RETURN_IF_ERROR(ParseNode(place, node));
      doc_.nodes[i] = std::move(node);
    }
    return OkStatus();
  }

 private:
  // The node of a subschema, made now or later.
  Result<NodeId> NodeOf(const SchemaPlace& place) {
    const JsonValue& value = *place.value;
    if (!value.is(JsonValue::kObject) && !value.is(JsonValue::kBool)) {
      return InvalidArgument("{}: expected a schema (an object or a boolean)", At(place.pointer));
    }
    std::string key = place.base + "\n" + CanonicalJson(value);
    if (!budget_.Charge(key.size() + sizeof(SchemaNode)) || places_.size() > kMaxNodes) return budget_.Error();
    auto [it, inserted] = ids_.try_emplace(std::move(key), static_cast<NodeId>(places_.size()));
    if (inserted) {
      places_.push_back(place);
      doc_.nodes.emplace_back();
    }
    return it->second;
  }
  Result<NodeId> Child(const SchemaPlace& parent, const JsonValue& value, const std::string& token) {
    return NodeOf({&value, parent.base, parent.pointer + "/" + token});
  }
  static std::string At(const std::string& pointer) { return pointer.empty() ? "the schema" : pointer; }
  static Status Wrong(const SchemaPlace& place, std::string_view keyword, std::string_view expected) {
    return InvalidArgument("{}/{}: expected {}", place.pointer, keyword, expected);
  }
  static Status Refused(const SchemaPlace& place, std::string_view keyword, std::string_view why) {
    return Unsupported("{}/{}: {}", place.pointer, keyword, why);
  }

  Status ParseNode(SchemaPlace place, SchemaNode& node) {
    const JsonValue& schema = *place.value;
    if (schema.is(JsonValue::kBool)) {
      node.never = !schema.boolean;
      return OkStatus();
    }
    place.base = scope_.BaseWithin(schema, place.base);
    RETURN_IF_ERROR(RefuseUnsupported(place));
    if (const JsonValue* ref = schema.Find("$ref"); ref != nullptr) {
      if (!ref->is(JsonValue::kString)) return Wrong(place, "$ref", "a string");
      auto target = scope_.Resolve(ref->text, place.base);
      if (!target.ok()) return target.status().WithPrefix(place.pointer + "/$ref");
      ASSIGN_OR_RETURN(NodeId id, NodeOf(*target));
      node.all_of.push_back(id);
      if (draft_ <= 7) return OkStatus();
    }
    RETURN_IF_ERROR(ParseTypes(place, node));
    RETURN_IF_ERROR(ParseValues(place, node));
    RETURN_IF_ERROR(ParseNumbers(place, node));
    RETURN_IF_ERROR(ParseStrings(place, node));
    RETURN_IF_ERROR(ParseArrays(place, node));
    RETURN_IF_ERROR(ParseObjects(place, node));
    RETURN_IF_ERROR(ParseDependencies(place, node));
    return ParseApplicators(place, node);
  }

  static Status RefuseUnsupported(const SchemaPlace& place) {
    for (const char* keyword : {"unevaluatedProperties", "unevaluatedItems"}) {
      const JsonValue* value = place.value->Find(keyword);
      if (value != nullptr && !IsTrivial(*value)) return Refused(place, keyword, "this keyword is not supported");
    }
    for (const char* keyword : {"$dynamicRef", "$recursiveRef", "extends", "disallow", "divisibleBy"}) {
      if (place.value->Find(keyword) != nullptr) return Refused(place, keyword, "this keyword is not supported");
    }
    return OkStatus();
  }

  Status ParseTypes(const SchemaPlace& place, SchemaNode& node) {
    const JsonValue* type = place.value->Find("type");
    if (type == nullptr) return OkStatus();
    std::vector<const JsonValue*> names;
    if (type->is(JsonValue::kArray)) {
      for (const JsonValue& item : type->items) names.push_back(&item);
    } else {
      names.push_back(type);
    }
    static const std::map<std::string, uint8_t> kNames = {
        {"null", kTypeNull},     {"boolean", kTypeBool}, {"number", kTypeNumber}, {"integer", kTypeNumber},
        {"string", kTypeString}, {"array", kTypeArray},  {"object", kTypeObject}, {"any", kAllTypes}};
    node.types = 0;
    bool number = false;
    for (const JsonValue* name : names) {
      const auto it = name->is(JsonValue::kString) ? kNames.find(name->text) : kNames.end();
      if (it == kNames.end()) return Wrong(place, "type", "names of JSON types");
      node.types |= it->second;
      number |= name->text == "number" || name->text == "any";
    }
    node.integer_only = !number;
    node.plain_integers = draft_ == 4;
    return OkStatus();
  }

  Status ParseValues(const SchemaPlace& place, SchemaNode& node) {
    const JsonValue* constant = place.value->Find("const");
    const JsonValue* list = place.value->Find("enum");
    if (constant != nullptr) {
      RETURN_IF_ERROR(AddValue(*constant, node));
      if (list != nullptr) {  // both: keep the constant only where the list has it
        bool found = false;
        for (const JsonValue& v : list->items) found |= CanonicalJson(v) == CanonicalJson(*constant);
        if (!found) node.never = true;
      }
    } else if (list != nullptr) {
      if (!list->is(JsonValue::kArray)) return Wrong(place, "enum", "an array");
      node.has_values = true;
      std::set<std::string> seen;
      for (const JsonValue& v : list->items) {
        if (seen.insert(CanonicalJson(v)).second) RETURN_IF_ERROR(AddValue(v, node));
      }
    }
    return OkStatus();
  }

  Status AddValue(const JsonValue& value, SchemaNode& node) {
    node.has_values = true;
    if (!value.is(JsonValue::kArray) && !value.is(JsonValue::kObject)) {
      node.scalars.push_back(&value);
      return OkStatus();
    }
    doc_.made.push_back(std::make_unique<JsonValue>(SchemaOfValue(value)));
    ASSIGN_OR_RETURN(NodeId id, NodeOf({doc_.made.back().get(), "", ""}));
    node.composites.push_back(id);
    return OkStatus();
  }

  // A schema that exactly this value meets.
  static JsonValue SchemaOfValue(const JsonValue& value) {
    JsonValue schema{.type = JsonValue::kObject};
    auto string = [](std::string s) { return JsonValue{.type = JsonValue::kString, .text = std::move(s)}; };
    if (value.is(JsonValue::kObject)) {
      JsonValue properties{.type = JsonValue::kObject}, required{.type = JsonValue::kArray};
      for (const auto& [key, member] : value.members) {
        properties.members.emplace_back(key, SchemaOfValue(member));
        required.items.push_back(string(key));
      }
      schema.members = {{"type", string("object")}, {"properties", properties}, {"required", required}};
      schema.members.emplace_back("additionalProperties", JsonValue{.type = JsonValue::kBool});
    } else if (value.is(JsonValue::kArray)) {
      JsonValue prefix{.type = JsonValue::kArray};
      for (const JsonValue& item : value.items) prefix.items.push_back(SchemaOfValue(item));
      JsonValue count{.type = JsonValue::kNumber, .text = std::to_string(value.items.size())};
      schema.members = {{"type", string("array")}, {"prefixItems", prefix}, {"minItems", count}, {"maxItems", count}};
    } else {
      schema.members = {{"const", value}};
    }
    return schema;
  }

  static Status ParseNumbers(const SchemaPlace& place, SchemaNode& node) {
    const JsonValue& schema = *place.value;
    auto exclusive_flag = [&](const char* keyword) {  // draft 4
      const JsonValue* v = schema.Find(keyword);
      return v != nullptr && v->is(JsonValue::kBool) && v->boolean;
    };
    struct Keyword {
      const char* name;
      NumberBound bound, exclusive;
      const char* flag;
    };
    for (const Keyword& k : {Keyword{"minimum", NumberBound::kAtLeast, NumberBound::kMoreThan, "exclusiveMinimum"},
                             {"maximum", NumberBound::kAtMost, NumberBound::kLessThan, "exclusiveMaximum"},
                             {"exclusiveMinimum", NumberBound::kMoreThan, NumberBound::kMoreThan, ""},
                             {"exclusiveMaximum", NumberBound::kLessThan, NumberBound::kLessThan, ""}}) {
      const JsonValue* v = schema.Find(k.name);
      if (v == nullptr || (v->is(JsonValue::kBool) && *k.flag == 0)) continue;
      if (!v->is(JsonValue::kNumber)) return Wrong(place, k.name, "a number");
      auto limit = ParseDecimal(v->text);
      if (!limit.ok()) return limit.status().WithPrefix(place.pointer + "/" + k.name);
      node.number_limits.push_back({exclusive_flag(k.flag) ? k.exclusive : k.bound, *limit});
    }
    if (const JsonValue* v = schema.Find("multipleOf"); v != nullptr) {
      if (!v->is(JsonValue::kNumber)) return Wrong(place, "multipleOf", "a number above 0");
      auto step = ParseDecimal(v->text);
      if (!step.ok()) return step.status().WithPrefix(place.pointer + "/multipleOf");
      if (step->is_zero() || step->negative) return Wrong(place, "multipleOf", "a number above 0");
      node.multiple_of = *std::move(step);
    }
    return OkStatus();
  }

  static Status Count(const SchemaPlace& place, const char* keyword, uint32_t& out) {
    const JsonValue* v = place.value->Find(keyword);
    if (v == nullptr) return OkStatus();
    auto count = ToCount(*v);
    if (!count.ok()) return count.status().WithPrefix(place.pointer + "/" + keyword);
    out = *count;
    return OkStatus();
  }

  Result<DfaPtr> Pattern(const SchemaPlace& place, std::string_view keyword, const std::string& pattern) {
    auto [it, inserted] = patterns_.try_emplace(pattern);
    if (inserted) {
      auto dfa = CompileRegex(pattern, RegexMode::kSearch, budget_);
      if (!dfa.ok()) {
        patterns_.erase(it);
        return dfa.status().WithPrefix(place.pointer + "/" + std::string(keyword));
      }
      it->second = *std::move(dfa);
    }
    return it->second;
  }

  Status ParseStrings(const SchemaPlace& place, SchemaNode& node) {
    RETURN_IF_ERROR(Count(place, "minLength", node.min_length));
    RETURN_IF_ERROR(Count(place, "maxLength", node.max_length));
    if (const JsonValue* v = place.value->Find("pattern"); v != nullptr) {
      if (!v->is(JsonValue::kString)) return Wrong(place, "pattern", "a regular expression");
      ASSIGN_OR_RETURN(DfaPtr dfa, Pattern(place, "pattern", v->text));
      node.string_languages.push_back(std::move(dfa));
    }
    const JsonValue* v = place.value->Find("format");
    if (v == nullptr || !v->is(JsonValue::kString)) return OkStatus();
    switch (SupportOfFormat(v->text)) {
      case FormatSupport::kAnnotation:
        return OkStatus();
      case FormatSupport::kUnsupported:
        return Refused(place, "format", "the format \"" + v->text + "\" is not supported");
      case FormatSupport::kEnforced:
        break;
    }
    auto dfa = formats_.Language(v->text);
    if (!dfa.ok()) return dfa.status().WithPrefix(place.pointer + "/format");
    node.string_languages.push_back(*std::move(dfa));
    return OkStatus();
  }

  Status ParseArrays(const SchemaPlace& place, SchemaNode& node) {
    const JsonValue& schema = *place.value;
    const JsonValue* prefix = schema.Find("prefixItems");
    const JsonValue* items = schema.Find("items");
    const char* prefix_keyword = "prefixItems";
    const char* rest_keyword = "items";
    if (items != nullptr && items->is(JsonValue::kArray)) {  // the spelling before 2020-12
      prefix = items;
      prefix_keyword = "items";
      items = schema.Find("additionalItems");
      rest_keyword = "additionalItems";
    }
    if (prefix != nullptr) {
      if (!prefix->is(JsonValue::kArray)) return Wrong(place, prefix_keyword, "an array of schemas");
      for (size_t i = 0; i < prefix->items.size(); ++i) {
        ASSIGN_OR_RETURN(NodeId id, Child(place, prefix->items[i], fmt::format("{}/{}", prefix_keyword, i)));
        node.prefix_items.push_back(id);
      }
    }
    if (items != nullptr && !IsTrivial(*items)) {
      ASSIGN_OR_RETURN(node.items, Child(place, *items, rest_keyword));
    }
    RETURN_IF_ERROR(Count(place, "minItems", node.min_items));
    RETURN_IF_ERROR(Count(place, "maxItems", node.max_items));
    if (const JsonValue* contains = schema.Find("contains"); contains != nullptr) {
      ASSIGN_OR_RETURN(node.contains, Child(place, *contains, "contains"));
      RETURN_IF_ERROR(Count(place, "minContains", node.min_contains));
      RETURN_IF_ERROR(Count(place, "maxContains", node.max_contains));
    }
    const JsonValue* unique = schema.Find("uniqueItems");
    node.unique_items = unique != nullptr && unique->is(JsonValue::kBool) && unique->boolean;
    return OkStatus();
  }

  Status ParseObjects(const SchemaPlace& place, SchemaNode& node) {
    const JsonValue& schema = *place.value;
    if (const JsonValue* map = schema.Find("properties"); map != nullptr) {
      if (!map->is(JsonValue::kObject)) return Wrong(place, "properties", "an object of schemas");
      for (const auto& [name, value] : map->members) {
        ASSIGN_OR_RETURN(NodeId id, Child(place, value, "properties/" + name));
        ASSIGN_OR_RETURN(std::u32string decoded, DecodeUtf8(name));
        node.properties.emplace_back(std::move(decoded), id);
      }
    }
    if (const JsonValue* map = schema.Find("patternProperties"); map != nullptr) {
      if (!map->is(JsonValue::kObject)) return Wrong(place, "patternProperties", "an object of schemas");
      for (const auto& [pattern, value] : map->members) {
        ASSIGN_OR_RETURN(NodeId id, Child(place, value, "patternProperties/" + pattern));
        ASSIGN_OR_RETURN(DfaPtr dfa, Pattern(place, "patternProperties/" + pattern, pattern));
        node.pattern_properties.emplace_back(std::move(dfa), id);
      }
    }
    if (const JsonValue* v = schema.Find("additionalProperties"); v != nullptr && !IsTrivial(*v)) {
      ASSIGN_OR_RETURN(node.additional_properties, Child(place, *v, "additionalProperties"));
    }
    if (const JsonValue* v = schema.Find("propertyNames"); v != nullptr && !IsTrivial(*v)) {
      ASSIGN_OR_RETURN(node.property_names, Child(place, *v, "propertyNames"));
    }
    if (const JsonValue* v = schema.Find("required"); v != nullptr) {
      ASSIGN_OR_RETURN(node.required, Names(place, "required", *v));
    }
    RETURN_IF_ERROR(Count(place, "minProperties", node.min_properties));
    return Count(place, "maxProperties", node.max_properties);
  }

  static Result<std::vector<std::u32string>> Names(const SchemaPlace& place, const std::string& keyword,
                                                   const JsonValue& v) {
    if (!v.is(JsonValue::kArray)) return Wrong(place, keyword, "an array of names");
    std::vector<std::u32string> names;
    for (const JsonValue& item : v.items) {
      if (!item.is(JsonValue::kString)) return Wrong(place, keyword, "an array of names");
      ASSIGN_OR_RETURN(std::u32string name, DecodeUtf8(item.text));
      names.push_back(std::move(name));
    }
    return names;
  }

  Status ParseDependencies(const SchemaPlace& place, SchemaNode& node) {
    for (const char* keyword : {"dependentRequired", "dependentSchemas", "dependencies"}) {
      const JsonValue* map = place.value->Find(keyword);
      if (map == nullptr) continue;
      if (!map->is(JsonValue::kObject)) return Wrong(place, keyword, "an object");
      for (const auto& [name, value] : map->members) {
        const std::string token = std::string(keyword) + "/" + name;
        ASSIGN_OR_RETURN(std::u32string decoded, DecodeUtf8(name));
        if (value.is(JsonValue::kArray) && keyword != std::string_view("dependentSchemas")) {
          ASSIGN_OR_RETURN(std::vector<std::u32string> names, Names(place, token, value));
          node.dependent_required.emplace_back(std::move(decoded), std::move(names));
        } else if (value.is(JsonValue::kString) && keyword == std::string_view("dependencies")) {
          ASSIGN_OR_RETURN(std::u32string other, DecodeUtf8(value.text));
          node.dependent_required.emplace_back(std::move(decoded), std::vector<std::u32string>{std::move(other)});
        } else {
          ASSIGN_OR_RETURN(NodeId id, Child(place, value, token));
          node.dependent_schemas.emplace_back(std::move(decoded), id);
        }
      }
    }
    return OkStatus();
  }

  Status ParseApplicators(const SchemaPlace& place, SchemaNode& node) {
    const JsonValue& schema = *place.value;
    for (const char* keyword : {"allOf", "anyOf", "oneOf"}) {
      const JsonValue* list = schema.Find(keyword);
      if (list == nullptr) continue;
      if (!list->is(JsonValue::kArray) || list->items.empty())
        return Wrong(place, keyword, "a non-empty array of schemas");
      std::vector<NodeId> ids;
      for (size_t i = 0; i < list->items.size(); ++i) {
        ASSIGN_OR_RETURN(NodeId id, Child(place, list->items[i], fmt::format("{}/{}", keyword, i)));
        ids.push_back(id);
      }
      if (keyword == std::string_view("allOf")) {
        node.all_of.insert(node.all_of.end(), ids.begin(), ids.end());
      } else {
        (keyword == std::string_view("anyOf") ? node.any_of : node.one_of).push_back(std::move(ids));
      }
    }
    if (const JsonValue* v = schema.Find("not"); v != nullptr) {
      ASSIGN_OR_RETURN(node.not_node, Child(place, *v, "not"));
    }
    const JsonValue *condition = schema.Find("if"), *then = schema.Find("then"), *otherwise = schema.Find("else");
    if (condition == nullptr || (then == nullptr && otherwise == nullptr)) return OkStatus();
    ASSIGN_OR_RETURN(node.if_node, Child(place, *condition, "if"));
    if (then != nullptr) {
      ASSIGN_OR_RETURN(node.then_node, Child(place, *then, "then"));
    }
    if (otherwise != nullptr) {
      ASSIGN_OR_RETURN(node.else_node, Child(place, *otherwise, "else"));
    }
    return OkStatus();
  }

  SchemaDocument& doc_;
  FormatCache& formats_;
  Budget& budget_;
  const int draft_;
  const SchemaScope scope_;
  std::vector<SchemaPlace> places_;  // by node
  std::map<std::string, NodeId> ids_;
  std::map<std::string, DfaPtr> patterns_;
};

}  // namespace

Result<SchemaDocument> ParseSchema(std::string_view text, FormatCache& formats, Budget& budget) {
  SchemaDocument doc;
  budget.Spend(text.size() * 4);
  ASSIGN_OR_RETURN(doc.root, ParseJson(text));
  RETURN_IF_ERROR(SchemaParser(doc, formats, budget).Run());
  return doc;
}

}  // namespace millrace::grammar
