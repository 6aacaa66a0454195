// Small squares of numbers transposed.
#pragma once
#include "exp.h"

namespace softmaxloss::LEVEL {

template <class Real> constexpr int square = 32 / sizeof(Real);
template <class Real> using Lanes __attribute__((vector_size(32))) = Real;

#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define HAVE_SHUFFLE
#endif
#endif

#ifdef HAVE_SHUFFLE
INLINE void interleave(Lanes<float> a, Lanes<float> b, Lanes<float> &low, Lanes<float> &high) {
    low = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    high = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
INLINE void interleave(Lanes<double> a, Lanes<double> b, Lanes<double> &low, Lanes<double> &high) {
    low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
}

// A square of numbers: `from` row by row, `to` column by column. Interleaving row i with row i +
// n/2 moves one bit of the column number into the row number; after log₂ n times they are
// exchanged.
template <class Real>
INLINE void transpose_square(const Real *from, std::int64_t from_stride, Real *to,
                             std::int64_t to_stride) {
    constexpr int n = square<Real>;
    Lanes<Real> rows[n], next[n];
    for (int i = 0; i < n; ++i)
        std::memcpy(&rows[i], from + i * from_stride, sizeof rows[i]);
    for (int stage = 1; stage < n; stage *= 2) {
        for (int i = 0; i < n / 2; ++i)
            interleave(rows[i], rows[i + n / 2], next[2 * i], next[2 * i + 1]);
        std::memcpy(rows, next, sizeof rows);
    }
    for (int i = 0; i < n; ++i)
        std::memcpy(to + i * to_stride, &rows[i], sizeof rows[i]);
}
#else
template <class Real>
INLINE void transpose_square(const Real *from, std::int64_t from_stride, Real *to,
                             std::int64_t to_stride) {
    constexpr int n = square<Real>;
    Real copy[n][n];
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j)
            copy[j][i] = from[i * from_stride + j];
    for (int i = 0; i < n; ++i)
        std::memcpy(to + i * to_stride, copy[i], sizeof copy[i]);
}
#endif

} // namespace softmaxloss::LEVEL
