// Damaged and hostile GGUF files end in one sentence, fast and in little memory.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "model_loader/checkpoint.h"
#include "model_loader/damage_test_util.h"

namespace millrace {
namespace {

constexpr const char* kName = "damaged.gguf";

// One sentence that names the file.
void ExpectOneSentence(const Status& status) {
  EXPECT_TRUE(status.message().starts_with(kName)) << status.message();
  EXPECT_EQ(status.message().find('\n'), std::string::npos) << status.message();
  EXPECT_LT(status.message().size(), 300u) << status.message();
}

TEST(GgufDamage, TheIntactFileIsRead) {
  const Status status = ReadWholeGguf(SmallGguf(), kName);
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(GgufDamage, TruncationAtEveryByteIsRefused) {
  const std::string file = SmallGguf();
  // The last tensor's 128 bytes end the file, so that no prefix is whole.
  for (size_t length = 0; length < file.size(); ++length) {
    const std::string cut(file.data(), length);  // own allocation: a sanitizer sees every byte beyond it
    const Status status = ReadWholeGguf(cut, kName);
    ASSERT_FALSE(status.ok()) << length;
    ExpectOneSentence(status);
  }
}

TEST(GgufDamage, EveryFlippedBitOfTheHeaderIsRefusedOrHarmless) {
  size_t header_bytes = 0;
  std::string file = SmallGguf(&header_bytes);
  int refused = 0;
  for (size_t bit = 0; bit < header_bytes * 8; ++bit) {
    const char mask = static_cast<char>(1 << (bit % 8));
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ mask);
    const Status status = ReadWholeGguf(file, kName);
    if (!status.ok()) {
      ++refused;
      ExpectOneSentence(status);
    }
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ mask);
  }
  EXPECT_GT(refused, static_cast<int>(header_bytes));
}

TEST(GgufDamage, LiesInEveryLengthFieldAreRefusedOrHarmless) {
  size_t header_bytes = 0;
  const std::string file = SmallGguf(&header_bytes);
  constexpr uint64_t kLies[] = {
      0, 1, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 40, 1ull << 62, (1ull << 63) - 1, 1ull << 63, ~0ull};
  const auto start = std::chrono::steady_clock::now();
  // Every byte offset, so that every field is hit whatever its place.
  for (size_t at = 0; at + 8 <= header_bytes; ++at) {
    for (const uint64_t lie : kLies) {
      std::string lying = file;
      std::memcpy(lying.data() + at, &lie, sizeof(lie));
      const Status status = ReadWholeGguf(lying, kName);
      if (!status.ok()) ExpectOneSentence(status);
    }
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_LT(elapsed.count() / static_cast<double>(header_bytes), 1.0);
}

struct Hostile {
  const char* what;
  std::string file;
  const char* expected;  // part of the message
};

GgufBytes Begin(uint64_t tensors) {
  GgufBytes g;
  g.Start(tensors, 1).String("general.architecture", "llama");
  return g;
}

std::vector<Hostile> HostileHeaders() {
  constexpr uint64_t kHuge = 1ull << 60;
  constexpr uint32_t kF32 = 0, kIQ2XXS = 16, kQ4K = 12;
  const auto big_endian = __builtin_bswap32(3);
  std::vector<Hostile> all;
  all.push_back({"magic", std::string("GGML") + std::string(60, '\0'), "does not start with \"GGUF\""});
  all.push_back({"version", GgufBytes().Start(0, 0, 1).WithData(64), "version 1"});
  all.push_back({"endianness", GgufBytes().Start(0, 0, big_endian).WithData(64), "big-endian"});
  all.push_back({"tensor count", GgufBytes().Start(kHuge, 0).WithData(64), "claims 1152921504606846976 tensors"});
  all.push_back(
      {"value count", GgufBytes().Start(0, kHuge).WithData(64), "claims 1152921504606846976 metadata values"});
  all.push_back(
      {"key length", GgufBytes().Start(0, 1).Put<uint64_t>(kHuge).WithData(64), "length of 1152921504606846976"});
  all.push_back({"string length",
                 GgufBytes().Start(0, 1).Text("a").Put(GgufType::kString).Put<uint64_t>(kHuge).WithData(64),
                 "does not fit"});
  all.push_back({"array count",
                 GgufBytes().Start(0, 1).Text("a").Put(GgufType::kArray).Put(GgufType::kUint64).Put(kHuge).WithData(64),
                 "claims 1152921504606846976 elements"});
  all.push_back({"array of strings",
                 GgufBytes()
                     .Start(0, 1)
                     .Text("a")
                     .Put(GgufType::kArray)
                     .Put(GgufType::kString)
                     .Put<uint64_t>(1 << 24)
                     .WithData(64),
                 "does not fit"});
  all.push_back(
      {"nested array",
       GgufBytes().Start(0, 1).Text("a").Put(GgufType::kArray).Put(GgufType::kArray).Put<uint64_t>(1).WithData(64),
       "array of arrays"});
  all.push_back(
      {"value type", GgufBytes().Start(0, 1).Text("a").Put<uint32_t>(13).WithData(64), "unknown value type 13"});
  all.push_back({"duplicate key", GgufBytes().Start(0, 2).Uint32("a", 1).Uint32("a", 2).WithData(64),
                 "metadata a appears twice"});
  all.push_back({"alignment", GgufBytes().Start(0, 1).Uint32("general.alignment", 24).WithData(64), "power of two"});
  all.push_back({"zero alignment", GgufBytes().Start(0, 1).Uint32("general.alignment", 0).WithData(64),
                 "general.alignment is 0"});
  all.push_back({"rank", Begin(1).Tensor("t", {}, kF32, 0).WithData(256), "has 0 dimensions"});
  all.push_back({"five dimensions", Begin(1).Tensor("t", {1, 1, 1, 1, 1}, kF32, 0).WithData(256), "has 5 dimensions"});
  all.push_back(
      {"zero dimension", Begin(1).Tensor("t", {32, 0}, kF32, 0).WithData(256), "dimension 1 of tensor t is 0"});
  all.push_back({"negative dimension", Begin(1).Tensor("t", {-4}, kF32, 0).WithData(256), "is -4"});
  all.push_back({"product", Begin(1).Tensor("t", {1 << 30, 1 << 30, 1 << 30}, kF32, 0).WithData(256), "overflows"});
  all.push_back(
      {"size", Begin(1).Tensor("t", {std::numeric_limits<int64_t>::max()}, kF32, 0).WithData(256), "overflows"});
  all.push_back({"foreign type", Begin(1).Tensor("t", {256}, kIQ2XXS, 0).WithData(256), "type IQ2_XXS"});
  all.push_back({"unknown type", Begin(1).Tensor("t", {256}, 77, 0).WithData(256), "unknown type number 77"});
  all.push_back({"partial block", Begin(1).Tensor("t", {255}, kQ4K, 0).WithData(256), "multiple of 256"});
  all.push_back({"misaligned", Begin(1).Tensor("t", {8}, kF32, 4).WithData(256), "expected a multiple of 32"});
  all.push_back({"beyond the end", Begin(1).Tensor("t", {8}, kF32, 1024).WithData(256), "the file has"});
  all.push_back({"offset overflow", Begin(1).Tensor("t", {8}, kF32, ~0ull - 31).WithData(256), "the file has"});
  all.push_back({"overlap", Begin(2).Tensor("t", {16}, kF32, 0).Tensor("u", {16}, kF32, 32).WithData(256),
                 "tensors t and u overlap"});
  all.push_back({"duplicate tensor", Begin(2).Tensor("t", {8}, kF32, 0).Tensor("t", {8}, kF32, 32).WithData(256),
                 "tensor t appears twice"});
  all.push_back(
      {"tensor name", Begin(1).Tensor("t\n\x1b[2J", {8}, kF32, 0).WithData(256), "t??[2J is not plain ASCII"});
  all.push_back({"control characters", GgufBytes().Start(0, 1).Text("a\x1b[31m\n").Put<uint32_t>(99).WithData(64),
                 "metadata a?[31m?"});
  return all;
}

TEST(GgufDamage, HostileHeadersAreRefusedFastAndInLittleMemory) {
  for (const Hostile& hostile : HostileHeaders()) {
    SCOPED_TRACE(hostile.what);
    const int64_t before = PeakBytes();
    const auto start = std::chrono::steady_clock::now();
    const Result<GgufHeader> header = GgufHeader::Parse(AsBytes(hostile.file), kName);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    ASSERT_FALSE(header.ok());
    ExpectOneSentence(header.status());
    EXPECT_NE(header.status().message().find(hostile.expected), std::string::npos) << header.status().message();
    EXPECT_LT(elapsed.count(), 1.0);
    EXPECT_LT(PeakBytes(), before + kMaxExtraBytes);
  }
}

// A file of megabytes whose counts are as large as its length allows.
TEST(GgufDamage, TheLargestHonestCountsStayBounded) {
  GgufBytes g;
  g.Start(kMaxGgufTensors, 0);
  std::string file = g.WithData(0);
  file.resize(24);
  for (uint64_t i = 0; i < kMaxGgufTensors; ++i) {
    GgufBytes tensor;
    tensor.Tensor(fmt::format("t{}", i), {8}, 0, i * 32);
    const std::string bytes = tensor.WithData(0);
    file.append(bytes, 0, tensor.size());
  }
  file.resize((file.size() + 31) / 32 * 32 + kMaxGgufTensors * 32);
  const int64_t before = PeakBytes();
  const auto start = std::chrono::steady_clock::now();
  const Result<GgufHeader> header = GgufHeader::Parse(AsBytes(file), kName);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(header.ok()) << header.status().message();
  EXPECT_LT(elapsed.count(), 1.0);
  EXPECT_LT(PeakBytes(), before + kMaxExtraBytes);
}

// A folder that goes away with the test.
struct TemporaryFolder {
  TemporaryFolder() : path(testing::TempDir() + "/gguf_split") { std::filesystem::create_directories(path); }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path + "/" + name, std::ios::binary) << bytes;
    return path + "/" + name;
  }
  std::string path;
};

TEST(GgufSplit, PartsMakeOneModel) {
  const TemporaryFolder folder;
  const std::string first = folder.Write("m-00001-of-00002.gguf", SmallGguf(nullptr, 0));
  EXPECT_EQ(OpenCheckpoint(first).status().code(), StatusCode::kNotFound);
  const std::string second = folder.Write("m-00002-of-00002.gguf", SmallGguf(nullptr, 1));
  const auto checkpoint = OpenCheckpoint(first);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ((*checkpoint)->tensors().size(), 11u);
  const auto last = (*checkpoint)->Require("model.norm.weight", 1, 32);
  ASSERT_TRUE(last.ok()) << last.status().message();
  (*checkpoint)->Release(**last);
  EXPECT_NE(OpenCheckpoint(second).status().message().find("expected the first part"), std::string::npos);
}

TEST(GgufSplit, PartsMustBelongTogether) {
  const TemporaryFolder folder;
  const std::string first = folder.Write("m-00001-of-00002.gguf", SmallGguf(nullptr, 0));
  const auto expect = [&](const std::string& second, const char* problem) {
    folder.Write("m-00002-of-00002.gguf", second);
    const auto checkpoint = OpenCheckpoint(first);
    ASSERT_FALSE(checkpoint.ok());
    EXPECT_NE(checkpoint.status().message().find(problem), std::string::npos) << checkpoint.status().message();
  };
  expect(SmallGguf(nullptr, 0), "does not say that this is part 2");
  GgufBytes three;
  three.Start(0, 2)
      .Text("split.no")
      .Put(GgufType::kUint16)
      .Put<uint16_t>(1)
      .Text("split.count")
      .Put(GgufType::kUint16)
      .Put<uint16_t>(3);
  expect(three.WithData(0), "field split.count is not 2");
  GgufBytes few;
  few.Start(0, 2)
      .Text("split.no")
      .Put(GgufType::kUint16)
      .Put<uint16_t>(1)
      .Text("split.count")
      .Put(GgufType::kUint16)
      .Put<uint16_t>(2);
  expect(few.WithData(0), "hold 5 tensors, expected 11");
  const std::string misnamed = folder.Write("other.gguf", SmallGguf(nullptr, 0));
  EXPECT_NE(OpenCheckpoint(misnamed).status().message().find("-00001-of-00002.gguf"), std::string::npos);
}

}  // namespace
}  // namespace millrace
