// Weights and losses as doubles: copies in C order, checks.
#pragma once
#include "python_array.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

namespace softmaxloss {

inline bool are_weights(const double *x, std::int64_t n) {
    bool good = true;
    for (std::int64_t i = 0; i < n; ++i)
        good &= (x[i] >= 0) & (x[i] < std::numeric_limits<double>::infinity());
    return good;
}

// Copies the numbers of an array in C order, from its axis `axis` on; returns the end.
template <class From, class To>
To *copy(const PythonArray &array, int axis, const From *from, To *to) {
    if (axis == array.ndim) {
        *to = To(*from);
        return to + 1;
    }
    const std::int64_t size = array.shape[axis], step = array.strides[axis];
    if (axis + 1 == array.ndim) {
        for (std::int64_t i = 0; i < size; ++i)
            to[i] = To(from[i * step]);
        return to + size;
    }
    for (std::int64_t i = 0; i < size; ++i)
        to = copy(array, axis + 1, from + i * step, to);
    return to;
}

// Numbers in C order: those of an array where they lie, or a copy.
template <class Number> class InOrder {
    std::vector<Number> copy_;

  public:
    template <class From> const Number *read(const PythonArray &array) {
        if (std::is_same_v<From, Number> && array.is_contiguous())
            return static_cast<const Number *>(array.data);
        copy_.resize(std::size_t(array.size()));
        copy(array, 0, static_cast<const From *>(array.data), copy_.data());
        return copy_.data();
    }
};

class Doubles : InOrder<double> {
  public:
    // Null for another type than float or double.
    const double *read(const PythonArray &array) {
        return array.type == Type::f64   ? InOrder::read<double>(array)
               : array.type == Type::f32 ? InOrder::read<float>(array)
                                         : nullptr;
    }
};

} // namespace softmaxloss
