#include "base/dequantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"

namespace millrace {
namespace {

struct Golden {
  std::string name;
  DType type;
  int kind;
  std::vector<char> row;
  std::vector<float> values;
};

// Reads the records that tools/goldens/quant_blocks.py wrote.
std::vector<Golden> ReadGoldens() {
  const auto file = ReadFile(MILLRACE_SOURCE_DIR "/src/base/testdata/quant_blocks.bin", 1 << 20);
  CHECK(file.ok(), "{}", file.status().message());
  const char* p = file->data();
  const char* const end = p + file->size();
  std::vector<Golden> goldens;
  while (p < end) {
    Golden golden;
    const int name_length = static_cast<uint8_t>(*p);
    golden.name.assign(p + 1, static_cast<size_t>(name_length));
    golden.type = ParseDType(golden.name).value();
    golden.kind = p[1 + name_length];
    uint32_t n;
    std::memcpy(&n, p + 2 + name_length, sizeof(n));
    p += 6 + name_length;
    const size_t row_bytes = static_cast<size_t>(RowBytes(golden.type, n));
    golden.row.assign(p, p + row_bytes);
    golden.values.resize(n);
    std::memcpy(golden.values.data(), p + row_bytes, n * sizeof(float));
    p += row_bytes + n * sizeof(float);
    goldens.push_back(std::move(golden));
  }
  return goldens;
}

TEST(Dequantize, BitsAgreeWithTheGgufPackage) {
  int compared = 0;
  for (const Golden& golden : ReadGoldens()) {
    if (golden.kind != 0) continue;
    std::vector<float> values(golden.values.size());
    DequantizeRow(golden.type, golden.row.data(), values.data(), static_cast<int64_t>(values.size()));
    for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], golden.values[i]) << golden.name << " value " << i;
    ++compared;
  }
  EXPECT_EQ(compared, 14);
}

TEST(Quantize, BitsAgreeWithTheGgufPackage) {
  int compared = 0;
  for (const Golden& golden : ReadGoldens()) {
    if (golden.kind != 1) continue;
    std::vector<char> row(golden.row.size());
    QuantizeRow(golden.type, golden.values.data(), row.data(), static_cast<int64_t>(golden.values.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      EXPECT_EQ(row[i], golden.row[i]) << golden.name << " byte " << i;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 7);
}

TEST(Quantize, EveryTypeComesBackWithinItsStep) {
  // The largest error as a fraction of the largest value of the row: half a step, plus the rounding of scales to 4 or 6
  // bits.
  const std::vector<std::pair<DType, float>> bounds = {
      {DType::kF32, 0.0f},    {DType::kF16, 0x1p-11f}, {DType::kBF16, 0x1p-8f}, {DType::kF8E4M3, 0x1p-4f},
      {DType::kQ4_0, 0.13f},  {DType::kQ4_1, 0.08f},   {DType::kQ5_0, 0.07f},   {DType::kQ5_1, 0.04f},
      {DType::kQ8_0, 0.005f}, {DType::kQ2_K, 0.5f},    {DType::kQ3_K, 0.26f},   {DType::kQ4_K, 0.1f},
      {DType::kQ5_K, 0.06f},  {DType::kQ6_K, 0.04f},   {DType::kIQ4_NL, 0.12f}, {DType::kIQ4_XS, 0.14f},
      {DType::kMXFP4, 0.26f},
  };
  constexpr int kValues = 1024;
  std::mt19937 rng(7);
  std::normal_distribution<float> normal(0.0f, 0.02f);
  std::vector<float> values(kValues), back(kValues);
  for (float& v : values) v = normal(rng);
  for (const auto& [type, bound] : bounds) {
    std::vector<char> row(static_cast<size_t>(RowBytes(type, kValues)));
    QuantizeRow(type, values.data(), row.data(), kValues);
    DequantizeRow(type, row.data(), back.data(), kValues);
    float largest = 0.0f, error = 0.0f;
    for (int i = 0; i < kValues; ++i) {
      largest = std::max(largest, std::fabs(values[i]));
      error = std::max(error, std::fabs(values[i] - back[i]));
    }
    EXPECT_LE(error, bound * largest) << DTypeName(type);
  }
}

}  // namespace
}  // namespace millrace
