#include <iostream>

#include "base/file.h"
#include "commands.h"
#include "engine/open.h"
#include "grammar/grammar_tool.h"

namespace millrace {
namespace {

constexpr size_t kMaxGrammarBytes = size_t{4} << 20;
constexpr size_t kMaxInstanceBytes = size_t{32} << 20;

struct GrammarOptions {
  std::string tokenizer, json_schema_file, regex, ebnf_file, accept_file;
  int samples = 0;
  uint64_t seed = 0;
};

Result<int> RunGrammar(const GrammarOptions& options) {
  grammar::GrammarToolOptions tool;
  if (!options.json_schema_file.empty()) {
    tool.kind = grammar::GrammarKind::kJsonSchema;
    ASSIGN_OR_RETURN(tool.grammar, ReadFile(options.json_schema_file, kMaxGrammarBytes));
  } else if (!options.ebnf_file.empty()) {
    tool.kind = grammar::GrammarKind::kEbnf;
    ASSIGN_OR_RETURN(tool.grammar, ReadFile(options.ebnf_file, kMaxGrammarBytes));
  } else {
    tool.kind = grammar::GrammarKind::kRegex;
    tool.grammar = options.regex;
  }
  if (!options.accept_file.empty()) {
    ASSIGN_OR_RETURN(std::string text, ReadFile(options.accept_file, kMaxInstanceBytes));
    tool.accept.push_back(std::move(text));
  }
  tool.samples = options.samples;
  tool.seed = options.seed;
  ASSIGN_OR_RETURN(const std::string path, ResolveModel(options.tokenizer));
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, OpenTokenizer(path));
  return grammar::RunGrammarTool(tool, std::make_shared<const grammar::GrammarVocabulary>(*tokenizer), std::cout,
                                 std::cerr);
}

}  // namespace

void AddGrammarCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<GrammarOptions>();
  CLI::App* command = app.add_subcommand(
      "grammar",
      "Check texts against a grammar (exit status 0 accepted, 1 rejected, 3 grammar refused), or sample from it");
  command->add_option("--tokenizer", options->tokenizer, "a model or a tokenizer file")->required();
  CLI::Option_group* kind = command->add_option_group("grammar");
  kind->add_option("--json-schema", options->json_schema_file, "a JSON Schema file");
  kind->add_option("--regex", options->regex, "a regular expression, matched in full");
  kind->add_option("--ebnf", options->ebnf_file, "a GBNF or Lark file");
  kind->require_option(1);
  command->add_option("--accept", options->accept_file, "the text to check, without a newline at its end");
  command->add_option("--sample", options->samples, "texts to sample")->check(CLI::Range(1, 100000));
  command->add_option("--seed", options->seed)->capture_default_str();
  command->callback([=] {
    const Result<int> status = RunGrammar(*options);
    *exit_code = status.ok() ? *status : ReportStatus(status.status());
  });
}

}  // namespace millrace
