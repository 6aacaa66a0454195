// Process 32 rows together so that per-row scalars vectorise as well, in loops over rows. Each row
// gets the same bits as from index_row.
//
// A layout holds the logits of the batch and the loops over them: Tile (tile.h) transposes short
// rows, AsRows leaves longer rows as they are.
#pragma once
#include "loss.h"

namespace softmaxloss::LEVEL {

// One number per row.
template <class T> struct Column {
    T values[batch_rows];

    INLINE const T &operator[](int r) const { return values[r]; }
    INLINE T &operator[](int r) { return values[r]; }
    INLINE void set(int r, const T &value) { values[r] = value; }
};
template <> struct Column<DoubleDouble> {
    double high[batch_rows], low[batch_rows];

    INLINE DoubleDouble operator[](int r) const { return {high[r], low[r]}; }
    INLINE void set(int r, DoubleDouble value) {
        high[r] = value.hi;
        low[r] = value.lo;
    }
};
template <class Real> struct Column<Frame<Real>> {
    Column<Real> m, shift, n_m;
    Column<Wide<Real>> p;

    INLINE Frame<Real> operator[](int r) const { return {m[r], shift[r], n_m[r], p[r]}; }
    INLINE void set(int r, const Frame<Real> &frame) {
        m[r] = frame.m;
        shift[r] = frame.shift;
        n_m[r] = frame.n_m;
        p.set(r, frame.p);
    }
};
template <class Real> struct Column<Scaling<Real>> {
    Column<Real> hi, lo, last, top, of_top;

    INLINE Scaling<Real> operator[](int r) const {
        return {hi[r], lo[r], last[r], top[r], of_top[r]};
    }
    INLINE void set(int r, const Scaling<Real> &scaling) {
        hi[r] = scaling.hi;
        lo[r] = scaling.lo;
        last[r] = scaling.last;
        top[r] = scaling.top;
        of_top[r] = scaling.of_top;
    }
};

// Per row: the true class, its weight, and the factor of the gradient.
struct Targets {
    Column<int64_t> y;
    Column<double> weight, factor;
};

// index_row for batch_rows rows, the first at `row`.
template <class Layout, class Storage, class Real = RealOf<Storage>>
void index_batch(const Row<Storage> &row, int64_t stride, int64_t grad_stride,
                 const Targets &targets, Column<double> &loss) {
    using W = Wide<Real>;
    const auto &[y, weight, factor] = targets;
    Layout layout(row, stride);

    Column<Real> m;
    layout.find_largest(m);
    Column<typename Exp<Real>::Int> special; // rows left to index_row
    Column<Frame<Real>> frame;
    for (int r = 0; r < batch_rows; ++r) // two loops, because one would not be vectorised
        special[r] = int(weight[r] == 0) | int(!Scaling<Real>::fits(factor[r] * weight[r]));
    for (int r = 0; r < batch_rows; ++r) {
        special[r] |= !(m[r] - m[r] == 0);
        frame.set(r, Frame<Real>::of(m[r]));
    }

    Column<W> terms;
    Column<double> largest;
    layout.add_up(frame, special, terms, largest);

    Column<double> z_y;
    for (int r = 0; r < batch_rows; ++r)
        z_y[r] = Real(row.x[r * stride + y[r]]);
    Column<Scaling<Real>> scaling;
    Column<Real> of_y;
    const auto softmax_and_loss = [&](int r) INLINE_LAMBDA {
        const Softmax<Real> softmax(frame[r], terms[r], largest[r]);
        loss[r] = targets.weight[r] * softmax.loss(z_y[r]);
        return softmax;
    };
    if (row.grad)
        for (int r = 0; r < batch_rows; ++r) {
            const auto softmax = softmax_and_loss(r);
            of_y[r] = softmax.true_entry(z_y[r], product<W>(factor[r], weight[r]));
            scaling.set(r, Scaling<Real>::of(softmax, factor[r] * weight[r]));
        }
    else
        for (int r = 0; r < batch_rows; ++r)
            softmax_and_loss(r);

    // Before the other rows, because the gradient may overwrite the logits.
    int any_special = 0;
    for (int r = 0; r < batch_rows; ++r)
        any_special |= int(special[r]);
    if (any_special)
        for (int r = 0; r < batch_rows; ++r)
            if (special[r])
                index_row(Row<Storage>{row.x + r * stride, row.classes, 0,
                                       row.grad ? row.grad + r * grad_stride : nullptr, nullptr,
                                       nullptr},
                          y[r], weight[r], factor[r], &loss[r]);
    if (row.grad)
        layout.write_gradient(frame, scaling, y, of_y, special, any_special, grad_stride);
}

// Longer rows, with loops over classes.
template <class Storage> class AsRows {
    using Real = RealOf<Storage>;
    using Int = typename Exp<Real>::Int;
    const Row<Storage> &row_;
    int64_t stride_;

    INLINE Real *kept(int r) const {
        constexpr int beyond = Exp<Real>::lanes; // a row of less than a group is padded
        return row_.grad && row_.scratch ? row_.scratch + r * (most_classes + beyond) : nullptr;
    }

  public:
    // So the logits of a batch stay in the second-level cache from one loop to the next.
    static constexpr int most_classes = 8192 / sizeof(Real);
    static_assert(batch_rows * (most_classes + Exp<Real>::lanes) * sizeof(Real) <= scratch_bytes);

    INLINE AsRows(const Row<Storage> &row, int64_t stride) : row_(row), stride_(stride) {}

    INLINE void find_largest(Column<Real> &m) const {
        for (int r = 0; r < batch_rows; ++r)
            m[r] = largest_of<Real>(row_.x + r * stride_, row_.classes);
    }

    INLINE void add_up(const Column<Frame<Real>> &frame, const Column<Int> &special,
                       Column<Wide<Real>> &terms, Column<double> &largest) const {
        for (int r = 0; r < batch_rows; ++r) {
            terms.set(r, {});
            largest[r] = 1;
            if (special[r])
                continue;
            const Storage *x = row_.x + r * stride_;
            Real *keep = kept(r);
            const Sums<Real> sums =
                keep ? sums_below<Also::terms>(frame[r], x, row_.classes, row_.ahead, Real(0), keep)
                     : sums_below<Also::nothing>(frame[r], x, row_.classes, row_.ahead, Real(0),
                                                 keep);
            terms.set(r, sums.terms);
            largest[r] = sums.largest;
        }
    }

    INLINE void write_gradient(const Column<Frame<Real>> &frame,
                               const Column<Scaling<Real>> &scaling, const Column<int64_t> &y,
                               const Column<Real> &of_y, const Column<Int> &special, int,
                               int64_t grad_stride) const {
        for (int r = 0; r < batch_rows; ++r)
            if (!special[r])
                gradient_of_row(frame[r], scaling[r], row_.x + r * stride_, kept(r), row_.classes,
                                y[r], of_y[r], row_.grad + r * grad_stride, *row_.output);
    }
};

} // namespace softmaxloss::LEVEL
