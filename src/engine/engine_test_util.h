// Requests through an Engine, for its tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace millrace {

struct Collected {
  std::vector<TokenId> tokens;
  std::string text;
  FinishReason reason = FinishReason::kNone;
  std::string error;
  int num_cached_tokens = 0;
  double mean_logprob = 0.0;
};

// Submits all requests at once and waits for all their choices. With pause_every, each request is paused and resumed at
// every so many of its outputs.
inline std::vector<std::vector<Collected>> RunAll(Engine& engine, const std::vector<Request>& requests,
                                                  grammar::GrammarPtr grammar = nullptr, int pause_every = 0) {
  std::vector<std::vector<Collected>> results(requests.size());
  std::vector<std::promise<void>> done(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    results[i].resize(static_cast<size_t>(requests[i].sampling.n));
    const Result<RequestId> id = engine.Submit(
        requests[i],
        [&, i, outputs = 0](RequestOutput output) mutable {
          if (pause_every > 0 && ++outputs % pause_every == 0) {
            engine.SetPaused(output.request, true);
            engine.SetPaused(output.request, false);
          }
          Collected& choice = results[i][static_cast<size_t>(output.choice_index)];
          for (const OutputResult& token : output.tokens) {
            choice.tokens.push_back(token.token);
            choice.mean_logprob += (token.logprob - choice.mean_logprob) / static_cast<double>(choice.tokens.size());
          }
          choice.text += output.text;
          choice.error += output.error;
          choice.num_cached_tokens = std::max(choice.num_cached_tokens, output.num_cached_tokens);
          if (output.finish_reason != FinishReason::kNone) choice.reason = output.finish_reason;
          if (output.request_finished) done[i].set_value();
        },
        grammar);
    EXPECT_TRUE(id.ok()) << id.status().message();
    if (!id.ok()) done[i].set_value();
  }
  for (auto& promise : done) promise.get_future().wait();
  return results;
}

inline std::unique_ptr<Engine> OpenEngine(EngineOptions options) {
  Result<std::unique_ptr<Engine>> engine = Engine::Open(options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return engine.ok() ? std::move(*engine) : nullptr;
}

inline Request GreedyRequest(std::vector<TokenId> prompt, int max_tokens) {
  Request request;
  request.prompt_token_ids = std::move(prompt);
  request.sampling.temperature = 0.0f;
  request.sampling.max_tokens = max_tokens;
  request.sampling.ignore_eos = true;
  return request;
}

}  // namespace millrace
