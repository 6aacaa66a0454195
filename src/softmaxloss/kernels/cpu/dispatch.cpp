#include "dispatch.h"

#include <atomic>

namespace softmaxloss {

namespace baseline {
extern const Level level;
}
#ifdef HAVE_X86_LEVELS
namespace avx2 {
extern const Level level;
}
namespace avx512 {
extern const Level level;
}
#endif

std::vector<const Level *> supported_levels() {
    std::vector<const Level *> levels{&baseline::level};
#ifdef HAVE_X86_LEVELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        levels.push_back(&avx2::level);
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
            levels.push_back(&avx512::level);
    }
#endif
    return levels;
}

static std::atomic<const Level *> &chosen() {
    static std::atomic<const Level *> level{supported_levels().back()};
    return level;
}

const Level &current_level() { return *chosen(); }

bool use_level(const std::string &name) {
    for (const Level *level : supported_levels())
        if (name == level->name) {
            chosen() = level;
            return true;
        }
    return false;
}

} // namespace softmaxloss
