#include "grammar/structure.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "grammar/free_text.h"
#include "grammar/regex.h"
#include "grammar/schema_compiler.h"
#include "grammar/structural_tag.h"

namespace millrace::grammar {
namespace {

using Kind = Structure::Kind;

constexpr int kMaxStructureDepth = 64;
constexpr size_t kMaxStopBytes = 4096;
constexpr size_t kMaxControlBytes = 64;

std::string EscapeRegex(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (std::string_view("\\^$.|?*+()[]{}/").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

class StructureBuilder {
 public:
  StructureBuilder(const GrammarVocabulary& vocabulary, ProgramBuilder& builder)
      : vocabulary_(vocabulary), builder_(builder) {}

  Status Add(const Structure& part, uint32_t from, uint32_t to, int depth) {
    if (depth > kMaxStructureDepth) return Unsupported("a structure nests deeper than {}", kMaxStructureDepth);
    if (!builder_.budget().Charge(sizeof(State) + sizeof(Edge))) return builder_.budget().Error();
    switch (part.kind) {
      case Kind::kText:
        return AddText(part.text, from, to);
      case Kind::kGrammar: {
        // The same grammar in several places is one rule.
        const auto [known, is_new] = rules_.try_emplace({part.notation, part.text}, 0);
        if (is_new) {
          ASSIGN_OR_RETURN(known->second, AddGrammar(part.notation, part.text, vocabulary_, builder_));
        }
        builder_.AddEdge(from, EdgeKind::kCall, known->second, to);
        return OkStatus();
      }
      case Kind::kSequence:
        return AddSequence(part, from, to, depth);
      case Kind::kChoice:
        for (const Structure& child : part.children) RETURN_IF_ERROR(Add(child, from, to, depth + 1));
        return OkStatus();
      case Kind::kMany: {
        const uint32_t loop = builder_.AddState();
        builder_.AddEdge(from, EdgeKind::kEpsilon, 0, loop);
        builder_.AddEdge(loop, EdgeKind::kEpsilon, 0, to);
        return Add(part.children.at(0), loop, loop, depth + 1);
      }
      case Kind::kFree:
        return AddFree(part.stops, from, to);
      case Kind::kUntil:
        return AddUntil(part, from, to, depth);
      case Kind::kString:
        return AddString(part, from, to);
      case Kind::kAnything:
        builder_.AddEdge(from, EdgeKind::kEpsilon, 0, to);
        builder_.AddEdge(from, EdgeKind::kAnything, 0, to);
        return OkStatus();
    }
    return Internal("unknown kind of structure");
  }

 private:
  Status AddSequence(const Structure& part, uint32_t from, uint32_t to, int depth) {
    if (part.children.empty()) builder_.AddEdge(from, EdgeKind::kEpsilon, 0, to);
    for (size_t i = 0; i < part.children.size(); ++i) {
      const uint32_t next = i + 1 == part.children.size() ? to : builder_.AddState();
      RETURN_IF_ERROR(Add(part.children[i], from, next, depth + 1));
      from = next;
    }
    return OkStatus();
  }

  // The first control token that a text spells: where, how long, which.
  struct Control {
    size_t at = std::string::npos;
    size_t size = 0;
    TokenId id = -1;
  };
  Control FindControl(std::string_view text) const {
    for (size_t at = 0; at < text.size(); ++at) {
      for (size_t size = std::min(kMaxControlBytes, text.size() - at); size > 1; --size) {
        if (const auto id = vocabulary_.FindControl(text.substr(at, size))) return {at, size, *id};
      }
    }
    return {};
  }

  Status AddText(std::string_view text, uint32_t from, uint32_t to) {
    const Control control = FindControl(text);
    const std::string_view plain = text.substr(0, control.at);
    if (control.id < 0) return AddPlain(plain, from, to);
    const uint32_t before = builder_.AddState(), after = builder_.AddState();
    RETURN_IF_ERROR(AddPlain(plain, from, before));
    builder_.AddEdge(before, EdgeKind::kToken, static_cast<uint32_t>(control.id), after);
    return AddText(text.substr(control.at + control.size), after, to);
  }

  Status AddPlain(std::string_view text, uint32_t from, uint32_t to) {
    if (text.empty()) {
      builder_.AddEdge(from, EdgeKind::kEpsilon, 0, to);
      return OkStatus();
    }
    ASSIGN_OR_RETURN(const std::u32string decoded, DecodeUtf8(text));
    ASSIGN_OR_RETURN(const uint32_t terminal, builder_.AddLiteral(decoded));
    builder_.AddEdge(from, EdgeKind::kTerminal, terminal, to);
    return OkStatus();
  }

  Status CheckStops(const std::vector<std::string>& stops) const {
    size_t bytes = 0;
    for (const std::string& stop : stops) {
      if (stop.empty()) return InvalidArgument("a stop of free text is empty");
      bytes += stop.size();
    }
    return bytes <= kMaxStopBytes
               ? OkStatus()
               : Unsupported("stops of free text of {} bytes, expected at most {}", bytes, kMaxStopBytes);
  }

  // Stops that begin with a control token can't occur in text at all.
  std::vector<std::string> TextStops(const std::vector<std::string>& stops) const {
    std::vector<std::string> text;
    for (const std::string& stop : stops) {
      const Control control = FindControl(stop);
      if (control.at != 0) text.push_back(stop.substr(0, control.at));
    }
    return text;
  }

  Status AddFree(const std::vector<std::string>& stops, uint32_t from, uint32_t to) {
    RETURN_IF_ERROR(CheckStops(stops));
    builder_.AddEdge(from, EdgeKind::kEpsilon, 0, to);
    builder_.AddEdge(from, EdgeKind::kTerminal,
                     builder_.AddTerminal(FreeText(TextStops(stops), true).WithoutTriggers(builder_.budget())), to);
    return OkStatus();
  }

  Status AddUntil(const Structure& part, uint32_t from, uint32_t to, int depth) {
    CHECK_LE(part.children.size(), part.stops.size());
    RETURN_IF_ERROR(CheckStops(part.stops));
    const std::vector<std::string> texts = TextStops(part.stops);
    const FreeText free_text(texts, true);
    const uint32_t before = builder_.AddState(), begin = builder_.AddState();  // a control token follows `before`
    builder_.AddEdge(from, EdgeKind::kEpsilon, 0, begin);
    builder_.AddEdge(begin, EdgeKind::kEpsilon, 0, before);
    builder_.AddEdge(begin, EdgeKind::kTerminal, builder_.AddTerminal(free_text.WithoutTriggers(builder_.budget())),
                     before);
    uint32_t next_text = 0;
    for (size_t i = 0; i < part.children.size(); ++i) {
      const std::string& stop = part.stops[i];
      const Control control = FindControl(stop);
      const uint32_t after = builder_.AddState();
      if (control.at == 0) {
        RETURN_IF_ERROR(AddText(stop, before, after));
      } else {
        const uint32_t read = builder_.AddState();
        builder_.AddEdge(begin, EdgeKind::kTerminal, builder_.AddTerminal(free_text.UpTo(next_text, builder_.budget())),
                         read);
        RETURN_IF_ERROR(AddText(std::string_view(stop).substr(texts[next_text].size()), read, after));
        ++next_text;
      }
      if (part.budget_tokens >= 0) RETURN_IF_ERROR(AddDeadline(part, begin, after));
      RETURN_IF_ERROR(Add(part.children[i], after, to, depth + 1));
    }
    return OkStatus();
  }

  Status AddString(const Structure& part, uint32_t from, uint32_t to) {
    ASSIGN_OR_RETURN(DfaPtr strings, CompileSchemaStrings(part.text, vocabulary_, builder_.budget()));
    std::vector<DfaPtr> excluded;
    for (const std::string& stop : TextStops(part.stops)) {
      ASSIGN_OR_RETURN(DfaPtr has_stop, CompileRegex(EscapeRegex(stop), RegexMode::kSearch, builder_.budget()));
      excluded.push_back(std::move(has_stop));
    }
    if (!part.not_matching.empty()) {
      ASSIGN_OR_RETURN(DfaPtr matching, CompileRegex(part.not_matching, RegexMode::kSearch, builder_.budget()));
      excluded.push_back(std::move(matching));
    }
    for (const DfaPtr& dfa : excluded) {
      ASSIGN_OR_RETURN(strings, SubtractDfa(*strings, *dfa, builder_.budget()));
    }
    if (strings->empty()) return InvalidArgument("the schema allows no string");
    if (strings->accepting[0]) builder_.AddEdge(from, EdgeKind::kEpsilon, 0, to);
    if (strings->CanStep(0))
      builder_.AddEdge(from, EdgeKind::kTerminal, builder_.AddTerminal({.dfa = std::move(strings)}), to);
    return OkStatus();
  }

  Status AddDeadline(const Structure& part, uint32_t begin, uint32_t after) {
    Deadline& deadline = builder_.program().deadline;
    CHECK(part.stops.size() == 1 && deadline.tokens < 0, "one budget with one stop");
    deadline.tokens = part.budget_tokens;
    deadline.state = begin;
    deadline.exit = builder_.AddState();
    return AddText(part.stops[0], deadline.exit, after);
  }

  const GrammarVocabulary& vocabulary_;
  ProgramBuilder& builder_;
  std::map<std::pair<GrammarKind, std::string>, uint32_t> rules_;
};

}  // namespace

Structure Text(std::string text) {
  return {.kind = Kind::kText, .text = std::move(text)};
}
Structure InGrammar(GrammarKind notation, std::string text) {
  return {.kind = Kind::kGrammar, .text = std::move(text), .notation = notation};
}
Structure Sequence(std::vector<Structure> children) {
  return {.kind = Kind::kSequence, .children = std::move(children)};
}
Structure Choice(std::vector<Structure> children) {
  return {.kind = Kind::kChoice, .children = std::move(children)};
}
Structure Many(Structure child) {
  return {.kind = Kind::kMany, .children = {std::move(child)}};
}
Structure Optional(Structure child) {
  return Choice({std::move(child), Sequence({})});
}
Structure Free(std::vector<std::string> stops) {
  return {.kind = Kind::kFree, .stops = std::move(stops)};
}
Structure RawString(std::string schema, std::vector<std::string> stops, std::string not_matching) {
  return {.kind = Kind::kString,
          .text = std::move(schema),
          .stops = std::move(stops),
          .not_matching = std::move(not_matching)};
}
Structure Until(std::vector<std::string> stops, std::vector<Structure> children) {
  return {.kind = Kind::kUntil, .stops = std::move(stops), .children = std::move(children)};
}
Structure Anything() {
  return {.kind = Kind::kAnything};
}

Result<uint32_t> AddStructure(const Structure& structure, const GrammarVocabulary& vocabulary,
                              ProgramBuilder& builder) {
  const uint32_t rule = builder.AddRule();
  RETURN_IF_ERROR(
      StructureBuilder(vocabulary, builder).Add(structure, builder.StartOf(rule), builder.AddState(true), 0));
  return rule;
}

}  // namespace millrace::grammar
