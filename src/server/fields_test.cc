// The field table against itself: every bound it documents is the bound that is enforced, and nothing crashes beyond.
#include "server/fields.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "server/api_error.h"

namespace millrace {
namespace {

constexpr Endpoint kEndpoints[] = {kChat,       kCompletions,   kMessages,   kResponses,  kTokenize,
                                   kDetokenize, kApplyTemplate, kEmbeddings, kCountTokens};

Status ParseOne(Endpoint endpoint, const char* name, const Json& value, bool strict = false) {
  return Fields::Parse(endpoint, DumpJson(Json{{name, value}}), {.strict = strict}).status();
}

void ExpectRefused(Endpoint endpoint, const FieldSpec& spec, const Json& value) {
  const Status status = ParseOne(endpoint, spec.name, value);
  ASSERT_FALSE(status.ok()) << spec.name << " = " << DumpJson(value).substr(0, 80);
  const ApiError error = ToApiError(status);
  EXPECT_EQ(error.status, 400) << spec.name;
  EXPECT_EQ(error.param, spec.name) << error.message;
}

void ExpectAccepted(Endpoint endpoint, const FieldSpec& spec, const Json& value) {
  const Status status = ParseOne(endpoint, spec.name, value);
  EXPECT_TRUE(status.ok()) << spec.name << " = " << DumpJson(value).substr(0, 80) << ": " << status.message();
}

Json ItemOf(const FieldSpec& spec) {
  if (spec.type == FieldType::kWords) return MembersOf(spec.name).front()->name;
  return spec.type == FieldType::kStrings ? Json("a") : (spec.type == FieldType::kInts ? Json(1) : Json::object());
}

TEST(Fields, EveryBoundIsEnforcedWhereItIsDocumented) {
  int num_checked = 0;
  for (const Endpoint endpoint : kEndpoints) {
    for (const FieldSpec& spec : FieldTable()) {
      if ((spec.endpoints & endpoint) == 0 || spec.effect != FieldEffect::kUsed) continue;
      ExpectAccepted(endpoint, spec, nullptr);
      if (spec.type == FieldType::kAny) continue;
      ++num_checked;
      ExpectRefused(endpoint, spec, spec.type == FieldType::kObject ? Json("text") : Json{{"an", "object"}});
      switch (spec.type) {
        case FieldType::kInt:
          if (IsAnyInt64(spec)) {
            for (const int64_t value : {INT64_MIN, INT64_MAX}) ExpectAccepted(endpoint, spec, value);
            for (const Json& value : {Json(uint64_t{1} << 63), Json(UINT64_MAX), Json(1e300), Json(-1e300), Json(0.5)})
              ExpectRefused(endpoint, spec, value);
            break;
          }
          ExpectAccepted(endpoint, spec, static_cast<int64_t>(spec.min));
          ExpectAccepted(endpoint, spec, static_cast<int64_t>(spec.max));
          ExpectRefused(endpoint, spec, static_cast<int64_t>(spec.min) - 1);
          ExpectRefused(endpoint, spec, static_cast<int64_t>(spec.max) + 1);
          ExpectRefused(endpoint, spec, spec.max + 0.5 < 1e9 ? Json(spec.min + 0.5) : Json(0.5));
          ExpectRefused(endpoint, spec, UINT64_MAX);
          ExpectRefused(endpoint, spec, 1e300);
          break;
        case FieldType::kNumber:
          ExpectAccepted(endpoint, spec, spec.min);
          ExpectAccepted(endpoint, spec, spec.max);
          ExpectRefused(endpoint, spec, spec.min - 1e-3 - std::abs(spec.min) * 1e-9);
          ExpectRefused(endpoint, spec, spec.max * (1 + 1e-9) + 1e-9);
          break;
        case FieldType::kStrings:
        case FieldType::kInts:
        case FieldType::kArray:
        case FieldType::kWords:
          if (spec.max <= 4096) {
            const Json item = ItemOf(spec);
            ExpectAccepted(endpoint, spec, Json(std::vector<Json>(static_cast<size_t>(spec.max), item)));
            ExpectRefused(endpoint, spec, Json(std::vector<Json>(static_cast<size_t>(spec.max) + 1, item)));
          }
          if (spec.type != FieldType::kArray) ExpectRefused(endpoint, spec, Json::array({Json::object()}));
          break;
        case FieldType::kOnly:
          ExpectAccepted(endpoint, spec, Json::parse(spec.fallback));
          break;
        case FieldType::kString:
          ExpectRefused(endpoint, spec, 7);
          if (spec.max <= 4096) ExpectRefused(endpoint, spec, std::string(static_cast<size_t>(spec.max) + 1, 'x'));
          break;
        default:
          break;
      }
    }
  }
  EXPECT_GT(num_checked, 100);
}

TEST(Fields, UnknownAndIgnoredFieldsAreNamed) {
  const Result<Fields> fields = Fields::Parse(kChat, R"({"foo": 1, "user": "me", "temperature": 0})", {});
  ASSERT_TRUE(fields.ok());
  EXPECT_EQ(fields->warnings(), "unknown field foo; field user has no effect");
  EXPECT_FALSE(Fields::Parse(kChat, R"({"foo": 1})", {.strict = true}).ok());
  EXPECT_FALSE(Fields::Parse(kChat, R"({"user": "me"})", {.strict = true}).ok());
  EXPECT_EQ(ToApiError(ParseOne(kCompletions, "json_schema", Json::object())).param, "json_schema");
  EXPECT_TRUE(ParseOne(kCompletions, "json_schema", nullptr, true).ok());
}

TEST(Fields, MembersWithoutEffectAreNamed) {
  const std::string body =
      R"({"text": {"verbosity": "low", "format": null}, "reasoning": {"effort": "low", "summary": "auto", "mode": null, "x": 1}})";
  const Result<Fields> fields = Fields::Parse(kResponses, body, {});
  ASSERT_TRUE(fields.ok());
  EXPECT_EQ(fields->warnings(),
            "field text.verbosity has no effect; field reasoning.summary has no effect; unknown field reasoning.x");
  for (const char* refused :
       {R"({"stream_options": {"include_obfuscation": false}})", R"({"stream_options": {"bogus": 1}})"}) {
    EXPECT_EQ(ToApiError(Fields::Parse(kChat, refused, {.strict = true}).status()).param, "stream_options");
  }
  EXPECT_TRUE(Fields::Parse(kChat, R"({"stream_options": {"include_usage": true, "include_obfuscation": null}})",
                            {.strict = true})
                  .ok());
  EXPECT_EQ(Fields::Parse(kMessages, R"({"output_config": {"task_budget": {}}})", {})->warnings(),
            "field output_config.task_budget has no effect");
}

// Published fields that nothing here looks at, wherever they stand, each named once.
TEST(Fields, NestedMembersWithoutEffectAreNamed) {
  struct Case {
    Endpoint endpoint;
    const char* body;
    const char* warnings;
  };
  const Case cases[] = {
      {kMessages, R"({"system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}],
                      "tools": [{"name": "f", "input_schema": {"cache_control": 1}, "cache_control": {}, "input_examples": [{}]}],
                      "messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}, "citations": [{}]}]},
                                   {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"any": 1}}]},
                                   {"role": "user", "content": [{"type": "text", "text": "b", "cache_control": {}},
                                     {"type": "tool_result", "tool_use_id": "1", "is_error": true, "content": [{"type": "text", "text": "c", "cache_control": {}}]},
                                     {"type": "document", "title": "t", "colour": 1, "source": {"type": "text", "media_type": "text/plain", "data": "d"}}]}]})",
       "field system.cache_control has no effect; field tools.cache_control has no effect; field tools.input_examples "
       "has no effect; "
       "field messages.content.cache_control has no effect; field messages.content.citations has no effect; field "
       "messages.content.is_error has no effect; "
       "field messages.content.content.cache_control has no effect; field messages.content.title has no effect; "
       "unknown field messages.content.colour"},
      {kChat,
       R"({"messages": [{"role": "user", "name": "Ann", "mood": 1, "content": [{"type": "text", "text": "a", "cache_control": {}}]},
                               {"role": "assistant", "content": null, "annotations": [], "tool_calls": [{"id": "1", "index": 0, "type": "function", "function": {"name": "f", "arguments": ""}}]}],
                  "tools": [{"type": "function", "cache_control": {}, "function": {"name": "f", "strict": true, "parameters": {"x": 1}, "colour": 1}}],
                  "response_format": {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {"x": 1}, "strict": true}}})",
       "field messages.name has no effect; unknown field messages.mood; field messages.content.cache_control has no "
       "effect; "
       "field messages.tool_calls.index has no effect; field tools.cache_control has no effect; unknown field "
       "tools.function.colour; "
       "field response_format.json_schema.description has no effect"},
      {kResponses, R"({"input": [{"role": "user", "content": [{"type": "input_text", "text": "a", "detail": "low"}]},
                                 {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "x", "content": []},
                                 {"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "b", "annotations": [], "logprobs": []}]}],
                       "tools": [{"type": "function", "name": "f", "defer_loading": true}], "text": {"format": {"type": "text", "description": "x"}}})",
       "field input.content.detail has no effect; field input.encrypted_content has no effect; field "
       "tools.defer_loading has no effect; "
       "field text.format.description has no effect"},
      {kCompletions, R"({"structured_outputs": {"regex": "a", "disable_fallback": true}, "logit_bias": {"5": 1}})",
       "field structured_outputs.disable_fallback has no effect"},
  };
  for (const Case& c : cases) {
    const Result<Fields> fields = Fields::Parse(c.endpoint, c.body, {});
    ASSERT_TRUE(fields.ok()) << fields.status().message();
    EXPECT_EQ(fields->warnings(), c.warnings);
    const Status strict = Fields::Parse(c.endpoint, c.body, {.strict = true}).status();
    EXPECT_NE(strict.message().find(c.endpoint == kCompletions
                                        ? "structured_outputs.disable_fallback has no effect here (--strict-fields)"
                                        : " has no effect here (--strict-fields)"),
              std::string::npos)
        << strict.message();
    EXPECT_FALSE(ToApiError(strict).param.empty());
  }
}

TEST(Fields, AMemberThatTheChatTemplateReadsHasAnEffect) {
  const std::string body = R"({"messages": [{"role": "user", "content": "a", "name": "Ann", "mood": "merry"}]})";
  for (const char* reads : {"{{ message.name ~ message['mood'] }}", "{{ m[\"mood\"] }}{{ messages[0].name }}",
                            "{{ msg.get('name') }}{{ loop_messages[i]['mood'] }}"}) {
    EXPECT_EQ(Fields::Parse(kChat, body, {.strict = true, .chat_template = reads})->warnings(), "") << reads;
  }
  for (const char* does_not :
       {"", "{{ message.names ~ tool.name ~ mood }}", "{{ tool['mood'] ~ function.get('name') }}{# name, mood #}"}) {
    EXPECT_EQ(Fields::Parse(kChat, body, {.chat_template = does_not})->warnings(),
              "field messages.name has no effect; unknown field messages.mood")
        << does_not;
  }
}

// What reads a field serves several endpoints: where it is not of the endpoint, it is not there.
TEST(Fields, FieldsOfOtherEndpointsAreAbsent) {
  for (const Endpoint endpoint : kEndpoints) {
    for (const FieldSpec& spec : FieldTable()) {
      if (FindField(endpoint, spec.name) != nullptr) continue;
      const Result<Fields> fields = Fields::Parse(endpoint, DumpJson(Json{{spec.name, 2}}), {});
      ASSERT_TRUE(fields.ok()) << spec.name;
      EXPECT_FALSE(fields->Has(spec.name)) << spec.name;
      EXPECT_EQ(fields->warnings(), fmt::format("unknown field {}", spec.name));
    }
  }
}

TEST(Json, BombsAreRefusedBeforeTheyAreParsed) {
  EXPECT_TRUE(ParseJson(std::string(64, '[') + std::string(64, ']')).ok());
  EXPECT_EQ(ParseJson(std::string(65, '[') + std::string(65, ']')).status().code(), StatusCode::kOutOfRange);
  EXPECT_FALSE(ParseJson(std::string(10'000'000, '[')).ok());
  std::string members = "{";
  for (int i = 0; i < 3000; ++i) members += fmt::format("\"{}\":1,", i);
  members.back() = '}';
  EXPECT_EQ(ParseJson(members).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(ParseJson("[" + std::string(5 << 20, ',') + "]").status().code(), StatusCode::kOutOfRange);
  for (const char* bad :
       {"", "{", "{\"a\":}", "[1,]", "\"\\ud800\"", "1e999", "\"\xff\"", "nul", "{\"a\" 1}", "\\", "\"\\"}) {
    EXPECT_FALSE(ParseJson(bad).ok()) << bad;
  }
}

TEST(Json, InvalidUtf8BecomesReplacementCharacters) {
  EXPECT_EQ(ValidUtf8("a\xff"
                      "b"),
            "a\xEF\xBF\xBD"
            "b");
}

TEST(Docs, TheApiPageIsWhatTheTableSays) {
  const Result<std::string> page = ReadFile(std::string(MILLRACE_SOURCE_DIR) + "/docs/api.md", 1 << 20);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(*page, DescribeFields()) << "run: millrace print-api > docs/api.md";
}

}  // namespace
}  // namespace millrace
