// What the two EBNF parsers share: a cursor with line numbers and a table of rules that may be used before they are
// defined.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>

#include "grammar/expr.h"

namespace millrace::grammar {

inline constexpr int kMaxEbnfDepth = 100;
inline constexpr size_t kMaxRules = 20'000;
inline constexpr int kMaxEbnfRepeat = 100'000;

class EbnfScanner {
 public:
  explicit EbnfScanner(std::u32string text) : text_(std::move(text)) {}

  bool AtEnd() const { return pos_ >= text_.size(); }
  char32_t Peek(size_t ahead = 0) const { return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : 0; }
  char32_t Next() { return text_[pos_++]; }
  bool Accept(std::u32string_view s) {
    if (std::u32string_view(text_).substr(pos_, s.size()) != s) return false;
    pos_ += s.size();
    return true;
  }
  size_t position() const { return pos_; }
  void Seek(size_t position) { pos_ = position; }

  Status Error(std::string_view what) const {
    const auto line =
        1 + std::count(text_.begin(), text_.begin() + static_cast<long>(std::min(pos_, text_.size())), U'\n');
    return InvalidArgument("grammar, line {}: {}", line, what);
  }

  static bool IsNameChar(char32_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  }
  std::string Name() {
    std::string name;
    while (IsNameChar(Peek())) name += static_cast<char>(Next());
    return name;
  }
  // Decimal number, saturating beyond every bound; -1 when there is none.
  int Number() {
    int value = -1;
    while (Peek() >= '0' && Peek() <= '9') {
      value = std::min(kMaxEbnfRepeat + 1, std::max(value, 0) * 10 + static_cast<int>(Next() - '0'));
    }
    return value;
  }
  // After a backslash: \n \r \t \\ \" \' \] \[ \xHH \uHHHH \UHHHHHHHH and any other character as itself.
  Result<char32_t> Escape();

 private:
  const std::u32string text_;
  size_t pos_ = 0;
};

class RuleTable {
 public:
  explicit RuleTable(RuleSet& rules) : rules_(rules) {}
  uint32_t Index(const std::string& name) {
    auto [it, inserted] = index_.try_emplace(name, static_cast<uint32_t>(rules_.rules.size()));
    if (inserted) {
      rules_.names.push_back(name);
      rules_.rules.push_back(kUndefined);
    }
    return it->second;
  }
  bool Contains(const std::string& name) const { return index_.contains(name); }
  bool Defined(uint32_t rule) const { return rules_.rules[rule] != kUndefined; }
  void Define(uint32_t rule, ExprId body) { rules_.rules[rule] = body; }
  // Every rule that was used is defined, and the root is there.
  Status Check(const std::string& root) {
    for (size_t i = 0; i < rules_.rules.size(); ++i) {
      if (!Defined(static_cast<uint32_t>(i))) {
        return InvalidArgument("grammar: rule \"{}\" is used but not defined", rules_.names[i]);
      }
    }
    if (!index_.contains(root)) return InvalidArgument("grammar: expected a rule called \"{}\"", root);
    if (rules_.rules.size() > kMaxRules) return Unsupported("grammar: more than {} rules", kMaxRules);
    rules_.root = index_[root];
    return OkStatus();
  }

 private:
  static constexpr ExprId kUndefined = UINT32_MAX;
  RuleSet& rules_;
  std::unordered_map<std::string, uint32_t> index_;
};

}  // namespace millrace::grammar
