// The options of a call, read from Python.
#pragma once
#include "python_array.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <string>
#include <utility>

namespace softmaxloss {

enum class Reduction { mean, sum, none };

// The fields of softmaxloss.options.Options.
struct OptionValues {
    Reduction reduction;
    std::int64_t ignore_index;
    double label_smoothing;
    double denominator; // 0: None
    bool several_labels;
    bool usual; // whether direct() handles them
};

inline OptionValues read_options(PyObject *object) {
    const nanobind::handle options(object);
    const auto is = [&](const char *name, const char *word) {
        return nanobind::cast<std::string>(options.attr(name)) == word;
    };
    OptionValues values{};
    values.reduction = is("reduction", "mean")  ? Reduction::mean
                       : is("reduction", "sum") ? Reduction::sum
                                                : Reduction::none;
    values.label_smoothing = nanobind::cast<double>(options.attr("label_smoothing"));
    const nanobind::object denominator = options.attr("denominator");
    values.denominator = denominator.is_none() ? 0 : nanobind::cast<double>(denominator);
    values.several_labels = is("multi_label", "sum");
    values.usual =
        read_integer(nanobind::object(options.attr("ignore_index")).ptr(), values.ignore_index) &&
        nanobind::cast<int>(options.attr("first_class")) == 0 && !is("multi_label", "mean");
    return values;
}

// The options of the last call, which are often those of the next, are kept. They are immutable.
inline OptionValues options_of(PyObject *object) {
    static nanobind::ft_mutex mutex; // for Python without the GIL; nothing otherwise
    static PyObject *last = nullptr;
    static OptionValues kept;
    {
        const nanobind::ft_lock_guard guard(mutex);
        if (object == last)
            return kept;
    }
    const OptionValues values = read_options(object);
    PyObject *other = Py_NewRef(object);
    {
        const nanobind::ft_lock_guard guard(mutex);
        std::swap(last, other);
        kept = values;
    }
    Py_XDECREF(other);
    return values;
}

} // namespace softmaxloss
