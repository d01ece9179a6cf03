#include <algorithm>
#include <utility>

#include "grammar/grammar.h"
#include "grammar/likely_byte.h"

namespace millrace::grammar {
namespace {

void SetBit(std::span<uint32_t> mask, TokenId id) {
  mask[static_cast<size_t>(id) / 32] |= 1u << (id % 32);
}

void OrLocal(const LocalMask& local, std::span<uint32_t> mask) {
  for (size_t w = 0; w < local.bits.size(); ++w) mask[w] |= local.bits[w];
  for (TokenId id : local.ids) SetBit(mask, id);
}

// The bytes that next_byte gives one after the other, up to its -1.
template <typename NextByte>
std::string ReadAhead(Machine& machine, ConfigSet now, size_t max_bytes, NextByte next_byte) {
  std::string bytes;
  const Machine::Mark mark = machine.GetMark();
  ConfigSet next;
  while (bytes.size() < max_bytes) {
    const int byte = next_byte(now);
    if (byte < 0) break;
    machine.Step(now, static_cast<uint8_t>(byte), next);
    if (next.empty()) break;
    std::swap(now, next);
    bytes += static_cast<char>(byte);
  }
  machine.Truncate(mark);
  return bytes;
}

}  // namespace

GrammarMatcher::GrammarMatcher(GrammarPtr grammar, int max_rollback)
    : grammar_(std::move(grammar)),
      machine_(grammar_->program()),
      max_rollback_(static_cast<size_t>(std::max(0, max_rollback))) {
  history_.emplace_back();
  machine_.Start(history_.back().set);
  Spend({}, history_.back());
}

bool GrammarMatcher::AtDeadline(const Config& config) const {
  const State& state = grammar_->program().states[grammar_->program().deadline.state];
  return config.edge >= state.first_edge && config.edge < state.first_edge + state.num_edges;
}

void GrammarMatcher::Spend(const ConfigSet& before, Snapshot& snapshot) {
  const Deadline& deadline = grammar_->program().deadline;
  if (deadline.tokens < 0) return;
  const auto at_deadline = [this](const Config& config) { return AtDeadline(config); };
  snapshot.spent += std::any_of(before.configs.begin(), before.configs.end(), at_deadline);
  if (snapshot.spent < deadline.tokens) return;
  // Not in the middle of a character.
  const auto moves = [this](const Config& config) { return config.lex.decoder == 0 && AtDeadline(config); };
  if (std::none_of(snapshot.set.configs.begin(), snapshot.set.configs.end(), moves)) return;
  ConfigSet forced;
  machine_.Redirect(snapshot.set, moves, deadline.exit, forced);
  snapshot.set = std::move(forced);
}

void GrammarMatcher::Push(Snapshot snapshot) {
  snapshot.spent = current().spent;
  Spend(current().set, snapshot);
  snapshot.text_size = machine_.text_size();
  history_.push_back(std::move(snapshot));
  if (history_.size() > max_rollback_ + 1) history_.pop_front();
  if (machine_.num_nodes() > collect_at_) {
    std::vector<ConfigSet*> live;
    for (Snapshot& s : history_) live.push_back(&s.set);
    machine_.Collect(live);
    collect_at_ = 2 * machine_.num_nodes() + 4096;
  }
}

bool GrammarMatcher::AcceptToken(TokenId id) {
  if (IsTerminated() || id < 0 || id >= grammar_->vocabulary().vocab_size()) return false;
  if (grammar_->vocabulary().IsEnd(id) && CanEnd()) {
    Snapshot end{.set = {}, .terminated = true};
    end.set.ended = true;
    Push(std::move(end));
    return true;
  }
  const std::string_view bytes = grammar_->vocabulary().BytesOf(id);
  if (!bytes.empty() && AcceptBytes(bytes)) return true;
  const Machine::Mark mark = machine_.GetMark();
  Snapshot next;
  machine_.StepToken(current().set, id, next.set);
  if (next.set.empty()) {
    machine_.Truncate(mark);
    return false;
  }
  Push(std::move(next));
  return true;
}

bool GrammarMatcher::AcceptBytes(std::string_view bytes) {
  if (IsTerminated()) return false;
  const Machine::Mark mark = machine_.GetMark();
  ConfigSet sets[2];
  const ConfigSet* from = &current().set;
  for (size_t i = 0; i < bytes.size(); ++i) {
    machine_.Step(*from, static_cast<uint8_t>(bytes[i]), sets[i & 1]);
    from = &sets[i & 1];
    if (from->empty()) {
      machine_.Truncate(mark);
      return false;
    }
  }
  Push({.set = *from});
  return true;
}

void GrammarMatcher::Rollback(int n) {
  CHECK(n >= 0 && n <= rollback_available(), "rollback of {} tokens, {} are available", n, rollback_available());
  history_.resize(history_.size() - static_cast<size_t>(n));
  machine_.TruncateText(current().text_size);
}

TokenId GrammarMatcher::ForcedControl() const {
  const ConfigSet& now = current().set;
  if (IsTerminated() || now.ended || now.configs.empty()) return -1;
  const Edge& first = machine_.EdgeOf(now.configs[0]);
  for (const Config& config : now.configs) {
    const Edge& edge = machine_.EdgeOf(config);
    if (edge.kind != EdgeKind::kToken || edge.arg != first.arg) return -1;
  }
  return static_cast<TokenId>(first.arg);
}

int GrammarMatcher::ForcedByte(const ConfigSet& now) {
  if (now.ended || now.configs.empty()) return -1;
  int forced = -1;
  bool has_keys = false;
  for (const Config& config : now.configs) {
    const Edge& edge = machine_.EdgeOf(config);
    has_keys = has_keys || edge.kind == EdgeKind::kKey;
    if (edge.kind == EdgeKind::kKey) continue;
    if (edge.kind != EdgeKind::kTerminal) return -1;  // a control token is another way on
    const Terminal& terminal = grammar_->program().terminals[edge.arg];
    for (int b = 0; b < 256; ++b) {
      LexState lex = config.lex;
      if (b == forced || !terminal.Step(lex, static_cast<uint8_t>(b))) continue;
      if (forced >= 0) return -1;
      forced = b;
    }
  }
  if (!has_keys) return forced;
  ConfigSet next;
  for (int b = 0; b < 256; ++b) {
    if (b == forced) continue;
    const Machine::Mark before = machine_.GetMark();
    machine_.Step(now, static_cast<uint8_t>(b), next);
    machine_.Truncate(before);
    if (next.empty()) continue;
    if (forced >= 0) return -1;
    forced = b;
  }
  return forced;
}

std::string GrammarMatcher::ForcedBytes(size_t max_bytes) {
  if (IsTerminated()) return "";
  return ReadAhead(machine_, current().set, max_bytes, [this](const ConfigSet& now) { return ForcedByte(now); });
}

std::vector<TokenId> GrammarMatcher::ForcedTokens(int max_tokens) {
  const GrammarVocabulary& vocabulary = grammar_->vocabulary();
  const size_t limit = static_cast<size_t>(std::max(0, std::min(max_tokens, static_cast<int>(max_rollback_))));
  std::vector<TokenId> likely;
  bool more = true;
  while (more && likely.size() < limit) {
    std::vector<TokenId> ids;
    if (const TokenId control = ForcedControl(); control >= 0) {
      ids = {control};
    } else if (!IsTerminated()) {
      const auto likely_byte = [this](const ConfigSet& now) { return LikelyByte(machine_, now); };
      ids = vocabulary.Encode(ReadAhead(machine_, current().set, 4 * limit, likely_byte));
    }
    more = !ids.empty();
    for (size_t i = 0; more && i < ids.size() && likely.size() < limit; ++i) {
      more = AcceptToken(ids[i]);
      if (more) likely.push_back(ids[i]);
    }
  }
  Rollback(static_cast<int>(likely.size()));
  return likely;
}

void GrammarMatcher::FillBitmask(std::span<uint32_t> mask) {
  CHECK_EQ(mask.size(), grammar_->vocabulary().mask_words());
  std::fill(mask.begin(), mask.end(), 0u);
  if (IsTerminated()) return;
  for (const Config& config : current().set.configs) FillConfig(config, mask);
  if (CanEnd()) {
    for (TokenId id : grammar_->vocabulary().end_ids()) SetBit(mask, id);
  }
  if (overflowed()) std::fill(mask.begin(), mask.end(), 0u);
}

void GrammarMatcher::FillConfig(const Config& config, std::span<uint32_t> mask) {
  const Edge& edge = machine_.EdgeOf(config);
  if (edge.kind == EdgeKind::kToken) {
    if (edge.arg < static_cast<uint32_t>(grammar_->vocabulary().vocab_size()))
      SetBit(mask, static_cast<TokenId>(edge.arg));
    return;
  }
  if (edge.kind == EdgeKind::kAnything) {
    std::fill(mask.begin(), mask.end(), ~0u);
    return;
  }
  if (edge.kind == EdgeKind::kKey) return FillKey(config, mask);
  const auto local = grammar_->MaskOf(edge.arg, config.lex);
  OrLocal(*local, mask);
  FillExits(config, *local, mask);
}

void GrammarMatcher::FillExits(const Config& config, const LocalMask& local, std::span<uint32_t> mask) {
  ConfigSet after;
  for (const LocalMask::Exit& exit : local.exits) {
    const Machine::Mark mark = machine_.GetMark();
    machine_.Leave(config, exit.label, after);
    WalkTrie(exit.rest, 0, after, mask);
    machine_.Truncate(mark);
  }
}

void GrammarMatcher::WalkTrie(const TokenTrie& trie, uint32_t root, const ConfigSet& base, std::span<uint32_t> mask) {
  if (base.configs.empty()) return;
  const uint32_t base_depth = trie.node(root).depth;
  const uint32_t end = trie.node(root).end;
  // walk_marks_[d]: the machine before any node of depth d below the current path.
  if (walk_marks_.size() < 2) walk_marks_.resize(2);
  walk_marks_[1] = machine_.GetMark();
  for (uint32_t i = root + 1; i < end;) {
    const TokenTrie::Node& node = trie.node(i);
    const size_t depth = node.depth - base_depth;
    if (walk_sets_.size() <= depth) {
      walk_sets_.resize(depth + 1);
      walk_marks_.resize(depth + 2);
    }
    machine_.Truncate(walk_marks_[depth]);
    ConfigSet& next = walk_sets_[depth];
    machine_.Step(depth == 1 ? base : walk_sets_[depth - 1], node.byte, next);
    if (next.empty()) {
      i = node.end;
      continue;
    }
    for (TokenId id : trie.TokensAt(i)) SetBit(mask, id);
    walk_marks_[depth + 1] = machine_.GetMark();
    ++i;
  }
  machine_.Truncate(walk_marks_[1]);
}

}  // namespace millrace::grammar
