// From request fields to what the engine is asked for.
#pragma once

#include "server/fields.h"
#include "server/generation.h"
#include "server/http/exchange.h"

namespace millrace {

// Sampling parameters of any generating endpoint: the fields, else the model's own defaults. Errors begin with the
// field's name.
Result<SamplingParams> ReadSampling(const Service& service, const Fields& fields);

// Everything but the prompts.
Result<GenerationSpec> ReadSpec(const Service& service, const Fields& fields, const HttpRequest& request);

// The same where the format of the output is a member of another field, as text.format; it has its schema beside its
// type.
struct FormatPlace {
  const char* field;
  const char* member;
};
Result<GenerationSpec> ReadSpec(const Service& service, Fields fields, const HttpRequest& request, FormatPlace place);

// kNotFound when the request names another model.
Status CheckModel(const Service& service, const Fields& fields);

}  // namespace millrace
