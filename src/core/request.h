// Request: one immutable order for tokens, as the engine sees it after tokenization.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/ids.h"
#include "core/sampling_params.h"

namespace millrace {

struct Request {
  RequestId id = 0;
  std::vector<TokenId> prompt_token_ids;
  SamplingParams sampling;
  Pooling pooling = Pooling::kNone;  // otherwise nothing is generated and `sampling` is not used
  int priority = 0;                  // lower runs first, as in vLLM
  int64_t arrival_us = 0;            // engine clock
  int64_t deadline_us = 0;           // 0: none; past it the request ends with FinishReason::kTimeout
  int64_t queue_timeout_us = 0;      // 0: none; longest wait before the first token is scheduled
  std::string tenant;                // fair sharing and quotas
  uint64_t cache_salt = 0;           // prefix cache entries are shared only among equal salts
  int64_t cache_ttl_us = 0;          // > 0: the prompt's cached blocks are pinned this long from the first token on
  int adapter = 0;                   // LoRA adapter index; 0: none
};

enum class FinishReason : uint8_t { kNone, kStop, kLength, kAbort, kTimeout, kError };

const char* FinishReasonName(FinishReason reason);  // "stop", "length", "abort", "timeout", "error"; "" for kNone

}  // namespace millrace
