#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <future>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "commands.h"
#include "engine/engine.h"

namespace millrace {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;

struct PerplexityOptions {
  EngineOptions engine;
  std::string kv_cache_dtype = "bf16";
  std::string text_file;
  int context = 512;
  int max_chunks = 0;  // 0: all
  bool json = false;
};

// Logprobs of the tokens of one chunk, the first one's left out.
Result<std::vector<float>> ScoreChunk(Engine& engine, std::vector<TokenId> tokens) {
  Request request;
  request.prompt_token_ids = std::move(tokens);
  request.sampling.max_tokens = 1;
  request.sampling.temperature = 0.0f;
  request.sampling.prompt_logprobs = 0;
  std::vector<float> logprobs;
  std::string error;
  std::promise<void> done;
  const auto sink = [&](RequestOutput output) {
    for (const OutputResult& token : output.prompt_logprobs) logprobs.push_back(token.logprob);
    error += output.error;
    if (output.request_finished) done.set_value();
  };
  ASSIGN_OR_RETURN([[maybe_unused]] const RequestId id, engine.Submit(std::move(request), sink));
  done.get_future().wait();
  if (!error.empty()) return Internal("{}", error);
  return logprobs;
}

// llama.cpp's definition (tools/perplexity): the text is cut into windows of `context` tokens, each begins with BOS where the model has one,
// and the tokens of the second half of each window are scored.
Status Perplexity(PerplexityOptions options) {
  RETURN_IF_ERROR(FinishEngineOptions(options.kv_cache_dtype, &options.engine));
  options.engine.max_num_seqs = 1;
  options.engine.enable_prefix_caching = false;
  options.engine.max_model_len = options.context + 16;
  ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, OpenEngine(options.engine));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(options.text_file, kMaxTextBytes));
  const std::vector<TokenId> tokens = engine->tokenizer().Encode(text, {.add_special = true});
  const std::vector<TokenId> with_bos = engine->tokenizer().Encode("", {.add_special = true});
  const std::optional<TokenId> bos = with_bos.empty() ? std::nullopt : std::optional<TokenId>(with_bos[0]);
  const size_t context = static_cast<size_t>(options.context);
  size_t num_chunks = tokens.size() / context;
  if (options.max_chunks > 0) num_chunks = std::min(num_chunks, static_cast<size_t>(options.max_chunks));
  if (num_chunks == 0) {
    return InvalidArgument("{} has {} tokens, --context is {}: at least one window is needed", options.text_file, tokens.size(), context);
  }
  double total = 0.0, total_squared = 0.0;
  int64_t count = 0;
  for (size_t chunk = 0; chunk < num_chunks; ++chunk) {
    std::vector<TokenId> window(tokens.begin() + static_cast<long>(chunk * context),
                                tokens.begin() + static_cast<long>((chunk + 1) * context));
    if (bos) window[0] = *bos;
    ASSIGN_OR_RETURN(const std::vector<float> logprobs, ScoreChunk(*engine, std::move(window)));
    for (size_t i = context / 2; i + 1 < context; ++i) {  // logprobs[i] is of token i + 1
      total -= logprobs[i];
      total_squared += static_cast<double>(logprobs[i]) * logprobs[i];
      ++count;
    }
    if (!options.json && isatty(STDERR_FILENO) != 0) {
      std::fprintf(stderr, "\r[%zu/%zu] %.4f ", chunk + 1, num_chunks, std::exp(total / static_cast<double>(count)));
    }
  }
  const double mean = total / static_cast<double>(count);
  const double deviation = std::sqrt(std::max(0.0, total_squared / static_cast<double>(count) - mean * mean));
  const double error = std::exp(mean) * deviation / std::sqrt(static_cast<double>(count));
  if (options.json) {
    const nlohmann::ordered_json out = {{"perplexity", std::exp(mean)}, {"standard_error", error}, {"scored_tokens", count},
                                        {"windows", num_chunks}, {"context", options.context}};
    std::printf("%s\n", out.dump().c_str());
  } else {
    std::fprintf(stderr, "\n");
    std::printf("perplexity %.4f +/- %.4f (%lld tokens in %zu windows of %d)\n", std::exp(mean), error,
                static_cast<long long>(count), num_chunks, options.context);
  }
  return OkStatus();
}

}  // namespace

void AddEvalCommand(CLI::App& app, int* exit_code) {
  CLI::App* eval = app.add_subcommand("eval", "Measure a model's quality");
  eval->require_subcommand(1);
  auto options = std::make_shared<PerplexityOptions>();
  CLI::App* command = eval->add_subcommand("perplexity", "Perplexity of a text, as llama.cpp defines it");
  AddEngineOptions(*command, &options->engine, &options->kv_cache_dtype);
  command->add_option("text", options->text_file, "a text file")->required();
  command->add_option("-c,--context", options->context, "tokens of a window")->check(CLI::Range(8, 1 << 20))->capture_default_str();
  command->add_option("--chunks", options->max_chunks, "windows at most (0: all)")->capture_default_str();
  command->add_flag("--json", options->json, "print JSON");
  command->callback([=] { *exit_code = ReportStatus(Perplexity(*options)); });
}

}  // namespace millrace
