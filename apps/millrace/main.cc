#include "commands.h"

int main(int argc, char** argv) {
  CLI::App app("Millrace runs and serves large language models.", "millrace");
  app.set_version_flag("--version", std::string(MILLRACE_VERSION));
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);
  int exit_code = 0;
  millrace::AddRunCommand(app, &exit_code);
  millrace::AddPullCommand(app, &exit_code);
  millrace::AddLsCommand(app, &exit_code);
  millrace::AddInspectCommand(app, &exit_code);
  millrace::AddTokenizeCommand(app, &exit_code);
  millrace::AddRenderCommand(app, &exit_code);
  millrace::AddBenchCommand(app, &exit_code);
  millrace::AddSynthCommand(app, &exit_code);
  millrace::AddEvalCommand(app, &exit_code);
  millrace::AddGrammarCommand(app, &exit_code);
  millrace::AddServeCommand(app, &exit_code);
  millrace::AddSimulateCommand(app, &exit_code);
  millrace::AddCompletionCommand(app, &exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;  // --help and --version are errors to CLI11, with exit code 0
  }
  return exit_code;
}
