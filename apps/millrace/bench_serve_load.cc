// The client: many requests at once on one thread, over libcurl's multi interface.
#include <curl/curl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "bench_serve.h"

namespace millrace {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

constexpr int kPollMs = 50;
constexpr size_t kMaxErrorBytes = 300;
constexpr size_t kMaxLineBytes = 1 << 20;
constexpr double kProgressPeriodS = 0.1;

struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct EasyDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
struct HeadersDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using EasyPtr = std::unique_ptr<CURL, EasyDeleter>;
using HeadersPtr = std::unique_ptr<curl_slist, HeadersDeleter>;

HeadersPtr MakeHeaders(const ServeBenchOptions& options) {
  curl_slist* list = curl_slist_append(nullptr, "Content-Type: application/json");
  list = curl_slist_append(list, "Expect:");  // no wait for "100 Continue" before a long prompt
  if (!options.api_key.empty()) list = curl_slist_append(list, ("Authorization: Bearer " + options.api_key).c_str());
  CHECK(list != nullptr);
  return HeadersPtr(list);
}

EasyPtr MakeEasy(const ServeBenchOptions& options, const std::string& path, curl_slist* headers) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  CHECK(initialised == CURLE_OK);
  EasyPtr curl(curl_easy_init());
  CHECK(curl != nullptr);
  curl_easy_setopt(curl.get(), CURLOPT_URL, (options.url + path).c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout_s * 1e3));
  return curl;
}

void SetPost(CURL* curl, const std::string& body) {
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, body.c_str());
}

size_t AppendBody(char* data, size_t size, size_t count, void* body) {
  static_cast<std::string*>(body)->append(data, size * count);
  return size * count;
}

// The reply's JSON; discarded when the status is not 200.
Result<Json> Call(const ServeBenchOptions& options, const std::string& path, const std::string& body) {
  const HeadersPtr headers = MakeHeaders(options);
  const EasyPtr curl = MakeEasy(options, path, headers.get());
  std::string reply;
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, AppendBody);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &reply);
  if (!body.empty()) SetPost(curl.get(), body);
  if (const CURLcode code = curl_easy_perform(curl.get()); code != CURLE_OK)
    return Unavailable("{}{}: {} (--url)", options.url, path, curl_easy_strerror(code));
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status != 200)
    return Unavailable("{}{} answered {}: {}", options.url, path, status, reply.substr(0, kMaxErrorBytes));
  return Json::parse(reply, nullptr, false);
}

std::string RequestBody(const ServeBenchOptions& options, const ServeTarget& target, const PlannedRequest& request) {
  Json body = {{"model", target.model},
               {"max_tokens", request.output_len},
               {"temperature", options.temperature},
               {"stream", true},
               {"stream_options", {{"include_usage", true}}}};
  if (options.ignore_eos) body["ignore_eos"] = true;
  std::string prompt = PromptText(request, target.tokens_per_word);
  if (options.endpoint == "chat") {
    body["messages"] = Json::array({{{"role", "user"}, {"content", std::move(prompt)}}});
  } else {
    body["prompt"] = std::move(prompt);
  }
  return body.dump();
}

int64_t Number(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<int64_t>() : 0;
}

bool HasText(const Json& choice) {
  const auto is_text = [](const Json& object, const char* name) {
    return object.contains(name) && object[name].is_string() && !object[name].get_ref<const std::string&>().empty();
  };
  if (!choice.is_object()) return false;
  if (is_text(choice, "text")) return true;
  const auto delta = choice.find("delta");
  if (delta == choice.end() || !delta->is_object()) return false;
  return is_text(*delta, "content") || is_text(*delta, "reasoning_content") || delta->contains("tool_calls");
}

class Load {
 public:
  Load(const ServeBenchOptions& options, const ServeTarget& target, const std::vector<PlannedRequest>& requests)
      : options_(options),
        target_(target),
        requests_(requests),
        headers_(MakeHeaders(options)),
        multi_(curl_multi_init()),
        records_(requests.size()) {
    CHECK(multi_ != nullptr);
  }

  std::vector<RequestRecord> Run() {
    start_ = Clock::now();
    while (next_ < requests_.size() || num_running_ > 0) {
      StartDue();
      int running = 0;
      curl_multi_perform(multi_.get(), &running);
      TakeFinished();
      ShowProgress(false);
      curl_multi_poll(multi_.get(), nullptr, 0, PollMs(), nullptr);
    }
    ShowProgress(true);
    return std::move(records_);
  }

 private:
  struct Transfer {
    Load* load;
    RequestRecord* record;
    EasyPtr curl;
    std::string line, body;
    bool done = false;  // [DONE] was seen
  };

  double Now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  bool IsClosedLoop() const { return options_.concurrency > 0; }

  int PollMs() const {
    if (IsClosedLoop() || next_ >= requests_.size()) return num_running_ > 0 ? kPollMs : 0;
    return static_cast<int>(std::clamp((requests_[next_].at_s - Now()) * 1e3, 0.0, static_cast<double>(kPollMs)));
  }

  void StartDue() {
    while (next_ < requests_.size()) {
      if (IsClosedLoop() ? num_running_ >= options_.concurrency : requests_[next_].at_s > Now()) return;
      Start(next_++);
    }
  }

  void Start(size_t index) {
    auto transfer = std::make_unique<Transfer>();
    transfer->load = this;
    transfer->record = &records_[index];
    transfer->curl =
        MakeEasy(options_, options_.endpoint == "chat" ? "/v1/chat/completions" : "/v1/completions", headers_.get());
    CURL* curl = transfer->curl.get();
    SetPost(curl, RequestBody(options_, target_, requests_[index]));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnBody);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer.get());
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, OnHeader);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer.get());
    curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer.get());
    transfer->record->start_s = IsClosedLoop() ? Now() : requests_[index].at_s;
    CHECK(curl_multi_add_handle(multi_.get(), curl) == CURLM_OK);
    transfers_.push_back(std::move(transfer));
    ++num_running_;
  }

  static size_t OnHeader(char* data, size_t size, size_t count, void* context) {
    const std::string_view line(data, size * count);
    constexpr std::string_view kName = "retry-after:";
    const bool matches =
        line.size() > kName.size() &&
        std::equal(kName.begin(), kName.end(), line.begin(), [](char a, char b) { return a == (b | 0x20) || a == b; });
    if (matches) static_cast<Transfer*>(context)->record->has_retry_after = true;
    return size * count;
  }

  static size_t OnBody(char* data, size_t size, size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    long status = 0;
    curl_easy_getinfo(transfer.curl.get(), CURLINFO_RESPONSE_CODE, &status);
    const std::string_view bytes(data, size * count);
    if (status != 200) {
      transfer.body.append(bytes.substr(0, kMaxErrorBytes - std::min(kMaxErrorBytes, transfer.body.size())));
      return bytes.size();
    }
    const double now = transfer.load->Now();
    for (const char c : bytes) {
      if (c != '\n') {
        transfer.line += c;
        continue;
      }
      OnLine(transfer, now);
      transfer.line.clear();
    }
    return transfer.line.size() > kMaxLineBytes ? 0 : bytes.size();
  }

  static void OnLine(Transfer& transfer, double now) {
    constexpr std::string_view kPrefix = "data:";
    if (!transfer.line.starts_with(kPrefix)) return;
    std::string_view data(transfer.line);
    data.remove_prefix(kPrefix.size());
    if (data.find("[DONE]") != std::string_view::npos && data.size() < 12) {
      transfer.done = true;
      return;
    }
    const Json event = Json::parse(data, nullptr, false);
    if (!event.is_object()) return;
    RequestRecord& record = *transfer.record;
    if (event.contains("error")) record.error = event["error"].dump().substr(0, kMaxErrorBytes);
    if (const auto choices = event.find("choices");
        choices != event.end() && choices->is_array() && !choices->empty() && HasText(choices->front())) {
      record.event_s.push_back(now);
    }
    const auto usage = event.find("usage");
    if (usage == event.end() || !usage->is_object()) return;
    record.prompt_tokens = Number(*usage, "prompt_tokens");
    record.output_tokens = Number(*usage, "completion_tokens");
    if (const auto details = usage->find("prompt_tokens_details"); details != usage->end() && details->is_object()) {
      record.cached_tokens = Number(*details, "cached_tokens");
    }
  }

  void TakeFinished() {
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      Transfer* transfer = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      curl_multi_remove_handle(multi_.get(), message->easy_handle);
      Finish(*transfer, code);
      std::erase_if(transfers_, [&](const auto& held) { return held.get() == transfer; });
      --num_running_;
    }
  }

  void Finish(Transfer& transfer, CURLcode code) {
    RequestRecord& record = *transfer.record;
    long status = 0;
    curl_easy_getinfo(transfer.curl.get(), CURLINFO_RESPONSE_CODE, &status);
    record.status = static_cast<int>(status);
    record.end_s = Now();
    if (code != CURLE_OK) {
      record.error = curl_easy_strerror(code);
    } else if (status != 200) {
      record.error = fmt::format("{}: {}", status, transfer.body);
    } else if (record.error.empty() && (!transfer.done || record.event_s.empty())) {
      record.error = transfer.done ? "no text" : "the stream ended without [DONE]";
    }
    // A server that sends no usage: one token an event.
    if (record.output_tokens == 0) record.output_tokens = static_cast<int64_t>(record.event_s.size());
    num_failed_ += record.ok() ? 0 : 1;
    num_output_tokens_ += record.output_tokens;
    ++num_finished_;
  }

  void ShowProgress(bool last) {
    if (isatty(STDERR_FILENO) == 0) return;
    const double now = Now();
    if (!last && now - shown_s_ < kProgressPeriodS) return;
    shown_s_ = now;
    constexpr size_t kWidth = 30;
    const size_t filled = kWidth * num_finished_ / std::max<size_t>(1, requests_.size());
    const double rate = static_cast<double>(num_finished_) / std::max(now, 1e-9);
    const double left = rate > 0 ? static_cast<double>(requests_.size() - num_finished_) / rate : 0.0;
    std::fprintf(stderr, "\r[%s%s] %zu/%zu  %d open  %zu failed  %.0f tokens/s  %.0f s left \x1b[K%s",
                 std::string(filled, '#').c_str(), std::string(kWidth - filled, '.').c_str(), num_finished_,
                 requests_.size(), num_running_, num_failed_,
                 static_cast<double>(num_output_tokens_) / std::max(now, 1e-9), left, last ? "\n" : "");
  }

  const ServeBenchOptions& options_;
  const ServeTarget& target_;
  const std::vector<PlannedRequest>& requests_;
  const HeadersPtr headers_;
  const std::unique_ptr<CURLM, MultiDeleter> multi_;
  std::vector<std::unique_ptr<Transfer>> transfers_;
  std::vector<RequestRecord> records_;
  Clock::time_point start_;
  size_t next_ = 0, num_finished_ = 0, num_failed_ = 0;
  int64_t num_output_tokens_ = 0;
  int num_running_ = 0;
  double shown_s_ = 0.0;
};

// How many tokens the server makes of a text; 0: it doesn't say.
double CountTokens(const ServeBenchOptions& options, const std::string& model, const std::string& text) {
  // "prompt" for ours and vLLM's, "content" for llama.cpp's.
  const Json body = {{"model", model}, {"prompt", text}, {"content", text}, {"add_special_tokens", false}};
  const Result<Json> reply = Call(options, "/tokenize", body.dump());
  if (reply.ok() && reply->is_object() && reply->contains("tokens") && (*reply)["tokens"].is_array())
    return static_cast<double>((*reply)["tokens"].size());
  const Json probe = {{"model", model}, {"prompt", text}, {"max_tokens", 1}};
  const Result<Json> answer = Call(options, "/v1/completions", probe.dump());
  if (!answer.ok() || !answer->is_object() || !answer->contains("usage") || !(*answer)["usage"].is_object()) return 0.0;
  return static_cast<double>(Number((*answer)["usage"], "prompt_tokens"));
}

}  // namespace

Result<ServeTarget> ProbeServer(const ServeBenchOptions& options) {
  ServeTarget target{.model = options.model};
  ASSIGN_OR_RETURN(const Json models, Call(options, "/v1/models", ""));
  if (models.is_object() && models.contains("data") && models["data"].is_array() && !models["data"].empty() &&
      models["data"][0].is_object()) {
    const Json& first = models["data"][0];
    if (target.model.empty() && first.contains("id") && first["id"].is_string())
      target.model = first["id"].get<std::string>();
    target.max_model_len = static_cast<int>(std::clamp<int64_t>(Number(first, "max_model_len"), 0, 1 << 30));
  }
  if (target.model.empty()) return InvalidArgument("{} lists no model (--model)", options.url);
  constexpr int kSampleWords = 200;
  PlannedRequest sample;
  sample.pieces.push_back({options.seed, kSampleWords});
  const double tokens = CountTokens(options, target.model, PromptText(sample, 1.0));
  if (tokens > 0) target.tokens_per_word = tokens / kSampleWords;
  return target;
}

std::vector<RequestRecord> RunServeLoad(const ServeBenchOptions& options, const ServeTarget& target,
                                        const std::vector<PlannedRequest>& requests) {
  return Load(options, target, requests).Run();
}

}  // namespace millrace
