// The engine end to end on real and tiny models: published greedy outputs, and the same bits whatever the load.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/file.h"
#include "engine/engine_test_util.h"
#include "engine/open.h"

namespace millrace {
namespace {

std::string DataDir() {
  const char* given = std::getenv("MILLRACE_DATA");
  return given != nullptr && *given != '\0' ? given : std::string(MILLRACE_SOURCE_DIR) + "/../shared/data";
}

// Token ids that karpathy/llama2.c's run.c gives for the same weights.
TEST(Engine, GreedyTokensOfPublishedModels) {
  const std::string weights = DataDir() + "/weights/";
  if (!std::filesystem::exists(weights + "GOLDEN_greedy.json")) GTEST_SKIP() << "no " << weights;
  const nlohmann::json golden = nlohmann::json::parse(*ReadFile(weights + "GOLDEN_greedy.json", 1 << 20));
  const std::pair<std::string, std::string> files[] = {{"stories260K (f32", "stories260K/stories260Ktok512.gguf"},
                                                       {"tinystories-656k", "tinystories-656k"}};
  int num_cases = 0;
  for (const auto& [prefix, file] : files) {
    EngineOptions options;
    options.model = weights + file;
    options.kv_cache_dtype = DType::kF32;
    options.kv_cache_bytes = 64 << 20;
    const std::unique_ptr<Engine> engine = OpenEngine(options);
    ASSERT_NE(engine, nullptr);
    for (const auto& entry : golden.at("cases")) {
      if (!entry.at("model").get<std::string>().starts_with(prefix)) continue;
      ++num_cases;
      const std::vector<TokenId> tokens = entry.at("tokens_in");
      std::vector<TokenId> prompt =
          engine->tokenizer().Encode(entry.at("prompt").get<std::string>(), {.add_special = true});
      if (prefix.starts_with("tinystories")) {  // the prompt ends where the model's choice was last overruled
        const std::vector<TokenId> argmax = entry.at("argmax");
        size_t size = 1;
        for (size_t i = 0; i + 1 < tokens.size(); ++i) size = argmax[i] != tokens[i + 1] ? i + 2 : size;
        prompt.assign(tokens.begin(), tokens.begin() + static_cast<long>(size));
      }
      ASSERT_LT(prompt.size(), tokens.size());
      EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), tokens.begin())) << entry.at("prompt");
      const int count = static_cast<int>(tokens.size() - prompt.size());
      const Collected result = RunAll(*engine, {GreedyRequest(prompt, count)})[0][0];
      EXPECT_EQ(result.tokens, std::vector<TokenId>(tokens.begin() + static_cast<long>(prompt.size()), tokens.end()))
          << entry.at("prompt");
      EXPECT_EQ(result.reason, FinishReason::kLength);
    }
  }
  EXPECT_EQ(num_cases, 5);
}

struct Load {
  const char* name;
  int max_num_seqs;
  int max_num_batched_tokens;
  int threads;
  double sequences_in_memory = 0.0;  // of full length; 0: plenty
  double sequences_in_swap = 0.0;
  bool prefix_caching = true;
  ShortSteps short_in_tokens = {0, 0};  // in tokens of a step instead of bytes
  int pause_every = 0;                  // outputs of a request
};

int64_t WeightBytes(std::shared_ptr<const Checkpoint> checkpoint, EngineOptions options) {
  const Result<std::unique_ptr<Engine>> engine = Engine::Open(std::move(checkpoint), options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return (*engine)->runner().model().weight_bytes();
}

int64_t BytesOfOneSequence(std::shared_ptr<const Checkpoint> checkpoint, EngineOptions options) {
  options.max_num_seqs = 1;
  options.kv_cache_bytes = 0;
  const Result<std::unique_ptr<Engine>> engine = Engine::Open(std::move(checkpoint), options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return (*engine)->memory_plan().num_blocks * (*engine)->runner().block_bytes();
}

// Requests that share prefixes, with seeds, penalties and n > 1.
std::vector<Request> MixedRequests(int vocab_size, uint64_t seed) {
  std::vector<Request> requests;
  uint64_t state = seed;
  const auto next = [&state](uint64_t bound) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int>((state >> 33) % bound);
  };
  std::vector<TokenId> shared;
  for (int i = 0; i < 70; ++i) shared.push_back(3 + next(static_cast<uint64_t>(vocab_size) - 3));
  for (int i = 0; i < 14; ++i) {
    Request request;
    request.prompt_token_ids.assign(shared.begin(), shared.begin() + next(40));
    for (int j = next(10) + 1; j > 0; --j) {
      request.prompt_token_ids.push_back(3 + next(static_cast<uint64_t>(vocab_size) - 3));
    }
    request.sampling.max_tokens = 20 + next(60);
    request.sampling.ignore_eos = true;
    request.sampling.temperature = i % 3 == 0 ? 0.0f : 0.9f;
    request.sampling.top_p = i % 2 == 0 ? 1.0f : 0.8f;
    request.sampling.seed = static_cast<uint64_t>(i);
    request.sampling.repetition_penalty = i % 4 == 0 ? 1.2f : 1.0f;
    request.sampling.n = i % 5 == 4 ? 3 : 1;
    request.sampling.mirostat_mode = i % 7 == 5 ? 2 : 0;
    requests.push_back(request);
  }
  return requests;
}

class EngineEquivalence : public testing::TestWithParam<std::string> {};

// The parameter is a model, with "+fp8" for that KV type.
TEST_P(EngineEquivalence, TheSameTokensWhateverTheLoad) {
  const bool fp8 = GetParam().ends_with("+fp8");
  const Result<std::shared_ptr<const Checkpoint>> checkpoint = OpenModel(GetParam().substr(0, GetParam().find('+')));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const std::vector<Request> requests = MixedRequests((*checkpoint)->config().vocab_size, 11);
  std::vector<std::vector<Collected>> reference;
  const Load loads[] = {{"one at a time", 1, 512, 1, 0.0, 0.0, false},
                        {"together", 64, 512, 2},
                        {"small chunks", 64, 24, 3},
                        {"short steps", 8, 24, 3, 0.0, 0.0, true, {3, 7}},
                        {"short of memory", 8, 64, 2, 1.5, 0.0, true, {1000, 1000}},
                        {"swapping", 8, 64, 2, 1.5, 6.0},
                        {"paused readers", 8, 64, 2, 0.0, 0.0, true, {0, 0}, 3}};
  for (const Load& load : loads) {
    EngineOptions options;
    options.num_threads = load.threads;
    options.max_num_seqs = load.max_num_seqs;
    options.max_num_batched_tokens = load.max_num_batched_tokens;
    options.max_model_len = 160;
    options.enable_prefix_caching = load.prefix_caching;
    options.kv_cache_bytes = 64 << 20;
    options.warm_up = load.max_num_seqs == 8;
    if (fp8) options.kv_cache_dtype = DType::kF8E4M3;
    const int64_t weight_bytes = WeightBytes(*checkpoint, options);
    options.short_steps = {load.short_in_tokens.one_thread_below_bytes * weight_bytes,
                           load.short_in_tokens.waiter_below_bytes * weight_bytes};
    if (load.sequences_in_memory > 0.0) {
      const double sequence = static_cast<double>(BytesOfOneSequence(*checkpoint, options));
      options.kv_cache_bytes = static_cast<int64_t>(load.sequences_in_memory * sequence);
      options.swap_space_bytes = static_cast<int64_t>(load.sequences_in_swap * sequence);
    }
    const Result<std::unique_ptr<Engine>> engine = Engine::Open(*checkpoint, options);
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    EXPECT_EQ((*engine)->stats().num_steps, 0);
    const std::vector<std::vector<Collected>> results = RunAll(**engine, requests, nullptr, load.pause_every);
    const EngineStats stats = (*engine)->stats();
    EXPECT_EQ(std::accumulate(stats.work.rows.counts.begin(), stats.work.rows.counts.end(), int64_t{0}),
              stats.num_steps);
    EXPECT_GE(stats.work.rows.sum, stats.num_steps);
    EXPECT_GE(stats.work.tokens.sum, stats.scheduler.generation_tokens);
    EXPECT_LE(stats.work.tokens.sum, stats.scheduler.computed_tokens);
    EXPECT_GE(stats.work.read_bytes, stats.num_steps * weight_bytes);
    EXPECT_GT(stats.work.flops, 0.0);
    for (size_t i = 0; i < results.size(); ++i) {
      for (size_t choice = 0; choice < results[i].size(); ++choice) {
        const Collected& result = results[i][choice];
        EXPECT_EQ(result.error, "");
        EXPECT_EQ(static_cast<int>(result.tokens.size()), requests[i].sampling.max_tokens);
        if (!reference.empty()) {
          EXPECT_EQ(result.tokens, reference[i][choice].tokens)
              << load.name << ", request " << i << " choice " << choice;
        }
      }
    }
    if (reference.empty()) reference = results;
    // A recurrent state is so much larger than its sequence's growth that admission alone keeps within memory.
    if (load.sequences_in_memory > 0.0 && (*checkpoint)->config().linear_num_value_heads == 0) {
      EXPECT_GT((*engine)->stats().scheduler.num_preemptions, 0) << load.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(TinyModels, EngineEquivalence,
                         testing::Values("synth:tiny-llama:Q4_0", "synth:tiny-gemma3:Q8_0", "synth:tiny-gpt-oss:MXFP4",
                                         "synth:tiny-qwen3-moe:Q4_K_M", "synth:tiny-qwen3-next:BF16",
                                         "synth:tiny-llama:Q4_0+fp8", "synth:tiny-gpt-oss:MXFP4+fp8"),
                         [](const auto& info) {
                           std::string name = info.param.substr(6);
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

TEST(Engine, StopStringsEndTextAndAreHeldBack) {
  EngineOptions options;
  options.model = "synth:tiny-llama:F32";
  const std::unique_ptr<Engine> engine = OpenEngine(options);
  ASSERT_NE(engine, nullptr);
  Request request = GreedyRequest({5, 6, 7}, 40);
  const Collected plain = RunAll(*engine, {request})[0][0];
  ASSERT_GT(plain.text.size(), 12u);
  const std::string stop = plain.text.substr(6, 3);
  request.sampling.stop = {stop, "never found"};
  const Collected stopped = RunAll(*engine, {request})[0][0];
  EXPECT_EQ(stopped.text, plain.text.substr(0, plain.text.find(stop)));
  EXPECT_EQ(stopped.reason, FinishReason::kStop);
  request.sampling.include_stop_str_in_output = true;
  EXPECT_EQ(RunAll(*engine, {request})[0][0].text, plain.text.substr(0, plain.text.find(stop) + stop.size()));
}

TEST(Engine, BestOfReturnsTheMostLikelyChoices) {
  EngineOptions options;
  options.model = "synth:tiny-llama:F32";
  const std::unique_ptr<Engine> engine = OpenEngine(options);
  ASSERT_NE(engine, nullptr);
  Request request = GreedyRequest({5, 6, 7}, 6);
  request.sampling.temperature = 1.0f;
  request.sampling.n = 6;
  const std::vector<Collected> all = RunAll(*engine, {request})[0];
  request.sampling.n = 2;
  request.sampling.best_of = 6;
  const std::vector<Collected> best = RunAll(*engine, {request})[0];
  ASSERT_EQ(best.size(), 2u);
  EXPECT_NE(best[0].tokens, best[1].tokens);
  for (const Collected& choice : best) {
    EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const Collected& c) { return c.tokens == choice.tokens; }));
  }
  EXPECT_GE(best[0].mean_logprob, best[1].mean_logprob);
}

TEST(Engine, BeamSearchBeatsGreedy) {
  EngineOptions options;
  options.model = "synth:tiny-llama:F32";
  const std::unique_ptr<Engine> engine = OpenEngine(options);
  ASSERT_NE(engine, nullptr);
  Request request = GreedyRequest({5, 6, 7}, 8);
  request.sampling.logprobs = 0;
  const Collected greedy = RunAll(*engine, {request})[0][0];
  request.sampling.use_beam_search = true;
  request.sampling.n = 3;
  const std::vector<Collected> beams = RunAll(*engine, {request})[0];
  ASSERT_EQ(beams.size(), 3u);
  EXPECT_EQ(beams[0].tokens.size(), 8u);
  EXPECT_GE(beams[0].mean_logprob, greedy.mean_logprob - 1e-5);
  EXPECT_GE(beams[0].mean_logprob, beams[1].mean_logprob);
  EXPECT_NE(beams[0].tokens, beams[1].tokens);
}

TEST(Engine, GrammarsHoldInEveryChoiceAndDisturbNobody) {
  EngineOptions options;
  options.model = "synth:tiny-llama:F32";
  options.max_num_batched_tokens = 16;
  const std::unique_ptr<Engine> engine = OpenEngine(options);
  ASSERT_NE(engine, nullptr);
  const auto vocabulary = std::make_shared<const grammar::GrammarVocabulary>(engine->tokenizer());
  const Result<grammar::GrammarPtr> grammar = grammar::CompileRegexGrammar("(ab|[0-9]{3}-)+end", vocabulary);
  ASSERT_TRUE(grammar.ok()) << grammar.status().message();
  Request plain = GreedyRequest({5, 6, 7}, 20);
  const Collected alone = RunAll(*engine, {plain})[0][0];

  std::map<int, std::string> texts;
  std::promise<void> done;
  Request guided = GreedyRequest(std::vector<TokenId>(40, 9), 400);
  guided.sampling.ignore_eos = false;
  guided.sampling.temperature = 1.0f;
  guided.sampling.n = 4;
  int num_stopped = 0;
  ASSERT_TRUE(engine
                  ->Submit(
                      guided,
                      [&](RequestOutput output) {
                        texts[output.choice_index] += output.text;
                        EXPECT_EQ(output.error, "");
                        num_stopped += output.finish_reason == FinishReason::kStop;
                        if (output.request_finished) done.set_value();
                      },
                      *grammar)
                  .ok());
  EXPECT_EQ(RunAll(*engine, {plain})[0][0].tokens, alone.tokens);
  done.get_future().wait();
  EXPECT_EQ(num_stopped, 4);
  for (const auto& [choice, text] : texts) {
    grammar::GrammarMatcher matcher(*grammar);
    EXPECT_TRUE(matcher.AcceptBytes(text) && matcher.CanEnd()) << text;
  }
}

// Forced tokens computed in one step give what a step per token gives: tokens, logprobs, every choice, whatever runs
// beside.
TEST(Engine, JumpForwardChangesNoBit) {
  const char* const schema =
      R"({"type": "object", "properties": {"temperature": {"type": "integer", "maximum": 99, "minimum": 10},
      "description": {"enum": ["sunny weather", "rainy weather"]}}, "required": ["temperature", "description"], "additionalProperties": false})";
  const Result<std::shared_ptr<const Checkpoint>> checkpoint = OpenModel("synth:tiny-llama:F32");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  std::vector<std::vector<Collected>> reference;
  for (const auto& [forced, sequences_in_memory] : {std::pair(0, 0.0), std::pair(16, 0.0), std::pair(16, 1.5)}) {
    EngineOptions options;
    options.max_model_len = 160;
    options.max_num_batched_tokens = 32;
    options.num_forced_tokens = forced;
    options.kv_cache_bytes = 64 << 20;
    if (sequences_in_memory > 0) {
      options.kv_cache_bytes =
          static_cast<int64_t>(sequences_in_memory * static_cast<double>(BytesOfOneSequence(*checkpoint, options)));
    }
    const Result<std::unique_ptr<Engine>> opened = Engine::Open(*checkpoint, options);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    Engine* const engine = opened->get();
    const auto vocabulary = std::make_shared<const grammar::GrammarVocabulary>(engine->tokenizer());
    const Result<grammar::GrammarPtr> grammar = grammar::CompileJsonSchema(schema, vocabulary);
    ASSERT_TRUE(grammar.ok()) << grammar.status().message();
    std::vector<Request> requests;
    for (int i = 0; i < 6; ++i) {
      Request request = GreedyRequest(std::vector<TokenId>(static_cast<size_t>(20 + i), 9 + i), 300);
      request.sampling.ignore_eos = false;
      request.sampling.n = i < 2 ? 1 : 3;
      if (i >= 2) request.sampling.temperature = 1.0f;
      if (i == 4) request.sampling.repetition_penalty = 1.3f;
      request.sampling.seed = 77 + static_cast<uint64_t>(i);
      request.sampling.logprobs = 1;
      requests.push_back(std::move(request));
    }
    const std::vector<std::vector<Collected>> results = RunAll(*engine, requests, *grammar);
    if (forced == 0) {
      reference = results;
      EXPECT_EQ(engine->stats().scheduler.draft_tokens, 0);
      continue;
    }
    EXPECT_GT(engine->stats().scheduler.accepted_draft_tokens, 0);
    for (size_t i = 0; i < results.size(); ++i) {
      for (size_t c = 0; c < results[i].size(); ++c) {
        EXPECT_EQ(results[i][c].tokens, reference[i][c].tokens) << i << " " << c;
        EXPECT_EQ(results[i][c].mean_logprob, reference[i][c].mean_logprob) << i << " " << c;
        EXPECT_EQ(results[i][c].error, "");
      }
    }
  }
}

TEST(Engine, GrammarsTooAmbiguousToFollowFailTheirRequestAlone) {
  EngineOptions options;
  options.model = "synth:tiny-llama:F32";
  const std::unique_ptr<Engine> engine = OpenEngine(options);
  ASSERT_NE(engine, nullptr);
  const auto vocabulary = std::make_shared<const grammar::GrammarVocabulary>(engine->tokenizer());
  // After "a" every one of the rules may be the one being read.
  std::string rules = "root ::= ";
  for (int i = 0; i < 1100; ++i) rules += (i == 0 ? "r" : " | r") + std::to_string(i);
  for (int i = 0; i < 1100; ++i) {
    const std::string r = "r" + std::to_string(i);
    rules += "\n" + r + " ::= \"a\" " + r + " \"b" + std::to_string(i) + "\" | \"c\"";
  }
  const Result<grammar::GrammarPtr> grammar = grammar::CompileEbnf(rules, vocabulary);
  ASSERT_TRUE(grammar.ok()) << grammar.status().message();
  const auto refused = engine->Submit(
      GreedyRequest({5, 6}, 10), [](RequestOutput) {}, *grammar);
  EXPECT_NE(refused.status().message().find("too ambiguous"), std::string::npos) << refused.status().message();
  const Result<grammar::GrammarPtr> later =
      grammar::CompileEbnf("root ::= \"0123456789\" x\nx" + rules.substr(4), vocabulary);
  ASSERT_TRUE(later.ok()) << later.status().message();
  const auto results = RunAll(*engine, {GreedyRequest({5, 6}, 50)}, *later);
  EXPECT_EQ(results[0][0].reason, FinishReason::kError);
  EXPECT_NE(results[0][0].error.find("too ambiguous"), std::string::npos) << results[0][0].error;
  EXPECT_EQ(RunAll(*engine, {GreedyRequest({5, 6}, 5)})[0][0].reason, FinishReason::kLength);
}

TEST(Engine, BadRequestsAreRefusedWithAReason) {
  EngineOptions options;
  options.model = "synth:tiny-llama:F32";
  options.max_model_len = 64;
  const std::unique_ptr<Engine> engine = OpenEngine(options);
  ASSERT_NE(engine, nullptr);
  const auto refusal = [&](const Request& request) {
    return engine->Submit(request, [](RequestOutput) {}).status().message();
  };
  EXPECT_EQ(refusal(GreedyRequest({}, 5)), "the prompt has no tokens");
  EXPECT_NE(refusal(GreedyRequest({1 << 30}, 5)).find("the prompt has token 1073741824"), std::string::npos);
  EXPECT_EQ(refusal(GreedyRequest(std::vector<TokenId>(64, 5), 5)),
            "the prompt has 64 tokens, --max-model-len is 64 and one token must be generated");
  options.max_model_len = 1 << 20;
  EXPECT_FALSE(Engine::Open(options).ok());
}

TEST(Engine, AbortedRequestsFreeTheirBlocks) {
  EngineOptions options;
  options.model = "synth:tiny-llama:F32";
  const std::unique_ptr<Engine> engine = OpenEngine(options);
  ASSERT_NE(engine, nullptr);
  std::vector<RequestId> ids;
  for (int i = 0; i < 20; ++i) {
    const Result<RequestId> id = engine->Submit(GreedyRequest({3, 4, i + 5}, 0), [](RequestOutput) {});
    ASSERT_TRUE(id.ok());
    ids.push_back(*id);
  }
  for (const RequestId id : ids) engine->Abort(id);
  EXPECT_TRUE(engine->Drain(10'000'000));
  RunAll(*engine, {GreedyRequest({3, 4}, 4)});
  EXPECT_EQ(engine->stats().scheduler.num_running, 0);
}

}  // namespace
}  // namespace millrace
