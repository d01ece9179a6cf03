#include "engine/kv_file.h"

#include <gtest/gtest.h>

#include <functional>

#include "engine/open.h"

namespace millrace {
namespace {

KvFile Small() {
  KvFile file;
  file.dtype = DType::kI8;
  file.fingerprint = 77;
  file.block_bytes = 24;
  for (int i = 0; i < 48; ++i) file.tokens.push_back(i * 3);
  file.stored = {{1, 1, 1}, {0, 0, 1}};
  for (int i = 0; i < 4 * 24; ++i) file.blocks.push_back(static_cast<char>(i));
  return file;
}

TEST(KvFile, ComesBackAsItWas) {
  const KvFile file = Small();
  const Result<KvFile> read = DecodeKvFile(EncodeKvFile(file));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->tokens, file.tokens);
  EXPECT_EQ(read->stored, file.stored);
  EXPECT_EQ(read->blocks, file.blocks);
  EXPECT_EQ(read->dtype, file.dtype);
  EXPECT_TRUE(CheckKvFile(*read, file).ok());
}

TEST(KvFile, EveryDamageIsFound) {
  const std::string good = EncodeKvFile(Small());
  for (size_t size = 0; size < good.size(); ++size) {
    ASSERT_FALSE(DecodeKvFile(std::string_view(good).substr(0, size)).ok()) << size;
  }
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int bit : {0, 7}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      ASSERT_FALSE(DecodeKvFile(bad).ok()) << at;
    }
  }
  EXPECT_FALSE(DecodeKvFile(good + "x").ok());
}

// Lies with a right checksum: the sizes are checked against the file all the same.
TEST(KvFile, LiesAboutSizesAreFound) {
  for (const auto& change : std::vector<std::function<void(KvFile&)>>{
           [](KvFile& f) { f.blocks.pop_back(); }, [](KvFile& f) { f.tokens.pop_back(); },
           [](KvFile& f) { f.stored[0].pop_back(); }, [](KvFile& f) { f.stored[0][0] = 2; },
           [](KvFile& f) { f.block_bytes = int64_t{1} << 60; }, [](KvFile& f) { f.stored.clear(); },
           [](KvFile& f) { f.tokens.clear(); }}) {
    KvFile file = Small();
    change(file);
    EXPECT_EQ(DecodeKvFile(EncodeKvFile(file)).status().code(), StatusCode::kDataLoss);
  }
}

TEST(KvFile, OtherModelsAndTypesAreRefusedByName) {
  const KvFile file = Small();
  KvFile other = Small();
  other.fingerprint = 78;
  EXPECT_EQ(CheckKvFile(file, other).message(), "the KV file was made with another model or model length");
  other = Small();
  other.dtype = DType::kBF16;
  EXPECT_EQ(CheckKvFile(file, other).message(), "the KV file holds I8, the cache BF16 (--kv-cache-dtype)");
  const auto print = [](const char* model) { return ModelFingerprint(**OpenModel(model), 100); };
  EXPECT_EQ(print("synth:tiny-llama:F32"), print("synth:tiny-llama:F32"));
  EXPECT_NE(print("synth:tiny-llama:F32"), print("synth:tiny-llama:Q8_0"));
}

}  // namespace
}  // namespace millrace
