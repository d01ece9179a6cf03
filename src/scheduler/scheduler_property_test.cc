// Random runs of the scheduler against FakeRunner. MILLRACE_SCHEDULER_RUNS sets their number (100000 for the long
// proof), MILLRACE_SCHEDULER_SEED the first seed: a failure prints the seed to replay.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <random>
#include <set>

#include "scheduler/fake_runner.h"
#include "scheduler/scheduler.h"

namespace millrace {
namespace {

constexpr int kVocab = 50;

uint64_t HashOf(const std::vector<TokenId>& tokens) {
  uint64_t hash = kFakeStart;
  for (TokenId token : tokens) hash = FakeHash(hash, token);
  return hash;
}

bool IsEnd(const SamplingParams& sampling, TokenId token, int generated) {
  bool stop = !sampling.ignore_eos && (token == 1 || token == 2);
  for (TokenId id : sampling.stop_token_ids) stop |= token == id;
  return stop && generated >= sampling.min_tokens;
}

// The search alone, without a scheduler.
std::vector<BeamHypothesis> BeamsAlone(const Request& request, int max_generated) {
  BeamSearch search(request.sampling, max_generated);
  std::vector<std::vector<TokenId>> beams = {request.prompt_token_ids};
  const auto is_end = [&](TokenId token, int generated) { return IsEnd(request.sampling, token, generated); };
  for (;;) {
    std::vector<std::vector<TokenLogprob>> tops;
    for (const auto& beam : beams) tops.push_back(FakeTop(HashOf(beam), kVocab, 2 * search.width()));
    const std::vector<BeamStep> steps = search.Advance(tops, is_end);
    if (steps.empty()) return search.hypotheses();
    std::vector<std::vector<TokenId>> next;
    for (const BeamStep& step : steps) {
      next.push_back(beams[step.parent]);
      next.back().push_back(step.token.token);
    }
    beams = std::move(next);
  }
}

class RandomRun {
 public:
  explicit RandomRun(uint64_t seed)
      : rng_(seed),
        config_(MakeConfig()),
        scheduler_(config_),
        runner_(config_.kv_groups, config_.num_gpu_blocks, config_.num_cpu_blocks, kVocab) {}

  // What went wrong; empty when nothing did.
  std::string Run() {
    const uint64_t num_requests = Pick(1, 24);
    depth_ = Pick(1, 2);
    int quiet_steps = 0;
    for (int step = 0; error_.empty() && (submitted_ < num_requests || !scheduler_.idle() || !results_.empty());
         ++step) {
      now_us_ += Pick(0, 20'000);
      while (submitted_ < num_requests && Chance(40)) SubmitOne();
      if (Chance(3)) Disturb();
      if (Chance(4)) Pause();
      if (!paused_.empty() && (Chance(10) || quiet_steps > 20)) Resume();
      if (depth_ == 2 && Chance(5)) CommitOne();  // an engine may drain its pipeline at any time
      quiet_steps = Step() ? 0 : quiet_steps + 1;
      if (quiet_steps > 60 && submitted_ == num_requests) error_ = "no progress";
      if (step > 20'000) error_ = "too many steps";
    }
    if (error_.empty() && !live_.empty()) error_ = "a sequence never ended";
    if (error_.empty() && scheduler_.stats().kv.num_in_use != 0) error_ = "blocks leaked";
    return error_;
  }

  const SchedulerStats stats() const { return scheduler_.stats(); }

 private:
  struct Live {
    std::shared_ptr<const Request> request;
    int choice = 0;
    std::vector<TokenId> tokens;
    size_t num_prompt_logprobs = 0;
    bool failed = false;
    std::vector<BeamHypothesis> beams;  // expected
    int num_beam_events = 0;
  };

  int Pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(rng_); }
  bool Chance(int percent) { return Pick(1, 100) <= percent; }

  SchedulerConfig MakeConfig() {
    SchedulerConfig config;
    const KvGroupSpec full = {.kind = KvGroupKind::kFull, .layers = {0}, .bytes_per_block = 64};
    const KvGroupSpec latent = {.kind = KvGroupKind::kLatent, .layers = {0}, .bytes_per_block = 64};
    const KvGroupSpec state = {.kind = KvGroupKind::kRecurrent, .layers = {1}, .state_piece_bytes = {64}};
    const KvGroupSpec two_states = {.kind = KvGroupKind::kRecurrent, .layers = {1, 2}, .state_piece_bytes = {64}};
    const auto window = [&] {
      return KvGroupSpec{
          .kind = KvGroupKind::kWindow, .layers = {1}, .bytes_per_block = 64, .window_tokens = Pick(1, 60)};
    };
    switch (Pick(0, 6)) {
      case 0:
        config.kv_groups = {full, window()};
        break;
      case 1:
        config.kv_groups = {full, Chance(50) ? state : two_states};
        break;
      case 2:
        config.kv_groups = {window(), window()};
        break;
      case 3:
        config.kv_groups = {state, latent};
        break;
      default:
        config.kv_groups = {full};
    }
    bool recurrent = false;
    for (const KvGroupSpec& group : config.kv_groups) recurrent |= group.kind == KvGroupKind::kRecurrent;
    config.max_num_seqs = Pick(1, 12);
    config.num_speculative_tokens = !recurrent && Chance(25) ? Pick(1, 4) : 0;
    config.num_forced_tokens = !recurrent && Chance(25) ? Pick(1, 6) : 0;
    config.max_num_batched_tokens = Pick(1 + config.num_speculative_tokens, Chance(50) ? 40 : 300);
    config.max_model_len = Pick(40, 250);
    config.max_num_partial_prefills = Pick(1, 4);
    config.enable_prefix_caching = Chance(80);
    config.num_gpu_blocks = Pick(12, 60);
    config.num_cpu_blocks = Chance(40) ? Pick(1, 60) : 0;
    config.step_cost = {100, 10, 20, Chance(50) ? 1.0 : 100.0};
    config.watermark = Pick(0, 10) / 100.0;
    config.max_tenant_cache_fraction = Chance(30) ? 0.3 : 1.0;
    config.recurrent_checkpoint_tokens = 16 * Pick(1, 4);
    config.policy = static_cast<SchedulingPolicy>(Pick(0, 4));
    config.victim_policy = static_cast<VictimPolicy>(Pick(0, 3));
    config.batching = Chance(80)   ? BatchingMode::kContinuous
                      : Chance(50) ? BatchingMode::kStatic
                                   : BatchingMode::kDynamic;
    config.target_inter_token_us = Chance(50) ? 5000 : 0;
    config.eos_token_ids = {1, 2};
    tight_ = Chance(15);
    if (tight_) {  // long outputs in a small pool, so that sequences run out of preemptions
      config.max_num_seqs = 10;
      config.num_gpu_blocks = static_cast<int>(Pick(10, 14) * config.kv_groups.size());
      config.max_model_len = 140;
      config.watermark = 0;
      config.batching = BatchingMode::kContinuous;
    }
    return config;
  }

  void SubmitOne() {
    auto request = std::make_shared<Request>();
    request->id = ++submitted_;
    // Prompts share prefixes of a few stems, so that blocks are shared whole, in part and not at all.
    const int stem = Pick(0, 2);
    const int length = Pick(1, Chance(20) ? 200 : 60);
    const int shared = Pick(0, length);
    for (int i = 0; i < length; ++i)
      request->prompt_token_ids.push_back(i < shared ? (i * 7 + stem) % kVocab : Pick(0, kVocab - 1));
    request->sampling.max_tokens = Chance(80) ? Pick(1, 60) : 0;
    request->sampling.min_tokens = Chance(20) ? Pick(0, 20) : 0;
    request->sampling.ignore_eos = Chance(50);
    if (tight_ && Chance(80)) {
      request->sampling.max_tokens = 0;
      request->sampling.ignore_eos = true;
    }
    request->sampling.n = Chance(20) ? Pick(2, 4) : 1;
    request->sampling.best_of = Chance(10) ? request->sampling.n + 1 : 0;
    request->sampling.prompt_logprobs = Chance(15) ? 1 : -1;
    if (Chance(20)) request->sampling.stop_token_ids = {Pick(0, kVocab - 1)};
    if (Chance(8)) {
      request->sampling.use_beam_search = true;
      request->sampling.temperature = 0;
      request->sampling.length_penalty = static_cast<float>(Pick(0, 2));
      request->sampling.early_stopping = Chance(50);
      request->sampling.max_tokens = Pick(1, 20);
    }
    request->priority = Pick(1, 3);
    if (Chance(10)) request->cache_ttl_us = Pick(1, 500'000);
    request->arrival_us = now_us_;
    if (Chance(5)) request->deadline_us = now_us_ + Pick(0, 1'000'000);
    if (Chance(5)) request->queue_timeout_us = Pick(1, 300'000);
    request->tenant = Chance(50) ? "a" : "b";
    request->cache_salt = Chance(20) ? 9 : 0;
    request->adapter = Chance(10) ? 1 : 0;
    const Result<std::vector<SequenceId>> ids = scheduler_.Submit(request);
    if (!ids.ok()) return;
    for (size_t choice = 0; choice < ids->size(); ++choice) {
      live_[(*ids)[choice]] = {request, static_cast<int>(choice), request->prompt_token_ids, 0, false, {}, 0};
      if (!request->sampling.use_beam_search) continue;
      const int room = scheduler_.max_sequence_tokens() - static_cast<int>(request->prompt_token_ids.size());
      live_[(*ids)[choice]].beams = BeamsAlone(*request, std::min(request->sampling.max_tokens, room));
    }
  }

  void Disturb() {
    if (live_.empty()) return;
    auto it = live_.begin();
    std::advance(it, Pick(0, static_cast<int>(live_.size()) - 1));
    if (Chance(50)) {
      if (!scheduler_.FinishEarly(it->first)) error_ = "a live sequence was unknown";
      live_.erase(it);
    } else {
      const RequestId request = it->second.request->id;
      if (!scheduler_.Abort(request)) error_ = "a live request was unknown";
      std::erase_if(live_, [&](const auto& live) { return live.second.request->id == request; });
    }
  }

  void Pause() {
    if (live_.empty()) return;
    auto it = live_.begin();
    std::advance(it, Pick(0, static_cast<int>(live_.size()) - 1));
    const Request& request = *it->second.request;
    if (scheduler_.SetPaused(request.id, true) == request.sampling.use_beam_search)
      error_ = "pausing was refused, or a beam search paused";
    if (!request.sampling.use_beam_search) paused_.insert(request.id);
    Check(scheduler_.DescribeError());
  }

  void Resume() {
    scheduler_.SetPaused(*paused_.begin(), false);  // it may have ended
    paused_.erase(paused_.begin());
    Check(scheduler_.DescribeError());
  }

  // One turn of the engine loop; false when nothing ran and nothing ended.
  bool Step() {
    if (MaxDraft() > 0) Draft();
    Batch batch = scheduler_.Schedule(now_us_);
    Check(scheduler_.DescribeError());
    bool progress = batch.num_rows() > 0;
    for (SequenceId id : batch.sequences) {
      const auto it = live_.find(id);
      if (it != live_.end() && paused_.contains(it->second.request->id)) error_ = "a paused request has a row";
    }
    if (batch.num_tokens() > config_.max_num_batched_tokens) error_ = "the token budget was exceeded";
    if (scheduler_.stats().kv_worst_waste >= kKvBlockTokens) error_ = "a sequence wastes a block";
    if (scheduler_.stats().num_running > config_.max_num_seqs) error_ = "max_num_seqs was exceeded";
    if (progress) {
      results_.push_back(runner_.Run(batch));
      Check(runner_.error());
      if (Chance(1) && Chance(30)) FailStep(batch);
      for (size_t i = 0; i < batch.outputs.size(); ++i) {
        const auto it = live_.find(batch.sequences[batch.outputs[i].row]);
        if (!Chance(1) || !Chance(20) || it == live_.end()) continue;
        results_.back().outputs[i].failed = true;
        results_.back().outputs[i].error = "NaN";
        it->second.failed = true;
      }
    }
    const size_t ended_before = live_.size();
    Take(scheduler_.TakeEvents());
    while (static_cast<int>(results_.size()) >= depth_ || (!progress && !results_.empty() && Chance(70))) {
      CommitOne();
      progress = true;
    }
    return progress || live_.size() != ended_before;
  }

  int MaxDraft() const { return std::max(config_.num_speculative_tokens, config_.num_forced_tokens); }

  void FailStep(const Batch& batch) {
    results_.back().error = "device lost";
    for (auto& [id, live] : live_)
      live.failed |= live.request->sampling.use_beam_search;  // the rows of beams have ids of their own
    for (SequenceId id : batch.sequences) {
      const auto failed = live_.find(id);
      if (failed == live_.end()) continue;
      for (auto& [other, live] : live_) live.failed |= live.request == failed->second.request;
    }
  }

  // Right, half right and wrong guesses, of what follows the committed tokens or one that may be in flight.
  void Draft() {
    for (const auto& [id, live] : live_) {
      uint64_t hash = HashOf(live.tokens);
      std::vector<TokenId> draft;
      const bool skip = config_.num_forced_tokens > 0 && !results_.empty() && Chance(70);
      for (int i = Pick(0, MaxDraft()) + skip; i > 0; --i) {
        draft.push_back(Chance(80) ? FakeNextToken(hash, live.choice, kVocab) : Pick(0, kVocab - 1));
        hash = FakeHash(hash, draft.back());
      }
      if (skip && !draft.empty()) draft.erase(draft.begin());
      scheduler_.SetDraft(id, std::move(draft));
    }
  }

  void CommitOne() {
    if (results_.empty()) return;
    const StepResult& result = results_.front();
    Take(result.error.empty() ? scheduler_.Commit(result, Pick(500, 9000))
                              : scheduler_.CommitFailed(result.step_id, result.error));
    results_.pop_front();
    Check(scheduler_.DescribeError());
  }

  void Check(const std::string& error) {
    if (error_.empty()) error_ = error;
  }

  void Take(const std::vector<SequenceEvent>& events) {
    for (const SequenceEvent& event : events) {
      const auto it = live_.find(event.sequence);
      if (it == live_.end()) {
        Check("an event names no live sequence");
        continue;
      }
      Live& live = it->second;
      live.num_prompt_logprobs += event.prompt_logprobs.size();
      if (live.request->sampling.use_beam_search && event.finish_reason != FinishReason::kNone) {
        Check(BeamError(live, event));
        if (event.request_finished != (++live.num_beam_events == live.request->sampling.n))
          Check("a search has too few or too many choices");
        if (event.request_finished) live_.erase(it);
        continue;
      }
      for (const OutputResult& output : event.tokens) {
        Check(TokenError(live, output.token));
        live.tokens.push_back(output.token);
        Check(EndError(live, event, &output == &event.tokens.back()));
      }
      if (event.finish_reason == FinishReason::kNone) continue;
      if (event.finish_reason == FinishReason::kError && !live.failed) Check("a sequence failed without cause");
      const bool wants_logprobs = live.request->sampling.prompt_logprobs >= 0 && live.choice == 0;
      const bool normal = event.finish_reason == FinishReason::kStop || event.finish_reason == FinishReason::kLength;
      if (normal && wants_logprobs && live.num_prompt_logprobs + 1 != live.request->prompt_token_ids.size()) {
        Check(fmt::format("{} prompt logprobs for {} tokens", live.num_prompt_logprobs,
                          live.request->prompt_token_ids.size()));
      }
      live_.erase(it);
    }
  }

  static std::string BeamError(const Live& live, const SequenceEvent& event) {
    if (event.finish_reason == FinishReason::kError) return live.failed ? "" : "a search failed without cause";
    if (event.finish_reason == FinishReason::kTimeout) return "";
    if (event.choice_index >= static_cast<int>(live.beams.size()))
      return event.tokens.empty() ? "" : "a hypothesis too many";
    const BeamHypothesis& expected = live.beams[event.choice_index];
    bool same = event.tokens.size() == expected.tokens.size() && event.finish_reason == expected.reason;
    for (size_t i = 0; same && i < expected.tokens.size(); ++i)
      same = event.tokens[i].token == expected.tokens[i].token;
    return same ? "" : "a beam search depends on the load";
  }

  // The token that the model gives alone.
  static std::string TokenError(const Live& live, TokenId token) {
    return token == FakeNextToken(HashOf(live.tokens), live.choice, kVocab) ? "" : "an output depends on the load";
  }

  // Whether the sequence ends with its newest token exactly when it should.
  std::string EndError(const Live& live, const SequenceEvent& event, bool is_last) const {
    const SamplingParams& sampling = live.request->sampling;
    const TokenId token = live.tokens.back();
    const int generated = static_cast<int>(live.tokens.size() - live.request->prompt_token_ids.size());
    const bool stop = IsEnd(sampling, token, generated);
    const bool length =
        generated == sampling.max_tokens || static_cast<int>(live.tokens.size()) == scheduler_.max_sequence_tokens();
    const FinishReason expected = stop ? FinishReason::kStop : length ? FinishReason::kLength : FinishReason::kNone;
    const FinishReason found =
        is_last && event.finish_reason != FinishReason::kError ? event.finish_reason : FinishReason::kNone;
    return expected == found
               ? ""
               : fmt::format("ends with \"{}\", expected \"{}\"", FinishReasonName(found), FinishReasonName(expected));
  }

  std::mt19937_64 rng_;
  bool tight_ = false;
  const SchedulerConfig config_;
  Scheduler scheduler_;
  FakeRunner runner_;
  std::deque<StepResult> results_;
  std::map<SequenceId, Live> live_;
  std::set<RequestId> paused_;
  uint64_t submitted_ = 0;
  int64_t now_us_ = 0;
  int depth_ = 1;
  std::string error_;
};

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoll(text, nullptr, 10);
}

TEST(SchedulerProperty, RandomRunsKeepAllInvariantsAndOutputs) {
  const uint64_t first = FromEnvironment("MILLRACE_SCHEDULER_SEED", 1);
  const uint64_t runs = FromEnvironment("MILLRACE_SCHEDULER_RUNS", 1000);
  SchedulerStats sum;
  for (uint64_t seed = first; seed < first + runs; ++seed) {
    RandomRun run(seed);
    ASSERT_EQ(run.Run(), "") << "replay with MILLRACE_SCHEDULER_RUNS=1 MILLRACE_SCHEDULER_SEED=" << seed;
    const SchedulerStats stats = run.stats();
    sum.num_preemptions += stats.num_preemptions;
    sum.num_swaps += stats.num_swaps;
    sum.prefix_cache_hits += stats.prefix_cache_hits;
    sum.accepted_draft_tokens += stats.accepted_draft_tokens;
    sum.kv.copied_blocks += stats.kv.copied_blocks;
    sum.kv.prefix.evicted_blocks += stats.kv.prefix.evicted_blocks;
  }
  fmt::print("{} runs: {} preemptions, {} swaps, {} prefix tokens, {} drafts accepted, {} blocks copied, {} evicted\n",
             runs, sum.num_preemptions, sum.num_swaps, sum.prefix_cache_hits, sum.accepted_draft_tokens,
             sum.kv.copied_blocks, sum.kv.prefix.evicted_blocks);
  if (runs < 1000) return;
  EXPECT_GT(sum.num_preemptions, 0);
  EXPECT_GT(sum.num_swaps, 0);
  EXPECT_GT(sum.prefix_cache_hits, 0);
  EXPECT_GT(sum.accepted_draft_tokens, 0);
  EXPECT_GT(sum.kv.copied_blocks, 0);
  EXPECT_GT(sum.kv.prefix.evicted_blocks, 0);
}

}  // namespace
}  // namespace millrace
