#include "tokenizer/bpe.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "tokenizer/unicode.h"

namespace millrace {
namespace {

// Below this many symbols a scan for the lowest rank beats a heap; it bounds the quadratic loop.
constexpr size_t kScanSymbols = 48;

// Merges symbols[0, n) in place by repeated scans; returns how many are left. n <= kScanSymbols.
size_t MergeByScan(const MergeTable& merges, TokenId* symbols, size_t n) {
  MergeTable::Merge pairs[kScanSymbols];
  for (size_t i = 0; i + 1 < n; ++i) pairs[i] = merges.Find(symbols[i], symbols[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == MergeTable::kNone) break;
    symbols[best] = pairs[best].merged;
    --n;
    std::memmove(symbols + best + 1, symbols + best + 2, (n - best - 1) * sizeof(*symbols));
    std::memmove(pairs + best, pairs + best + 1, (n - best - 1) * sizeof(*pairs));
    if (best > 0) pairs[best - 1] = merges.Find(symbols[best - 1], symbols[best]);
    if (best + 1 < n) pairs[best] = merges.Find(symbols[best], symbols[best + 1]);
  }
  return n;
}

// The same with a linked list and a heap, for words of any length.
class HeapMerger {
 public:
  HeapMerger(const MergeTable& merges, std::vector<TokenId>* symbols) : merges_(merges), symbols_(*symbols) {}

  void Run() {
    const uint32_t n = static_cast<uint32_t>(symbols_.size());
    nodes_.resize(n);
    for (uint32_t i = 0; i < n; ++i) nodes_[i] = {i - 1, i + 1, {MergeTable::kNone, -1}};
    nodes_[n - 1].next = kEnd;
    nodes_[0].previous = kEnd;
    for (uint32_t i = 0; i + 1 < n; ++i) {
      nodes_[i].merge = merges_.Find(symbols_[i], symbols_[i + 1]);
      if (nodes_[i].merge.rank != MergeTable::kNone) heap_.push_back(HeapKey(nodes_[i].merge.rank, i));
    }
    std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      const uint64_t top = heap_.back();
      heap_.pop_back();
      const uint32_t at = static_cast<uint32_t>(top);
      if (nodes_[at].merge.rank == static_cast<uint32_t>(top >> 32)) Merge(at);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i != kEnd; i = nodes_[i].next) symbols_[kept++] = symbols_[i];
    symbols_.resize(kept);
  }

 private:
  static constexpr uint32_t kEnd = 0xFFFFFFFF;
  struct Node {
    uint32_t previous, next;
    MergeTable::Merge merge;  // of this symbol with the next; rank kNone when there is none or this symbol is gone
  };

  static uint64_t HeapKey(uint32_t rank, uint32_t at) { return (static_cast<uint64_t>(rank) << 32) | at; }

  void Merge(uint32_t at) {
    Node& node = nodes_[at];
    symbols_[at] = node.merge.merged;
    nodes_[node.next].merge.rank = MergeTable::kNone;
    node.next = nodes_[node.next].next;
    if (node.next != kEnd) nodes_[node.next].previous = at;
    Update(at);
    if (node.previous != kEnd) Update(node.previous);
  }

  void Update(uint32_t at) {
    Node& node = nodes_[at];
    node.merge =
        node.next == kEnd ? MergeTable::Merge{MergeTable::kNone, -1} : merges_.Find(symbols_[at], symbols_[node.next]);
    if (node.merge.rank == MergeTable::kNone) return;
    heap_.push_back(HeapKey(node.merge.rank, at));
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  const MergeTable& merges_;
  std::vector<TokenId>& symbols_;
  std::vector<Node> nodes_;
  std::vector<uint64_t> heap_;
};

bool IsSingleChar(std::string_view text) {
  return !text.empty() && DecodeUtf8(text.data(), text.data() + text.size()).size == text.size();
}

}  // namespace

void MergeTable::Rehash(size_t slots) {
  std::vector<Entry> old(slots);
  old.swap(entries_);
  mask_ = slots - 1;
  shift_ = 64;
  for (size_t s = slots; s > 1; s /= 2) --shift_;
  for (const Entry& entry : old) {
    if (entry.key == kEmptyKey) continue;
    size_t at = Slot(entry.key);
    while (entries_[at].key != kEmptyKey) at = (at + 1) & mask_;
    entries_[at] = entry;
  }
}

void MergeTable::Reserve(size_t pairs) {
  size_t slots = entries_.size();
  while (slots < pairs * 2) slots *= 2;
  if (slots > entries_.size()) Rehash(slots);
}

void MergeTable::Insert(TokenId left, TokenId right, Merge merge, bool keep_first) {
  if ((size_ + 1) * 2 > entries_.size()) Rehash(entries_.size() * 2);
  const uint64_t key = Key(left, right);
  size_t at = Slot(key);
  while (entries_[at].key != kEmptyKey && entries_[at].key != key) at = (at + 1) & mask_;
  if (entries_[at].key == key && keep_first) return;
  if (entries_[at].key == kEmptyKey) ++size_;
  entries_[at] = {key, merge};
}

MergeRules MergeRules::FromRanks(const TokenMap& tokens, const std::vector<uint32_t>& ranks, bool byte_level) {
  MergeRules rules;
  rules.phantom_base = static_cast<TokenId>(ranks.size());
  rules.table.Reserve(tokens.size() * 2);
  TokenMap phantoms;
  const auto symbol_of = [&](std::string_view text) -> std::optional<TokenId> {
    if (const auto id = tokens.Find(text)) return id;
    if (byte_level || !IsSingleChar(text)) return std::nullopt;
    if (const auto id = phantoms.Find(text)) return id;
    const TokenId id = rules.phantom_base + static_cast<TokenId>(rules.phantoms.size());
    rules.phantoms.Add(text);
    phantoms.Insert(text, id);
    return id;
  };
  for (size_t i = 0; i < tokens.size(); ++i) {
    const TokenId id = tokens.id(i);
    const uint32_t rank = ranks[static_cast<size_t>(id)];
    if (rank == MergeTable::kNone) continue;
    const std::string_view text = tokens.key(i);
    for (size_t cut = 1; cut < text.size(); ++cut) {
      if (!byte_level && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) continue;
      const auto left = symbol_of(text.substr(0, cut));
      if (!left) continue;
      const auto right = symbol_of(text.substr(cut));
      if (right) rules.table.Insert(*left, *right, {rank, id});
    }
  }
  return rules;
}

BpeModel::BpeModel(TokenMap tokens, MergeRules rules, const BpeOptions& options)
    : tokens_(std::move(tokens)), rules_(std::move(rules)), options_(options) {
  for (uint32_t b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    byte_ids_[b] = tokens_.Find(std::string_view(&byte, 1)).value_or(-1);
  }
  for (size_t i = 0; i < rules_.phantoms.size(); ++i) {
    tokens_.Insert(rules_.phantoms[i], rules_.phantom_base + static_cast<TokenId>(i));
  }
  splits_before_metaspace_ = CanSplitBeforeMetaspace();
}

bool BpeModel::CanSplitBeforeMetaspace() const {
  if (options_.byte_level || options_.ignore_merges || !tokens_.Find(kMetaspace)) return false;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    std::string_view text = tokens_.key(i);
    while (text.starts_with(kMetaspace)) text.remove_prefix(kMetaspace.size());
    if (text.find(kMetaspace) != std::string_view::npos) return false;
  }
  return true;
}

void BpeModel::AppendSymbols(std::string_view word, std::vector<TokenId>* symbols) const {
  bool after_unknown = false;
  if (options_.byte_level) {
    for (size_t i = 0; i < word.size(); ++i) {
      const TokenId id = byte_ids_[static_cast<unsigned char>(word[i])];
      if (id >= 0) {
        symbols->push_back(id);
        after_unknown = false;
      } else {
        AppendFallback(word.substr(i, 1), &after_unknown, symbols);
      }
    }
    return;
  }
  for (const char* p = word.data(); p < word.data() + word.size();) {
    const std::string_view character(p, DecodeUtf8(p, word.data() + word.size()).size);
    p += character.size();
    if (const auto id = tokens_.Find(character)) {
      symbols->push_back(*id);
      after_unknown = false;
    } else {
      AppendFallback(character, &after_unknown, symbols);
    }
  }
}

void BpeModel::AppendFallback(std::string_view character, bool* after_unknown, std::vector<TokenId>* ids) const {
  if (options_.byte_fallback[0] >= 0) {
    for (const char byte : character) ids->push_back(options_.byte_fallback[static_cast<unsigned char>(byte)]);
    *after_unknown = false;
  } else if (options_.unk_id && !(*after_unknown && options_.fuse_unk)) {
    ids->push_back(*options_.unk_id);
    *after_unknown = true;
  }
}

void BpeModel::EncodeWord(std::string_view word, std::vector<TokenId>* ids) const {
  if (options_.ignore_merges) {
    if (const auto id = tokens_.Find(word)) {
      ids->push_back(*id);
      return;
    }
  }
  std::vector<TokenId> symbols;
  symbols.reserve(word.size());
  AppendSymbols(word, &symbols);
  if (symbols.size() <= kScanSymbols) {
    symbols.resize(MergeByScan(rules_.table, symbols.data(), symbols.size()));
  } else {
    HeapMerger(rules_.table, &symbols).Run();
  }
  if (rules_.phantoms.size() == 0) {
    ids->insert(ids->end(), symbols.begin(), symbols.end());
    return;
  }
  bool after_unknown = false;
  for (const TokenId id : symbols) {
    if (id < rules_.phantom_base) {
      ids->push_back(id);
      after_unknown = false;
    } else {
      AppendFallback(rules_.phantoms[static_cast<size_t>(id - rules_.phantom_base)], &after_unknown, ids);
    }
  }
}

}  // namespace millrace
