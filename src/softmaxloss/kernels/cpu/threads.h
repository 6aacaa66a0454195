// Rows over threads. Threads live for one call: nothing survives it that a fork could break.
#pragma once
#include "call.h"

#include <cfenv>
#include <cstddef>
#include <functional>
#include <vector>

namespace softmaxloss {

// A process may run with subnormals flushed to 0 or with another rounding; the kernel may not. On
// x86-64 only the register that its instructions obey is changed: fesetenv takes as long as a
// small call.
class DefaultFloatingPoint {
#ifdef __SSE2_MATH__
    const unsigned saved_ = __builtin_ia32_stmxcsr();

  public:
    DefaultFloatingPoint() { __builtin_ia32_ldmxcsr(0x1f80); } // the value at reset
    ~DefaultFloatingPoint() { __builtin_ia32_ldmxcsr(saved_); }
#else
    std::fenv_t saved_;

  public:
    DefaultFloatingPoint() {
        std::fegetenv(&saved_);
        std::fesetenv(FE_DFL_ENV);
    }
    ~DefaultFloatingPoint() { std::fesetenv(&saved_); }
#endif
    DefaultFloatingPoint(const DefaultFloatingPoint &) = delete;
    DefaultFloatingPoint &operator=(const DefaultFloatingPoint &) = delete;
};

// scratch_bytes of this thread, for one call at a time, kept until it ends; or null, if the system
// gives none.
void *scratch_memory();

// Calls work(begin, end) over pieces of [0, rows) on up to `threads` threads, this one among them.
// interrupted() is asked on this thread a few times a second; once it says true no new piece
// starts, and false is returned. Each piece is about `row_cost` · its rows units long.
bool parallel_rows(std::int64_t rows, std::int64_t row_cost, int threads,
                   const std::function<void(std::int64_t, std::int64_t)> &work,
                   const std::function<bool()> &interrupted);

// A team for the rows of one call. Its work is undefined once `stopped`, after an interruption.
struct SharedRow : Team {
    SharedRow(std::int64_t classes, int threads, const std::function<bool()> &interrupted);

    mutable bool stopped = false;

  private:
    std::vector<std::max_align_t> memory_;
    int threads_;
    const std::function<bool()> &interrupted_;
};

} // namespace softmaxloss
