#include "scheduler/scheduler.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/checked_math.h"

namespace millrace {
namespace {

KvCacheOptions CacheOptions(const SchedulerConfig& config) {
  KvCacheOptions options;
  options.groups = config.kv_groups;
  options.num_blocks = config.num_gpu_blocks;
  options.num_host_blocks = config.num_cpu_blocks;
  options.enable_prefix_caching = config.enable_prefix_caching;
  options.max_tenant_fraction = config.max_tenant_cache_fraction;
  options.max_pinned_fraction = config.max_pinned_cache_fraction;
  return options;
}

// splitmix64 finalizer.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// A collision makes a sequence wait for a block that it then doesn't find; it never shares a wrong one.
std::vector<uint64_t> PromptHashes(const Request& request) {
  std::vector<uint64_t> hashes;
  uint64_t hash = Mix(request.cache_salt + 0x9E3779B97F4A7C15 * (request.adapter + 1));
  for (size_t i = 0; i < request.prompt_token_ids.size(); ++i) {
    hash = Mix(hash + 0x9E3779B97F4A7C15 + static_cast<uint32_t>(request.prompt_token_ids[i]));
    if ((i + 1) % kKvBlockTokens == 0) hashes.push_back(hash);
  }
  return hashes;
}

}  // namespace

Scheduler::Scheduler(const SchedulerConfig& config) : config_(config), kv_(CacheOptions(config)), planner_(config) {
  const Status status = ValidateSchedulerConfig(config);
  CHECK(status.ok(), "{}", status.message());
}

Scheduler::~Scheduler() = default;

Status Scheduler::CheckFits(const Request& request) const {
  const int prompt = static_cast<int>(std::min<size_t>(request.prompt_token_ids.size(), INT32_MAX));
  if (prompt == 0) return InvalidArgument("the prompt has no tokens");
  if (prompt >= config_.max_model_len) {
    return OutOfRange("the prompt has {} tokens, expected fewer than max_model_len {}", prompt, config_.max_model_len);
  }
  if (prompt >= kv_.MaxTokens()) {
    return OutOfRange("the prompt has {} tokens, the {} KV blocks hold {} (num_gpu_blocks)", prompt, kv_.num_blocks(),
                      kv_.MaxTokens());
  }
  return request.sampling.use_beam_search ? CheckBeams(request, MaxTokens(request)) : OkStatus();
}

// The length at which the request's sequences end.
int Scheduler::MaxTokens(const Request& request) const {
  const int prompt = static_cast<int>(request.prompt_token_ids.size());
  const int wanted = request.sampling.max_tokens;
  return wanted > 0 && wanted < max_sequence_tokens() - prompt ? prompt + wanted : max_sequence_tokens();
}

Sequence& Scheduler::NewSequence(const std::shared_ptr<const Request>& request, int choice) {
  auto sequence = std::make_unique<Sequence>();
  sequence->id = next_sequence_++;
  sequence->request = request;
  sequence->domain = {request->cache_salt, request->adapter, request->tenant};
  sequence->choice_index = choice;
  sequence->order = next_order_++;
  sequence->tokens = request->prompt_token_ids;
  sequence->num_prompt_tokens = static_cast<int>(request->prompt_token_ids.size());
  sequence->max_tokens = MaxTokens(*request);
  sequence->blocks = kv_.NewTable();
  sequence->host_blocks = kv_.NewTable();
  sequence->is_beam = request->sampling.use_beam_search;
  int64_t& timer = sequence->timer_us;
  if (request->deadline_us > 0) timer = request->deadline_us;
  if (request->queue_timeout_us > 0) timer = std::min(timer, request->arrival_us + request->queue_timeout_us);
  if (timer != INT64_MAX) timers_.insert({timer, sequence->id});
  waiting_.push_back(sequence.get());
  Sequence& made = *sequence;
  sequences_.emplace(made.id, std::move(sequence));
  return made;
}

Result<std::vector<SequenceId>> Scheduler::Submit(std::shared_ptr<const Request> request) {
  RETURN_IF_ERROR(CheckFits(*request));
  const SamplingParams& sampling = request->sampling;
  if (requests_.contains(request->id)) return InvalidArgument("request {} is there already", request->id);
  const int width = sampling.use_beam_search ? 1 : std::max(sampling.best_of, sampling.n);
  if (static_cast<int64_t>(waiting_.size()) + width > config_.max_num_waiting) {
    return ResourceExhausted("{} sequences wait, the limit is {} (max_num_waiting)", waiting_.size(),
                             config_.max_num_waiting);
  }
  const std::vector<uint64_t> hashes = config_.enable_prefix_caching ? PromptHashes(*request) : std::vector<uint64_t>();
  std::vector<SequenceId> ids;
  for (int choice = 0; choice < width; ++choice) {
    Sequence& sequence = NewSequence(request, choice);
    sequence.prompt_hashes = hashes;
    if (choice > 0 && sequence.num_prompt_tokens > 1) {
      sequence.fork_parent = ids.front();
      ++Find(ids.front())->num_forks;
    }
    ids.push_back(sequence.id);
  }
  if (sampling.use_beam_search) {
    const Sequence& root = *Find(ids.front());
    BeamGroup group{.search = BeamSearch(sampling, root.max_tokens - root.num_prompt_tokens),
                    .root = root.id,
                    .live = {root.id},
                    .reports = {}};
    group.reserved_blocks = int64_t{group.search.width()} * kv_.MaxBlocks(root.max_tokens);
    beams_.emplace(request->id, std::move(group));
  }
  requests_[request->id] = ids;
  JoinTenant(*request, width);
  return ids;
}

void Scheduler::JoinTenant(const Request& request, int num_sequences) {
  const auto [it, is_new] = tenants_.try_emplace(request.tenant);
  it->second.num_sequences += num_sequences;
  if (!is_new || tenants_.size() == 1) return;
  // A tenant that comes (back) starts level with the least served one, so that it can't have saved up service.
  double least = INFINITY;
  for (const auto& [name, tenant] : tenants_) {
    if (name != request.tenant) least = std::min(least, tenant.service);
  }
  it->second.service = least;
}

Sequence* Scheduler::Find(SequenceId id) const {
  const auto it = sequences_.find(id);
  return it == sequences_.end() ? nullptr : it->second.get();
}

// The prompt blocks from first_block on will be cached by this sequence: others with the same prefix wait for them.
void Scheduler::Announce(Sequence& sequence, int first_block) {
  sequence.first_computing = first_block;
  sequence.last_computing = std::max(first_block, static_cast<int>(sequence.prompt_hashes.size()));
  for (int i = sequence.first_computing; i < sequence.last_computing; ++i) ++computing_[sequence.prompt_hashes[i]];
}

void Scheduler::Withdraw(Sequence& sequence, int end_block) {
  for (; sequence.first_computing < std::min(end_block, sequence.last_computing); ++sequence.first_computing) {
    const auto it = computing_.find(sequence.prompt_hashes[sequence.first_computing]);
    if (--it->second == 0) computing_.erase(it);
  }
}

// Takes a sequence out of the running or the waiting, with its blocks.
void Scheduler::Release(Sequence& sequence) {
  if (sequence.phase == SequencePhase::kRunning) {
    if (!sequence.can_be_preempted() && !sequence.is_beam) protected_blocks_ -= kv_.MaxBlocks(sequence.max_tokens);
    std::erase(running_, &sequence);
  } else {
    num_protected_waiting_ -= !sequence.can_be_preempted() && !sequence.is_beam;
    std::erase(waiting_, &sequence);
  }
  Withdraw(sequence, INT32_MAX);
  sequence.blocks = kv_.NewTable();
  sequence.host_blocks = kv_.NewTable();
  sequence.draft.clear();
  if (sequence.at_runner) {
    const size_t unsent =
        std::erase_if(started_, [&](const SequenceStart& start) { return start.sequence == sequence.id; });
    if (unsent == 0) finished_.push_back(sequence.id);
  }
  sequence.at_runner = false;
}

void Scheduler::Remove(Sequence& sequence) {
  Release(sequence);
  if (Sequence* parent = Find(sequence.fork_parent); parent != nullptr) --parent->num_forks;
  const auto tenant = tenants_.find(sequence.request->tenant);
  if (--tenant->second.num_sequences == 0) tenants_.erase(tenant);
  const auto request = requests_.find(sequence.request->id);
  std::erase(request->second, sequence.id);
  if (request->second.empty()) {
    if (const auto group = beams_.find(sequence.request->id); group != beams_.end()) {
      if (group->second.started) protected_blocks_ -= group->second.reserved_blocks;
      beams_.erase(group);
    }
    requests_.erase(request);
  }
  timers_.erase({sequence.timer_us, sequence.id});
  group_.erase(sequence.id);
  sequences_.erase(sequence.id);
}

SequenceEvent Scheduler::NewEvent(const Sequence& sequence) const {
  SequenceEvent event;
  event.request = sequence.request->id;
  event.sequence = sequence.id;
  event.choice_index = sequence.choice_index;
  event.queue_us = sequence.queue_us;
  event.num_cached_tokens = std::max(0, sequence.num_cached_tokens);
  return event;
}

void Scheduler::Finish(Sequence& sequence, SequenceEvent event, FinishReason reason, std::string error) {
  if (sequence.is_beam) return EndBeams(beams_.at(sequence.request->id), reason, error);
  event.finish_reason = reason;
  event.error = std::move(error);
  event.request_finished = requests_.at(sequence.request->id).size() == 1;
  Remove(sequence);
  events_.push_back(std::move(event));
}

bool Scheduler::Abort(RequestId request) {
  const auto it = requests_.find(request);
  if (it == requests_.end()) return false;
  const std::vector<SequenceId> ids = it->second;
  for (SequenceId id : ids) Remove(*Find(id));
  return true;
}

bool Scheduler::FinishEarly(SequenceId id) {
  for (const auto& [request, group] : beams_) {
    if (group.root == id) return Abort(request);
  }
  Sequence* sequence = Find(id);
  if (sequence == nullptr) return false;
  Remove(*sequence);
  return true;
}

void Scheduler::SetDraft(SequenceId id, std::vector<TokenId> draft) {
  Sequence* sequence = Find(id);
  if (sequence == nullptr || sequence->is_beam || sequence->phase != SequencePhase::kRunning) return;
  // A row samples one token more than it has drafts.
  const int room = std::max(0, sequence->max_tokens - sequence->num_tokens() - 1);
  const int limit = std::min(room, std::max(config_.num_speculative_tokens, config_.num_forced_tokens));
  draft.resize(std::min(draft.size(), static_cast<size_t>(limit)));
  sequence->draft = std::move(draft);
}

BlockTable Scheduler::HoldPrefix(const CacheDomain& domain, std::span<const TokenId> prompt, int* num_tokens) {
  CHECK(in_flight_.empty());
  BlockTable table = kv_.NewTable();
  PrefixMatch match = kv_.FindPrefix(domain, prompt, static_cast<int>(prompt.size()) - 1);
  match.partial_node = -1;
  match.partial_tokens = 0;
  *num_tokens = kv_.TakePrefix(match, table, copies_);
  return table;
}

Result<BlockTable> Scheduler::AllocatePrefix(int num_tokens) {
  CHECK(in_flight_.empty());
  BlockTable table = kv_.NewTable();
  if (kv_.Extend(table, num_tokens)) return table;
  return ResourceExhausted("{} tokens need {} KV blocks, {} of {} can be had", num_tokens,
                           kv_.BlocksToExtend(table, num_tokens), kv_.num_available(), kv_.num_blocks());
}

void Scheduler::ExpireDeadlines() {
  while (!timers_.empty() && timers_.begin()->first <= now_us_) {
    Sequence& sequence = *Find(timers_.begin()->second);
    timers_.erase(timers_.begin());
    const Request& request = *sequence.request;
    if (request.deadline_us > 0 && request.deadline_us <= now_us_) {
      Finish(sequence, NewEvent(sequence), FinishReason::kTimeout, "the request's deadline passed (timeout)");
    } else if (sequence.num_cached_tokens < 0) {
      Finish(sequence, NewEvent(sequence), FinishReason::kTimeout,
             "the request waited longer than its queue timeout (queue_timeout)");
    } else if (request.deadline_us > 0) {
      sequence.timer_us = request.deadline_us;
      timers_.insert({sequence.timer_us, sequence.id});
    }
  }
}

}  // namespace millrace
