// The numbers computed once per row, and the entry of one logit given them. No loops here.
#pragma once
#include "log1p.h"

namespace softmaxloss::LEVEL {

// The parameters of exp(x − m), for m the largest logit. With exp(m) = 2^n_m · p,
//     exp(x − m) = 2^(n − n_m) · (1 + g) / p,   x = n·ln 2 + r.
// Where |m| is large, m is subtracted first. That is exact wherever the result is not 0: such an x
// is within `reach` of m, so within a factor 2 of it (Sterbenz's lemma).
template <class Real> struct Frame {
    Real m, shift, n_m;
    Wide<Real> p;

    static INLINE Frame of(Real m) {
        using E = Exp<Real>;
        const Real shift = m < -E::far || m > E::far ? m : Real(0), top = m - shift;
        const Real n_m = reduce(top, E::round).rounded - E::round;
        return {m, shift, n_m, sum<Wide<Real>>(1, expm1_of_rest<double>(top, n_m))};
    }

    // Arguments of `lifted`.
    INLINE Real round() const { return round(n_m); }
    INLINE Real cut() const { return cut(m, shift); }
    static INLINE Real round(Real n_m) { return Exp<Real>::round + (Exp<Real>::lift - n_m); }
    static INLINE Real cut(Real m, Real shift) { return m - shift - Exp<Real>::reach; }
};

// 2^lift · p · exp(x − m) for x ≤ m.
template <class Real> INLINE Real lifted(Real x, Real shift, Real cut, Real round) {
    const Real t = x - shift;
    const Reduced<Real> e = reduce(t, round);
    return t >= cut ? scale(1 + e.g, e.rounded) : Real{};
}

// The parameters of a probability: S, the sum of exp(x_j − m) over all classes but one whose logit
// is m. It is made from the sum of lifted(x_j) over the logits below m and the number of those
// equal m.
template <class Real> struct Softmax {
    using W = Wide<Real>;
    Frame<Real> frame;
    W lifted_S, S, inverse, inverse_p; // S · 2^lift; inverse = 1/(1 + S)

    INLINE Softmax(const Frame<Real> &frame, W terms, double largest) : frame(frame) {
        inverse_p = reciprocal(frame.p);
        const double unlift = power_of_two<double>(-Exp<Real>::lift);
        lifted_S = multiply(terms, inverse_p);
        S = normalised(add(scaled(lifted_S, unlift), W{largest - 1}));
        inverse = reciprocal(normalised(add(W{1}, S)));
    }

    // factor · exp(z − m) / (1 + S) for z ≤ m. The rounding error of z − m is included: exp(t +
    // low) is very nearly exp(t)·(1 + low).
    INLINE double probability(double z, double factor = 1) const {
        const double floor = -Exp<double>::reach;
        const W difference = sum<W>(z, -double(frame.m));
        const bool counts = high(difference) > floor;
        const double t = counts ? high(difference) : floor;
        constexpr int lift = Exp<double>::lift;
        const Reduced<double> e = reduce(t, Exp<double>::round + lift);
        const double lifted = scale(1 + e.g, e.rounded), unlift = power_of_two<double>(-lift);
        const double exp = counts ? fma(lifted, low(difference), lifted) : 0;
        // A large factor is applied before the product can become subnormal, a small one after.
        const bool large = factor > 1 || factor < -1;
        const double first = large ? 1 : unlift, rest = large ? factor * unlift : factor;
        return exp * first * high(inverse) * rest;
    }

    // −log a for a class with logit z.
    INLINE double loss(double z) const { return (frame.m - z) + log1p(S, inverse); }

    // Σ a_j (m − x_j), from the sum of lifted(x_j)·(m − x_j).
    INLINE double mean_distance(W distance) const {
        const W unlifted = multiply(multiply(distance, inverse_p), inverse);
        return nearest(unlifted) * power_of_two<double>(-Exp<Real>::lift);
    }

    // Whether S may have lost digits below the normal numbers, 1 + S is 1, and z is the largest.
    INLINE bool has_tiny_S(double z) const {
        return sizeof(Real) == sizeof(double) && (z == frame.m) & (high(S) < 0x1p-900);
    }

    // c · S for such an S, of which a large c keeps all digits.
    INLINE double times_tiny_S(W c) const {
        return nearest(multiply(c, lifted_S)) * power_of_two<double>(-Exp<Real>::lift);
    }

    // c · (a − 1), the derivative with respect to the logit z of the true class, if only this class
    // has a coefficient, c. Where z is a largest logit, 1 − a is S / (1 + S), the sum of the
    // others, without cancellation.
    INLINE double true_entry(double z, W c) const {
        const W rest = multiply(S, inverse);
        const W others = z == frame.m ? rest : W{1 - probability(z)};
        const bool large = (high(c) > 1) | (high(c) < -1);
        const double entry = has_tiny_S(z) & large ? times_tiny_S(c) : nearest(multiply(c, others));
        return 0 - entry; // +0 where there are no others
    }

    // all · a − c, for coefficients that sum to `all`, of which this class has c and the others
    // have `others`. Where a > ½ it is others − all · (1 − a), which does not cancel.
    INLINE double mixed_entry(double z, W all, W c, W others) const {
        const W rest = multiply(S, inverse);
        const double less = nearest(add(multiply(all, W{probability(z)}), negative(c)));
        const double more = nearest(add(others, negative(multiply(all, rest))));
        return (z == frame.m) & (high(rest) < 0.5) ? more : less;
    }
};

// e of f = ±2^e · [1, 2). As int, because AVX2 converts only 32-bit integers.
INLINE int exponent(double f) { return int((bits<std::uint64_t>(f) >> 52) & 0x7ff) - 1023; }

// From t = lifted(x) to the gradient's entry of that logit:
//     factor · exp(x − m) / (1 + S) = t · factor / (p·(1 + S)) · 2^-lift = t · (hi + lo) · last.
// The power of two is split between hi and last so that only subnormal entries are rounded twice.
// Terms equal to `top`, that of the largest logit, get the more accurate entry `of_top`.
template <class Real> struct Scaling {
    Real hi, lo, last, top, of_top;

    // False for 0, infinities, NaN, and factors too large or too small.
    static INLINE bool fits(double factor) {
        const double size = __builtin_fabs(factor);
        return (size >= power_of_two<double>(Exp<Real>::factor_min)) &
               (size <= power_of_two<double>(Exp<Real>::factor_max));
    }

    static INLINE Scaling of(const Softmax<Real> &softmax, double factor) {
        using E = Exp<Real>;
        using W = Wide<Real>;
        const W of_largest = multiply(W{factor}, softmax.inverse);
        const W f = multiply(of_largest, softmax.inverse_p);
        const int e = exponent(high(f)), all = e - E::lift;
        const int most = all < E::least_exponent ? E::least_exponent : all;
        const double to_unit = power_of_two<double>(-e);
        const Real first = power_of_two<Real>(all - most);
        const Real unit = Real(high(f) * to_unit);
        const Frame<Real> &frame = softmax.frame;
        return {unit * first, Real((high(f) * to_unit - unit) + low(f) * to_unit) * first,
                power_of_two<Real>(most), lifted(frame.m, frame.shift, frame.cut(), frame.round()),
                Real(nearest(of_largest))};
    }

    INLINE Real entry(Real term) const {
        const Real entry = fma(term, hi, term * lo) * last;
        return term == top ? of_top : entry + Real{}; // no −0 where the factor is negative
    }
};

} // namespace softmaxloss::LEVEL
