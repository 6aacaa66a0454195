// The logits and the target of a whole call, read from the caller's arrays and checked.
#pragma once
#include "call.h"
#include "option_values.h"
#include "python_array.h"
#include "threads.h"

#include <nanobind/nanobind.h>

#include <exception>
#include <new>
#include <vector>

namespace softmaxloss {

inline FloatType float_type(Type type) { return FloatType(int(type) - int(Type::f32)); }

// Each function returns false where only the general way can tell what the arguments mean.
class Given {
  public:
    Given(const OptionValues &options, int threads) : options_(options), threads_(threads) {}

  protected:
    PythonArray logits_, target_;
    const OptionValues &options_;
    const int threads_;
    std::int64_t counted_ = 0; // the rows that count, once class indices are read

    bool read_logits(PyObject *object, Call &call);

    // Class indices become the call's labels. Another array in the logits' shape is left in
    // `target_`.
    bool read_target(PyObject *object, Call &call);

    // Whether an array has the shape of the logits, or that without the class axis.
    bool has_logits_shape(const PythonArray &array) const;
    bool has_lead_shape(const PythonArray &array) const;

    // An array in the logits' shape as (outer, classes, inner); false if its axes after the classes
    // are no single axis in memory.
    static bool read_layout(const PythonArray &array, const Call &call, Array &layout);

  private:
    std::int64_t label_; // of one example
    std::vector<char> labels_;

    template <class Label> bool read_labels(Call &call);
    template <class Label> bool check_labels(Call &call);
};

// The result of a function that Python calls, or null with the Python error of its exception.
template <class Work> PyObject *result_of(Work work) {
    if (!prepare_thread())
        return PyErr_NoMemory();
    try {
        return work();
    } catch (nanobind::python_error &error) {
        error.restore();
    } catch (const std::bad_alloc &) {
        PyErr_NoMemory();
    } catch (const std::exception &error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

} // namespace softmaxloss
