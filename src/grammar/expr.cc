#include "grammar/expr.h"

#include <utility>

namespace millrace::grammar {

ExprId ExprPool::Literal(std::u32string_view text) {
  std::vector<ExprId> children;
  children.reserve(text.size());
  for (char32_t c : text) children.push_back(Chars(CharSet::Of(c)));
  return Sequence(std::move(children));
}

ExprId ExprPool::Sequence(std::vector<ExprId> children) {
  if (children.empty()) return Empty();
  if (children.size() == 1) return children[0];
  return Add({.kind = ExprKind::kSequence, .children = std::move(children)});
}

ExprId ExprPool::Choice(std::vector<ExprId> children) {
  if (children.empty()) return Never();
  if (children.size() == 1) return children[0];
  return Add({.kind = ExprKind::kChoice, .children = std::move(children)});
}

}  // namespace millrace::grammar
