#include "chat/jinja/parser.h"

#include <algorithm>

#include "chat/jinja/builtins.h"
#include "chat/jinja/lexer.h"
#include "chat/jinja/parser_impl.h"

namespace millrace::jinja {
namespace {

std::string Describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "text";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kBlockEnd:
      return "'%}'";
    case TokenKind::kVariableBegin:
      return "'{{'";
    case TokenKind::kVariableEnd:
      return "'}}'";
    case TokenKind::kString:
      return "a string";
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return "a number";
    case TokenKind::kEnd:
      return "the end of the template";
    default:
      return fmt::format("'{}'", token.text);
  }
}

bool Assignable(const Expr& expr) {
  if (expr.kind == ExprKind::kName || expr.kind == ExprKind::kAttrTarget) return true;
  return expr.kind == ExprKind::kTuple && std::all_of(expr.children.begin(), expr.children.end(),
                                                      [](const ExprPtr& child) { return Assignable(*child); });
}

}  // namespace

NestingGuard::NestingGuard(Parser& parser) : parser_(parser) {
  if (++parser_.depth_ > kMaxNesting) parser_.Fail("nesting is deeper than {} levels", kMaxNesting);
}

NestingGuard::~NestingGuard() {
  --parser_.depth_;
}

Result<std::unique_ptr<const Tree>> Parse(std::string_view source) {
  auto tokens = Tokenize(source);
  if (!tokens.ok()) return tokens.status();
  return Parser(std::move(tokens).value()).Run();
}

Result<std::unique_ptr<const Tree>> Parser::Run() {
  Body body = ParseBody({});
  if (failed()) return status_;
  tree_->body = std::move(body);
  return std::unique_ptr<const Tree>(std::move(tree_));
}

bool Parser::AtOperator(std::string_view op) const {
  return Current().kind == TokenKind::kOperator && Current().text == op;
}

bool Parser::AtName(std::string_view name) const {
  return Current().kind == TokenKind::kName && Current().text == name;
}

bool Parser::SkipOperator(std::string_view op) {
  if (!AtOperator(op)) return false;
  Skip();
  return true;
}

bool Parser::SkipName(std::string_view name) {
  if (!AtName(name)) return false;
  Skip();
  return true;
}

void Parser::ExpectOperator(std::string_view op) {
  if (!SkipOperator(op)) Fail("expected '{}', found {}", op, Describe(Current()));
}

void Parser::ExpectName(std::string_view name) {
  if (!SkipName(name)) Fail("expected '{}', found {}", name, Describe(Current()));
}

void Parser::Expect(TokenKind kind, std::string_view what) {
  if (Current().kind != kind) {
    Fail("expected {}, found {}", what, Describe(Current()));
    return;
  }
  Skip();
}

const Name* Parser::ExpectIdentifier() {
  if (Current().kind != TokenKind::kName) {
    Fail("expected a name, found {}", Describe(Current()));
    return Intern("");
  }
  const Name* name = Intern(Current().text);
  Skip();
  return name;
}

void Parser::FailAt(int line, std::string message) {
  if (status_.ok()) status_ = InvalidArgument("chat template line {}: {}", line, message);
  pos_ = tokens_.size() - 1;
}

const Name* Parser::Intern(std::string_view name) {
  if (const Name* known = tree_->Find(name)) return known;
  auto text = std::make_shared<const Text>(std::string(name), false);
  tree_->names.push_back({text, FindGlobal(name)});
  tree_->interned.emplace(text->view(), &tree_->names.back());
  return &tree_->names.back();
}

Body Parser::ParseBody(std::initializer_list<std::string_view> end_tags) {
  const NestingGuard guard(*this);
  Body body;
  while (!failed() && Current().kind != TokenKind::kEnd) {
    if (Current().kind == TokenKind::kData) {
      auto data = MakeStmt(StmtKind::kData);
      data->expr = Make(ExprKind::kConst, Current().line);
      data->expr->value = Value::String(Current().text, false);
      body.push_back(std::move(data));
      Skip();
    } else if (Current().kind == TokenKind::kVariableBegin) {
      Skip();
      auto print = MakeStmt(StmtKind::kPrint);
      print->expr = ParseTuple(true, false, false, false);
      Expect(TokenKind::kVariableEnd, "'}}'");
      body.push_back(std::move(print));
    } else {
      Expect(TokenKind::kBlockBegin, "'{%'");
      for (const std::string_view tag : end_tags) {
        if (AtName(tag)) return body;
      }
      ParseStatement(body);
      Expect(TokenKind::kBlockEnd, "'%}'");
    }
  }
  if (!failed() && end_tags.size() > 0) Fail("unexpected end of template, expected '{}'", *(end_tags.end() - 1));
  return body;
}

Body Parser::ParseBlockBody(std::initializer_list<std::string_view> end_tags) {
  SkipOperator(":");
  Expect(TokenKind::kBlockEnd, "'%}'");
  return ParseBody(end_tags);
}

std::unique_ptr<Stmt> Parser::MakeStmt(StmtKind kind) const {
  auto stmt = std::make_unique<Stmt>();
  stmt->kind = kind;
  stmt->line = Current().line;
  return stmt;
}

void Parser::ParseStatement(Body& body) {
  if (Current().kind != TokenKind::kName) return Fail("expected a tag name, found {}", Describe(Current()));
  if (AtName("for")) return ParseFor(body);
  if (AtName("if")) return ParseIf(body);
  if (AtName("set")) return ParseSet(body);
  if (AtName("macro")) return ParseMacro(body);
  if (AtName("call")) return ParseCallBlock(body);
  if (AtName("with")) return ParseWith(body);
  if (AtName("print")) return ParsePrint(body);
  if (AtName("generation")) return ParseScoped(body, "endgeneration", false);
  if (AtName("block")) return ParseScoped(body, "endblock", true);
  if (AtName("break")) return ParseLoopControl(body, StmtKind::kBreak);
  if (AtName("continue")) return ParseLoopControl(body, StmtKind::kContinue);
  if (AtName("filter")) {
    auto stmt = MakeStmt(StmtKind::kFilter);
    Skip();
    stmt->filter = ParseFilter(nullptr);
    while (SkipOperator("|")) stmt->filter = ParseFilter(std::move(stmt->filter));
    stmt->body = ParseBlockBody({"endfilter"});
    Skip();
    body.push_back(std::move(stmt));
    return;
  }
  Fail("unknown tag '{}'", Current().text);
}

void Parser::ParseFor(Body& body) {
  auto stmt = MakeStmt(StmtKind::kFor);
  Skip();
  stmt->loop = Intern("loop");
  stmt->target = ParseTarget(false);
  ExpectName("in");
  stmt->expr = ParseTuple(false, false, false, false);
  if (SkipName("if")) stmt->test = ParseExpression();
  stmt->recursive = SkipName("recursive");
  ++loops_;
  stmt->body = ParseBlockBody({"else", "endfor"});
  --loops_;
  if (SkipName("else")) {
    stmt->else_body = ParseBlockBody({"endfor"});
  }
  SkipName("endfor");
  body.push_back(std::move(stmt));
}

void Parser::ParseIf(Body& body) {
  auto stmt = MakeStmt(StmtKind::kIf);
  Skip();
  do {
    ExprPtr condition = ParseTuple(false, false, false, false);
    Body branch = ParseBlockBody({"elif", "else", "endif"});
    stmt->branches.emplace_back(std::move(condition), std::move(branch));
  } while (!failed() && SkipName("elif"));
  if (SkipName("else")) stmt->else_body = ParseBlockBody({"endif"});
  SkipName("endif");
  body.push_back(std::move(stmt));
}

void Parser::ParseSet(Body& body) {
  auto stmt = MakeStmt(StmtKind::kSet);
  Skip();
  stmt->target = ParseTarget(true);
  if (SkipOperator("=")) {
    stmt->expr = ParseTuple(true, false, false, false);
  } else {
    stmt->kind = StmtKind::kSetBlock;
    while (SkipOperator("|")) stmt->filter = ParseFilter(std::move(stmt->filter));
    stmt->body = ParseBlockBody({"endset"});
    Skip();
  }
  body.push_back(std::move(stmt));
}

void Parser::ParseSignature(MacroDefinition& macro) {
  ExpectOperator("(");
  while (!failed() && !AtOperator(")")) {
    if (!macro.parameters.empty()) ExpectOperator(",");
    macro.parameters.push_back(ExpectIdentifier());
    if (SkipOperator("=")) {
      macro.defaults.push_back(ParseExpression());
    } else if (!macro.defaults.empty()) {
      Fail("a parameter without default follows one with a default");
    }
  }
  ExpectOperator(")");
}

void Parser::ParseMacroBody(MacroDefinition& macro, std::string_view end_tag) {
  const int outer_loops = std::exchange(loops_, 0);
  macros_.push_back(&macro);
  macro.body = ParseBlockBody({end_tag});
  macros_.pop_back();
  loops_ = outer_loops;
  for (const Name* parameter : macro.parameters) {
    if (parameter == macro.varargs) macro.varargs = nullptr;
    if (parameter == macro.kwargs) macro.kwargs = nullptr;
  }
  Skip();
}

void Parser::ParseMacro(Body& body) {
  auto stmt = MakeStmt(StmtKind::kMacro);
  Skip();
  stmt->macro.name = ExpectIdentifier();
  ParseSignature(stmt->macro);
  ParseMacroBody(stmt->macro, "endmacro");
  body.push_back(std::move(stmt));
}

void Parser::ParseCallBlock(Body& body) {
  auto stmt = MakeStmt(StmtKind::kCall);
  Skip();
  if (AtOperator("(")) ParseSignature(stmt->macro);
  stmt->expr = ParseExpression();
  if (!failed() && stmt->expr->kind != ExprKind::kCall) Fail("expected a call");
  ParseMacroBody(stmt->macro, "endcall");
  body.push_back(std::move(stmt));
}

void Parser::ParseWith(Body& body) {
  auto stmt = MakeStmt(StmtKind::kWith);
  Skip();
  while (!failed() && Current().kind != TokenKind::kBlockEnd) {
    if (!stmt->assignments.empty()) ExpectOperator(",");
    ExprPtr target = ParseTarget(false);
    ExpectOperator("=");
    ExprPtr value = ParseExpression();
    stmt->assignments.emplace_back(std::move(target), std::move(value));
  }
  stmt->body = ParseBlockBody({"endwith"});
  Skip();
  body.push_back(std::move(stmt));
}

void Parser::ParsePrint(Body& body) {
  Skip();
  do {
    auto stmt = MakeStmt(StmtKind::kPrint);
    stmt->expr = ParseExpression();
    body.push_back(std::move(stmt));
  } while (!failed() && SkipOperator(","));
}

void Parser::ParseScoped(Body& body, std::string_view end_tag, bool named) {
  auto stmt = MakeStmt(StmtKind::kScope);
  Skip();
  const Name* name = named ? ExpectIdentifier() : nullptr;
  const int outer_loops = std::exchange(loops_, 0);
  stmt->body = ParseBlockBody({end_tag});
  loops_ = outer_loops;
  Skip();
  if (name != nullptr) SkipName(name->text->view());
  body.push_back(std::move(stmt));
}

void Parser::ParseLoopControl(Body& body, StmtKind kind) {
  if (loops_ == 0) return Fail("'{}' outside of a loop", Current().text);
  body.push_back(MakeStmt(kind));
  Skip();
}

ExprPtr Parser::ParseTarget(bool with_attributes) {
  ExprPtr target = ParseTuple(false, false, true, with_attributes);
  if (failed()) return target;
  if (!Assignable(*target))
    FailAt(target->line, "can't assign to this expression, expected a name or names separated by commas");
  return target;
}

}  // namespace millrace::jinja
