#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "chat/template.h"
#include "commands.h"
#include "server/fields.h"
#include "server/server.h"

namespace millrace {
namespace {

struct ServeOptions {
  EngineOptions engine;
  std::string kv_cache_dtype = "bf16";
  ServerOptions server;
  std::string template_file;
  std::string log_format = "text", log_level = "requests";
  double response_ttl_seconds = 3600.0;
  double drain_seconds = 30.0, watchdog_seconds = 120.0, queue_timeout_seconds = 0.0;
  bool dry_run = false;
  int max_queued = 1024;
};

// The signals are blocked in every thread and taken here, so that no handler runs anywhere.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

void PrintStart(const Engine& engine, const ServeOptions& options, const Server& server) {
  const std::string& host = options.server.http.host;
  const std::string shown =
      host == "0.0.0.0" || host == "::" ? "localhost" : (host.find(':') == std::string::npos ? host : "[" + host + "]");
  const char* const scheme = options.server.http.tls_cert_file.empty() ? "" : "s";
  std::fprintf(stderr, "%s: context %d, %d KV blocks, up to %d sequences at once\n",
               engine.checkpoint().info().name.c_str(), engine.max_model_len(),
               static_cast<int>(engine.memory_plan().num_blocks), engine.max_num_seqs());
  std::fprintf(stderr, "%s\n", engine.memory_plan().reason.c_str());
  if (!IsLoopbackHost(host) && options.server.access.api_keys.empty()) {
    std::fprintf(stderr, "anyone who reaches %s may use this server: --api-key asks for a key\n", host.c_str());
  }
  if (server.admin_port() >= 0)
    std::fprintf(stderr, "admin on http%s://%s:%d\n", scheme, options.server.admin_host.c_str(), server.admin_port());
  std::fprintf(stderr, "listening on http%s://%s:%d  (OpenAI and Anthropic API under /v1)\n", scheme, shown.c_str(),
               server.port());
  if (options.server.ui) std::fprintf(stderr, "web page: http%s://%s:%d/\n", scheme, shown.c_str(), server.port());
}

Status Serve(ServeOptions options) {
  RETURN_IF_ERROR(FinishEngineOptions(options.kv_cache_dtype, &options.engine));
  if (!options.template_file.empty()) {
    ASSIGN_OR_RETURN(options.server.service.chat_template,
                     ReadFile(options.template_file, ChatTemplate::kMaxSourceBytes));
  }
  if (const char* key = std::getenv("MILLRACE_API_KEY"); key != nullptr && *key != '\0')
    options.server.access.api_keys.emplace_back(key);
  options.server.access.loopback = IsLoopbackHost(options.server.http.host);
  options.engine.max_num_waiting = options.max_queued;
  options.engine.warm_up = true;
  options.engine.queue_timeout_us = static_cast<int64_t>(options.queue_timeout_seconds * 1e6);
  options.server.service.stall_timeout_us = static_cast<int64_t>(options.watchdog_seconds * 1e6);
  options.server.service.response_store.ttl_us = static_cast<int64_t>(options.response_ttl_seconds * 1e6);
  ASSIGN_OR_RETURN(options.server.log_level, ParseLogLevel(options.log_level));
  if (options.log_format == "json") options.server.log_fd = STDOUT_FILENO;
  options.server.version = MILLRACE_VERSION;
  if (options.dry_run) {
    ASSIGN_OR_RETURN(const std::string plan, Engine::DryRun(options.engine));
    std::printf("%s", plan.c_str());
    return OkStatus();
  }
  const sigset_t signals = BlockSignals();
  ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, OpenEngine(options.engine));
  options.server.service.max_open_sequences = engine->max_num_seqs() + options.max_queued;
  ASSIGN_OR_RETURN(const std::unique_ptr<Server> server, Server::Start(*engine, options.server));
  PrintStart(*engine, options, *server);
  int signal = 0;
  sigwait(&signals, &signal);
  std::fprintf(stderr, "finishing %d open sequences within %.0f s; a second signal ends at once\n",
               server->open_sequences(), options.drain_seconds);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // the default action of the second one ends the process
  const bool complete = server->Stop(static_cast<int64_t>(options.drain_seconds * 1e6));
  return complete ? OkStatus()
                  : DeadlineExceeded("some requests were cut off after {} s (--drain-seconds)", options.drain_seconds);
}

void AddOperation(CLI::App& command, ServeOptions* options) {
  ServerOptions& server = options->server;
  command
      .add_option("--admin-port", server.admin_port,
                  "a second port for operators: metrics, drain, log level, cache reset; 0 takes any free port")
      ->check(CLI::Range(0, 65535));
  command.add_option("--admin-host", server.admin_host, "address of the admin port")->capture_default_str();
  command.add_option("--ssl-certfile", server.http.tls_cert_file, "PEM certificate chain: HTTPS on both ports");
  command.add_option("--ssl-keyfile", server.http.tls_key_file, "PEM private key of the certificate");
  command.add_option("--log-format", options->log_format, "json: one line a request on standard output")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command.add_option("--log-level", options->log_level, "which requests are logged")
      ->check(CLI::IsMember({"off", "errors", "requests"}))
      ->capture_default_str();
  command
      .add_option("--response-store-bytes", server.service.response_store.max_bytes,
                  "memory for what /v1/responses keeps")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  command.add_option("--response-ttl", options->response_ttl_seconds, "seconds that a response is kept")
      ->check(CLI::Range(1.0, 1e7))
      ->capture_default_str();
}

void AddLimits(CLI::App& command, ServeOptions* options) {
  HttpServerOptions& http = options->server.http;
  command.add_option("--max-queued", options->max_queued, "sequences that may wait; beyond, 429")
      ->check(CLI::Range(1, 4000))
      ->capture_default_str();
  command
      .add_option("--queue-timeout-seconds", options->queue_timeout_seconds,
                  "longest wait for the first step (0: none)")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  command.add_option("--max-connections", http.max_connections, "open connections")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--max-body-bytes", http.max_body_bytes, "of a request")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  command.add_option("--drain-seconds", options->drain_seconds, "for open requests after SIGTERM")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  command
      .add_option("--watchdog-seconds", options->watchdog_seconds,
                  "without a step, with requests open, until /health says so")
      ->check(CLI::Range(1.0, 86400.0))
      ->capture_default_str();
  command.add_option("--http-threads", http.num_threads, "for connections")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_option("--workers", options->server.num_workers, "threads for templates and tokenizing")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
}

}  // namespace

void AddServeCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand("serve", "Serve a model to many users: OpenAI-compatible HTTP API");
  AddEngineOptions(*command, &options->engine, &options->kv_cache_dtype);
  ServerOptions& server = options->server;
  command->add_option("--host", server.http.host, "address to listen on")->capture_default_str();
  command->add_option("--port", server.http.port, "0 takes any free port")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--api-key", server.access.api_keys,
                      "a key that clients must send (may be repeated; also MILLRACE_API_KEY)");
  command->add_option("--cors-origin", server.access.cors_origins, "an origin whose pages may call (may be repeated)");
  command->add_option("--served-model-name", server.service.served_model_name, "name of the model in the API");
  command->add_option("--chat-template", options->template_file, "a Jinja file instead of the model's own template");
  command
      ->add_option("--tool-call-parser", server.service.tool_call_parser,
                   "format of tool calls; auto learns it from the template")
      ->capture_default_str();
  command
      ->add_option("--reasoning-parser", server.service.reasoning_parser,
                   "format of reasoning; auto learns it from the template")
      ->capture_default_str();
  AddSchedulerOptions(*command, &options->engine);
  command->add_flag("--dry-run", options->dry_run, "print what would be taken of the memory, and end");
  command->add_flag("--strict-fields", server.service.strict_fields,
                    "refuse request fields that are unknown or have no effect");
  command->add_flag("--ui,!--no-ui", server.ui, "the web page at /");
  AddLimits(*command, options.get());
  AddOperation(*command, options.get());
  command->callback([=] { *exit_code = ReportStatus(Serve(*options)); });

  CLI::App* api = app.add_subcommand("print-api", "Print docs/api.md")->group("");
  api->callback([=] {
    std::printf("%s", DescribeFields().c_str());
    *exit_code = 0;
  });
}

}  // namespace millrace
