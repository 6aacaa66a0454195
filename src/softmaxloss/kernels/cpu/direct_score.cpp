#include "direct.h"

#include "dispatch.h"
#include "given.h"
#include "run.h"

namespace softmaxloss {

namespace {

class DirectScore : Given {
    Score call_{};

    // The memory of an array of one number for each row.
    template <class Number> bool read_output(PyObject *object, Type type, Number *&data) const {
        PythonArray array;
        if (!array.read(object, true) || array.type != type || !has_lead_shape(array) ||
            !array.is_contiguous())
            return false;
        data = static_cast<Number *>(array.data);
        return true;
    }

    bool read_scores(PyObject *scores) {
        if (!PyTuple_Check(scores) || PyTuple_GET_SIZE(scores) != 6)
            return false;
        const auto of = [&](int i) { return PyTuple_GET_ITEM(scores, i); };
        const Type real = logits_.type == Type::f64 ? Type::f64 : Type::f32;
        return read_output(of(0), real, call_.loss) &&
               read_output(of(1), real, call_.probability) &&
               read_output(of(2), Type::i64, call_.predicted) &&
               read_output(of(3), Type::i64, call_.rank) &&
               read_output(of(4), real, call_.entropy) && read_output(of(5), real, call_.logsumexp);
    }

  public:
    using Given::Given;

    bool read(PyObject *logits, PyObject *target, PyObject *scores) {
        return options_.usual && read_logits(logits, call_) && read_target(target, call_) &&
               call_.labels && read_scores(scores);
    }

    void run() {
        softmaxloss::run(call_, current_level().score[float_type(logits_.type)], threads_);
    }
};

} // namespace

PyObject *direct_score(PyObject *, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "direct_score: 5 arguments");
        return nullptr;
    }
    return result_of([&]() -> PyObject * {
        const int threads = int(PyLong_AsLong(arguments[4]));
        if (PyErr_Occurred())
            return nullptr;
        const OptionValues options = options_of(arguments[2]);
        DirectScore call(options, threads);
        if (!call.read(arguments[0], arguments[1], arguments[3]))
            return Py_NewRef(Py_False);
        call.run();
        return Py_NewRef(Py_True);
    });
}

} // namespace softmaxloss
