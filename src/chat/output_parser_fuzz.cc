// The split law on any bytes in every named format: the first byte chooses the format and the options, the second seeds
// the cuts, the rest is the text.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "chat/output_parser.h"

namespace {

using millrace::OutputDelta;

constexpr std::array<std::string_view, 17> kFormats = {
    "hermes",       "qwen3_coder", "seed_oss",     "llama3_json",     "pythonic", "mistral",
    "mistral_json", "deepseek_v3", "deepseek_v31", "glm45",           "kimi_k2",  "minimax_m2",
    "harmony",      "granite",     "functionary",  "functionary_v32", "none"};

std::vector<OutputDelta> Parse(const millrace::OutputFormat& format, const millrace::OutputParserOptions& options,
                               std::string_view text, uint32_t seed) {
  millrace::OutputParser parser(format, options);
  std::vector<OutputDelta> merged;
  const auto add = [&](std::vector<OutputDelta> deltas) {
    for (OutputDelta& delta : deltas) millrace::AppendDelta(std::move(delta), merged);
  };
  while (!text.empty()) {
    seed = seed * 1664525 + 1013904223;
    const size_t size = std::min<size_t>(1 + (seed >> 24) % 8, text.size());
    add(parser.Push(text.substr(0, size)));
    text.remove_prefix(size);
  }
  add(parser.Finish());
  return merged;
}

std::vector<OutputDelta> ParseWhole(const millrace::OutputFormat& format, const millrace::OutputParserOptions& options,
                                    std::string_view text) {
  millrace::OutputParser parser(format, options);
  std::vector<OutputDelta> deltas = parser.Push(text);
  for (OutputDelta& delta : parser.Finish()) millrace::AppendDelta(std::move(delta), deltas);
  return deltas;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const auto tools = millrace::FindToolFormat(kFormats[data[0] % kFormats.size()]);
  const millrace::OutputFormat format = {millrace::FindReasoningFormat("think").value(), tools.value()};
  millrace::OutputParserOptions options;
  options.starts_in_reasoning = (data[0] & 0x80) != 0;
  if (ParseWhole(format, options, text) != Parse(format, options, text, data[1])) std::abort();
  return 0;
}
