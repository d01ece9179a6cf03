// Quantised tensors of Hugging Face files against what the reference implementations make of them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/dequantize.h"
#include "base/file.h"
#include "model_loader/damage_test_util.h"

namespace millrace {
namespace {

std::string DataPath(const std::string& relative) {
  const char* data = std::getenv("MILLRACE_DATA");
  const std::string root = data != nullptr && *data != '\0' ? data : MILLRACE_SOURCE_DIR "/../shared/data";
  return root + "/" + relative;
}

// An opened safetensors file whose tensors are looked up by their stored name.
struct Fixture {
  explicit Fixture(const std::string& path) : file(MappedFile::Open(path).value()) {
    stored = ParseSafetensors(file.bytes(), path).value();
  }
  const SafeTensor& Find(const std::string& name) const {
    for (const SafeTensor& tensor : stored) {
      if (tensor.name == name) return tensor;
    }
    CHECK(false, "{} is missing", name);
  }
  std::span<const std::byte> Bytes(const SafeTensor& tensor) const {
    return file.bytes().subspan(tensor.offset, tensor.bytes);
  }
  std::vector<float> Values(const std::string& name) const {
    const SafeTensor& tensor = Find(name);
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    DequantizeRow(*tensor.dtype, Bytes(tensor).data(), values.data(), tensor.elements());
    return values;
  }

  MappedFile file;
  std::vector<SafeTensor> stored;
};

std::vector<float> Values(const WeightTensor& tensor) {
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.bytes()));
  if (tensor.data != nullptr) {
    bytes.assign(tensor.data, tensor.data + tensor.bytes());
  } else {
    tensor.gather(0, tensor.rows, bytes.data());
  }
  std::vector<float> values(static_cast<size_t>(tensor.rows * tensor.cols));
  DequantizeRow(tensor.dtype, bytes.data(), values.data(), static_cast<int64_t>(values.size()));
  return values;
}

ModelConfig Config(const std::string& model_type, int experts) {
  ModelConfig config;
  config.model_type = model_type;
  config.num_hidden_layers = 1;
  config.num_experts = experts;
  config.layer_types = {LayerType::kFullAttention};
  return config;
}

// |x W^T - reference| / |reference| for the layer of a fixture.
double LayerError(const std::string& path, const std::string& scale_name) {
  const Fixture fixture(path);
  const std::string weight = "model.layers.0.mlp.up_proj.weight";
  const SafeTensor &stored = fixture.Find("weight"), &scale = fixture.Find(scale_name);
  const std::vector<HfTensor> tensors = {{weight, &stored, fixture.Bytes(stored)},
                                         {"model.layers.0.mlp.up_proj." + scale_name, &scale, fixture.Bytes(scale)}};
  WeightTable table;
  const Status status = AddHfWeights(tensors, Config("llama", 0), table);
  CHECK(status.ok(), "{}", status.message());
  const std::vector<float> w = Values(*table.Find(weight)), x = fixture.Values("input"),
                           reference = fixture.Values("ref_output");
  const size_t k = static_cast<size_t>(stored.shape[1]), n = static_cast<size_t>(stored.shape[0]), m = x.size() / k;
  double error = 0.0, norm = 0.0;
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; ++j) {
      double sum = 0.0;
      for (size_t c = 0; c < k; ++c) sum += static_cast<double>(x[i * k + c]) * w[j * k + c];
      error += (sum - reference[i * n + j]) * (sum - reference[i * n + j]);
      norm += static_cast<double>(reference[i * n + j]) * reference[i * n + j];
    }
  }
  return std::sqrt(error / norm);
}

TEST(HfQuant, Fp8ScalesGiveTheReferenceOutputs) {
  const std::string folder = DataPath("weights/quant-fixtures/");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder;
  // The references quantise activations to FP8 too: three bits of mantissa, so a few percent of noise.
  EXPECT_LT(LayerError(folder + "fp8/linear.safetensors", "weight_scale_inv"), 0.05);
  EXPECT_LT(LayerError(folder + "compressed_tensors/linear_w8a8fp8.safetensors", "weight_scale"), 0.05);
  EXPECT_LT(LayerError(folder + "compressed_tensors/linear_w8a8fp8_static_per_channel.safetensors", "weight_scale"),
            0.05);
  EXPECT_LT(LayerError(folder + "compressed_tensors/linear_w8a8fp8_static_per_tensor.safetensors", "weight_scale"),
            0.05);
}

TEST(HfQuant, Mxfp4ExpertsAreWhatTransformersReads) {
  const Fixture fixture(MILLRACE_SOURCE_DIR "/src/model_loader/testdata/gpt_oss_mxfp4.safetensors");
  constexpr int kExperts = 2;
  std::vector<HfTensor> tensors;
  for (const SafeTensor& stored : fixture.stored) {
    if (stored.name.starts_with("model.")) tensors.push_back({stored.name, &stored, fixture.Bytes(stored)});
  }
  WeightTable table;
  const Status status = AddHfWeights(tensors, Config("gpt_oss", kExperts), table);
  ASSERT_TRUE(status.ok()) << status.message();
  struct Part {
    const char *name, *stack;
    size_t first, step;
  };
  for (const Part& part : {Part{"gate_proj", "gate_up_proj", 0, 2}, Part{"up_proj", "gate_up_proj", 1, 2},
                           Part{"down_proj", "down_proj", 0, 1}}) {
    const std::vector<float> expected = fixture.Values(std::string("expected.") + part.stack);  // [experts, in, out]
    const std::vector<float> bias = fixture.Values(fmt::format("model.layers.0.mlp.experts.{}_bias", part.stack));
    for (size_t e = 0; e < kExperts; ++e) {
      const std::string name = fmt::format("model.layers.0.mlp.experts.{}.{}.", e, part.name);
      const WeightTensor *weight = table.Find(name + "weight"), *offset = table.Find(name + "bias");
      ASSERT_TRUE(weight != nullptr && offset != nullptr) << name;
      EXPECT_EQ(weight->dtype, DType::kMXFP4);
      const std::vector<float> w = Values(*weight), b = Values(*offset);
      const size_t in = static_cast<size_t>(weight->cols), rows = static_cast<size_t>(weight->rows),
                   out = rows * part.step;
      ASSERT_EQ(expected.size(), kExperts * in * out) << name;
      ASSERT_EQ(b.size(), rows) << name;
      for (size_t r = 0; r < rows; ++r) {
        const size_t column = part.first + part.step * r;
        EXPECT_EQ(b[r], bias[e * out + column]);
        for (size_t c = 0; c < in; ++c)
          ASSERT_EQ(w[r * in + c], expected[(e * in + c) * out + column]) << name << r << "," << c;
      }
    }
  }
}

}  // namespace
}  // namespace millrace
