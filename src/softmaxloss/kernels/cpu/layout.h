// Rows of logits as they lie in memory, and their copies into contiguous rows.
//
// The loops over long rows read contiguous rows. Rows of any other layout are copied, a block of
// them at a time, into scratch memory that stays in cache. Where neighbouring rows are neighbours
// in memory, as in (N, C, H, W), whole cache lines are transposed.
#pragma once
#include "call.h"
#include "memory.h"
#include "transpose.h"

namespace softmaxloss::LEVEL {

// Numbers of several rows: that of row r and class c is data[r·row_stride + c·class_stride].
template <class T> struct View {
    T *data;
    int64_t row_stride, class_stride;

    INLINE T *row(int64_t r) const { return data + r * row_stride; }
};

// The rows of an array from row i on: up to the next value of `outer`, or all if it is in rows.
template <class T> View<T> view(const Call &call, const Array &array, int64_t i) {
    T *data = static_cast<T *>(array.data);
    if (data)
        data += i / call.inner * array.outer_stride + i % call.inner * array.inner_stride;
    return {data, array.inner_stride, array.class_stride};
}

// Whether all rows are contiguous, at one distance from each other.
inline bool in_rows(const Call &call, const Array &array) {
    return (array.class_stride == 1 || call.classes <= 1) &&
           (call.outer == 1 || array.outer_stride == call.inner * array.inner_stride);
}

// Whether neighbouring rows are neighbours in memory, and not too few.
inline bool in_columns(const Call &call, const Array &array) {
    return array.inner_stride == 1 && call.inner >= batch_rows / 2;
}

// Calls on_run(i, outer, inner, count) for each run of rows in [first, first + count) that have one
// value of `outer`; i counts from 0, `inner` is the first of the run.
template <class OnRun>
inline void for_each_run(const Call &call, int64_t first, int64_t count, OnRun on_run) {
    for (int64_t i = 0; i < count;) {
        const int64_t outer = (first + i) / call.inner, inner = (first + i) % call.inner;
        const int64_t left = call.inner - inner, run = left < count - i ? left : count - i;
        on_run(i, outer, inner, run);
        i += run;
    }
}

// Calls on_part(first) for parts of `size` that cover [0, count); the last overlaps the one before.
// Requires count ≥ size.
template <class OnPart> INLINE void for_each_part(int64_t count, int64_t size, OnPart on_part) {
    for (int64_t i = 0; i + size < count; i += size)
        on_part(i);
    on_part(count - size);
}

// A double becomes the nearest float, but not 0: a class with a coefficient keeps one.
template <class Real, class Storage> INLINE Real as_real(Storage x) {
    const Real nearest = Real(x);
    if constexpr (sizeof(Real) < sizeof(Storage))
        return nearest == 0 && x != 0 ? std::numeric_limits<Real>::denorm_min() : nearest;
    return nearest;
}

template <class Real, class Storage> INLINE Vector<Real> load_as(const Storage *from) {
    if constexpr (std::is_same_v<Real, Storage>) {
        return load<Vector<Real>>(from);
    } else {
        Real numbers[width<Real>];
        for (int i = 0; i < width<Real>; ++i)
            numbers[i] = as_real<Real>(from[i]);
        return load<Vector<Real>>(numbers);
    }
}

template <class Storage, class Real>
INLINE void store_as(Vector<Real> numbers, Storage *to, bool stream) {
    if constexpr (std::is_same_v<Real, Storage>) {
        if (stream && reinterpret_cast<std::uintptr_t>(to) % register_bytes == 0)
            stream_lines(&numbers, to, register_bytes);
        else
            store(numbers, to);
    } else {
        for (int i = 0; i < width<Real>; ++i)
            to[i] = rounded_to<Storage>(numbers[i]);
    }
}

// Whether a run of rows is copied by registers, each with one class of neighbouring rows.
template <class Real> bool by_columns(const Call &call, const Array &array, int64_t rows) {
    return array.inner_stride == 1 && rows >= width<Real> && call.classes >= strip<Real>;
}

// So many classes are prefetched: few, because at some distances they share a set of the cache.
constexpr int64_t classes_ahead = 8;

// Where they are read once, as far as memory takes to answer, into the second-level cache.
constexpr int columns_ahead = 40;

// Copies rows [first, first + count) to contiguous rows.
template <class Real, class Storage>
void gather(const Call &call, const Array &array, int64_t first, int64_t count, Real *to) {
    const int64_t classes = call.classes, step = array.class_stride;
    for_each_run(call, first, count, [&](int64_t i, int64_t outer, int64_t inner, int64_t rows) {
        const Storage *from = static_cast<const Storage *>(array.data) +
                              outer * array.outer_stride + inner * array.inner_stride;
        Real *out = to + i * classes;
        if (by_columns<Real>(call, array, rows))
            return for_each_part(classes, strip<Real>, [&](int64_t c) INLINE_LAMBDA {
                for_each_part(rows, width<Real>, [&](int64_t r) INLINE_LAMBDA {
                    // Processors do not foresee reads that are so far apart.
                    for (int j = 0; j < strip<Real>; ++j)
                        if (c + j + classes_ahead < classes)
                            __builtin_prefetch(from + (c + j + classes_ahead) * step + r);
                    Vector<Real> columns[strip<Real>];
                    for (int j = 0; j < strip<Real>; ++j)
                        columns[j] = load_as<Real>(from + (c + j) * step + r);
                    write_columns(columns, out + r * classes + c, classes);
                });
            });
        for (int64_t r = 0; r < rows; ++r) {
            const Storage *x = from + r * array.inner_stride;
            if (step == 1)
                for (int64_t c = 0; c < classes; ++c)
                    out[r * classes + c] = as_real<Real>(x[c]);
            else
                for (int64_t c = 0; c < classes; ++c)
                    out[r * classes + c] = as_real<Real>(x[c * step]);
        }
    });
}

// Copies contiguous rows to rows [first, first + count).
template <class Storage, class Real>
void scatter(const Call &call, const Array &array, int64_t first, int64_t count, bool stream,
             const Real *from) {
    const int64_t classes = call.classes, step = array.class_stride;
    for_each_run(call, first, count, [&](int64_t i, int64_t outer, int64_t inner, int64_t rows) {
        Storage *to = static_cast<Storage *>(array.data) + outer * array.outer_stride +
                      inner * array.inner_stride;
        const Real *x = from + i * classes;
        if (by_columns<Real>(call, array, rows))
            return for_each_part(classes, strip<Real>, [&](int64_t c) INLINE_LAMBDA {
                for_each_part(rows, width<Real>, [&](int64_t r) INLINE_LAMBDA {
                    Vector<Real> columns[strip<Real>];
                    read_columns(x + r * classes + c, classes, columns);
                    for (int j = 0; j < strip<Real>; ++j)
                        store_as<Storage, Real>(columns[j], to + (c + j) * step + r, stream);
                });
            });
        for (int64_t r = 0; r < rows; ++r) {
            Storage *row = to + r * array.inner_stride;
            for (int64_t c = 0; c < classes; ++c)
                row[c * step] = rounded_to<Storage>(x[r * classes + c]);
        }
    });
#if defined(__SSE2__)
    if (stream)
        __builtin_ia32_sfence();
#endif
}

} // namespace softmaxloss::LEVEL
