#include "grammar/program_builder.h"

#include <utility>

#include "grammar/dfa_builder.h"

namespace millrace::grammar {

uint32_t ProgramBuilder::AddState(bool accept) {
  program_.states.push_back({.accept = accept});
  edges_.emplace_back();
  return static_cast<uint32_t>(edges_.size() - 1);
}

void ProgramBuilder::AddEdge(uint32_t from, EdgeKind kind, uint32_t arg, uint32_t to) {
  edges_[from].push_back({kind, arg, to});
}

uint32_t ProgramBuilder::AddTerminal(Terminal terminal) {
  terminal.Finish();
  program_.terminals.push_back(std::move(terminal));
  return static_cast<uint32_t>(program_.terminals.size() - 1);
}

uint32_t ProgramBuilder::AddRule() {
  program_.rules.push_back(AddState());
  return static_cast<uint32_t>(program_.rules.size() - 1);
}

Result<uint32_t> ProgramBuilder::AddLiteral(std::u32string_view text) {
  auto [it, inserted] = literals_.try_emplace(std::u32string(text), 0);
  if (inserted) {
    ASSIGN_OR_RETURN(DfaPtr dfa, StringSetDfa({std::u32string(text)}, budget_));
    it->second = AddTerminal({.dfa = std::move(dfa)});
  }
  return it->second;
}

// A punctuation mark with the white space that the style allows before and after it; "s" and "*" in before and after
// stand for the optional single space and for a run.
Result<uint32_t> ProgramBuilder::Punctuation(std::u32string_view before, char32_t c, std::u32string_view after) {
  ExprPool pool;
  std::vector<ExprId> parts;
  auto add_space = [&](std::u32string_view kind) {
    if (style_.whitespace == JsonWhitespace::kFlexible && !kind.empty()) {
      const CharSet space({{' ', ' '}, {'\t', '\t'}, {'\n', '\n'}, {'\r', '\r'}});
      parts.push_back(pool.Repeat(pool.Chars(space), 0, style_.max_whitespace));
    } else if (style_.whitespace == JsonWhitespace::kSpaced && kind == U"s") {
      parts.push_back(pool.Repeat(pool.Chars(CharSet::Of(' ')), 0, 1));
    }
  };
  add_space(before);
  parts.push_back(pool.Chars(CharSet::Of(c)));
  for (size_t i = 0; i < after.size(); ++i) {
    if (after[i] == '"') {
      parts.push_back(pool.Chars(CharSet::Of('"')));
    } else {
      add_space(after.substr(i, 1));
    }
  }
  ASSIGN_OR_RETURN(DfaPtr dfa, BuildDfa(pool, pool.Sequence(std::move(parts)), nullptr, {}, budget_));
  return AddTerminal({.dfa = std::move(dfa)});
}

Status ProgramBuilder::AddJsonFrames() {
  if (program_.array_start != 0) return OkStatus();
  ASSIGN_OR_RETURN(const uint32_t open_object, Punctuation(U"", '{', U"*"));
  ASSIGN_OR_RETURN(const uint32_t quote, AddLiteral(U"\""));
  ASSIGN_OR_RETURN(const uint32_t close_empty_object, AddLiteral(U"}"));
  ASSIGN_OR_RETURN(const uint32_t close_object, Punctuation(U"*", '}', U""));
  ASSIGN_OR_RETURN(const uint32_t colon, Punctuation(U"*", ':', U"s"));
  ASSIGN_OR_RETURN(const uint32_t comma_quote, Punctuation(U"*", ',', U"s\""));
  ASSIGN_OR_RETURN(const uint32_t open_array, Punctuation(U"", '[', U"*"));
  ASSIGN_OR_RETURN(const uint32_t close_empty_array, AddLiteral(U"]"));
  ASSIGN_OR_RETURN(const uint32_t close_array, Punctuation(U"*", ']', U""));
  ASSIGN_OR_RETURN(const uint32_t comma, Punctuation(U"*", ',', U"s"));

  const uint32_t end = AddState(true);
  auto guarded = [&](uint32_t from, EdgeKind guard, uint32_t terminal, uint32_t to) {
    const uint32_t middle = AddState();
    AddEdge(from, guard, 0, middle);
    AddEdge(middle, EdgeKind::kTerminal, terminal, to);
  };
  // Objects and sets: open, key [colon value] (comma key [colon value])*, close.
  for (const bool is_set : {false, true}) {
    const uint32_t start = AddState(), opened = AddState(), key = AddState(), after_key = AddState();
    AddEdge(start, EdgeKind::kTerminal, is_set ? open_array : open_object, opened);
    guarded(opened, EdgeKind::kIfMayClose, is_set ? close_empty_array : close_empty_object, end);
    guarded(opened, EdgeKind::kIfMayAdd, quote, key);
    AddEdge(key, EdgeKind::kKey, 0, after_key);
    uint32_t after_member = after_key;
    if (!is_set) {
      const uint32_t value = AddState();
      after_member = AddState();
      AddEdge(after_key, EdgeKind::kTerminal, colon, value);
      AddEdge(value, EdgeKind::kMember, 0, after_member);
    }
    guarded(after_member, EdgeKind::kIfMayClose, is_set ? close_array : close_object, end);
    guarded(after_member, EdgeKind::kIfMayAdd, comma_quote, key);
    (is_set ? program_.set_start : program_.object_start) = start;
  }
  program_.array_start = AddState();
  const uint32_t opened = AddState(), item = AddState(), after_item = AddState();
  AddEdge(program_.array_start, EdgeKind::kTerminal, open_array, opened);
  guarded(opened, EdgeKind::kIfMayClose, close_empty_array, end);
  AddEdge(opened, EdgeKind::kIfMayAdd, 0, item);
  AddEdge(item, EdgeKind::kItem, 0, after_item);
  guarded(after_item, EdgeKind::kIfMayClose, close_array, end);
  guarded(after_item, EdgeKind::kIfMayAdd, comma, item);
  return OkStatus();
}

void ProgramBuilder::AddRepeatFrame() {
  const uint32_t start = AddState(), body = AddState(), end = AddState(true);
  AddEdge(start, EdgeKind::kIfMayClose, 0, end);
  AddEdge(start, EdgeKind::kIfMayAdd, 0, body);
  AddEdge(body, EdgeKind::kBody, 0, start);
  program_.repeat_start = start;
}

Program ProgramBuilder::Finish() {
  for (size_t s = 0; s < edges_.size(); ++s) {
    program_.states[s].first_edge = static_cast<uint32_t>(program_.edges.size());
    program_.states[s].num_edges = static_cast<uint32_t>(edges_[s].size());
    program_.edges.insert(program_.edges.end(), edges_[s].begin(), edges_[s].end());
  }
  edges_.clear();
  return std::move(program_);
}

}  // namespace millrace::grammar
