#include "engine/memory_plan.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "base/checked_math.h"
#include "core/ids.h"

namespace millrace {
namespace {

constexpr double kFraction = 0.8;

int64_t ReadNumber(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : -1;  // "max" reads as nothing: no limit
}

}  // namespace

std::string FormatBytes(int64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024.0 && unit < 4) {
    value /= 1024.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

int64_t AvailableMemoryBytes() {
  int64_t available = std::numeric_limits<int64_t>::max();
  std::ifstream info("/proc/meminfo");
  std::string key, unit;
  for (int64_t value; info >> key >> value; std::getline(info, unit)) {
    if (key == "MemAvailable:") available = value * 1024;
  }
  const int64_t limit = ReadNumber("/sys/fs/cgroup/memory.max");
  const int64_t used = ReadNumber("/sys/fs/cgroup/memory.current");
  if (limit > 0 && used >= 0) available = std::min(available, std::max<int64_t>(limit - used, 0));
  return available;
}

std::string DescribeMemory(const MemoryReport& r, const MemoryPlan& plan) {
  const int64_t kv_bytes = plan.num_blocks * r.block_bytes;
  std::string text;
  const auto line = [&](const char* part, int64_t bytes, const std::string& why) {
    text += fmt::format("{:<12} {:>10}  {}\n", part, FormatBytes(bytes), why);
  };
  line("weights", r.weight_bytes, fmt::format("{}, packed from {} on disk", r.model, FormatBytes(r.file_bytes)));
  line("workspace", r.workspace_bytes,
       fmt::format("steps of {} tokens (--max-num-batched-tokens), {} sequences (--max-num-seqs)",
                   r.max_num_batched_tokens, r.max_num_seqs));
  line("KV cache", kv_bytes,
       fmt::format("{} blocks of {} in {}", plan.num_blocks, FormatBytes(r.block_bytes), DTypeName(r.kv_dtype)));
  line("swap space", r.swap_bytes, "--swap-space-bytes");
  line("total", r.weight_bytes + r.workspace_bytes + kv_bytes + r.swap_bytes, "taken at start, never more");
  line("left", std::max<int64_t>(0, plan.available_bytes - kv_bytes), "of what the machine has free now");
  return text + plan.reason + "\n";
}

Result<MemoryPlan> PlanKvMemory(const MemoryPlanInput& in) {
  CHECK(in.block_bytes > 0 && in.blocks_per_sequence > 0 && in.max_model_len > 0);
  MemoryPlan plan;
  plan.max_model_len = in.max_model_len;
  const int64_t wanted = in.blocks_per_sequence * in.max_num_seqs;
  plan.available_bytes = std::max<int64_t>(0, in.available_bytes - in.swap_bytes);
  const int64_t affordable =
      static_cast<int64_t>(kFraction * static_cast<double>(plan.available_bytes)) / in.block_bytes;
  std::string why;
  if (in.kv_cache_bytes > 0) {
    plan.num_blocks = in.kv_cache_bytes / in.block_bytes;
    why = "as --kv-cache-bytes says";
  } else if (wanted <= affordable) {
    plan.num_blocks = wanted;
    why = fmt::format("{} sequences of {} tokens", in.max_num_seqs, in.max_model_len);
  } else {
    plan.num_blocks = affordable;
    why = fmt::format("80 % of the {} available", FormatBytes(plan.available_bytes));
  }
  if (plan.num_blocks < in.blocks_per_sequence) {
    const int64_t fits = plan.num_blocks * in.max_model_len / in.blocks_per_sequence / kKvBlockTokens * kKvBlockTokens;
    if (in.max_model_len_given || fits < kKvBlockTokens) {
      return ResourceExhausted(
          "a sequence of {} tokens needs {} of KV cache, {} can be had; lower --max-model-len or raise "
          "--kv-cache-bytes",
          in.max_model_len, FormatBytes(in.blocks_per_sequence * in.block_bytes),
          FormatBytes(plan.num_blocks * in.block_bytes));
    }
    plan.max_model_len = static_cast<int>(fits);
    why += fmt::format("; --max-model-len lowered from {} to {} to fit", in.max_model_len, fits);
  }
  plan.reason = fmt::format("KV cache: {} blocks of {} tokens, {} ({})", plan.num_blocks, kKvBlockTokens,
                            FormatBytes(plan.num_blocks * in.block_bytes), why);
  return plan;
}

}  // namespace millrace
