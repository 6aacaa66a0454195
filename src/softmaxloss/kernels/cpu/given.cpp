#include "given.h"

#include "gil.h"
#include "numbers.h"
#include "threads.h"

#include <algorithm>
#include <atomic>

using std::int64_t;

namespace softmaxloss {

// So many labels are checked by several threads, without the GIL.
constexpr int64_t many_labels = 1 << 18;

bool Given::has_logits_shape(const PythonArray &array) const {
    return array.ndim == logits_.ndim &&
           std::equal(array.shape, array.shape + array.ndim, logits_.shape);
}

bool Given::has_lead_shape(const PythonArray &array) const {
    const int axes = logits_.ndim - 1;
    return array.ndim == axes &&
           (axes == 0 || (array.shape[0] == logits_.shape[0] &&
                          std::equal(array.shape + 1, array.shape + axes, logits_.shape + 2)));
}

// (N, C) is (1, C, N), see the general binding.
bool Given::read_layout(const PythonArray &array, const Call &call, Array &layout) {
    const bool one = array.ndim == 1;
    layout = {array.data, 0, array.strides[one ? 0 : 1], one ? 0 : array.strides[0]};
    if (call.outer == 1 && call.inner == (one ? 1 : array.shape[0]))
        return true;
    layout.outer_stride = array.strides[0];
    int64_t extent = 0; // of the axes so far, from the last one on
    for (int i = array.ndim - 1; i > 1; --i) {
        const int64_t size = array.shape[i], step = array.strides[i];
        if (size == 1)
            continue;
        if (extent == 0)
            layout.inner_stride = step;
        else if (step != extent)
            return false;
        extent = step * size;
    }
    return true;
}

bool Given::read_logits(PyObject *object, Call &call) {
    if (!logits_.read(object) || !is_float(logits_.type) || logits_.ndim == 0 ||
        logits_.size() == 0)
        return false;
    const int axis = logits_.ndim > 1 ? 1 : 0; // of the classes
    call.classes = logits_.shape[axis];
    call.outer = axis ? logits_.shape[0] : 1;
    call.inner = logits_.size() / (call.outer * call.classes);
    if (call.inner == 1)
        std::swap(call.outer, call.inner);
    return read_layout(logits_, call, call.logits);
}

bool Given::read_target(PyObject *object, Call &call) {
    call.ignore_index = -1;
    if (logits_.ndim == 1 && read_integer(object, label_)) {
        call.labels = &label_;
        call.label_type = LabelType::i64;
        return check_labels<int64_t>(call);
    }
    if (!target_.read(object))
        return false;
    if (!has_lead_shape(target_) || !is_integer(target_.type))
        return has_logits_shape(target_);
    call.label_type = LabelType(target_.type);
    switch (target_.type) {
    case Type::i8:
        return read_labels<std::int8_t>(call);
    case Type::i16:
        return read_labels<std::int16_t>(call);
    case Type::i32:
        return read_labels<std::int32_t>(call);
    case Type::i64:
        return read_labels<int64_t>(call);
    case Type::u8:
        return read_labels<std::uint8_t>(call);
    case Type::u16:
        return read_labels<std::uint16_t>(call);
    case Type::u32:
        return read_labels<std::uint32_t>(call);
    default:
        return read_labels<std::uint64_t>(call);
    }
}

template <class Label> bool Given::read_labels(Call &call) {
    call.labels = target_.data;
    if (!target_.is_contiguous()) {
        labels_.resize(std::size_t(call.rows()) * sizeof(Label));
        auto *to = reinterpret_cast<Label *>(labels_.data());
        copy(target_, 0, static_cast<const Label *>(target_.data), to);
        call.labels = to;
    }
    return check_labels<Label>(call);
}

// Whether each label is a class or ignored; counts those that are classes.
template <class Label> bool Given::check_labels(Call &call) {
    const auto *y = static_cast<const Label *>(call.labels);
    // Compared as unsigned, a negative label is beyond every class.
    const auto end = std::uint64_t(call.classes);
    const auto ignored = Label(options_.ignore_index);
    const bool may_ignore =
        int64_t(ignored) == options_.ignore_index && (ignored < 0) == (options_.ignore_index < 0);
    std::atomic<int64_t> classes_found{0}, ignored_found{0};
    const auto count = [&](int64_t first, int64_t last) {
        int64_t in_classes = 0, in_ignored = 0;
        for (int64_t i = first; i < last; ++i)
            in_classes += std::uint64_t(y[i]) < end;
        // Ignored labels may be classes as well.
        if (may_ignore && (in_classes < last - first || std::uint64_t(ignored) < end))
            for (int64_t i = first; i < last; ++i) {
                in_ignored += y[i] == ignored;
                in_classes -= (y[i] == ignored) & (std::uint64_t(y[i]) < end);
            }
        classes_found += in_classes;
        ignored_found += in_ignored;
    };
    if (call.rows() < many_labels) {
        count(0, call.rows());
    } else {
        const WithoutGil without_gil;
        parallel_rows(call.rows(), 1, 1, threads_, count, [] { return false; });
    }
    if (ignored_found > 0)
        call.ignore_index = options_.ignore_index;
    counted_ = classes_found;
    return classes_found + ignored_found == call.rows();
}

} // namespace softmaxloss
