// Batch and StepResult: one step of the engine as flat, serialisable arrays. A row is (sequence, num_new_tokens):
// prefill, chunk, decode and draft verification are the same case. The scheduler fills a Batch, a ModelRunner executes
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "core/ids.h"
#include "core/sampling_params.h"

namespace millrace {

enum class CopyKind : uint8_t {
  kDevice,    // both ids are blocks of the KV pool: copy-on-write, fork
  kToHost,    // swap out: `to` is a block of the host pool
  kFromHost,  // swap in: `from` is a block of the host pool
};

// Copies the first num_tokens slots of every layer of one group (kKvBlockTokens: the whole block, also of a recurrent
// state) before the step runs.
struct BlockCopy {
  BlockId from = kNullBlock;
  BlockId to = kNullBlock;
  int num_tokens = kKvBlockTokens;
  int group = 0;
  CopyKind kind = CopyKind::kDevice;
};

// Block tables of one KV group for all rows, concatenated: row r owns block_ids[row_start[r] .. row_start[r + 1]).
// Paged: entry i holds tokens [16 i, 16 i + 16) of the sequence; window groups have kNullBlock where a block was freed.
// Recurrent: first the blocks of the state to read (kNullBlock when the sequence is new), then those of the state to
// write (the same ids when it is updated in place).
struct GroupTables {
  std::vector<int32_t> row_start;  // [num_rows + 1]
  std::vector<BlockId> block_ids;
};

// A position of the batch whose logits are wanted.
struct OutputRow {
  int token_index = 0;      // into token_ids
  int row = 0;              // into sequences
  bool sample = true;       // draw a token; otherwise only logprobs of `target` are computed
  TokenId target = -1;      // prompt logprobs: the token whose logprob is wanted
  int num_logprobs = 0;     // with target: how many of the best tokens to report
  int output_position = 0;  // absolute position of the token to be drawn: Philox counter
  // Not kNone: hidden states are pooled instead, of the token or, for the mean, of all tokens of the row; with `sample`
  // the text ends here.
  Pooling pooling = Pooling::kNone;
  int grammar_mask = -1;  // index into the step's grammar masks; -1: unconstrained
};

// First appearance of a sequence at the runner: what its sampler needs to know. A beam's tokens are those of its rows:
// the scheduler picks them from OutputResult::top.
struct SequenceStart {
  SequenceId sequence = 0;
  int choice_index = 0;  // 0 .. n - 1
  std::shared_ptr<const SamplingParams> sampling;
  std::vector<TokenId> token_ids;  // prompt, and what was generated before a preemption
  int num_prompt_tokens = 0;
  std::optional<float> sampler_state;  // OutputResult::sampler_state of the last token; absent before the first
};

struct Batch {
  uint64_t step_id = 0;

  std::vector<SequenceStart> started;
  std::vector<SequenceId> finished;  // forget their sampler state before this step
  std::vector<BlockCopy> copies;     // done in order, before anything is written

  // Rows.
  std::vector<SequenceId> sequences;   // [num_rows]
  std::vector<int32_t> query_start;    // [num_rows + 1], first at 0, last == num_tokens
  std::vector<int32_t> context_len;    // [num_rows] tokens already in the KV cache before this step
  std::vector<int32_t> adapter_index;  // [num_rows]

  // Tokens of all rows, concatenated. Token j of row r is written at KV slot context_len[r] + j.
  std::vector<int32_t> token_ids;  // >= 0: a token; -1 - o: the token sampled by output o of the step in flight
  std::vector<int32_t> positions;  // rope positions; == KV slot except in trees
  std::vector<int32_t>
      parent;  // empty, or for token trees the index within the row of each token's parent (-1: the context)

  std::vector<GroupTables> groups;  // [num_groups], as the model declares them
  std::vector<OutputRow> outputs;
  int num_grammar_masks = 0;  // > 0: the runner waits for SetMasks of this step before it samples

  int num_rows() const { return static_cast<int>(sequences.size()); }
  int num_tokens() const { return static_cast<int>(token_ids.size()); }
};

struct TokenLogprob {
  TokenId token = -1;
  float logprob = 0.0f;
  int rank = 0;  // 1 is the most likely
};

struct OutputResult {
  TokenId token = -1;
  bool failed = false;  // NaN or infinity in the logits, or no candidate left: the sequence ends with kError
  std::string error;
  StatusCode error_code = StatusCode::kInternal;  // kInvalidArgument when what the request demands can't be met
  float logprob = 0.0f;
  int rank = 0;
  float sampler_state = 0.0f;    // what the sampler must be told to go on after this token (mirostat's mu)
  std::vector<float> embedding;  // [hidden_size] of a pooled text, not normalised
  // As many as asked for, best first; beam search asks for 2 x width of the unmodified distribution.
  std::vector<TokenLogprob> top;
};

struct StepResult {
  uint64_t step_id = 0;
  std::string error;                  // not empty: the step failed as a whole and computed nothing that may be used
  std::vector<OutputResult> outputs;  // [outputs of the batch]
};

// Checks the invariants above; used by tests and by the runner in debug builds. Empty when the batch is well-formed.
std::string DescribeBatchError(const Batch& batch);

}  // namespace millrace
