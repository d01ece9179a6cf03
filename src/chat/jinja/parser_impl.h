// The parser's class, shared by the file for statements and the file for expressions.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/token.h"

namespace millrace::jinja {

// Recursive descent. The first error is kept in status_ and moves the cursor to the end, where every rule stops; a rule
// that failed returns null or an unfinished node, which nobody looks at because Run returns the status.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)), tree_(std::make_unique<Tree>()) {}
  Result<std::unique_ptr<const Tree>> Run();

 private:
  friend class NestingGuard;

  // Cursor.
  const Token& Current() const { return tokens_[pos_]; }
  const Token& Ahead() const { return tokens_[pos_ + 1 < tokens_.size() ? pos_ + 1 : pos_]; }
  void Skip() { pos_ += pos_ + 1 < tokens_.size() ? 1 : 0; }
  bool AtOperator(std::string_view op) const;
  bool AtName(std::string_view name) const;
  bool SkipOperator(std::string_view op);
  bool SkipName(std::string_view name);
  void ExpectOperator(std::string_view op);
  void ExpectName(std::string_view name);
  const Name* ExpectIdentifier();
  void Expect(TokenKind kind, std::string_view what);
  bool failed() const { return !status_.ok(); }
  template <typename... Args>
  void Fail(fmt::format_string<Args...> format, Args&&... args) {
    FailAt(Current().line, fmt::format(format, std::forward<Args>(args)...));
  }
  void FailAt(int line, std::string message);

  // Nodes.
  const Name* Intern(std::string_view name);
  ExprPtr Make(ExprKind kind, int line) const;
  // Appends a child (may be null) and keeps the height, which is bounded.
  void Adopt(Expr& parent, ExprPtr child);

  // Statements (parser.cc).
  Body ParseBody(std::initializer_list<std::string_view> end_tags);
  Body ParseBlockBody(std::initializer_list<std::string_view> end_tags);
  void ParseStatement(Body& body);
  std::unique_ptr<Stmt> MakeStmt(StmtKind kind) const;
  void ParseFor(Body& body);
  void ParseIf(Body& body);
  void ParseSet(Body& body);
  void ParseMacro(Body& body);
  void ParseCallBlock(Body& body);
  void ParseWith(Body& body);
  void ParsePrint(Body& body);
  void ParseScoped(Body& body, std::string_view end_tag, bool named);
  void ParseLoopControl(Body& body, StmtKind kind);
  void ParseSignature(MacroDefinition& macro);
  // Parses a macro's body and notes which implicit variables it reads.
  void ParseMacroBody(MacroDefinition& macro, std::string_view end_tag);
  ExprPtr ParseTarget(bool with_attributes);

  // Expressions (parser_expr.cc).
  ExprPtr ParseTuple(bool with_condition, bool explicit_parentheses, bool simple, bool with_attributes);
  ExprPtr ParseExpression();
  ExprPtr ParseConditional();
  ExprPtr ParseOr();
  ExprPtr ParseAnd();
  ExprPtr ParseNot();
  ExprPtr ParseCompare();
  ExprPtr ParseSum();
  ExprPtr ParseConcat();
  ExprPtr ParseProduct();
  ExprPtr ParsePower();
  ExprPtr ParseUnary(bool with_filter);
  ExprPtr ParsePrimary(bool with_attributes);
  ExprPtr ParseListOrDict();
  ExprPtr ParsePostfix(ExprPtr node);
  ExprPtr ParseFilters(ExprPtr node);
  ExprPtr ParseFilter(ExprPtr input);
  ExprPtr ParseTest(ExprPtr input);
  ExprPtr ParseSubscript(ExprPtr object);
  ExprPtr ParseCall(ExprPtr callee);
  void ParseArguments(Expr& call);
  ExprPtr MakeBinary(char op, ExprPtr left, ExprPtr right, int line);

  const std::vector<Token> tokens_;
  size_t pos_ = 0;
  int depth_ = 0;
  int loops_ = 0;  // for loops around the cursor, within the current macro
  Status status_;
  std::unique_ptr<Tree> tree_;
  std::vector<MacroDefinition*> macros_;  // macros and call blocks around the cursor
};

// Counts one level of recursion of the parser while it lives.
class NestingGuard {
 public:
  explicit NestingGuard(Parser& parser);
  ~NestingGuard();

 private:
  Parser& parser_;
};

}  // namespace millrace::jinja
