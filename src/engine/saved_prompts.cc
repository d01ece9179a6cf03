// Saving and restoring a prompt's KV.
#include <cstring>
#include <future>

#include "base/file.h"
#include "engine/engine.h"
#include "engine/kv_file.h"

namespace millrace {
namespace {

constexpr size_t kMaxKvFileBytes = size_t{64} << 30;

}  // namespace

// Runs on the engine thread with no step in flight.
void Engine::CallIdle(const std::function<void()>& call) {
  std::promise<void> done;
  Post(CallMessage{[&] {
    call();
    done.set_value();
  }});
  done.get_future().wait();
}

KvFile Engine::EmptyKvFile() const {
  KvFile file;
  file.dtype = options_.kv_cache_dtype;
  file.fingerprint = ModelFingerprint(*checkpoint_, plan_.max_model_len);
  file.block_bytes = runner_->block_bytes();
  file.stored.resize(runner_->model().kv_groups().size());
  return file;
}

Result<int> Engine::SavePrompt(const CacheDomain& domain, std::span<const TokenId> prompt, const std::string& path) {
  RETURN_IF_ERROR(CheckSaving());
  KvFile file = EmptyKvFile();
  int num_tokens = 0;
  CallIdle([&] {
    const BlockTable table = scheduler_->HoldPrefix(domain, prompt, &num_tokens);
    for (size_t g = 0; g < table.groups.size(); ++g) {
      for (const BlockRef& block : table.groups[g].blocks) {
        file.stored[g].push_back(block ? 1 : 0);
        if (block)
          file.blocks.append(reinterpret_cast<const char*>(runner_->KvBlock(block.id())),
                             static_cast<size_t>(file.block_bytes));
      }
    }
  });
  if (num_tokens == 0)
    return NotFound("no block of the prompt is cached: compute it first (a prompt shorter than {} tokens has none)",
                    kKvBlockTokens + 1);
  file.tokens.assign(prompt.begin(), prompt.begin() + num_tokens);
  RETURN_IF_ERROR(WriteFileAtomic(path, EncodeKvFile(file)));
  return num_tokens;
}

Result<int> Engine::LoadPrompt(const CacheDomain& domain, const std::string& path) {
  RETURN_IF_ERROR(CheckSaving());
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxKvFileBytes));
  const Result<KvFile> file = DecodeKvFile(bytes);
  if (!file.ok()) return file.status().WithPrefix(path);
  if (const Status status = CheckKvFile(*file, EmptyKvFile()); !status.ok()) return status.WithPrefix(path);
  Status status;
  CallIdle([&] {
    Result<BlockTable> table = scheduler_->AllocatePrefix(static_cast<int>(file->tokens.size()));
    if (!table.ok()) {
      status = table.status();
      return;
    }
    const char* from = file->blocks.data();
    for (size_t g = 0; g < table->groups.size(); ++g) {
      for (size_t b = 0; b < file->stored[g].size(); ++b) {
        BlockRef& block = table->groups[g].blocks[b];
        if (file->stored[g][b] == 0) {
          block = BlockRef();
          continue;
        }
        std::memcpy(runner_->KvBlock(block.id()), from, static_cast<size_t>(file->block_bytes));
        from += file->block_bytes;
      }
    }
    scheduler_->EnterPrefix(domain, file->tokens, *table);
  });
  RETURN_IF_ERROR(status);
  return static_cast<int>(file->tokens.size());
}

Status Engine::CheckSaving() const {
  if (!options_.enable_prefix_caching)
    return InvalidArgument("saved prompts live in the prefix cache, which is off (--enable-prefix-caching)");
  for (const KvGroupSpec& group : runner_->model().kv_groups()) {
    if (group.kind == KvGroupKind::kRecurrent) return Unsupported("models with recurrent layers can't save a prompt");
  }
  return OkStatus();
}

}  // namespace millrace
