// KvFile: the KV of a prompt's beginning on disk, so that a long document is computed once and answered about often.
//
// Little-endian: "MLRKVF\x01\n", u32 number of groups, u32 KV type, u64 model fingerprint, u64 bytes of a block, u32
// number of tokens (a multiple of 16), the tokens (i32), per group and block of 16 tokens one byte (1: stored), the
// stored blocks in that order, and the XXH3 of everything before. The bytes of a block are those of the CPU's KV layout
// (kernels/attention/kv_layout.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "core/ids.h"
#include "model_loader/checkpoint.h"

namespace millrace {

struct KvFile {
  DType dtype = DType::kBF16;
  uint64_t fingerprint = 0;
  int64_t block_bytes = 0;
  std::vector<TokenId> tokens;               // whole blocks of them
  std::vector<std::vector<uint8_t>> stored;  // [groups][blocks of 16 tokens]
  std::string blocks;                        // the stored ones, concatenated
};

// What must be equal for KV to mean the same: the configuration, the tensors' names, types and shapes, and samples of
// their bytes.
uint64_t ModelFingerprint(const Checkpoint& checkpoint, int max_model_len);

std::string EncodeKvFile(const KvFile& file);
// kDataLoss when it is damaged, kInvalidArgument when it is something else. Sizes are proven before anything is
// allocated.
Result<KvFile> DecodeKvFile(std::string_view bytes);
// kInvalidArgument says how the file differs from what this engine has.
Status CheckKvFile(const KvFile& file, const KvFile& expected);

}  // namespace millrace
