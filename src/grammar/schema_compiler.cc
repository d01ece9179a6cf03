#include "grammar/schema_compiler.h"

#include <algorithm>

#include "grammar/grammar.h"
#include "grammar/regex.h"

namespace millrace::grammar {
namespace {

constexpr size_t kMaxSetValues = 1000;
// An object with more unknown keys than this can run out of a finite class unnoticed.
constexpr uint64_t kMaxWatchedKeys = 4096;

void SetBit(std::vector<uint64_t>& bits, size_t i) {
  bits[i / 64] |= uint64_t{1} << (i % 64);
}

std::string JsonTextOf(const std::u32string& text) {
  std::string out = "\"";
  for (char32_t c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      AppendUtf8(c, out);
    }
  }
  return out + "\"";
}

}  // namespace

Result<uint32_t> SchemaCompiler::Run() {
  if (!values_.Possible(0)) return InvalidArgument("the schema allows no value at all");
  RETURN_IF_ERROR(builder_.AddJsonFrames());
  const uint32_t root = RuleOf(0);
  while (!pending_.empty()) {
    const auto [id, rule] = pending_.back();
    pending_.pop_back();
    RETURN_IF_ERROR(Emit(id, rule));
  }
  return root;
}

uint32_t SchemaCompiler::RuleOf(ValueId id) {
  if (!values_.Possible(id)) return kNoRule;
  auto [it, inserted] = rules_.try_emplace(id, 0);
  if (inserted) {
    it->second = builder_.AddRule();
    pending_.emplace_back(id, it->second);
  }
  return it->second;
}

std::vector<uint32_t> SchemaCompiler::RulesOf(const std::vector<ValueId>& ids) {
  std::vector<uint32_t> rules;
  for (ValueId id : ids) rules.push_back(RuleOf(id));
  return rules;
}

Status SchemaCompiler::Emit(ValueId id, uint32_t rule) {
  const SchemaValue& value = values_.values()[id];
  if (!builder_.budget().Charge(sizeof(State) + sizeof(Edge))) return builder_.budget().Error();
  const uint32_t from = builder_.StartOf(rule), to = builder_.AddState(true);
  RETURN_IF_ERROR(EmitScalars(value, from, to));
  for (const ObjectDraft& draft : value.objects) RETURN_IF_ERROR(EmitObject(draft, from, to));
  for (const ArrayDraft& draft : value.arrays) RETURN_IF_ERROR(EmitArray(draft, from, to));
  return OkStatus();
}

Status SchemaCompiler::EmitScalars(const SchemaValue& value, uint32_t from, uint32_t to) {
  if (value.words != 0) {
    ASSIGN_OR_RETURN(uint32_t terminal, WordsTerminal(value.words));
    builder_.AddEdge(from, EdgeKind::kTerminal, terminal, to);
  }
  if (!value.strings.empty()) {
    ASSIGN_OR_RETURN(uint32_t terminal, StringTerminal(value.strings));
    builder_.AddEdge(from, EdgeKind::kTerminal, terminal, to);
  }
  if (value.numbers.dfa == nullptr || !value.numbers.dfa->empty()) {
    ASSIGN_OR_RETURN(uint32_t terminal, NumberTerminal(value.numbers));
    builder_.AddEdge(from, EdgeKind::kTerminal, terminal, to);
  }
  return OkStatus();
}

Result<uint32_t> SchemaCompiler::WordsTerminal(uint8_t words) {
  auto [it, inserted] = words_terminals_.try_emplace(words, 0);
  if (inserted) {
    std::vector<std::u32string> texts;
    if (words & 1) texts.push_back(U"null");
    if (words & 2) texts.push_back(U"false");
    if (words & 4) texts.push_back(U"true");
    ASSIGN_OR_RETURN(DfaPtr dfa, StringSetDfa(texts, builder_.budget()));
    it->second = builder_.AddTerminal({.dfa = std::move(dfa)});
  }
  return it->second;
}

Result<uint32_t> SchemaCompiler::StringTerminal(const StringLanguage& strings) {
  if (strings.dfa != nullptr) {
    auto [it, inserted] = string_terminals_.try_emplace({strings.dfa.get(), strings.max}, 0);
    if (inserted) {
      it->second = builder_.AddTerminal({.dfa = strings.dfa,
                                         .encoding = TextEncoding::kJsonString,
                                         .counted = strings.max != kNoLimit,
                                         .max_count = strings.max});
    }
    return it->second;
  }
  auto [it, inserted] = counted_terminals_.try_emplace({strings.min, strings.max}, 0);
  if (inserted) {
    it->second = builder_.AddTerminal({.dfa = AnyStringDfa(),
                                       .encoding = TextEncoding::kJsonString,
                                       .counted = !strings.all(),
                                       .min_count = strings.min,
                                       .max_count = strings.max,
                                       .is_any_string = true});
  }
  return it->second;
}

Result<uint32_t> SchemaCompiler::NumberTerminal(const NumberLanguage& numbers) {
  auto [it, inserted] = number_terminals_.try_emplace(numbers.dfa.get(), 0);
  if (inserted) {
    ASSIGN_OR_RETURN(DfaPtr dfa, values_.scalars().Automaton(numbers));
    it->second = builder_.AddTerminal({.dfa = std::move(dfa)});
  }
  return it->second;
}

void SchemaCompiler::EmitObjectSpec(ObjectSpec spec, EdgeKind kind, uint32_t from, uint32_t to) {
  auto& objects = builder_.program().objects;
  objects.push_back(std::move(spec));
  builder_.AddEdge(from, kind, static_cast<uint32_t>(objects.size() - 1), to);
}

Status SchemaCompiler::EmitObject(const ObjectDraft& draft, uint32_t from, uint32_t to) {
  ObjectSpec spec{.min_members = draft.min, .max_members = draft.max, .num_claims = draft.num_claims};
  const size_t words = (draft.names.size() + 63) / 64;
  for (const std::u32string& name : draft.names)
    builder_.budget().Spend(name.size() * 4 + draft.name_values.size() * 8);
  spec.names = NameTrie::Build(draft.names);
  spec.allowed.assign(words, 0);
  spec.required.assign(words, 0);
  for (const auto& values : draft.name_values) spec.name_rules.push_back(RulesOf(values));
  for (size_t n = 0; n < draft.names.size(); ++n) {
    if (spec.name_rules[0][n] != kNoRule) {
      SetBit(spec.allowed, n);
    } else if (draft.required[n]) {
      return OkStatus();  // impossible
    }
    if (draft.required[n]) {
      SetBit(spec.required, n);
      ++spec.num_required;
    }
  }
  for (const auto& values : draft.class_values) spec.class_rules.push_back(RulesOf(values));
  spec.class_rules.resize(size_t{1} << draft.num_claims);
  RETURN_IF_ERROR(AddKeyTerminal(draft, spec));
  uint64_t available = 0;
  for (uint64_t w : spec.allowed) available += static_cast<uint64_t>(__builtin_popcountll(w));
  if (spec.num_required > spec.max_members || spec.min_members > spec.max_members) return OkStatus();
  if (spec.key_terminal == kNoRule && available < spec.min_members) return OkStatus();
  const uint32_t index = static_cast<uint32_t>(builder_.program().objects.size());
  Program& program = builder_.program();
  program.objects.push_back(spec);
  const bool reachable = ClaimsReachable(spec, InitialPayload(program, EdgeKind::kObject, index));
  program.objects.pop_back();
  if (reachable) EmitObjectSpec(std::move(spec), EdgeKind::kObject, from, to);
  return OkStatus();
}

Status SchemaCompiler::AddKeyTerminal(const ObjectDraft& draft, ObjectSpec& spec) {
  if (draft.class_values.empty()) return OkStatus();
  const auto& rules = spec.class_rules[0];
  if (std::all_of(rules.begin(), rules.end(), [](uint32_t rule) { return rule == kNoRule; })) return OkStatus();
  Terminal terminal{.encoding = TextEncoding::kJsonString, .starts_inside_string = true};
  if (draft.keys.dfa.empty()) {
    terminal.dfa = AnyStringDfa();
    terminal.is_any_string = true;
  } else {
    Dfa dfa = draft.keys.dfa;
    std::vector<uint16_t> labels = draft.keys.label_of;
    for (uint32_t s = 0; s < dfa.num_states(); ++s) dfa.accepting[s] = rules[labels[s]] != kNoRule;
    dfa = TrimAndMinimize(std::move(dfa), builder_.budget(), &labels);
    builder_.budget().Spend(dfa.next.size() * 2);
    terminal.labels = std::move(labels);
    terminal.finite = FiniteStates(dfa, kMaxWatchedKeys);
    const auto& finite = terminal.finite;
    if (std::none_of(finite.begin(), finite.end(), [](uint8_t f) { return f != 0; })) terminal.finite.clear();
    terminal.dfa = std::make_shared<const Dfa>(std::move(dfa));
  }
  spec.key_terminal = builder_.AddTerminal(std::move(terminal));
  builder_.program().keeps_text = true;
  return OkStatus();
}

Status SchemaCompiler::EmitArray(const ArrayDraft& draft, uint32_t from, uint32_t to) {
  ArraySpec spec{.min_items = draft.min, .max_items = values_.MaxItems(draft)};
  if (draft.unique && spec.max_items > 1) return EmitSet(draft, from, to);
  if (spec.min_items > spec.max_items) return OkStatus();
  for (const auto& row : draft.rows) spec.rows.push_back(RulesOf(row));
  for (const ItemClaim& claim : draft.contains) spec.contains.push_back({claim.min, claim.max});
  if (!ArrayCompletable(spec, 0, std::vector<uint32_t>(spec.contains.size(), 0))) return OkStatus();
  auto& arrays = builder_.program().arrays;
  arrays.push_back(std::move(spec));
  builder_.AddEdge(from, EdgeKind::kArray, static_cast<uint32_t>(arrays.size() - 1), to);
  return OkStatus();
}

// uniqueItems: the items seen are remembered, for strings and for small sets of values.
Status SchemaCompiler::EmitSet(const ArrayDraft& draft, uint32_t from, uint32_t to) {
  if (draft.rows.size() == 1 && draft.contains.empty()) {
    const ValueId id = draft.rows[0][0];
    const SchemaValue& item = values_.values()[id];
    ASSIGN_OR_RETURN(bool done, EmitValueSet(item, draft, from, to));
    if (done) return OkStatus();
    const bool only_strings = item.words == 0 && item.numbers.dfa != nullptr && item.numbers.dfa->empty() &&
                              item.objects.empty() && item.arrays.empty();
    if (only_strings) return EmitStringSet(item, draft, from, to);
  }
  return Unsupported("uniqueItems is supported where all items are strings or come from a small set of scalars");
}

Result<bool> SchemaCompiler::EmitValueSet(const SchemaValue& item, const ArrayDraft& draft, uint32_t from,
                                          uint32_t to) {
  Budget& budget = builder_.budget();
  if (!item.objects.empty() || !item.arrays.empty() || item.numbers.dfa == nullptr) return false;
  std::vector<std::string> texts;
  if (item.words & 1) texts.push_back("null");
  if (item.words & 2) texts.push_back("false");
  if (item.words & 4) texts.push_back("true");
  // One spelling for each number; only integers can be listed.
  ASSIGN_OR_RETURN(NumberLanguage integers, IntegerNumbers(budget));
  ASSIGN_OR_RETURN(DfaPtr fractions, SubtractDfa(*item.numbers.dfa, *integers.dfa, budget));
  if (!fractions->empty()) return false;
  ASSIGN_OR_RETURN(DfaPtr plain, CompileRegex("0|-?[1-9][0-9]*", RegexMode::kFullMatch, budget));
  ASSIGN_OR_RETURN(DfaPtr listed, IntersectDfa(*item.numbers.dfa, *plain, budget));
  ASSIGN_OR_RETURN(DfaPtr strings, values_.scalars().Automaton(item.strings));
  const auto numbers = EnumerateWords(*listed, kMaxSetValues, budget);
  const auto words = EnumerateWords(*strings, kMaxSetValues, budget);
  if (!numbers || !words) return false;
  for (const auto& n : *numbers) texts.emplace_back(n.begin(), n.end());
  for (const auto& w : *words) texts.push_back(JsonTextOf(w));
  const uint32_t count = static_cast<uint32_t>(texts.size());
  ObjectSpec spec{.min_members = draft.min, .max_members = std::min(draft.max, count), .is_set = true};
  if (spec.min_members > count) return true;  // impossible
  spec.allowed.assign((count + 63) / 64, 0);
  spec.required.assign((count + 63) / 64, 0);
  spec.name_rules.resize(1);
  spec.class_rules.resize(1);
  spec.names = NameTrie::Build({});
  for (uint32_t i = 0; i < count; ++i) {
    const bool is_string = texts[i][0] == '"';
    const uint32_t rule = builder_.AddRule(), end = builder_.AddState(true);
    ASSIGN_OR_RETURN(std::u32string text, DecodeUtf8(texts[i]));
    if (is_string) {
      ASSIGN_OR_RETURN(DfaPtr one, StringSetDfa({(*words)[i - (count - words->size())]}, budget));
      const uint32_t terminal = builder_.AddTerminal({.dfa = one, .encoding = TextEncoding::kJsonString});
      builder_.AddEdge(builder_.StartOf(rule), EdgeKind::kTerminal, terminal, end);
    } else {
      ASSIGN_OR_RETURN(uint32_t terminal, builder_.AddLiteral(text));
      builder_.AddEdge(builder_.StartOf(rule), EdgeKind::kTerminal, terminal, end);
    }
    spec.name_rules[0].push_back(rule);
    SetBit(spec.allowed, i);
  }
  EmitObjectSpec(std::move(spec), EdgeKind::kValueSet, from, to);
  return true;
}

Status SchemaCompiler::EmitStringSet(const SchemaValue& item, const ArrayDraft& draft, uint32_t from, uint32_t to) {
  ObjectSpec spec{.min_members = draft.min, .max_members = draft.max, .is_set = true};
  spec.names = NameTrie::Build({});
  spec.name_rules.resize(1);
  spec.class_rules = {{kNoRule}};
  Terminal terminal{.encoding = TextEncoding::kJsonString, .starts_inside_string = true};
  terminal.is_any_string = item.strings.all();
  ASSIGN_OR_RETURN(terminal.dfa, values_.scalars().Automaton(item.strings));
  if (!terminal.is_any_string) {
    terminal.finite = FiniteStates(*terminal.dfa, kMaxWatchedKeys);
    const auto& finite = terminal.finite;
    if (std::none_of(finite.begin(), finite.end(), [](uint8_t f) { return f != 0; })) terminal.finite.clear();
  }
  spec.key_terminal = builder_.AddTerminal(std::move(terminal));
  builder_.program().keeps_text = true;
  EmitObjectSpec(std::move(spec), EdgeKind::kSet, from, to);
  return OkStatus();
}

Result<uint32_t> AddJsonSchema(std::string_view schema, const GrammarVocabulary& vocabulary, ProgramBuilder& builder) {
  ASSIGN_OR_RETURN(SchemaDocument doc, ParseSchema(schema, vocabulary.formats(), builder.budget()));
  SchemaValues values(doc, builder.budget());
  RETURN_IF_ERROR(values.Expand());
  return SchemaCompiler(values, builder).Run();
}

Result<DfaPtr> CompileSchemaStrings(std::string_view schema, const GrammarVocabulary& vocabulary, Budget& budget) {
  ASSIGN_OR_RETURN(SchemaDocument doc, ParseSchema(schema, vocabulary.formats(), budget));
  SchemaScalars scalars(doc, budget);
  ASSIGN_OR_RETURN(const StringLanguage strings, scalars.Strings({}));
  return scalars.Automaton(strings);
}

}  // namespace millrace::grammar
