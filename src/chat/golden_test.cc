// Compares with the reference Jinja2 under Hugging Face's settings (tools/goldens/make_chat_goldens.py): every snippet,
// and every published template of MILLRACE_DATA where that is present.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "base/file.h"
#include "chat/template.h"

namespace millrace {
namespace {

using nlohmann::ordered_json;

ordered_json LoadGolden(const std::string& name) {
  const auto text = ReadFile(std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/chat/" + name, size_t{16} << 20);
  EXPECT_TRUE(text.ok()) << text.status().message();
  return ordered_json::parse(text.value());
}

std::string DataFolder() {
  const char* folder = std::getenv("MILLRACE_DATA");
  return folder != nullptr && *folder != '\0' ? folder : std::string(MILLRACE_SOURCE_DIR) + "/../shared/data";
}

std::string Fnv1a(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return fmt::format("{:016x}", hash);
}

Result<std::string> RenderText(const std::string& source, const RenderInput& input, const jinja::Limits& limits) {
  const auto compiled = ChatTemplate::Compile(source);
  if (!compiled.ok()) return compiled.status();
  const auto spans = compiled->Render(input, limits);
  if (!spans.ok()) return spans.status();
  return JoinSpans(spans.value());
}

jinja::Limits LimitsAt(const ordered_json& golden) {
  setenv("TZ", "UTC", 1);
  tzset();
  jinja::Limits limits;
  limits.now = golden["now"].get<std::time_t>();
  return limits;
}

// True when the outcome is the golden one; mutable goldens must also fail without mutation.
void ExpectGolden(const ordered_json& golden, const std::string& source, const RenderInput& input, jinja::Limits limits,
                  const std::string& label) {
  const auto output = RenderText(source, input, limits);
  if (golden.contains("error")) {
    ASSERT_FALSE(output.ok()) << label << "\nexpected an error, got: " << output.value();
    if (golden["error"].is_string()) {
      EXPECT_THAT(output.status().message(), testing::HasSubstr(golden["error"].get<std::string>())) << label;
    }
    return;
  }
  ASSERT_TRUE(output.ok()) << label << "\n" << output.status().message();
  if (golden.contains("output")) {
    EXPECT_EQ(output.value(), golden["output"].get<std::string>()) << label;
  } else {
    EXPECT_EQ(output->size(), golden["size"].get<size_t>()) << label << "\n" << output.value();
    EXPECT_EQ(Fnv1a(output.value()), golden["hash"].get<std::string>()) << label << "\n" << output.value();
  }
  if (golden.contains("mutable")) {
    limits.allow_mutation = false;
    EXPECT_FALSE(RenderText(source, input, limits).ok()) << label;
  }
}

TEST(ChatGolden, Snippets) {
  const ordered_json golden = LoadGolden("snippets.json");
  RenderInput input;
  input.variables = golden["context"];
  input.messages = input.variables["messages"];
  input.variables.erase("messages");
  for (const auto& snippet : golden["snippets"]) {
    const auto source = snippet["source"].get<std::string>();
    ExpectGolden(snippet, source, input, LimitsAt(golden), source);
  }
}

TEST(ChatGolden, PublishedTemplates) {
  const ordered_json conversations = LoadGolden("conversations.json");
  size_t num_rendered = 0;
  const ordered_json templates = LoadGolden("templates.json");
  for (const auto& [file, cases] : templates.items()) {
    const auto source = ReadFile(DataFolder() + "/chat_templates/" + file, size_t{1} << 20);
    if (!source.ok()) continue;
    for (const auto& [name, golden] : cases.items()) {
      const ordered_json& conversation = conversations[name];
      RenderInput input;
      input.messages = conversation["messages"];
      input.tools = conversation.value("tools", ordered_json());
      input.add_generation_prompt = conversation.value("add_generation_prompt", false);
      input.special_tokens = conversations["special_tokens"];
      input.variables = conversation.value("variables", ordered_json());
      ExpectGolden(golden, source.value(), input, LimitsAt(conversations), file + " " + name);
      ++num_rendered;
    }
  }
  if (num_rendered == 0) GTEST_SKIP() << "no chat templates in " << DataFolder() << " (set MILLRACE_DATA)";
}

}  // namespace
}  // namespace millrace
