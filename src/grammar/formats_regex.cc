// The format "regex": expressions that ECMA-262 (with and without the flag u) and most other libraries read alike, with
// groups up to kMaxGroups deep. Left out, though valid: back-references, look-behind, look-ahead inside groups, named
// groups, properties, ranges that begin with other characters than those of kRangeStarts (an automaton remembers each).
#include <string>
#include <string_view>
#include <utility>

#include "grammar/dfa_builder.h"
#include "grammar/formats.h"
#include "grammar/regex.h"

namespace millrace::grammar {
namespace {

constexpr int kMaxGroups = 3;
constexpr char kRangeStarts[] = " !01aA";

constexpr char kLiteral[] = "[^\\\\^$.*+?()\\[\\]{}|]";
constexpr char kEscape[] = "\\\\([dDwWsStnrfv^$\\\\.*+?()\\[\\]{}|/]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})";

// Between brackets: characters that mean nothing of their own there, escapes, and ranges whose ends are in order.
std::string ClassItems() {
  std::string out = std::string("([^\\\\\\[\\]^-]|\\\\-|") + kEscape;
  for (const char* first = kRangeStarts; *first != '\0'; ++first) {
    std::string last;
    for (char c = *first; c <= '~'; ++c) {
      if (std::string_view("\\[]^-").find(c) == std::string_view::npos)
        last += fmt::format("\\x{:02x}", static_cast<int>(c));
    }
    out += fmt::format("|{}-[{}]", *first, last);
  }
  return out + ")";
}

std::string Quantifier() {
  std::string out = "([*+?]|\\{(0|[1-9]\\d{0,2}),?\\}|\\{[1-9]\\d,[1-9]\\d{2}\\}";
  for (char n = '0'; n <= '9'; ++n) out += fmt::format("|\\{{{},([{}-9]|[1-9]\\d{{1,2}})\\}}", n, n);
  return out + ")\\??";
}

}  // namespace

Result<DfaPtr> RegexFormat(Budget& budget) {
  auto compile = [&](const std::string& regex) { return CompileRegex(regex, RegexMode::kFullMatch, budget); };
  ASSIGN_OR_RETURN(DfaPtr simple,
                   compile(std::string("\\.|") + kLiteral + "|" + kEscape + "|\\[\\^?" + ClassItems() + "+-?\\]"));
  ASSIGN_OR_RETURN(DfaPtr assertion, compile("\\^|\\$|\\\\[bB]"));
  ASSIGN_OR_RETURN(DfaPtr quantifier, compile(Quantifier()));
  ASSIGN_OR_RETURN(DfaPtr open, compile("\\((\\?:)?"));
  ASSIGN_OR_RETURN(DfaPtr look, compile("\\(\\?[=!]"));
  DfaPtr inner;
  for (int depth = 0; depth <= kMaxGroups; ++depth) {
    ExprPool pool;
    const ExprId close = pool.Chars(CharSet::Of(')'));
    ExprId atom = pool.Automaton(simple), zero_width = pool.Automaton(assertion);
    if (inner != nullptr)
      atom = pool.Choice({atom, pool.Sequence({pool.Automaton(open), pool.Automaton(inner), close})});
    if (depth == kMaxGroups) {
      zero_width = pool.Choice({zero_width, pool.Sequence({pool.Automaton(look), pool.Automaton(inner), close})});
    }
    const ExprId term = pool.Choice({zero_width, pool.Sequence({atom, pool.Repeat(pool.Automaton(quantifier), 0, 1)})});
    const ExprId all = pool.Repeat(pool.Choice({term, pool.Chars(CharSet::Of('|'))}), 0, kUnboundedRepeat);
    ASSIGN_OR_RETURN(inner, BuildDfa(pool, all, nullptr, {}, budget));
  }
  return inner;
}

}  // namespace millrace::grammar
