// Sums over fixed lanes: their order, and so their bits, depend on the number of terms alone.
#pragma once
#include "exp.h"

namespace softmaxloss::LEVEL {

// An unevaluated sum hi + lo: twice the precision, for the few numbers that each row has once.
template <class T> struct TwofoldOf {
    T hi, lo;
};
using Twofold = TwofoldOf<double>;

template <class T> INLINE TwofoldOf<T> two_sum(T a, T b) {
    const T s = a + b, shadow = s - a;
    return {s, (a - (s - shadow)) + (b - shadow)};
}

INLINE Twofold two_product(double a, double b) {
    const double p = a * b;
    return {p, fma(a, b, -p)};
}

template <class T> INLINE TwofoldOf<T> add(TwofoldOf<T> a, TwofoldOf<T> b) {
    const TwofoldOf<T> s = two_sum(a.hi, b.hi);
    return {s.hi, s.lo + (a.lo + b.lo)};
}

template <class T> INLINE TwofoldOf<T> add(TwofoldOf<T> a, T b) {
    const TwofoldOf<T> s = two_sum(a.hi, b);
    return {s.hi, s.lo + a.lo};
}

INLINE Twofold multiply(Twofold a, Twofold b) {
    const Twofold p = two_product(a.hi, b.hi);
    return {p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi)};
}

INLINE Twofold reciprocal(Twofold a) {
    const double q = 1 / a.hi;
    return {q, (fma(-q, a.hi, 1) - q * a.lo) * q};
}

INLINE double high(Twofold a) { return a.hi; }
INLINE double low(Twofold a) { return a.lo; }

// What those numbers are held in: a type so much wider than Real that its own rounding does not
// count. For float that is double, by the same names.
template <class Real> using Wide = std::conditional_t<sizeof(Real) == 4, double, Twofold>;

template <class T> INLINE T add(T a, T b) { return a + b; }
INLINE double multiply(double a, double b) { return a * b; }
INLINE double reciprocal(double a) { return 1 / a; }
INLINE double high(double a) { return a; }
INLINE double low(double) { return 0; }

template <class W> INLINE W sum(double a, double b) {
    if constexpr (std::is_same_v<W, Twofold>)
        return two_sum(a, b);
    else
        return a + b;
}
template <class W> INLINE W product(double a, double b) {
    if constexpr (std::is_same_v<W, Twofold>)
        return two_product(a, b);
    else
        return a * b;
}
INLINE double nearest(double a) { return a; }
INLINE double nearest(Twofold a) { return a.hi + a.lo; }
// hi is the nearest double: a long sum leaves much of itself in lo.
INLINE double normalised(double a) { return a; }
INLINE Twofold normalised(Twofold a) { return two_sum(a.hi, a.lo); }

// a · 2^n.
inline double ldexp(double a, int n) { return __builtin_ldexp(a, n); }
inline Twofold ldexp(Twofold a, int n) { return {ldexp(a.hi, n), ldexp(a.lo, n)}; }
// The same for a 2^n that is a double, in loops.
INLINE double scaled(double a, double power) { return a * power; }
INLINE Twofold scaled(Twofold a, double power) { return {a.hi * power, a.lo * power}; }

// Terms come in groups of `lanes`. The four groups of a full block are added as a tree, whose
// rounding does not drift even if all terms are equal, then to the lanes' totals. All of it is in
// double; for double terms the totals are compensated (Knuth's two_sum).
template <class Real> class Sum {
    static constexpr int lanes = Exp<Real>::lanes;
    double hi_[lanes] = {}, lo_[lanes] = {};

  public:
    static constexpr bool compensated = sizeof(Real) == 8;
    static constexpr int block = 4 * lanes;

    template <class Term> INLINE void add_group(const Term *terms) {
        if constexpr (compensated) {
            // A register at a time, by name: as a loop over lanes, only parts of it are vectorised.
            using Doubles = Vector<double>;
            for (int l = 0; l < lanes; l += register_bytes / int(sizeof(double))) {
                Doubles hi, lo, term;
                std::memcpy(&hi, hi_ + l, sizeof hi);
                std::memcpy(&lo, lo_ + l, sizeof lo);
                std::memcpy(&term, terms + l, sizeof term);
                const Doubles sum = hi + term, shadow = sum - hi;
                lo += (hi - (sum - shadow)) + (term - shadow);
                std::memcpy(hi_ + l, &sum, sizeof sum);
                std::memcpy(lo_ + l, &lo, sizeof lo);
            }
        } else {
            for (int l = 0; l < lanes; ++l)
                hi_[l] += terms[l];
        }
    }

    INLINE void add_block(const Real *terms) {
        double tree[lanes];
        for (int l = 0; l < lanes; ++l) {
            const double a = terms[l], b = terms[l + lanes];
            const double c = terms[l + 2 * lanes], d = terms[l + 3 * lanes];
            tree[l] = (a + b) + (c + d);
        }
        add_group(tree);
    }

    Wide<Real> total() const {
        double hi[lanes], lo[lanes];
        std::memcpy(hi, hi_, sizeof hi);
        std::memcpy(lo, lo_, sizeof lo);
        for (int half = lanes / 2; half > 0; half /= 2)
            for (int l = 0; l < half; ++l) {
                if constexpr (compensated) {
                    const Twofold s = add(Twofold{hi[l], lo[l]}, {hi[l + half], lo[l + half]});
                    hi[l] = s.hi;
                    lo[l] = s.lo;
                } else {
                    hi[l] += hi[l + half];
                }
            }
        if constexpr (compensated) // an infinite term leaves NaN in lo
            return {hi[0], __builtin_isfinite(hi[0]) ? lo[0] : 0};
        else
            return hi[0];
    }
};

} // namespace softmaxloss::LEVEL
