// What the fuzzers of the grammar notations share: any text is compiled under tight limits; when that works, it is
// sampled from: masks and AcceptToken must agree and no dead end may be met.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/test_vocabulary.h"

namespace millrace::grammar {

inline int FuzzGrammar(GrammarKind kind, const uint8_t* data, size_t size) {
  static const FakeTokenizer tokenizer(
      {"{\"", "\":", "\",\"", "\"}", "ab", "12", "true", "\xC3\xA9", "\xE2\x82", "]}", ", "});
  static const auto vocabulary = std::make_shared<const GrammarVocabulary>(tokenizer);
  if (size > 4096) return 0;
  CompileOptions options;
  options.limits = {.max_steps = 20'000'000, .max_bytes = size_t{64} << 20};
  auto grammar = CompileGrammar(kind, {reinterpret_cast<const char*>(data), size}, vocabulary, options);
  if (!grammar.ok()) return 0;
  GrammarMatcher matcher(*grammar);
  std::vector<uint32_t> mask(vocabulary->mask_words());
  uint64_t random = size;
  for (int n = 0; n < 24 && !matcher.IsTerminated(); ++n) {
    matcher.FillBitmask(mask);
    std::vector<TokenId> allowed;
    for (TokenId id = 0; id < vocabulary->vocab_size(); ++id) {
      if ((mask[static_cast<size_t>(id) / 32] >> (id % 32)) & 1) allowed.push_back(id);
    }
    if (matcher.overflowed()) return 0;
    if (allowed.empty()) std::abort();
    // Every token that is allowed begins with what is forced, or is its beginning.
    const std::string forced = matcher.ForcedBytes(8);
    for (const TokenId id : forced.empty() ? std::vector<TokenId>() : allowed) {
      const std::string_view bytes = vocabulary->BytesOf(id);
      if (bytes.empty() || (!bytes.starts_with(forced) && !forced.starts_with(bytes))) std::abort();
    }
    random = random * 6364136223846793005u + 1442695040888963407u;
    if (!matcher.AcceptToken(allowed[(random >> 33) % allowed.size()])) std::abort();
  }
  return 0;
}

}  // namespace millrace::grammar
