#include "grammar/machine.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace millrace::grammar {
namespace {

constexpr uint32_t kRootNode = 0;
// Frames are told from rules by the top bits of a node's key.
uint32_t FrameKey(EdgeKind kind, uint32_t spec) {
  return (static_cast<uint32_t>(kind) << 28) | spec;
}

}  // namespace

Machine::Machine(const Program& program) : program_(&program) {
  nodes_.push_back({});
  returns_.push_back({});
  payloads_.push_back({});
  extras_.push_back({});
}

void Machine::BeginStep() {
  ++step_;
  step_nodes_ = nodes_.size();
  step_payloads_ = payloads_.size();
  items_.clear();
  next_item_ = 0;
}

void Machine::Start(ConfigSet& out) {
  out.clear();
  BeginStep();
  Visit(program_->rules[program_->root_rule], 0, kRootNode);
  RunClosure(out);
}

void Machine::Step(const ConfigSet& in, uint8_t byte, ConfigSet& out) {
  out.clear();
  BeginStep();
  if (program_->keeps_text) text_ += static_cast<char>(byte);
  for (const Config& config : in.configs) {
    const Edge& edge = program_->edges[config.edge];
    if (edge.kind == EdgeKind::kKey) {
      StepKey(config, byte, out);
      continue;
    }
    if (edge.kind == EdgeKind::kAnything) {
      AddConfig(config, out);
      Visit(edge.next, config.payload, config.node);
      continue;
    }
    if (edge.kind != EdgeKind::kTerminal) continue;
    const Terminal& terminal = program_->terminals[edge.arg];
    Config next = config;
    if (!terminal.Step(next.lex, byte)) continue;
    if (!terminal.Accepts(next.lex)) {
      AddConfig(next, out);
      continue;
    }
    if (terminal.MayGoOn(next.lex)) AddConfig(next, out);
    Visit(edge.next, config.payload, config.node);
  }
  RunClosure(out);
}

void Machine::StepToken(const ConfigSet& in, TokenId token, ConfigSet& out) {
  out.clear();
  BeginStep();
  for (const Config& config : in.configs) {
    const Edge& edge = program_->edges[config.edge];
    if (edge.kind == EdgeKind::kAnything) AddConfig(config, out);
    if (edge.kind == EdgeKind::kAnything ||
        (edge.kind == EdgeKind::kToken && edge.arg == static_cast<uint32_t>(token))) {
      Visit(edge.next, config.payload, config.node);
    }
  }
  RunClosure(out);
}

void Machine::Leave(const Config& config, uint16_t label, ConfigSet& out) {
  out.clear();
  BeginStep();
  const Edge& edge = EdgeOf(config);
  if (edge.kind == EdgeKind::kKey) {
    AddMember(config, ObjectOf(config).class_rules, label, kNoRule, kUnknownKey);
  } else {
    Visit(edge.next, config.payload, config.node);
  }
  RunClosure(out);
}

void Machine::LeaveName(const Config& config, uint32_t name, ConfigSet& out) {
  out.clear();
  BeginStep();
  AddMember(config, ObjectOf(config).name_rules, name, name, 0);
  RunClosure(out);
}

void Machine::Visit(uint32_t state, uint32_t payload, uint32_t node) {
  const Item item{state, payload, node};
  if (std::find(items_.begin(), items_.end(), item) == items_.end()) items_.push_back(item);
}

void Machine::RunClosure(ConfigSet& out) {
  while (next_item_ < items_.size()) {
    const Item item = items_[next_item_++];
    const State& state = program_->states[item.state];
    if (state.accept) Complete(item.node, out);
    for (uint32_t e = state.first_edge; e < state.first_edge + state.num_edges; ++e) FollowEdge(e, item, out);
  }
}

void Machine::FollowEdge(uint32_t index, const Item& item, ConfigSet& out) {
  const Edge& edge = program_->edges[index];
  switch (edge.kind) {
    case EdgeKind::kEpsilon:
      return Visit(edge.next, item.payload, item.node);
    case EdgeKind::kTerminal:
      return AddConfig({index, program_->terminals[edge.arg].Start(), 0, item.payload, item.node}, out);
    case EdgeKind::kToken:
    case EdgeKind::kAnything:
      return AddConfig({index, {}, 0, item.payload, item.node}, out);
    case EdgeKind::kCall:
      return Enter(edge.arg, program_->rules[edge.arg], 0, {edge.next, item.payload, item.node});
    case EdgeKind::kRepeat:
    case EdgeKind::kObject:
    case EdgeKind::kArray:
    case EdgeKind::kSet:
    case EdgeKind::kValueSet:
      return EnterFrame(edge, item);
    case EdgeKind::kIfMayClose:
      if (MayClose(*program_, payloads_[item.payload])) Visit(edge.next, item.payload, item.node);
      return;
    case EdgeKind::kIfMayAdd:
      if (MayAdd(*program_, payloads_[item.payload])) Visit(edge.next, item.payload, item.node);
      return;
    case EdgeKind::kKey: {
      const Payload& payload = payloads_[item.payload];
      const bool others = OtherKeysAvailable(program_->objects[payload.spec], payload);
      const LexState lex{others ? 0 : kNoState, 0, 0};
      return AddConfig({index, lex, static_cast<uint32_t>(text_.size()), item.payload, item.node}, out);
    }
    case EdgeKind::kMember: {
      const uint32_t rule = payloads_[item.payload].pending_rule;
      return Enter(rule, program_->rules[rule], 0, {edge.next, item.payload, item.node});
    }
    case EdgeKind::kItem:
    case EdgeKind::kBody:
      return EnterItems(edge, item);
  }
}

void Machine::EnterFrame(const Edge& edge, const Item& item) {
  uint32_t start = program_->repeat_start;
  if (edge.kind == EdgeKind::kObject) start = program_->object_start;
  if (edge.kind == EdgeKind::kArray || edge.kind == EdgeKind::kValueSet) start = program_->array_start;
  if (edge.kind == EdgeKind::kSet) start = program_->set_start;
  const uint32_t payload = AddPayload(InitialPayload(*program_, edge.kind, edge.arg));
  Enter(FrameKey(edge.kind, edge.arg), start, payload, {edge.next, item.payload, item.node});
}

void Machine::EnterItems(const Edge& edge, const Item& item) {
  const Payload payload = payloads_[item.payload];
  if (edge.kind == EdgeKind::kBody) {
    // A body that matched nothing in this very step would match nothing again.
    if (payload.count > 0 && payload.step == step_) return;
    const RepeatSpec& spec = program_->repeats[payload.spec];
    Payload next = payload;
    next.count = spec.max == UINT32_MAX ? std::min(payload.count + 1, std::max(spec.min, 1u)) : payload.count + 1;
    return Enter(spec.rule, program_->rules[spec.rule], 0, {edge.next, AddPayload(std::move(next)), item.node});
  }
  if (payload.kind == Payload::kObject) return EnterSetValues(edge, item, payload);
  const ArraySpec& spec = program_->arrays[payload.spec];
  Payload next;
  for (uint32_t combination = 0; combination < (1u << spec.contains.size()); ++combination) {
    if (!NextItem(spec, payload, combination, next)) continue;
    const uint32_t rule = std::exchange(next.pending_rule, 0);
    Enter(rule, program_->rules[rule], 0, {edge.next, AddPayload(std::move(next)), item.node});
  }
}

void Machine::EnterSetValues(const Edge& edge, const Item& item, const Payload& payload) {
  const ObjectSpec& spec = program_->objects[payload.spec];
  for (uint32_t value = 0; value < spec.name_rules[0].size(); ++value) {
    if (!NameAvailable(spec, payload, value)) continue;
    Payload next = payload;
    ++next.count;
    next.seen[value / 64] |= uint64_t{1} << (value % 64);
    const uint32_t rule = spec.name_rules[0][value];
    Enter(rule, program_->rules[rule], 0, {edge.next, AddPayload(std::move(next)), item.node});
  }
}

void Machine::Enter(uint32_t key, uint32_t start_state, uint32_t start_payload, const Item& back) {
  uint32_t node = static_cast<uint32_t>(step_nodes_);
  while (node < nodes_.size() && nodes_[node].key != key) ++node;
  const bool made = node == nodes_.size();
  if (made) nodes_.push_back({.key = key, .step = step_});
  // A call in tail position returns straight to where its caller returns: right recursion then needs no deeper stack.
  const State& next = program_->states[back.state];
  const bool tail = next.accept && next.num_edges == 0 && back.node != kRootNode && nodes_[back.node].step != step_;
  if (tail) {
    for (uint32_t r = nodes_[back.node].first_return; r != 0; r = returns_[r].next) {
      AddReturn(node, returns_[r].state, returns_[r].payload, returns_[r].node);
    }
  } else {
    AddReturn(node, back.state, back.payload, back.node);
  }
  if (made) Visit(start_state, start_payload, node);
}

void Machine::AddReturn(uint32_t node, uint32_t state, uint32_t payload, uint32_t back) {
  for (uint32_t r = nodes_[node].first_return; r != 0; r = returns_[r].next) {
    if (returns_[r].state == state && returns_[r].payload == payload && returns_[r].node == back) return;
  }
  returns_.push_back({state, payload, back, nodes_[node].first_return});
  nodes_[node].first_return = static_cast<uint32_t>(returns_.size() - 1);
  if (nodes_[node].completed) Visit(state, payload, back);
}

void Machine::Complete(uint32_t node, ConfigSet& out) {
  if (node == kRootNode) {
    out.ended = true;
    return;
  }
  if (nodes_[node].step == step_) nodes_[node].completed = true;
  for (uint32_t r = nodes_[node].first_return; r != 0; r = returns_[r].next) {
    Visit(returns_[r].state, returns_[r].payload, returns_[r].node);
  }
}

void Machine::AddConfig(const Config& config, ConfigSet& out) {
  if (std::find(out.configs.begin(), out.configs.end(), config) != out.configs.end()) return;
  if (out.configs.size() >= kMaxConfigs) {
    overflowed_ = true;
  } else {
    out.configs.push_back(config);
  }
}

uint32_t Machine::AddPayload(Payload payload) {
  payload.step = step_;
  for (size_t i = step_payloads_; i < payloads_.size(); ++i) {
    if (payloads_[i].SameAs(payload)) return static_cast<uint32_t>(i);
  }
  payloads_.push_back(std::move(payload));
  return static_cast<uint32_t>(payloads_.size() - 1);
}

void Machine::Truncate(const Mark& mark) {
  nodes_.resize(mark.nodes);
  returns_.resize(mark.returns);
  payloads_.resize(mark.payloads);
  extras_.resize(mark.extras);
  text_.resize(mark.text);
}

void Machine::Collect(const std::vector<ConfigSet*>& live) {
  Machine kept(*program_);
  std::unordered_map<uint32_t, uint32_t> node_ids = {{kRootNode, kRootNode}}, payload_ids = {{0, 0}},
                                         extra_ids = {{0, 0}};
  std::vector<uint32_t> work;
  auto map_payload = [&](uint32_t id) {
    auto [it, inserted] = payload_ids.try_emplace(id, static_cast<uint32_t>(kept.payloads_.size()));
    if (inserted) kept.payloads_.push_back(payloads_[id]);
    return it->second;
  };
  auto map_node = [&](uint32_t id) {
    auto [it, inserted] = node_ids.try_emplace(id, static_cast<uint32_t>(kept.nodes_.size()));
    if (inserted) {
      kept.nodes_.push_back({.key = nodes_[id].key});
      work.push_back(id);
    }
    return it->second;
  };
  for (ConfigSet* set : live) {
    for (Config& config : set->configs) {
      config.payload = map_payload(config.payload);
      config.node = map_node(config.node);
    }
  }
  while (!work.empty()) {
    const uint32_t id = work.back();
    work.pop_back();
    for (uint32_t r = nodes_[id].first_return; r != 0; r = returns_[r].next) {
      const uint32_t payload = map_payload(returns_[r].payload), back = map_node(returns_[r].node);
      kept.AddReturn(node_ids[id], returns_[r].state, payload, back);
    }
  }
  for (size_t i = 1; i < kept.payloads_.size(); ++i) {
    std::vector<uint32_t> chain;
    uint32_t head = kept.payloads_[i].extra;
    while (!extra_ids.contains(head)) {
      chain.push_back(head);
      head = extras_[head].previous;
    }
    for (; !chain.empty(); chain.pop_back()) {
      kept.extras_.push_back({extra_ids[extras_[chain.back()].previous], extras_[chain.back()].text});
      extra_ids[chain.back()] = static_cast<uint32_t>(kept.extras_.size() - 1);
    }
    kept.payloads_[i].extra = extra_ids[kept.payloads_[i].extra];
  }
  kept.overflowed_ = overflowed_;
  kept.step_ = step_;
  kept.text_ = std::move(text_);
  *this = std::move(kept);
}

}  // namespace millrace::grammar
