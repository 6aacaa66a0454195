#include "direct.h"

#include "dispatch.h"
#include "given.h"
#include "numbers.h"
#include "run.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <vector>

namespace nb = nanobind;
using std::int64_t;

namespace softmaxloss {

namespace {

class Direct : Given {
    PythonArray weight_, sample_weight_, upstream_, loss_, grad_;
    CrossEntropy call_{};
    Doubles weights_, sample_weights_, factors_;
    std::vector<double> each_sample_weight_;
    std::unique_ptr<double[]> losses_; // not set to 0 first, as a vector would be
    double factor_ = 1, divisor_ = 1;
    std::atomic<bool> unfit_{false};

    int64_t rows() const { return call_.rows(); }
    int64_t classes() const { return call_.classes; }

    bool read_target(PyObject *object) {
        if (!Given::read_target(object, call_))
            return false;
        if (call_.labels) {
            divisor_ = double(counted_);
            return true;
        }
        if (options_.ignore_index >= 0 || !is_float(target_.type) ||
            !read_layout(target_, call_, call_.probabilities))
            return false;
        call_.probabilities_type = float_type(target_.type);
        divisor_ = double(rows());
        return true;
    }

    // Whether the probabilities are finite, not negative, and sum to 1. A sum that is nearly too
    // far from 1 is left to the general way, which adds in another order. Without a gradient, which
    // may be the user's memory, they are checked as they are computed with: see run().
    bool check_probabilities() {
        constexpr double tolerances[] = {1e-4, 1e-6, 0.02, 0.1}; // as labels.SUM_TOLERANCE
        Check check{};
        check.outer = call_.outer;
        check.classes = call_.classes;
        check.inner = call_.inner;
        check.logits = call_.probabilities;
        check.tolerance = options_.several_labels ? std::numeric_limits<double>::infinity()
                                                  : 0.9 * tolerances[call_.probabilities_type];
        if (!call_.grad.data) {
            call_.tolerance = check.tolerance;
            call_.unfit = &unfit_;
            return true;
        }
        return are_fit(check, call_.probabilities_type, threads_);
    }

    bool read_weight(PyObject *object) {
        if (object == Py_None)
            return true;
        if (!weight_.read(object) || weight_.ndim != 1 || weight_.shape[0] != classes())
            return false;
        call_.weight = weights_.read(weight_);
        return call_.weight && are_weights(call_.weight, classes());
    }

    // One weight for each row, or for each of the first axis.
    bool read_sample_weight(PyObject *object) {
        if (object == Py_None)
            return true;
        if (!sample_weight_.read(object))
            return false;
        const bool each_row = has_lead_shape(sample_weight_);
        if (!each_row && (logits_.ndim < 3 || sample_weight_.ndim != 1 ||
                          sample_weight_.shape[0] != logits_.shape[0]))
            return false;
        const double *s = sample_weights_.read(sample_weight_);
        if (!s || !are_weights(s, sample_weight_.size()))
            return false;
        if (!each_row) {
            each_sample_weight_.reserve(std::size_t(rows()));
            for (int64_t i = 0; i < logits_.shape[0]; ++i)
                each_sample_weight_.insert(each_sample_weight_.end(),
                                           std::size_t(rows() / logits_.shape[0]), s[i]);
            s = each_sample_weight_.data();
        }
        call_.sample_weight = s;
        return true;
    }

    // The class of row i, or −1 if it does not count.
    int64_t label(int64_t i) const {
        const auto of = [&](auto type) {
            const auto y = static_cast<const decltype(type) *>(call_.labels)[i];
            return int64_t(y) == call_.ignore_index ? -1 : int64_t(y);
        };
        switch (call_.label_type) {
        case LabelType::i8:
            return of(std::int8_t());
        case LabelType::i16:
            return of(std::int16_t());
        case LabelType::i32:
            return of(std::int32_t());
        case LabelType::i64:
            return of(int64_t());
        case LabelType::u8:
            return of(std::uint8_t());
        case LabelType::u16:
            return of(std::uint16_t());
        case LabelType::u32:
            return of(std::uint32_t());
        default:
            return of(std::uint64_t());
        }
    }

    // False where it is more than a double holds.
    bool find_divisor() {
        if (options_.reduction != Reduction::mean) {
            divisor_ = 1;
        } else if (options_.denominator != 0) {
            divisor_ = options_.denominator;
        } else if (call_.sample_weight && divisor_ == double(rows()) &&
                   !(call_.labels && call_.weight)) { // every row counts
            divisor_ = current_level().sum(call_.sample_weight, rows());
        } else if (call_.sample_weight || (call_.labels && call_.weight)) {
            std::vector<double> counted;
            counted.reserve(std::size_t(rows()));
            for (int64_t i = 0; i < rows(); ++i) {
                double w = call_.sample_weight ? call_.sample_weight[i] : 1;
                if (call_.labels) {
                    const int64_t y = label(i);
                    if (y < 0)
                        continue;
                    w *= call_.weight ? call_.weight[y] : 1;
                }
                counted.push_back(w);
            }
            divisor_ = current_level().sum(counted.data(), int64_t(counted.size()));
        }
        return divisor_ < std::numeric_limits<double>::infinity();
    }

    bool read_upstream(PyObject *object) {
        if (PyFloat_CheckExact(object)) {
            factor_ = PyFloat_AsDouble(object);
        } else {
            if (!upstream_.read(object))
                return false;
            const bool each = upstream_.ndim > 0;
            if (each && (options_.reduction != Reduction::none || !has_lead_shape(upstream_)))
                return false;
            // The gradient of a sum is one number, expanded.
            const bool one = std::all_of(upstream_.strides, upstream_.strides + upstream_.ndim,
                                         [](int64_t stride) { return stride == 0; });
            if (one)
                upstream_.ndim = 0;
            const double *factors = factors_.read(upstream_);
            if (!factors)
                return false;
            if (!one) {
                call_.factor = factors;
                call_.factor_stride = 1;
                return true;
            }
            factor_ = *factors;
        }
        factor_ = divisor_ != 0 ? factor_ / divisor_ : 0;
        call_.factor = &factor_;
        return true;
    }

    bool read_loss(PyObject *object) {
        if (object != Py_None) {
            const bool is_double = logits_.type == Type::f64;
            if (!loss_.read(object, true) || loss_.type != (is_double ? Type::f64 : Type::f32) ||
                !loss_.is_contiguous())
                return false;
            if (options_.reduction == Reduction::none) {
                call_.loss = loss_.data;
                call_.double_loss = is_double;
                return has_lead_shape(loss_);
            }
            if (loss_.ndim != 0)
                return false;
        }
        // A loss that is still to be added up is not rounded to float first.
        losses_.reset(new double[std::size_t(rows())]);
        call_.loss = losses_.get();
        call_.double_loss = true;
        return true;
    }

    bool read_grad(PyObject *object) {
        if (object == Py_None)
            return true;
        if (!grad_.read(object, true) || grad_.type != logits_.type || !has_logits_shape(grad_) ||
            grad_.overlaps_itself() || !read_layout(grad_, call_, call_.grad))
            return false;
        const bool in_place =
            grad_.data == logits_.data &&
            std::equal(grad_.strides, grad_.strides + grad_.ndim, logits_.strides);
        if (!in_place && grad_.overlaps(logits_))
            return false;
        for (const PythonArray *read : {&target_, &weight_, &sample_weight_, &upstream_})
            if (read->data && grad_.overlaps(*read))
                return false;
        call_.stream = !in_place && grad_.size() * bytes_of(grad_.type) > stream_from;
        return true;
    }

  public:
    using Given::Given;

    bool read(PyObject *const *arguments) {
        const auto &[logits, target, weight, sample_weight, options, upstream, loss, grad] =
            *reinterpret_cast<PyObject *const(*)[8]>(arguments);
        const DefaultFloatingPoint scope;
        if (!options_.usual || !read_logits(logits, call_) || !read_target(target) ||
            !read_weight(weight) || !read_sample_weight(sample_weight) || !find_divisor())
            return false;
        call_.label_smoothing = options_.label_smoothing;
        return read_upstream(upstream) && read_loss(loss) && read_grad(grad) &&
               (call_.labels || check_probabilities());
    }

    // None where the probabilities turned out not to be fit.
    PyObject *run() {
        softmaxloss::run(call_, current_level().cross_entropy[float_type(logits_.type)], threads_);
        if (unfit_)
            return Py_NewRef(Py_None);
        if (options_.reduction == Reduction::none)
            return Py_NewRef(Py_True);
        const DefaultFloatingPoint scope;
        const double loss = divisor_ != 0 ? current_level().sum(losses_.get(), rows()) / divisor_
                                          : std::numeric_limits<double>::quiet_NaN();
        const bool is_double = logits_.type == Type::f64;
        if (!loss_.data)
            return numpy_scalar(is_double, is_double ? loss : double(float(loss)));
        if (is_double)
            *static_cast<double *>(loss_.data) = loss;
        else
            *static_cast<float *>(loss_.data) = float(loss);
        return Py_NewRef(Py_True);
    }
};

} // namespace

PyObject *direct(PyObject *, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 9) {
        PyErr_SetString(PyExc_TypeError, "direct: 9 arguments");
        return nullptr;
    }
    return result_of([&]() -> PyObject * {
        const int threads = int(PyLong_AsLong(arguments[8]));
        if (PyErr_Occurred())
            return nullptr;
        const OptionValues options = options_of(arguments[4]);
        Direct call(options, threads);
        return call.read(arguments) ? call.run() : Py_NewRef(Py_None);
    });
}

} // namespace softmaxloss
