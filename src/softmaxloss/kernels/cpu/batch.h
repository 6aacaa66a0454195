// Process 32 rows together so that per-row scalars vectorise as well, in loops over rows. Each row
// gets the same bits as from loss_of_row.
//
// A form holds the logits of the batch and the loops over them: Tile (tile.h) has short rows class
// by class, AsRows leaves longer rows as they are.
#pragma once
#include "layout.h"
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

// Whether each of the first `count` sums is 1 within the tolerance.
INLINE bool all_sum_to_one(Column<double> &sums, int count, double tolerance) {
    using Doubles = Vector<double>;
    for (int r = count; r < batch_rows; ++r)
        sums[r] = 1;
    typename Exp<Doubles>::Int off = {};
    for (int r = 0; r < batch_rows; r += width<double>)
        off |= ~sums_to_one(load<Doubles>(&sums[r]), tolerance);
    bool all = true;
    for (int i = 0; i < width<double>; ++i)
        all &= off[i] == 0;
    return all;
}

// The rows of a batch. Those beyond `count` have no memory, and no coefficients.
template <class Storage> struct Batch {
    using Real = RealOf<Storage>;
    View<const Storage> x;
    View<Storage> grad; // no data for the losses alone
    View<const Real> b; // an array
    double sum_b;       // if it is shared
    int count;
    int64_t classes, ahead;
    Output<Storage> *output;
    Real *scratch; // terms_bytes
    // For a Tile of columns. Each batch reads the next one, which is full, into its scratch memory.
    View<const Storage> next_x; // no data if there is none
    View<const Real> next_b;
    bool is_read, odd; // whether the one before has read this batch; every second batch
};

// Per row, as in Target.
struct Targets {
    Column<int64_t> y;
    Column<double> scale, extra, factor;
};

// Per row, as in Sums.
template <class Real> struct BatchSums {
    Column<Frame<Real>> frame;
    Column<Wide<Real>> terms;
    Column<double> largest, base, mean;
    Column<typename Exp<Real>::Int> nonzero;
    Column<int64_t> y; // if only one b is not 0, its class
    bool negative;     // some b of an array is, or is NaN
};

// Per row, what scores need beside the sums.
template <class Real> struct BatchScoreSums {
    Column<Wide<Real>> distance;
    Column<typename Exp<Real>::Int> above, first; // first: the first of the largest logits
};

// Per row, what the gradient is made of. Rows that are `special` are left to loss_of_row.
template <class Real> struct BatchGradient {
    Column<Scaling<Real>> scaling;
    Column<Real> scale, of_y;
    Column<int64_t> y; // −1 where no class has an entry of its own
    Column<typename Exp<Real>::Int> special;
    bool any_special;
};

// loss_of_row for the rows of a batch. Whether the numbers b of an array are not negative, and sum
// to 1 within the tolerance.
template <class Form, Base base, class Storage, class Real = RealOf<Storage>>
bool loss_of_batch(const Batch<Storage> &batch, Targets &targets, Column<double> &loss,
                   double tolerance) {
    using Int = typename Exp<Real>::Int;
    auto &[y, scale, extra, factor] = targets;
    Form form(batch);

    Column<Int> absent;
    for (int r = 0; r < batch_rows; ++r)
        absent[r] = int(extra[r] == 0) & (int(base == Base::zeros) | int(scale[r] == 0));
    Column<Real> m;
    form.find_largest(absent, m);
    BatchGradient<Real> gradient;
    BatchSums<Real> sums;
    auto &special = gradient.special;
    for (int r = 0; r < batch_rows; ++r) {
        special[r] = absent[r] ? 0 : !(m[r] - m[r] == 0);
        sums.frame.set(r, Frame<Real>::of(absent[r] ? 0 : m[r]));
    }
    form.template add_up<base>(absent, special, sums);

    Column<Int> one, fits;
    if constexpr (base == Base::array)
        for (int r = 0; r < batch_rows; ++r) {
            one[r] = int(extra[r] == 0) & int(sums.nonzero[r] == 1);
            const Int none = int(extra[r] == 0) & int(sums.nonzero[r] == 0);
            absent[r] |= none;
            special[r] &= ~none;
            y[r] = one[r] ? sums.y[r] : y[r];
        }
    Column<double> z_y, b_y;
    for (int r = 0; r < batch_rows; ++r) {
        z_y[r] = m[r];
        b_y[r] = 1;
    }
    for (int r = 0; r < batch.count; ++r)
        if (base == Base::zeros || y[r] >= 0) {
            z_y[r] = Real(batch.x.row(r)[y[r] * batch.x.class_stride]);
            if constexpr (has_array(base))
                b_y[r] = batch.b.row(r)[y[r] * batch.b.class_stride];
        }
    const auto shares_of = [&](int r) INLINE_LAMBDA {
        const double sum_b = base == Base::shared ? batch.sum_b : sums.base[r];
        return Shares<Real>::template of<base>(scale[r], extra[r], sum_b, b_y[r], sums.mean[r],
                                               base == Base::array && one[r]);
    };
    const auto softmax_and_loss = [&](int r, const Shares<Real> &shares) INLINE_LAMBDA {
        const Softmax<Real> softmax(sums.frame[r], sums.terms[r], sums.largest[r]);
        const double own = shares.template loss<base>(softmax, z_y[r]);
        loss[r] = absent[r] ? 0 : own;
        return softmax;
    };
    if (batch.grad.data) {
        for (int r = 0; r < batch_rows; ++r) {
            const auto shares = shares_of(r);
            const auto softmax = softmax_and_loss(r, shares);
            const double all = factor[r] * shares.total;
            const auto scaling = Scaling<Real>::of(softmax, all);
            const auto of_y = Real(shares.template entry_of_y<base>(softmax, z_y[r], factor[r]));
            const bool zero = absent[r];
            gradient.of_y[r] = zero ? 0 : of_y;
            gradient.scale[r] = zero ? 0 : Real(factor[r] * shares.scale);
            gradient.scaling.set(r,
                                 {zero ? 0 : scaling.hi, zero ? 0 : scaling.lo,
                                  zero ? 1 : scaling.last, scaling.top, zero ? 0 : scaling.of_top});
            fits[r] = int(Scaling<Real>::fits(all)) | absent[r];
        }
        for (int r = 0; r < batch_rows; ++r)
            special[r] |= !fits[r];
        gradient.y = y;
    } else {
        for (int r = 0; r < batch_rows; ++r)
            softmax_and_loss(r, shares_of(r));
    }
    if constexpr (base != Base::zeros)
        for (int r = 0; r < batch_rows; ++r)
            special[r] |= !(sums.mean[r] - sums.mean[r] == 0) & !absent[r];
    Int any = 0;
    for (int r = 0; r < batch_rows; ++r) {
        special[r] &= -Int(r < batch.count);
        any |= special[r];
    }
    gradient.any_special = any != 0;
    const auto alone = [&](int r, const auto &row, const Real *b) {
        loss_of_row<base>(row, {y[r], scale[r], extra[r], factor[r], b, batch.sum_b}, &loss[r]);
    };
    form.template finish<base>(absent, gradient, sums, alone);
    bool fit = true;
    if constexpr (base == Base::array) {
        fit = !sums.negative && all_sum_to_one(sums.base, batch.count, tolerance);
    }
    return fit;
}

// Longer rows, with loops over classes.
template <class Storage> class AsRows {
    using Real = RealOf<Storage>;
    using Int = typename Exp<Real>::Int;
    const Batch<Storage> &batch_;

    INLINE Real *kept(int r) const {
        constexpr int beyond = Exp<Real>::lanes; // a row of less than a group is padded
        return batch_.grad.data ? batch_.scratch + r * (most_classes + beyond) : nullptr;
    }

  public:
    // So the logits of a batch stay in the second-level cache from one loop to the next.
    static constexpr int most_classes = 8192 / sizeof(Real);
    static_assert(batch_rows * (most_classes + Exp<Real>::lanes) * sizeof(Real) <= terms_bytes);

    INLINE explicit AsRows(const Batch<Storage> &batch) : batch_(batch) {}

    INLINE void find_largest(const Column<Int> &absent, Column<Real> &m) const {
        for (int r = 0; r < batch_rows; ++r) // rows beyond the last are absent
            m[r] = absent[r] ? 0 : largest_of<Real>(batch_.x.row(r), batch_.classes);
    }

    template <Base base>
    INLINE void add_up(const Column<Int> &absent, const Column<Int> &special,
                       BatchSums<Real> &sums) const {
        sums.negative = false;
        for (int r = 0; r < batch_rows; ++r) {
            const Real *b = has_array(base) ? batch_.b.row(r) : nullptr;
            Sums<Real> own{sums.frame[r], 1, {}, {}, 0, false, {}, {}, 1};
            if (!absent[r] && !special[r]) {
                const Storage *x = batch_.x.row(r);
                Real *keep = kept(r);
                own = keep ? sums_below<Also::terms, base>(own.frame, x, batch_.classes,
                                                           batch_.ahead, Real(0), keep, b)
                           : sums_below<Also::nothing, base>(own.frame, x, batch_.classes,
                                                             batch_.ahead, Real(0), keep, b);
            }
            sums.terms.set(r, own.terms);
            sums.largest[r] = own.largest;
            sums.base[r] = nearest(own.base);
            sums.mean[r] = nearest(own.mean);
            sums.nonzero[r] = Int(own.nonzero < 2 ? own.nonzero : 2);
            sums.y[r] = -1;
            if constexpr (base == Base::array)
                if (own.nonzero == 1 && !absent[r] && !special[r])
                    sums.y[r] = first_nonzero(b, batch_.classes);
        }
    }

    INLINE void add_scores(const Column<Int> &absent, const Column<Real> &z_y,
                           BatchSums<Real> &sums, BatchScoreSums<Real> &also) const {
        Real *const none = nullptr;
        for (int r = 0; r < batch_rows; ++r) {
            Sums<Real> own{sums.frame[r], 1, {}, {}, 0, false, {}, {}, 0};
            also.first[r] = 0;
            if (!absent[r]) {
                const Storage *x = batch_.x.row(r);
                own = sums_below<Also::scores, Base::zeros>(own.frame, x, batch_.classes,
                                                            batch_.ahead, z_y[r], none, none);
                also.first[r] = Int(first_index_of(own.frame.m, x, batch_.classes));
            }
            sums.terms.set(r, own.terms);
            sums.largest[r] = own.largest;
            also.distance.set(r, own.distance);
            also.above[r] = Int(own.above);
        }
    }

    template <Base base, class Alone>
    INLINE void finish(const Column<Int> &absent, const BatchGradient<Real> &gradient,
                       const BatchSums<Real> &sums, Alone alone) const {
        for (int r = 0; r < batch_.count; ++r) {
            const Storage *x = batch_.x.row(r);
            Storage *grad = batch_.grad.data ? batch_.grad.row(r) : nullptr;
            const Real *b = has_array(base) ? batch_.b.row(r) : nullptr;
            if (gradient.special[r])
                alone(r, Row<Storage>{x, batch_.classes, 0, grad, nullptr, nullptr}, b);
            else if (grad && absent[r])
                fill(grad, batch_.classes, rounded_to<Storage>(0));
            else if (grad)
                gradient_of_row<base>(sums.frame[r], gradient.scaling[r], x, kept(r),
                                      batch_.classes, gradient.y[r], gradient.of_y[r],
                                      gradient.scale[r], b, grad, *batch_.output);
        }
    }
};

} // namespace softmaxloss::LEVEL
