// Runs the rows of a call on threads, from Python.
#pragma once
#include "call.h"
#include "threads.h"

#include <nanobind/nanobind.h>

#include <functional>

namespace softmaxloss {

// Threads share a row of at least so many classes.
constexpr std::int64_t long_row = 1 << 19;

// A call on fewer logits takes some µs, less than handing the GIL to another thread.
constexpr std::int64_t short_call = 1 << 12;

// A gradient of more bytes is unlikely to be in cache when it is used.
constexpr std::int64_t stream_from = 16 << 20;

// Whether threads can share a row: whether the kernel processes it in chunks.
inline bool in_chunks(const CrossEntropy &call) { return call.labels && call.label_smoothing == 0; }
inline bool in_chunks(const Score &) { return true; }

// Runs the call, without the GIL unless it is short. Ctrl-C ends it with KeyboardInterrupt.
template <class Call>
void run(const Call &call,
         void (*level)(const Call &, std::int64_t, std::int64_t, const Team *), int threads) {
    namespace nb = nanobind;
    if (call.rows * call.classes < short_call) {
        const DefaultFloatingPoint scope;
        return level(call, 0, call.rows, nullptr);
    }
    const std::function<bool()> interrupted = [] {
        nb::gil_scoped_acquire acquire;
        return PyErr_CheckSignals() != 0;
    };
    bool done = true;
    {
        nb::gil_scoped_release release;
        if (call.rows < threads && call.classes >= long_row && in_chunks(call)) {
            SharedRow team(call.classes, threads, interrupted);
            for (std::int64_t i = 0; i < call.rows && done; ++i) {
                const DefaultFloatingPoint scope;
                level(call, i, i + 1, &team);
                done = !team.stopped;
            }
        } else {
            done = parallel_rows(
                call.rows, call.classes, threads,
                [&](std::int64_t begin, std::int64_t end) { level(call, begin, end, nullptr); },
                interrupted);
        }
    }
    if (!done)
        throw nb::python_error();
}

} // namespace softmaxloss
