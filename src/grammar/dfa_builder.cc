#include "grammar/dfa_builder.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

namespace millrace::grammar {
namespace {

constexpr int kMaxExprDepth = 600;

struct NfaNode {
  enum Kind : uint8_t { kSplit, kSet, kStart, kEnd, kAccept } kind = kSplit;
  uint32_t set = 0;
  uint32_t a = kNoState;
  uint32_t b = kNoState;
};

class NfaBuilder {
 public:
  NfaBuilder(const ExprPool& pool, const std::vector<ExprId>* rules, uint32_t max_nodes, Budget& budget)
      : pool_(pool), rules_(rules), max_nodes_(max_nodes), budget_(budget) {}

  // Nodes are built back to front: the result leads through expr to next.
  uint32_t Build(ExprId id, uint32_t next, int depth) {
    if (depth > kMaxExprDepth) failed_ = true;
    if (failed_) return next;
    const Expr& e = pool_[id];
    switch (e.kind) {
      case ExprKind::kEmpty:
        return next;
      case ExprKind::kNever:
      case ExprKind::kToken:
        return Add({.kind = NfaNode::kSplit});
      case ExprKind::kChars:
        return Add({.kind = NfaNode::kSet, .set = SetOf(id), .a = next});
      case ExprKind::kSequence:
        for (size_t i = e.children.size(); i-- > 0;) next = Build(e.children[i], next, depth + 1);
        return next;
      case ExprKind::kChoice:
        return BuildChoice(e, next, depth);
      case ExprKind::kRepeat:
        return BuildRepeat(e, next, depth);
      case ExprKind::kRule:
        return Build((*rules_)[e.arg], next, depth + 1);
      case ExprKind::kAtStart:
        return Add({.kind = NfaNode::kStart, .a = next});
      case ExprKind::kAtEnd:
        return Add({.kind = NfaNode::kEnd, .a = next});
      case ExprKind::kDfa:
        return Embed(*e.dfa, next);
    }
    return next;
  }

  uint32_t Add(NfaNode node) {
    if (nodes_.size() >= max_nodes_ || !budget_.Charge(sizeof(NfaNode))) failed_ = true;
    if (failed_) return 0;
    nodes_.push_back(node);
    return static_cast<uint32_t>(nodes_.size() - 1);
  }
  uint32_t AddSet(CharSet set) {
    sets_.push_back(std::move(set));
    return static_cast<uint32_t>(sets_.size() - 1);
  }
  void Patch(uint32_t node, uint32_t a) {
    if (!failed_) nodes_[node].a = a;
  }

  bool failed() const { return failed_; }
  const std::vector<NfaNode>& nodes() const { return nodes_; }
  const std::vector<CharSet>& sets() const { return sets_; }

 private:
  uint32_t BuildChoice(const Expr& e, uint32_t next, int depth) {
    uint32_t head = Build(e.children.back(), next, depth + 1);
    for (size_t i = e.children.size() - 1; i-- > 0;) {
      const uint32_t branch = Build(e.children[i], next, depth + 1);
      head = Add({.kind = NfaNode::kSplit, .a = branch, .b = head});
    }
    return head;
  }

  uint32_t BuildRepeat(const Expr& e, uint32_t next, int depth) {
    const ExprId body = e.children[0];
    uint32_t head = next;
    if (e.max == kUnboundedRepeat) {
      const uint32_t loop = Add({.kind = NfaNode::kSplit, .b = next});
      Patch(loop, Build(body, loop, depth + 1));
      head = loop;
    } else {
      for (int i = e.min; i < e.max && !failed_; ++i) {
        head = Add({.kind = NfaNode::kSplit, .a = Build(body, head, depth + 1), .b = next});
      }
    }
    for (int i = 0; i < e.min && !failed_; ++i) head = Build(body, head, depth + 1);
    return head;
  }

  uint32_t Embed(const Dfa& dfa, uint32_t next) {
    std::vector<uint32_t> heads;
    for (uint32_t s = 0; s < dfa.num_states(); ++s) heads.push_back(Add({.kind = NfaNode::kSplit}));
    for (uint32_t s = 0; s < dfa.num_states() && !failed_; ++s) {
      std::map<uint32_t, std::vector<CharRange>> by_target;
      for (size_t i = 0; i < dfa.alphabet.starts.size(); ++i) {
        const uint32_t t = dfa.next[s * dfa.alphabet.num_classes + dfa.alphabet.classes[i]];
        if (t == kNoState) continue;
        const uint32_t last = i + 1 < dfa.alphabet.starts.size() ? dfa.alphabet.starts[i + 1] - 1 : kMaxCodePoint;
        by_target[t].push_back({dfa.alphabet.starts[i], last});
      }
      uint32_t head = dfa.accepting[s] ? next : kNoState;
      for (auto& [t, ranges] : by_target) {
        const uint32_t step = Add({.kind = NfaNode::kSet, .set = AddSet(CharSet(std::move(ranges))), .a = heads[t]});
        head = Add({.kind = NfaNode::kSplit, .a = step, .b = head});
      }
      Patch(heads[s], head);
    }
    return heads.empty() ? Add({.kind = NfaNode::kSplit}) : heads[0];
  }

  uint32_t SetOf(ExprId id) {
    auto [it, inserted] = set_of_.try_emplace(id, static_cast<uint32_t>(sets_.size()));
    if (inserted) sets_.push_back(pool_[id].chars);
    return it->second;
  }

  const ExprPool& pool_;
  const std::vector<ExprId>* rules_;
  const uint32_t max_nodes_;
  Budget& budget_;
  bool failed_ = false;
  std::vector<NfaNode> nodes_;
  std::vector<CharSet> sets_;
  std::unordered_map<ExprId, uint32_t> set_of_;
};

// Alphabet classes such that each set is a union of classes; members[set] lists them.
struct SetClasses {
  Alphabet alphabet;
  std::vector<std::vector<uint16_t>> members;
};

SetClasses ClassesOf(const std::vector<CharSet>& sets, Budget& budget) {
  SetClasses out;
  std::vector<uint32_t> starts = {0, kSurrogateFirst, kSurrogateLast + 1};
  for (const CharSet& set : sets) {
    for (const CharRange& r : set.ranges()) {
      starts.push_back(r.first);
      if (r.last < kMaxCodePoint) starts.push_back(r.last + 1);
    }
  }
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  std::vector<std::vector<uint32_t>> signature(starts.size());
  budget.Spend(4 * starts.size());
  for (uint32_t s = 0; s < sets.size() && !budget.exceeded(); ++s) {
    for (const CharRange& r : sets[s].ranges()) {
      size_t i = static_cast<size_t>(std::lower_bound(starts.begin(), starts.end(), r.first) - starts.begin());
      for (; i < starts.size() && starts[i] <= r.last; ++i) {
        if (starts[i] != kSurrogateFirst) signature[i].push_back(s);
        if (!budget.Charge(sizeof(uint32_t))) break;
      }
    }
  }
  out.alphabet.starts = starts;
  out.alphabet.classes.clear();
  out.members.resize(sets.size());
  std::map<std::vector<uint32_t>, uint16_t> ids;
  for (const auto& sig : signature) {
    auto [it, inserted] = ids.try_emplace(sig, static_cast<uint16_t>(ids.size()));
    if (inserted) {
      for (uint32_t s : sig) out.members[s].push_back(it->second);
    }
    out.alphabet.classes.push_back(it->second);
  }
  out.alphabet.num_classes = static_cast<uint32_t>(ids.size());
  out.alphabet.FillAscii();
  return out;
}

class SubsetBuilder {
 public:
  SubsetBuilder(const NfaBuilder& nfa, uint32_t max_states, Budget& budget)
      : nodes_(nfa.nodes()), classes_(ClassesOf(nfa.sets(), budget)), max_states_(max_states), budget_(budget) {
    mark_.resize(nodes_.size(), 0);
  }

  Result<DfaPtr> Build(uint32_t start) {
    const uint32_t k = classes_.alphabet.num_classes;
    if (budget_.exceeded()) return budget_.Error();
    if (k > kMaxClasses) return Unsupported("a regular expression tells more than {} characters apart", kMaxClasses);
    dfa_.alphabet = classes_.alphabet;
    Intern(Close({start}, /*at_start=*/true, /*at_end=*/false), Accepts({start}, true));
    std::vector<std::vector<uint32_t>> moves(k);
    for (size_t s = 0; s < subsets_.size(); ++s) {
      for (auto& move : moves) move.clear();
      for (uint32_t n : subsets_[s]) {
        if (nodes_[n].kind != NfaNode::kSet) continue;
        for (uint16_t c : classes_.members[nodes_[n].set]) moves[c].push_back(nodes_[n].a);
      }
      for (uint32_t c = 0; c < k; ++c) {
        uint32_t target = kNoState;
        if (!moves[c].empty()) {
          std::vector<uint32_t> closed = Close(moves[c], false, false);
          const bool accepts = Accepts(moves[c], false);
          target = Intern(std::move(closed), accepts);
        }
        dfa_.next.push_back(target);
      }
      budget_.Spend(4 * std::exchange(visited_, 0));
      if (subsets_.size() > max_states_ || !budget_.Charge(k * 4 + subsets_[s].size() * 4)) {
        return Unsupported("a regular expression needs more than {} states, expected a simpler one", max_states_);
      }
    }
    return std::make_shared<const Dfa>(TrimAndMinimize(std::move(dfa_), budget_));
  }

 private:
  // Epsilon closure: the nodes that consume a character, or accept, sorted.
  std::vector<uint32_t> Close(const std::vector<uint32_t>& from, bool at_start, bool at_end) {
    ++generation_;
    std::vector<uint32_t> work(from), out;
    while (!work.empty()) {
      const uint32_t n = work.back();
      work.pop_back();
      if (n == kNoState || mark_[n] == generation_) continue;
      mark_[n] = generation_;
      ++visited_;
      const NfaNode& node = nodes_[n];
      if (node.kind == NfaNode::kSplit || (node.kind == NfaNode::kStart && at_start) ||
          (node.kind == NfaNode::kEnd && at_end)) {
        work.push_back(node.a);
        work.push_back(node.b);
      }
      if (node.kind == NfaNode::kSet || node.kind == NfaNode::kAccept) out.push_back(n);
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  bool Accepts(const std::vector<uint32_t>& from, bool at_start) {
    const std::vector<uint32_t> closed = Close(from, at_start, /*at_end=*/true);
    return std::any_of(closed.begin(), closed.end(), [&](uint32_t n) { return nodes_[n].kind == NfaNode::kAccept; });
  }

  uint32_t Intern(std::vector<uint32_t> subset, bool accepts) {
    subset.push_back(accepts ? kNoState : kNoState - 1);  // two equal subsets may differ in what $ allows
    auto [it, inserted] = ids_.try_emplace(subset, static_cast<uint32_t>(subsets_.size()));
    if (inserted) {
      subset.pop_back();
      subsets_.push_back(std::move(subset));
      dfa_.accepting.push_back(accepts);
    }
    return it->second;
  }

  const std::vector<NfaNode>& nodes_;
  const SetClasses classes_;
  const uint32_t max_states_;
  Budget& budget_;
  Dfa dfa_;
  std::vector<uint32_t> mark_;
  uint32_t generation_ = 0;
  uint64_t visited_ = 0;  // nodes, since they were last charged
  std::map<std::vector<uint32_t>, uint32_t> ids_;
  std::vector<std::vector<uint32_t>> subsets_;
};

}  // namespace

Result<DfaPtr> BuildDfa(const ExprPool& pool, ExprId root, const std::vector<ExprId>* rules,
                        const DfaBuildOptions& options, Budget& budget) {
  NfaBuilder nfa(pool, rules, options.max_nfa_nodes, budget);
  uint32_t tail = nfa.Add({.kind = NfaNode::kAccept});
  uint32_t any = 0;
  if (options.search) {
    any = nfa.AddSet(CharSet::All());
    const uint32_t loop = nfa.Add({.kind = NfaNode::kSplit, .b = tail});
    nfa.Patch(loop, nfa.Add({.kind = NfaNode::kSet, .set = any, .a = loop}));
    tail = loop;
  }
  uint32_t start = nfa.Build(root, tail, 0);
  if (options.search) {
    const uint32_t loop = nfa.Add({.kind = NfaNode::kSplit, .b = start});
    nfa.Patch(loop, nfa.Add({.kind = NfaNode::kSet, .set = any, .a = loop}));
    start = loop;
  }
  if (nfa.failed()) {
    return Unsupported("a regular expression is too large: expected at most {} automaton nodes", options.max_nfa_nodes);
  }
  return SubsetBuilder(nfa, options.max_states, budget).Build(start);
}

}  // namespace millrace::grammar
