// Helpers of the grammar tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/test_vocabulary.h"

namespace millrace::grammar {

// Tokens that cross every kind of boundary in JSON, and pieces of UTF-8 characters.
inline const FakeTokenizer& SmallTokenizer() {
  static const FakeTokenizer tokenizer(
      {"{\"",      "\":",         "\":\"", "\",\"", "\"}",    "\"]",      "\"},",    "{}",       "[]",      "[[",
       "]]",       "}}",          "},{\"", "[\"",   "\", \"", "\": ",     "true",    "false",    "null",    "tr",
       "ue",       "ab",          "abc",   "abcd",  "a\"",    "b\":",     "ab\":\"", "name",     "na",      "me\"",
       "12",       "123",         "0.",    ".5",    "1e",     "-1",       ", ",      ",1",       "1,2",     "1]",
       "\\u",      "\\u00",       "00e9",  "\\\"",  "\\n",    "\xC3\xA9", "\xC3",    "\xE2\x82", "\xAC\"",  "\xF0\x9F",
       "\x98\x80", "x\xC3\xA9\"", "  ",    "\n",    "\n  ",   "(1",       "+2",      "))",       "select ", "SELECT"});
  return tokenizer;
}
inline VocabularyPtr SmallVocabulary() {
  static const VocabularyPtr vocabulary = std::make_shared<const GrammarVocabulary>(SmallTokenizer());
  return vocabulary;
}

inline bool Matches(const GrammarPtr& grammar, std::string_view text) {
  GrammarMatcher matcher(grammar);
  return matcher.AcceptBytes(text) && matcher.CanEnd();
}

// After every prefix of text (cut between bytes), the mask holds exactly the tokens that AcceptToken takes.
inline void ExpectMaskIsExact(const GrammarPtr& grammar, std::string_view text) {
  const GrammarVocabulary& vocabulary = grammar->vocabulary();
  std::vector<uint32_t> mask(vocabulary.mask_words());
  GrammarMatcher matcher(grammar, 4);
  for (size_t i = 0; i <= text.size(); ++i) {
    matcher.FillBitmask(mask);
    for (TokenId id = 0; id < vocabulary.vocab_size(); ++id) {
      GrammarMatcher fork = matcher;
      const bool allowed = (mask[static_cast<size_t>(id) / 32] >> (id % 32)) & 1;
      ASSERT_EQ(allowed, fork.AcceptToken(id))
          << "token " << id << " \"" << vocabulary.BytesOf(id) << "\" after \"" << text.substr(0, i) << "\"";
    }
    if (i < text.size()) {
      ASSERT_TRUE(matcher.AcceptBytes(text.substr(i, 1))) << "after \"" << text.substr(0, i) << "\"";
    }
  }
  ASSERT_TRUE(matcher.CanEnd()) << text;
}

}  // namespace millrace::grammar
