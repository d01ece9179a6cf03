// The parts of tokenizer.json around the model, each read into the steps that the pipeline runs.
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "tokenizer/json.h"
#include "tokenizer/pipeline.h"

namespace millrace {

// Appends the steps of a normalizer ("Sequence" is flattened). *byte_level is set when the text becomes GPT-2's byte
// alphabet: models over bytes need no such step.
Status ReadNormalizer(JsonValue json, bool* byte_level, std::vector<std::unique_ptr<NormalizerStep>>* steps);

// The same for a pre-tokenizer.
Status ReadPreTokenizer(JsonValue json, bool* byte_level, std::vector<std::unique_ptr<PreTokenizerStep>>* steps);

// What add_special puts around one sequence.
Status ReadPostProcessor(JsonValue json, TokenizerParts* parts);

// A vocabulary {"token": id}: ids may have gaps, but not more of them than tokens.
Status ReadVocabObject(simdjson::dom::object object, std::vector<VocabEntry>* entries);

// How tokens become text.
struct DecoderInfo {
  bool present = false;  // without a decoder tokens are joined by spaces
  bool byte_level = false;
  bool byte_fallback = false;
  bool word_piece = false;
  bool cleanup = false;
  std::string word_piece_prefix = "##";
  std::vector<std::pair<std::string, std::string>> replacements;
  FirstToken first_token = FirstToken::kSame;
};
Status ReadDecoder(JsonValue json, DecoderInfo* info);

}  // namespace millrace
