// GrammarMasks: the grammar matchers of running sequences and the token bitmasks of the steps in flight. Engine thread only.
//
// A step's masks depend on the tokens of the step before it. So Assign marks the outputs of a scheduled batch, Accept feeds the committed
// tokens, and MakeMasks computes the masks of the oldest step that still waits for them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/batch.h"
#include "grammar/grammar.h"
#include "scheduler/scheduler.h"

namespace millrace {

class GrammarMasks {
 public:
  // Each sequence starts at the beginning of the grammar.
  void Start(RequestId request, std::span<const SequenceId> sequences, const grammar::GrammarPtr& grammar);
  void Forget(SequenceId sequence) { matchers_.erase(sequence); }
  void ForgetRequest(RequestId request);

  // Numbers the masks that the batch's sampled outputs need.
  void Assign(Batch* batch);
  // Tokens that were drawn, and sequences that ended.
  void Accept(const std::vector<SequenceEvent>& events);

  struct StepMasks {
    uint64_t step_id = 0;
    std::vector<uint32_t> masks;
  };
  // The masks of the oldest assigned step without any; nothing when no step waits.
  std::optional<StepMasks> MakeMasks();

 private:
  struct Entry {
    RequestId request;
    grammar::GrammarMatcher matcher;
  };
  struct Waiting {
    uint64_t step_id = 0;
    std::vector<SequenceId> sequences;  // [masks]
    size_t words = 0;
  };
  std::unordered_map<SequenceId, Entry> matchers_;
  std::deque<Waiting> waiting_;
};

}  // namespace millrace
