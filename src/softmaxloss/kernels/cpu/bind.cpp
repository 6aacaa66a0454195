// The Python side of the kernel: from arrays to the plain data of a call. The engines check the
// arguments; only what would access memory out of bounds is checked here again.
#include "dispatch.h"
#include "threads.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <optional>
#include <variant>

namespace nb = nanobind;
using namespace softmaxloss;
using std::int64_t;

namespace {

using In = nb::ndarray<nb::ro, nb::device::cpu>;
using Out = nb::ndarray<nb::device::cpu>;

void require(bool holds, const char *message) {
    if (!holds)
        throw nb::type_error(message);
}

// NumPy and its buffers have no bfloat16: its bits are passed as uint16.
template <class Floats> FloatType float_type(const Floats &array, const char *name) {
    const auto type = array.dtype();
    if (type == nb::dtype<float>())
        return f32;
    if (type == nb::dtype<double>())
        return f64;
    const bool is_float = type.code == uint8_t(nb::dlpack::dtype_code::Float);
    require(type.bits == 16 && (is_float || type == nb::dtype<uint16_t>()), name);
    return is_float ? f16 : bf16;
}

// An array of the shape (outer, classes, inner), as the call has it.
template <class Floats> Array read(const Floats &array, const Call &call, const char *name) {
    require(array.ndim() == 3 && int64_t(array.shape(1)) == call.classes, name);
    const int64_t outer = array.shape(0), inner = array.shape(2);
    void *data = const_cast<void *>(static_cast<const void *>(array.data()));
    if (inner == 1) { // see read_shape
        require(call.outer == 1 && call.inner == outer, name);
        return {data, 0, array.stride(1), array.stride(0)};
    }
    require(call.outer == outer && call.inner == inner, name);
    return {data, array.stride(0), array.stride(1), array.stride(2)};
}

constexpr const char *logits_name =
    "logits: (outer, classes, inner) in float32, float64, float16, or bfloat16 as uint16";

// The shape (outer, classes, 1) is read as (1, classes, outer), which has the same rows.
FloatType read_logits(const In &logits, Call &call) {
    require(logits.ndim() == 3, logits_name);
    const int64_t outer = logits.shape(0), inner = logits.shape(2);
    call.outer = inner == 1 ? 1 : outer;
    call.inner = inner == 1 ? outer : inner;
    call.classes = logits.shape(1);
    call.logits = read(logits, call, logits_name);
    return float_type(logits, logits_name);
}

// Requires a contiguous array of `size` numbers; returns its data.
template <class Array>
auto vector(const Array &array, int64_t size, const nb::dlpack::dtype &type, const char *name) {
    require(array.ndim() == 1 && int64_t(array.shape(0)) == size &&
                (size <= 1 || array.stride(0) == 1) && array.dtype() == type,
            name);
    return array.data();
}

const double *doubles(const In &array, int64_t size, const char *name) {
    return static_cast<const double *>(vector(array, size, nb::dtype<double>(), name));
}

void read_labels(const In &labels, int64_t ignore_index, Call &call) {
    const auto type = labels.dtype();
    const bool is_signed = type.code == uint8_t(nb::dlpack::dtype_code::Int);
    require(is_signed || type.code == uint8_t(nb::dlpack::dtype_code::UInt), "target: integers");
    const int width = type.bits == 8 ? 0 : type.bits == 16 ? 1 : type.bits == 32 ? 2 : 3;
    call.label_type = LabelType(width + int(is_signed ? LabelType::i8 : LabelType::u8));
    call.labels = vector(labels, call.rows(), type, "target: (rows,)");
    call.ignore_index = ignore_index;
}

// Threads share a row of at least so many classes.
constexpr int64_t long_row = 1 << 19;

// A gradient of more bytes is unlikely to be in cache when it is used.
constexpr int64_t stream_from = 16 << 20;

// A call on fewer logits takes some µs, less than handing the GIL to another thread.
constexpr int64_t short_call = 1 << 12;

// Whether every row is contiguous.
bool has_rows(const Call &call) { return call.logits.class_stride == 1 || call.classes <= 1; }

// Runs the call, without the GIL unless it is short. Ctrl-C ends it with KeyboardInterrupt.
template <class Call>
void run(const Call &call, void (*level)(const Call &, int64_t, int64_t, const Team *),
         int threads) {
    const int64_t rows = call.rows();
    if (rows * call.classes < short_call) {
        const DefaultFloatingPoint scope;
        return level(call, 0, rows, nullptr);
    }
    const std::function<bool()> interrupted = [] {
        nb::gil_scoped_acquire acquire;
        return PyErr_CheckSignals() != 0;
    };
    bool done = true;
    {
        nb::gil_scoped_release release;
        if (rows < threads && call.classes >= long_row) {
            SharedRow team(call.classes, threads, interrupted);
            for (int64_t i = 0; i < rows && done; ++i) {
                const DefaultFloatingPoint scope;
                level(call, i, i + 1, &team);
                done = !team.stopped;
            }
        } else {
            // Neighbouring columns share cache lines.
            const int64_t unit = has_rows(call) ? 1 : 64;
            done = parallel_rows(
                rows, call.classes, unit, threads,
                [&](int64_t begin, int64_t end) { level(call, begin, end, nullptr); }, interrupted);
        }
    }
    if (!done)
        throw nb::python_error();
}

void cross_entropy(const In &logits, const In &target, const std::optional<In> &weight,
                   const std::optional<In> &sample_weight, nb::handle options, int64_t ignore_index,
                   const std::variant<double, In> &factor, const Out &loss,
                   const std::optional<Out> &grad, int threads) {
    CrossEntropy call{};
    const FloatType type = read_logits(logits, call);
    if (target.ndim() == 3) {
        constexpr const char *name = "target: the logits' shape, in one of their dtypes";
        call.probabilities = read(target, call, name);
        call.probabilities_type = float_type(target, name);
    } else {
        read_labels(target, ignore_index, call);
    }
    if (weight)
        call.weight = doubles(*weight, call.classes, "weight: (classes,) float64");
    if (sample_weight)
        call.sample_weight = doubles(*sample_weight, call.rows(), "sample_weight: (rows,) float64");
    static PyObject *const label_smoothing = PyUnicode_InternFromString("label_smoothing");
    call.label_smoothing = nb::cast<double>(nb::getattr(options, label_smoothing));
    call.factor = std::get_if<double>(&factor);
    if (!call.factor) {
        call.factor =
            doubles(std::get<In>(factor), call.rows(), "factor: one number or (rows,) float64");
        call.factor_stride = 1;
    }
    call.double_loss = loss.dtype() == nb::dtype<double>();
    call.loss =
        vector(loss, call.rows(), call.double_loss ? nb::dtype<double>() : nb::dtype<float>(),
               "loss: (rows,) in float32 or float64");
    if (grad) {
        require(grad->dtype() == logits.dtype(), "grad: in the logits' dtype");
        call.grad = read(*grad, call, "grad: the logits' shape");
        call.stream = call.grad.data != call.logits.data &&
                      call.rows() * call.classes * int64_t(grad->itemsize()) > stream_from;
    }
    run(call, current_level().cross_entropy[type], threads);
}

bool check(const In &probabilities, double tolerance, int threads) {
    Check call{};
    const FloatType type = read_logits(probabilities, call);
    call.tolerance = tolerance;
    std::atomic<bool> fit{true};
    const auto level = current_level().check[type];
    const auto work = [&](int64_t begin, int64_t end) {
        if (fit && !level(call, begin, end))
            fit = false;
    };
    if (call.rows() * call.classes < short_call) {
        const DefaultFloatingPoint scope;
        work(0, call.rows());
        return fit;
    }
    nb::gil_scoped_release release;
    parallel_rows(call.rows(), call.classes, has_rows(call) ? 1 : 64, threads, work,
                  [] { return false; });
    return fit;
}

// A vector of float or double from Python's buffer protocol, which is faster than an ndarray.
struct Vector {
    Py_buffer view;
    bool held = false;

    bool get(PyObject *object, int flags) {
        held = PyObject_GetBuffer(object, &view, flags | PyBUF_FORMAT | PyBUF_STRIDES) == 0;
        if (!held)
            PyErr_Clear();
        return held && view.ndim == 1 && view.strides[0] == view.itemsize &&
               (view.format[0] == 'f' || view.format[0] == 'd') && view.format[1] == 0 &&
               std::uintptr_t(view.buf) % view.itemsize == 0;
    }
    bool is_apart_from(const Vector &other) const {
        const char *a = static_cast<const char *>(view.buf);
        const char *b = static_cast<const char *>(other.view.buf);
        return a + view.len <= b || b + other.view.len <= a;
    }
    ~Vector() {
        if (held)
            PyBuffer_Release(&view);
    }
};

// See Kernel.one_example. For arguments that it does not handle it returns None, so that the
// general call can report what is wrong with them.
nb::object one_example(nb::handle logits, nb::handle target, nb::handle grad) {
    Vector x, g;
    if (!x.get(logits.ptr(), 0) || x.view.shape[0] >= short_call)
        return nb::none();
    const int64_t label = PyNumber_AsSsize_t(target.ptr(), nullptr); // out of range: clipped
    if (label < 0 || label >= x.view.shape[0]) {
        PyErr_Clear();
        return nb::none();
    }
    CrossEntropy call{};
    if (!grad.is_none()) {
        if (!g.get(grad.ptr(), PyBUF_WRITABLE) || g.view.format[0] != x.view.format[0] ||
            g.view.shape[0] != x.view.shape[0] || (g.view.buf != x.view.buf && !g.is_apart_from(x)))
            return nb::none();
        call.grad = {g.view.buf, 0, 1, x.view.shape[0]};
    }
    const bool is_float = x.view.format[0] == 'f';
    const double factor = 1;
    double loss; // also for float32: the caller rounds it, whatever the floating-point mode
    call.outer = call.inner = 1;
    call.classes = x.view.shape[0];
    call.logits = {x.view.buf, 0, 1, call.classes};
    call.labels = &label;
    call.label_type = LabelType::i64;
    call.ignore_index = -1;
    call.factor = &factor;
    call.double_loss = true;
    call.loss = &loss;
    run(call, current_level().cross_entropy[is_float ? f32 : f64], 1);
    return nb::float_(loss);
}

void score(const In &logits, const In &target, int64_t ignore_index,
           const std::array<Out, 6> &scores, int threads) {
    Score call{};
    const FloatType type = read_logits(logits, call);
    read_labels(target, ignore_index, call);
    const auto output = [&](int i, const nb::dlpack::dtype &of) {
        return vector(scores[i], call.rows(), of,
                      "scores: (rows,), int64 or in the computed dtype");
    };
    const auto real = type == f64 ? nb::dtype<double>() : nb::dtype<float>();
    call.loss = output(0, real);
    call.probability = output(1, real);
    call.predicted = static_cast<int64_t *>(output(2, nb::dtype<int64_t>()));
    call.rank = static_cast<int64_t *>(output(3, nb::dtype<int64_t>()));
    call.entropy = output(4, real);
    call.logsumexp = output(5, real);
    run(call, current_level().score[type], threads);
}

} // namespace

NB_MODULE(_cpu, module) {
    module.def("cross_entropy", cross_entropy, nb::arg("logits"), nb::arg("target"),
               nb::arg("weight").none(), nb::arg("sample_weight").none(), nb::arg("options"),
               nb::arg("ignore_index"), nb::arg("factor"), nb::arg("loss"), nb::arg("grad").none(),
               nb::arg("threads"));
    module.def("one_example", one_example, nb::arg("logits"), nb::arg("target"),
               nb::arg("grad").none());
    module.def("score", score, nb::arg("logits"), nb::arg("target"), nb::arg("ignore_index"),
               nb::arg("scores"), nb::arg("threads"));
    module.def("check", check, nb::arg("probabilities"), nb::arg("tolerance"), nb::arg("threads"));
    module.def("levels", [] {
        std::vector<std::string> names;
        for (const Level *level : supported_levels())
            names.emplace_back(level->name);
        return names;
    });
    module.def("level", [] { return std::string(current_level().name); });
    module.def("use_level", use_level, nb::arg("name"));
}
