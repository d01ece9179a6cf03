// GrammarMasks: the grammar matchers of running sequences, the token bitmasks of the steps in flight and the tokens
// that grammars foretell. Engine thread only, but for GuidedStart.
//
// A step's masks depend on the tokens of the step before it. So Assign marks the outputs of a scheduled batch, Accept
// feeds the committed tokens, and MakeMasks computes the masks of the oldest step that still waits for them.
//
// Jump-forward: where a grammar leaves little choice, the tokens that spell what must come are guessed before they are
// drawn. They go to the scheduler as drafts, so that one step computes them all; each is still drawn from its own
// logits and mask, and what is drawn otherwise is kept instead. The output is therefore that of a step per token, bit
// for bit. A sequence whose model spells otherwise pauses, for twice as long each time.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/batch.h"
#include "grammar/grammar.h"
#include "scheduler/scheduler.h"

namespace millrace {

// A grammar at its beginning, with the first mask: made on the thread that submits the request, for all of its
// sequences.
struct GuidedStart {
  // kInvalidArgument when the grammar is too ambiguous to begin with.
  static Result<std::shared_ptr<const GuidedStart>> Make(const grammar::GrammarPtr& grammar);

  grammar::GrammarMatcher matcher;
  std::vector<uint32_t> mask;
};

class GrammarMasks {
 public:
  // max_forced: forced tokens foreseen at most; 0: none.
  explicit GrammarMasks(int max_forced = 0) : max_forced_(max_forced) {}

  // Each sequence starts at the beginning of the grammar.
  void Start(RequestId request, std::span<const SequenceId> sequences, const std::shared_ptr<const GuidedStart>& start);
  void Forget(SequenceId sequence) { matchers_.erase(sequence); }
  void ForgetRequest(RequestId request);

  // Numbers the masks that the batch's sampled outputs need.
  void Assign(Batch* batch);
  // Tokens that were drawn, and sequences that ended; explains the failure of those whose grammar was too ambiguous.
  void Accept(std::vector<SequenceEvent>& events);

  struct StepMasks {
    uint64_t step_id = 0;
    std::vector<uint32_t> masks;
  };
  // The masks of the oldest assigned step without any; nothing when no step waits.
  std::optional<StepMasks> MakeMasks();

  // Gives the scheduler the tokens that follow those drawn or being drawn. Before each Schedule.
  void SetDrafts(Scheduler& scheduler);

 private:
  struct Entry {
    RequestId request;
    grammar::GrammarMatcher matcher;
    std::shared_ptr<const GuidedStart> start;  // until the first token
    int rows_in_flight = 0;                    // that draw tokens
    // What most likely comes after the tokens accepted so far, the rows in flight included.
    std::vector<TokenId> forced;
    int num_drafts = 0;  // in the row in flight
    int num_misses = 0;  // rows in a row that accepted less than half of their drafts
    int pause = 0;       // tokens to draw before the next draft
  };
  struct Output {
    SequenceId sequence = 0;
    TokenId draft = -1;  // that the output follows; -1: it follows what was drawn
  };
  struct Waiting {
    uint64_t step_id = 0;
    std::vector<Output> outputs;  // [masks]
    size_t words = 0;
  };
  static void Learn(Entry& entry, int num_tokens);
  void FillOutputs(Entry& entry, std::span<const Output> outputs, size_t words, std::span<uint32_t> masks);

  const int max_forced_;
  std::unordered_map<SequenceId, Entry> matchers_;
  std::deque<Waiting> waiting_;
};

}  // namespace millrace
