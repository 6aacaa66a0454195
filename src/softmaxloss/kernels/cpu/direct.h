// Whole calls on the caller's arrays as they are: their checks, the losses, the gradient, the
// reduction; or the scores.
#pragma once
#include <Python.h>

namespace softmaxloss {

// See Kernel.direct.
PyObject *direct(PyObject *module, PyObject *const *arguments, Py_ssize_t count);

// See Kernel.direct_score.
PyObject *direct_score(PyObject *module, PyObject *const *arguments, Py_ssize_t count);

} // namespace softmaxloss
