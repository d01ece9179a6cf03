#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "commands.h"
#include "engine/open.h"

namespace millrace {
namespace {

constexpr size_t kMaxInput = size_t{1} << 30;

struct TokenizeOptions {
  std::string model;
  bool decode = false;
  EncodeOptions encode;
};

Result<std::vector<TokenId>> ParseIds(const std::string& text) {
  std::vector<TokenId> ids;
  const char* at = text.c_str();
  while (true) {
    at += std::strspn(at, " \t\r\n,");
    if (*at == '\0') return ids;
    char* end;
    const long id = std::strtol(at, &end, 10);
    if (end == at || id < 0 || id > INT32_MAX) {
      return InvalidArgument("expected token ids separated by spaces, found '{}'", std::string(at).substr(0, 20));
    }
    ids.push_back(static_cast<TokenId>(id));
    at = end;
  }
}

Status Tokenize(const TokenizeOptions& options) {
  ASSIGN_OR_RETURN(const std::string path, ResolveModel(options.model));
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, OpenTokenizer(path));
  ASSIGN_OR_RETURN(const std::string text, ReadStandardInput(kMaxInput));
  std::string out;
  if (options.decode) {
    ASSIGN_OR_RETURN(const std::vector<TokenId> ids, ParseIds(text));
    out = tokenizer->Decode(ids, !options.encode.parse_special);
  } else {
    for (const TokenId id : tokenizer->Encode(text, options.encode)) fmt::format_to(std::back_inserter(out), "{} ", id);
    if (!out.empty()) out.pop_back();
    out += '\n';
  }
  std::fwrite(out.data(), 1, out.size(), stdout);
  return OkStatus();
}

}  // namespace

void AddTokenizeCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command =
      app.add_subcommand("tokenize", "Read text from standard input and print token ids, or the other way round");
  command->add_option("model", options->model, "a model, a tokenizer.json, a tokenizer.model or a folder with one")
      ->required();
  command->add_flag("--decode", options->decode, "read ids, print text");
  command->add_flag("--add-special", options->encode.add_special, "add BOS and EOS as the model does");
  command->add_flag("--parse-special", options->encode.parse_special, "read, or show, control tokens in the text");
  command->callback([=] { *exit_code = ReportStatus(Tokenize(*options)); });
}

}  // namespace millrace
