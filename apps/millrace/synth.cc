#include "model_loader/synth.h"

#include <cstdio>
#include <filesystem>

#include "commands.h"

namespace millrace {
namespace {

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

void AddSynthCommand(CLI::App& app, int* exit_code) {
  struct Options {
    std::string shape, type, out;
    uint64_t seed = 0;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("synth", "Write a GGUF file of random weights in a published shape, for measurements");
  command->add_option("shape", options->shape, Joined(SynthShapeNames()))->required();
  command->add_option("type", options->type, Joined(SynthTypeNames()))->required();
  command->add_option("out", options->out, "file to write")->required();
  command->add_option("--seed", options->seed)->capture_default_str();
  command->callback([=] {
    *exit_code = ReportStatus(WriteSynthGguf(options->shape, options->type, options->out, options->seed));
    if (*exit_code == 0) std::printf("%s: %ju bytes\n", options->out.c_str(), std::filesystem::file_size(options->out));
  });
}

}  // namespace millrace
