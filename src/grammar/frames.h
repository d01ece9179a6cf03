// What a frame (repetition, object, array) remembers while its contents are read, and what it allows next.
#pragma once

#include <cstdint>
#include <vector>

#include "grammar/program.h"

namespace millrace::grammar {

struct Payload {
  enum Kind : uint8_t { kNone, kRepeat, kObject, kArray } kind = kNone;
  uint32_t spec = 0;
  uint32_t count = 0;              // members, items or repetitions so far
  uint32_t pending_rule = 0;       // object: rule of the value that belongs to the key just read
  uint32_t claims = 0;             // object: obligations met
  uint32_t required_seen = 0;      // object
  uint32_t extra = 0;              // object: head of the list of keys seen outside the names; 0: none
  uint32_t step = 0;               // when it was made
  std::vector<uint64_t> seen;      // object: bit per name
  std::vector<uint32_t> counters;  // array: items counted for each contains

  // Equal but for the time it was made.
  bool SameAs(const Payload& o) const {
    return kind == o.kind && spec == o.spec && count == o.count && pending_rule == o.pending_rule &&
           claims == o.claims && required_seen == o.required_seen && extra == o.extra && seen == o.seen &&
           counters == o.counters;
  }
};

Payload InitialPayload(const Program& program, EdgeKind kind, uint32_t spec);

bool MayClose(const Program& program, const Payload& payload);
bool MayAdd(const Program& program, const Payload& payload);

// Objects. A name is available when it may still come and leaves room for the required ones.
bool NameAvailable(const ObjectSpec& spec, const Payload& payload, uint32_t name);
bool AnyNameAvailable(const ObjectSpec& spec, const Payload& payload, uint32_t first, uint32_t last);
bool OtherKeysAvailable(const ObjectSpec& spec, const Payload& payload);
// Whether every obligation is met or can still be.
bool ClaimsReachable(const ObjectSpec& spec, const Payload& payload);

// Arrays: whether the item may count for exactly these contains, and the counters afterwards.
bool NextItem(const ArraySpec& spec, const Payload& payload, uint32_t combination, Payload& next);
// Whether an array that has count items and these counters can be finished.
bool ArrayCompletable(const ArraySpec& spec, uint32_t count, const std::vector<uint32_t>& counters);

}  // namespace millrace::grammar
