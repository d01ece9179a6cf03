#include "server/api_info.h"

#include <fmt/chrono.h>

#include "server/api_error.h"
#include "server/json.h"

namespace millrace {
namespace {

// OpenAI's and vLLM's members, then Anthropic's.
Json ModelJson(const Service& service) {
  return {{"id", service.model_name},
          {"object", "model"},
          {"created", service.created_s},
          {"owned_by", "millrace"},
          {"root", service.engine.checkpoint().info().name},
          {"max_model_len", service.engine.max_model_len()},
          {"type", "model"},
          {"display_name", service.model_name},
          {"created_at", fmt::format("{:%FT%TZ}", fmt::gmtime(static_cast<std::time_t>(service.created_s)))},
          {"max_input_tokens", service.engine.max_model_len()}};
}

// The engine publishes after a step; with nothing open, nothing runs.
EngineStats Stats(const Service& service) {
  EngineStats stats = service.engine.stats();
  if (service.open_sequences() == 0)
    stats.scheduler.num_running = stats.scheduler.num_waiting = stats.scheduler.num_paused = 0;
  return stats;
}

}  // namespace

HttpResponse Models(const Service& service) {
  const std::string& name = service.model_name;
  return {.body = DumpJson({{"object", "list"},
                            {"data", Json::array({ModelJson(service)})},
                            {"has_more", false},
                            {"first_id", name},
                            {"last_id", name}})};
}

HttpResponse Model(const Service& service, const std::string& name) {
  if (name == service.model_name) return {.body = DumpJson(ModelJson(service))};
  return ErrorResponse({.status = 404,
                        .message = fmt::format("model is {}, this server has {}", name, service.model_name),
                        .param = "model",
                        .code = "model_not_found"});
}

HttpResponse Health(const Service& service) {
  const int64_t stalled_us = service.StalledUs();
  const bool stalled = stalled_us > service.options.stall_timeout_us;
  const std::string damage = service.engine.stats().integrity_error;
  Json body = {{"status", stalled          ? "stalled"
                          : damage.empty() ? "ok"
                                           : "damaged"},
               {"seconds_since_progress", static_cast<double>(stalled_us) / 1e6}};
  if (!damage.empty()) body["kv_integrity"] = damage;
  return {.status = stalled || !damage.empty() ? 503 : 200, .body = DumpJson(body)};
}

HttpResponse Ready(const Service& service) {
  const char* status = service.draining ? "draining" : (service.overloaded() ? "overloaded" : "ready");
  const bool ready = !service.draining && !service.overloaded();
  return {.status = ready ? 200 : 503, .body = DumpJson({{"status", status}})};
}

HttpResponse Version(const std::string& version) {
  return {.body = DumpJson({{"version", version}})};
}

HttpResponse Load(const Service& service) {
  const EngineStats stats = Stats(service);
  const SchedulerStats& s = stats.scheduler;
  const Json body = {{"server_load", service.open_sequences()},
                     {"max_load", service.options.max_open_sequences},
                     {"num_running", s.num_running},
                     {"num_waiting", s.num_waiting},
                     {"num_paused", s.num_paused},
                     {"kv_blocks",
                      {{"total", s.kv.num_blocks > 0 ? s.kv.num_blocks : service.engine.memory_plan().num_blocks},
                       {"in_use", s.kv.num_in_use},
                       {"cached", s.kv.num_cached},
                       {"free", s.kv.num_blocks > 0 ? s.kv.num_free : service.engine.memory_plan().num_blocks}}},
                     {"prompt_tokens", s.prompt_tokens},
                     {"generation_tokens", s.generation_tokens},
                     {"prefix_cache_queries", s.prefix_cache_queries},
                     {"prefix_cache_hits", s.prefix_cache_hits},
                     {"num_preemptions", s.num_preemptions},
                     {"num_steps", stats.num_steps},
                     {"last_step_ms", static_cast<double>(stats.last_step_us) / 1e3},
                     {"uptime_s", static_cast<double>(service.engine.NowUs()) / 1e6}};
  return {.body = DumpJson(body)};
}

HttpResponse MetricsPage(const Service& service, const HttpServerStats& http) {
  Metrics::Gauges gauges;
  gauges.engine = Stats(service);
  gauges.open_requests = service.open_sequences();
  gauges.num_blocks = service.engine.memory_plan().num_blocks;
  gauges.max_model_len = service.engine.max_model_len();
  return {.body = service.metrics.Render(gauges, http), .content_type = "text/plain; version=0.0.4; charset=utf-8"};
}

std::string OrcaReport(const Service& service, std::string_view format) {
  if (format != "TEXT" && format != "JSON") return "";
  const SchedulerStats s = Stats(service).scheduler;
  if (format == "JSON") {
    return "JSON " + DumpJson({{"named_metrics",
                                {{"kv_cache_usage_perc", s.kv_usage},
                                 {"num_requests_waiting", s.num_waiting},
                                 {"num_requests_running", s.num_running}}}});
  }
  return fmt::format(
      "TEXT named_metrics.kv_cache_usage_perc={}, named_metrics.num_requests_waiting={}, "
      "named_metrics.num_requests_running={}",
      s.kv_usage, s.num_waiting, s.num_running);
}

}  // namespace millrace
