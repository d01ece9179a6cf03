// What most likely comes next where a grammar leaves little choice.
#pragma once

#include "grammar/machine.h"

namespace millrace::grammar {

// The byte that every way on begins with, escapes of characters that need none passed over, or an optional space or
// line break: models write it. -1 when there is a choice.
int LikelyByte(const Machine& machine, const ConfigSet& now);

}  // namespace millrace::grammar
