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
    static constexpr int lanes = Exp<Real>::lanes, n = strip<Real>, step = width<Real>,
                         quad = Sum<Real>::quad;

    using Ints = typename Exp<V>::Int;
    using Columns = Real (*)[batch_rows]; // class by class

  public:
    // Longer rows are as fast without transposing.
    static constexpr int most_classes = longest_tile<Real>;
    // Columns need no transposing. So many stay in the second-level cache.
    static constexpr int most_columns = 2048 / sizeof(Real);

  private:
    const Batch<Storage> &batch_;
    const int classes_;
    const Columns x_, next_x_; // logits, then terms; those of the batch after this one
    const Columns b_, next_b_; // for Base::array
    const Columns below_;      // terms, 0 for the largest logits; without a gradient in x_
    Real *const rows_;         // row by row

    // Numbers of one class in two arrays are not a multiple of a page apart: a processor takes
    // a load for one of the number stored so far before it.
    static constexpr int page = 4096, apart = 11 * line;
    static_assert(6 * ((most_columns + n) * batch_rows * sizeof(Real) + page + apart) <=
                  terms_bytes);

    INLINE Columns columns(int i) const {
        const int bytes = (classes_ + n) * batch_rows * int(sizeof(Real));
        const int size = (bytes + page - 1) / page * page + apart;
        return reinterpret_cast<Columns>(reinterpret_cast<char *>(batch_.scratch) + i * size);
    }

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
        : batch_(batch), classes_(int(batch.classes)), x_(columns(batch.odd)),
          next_x_(columns(!batch.odd)), b_(columns(2 + batch.odd)),
          next_b_(columns(2 + !batch.odd)), below_(batch.grad.data ? columns(4) : x_),
          rows_(*columns(5)) {
        if (!batch.is_read)
            read(batch.x, x_);
    }

    // The numbers class by class, for those who need no more.
    INLINE View<const Real> in_columns() const { return {*x_, 1, batch_rows}; }

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
        if constexpr (base == Base::array)
            if (!batch_.is_read)
                read(batch_.b, b_);
        const Columns parts = reinterpret_cast<Columns>(rows_);
        Ints negative = {};
        for (int r = 0; r < batch_rows; r += step) {
            const Lift lift(absent, sums.frame, r);
            const V m = lift.m;
            // Locals, since a store into memory could change a member.
            const Columns xs = x_, below = below_, bs = b_;
            const int classes = classes_;
            Next<Storage> next_x(batch_.next_x, next_x_, classes, r);
            Next<Real> next_b(batch_.next_b, next_b_, classes, r);
            const bool keeping = batch_.grad.data;
            const int64_t ahead = batch_.ahead;
            const Storage *x_row = batch_.x.data + r * classes;
            Ints lower = {}, nonzero = {}, y = {};
            for (int c = 0; c < classes; ++c) {
                next_x.read();
                if constexpr (base == Base::array)
                    next_b.read();
                // A few lines for each class: more at once would stall.
                prefetch(x_row + c * step, ahead, step);
                if constexpr (base == Base::array)
                    prefetch(batch_.b.data + r * classes + c * step,
                             ahead * int64_t(sizeof(Real) / sizeof(Storage)), step);
                batch_.output->write_line();
                const V x = load<V>(&xs[c][r]), term = lift.term(x);
                if constexpr (base == Base::ones)
                    store(m - x, &parts[c][r]);
                if constexpr (base == Base::shared)
                    store((m - x) * batch_.b.data[c], &parts[c][r]);
                if constexpr (base == Base::array) {
                    const V b = load<V>(&bs[c][r]), part = b * (m - x);
                    store(b != 0 ? part : V{}, &parts[c][r]);
                    nonzero -= b != 0;
                    negative |= ~(b >= 0);
                    y = b != 0 ? Ints{} + c : y;
                }
                if (keeping)
                    store(term, &xs[c][r]);
                store(x != m ? term : V{}, &below[c][r]);
                lower -= x != m;
            }
            for (int i = 0; i < step; ++i) { // as int, because AVX2 converts no wider integers
                sums.largest[r + i] = double(classes - int(lower[i]));
                sums.nonzero[r + i] = nonzero[i];
                sums.y[r + i] = y[i];
            }
        }
        for (int r = 0; r < batch_rows; r += doubles) {
            store_sums(sum_of(below_, classes_, r), sums.terms, r);
            if constexpr (base != Base::zeros)
                store(nearest(sum_of(parts, classes_, r)), &sums.mean[r]);
            if constexpr (base == Base::array)
                store(nearest(sum_of(b_, classes_, r)), &sums.base[r]);
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
        const Columns parts = reinterpret_cast<Columns>(rows_);
        for (int r = 0; r < batch_rows; r += step) {
            const Lift lift(absent, sums.frame, r);
            const V m = lift.m, z = load<V>(&z_y[r]);
            Ints lower = {}, above = {}, first = {};
            first -= 1;
            for (int c = 0; c < classes_; ++c) {
                prefetch(batch_.x.data + r * classes_ + c * step, batch_.ahead, step);
                const V x = load<V>(&x_[c][r]), term = lift.term(x);
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
            store_sums(sum_of(below_, classes_, r), sums.terms, r);
            store_sums(sum_of(parts, classes_, r), also.distance, r);
        }
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
        const bool whole = full && grad.row_stride == classes_;
        // What waits for complete lines has room for the rows of a tile, and not for as many
        // classes as columns may have.
        const bool stream = output.stream() && classes_ <= longest_tile<Real>;
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
        using Numbers = typename VectorOf<Real, doubles *int(sizeof(Real))>::type;
        return __builtin_convertvector(load<Numbers>(&from[c][r]), Doubles);
    }

    // As Sum adds the terms of a lane of a quad.
    static INLINE Doubles quad_at(const Real (*from)[batch_rows], int c, int r) {
        return (doubles_at(from, c, r) + doubles_at(from, c + lanes, r)) +
               (doubles_at(from, c + 2 * lanes, r) + doubles_at(from, c + 3 * lanes, r));
    }

    static INLINE Doubles nearest(Doubles a) { return a; }
    static INLINE Doubles nearest(DoubleDoubleOf<Doubles> a) { return a.hi + a.lo; }

    // The sum over the lanes l, l + apart, l + 2·apart, …: a subtree of Sum's tree.
    template <int apart, int l, class OfLane> static INLINE Sums sum_of_lanes(int live, OfLane of) {
        if constexpr (apart < lanes) {
            const Sums sum = sum_of_lanes<2 * apart, l>(live, of);
            return l + apart < live ? add(sum, sum_of_lanes<2 * apart, l + apart>(live, of)) : sum;
        } else {
            return of(l);
        }
    }

    // The sums of the rows from r on, in the order of Sum, whose lanes are columns here. (Not
    // inlined, so that the loops over a batch fit in the cache of instructions.)
    static __attribute__((noinline)) Sums sum_of(const Real (*from)[batch_rows], int classes,
                                                 int r) {
        const auto group = [=](int l) INLINE_LAMBDA {
            const Sums sum = {doubles_at(from, l, r)};
            return sum;
        };
        if (classes <= lanes)
            return sum_of_lanes<1, 0>(classes, group);
        Sums sums[lanes];
        for (int l = 0; l < lanes; ++l)
            if (classes < quad) {
                Sums sum = group(l);
                for (int i = lanes; i + lanes <= classes; i += lanes)
                    sum = add(sum, doubles_at(from, i + l, r));
                sums[l] = sum;
            } else {
                Sums sum = {quad_at(from, l, r)};
                for (int i = quad; i + quad <= classes; i += quad)
                    sum = add(sum, quad_at(from, i + l, r));
                sums[l] = sum;
            }
        const int whole = classes < quad ? lanes : quad;
        for (int i = classes - classes % whole; i < classes; i += lanes) { // see for_each_group
            const int last = classes - lanes, first = i < last ? i : last;
            for (int c = i; c < first + lanes; ++c)
                sums[c - first] = add(sums[c - first], doubles_at(from, c, r));
        }
        return sum_of_lanes<1, 0>(lanes, [&](int l) INLINE_LAMBDA { return sums[l]; });
    }

    // The terms of the rows from r on.
    struct Lift {
        V m, shift, cut, round;

        INLINE Lift(const Column<Int> &absent, const Column<Frame<Real>> &frame, int r)
            : m(load<V>(&frame.m[r])), shift(load<V>(&frame.shift[r])) {
            // All terms of a row that does not count are 0, whatever its logits: no comparison with
            // NaN holds.
            const V cuts = Frame<V>::cut(m, shift), none = V{} + Real(__builtin_nan(""));
            cut = load<Ints>(&absent[r]) != 0 ? none : cuts;
            round = Frame<V>::round(load<V>(&frame.n_m[r]));
        }
        INLINE V term(V x) const { return lifted(x, shift, cut, round); }
    };

    // Reads the batch after this one, where it lies in columns, class by class for the rows of a
    // register, then of the next. Processors do not foresee reads that are so far apart, so they
    // are prefetched: as far ahead as memory takes to answer.
    template <class T> class Next {
        const T *from_, *ahead_; // no data if there is no such batch
        const int64_t stride_, back_;
        Real *to_;
        const int classes_;
        int left_; // classes until `ahead_` goes on with the next rows

      public:
        INLINE Next(const View<const T> &from, Columns to, int classes, int r)
            : from_(from.data ? from.data + r : nullptr), stride_(from.class_stride),
              back_(classes * stride_ - step), to_(&to[0][r]), classes_(classes) {
            const int rows = columns_ahead / classes, first = columns_ahead % classes;
            ahead_ = from_ ? from_ + rows * step + first * stride_ : nullptr;
            left_ = classes - first;
        }
        INLINE void read() {
            if (!from_)
                return;
            __builtin_prefetch(ahead_, 0, 2);
            store(load_as<Real>(from_), to_);
            from_ += stride_;
            to_ += batch_rows;
            ahead_ += stride_;
            if (--left_ == 0) {
                ahead_ -= back_;
                left_ = classes_;
            }
        }
    };

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
        Real x[most_columns], b[most_columns];
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
