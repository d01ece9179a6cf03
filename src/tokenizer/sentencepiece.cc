// tokenizer.model: SentencePiece's ModelProto. Field numbers are those of sentencepiece_model.proto.
#include <algorithm>

#include "tokenizer/load.h"
#include "tokenizer/parts.h"
#include "tokenizer/protobuf.h"
#include "tokenizer/tokenizer_config.h"
#include "tokenizer/unigram.h"

namespace millrace {
namespace {

struct SentencePieceProto {
  std::vector<VocabEntry> entries;
  std::vector<float> scores;
  int64_t model_type = 1;  // 1 unigram, 2 BPE, 3 word, 4 char
  bool byte_fallback = false;
  int64_t unk_id = 0, bos_id = 1, eos_id = 2;
  bool treat_whitespace_as_suffix = false;
  SentencePieceNormalizerOptions normalizer;
};

Status ReadPiece(std::string_view message, SentencePieceProto* proto) {
  if (proto->entries.size() >= kMaxVocabTokens)
    return OutOfRange("tokenizer.model has more than {} pieces", kMaxVocabTokens);
  ProtobufReader reader(message);
  VocabEntry entry;
  float score = 0;
  uint64_t type = 1;
  while (reader.Next()) {
    if (reader.field() == 1) entry.text = reader.bytes();
    if (reader.field() == 2) score = reader.as_float();
    if (reader.field() == 3) type = reader.value();
  }
  if (!reader.ok() || entry.text.empty())
    return DataLoss("piece {} of tokenizer.model is damaged", proto->entries.size());
  static constexpr TokenKind kKinds[] = {TokenKind::kNormal,  TokenKind::kNormal,      TokenKind::kUnknown,
                                         TokenKind::kControl, TokenKind::kUserDefined, TokenKind::kUnused,
                                         TokenKind::kByte};
  entry.kind = kKinds[type < std::size(kKinds) ? type : 1];
  entry.bytes = entry.text;
  proto->entries.push_back(std::move(entry));
  proto->scores.push_back(score);
  return OkStatus();
}

bool ReadTrainerSpec(std::string_view message, SentencePieceProto* proto) {
  ProtobufReader reader(message);
  while (reader.Next()) {
    const int64_t value = static_cast<int64_t>(reader.value());
    switch (reader.field()) {
      case 3:
        proto->model_type = value;
        break;
      case 24:
        proto->treat_whitespace_as_suffix = value != 0;
        break;
      case 35:
        proto->byte_fallback = value != 0;
        break;
      case 40:
        proto->unk_id = value;
        break;
      case 41:
        proto->bos_id = value;
        break;
      case 42:
        proto->eos_id = value;
        break;
      default:
        break;
    }
  }
  return reader.ok();
}

bool ReadNormalizerSpec(std::string_view message, SentencePieceProto* proto) {
  ProtobufReader reader(message);
  while (reader.Next()) {
    switch (reader.field()) {
      case 2:
        proto->normalizer.charsmap = reader.bytes();
        break;
      case 3:
        proto->normalizer.add_dummy_prefix = reader.value() != 0;
        break;
      case 4:
        proto->normalizer.remove_extra_whitespaces = reader.value() != 0;
        break;
      case 5:
        proto->normalizer.escape_whitespaces = reader.value() != 0;
        break;
      default:
        break;
    }
  }
  return reader.ok();
}

Result<SentencePieceProto> ReadProto(std::string_view model) {
  if (model.size() > kMaxTokenFileBytes) {
    return OutOfRange("tokenizer.model has {} bytes, expected at most {}", model.size(), kMaxTokenFileBytes);
  }
  SentencePieceProto proto;
  ProtobufReader reader(model);
  bool ok = true;
  while (ok && reader.Next()) {
    if (reader.field() == 1) RETURN_IF_ERROR(ReadPiece(reader.bytes(), &proto));
    if (reader.field() == 2) ok = ReadTrainerSpec(reader.bytes(), &proto);
    if (reader.field() == 3) ok = ReadNormalizerSpec(reader.bytes(), &proto);
  }
  if (!ok || !reader.ok()) return DataLoss("tokenizer.model is no SentencePiece model, or is cut short");
  if (proto.entries.empty()) return DataLoss("tokenizer.model has no pieces");
  return proto;
}

// Control and user-defined pieces are cut out of the text; the config may add more tokens behind the vocabulary.
Status CollectAdded(const SentencePieceProto& proto, const TokenizerConfig& config, TokenizerParts* parts) {
  for (size_t i = 0; i < proto.entries.size(); ++i) {
    const VocabEntry& entry = proto.entries[i];
    if (entry.kind != TokenKind::kControl && entry.kind != TokenKind::kUserDefined && entry.kind != TokenKind::kUnknown)
      continue;
    AddedToken token;
    token.content = entry.text;
    token.id = static_cast<TokenId>(i);
    token.special = entry.kind != TokenKind::kUserDefined;
    // SentencePiece finds user-defined pieces behind its dummy prefix.
    token.normalized = !token.special;
    parts->added.push_back(std::move(token));
  }
  for (const AddedToken& token : config.added) {
    const bool known = std::any_of(parts->added.begin(), parts->added.end(),
                                   [&token](const AddedToken& other) { return other.content == token.content; });
    if (!known) parts->added.push_back(token);
  }
  return AddToVocabulary(parts->added, &parts->entries);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> LoadSentencePiece(std::string_view model_proto,
                                                     std::string_view tokenizer_config_json) {
  ASSIGN_OR_RETURN(const TokenizerConfig config, ParseTokenizerConfig(tokenizer_config_json));
  ASSIGN_OR_RETURN(SentencePieceProto proto, ReadProto(model_proto));
  if (proto.treat_whitespace_as_suffix) return Unsupported("tokenizer.model treats white space as a suffix");
  if (proto.model_type != 1 && proto.model_type != 2) {
    return Unsupported("tokenizer.model is of type {}, expected 1 (Unigram) or 2 (BPE)", proto.model_type);
  }
  TokenizerParts parts;
  parts.entries = proto.entries;
  RETURN_IF_ERROR(CollectAdded(proto, config, &parts));
  proto.scores.resize(parts.entries.size(), 0.0f);
  const auto valid = [&proto](int64_t id) {
    return id >= 0 && id < static_cast<int64_t>(proto.entries.size()) ? std::optional(static_cast<TokenId>(id))
                                                                      : std::nullopt;
  };
  parts.bos_id = valid(proto.bos_id);
  parts.eos_id = valid(proto.eos_id);
  KeepEndIds(config, &parts);
  MarkEnds(&parts);
  const std::optional<TokenId> unk_id = ClaimUnknown(valid(proto.unk_id), &parts);
  std::array<TokenId, 256> byte_fallback;
  byte_fallback.fill(-1);
  if (proto.byte_fallback) byte_fallback = TakeByteTokens(&parts.entries);
  if (proto.model_type == 2) {
    BpeOptions options;
    options.byte_level = false;
    options.fuse_unk = true;
    options.unk_id = unk_id;
    options.byte_fallback = byte_fallback;
    parts.model = SentencePieceBpe(parts.entries, proto.scores, options);
  } else {
    UnigramOptions options;
    options.unk_id = unk_id;
    options.byte_fallback = byte_fallback;
    parts.model = MakeUnigramModel(parts.entries, {proto.scores.begin(), proto.scores.end()}, options);
  }
  if (proto.normalizer.add_dummy_prefix) {
    parts.first_token =
        proto.normalizer.remove_extra_whitespaces ? FirstToken::kDropLeadingSpaces : FirstToken::kDropOneSpace;
  }
  for (const AddedToken& token : parts.added) {
    if (token.normalized) proto.normalizer.verbatim.push_back(token);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<NormalizerStep> step, SentencePieceStep(std::move(proto.normalizer)));
  parts.normalizers.push_back(std::move(step));
  parts.replaces_each_invalid_byte = true;
  UnescapeMetaspace(&parts.entries);
  if (config.add_bos.value_or(parts.bos_id.has_value()) && parts.bos_id) parts.prefix_ids = {*parts.bos_id};
  if (config.add_eos.value_or(false) && parts.eos_id) parts.suffix_ids = {*parts.eos_id};
  return BuildTokenizer(std::move(parts));
}

}  // namespace millrace
