#include "grammar/likely_byte.h"

#include <algorithm>
#include <array>

namespace millrace::grammar {
namespace {

// Different bytes, as long as they are few.
class FewBytes {
 public:
  void Add(int byte) {
    if (size_ > kMax || std::find(bytes_.begin(), bytes_.begin() + size_, byte) != bytes_.begin() + size_) return;
    if (size_ < kMax) bytes_[static_cast<size_t>(size_)] = byte;
    ++size_;
  }
  bool too_many() const { return size_ > kMax; }

  // A blank when there is one, else the only byte beside the beginning of an escape.
  int Choose() const {
    if (too_many()) return -1;
    int chosen = -1;
    for (int i = 0; i < size_; ++i) {
      const int byte = bytes_[static_cast<size_t>(i)];
      if (byte == ' ' || byte == '\n') return byte;
      if (byte == '\\' && size_ > 1) continue;
      if (chosen >= 0) return -1;
      chosen = byte;
    }
    return chosen;
  }

 private:
  static constexpr int kMax = 20;  // values begin with fewer
  std::array<int, kMax> bytes_ = {};
  int size_ = 0;
};

// The next byte of an object's key when one of its names alone goes on like this; -1 otherwise.
int LikelyKeyByte(const Machine& machine, const Config& config) {
  const ObjectSpec& spec = machine.ObjectOf(config);
  const Payload& payload = machine.PayloadOf(config);
  const bool only_names = config.lex.q == kNoState;
  const uint32_t at = config.lex.count;
  if (config.lex.decoder != 0 || at == kNoState || (at == 0 && !only_names)) return -1;
  const NameTrie::Node& node = spec.names.nodes[at];
  int next = node.name != kNoRule && NameAvailable(spec, payload, node.name) ? '"' : -1;
  for (uint32_t i = node.first_child; i < node.first_child + node.num_children; ++i) {
    const NameTrie::Node& child = spec.names.nodes[i];
    if (!AnyNameAvailable(spec, payload, child.first, child.last)) continue;
    if (next >= 0 || child.c < 0x20 || child.c >= 0x80 || child.c == '"' || child.c == '\\') return -1;
    next = static_cast<int>(child.c);
  }
  return next;
}

}  // namespace

int LikelyByte(const Machine& machine, const ConfigSet& now) {
  if (now.ended) return -1;
  FewBytes bytes;
  for (const Config& config : now.configs) {
    const Edge& edge = machine.EdgeOf(config);
    if (edge.kind == EdgeKind::kKey) {
      const int byte = LikelyKeyByte(machine, config);
      if (byte < 0) return -1;
      bytes.Add(byte);
      continue;
    }
    if (edge.kind != EdgeKind::kTerminal) return -1;
    const Terminal& terminal = machine.program().terminals[edge.arg];
    for (int b = 0; b < 256 && !bytes.too_many(); ++b) {
      LexState lex = config.lex;
      if (terminal.Step(lex, static_cast<uint8_t>(b))) bytes.Add(b);
    }
    if (bytes.too_many()) return -1;
  }
  return bytes.Choose();
}

}  // namespace millrace::grammar
