#include <cstdio>

#include "commands.h"

namespace millrace {
namespace {

std::string OptionNames(const CLI::App& command) {
  std::string names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names += " --" + name;
  }
  return names;
}

// A bash function that offers the commands, then the options of the command in the line, and file names.
void PrintBash(const CLI::App& app) {
  std::string commands, cases;
  for (const CLI::App* command : app.get_subcommands({})) {
    commands += " " + command->get_name();
    cases += fmt::format("    {}) words='{}' ;;\n", command->get_name(), OptionNames(*command));
  }
  fmt::print(
      "_millrace() {{\n"
      "  local current=${{COMP_WORDS[COMP_CWORD]}} words=''\n"
      "  if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W '{}' -- \"$current\")); return; fi\n"
      "  case ${{COMP_WORDS[1]}} in\n{}  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "}}\n"
      "complete -o default -F _millrace millrace\n",
      commands, cases);
}

}  // namespace

void AddCompletionCommand(CLI::App& app, int* exit_code) {
  CLI::App* command = app.add_subcommand("completion", "Print a bash script that completes commands and options");
  command->callback([&app, exit_code] {
    PrintBash(app);
    *exit_code = 0;
  });
}

}  // namespace millrace
