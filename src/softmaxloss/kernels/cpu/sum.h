// Sums over fixed lanes: their order, and so their bits, depend on the number of terms alone.
#pragma once
#include "exp.h"

namespace softmaxloss::LEVEL {

// An unevaluated sum hi + lo: twice the precision, for the few numbers that each row has once.
struct Twofold {
    double hi, lo;
};

INLINE Twofold two_sum(double a, double b) {
    const double s = a + b, shadow = s - a;
    return {s, (a - (s - shadow)) + (b - shadow)};
}

INLINE Twofold two_product(double a, double b) {
    const double p = a * b;
    return {p, fma(a, b, -p)};
}

INLINE Twofold add(Twofold a, Twofold b) {
    const Twofold s = two_sum(a.hi, b.hi);
    return {s.hi, s.lo + (a.lo + b.lo)};
}

INLINE Twofold divide(Twofold a, Twofold b) {
    const double q = a.hi / b.hi;
    return {q, ((fma(-q, b.hi, a.hi) + a.lo) - q * b.lo) / b.hi};
}

INLINE Twofold multiply(Twofold a, Twofold b) {
    const Twofold p = two_product(a.hi, b.hi);
    return {p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi)};
}

// Terms come in groups of `lanes`. The four groups of a full block are added as a tree, whose
// rounding does not drift even if all terms are equal, then to the lanes' totals. All of it is in
// double; for double terms the totals are compensated (Knuth's two_sum).
template <class Real> class Sum {
    static constexpr int lanes = Exp<Real>::lanes;
    double hi_[lanes] = {}, lo_[lanes] = {};

  public:
    static constexpr bool compensated = sizeof(Real) == 8;
    static constexpr int block = 4 * lanes;

    template <class Term> void add_group(const Term *terms) {
        for (int l = 0; l < lanes; ++l) {
            if constexpr (compensated) {
                const Twofold s = two_sum(hi_[l], terms[l]);
                hi_[l] = s.hi;
                lo_[l] += s.lo;
            } else {
                hi_[l] += terms[l];
            }
        }
    }

    void add_block(const Real *terms) {
        double tree[lanes];
        for (int l = 0; l < lanes; ++l) {
            const double a = terms[l], b = terms[l + lanes];
            const double c = terms[l + 2 * lanes], d = terms[l + 3 * lanes];
            tree[l] = (a + b) + (c + d);
        }
        add_group(tree);
    }

    Twofold total() const {
        double hi[lanes], lo[lanes];
        std::memcpy(hi, hi_, sizeof hi);
        std::memcpy(lo, lo_, sizeof lo);
        for (int half = lanes / 2; half > 0; half /= 2)
            for (int l = 0; l < half; ++l) {
                if constexpr (compensated) {
                    const Twofold s = two_sum(hi[l], hi[l + half]);
                    hi[l] = s.hi;
                    lo[l] += lo[l + half] + s.lo;
                } else {
                    hi[l] += hi[l + half];
                }
            }
        // An infinite term leaves NaN in lo.
        return {hi[0], __builtin_isfinite(hi[0]) ? lo[0] : 0};
    }
};

} // namespace softmaxloss::LEVEL
