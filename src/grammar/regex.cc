#include "grammar/regex.h"

#include "grammar/dfa_builder.h"
#include "grammar/regex_parser.h"

namespace millrace::grammar {
namespace {

Result<DfaPtr> CompileBranch(ExprPool& pool, const RegexBranch& branch, RegexMode mode, Budget& budget) {
  DfaBuildOptions options{.search = mode == RegexMode::kSearch};
  ASSIGN_OR_RETURN(DfaPtr dfa, BuildDfa(pool, branch.body, nullptr, options, budget));
  if (branch.look_aheads.empty()) return dfa;
  if (mode == RegexMode::kSearch && !branch.anchored) {
    return Unsupported("regular expression: a look-ahead without ^ before it is not supported");
  }
  for (const LookAhead& look : branch.look_aheads) {
    // At the start of the text a look-ahead is a condition on the whole text: it begins with a match.
    DfaBuildOptions search{.search = true};
    const ExprId anchored = pool.Sequence({pool.AtStart(), look.body});
    ASSIGN_OR_RETURN(DfaPtr condition, BuildDfa(pool, anchored, nullptr, search, budget));
    ASSIGN_OR_RETURN(dfa,
                     look.negative ? SubtractDfa(*dfa, *condition, budget) : IntersectDfa(*dfa, *condition, budget));
  }
  return dfa;
}

}  // namespace

Result<DfaPtr> CompileRegex(std::string_view pattern, RegexMode mode, Budget& budget) {
  ExprPool pool;
  ASSIGN_OR_RETURN(std::vector<RegexBranch> branches, ParseRegex(pattern, {}, pool));
  bool any_look_ahead = false;
  for (const RegexBranch& branch : branches) any_look_ahead |= !branch.look_aheads.empty();
  if (!any_look_ahead) {
    std::vector<ExprId> bodies;
    for (const RegexBranch& branch : branches) bodies.push_back(branch.body);
    DfaBuildOptions options{.search = mode == RegexMode::kSearch};
    return BuildDfa(pool, pool.Choice(std::move(bodies)), nullptr, options, budget);
  }
  DfaPtr all;
  for (const RegexBranch& branch : branches) {
    ASSIGN_OR_RETURN(DfaPtr dfa, CompileBranch(pool, branch, mode, budget));
    if (all != nullptr) {
      ASSIGN_OR_RETURN(dfa, UnionDfa(*all, *dfa, budget));
    }
    all = dfa;
  }
  return all;
}

}  // namespace millrace::grammar
