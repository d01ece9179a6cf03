#include "grammar/structural_tag.h"

#include <optional>

#include "grammar/free_text.h"

namespace millrace::grammar {
namespace {

constexpr size_t kMaxTags = 1024;
constexpr size_t kMaxTriggerBytes = 4096;

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
    const FreeText free_text(tags_.triggers);
    free_terminal_ = builder_.AddTerminal(free_text.WithoutTriggers(builder_.budget()));
    for (uint32_t t = 0; t < tags_.triggers.size(); ++t) {
      trigger_terminals_.push_back(builder_.AddTerminal(free_text.UpTo(t, builder_.budget())));
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
