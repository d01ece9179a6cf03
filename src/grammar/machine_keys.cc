#include <algorithm>
#include <utility>

#include "grammar/machine.h"

namespace millrace::grammar {

std::u32string Machine::KeyText(const Config& config) const {
  std::u32string text;
  uint32_t decoder = 0;
  for (size_t i = config.start; i < text_.size(); ++i) {
    const DecodeStep step = DecodeByte(TextEncoding::kJsonString, decoder, static_cast<uint8_t>(text_[i]));
    decoder = step.state;
    if (step.kind == DecodeStep::kChar) text += static_cast<char32_t>(step.c);
    if (step.kind == DecodeStep::kClose) break;
  }
  return text;
}

std::vector<const std::u32string*> Machine::ExtraKeys(const Config& config) const {
  std::vector<const std::u32string*> keys;
  for (uint32_t e = payloads_[config.payload].extra; e != 0; e = extras_[e].previous) {
    if (e == kUnknownKey) break;
    keys.push_back(&extras_[e].text);
  }
  return keys;
}

bool Machine::IsExtra(const Payload& payload, const std::u32string& text) const {
  for (uint32_t e = payload.extra; e != 0; e = extras_[e].previous) {
    // A key that a look-ahead passed over: nothing can be said, and shorter tokens reach the same text.
    if (e == kUnknownKey || extras_[e].text == text) return true;
  }
  return false;
}

bool Machine::SomeWordIsFree(const Config& config, const ObjectSpec& spec, uint32_t q) const {
  const Dfa& dfa = *program_->terminals[spec.key_terminal].dfa;
  const std::u32string prefix = KeyText(config);
  const Payload& payload = payloads_[config.payload];
  std::vector<std::pair<uint32_t, std::u32string>> work = {{q, prefix}};
  while (!work.empty()) {
    const auto [state, text] = std::move(work.back());
    work.pop_back();
    if (dfa.accepting[state]) {
      uint32_t node = 0;
      for (size_t i = 0; i < text.size() && node != kNoState; ++i) node = spec.names.Child(node, text[i]);
      const bool is_name = node != kNoState && spec.names.nodes[node].name != kNoRule;
      if (!is_name && !IsExtra(payload, text)) return true;
    }
    const Alphabet& alphabet = dfa.alphabet;
    for (size_t i = 0; i < alphabet.starts.size(); ++i) {
      const uint32_t target = dfa.next[state * alphabet.num_classes + alphabet.classes[i]];
      if (target == kNoState) continue;
      const uint32_t last = i + 1 < alphabet.starts.size() ? alphabet.starts[i + 1] - 1 : kMaxCodePoint;
      for (uint32_t c = alphabet.starts[i]; c <= last && work.size() < 100'000; ++c) {
        work.emplace_back(target, text + static_cast<char32_t>(c));
      }
    }
  }
  return false;
}

bool Machine::KeyCanGoOn(const Config& config, const ObjectSpec& spec, uint32_t q, uint32_t name_node,
                         uint32_t decoder) const {
  const Payload& payload = payloads_[config.payload];
  if (name_node != kNoState) {
    const NameTrie::Node& node = spec.names.nodes[name_node];
    if (decoder == 0) {
      if (AnyNameAvailable(spec, payload, node.first, node.last)) return true;
    } else {
      const PartialRange partial = RangeOf(decoder);
      for (uint32_t i = node.first_child; i < node.first_child + node.num_children; ++i) {
        const NameTrie::Node& child = spec.names.nodes[i];
        for (int r = 0; r < partial.count; ++r) {
          if (child.c < partial.ranges[r].first || child.c > partial.ranges[r].last) continue;
          if (AnyNameAvailable(spec, payload, child.first, child.last)) return true;
        }
      }
    }
  }
  if (q == kNoState) return false;
  const Terminal& terminal = program_->terminals[spec.key_terminal];
  if (decoder != 0 && !CanBecomeLive(*terminal.dfa, q, decoder)) return false;
  return terminal.finite.empty() || !terminal.finite[q] || SomeWordIsFree(config, spec, q);
}

void Machine::StepKey(const Config& config, uint8_t byte, ConfigSet& out) {
  const ObjectSpec& spec = ObjectOf(config);
  const DecodeStep step = DecodeByte(TextEncoding::kJsonString, config.lex.decoder, byte);
  Config next = config;
  next.lex.decoder = step.state;
  const Dfa* others = config.lex.q == kNoState ? nullptr : program_->terminals[spec.key_terminal].dfa.get();
  if (step.kind == DecodeStep::kPartial) {
    if (KeyCanGoOn(config, spec, config.lex.q, config.lex.count, step.state)) AddConfig(next, out);
  } else if (step.kind == DecodeStep::kChar) {
    if (others != nullptr) next.lex.q = others->Next(config.lex.q, step.c);
    if (next.lex.count != kNoState) next.lex.count = spec.names.Child(next.lex.count, step.c);
    if (KeyCanGoOn(next, spec, next.lex.q, next.lex.count, 0)) AddConfig(next, out);
  } else if (step.kind == DecodeStep::kClose) {
    const uint32_t name = config.lex.count == kNoState ? kNoRule : spec.names.nodes[config.lex.count].name;
    if (name != kNoRule) {
      if (NameAvailable(spec, payloads_[config.payload], name)) AddMember(config, spec.name_rules, name, name, 0);
    } else if (others != nullptr && others->accepting[config.lex.q]) {
      std::u32string text = KeyText(config);
      if (IsExtra(payloads_[config.payload], text)) return;
      extras_.push_back({payloads_[config.payload].extra, std::move(text)});
      const auto& labels = program_->terminals[spec.key_terminal].labels;
      AddMember(config, spec.class_rules, labels.empty() ? 0 : labels[config.lex.q], kNoRule,
                static_cast<uint32_t>(extras_.size() - 1));
    }
  }
}

void Machine::AddMember(const Config& config, const std::vector<std::vector<uint32_t>>& rules, uint32_t index,
                        uint32_t name, uint32_t extra) {
  const ObjectSpec& spec = ObjectOf(config);
  const Payload base = payloads_[config.payload];
  for (uint32_t claims = 0; claims < (1u << spec.num_claims); ++claims) {
    if ((claims & base.claims) != 0) continue;  // already met
    const uint32_t rule = rules[claims][index];
    if (rule == kNoRule && !spec.is_set) continue;
    Payload next = base;
    next.claims |= claims;
    next.pending_rule = rule;
    if (base.count < UINT32_MAX) ++next.count;
    if (extra != 0) next.extra = extra;
    if (name != kNoRule) {
      next.seen[name / 64] |= uint64_t{1} << (name % 64);
      next.required_seen += (spec.required[name / 64] >> (name % 64)) & 1;
    }
    if (ClaimsReachable(spec, next)) Visit(EdgeOf(config).next, AddPayload(std::move(next)), config.node);
  }
}

}  // namespace millrace::grammar
