// /v1/embeddings against a server in this process. That the vectors are right is for engine_test, which has a
// reference.
#include "server/embedding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "server/test_server.h"

namespace millrace {
namespace {

TEST(Embeddings, BatchesDimensionsAndEncodings) {
  const Json both = Shared().Post("/v1/embeddings", {{"model", "tiny"}, {"input", {"one two", "three"}}}).json();
  ASSERT_EQ(both["data"].size(), 2u) << both.dump();
  const std::vector<float> whole = both["data"][1]["embedding"];
  double square = 0;
  for (const float value : whole) square += value * value;
  EXPECT_NEAR(square, 1.0, 1e-5);
  const Json ids = Shared().Post("/tokenize", {{"prompt", "three"}}).json()["tokens"];
  const Json alone = Shared().Post("/v1/embeddings", {{"input", ids}}).json();
  EXPECT_EQ(alone["data"][0]["embedding"], both["data"][1]["embedding"]);
  EXPECT_EQ(alone["usage"]["prompt_tokens"], ids.size());
  const Json cut = Shared().Post("/v1/embeddings", {{"input", "three"}, {"dimensions", 8}}).json();
  const std::vector<float> first = cut["data"][0]["embedding"];
  ASSERT_EQ(first.size(), 8u);
  EXPECT_NEAR(first[1] / first[0], whole[1] / whole[0], 1e-4);
  const Json raw =
      Shared().Post("/v1/embeddings", {{"input", "three"}, {"pooling", "last"}, {"normalize", false}}).json();
  EXPECT_NE(raw["data"][0]["embedding"], both["data"][1]["embedding"]);
  const Json packed = Shared().Post("/v1/embeddings", {{"input", "three"}, {"encoding_format", "base64"}}).json();
  EXPECT_EQ(packed["data"][0]["embedding"], EncodeEmbedding(whole, true));
}

TEST(Embeddings, Base64IsLittleEndianFloats) {
  EXPECT_EQ(EncodeEmbedding({1.0f, -2.0f}, true), "AACAPwAAAMA=");  // struct.pack("<ff", 1, -2)
  EXPECT_EQ(EncodeEmbedding({}, true), "");
  EXPECT_EQ(ShapeEmbedding({3.0f, 4.0f, 5.0f}, {.dimensions = 2}), (std::vector<float>{0.6f, 0.8f}));
  EXPECT_EQ(ShapeEmbedding({0.0f}, {}), std::vector<float>{0.0f});
}

TEST(Embeddings, ErrorsNameTheField) {
  const std::pair<Json, std::string> cases[] = {
      {Json::object(), "input"},
      {{{"input", Json::array()}}, "input"},
      {{{"input", Json::array({Json::array()})}}, "input"},
      {{{"input", Json::array({1, -1})}}, "input"},
      {{{"input", std::vector<std::string>(2049, "a")}}, "input"},
      {{{"input", "a"}, {"dimensions", 100000}}, "dimensions"},
      {{{"input", "a"}, {"dimensions", 5000}}, "dimensions"},
      {{{"input", "a"}, {"encoding_format", "hex"}}, "encoding_format"},
      {{{"input", "a"}, {"pooling", "max"}}, "pooling"},
  };
  for (const auto& [request, param] : cases) {
    const TestReply reply = Shared().Post("/v1/embeddings", request);
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.json()["error"]["param"], param) << reply.body;
  }
}

}  // namespace
}  // namespace millrace
