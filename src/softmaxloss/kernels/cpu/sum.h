// Double-double arithmetic, and sums over fixed lanes. The order of a sum, and so its bits, depends
// on the number of terms alone.
#pragma once
#include "exp.h"

namespace softmaxloss::LEVEL {

// An unevaluated sum hi + lo with twice the precision, for the few numbers computed once per row.
template <class T> struct DoubleDoubleOf {
    T hi, lo;
};
using DoubleDouble = DoubleDoubleOf<double>;

template <class T> INLINE DoubleDoubleOf<T> two_sum(T a, T b) {
    const T s = a + b, shadow = s - a;
    return {s, (a - (s - shadow)) + (b - shadow)};
}

INLINE DoubleDouble two_product(double a, double b) {
    const double p = a * b;
    return {p, fma(a, b, -p)};
}

template <class T> INLINE DoubleDoubleOf<T> add(DoubleDoubleOf<T> a, DoubleDoubleOf<T> b) {
    const DoubleDoubleOf<T> s = two_sum(a.hi, b.hi);
    return {s.hi, s.lo + (a.lo + b.lo)};
}

template <class T> INLINE DoubleDoubleOf<T> add(DoubleDoubleOf<T> a, T b) {
    const DoubleDoubleOf<T> s = two_sum(a.hi, b);
    return {s.hi, s.lo + a.lo};
}

INLINE DoubleDouble multiply(DoubleDouble a, DoubleDouble b) {
    const DoubleDouble p = two_product(a.hi, b.hi);
    return {p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi)};
}

INLINE DoubleDouble reciprocal(DoubleDouble a) {
    const double q = 1 / a.hi;
    return {q, (fma(-q, a.hi, 1.0) - q * a.lo) * q};
}

INLINE DoubleDouble negative(DoubleDouble a) { return {0 - a.hi, 0 - a.lo}; }

INLINE double high(DoubleDouble a) { return a.hi; }
INLINE double low(DoubleDouble a) { return a.lo; }

// The type of those numbers, so much wider than Real that its own rounding errors do not matter.
// For float it is double, with the same operations.
template <class Real> using Wide = std::conditional_t<sizeof(Real) == 4, double, DoubleDouble>;

template <class T> INLINE T add(T a, T b) { return a + b; }
INLINE double multiply(double a, double b) { return a * b; }
INLINE double reciprocal(double a) { return 1 / a; }
INLINE double negative(double a) { return 0 - a; }
INLINE double high(double a) { return a; }
INLINE double low(double) { return 0; }

template <class W> INLINE W sum(double a, double b) {
    if constexpr (std::is_same_v<W, DoubleDouble>)
        return two_sum(a, b);
    else
        return a + b;
}
template <class W> INLINE W product(double a, double b) {
    if constexpr (std::is_same_v<W, DoubleDouble>)
        return two_product(a, b);
    else
        return a * b;
}
INLINE double nearest(double a) { return a; }
INLINE double nearest(DoubleDouble a) { return a.hi + a.lo; }
// Makes hi the nearest double: a long sum leaves a large lo.
INLINE double normalised(double a) { return a; }
INLINE DoubleDouble normalised(DoubleDouble a) { return two_sum(a.hi, a.lo); }

// a · 2^n; in loops, with 2^n as a double.
inline double ldexp(double a, int n) { return __builtin_ldexp(a, n); }
inline DoubleDouble ldexp(DoubleDouble a, int n) { return {ldexp(a.hi, n), ldexp(a.lo, n)}; }
INLINE double scaled(double a, double power) { return a * power; }
INLINE DoubleDouble scaled(DoubleDouble a, double power) { return {a.hi * power, a.lo * power}; }

// Terms are added by groups of `lanes`, and by quads of four groups. A quad is summed as a tree
// first: its rounding errors do not drift even if all terms are equal. Sums are in double; of
// double terms they are compensated (Knuth's two_sum).
template <class Real> class Sum {
    static constexpr int lanes = Exp<Real>::lanes;
    double hi_[lanes] = {}, lo_[lanes] = {};

  public:
    static constexpr bool compensated = sizeof(Real) == 8;
    static constexpr int quad = 4 * lanes;

    template <class Term> INLINE void add(const Term (&terms)[lanes]) {
        if constexpr (compensated) {
            // By registers: compilers vectorise only parts of a loop over lanes.
            using V = Vector<double>;
            for (int l = 0; l < lanes; l += register_bytes / int(sizeof(double))) {
                const auto sum = two_sum(load<V>(hi_ + l), load<V>(terms + l));
                store(sum.hi, hi_ + l);
                store(load<V>(lo_ + l) + sum.lo, lo_ + l);
            }
        } else {
            for (int l = 0; l < lanes; ++l)
                hi_[l] += terms[l];
        }
    }

    INLINE void add(const Real (&terms)[quad]) {
        double tree[lanes];
        for (int l = 0; l < lanes; ++l) {
            const double a = terms[l], b = terms[l + lanes];
            const double c = terms[l + 2 * lanes], d = terms[l + 3 * lanes];
            tree[l] = (a + b) + (c + d);
        }
        add(tree);
    }

    Wide<Real> total() const {
        double hi[lanes], lo[lanes];
        std::memcpy(hi, hi_, sizeof hi);
        std::memcpy(lo, lo_, sizeof lo);
        for (int half = lanes / 2; half > 0; half /= 2)
            for (int l = 0; l < half; ++l) {
                if constexpr (compensated) {
                    const DoubleDouble s =
                        LEVEL::add(DoubleDouble{hi[l], lo[l]}, {hi[l + half], lo[l + half]});
                    hi[l] = s.hi;
                    lo[l] = s.lo;
                } else {
                    hi[l] += hi[l + half];
                }
            }
        if constexpr (compensated) // an infinite term makes lo NaN
            return {hi[0], __builtin_isfinite(hi[0]) ? lo[0] : 0};
        else
            return hi[0];
    }
};

} // namespace softmaxloss::LEVEL
