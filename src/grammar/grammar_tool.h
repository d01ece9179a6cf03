// The work behind `millrace grammar`: checks texts against a grammar, samples from it and times its masks.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammar.h"

namespace millrace::grammar {

// True when the whole text is in the language, read token by token as Tokenizer::Encode would not have to: byte by
// byte.
bool AcceptsText(const GrammarPtr& grammar, std::string_view text);

// Processor time of the calling thread: what other processes do doesn't show in it.
double ThreadMicros();

struct MaskTimings {
  std::vector<double> micros;  // one per mask, in order
};

// Random tokens allowed by the masks, then the shortest way to an end. Deterministic in the seed. kInternal when the
// grammar leads into a dead end, which would be a bug in the engine.
struct SampleOptions {
  uint64_t seed = 0;
  int max_random_tokens = 40;
  int max_tokens = 4096;
};
Result<std::string> SampleText(const GrammarPtr& grammar, const SampleOptions& options, MaskTimings* timings);

// One JSON object per input line: {"schema": text, "accept": [texts], "samples": n, "whitespace": "compact"}; writes
// one object per line: {"status": "ok" | "refused" | "invalid", "message", "compile_ms", "first_mask_ms", "accepted":
// [bools], "samples": [texts], "mask_us": [numbers], "error"}. The last grammar is kept: asked again, nothing is
// compiled and the times are left out.
void RunGrammarLines(std::istream& in, std::ostream& out, const VocabularyPtr& vocabulary);

// `millrace grammar`: exit status 0 accepted (or nothing to check), 1 rejected, 3 refused.
struct GrammarToolOptions {
  GrammarKind kind = GrammarKind::kJsonSchema;
  std::string grammar;              // its text
  std::vector<std::string> accept;  // texts to check
  int samples = 0;
  uint64_t seed = 0;
};
int RunGrammarTool(const GrammarToolOptions& options, const VocabularyPtr& vocabulary, std::ostream& out,
                   std::ostream& errors);

}  // namespace millrace::grammar
