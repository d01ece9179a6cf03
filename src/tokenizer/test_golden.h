// Reading of tests/golden/tokenizer, which tools/goldens/tokenizer.py makes with the reference libraries.
#pragma once

#include <string>
#include <vector>

#include "base/check.h"
#include "tokenizer/json.h"
#include "tokenizer/test_data.h"

namespace millrace::testing {

inline std::vector<TokenId> Ids(JsonValue list) {
  std::vector<TokenId> ids;
  for (const JsonValue id : list.get_array()) ids.push_back(static_cast<TokenId>(int64_t(id)));
  return ids;
}

inline std::string GoldenFile(const std::string& name) {
  return std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/tokenizer/" + name;
}

inline JsonDocument ReadGolden(const std::string& name) {
  const std::string text = Slurp(GoldenFile(name));
  auto document = JsonDocument::Parse(text, name);
  CHECK(document.ok(), "{}", document.status().message());
  return *std::move(document);
}

}  // namespace millrace::testing
