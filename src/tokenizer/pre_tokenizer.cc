#include "tokenizer/pre_tokenizer.h"

#include "tokenizer/unicode.h"
#include "tokenizer/vocab.h"

namespace millrace {
namespace {

struct Part {
  Span span;
  bool is_match;
};

// Joins parts as the behavior says and appends the words.
void AppendJoined(const std::vector<Part>& parts, SplitBehavior behavior, std::vector<Span>* out) {
  const size_t first = out->size();
  bool previous_match = false;
  switch (behavior) {
    case SplitBehavior::kRemoved:
      for (const Part& part : parts) {
        if (!part.is_match) out->push_back(part.span);
      }
      return;
    case SplitBehavior::kIsolated:
      for (const Part& part : parts) out->push_back(part.span);
      return;
    case SplitBehavior::kContiguous:
      for (const Part& part : parts) {
        if (out->size() > first && part.is_match == previous_match) {
          out->back().end = part.span.end;
        } else {
          out->push_back(part.span);
        }
        previous_match = part.is_match;
      }
      return;
    case SplitBehavior::kMergedWithPrevious:
      for (const Part& part : parts) {
        if (part.is_match && !previous_match && out->size() > first) {
          out->back().end = part.span.end;
        } else {
          out->push_back(part.span);
        }
        previous_match = part.is_match;
      }
      return;
    case SplitBehavior::kMergedWithNext:
      for (size_t i = 0; i < parts.size(); ++i) {
        Span span = parts[i].span;
        if (parts[i].is_match && i + 1 < parts.size() && !parts[i + 1].is_match) span.end = parts[++i].span.end;
        out->push_back(span);
      }
      return;
  }
}

class Split final : public PreTokenizerStep {
 public:
  Split(std::unique_ptr<Pattern> pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void Apply(Words* words) const override {
    std::vector<Span> out;
    std::vector<Span> matches;
    std::vector<Part> parts;
    out.reserve(words->spans.size() + words->text.size() / 4);
    for (const Span& word : words->spans) {
      matches.clear();
      pattern_->FindMatches(words->text.substr(word.begin, word.end - word.begin), &matches);
      if (behavior_ == SplitBehavior::kIsolated) {
        AppendIsolated(word, matches, &out);
      } else {
        AppendParts(word, matches, &parts);
        AppendJoined(parts, behavior_, &out);
      }
    }
    words->spans = std::move(out);
  }

 private:
  static void AppendIsolated(Span word, const std::vector<Span>& matches, std::vector<Span>* out) {
    uint32_t done = word.begin;
    for (const Span& match : matches) {
      const uint32_t begin = word.begin + match.begin;
      if (begin > done) out->push_back({done, begin});
      done = word.begin + match.end;
      out->push_back({begin, done});
    }
    if (done < word.end) out->push_back({done, word.end});
  }

  void AppendParts(Span word, const std::vector<Span>& matches, std::vector<Part>* parts) const {
    parts->clear();
    uint32_t done = word.begin;
    for (const Span& match : matches) {
      const uint32_t begin = word.begin + match.begin;
      if (begin > done) parts->push_back({{done, begin}, invert_});
      done = word.begin + match.end;
      parts->push_back({{begin, done}, !invert_});
    }
    if (done < word.end) parts->push_back({{done, word.end}, invert_});
  }

  const std::unique_ptr<Pattern> pattern_;
  const SplitBehavior behavior_;
  const bool invert_;
};

class Metaspace final : public PreTokenizerStep {
 public:
  Metaspace(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme), split_(split) {}

  void Apply(Words* words) const override {
    std::string text;
    std::vector<Span> out;
    text.reserve(words->text.size() * 2);
    for (const Span& word : words->spans) {
      const std::string_view old = words->text.substr(word.begin, word.end - word.begin);
      const uint32_t begin = static_cast<uint32_t>(text.size());
      const bool prepend = scheme_ == PrependScheme::kAlways ||
                           (scheme_ == PrependScheme::kFirst && words->at_start && &word == &words->spans.front());
      if (prepend && !old.starts_with(' ') && !old.starts_with(replacement_)) text.append(replacement_);
      for (const char c : old) {
        if (c == ' ') {
          text.append(replacement_);
        } else {
          text.push_back(c);
        }
      }
      AppendWords(text, begin, &out);
    }
    words->spans = std::move(out);
    words->storage = std::move(text);
    words->text = words->storage;
  }

 private:
  void AppendWords(const std::string& text, uint32_t begin, std::vector<Span>* out) const {
    if (split_) {
      for (size_t cut = text.find(replacement_, begin + 1); cut != std::string::npos;
           cut = text.find(replacement_, cut + 1)) {
        out->push_back({begin, static_cast<uint32_t>(cut)});
        begin = static_cast<uint32_t>(cut);
      }
    }
    if (begin < text.size()) out->push_back({begin, static_cast<uint32_t>(text.size())});
  }

  const std::string replacement_;
  const PrependScheme scheme_;
  const bool split_;
};

class PrefixSpace final : public PreTokenizerStep {
 public:
  void Apply(Words* words) const override {
    std::string text;
    text.reserve(words->text.size() + words->spans.size());
    for (Span& word : words->spans) {
      const std::string_view old = words->text.substr(word.begin, word.end - word.begin);
      const uint32_t begin = static_cast<uint32_t>(text.size());
      if (!old.starts_with(' ')) text.push_back(' ');
      text.append(old);
      word = {begin, static_cast<uint32_t>(text.size())};
    }
    words->storage = std::move(text);
    words->text = words->storage;
  }
};

// Rewrites every word by a function of its text.
template <typename Map>
class MapWords final : public PreTokenizerStep {
 public:
  explicit MapWords(Map map) : map_(map) {}
  void Apply(Words* words) const override {
    std::string text;
    text.reserve(words->text.size());
    for (Span& word : words->spans) {
      const uint32_t begin = static_cast<uint32_t>(text.size());
      text.append(map_(words->text.substr(word.begin, word.end - word.begin)));
      word = {begin, static_cast<uint32_t>(text.size())};
    }
    words->storage = std::move(text);
    words->text = words->storage;
  }

 private:
  const Map map_;
};

template <typename Map>
std::unique_ptr<PreTokenizerStep> MakeMapWords(Map map) {
  return std::make_unique<MapWords<Map>>(map);
}

class MetaspaceCut final : public PreTokenizerStep {
 public:
  void Apply(Words* words) const override {
    std::vector<Span> out;
    out.reserve(words->spans.size() + words->text.size() / 4);
    for (const Span& word : words->spans) {
      uint32_t begin = word.begin;
      const std::string_view text = words->text.substr(0, word.end);
      for (size_t at = text.find(kMetaspace, begin); at != std::string_view::npos; at = text.find(kMetaspace, at)) {
        if (at > begin) {
          out.push_back({begin, static_cast<uint32_t>(at)});
          begin = static_cast<uint32_t>(at);
        }
        while (text.substr(at).starts_with(kMetaspace)) at += kMetaspace.size();
      }
      if (begin < word.end) out.push_back({begin, word.end});
    }
    words->spans = std::move(out);
  }
};

}  // namespace

std::unique_ptr<PreTokenizerStep> SplitStep(std::unique_ptr<Pattern> pattern, SplitBehavior behavior, bool invert) {
  return std::make_unique<Split>(std::move(pattern), behavior, invert);
}

std::unique_ptr<PreTokenizerStep> MetaspaceStep(std::string replacement, PrependScheme scheme, bool split) {
  return std::make_unique<Metaspace>(std::move(replacement), scheme, split);
}

std::unique_ptr<PreTokenizerStep> PrefixSpaceStep() {
  return std::make_unique<PrefixSpace>();
}

std::unique_ptr<PreTokenizerStep> ToByteAlphabetStep() {
  return MakeMapWords(&ByteAlphabet::FromBytes);
}

std::unique_ptr<PreTokenizerStep> FromByteAlphabetStep() {
  return MakeMapWords([](std::string_view text) { return ByteAlphabet::ToBytes(text).value_or(std::string(text)); });
}

std::unique_ptr<PreTokenizerStep> MetaspaceCutStep() {
  return std::make_unique<MetaspaceCut>();
}

}  // namespace millrace
