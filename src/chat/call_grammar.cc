#include "chat/call_grammar.h"

#include <algorithm>
#include <utility>

#include "chat/argument_grammar.h"
#include "chat/call_readers.h"
#include "chat/grammar_words.h"

namespace millrace {
namespace {

using namespace grammar_words;
using Kind = ToolFormat::Kind;

Structure LineBreak() {
  return Optional(Text("\n"));
}

// `item`, or one or more of them with `separator` between.
Structure List(Structure item, Structure separator, bool parallel) {
  if (!parallel) return item;
  Structure more = Many(Sequence({std::move(separator), item}));
  return Sequence({std::move(item), std::move(more)});
}

class CallBuilder {
 public:
  CallBuilder(const ToolFormat& format, const std::vector<CallableFunction>& functions,
              const CallGrammarOptions& options)
      : format_(format), functions_(functions), options_(options) {}

  Result<Structure> Run() {
    switch (format_.kind) {
      case Kind::kJson:
        return JsonCalls();
      case Kind::kNamed:
        return NamedCalls();
      case Kind::kXml:
        return XmlCalls();
      case Kind::kPythonic:
        return PythonicCalls();
      case Kind::kHarmony:
        return HarmonyCall();
      case Kind::kNone:
        break;
    }
    return Internal("a model without calls was asked for their grammar");
  }

 private:
  // A choice of functions, each made by `make`.
  template <typename Make>
  Result<Structure> AnyFunction(Make make) const {
    std::vector<Structure> choices;
    for (const CallableFunction& function : functions_) {
      ASSIGN_OR_RETURN(Structure one, make(function));
      choices.push_back(std::move(one));
    }
    return Choice(std::move(choices));
  }

  // The text that opens the calls, or nothing when it has been read.
  Structure Begin(const std::string& text) const {
    return options_.after_begin && &text == &CallTrigger(format_) ? Sequence({}) : Text(text);
  }

  Result<Structure> JsonCalls() const {
    ASSIGN_OR_RETURN(
        Structure functions, AnyFunction([&](const CallableFunction& f) -> Result<Structure> {
          return Sequence({Text(f.name + "\", \"" + format_.arguments_key + "\": "), JsonArguments(f), Text("}")});
        }));
    Structure call = Sequence({Text("{\"" + format_.name_key + "\": \""), std::move(functions)});
    if (format_.call_begin.empty()) return List(std::move(call), Text("; "), options_.parallel);
    if (format_.in_array) {
      return Sequence({Begin(format_.call_begin), LineBreak(), Text("["),
                       List(std::move(call), Text(", "), options_.parallel), Text("]"),
                       format_.call_end.empty() ? Sequence({}) : LineBreak(), Text(format_.call_end)});
    }
    return Blocks(Sequence({LineBreak(), std::move(call), format_.call_end.empty() ? Sequence({}) : LineBreak()}));
  }

  // Calls in call_begin and call_end, without a section around them.
  Structure Blocks(Structure inside) const {
    Structure more = Sequence({format_.call_end.empty() ? Sequence({}) : LineBreak(), Text(format_.call_begin), inside,
                               Text(format_.call_end)});
    const bool open = format_.starts_in_call || options_.after_begin;
    Structure first =
        Sequence({open ? Sequence({}) : Text(format_.call_begin), std::move(inside), Text(format_.call_end)});
    return options_.parallel ? Sequence({std::move(first), Many(std::move(more))}) : first;
  }

  // Calls in call_begin and call_end inside a section, which may come again when `sections`.
  Structure Section(Structure inside, bool sections) const {
    Structure call = Sequence({Text(format_.call_begin), std::move(inside), Text(format_.call_end)});
    Structure rest = Sequence(
        {LineBreak(), List(std::move(call), LineBreak(), options_.parallel), LineBreak(), Text(format_.section_end)});
    Structure first = Sequence({Begin(format_.section_begin), rest});
    if (!sections || !options_.parallel) return first;
    return Sequence({std::move(first), Many(Sequence({LineBreak(), Text(format_.section_begin), std::move(rest)}))});
  }

  Result<Structure> NamedCalls() const {
    // Kimi numbers its calls, Mistral may give them ids.
    Structure number = format_.name_prefix.empty() ? Sequence({}) : InGrammar(GrammarKind::kRegex, ":[0-9]{1,3}");
    Structure id = format_.id_begin.empty()
                       ? Sequence({})
                       : Optional(Sequence({Text(format_.id_begin), InGrammar(GrammarKind::kRegex, "[a-zA-Z0-9]{9}")}));
    ASSIGN_OR_RETURN(Structure inside, AnyFunction([&](const CallableFunction& f) -> Result<Structure> {
                       return Sequence({Text(f.name), number, id, Text(format_.args_begin), JsonArguments(f)});
                     }));
    inside =
        Sequence({Text(format_.name_prefix), std::move(inside), format_.call_end.empty() ? Sequence({}) : LineBreak()});
    return format_.section_begin.empty() ? Blocks(std::move(inside)) : Section(std::move(inside), false);
  }

  Result<Structure> XmlCalls() const {
    ASSIGN_OR_RETURN(Structure inside, AnyFunction([&](const CallableFunction& f) -> Result<Structure> {
                       ASSIGN_OR_RETURN(Structure arguments, XmlArguments(format_, f));
                       return Sequence({Text(f.name + format_.name_end), LineBreak(), std::move(arguments)});
                     }));
    return format_.section_begin.empty() ? Blocks(std::move(inside)) : Section(std::move(inside), true);
  }

  Result<Structure> PythonicCalls() const {
    ASSIGN_OR_RETURN(Structure call, AnyFunction([&](const CallableFunction& f) -> Result<Structure> {
                       ASSIGN_OR_RETURN(Structure arguments, PythonicArguments(f));
                       return Sequence({Text(f.name + "("), std::move(arguments), Text(")")});
                     }));
    Structure list = Sequence({Text("["), List(std::move(call), Text(", "), options_.parallel), Text("]")});
    if (format_.call_begin.empty()) return list;
    return Sequence({Begin(format_.call_begin), std::move(list), Text(format_.call_end)});
  }

  // <|call|> ends the turn, so there is one call. The recipient stands in the channel's header, or before it.
  Result<Structure> HarmonyCall() const {
    const Structure json = Optional(Choice({Text(" <|constrain|>json"), Text(" json")}));
    return AnyFunction([&](const CallableFunction& f) -> Result<Structure> {
      const std::string to = " to=" + format_.name_prefix + f.name;
      Structure header = Choice({Text("<|channel|>commentary" + to), Text(to + "<|channel|>commentary")});
      return Sequence({std::move(header), json, Text("<|message|>"), JsonArguments(f)});
    });
  }

  const ToolFormat& format_;
  const std::vector<CallableFunction>& functions_;
  const CallGrammarOptions& options_;
};

}  // namespace

const std::string& CallTrigger(const ToolFormat& format) {
  const bool bare = (format.kind == Kind::kJson || format.kind == Kind::kPythonic);
  return bare || format.section_begin.empty() ? format.call_begin : format.section_begin;
}

Json ClosedParameters(const Json& parameters) {
  Json schema = parameters.is_object() ? parameters : Json({{"properties", Json::object()}});
  if (!schema.contains("type")) schema["type"] = "object";
  for (const char* key : {"additionalProperties", "patternProperties", "unevaluatedProperties", "allOf", "anyOf",
                          "oneOf", "if", "$ref", "dependentSchemas", "minProperties"}) {
    if (schema.contains(key)) return schema;
  }
  if (schema.contains("properties")) schema["additionalProperties"] = false;
  return schema;
}

Result<Structure> CallStructure(const ToolFormat& format, const std::vector<CallableFunction>& functions,
                                const CallGrammarOptions& options) {
  return CallBuilder(format, functions, options).Run();
}

}  // namespace millrace
