// From request fields to what the engine is asked for.
#pragma once

#include "server/fields.h"
#include "server/generation.h"
#include "server/http/exchange.h"

namespace millrace {

// Sampling parameters of any generating endpoint: the fields, else the model's own defaults. Errors begin with the field's name.
Result<SamplingParams> ReadSampling(const Service& service, const Fields& fields);

// Everything but the prompts.
Result<GenerationSpec> ReadSpec(const Service& service, const Fields& fields, const HttpRequest& request);

// kNotFound when the request names another model.
Status CheckModel(const Service& service, const Fields& fields);

}  // namespace millrace
