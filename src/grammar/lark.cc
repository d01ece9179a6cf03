#include <optional>
#include <utility>

#include "grammar/dfa_builder.h"
#include "grammar/ebnf.h"
#include "grammar/ebnf_scanner.h"
#include "grammar/regex_parser.h"

namespace millrace::grammar {
namespace {

bool IsTerminalName(std::string_view name) {
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') return true;
    if (c >= 'a' && c <= 'z') return false;
  }
  return false;
}

// The terminals of Lark's common.lark, as regular expressions.
std::optional<std::string_view> CommonTerminal(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kCommon[] = {
      {"DIGIT", "[0-9]"},
      {"HEXDIGIT", "[a-fA-F0-9]"},
      {"INT", "[0-9]+"},
      {"SIGNED_INT", "[+-]?[0-9]+"},
      {"DECIMAL", "([0-9]+\\.[0-9]*|\\.[0-9]+)"},
      {"FLOAT", "([0-9]+[eE][+-]?[0-9]+|([0-9]+\\.[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?)"},
      {"SIGNED_FLOAT", "[+-]?([0-9]+[eE][+-]?[0-9]+|([0-9]+\\.[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?)"},
      {"NUMBER", "([0-9]+([eE][+-]?[0-9]+)?|([0-9]+\\.[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?)"},
      {"SIGNED_NUMBER", "[+-]?([0-9]+([eE][+-]?[0-9]+)?|([0-9]+\\.[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?)"},
      {"ESCAPED_STRING", "\"([^\"\\\\\\n]|\\\\[^\\n])*\""},
      {"LCASE_LETTER", "[a-z]"},
      {"UCASE_LETTER", "[A-Z]"},
      {"LETTER", "[a-zA-Z]"},
      {"WORD", "[a-zA-Z]+"},
      {"CNAME", "[a-zA-Z_][a-zA-Z0-9_]*"},
      {"WS_INLINE", "[ \\t]+"},
      {"WS", "[ \\t\\f\\r\\n]+"},
      {"CR", "\\r"},
      {"LF", "\\n"},
      {"NEWLINE", "(\\r?\\n)+"},
      {"SH_COMMENT", "#[^\\n]*"},
      {"CPP_COMMENT", "//[^\\n]*"},
      {"SQL_COMMENT", "--[^\\n]*"}};
  for (const auto& [key, regex] : kCommon) {
    if (key == name) return regex;
  }
  return std::nullopt;
}

class LarkParser {
 public:
  LarkParser(std::u32string text, Budget& budget) : scan_(std::move(text)), budget_(budget), table_(rules_) {}

  Result<RuleSet> Run() {
    ignored_ = rules_.pool.Rule(table_.Index(" ignored"));  // no name can clash: it has a space
    while (true) {
      SkipSpace(true);
      if (scan_.AtEnd()) break;
      RETURN_IF_ERROR(scan_.Accept(U"%") ? Directive() : Definition());
    }
    table_.Define(table_.Index(" ignored"), rules_.pool.Repeat(rules_.pool.Choice(ignore_), 0, kUnboundedRepeat));
    const uint32_t root = table_.Index(" root");
    if (!table_.Contains("start")) return InvalidArgument("grammar: expected a rule called \"start\"");
    table_.Define(root, rules_.pool.Sequence({rules_.pool.Rule(table_.Index("start")), ignored_}));
    RETURN_IF_ERROR(table_.Check(" root"));
    return std::move(rules_);
  }

 private:
  void SkipSpace(bool new_lines) {
    while (!scan_.AtEnd()) {
      const char32_t c = scan_.Peek();
      if (c == '#' || (c == '/' && scan_.Peek(1) == '/')) {
        while (!scan_.AtEnd() && scan_.Peek() != '\n') scan_.Next();
      } else if (c == ' ' || c == '\t' || (new_lines && (c == '\n' || c == '\r'))) {
        scan_.Next();
      } else {
        return;
      }
    }
  }

  Status Directive() {
    const std::string name = scan_.Name();
    SkipSpace(false);
    if (name == "ignore") {
      in_terminal_ = true;
      ASSIGN_OR_RETURN(ExprId body, Choice(0));
      ignore_.push_back(body);
      return OkStatus();
    }
    if (name != "import") return Unsupported("grammar: the directive %{} is not supported", name);
    if (!scan_.Accept(U"common.")) return Unsupported("grammar: only %import common.NAME is supported");
    if (scan_.Accept(U"(")) return scan_.Error("expected a name after %import common.");
    const std::string terminal = scan_.Name();
    SkipSpace(false);
    std::string alias = terminal;
    if (scan_.Accept(U"->")) {
      SkipSpace(false);
      alias = scan_.Name();
    }
    return Import(terminal, alias);
  }

  Status Import(const std::string& terminal, const std::string& alias) {
    const auto regex = CommonTerminal(terminal);
    if (!regex) return Unsupported("grammar: %import common.{} is not known", terminal);
    ASSIGN_OR_RETURN(ExprId body, Regex(*regex, {}));
    table_.Define(table_.Index(alias), body);
    return OkStatus();
  }

  Status Definition() {
    if (!scan_.Accept(U"?")) scan_.Accept(U"!");
    scan_.Accept(U"?");
    const std::string name = scan_.Name();
    if (name.empty()) return scan_.Error("expected the name of a rule");
    if (scan_.Peek() == '{') return Unsupported("grammar: rule templates ({}{{...}}) are not supported", name);
    if (scan_.Accept(U".")) {
      scan_.Accept(U"-");
      if (scan_.Number() < 0) return scan_.Error("expected a priority");
    }
    SkipSpace(false);
    if (!scan_.Accept(U":")) return scan_.Error("expected : after the name of a rule");
    in_terminal_ = IsTerminalName(name);
    const uint32_t rule = table_.Index(name);
    ASSIGN_OR_RETURN(ExprId body, Choice(0));
    if (table_.Defined(rule)) return scan_.Error("rule \"" + name + "\" is defined twice");
    table_.Define(rule, body);
    return OkStatus();
  }

  Result<ExprId> Choice(int depth) {
    if (depth > kMaxEbnfDepth) return scan_.Error("groups nest too deep");
    std::vector<ExprId> branches;
    do {
      SkipSpace(true);
      ASSIGN_OR_RETURN(ExprId branch, Sequence(depth));
      branches.push_back(branch);
      SkipSpace(false);
      if (scan_.Accept(U"->")) {
        SkipSpace(false);
        scan_.Name();
      }
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
      ASSIGN_OR_RETURN(std::optional<ExprId> item, Atom(depth));
      if (!item) break;
      ASSIGN_OR_RETURN(ExprId repeated, Suffix(*item));
      items.push_back(repeated);
    }
    return rules_.pool.Sequence(std::move(items));
  }

  Result<std::optional<ExprId>> Atom(int depth) {
    std::optional<ExprId> item;
    if (scan_.Accept(U"(") || scan_.Peek() == '[') {
      const bool optional = scan_.Accept(U"[");
      ASSIGN_OR_RETURN(item, Choice(depth + 1));
      SkipSpace(true);
      if (!scan_.Accept(optional ? U"]" : U")")) return scan_.Error("expected a closing bracket");
      if (optional) item = rules_.pool.Repeat(*item, 0, 1);
      return item;
    }
    if (scan_.Accept(U"\"")) {
      ASSIGN_OR_RETURN(item, String());
      return std::optional<ExprId>(Spaced(*item));
    }
    if (scan_.Accept(U"/")) {
      ASSIGN_OR_RETURN(item, SlashRegex());
      return std::optional<ExprId>(Spaced(*item));
    }
    if (!EbnfScanner::IsNameChar(scan_.Peek()) || scan_.Peek() == '-') return item;
    const std::string name = scan_.Name();
    item = rules_.pool.Rule(table_.Index(name));
    return std::optional<ExprId>(IsTerminalName(name) ? Spaced(*item) : *item);
  }

  // Inside rules, ignored text may come before every terminal.
  ExprId Spaced(ExprId terminal) { return in_terminal_ ? terminal : rules_.pool.Sequence({ignored_, terminal}); }

  Result<ExprId> Suffix(ExprId item) {
    if (scan_.Accept(U"*")) return rules_.pool.Repeat(item, 0, kUnboundedRepeat);
    if (scan_.Accept(U"+")) return rules_.pool.Repeat(item, 1, kUnboundedRepeat);
    if (scan_.Accept(U"?")) return rules_.pool.Repeat(item, 0, 1);
    const size_t here = scan_.position();
    SkipSpace(false);
    if (!scan_.Accept(U"~")) {
      scan_.Seek(here);
      return item;
    }
    SkipSpace(false);
    const int min = scan_.Number();
    int max = min;
    if (scan_.Accept(U"..")) max = scan_.Number();
    if (min < 0 || max < min || max > kMaxEbnfRepeat) return scan_.Error("bad bounds after ~");
    return rules_.pool.Repeat(item, min, max);
  }

  // After the opening quote: a literal, or the first half of a range.
  Result<ExprId> String() {
    ASSIGN_OR_RETURN(std::u32string text, QuotedText());
    if (scan_.Accept(U"..")) {
      if (!scan_.Accept(U"\"")) return scan_.Error("expected a second character after ..");
      ASSIGN_OR_RETURN(std::u32string last, QuotedText());
      if (text.size() != 1 || last.size() != 1 || last[0] < text[0]) return scan_.Error("a bad character range");
      return rules_.pool.Chars(CharSet({{text[0], last[0]}}));
    }
    if (!scan_.Accept(U"i")) return rules_.pool.Literal(text);
    std::vector<ExprId> letters;
    for (char32_t c : text) letters.push_back(rules_.pool.Chars(CharSet::Of(c).WithAsciiCaseFolded()));
    return rules_.pool.Sequence(std::move(letters));
  }

  Result<std::u32string> QuotedText() {
    std::u32string text;
    while (!scan_.Accept(U"\"")) {
      if (scan_.AtEnd()) return scan_.Error("a string without its closing quote");
      char32_t c = scan_.Next();
      if (c == '\\') {
        ASSIGN_OR_RETURN(c, scan_.Escape());
      }
      text += c;
    }
    return text;
  }

  Result<ExprId> SlashRegex() {
    std::string pattern;
    bool in_class = false;
    while (in_class || scan_.Peek() != '/') {
      if (scan_.AtEnd() || scan_.Peek() == '\n') return scan_.Error("a regular expression without its closing /");
      char32_t c = scan_.Next();
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      AppendUtf8(c, pattern);
      if (c == '\\' && !scan_.AtEnd()) AppendUtf8(scan_.Next(), pattern);
    }
    scan_.Next();
    RegexOptions options;
    for (; scan_.Peek() >= 'a' && scan_.Peek() <= 'z'; scan_.Next()) {
      if (scan_.Peek() == 'i') options.ignore_case = true;
      if (scan_.Peek() == 's') options.dot_all = true;
      if (scan_.Peek() == 'x') return Unsupported("grammar: the flag x of a regular expression is not supported");
    }
    return Regex(pattern, options);
  }

  Result<ExprId> Regex(std::string_view pattern, const RegexOptions& options) {
    const size_t first = rules_.pool.size();
    ASSIGN_OR_RETURN(std::vector<RegexBranch> branches, ParseRegex(pattern, options, rules_.pool));
    std::vector<ExprId> bodies;
    for (const RegexBranch& branch : branches) {
      if (!branch.look_aheads.empty()) return Unsupported("grammar: look-ahead in a terminal is not supported");
      bodies.push_back(branch.body);
    }
    const ExprId regex = rules_.pool.Choice(std::move(bodies));
    for (size_t id = first; id < rules_.pool.size(); ++id) {
      const ExprKind kind = rules_.pool[static_cast<ExprId>(id)].kind;
      if (kind == ExprKind::kAtStart || kind == ExprKind::kAtEnd) return Anchored(regex);
    }
    return regex;
  }

  // Anchors mean the ends of the terminal, not those of the text around it.
  Result<ExprId> Anchored(ExprId regex) {
    ASSIGN_OR_RETURN(DfaPtr dfa, BuildDfa(rules_.pool, regex, nullptr, {}, budget_));
    return rules_.pool.Automaton(std::move(dfa));
  }

  EbnfScanner scan_;
  Budget& budget_;
  RuleSet rules_;
  RuleTable table_;
  ExprId ignored_ = 0;
  std::vector<ExprId> ignore_;
  bool in_terminal_ = false;
};

}  // namespace

Result<RuleSet> ParseLark(std::string_view grammar, Budget& budget) {
  ASSIGN_OR_RETURN(std::u32string text, DecodeUtf8(grammar));
  return LarkParser(std::move(text), budget).Run();
}

}  // namespace millrace::grammar
