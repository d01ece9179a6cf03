// Pooled hidden states against Hugging Face transformers (tests/golden/models), and the same bits however the prompt is
// cut.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <future>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "engine/engine.h"

namespace millrace {
namespace {

const std::string kModels = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/models/";

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path) : bytes_(*ReadFile(path, 64 << 20)) {
    std::memcpy(&header_bytes_, bytes_.data(), sizeof(header_bytes_));
    header_ = nlohmann::json::parse(bytes_.substr(8, header_bytes_));
  }
  bool Has(const std::string& name) const { return header_.contains(name); }
  template <typename T>
  std::vector<T> Read(const std::string& name) const {
    const uint64_t begin = header_.at(name).at("data_offsets").at(0), end = header_.at(name).at("data_offsets").at(1);
    std::vector<T> values((end - begin) / sizeof(T));
    std::memcpy(values.data(), bytes_.data() + 8 + header_bytes_ + begin, end - begin);
    return values;
  }
  std::string TypeOf(const std::string& name) const { return header_.at(name).at("dtype"); }

 private:
  std::string bytes_;
  uint64_t header_bytes_ = 0;
  nlohmann::json header_;
};

// The formulas of transformers' LlamaRMSNorm, GemmaRMSNorm (weights plus 1) and LayerNorm, in double.
std::vector<double> Normed(const float* x, const std::vector<float>& weight, const std::vector<float>& bias,
                           double offset, double eps) {
  const size_t n = weight.size();
  double mean = 0, square = 0;
  for (size_t i = 0; i < n && !bias.empty(); ++i) mean += x[i] / static_cast<double>(n);
  for (size_t i = 0; i < n; ++i) square += (x[i] - mean) * (x[i] - mean) / static_cast<double>(n);
  std::vector<double> out(n);
  for (size_t i = 0; i < n; ++i)
    out[i] = (x[i] - mean) / std::sqrt(square + eps) * (weight[i] + offset) + (bias.empty() ? 0.0 : bias[i]);
  return out;
}

std::vector<std::vector<float>> Embed(const std::string& model, const std::vector<std::vector<TokenId>>& prompts,
                                      Pooling pooling, EngineOptions options = {}) {
  options.model = model;
  options.kv_cache_dtype = DType::kF32;
  options.num_threads = 2;
  if (options.kv_cache_bytes == 0) options.kv_cache_bytes = 4 << 20;
  Result<std::unique_ptr<Engine>> engine = Engine::Open(options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  std::vector<std::vector<float>> embeddings(prompts.size());
  std::vector<std::promise<void>> done(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    Request request;
    request.prompt_token_ids = prompts[i];
    request.pooling = pooling;
    const Result<RequestId> id = (*engine)->Submit(request, [&, i](RequestOutput output) {
      EXPECT_EQ(output.finish_reason, FinishReason::kStop) << output.error;
      EXPECT_TRUE(output.tokens.empty());
      embeddings[i] = output.embedding;
      done[i].set_value();
    });
    EXPECT_TRUE(id.ok()) << id.status().message();
  }
  for (auto& promise : done) promise.get_future().wait();
  return embeddings;
}

TEST(Embedding, MatchesTransformers) {
  struct Case {
    const char *model, *weight, *bias;
    double offset;
  };
  for (const Case& c : {Case{"llama", "model.norm.weight", "", 0}, Case{"qwen3", "model.norm.weight", "", 0},
                        Case{"gemma2", "model.norm.weight", "", 1},
                        Case{"gpt2", "transformer.ln_f.weight", "transformer.ln_f.bias", 0}}) {
    SCOPED_TRACE(c.model);
    const SafetensorsFile golden(kModels + c.model + "/golden.safetensors"),
        weights(kModels + c.model + "/model.safetensors");
    const nlohmann::json config = nlohmann::json::parse(*ReadFile(kModels + c.model + "/config.json", 1 << 20));
    const double eps = config.value("rms_norm_eps", config.value("layer_norm_epsilon", 1e-5));
    ASSERT_EQ(weights.TypeOf(c.weight), "F32");
    const std::vector<float> weight = weights.Read<float>(c.weight), hidden = golden.Read<float>("hidden");
    const std::vector<float> bias = *c.bias != '\0' ? weights.Read<float>(c.bias) : std::vector<float>();
    const std::vector<int32_t> ids = golden.Read<int32_t>("prompt");
    const float* last_layer = hidden.data() + hidden.size() - ids.size() * weight.size();
    std::vector<double> mean(weight.size()), last;
    for (size_t t = 0; t < ids.size(); ++t) {
      last = Normed(last_layer + t * weight.size(), weight, bias, c.offset, eps);
      for (size_t i = 0; i < mean.size(); ++i) mean[i] += last[i] / static_cast<double>(ids.size());
    }
    for (const auto& [pooling, expected] : {std::pair{Pooling::kMean, mean}, {Pooling::kLast, last}}) {
      const std::vector<float> got = Embed(kModels + c.model + "/model.gguf", {{ids.begin(), ids.end()}}, pooling)[0];
      ASSERT_EQ(got.size(), expected.size());
      double difference = 0, norm = 0;
      for (size_t i = 0; i < got.size(); ++i) {
        difference += std::pow(got[i] - expected[i], 2);
        norm += expected[i] * expected[i];
      }
      EXPECT_LT(std::sqrt(difference / norm), 1e-4);
    }
  }
}

TEST(Embedding, TheSameBitsWhateverTheLoad) {
  std::vector<std::vector<TokenId>> prompts;
  for (int i = 0; i < 12; ++i) {
    std::vector<TokenId>& prompt = prompts.emplace_back();
    for (int t = 0; t < 20 + 13 * i; ++t)
      prompt.push_back(3 + (t * t + (t < 40 ? 0 : 7 * i)) % 200);  // they share their first tokens
  }
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
    std::vector<std::vector<float>> alone;
    for (const auto& prompt : prompts) alone.push_back(Embed("synth:tiny-llama:Q4_0", {prompt}, pooling)[0]);
    EngineOptions chunked;
    chunked.max_num_batched_tokens = 16;
    EXPECT_EQ(Embed("synth:tiny-llama:Q4_0", prompts, pooling, chunked), alone);
    EngineOptions tight;  // too little memory for all of them at once
    tight.max_num_seqs = 12;
    tight.max_model_len = 256;
    tight.kv_cache_bytes = 5 << 17;
    EXPECT_EQ(Embed("synth:tiny-llama:Q4_0", prompts, pooling, tight), alone);
  }
}

}  // namespace
}  // namespace millrace
