#include "grammar/grammar_tool.h"

#include <algorithm>
#include <ctime>
#include <istream>
#include <nlohmann/json.hpp>
#include <ostream>

namespace millrace::grammar {
namespace {

struct LastGrammar {
  std::string schema, whitespace;
  GrammarPtr grammar;
};

nlohmann::json RunLine(const nlohmann::json& request, const VocabularyPtr& vocabulary, LastGrammar& last) {
  CompileOptions options;
  const std::string schema = request.at("schema").get<std::string>(), whitespace = request.value("whitespace", "");
  if (whitespace == "compact") options.json.whitespace = JsonWhitespace::kCompact;
  if (whitespace == "flexible") options.json.whitespace = JsonWhitespace::kFlexible;
  nlohmann::json reply;
  if (last.grammar == nullptr || last.schema != schema || last.whitespace != whitespace) {
    const double start = ThreadMicros();
    auto grammar = CompileJsonSchema(schema, vocabulary, options);
    reply["compile_ms"] = (ThreadMicros() - start) / 1e3;
    if (!grammar.ok()) {
      reply["status"] = grammar.status().code() == StatusCode::kUnsupported ? "refused" : "invalid";
      reply["message"] = grammar.status().message();
      return reply;
    }
    std::vector<uint32_t> mask(vocabulary->mask_words());
    GrammarMatcher(*grammar).FillBitmask(mask);
    reply["first_mask_ms"] = (ThreadMicros() - start) / 1e3;
    last = {schema, whitespace, *std::move(grammar)};
  }
  reply["status"] = "ok";
  reply["accepted"] = nlohmann::json::array();
  for (const auto& text : request.value("accept", nlohmann::json::array())) {
    reply["accepted"].push_back(AcceptsText(last.grammar, text.get<std::string>()));
  }
  MaskTimings timings;
  reply["samples"] = nlohmann::json::array();
  for (int i = 0; i < request.value("samples", 0); ++i) {
    auto sample = SampleText(last.grammar, {.seed = static_cast<uint64_t>(i)}, &timings);
    if (!sample.ok()) {
      reply["error"] = sample.status().message();
      continue;
    }
    reply["samples"].push_back(*sample);
  }
  reply["mask_us"] = timings.micros;
  return reply;
}

}  // namespace

double ThreadMicros() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

bool AcceptsText(const GrammarPtr& grammar, std::string_view text) {
  GrammarMatcher matcher(grammar, 0);
  for (size_t i = 0; i < text.size(); i += 64) {
    if (!matcher.AcceptBytes(text.substr(i, 64))) return false;
  }
  return matcher.CanEnd();
}

void RunGrammarLines(std::istream& in, std::ostream& out, const VocabularyPtr& vocabulary) {
  std::string line;
  LastGrammar last;
  while (std::getline(in, line)) {
    const nlohmann::json request = nlohmann::json::parse(line, nullptr, false);
    if (request.is_discarded() || !request.contains("schema")) {
      out << R"({"status":"invalid","message":"expected an object with a schema"})"
          << "\n";
      continue;
    }
    out << RunLine(request, vocabulary, last).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) << "\n"
        << std::flush;
  }
}

int RunGrammarTool(const GrammarToolOptions& options, const VocabularyPtr& vocabulary, std::ostream& out,
                   std::ostream& errors) {
  const double start = ThreadMicros();
  auto grammar = CompileGrammar(options.kind, options.grammar, vocabulary);
  if (!grammar.ok()) {
    errors << "refused: " << grammar.status().message() << "\n";
    return 3;
  }
  out << fmt::format("compiled in {:.2f} ms\n", (ThreadMicros() - start) / 1e3);
  int status = 0;
  for (const std::string& text : options.accept) {
    const bool accepted = AcceptsText(*grammar, text);
    out << (accepted ? "accepted\n" : "rejected\n");
    if (!accepted) status = 1;
  }
  MaskTimings timings;
  for (int i = 0; i < options.samples; ++i) {
    auto sample = SampleText(*grammar, {.seed = options.seed + static_cast<uint64_t>(i)}, &timings);
    if (!sample.ok()) {
      errors << sample.status().message() << "\n";
      return 1;
    }
    out << *sample << "\n";
  }
  if (!timings.micros.empty()) {
    std::sort(timings.micros.begin(), timings.micros.end());
    const size_t n = timings.micros.size();
    out << fmt::format("{} masks: median {:.1f} us, 99th percentile {:.1f} us, most {:.1f} us\n", n,
                       timings.micros[n / 2], timings.micros[n * 99 / 100], timings.micros[n - 1]);
  }
  return status;
}

}  // namespace millrace::grammar
