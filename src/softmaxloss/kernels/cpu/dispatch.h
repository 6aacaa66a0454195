// Which instruction-set level runs.
#pragma once
#include "call.h"
#include <string>
#include <vector>

namespace softmaxloss {

// The levels that this build has and this processor can run, the fastest last.
std::vector<const Level *> supported_levels();

// The level in use: the fastest, until use_level names another. False: there is no such level here.
const Level &current_level();
bool use_level(const std::string &name);

} // namespace softmaxloss
