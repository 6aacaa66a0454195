// Short rows, transposed so that all loops run over rows.
#pragma once
#include "batch.h"
#include "transpose.h"

namespace softmaxloss::LEVEL {

template <class Storage> class Tile {
    using Real = RealOf<Storage>;
    using Int = typename Exp<Real>::Int;
    using W = Wide<Real>;
    using V = Vector<Real>;
    static constexpr int lanes = Exp<Real>::lanes, n = strip<Real>, step = width<Real>;

  public:
    // Longer rows are as fast without transposing.
    static constexpr int most_classes = sizeof(Real) == 4 ? 127 : 63;
    static_assert(most_classes < Sum<Real>::quad);

  private:
    const Batch<Storage> &batch_;
    int classes_;
    alignas(line) Real rows_[batch_rows * most_classes + n]; // row by row
    alignas(line) Real x_[most_classes + n][batch_rows];     // the same, class by class
    alignas(line) Real below_[most_classes][batch_rows];     // terms, 0 for the largest logits
    alignas(line) Real b_[most_classes + n][batch_rows];     // for Base::array

    // Calls on_strip(c) for the first class of each strip. The last strip overlaps the one before,
    // or reaches beyond rows that are shorter than a strip.
    template <class OnStrip> INLINE void for_each_strip(OnStrip on_strip) const {
        const int last = classes_ < n ? 0 : classes_ - n;
        for (int c = 0; c < last; c += n)
            on_strip(c);
        on_strip(last);
    }

    // The numbers of a row that is left to loss_of_row, in place of `rows_`.
    INLINE Real *row(int r) { return rows_ + r * classes_; }

  public:
    INLINE explicit Tile(const Batch<Storage> &batch)
        : batch_(batch), classes_(int(batch.classes)) {
        read(batch.x, x_);
    }

    INLINE void find_largest(const Column<Int> &, Column<Real> &m) const {
        for (int r = 0; r < batch_rows; r += step) {
            V largest = V{} - Real(__builtin_inf());
            typename Exp<V>::Int nan = {};
            for (int c = 0; c < classes_; ++c) {
                const V x = load<V>(&x_[c][r]);
                largest = x > largest ? x : largest;
                nan |= x != x;
            }
            store(nan ? V{} + Real(__builtin_nan("")) : largest, &m[r]);
        }
    }

    // Keeps all terms, also of the largest logits. Adds those of each row in the order of Sum,
    // whose lanes are columns here.
    template <Base base>
    INLINE void add_up(const Column<Int> &absent, const Column<Int> &, BatchSums<Real> &sums) {
        using Ints = typename Exp<V>::Int;
        if constexpr (base == Base::array)
            read(batch_.b, b_);
        const Column<Frame<Real>> &frame = sums.frame;
        Column<Real> cuts, rounds;
        find_cuts(absent, frame, cuts, rounds);
        Real(*parts)[batch_rows] = reinterpret_cast<Real(*)[batch_rows]>(rows_);
        Ints negative = {};
        for (int r = 0; r < batch_rows; r += step) {
            const V m = load<V>(&frame.m[r]), shift = load<V>(&frame.shift[r]),
                    cut = load<V>(&cuts[r]), round = load<V>(&rounds[r]);
            const int classes = classes_;
            const int64_t ahead = batch_.ahead;
            const Storage *x_row = batch_.x.data + r * classes;
            Ints lower = {}, nonzero = {}, y = {};
            for (int c = 0; c < classes; ++c) {
                // A few lines for each class: more at once would stall.
                prefetch(x_row + c * step, ahead, step);
                if constexpr (base == Base::array)
                    prefetch(batch_.b.data + r * classes + c * step,
                             ahead * int64_t(sizeof(Real) / sizeof(Storage)), step);
                batch_.output->write_line();
                const V x = load<V>(&x_[c][r]), term = lifted(x, shift, cut, round);
                if constexpr (base == Base::ones)
                    store(m - x, &parts[c][r]);
                if constexpr (base == Base::shared)
                    store((m - x) * batch_.b.data[c], &parts[c][r]);
                if constexpr (base == Base::array) {
                    const V b = load<V>(&b_[c][r]), part = b * (m - x);
                    store(b != 0 ? part : V{}, &parts[c][r]);
                    nonzero -= b != 0;
                    negative |= ~(b >= 0);
                    y = b != 0 ? Ints{} + c : y;
                }
                store(term, &x_[c][r]);
                store(x != m ? term : V{}, &below_[c][r]);
                lower -= x != m;
            }
            for (int i = 0; i < step; ++i) { // as int, because AVX2 converts no wider integers
                sums.largest[r + i] = double(classes - int(lower[i]));
                sums.nonzero[r + i] = nonzero[i];
                sums.y[r + i] = y[i];
            }
        }
        for (int r = 0; r < batch_rows; r += doubles) {
            store_sums(sum_of_lanes<1, 0>(below_, r), sums.terms, r);
            if constexpr (base != Base::zeros)
                store(nearest(sum_of_lanes<1, 0>(parts, r)), &sums.mean[r]);
            if constexpr (base == Base::array)
                store(nearest(sum_of_lanes<1, 0>(b_, r)), &sums.base[r]);
        }
        if constexpr (base == Base::ones)
            for (int r = 0; r < batch_rows; ++r)
                sums.base[r] = double(classes_);
        sums.negative = false;
        for (int i = 0; i < step; ++i)
            sums.negative |= negative[i] != 0;
    }

    INLINE void add_scores(const Column<Int> &absent, const Column<Real> &z_y,
                           BatchSums<Real> &sums, BatchScoreSums<Real> &also) {
        using Ints = typename Exp<V>::Int;
        const Column<Frame<Real>> &frame = sums.frame;
        Column<Real> cuts, rounds;
        find_cuts(absent, frame, cuts, rounds);
        Real(*parts)[batch_rows] = reinterpret_cast<Real(*)[batch_rows]>(rows_);
        for (int r = 0; r < batch_rows; r += step) {
            const V m = load<V>(&frame.m[r]), shift = load<V>(&frame.shift[r]),
                    cut = load<V>(&cuts[r]), round = load<V>(&rounds[r]), z = load<V>(&z_y[r]);
            Ints lower = {}, above = {}, first = {};
            first -= 1;
            for (int c = 0; c < classes_; ++c) {
                prefetch(batch_.x.data + r * classes_ + c * step, batch_.ahead, step);
                const V x = load<V>(&x_[c][r]), term = lifted(x, shift, cut, round);
                const V below = x != m ? term : V{}, part = below * (m - x);
                store(below, &below_[c][r]);
                store(below != 0 ? part : V{}, &parts[c][r]);
                lower -= x != m;
                above -= x > z;
                first = (x == m) & (first < 0) ? Ints{} + c : first;
            }
            store(above, &also.above[r]);
            store(first, &also.first[r]);
            for (int i = 0; i < step; ++i)
                sums.largest[r + i] = double(classes_ - int(lower[i]));
        }
        for (int r = 0; r < batch_rows; r += doubles) {
            store_sums(sum_of_lanes<1, 0>(below_, r), sums.terms, r);
            store_sums(sum_of_lanes<1, 0>(parts, r), also.distance, r);
        }
    }

    // Whether the numbers of each row are finite, not negative, and sum to 1 within the tolerance.
    INLINE bool are_fit(double tolerance) {
        for (int r = batch_.count; r < batch_rows; ++r)
            x_[0][r] = 1; // rows that have no memory are fit
        typename Exp<V>::Int bad = {};
        typename Exp<Doubles>::Int bad_sums = {};
        for (int r = 0; r < batch_rows; r += step)
            for (int c = 0; c < classes_; ++c)
                bad |= ~(load<V>(&x_[c][r]) >= 0);
        for (int r = 0; r < batch_rows; r += doubles) {
            Doubles sum = {};
            for (int c = 0; c < classes_; ++c)
                sum += doubles_at(x_, c, r);
            const Doubles off = sum < 1 ? 1 - sum : sum - 1;
            bad_sums |= ~((off <= tolerance) & (off < __builtin_inf()));
        }
        bool fit = true;
        for (int i = 0; i < step; ++i)
            fit &= bad[i] == 0;
        for (int i = 0; i < doubles; ++i)
            fit &= bad_sums[i] == 0;
        return fit;
    }

    template <Base base, class Alone>
    INLINE void finish(const Column<Int> &, const BatchGradient<Real> &gradient,
                       const BatchSums<Real> &, Alone alone) {
        const View<Storage> &grad = batch_.grad;
        if (!grad.data) {
            if (gradient.any_special)
                for (int r = 0; r < batch_.count; ++r)
                    if (gradient.special[r])
                        compute_alone(r, nullptr, alone);
            return;
        }
        Output<Storage> &output = *batch_.output;
        const bool in_rows = grad.class_stride == 1 || classes_ == 1;
        const bool full = in_rows && batch_.count == batch_rows && !gradient.any_special;
        const bool whole = full && grad.row_stride == classes_, stream = output.stream();
        const int count = batch_rows * classes_;
        if constexpr (std::is_same_v<Real, Storage>) {
            if (stream ? whole : full && classes_ >= n) {
                Real *to = stream ? output.room(grad.data) : grad.data;
                const int64_t stride = stream ? classes_ : grad.row_stride;
                write_entries<base>(gradient, to, stride);
                if (stream)
                    output.made(count);
                return;
            }
        }
        if (!in_rows) {
            return write_columns_of<base>(gradient, alone);
        }
        write_entries<base>(gradient, rows_, classes_);
        if (gradient.any_special)
            for (int r = 0; r < batch_.count; ++r)
                if (gradient.special[r])
                    compute_alone(r, row(r), alone);
        if (whole && stream) {
            round_all(rows_, count, output.room(grad.data));
            output.made(count);
        } else if (whole) {
            write(rows_, count, grad.data);
        } else {
            for (int r = 0; r < batch_.count; ++r)
                write(row(r), classes_, grad.row(r));
        }
    }

  private:
    static constexpr int doubles = width<double>; // rows whose sums are computed together
    using Doubles = Vector<double>;
    using Sums = std::conditional_t<sizeof(Real) == 4, Doubles, DoubleDoubleOf<Doubles>>;

    static INLINE void store_sums(Doubles sums, Column<double> &to, int r) { store(sums, &to[r]); }
    static INLINE void store_sums(DoubleDoubleOf<Doubles> sums, Column<DoubleDouble> &to, int r) {
        store(sums.hi, &to.high[r]);
        store(sums.lo, &to.low[r]);
    }

    static INLINE Doubles doubles_at(const Real (*from)[batch_rows], int c, int r) {
        double numbers[doubles];
        for (int i = 0; i < doubles; ++i)
            numbers[i] = from[c][r + i];
        return load<Doubles>(numbers);
    }

    static INLINE Doubles nearest(Doubles a) { return a; }
    static INLINE Doubles nearest(DoubleDoubleOf<Doubles> a) { return a.hi + a.lo; }

    // The sum over the lanes l, l + apart, l + 2·apart, …: a subtree of Sum's tree.
    template <int apart, int l>
    INLINE Sums sum_of_lanes(const Real (*from)[batch_rows], int r) const {
        if constexpr (apart < lanes) {
            const Sums sum = sum_of_lanes<2 * apart, l>(from, r);
            return l + apart < classes_ ? add(sum, sum_of_lanes<2 * apart, l + apart>(from, r))
                                        : sum;
        } else {
            Sums sum = {doubles_at(from, l, r)};
            for (int i = lanes; i < classes_; i += lanes) { // see for_each_group
                const int last = classes_ - lanes, c = (i < last ? i : last) + l;
                if (c >= i)
                    sum = add(sum, doubles_at(from, c, r));
            }
            return sum;
        }
    }

    // Arguments of `lifted`.
    static INLINE void find_cuts(const Column<Int> &absent, const Column<Frame<Real>> &frame,
                                 Column<Real> &cuts, Column<Real> &rounds) {
        for (int r = 0; r < batch_rows; ++r) {
            // All terms of a row that does not count are 0, whatever its logits: no comparison with
            // NaN holds.
            cuts[r] = absent[r] ? Real(__builtin_nan("")) : frame[r].cut();
            rounds[r] = frame[r].round();
        }
    }

    // Rows as columns. Numbers of rows that have no memory are 0.
    template <class T> INLINE void read(const View<const T> &from, Real (*to)[batch_rows]) {
        const int count = batch_.count;
        if (from.class_stride != 1 && classes_ > 1) { // columns already
            for (int c = 0; c < classes_; ++c) {
                const T *column = from.data + c * from.class_stride;
                if (count == batch_rows)
                    for (int r = 0; r < batch_rows; ++r)
                        to[c][r] = Real(column[r]);
                else
                    for (int r = 0; r < batch_rows; ++r)
                        to[c][r] = r < count ? Real(column[r]) : Real(0);
            }
        } else {
            if constexpr (std::is_same_v<Real, T>)
                if (classes_ >= n && count == batch_rows)
                    return transpose(from.data, from.row_stride, to);
            if (from.row_stride == classes_) {
                copy_as(from.data, count * classes_, rows_);
            } else {
                for (int r = 0; r < count; ++r)
                    copy_as(from.row(r), classes_, row(r));
            }
            for (int i = count * classes_; i < batch_rows * classes_; ++i)
                rows_[i] = 0;
            transpose(rows_, classes_, to);
        }
    }

    INLINE void transpose(const Real *rows, int64_t stride, Real (*to)[batch_rows]) const {
        for (int r = 0; r < batch_rows; r += step)
            for_each_strip([&](int c) INLINE_LAMBDA {
                V columns[n];
                read_columns(rows + r * stride + c, stride, columns);
                for (int i = 0; i < n; ++i)
                    store(columns[i], &to[c + i][r]);
            });
    }

    // The entries of class c for the rows from r on.
    template <Base base>
    INLINE V entries(const BatchGradient<Real> &gradient, const Scaling<V> &scaling, int c,
                     int r) const {
        const V entry = scaling.entry(load<V>(&x_[c][r])), scale = load<V>(&gradient.scale[r]);
        if constexpr (base == Base::zeros)
            return entry;
        else if constexpr (base == Base::ones)
            return entry - scale;
        else if constexpr (base == Base::shared) // classes beyond the last have no number
            return fma(-scale, batch_.b.data[c < classes_ ? c : 0], entry);
        else
            return fma(-scale, load<V>(&b_[c][r]), entry);
    }

    static INLINE Scaling<V> scaling_of(const Column<Scaling<Real>> &scaling, int r) {
        return {load<V>(&scaling.hi[r]), load<V>(&scaling.lo[r]), load<V>(&scaling.last[r]),
                load<V>(&scaling.top[r]), load<V>(&scaling.of_top[r])};
    }

    template <Base base>
    INLINE void write_entries(const BatchGradient<Real> &gradient, Real *rows, int64_t stride) {
        for (int r = 0; r < batch_rows; r += step) {
            const Scaling<V> scaling = scaling_of(gradient.scaling, r);
            for_each_strip([&](int c) INLINE_LAMBDA {
                V columns[n];
#pragma GCC unroll 4
                for (int i = 0; i < n; ++i)
                    columns[i] = entries<base>(gradient, scaling, c + i, r);
                write_columns(columns, rows + r * stride + c, stride);
            });
        }
        for (int r = 0; r < batch_rows; ++r)
            if (base == Base::zeros || gradient.y[r] >= 0)
                rows[r * stride + gradient.y[r]] = gradient.of_y[r];
    }

    // The gradient class by class, where that is how it lies in memory.
    template <Base base, class Alone>
    INLINE void write_columns_of(const BatchGradient<Real> &gradient, Alone alone) {
        for (int r = 0; r < batch_rows; r += step) {
            const Scaling<V> scaling = scaling_of(gradient.scaling, r);
            for (int c = 0; c < classes_; ++c)
                store(entries<base>(gradient, scaling, c, r), &x_[c][r]);
        }
        for (int r = 0; r < batch_rows; ++r)
            if (base == Base::zeros || gradient.y[r] >= 0)
                x_[gradient.y[r]][r] = gradient.of_y[r];
        if (gradient.any_special)
            for (int r = 0; r < batch_.count; ++r)
                if (gradient.special[r]) {
                    compute_alone(r, rows_, alone);
                    for (int c = 0; c < classes_; ++c)
                        x_[c][r] = rows_[c];
                }
        const bool stream = batch_.output->stream() && batch_.count == batch_rows;
        constexpr int bytes = batch_rows * int(sizeof(Storage));
        for (int c = 0; c < classes_; ++c) {
            Storage *to = batch_.grad.data + c * batch_.grad.class_stride;
            alignas(line) Storage column[batch_rows];
            for (int r = 0; r < batch_rows; ++r)
                column[r] = rounded_to<Storage>(x_[c][r]);
            if (stream && reinterpret_cast<std::uintptr_t>(to) % line == 0)
                stream_lines(column, to, bytes);
            else if (batch_.count == batch_rows)
                std::memcpy(static_cast<void *>(to), column, bytes);
            else
                copy(column, batch_.count, to);
        }
    }

    // loss_of_row for row r, from its logits in memory; the gradient goes to `grad`.
    template <class Alone> INLINE void compute_alone(int r, Real *grad, Alone alone) {
        Real x[most_classes], b[most_classes];
        const bool mixed = batch_.b.data;
        for (int c = 0; c < classes_; ++c) {
            x[c] = Real(batch_.x.row(r)[c * batch_.x.class_stride]);
            b[c] = mixed ? batch_.b.row(r)[c * batch_.b.class_stride] : Real(0);
        }
        alone(r, Row<Real>{x, classes_, 0, grad, nullptr, nullptr}, b);
    }

    template <class T> INLINE void copy_as(const T *from, int count, Real *to) const {
        if constexpr (std::is_same_v<Real, T>)
            copy(from, count, to);
        else
            widen(from, count, to);
    }

    INLINE void write(const Real *from, int count, Storage *to) {
        batch_.output->write(to, count, [from](int64_t i, auto size, Real *numbers) INLINE_LAMBDA {
            copy(from + i, size, numbers);
        });
    }
};

} // namespace softmaxloss::LEVEL
