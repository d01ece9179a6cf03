#include "sim/trace.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/checked_math.h"
#include "base/file.h"

namespace millrace::sim {
namespace {

constexpr int64_t kMaxRequests = 1'000'000;
constexpr int kMaxTokens = 1 << 20;
constexpr size_t kMaxTraceBytes = size_t{1} << 30;

// splitmix64.
uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

template <typename T>
bool ReadNumber(std::string_view* text, char end, T* value) {
  const auto [rest, error] = std::from_chars(text->data(), text->data() + text->size(), *value);
  if (error != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(rest - text->data()));
  if (end == '\0') return text->empty() || *text == "\r";
  if (text->empty() || text->front() != end) return false;
  text->remove_prefix(1);
  return true;
}

// "2023-11-16 18:15:46.6805900,374,44"
bool ParseAzureLine(std::string_view line, TraceRequest* request) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return false;
  line.remove_prefix(space + 1);
  int hours = 0, minutes = 0;
  double seconds = 0;
  if (!ReadNumber(&line, ':', &hours) || !ReadNumber(&line, ':', &minutes) || !ReadNumber(&line, ',', &seconds))
    return false;
  request->arrival_us = (int64_t{hours} * 60 + minutes) * 60'000'000 + std::llround(seconds * 1e6);
  return hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60 && seconds >= 0 && seconds < 61 &&
         ReadNumber(&line, ',', &request->num_prompt_tokens) && ReadNumber(&line, '\0', &request->num_output_tokens);
}

bool ParseMooncakeLine(std::string_view line, TraceRequest* request) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return false;
  const auto number = [&](const char* key, auto* value) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_number_integer()) return false;
    *value = found->get<std::remove_pointer_t<decltype(value)>>();
    return true;
  };
  int64_t milliseconds = 0;
  if (!number("timestamp", &milliseconds) || milliseconds < 0 || milliseconds > int64_t{1} << 40) return false;
  request->arrival_us = milliseconds * 1000;
  if (!number("input_length", &request->num_prompt_tokens) || !number("output_length", &request->num_output_tokens))
    return false;
  const auto ids = json.find("hash_ids");
  if (ids == json.end()) return true;
  if (!ids->is_array() || ids->size() > kMaxTokens) return false;
  for (const auto& id : *ids) {
    if (!id.is_number_unsigned()) return false;
    request->prefix_ids.push_back(id.get<uint32_t>());
  }
  return true;
}

}  // namespace

Result<Trace> ParseTrace(std::string_view text, int64_t max_requests) {
  const size_t limit = static_cast<size_t>(max_requests > 0 ? std::min(max_requests, kMaxRequests) : kMaxRequests);
  Trace trace;
  const bool json = text.starts_with('{');
  for (int64_t number = 1; !text.empty() && trace.requests.size() < limit; ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.empty() || line == "\r" || (!json && number == 1)) continue;  // the header of the CSV file
    TraceRequest request;
    if (!(json ? ParseMooncakeLine(line, &request) : ParseAzureLine(line, &request))) {
      return InvalidArgument(
          "line {} is neither \"TIMESTAMP,ContextTokens,GeneratedTokens\" nor a JSON object of a Mooncake trace",
          number);
    }
    if (request.num_prompt_tokens < 0 || request.num_prompt_tokens > kMaxTokens || request.num_output_tokens < 0 ||
        request.num_output_tokens > kMaxTokens) {
      return OutOfRange("line {} has {} prompt and {} output tokens, expected 0 to {}", number,
                        request.num_prompt_tokens, request.num_output_tokens, kMaxTokens);
    }
    request.num_prompt_tokens = std::max(1, request.num_prompt_tokens);
    request.num_output_tokens = std::max(1, request.num_output_tokens);
    trace.requests.push_back(std::move(request));
  }
  if (trace.requests.empty()) return InvalidArgument("the trace has no requests");
  std::stable_sort(trace.requests.begin(), trace.requests.end(),
                   [](const TraceRequest& a, const TraceRequest& b) { return a.arrival_us < b.arrival_us; });
  const int64_t first = trace.requests.front().arrival_us;
  for (TraceRequest& request : trace.requests) request.arrival_us -= first;
  return trace;
}

Result<Trace> LoadTrace(const std::string& path, int64_t max_requests) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxTraceBytes));
  Result<Trace> trace = ParseTrace(text, max_requests);
  if (!trace.ok()) return trace.status().WithPrefix(path);
  trace->name = path.substr(path.find_last_of('/') + 1);
  return trace;
}

int ScaledLength(double tokens, double scale) {
  // 30 times 0.1 is a little more than 3.
  constexpr double kRoundingError = 1e-6;
  return static_cast<int>(std::clamp(std::ceil(tokens * scale - kRoundingError), 1.0, static_cast<double>(kMaxTokens)));
}

void ScaleTrace(const TraceScale& scale, Trace* trace) {
  CHECK(scale.time > 0 && scale.time <= 1e3 && scale.length > 0);
  trace->unit_tokens = ScaledLength(trace->unit_tokens, scale.length);
  for (TraceRequest& request : trace->requests) {
    request.arrival_us = std::llround(static_cast<double>(request.arrival_us) * scale.time);
    request.num_prompt_tokens = ScaledLength(request.num_prompt_tokens, scale.length);
    request.num_output_tokens = ScaledLength(request.num_output_tokens, scale.length);
  }
}

std::vector<TokenId> PromptTokens(const Trace& trace, size_t index, int vocab) {
  CHECK_GT(vocab, 3);
  const TraceRequest& request = trace.requests[index];
  std::vector<TokenId> tokens;
  tokens.reserve(static_cast<size_t>(request.num_prompt_tokens));
  const auto own = (uint64_t{1} << 62) + index;
  for (int i = 0; i < request.num_prompt_tokens; ++i) {
    const size_t unit = static_cast<size_t>(i / trace.unit_tokens);
    const uint64_t source = unit < request.prefix_ids.size() ? request.prefix_ids[unit] : own;
    tokens.push_back(
        3 + static_cast<TokenId>(Mix(source * 0x10001 + static_cast<uint64_t>(i)) % static_cast<uint64_t>(vocab - 3)));
  }
  return tokens;
}

}  // namespace millrace::sim
