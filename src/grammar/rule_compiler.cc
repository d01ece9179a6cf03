#include <algorithm>
#include <utility>

#include "grammar/dfa_builder.h"
#include "grammar/program_builder.h"

namespace millrace::grammar {
namespace {

// Automata stay small enough that building them costs about a millisecond.
constexpr uint32_t kMaxTerminalNodes = 20'000;
constexpr uint32_t kMaxTerminalStates = 2'000;
// Repetitions up to this bound are unrolled, larger ones count at run time.
constexpr int kMaxUnrolled = 8;
constexpr int kMaxRuleDepth = 400;

class RuleCompiler {
 public:
  RuleCompiler(RuleSet rules, ProgramBuilder& builder)
      : rules_(std::move(rules)), pool_(rules_.pool), builder_(builder) {}

  Result<uint32_t> Run() {
    productive_ = Fixpoint([this](const Expr& e, const auto& known) { return IsProductive(e, known); });
    if (!productive_[rules_.rules[rules_.root]]) {
      return InvalidArgument("the grammar matches nothing: its root rule can't be completed");
    }
    regular_ = Fixpoint([this](const Expr& e, const auto& known) { return IsRegular(e, known); });
    nullable_ = Fixpoint([this](const Expr& e, const auto& known) { return IsNullable(e, known); });
    if (builder_.budget().exceeded()) return builder_.budget().Error();
    for (size_t i = 0; i < rules_.rules.size(); ++i) rule_ids_.push_back(builder_.AddRule());
    uint32_t repeats_before = static_cast<uint32_t>(builder_.program().repeats.size());
    for (size_t i = 0; i < rules_.rules.size(); ++i) {
      const uint32_t end = builder_.AddState(true);
      RETURN_IF_ERROR(Emit(rules_.rules[i], builder_.StartOf(rule_ids_[i]), end, 0));
    }
    if (builder_.program().repeats.size() > repeats_before) builder_.AddRepeatFrame();
    if (builder_.budget().exceeded()) return builder_.budget().Error();
    return rule_ids_[rules_.root];
  }

 private:
  // Least fixpoint of a property over all expressions.
  template <typename Holds>
  std::vector<uint8_t> Fixpoint(Holds holds) {
    std::vector<uint8_t> out(pool_.size(), 0);
    for (bool changed = true; changed;) {
      changed = false;
      for (ExprId id = 0; id < pool_.size(); ++id) {
        if (out[id] || !holds(pool_[id], out)) continue;
        out[id] = 1;
        changed = true;
        if (!builder_.budget().Charge(0)) return out;
      }
    }
    return out;
  }

  // Matches at least one text.
  bool IsProductive(const Expr& e, const std::vector<uint8_t>& known) const {
    auto child = [&](ExprId id) { return known[id] != 0; };
    switch (e.kind) {
      case ExprKind::kNever:
        return false;
      case ExprKind::kChars:
        return !e.chars.empty();
      case ExprKind::kSequence:
        return std::all_of(e.children.begin(), e.children.end(), child);
      case ExprKind::kChoice:
        return std::any_of(e.children.begin(), e.children.end(), child);
      case ExprKind::kRepeat:
        return e.min == 0 || child(e.children[0]);
      case ExprKind::kRule:
        return child(rules_.rules[e.arg]);
      case ExprKind::kDfa:
        return !e.dfa->empty();
      default:
        return true;
    }
  }

  // Matches the empty text.
  bool IsNullable(const Expr& e, const std::vector<uint8_t>& known) const {
    auto child = [&](ExprId id) { return known[id] != 0; };
    switch (e.kind) {
      case ExprKind::kEmpty:
        return true;
      case ExprKind::kSequence:
        return std::all_of(e.children.begin(), e.children.end(), child);
      case ExprKind::kChoice:
        return std::any_of(e.children.begin(), e.children.end(), child);
      case ExprKind::kRepeat:
        return e.min == 0 || child(e.children[0]);
      case ExprKind::kRule:
        return child(rules_.rules[e.arg]);
      case ExprKind::kDfa:
        return !e.dfa->empty() && e.dfa->accepting[0];
      default:
        return false;
    }
  }

  // Contains no recursion and no token, and can thus be an automaton.
  bool IsRegular(const Expr& e, const std::vector<uint8_t>& known) const {
    if (e.kind == ExprKind::kToken || (e.kind == ExprKind::kRule && !known[rules_.rules[e.arg]])) return false;
    return std::all_of(e.children.begin(), e.children.end(), [&](ExprId c) { return known[c] != 0; });
  }

  Status Emit(ExprId id, uint32_t from, uint32_t to, int depth) {
    if (depth > kMaxRuleDepth) return Unsupported("the grammar nests deeper than {}", kMaxRuleDepth);
    if (!builder_.budget().Charge(sizeof(State) + sizeof(Edge))) return builder_.budget().Error();
    if (!productive_[id]) return OkStatus();
    if (regular_[id] && EmitAutomaton(id, from, to)) return OkStatus();
    const Expr e = pool_[id];  // a copy: emitting may add nodes
    switch (e.kind) {
      case ExprKind::kSequence:
        return EmitSequence(e, from, to, depth);
      case ExprKind::kChoice:
        return EmitChoice(e, from, to, depth);
      case ExprKind::kRepeat:
        return EmitRepeat(e, from, to, depth);
      case ExprKind::kRule:
        builder_.AddEdge(from, EdgeKind::kCall, rule_ids_[e.arg], to);
        return OkStatus();
      case ExprKind::kToken:
        builder_.AddEdge(from, EdgeKind::kToken, e.arg, to);
        return OkStatus();
      default:
        return Unsupported("a part of the grammar needs an automaton of more than {} states", kMaxTerminalStates);
    }
  }

  // False when the automaton would be too large; nothing is emitted then.
  bool EmitAutomaton(ExprId id, uint32_t from, uint32_t to) {
    const DfaBuildOptions options{.max_nfa_nodes = kMaxTerminalNodes, .max_states = kMaxTerminalStates};
    auto dfa = BuildDfa(pool_, id, &rules_.rules, options, builder_.budget());
    if (!dfa.ok()) return false;
    if ((*dfa)->empty()) return true;
    if ((*dfa)->accepting[0]) builder_.AddEdge(from, EdgeKind::kEpsilon, 0, to);
    if ((*dfa)->CanStep(0)) {
      builder_.AddEdge(from, EdgeKind::kTerminal, builder_.AddTerminal({.dfa = *std::move(dfa)}), to);
    }
    return true;
  }

  // Runs of regular children share one automaton.
  Status EmitSequence(const Expr& e, uint32_t from, uint32_t to, int depth) {
    const std::vector<ExprId> children = e.children;
    for (size_t i = 0; i < children.size();) {
      size_t end = i;
      while (end < children.size() && regular_[children[end]]) ++end;
      end = std::max(end, i + 1);
      if (end - i < children.size()) {
        const uint32_t next = end == children.size() ? to : builder_.AddState();
        const ExprId run = AddNode(pool_.Sequence({children.begin() + i, children.begin() + end}));
        RETURN_IF_ERROR(Emit(run, from, next, depth + 1));
        from = next;
      } else {  // the whole was too large for one automaton
        for (size_t k = i; k < end; ++k) {
          const uint32_t next = k + 1 == end ? to : builder_.AddState();
          RETURN_IF_ERROR(Emit(children[k], from, next, depth + 1));
          from = next;
        }
      }
      i = end;
    }
    return OkStatus();
  }

  Status EmitChoice(const Expr& e, uint32_t from, uint32_t to, int depth) {
    std::vector<ExprId> regular, others;
    for (ExprId child : e.children) (regular_[child] ? regular : others).push_back(child);
    if (!others.empty() && regular.size() > 1) {
      others.push_back(AddNode(pool_.Choice(std::move(regular))));
    } else {
      others.insert(others.end(), regular.begin(), regular.end());
    }
    for (ExprId child : others) RETURN_IF_ERROR(Emit(child, from, to, depth + 1));
    return OkStatus();
  }

  // Registers a node made of productive, regular ones (or the single node itself).
  ExprId AddNode(ExprId id) {
    if (id >= productive_.size()) {
      productive_.push_back(1);
      regular_.push_back(1);
      nullable_.push_back(0);
      const Expr& e = pool_[id];
      if (e.kind == ExprKind::kSequence) {
        for (ExprId c : e.children) productive_.back() &= productive_[c];
      }
    }
    return id;
  }

  Status EmitRepeat(const Expr& e, uint32_t from, uint32_t to, int depth) {
    const ExprId body = e.children[0];
    const bool bounded = e.max != kUnboundedRepeat;
    if (!productive_[body] || e.max == 0) {
      builder_.AddEdge(from, EdgeKind::kEpsilon, 0, to);
      return OkStatus();
    }
    if (e.min > kMaxUnrolled || (bounded && e.max > kMaxUnrolled)) return EmitCounted(e, from, to, depth);
    for (int i = 0; i < e.min; ++i) {
      const uint32_t next = builder_.AddState();
      RETURN_IF_ERROR(Emit(body, from, next, depth + 1));
      from = next;
    }
    builder_.AddEdge(from, EdgeKind::kEpsilon, 0, to);
    if (!bounded) {
      const uint32_t loop = builder_.AddState();
      builder_.AddEdge(from, EdgeKind::kEpsilon, 0, loop);
      RETURN_IF_ERROR(Emit(body, loop, loop, depth + 1));
      builder_.AddEdge(loop, EdgeKind::kEpsilon, 0, to);
      return OkStatus();
    }
    for (int i = e.min; i < e.max; ++i) {
      const uint32_t next = builder_.AddState();
      RETURN_IF_ERROR(Emit(body, from, next, depth + 1));
      builder_.AddEdge(next, EdgeKind::kEpsilon, 0, to);
      from = next;
    }
    return OkStatus();
  }

  Status EmitCounted(const Expr& e, uint32_t from, uint32_t to, int depth) {
    const uint32_t rule = builder_.AddRule();
    const uint32_t end = builder_.AddState(true);
    RETURN_IF_ERROR(Emit(e.children[0], builder_.StartOf(rule), end, depth + 1));
    RepeatSpec spec{.rule = rule, .min = static_cast<uint32_t>(e.min)};
    if (e.max != kUnboundedRepeat) spec.max = static_cast<uint32_t>(e.max);
    if (nullable_[e.children[0]]) spec.min = 0;
    builder_.program().repeats.push_back(spec);
    builder_.AddEdge(from, EdgeKind::kRepeat, static_cast<uint32_t>(builder_.program().repeats.size() - 1), to);
    return OkStatus();
  }
  RuleSet rules_;
  ExprPool& pool_;
  ProgramBuilder& builder_;
  std::vector<uint8_t> productive_;
  std::vector<uint8_t> regular_;
  std::vector<uint8_t> nullable_;
  std::vector<uint32_t> rule_ids_;
};

}  // namespace

Result<uint32_t> AddRuleSet(RuleSet rules, ProgramBuilder& builder) {
  return RuleCompiler(std::move(rules), builder).Run();
}

}  // namespace millrace::grammar
