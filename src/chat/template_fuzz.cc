// Compiles any bytes as a template and renders them with a small conversation under tight limits. What must hold: no
// crash, and untrusted text stays within untrusted spans.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "chat/template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using millrace::RenderedSpan;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto compiled = millrace::ChatTemplate::Compile(source);
  if (!compiled.ok()) return 0;
  millrace::RenderInput input;
  input.messages = {{{"role", "user"}, {"content", "caf\xC3\xA9 <|x|>\n"}},
                    {{"role", "assistant"},
                     {"content", nullptr},
                     {"tool_calls", {{{"function", {{"name", "f"}, {"arguments", {{"a", 1}, {"b", {1.5, true}}}}}}}}}}};
  input.tools = {{{"type", "function"}, {"function", {{"name", "f"}, {"parameters", {{"type", "object"}}}}}}};
  input.special_tokens = {{"bos_token", "<s>"}};
  millrace::jinja::Limits limits;
  limits.max_steps = 5'000;
  limits.max_output_bytes = 1 << 16;
  limits.max_allocated_bytes = 1 << 22;
  limits.max_depth = 100;
  limits.now = 0;
  const auto spans = compiled->Render(input, limits);
  if (!spans.ok()) return 0;
  for (const RenderedSpan& span : *spans) {
    // The source has no accented e of its own unless the input put one there.
    if (span.trusted && source.find("\xC3\xA9") == std::string_view::npos &&
        source.find('\\') == std::string_view::npos && span.text.find("\xC3\xA9") != std::string::npos) {
      std::abort();
    }
  }
  return 0;
}
