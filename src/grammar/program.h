// Program: a compiled grammar as states and edges of recursive transition networks, plus the frames of JSON objects and
// arrays whose contents are counted and remembered at run time. Immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "grammar/terminal.h"
#include "tokenizer/tokenizer.h"

namespace millrace::grammar {

enum class EdgeKind : uint8_t {
  kEpsilon,
  kTerminal,  // arg: terminal
  kCall,      // arg: rule
  kToken,     // arg: token id
  kRepeat,    // arg: repeat; runs its frame
  kObject,    // arg: object
  kArray,     // arg: array
  kSet,       // arg: object that is a set of strings
  kValueSet,  // arg: object that is a set of values, each with its rule
  // Inside a frame; the payload decides.
  kIfMayClose,  // epsilon when the object, array or repetition may end here
  kIfMayAdd,    // epsilon when another member may follow
  kKey,         // the text of an object key, or of a member of a set, after its opening quote
  kMember,      // the value that belongs to the key just read
  kItem,        // the next array item
  kBody,        // the next repetition
  kAnything,    // any bytes and control tokens, none included
};

struct Edge {
  EdgeKind kind = EdgeKind::kEpsilon;
  uint32_t arg = 0;
  uint32_t next = 0;  // state
};

struct State {
  uint32_t first_edge = 0;
  uint32_t num_edges = 0;
  bool accept = false;
};

inline constexpr uint32_t kNoRule = UINT32_MAX;

// Known names as a trie over code points. Node 0 is the root; a node covers the names [first, last) of the sorted list.
struct NameTrie {
  struct Node {
    uint32_t first_child = 0, num_children = 0;
    uint32_t first = 0, last = 0;
    uint32_t name = kNoRule;  // that ends here
    uint32_t c = 0;           // last code point of the path
  };
  std::vector<Node> nodes;
  // names: sorted, without repetitions.
  static NameTrie Build(const std::vector<std::u32string>& names);
  // The child by code point, or kNoState.
  uint32_t Child(uint32_t node, uint32_t c) const;
};

// A JSON object whose members come in any order, or (is_set) an array of different strings. Rules are indexed
// [claims][name or label]: bit i of claims says that the member satisfies obligation i, "some member ...". Index 0 is
// the plain rule; kNoRule where the member can't be.
struct ObjectSpec {
  NameTrie names;
  std::vector<uint64_t> allowed;   // bit per name: it may appear
  std::vector<uint64_t> required;  // bit per name, a subset of allowed
  uint32_t num_required = 0;
  uint32_t min_members = 0;
  uint32_t max_members = UINT32_MAX;  // no claims where it is bounded
  uint32_t key_terminal = kNoRule;    // keys beside the names (labels are classes); kNoRule: none
  uint32_t num_claims = 0;            // at most 4
  std::vector<std::vector<uint32_t>> name_rules;
  std::vector<std::vector<uint32_t>> class_rules;
  bool is_set = false;
};

// Items by position; the last row repeats for ever. A row holds one rule per combination of contains: bit i says
// "counts for contains i"; kNoRule where that can't be.
struct ArraySpec {
  std::vector<std::vector<uint32_t>> rows;
  uint32_t min_items = 0;
  uint32_t max_items = UINT32_MAX;
  struct Contains {
    uint32_t min = 0;
    uint32_t max = UINT32_MAX;
  };
  std::vector<Contains> contains;  // at most 3
};

struct RepeatSpec {
  uint32_t rule = 0;
  uint32_t min = 0;
  uint32_t max = UINT32_MAX;
};

// After `tokens` tokens of the free text that begins at `state` what follows it is forced: reading goes on at `exit`.
struct Deadline {
  int tokens = -1;  // -1: none
  uint32_t state = 0;
  uint32_t exit = 0;
};

struct Program {
  std::vector<Terminal> terminals;
  std::vector<State> states;
  std::vector<Edge> edges;
  std::vector<uint32_t> rules;  // start state of each rule
  uint32_t root_rule = 0;
  std::vector<ObjectSpec> objects;
  std::vector<ArraySpec> arrays;
  std::vector<RepeatSpec> repeats;
  // Start states of the frames.
  uint32_t object_start = 0;
  uint32_t array_start = 0;
  uint32_t set_start = 0;
  uint32_t repeat_start = 0;
  bool keeps_text = false;  // some object has keys outside its names
  Deadline deadline;
};

}  // namespace millrace::grammar
