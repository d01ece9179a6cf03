#include "grammar/number_language.h"

#include <algorithm>
#include <string>
#include <utility>

#include "grammar/dfa_builder.h"
#include "grammar/regex.h"

namespace millrace::grammar {
namespace {

constexpr char kPlain[] = "-?(0|[1-9][0-9]*)(\\.[0-9]+)?";
constexpr char kWithExponent[] = "-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?";
constexpr char kInteger[] = "-?(0|[1-9][0-9]*)(\\.0+)?";

Result<NumberLanguage> FromRegex(const std::string& regex, bool exponents, Budget& budget) {
  ASSIGN_OR_RETURN(DfaPtr dfa, CompileRegex(regex, RegexMode::kFullMatch, budget));
  return NumberLanguage{std::move(dfa), exponents};
}

// The digits before and after the decimal point.
struct Digits {
  std::string whole;     // "0" or without a leading zero
  std::string fraction;  // without trailing zeros
};

Digits Split(const Decimal& d) {
  if (d.is_zero()) return {"0", ""};
  const int64_t point = static_cast<int64_t>(d.digits.size()) + d.exponent;
  if (point <= 0) return {"0", std::string(static_cast<size_t>(-point), '0') + d.digits};
  if (d.exponent >= 0) return {d.digits + std::string(static_cast<size_t>(d.exponent), '0'), ""};
  return {d.digits.substr(0, static_cast<size_t>(point)), d.digits.substr(static_cast<size_t>(point))};
}

// Unsigned spellings of numbers greater than the limit (or equal, when or_equal).
std::string AboveRegex(const Digits& limit, bool or_equal) {
  std::string out;
  auto alternative = [&](const std::string& regex) { out += (out.empty() ? "" : "|") + regex; };
  const std::string any_fraction = "(\\.[0-9]+)?";
  // More digits before the point.
  if (limit.whole == "0") {
    alternative("[1-9][0-9]*" + any_fraction);
  } else {
    alternative("[1-9][0-9]{" + std::to_string(limit.whole.size()) + ",}" + any_fraction);
    // As many digits: equal up to one that is greater.
    for (size_t i = 0; i < limit.whole.size(); ++i) {
      if (limit.whole[i] == '9') continue;
      alternative(limit.whole.substr(0, i) + "[" + static_cast<char>(limit.whole[i] + 1) + "-9][0-9]{" +
                  std::to_string(limit.whole.size() - i - 1) + "}" + any_fraction);
    }
  }
  // The same whole part: a greater fraction.
  for (size_t i = 0; i < limit.fraction.size(); ++i) {
    if (limit.fraction[i] == '9') continue;
    alternative(limit.whole + "\\." + limit.fraction.substr(0, i) + "[" + static_cast<char>(limit.fraction[i] + 1) +
                "-9][0-9]*");
  }
  alternative(limit.whole + "\\." + limit.fraction + "0*[1-9][0-9]*");
  if (or_equal) {
    alternative(limit.fraction.empty() ? limit.whole + "(\\.0+)?" : limit.whole + "\\." + limit.fraction + "0*");
  }
  return "(" + out + ")";
}

// Numbers with value > limit (or >=), limit >= 0; both zeros count as zero.
Result<NumberLanguage> AboveNonNegative(const Decimal& limit, bool or_equal, Budget& budget) {
  if (!limit.is_zero()) return FromRegex(AboveRegex(Split(limit), or_equal), false, budget);
  const std::string exponent = "([eE][+-]?[0-9]+)?";
  if (!or_equal) {
    return FromRegex("(0\\.0*[1-9][0-9]*|[1-9][0-9]*(\\.[0-9]+)?)" + exponent, true, budget);
  }
  return FromRegex("((0|[1-9][0-9]*)(\\.[0-9]+)?|-0(\\.0+)?)" + exponent, true, budget);
}

// Texts of digits with at most one point whose value is a multiple of p * 10^-k; what is not a number may be in it too.
// Row j holds the remainders of value * 10^j mod p after j digits of the fraction (row 0: before the point); k - j
// zeros are still to come. After the point come rows of their own ("dots"), since digits before and after it count
// differently.
Dfa RemainderDfa(uint64_t p, uint64_t k) {
  constexpr uint32_t kClasses = 13, kMinus = 11, kPoint = 12;  // classes 1..10 are the digits
  Dfa dfa;
  dfa.alphabet.starts = {0, '-', '.', '/', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':'};
  dfa.alphabet.classes = {0, kMinus, kPoint, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0};
  dfa.alphabet.num_classes = kClasses;
  dfa.alphabet.FillAscii();
  auto row = [&](uint64_t j, uint64_t rem) { return static_cast<uint32_t>(1 + j * p + rem % p); };
  auto dot = [&](uint64_t rem) { return static_cast<uint32_t>(1 + (k + 1) * p + rem); };
  const uint32_t zeros_only = static_cast<uint32_t>(1 + (k + 2) * p);
  dfa.next.assign(size_t{zeros_only + 1} * kClasses, kNoState);
  dfa.accepting.assign(zeros_only + 1, 0);
  std::vector<uint64_t> padding(k + 1, 1 % p);  // 10^(k-j) mod p
  for (uint64_t j = k; j-- > 0;) padding[j] = padding[j + 1] * 10 % p;
  auto link = [&](uint32_t from, uint64_t digit, uint32_t to) { dfa.next[size_t{from} * kClasses + digit + 1] = to; };
  // A digit of the fraction after j of them.
  auto link_fraction = [&](uint32_t from, uint64_t j, uint64_t rem) {
    for (uint64_t d = 0; j < k && d < 10; ++d) link(from, d, row(j + 1, rem * 10 + d));
    if (j == k && rem == 0) link(from, 0, zeros_only);
  };
  dfa.next[kMinus] = 0;
  for (uint64_t d = 0; d < 10; ++d) link(0, d, row(0, d));
  for (uint64_t rem = 0; rem < p; ++rem) {
    for (uint64_t d = 0; d < 10; ++d) link(row(0, rem), d, row(0, rem * 10 + d));
    dfa.next[size_t{row(0, rem)} * kClasses + kPoint] = dot(rem);
    link_fraction(dot(rem), 0, rem);
    for (uint64_t j = 0; j <= k; ++j) {
      dfa.accepting[row(j, rem)] = rem * padding[j] % p == 0;
      if (j > 0) link_fraction(row(j, rem), j, rem);
    }
  }
  dfa.accepting[zeros_only] = 1;
  link(zeros_only, 0, zeros_only);
  return dfa;
}

Decimal Negate(Decimal d) {
  if (!d.is_zero()) d.negative = !d.negative;
  return d;
}

}  // namespace

Result<NumberLanguage> AnyNumber(Budget& budget) {
  return FromRegex(kWithExponent, true, budget);
}
Result<NumberLanguage> IntegerNumbers(Budget& budget) {
  return FromRegex(kInteger, false, budget);
}
Result<NumberLanguage> PlainIntegers(Budget& budget) {
  return FromRegex("-?(0|[1-9][0-9]*)", false, budget);
}

Result<NumberLanguage> BoundedNumbers(NumberBound bound, const Decimal& limit, Budget& budget) {
  const bool or_equal = bound == NumberBound::kAtLeast || bound == NumberBound::kAtMost;
  if (bound == NumberBound::kAtMost || bound == NumberBound::kLessThan) {  // x <= c is not x > c
    const NumberBound opposite = or_equal ? NumberBound::kMoreThan : NumberBound::kAtLeast;
    ASSIGN_OR_RETURN(NumberLanguage above, BoundedNumbers(opposite, limit, budget));
    return NotNumbers(above, budget);
  }
  if (!limit.negative) return AboveNonNegative(limit, or_equal, budget);
  // x > -c is not -x >= c; the numbers that are at least c are positive, a minus before them is all it takes.
  ASSIGN_OR_RETURN(NumberLanguage beyond, AboveNonNegative(Negate(limit), !or_equal, budget));
  ExprPool pool;
  const ExprId mirrored = pool.Sequence({pool.Chars(CharSet::Of('-')), pool.Automaton(beyond.dfa)});
  ASSIGN_OR_RETURN(DfaPtr too_low, BuildDfa(pool, mirrored, nullptr, {}, budget));
  return NotNumbers({too_low, false}, budget);
}

Result<NumberLanguage> OneNumber(const Decimal& value, Budget& budget) {
  const Digits digits = Split(value);
  std::string regex = digits.whole + (digits.fraction.empty() ? "(\\.0+)?" : "\\." + digits.fraction + "0*");
  if (value.is_zero()) regex = "-?" + regex;
  return FromRegex((value.negative ? "-" : "") + regex, false, budget);
}

Result<NumberLanguage> MultiplesOf(const Decimal& step, Budget& budget) {
  if (step.is_zero() || step.negative) return InvalidArgument("expected a number above 0");
  // step = p * 10^-k.
  uint64_t p = 0;
  for (char c : step.digits) p = std::min<uint64_t>(1'000'000'000, p * 10 + static_cast<uint64_t>(c - '0'));
  for (int64_t i = 0; i < step.exponent; ++i) p = std::min<uint64_t>(1'000'000'000, p * 10);
  const uint64_t k = step.exponent < 0 ? static_cast<uint64_t>(-step.exponent) : 0;
  if (p * (k + 3) > 20'000) return Unsupported("it needs {} automaton states, expected at most 20000", p * (k + 3));
  ASSIGN_OR_RETURN(NumberLanguage plain, FromRegex(kPlain, false, budget));
  ASSIGN_OR_RETURN(DfaPtr both, IntersectDfa(RemainderDfa(p, k), *plain.dfa, budget));
  return NumberLanguage{std::move(both), false};
}

Result<NumberLanguage> AndNumbers(const NumberLanguage& a, const NumberLanguage& b, Budget& budget) {
  ASSIGN_OR_RETURN(DfaPtr dfa, IntersectDfa(*a.dfa, *b.dfa, budget));
  return NumberLanguage{std::move(dfa), a.exponents && b.exponents};
}

Result<NumberLanguage> OrNumbers(const NumberLanguage& a, const NumberLanguage& b, Budget& budget) {
  ASSIGN_OR_RETURN(DfaPtr dfa, UnionDfa(*a.dfa, *b.dfa, budget));
  return NumberLanguage{std::move(dfa), a.exponents && b.exponents};
}

Result<NumberLanguage> NotNumbers(const NumberLanguage& a, Budget& budget) {
  ASSIGN_OR_RETURN(NumberLanguage all, FromRegex(a.exponents ? kWithExponent : kPlain, a.exponents, budget));
  ASSIGN_OR_RETURN(DfaPtr dfa, SubtractDfa(*all.dfa, *a.dfa, budget));
  return NumberLanguage{std::move(dfa), a.exponents};
}

}  // namespace millrace::grammar
