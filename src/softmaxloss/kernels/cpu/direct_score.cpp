#include "direct.h"

#include "dispatch.h"
#include "given.h"
#include "run.h"

#include <algorithm>

namespace nb = nanobind;

namespace softmaxloss {

namespace {

class DirectScore : Given {
    Score call_{};
    nb::object scores_; // a tuple of arrays

    void make_scores() {
        const bool one = logits_.ndim == 1;
        std::int64_t shape[most_axes] = {logits_.shape[0]};
        std::copy(logits_.shape + 2, logits_.shape + std::max(2, logits_.ndim), shape + 1);
        scores_ = nb::steal(PyTuple_New(6));
        const auto make = [&](int i, Type type) {
            void *data;
            PyObject *const array = new_numpy(type, one ? 0 : logits_.ndim - 1, shape, data);
            if (!array || !scores_)
                throw nb::python_error();
            PyTuple_SetItem(scores_.ptr(), i, array);
            return data;
        };
        const Type real = logits_.type == Type::f64 ? Type::f64 : Type::f32;
        call_.loss = make(0, real);
        call_.probability = make(1, real);
        call_.predicted = static_cast<std::int64_t *>(make(2, Type::i64));
        call_.rank = static_cast<std::int64_t *>(make(3, Type::i64));
        call_.entropy = make(4, real);
        call_.logsumexp = make(5, real);
    }

  public:
    using Given::Given;

    bool read(PyObject *logits, PyObject *target) {
        return options_.usual && read_logits(logits, call_) && read_target(target, call_) &&
               call_.labels;
    }

    PyObject *run() {
        make_scores();
        softmaxloss::run(call_, current_level().score[float_type(logits_.type)], threads_);
        return scores_.release().ptr();
    }
};

} // namespace

PyObject *direct_score(PyObject *, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 4) {
        PyErr_SetString(PyExc_TypeError, "direct_score: 4 arguments");
        return nullptr;
    }
    return result_of([&]() -> PyObject * {
        const int threads = int(PyLong_AsLong(arguments[3]));
        if (PyErr_Occurred())
            return nullptr;
        const OptionValues options = options_of(arguments[2]);
        DirectScore call(options, threads);
        return call.read(arguments[0], arguments[1]) ? call.run() : Py_NewRef(Py_None);
    });
}

} // namespace softmaxloss
