// Expressions that have no scanner: PCRE2, anchored at every character, looking at a bounded window.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "tokenizer/pattern.h"
#include "tokenizer/unicode.h"

namespace millrace {
namespace {

constexpr size_t kMaxRegexBytes = 64 << 10;
// An attempt sees this many bytes; only a match that reaches the end of the window looks again with a window twice as
// large, and its length pays for that. So the work is linear in the text whatever the expression.
constexpr size_t kWindowBytes = 4096;
// Backtracking steps of one attempt; beyond it the expression counts as not matching there.
constexpr uint32_t kMatchLimit = 2'000;
constexpr uint32_t kDepthLimit = 1'000;

struct CodeDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct ContextDeleter {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct DataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

class Pcre2Pattern final : public Pattern {
 public:
  Pcre2Pattern(pcre2_code* code, pcre2_match_context* context) : code_(code), context_(context) {}

  void FindMatches(std::string_view text, std::vector<Span>* matches) const override {
    const std::unique_ptr<pcre2_match_data, DataDeleter> data(pcre2_match_data_create(1, nullptr));
    if (data == nullptr) return;
    // Each run of valid UTF-8 is a subject of its own; the bytes between match nothing.
    for (size_t at = 0; at < text.size();) {
      const size_t run_end = ValidRunEnd(text, at);
      MatchRun(text.substr(0, run_end), at, data.get(), matches);
      at = run_end + 1;
    }
  }

 private:
  static size_t ValidRunEnd(std::string_view text, size_t at) {
    while (at < text.size()) {
      const Utf8Char c = DecodeUtf8(text.data() + at, text.data() + text.size());
      if (c.code == kInvalidChar) break;
      at += c.size;
    }
    return at;
  }

  void MatchRun(std::string_view text, size_t at, pcre2_match_data* data, std::vector<Span>* matches) const {
    const size_t run_begin = at;
    while (at < text.size()) {
      const size_t match_end = run_begin + MatchAt(text.substr(run_begin), at - run_begin, data);
      if (match_end > at) {
        matches->push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(match_end)});
        at = match_end;
      } else {
        at += DecodeUtf8(text.data() + at, text.data() + text.size()).size;
      }
    }
  }

  // The end of the match at `at`; `at` when there is none or it is empty.
  size_t MatchAt(std::string_view text, size_t at, pcre2_match_data* data) const {
    for (size_t window = kWindowBytes;; window *= 2) {
      size_t end = std::min(text.size(), at + window);
      while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
      const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), end, at,
                                    PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK, data, context_.get());
      if (found < 0) return at;
      const size_t match_end = pcre2_get_ovector_pointer(data)[1];
      if (match_end < end || end == text.size()) return match_end;
    }
  }

  const std::unique_ptr<pcre2_code, CodeDeleter> code_;
  const std::unique_ptr<pcre2_match_context, ContextDeleter> context_;
};

}  // namespace

Result<std::unique_ptr<Pattern>> CompilePcre2(std::string_view regex) {
  if (regex.size() > kMaxRegexBytes) {
    return InvalidArgument("a pre-tokenizer pattern has {} bytes, expected at most {}", regex.size(), kMaxRegexBytes);
  }
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(regex.data()), regex.size(),
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (code == nullptr) {
    PCRE2_UCHAR message[256] = {};
    pcre2_get_error_message(error, message, sizeof(message));
    return InvalidArgument("the pre-tokenizer pattern does not compile at byte {}: {}", offset,
                           reinterpret_cast<const char*>(message));
  }
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  CHECK(context != nullptr, "out of memory");
  pcre2_set_match_limit(context, kMatchLimit);
  pcre2_set_depth_limit(context, kDepthLimit);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return std::unique_ptr<Pattern>(std::make_unique<Pcre2Pattern>(code, context));
}

}  // namespace millrace
