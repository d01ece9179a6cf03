#include "grammar/char_set.h"

#include <utf8proc.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace millrace::grammar {

CharSet::CharSet(std::vector<CharRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const CharRange& a, const CharRange& b) { return a.first < b.first; });
  for (const CharRange& range : ranges) {
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
}

CharSet CharSet::All() {
  return CharSet({{0, kSurrogateFirst - 1}, {kSurrogateLast + 1, kMaxCodePoint}});
}

bool CharSet::Contains(uint32_t c) const {
  auto it = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                             [](uint32_t value, const CharRange& range) { return value < range.first; });
  return it != ranges_.begin() && c <= std::prev(it)->last;
}

CharSet CharSet::Union(const CharSet& other) const {
  std::vector<CharRange> all = ranges_;
  all.insert(all.end(), other.ranges_.begin(), other.ranges_.end());
  return CharSet(std::move(all));
}

CharSet CharSet::Complement() const {
  std::vector<CharRange> gaps;
  uint32_t next = 0;
  for (const CharRange& range : ranges_) {
    if (range.first > next) gaps.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kMaxCodePoint) gaps.push_back({next, kMaxCodePoint});
  return CharSet(std::move(gaps)).Intersect(All());
}

CharSet CharSet::Intersect(const CharSet& other) const {
  std::vector<CharRange> out;
  size_t i = 0, j = 0;
  while (i < ranges_.size() && j < other.ranges_.size()) {
    const CharRange &a = ranges_[i], &b = other.ranges_[j];
    const uint32_t first = std::max(a.first, b.first), last = std::min(a.last, b.last);
    if (first <= last) out.push_back({first, last});
    (a.last < b.last ? i : j)++;
  }
  return CharSet(std::move(out));
}

CharSet CharSet::WithAsciiCaseFolded() const {
  std::vector<CharRange> all = ranges_;
  for (uint32_t c = 'a'; c <= 'z'; ++c) {
    if (Contains(c)) all.push_back({c - 32, c - 32});
    if (Contains(c - 32)) all.push_back({c, c});
  }
  return CharSet(std::move(all));
}

CharSet CharSet::Digits() {
  return CharSet({{'0', '9'}});
}

CharSet CharSet::WordChars() {
  return CharSet({{'a', 'z'}, {'A', 'Z'}, {'0', '9'}, {'_', '_'}});
}

CharSet CharSet::WhiteSpace() {
  return CharSet({{0x09, 0x0D},
                  {0x20, 0x20},
                  {0xA0, 0xA0},
                  {0x1680, 0x1680},
                  {0x2000, 0x200A},
                  {0x2028, 0x2029},
                  {0x202F, 0x202F},
                  {0x205F, 0x205F},
                  {0x3000, 0x3000},
                  {0xFEFF, 0xFEFF}});
}

CharSet CharSet::Dot() {
  return CharSet({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}).Complement();
}

namespace {

// Runs of scalar values with one general category, ascending. Made once: looking at all of Unicode takes milliseconds.
const std::vector<std::pair<CharRange, std::string_view>>& GeneralCategories() {
  static const auto kRuns = [] {
    std::vector<std::pair<CharRange, std::string_view>> runs;
    for (uint32_t c = 0; c <= kMaxCodePoint; ++c) {
      if (c == kSurrogateFirst) c = kSurrogateLast + 1;
      const std::string_view category = utf8proc_category_string(static_cast<utf8proc_int32_t>(c));
      if (!runs.empty() && runs.back().second == category && runs.back().first.last + 1 == c) {
        runs.back().first.last = c;
      } else {
        runs.push_back({{c, c}, category});
      }
    }
    return runs;
  }();
  return kRuns;
}

}  // namespace

Result<CharSet> CharSet::UnicodeProperty(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kLongNames[] = {{"Letter", "L"},
                                                                                 {"Mark", "M"},
                                                                                 {"Number", "N"},
                                                                                 {"Punctuation", "P"},
                                                                                 {"punct", "P"},
                                                                                 {"Symbol", "S"},
                                                                                 {"Separator", "Z"},
                                                                                 {"Other", "C"},
                                                                                 {"Uppercase_Letter", "Lu"},
                                                                                 {"Lowercase_Letter", "Ll"},
                                                                                 {"Titlecase_Letter", "Lt"},
                                                                                 {"Modifier_Letter", "Lm"},
                                                                                 {"Other_Letter", "Lo"},
                                                                                 {"Decimal_Number", "Nd"},
                                                                                 {"digit", "Nd"},
                                                                                 {"Letter_Number", "Nl"},
                                                                                 {"Other_Number", "No"},
                                                                                 {"Control", "Cc"},
                                                                                 {"cntrl", "Cc"},
                                                                                 {"Space_Separator", "Zs"},
                                                                                 {"Alphabetic", "L"}};
  const size_t equals = name.find('=');
  if (equals != std::string_view::npos) {
    const std::string_view key = name.substr(0, equals);
    if (key != "gc" && key != "General_Category") return Unsupported("regex property \\p{{{}}} is not supported", name);
    name = name.substr(equals + 1);
  }
  for (const auto& [long_name, short_name] : kLongNames) {
    if (name == long_name) name = short_name;
  }
  std::vector<CharRange> ranges;
  bool known = false;
  for (const auto& [range, category] : GeneralCategories()) {
    if (!category.starts_with(name)) continue;
    known = true;
    ranges.push_back(range);
  }
  if (!known || name.empty()) return Unsupported("regex property \\p{{{}}} is not supported", name);
  return CharSet(std::move(ranges));
}

void AppendUtf8(uint32_t c, std::string& out) {
  if (c < 0x80) {
    out += static_cast<char>(c);
    return;
  }
  if (c >= 0x10000) {
    out += static_cast<char>(0xF0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
  } else if (c >= 0x800) {
    out += static_cast<char>(0xE0 | (c >> 12));
  } else {
    out += static_cast<char>(0xC0 | (c >> 6));
  }
  if (c >= 0x800) out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
  out += static_cast<char>(0x80 | (c & 0x3F));
}

Result<std::u32string> DecodeUtf8(std::string_view text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) {
    utf8proc_int32_t c = 0;
    const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + i,
                                    static_cast<utf8proc_ssize_t>(text.size() - i), &c);
    if (n <= 0) return InvalidArgument("expected UTF-8, found an invalid sequence at byte {}", i);
    out += static_cast<char32_t>(c);
    i += static_cast<size_t>(n);
  }
  return out;
}

}  // namespace millrace::grammar
