#include <random>

#include "grammar/completion_cost.h"
#include "grammar/grammar_tool.h"

namespace millrace::grammar {
namespace {

// A token of the mask chosen at random, or -1 for none.
TokenId RandomToken(std::span<const uint32_t> mask, std::mt19937_64& rng) {
  size_t count = 0;
  for (uint32_t word : mask) count += static_cast<size_t>(__builtin_popcount(word));
  if (count == 0) return -1;
  size_t skip = rng() % count;
  for (size_t w = 0; w < mask.size(); ++w) {
    const size_t here = static_cast<size_t>(__builtin_popcount(mask[w]));
    if (skip >= here) {
      skip -= here;
      continue;
    }
    uint32_t word = mask[w];
    for (; skip > 0; --skip) word &= word - 1;
    return static_cast<TokenId>(w * 32 + static_cast<size_t>(__builtin_ctz(word)));
  }
  return -1;
}

// Appends the bytes of a short way to an end.
Status Finish(const GrammarPtr& grammar, size_t max_bytes, std::string& text) {
  Machine machine(grammar->program());
  ConfigSet now, next, best;
  machine.Start(now);
  for (char c : text) {
    machine.Step(now, static_cast<uint8_t>(c), next);
    std::swap(now, next);
  }
  const CompletionCost cost(grammar->program());
  for (size_t n = 0; n < max_bytes; ++n) {
    if (now.ended) return OkStatus();
    uint64_t least = CompletionCost::kImpossible;
    uint8_t choice = 0;
    for (int b = 0; b < 256; ++b) {
      const Machine::Mark mark = machine.GetMark();
      machine.Step(now, static_cast<uint8_t>(b), next);
      const uint64_t estimate = next.empty() ? CompletionCost::kImpossible : cost.Of(next, machine);
      if (estimate < least) {
        least = estimate;
        choice = static_cast<uint8_t>(b);
      }
      machine.Truncate(mark);
    }
    if (least == CompletionCost::kImpossible) return Internal("a dead end after {}", text);
    machine.Step(now, choice, best);
    std::swap(now, best);
    text += static_cast<char>(choice);
  }
  return Internal("no end within {} bytes after {}", max_bytes, text.substr(0, 600));
}

}  // namespace

Result<std::string> SampleText(const GrammarPtr& grammar, const SampleOptions& options, MaskTimings* timings) {
  std::mt19937_64 rng(options.seed);
  GrammarMatcher matcher(grammar, 0);
  std::vector<uint32_t> mask(grammar->vocabulary().mask_words());
  std::string text;
  const int random_tokens = static_cast<int>(rng() % static_cast<uint64_t>(options.max_random_tokens + 1));
  for (int n = 0; n < random_tokens; ++n) {
    const double start = ThreadMicros();
    matcher.FillBitmask(mask);
    if (timings != nullptr) timings->micros.push_back(ThreadMicros() - start);
    const TokenId token = RandomToken(mask, rng);
    if (token < 0) return Internal("an empty mask after {}", text);
    if (!matcher.AcceptToken(token)) return Internal("token {} is in the mask but refused after {}", token, text);
    if (matcher.IsTerminated()) return text;
    text += grammar->vocabulary().BytesOf(token);
  }
  RETURN_IF_ERROR(Finish(grammar, static_cast<size_t>(options.max_tokens) * 4, text));
  return text;
}

}  // namespace millrace::grammar
