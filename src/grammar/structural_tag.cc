#include "grammar/structural_tag.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace millrace::grammar {
namespace {

constexpr size_t kMaxTags = 1024;
constexpr size_t kMaxTriggerBytes = 4096;

// Aho and Corasick's automaton over bytes. State s has read the longest suffix of the text that begins a trigger.
struct TriggerAutomaton {
  Alphabet alphabet;
  std::vector<uint32_t> next;      // [state, class]
  std::vector<uint32_t> matched;   // per state: the trigger that ends here, kNoState for none
};

TriggerAutomaton BuildTriggers(const std::vector<std::string>& triggers) {
  TriggerAutomaton out;
  std::vector<uint8_t> used(256, 0);
  for (const std::string& t : triggers) {
    for (char c : t) used[static_cast<uint8_t>(c)] = 1;
  }
  out.alphabet.starts.clear();
  out.alphabet.classes.clear();
  uint16_t classes = 1;
  for (uint32_t c = 0; c <= 256; ++c) {
    const bool is_used = c < 256 && used[c];
    if (!is_used && !out.alphabet.classes.empty() && out.alphabet.classes.back() == 0) continue;
    out.alphabet.starts.push_back(c);
    out.alphabet.classes.push_back(is_used ? classes++ : 0);
  }
  out.alphabet.num_classes = classes;
  out.alphabet.FillAscii();
  auto add_state = [&] {
    out.next.insert(out.next.end(), classes, kNoState);
    out.matched.push_back(kNoState);
    return static_cast<uint32_t>(out.matched.size() - 1);
  };
  add_state();
  for (uint32_t t = 0; t < triggers.size(); ++t) {
    uint32_t state = 0;
    for (char c : triggers[t]) {
      const size_t slot = state * classes + out.alphabet.ClassOf(static_cast<uint8_t>(c));
      if (out.next[slot] == kNoState) {
        const uint32_t added = add_state();
        out.next[slot] = added;
      }
      state = out.next[slot];
    }
    if (out.matched[state] == kNoState) out.matched[state] = t;
  }
  std::vector<uint32_t> fallback(out.matched.size(), 0);
  std::deque<uint32_t> queue = {0};
  while (!queue.empty()) {
    const uint32_t s = queue.front();
    queue.pop_front();
    if (out.matched[s] == kNoState) out.matched[s] = out.matched[fallback[s]];
    for (uint32_t c = 0; c < classes; ++c) {
      uint32_t& target = out.next[s * classes + c];
      const uint32_t beyond = s == 0 ? 0 : out.next[fallback[s] * classes + c];
      if (target == kNoState) {
        target = beyond;
      } else {
        fallback[target] = beyond;
        queue.push_back(target);
      }
    }
  }
  return out;
}

// Texts in which no trigger occurs (trigger == kNoState), or whose first trigger is this one and ends the text.
Terminal FreeText(const TriggerAutomaton& automaton, uint32_t trigger) {
  Dfa dfa;
  dfa.alphabet = automaton.alphabet;
  const uint32_t k = automaton.alphabet.num_classes;
  for (uint32_t s = 0; s < automaton.matched.size(); ++s) {
    const uint32_t matched = automaton.matched[s];
    dfa.accepting.push_back(matched == trigger);
    for (uint32_t c = 0; c < k; ++c) dfa.next.push_back(matched == kNoState ? automaton.next[s * k + c] : kNoState);
  }
  return {.dfa = std::make_shared<const Dfa>(TrimAndMinimize(std::move(dfa))), .encoding = TextEncoding::kBytes};
}

class TagBuilder {
 public:
  TagBuilder(const StructuralTags& tags, const GrammarVocabulary& vocabulary, ProgramBuilder& builder)
      : tags_(tags), vocabulary_(vocabulary), builder_(builder) {}

  Result<uint32_t> Run() {
    RETURN_IF_ERROR(Check());
    const uint32_t rule = builder_.AddRule(), start = builder_.StartOf(rule);
    const uint32_t end = builder_.AddState(true);
    const uint32_t after = builder_.AddState();  // a tag has been read
    for (const uint32_t from : {start, after}) {
      if (from == after && tags_.stop_after_first) break;
      RETURN_IF_ERROR(AddTagsFrom(from, after));
      if (from == start && tags_.at_least_one) continue;
      builder_.AddEdge(from, EdgeKind::kEpsilon, 0, end);
      if (tags_.free_text) builder_.AddEdge(from, EdgeKind::kTerminal, free_terminal_, end);
    }
    if (tags_.stop_after_first) builder_.AddEdge(after, EdgeKind::kEpsilon, 0, end);
    return rule;
  }

 private:
  Status Check() {
    if (tags_.tags.empty()) return InvalidArgument("structural tags: expected at least one tag");
    if (tags_.tags.size() > kMaxTags) return Unsupported("structural tags: more than {} tags", kMaxTags);
    size_t bytes = 0;
    for (const std::string& trigger : tags_.triggers) {
      if (trigger.empty()) return InvalidArgument("structural tags: a trigger is empty");
      bytes += trigger.size();
    }
    if (bytes > kMaxTriggerBytes) return Unsupported("structural tags: triggers beyond {} bytes", kMaxTriggerBytes);
    for (const StructuralTag& tag : tags_.tags) {
      if (tag.begin.empty()) return InvalidArgument("structural tags: a tag has no begin");
      if (tags_.free_text && !vocabulary_.FindControl(tag.begin) && TriggerOf(tag) == kNoState) {
        return InvalidArgument("structural tags: the begin \"{}\" starts with none of the triggers", tag.begin);
      }
    }
    automaton_ = BuildTriggers(tags_.triggers);
    free_terminal_ = builder_.AddTerminal(FreeText(automaton_, kNoState));
    for (uint32_t t = 0; t < tags_.triggers.size(); ++t) {
      trigger_terminals_.push_back(builder_.AddTerminal(FreeText(automaton_, t)));
    }
    for (const StructuralTag& tag : tags_.tags) {
      ASSIGN_OR_RETURN(uint32_t content, AddGrammar(tag.kind, tag.content, vocabulary_, builder_));
      contents_.push_back(content);
    }
    return OkStatus();
  }

  uint32_t TriggerOf(const StructuralTag& tag) const {
    for (uint32_t t = 0; t < tags_.triggers.size(); ++t) {
      if (tag.begin.starts_with(tags_.triggers[t])) return t;
    }
    return kNoState;
  }

  Status AddTagsFrom(uint32_t from, uint32_t after) {
    std::vector<uint32_t> triggered(tags_.triggers.size(), kNoState);
    for (size_t i = 0; i < tags_.tags.size(); ++i) {
      const StructuralTag& tag = tags_.tags[i];
      const uint32_t content = builder_.AddState(), close = builder_.AddState();
      if (!tags_.free_text || vocabulary_.FindControl(tag.begin)) {
        uint32_t before = from;
        if (tags_.free_text) {
          before = builder_.AddState();
          builder_.AddEdge(from, EdgeKind::kEpsilon, 0, before);
          builder_.AddEdge(from, EdgeKind::kTerminal, free_terminal_, before);
        }
        RETURN_IF_ERROR(AddText(tag.begin, before, content));
      } else {
        const uint32_t t = TriggerOf(tag);
        if (triggered[t] == kNoState) {
          triggered[t] = builder_.AddState();
          builder_.AddEdge(from, EdgeKind::kTerminal, trigger_terminals_[t], triggered[t]);
        }
        RETURN_IF_ERROR(AddText(tag.begin.substr(tags_.triggers[t].size()), triggered[t], content));
      }
      builder_.AddEdge(content, EdgeKind::kCall, contents_[i], close);
      RETURN_IF_ERROR(AddText(tag.end, close, after));
    }
    return OkStatus();
  }

  // A fixed text, or the control token that is spelled like it.
  Status AddText(const std::string& text, uint32_t from, uint32_t to) {
    if (text.empty()) {
      builder_.AddEdge(from, EdgeKind::kEpsilon, 0, to);
      return OkStatus();
    }
    if (const auto token = vocabulary_.FindControl(text)) {
      builder_.AddEdge(from, EdgeKind::kToken, static_cast<uint32_t>(*token), to);
      return OkStatus();
    }
    ASSIGN_OR_RETURN(std::u32string decoded, DecodeUtf8(text));
    ASSIGN_OR_RETURN(uint32_t terminal, builder_.AddLiteral(decoded));
    builder_.AddEdge(from, EdgeKind::kTerminal, terminal, to);
    return OkStatus();
  }

  const StructuralTags& tags_;
  const GrammarVocabulary& vocabulary_;
  ProgramBuilder& builder_;
  TriggerAutomaton automaton_;
  uint32_t free_terminal_ = 0;
  std::vector<uint32_t> trigger_terminals_;
  std::vector<uint32_t> contents_;
};

}  // namespace

Result<uint32_t> AddStructuralTags(const StructuralTags& tags, const GrammarVocabulary& vocabulary,
                                   ProgramBuilder& builder) {
  return TagBuilder(tags, vocabulary, builder).Run();
}

}  // namespace millrace::grammar
