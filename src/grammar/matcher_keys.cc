#include <algorithm>
#include <utility>

#include "grammar/grammar.h"

namespace millrace::grammar {
namespace {

// Whether a partial character can become one that continues the trie.
bool CanContinue(const NameTrie& names, uint32_t node, uint32_t decoder) {
  const PartialRange partial = RangeOf(decoder);
  const NameTrie::Node& n = names.nodes[node];
  for (uint32_t i = n.first_child; i < n.first_child + n.num_children; ++i) {
    for (int r = 0; r < partial.count; ++r) {
      if (names.nodes[i].c >= partial.ranges[r].first && names.nodes[i].c <= partial.ranges[r].last) return true;
    }
  }
  return false;
}

}  // namespace

void GrammarMatcher::RemoveKeys(const NameTrie& names, uint32_t node, uint32_t decoder,
                                std::span<uint32_t> mask) const {
  struct Position {
    uint32_t node, decoder;
  };
  const TokenTrie& trie = grammar_->vocabulary().trie();
  std::vector<Position> path = {{node, decoder}};
  for (uint32_t i = 1; i < trie.num_nodes();) {
    const TokenTrie::Node& t = trie.node(i);
    path.resize(t.depth);
    const Position from = path.back();
    const DecodeStep step = DecodeByte(TextEncoding::kJsonString, from.decoder, t.byte);
    Position to{from.node, step.state};
    bool go_on = false;
    if (step.kind == DecodeStep::kPartial) {
      go_on = CanContinue(names, from.node, step.state);
    } else if (step.kind == DecodeStep::kChar) {
      to.node = names.Child(from.node, step.c);
      go_on = to.node != kNoState;
    } else if (step.kind == DecodeStep::kClose && names.nodes[from.node].name != kNoRule) {
      for (TokenId id : trie.TokensBelow(i)) mask[static_cast<size_t>(id) / 32] &= ~(1u << (id % 32));
    }
    if (go_on) path.push_back(to);
    i = go_on ? i + 1 : t.end;
  }
}

void GrammarMatcher::FillKey(const Config& config, std::span<uint32_t> mask) {
  const ObjectSpec& spec = machine_.ObjectOf(config);
  ConfigSet names_only;
  if (config.lex.count != kNoState) {
    names_only.configs.push_back(config);
    names_only.configs[0].lex.q = kNoState;
  }
  if (config.lex.q == kNoState) return WalkTrie(grammar_->vocabulary().trie(), 0, names_only, mask);

  // Every key of the class first, then without the names and the keys that were there already, then the names that may
  // come.
  scratch_mask_.assign(mask.size(), 0);
  const std::span<uint32_t> keys(scratch_mask_);
  const auto local = grammar_->MaskOf(spec.key_terminal, {config.lex.q, config.lex.decoder, 0});
  for (size_t w = 0; w < local->bits.size(); ++w) keys[w] |= local->bits[w];
  for (TokenId id : local->ids) keys[static_cast<size_t>(id) / 32] |= 1u << (id % 32);
  FillExits(config, *local, keys);
  if (config.lex.count != kNoState) RemoveKeys(spec.names, config.lex.count, config.lex.decoder, keys);
  std::vector<std::u32string> rest;
  const std::u32string text = machine_.KeyText(config);
  for (const std::u32string* key : machine_.ExtraKeys(config)) {
    if (key->starts_with(text)) rest.push_back(key->substr(text.size()));
  }
  if (!rest.empty()) {
    std::sort(rest.begin(), rest.end());
    RemoveKeys(NameTrie::Build(rest), 0, config.lex.decoder, keys);
  }
  if (!local->finite_ids.empty()) RecheckFinite(config, local->finite_ids, keys);
  WalkTrie(grammar_->vocabulary().trie(), 0, names_only, keys);
  for (size_t w = 0; w < mask.size(); ++w) mask[w] |= keys[w];
}

void GrammarMatcher::RecheckFinite(const Config& config, std::span<const TokenId> ids, std::span<uint32_t> mask) {
  ConfigSet sets[2];
  for (TokenId id : ids) {
    const Machine::Mark mark = machine_.GetMark();
    sets[0].configs.assign(1, config);
    int from = 0;
    for (char byte : grammar_->vocabulary().BytesOf(id)) {
      machine_.Step(sets[from], static_cast<uint8_t>(byte), sets[1 - from]);
      from = 1 - from;
      if (sets[from].empty()) break;
    }
    if (sets[from].empty()) mask[static_cast<size_t>(id) / 32] &= ~(1u << (id % 32));
    machine_.Truncate(mark);
  }
}

}  // namespace millrace::grammar
