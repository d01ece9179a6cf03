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

struct EvalOptions {
  EngineOptions engine;
  std::string kv_cache_dtype = "bf16";
  std::string text_file;
  std::string base;  // kl-divergence: the model to compare with
  int context = 512;
  int max_chunks = 0;  // 0: all
  bool json = false;
};

Result<std::unique_ptr<Engine>> OpenForEval(EvalOptions& options) {
  RETURN_IF_ERROR(FinishEngineOptions(options.kv_cache_dtype, &options.engine));
  options.engine.max_num_seqs = 1;
  options.engine.enable_prefix_caching = false;
  options.engine.max_model_len = options.context + 16;
  return OpenEngine(options.engine);
}

// What the model thinks of the tokens of one window, the first one left out: their logprobs and, of all tokens, the
// num_top best.
Result<std::vector<OutputResult>> ScoreWindow(Engine& engine, std::vector<TokenId> tokens, int num_top) {
  Request request;
  request.prompt_token_ids = std::move(tokens);
  request.sampling.max_tokens = 1;
  request.sampling.temperature = 0.0f;
  request.sampling.prompt_logprobs = num_top;
  std::vector<OutputResult> scored;
  std::string error;
  std::promise<void> done;
  const auto sink = [&](RequestOutput output) {
    for (OutputResult& token : output.prompt_logprobs) scored.push_back(std::move(token));
    error += output.error;
    if (output.request_finished) done.set_value();
  };
  ASSIGN_OR_RETURN([[maybe_unused]] const RequestId id, engine.Submit(std::move(request), sink));
  done.get_future().wait();
  if (!error.empty()) return Internal("{}", error);
  return scored;
}

// llama.cpp's definition (tools/perplexity): the text is cut into windows of `context` tokens, each begins with BOS
// where the model has one, and the tokens of the second half of each window are scored.
Result<std::vector<std::vector<TokenId>>> CutWindows(const Tokenizer& tokenizer, const EvalOptions& options) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(options.text_file, kMaxTextBytes));
  const std::vector<TokenId> tokens = tokenizer.Encode(text, {.add_special = true});
  const std::vector<TokenId> with_bos = tokenizer.Encode("", {.add_special = true});
  const size_t context = static_cast<size_t>(options.context);
  size_t num_windows = tokens.size() / context;
  if (options.max_chunks > 0) num_windows = std::min(num_windows, static_cast<size_t>(options.max_chunks));
  if (num_windows == 0) {
    return InvalidArgument("{} has {} tokens, --context is {}: at least one window is needed", options.text_file,
                           tokens.size(), context);
  }
  std::vector<std::vector<TokenId>> windows;
  for (size_t i = 0; i < num_windows; ++i) {
    const auto begin = tokens.begin() + static_cast<long>(i * context);
    windows.emplace_back(begin, begin + static_cast<long>(context));
    if (!with_bos.empty()) windows.back()[0] = with_bos[0];
  }
  return windows;
}

void ShowProgress(const EvalOptions& options, size_t done, size_t all, double value) {
  if (options.json || isatty(STDERR_FILENO) == 0) return;
  std::fprintf(stderr, "\r[%zu/%zu] %.6g %s", done, all, value, done == all ? "\n" : "");
}

// Mean and its standard error.
struct Mean {
  double total = 0.0, total_squared = 0.0;
  int64_t count = 0;

  void Add(double value) { total += value, total_squared += value * value, ++count; }
  double mean() const { return total / static_cast<double>(count); }
  double error() const {
    return std::sqrt(std::max(0.0, total_squared / static_cast<double>(count) - mean() * mean()) /
                     static_cast<double>(count));
  }
};

Status Perplexity(EvalOptions options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, OpenForEval(options));
  ASSIGN_OR_RETURN(const std::vector<std::vector<TokenId>> windows, CutWindows(engine->tokenizer(), options));
  Mean loss;
  for (size_t w = 0; w < windows.size(); ++w) {
    ASSIGN_OR_RETURN(const std::vector<OutputResult> scored, ScoreWindow(*engine, windows[w], 0));
    for (size_t i = windows[w].size() / 2; i < scored.size(); ++i) loss.Add(-scored[i].logprob);  // of token i + 1
    ShowProgress(options, w + 1, windows.size(), std::exp(loss.mean()));
  }
  const double perplexity = std::exp(loss.mean());
  if (options.json) {
    const nlohmann::ordered_json out = {{"perplexity", perplexity},
                                        {"standard_error", perplexity * loss.error()},
                                        {"scored_tokens", loss.count},
                                        {"windows", windows.size()},
                                        {"context", options.context}};
    std::printf("%s\n", out.dump().c_str());
  } else {
    std::printf("perplexity %.4f +/- %.4f (%lld tokens in %zu windows of %d)\n", perplexity, perplexity * loss.error(),
                static_cast<long long>(loss.count), windows.size(), options.context);
  }
  return OkStatus();
}

// Logprobs by token id.
std::vector<float> Distribution(const OutputResult& scored) {
  std::vector<float> logprobs(scored.top.size());  // of every token
  for (const TokenLogprob& token : scored.top) logprobs[static_cast<size_t>(token.token)] = token.logprob;
  return logprobs;
}

Status KlDivergence(EvalOptions options) {
  EvalOptions base_options = options;
  base_options.engine.model = options.base;
  ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, OpenForEval(options));
  ASSIGN_OR_RETURN(const std::unique_ptr<Engine> base, OpenForEval(base_options));
  ASSIGN_OR_RETURN(const std::vector<std::vector<TokenId>> windows, CutWindows(engine->tokenizer(), options));
  const int vocab = engine->tokenizer().vocab_size();
  if (base->tokenizer().vocab_size() != vocab) {
    return InvalidArgument("{} has {} tokens, --base {} has {}", options.engine.model, vocab, options.base,
                           base->tokenizer().vocab_size());
  }
  Mean divergence, same_top;
  for (size_t w = 0; w < windows.size(); ++w) {
    ASSIGN_OR_RETURN(const std::vector<OutputResult> got, ScoreWindow(*engine, windows[w], vocab));
    ASSIGN_OR_RETURN(const std::vector<OutputResult> want, ScoreWindow(*base, windows[w], vocab));
    for (size_t i = windows[w].size() / 2; i < got.size(); ++i) {
      const std::vector<float> q = Distribution(got[i]), p = Distribution(want[i]);
      double sum = 0.0;
      for (size_t v = 0; v < p.size(); ++v)
        sum += std::exp(static_cast<double>(p[v])) * (static_cast<double>(p[v]) - static_cast<double>(q[v]));
      divergence.Add(sum);
      same_top.Add(got[i].top[0].token == want[i].top[0].token ? 1.0 : 0.0);
    }
    ShowProgress(options, w + 1, windows.size(), divergence.mean());
  }
  if (options.json) {
    const nlohmann::ordered_json out = {{"kl_divergence", divergence.mean()}, {"standard_error", divergence.error()},
                                        {"same_top", same_top.mean()},        {"scored_tokens", divergence.count},
                                        {"windows", windows.size()},          {"context", options.context}};
    std::printf("%s\n", out.dump().c_str());
  } else {
    std::printf("KL divergence %.6f +/- %.6f, same best token %.2f %% (%lld tokens in %zu windows of %d)\n",
                divergence.mean(), divergence.error(), 100.0 * same_top.mean(),
                static_cast<long long>(divergence.count), windows.size(), options.context);
  }
  return OkStatus();
}

void AddTextOptions(CLI::App* command, EvalOptions* options) {
  AddEngineOptions(*command, &options->engine, &options->kv_cache_dtype);
  command->add_option("text", options->text_file, "a text file")->required();
  command->add_option("-c,--context", options->context, "tokens of a window")
      ->check(CLI::Range(8, 1 << 20))
      ->capture_default_str();
  command->add_option("--chunks", options->max_chunks, "windows at most (0: all)")->capture_default_str();
  command->add_flag("--json", options->json, "print JSON");
}

}  // namespace

void AddEvalCommand(CLI::App& app, int* exit_code) {
  CLI::App* eval = app.add_subcommand("eval", "Measure a model's quality");
  eval->require_subcommand(1);
  auto options = std::make_shared<EvalOptions>();
  CLI::App* perplexity = eval->add_subcommand("perplexity", "Perplexity of a text, as llama.cpp defines it");
  AddTextOptions(perplexity, options.get());
  perplexity->callback([=] { *exit_code = ReportStatus(Perplexity(*options)); });

  auto kl = std::make_shared<EvalOptions>();
  CLI::App* divergence = eval->add_subcommand(
      "kl-divergence", "KL divergence of a model's next tokens from those of another, over a text");
  AddTextOptions(divergence, kl.get());
  divergence->add_option("--base", kl->base, "the other model, such as the same one in F32")->required();
  divergence->callback([=] { *exit_code = ReportStatus(KlDivergence(*kl)); });
}

}  // namespace millrace
