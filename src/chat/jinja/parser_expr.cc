#include <algorithm>

#include "chat/jinja/builtins.h"
#include "chat/jinja/parser.h"
#include "chat/jinja/parser_impl.h"

namespace millrace::jinja {

ExprPtr Parser::Make(ExprKind kind, int line) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  return expr;
}

void Parser::Adopt(Expr& parent, ExprPtr child) {
  if (child != nullptr) parent.height = std::max(parent.height, child->height + 1);
  if (parent.height > kMaxNesting) Fail("an expression is nested deeper than {} levels", kMaxNesting);
  parent.children.push_back(std::move(child));
}

ExprPtr Parser::MakeBinary(char op, ExprPtr left, ExprPtr right, int line) {
  ExprPtr node = Make(ExprKind::kBinary, line);
  node->op = op;
  Adopt(*node, std::move(left));
  Adopt(*node, std::move(right));
  return node;
}

// One expression, or several with commas between them: a tuple. `simple` allows names only, as left of "in" and "=".
ExprPtr Parser::ParseTuple(bool with_condition, bool explicit_parentheses, bool simple, bool with_attributes) {
  const int line = Current().line;
  ExprPtr tuple = Make(ExprKind::kTuple, line);
  bool is_tuple = false;
  while (!failed()) {
    const TokenKind kind = Current().kind;
    if (kind == TokenKind::kVariableEnd || kind == TokenKind::kBlockEnd || AtOperator(")")) break;
    if (is_tuple && (AtName("in") || AtName("recursive") || AtOperator("="))) break;
    Adopt(*tuple, simple ? ParsePrimary(with_attributes) : with_condition ? ParseExpression() : ParseOr());
    if (!SkipOperator(",")) break;
    is_tuple = true;
  }
  if (is_tuple || failed()) return tuple;
  if (!tuple->children.empty()) return std::move(tuple->children[0]);
  if (!explicit_parentheses) Fail("expected an expression");
  return tuple;
}

ExprPtr Parser::ParseExpression() {
  return ParseConditional();
}

ExprPtr Parser::ParseConditional() {
  const NestingGuard guard(*this);
  ExprPtr value = ParseOr();
  while (!failed() && AtName("if")) {
    ExprPtr node = Make(ExprKind::kCond, Current().line);
    Skip();
    Adopt(*node, ParseOr());
    Adopt(*node, std::move(value));
    Adopt(*node, SkipName("else") ? ParseConditional() : nullptr);
    value = std::move(node);
  }
  return value;
}

ExprPtr Parser::ParseOr() {
  ExprPtr left = ParseAnd();
  while (!failed() && AtName("or")) {
    ExprPtr node = Make(ExprKind::kOr, Current().line);
    Skip();
    Adopt(*node, std::move(left));
    Adopt(*node, ParseAnd());
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::ParseAnd() {
  ExprPtr left = ParseNot();
  while (!failed() && AtName("and")) {
    ExprPtr node = Make(ExprKind::kAnd, Current().line);
    Skip();
    Adopt(*node, std::move(left));
    Adopt(*node, ParseNot());
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::ParseNot() {
  if (!AtName("not")) return ParseCompare();
  const NestingGuard guard(*this);
  ExprPtr node = Make(ExprKind::kNot, Current().line);
  Skip();
  Adopt(*node, ParseNot());
  return node;
}

ExprPtr Parser::ParseCompare() {
  ExprPtr first = ParseSum();
  ExprPtr node;
  while (!failed()) {
    static constexpr std::string_view kSpelling[] = {"==", "!=", "<", "<=", ">", ">="};
    int op = -1;
    for (int i = 0; i < 6; ++i) {
      if (AtOperator(kSpelling[i])) op = i;
    }
    const bool not_in = AtName("not") && Ahead().kind == TokenKind::kName && Ahead().text == "in";
    if (op < 0 && AtName("in")) op = static_cast<int>(CompareOp::kIn);
    if (op < 0 && not_in) op = static_cast<int>(CompareOp::kNotIn);
    if (op < 0) break;
    if (node == nullptr) {
      node = Make(ExprKind::kCompare, Current().line);
      Adopt(*node, std::move(first));
    }
    Skip();
    if (not_in) Skip();
    node->ops.push_back(static_cast<CompareOp>(op));
    Adopt(*node, ParseSum());
  }
  return node != nullptr ? std::move(node) : std::move(first);
}

ExprPtr Parser::ParseSum() {
  ExprPtr left = ParseConcat();
  while (!failed() && (AtOperator("+") || AtOperator("-"))) {
    const char op = Current().text[0];
    const int line = Current().line;
    Skip();
    ExprPtr right = ParseConcat();
    left = MakeBinary(op, std::move(left), std::move(right), line);
  }
  return left;
}

ExprPtr Parser::ParseConcat() {
  ExprPtr first = ParseProduct();
  if (!AtOperator("~")) return first;
  ExprPtr node = Make(ExprKind::kConcat, Current().line);
  Adopt(*node, std::move(first));
  while (!failed() && SkipOperator("~")) Adopt(*node, ParseProduct());
  return node;
}

ExprPtr Parser::ParseProduct() {
  ExprPtr left = ParsePower();
  while (!failed() && (AtOperator("*") || AtOperator("/") || AtOperator("//") || AtOperator("%"))) {
    const char op = AtOperator("//") ? 'f' : Current().text[0];
    const int line = Current().line;
    Skip();
    ExprPtr right = ParsePower();
    left = MakeBinary(op, std::move(left), std::move(right), line);
  }
  return left;
}

ExprPtr Parser::ParsePower() {
  ExprPtr left = ParseUnary(true);
  while (!failed() && AtOperator("**")) {
    const int line = Current().line;
    Skip();
    ExprPtr right = ParseUnary(true);
    left = MakeBinary('p', std::move(left), std::move(right), line);
  }
  return left;
}

ExprPtr Parser::ParseUnary(bool with_filter) {
  ExprPtr node;
  if (AtOperator("-") || AtOperator("+")) {
    const NestingGuard guard(*this);
    node = Make(AtOperator("-") ? ExprKind::kNegate : ExprKind::kPlus, Current().line);
    Skip();
    Adopt(*node, ParseUnary(false));
  } else {
    node = ParsePrimary(false);
  }
  node = ParsePostfix(std::move(node));
  return with_filter ? ParseFilters(std::move(node)) : std::move(node);
}

ExprPtr Parser::ParsePrimary(bool with_attributes) {
  const Token& token = Current();
  ExprPtr node = Make(ExprKind::kConst, token.line);
  switch (token.kind) {
    case TokenKind::kName:
      Skip();
      if (token.text == "true" || token.text == "True" || token.text == "false" || token.text == "False") {
        node->value = Value::Bool(token.text == "true" || token.text == "True");
      } else if (token.text == "none" || token.text == "None") {
        node->value = Value::None();
      } else {
        node->kind = ExprKind::kName;
        node->name = Intern(token.text);
        for (MacroDefinition* macro : macros_) {
          if (token.text == "varargs") macro->varargs = node->name;
          if (token.text == "kwargs") macro->kwargs = node->name;
          if (token.text == "caller") macro->caller = node->name;
        }
        if (with_attributes && SkipOperator(".")) {
          node->kind = ExprKind::kAttrTarget;
          node->attribute = ExpectIdentifier()->text;
        }
      }
      return node;
    case TokenKind::kString: {
      std::string text;
      for (; Current().kind == TokenKind::kString; Skip()) text += Current().text;
      node->value = Value::String(std::move(text), false);
      return node;
    }
    case TokenKind::kInteger:
      node->value = Value::Int(token.integer);
      Skip();
      return node;
    case TokenKind::kFloat:
      node->value = Value::Float(token.real);
      Skip();
      return node;
    default:
      break;
  }
  if (SkipOperator("(")) {
    const NestingGuard guard(*this);
    node = ParseTuple(true, true, false, false);
    ExpectOperator(")");
    return node;
  }
  if (AtOperator("[") || AtOperator("{")) return ParseListOrDict();
  Fail("expected an expression, found '{}'", token.text);
  return node;
}

ExprPtr Parser::ParseListOrDict() {
  const NestingGuard guard(*this);
  const bool dict = AtOperator("{");
  const std::string_view close = dict ? "}" : "]";
  ExprPtr node = Make(dict ? ExprKind::kDict : ExprKind::kList, Current().line);
  Skip();
  while (!failed() && !AtOperator(close)) {
    if (!node->children.empty()) ExpectOperator(",");
    if (AtOperator(close)) break;
    Adopt(*node, ParseExpression());
    if (!dict) continue;
    ExpectOperator(":");
    Adopt(*node, ParseExpression());
  }
  ExpectOperator(close);
  return node;
}

ExprPtr Parser::ParsePostfix(ExprPtr node) {
  while (!failed()) {
    if (AtOperator(".") || AtOperator("[")) {
      node = ParseSubscript(std::move(node));
    } else if (AtOperator("(")) {
      node = ParseCall(std::move(node));
    } else {
      break;
    }
  }
  return node;
}

ExprPtr Parser::ParseFilters(ExprPtr node) {
  while (!failed()) {
    if (SkipOperator("|")) {
      node = ParseFilter(std::move(node));
    } else if (AtName("is")) {
      node = ParseTest(std::move(node));
    } else if (AtOperator("(")) {
      node = ParseCall(std::move(node));
    } else {
      break;
    }
  }
  return node;
}

ExprPtr Parser::ParseFilter(ExprPtr input) {
  ExprPtr node = Make(ExprKind::kFilter, Current().line);
  node->attribute = ExpectIdentifier()->text;
  node->builtin = FindFilter(node->attribute->view());
  Adopt(*node, std::move(input));
  if (AtOperator("(")) ParseArguments(*node);
  return node;
}

ExprPtr Parser::ParseTest(ExprPtr input) {
  const int line = Current().line;
  Skip();
  const bool negated = SkipName("not");
  ExprPtr node = Make(ExprKind::kTest, line);
  node->attribute = ExpectIdentifier()->text;
  node->builtin = FindTest(node->attribute->view());
  Adopt(*node, std::move(input));
  const TokenKind kind = Current().kind;
  if (AtOperator("(")) {
    ParseArguments(*node);
  } else if (AtName("is")) {
    Fail("tests can't be chained with 'is'");
  } else if ((kind == TokenKind::kName && !AtName("else") && !AtName("or") && !AtName("and")) ||
             kind == TokenKind::kString || kind == TokenKind::kInteger || kind == TokenKind::kFloat ||
             AtOperator("[") || AtOperator("{")) {
    Adopt(*node, ParsePostfix(ParsePrimary(false)));
  }
  if (!negated) return node;
  ExprPtr negation = Make(ExprKind::kNot, line);
  Adopt(*negation, std::move(node));
  return negation;
}

ExprPtr Parser::ParseSubscript(ExprPtr object) {
  const int line = Current().line;
  if (SkipOperator(".")) {
    if (Current().kind == TokenKind::kInteger) {
      ExprPtr node = Make(ExprKind::kItem, line);
      Adopt(*node, std::move(object));
      Adopt(*node, ParsePrimary(false));
      return node;
    }
    ExprPtr node = Make(ExprKind::kAttribute, line);
    node->attribute = ExpectIdentifier()->text;
    Adopt(*node, std::move(object));
    return node;
  }
  ExpectOperator("[");
  const NestingGuard guard(*this);
  ExprPtr node = Make(ExprKind::kItem, line);
  Adopt(*node, std::move(object));
  ExprPtr first = AtOperator(":") ? nullptr : ParseExpression();
  if (!AtOperator(":")) {
    Adopt(*node, std::move(first));
    ExpectOperator("]");
    return node;
  }
  node->kind = ExprKind::kSlice;
  Adopt(*node, std::move(first));
  Skip();
  Adopt(*node, AtOperator(":") || AtOperator("]") ? nullptr : ParseExpression());
  Adopt(*node, SkipOperator(":") && !AtOperator("]") ? ParseExpression() : nullptr);
  ExpectOperator("]");
  return node;
}

ExprPtr Parser::ParseCall(ExprPtr callee) {
  ExprPtr node = Make(ExprKind::kCall, Current().line);
  Adopt(*node, std::move(callee));
  ParseArguments(*node);
  return node;
}

void Parser::ParseArguments(Expr& call) {
  const NestingGuard guard(*this);
  ExpectOperator("(");
  bool first = true;
  while (!failed() && !AtOperator(")")) {
    if (!std::exchange(first, false)) ExpectOperator(",");
    if (AtOperator(")")) break;
    const bool starred = call.star_args != nullptr || call.star_kwargs != nullptr;
    if (call.star_kwargs != nullptr || (AtOperator("*") && starred)) return Fail("wrong order of call arguments");
    if (SkipOperator("*")) {
      call.star_args = ParseExpression();
    } else if (SkipOperator("**")) {
      call.star_kwargs = ParseExpression();
    } else if (Current().kind == TokenKind::kName && Ahead().kind == TokenKind::kOperator && Ahead().text == "=") {
      std::string name = Current().text;
      Skip();
      Skip();
      call.named.emplace_back(std::move(name), ParseExpression());
      if (failed()) return;
      call.height = std::max(call.height, call.named.back().second->height + 1);
    } else {
      if (starred || !call.named.empty()) return Fail("a positional argument follows a named one");
      Adopt(call, ParseExpression());
    }
  }
  ExpectOperator(")");
}

}  // namespace millrace::jinja
