#include "engine/open.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "model_loader/synth.h"
#include "tokenizer/load.h"

namespace millrace {
namespace {

constexpr size_t kMaxTokenizerBytes = size_t{256} << 20;

}  // namespace

Result<std::shared_ptr<const Checkpoint>> OpenModel(const std::string& model) {
  if (model.starts_with("synth:")) {
    const size_t colon = model.find(':', 6);
    if (colon == std::string::npos)
      return InvalidArgument("{}: expected synth:SHAPE:TYPE, as synth:llama-3.2-1b:Q4_0", model);
    ASSIGN_OR_RETURN(std::unique_ptr<Checkpoint> checkpoint,
                     MakeSynthCheckpoint(model.substr(6, colon - 6), model.substr(colon + 1)));
    return std::shared_ptr<const Checkpoint>(std::move(checkpoint));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Checkpoint> checkpoint, OpenCheckpoint(model));
  return std::shared_ptr<const Checkpoint>(std::move(checkpoint));
}

Result<std::unique_ptr<Tokenizer>> OpenTokenizer(const std::string& path) {
  if (path.ends_with(".gguf") || path.starts_with("synth:")) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const Checkpoint> checkpoint, OpenModel(path));
    return checkpoint->MakeTokenizer();
  }
  if (std::filesystem::is_directory(path)) return LoadTokenizerFromFolder(path);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxTokenizerBytes));
  Result<std::unique_ptr<Tokenizer>> tokenizer = path.ends_with(".json")       ? LoadTokenizerJson(text)
                                                 : path.ends_with(".tiktoken") ? LoadTiktoken(text)
                                                                               : LoadSentencePiece(text);
  if (!tokenizer.ok() && path.ends_with(".model")) {  // Llama 3 calls its tiktoken file tokenizer.model
    Result<std::unique_ptr<Tokenizer>> tiktoken = LoadTiktoken(text);
    if (tiktoken.ok()) return tiktoken;
  }
  if (!tokenizer.ok()) return tokenizer.status().WithPrefix(path);
  return tokenizer;
}

std::vector<TokenId> EndIds(const Tokenizer& tokenizer, const ModelConfig& config) {
  std::vector<TokenId> ids(tokenizer.end_ids().begin(), tokenizer.end_ids().end());
  for (const TokenId id : config.eos_token_ids) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  return ids;
}

}  // namespace millrace
