// The two loops of the engine: steps and outputs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>

#include "engine/engine.h"

namespace millrace {

void Engine::Handle(SubmitMessage message) {
  {
    std::lock_guard lock(outbox_mutex_);
    outbox_.push_back({.start = message.request, .sink = std::move(message.sink)});
  }
  const Result<std::vector<SequenceId>> sequences = scheduler_->Submit(message.request);
  if (sequences.ok()) {
    if (message.guided != nullptr) grammar_masks_->Start(message.request->id, *sequences, message.guided);
    return;
  }
  SequenceEvent refused;
  refused.request = message.request->id;
  refused.finish_reason = FinishReason::kError;
  refused.error = sequences.status().message();
  refused.error_code = sequences.status().code();
  const SamplingParams& sampling = message.request->sampling;
  const int choices = sampling.use_beam_search ? sampling.n : std::max(sampling.n, sampling.best_of);
  std::vector<SequenceEvent> events(static_cast<size_t>(choices), refused);
  for (int i = 0; i < choices; ++i) events[static_cast<size_t>(i)].choice_index = i;
  Emit(std::move(events));
}

// False when the engine is to stop.
bool Engine::DrainInbox() {
  std::deque<Message> messages;
  {
    std::unique_lock lock(inbox_mutex_);
    if (in_flight_.empty() && scheduler_->idle()) AwaitWork(lock);
    if (stopping_) return false;
    messages.swap(inbox_);
  }
  for (Message& message : messages) {
    if (auto* submit = std::get_if<SubmitMessage>(&message)) {
      Handle(std::move(*submit));
    } else if (const auto* abort = std::get_if<AbortMessage>(&message)) {
      scheduler_->Abort(abort->request);
      grammar_masks_->ForgetRequest(abort->request);
      std::lock_guard lock(outbox_mutex_);
      outbox_.push_back({.forget = abort->request});
      outbox_ready_.notify_one();
    } else if (const auto* pause = std::get_if<PauseMessage>(&message)) {
      scheduler_->SetPaused(pause->request, pause->paused);
      PublishStats();
    } else if (const auto* call = std::get_if<CallMessage>(&message)) {
      while (!in_flight_.empty()) CommitOldest();
      call->call();
    } else if (std::holds_alternative<DropCacheMessage>(message)) {
      scheduler_->DropCachedPrefixes();
    } else {
      const SequenceId sequence = std::get<StopMessage>(message).sequence;
      scheduler_->FinishEarly(sequence);
      grammar_masks_->Forget(sequence);
    }
  }
  return true;
}

// Idle: tells so, and recounts the KV bookkeeping once per idle time.
void Engine::AwaitWork(std::unique_lock<std::mutex>& lock) {
  const auto has_work = [this] { return stopping_ || !inbox_.empty(); };
  if (has_work()) return;
  PublishStats();
  if (inbox_ready_.wait_for(lock, std::chrono::microseconds(options_.idle_check_us), has_work)) return;
  lock.unlock();
  CheckIntegrity();
  lock.lock();
  inbox_ready_.wait(lock, has_work);
}

void Engine::CheckIntegrity() {
  const std::string error = scheduler_->DescribeError();
  if (!error.empty()) std::fprintf(stderr, "the KV bookkeeping is damaged: %s\n", error.c_str());
  std::lock_guard lock(stats_mutex_);
  ++stats_.num_integrity_checks;
  if (stats_.integrity_error.empty()) stats_.integrity_error = error;
}

void Engine::CommitOldest() {
  const StepResult result = in_flight_.front().Wait();
  in_flight_.pop_front();
  const bool failed = !result.error.empty();
  std::vector<SequenceEvent> events = failed ? scheduler_->CommitFailed(result.step_id, result.error)
                                             : scheduler_->Commit(result, runner_->last_step_us());
  grammar_masks_->Accept(events);
  ProvideMasks();
  {
    std::lock_guard lock(stats_mutex_);
    ++stats_.num_steps;
    stats_.num_failed_steps += failed;
    stats_.last_step_us = runner_->last_step_us();
    stats_.work.Add(work_in_flight_.front(), stats_.last_step_us);
    stats_.last_progress_us = NowUs();
  }
  work_in_flight_.pop_front();
  PublishStats();  // before the outputs: who sees the last token sees its end in the stats
  Emit(std::move(events));
}

void Engine::EngineLoop() {
  while (DrainInbox()) {
    grammar_masks_->SetDrafts(*scheduler_);
    Batch batch = scheduler_->Schedule(NowUs());
    const bool has_rows = batch.num_rows() > 0;
    if (has_rows) {
      grammar_masks_->Assign(&batch);
      work_in_flight_.push_back(meter_->Measure(batch));
      in_flight_.push_back(runner_->Submit(std::move(batch)));
      if (in_flight_.size() == 1) ProvideMasks();  // no token is pending: the masks can be made now
    }
    // With a step running and another queued behind it, or with nothing new to run, the oldest step is awaited.
    if (in_flight_.size() == ModelRunner::kMaxStepsInFlight || (!has_rows && !in_flight_.empty())) {
      CommitOldest();
    } else if (!has_rows) {
      std::vector<SequenceEvent> events = scheduler_->TakeEvents();
      grammar_masks_->Accept(events);
      Emit(std::move(events));
      if (!scheduler_->idle()) {  // what is left waits for a time or to be resumed, not for a step
        std::unique_lock lock(inbox_mutex_);
        inbox_ready_.wait_for(lock, std::chrono::milliseconds(1), [this] { return stopping_ || !inbox_.empty(); });
      }
    }
  }
  while (!in_flight_.empty()) {
    in_flight_.front().Wait();
    in_flight_.pop_front();
  }
}

// Masks of the step in flight follow from the tokens of the step before it.
void Engine::ProvideMasks() {
  if (std::optional<GrammarMasks::StepMasks> step = grammar_masks_->MakeMasks()) {
    runner_->SetMasks(step->step_id, std::move(step->masks));
  }
}

void Engine::PublishStats() {
  std::lock_guard lock(stats_mutex_);
  stats_.scheduler = scheduler_->stats();
}

void Engine::Emit(std::vector<SequenceEvent> events) {
  if (events.empty()) return;
  {
    std::lock_guard lock(outbox_mutex_);
    for (SequenceEvent& event : events) outbox_.push_back({.event = std::move(event)});
  }
  outbox_ready_.notify_one();
}

void Engine::Deliver(RequestOutput output) {
  const auto open = open_.find(output.request);
  if (open == open_.end()) return;
  const bool finished = output.request_finished;
  open->second.sink(std::move(output));
  if (!finished) return;
  Close(open->second);
  open_.erase(open);
}

void Engine::OutputLoop() {
  while (true) {
    std::deque<OutputItem> items;
    {
      std::unique_lock lock(outbox_mutex_);
      outbox_ready_.wait(lock, [this] { return output_stopping_ || !outbox_.empty(); });
      if (outbox_.empty()) return;
      items.swap(outbox_);
    }
    for (OutputItem& item : items) {
      if (item.start != nullptr) {
        const SamplingParams& sampling = item.start->sampling;
        open_[item.start->id] = {std::move(item.sink), std::max(sampling.n, sampling.best_of)};
        output_processor_->Start(item.start);
        continue;
      }
      if (item.forget != 0) {
        output_processor_->Forget(item.forget);
        if (const auto open = open_.find(item.forget); open != open_.end()) {
          Close(open->second);
          open_.erase(open);
        }
        continue;
      }
      bool stopped = false;
      std::vector<RequestOutput> outputs = output_processor_->Process(item.event, &stopped);
      if (stopped) Post(StopMessage{item.event.sequence});
      for (RequestOutput& output : outputs) Deliver(std::move(output));
    }
  }
}

}  // namespace millrace
