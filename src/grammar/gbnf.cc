#include <optional>
#include <utility>

#include "grammar/ebnf.h"
#include "grammar/ebnf_scanner.h"

namespace millrace::grammar {
namespace {

class GbnfParser {
 public:
  GbnfParser(std::u32string text, Budget& budget) : scan_(std::move(text)), budget_(budget), table_(rules_) {}

  Result<RuleSet> Run() {
    SkipSpace(true);
    while (!scan_.AtEnd()) {
      const std::string name = scan_.Name();
      if (name.empty()) return scan_.Error("expected the name of a rule");
      SkipSpace(false);
      if (!scan_.Accept(U"::=")) return scan_.Error("expected ::= after the name of a rule");
      SkipSpace(true);
      const uint32_t rule = table_.Index(name);
      ASSIGN_OR_RETURN(ExprId body, Choice(0));
      if (table_.Defined(rule)) return scan_.Error("rule \"" + name + "\" is defined twice");
      table_.Define(rule, body);
      SkipSpace(true);
    }
    RETURN_IF_ERROR(table_.Check("root"));
    return std::move(rules_);
  }

 private:
  void SkipSpace(bool new_lines) {
    while (!scan_.AtEnd()) {
      const char32_t c = scan_.Peek();
      if (c == '#') {
        while (!scan_.AtEnd() && scan_.Peek() != '\n') scan_.Next();
      } else if (c == ' ' || c == '\t' || (new_lines && (c == '\n' || c == '\r'))) {
        scan_.Next();
      } else {
        return;
      }
    }
  }

  Result<ExprId> Choice(int depth) {
    if (depth > kMaxEbnfDepth) return scan_.Error("groups nest too deep");
    std::vector<ExprId> branches;
    do {
      SkipSpace(true);
      ASSIGN_OR_RETURN(ExprId branch, Sequence(depth));
      branches.push_back(branch);
      // An alternative may continue on the next line.
      const size_t here = scan_.position();
      SkipSpace(true);
      if (scan_.Peek() != '|') scan_.Seek(here);
    } while (scan_.Accept(U"|"));
    return rules_.pool.Choice(std::move(branches));
  }

  Result<ExprId> Sequence(int depth) {
    std::vector<ExprId> items;
    while (true) {
      SkipSpace(depth > 0);
      if (!budget_.Charge(sizeof(Expr))) return budget_.Error();
      std::optional<ExprId> item;
      if (scan_.Accept(U"\"")) {
        ASSIGN_OR_RETURN(item, Literal());
      } else if (scan_.Accept(U"[")) {
        ASSIGN_OR_RETURN(item, Class());
      } else if (scan_.Accept(U"(")) {
        ASSIGN_OR_RETURN(item, Choice(depth + 1));
        SkipSpace(true);
        if (!scan_.Accept(U")")) return scan_.Error("expected )");
      } else if (scan_.Accept(U".")) {
        item = rules_.pool.Chars(CharSet::All());
      } else if (EbnfScanner::IsNameChar(scan_.Peek())) {
        const size_t here = scan_.position();
        const std::string name = scan_.Name();
        const size_t after = scan_.position();
        SkipSpace(false);
        if (scan_.Accept(U"::=")) {  // the next rule
          scan_.Seek(here);
          break;
        }
        scan_.Seek(after);
        item = rules_.pool.Rule(table_.Index(name));
      } else {
        break;
      }
      ASSIGN_OR_RETURN(ExprId repeated, Suffixes(*item));
      items.push_back(repeated);
    }
    return rules_.pool.Sequence(std::move(items));
  }

  Result<ExprId> Suffixes(ExprId item) {
    for (int n = 0;; ++n) {
      if (n > 8) return scan_.Error("too many repetition marks in a row");
      if (scan_.Accept(U"*")) {
        item = rules_.pool.Repeat(item, 0, kUnboundedRepeat);
      } else if (scan_.Accept(U"+")) {
        item = rules_.pool.Repeat(item, 1, kUnboundedRepeat);
      } else if (scan_.Accept(U"?")) {
        item = rules_.pool.Repeat(item, 0, 1);
      } else if (scan_.Accept(U"{")) {
        SkipSpace(false);
        const int min = scan_.Number();
        int max = min;
        SkipSpace(false);
        if (scan_.Accept(U",")) {
          SkipSpace(false);
          max = scan_.Number();
          if (max < 0) max = kUnboundedRepeat;
        }
        SkipSpace(false);
        if (!scan_.Accept(U"}") || (min < 0 && max < 0)) return scan_.Error("expected {m}, {m,}, {,n} or {m,n}");
        if (min > kMaxEbnfRepeat || max > kMaxEbnfRepeat || (max != kUnboundedRepeat && max < min)) {
          return scan_.Error("bad bounds of a repetition");
        }
        item = rules_.pool.Repeat(item, std::max(min, 0), max);
      } else {
        return item;
      }
    }
  }

  Result<ExprId> Literal() {
    std::u32string text;
    while (!scan_.Accept(U"\"")) {
      if (scan_.AtEnd()) return scan_.Error("a string without its closing quote");
      char32_t c = scan_.Next();
      if (c == '\\') {
        ASSIGN_OR_RETURN(c, scan_.Escape());
      }
      text += c;
    }
    return rules_.pool.Literal(text);
  }

  Result<ExprId> Class() {
    const bool negated = scan_.Accept(U"^");
    std::vector<CharRange> ranges;
    while (!scan_.Accept(U"]")) {
      ASSIGN_OR_RETURN(const char32_t first, ClassChar());
      char32_t last = first;
      if (scan_.Peek() == '-' && scan_.Peek(1) != ']') {
        scan_.Next();
        ASSIGN_OR_RETURN(last, ClassChar());
      }
      if (last < first) return scan_.Error("a character range out of order");
      ranges.push_back({first, last});
    }
    const CharSet set(std::move(ranges));
    return rules_.pool.Chars(negated ? set.Complement() : set.Intersect(CharSet::All()));
  }

  Result<char32_t> ClassChar() {
    if (scan_.AtEnd()) return scan_.Error("a character class without its ]");
    const char32_t c = scan_.Next();
    if (c != '\\') return c;
    return scan_.Escape();
  }

  EbnfScanner scan_;
  Budget& budget_;
  RuleSet rules_;
  RuleTable table_;
};

}  // namespace

Result<char32_t> EbnfScanner::Escape() {
  if (AtEnd()) return Error("a backslash at the end");
  const char32_t c = Next();
  const int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (digits == 0) return c == 'n' ? U'\n' : c == 'r' ? U'\r' : c == 't' ? U'\t' : c == 'f' ? U'\f' : c;
  uint32_t value = 0;
  for (int i = 0; i < digits; ++i) {
    const char32_t d = AtEnd() ? 0 : Next();
    const char32_t lower = d | 0x20;
    const bool decimal = d >= '0' && d <= '9';
    if (!decimal && !(lower >= 'a' && lower <= 'f')) return Error("a bad hexadecimal escape");
    value = value * 16 + (decimal ? d - '0' : lower - 'a' + 10);
  }
  if (value > kMaxCodePoint) return Error("an escape beyond U+10FFFF");
  return static_cast<char32_t>(value);
}

Result<RuleSet> ParseGbnf(std::string_view grammar, Budget& budget) {
  ASSIGN_OR_RETURN(std::u32string text, DecodeUtf8(grammar));
  return GbnfParser(std::move(text), budget).Run();
}

Result<RuleSet> ParseEbnf(std::string_view grammar, Budget& budget) {
  if (grammar.find("::=") != std::string_view::npos) return ParseGbnf(grammar, budget);
  return ParseLark(grammar, budget);
}

}  // namespace millrace::grammar
