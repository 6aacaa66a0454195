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
    const Row<Storage> &row_;
    int classes_;
    alignas(line) Real rows_[batch_rows * most_classes + n]; // row by row
    alignas(line) Real x_[most_classes + n][batch_rows];     // the same, class by class
    alignas(line) Real below_[most_classes][batch_rows];     // terms, 0 for the largest logits

    // Calls on_strip(c) for the first class of each strip. The last strip overlaps the one before,
    // or reaches beyond rows that are shorter than a strip.
    template <class OnStrip> INLINE void for_each_strip(OnStrip on_strip) const {
        const int last = classes_ < n ? 0 : classes_ - n;
        for (int c = 0; c < last; c += n)
            on_strip(c);
        on_strip(last);
    }

  public:
    INLINE Tile(const Row<Storage> &row, int64_t stride) : row_(row), classes_(int(row.classes)) {
        if constexpr (std::is_same_v<Real, Storage>)
            if (classes_ >= n) {
                transpose(row.x, stride);
                return;
            }
        if (stride == classes_) {
            read(row.x, batch_rows * classes_, rows_);
        } else {
            for (int r = 0; r < batch_rows; ++r)
                read(row.x + r * stride, classes_, rows_ + r * classes_);
        }
        transpose(rows_, classes_);
    }

    INLINE void find_largest(Column<Real> &m) const {
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
    INLINE void add_up(const Column<Frame<Real>> &frame, const Column<Int> &, Column<W> &terms,
                       Column<double> &largest) {
        Column<Real> cuts, rounds;
        for (int r = 0; r < batch_rows; ++r) {
            cuts[r] = frame[r].cut();
            rounds[r] = frame[r].round();
        }
        for (int r = 0; r < batch_rows; r += step) {
            const V m = load<V>(&frame.m[r]), shift = load<V>(&frame.shift[r]),
                    cut = load<V>(&cuts[r]), round = load<V>(&rounds[r]);
            const int classes = classes_;
            const int64_t ahead = row_.ahead;
            const Storage *x_row = row_.x + r * classes;
            typename Exp<V>::Int lower = {};
            for (int c = 0; c < classes; ++c) {
                // A few lines for each class: more at once would stall.
                prefetch(x_row + c * step, ahead, step);
                row_.output->write_line();
                const V x = load<V>(&x_[c][r]), term = lifted(x, shift, cut, round);
                store(term, &x_[c][r]);
                store(x != m ? term : V{}, &below_[c][r]);
                lower -= x != m;
            }
            for (int i = 0; i < step; ++i)
                largest[r + i] = double(classes - int(lower[i])); // AVX2 converts no wider integers
        }
        for (int r = 0; r < batch_rows; r += doubles)
            store_sums(sum_of_lanes<1, 0>(r), terms, r);
    }

    INLINE void write_gradient(const Column<Frame<Real>> &, const Column<Scaling<Real>> &scaling,
                               const Column<int64_t> &y, const Column<Real> &of_y,
                               const Column<Int> &special, int any_special, int64_t grad_stride) {
        Output<Storage> &output = *row_.output;
        const bool whole = grad_stride == classes_ && !any_special, stream = output.stream();
        const int count = batch_rows * classes_;
        if constexpr (std::is_same_v<Real, Storage>) {
            if (stream ? whole : !any_special && classes_ >= n) {
                Real *to = stream ? output.room(row_.grad) : row_.grad;
                transpose_entries(scaling, to, grad_stride);
                for (int r = 0; r < batch_rows; ++r)
                    to[r * grad_stride + y[r]] = of_y[r];
                if (stream)
                    output.made(count);
                return;
            }
        }
        transpose_entries(scaling, rows_, classes_);
        for (int r = 0; r < batch_rows; ++r)
            rows_[r * classes_ + y[r]] = of_y[r];
        if (stream && whole) {
            round_all(rows_, count, output.room(row_.grad));
            output.made(count);
        } else if (whole) {
            write(rows_, count, row_.grad);
        } else {
            for (int r = 0; r < batch_rows; ++r)
                if (!special[r])
                    write(rows_ + r * classes_, classes_, row_.grad + r * grad_stride);
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

    INLINE Doubles below(int c, int r) const {
        double terms[doubles];
        for (int i = 0; i < doubles; ++i)
            terms[i] = below_[c][r + i];
        return load<Doubles>(terms);
    }

    // The sum over the lanes l, l + apart, l + 2·apart, …: a subtree of Sum's tree.
    template <int apart, int l> INLINE Sums sum_of_lanes(int r) const {
        if constexpr (apart < lanes) {
            const Sums sum = sum_of_lanes<2 * apart, l>(r);
            return l + apart < classes_ ? add(sum, sum_of_lanes<2 * apart, l + apart>(r)) : sum;
        } else {
            Sums sum = {below(l, r)};
            for (int i = lanes; i < classes_; i += lanes) { // see for_each_group
                const int last = classes_ - lanes, c = (i < last ? i : last) + l;
                if (c >= i)
                    sum = add(sum, below(c, r));
            }
            return sum;
        }
    }

    INLINE void transpose(const Real *rows, int64_t stride) {
        for (int r = 0; r < batch_rows; r += step)
            for_each_strip([&](int c) INLINE_LAMBDA {
                V columns[n];
                read_columns(rows + r * stride + c, stride, columns);
                for (int i = 0; i < n; ++i)
                    store(columns[i], &x_[c + i][r]);
            });
    }

    INLINE void transpose_entries(const Column<Scaling<Real>> &scaling, Real *rows,
                                  int64_t stride) const {
        for (int r = 0; r < batch_rows; r += step) {
            const Scaling<V> of_rows = {load<V>(&scaling.hi[r]), load<V>(&scaling.lo[r]),
                                        load<V>(&scaling.last[r]), load<V>(&scaling.top[r]),
                                        load<V>(&scaling.of_top[r])};
            for_each_strip([&](int c) INLINE_LAMBDA {
                V columns[n];
#pragma GCC unroll 4
                for (int i = 0; i < n; ++i)
                    columns[i] = of_rows.entry(load<V>(&x_[c + i][r]));
                write_columns(columns, rows + r * stride + c, stride);
            });
        }
    }

    INLINE void read(const Storage *from, int count, Real *to) const {
        if constexpr (std::is_same_v<Real, Storage>)
            copy(from, count, to);
        else
            for (int i = 0; i < count; ++i)
                to[i] = Real(from[i]);
    }

    INLINE void write(const Real *from, int count, Storage *to) {
        row_.output->write(to, count, [from](int64_t i, auto size, Real *numbers) INLINE_LAMBDA {
            copy(from + i, size, numbers);
        });
    }
};

} // namespace softmaxloss::LEVEL
