// Languages of JSON numbers as texts. Every spelling of a value that is written without an exponent is in the language
// or none is (1, 1.0 and 1.00 go together), so that Boolean operations on texts are operations on values. Exponents are
// allowed only where they can't change the answer: any number, and comparisons with zero.
#pragma once

#include "grammar/dfa.h"
#include "grammar/json_value.h"

namespace millrace::grammar {

struct NumberLanguage {
  DfaPtr dfa;              // empty automaton: no number
  bool exponents = false;  // spellings with an exponent are decided too
};

enum class NumberBound { kAtLeast, kMoreThan, kAtMost, kLessThan };

Result<NumberLanguage> AnyNumber(Budget& budget);
Result<NumberLanguage> IntegerNumbers(Budget& budget);
// Integers that are written as such: draft 4 doesn't take 1.0 for one.
Result<NumberLanguage> PlainIntegers(Budget& budget);
Result<NumberLanguage> BoundedNumbers(NumberBound bound, const Decimal& limit, Budget& budget);
Result<NumberLanguage> MultiplesOf(const Decimal& step, Budget& budget);
Result<NumberLanguage> OneNumber(const Decimal& value, Budget& budget);

Result<NumberLanguage> AndNumbers(const NumberLanguage& a, const NumberLanguage& b, Budget& budget);
Result<NumberLanguage> OrNumbers(const NumberLanguage& a, const NumberLanguage& b, Budget& budget);
Result<NumberLanguage> NotNumbers(const NumberLanguage& a, Budget& budget);

}  // namespace millrace::grammar
