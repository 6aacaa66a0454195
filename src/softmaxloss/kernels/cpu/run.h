// Runs the rows of a call on threads, from Python.
#pragma once
#include "dispatch.h"
#include "gil.h"
#include "threads.h"

#include <nanobind/nanobind.h>

#include <atomic>
#include <functional>

namespace softmaxloss {

// Threads share a row of at least so many classes.
constexpr std::int64_t long_row = 1 << 19;

// A gradient of more bytes is unlikely to be in cache when it is used.
constexpr std::int64_t stream_from = 16 << 20;

// A call on fewer logits takes some µs, less than handing the GIL to another thread.
constexpr std::int64_t short_call = 1 << 12;

// Whether every row is contiguous.
inline bool has_rows(const Call &call) {
    return call.logits.class_stride == 1 || call.classes <= 1;
}

// What a row costs, in logits: probabilities are as many numbers to read again.
inline std::int64_t row_cost(const Call &call) { return call.classes; }
inline std::int64_t row_cost(const CrossEntropy &call) {
    return call.probabilities.data ? 2 * call.classes : call.classes;
}

// Runs the call, without the GIL unless it is short. Ctrl-C ends it with KeyboardInterrupt.
template <class Call>
void run(const Call &call, void (*level)(const Call &, std::int64_t, std::int64_t, const Team *),
         int threads) {
    const std::int64_t rows = call.rows();
    if (rows * call.classes < short_call) {
        const DefaultFloatingPoint scope;
        return level(call, 0, rows, nullptr);
    }
    bool done = true;
    {
        WithoutGil without_gil;
        const std::function<bool()> interrupted = [&] { return without_gil.interrupted(); };
        if (rows < threads && call.classes >= long_row) {
            SharedRow team(call.classes, threads, interrupted);
            for (std::int64_t i = 0; i < rows && done; ++i) {
                const DefaultFloatingPoint scope;
                level(call, i, i + 1, &team);
                done = !team.stopped;
            }
        } else {
            // Neighbouring columns share cache lines.
            const std::int64_t unit = has_rows(call) ? 1 : 64;
            done = parallel_rows(
                rows, row_cost(call), unit, threads,
                [&](std::int64_t begin, std::int64_t end) { level(call, begin, end, nullptr); },
                interrupted);
        }
    }
    if (!done)
        throw nanobind::python_error();
}

// Whether the probabilities of a call are fit, see Check. Without the GIL unless it is short.
inline bool are_fit(const Check &call, FloatType type, int threads) {
    std::atomic<bool> fit{true};
    const auto level = current_level().check[type];
    const auto work = [&](std::int64_t begin, std::int64_t end) {
        if (fit && !level(call, begin, end))
            fit = false;
    };
    if (call.rows() * call.classes < short_call) {
        const DefaultFloatingPoint scope;
        work(0, call.rows());
        return fit;
    }
    const WithoutGil without_gil;
    parallel_rows(call.rows(), call.classes, has_rows(call) ? 1 : 64, threads, work,
                  [] { return false; });
    return fit;
}

// Softcap of so many numbers, or the gradient, without the GIL unless that is short.
inline void run(const Softcap &call, FloatType type, std::int64_t size, int threads) {
    const Level &level = current_level();
    const auto work = (call.grad ? level.softcap_gradient : level.softcap)[type];
    if (size < short_call) {
        const DefaultFloatingPoint scope;
        return work(call, 0, size);
    }
    const WithoutGil without_gil;
    parallel_rows(
        size, 1, 64, threads, [&](std::int64_t begin, std::int64_t end) { work(call, begin, end); },
        [] { return false; });
}

} // namespace softmaxloss
