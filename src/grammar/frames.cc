#include "grammar/frames.h"

#include <algorithm>
#include <set>

namespace millrace::grammar {
namespace {

// With just enough room left, only required names may come.
bool OnlyRequired(const ObjectSpec& spec, const Payload& payload) {
  return spec.max_members != UINT32_MAX &&
         spec.max_members - payload.count <= spec.num_required - payload.required_seen;
}

const std::vector<uint32_t>& RowAt(const ArraySpec& spec, uint32_t index) {
  return spec.rows[std::min<size_t>(index, spec.rows.size() - 1)];
}

// Counters after an item; false when a maximum is passed or the claim is idle.
bool Count(const ArraySpec& spec, uint32_t combination, std::vector<uint32_t>& counters) {
  for (size_t i = 0; i < counters.size(); ++i) {
    if (!((combination >> i) & 1)) continue;
    const bool unbounded = spec.contains[i].max == UINT32_MAX;
    if (counters[i] >= (unbounded ? spec.contains[i].min : spec.contains[i].max)) return false;
    ++counters[i];
  }
  return true;
}

bool Satisfied(const ArraySpec& spec, const std::vector<uint32_t>& counters) {
  for (size_t i = 0; i < counters.size(); ++i) {
    if (counters[i] < spec.contains[i].min) return false;
  }
  return true;
}

}  // namespace

Payload InitialPayload(const Program& program, EdgeKind kind, uint32_t spec) {
  Payload payload;
  payload.spec = spec;
  if (kind == EdgeKind::kRepeat) payload.kind = Payload::kRepeat;
  if (kind == EdgeKind::kArray) {
    payload.kind = Payload::kArray;
    payload.counters.assign(program.arrays[spec].contains.size(), 0);
  }
  if (kind == EdgeKind::kObject || kind == EdgeKind::kSet || kind == EdgeKind::kValueSet) {
    payload.kind = Payload::kObject;
    payload.seen.assign(program.objects[spec].allowed.size(), 0);
  }
  return payload;
}

bool MayClose(const Program& program, const Payload& payload) {
  switch (payload.kind) {
    case Payload::kRepeat:
      return payload.count >= program.repeats[payload.spec].min;
    case Payload::kObject: {
      const ObjectSpec& spec = program.objects[payload.spec];
      return payload.count >= spec.min_members && payload.required_seen == spec.num_required &&
             payload.claims + 1 == (1u << spec.num_claims);
    }
    case Payload::kArray: {
      const ArraySpec& spec = program.arrays[payload.spec];
      return payload.count >= spec.min_items && Satisfied(spec, payload.counters);
    }
    default:
      return true;
  }
}

bool MayAdd(const Program& program, const Payload& payload) {
  switch (payload.kind) {
    case Payload::kRepeat:
      return payload.count < program.repeats[payload.spec].max;
    case Payload::kObject: {
      const ObjectSpec& spec = program.objects[payload.spec];
      return OtherKeysAvailable(spec, payload) ||
             AnyNameAvailable(spec, payload, 0, static_cast<uint32_t>(spec.allowed.size() * 64));
    }
    case Payload::kArray: {
      const ArraySpec& spec = program.arrays[payload.spec];
      Payload next;
      for (uint32_t combination = 0; combination < (1u << spec.contains.size()); ++combination) {
        if (NextItem(spec, payload, combination, next)) return true;
      }
      return false;
    }
    default:
      return false;
  }
}

bool NameAvailable(const ObjectSpec& spec, const Payload& payload, uint32_t name) {
  return AnyNameAvailable(spec, payload, name, name + 1);
}

bool AnyNameAvailable(const ObjectSpec& spec, const Payload& payload, uint32_t first, uint32_t last) {
  if (payload.count >= spec.max_members || first >= last) return false;
  const std::vector<uint64_t>& wanted = OnlyRequired(spec, payload) ? spec.required : spec.allowed;
  for (uint32_t w = first / 64; w < wanted.size() && w * 64 < last; ++w) {
    uint64_t bits = wanted[w] & ~payload.seen[w];
    if (w == first / 64) bits &= ~uint64_t{0} << (first % 64);
    if (last < (w + 1) * 64) bits &= ~(~uint64_t{0} << (last % 64));
    if (bits != 0) return true;
  }
  return false;
}

bool OtherKeysAvailable(const ObjectSpec& spec, const Payload& payload) {
  return spec.key_terminal != kNoRule && payload.count < spec.max_members && !OnlyRequired(spec, payload);
}

bool ClaimsReachable(const ObjectSpec& spec, const Payload& payload) {
  for (uint32_t i = 0; i < spec.num_claims; ++i) {
    if ((payload.claims >> i) & 1) continue;
    const auto usable = [](uint32_t rule) { return rule != kNoRule; };
    const std::vector<uint32_t>& classes = spec.class_rules[1u << i];
    if (OtherKeysAvailable(spec, payload) && std::any_of(classes.begin(), classes.end(), usable)) continue;
    const std::vector<uint32_t>& names = spec.name_rules[1u << i];
    bool found = false;
    for (uint32_t n = 0; n < names.size() && !found; ++n) {
      found = usable(names[n]) && (!((payload.seen[n / 64] >> (n % 64)) & 1));
    }
    if (!found) return false;
  }
  return true;
}

bool NextItem(const ArraySpec& spec, const Payload& payload, uint32_t combination, Payload& next) {
  if (payload.count >= spec.max_items || RowAt(spec, payload.count)[combination] == kNoRule) return false;
  next = payload;
  next.pending_rule = RowAt(spec, payload.count)[combination];
  // Beyond every bound the position no longer matters, and equal payloads keep the state small.
  const uint32_t last = std::max(spec.min_items, static_cast<uint32_t>(spec.rows.size()));
  next.count = spec.max_items == UINT32_MAX ? std::min(payload.count + 1, last) : payload.count + 1;
  return Count(spec, combination, next.counters) && ArrayCompletable(spec, next.count, next.counters);
}

bool ArrayCompletable(const ArraySpec& spec, uint32_t count, const std::vector<uint32_t>& counters) {
  if (spec.contains.empty()) return true;
  uint64_t deficit = 0;
  for (size_t i = 0; i < counters.size(); ++i) {
    if (counters[i] < spec.contains[i].min) deficit += spec.contains[i].min - counters[i];
  }
  const uint64_t horizon = std::max<uint64_t>(spec.rows.size(), spec.min_items) + deficit + 1;
  std::set<std::vector<uint32_t>> reachable = {counters};
  for (uint64_t n = count;; ++n) {
    if (n >= spec.min_items) {
      for (const auto& c : reachable) {
        if (Satisfied(spec, c)) return true;
      }
    }
    if (n >= spec.max_items || n > std::max<uint64_t>(horizon, count + deficit)) return false;
    std::set<std::vector<uint32_t>> following;
    const auto& row = RowAt(spec, static_cast<uint32_t>(n));
    for (const auto& c : reachable) {
      for (uint32_t combination = 0; combination < row.size(); ++combination) {
        std::vector<uint32_t> counted = c;
        if (row[combination] != kNoRule && Count(spec, combination, counted)) following.insert(std::move(counted));
      }
    }
    if (following.empty()) return false;
    reachable = std::move(following);
  }
}

}  // namespace millrace::grammar
