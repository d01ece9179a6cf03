#include <utility>

#include "grammar/ebnf.h"
#include "grammar/grammar.h"
#include "grammar/regex.h"

namespace millrace::grammar {
namespace {

constexpr size_t kMaxGrammarBytes = size_t{4} << 20;

Status CheckSize(std::string_view what, size_t size) {
  if (size <= kMaxGrammarBytes) return OkStatus();
  return Unsupported("{} of {} bytes, expected at most {}", what, size, kMaxGrammarBytes);
}

Result<GrammarPtr> FromAutomaton(DfaPtr dfa, VocabularyPtr vocabulary, const CompileOptions& options, Budget& budget) {
  if (dfa->empty()) return InvalidArgument("the grammar matches nothing");
  ProgramBuilder builder(options.json, budget);
  const uint32_t rule = builder.AddRule();
  const uint32_t end = builder.AddState(true);
  if (dfa->accepting[0]) builder.AddEdge(builder.StartOf(rule), EdgeKind::kEpsilon, 0, end);
  builder.AddEdge(builder.StartOf(rule), EdgeKind::kTerminal, builder.AddTerminal({.dfa = std::move(dfa)}), end);
  builder.program().root_rule = rule;
  return GrammarPtr(std::make_shared<const CompiledGrammar>(builder.Finish(), std::move(vocabulary)));
}

}  // namespace

Result<GrammarPtr> CompileRegexGrammar(std::string_view pattern, VocabularyPtr vocabulary,
                                       const CompileOptions& options) {
  RETURN_IF_ERROR(CheckSize("a regular expression", pattern.size()));
  Budget budget(options.limits);
  ASSIGN_OR_RETURN(DfaPtr dfa, CompileRegex(pattern, RegexMode::kFullMatch, budget));
  return FromAutomaton(std::move(dfa), std::move(vocabulary), options, budget);
}

Result<GrammarPtr> CompileChoice(std::span<const std::string> choices, VocabularyPtr vocabulary,
                                 const CompileOptions& options) {
  Budget budget(options.limits);
  if (choices.empty()) return InvalidArgument("a list of choices is empty, expected at least one");
  std::vector<std::u32string> texts;
  size_t total = 0;
  for (const std::string& choice : choices) {
    RETURN_IF_ERROR(CheckSize("a list of choices", total += choice.size()));
    ASSIGN_OR_RETURN(std::u32string text, DecodeUtf8(choice));
    texts.push_back(std::move(text));
  }
  ASSIGN_OR_RETURN(DfaPtr dfa, StringSetDfa(texts, budget));
  return FromAutomaton(std::move(dfa), std::move(vocabulary), options, budget);
}

Result<GrammarPtr> CompileEbnf(std::string_view grammar, VocabularyPtr vocabulary, const CompileOptions& options) {
  RETURN_IF_ERROR(CheckSize("a grammar", grammar.size()));
  Budget budget(options.limits);
  ASSIGN_OR_RETURN(RuleSet rules, ParseEbnf(grammar, budget));
  ProgramBuilder builder(options.json, budget);
  RETURN_IF_ERROR(AddRuleSet(std::move(rules), builder));
  return GrammarPtr(std::make_shared<const CompiledGrammar>(builder.Finish(), std::move(vocabulary)));
}

}  // namespace millrace::grammar
