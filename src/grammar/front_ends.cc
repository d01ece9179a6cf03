#include <utility>

#include "grammar/ebnf.h"
#include "grammar/grammar.h"
#include "grammar/regex.h"
#include "grammar/schema_compiler.h"
#include "grammar/sql_grammar.h"
#include "grammar/structural_tag.h"
#include "grammar/structure.h"

namespace millrace::grammar {
namespace {

constexpr size_t kMaxGrammarBytes = size_t{4} << 20;

Status CheckSize(std::string_view what, size_t size) {
  if (size <= kMaxGrammarBytes) return OkStatus();
  return Unsupported("{} of {} bytes, expected at most {}", what, size, kMaxGrammarBytes);
}

Result<uint32_t> AddAutomaton(DfaPtr dfa, ProgramBuilder& builder) {
  if (dfa->empty()) return InvalidArgument("the grammar matches nothing");
  const uint32_t rule = builder.AddRule();
  const uint32_t end = builder.AddState(true);
  if (dfa->accepting[0]) builder.AddEdge(builder.StartOf(rule), EdgeKind::kEpsilon, 0, end);
  builder.AddEdge(builder.StartOf(rule), EdgeKind::kTerminal, builder.AddTerminal({.dfa = std::move(dfa)}), end);
  return rule;
}

Result<GrammarPtr> Finish(uint32_t root, ProgramBuilder& builder, VocabularyPtr vocabulary) {
  if (builder.budget().exceeded()) return builder.budget().Error();
  builder.program().root_rule = root;
  return GrammarPtr(std::make_shared<const CompiledGrammar>(builder.Finish(), std::move(vocabulary)));
}

}  // namespace

Result<uint32_t> AddGrammar(GrammarKind kind, std::string_view text, const GrammarVocabulary& vocabulary,
                            ProgramBuilder& builder) {
  RETURN_IF_ERROR(CheckSize("a grammar", text.size()));
  Budget& budget = builder.budget();
  switch (kind) {
    case GrammarKind::kJsonSchema:
      return AddJsonSchema(text, vocabulary, builder);
    case GrammarKind::kRegex: {
      ASSIGN_OR_RETURN(DfaPtr dfa, CompileRegex(text, RegexMode::kFullMatch, budget));
      return AddAutomaton(std::move(dfa), builder);
    }
    case GrammarKind::kEbnf: {
      ASSIGN_OR_RETURN(RuleSet rules, ParseEbnf(text, budget));
      return AddRuleSet(std::move(rules), builder);
    }
  }
  return Internal("unknown kind of grammar");
}

Result<GrammarPtr> CompileGrammar(GrammarKind kind, std::string_view text, VocabularyPtr vocabulary,
                                  const CompileOptions& options) {
  Budget budget(options.limits);
  ProgramBuilder builder(options.json, budget);
  ASSIGN_OR_RETURN(const uint32_t root, AddGrammar(kind, text, *vocabulary, builder));
  return Finish(root, builder, std::move(vocabulary));
}

Result<GrammarPtr> CompileJsonSchema(std::string_view schema, VocabularyPtr vocabulary, const CompileOptions& options) {
  return CompileGrammar(GrammarKind::kJsonSchema, schema, std::move(vocabulary), options);
}
Result<GrammarPtr> CompileJsonObject(VocabularyPtr vocabulary, const CompileOptions& options) {
  return CompileGrammar(GrammarKind::kJsonSchema, R"({"type":"object"})", std::move(vocabulary), options);
}
Result<GrammarPtr> CompileRegexGrammar(std::string_view pattern, VocabularyPtr vocabulary,
                                       const CompileOptions& options) {
  return CompileGrammar(GrammarKind::kRegex, pattern, std::move(vocabulary), options);
}
Result<GrammarPtr> CompileEbnf(std::string_view grammar, VocabularyPtr vocabulary, const CompileOptions& options) {
  return CompileGrammar(GrammarKind::kEbnf, grammar, std::move(vocabulary), options);
}
Result<GrammarPtr> CompileSql(VocabularyPtr vocabulary, const CompileOptions& options) {
  return CompileGrammar(GrammarKind::kEbnf, SqlGrammar(), std::move(vocabulary), options);
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
  ProgramBuilder builder(options.json, budget);
  ASSIGN_OR_RETURN(const uint32_t root, AddAutomaton(std::move(dfa), builder));
  return Finish(root, builder, std::move(vocabulary));
}

Result<GrammarPtr> CompileStructuralTags(const StructuralTags& tags, VocabularyPtr vocabulary,
                                         const CompileOptions& options) {
  Budget budget(options.limits);
  ProgramBuilder builder(options.json, budget);
  ASSIGN_OR_RETURN(const uint32_t root, AddStructuralTags(tags, *vocabulary, builder));
  return Finish(root, builder, std::move(vocabulary));
}

Result<GrammarPtr> CompileStructure(const Structure& structure, VocabularyPtr vocabulary,
                                    const CompileOptions& options) {
  Budget budget(options.limits);
  ProgramBuilder builder(options.json, budget);
  ASSIGN_OR_RETURN(const uint32_t root, AddStructure(structure, *vocabulary, builder));
  return Finish(root, builder, std::move(vocabulary));
}

}  // namespace millrace::grammar
