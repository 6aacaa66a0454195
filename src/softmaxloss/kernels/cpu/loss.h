// One row of a call: from logits and target to its loss and gradient.
#pragma once
#include "rows.h"

namespace softmaxloss::LEVEL {

// What a row is compared with. Its coefficients are c_n = scale·b_n, and `extra` more for class y.
template <class Real> struct Target {
    int64_t y; // −1 if no class has more
    double scale, extra;
    double factor; // of the gradient
    const Real *b; // an array
    double sum_b;  // if it is shared

    // Whether all coefficients are 0, as far as is known without b.
    INLINE bool is_absent(Base base) const {
        return (extra == 0) & ((base == Base::zeros) | (scale == 0));
    }
};

template <class Storage> struct Row {
    const Storage *x;
    int64_t classes;
    int64_t ahead;            // bytes from x to a row that is wanted later, or 0
    Storage *grad;            // null for the loss alone; may be x
    Output<Storage> *output;  // shared by many rows, or null
    RealOf<Storage> *scratch; // room for terms_bytes, or null
};

// From the sums of a row to its loss and to what its gradient needs.
//     loss = Σ c_n·((m − z_n) + L) = scale·Σ b_n·(m − z_n) + extra·(m − z_y) + Σc·L,   L = log1p(S)
template <class Real> struct Shares {
    using W = Wide<Real>;
    bool one;            // only the class y has a coefficient
    double total;        // Σc
    double scale, extra; // as in Target
    double mean;         // Σ b·(m − x)
    double of_y, others; // of Σc, the coefficient of class y and the rest

    template <Base base>
    static INLINE Shares of(double scale, double extra, double sum, double b_y, double mean,
                            bool one) {
        if constexpr (base == Base::zeros)
            return {true, extra, 0, extra, 0, extra, 0};
        const double all = fma(scale, sum, extra), own = fma(scale, b_y, extra);
        return {one, all, one ? 0 : scale, one ? all : extra, mean, own, scale * (sum - b_y)};
    }

    template <Base base> INLINE double loss(const Softmax<Real> &softmax, double z_y) const {
        const double below = softmax.frame.m - z_y, L = log1p(softmax.S, softmax.inverse);
        const double of_one = softmax.has_tiny_S(z_y) & (total > 1) ? softmax.times_tiny_S(W{total})
                                                                    : total * (below + L);
        if constexpr (base == Base::zeros)
            return of_one;
        const double more = extra == 0 ? 0 : extra * below;
        return one ? of_one : (scale * mean + more) + total * L;
    }

    template <Base base>
    INLINE double entry_of_y(const Softmax<Real> &softmax, double z_y, double factor) const {
        const double alone = softmax.true_entry(z_y, product<W>(factor, total));
        if constexpr (base == Base::zeros)
            return alone;
        const double mixed = softmax.mixed_entry(
            z_y, product<W>(factor, total), product<W>(factor, of_y), product<W>(factor, others));
        return one ? alone : mixed;
    }
};

// The gradient for factors that a Scaling does not hold: in double, and slow.
template <Base base, class Storage, class Real>
void gradient_of_extreme_factor(const Softmax<Real> &softmax, const Shares<Real> &shares, int64_t y,
                                double factor, const Real *b, const Row<Storage> &row) {
    // factor · Σc may overflow where the entries do not.
    int excess = 0;
    if (__builtin_isfinite(factor) && !__builtin_isfinite(factor * shares.total)) {
        excess = exponent(factor) + exponent(shares.total) - 1020;
        factor = ldexp(factor, -excess);
    }
    const auto written = [&](double entry) INLINE_LAMBDA {
        return rounded_to<Storage>(Real(ldexp(entry, excess) + 0));
    };
    const double all = factor * shares.total;
    double of_y = 0;
    if (y >= 0) { // first, since the gradient may overwrite the logits
        const double z_y = Real(row.x[y]);
        of_y = shares.template entry_of_y<base>(softmax, z_y, factor);
        // The terms of so small an S are rounded, or left out.
        if (shares.one && z_y == softmax.frame.m && __builtin_isfinite(all) &&
            nearest(softmax.S) < power_of_two<double>(-100)) {
            DoubleDouble others{};
            for (int64_t i = 0; i < row.classes; ++i)
                others = add(others, i == y ? 0 : softmax.probability(Real(row.x[i]), all));
            of_y = -nearest(others);
        }
    }
    for (int64_t i = 0; i < row.classes; ++i) {
        const double z = Real(row.x[i]);
        const double b_i = shares.one ? 0 : base == Base::ones ? 1 : double(b[i]);
        const double entry =
            b_i == 0 ? softmax.probability(z, all)
                     : factor * (softmax.probability(z) * shares.total - shares.scale * b_i);
        row.grad[i] = written(i == y ? of_y : entry);
    }
}

template <class Storage, class Real = RealOf<Storage>>
void constant_row(const Row<Storage> &row, Real value, double *loss) {
    *loss = value;
    if (row.grad)
        fill(row.grad, row.classes, rounded_to<Storage>(value));
}

// Σ b, Σ b·(m − x) and the number of b that are not 0, in double, compensated: for rows with logits
// of −inf, or so large that a difference overflows in float. A term with b = 0 is absent, even if
// it is infinite.
template <Base base, class Storage, class Real>
void add_carefully(const Row<Storage> &row, const Real *b, Sums<Real> &sums) {
    DoubleDouble all{}, mean{};
    sums.nonzero = 0;
    for (int64_t i = 0; i < row.classes; ++i) {
        const double own = base == Base::ones ? 1 : double(b[i]);
        const double below = double(sums.frame.m) - double(Real(row.x[i]));
        all = add(all, own);
        mean = add(mean, own == 0 ? 0 : own * below);
        sums.nonzero += own != 0;
    }
    sums.base = {nearest(all)};
    sums.mean = {__builtin_isfinite(mean.hi) ? nearest(mean) : mean.hi};
}

template <class Real> int64_t first_nonzero(const Real *b, int64_t classes) {
    int64_t i = 0;
    while (i < classes && b[i] == 0)
        ++i;
    return i;
}

// One row, by itself. loss = Σ c_n·(−log a_n), ∂loss/∂z_n = Σc·a_n − c_n.
template <Base base, class Storage, class Real = RealOf<Storage>>
void loss_of_row(const Row<Storage> &row, Target<Real> target, double *loss,
                 const Team *team = nullptr) {
    if (target.is_absent(base))
        return constant_row<Storage, Real>(row, 0, loss);
    constexpr int64_t room = terms_bytes / sizeof(Real) - Exp<Real>::lanes;
    const bool keeping =
        row.grad && row.scratch && row.classes <= chunk_classes && row.classes <= room;
    Real *kept = keeping ? row.scratch : nullptr;
    Sums<Real> sums = keeping ? sums_of_row<Also::terms, base>(row.x, row.classes, row.ahead,
                                                               nullptr, Real(0), kept, target.b)
                              : sums_of_row<Also::nothing, base>(row.x, row.classes, row.ahead,
                                                                 team, Real(0), kept, target.b);
    if constexpr (base != Base::zeros)
        if (!__builtin_isfinite(nearest(sums.mean)) || sums.frame.m != sums.frame.m)
            add_carefully<base>(row, target.b, sums);
    bool one = base == Base::zeros;
    if constexpr (base == Base::array)
        if (target.extra == 0 && sums.nonzero <= 1) { // the same bits as from a class index
            if (sums.nonzero == 0)
                return constant_row<Storage, Real>(row, 0, loss);
            one = true;
            target.y = first_nonzero(target.b, row.classes);
        }
    if (sums.frame.m != sums.frame.m)
        return constant_row<Storage, Real>(row, sums.frame.m, loss);

    const Softmax<Real> softmax(sums.frame, sums.terms, sums.largest);
    const int64_t y = target.y;
    const double z_y = y < 0 ? double(sums.frame.m) : double(Real(row.x[y]));
    const double b_y = !has_array(base) || y < 0 ? 1 : double(target.b[y]);
    const double sum_b = base == Base::shared ? target.sum_b : nearest(sums.base);
    const auto shares = Shares<Real>::template of<base>(target.scale, target.extra, sum_b, b_y,
                                                        nearest(sums.mean), one);
    *loss = shares.template loss<base>(softmax, z_y);
    if (!row.grad)
        return;
    const double all = target.factor * shares.total;
    if (!Scaling<Real>::fits(all))
        return gradient_of_extreme_factor<base>(softmax, shares, y, target.factor, target.b, row);
    const auto of_y =
        Real(y < 0 ? 0 : shares.template entry_of_y<base>(softmax, z_y, target.factor));
    const auto scaling = Scaling<Real>::of(softmax, all);
    const Real scale = Real(target.factor * shares.scale);
    for_each_chunk(team, row.classes, [&](int64_t i, int64_t count) {
        Output<Storage> own(team && row.output && row.output->stream()); // of this thread
        gradient_of_row<base>(sums.frame, scaling, row.x + i, kept, count, y - i, of_y, scale,
                              has_array(base) ? target.b + i : nullptr, row.grad + i,
                              row.output && !team ? *row.output : own);
    });
}

} // namespace softmaxloss::LEVEL
