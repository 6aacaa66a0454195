// Rows to columns and back: (tile_rows, classes) in memory, (classes, tile_rows) in a tile.
#pragma once
#include "half.h"

namespace softmaxloss::LEVEL {

constexpr int tile_rows = 32;
template <class T> using Column = T[tile_rows]; // one number of each row

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
#endif

template <class Storage, class Real = RealOf<Storage>>
inline void read_rows(const Storage *rows, std::int64_t stride, int classes, Column<Real> *x) {
    int done = 0;
#ifdef HAVE_SHUFFLE
    if constexpr (std::is_same_v<Real, Storage>)
        for (; done + square<Real> <= classes; done += square<Real>)
            for (int r = 0; r < tile_rows; r += square<Real>)
                transpose_square(rows + r * stride + done, stride, &x[done][r], tile_rows);
#endif
    for (int r = 0; r < tile_rows; ++r)
        for (int c = done; c < classes; ++c)
            x[c][r] = Real(rows[r * stride + c]);
}

template <class Storage, class Real = RealOf<Storage>>
inline void write_rows(const Column<Real> *x, int classes, Storage *rows, std::int64_t stride) {
    int done = 0;
#ifdef HAVE_SHUFFLE
    if constexpr (std::is_same_v<Real, Storage>)
        for (; done + square<Real> <= classes; done += square<Real>)
            for (int r = 0; r < tile_rows; r += square<Real>)
                transpose_square(&x[done][r], tile_rows, rows + r * stride + done, stride);
#endif
    for (int r = 0; r < tile_rows; ++r)
        for (int c = done; c < classes; ++c)
            rows[r * stride + c] = rounded_to<Storage>(x[c][r]);
}

} // namespace softmaxloss::LEVEL
