// The Python side of the kernel: from arrays to the plain data of a call. The engines check the
// arguments; only what would access memory out of bounds is checked here again.
#include "direct.h"
#include "dispatch.h"
#include "python_array.h"
#include "run.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

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

// Requires that each number lies at a multiple of its size; returns the data.
template <class Array> auto aligned(const Array &array) {
    require(std::uintptr_t(array.data()) % array.itemsize() == 0, "memory: aligned to its numbers");
    return array.data();
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
    void *data = const_cast<void *>(static_cast<const void *>(aligned(array)));
    if (inner == 1) { // see read_logits
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
    return aligned(array);
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

void softcap(const In &logits, double cap, const std::optional<In> &grad, const Out &out,
             int threads) {
    const FloatType type = float_type(logits, logits_name);
    require(type == f32 || type == f64, "logits: float32 or float64");
    const auto size = int64_t(logits.size());
    const auto data = [&](const auto &array) {
        return vector(array, size, logits.dtype(), "(n,), as the logits");
    };
    const Softcap call{data(logits), grad ? data(*grad) : nullptr, data(out), cap};
    run(call, type, size, threads);
}

double sum(const In &values) {
    const auto size = int64_t(values.shape(0));
    return current_level().sum(doubles(values, size, "values: contiguous float64"), size);
}

// Plain CPython, which is called in half the time.
using FastCall = PyObject *(*)(PyObject *, PyObject *const *, Py_ssize_t);
PyMethodDef direct_method(const char *name, FastCall function) {
    const auto any = reinterpret_cast<void (*)()>(function);
    return {name, reinterpret_cast<PyCFunction>(any), METH_FASTCALL, nullptr};
}
PyMethodDef direct_methods[] = {direct_method("direct", direct),
                                direct_method("direct_score", direct_score),
                                {nullptr, nullptr, 0, nullptr}};

} // namespace

// By this name threadpoolctl knows the library from others (see limits.py).
extern "C" __attribute__((visibility("default"))) int softmaxloss_kernel;
int softmaxloss_kernel = 1;

NB_MODULE(_cpu, module) {
    if (!know_numpy() || PyModule_AddFunctions(module.ptr(), direct_methods) != 0)
        throw nb::python_error();
    module.def("know_tensors", [](nb::tuple types, nb::handle capsule) {
        return know_tensors(types.ptr(), capsule.ptr());
    });
    module.def("cross_entropy", cross_entropy, nb::arg("logits"), nb::arg("target"),
               nb::arg("weight").none(), nb::arg("sample_weight").none(), nb::arg("options"),
               nb::arg("ignore_index"), nb::arg("factor"), nb::arg("loss"), nb::arg("grad").none(),
               nb::arg("threads"));
    module.def("score", score, nb::arg("logits"), nb::arg("target"), nb::arg("ignore_index"),
               nb::arg("scores"), nb::arg("threads"));
    module.def("softcap", softcap, nb::arg("logits"), nb::arg("cap"), nb::arg("grad").none(),
               nb::arg("out"), nb::arg("threads"));
    module.def("sum", sum, nb::arg("values"));
    module.def(
        "share_threads",
        [](std::uintptr_t parallel) { share_threads(reinterpret_cast<Parallel>(parallel)); },
        nb::arg("parallel"));
    module.def("levels", [] {
        std::vector<std::string> names;
        for (const Level *level : supported_levels())
            names.emplace_back(level->name);
        return names;
    });
    module.def("level", [] { return std::string(current_level().name); });
    module.def("use_level", use_level, nb::arg("name"));
}
