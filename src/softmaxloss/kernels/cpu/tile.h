// Short rows, many at a time: a tile holds them transposed, classes × rows, so that every loop runs
// over rows, also those over the numbers that a row has once.
//
// Each row gets the bits that index_row gives it: the same steps, its terms added in Sum's order.
#pragma once
#include "loss.h"
#include "transpose.h"

namespace softmaxloss::LEVEL {

// Rows with more classes than this are as fast by themselves.
template <class Real> constexpr int tile_classes = sizeof(Real) == 4 ? 127 : 63;

// The sums of the rows' terms: the lanes of Sum, each a column, without its blocks.
template <class Real> class ColumnSum {
    static constexpr int lanes = Exp<Real>::lanes;
    static constexpr bool compensated = Sum<Real>::compensated;
    static_assert(tile_classes<Real> < Sum<Real>::block);
    Column<double> hi_[lanes], lo_[compensated ? lanes : 1];

  public:
    void add(int c, const Column<Real> &terms) {
        const int l = c % lanes;
        for (int r = 0; r < tile_rows; ++r) {
            if (c < lanes) {
                hi_[l][r] = terms[r];
                if constexpr (compensated)
                    lo_[l][r] = 0;
            } else if constexpr (compensated) {
                const Twofold s = two_sum(hi_[l][r], terms[r]);
                hi_[l][r] = s.hi;
                lo_[l][r] += s.lo;
            } else {
                hi_[l][r] += terms[r];
            }
        }
    }

    void total(int classes, Column<double> &hi, Column<double> &lo) {
        int used = classes < lanes ? classes : lanes; // the lanes from here on hold zeros
        for (int half = lanes / 2; half > 0; half /= 2) {
            for (int l = 0; l + half < used; ++l)
                for (int r = 0; r < tile_rows; ++r) {
                    if constexpr (compensated) {
                        const Twofold s = two_sum(hi_[l][r], hi_[l + half][r]);
                        hi_[l][r] = s.hi;
                        lo_[l][r] += lo_[l + half][r] + s.lo;
                    } else {
                        hi_[l][r] += hi_[l + half][r];
                    }
                }
            used = used < half ? used : half;
        }
        for (int r = 0; r < tile_rows; ++r) {
            hi[r] = hi_[0][r];
            lo[r] = compensated ? lo_[0][r] : 0;
        }
    }
};

// index_row for tile_rows rows.
template <class Storage, class Real = RealOf<Storage>>
void index_tile(const Storage *logits, int64_t stride, int classes, const Column<int64_t> &y,
                const Column<double> &weight, const Column<double> &factor, double *loss,
                Storage *grad, int64_t grad_stride) {
    Column<Real> x[tile_classes<Real>];
    read_rows(logits, stride, classes, x);

    Column<Real> m, largest;
    Column<typename Exp<Real>::Int> special; // rows that are left to index_row
    for (int r = 0; r < tile_rows; ++r) {
        m[r] = -__builtin_inf();
        largest[r] = 0;
        special[r] = weight[r] == 0;
    }
    for (int c = 0; c < classes; ++c)
        for (int r = 0; r < tile_rows; ++r) {
            m[r] = x[c][r] > m[r] ? x[c][r] : m[r];
            special[r] |= x[c][r] != x[c][r];
        }

    Column<Real> shift, round, cut, n_m;
    Column<double> p, p_lo, terms_hi, terms_lo, S_hi, S_lo;
    for (int r = 0; r < tile_rows; ++r) {
        const Frame<Real> frame(m[r]);
        special[r] |= !(m[r] - m[r] == 0); // not finite
        shift[r] = frame.shift;
        cut[r] = frame.cut();
        round[r] = frame.round_to(Exp<Real>::lift);
        n_m[r] = frame.n_m;
        p[r] = frame.p.hi;
        p_lo[r] = frame.p.lo;
    }
    ColumnSum<Real> sums;
    for (int c = 0; c < classes; ++c) {
        Column<Real> terms;
        for (int r = 0; r < tile_rows; ++r) {
            terms[r] = term(x[c][r], m[r], shift[r], cut[r], round[r]);
            largest[r] += x[c][r] == m[r];
        }
        sums.add(c, terms);
    }
    sums.total(classes, terms_hi, terms_lo);

    Column<double> z_y;
    for (int r = 0; r < tile_rows; ++r)
        z_y[r] = special[r] ? Real(0) : Real(logits[r * stride + y[r]]);
    for (int r = 0; r < tile_rows; ++r) {
        const Twofold S =
            rest_of_sum<Real>({terms_hi[r], terms_lo[r]}, {p[r], p_lo[r]}, double(largest[r]));
        loss[r] = weight[r] * loss_of_class(z_y[r], m[r], S);
        S_hi[r] = S.hi;
        S_lo[r] = S.lo;
    }

    if (grad) {
        Column<Real> hi, lo, lower, unlift, of_true_class;
        for (int r = 0; r < tile_rows; ++r) {
            const Twofold S{S_hi[r], S_lo[r]};
            const Scaling<Real> scaling(m[r] - shift[r], n_m[r], {p[r], p_lo[r]}, S,
                                        factor[r] * weight[r]);
            special[r] |= scaling.extreme;
            hi[r] = scaling.hi;
            lo[r] = scaling.lo;
            round[r] = scaling.round;
            lower[r] = scaling.lower;
            unlift[r] = scaling.unlift;
            const Twofold weighted = two_product(factor[r], weight[r]);
            of_true_class[r] = Real(true_entry(z_y[r], m[r], S, weighted));
        }
        for (int c = 0; c < classes; ++c)
            for (int r = 0; r < tile_rows; ++r)
                x[c][r] = Scaling<Real>::entry(x[c][r], shift[r], lower[r], round[r], hi[r], lo[r],
                                               unlift[r]);
        // Special rows are written by index_row, which must still find their logits: grad may be
        // logits. So they keep them here.
        for (int r = 0; r < tile_rows; ++r)
            if (special[r])
                for (int c = 0; c < classes; ++c)
                    x[c][r] = Real(logits[r * stride + c]);
        write_rows(x, classes, grad, grad_stride);
        for (int r = 0; r < tile_rows; ++r)
            if (!special[r])
                grad[r * grad_stride + y[r]] = rounded_to<Storage>(of_true_class[r]);
    }
    for (int r = 0; r < tile_rows; ++r)
        if (special[r])
            index_row(logits + r * stride, classes, y[r], weight[r], factor[r], loss + r,
                      grad ? grad + r * grad_stride : nullptr);
}

} // namespace softmaxloss::LEVEL
