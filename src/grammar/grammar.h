// Guided decoding: compiled grammars and the per-sequence matcher.
// Compile (any thread, bounded) once per distinct grammar; a CompiledGrammar is immutable and shared; each sequence
// owns a GrammarMatcher.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "grammar/machine.h"
#include "grammar/program_builder.h"
#include "grammar/vocabulary.h"

namespace millrace::grammar {

struct CompileOptions {
  CompileLimits limits;
  JsonStyle json;
};

class CompiledGrammar {
 public:
  // vocabulary must outlive the grammar.
  CompiledGrammar(Program program, std::shared_ptr<const GrammarVocabulary> vocabulary);

  const Program& program() const { return program_; }
  const GrammarVocabulary& vocabulary() const { return *vocabulary_; }
  // The mask of a lexeme in progress; computed at most once per state while the cache has room. Any thread.
  std::shared_ptr<const LocalMask> MaskOf(uint32_t terminal, const LexState& state) const;

 private:
  const Program program_;
  const std::shared_ptr<const GrammarVocabulary> vocabulary_;
  mutable MaskCache masks_;
};
using GrammarPtr = std::shared_ptr<const CompiledGrammar>;
using VocabularyPtr = std::shared_ptr<const GrammarVocabulary>;

// Front ends. kInvalidArgument: the input is malformed. kUnsupported: it asks for something that is not enforced (the
// message names the keyword and its JSON pointer) or exceeds a bound.
enum class GrammarKind { kJsonSchema, kRegex, kEbnf };
Result<GrammarPtr> CompileGrammar(GrammarKind kind, std::string_view text, VocabularyPtr vocabulary,
                                  const CompileOptions& = {});
Result<GrammarPtr> CompileJsonSchema(std::string_view schema_json, VocabularyPtr vocabulary,
                                     const CompileOptions& = {});
// Any JSON object.
Result<GrammarPtr> CompileJsonObject(VocabularyPtr vocabulary, const CompileOptions& = {});
Result<GrammarPtr> CompileRegexGrammar(std::string_view pattern, VocabularyPtr vocabulary, const CompileOptions& = {});
Result<GrammarPtr> CompileChoice(std::span<const std::string> choices, VocabularyPtr vocabulary,
                                 const CompileOptions& = {});
// The SQL subset that ships with the engine: SELECT, INSERT, UPDATE, DELETE.
Result<GrammarPtr> CompileSql(VocabularyPtr vocabulary, const CompileOptions& = {});

// Free text in which a trigger starts a tag: begin, content, end. begin starts with one of the triggers (or is a
// control token, which then is its own trigger; end may be one too).
struct StructuralTag {
  std::string begin;
  GrammarKind kind = GrammarKind::kJsonSchema;
  std::string content;
  std::string end;
};
struct StructuralTags {
  std::vector<StructuralTag> tags;
  std::vector<std::string> triggers;
  bool at_least_one = false;      // the text may not end before a tag
  bool stop_after_first = false;  // nothing may follow a tag
  bool free_text = true;          // false: only tags, one after the other
};
Result<GrammarPtr> CompileStructuralTags(const StructuralTags& tags, VocabularyPtr vocabulary,
                                         const CompileOptions& = {});
// GBNF (rules written ::=) or Lark (rules written with a colon); told apart by looking.
Result<GrammarPtr> CompileEbnf(std::string_view grammar, VocabularyPtr vocabulary, const CompileOptions& = {});

// State of one sequence. Not thread-safe; copying forks it.
class GrammarMatcher {
 public:
  // max_rollback: how many tokens Rollback can take back.
  explicit GrammarMatcher(GrammarPtr grammar, int max_rollback = 64);

  // False, and no change, when the grammar doesn't allow the token here. An end token is allowed when CanEnd().
  bool AcceptToken(TokenId id);
  // All of the bytes or nothing; counts as one token for Rollback.
  bool AcceptBytes(std::string_view bytes);
  // Sets bit i of word i / 32 for every allowed token i and clears the others; mask: vocabulary().mask_words() words.
  // At least one bit is set unless the vocabulary can't spell the next byte, or overflowed().
  void FillBitmask(std::span<uint32_t> mask);
  // The text so far is a complete match.
  bool CanEnd() const { return current().set.ended; }
  // An end token was accepted; no token is allowed any more.
  bool IsTerminated() const { return current().terminated; }
  // The grammar was too ambiguous to follow: more than kMaxConfigs ways to read the text. No token is allowed any more.
  bool overflowed() const { return machine_.overflowed(); }
  // The one control token that every continuation starts with, or -1.
  TokenId ForcedControl() const;
  // The bytes that every continuation starts with ("" when there is a choice); at most max_bytes.
  std::string ForcedBytes(size_t max_bytes = 256);
  // What most likely comes next where there is little choice (LikelyByte), and control tokens that are forced, as the
  // tokenizer spells it; at most max_tokens, and not more than max_rollback. A guess: a model may draw something else
  // that is allowed.
  std::vector<TokenId> ForcedTokens(int max_tokens);
  // Takes back the last n accepted tokens; n is at most the tokens accepted and max_rollback.
  void Rollback(int n);
  int rollback_available() const { return static_cast<int>(history_.size()) - 1; }

  const CompiledGrammar& grammar() const { return *grammar_; }

 private:
  struct Snapshot {
    ConfigSet set;
    size_t text_size = 0;
    bool terminated = false;
    int spent = 0;  // tokens of the free text that has a deadline
  };

  const Snapshot& current() const { return history_.back(); }
  void Push(Snapshot snapshot);
  bool AtDeadline(const Config& config) const;
  // The byte that every way on from `now` begins with, or -1.
  int ForcedByte(const ConfigSet& now);
  // Counts a token read from `before` and forces the end of the free text once its tokens are spent.
  void Spend(const ConfigSet& before, Snapshot& snapshot);
  void FillConfig(const Config& config, std::span<uint32_t> mask);
  void FillExits(const Config& config, const LocalMask& local, std::span<uint32_t> mask);
  void FillKey(const Config& config, std::span<uint32_t> mask);
  // Clears those of the ids that leave no key to finish.
  void RecheckFinite(const Config& config, std::span<const TokenId> ids, std::span<uint32_t> mask);
  // Clears the tokens that would finish a key of the trie, read from node on.
  void RemoveKeys(const NameTrie& names, uint32_t node, uint32_t decoder, std::span<uint32_t> mask) const;
  // Sets the tokens of the subtree of node (the node itself excluded) that continue base.
  void WalkTrie(const TokenTrie& trie, uint32_t node, const ConfigSet& base, std::span<uint32_t> mask);

  GrammarPtr grammar_;
  Machine machine_;
  size_t max_rollback_;
  std::deque<Snapshot> history_;           // the last one is now; never empty
  size_t collect_at_ = 4096;               // nodes
  std::vector<ConfigSet> walk_sets_;       // scratch, by depth
  std::vector<Machine::Mark> walk_marks_;  // scratch, by depth
  std::vector<uint32_t> scratch_mask_;
};

}  // namespace millrace::grammar
