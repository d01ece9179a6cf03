// Every architecture against Hugging Face transformers: the checkpoints and outputs of
// tools/goldens/make_model_goldens.py, and the same checkpoints as llama.cpp's converter turns them into GGUF
// (make_gguf_goldens.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "runtime/test_model.h"

namespace millrace {
namespace {

const std::string kGoldenDir = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/models/";

struct Golden {
  std::vector<int32_t> prompt, greedy;
  std::vector<float> hidden, logits;
  int64_t num_layers = 0;
};

template <typename T>
std::vector<T> ReadTensor(const std::string& file, const nlohmann::json& header, const char* name) {
  const uint64_t data = 8 + *reinterpret_cast<const uint64_t*>(file.data());
  const uint64_t begin = header.at(name).at("data_offsets").at(0), end = header.at(name).at("data_offsets").at(1);
  std::vector<T> values((end - begin) / sizeof(T));
  std::memcpy(values.data(), file.data() + data + begin, end - begin);
  return values;
}

Golden ReadGolden(const std::string& name) {
  const std::string file = *ReadFile(kGoldenDir + name + "/golden.safetensors", 16 << 20);
  const nlohmann::json header = nlohmann::json::parse(file.substr(8, *reinterpret_cast<const uint64_t*>(file.data())));
  Golden golden;
  golden.prompt = ReadTensor<int32_t>(file, header, "prompt");
  golden.greedy = ReadTensor<int32_t>(file, header, "greedy");
  golden.hidden = ReadTensor<float>(file, header, "hidden");
  golden.logits = ReadTensor<float>(file, header, "logits");
  golden.num_layers = header.at("hidden").at("shape").at(0);
  return golden;
}

// ||a - b|| / ||b||; NaN never passes a comparison.
double RelativeError(const float* a, const float* b, size_t n) {
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < n; ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

std::vector<std::string> GoldenNames() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kGoldenDir)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

class GoldenModel : public testing::TestWithParam<std::string> {};

void ExpectMatch(const Golden& golden, const std::string& path) {
  Result<std::unique_ptr<Checkpoint>> checkpoint = OpenCheckpoint(path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  // The length is what transformers saw: dynamic rope depends on it.
  const int length = static_cast<int>(golden.prompt.size() + golden.greedy.size()) - 1;
  Result<std::unique_ptr<TestModel>> test = TestModel::Open(std::move(*checkpoint), DType::kF32, 2, length);
  ASSERT_TRUE(test.ok()) << test.status().message();

  std::vector<std::vector<float>> hidden;
  std::vector<std::vector<float>> logits = (*test)->Run(golden.prompt, 0, &hidden);
  const size_t layer_size = golden.hidden.size() / static_cast<size_t>(golden.num_layers);
  const size_t blocks_per_layer = hidden.size() / static_cast<size_t>(golden.num_layers);
  for (size_t layer = 0; layer < static_cast<size_t>(golden.num_layers); ++layer) {
    EXPECT_LT(RelativeError(hidden[(layer + 1) * blocks_per_layer - 1].data(),
                            golden.hidden.data() + layer * layer_size, layer_size),
              1e-4)
        << "layer " << layer;
  }
  const size_t vocab = logits[0].size();
  for (size_t t = 0; t < logits.size(); ++t) {
    EXPECT_LT(RelativeError(logits[t].data(), golden.logits.data() + t * vocab, vocab), 1e-4) << "position " << t;
  }
  int position = static_cast<int>(golden.prompt.size());
  for (const int32_t expected : golden.greedy) {
    const auto& row = logits.back();
    const int32_t token = static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
    ASSERT_EQ(token, expected) << "position " << position;
    logits = (*test)->Run({token}, position++);
  }
}

TEST_P(GoldenModel, MatchesTransformers) {
  ExpectMatch(ReadGolden(GetParam()), kGoldenDir + GetParam());
}

TEST_P(GoldenModel, AsGgufMatchesTransformers) {
  const std::string path = kGoldenDir + GetParam() + "/model.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "llama.cpp's converter does not know this case";
  ExpectMatch(ReadGolden(GetParam()), path);
}

TEST_P(GoldenModel, ChunksAndThreadsGiveTheSameBits) {
  const Golden golden = ReadGolden(GetParam());
  for (const DType kv_dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kI8, DType::kF8E4M3}) {
    std::vector<std::vector<float>> whole;
    for (const auto& [threads, chunk] : {std::pair{1, 100}, {2, 1}, {1, 5}, {3, 17}}) {
      Result<std::unique_ptr<Checkpoint>> checkpoint = OpenCheckpoint(kGoldenDir + GetParam());
      ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
      Result<std::unique_ptr<TestModel>> test = TestModel::Open(std::move(*checkpoint), kv_dtype, threads);
      ASSERT_TRUE(test.ok()) << test.status().message();
      std::vector<std::vector<float>> logits;
      for (size_t begin = 0; begin < golden.prompt.size(); begin += static_cast<size_t>(chunk)) {
        const size_t end = std::min(golden.prompt.size(), begin + static_cast<size_t>(chunk));
        for (auto& row : (*test)->Run(
                 {golden.prompt.begin() + static_cast<long>(begin), golden.prompt.begin() + static_cast<long>(end)},
                 static_cast<int>(begin))) {
          logits.push_back(std::move(row));
        }
      }
      if (whole.empty()) {
        whole = logits;
      } else {
        EXPECT_EQ(whole, logits) << DTypeName(kv_dtype) << " KV, " << threads << " threads, chunks of " << chunk;
      }
    }
  }
}

// What a narrower cache costs in accuracy: the logits' RMS error, relative to their RMS. Where experts are routed, a
// small error may choose another one: twice as much is allowed there (measured: at most 0.10 and 0.16 for fp8).
TEST_P(GoldenModel, NarrowKvStaysClose) {
  const Golden golden = ReadGolden(GetParam());
  std::vector<std::vector<float>> exact;
  for (const auto& [kv_dtype, bound] :
       {std::pair{DType::kF32, 0.0}, {DType::kBF16, 0.02}, {DType::kI8, 0.03}, {DType::kF8E4M3, 0.10}}) {
    Result<std::unique_ptr<Checkpoint>> checkpoint = OpenCheckpoint(kGoldenDir + GetParam());
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    Result<std::unique_ptr<TestModel>> test = TestModel::Open(std::move(*checkpoint), kv_dtype, 2);
    ASSERT_TRUE(test.ok()) << test.status().message();
    const std::vector<std::vector<float>> logits = (*test)->Run(golden.prompt, 0);
    if (exact.empty()) exact = logits;
    const double allowed = (*test)->model().config().num_experts > 0 ? 2 * bound : bound;
    double error = 0, size = 0;
    for (size_t t = 0; t < logits.size(); ++t) {
      for (size_t v = 0; v < logits[t].size(); ++v) {
        error += (logits[t][v] - exact[t][v]) * (logits[t][v] - exact[t][v]);
        size += exact[t][v] * exact[t][v];
      }
    }
    EXPECT_LE(std::sqrt(error / size), allowed) << DTypeName(kv_dtype);
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, GoldenModel, testing::ValuesIn(GoldenNames()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace millrace
