// The formats of JSON Schema that are enforced, as regular languages.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/dfa.h"

namespace millrace::grammar {

enum class FormatSupport {
  kEnforced,
  kAnnotation,   // not one of JSON Schema's formats: says nothing about validity
  kUnsupported,  // a format of JSON Schema that this engine can't enforce
};
FormatSupport SupportOfFormat(std::string_view name);
std::vector<std::string_view> EnforcedFormats();

// What the format "regex" allows; it depends on no input.
Result<DfaPtr> RegexFormat(Budget& budget);

// Their automata, each built when it is first asked for. Any thread.
class FormatCache {
 public:
  // name: an enforced format.
  Result<DfaPtr> Language(std::string_view name);

 private:
  std::mutex mutex_;
  std::map<std::string, DfaPtr, std::less<>> known_;
};

}  // namespace millrace::grammar
