// FakeRunner: executes batches over a KV memory that only remembers what was written where, for tests of the scheduler.
//
// Every slot stores the hash of the whole prefix up to its token; a recurrent state stores that of all tokens it has
// seen. Each row must find exactly its own prefix through its block tables, so any mistake in sharing, copying,
// eviction, windows, swapping or speculation shows as an error. The next token is a hash of (prefix, choice), so a
// request's output can be computed alone and compared.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "core/batch.h"
#include "core/kv_spec.h"

namespace millrace {

inline uint64_t FakeHash(uint64_t hash, uint64_t value) {
  uint64_t x = hash ^ (value + 0x9E3779B97F4A7C15 + (hash << 6) + (hash >> 2));
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

inline constexpr uint64_t kFakeStart = 77;

inline float FakeSamplerState(uint64_t prefix_hash) {
  return static_cast<float>(prefix_hash % 1'000'000);
}

inline TokenId FakeNextToken(uint64_t prefix_hash, int choice, int vocab) {
  return static_cast<TokenId>(FakeHash(prefix_hash, 1000 + choice) % vocab);
}

// The most likely next tokens after a prefix, best first, as beam search asks for them.
inline std::vector<TokenLogprob> FakeTop(uint64_t prefix_hash, int vocab, int count) {
  std::vector<TokenLogprob> top(vocab);
  double sum = 0;
  for (int token = 0; token < vocab; ++token) {
    const double weight = 1.0 + static_cast<double>(FakeHash(prefix_hash, 5000 + token) % 1000);
    sum += weight;
    top[token] = {token, static_cast<float>(weight), 0};
  }
  std::sort(top.begin(), top.end(), [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
  });
  for (int rank = 0; rank < vocab; ++rank) {
    top[rank].logprob = static_cast<float>(std::log(top[rank].logprob / sum));
    top[rank].rank = rank + 1;
  }
  top.resize(std::min(count, vocab));
  return top;
}

class FakeRunner {
 public:
  FakeRunner(const std::vector<KvGroupSpec>& groups, int num_blocks, int num_host_blocks, int vocab)
      : groups_(groups), vocab_(vocab), memory_(groups.size()), host_(groups.size()) {
    for (size_t g = 0; g < groups.size(); ++g) {
      memory_[g].resize(static_cast<size_t>(num_blocks) * kKvBlockTokens);
      host_[g].resize(static_cast<size_t>(num_host_blocks) * kKvBlockTokens);
      const bool recurrent = groups[g].kind == KvGroupKind::kRecurrent;
      width_.push_back(recurrent ? BlocksPerState(groups[g], PoolBlockBytes(groups)) : 0);
    }
  }

  // The first mistake found; empty while there is none.
  const std::string& error() const { return error_; }
  int num_sequences() const { return static_cast<int>(sequences_.size()); }

  StepResult Run(const Batch& batch) {
    if (std::string wrong = DescribeBatchError(batch); !wrong.empty()) Fail(wrong);
    for (SequenceId id : batch.finished) {
      if (sequences_.erase(id) == 0) Fail(fmt::format("sequence {} ends unknown", id));
    }
    for (const SequenceStart& start : batch.started) {
      Known& known = sequences_[start.sequence];
      if (!known.hashes.empty()) Fail(fmt::format("sequence {} starts twice", start.sequence));
      known.choice = start.choice_index;
      known.beam_width = start.sampling->use_beam_search ? std::max(start.sampling->n, start.sampling->best_of) : 0;
      known.hashes = {kFakeStart};
      for (TokenId token : start.token_ids) known.Append(token);
      std::optional<float> expected;
      if (known.tokens.size() > static_cast<size_t>(start.num_prompt_tokens) && known.beam_width == 0) {
        expected = FakeSamplerState(known.hashes.back());
      }
      if (start.sampler_state != expected)
        Fail(fmt::format("sequence {} starts with a wrong sampler state", start.sequence));
    }
    for (const BlockCopy& copy : batch.copies) Copy(copy);
    std::vector<TokenId> tokens = batch.token_ids;
    for (TokenId& token : tokens) {
      if (token < 0) token = last_outputs_.at(-1 - token);
    }
    std::vector<uint64_t> hashes(tokens.size());
    for (int row = 0; row < batch.num_rows(); ++row) {
      Known& known = sequences_[batch.sequences[row]];
      for (int i = batch.query_start[row]; i < batch.query_start[row + 1] && known.beam_width > 0; ++i) {
        if (batch.positions[i] == static_cast<int>(known.tokens.size())) known.Append(tokens[i]);
      }
    }
    for (int row = 0; row < batch.num_rows(); ++row) Read(batch, row, tokens, hashes);
    for (int row = 0; row < batch.num_rows(); ++row) Write(batch, row, hashes);
    return Sample(batch, tokens, hashes);
  }

 private:
  struct Known {
    int choice = 0;
    int beam_width = 0;  // 0: no beam search
    std::vector<TokenId> tokens;
    std::vector<uint64_t> hashes;  // [tokens + 1]
    void Append(TokenId token) {
      tokens.push_back(token);
      hashes.push_back(FakeHash(hashes.back(), token));
    }
    void Resize(size_t n) {
      tokens.resize(n);
      hashes.resize(n + 1);
    }
  };

  void Fail(const std::string& what) {
    if (error_.empty()) error_ = what;
  }

  void Copy(const BlockCopy& copy) {
    auto& from = (copy.kind == CopyKind::kFromHost ? host_ : memory_)[copy.group];
    auto& to = (copy.kind == CopyKind::kToHost ? host_ : memory_)[copy.group];
    for (int i = 0; i < copy.num_tokens; ++i)
      to.at(copy.to * kKvBlockTokens + i) = from.at(copy.from * kKvBlockTokens + i);
  }

  // Checks that the row continues its sequence's tokens and finds its context; computes the prefix hash of each token.
  void Read(const Batch& batch, int row, const std::vector<TokenId>& tokens, std::vector<uint64_t>& hashes) {
    const auto it = sequences_.find(batch.sequences[row]);
    if (it == sequences_.end())
      return Fail(fmt::format("sequence {} has a row before its start", batch.sequences[row]));
    const Known& known = it->second;
    const size_t context = batch.context_len[row];
    if (context > known.tokens.size()) return Fail("a row starts beyond the sequence's tokens");
    for (size_t g = 0; g < groups_.size(); ++g) ReadGroup(batch, row, static_cast<int>(g), known);
    uint64_t hash = known.hashes[context];
    for (int i = batch.query_start[row]; i < batch.query_start[row + 1]; ++i) {
      const size_t position = context + i - batch.query_start[row];
      if (batch.positions[i] != static_cast<int>(position)) Fail("a position differs from its slot");
      if (position < known.tokens.size() && tokens[i] != known.tokens[position]) {
        Fail(fmt::format("sequence {} has a wrong token at {}", batch.sequences[row], position));
      }
      hash = FakeHash(hash, tokens[i]);
      hashes[i] = hash;
    }
  }

  void ReadGroup(const Batch& batch, int row, int g, const Known& known) {
    const int context = batch.context_len[row];
    const std::span<const BlockId> table = Table(batch, row, g);
    if (width_[g] > 0) {
      for (int b = 0; b < width_[g]; ++b) {
        if ((table[b] == kNullBlock) != (context == 0)) return Fail("a state is missing or there too early");
        if (context > 0 && memory_[g].at(table[b] * kKvBlockTokens) != FakeHash(known.hashes[context], b)) {
          return Fail(fmt::format("sequence {} reads a wrong state at {}", batch.sequences[row], context));
        }
      }
      return;
    }
    int first = 0;
    if (groups_[g].kind == KvGroupKind::kWindow) first = std::max(0, context - groups_[g].window_tokens + 1);
    for (int p = first; p < context; ++p) {
      const BlockId block = table[p / kKvBlockTokens];
      if (block == kNullBlock || memory_[g].at(block * kKvBlockTokens + p % kKvBlockTokens) != known.hashes[p + 1]) {
        return Fail(fmt::format("sequence {} reads another prefix at {} of {} in group {}", batch.sequences[row], p,
                                context, g));
      }
    }
  }

  void Write(const Batch& batch, int row, const std::vector<uint64_t>& hashes) {
    for (size_t g = 0; g < groups_.size(); ++g) {
      const std::span<const BlockId> table = Table(batch, row, static_cast<int>(g));
      for (int b = 0; b < width_[g]; ++b) {
        memory_[g].at(table[width_[g] + b] * kKvBlockTokens) = FakeHash(hashes[batch.query_start[row + 1] - 1], b);
      }
      if (width_[g] > 0) continue;
      for (int i = batch.query_start[row]; i < batch.query_start[row + 1]; ++i) {
        const int slot = batch.context_len[row] + i - batch.query_start[row];
        memory_[g].at(table[slot / kKvBlockTokens] * kKvBlockTokens + slot % kKvBlockTokens) = hashes[i];
      }
    }
  }

  StepResult Sample(const Batch& batch, const std::vector<TokenId>& tokens, const std::vector<uint64_t>& hashes) {
    StepResult result;
    result.step_id = batch.step_id;
    last_outputs_.clear();
    std::map<int, size_t> accepted;  // row -> tokens of its sequence that are known to be right
    for (const OutputRow& output : batch.outputs) {
      Known& known = sequences_[batch.sequences[output.row]];
      OutputResult out;
      out.token = output.sample ? FakeNextToken(hashes[output.token_index], known.choice, vocab_) : output.target;
      last_outputs_.push_back(out.token);
      result.outputs.push_back(out);
      if (known.beam_width > 0) {
        result.outputs.back().top = FakeTop(hashes[output.token_index], vocab_, 2 * known.beam_width);
        continue;
      }
      const size_t position = output.output_position;
      if (!output.sample) continue;
      if (position != static_cast<size_t>(batch.positions[output.token_index]) + 1)
        Fail("an output has a wrong position");
      // A draft token that was not sampled ends what the row is good for.
      if (!accepted.contains(output.row)) {
        known.Resize(std::min(position, known.tokens.size()));
        accepted[output.row] = position;
      } else if (accepted[output.row] != position || known.tokens.back() != tokens[output.token_index]) {
        continue;
      }
      if (known.tokens.size() != position) {
        Fail(fmt::format("sequence {} samples at {}, it has {} tokens", batch.sequences[output.row], position,
                         known.tokens.size()));
        continue;
      }
      known.Append(out.token);
      result.outputs.back().sampler_state = FakeSamplerState(known.hashes.back());
      accepted[output.row] = position + 1;
    }
    return result;
  }

  static std::span<const BlockId> Table(const Batch& batch, int row, int g) {
    const GroupTables& tables = batch.groups.at(g);
    return std::span(tables.block_ids)
        .subspan(tables.row_start[row], tables.row_start[row + 1] - tables.row_start[row]);
  }

  const std::vector<KvGroupSpec> groups_;
  const int vocab_;
  std::vector<int> width_;                     // blocks of a state; 0: paged
  std::vector<std::vector<uint64_t>> memory_;  // [group][block * 16 + slot]
  std::vector<std::vector<uint64_t>> host_;
  std::unordered_map<SequenceId, Known> sequences_;
  std::vector<TokenId> last_outputs_;
  std::string error_;
};

}  // namespace millrace
