#include "tokenizer/json_steps.h"

#include "tokenizer/parts.h"
#include "tokenizer/pre_names.h"

namespace millrace {
namespace {

// Parts nest at most as deep as JSON does, so recursion over "Sequence" is bounded by kMaxJsonDepth.
template <typename Read>
Status ForEachIn(JsonValue json, std::string_view key, Read read) {
  const auto member = JsonMember(json, key);
  simdjson::dom::array list;
  if (!member || member->get(list)) return DataLoss("a Sequence in tokenizer.json has no list '{}'", key);
  for (const JsonValue item : list) RETURN_IF_ERROR(read(item));
  return OkStatus();
}

// {"String": text} or {"Regex": expression}, or a plain string.
Result<std::unique_ptr<Pattern>> ReadPattern(JsonValue json) {
  const auto pattern = JsonMember(json, "pattern");
  if (!pattern) return DataLoss("a {} in tokenizer.json has no pattern", JsonType(json));
  std::string_view text;
  if (!pattern->get(text)) return LiteralPattern(text);
  if (const auto regex = JsonMember(*pattern, "Regex"); regex && !regex->get(text)) return CompilePattern(text);
  if (const auto literal = JsonMember(*pattern, "String"); literal && !literal->get(text)) return LiteralPattern(text);
  return DataLoss("a {} in tokenizer.json has a pattern that is neither String nor Regex", JsonType(json));
}

Result<SplitBehavior> ReadBehavior(JsonValue json) {
  const std::string_view name = JsonString(json, "behavior", "Isolated");
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return DataLoss("tokenizer.json has the split behavior '{}'", name);
}

Result<PrependScheme> ReadPrependScheme(JsonValue json) {
  const std::string_view scheme = JsonString(json, "prepend_scheme", "always");
  if (scheme == "never" || !JsonBool(json, "add_prefix_space", true)) return PrependScheme::kNever;
  if (scheme == "always") return PrependScheme::kAlways;
  if (scheme == "first") return PrependScheme::kFirst;
  return DataLoss("tokenizer.json has the prepend_scheme '{}'", scheme);
}

Status ReadPrecompiled(JsonValue json, std::vector<std::unique_ptr<NormalizerStep>>* steps) {
  auto charsmap = DecodeBase64(JsonString(json, "precompiled_charsmap"));
  if (!charsmap) return DataLoss("precompiled_charsmap in tokenizer.json is not base64");
  ASSIGN_OR_RETURN(std::unique_ptr<NormalizerStep> step, PrecompiledStep(*std::move(charsmap)));
  steps->push_back(std::move(step));
  return OkStatus();
}

BertNormalizerOptions ReadBertOptions(JsonValue json) {
  BertNormalizerOptions options;
  options.clean_text = JsonBool(json, "clean_text", true);
  options.handle_chinese_chars = JsonBool(json, "handle_chinese_chars", true);
  options.lowercase = JsonBool(json, "lowercase", true);
  options.strip_accents = JsonBool(json, "strip_accents", options.lowercase);
  return options;
}

Status ReadSplit(JsonValue json, std::vector<std::unique_ptr<PreTokenizerStep>>* steps) {
  ASSIGN_OR_RETURN(std::unique_ptr<Pattern> pattern, ReadPattern(json));
  ASSIGN_OR_RETURN(const SplitBehavior behavior, ReadBehavior(json));
  steps->push_back(SplitStep(std::move(pattern), behavior, JsonBool(json, "invert", false)));
  return OkStatus();
}

Status PushRegexSplit(std::string_view regex, SplitBehavior behavior, bool invert,
                      std::vector<std::unique_ptr<PreTokenizerStep>>* steps) {
  ASSIGN_OR_RETURN(std::unique_ptr<Pattern> pattern, CompilePattern(regex));
  steps->push_back(SplitStep(std::move(pattern), behavior, invert));
  return OkStatus();
}

// "special_tokens": {"[CLS]": {"ids": [101]}}.
Status AppendTemplateIds(JsonValue json, std::string_view name, std::vector<TokenId>* out) {
  const auto table = JsonMember(json, "special_tokens");
  const auto token = table ? JsonMember(*table, name) : std::nullopt;
  const auto ids = token ? JsonMember(*token, "ids") : std::nullopt;
  simdjson::dom::array list;
  if (!ids || ids->get(list)) return DataLoss("the post-processor of tokenizer.json does not define '{}'", name);
  for (const JsonValue value : list) {
    int64_t id = 0;
    if (value.get(id) || id < 0 || id >= static_cast<int64_t>(kMaxVocabTokens)) {
      return DataLoss("the post-processor of tokenizer.json gives '{}' a bad id", name);
    }
    out->push_back(static_cast<TokenId>(id));
  }
  return OkStatus();
}

Status ReadTemplate(JsonValue json, TokenizerParts* parts) {
  bool after_text = false;
  return ForEachIn(json, "single", [&](JsonValue item) -> Status {
    if (JsonMember(item, "Sequence")) {
      if (after_text) return Unsupported("the template of tokenizer.json repeats its sequence");
      after_text = true;
      return OkStatus();
    }
    const auto special = JsonMember(item, "SpecialToken");
    if (!special)
      return DataLoss("the template of tokenizer.json has an item that is neither Sequence nor SpecialToken");
    return AppendTemplateIds(json, JsonString(*special, "id"), after_text ? &parts->suffix_ids : &parts->prefix_ids);
  });
}

// "cls": ["[CLS]", 101].
Status AppendPairId(JsonValue json, std::string_view key, std::vector<TokenId>* out) {
  const auto pair = JsonMember(json, key);
  simdjson::dom::array list;
  int64_t id = -1;
  if (!pair || pair->get(list) || list.at(1).get(id) || id < 0 || id >= static_cast<int64_t>(kMaxVocabTokens)) {
    return DataLoss("the post-processor of tokenizer.json has no token '{}'", key);
  }
  out->push_back(static_cast<TokenId>(id));
  return OkStatus();
}

}  // namespace

Status ReadNormalizer(JsonValue json, bool* byte_level, std::vector<std::unique_ptr<NormalizerStep>>* steps) {
  const std::string_view type = JsonType(json);
  if (type == "Sequence") {
    return ForEachIn(json, "normalizers", [&](JsonValue item) { return ReadNormalizer(item, byte_level, steps); });
  }
  if (type == "Precompiled") return ReadPrecompiled(json, steps);
  if (type == "Replace") {
    ASSIGN_OR_RETURN(std::unique_ptr<Pattern> pattern, ReadPattern(json));
    steps->push_back(ReplaceStep(std::move(pattern), std::string(JsonString(json, "content"))));
    return OkStatus();
  }
  std::unique_ptr<NormalizerStep> step;
  if (type == "NFC") step = NormalFormStep(NormalForm::kNfc);
  if (type == "NFD") step = NormalFormStep(NormalForm::kNfd);
  if (type == "NFKC") step = NormalFormStep(NormalForm::kNfkc);
  if (type == "NFKD") step = NormalFormStep(NormalForm::kNfkd);
  if (type == "Lowercase") step = LowercaseStep();
  if (type == "Strip") step = StripStep(JsonBool(json, "strip_left", true), JsonBool(json, "strip_right", true));
  if (type == "StripAccents") step = StripAccentsStep();
  if (type == "Nmt") step = NmtStep();
  if (type == "Prepend") step = PrependStep(std::string(JsonString(json, "prepend")));
  if (type == "BertNormalizer") step = BertStep(ReadBertOptions(json));
  if (type == "ByteLevel") {
    *byte_level = true;
    return OkStatus();
  }
  if (step == nullptr)
    return Unsupported("tokenizer.json has the normalizer '{}', which this build does not know", type);
  steps->push_back(std::move(step));
  return OkStatus();
}

Status ReadPreTokenizer(JsonValue json, bool* byte_level, std::vector<std::unique_ptr<PreTokenizerStep>>* steps) {
  const std::string_view type = JsonType(json);
  if (type == "Sequence") {
    return ForEachIn(json, "pretokenizers", [&](JsonValue item) { return ReadPreTokenizer(item, byte_level, steps); });
  }
  if (*byte_level) steps->push_back(ToByteAlphabetStep());
  Status status = OkStatus();
  if (type == "ByteLevel") {
    if (JsonBool(json, "add_prefix_space", true)) steps->push_back(PrefixSpaceStep());
    if (JsonBool(json, "use_regex", true)) status = PushRegexSplit(Gpt2Regex(), SplitBehavior::kIsolated, false, steps);
    *byte_level = true;
    return status;
  }
  if (type == "Split") {
    status = ReadSplit(json, steps);
  } else if (type == "Metaspace") {
    ASSIGN_OR_RETURN(const PrependScheme scheme, ReadPrependScheme(json));
    steps->push_back(
        MetaspaceStep(std::string(JsonString(json, "replacement", kMetaspace)), scheme, JsonBool(json, "split", true)));
  } else if (type == "Digits") {
    const bool one_by_one = JsonBool(json, "individual_digits", false);
    steps->push_back(SplitStep(CharacterPattern(kNumber, false),
                               one_by_one ? SplitBehavior::kIsolated : SplitBehavior::kContiguous, false));
  } else if (type == "Punctuation") {
    ASSIGN_OR_RETURN(const SplitBehavior behavior, ReadBehavior(json));
    steps->push_back(SplitStep(CharacterPattern(kPunctuation, true), behavior, false));
  } else if (type == "WhitespaceSplit") {
    steps->push_back(SplitStep(CharacterPattern(kSpace, false), SplitBehavior::kRemoved, false));
  } else if (type == "Whitespace") {
    status = PushRegexSplit("[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}]+|[^\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\s]+",
                            SplitBehavior::kRemoved, true, steps);
  } else if (type == "BertPreTokenizer") {
    AddBertSplits(steps);
  } else if (type == "CharDelimiterSplit") {
    steps->push_back(SplitStep(LiteralPattern(JsonString(json, "delimiter")), SplitBehavior::kRemoved, false));
  } else {
    status = Unsupported("tokenizer.json has the pre-tokenizer '{}', which this build does not know", type);
  }
  if (*byte_level) steps->push_back(FromByteAlphabetStep());
  return status;
}

Status ReadPostProcessor(JsonValue json, TokenizerParts* parts) {
  const std::string_view type = JsonType(json);
  if (type == "Sequence") {
    return ForEachIn(json, "processors", [&](JsonValue item) { return ReadPostProcessor(item, parts); });
  }
  if (type == "ByteLevel") return OkStatus();
  if (type == "TemplateProcessing") return ReadTemplate(json, parts);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    RETURN_IF_ERROR(AppendPairId(json, "cls", &parts->prefix_ids));
    return AppendPairId(json, "sep", &parts->suffix_ids);
  }
  return Unsupported("tokenizer.json has the post-processor '{}', which this build does not know", type);
}

Status ReadDecoder(JsonValue json, DecoderInfo* info) {
  const std::string_view type = JsonType(json);
  info->present = true;
  if (type == "Sequence") {
    return ForEachIn(json, "decoders", [&](JsonValue item) { return ReadDecoder(item, info); });
  }
  if (type == "Fuse") return OkStatus();
  if (type == "ByteLevel") {
    info->byte_level = true;
  } else if (type == "ByteFallback") {
    info->byte_fallback = true;
  } else if (type == "WordPiece") {
    info->word_piece = true;
    info->cleanup = JsonBool(json, "cleanup", true);
    info->word_piece_prefix = JsonString(json, "prefix", "##");
    info->first_token = FirstToken::kText;
  } else if (type == "Metaspace") {
    ASSIGN_OR_RETURN(const PrependScheme scheme, ReadPrependScheme(json));
    info->replacements.emplace_back(JsonString(json, "replacement", kMetaspace), " ");
    if (scheme != PrependScheme::kNever) info->first_token = FirstToken::kDropLeadingSpaces;
  } else if (type == "Replace") {
    const auto pattern = JsonMember(json, "pattern");
    const std::string_view from = pattern ? JsonString(*pattern, "String") : std::string_view();
    if (from.empty()) return Unsupported("tokenizer.json has a Replace decoder with a pattern that is no String");
    info->replacements.emplace_back(from, JsonString(json, "content"));
  } else if (type == "Strip") {
    const bool one_space = JsonString(json, "content") == " " && JsonInt(json, "start").value_or(0) == 1 &&
                           JsonInt(json, "stop").value_or(0) == 0;
    if (!one_space) return Unsupported("tokenizer.json has a Strip decoder that does not strip one leading space");
    info->first_token = FirstToken::kDropOneSpace;
  } else {
    return Unsupported("tokenizer.json has the decoder '{}', which this build does not know", type);
  }
  return OkStatus();
}

}  // namespace millrace
