// Which requests a run consists of.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <numbers>
#include <string_view>

#include "base/file.h"
#include "bench_serve.h"

namespace millrace {
namespace {

constexpr size_t kMaxTraceBytes = size_t{1} << 30;
constexpr int kTraceBlockTokens = 512;  // of a hash id in Mooncake's traces
constexpr int kMaxTokens = 1 << 20;

// splitmix64: equal on every machine, unlike the distributions of <random>.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  double Exponential(double mean) { return -mean * std::log1p(-Uniform()); }
  double Normal() { return std::sqrt(-2.0 * std::log1p(-Uniform())) * std::cos(2.0 * std::numbers::pi * Uniform()); }
  // With this mean; sigma is that of the logarithm.
  double LogNormal(double mean, double sigma) { return mean * std::exp(sigma * Normal() - 0.5 * sigma * sigma); }

 private:
  uint64_t state_;
};

constexpr std::string_view kWords[] = {
    "the",   "of",    "and",  "to",     "in",    "is",    "that", "was",    "he",   "for",   "it",    "with",
    "as",    "his",   "on",   "be",     "at",    "by",    "had",  "not",    "are",  "but",   "from",  "or",
    "have",  "an",    "they", "which",  "one",   "you",   "were", "all",    "her",  "she",   "there", "would",
    "their", "we",    "him",  "been",   "has",   "when",  "who",  "will",   "no",   "more",  "if",    "out",
    "so",    "up",    "said", "what",   "its",   "about", "than", "into",   "them", "can",   "only",  "other",
    "time",  "new",   "some", "could",  "these", "two",   "may",  "first",  "then", "do",    "any",   "like",
    "my",    "now",   "over", "such",   "our",   "man",   "me",   "even",   "most", "made",  "after", "also",
    "well",  "did",   "many", "before", "must",  "years", "back", "where",  "much", "way",   "down",  "water",
    "house", "world", "day",  "night",  "work",  "place", "long", "little", "good", "great", "hand",  "light",
    "tree",  "river", "mill", "wheel"};

int Tokens(double value) {
  return static_cast<int>(std::clamp(std::round(value), 1.0, static_cast<double>(kMaxTokens)));
}

uint64_t Mix(uint64_t seed, uint64_t number) {
  return Random(seed * 0x9E3779B97F4A7C15u + number).Next();
}

PlannedRequest Generated(const ServeBenchOptions& options, uint64_t number, Random& random) {
  const auto spread = [&](int length) {
    return Tokens(length * (1.0 + options.spread * (2.0 * random.Uniform() - 1.0)));
  };
  PlannedRequest request;
  if (options.prompts == "sharegpt-like") {
    // Means and spread of the first turns of ShareGPT conversations, roughly; long tails cut where its users cut them.
    request.output_len = Tokens(std::min(1024.0, random.LogNormal(200, 0.9)) * options.scale.length);
    request.pieces.push_back({Mix(options.seed, 2 * number + 1),
                              Tokens(std::min(1024.0, random.LogNormal(220, 1.1)) * options.scale.length)});
    return request;
  }
  if (options.prompts == "shared-prefix") request.pieces.push_back({Mix(options.seed, 0), options.prefix_len});
  request.pieces.push_back({Mix(options.seed, 2 * number + 1), spread(options.input_len)});
  request.output_len = spread(options.output_len);
  return request;
}

// "2023-11-16 18:17:03.9799600,4808,10": time, prompt tokens, generated tokens.
Result<PlannedRequest> AzureLine(const std::string& line, size_t number, const ServeBenchOptions& options) {
  tm time{};
  double second = 0.0;
  int input = 0, output = 0;
  const int fields = std::sscanf(line.c_str(), "%d-%d-%d %d:%d:%lf,%d,%d", &time.tm_year, &time.tm_mon, &time.tm_mday,
                                 &time.tm_hour, &time.tm_min, &second, &input, &output);
  if (fields != 8)
    return InvalidArgument("{}:{}: expected TIMESTAMP,ContextTokens,GeneratedTokens", options.trace, number);
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  PlannedRequest request;
  request.at_s = static_cast<double>(timegm(&time)) + second;
  request.pieces.push_back({Mix(options.seed, number), sim::ScaledLength(input, options.scale.length)});
  request.output_len = sim::ScaledLength(output, options.scale.length);
  return request;
}

// {"timestamp": ms, "input_length": n, "output_length": n, "hash_ids": [...]}: equal ids are equal blocks of 512
// tokens.
Result<PlannedRequest> MooncakeLine(const std::string& line, size_t number, const ServeBenchOptions& options) {
  const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
  const auto is_number = [&](const char* name) { return entry.contains(name) && entry[name].is_number(); };
  if (!entry.is_object() || !is_number("timestamp") || !is_number("input_length") || !is_number("output_length")) {
    return InvalidArgument("{}:{}: expected an object with timestamp, input_length and output_length", options.trace,
                           number);
  }
  PlannedRequest request;
  request.at_s = entry["timestamp"].get<double>() * 1e-3;
  double rest = entry["input_length"].get<double>();
  if (const auto ids = entry.find("hash_ids"); ids != entry.end() && ids->is_array()) {
    for (const nlohmann::json& id : *ids) {
      if (!id.is_number_integer())
        return InvalidArgument("{}:{}: hash_ids has something else than integers", options.trace, number);
      const double tokens = std::min(rest, static_cast<double>(kTraceBlockTokens));
      if (tokens <= 0) break;
      request.pieces.push_back({Mix(options.seed, static_cast<uint64_t>(id.get<int64_t>())),
                                sim::ScaledLength(tokens, options.scale.length)});
      rest -= tokens;
    }
  }
  if (rest > 0) request.pieces.push_back({Mix(~options.seed, number), sim::ScaledLength(rest, options.scale.length)});
  request.output_len = sim::ScaledLength(entry["output_length"].get<double>(), options.scale.length);
  return request;
}

Result<std::vector<PlannedRequest>> ReadTrace(const ServeBenchOptions& options) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(options.trace, kMaxTraceBytes));
  std::vector<PlannedRequest> requests;
  size_t number = 0;
  for (size_t at = 0; at < text.size() && requests.size() < static_cast<size_t>(options.num_prompts);) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.empty() || line == "\r" || line.starts_with("TIMESTAMP")) continue;
    ASSIGN_OR_RETURN(PlannedRequest request,
                     line.front() == '{' ? MooncakeLine(line, number, options) : AzureLine(line, number, options));
    requests.push_back(std::move(request));
  }
  if (requests.empty()) return InvalidArgument("{} has no requests", options.trace);
  std::stable_sort(requests.begin(), requests.end(), [](const auto& a, const auto& b) { return a.at_s < b.at_s; });
  const double start = requests.front().at_s;
  for (PlannedRequest& request : requests) request.at_s = (request.at_s - start) * options.scale.time;
  return requests;
}

}  // namespace

int PlannedRequest::input_len() const {
  int sum = 0;
  for (const PromptPiece& piece : pieces) sum += piece.num_tokens;
  return sum;
}

Result<std::vector<PlannedRequest>> PlanRequests(const ServeBenchOptions& options) {
  if (!options.trace.empty()) return ReadTrace(options);
  Random random(Mix(options.seed, ~uint64_t{0}));
  std::vector<PlannedRequest> requests;
  double at = 0.0;
  for (int i = 0; i < options.num_prompts; ++i) {
    requests.push_back(Generated(options, static_cast<uint64_t>(i), random));
    requests.back().at_s = at;
    if (options.rate > 0) at += random.Exponential(1.0 / options.rate);
  }
  return requests;
}

int ClipRequests(int max_len, std::vector<PlannedRequest>& requests) {
  int num_clipped = 0;
  for (PlannedRequest& request : requests) {
    if (request.input_len() + request.output_len <= max_len) continue;
    ++num_clipped;
    request.output_len =
        std::clamp(max_len - request.input_len(), std::min(request.output_len, max_len / 4), request.output_len);
    int room = max_len - request.output_len;
    for (PromptPiece& piece : request.pieces) {
      piece.num_tokens = std::min(piece.num_tokens, room);
      room -= piece.num_tokens;
    }
  }
  return num_clipped;
}

std::string PromptText(const PlannedRequest& request, double tokens_per_word) {
  std::string text;
  double tokens = 0.0, wanted = 0.0;
  for (const PromptPiece& piece : request.pieces) {
    Random random(piece.seed);
    wanted += piece.num_tokens;
    for (; tokens + 0.5 * tokens_per_word < wanted; tokens += tokens_per_word) {
      if (!text.empty()) text += ' ';
      text += kWords[random.Next() % std::size(kWords)];
    }
  }
  return text.empty() ? std::string(kWords[0]) : text;
}

}  // namespace millrace
