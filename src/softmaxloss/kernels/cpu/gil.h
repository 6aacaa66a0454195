// Work without the GIL, and what becomes of a thread whose interpreter ends meanwhile.
#pragma once
#include <Python.h>

#include <chrono>
#include <thread>

namespace softmaxloss {

// Releases the GIL while it lives.
//
// A daemon thread that wants the GIL back after the interpreter has ended does not get it. Until
// Python 3.14 PyEval_RestoreThread then ends the thread, on Linux by unwinding its stack, which
// destructors do not let through: the process would abort. So the thread waits for the end of the
// process, as it does in Python 3.14.
class WithoutGil {
    PyThreadState *state_ = PyEval_SaveThread();

    void take_back() noexcept {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) { // no exception, but the end of the thread
            for (;;)
                std::this_thread::sleep_for(std::chrono::hours(1));
        }
    }

  public:
    WithoutGil() = default;
    ~WithoutGil() { take_back(); }
    WithoutGil(const WithoutGil &) = delete;
    WithoutGil &operator=(const WithoutGil &) = delete;

    // Whether a signal, as of Ctrl-C, raised a Python error. For the thread that made this.
    bool interrupted() {
        take_back();
        const bool raised = PyErr_CheckSignals() != 0;
        state_ = PyEval_SaveThread();
        return raised;
    }
};

} // namespace softmaxloss
