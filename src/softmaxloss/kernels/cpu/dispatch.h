// The choice of the instruction-set level.
#pragma once
#include "call.h"
#include <string>
#include <vector>

namespace softmaxloss {

// The levels of this build that this processor can run, the fastest last.
std::vector<const Level *> supported_levels();

// The level in use: the fastest, or the last one set. use_level returns false for an unknown name.
const Level &current_level();
bool use_level(const std::string &name);

} // namespace softmaxloss
