// POST /v1/embeddings
#include "server/api.h"
#include "server/embedding.h"
#include "server/prompts.h"
#include "server/reply.h"
#include "server/sampling_fields.h"

namespace millrace {
namespace {

constexpr size_t kMaxInputs = 2048;  // OpenAI's limit

class EmbeddingsWriter : public ReplyWriter {
 public:
  EmbeddingsWriter(Service& service, std::shared_ptr<Exchange> exchange, EmbeddingFormat format, size_t num_inputs)
      : service_(service), exchange_(std::move(exchange)), format_(format), embeddings_(num_inputs) {}

  void OnOutput(int prompt, RequestOutput& output) override {
    embeddings_[static_cast<size_t>(prompt)] = std::move(output.embedding);
  }

  void OnFinished(const Usage& usage) override {
    Json data = Json::array();
    for (std::vector<float>& pooled : embeddings_) {
      const std::vector<float> values = ShapeEmbedding(std::move(pooled), format_);
      data.push_back(
          {{"object", "embedding"}, {"index", data.size()}, {"embedding", EncodeEmbedding(values, format_.base64)}});
    }
    const Json reply = {{"object", "list"},
                        {"data", std::move(data)},
                        {"model", service_.model_name},
                        {"usage", {{"prompt_tokens", usage.prompt_tokens}, {"total_tokens", usage.prompt_tokens}}}};
    exchange_->Send({.body = DumpJson(reply)});
  }

  void OnError(const ApiError& error) override { SendError(*exchange_, error); }

 private:
  const Service& service_;
  const std::shared_ptr<Exchange> exchange_;
  const EmbeddingFormat format_;
  std::vector<std::vector<float>> embeddings_;  // by input
};

Result<EmbeddingFormat> ReadFormat(const Service& service, const Fields& fields) {
  EmbeddingFormat format;
  const std::string encoding = fields.Has("encoding_format") ? fields.String("encoding_format") : "float";
  if (encoding != "float" && encoding != "base64")
    return InvalidArgument("encoding_format is {}, expected float or base64", encoding);
  format.base64 = encoding == "base64";
  const int64_t hidden_size = service.engine.checkpoint().config().hidden_size;
  const int64_t dimensions = fields.Int("dimensions", hidden_size);
  if (dimensions > hidden_size) return InvalidArgument("dimensions is {}, the model has {}", dimensions, hidden_size);
  format.dimensions = static_cast<size_t>(dimensions);
  format.normalize = fields.Bool("normalize", true);
  return format;
}

Status StartEmbeddings(Service& service, const std::shared_ptr<Exchange>& exchange) {
  ASSIGN_OR_RETURN(const Fields fields, ReadFields(service, *exchange, kEmbeddings));
  ASSIGN_OR_RETURN(GenerationSpec spec, ReadSpec(service, fields, exchange->request()));
  ASSIGN_OR_RETURN(const EmbeddingFormat format, ReadFormat(service, fields));
  const std::string pooling = fields.Has("pooling") ? fields.String("pooling") : "mean";
  if (pooling != "mean" && pooling != "last") return InvalidArgument("pooling is {}, expected mean or last", pooling);
  spec.pooling = pooling == "mean" ? Pooling::kMean : Pooling::kLast;
  ASSIGN_OR_RETURN(std::vector<Prompt> inputs, ReadPrompts(service, fields, "input", kMaxInputs));
  for (Prompt& input : inputs) {
    if (input.token_ids.empty()) return InvalidArgument("input has an empty text or list");
    spec.prompts.push_back(std::move(input.token_ids));
  }
  auto writer = std::make_unique<EmbeddingsWriter>(service, exchange, format, spec.prompts.size());
  Generation::Start(service, exchange, std::move(spec), std::move(writer));
  return OkStatus();
}

}  // namespace

void HandleEmbeddings(Service& service, const std::shared_ptr<Exchange>& exchange) {
  if (const Status status = StartEmbeddings(service, exchange); !status.ok()) SendError(*exchange, ToApiError(status));
}

}  // namespace millrace
