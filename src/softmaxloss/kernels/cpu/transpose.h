// From rows to registers, one per column, and back.
#pragma once
#include "exp.h"

#include <utility>

namespace softmaxloss::LEVEL {

// The number of columns transposed together: 16 bytes per row, the part of a register within which
// its shuffles move numbers.
template <class Real> constexpr int strip = 16 / int(sizeof(Real));
// The number of rows transposed together: one for each number of a register.
template <class Real> constexpr int width = register_bytes / int(sizeof(Real));

#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define HAVE_SHUFFLE
#endif
#endif

#ifdef HAVE_SHUFFLE
// Alternates numbers of a and b: those in the low half of each 16 bytes, and those in the high
// half.
template <class V, int... i>
INLINE void interleave(V a, V b, V &low, V &high, std::integer_sequence<int, i...>) {
    constexpr int n = sizeof...(i), part = 16 / int(sizeof a[0]);
    low = __builtin_shufflevector(a, b, (i / part * part + i % part / 2 + i % 2 * n)...);
    high = __builtin_shufflevector(a, b, (i / part * part + (i % part + part) / 2 + i % 2 * n)...);
}

template <class Low, int... i>
INLINE auto joined(Low low, Low high, std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(low, high, i...);
}

// Joins `parts` times 16 bytes that are `stride` numbers apart.
template <int parts, class Real> INLINE auto gather(const Real *from, std::int64_t stride) {
    if constexpr (parts == 1) {
        typename VectorOf<Real, 16>::type part;
        std::memcpy(&part, from, sizeof part);
        return part;
    } else {
        constexpr int half = parts / 2;
        return joined(gather<half>(from, stride), gather<half>(from + half * stride, stride),
                      std::make_integer_sequence<int, parts * strip<Real>>());
    }
}

// Interleaving register i with i + n/2 moves one bit of the column number into the row number.
// After log₂ n stages they are exchanged.
template <class Real> INLINE void transpose_parts(Vector<Real> *registers) {
    constexpr int n = strip<Real>;
    for (int stage = 1; stage < n; stage *= 2) {
        Vector<Real> next[n];
        for (int i = 0; i < n / 2; ++i)
            interleave(registers[i], registers[i + n / 2], next[2 * i], next[2 * i + 1],
                       std::make_integer_sequence<int, width<Real>>());
        for (int i = 0; i < n; ++i)
            registers[i] = next[i];
    }
}

// A strip of columns of `width` rows.
template <class Real>
INLINE void read_columns(const Real *from, std::int64_t stride, Vector<Real> *columns) {
    constexpr int n = strip<Real>;
    for (int i = 0; i < n; ++i)
        columns[i] = gather<width<Real> / n>(from + i * stride, n * stride);
    transpose_parts<Real>(columns);
}

// Row by row: where a strip is wider than the rows, the next row overwrites what it writes beyond
// one.
template <class Real>
INLINE void write_columns(Vector<Real> *columns, Real *to, std::int64_t stride) {
    constexpr int n = strip<Real>;
    transpose_parts<Real>(columns);
    for (int r = 0; r < width<Real>; ++r)
        std::memcpy(to + r * stride, reinterpret_cast<const char *>(&columns[r % n]) + r / n * 16,
                    16);
}
#else
template <class Real>
INLINE void read_columns(const Real *from, std::int64_t stride, Vector<Real> *columns) {
    for (int i = 0; i < strip<Real>; ++i)
        for (int r = 0; r < width<Real>; ++r)
            columns[i][r] = from[r * stride + i];
}
template <class Real>
INLINE void write_columns(Vector<Real> *columns, Real *to, std::int64_t stride) {
    for (int r = 0; r < width<Real>; ++r)
        for (int i = 0; i < strip<Real>; ++i)
            to[r * stride + i] = columns[i][r];
}
#endif

} // namespace softmaxloss::LEVEL
