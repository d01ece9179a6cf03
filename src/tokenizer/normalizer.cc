#include "tokenizer/normalizer.h"

#include "tokenizer/charsmap.h"

namespace millrace {
namespace {

// Calls visit(code, bytes) for every character; code is kInvalidChar for a byte that is not UTF-8.
template <typename Visit>
void ForEachChar(std::string_view text, Visit visit) {
  for (const char* p = text.data(); p < text.data() + text.size();) {
    const Utf8Char c = DecodeUtf8(p, text.data() + text.size());
    visit(c.code, std::string_view(p, c.size));
    p += c.size;
  }
}

bool IsSpace(uint32_t code) {
  return (CharTable::Get().Flags(code) & kSpace) != 0;
}

template <typename Function>
class FunctionStep final : public NormalizerStep {
 public:
  explicit FunctionStep(Function function) : function_(std::move(function)) {}
  std::string Apply(std::string text, TextPosition) const override { return function_(std::move(text)); }

 private:
  const Function function_;
};

template <typename Function>
std::unique_ptr<NormalizerStep> MakeStep(Function function) {
  return std::make_unique<FunctionStep<Function>>(std::move(function));
}

// The blocks that BERT calls Chinese; 0x2B920 is what Hugging Face has for 0x2B820.
bool IsChineseChar(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

std::string CleanText(std::string_view text) {
  std::string out;
  ForEachChar(text, [&out](uint32_t code, std::string_view bytes) {
    if (code == 0 || code == 0xFFFD || code == kInvalidChar) return;
    const bool plain_space = code == '\t' || code == '\n' || code == '\r';
    if (!plain_space && IsControlLike(code)) return;
    if (IsSpace(code)) {
      out.push_back(' ');
    } else {
      out.append(bytes);
    }
  });
  return out;
}

std::string SurroundChinese(std::string_view text) {
  std::string out;
  ForEachChar(text, [&out](uint32_t code, std::string_view bytes) {
    const bool chinese = IsChineseChar(code);
    if (chinese) out.push_back(' ');
    out.append(bytes);
    if (chinese) out.push_back(' ');
  });
  return out;
}

template <typename Drop>
std::string DropChars(std::string_view text, Drop drop) {
  std::string out;
  ForEachChar(text, [&](uint32_t code, std::string_view bytes) {
    if (code == kInvalidChar || !drop(code)) out.append(bytes);
  });
  return out;
}

std::string StripSpaces(std::string_view text, bool left, bool right) {
  size_t begin = text.size();
  size_t end = 0;
  size_t at = 0;
  ForEachChar(text, [&](uint32_t code, std::string_view bytes) {
    if (!IsSpace(code)) {
      begin = std::min(begin, at);
      end = at + bytes.size();
    }
    at += bytes.size();
  });
  if (end == 0) return left || right ? std::string() : std::string(text);
  if (!left) begin = 0;
  if (!right) end = text.size();
  return std::string(text.substr(begin, end - begin));
}

// Hugging Face's Nmt: control characters go, odd white space becomes a space.
std::string NmtClean(std::string_view text) {
  std::string out;
  ForEachChar(text, [&out](uint32_t c, std::string_view bytes) {
    if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) return;
    const bool space = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                       c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    if (space) {
      out.push_back(' ');
    } else {
      out.append(bytes);
    }
  });
  return out;
}

std::string ApplyByGrapheme(const Charsmap& map, std::string_view text) {
  std::string out;
  out.reserve(text.size());
  uint32_t begin = 0;
  for (const uint32_t end : GraphemeEnds(text)) {
    const std::string_view grapheme = text.substr(begin, end - begin);
    begin = end;
    if (grapheme.size() < 6) {
      if (const auto match = map.Shortest(grapheme)) {
        out.append(match->replacement);
        continue;
      }
    }
    ForEachChar(grapheme, [&](uint32_t, std::string_view bytes) {
      const auto match = map.Shortest(bytes);
      out.append(match ? match->replacement : bytes);
    });
  }
  return out;
}

class Prepend final : public NormalizerStep {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  std::string Apply(std::string text, TextPosition position) const override {
    return text.empty() || position.continues ? text : prefix_ + text;
  }

 private:
  const std::string prefix_;
};

class SentencePieceNormalizer final : public NormalizerStep {
 public:
  SentencePieceNormalizer(Charsmap map, SentencePieceNormalizerOptions options)
      : map_(std::move(map)), options_(std::move(options)), verbatim_(std::move(options_.verbatim)) {}

  std::string Apply(std::string text, TextPosition position) const override {
    Output out;
    out.text.reserve(text.size() + text.size() / 2);
    out.after_space = options_.remove_extra_whitespaces && position.at_start;
    out.need_prefix = options_.add_dummy_prefix && (position.at_start || options_.prefix_every_piece);
    std::vector<AddedTokenMatcher::Piece> pieces;
    verbatim_.Split(text, 0, {.parse_special = true}, &pieces);
    for (const auto& piece : pieces) {
      std::string_view rest = std::string_view(text).substr(piece.span.begin, piece.span.end - piece.span.begin);
      if (piece.id >= 0) {
        Append(rest, &out);
        continue;
      }
      while (!rest.empty()) {
        size_t size = 0;
        const std::string_view mapped = MapPrefix(rest, &size);
        Append(mapped, &out);
        rest.remove_prefix(size);
      }
    }
    const bool trim = options_.remove_extra_whitespaces && position.at_end;
    while (trim && out.text.ends_with(Space())) out.text.resize(out.text.size() - Space().size());
    return std::move(out.text);
  }

 private:
  struct Output {
    std::string text;
    bool after_space;  // a space that follows is dropped
    bool need_prefix;  // the dummy prefix is still to come
  };

  std::string_view Space() const { return options_.escape_whitespaces ? kMetaspace : std::string_view(" "); }

  void Append(std::string_view mapped, Output* out) const {
    while (out->after_space && mapped.starts_with(' ')) mapped.remove_prefix(1);
    if (mapped.empty()) return;
    if (out->need_prefix) out->text.append(Space());
    out->need_prefix = false;
    for (const char c : mapped) {
      if (c == ' ') {
        out->text.append(Space());
      } else {
        out->text.push_back(c);
      }
    }
    out->after_space = options_.remove_extra_whitespaces && mapped.ends_with(' ');
  }

  std::string_view MapPrefix(std::string_view text, size_t* size) const {
    if (const auto match = map_.Longest(text)) {
      *size = match->size;
      return match->replacement;
    }
    const Utf8Char c = DecodeUtf8(text.data(), text.data() + text.size());
    *size = c.size;
    return c.code == kInvalidChar ? kReplacementChar : text.substr(0, c.size);
  }

  const Charsmap map_;
  SentencePieceNormalizerOptions options_;
  const AddedTokenMatcher verbatim_;
};

}  // namespace

std::unique_ptr<NormalizerStep> NormalFormStep(NormalForm form) {
  return MakeStep([form](std::string text) { return Normalize(text, form); });
}

std::unique_ptr<NormalizerStep> LowercaseStep() {
  return MakeStep([](std::string text) { return Lowercase(text); });
}

std::unique_ptr<NormalizerStep> BertStep(const BertNormalizerOptions& options) {
  return MakeStep([options](std::string text) {
    if (options.clean_text) text = CleanText(text);
    if (options.handle_chinese_chars) text = SurroundChinese(text);
    if (options.strip_accents) text = DropChars(Normalize(text, NormalForm::kNfd), IsNonspacingMark);
    if (options.lowercase) text = Lowercase(text);
    return text;
  });
}

std::unique_ptr<NormalizerStep> StripStep(bool left, bool right) {
  return MakeStep([left, right](std::string text) { return StripSpaces(text, left, right); });
}

std::unique_ptr<NormalizerStep> StripAccentsStep() {
  return MakeStep([](std::string text) { return DropChars(text, IsCombiningMark); });
}

std::unique_ptr<NormalizerStep> NmtStep() {
  return MakeStep([](std::string text) { return NmtClean(text); });
}

std::unique_ptr<NormalizerStep> PrependStep(std::string prefix) {
  return std::make_unique<Prepend>(std::move(prefix));
}

std::unique_ptr<NormalizerStep> ReplaceStep(std::unique_ptr<Pattern> pattern, std::string content) {
  return MakeStep(
      [shared = std::shared_ptr<Pattern>(std::move(pattern)), content = std::move(content)](std::string text) {
        std::vector<Span> matches;
        shared->FindMatches(text, &matches);
        if (matches.empty()) return text;
        std::string out;
        uint32_t done = 0;
        for (const Span& match : matches) {
          out.append(text, done, match.begin - done).append(content);
          done = match.end;
        }
        return out.append(text, done, std::string::npos);
      });
}

Result<std::unique_ptr<NormalizerStep>> PrecompiledStep(std::string charsmap) {
  ASSIGN_OR_RETURN(Charsmap map, Charsmap::Parse(charsmap));
  return MakeStep([map = std::move(map)](std::string text) { return ApplyByGrapheme(map, text); });
}

Result<std::unique_ptr<NormalizerStep>> SentencePieceStep(SentencePieceNormalizerOptions options) {
  ASSIGN_OR_RETURN(Charsmap map, Charsmap::Parse(options.charsmap));
  options.charsmap.clear();
  return std::unique_ptr<NormalizerStep>(std::make_unique<SentencePieceNormalizer>(std::move(map), std::move(options)));
}

}  // namespace millrace
