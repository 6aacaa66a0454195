// Short rows, transposed, so that their loops, too, run over rows.
#pragma once
#include "batch.h"
#include "transpose.h"

namespace softmaxloss::LEVEL {

template <class Storage> class Tile {
    using Real = RealOf<Storage>;
    using Int = typename Exp<Real>::Int;
    using W = Wide<Real>;
    static constexpr int lanes = Exp<Real>::lanes, n = square<Real>;

  public:
    // Rows with more classes than this are as fast by themselves.
    static constexpr int most_classes = sizeof(Real) == 4 ? 127 : 63;
    static_assert(most_classes < Sum<Real>::block);

  private:
    const Row<Storage> &row_;
    int classes_;
    alignas(line) Real rows_[batch_rows * most_classes + n]; // row after row
    alignas(line) Real x_[most_classes + n][batch_rows];     // the same, class after class

  public:
    INLINE Tile(const Row<Storage> &row, int64_t stride) : row_(row), classes_(int(row.classes)) {
        if (stride == classes_) {
            read(row.x, batch_rows * classes_, rows_);
        } else {
            for (int r = 0; r < batch_rows; ++r)
                read(row.x + r * stride, classes_, rows_ + r * classes_);
        }
        // The last square may reach into the next row: those columns are not looked at.
        for (int c = 0; c < classes_; c += n)
            for (int r = 0; r < batch_rows; r += n)
                transpose_square(rows_ + r * classes_ + c, classes_, &x_[c][r], batch_rows);
    }

    INLINE void find_largest(Column<Real> &m) const {
        Int nan[batch_rows] = {};
        for (int r = 0; r < batch_rows; ++r)
            m[r] = -__builtin_inf();
        for (int c = 0; c < classes_; ++c)
            for (int r = 0; r < batch_rows; ++r) {
                m[r] = x_[c][r] > m[r] ? x_[c][r] : m[r];
                nan[r] |= x_[c][r] != x_[c][r];
            }
        for (int r = 0; r < batch_rows; ++r)
            m[r] = nan[r] ? Real(__builtin_nan("")) : m[r];
    }

    // Keeps the terms, of the largest logits too. Each row's are added as Sum does, whose lanes are
    // columns here.
    INLINE void add_up(const Column<Frame<Real>> &frame, const Column<Int> &, Column<W> &terms,
                       Column<double> &largest) {
        Real cut[batch_rows], round[batch_rows];
        Int ties[batch_rows] = {};
        Column<W> sums[lanes];
        for (int r = 0; r < batch_rows; ++r) {
            cut[r] = frame[r].cut();
            round[r] = frame[r].round();
        }
        const auto fill_terms = [&](int c, Real *below) INLINE_LAMBDA {
            // A part for each class: asked for all at once, they would have to be waited for.
            prefetch(row_.x + c * batch_rows, row_.ahead, batch_rows);
            for (int r = 0; r < batch_rows; ++r) {
                const bool is_largest = x_[c][r] == frame.m[r];
                const Real term = lifted(x_[c][r], frame.shift[r], cut[r], round[r]);
                x_[c][r] = term;
                below[r] = is_largest ? Real(0) : term;
                ties[r] += is_largest;
            }
        };
        int used = classes_ < lanes ? classes_ : lanes; // the other lanes would hold zeros
        for (int c = 0; c < used; ++c) {
            Real below[batch_rows];
            fill_terms(c, below);
            for (int r = 0; r < batch_rows; ++r)
                sums[c].set(r, W{below[r]});
        }
        for (int c = used; c < classes_; ++c) {
            Real below[batch_rows];
            fill_terms(c, below);
            const int from = c / lanes * lanes, last = classes_ - lanes; // see for_each_block
            Column<W> &sum = sums[c - (from < last ? from : last)];
            for (int r = 0; r < batch_rows; ++r)
                sum.set(r, add(sum[r], below[r]));
        }
        for (int half = lanes / 2; half > 0; half /= 2) {
            for (int l = 0; l + half < used; ++l)
                for (int r = 0; r < batch_rows; ++r)
                    sums[l].set(r, add(sums[l][r], sums[l + half][r]));
            used = used < half ? used : half;
        }
        for (int r = 0; r < batch_rows; ++r) {
            terms.set(r, sums[0][r]);
            largest[r] = double(int(ties[r])); // AVX2 converts no wider integers
        }
    }

    INLINE void write_gradient(const Column<Frame<Real>> &, const Column<Scaling<Real>> &scaling,
                               const Column<int64_t> &y, const Column<Real> &of_y,
                               const Column<Int> &special, int any_special, int64_t grad_stride) {
        for (int c = 0; c < classes_; ++c)
            for (int r = 0; r < batch_rows; ++r)
                x_[c][r] = scaling[r].entry(x_[c][r]);
        // Backwards: where a square reaches into the next row, that is written later.
        for (int c = (classes_ - 1) / n * n; c >= 0; c -= n)
            for (int r = 0; r < batch_rows; r += n)
                transpose_square(&x_[c][r], batch_rows, rows_ + r * classes_ + c, classes_);
        for (int r = 0; r < batch_rows; ++r)
            if (!special[r])
                rows_[r * classes_ + y[r]] = of_y[r];
        if (grad_stride == classes_ && !any_special) {
            write(rows_, batch_rows * classes_, row_.grad);
        } else {
            for (int r = 0; r < batch_rows; ++r)
                if (!special[r])
                    write(rows_ + r * classes_, classes_, row_.grad + r * grad_stride);
        }
    }

  private:
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
