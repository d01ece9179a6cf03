#include "engine/kv_file.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/checked_math.h"

namespace millrace {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is written as it lies in memory");

constexpr std::string_view kMagic = "MLRKVF\x01\n";
constexpr uint32_t kMaxGroups = 16;
constexpr uint32_t kMaxTokens = 1 << 24;
constexpr int64_t kMaxBlockBytes = int64_t{1} << 32;
constexpr int64_t kSampleBytes = 64;

template <typename T>
void Put(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Takes values off the front; false when there are too few bytes.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  bool Take(T* value) {
    return TakeInto(value, sizeof(T));
  }
  bool TakeInto(void* to, size_t size) {
    if (size > bytes_.size()) return false;
    std::memcpy(to, bytes_.data(), size);
    bytes_.remove_prefix(size);
    return true;
  }
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
};

class Fingerprint {
 public:
  void Add(const void* data, size_t size) { hash_ = XXH3_64bits_withSeed(data, size, hash_); }
  template <typename T>
  void AddValue(const T& value) {
    static_assert(std::is_arithmetic_v<T>);
    Add(&value, sizeof(value));
  }
  void AddText(std::string_view text) {
    AddValue(text.size());
    Add(text.data(), text.size());
  }
  uint64_t hash() const { return hash_; }

 private:
  uint64_t hash_ = 0;
};

}  // namespace

uint64_t ModelFingerprint(const Checkpoint& checkpoint, int max_model_len) {
  Fingerprint print;
  const ModelConfig& c = checkpoint.config();
  print.AddText(c.model_type);
  for (const int value :
       {c.vocab_size, c.hidden_size, c.num_hidden_layers, c.num_attention_heads, c.num_key_value_heads, c.head_dim,
        c.rotary_dim, c.sliding_window, static_cast<int>(c.rope_scaling.type)}) {
    print.AddValue(value);
  }
  for (const float value : {c.rope_theta, c.rope_local_theta, c.rope_scaling.factor, c.rms_norm_eps})
    print.AddValue(value);
  const RopeScalingType rope = c.rope_scaling.type;
  if (rope == RopeScalingType::kDynamic || rope == RopeScalingType::kLongRope) print.AddValue(max_model_len);
  for (const WeightTensor* tensor : checkpoint.tensors()) {
    print.AddText(tensor->name);
    print.AddValue(static_cast<int>(tensor->dtype));
    print.AddValue(tensor->rows);
    print.AddValue(tensor->cols);
    if (tensor->data == nullptr) continue;
    const int64_t sample = std::min(kSampleBytes, tensor->bytes());
    for (const int64_t at : {int64_t{0}, (tensor->bytes() - sample) / 2, tensor->bytes() - sample}) {
      print.Add(tensor->data + at, static_cast<size_t>(sample));
    }
  }
  return print.hash();
}

std::string EncodeKvFile(const KvFile& file) {
  std::string out(kMagic);
  Put(static_cast<uint32_t>(file.stored.size()), &out);
  Put(static_cast<uint32_t>(file.dtype), &out);
  Put(file.fingerprint, &out);
  Put(static_cast<uint64_t>(file.block_bytes), &out);
  Put(static_cast<uint32_t>(file.tokens.size()), &out);
  for (const TokenId token : file.tokens) Put(static_cast<int32_t>(token), &out);
  for (const std::vector<uint8_t>& group : file.stored) out.append(group.begin(), group.end());
  out += file.blocks;
  Put(XXH3_64bits(out.data(), out.size()), &out);
  return out;
}

Result<KvFile> DecodeKvFile(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) return InvalidArgument("this is not a KV file of this version");
  const Status damaged = DataLoss("the KV file is damaged or cut short");
  uint64_t checksum = 0;
  if (bytes.size() < kMagic.size() + sizeof(checksum)) return damaged;
  const std::string_view body = bytes.substr(0, bytes.size() - sizeof(checksum));
  std::memcpy(&checksum, bytes.data() + body.size(), sizeof(checksum));
  if (XXH3_64bits(body.data(), body.size()) != checksum) return damaged;
  Reader reader(body.substr(kMagic.size()));
  KvFile file;
  uint32_t num_groups = 0, dtype = 0, num_tokens = 0;
  uint64_t block_bytes = 0;
  if (!reader.Take(&num_groups) || !reader.Take(&dtype) || !reader.Take(&file.fingerprint) ||
      !reader.Take(&block_bytes) || !reader.Take(&num_tokens)) {
    return damaged;
  }
  if (num_groups == 0 || num_groups > kMaxGroups || dtype >= static_cast<uint32_t>(DType::kCount) || num_tokens == 0 ||
      num_tokens > kMaxTokens || num_tokens % kKvBlockTokens != 0 || block_bytes == 0 || block_bytes > kMaxBlockBytes) {
    return damaged;
  }
  const size_t num_blocks = num_tokens / kKvBlockTokens;
  if (reader.rest().size() < num_tokens * sizeof(int32_t) + num_groups * num_blocks) return damaged;
  file.dtype = static_cast<DType>(dtype);
  file.block_bytes = static_cast<int64_t>(block_bytes);
  file.tokens.resize(num_tokens);
  if (!reader.TakeInto(file.tokens.data(), num_tokens * sizeof(int32_t))) return damaged;
  uint64_t num_stored = 0;
  file.stored.resize(num_groups);
  for (std::vector<uint8_t>& group : file.stored) {
    group.resize(num_blocks);
    if (!reader.TakeInto(group.data(), num_blocks)) return damaged;
    for (const uint8_t flag : group) {
      if (flag > 1) return damaged;
      num_stored += flag;
    }
  }
  if (reader.rest().size() != num_stored * block_bytes) return damaged;  // at most 16 * 2^20 * 2^32: no overflow
  file.blocks = reader.rest();
  return file;
}

Status CheckKvFile(const KvFile& file, const KvFile& expected) {
  if (file.fingerprint != expected.fingerprint)
    return InvalidArgument("the KV file was made with another model or model length");
  if (file.dtype != expected.dtype) {
    return InvalidArgument("the KV file holds {}, the cache {} (--kv-cache-dtype)", DTypeName(file.dtype),
                           DTypeName(expected.dtype));
  }
  if (file.block_bytes != expected.block_bytes || file.stored.size() != expected.stored.size()) {
    return InvalidArgument("the KV file has {} groups of {}-byte blocks, the cache {} of {}", file.stored.size(),
                           file.block_bytes, expected.stored.size(), expected.block_bytes);
  }
  return OkStatus();
}

}  // namespace millrace
