#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <future>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "base/file.h"
#include "chat/conversation.h"
#include "commands.h"
#include "engine/engine.h"

namespace millrace {
namespace {

constexpr size_t kMaxPromptBytes = size_t{32} << 20;

struct RunOptions {
  EngineOptions engine;
  std::string kv_cache_dtype = "bf16";
  SamplingParams sampling;
  std::string prompt, system, template_file, save_kv, load_kv;
  bool has_prompt = false, raw = false, json = false, has_seed = false;
};

struct Generation {
  std::string text;
  std::vector<TokenId> token_ids;
  FinishReason finish_reason = FinishReason::kNone;
  std::string error;
  double first_token_ms = 0.0, total_ms = 0.0;
  int num_cached_tokens = 0;
};

std::atomic<bool> interrupted{false};  // set by SIGINT: ends the answer, not the program

// Generates one answer; on_text sees it as it grows.
Result<Generation> Generate(Engine& engine, const std::vector<TokenId>& prompt, const SamplingParams& sampling,
                            const std::function<void(const std::string&)>& on_text) {
  Request request;
  request.prompt_token_ids = prompt;
  request.sampling = sampling;
  Generation out;
  std::promise<void> done;
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed_ms = [start] {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  };
  const auto sink = [&](RequestOutput output) {
    if (out.token_ids.empty() && !output.tokens.empty()) out.first_token_ms = elapsed_ms();
    for (const OutputResult& token : output.tokens) out.token_ids.push_back(token.token);
    out.text += output.text;
    out.error += output.error;
    out.num_cached_tokens = std::max(out.num_cached_tokens, output.num_cached_tokens);
    if (!output.text.empty()) on_text(output.text);
    if (output.finish_reason != FinishReason::kNone) out.finish_reason = output.finish_reason;
    if (output.request_finished) done.set_value();
  };
  ASSIGN_OR_RETURN(const RequestId id, engine.Submit(std::move(request), sink));
  std::future<void> finished = done.get_future();
  while (finished.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    if (!interrupted.exchange(false)) continue;
    engine.Abort(id);
    engine.Drain(10'000'000);  // after this the sink is gone
    if (finished.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
      out.finish_reason = FinishReason::kAbort;
    break;
  }
  out.total_ms = elapsed_ms();
  if (out.finish_reason == FinishReason::kError) return Internal("{}", out.error);
  return out;
}

void PrintJson(const Generation& out, const std::vector<TokenId>& prompt) {
  const double decode_ms = out.total_ms - out.first_token_ms;
  const double decoded = static_cast<double>(out.token_ids.size()) - 1.0;
  const nlohmann::ordered_json json = {
      {"text", out.text},
      {"token_ids", out.token_ids},
      {"prompt_token_ids", prompt},
      {"finish_reason", FinishReasonName(out.finish_reason)},
      {"timings",
       {{"first_token_ms", out.first_token_ms},
        {"total_ms", out.total_ms},
        {"prompt_tokens", prompt.size()},
        {"cached_tokens", out.num_cached_tokens},
        {"generated_tokens", out.token_ids.size()},
        {"decode_tokens_per_second", decoded > 0 && decode_ms > 0 ? 1000.0 * decoded / decode_ms : 0.0}}}};
  std::printf("%s\n", json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
}

std::function<void(const std::string&)> Printer(bool quiet) {
  return [quiet](const std::string& text) {
    if (quiet) return;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
}

Status RunOnce(Engine& engine, const PromptBuilder& builder, const RunOptions& options) {
  std::vector<TokenId> prompt;
  if (options.raw) {
    prompt = engine.tokenizer().Encode(options.prompt, {.add_special = true});
  } else {
    RenderInput input;
    if (!options.system.empty()) input.messages.push_back({{"role", "system"}, {"content", options.system}});
    input.messages.push_back({{"role", "user"}, {"content", options.prompt}});
    input.add_generation_prompt = true;
    ASSIGN_OR_RETURN(prompt, builder.Build(input));
  }
  if (!options.load_kv.empty()) {
    ASSIGN_OR_RETURN(const int restored, engine.LoadPrompt({}, options.load_kv));
    std::fprintf(stderr, "%d tokens restored from %s\n", restored, options.load_kv.c_str());
  }
  ASSIGN_OR_RETURN(const Generation out, Generate(engine, prompt, options.sampling, Printer(options.json)));
  if (!options.save_kv.empty()) {
    ASSIGN_OR_RETURN(const int saved, engine.SavePrompt({}, prompt, options.save_kv));
    std::fprintf(stderr, "%d tokens of the prompt saved to %s\n", saved, options.save_kv.c_str());
  }
  if (options.json) {
    PrintJson(out, prompt);
  } else {
    std::printf("\n");
  }
  return OkStatus();
}

Status Chat(Engine& engine, const PromptBuilder& builder, const RunOptions& options) {
  const bool color = std::getenv("NO_COLOR") == nullptr && isatty(STDOUT_FILENO) != 0;
  const char* const dim = color ? "\x1b[2m" : "";
  const char* const bold = color ? "\x1b[1m" : "";
  const char* const reset = color ? "\x1b[0m" : "";
  std::printf("%s%s%s  %s/clear starts over, /exit leaves, Ctrl-C stops an answer%s\n", bold,
              engine.checkpoint().info().name.c_str(), reset, dim, reset);
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  const auto start_over = [&] {
    messages = nlohmann::ordered_json::array();
    if (!options.system.empty()) messages.push_back({{"role", "system"}, {"content", options.system}});
  };
  start_over();
  std::string line;
  while (true) {
    std::printf("\n%s> %s", bold, reset);
    std::fflush(stdout);
    if (!std::getline(std::cin, line) || line == "/exit") break;
    if (line.empty()) continue;
    if (line == "/clear") {
      start_over();
      continue;
    }
    messages.push_back({{"role", "user"}, {"content", line}});
    RenderInput input;
    input.messages = messages;
    input.add_generation_prompt = true;
    ASSIGN_OR_RETURN(const std::vector<TokenId> prompt, builder.Build(input));
    interrupted = false;
    const Result<Generation> out = Generate(engine, prompt, options.sampling, Printer(false));
    if (!out.ok()) {
      std::printf("%s%s%s\n", dim, out.status().message().c_str(), reset);
      messages.erase(messages.size() - 1);
      continue;
    }
    messages.push_back({{"role", "assistant"}, {"content", out->text}});
    const double seconds = (out->total_ms - out->first_token_ms) / 1000.0;
    std::printf("\n%s%zu tokens, first after %.0f ms, %.0f tokens/s%s\n", dim, out->token_ids.size(),
                out->first_token_ms, seconds > 0.0 ? static_cast<double>(out->token_ids.size() - 1) / seconds : 0.0,
                reset);
  }
  std::printf("\n");
  return OkStatus();
}

// The checkpoint's own defaults hold where the user gave none.
void ApplyGenerationDefaults(const GenerationDefaults& defaults, const CLI::App& command, SamplingParams* sampling) {
  const auto given = [&](const char* name) { return command.get_option(name)->count() > 0; };
  if (!given("--temp") && defaults.temperature) sampling->temperature = *defaults.temperature;
  if (!given("--top-p") && defaults.top_p) sampling->top_p = *defaults.top_p;
  if (!given("--top-k") && defaults.top_k) sampling->top_k = *defaults.top_k;
  if (!given("--min-p") && defaults.min_p) sampling->min_p = *defaults.min_p;
  if (!given("--repetition-penalty") && defaults.repetition_penalty) {
    sampling->repetition_penalty = *defaults.repetition_penalty;
  }
}

Status Run(const CLI::App& command, RunOptions options) {
  RETURN_IF_ERROR(FinishEngineOptions(options.kv_cache_dtype, &options.engine));
  const bool interactive = !options.has_prompt && isatty(STDIN_FILENO) != 0 && !options.json;
  if (!options.has_prompt && !interactive) {
    ASSIGN_OR_RETURN(options.prompt, ReadStandardInput(kMaxPromptBytes));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, OpenEngine(options.engine));
  ApplyGenerationDefaults(engine->checkpoint().generation_defaults(), command, &options.sampling);
  if (!options.has_seed) options.sampling.seed = std::random_device{}();
  std::string source = engine->checkpoint().chat_template();
  if (!options.template_file.empty()) {
    ASSIGN_OR_RETURN(source, ReadFile(options.template_file, ChatTemplate::kMaxSourceBytes));
  }
  if (options.raw) source.clear();
  ASSIGN_OR_RETURN(const PromptBuilder builder, PromptBuilder::Create(source, engine->tokenizer()));
  if (!options.raw && !builder.has_template()) {
    return Unsupported("{} has no chat template: give --raw to complete text, or --chat-template FILE",
                       options.engine.model);
  }
  std::signal(SIGINT, [](int) { interrupted = true; });
  if (interactive && !options.raw) return Chat(*engine, builder, options);
  return RunOnce(*engine, builder, options);
}

}  // namespace

void AddRunCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<RunOptions>();
  options->engine.max_num_seqs = 4;
  CLI::App* command = app.add_subcommand("run", "Chat with a model in the terminal, or answer one prompt");
  AddEngineOptions(*command, &options->engine, &options->kv_cache_dtype);
  AddSamplingOptions(*command, &options->sampling);
  CLI::Option* prompt =
      command->add_option("-p,--prompt", options->prompt, "answer this and end (default: a chat, or standard input)");
  command->add_option("--system", options->system, "system message");
  command->add_option("--chat-template", options->template_file, "a Jinja file instead of the model's own template");
  CLI::Option* seed = command->add_option("--seed", options->sampling.seed, "seed of sampling (default: random)");
  command->add_option("--save-kv", options->save_kv, "with one prompt: write its KV to this file");
  command->add_option("--load-kv", options->load_kv, "with one prompt: take the KV of its beginning from such a file");
  command->add_flag("--raw", options->raw, "complete the text as it is, without a chat template");
  command->add_flag("--json", options->json, "print one JSON object");
  command->callback([=] {
    options->has_prompt = prompt->count() > 0;
    options->has_seed = seed->count() > 0;
    *exit_code = ReportStatus(Run(*command, *options));
  });
}

}  // namespace millrace
