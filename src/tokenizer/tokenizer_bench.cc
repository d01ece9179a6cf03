// tokenizer_bench FOLDER TEXT...: encodes the texts with the tokenizer of a model folder and prints MB/s, the best of
// several rounds, first with an empty word cache and then with a warm one. Instructions: perf stat -e instructions:u.
#include <fmt/core.h>

#include <chrono>
#include <string>

#include "base/file.h"
#include "tokenizer/load.h"

namespace millrace {
namespace {

constexpr int kRounds = 10;

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

int Run(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: tokenizer_bench FOLDER TEXT...\n");
    return 2;
  }
  const auto load_start = std::chrono::steady_clock::now();
  const auto tokenizer = LoadTokenizerFromFolder(argv[1]);
  if (!tokenizer.ok()) {
    fmt::print(stderr, "{}\n", tokenizer.status().message());
    return 1;
  }
  fmt::print("load {:.0f} ms\n", 1e3 * Seconds(std::chrono::steady_clock::now() - load_start));
  std::string text;
  for (int i = 2; i < argc; ++i) {
    const auto part = ReadFile(argv[i], 1 << 30);
    if (!part.ok()) {
      fmt::print(stderr, "{}\n", part.status().message());
      return 1;
    }
    text += *part;
  }
  double best = 1e9;
  size_t num_ids = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    num_ids = (*tokenizer)->Encode(text).size();
    const double seconds = Seconds(std::chrono::steady_clock::now() - start);
    if (round == 0) fmt::print("cold {:.1f} MB/s\n", static_cast<double>(text.size()) / seconds / 1e6);
    best = std::min(best, seconds);
  }
  fmt::print("warm {:.1f} MB/s, {} bytes, {} ids, {} rounds\n", static_cast<double>(text.size()) / best / 1e6,
             text.size(), num_ids, kRounds);
  return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  return millrace::Run(argc, argv);
}
