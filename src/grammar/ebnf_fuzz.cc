// Compiles any text as a grammar of this kind under tight limits; when that works, samples from it: masks and AcceptToken
// must agree and no dead end may be met.
#include <cstdint>
#include <cstdlib>

#include "grammar/grammar_tool.h"
#include "grammar/test_vocabulary.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace millrace::grammar;
  static const FakeTokenizer tokenizer({"{\"", "\":", "\",\"", "\"}", "ab", "12", "true", "\xC3\xA9", "\xE2\x82", "]}", ", "});
  static const auto vocabulary = std::make_shared<const GrammarVocabulary>(tokenizer);
  if (size > 4096) return 0;
  CompileOptions options;
  options.limits = {.max_seconds = 0.5, .max_bytes = size_t{64} << 20};
  auto grammar = CompileGrammar(GrammarKind::kEbnf, {reinterpret_cast<const char*>(data), size}, vocabulary, options);
  if (!grammar.ok()) return 0;
  GrammarMatcher matcher(*grammar);
  std::vector<uint32_t> mask(vocabulary->mask_words());
  uint64_t random = size;
  for (int n = 0; n < 24 && !matcher.IsTerminated(); ++n) {
    matcher.FillBitmask(mask);
    std::vector<millrace::TokenId> allowed;
    for (millrace::TokenId id = 0; id < vocabulary->vocab_size(); ++id) {
      if ((mask[static_cast<size_t>(id) / 32] >> (id % 32)) & 1) allowed.push_back(id);
    }
    if (allowed.empty()) std::abort();
    random = random * 6364136223846793005u + 1442695040888963407u;
    if (!matcher.AcceptToken(allowed[(random >> 33) % allowed.size()])) std::abort();
  }
  return 0;
}
