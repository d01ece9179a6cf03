// Damaged and hostile safetensors files and folders end in one sentence, fast and in little memory.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "model_loader/checkpoint.h"
#include "model_loader/damage_test_util.h"
#include "model_loader/json_file.h"
#include "model_loader/safetensors_index.h"

namespace millrace {
namespace {

constexpr const char* kName = "damaged.safetensors";
constexpr const char* kSmall =
    R"({"__metadata__":{"format":"pt"},"lm_head.weight":{"dtype":"F32","shape":[4,8],"data_offsets":[0,128]},)"
    R"("model.norm.weight":{"dtype":"BF16","shape":[8],"data_offsets":[128,144]},)"
    R"("model.layers.0.mlp.up_proj.weight":{"dtype":"F8_E4M3","shape":[4,8],"data_offsets":[144,176]},)"
    R"("model.layers.0.mlp.up_proj.weight_scale":{"dtype":"F32","shape":[4,1],"data_offsets":[176,192]}})";
constexpr size_t kSmallData = 192;

ModelConfig SmallConfig() {
  ModelConfig config;
  config.model_type = "llama";
  config.num_hidden_layers = 1;
  config.layer_types = {LayerType::kFullAttention};
  return config;
}

void ExpectOneSentence(const Status& status) {
  EXPECT_TRUE(status.message().starts_with(kName)) << status.message();
  EXPECT_EQ(status.message().find('\n'), std::string::npos) << status.message();
  EXPECT_LT(status.message().size(), 300u) << status.message();
}

TEST(SafetensorsDamage, TheIntactFileIsRead) {
  const Status status = ReadWholeSafetensors(SafetensorsBytes(kSmall, kSmallData), SmallConfig(), kName);
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(SafetensorsDamage, TruncationAtEveryByteIsRefused) {
  const std::string file = SafetensorsBytes(kSmall, kSmallData);
  for (size_t length = 0; length < file.size(); ++length) {
    const std::string cut(file.data(), length);
    const Status status = ReadWholeSafetensors(cut, SmallConfig(), kName);
    ASSERT_FALSE(status.ok()) << length;
    ExpectOneSentence(status);
  }
}

TEST(SafetensorsDamage, EveryFlippedBitOfTheHeaderIsRefusedOrHarmless) {
  std::string file = SafetensorsBytes(kSmall, kSmallData);
  const size_t header_bits = (file.size() - kSmallData) * 8;
  int refused = 0;
  for (size_t bit = 0; bit < header_bits; ++bit) {
    const char mask = static_cast<char>(1 << (bit % 8));
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ mask);
    const Status status = ReadWholeSafetensors(file, SmallConfig(), kName);
    if (!status.ok()) {
      ++refused;
      ExpectOneSentence(status);
    }
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ mask);
  }
  EXPECT_GT(refused, static_cast<int>(header_bits / 4));
}

struct Hostile {
  const char* what;
  std::string json;
  const char* expected;
};

TEST(SafetensorsDamage, HostileHeadersAreRefusedFastAndInLittleMemory) {
  const auto tensor = [](const char* dtype, const char* shape, const char* offsets) {
    return fmt::format(R"({{"t":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape, offsets);
  };
  const std::string two =
      R"({{"t":{{"dtype":"U8","shape":[32],"data_offsets":[0,32]}},"{}":{{"dtype":"U8","shape":[32],"data_offsets":[{},{}]}}}})";
  const std::vector<Hostile> all = {
      {"no object", "[1]", "not a JSON object"},
      {"broken JSON", R"({"t":{"dtype":)", "not a JSON object"},
      {"deep nesting", std::string(100000, '['), "not a JSON object"},
      {"no dtype", R"({"t":{"shape":[64],"data_offsets":[0,64]}})", "has no dtype"},
      {"unknown dtype", tensor("Q4", "[64]", "[0,64]"), "unknown dtype Q4"},
      {"no shape", R"({"t":{"dtype":"U8","data_offsets":[0,64]}})", "has no shape"},
      {"zero dimension", tensor("U8", "[0]", "[0,0]"), "not at least 1"},
      {"negative dimension", tensor("U8", "[-1]", "[0,64]"), "not at least 1"},
      {"product", tensor("U8", "[4294967296,4294967296]", "[0,64]"), "overflows"},
      {"rank", tensor("U8", "[1,1,1,1,1,1,1,1,64]", "[0,64]"), "more than 8 dimensions"},
      {"short offsets", tensor("U8", "[64]", "[0]"), "no valid data_offsets"},
      {"reversed offsets", tensor("U8", "[64]", "[64,0]"), "no valid data_offsets"},
      {"beyond the end", tensor("U8", "[65]", "[0,65]"), "ends at byte 65"},
      {"huge offset", tensor("U8", "[64]", "[18446744073709551552,18446744073709551615]"), "ends at byte"},
      {"size mismatch", tensor("F32", "[64]", "[0,64]"), "need another number"},
      {"hole at the end", tensor("U8", "[32]", "[0,32]"), "32 bytes after the last tensor"},
      {"hole at the start", tensor("U8", "[32]", "[32,64]"), "a hole of 32 bytes"},
      {"overlap", fmt::format(fmt::runtime(two), "u", 16, 48), "overlaps"},
      {"duplicate", fmt::format(fmt::runtime(two), "t", 32, 64), "tensor t appears twice"},
  };
  for (const Hostile& hostile : all) {
    SCOPED_TRACE(hostile.what);
    const std::string file = SafetensorsBytes(hostile.json, 64);
    const int64_t before = PeakBytes();
    const auto start = std::chrono::steady_clock::now();
    const auto tensors = ParseSafetensors(AsBytes(file), kName);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    ASSERT_FALSE(tensors.ok());
    ExpectOneSentence(tensors.status());
    EXPECT_NE(tensors.status().message().find(hostile.expected), std::string::npos) << tensors.status().message();
    EXPECT_LT(elapsed.count(), 1.0);
    EXPECT_LT(PeakBytes(), before + kMaxExtraBytes);
  }
}

TEST(SafetensorsDamage, HeaderLengthIsCheckedBeforeUse) {
  for (const uint64_t length : {uint64_t{1} << 62, ~uint64_t{0}, kMaxSafetensorsHeaderBytes + 1, uint64_t{57}}) {
    std::string file(64, ' ');
    std::memcpy(file.data(), &length, sizeof(length));
    const auto tensors = ParseSafetensors(AsBytes(file), kName);
    ASSERT_FALSE(tensors.ok());
    EXPECT_NE(tensors.status().message().find("the header claims"), std::string::npos) << tensors.status().message();
  }
}

TEST(SafetensorsDamage, IndexNeverLeavesItsFolder) {
  for (const char* file : {"../secret.safetensors", "/etc/passwd", "a/b.safetensors", "weights.bin", ""}) {
    const auto files = ParseSafetensorsIndex(fmt::format(R"({{"weight_map":{{"t":"{}"}}}})", file), "index.json");
    EXPECT_FALSE(files.ok()) << file;
  }
  EXPECT_FALSE(ParseSafetensorsIndex(R"({"weight_map":{}})", "index.json").ok());
  EXPECT_FALSE(ParseSafetensorsIndex(R"({"weight_map":[]})", "index.json").ok());
  const auto files = ParseSafetensorsIndex(
      R"({"weight_map":{"t":"b.safetensors","u":"a.safetensors","v":"b.safetensors"}})", "index.json");
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(*files, (std::vector<std::string>{"a.safetensors", "b.safetensors"}));
}

TEST(SafetensorsDamage, ConfigsAreBounded) {
  const auto config = [](const std::string& text) {
    const auto json = ParseJsonObject(text, "config.json");
    if (!json.ok()) return json.status();
    return ReadHfConfig(*json, nlohmann::json::object(), "config.json").status();
  };
  const std::string good =
      R"({"model_type":"llama","vocab_size":32,"hidden_size":32,"intermediate_size":32,"num_hidden_layers":1,"num_attention_heads":2)";
  EXPECT_TRUE(config(good + "}").ok()) << config(good + "}").message();
  const std::vector<std::pair<std::string, std::string>> bad = {
      {std::string(100, '['), "nested deeper"},
      {"[]", "expected a JSON object"},
      {"{}", "model_type"},
      {R"({"model_type":"mamba"})", "model_type mamba is not supported"},
      {R"({"model_type":"llama"})", "field hidden_size is missing"},
      {good + R"(,"num_key_value_heads":0})", "num_key_value_heads is 0"},
      {good + R"(,"head_dim":1e300})", "head_dim"},
      {good + R"(,"num_key_value_heads":"x"})", "num_key_value_heads is not a number"},
      {good + R"(,"rms_norm_eps":0})", "epsilon"},
      {good + R"(,"rope_scaling":{"rope_type":"yarn","factor":-1}})", "factor is -1"},
      {good + R"(,"rope_scaling":{"rope_type":"warp"}})", "rope_type is warp"},
      {good + R"(,"rope_scaling":{"rope_type":"longrope","short_factor":[1],"long_factor":[1,1]}})",
       "short_factor has 1 entries"},
      {good + R"(,"layer_types":["full_attention","full_attention"]})", "layer_types has 2 entries"},
      {good + R"(,"hidden_act":"tanh"})", "hidden_act is tanh"},
  };
  for (const auto& [text, expected] : bad) {
    const Status status = config(text);
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_NE(status.message().find(expected), std::string::npos) << status.message();
  }
}

}  // namespace
}  // namespace millrace
