// Machine: the pushdown automaton of one sequence. All ways to read the text so far run side by side; their stacks
// share nodes (a graph-structured stack, as in generalised LL parsing), so that ambiguity and left recursion cost
// polynomial time. Not thread-safe; copying it forks the sequence.
//
// Invariants: (1) every config can be completed (rules, automaton states and frames that can't were pruned);
// (2) all configs of a set consume the same next byte; (3) a node gains return edges only during the step that made it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grammar/frames.h"
#include "grammar/program.h"

namespace millrace::grammar {

// One way to read the text: in the middle of a terminal or key (or before a control token) of a frame.
struct Config {
  uint32_t edge = 0;
  LexState lex;        // keys: q is kNoState when only names remain, count is the node in the name trie or kNoState
  uint32_t start = 0;  // offset in the text where the key began
  uint32_t payload = 0;
  uint32_t node = 0;
  bool operator==(const Config&) const = default;
};

struct ConfigSet {
  std::vector<Config> configs;
  bool ended = false;  // the text so far is complete
  bool empty() const { return configs.empty() && !ended; }
  void clear() {
    configs.clear();
    ended = false;
  }
};

// Beyond this many ways to read one text the rest are dropped, which Machine::overflowed says.
inline constexpr size_t kMaxConfigs = 2048;
inline constexpr uint32_t kUnknownKey = UINT32_MAX;

class Machine {
 public:
  explicit Machine(const Program& program);

  void Start(ConfigSet& out);
  // Consumes one byte.
  void Step(const ConfigSet& in, uint8_t byte, ConfigSet& out);
  // Consumes one control token.
  void StepToken(const ConfigSet& in, TokenId token, ConfigSet& out);
  // What follows when the lexeme of config ends here with the given label. For keys the text of the key is unknown.
  void Leave(const Config& config, uint16_t label, ConfigSet& out);
  // Reads on at `state` instead of where the configs for which `moves` holds are; the others stay.
  template <typename Moves>
  void Redirect(const ConfigSet& in, Moves moves, uint32_t state, ConfigSet& out) {
    out.clear();
    BeginStep();
    for (const Config& config : in.configs) {
      if (moves(config)) {
        Visit(state, config.payload, config.node);
      } else {
        AddConfig(config, out);
      }
    }
    out.ended = in.ended;
    RunClosure(out);
  }
  // As Leave, for a key that is the given name.
  void LeaveName(const Config& config, uint32_t name, ConfigSet& out);

  // More than kMaxConfigs ways to read the text were met: from then on sets may lack some.
  bool overflowed() const { return overflowed_; }

  const Program& program() const { return *program_; }
  const Edge& EdgeOf(const Config& config) const { return program_->edges[config.edge]; }
  const Payload& PayloadOf(const Config& config) const { return payloads_[config.payload]; }
  const ObjectSpec& ObjectOf(const Config& config) const { return program_->objects[PayloadOf(config).spec]; }
  // Code points of the key being read, as far as they are complete.
  std::u32string KeyText(const Config& config) const;
  // Keys of the object being read that are outside its names. kUnknownKey entries are left out.
  std::vector<const std::u32string*> ExtraKeys(const Config& config) const;

  // Calls visit(state, payload, node) for every place that the rule of a node returns to.
  template <typename Visit>
  void ForEachReturn(uint32_t node, Visit visit) const {
    for (uint32_t r = nodes_[node].first_return; r != 0; r = returns_[r].next) {
      visit(returns_[r].state, payloads_[returns_[r].payload], returns_[r].node);
    }
  }

  // Everything made after Mark() is dropped by Truncate(): used to look ahead.
  struct Mark {
    size_t nodes, returns, payloads, extras, text;
  };
  Mark GetMark() const { return {nodes_.size(), returns_.size(), payloads_.size(), extras_.size(), text_.size()}; }
  void Truncate(const Mark& mark);

  // Keeps only what these sets reach, and renumbers them.
  void Collect(const std::vector<ConfigSet*>& live);
  size_t num_nodes() const { return nodes_.size(); }
  size_t text_size() const { return text_.size(); }
  void TruncateText(size_t size) {
    if (size < text_.size()) text_.resize(size);
  }

 private:
  struct Node {
    uint32_t key = 0;  // rule, or frame kind and spec
    uint32_t step = 0;
    uint32_t first_return = 0;  // 0: none
    bool completed = false;     // during its own step
  };
  struct Return {
    uint32_t state, payload, node, next;
  };
  struct Item {
    uint32_t state, payload, node;
    bool operator==(const Item&) const = default;
  };
  struct ExtraKey {
    uint32_t previous;
    std::u32string text;
  };

  void BeginStep();
  void Visit(uint32_t state, uint32_t payload, uint32_t node);
  void RunClosure(ConfigSet& out);
  void FollowEdge(uint32_t edge, const Item& item, ConfigSet& out);
  void Complete(uint32_t node, ConfigSet& out);
  void Enter(uint32_t key, uint32_t start_state, uint32_t start_payload, const Item& back);
  void AddReturn(uint32_t node, uint32_t state, uint32_t payload, uint32_t back);
  void EnterFrame(const Edge& edge, const Item& item);
  void EnterItems(const Edge& edge, const Item& item);
  void EnterSetValues(const Edge& edge, const Item& item, const Payload& payload);
  void AddConfig(const Config& config, ConfigSet& out);
  uint32_t AddPayload(Payload payload);

  void StepKey(const Config& config, uint8_t byte, ConfigSet& out);
  bool KeyCanGoOn(const Config& config, const ObjectSpec& spec, uint32_t q, uint32_t name_node, uint32_t decoder) const;
  bool SomeWordIsFree(const Config& config, const ObjectSpec& spec, uint32_t q) const;
  bool IsExtra(const Payload& payload, const std::u32string& text) const;
  void AddMember(const Config& config, const std::vector<std::vector<uint32_t>>& rules, uint32_t index, uint32_t name,
                 uint32_t extra);

  const Program* program_;
  bool overflowed_ = false;
  uint32_t step_ = 0;
  size_t step_nodes_ = 0;     // first node of this step
  size_t step_payloads_ = 0;  // first payload of this step
  std::vector<Node> nodes_;
  std::vector<Return> returns_;
  std::vector<Payload> payloads_;
  std::vector<ExtraKey> extras_;
  std::string text_;         // what was consumed, where the program needs it
  std::vector<Item> items_;  // visited in this step; also the work list
  size_t next_item_ = 0;
};

}  // namespace millrace::grammar
