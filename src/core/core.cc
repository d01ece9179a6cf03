#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/checked_math.h"
#include "core/batch.h"
#include "core/kv_spec.h"
#include "core/request.h"
#include "core/sampling_params.h"

namespace millrace {
namespace {

Status CheckRange(const char* field, double value, double low, double high) {
  if (value >= low && value <= high) return OkStatus();  // false for NaN
  return InvalidArgument("{} is {}, expected {} to {}", field, value, low, high);
}

Status CheckTokens(const char* field, const std::vector<TokenId>& ids, int vocab_size) {
  for (TokenId id : ids) {
    if (id < 0 || id >= vocab_size) {
      return InvalidArgument("{} has token {}, the vocabulary has {} tokens", field, id, vocab_size);
    }
  }
  return OkStatus();
}

Status CheckSizes(const SamplingParams& p) {
  if (p.stop.size() > 16) return OutOfRange("stop has {} strings, the limit is 16", p.stop.size());
  for (const std::string& stop : p.stop) {
    if (stop.empty()) return InvalidArgument("stop has an empty string");
    if (stop.size() > 1024) return OutOfRange("stop has a string of {} bytes, the limit is 1024", stop.size());
  }
  if (p.logit_bias.size() > 1024)
    return OutOfRange("logit_bias has {} entries, the limit is 1024", p.logit_bias.size());
  if (p.bad_words.size() > 2048) return OutOfRange("bad_words has {} sequences, the limit is 2048", p.bad_words.size());
  if (p.stop_token_ids.size() > 256) {
    return OutOfRange("stop_token_ids has {} entries, the limit is 256", p.stop_token_ids.size());
  }
  return OkStatus();
}

}  // namespace

Status ValidateSamplingParams(const SamplingParams& p, int vocab_size) {
  constexpr double kMax = 1 << 30;
  RETURN_IF_ERROR(CheckRange("max_tokens", p.max_tokens, 0, kMax));
  RETURN_IF_ERROR(CheckRange("min_tokens", p.min_tokens, 0, kMax));
  RETURN_IF_ERROR(CheckRange("n", p.n, 1, 128));
  RETURN_IF_ERROR(CheckRange("best_of", p.best_of == 0 ? p.n : p.best_of, p.n, 128));
  RETURN_IF_ERROR(CheckRange("temperature", p.temperature, 0, 100));
  RETURN_IF_ERROR(CheckRange("top_k", p.top_k, 0, kMax));
  RETURN_IF_ERROR(CheckRange("top_p", p.top_p, 1e-9, 1));
  RETURN_IF_ERROR(CheckRange("min_p", p.min_p, 0, 1));
  RETURN_IF_ERROR(CheckRange("typical_p", p.typical_p, 1e-9, 1));
  RETURN_IF_ERROR(CheckRange("repetition_penalty", p.repetition_penalty, 1e-3, 100));
  RETURN_IF_ERROR(CheckRange("frequency_penalty", p.frequency_penalty, -2, 2));
  RETURN_IF_ERROR(CheckRange("presence_penalty", p.presence_penalty, -2, 2));
  RETURN_IF_ERROR(CheckRange("repetition_last_n", p.repetition_last_n, -1, kMax));
  RETURN_IF_ERROR(CheckRange("dry_multiplier", p.dry_multiplier, 0, 100));
  RETURN_IF_ERROR(CheckRange("dry_base", p.dry_base, 1, 100));
  RETURN_IF_ERROR(CheckRange("dry_allowed_length", p.dry_allowed_length, 1, kMax));
  RETURN_IF_ERROR(CheckRange("dry_penalty_last_n", p.dry_penalty_last_n, -1, kMax));
  RETURN_IF_ERROR(CheckRange("xtc_probability", p.xtc_probability, 0, 1));
  RETURN_IF_ERROR(CheckRange("xtc_threshold", p.xtc_threshold, 0, 1));
  RETURN_IF_ERROR(CheckRange("mirostat_mode", p.mirostat_mode, 0, 2));
  RETURN_IF_ERROR(CheckRange("mirostat_tau", p.mirostat_tau, 0, 100));
  RETURN_IF_ERROR(CheckRange("mirostat_eta", p.mirostat_eta, 0, 1));
  RETURN_IF_ERROR(CheckRange("length_penalty", p.length_penalty, -10, 10));
  RETURN_IF_ERROR(CheckRange("logprobs", p.logprobs, -1, 20));
  RETURN_IF_ERROR(CheckRange("prompt_logprobs", p.prompt_logprobs, -1, std::max(20, vocab_size)));
  RETURN_IF_ERROR(CheckSizes(p));
  for (const auto& [token, bias] : p.logit_bias) {
    RETURN_IF_ERROR(CheckTokens("logit_bias", {token}, vocab_size));
    RETURN_IF_ERROR(CheckRange("logit_bias", bias, -100, 100));
  }
  RETURN_IF_ERROR(CheckTokens("allowed_token_ids", p.allowed_token_ids, vocab_size));
  RETURN_IF_ERROR(CheckTokens("stop_token_ids", p.stop_token_ids, vocab_size));
  for (const auto& word : p.bad_words) RETURN_IF_ERROR(CheckTokens("bad_words", word, vocab_size));
  if (p.max_tokens > 0 && p.min_tokens > p.max_tokens) {
    return InvalidArgument("min_tokens is {}, more than max_tokens, which is {}", p.min_tokens, p.max_tokens);
  }
  if (p.use_beam_search && p.temperature != 0.0f && p.temperature != 1.0f) {
    return InvalidArgument("temperature is {}, beam search needs 0", p.temperature);
  }
  return OkStatus();
}

const char* FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kAbort:
      return "abort";
    case FinishReason::kTimeout:
      return "timeout";
    case FinishReason::kError:
      return "error";
  }
  CHECK(false, "unknown finish reason");
}

int64_t PoolBlockBytes(const std::vector<KvGroupSpec>& groups) {
  int64_t bytes = 0;
  for (const KvGroupSpec& group : groups) {
    bytes = std::max(bytes, group.bytes_per_block);
    for (const int64_t piece : group.state_piece_bytes) bytes = std::max(bytes, piece);
  }
  return RoundUp<int64_t>(bytes, 64);
}

StatePlacement PlaceState(const KvGroupSpec& group, int64_t pool_block_bytes) {
  StatePlacement placement;
  int64_t offset = pool_block_bytes;  // full: the first piece opens a block
  for (size_t layer = 0; layer < group.layers.size(); ++layer) {
    for (const int64_t bytes : group.state_piece_bytes) {
      CHECK_LE(bytes, pool_block_bytes);
      if (offset + bytes > pool_block_bytes) {
        ++placement.num_blocks;
        offset = 0;
      }
      placement.pieces.push_back({placement.num_blocks - 1, offset});
      offset += RoundUp<int64_t>(bytes, 64);
    }
  }
  return placement;
}

std::string DescribeBatchError(const Batch& b) {
  const size_t rows = b.sequences.size();
  if (b.query_start.size() != rows + 1 || b.context_len.size() != rows) return "row arrays differ in length";
  if (b.query_start.front() != 0 || b.query_start.back() != b.num_tokens())
    return "query_start does not span the tokens";
  if (b.positions.size() != b.token_ids.size()) return "positions and token_ids differ in length";
  if (!b.parent.empty() && b.parent.size() != b.token_ids.size()) return "parent and token_ids differ in length";
  for (size_t r = 0; r < rows; ++r) {
    if (b.query_start[r] >= b.query_start[r + 1]) return fmt::format("row {} has no tokens", r);
    if (b.context_len[r] < 0) return fmt::format("row {} has a negative context", r);
  }
  for (const GroupTables& group : b.groups) {
    if (group.row_start.size() != rows + 1) return "a block table does not cover the rows";
    if (group.row_start.back() != static_cast<int32_t>(group.block_ids.size())) return "a block table has loose ends";
  }
  for (const OutputRow& output : b.outputs) {
    if (output.row < 0 || output.row >= b.num_rows()) return "an output names no row";
    if (output.token_index < b.query_start[output.row] || output.token_index >= b.query_start[output.row + 1]) {
      return "an output's token is not in its row";
    }
  }
  return "";
}

}  // namespace millrace
