// The commands of the CLI. Each Add function declares its options and leaves a callback that sets *exit_code.
// Exit status: 0 done, 1 the input was refused, 2 wrong usage, unless a command says otherwise.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/status.h"
#include "engine/engine.h"
#include "sim/trace.h"

namespace millrace {

void AddRunCommand(CLI::App& app, int* exit_code);
void AddPullCommand(CLI::App& app, int* exit_code);
void AddLsCommand(CLI::App& app, int* exit_code);
void AddInspectCommand(CLI::App& app, int* exit_code);
void AddTokenizeCommand(CLI::App& app, int* exit_code);
void AddRenderCommand(CLI::App& app, int* exit_code);
void AddBenchCommand(CLI::App& app, int* exit_code);
void AddSynthCommand(CLI::App& app, int* exit_code);
void AddEvalCommand(CLI::App& app, int* exit_code);
void AddServeCommand(CLI::App& app, int* exit_code);
void AddSimulateCommand(CLI::App& app, int* exit_code);

void AddGrammarCommand(CLI::App& app, int* exit_code);
// Added last: completes what the app has by then.
void AddCompletionCommand(CLI::App& app, int* exit_code);

// Prints "millrace: message" on standard error when not ok; the exit status.
int ReportStatus(const Status& status);

// Options of every command that opens an engine.
void AddEngineOptions(CLI::App& command, EngineOptions* options, std::string* kv_cache_dtype);
// Options of the commands that schedule many requests.
void AddSchedulerOptions(CLI::App& command, EngineOptions* options);
// --time-scale and --length-scale of the commands that replay a trace.
void AddTraceScaleOptions(CLI::App& command, sim::TraceScale* scale);
// Fills what the option strings say; kInvalidArgument names the option.
Status FinishEngineOptions(const std::string& kv_cache_dtype, EngineOptions* options);

// Engine::Open with a progress bar on standard error.
Result<std::unique_ptr<Engine>> OpenEngine(EngineOptions options);

// Sampling options of the commands that generate.
void AddSamplingOptions(CLI::App& command, SamplingParams* params);

// A path as given, or the file that `pull` stored for a hub name "org/repo[:TYPE]"; kNotFound says how to get it.
Result<std::string> ResolveModel(const std::string& model);

// Everything on standard input; kOutOfRange beyond the limit.
Result<std::string> ReadStandardInput(size_t max_bytes);

}  // namespace millrace
