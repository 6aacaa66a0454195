// Distributes rows over threads. They are those of OpenMP, where `share_threads` was given its
// entry: a second pool of threads would compete with the first, whose threads stay awake for a
// while. Else threads live for one call, so that a later fork breaks nothing.
#pragma once
#include "call.h"

#include <cfenv>
#include <cstddef>
#include <functional>
#include <vector>

namespace softmaxloss {

// Sets the default floating-point mode: a process may flush subnormals to 0 or round in another
// direction. On x86-64 this sets one register, since fesetenv takes as long as a small call.
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

// GOMP_parallel of the OpenMP runtimes: calls work(data) on `threads` threads, this one included.
using Parallel = void (*)(void (*work)(void *), void *data, unsigned threads, unsigned flags);

// From now on use these threads; in a child process, whose copy of the pool has none, do not.
void share_threads(Parallel parallel);

// Sets up what this thread needs to compute, and to throw; false where there is no memory for that.
bool prepare_thread() noexcept;

// At least `bytes` of memory for this thread, with the content that it had. It is freed when the
// thread ends.
void *scratch_memory(Scratch which, std::size_t bytes);

// Calls work(begin, end) for ranges that cover [0, rows), on up to `threads` threads, this one
// included. Calls interrupted() on this thread a few times per second; once it returns true, no
// further range is started, and the result is false. row_cost is the number of logits in a row.
// Ranges begin at multiples of `unit` rows.
bool parallel_rows(std::int64_t rows, std::int64_t row_cost, std::int64_t unit, int threads,
                   const std::function<void(std::int64_t, std::int64_t)> &work,
                   const std::function<bool()> &interrupted);

// A team for the rows of one call. Results are undefined once `stopped`, after an interruption.
struct SharedRow : Team {
    SharedRow(std::int64_t classes, int threads, const std::function<bool()> &interrupted);

    mutable bool stopped = false;

  private:
    std::vector<std::max_align_t> memory_;
    int threads_;
    const std::function<bool()> &interrupted_;
};

} // namespace softmaxloss
