#include "grammar/grammar.h"

#include <algorithm>
#include <utility>

namespace millrace::grammar {
namespace {

constexpr size_t kMaxMaskBytes = size_t{128} << 20;  // of one grammar's own terminals

}  // namespace

CompiledGrammar::CompiledGrammar(Program program, std::shared_ptr<const GrammarVocabulary> vocabulary)
    : program_(std::move(program)), vocabulary_(std::move(vocabulary)), masks_(kMaxMaskBytes) {}

std::shared_ptr<const LocalMask> CompiledGrammar::MaskOf(uint32_t index, const LexState& state) const {
  const Terminal& terminal = program_.terminals[index];
  MaskKey key{.terminal = index, .q = state.q, .decoder = state.decoder};
  if (terminal.counted) {
    // A token has at most this many characters: beyond, states look the same to it.
    const uint32_t horizon = vocabulary_->max_token_bytes() + 1 + terminal.max_shortest;
    key.room = std::min(terminal.max_count - std::min(state.count, terminal.max_count), horizon);
    key.missing = std::min(terminal.min_count - std::min(state.count, terminal.min_count), horizon);
  } else if (terminal.is_any_string) {
    key.room = vocabulary_->max_token_bytes() + 1;
  }
  MaskCache& cache = terminal.is_any_string ? vocabulary_->shared_masks() : masks_;
  if (terminal.is_any_string) key.terminal = terminal.starts_inside_string ? 1 : 0;
  if (auto found = cache.Find(key)) return found;
  return cache.Insert(key, ComputeLocalMask(terminal, state, vocabulary_->trie(), vocabulary_->mask_words()));
}

}  // namespace millrace::grammar
