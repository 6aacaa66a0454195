// Copies of rows for the loops that read contiguous rows, and the checks of probabilities.
#pragma once
#include "batch.h"
#include "threads.h"

namespace softmaxloss::LEVEL {

// How many rows are copied at a time: whole cache lines of neighbouring rows, where their copies
// stay in cache.
template <class Real> int64_t copied_rows(int64_t classes) {
    constexpr int64_t in_cache = 1 << 20, most = 1 << 21; // bytes
    const int64_t row = classes * int64_t(sizeof(Real)) + 1;
    for (int64_t rows = 2 * batch_rows; rows > line / int64_t(sizeof(Real)); rows /= 2)
        if (rows * row <= in_cache)
            return rows;
    const int64_t rows = line / int64_t(sizeof(Real)), fit = most / row;
    return fit < 1 ? 1 : fit < rows ? fit : rows;
}

// Scratch memory for so many contiguous rows.
template <class Real> Real *block_of(Scratch which, int64_t rows, int64_t classes) {
    const std::size_t numbers = std::size_t(rows * classes + line);
    return static_cast<Real *>(scratch_memory(which, numbers * sizeof(Real)));
}

template <class Real>
void gather_any(FloatType type, const Call &call, const Array &array, int64_t first, int64_t count,
                Real *to) {
    // In the order of FloatType.
    constexpr decltype(&gather<Real, float>) of_type[] = {
        gather<Real, float>, gather<Real, double>, gather<Real, Float16>, gather<Real, BFloat16>};
    of_type[type](call, array, first, count, to);
}

// From probabilities q to b_n = w_n·((1 − ε)·q_n + ε/C), in double. A row with one b ≠ 0 becomes 1
// there, and b a factor of the row, so that it gets the bits of a class index.
template <class Real>
void mix(const CrossEntropy &call, int64_t first, int64_t count, Real *q, double *sample_weight) {
    const int64_t classes = call.classes;
    const double keep = 1 - call.label_smoothing, spread = call.label_smoothing / double(classes);
    const double *weight = call.weight;
    for (int64_t r = 0; r < count; ++r, q += classes) {
        sample_weight[r] = call.sample_weight ? call.sample_weight[first + r] : 1;
        if (!weight && spread == 0)
            continue;
        const auto mixed = [=](int64_t c) INLINE_LAMBDA {
            return fma(keep, double(q[c]), spread) * (weight ? weight[c] : 1);
        };
        std::int32_t nonzero = 0;
        if (weight || spread == 0) // else none is 0
            for (int64_t c = 0; c < classes; ++c)
                nonzero += mixed(c) != 0;
        if (nonzero == 1) {
            int64_t c = 0;
            while (mixed(c) == 0)
                ++c;
            sample_weight[r] *= mixed(c);
            fill(q, classes, Real(0));
            q[c] = 1;
        } else {
            for (int64_t c = 0; c < classes; ++c)
                q[c] = as_real<Real>(mixed(c));
        }
    }
}

// Whether the probabilities of a row are finite, not negative, and sum to 1 within the tolerance.
template <class Storage> bool is_fit(const Storage *q, int64_t classes, double tolerance) {
    using Real = RealOf<Storage>;
    using Int = typename Exp<Real>::Int;
    constexpr int lanes = Exp<Real>::lanes;
    double sums[lanes] = {};
    Int negative[lanes] = {}; // or NaN
    const auto add = [&](const Storage *from) INLINE_LAMBDA {
        for (int l = 0; l < lanes; ++l) {
            const Real own = Real(from[l]);
            sums[l] += own;
            negative[l] |= !(own >= 0);
        }
    };
    int64_t i = 0;
    for (; i + lanes <= classes; i += lanes)
        add(q + i);
    if (i < classes) {
        Storage rest[lanes] = {};
        std::memcpy(static_cast<void *>(rest), q + i, std::size_t(classes - i) * sizeof(Storage));
        add(rest);
    }
    for (int half = lanes / 2; half > 0; half /= 2)
        for (int l = 0; l < half; ++l) {
            sums[l] += sums[l + half];
            negative[l] |= negative[l + half];
        }
    return !negative[0] && sums_to_one(sums[0], tolerance);
}

// The same for `batch_rows` rows, or fewer, that lie in columns.
template <class Storage>
bool are_fit(const View<const Storage> &q, int count, int64_t classes, double tolerance) {
    using Real = RealOf<Storage>;
    Column<double> sums;
    Column<typename Exp<Real>::Int> negative; // or NaN
    for (int r = 0; r < batch_rows; ++r) {
        sums[r] = 0;
        negative[r] = 0;
    }
    for (int64_t c = 0; c < classes; ++c) {
        const Storage *column = q.data + c * q.class_stride;
        for (int r = 0; r < count; r += line / int(sizeof(Storage)))
            __builtin_prefetch(column + columns_ahead * q.class_stride + r, 0, 2);
        const auto add = [&](int rows) INLINE_LAMBDA {
            for (int r = 0; r < rows; ++r) {
                const Real own = Real(column[r]);
                sums[r] += own;
                negative[r] |= !(own >= 0);
            }
        };
        count == batch_rows ? add(batch_rows) : add(count);
    }
    typename Exp<Real>::Int any = 0;
    for (int r = 0; r < batch_rows; ++r)
        any |= negative[r];
    return any == 0 && all_sum_to_one(sums, count, tolerance);
}

} // namespace softmaxloss::LEVEL
