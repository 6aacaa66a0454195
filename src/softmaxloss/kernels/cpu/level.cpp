// One instruction-set level. This file is compiled once for each, with LEVEL its name.
#include "mixing.h"
#include "scores.h"
#include "softcap.h"

#include <algorithm>

namespace softmaxloss::LEVEL {

template <class Label>
void read_as(const void *labels, std::int64_t first, int count, std::int64_t *y) {
    const Label *from = static_cast<const Label *>(labels) + first;
    for (int r = 0; r < count; ++r)
        y[r] = int64_t(from[r]);
}

// The labels of `count` rows.
inline void read_labels(const Call &call, int64_t first, int count, int64_t *y) {
    // In the order of LabelType.
    constexpr decltype(&read_as<int64_t>) read[] = {
        read_as<std::int8_t>,   read_as<std::int16_t>,  read_as<std::int32_t>,
        read_as<int64_t>,       read_as<std::uint8_t>,  read_as<std::uint16_t>,
        read_as<std::uint32_t>, read_as<std::uint64_t>,
    };
    read[int(call.label_type)](call.labels, first, count, y);
}

// Labels come checked, but another thread may have changed them since.
inline bool is_outside(int64_t y, int64_t classes) { return (y < 0) | (y >= classes); }

inline const void *labels_from(const Call &call, int64_t row) {
    constexpr int bytes[] = {1, 2, 4, 8};
    return call.labels
               ? static_cast<const char *>(call.labels) + row * bytes[int(call.label_type) % 4]
               : nullptr;
}

// The rows of a call up to `end`, where they lie so that no copies are needed: see `in_place`.
template <Base base, class Storage> class Rows {
    static constexpr double nan = __builtin_nan("");
    using Real = RealOf<Storage>;
    const CrossEntropy &call_;
    const int64_t end_;
    Output<Storage> output_;
    Real *const scratch_;
    const Real *weight_ = nullptr; // of the classes, if they are the numbers b
    double sum_b_ = 0;
    const bool in_rows_;
    // Whether all that is read of each row lies in columns. Then each batch reads the next one.
    const bool in_columns_;
    bool is_read_ = false, odd_ = false;

    View<const Real> b(int64_t i) const {
        if constexpr (!has_array(base))
            return {};
        else if (weight_)
            return {weight_, 0, 1};
        else
            return view<const Real>(call_, call_.probabilities, i);
    }

    Targets targets(int64_t first, int count) const {
        Targets targets;
        auto &[y, scale, extra, factor] = targets;
        const double keep = 1 - call_.label_smoothing,
                     spread = call_.label_smoothing / double(call_.classes);
        for (int r = count; r < batch_rows; ++r) {
            y[r] = 0;
            scale[r] = extra[r] = 0;
            factor[r] = 1;
        }
        for (int r = 0; r < count; ++r)
            factor[r] = call_.factor[(first + r) * call_.factor_stride];
        for (int r = 0; r < count; ++r)
            scale[r] = call_.sample_weight ? call_.sample_weight[first + r] : 1;
        if (!call_.labels) {
            for (int r = 0; r < count; ++r) {
                y[r] = -1;
                extra[r] = 0;
            }
            return targets;
        }
        read_labels(call_, first, count, y.values);
        for (int r = 0; r < count; ++r) {
            const bool ignored = y[r] == call_.ignore_index,
                       outside = is_outside(y[r], call_.classes);
            scale[r] = ignored ? 0 : outside ? nan : scale[r];
            y[r] = ignored | outside ? 0 : y[r];
        }
        for (int r = 0; r < count; ++r)
            extra[r] = scale[r] * (base == Base::zeros ? 1 : keep);
        if (call_.weight)
            for (int r = 0; r < count; ++r)
                extra[r] *= call_.weight[y[r]];
        const bool none = base == Base::shared && sum_b_ == 0; // all weights are 0
        for (int r = 0; r < count; ++r)
            scale[r] *= none ? 0 : spread;
        if constexpr (base != Base::zeros)
            for (int r = 0; r < count; ++r) // the class is one like the others
                y[r] = extra[r] == 0 && call_.classes > 1 ? -1 : y[r];
        return targets;
    }

    template <class T> void put(int64_t first, int count, const double *loss) const {
        T *to = static_cast<T *>(call_.loss) + first;
        for (int r = 0; r < count; ++r)
            to[r] = T(loss[r]);
    }
    void put_losses(int64_t first, int count, const double *loss) const {
        call_.double_loss ? put<double>(first, count, loss) : put<float>(first, count, loss);
    }

    // The rows up to `stop` have one value of `outer` if they are in columns.
    template <class Form> void batch(int64_t first, int count, int64_t stop) {
        const View<const Storage> x = view<const Storage>(call_, call_.logits, first);
        // The batch after this one is prefetched if it is before `end`.
        const bool more = in_rows_ && first + 2 * batch_rows <= end_;
        const int64_t ahead = more ? batch_rows * x.row_stride * int64_t(sizeof(Storage)) : 0;
        Targets own = targets(first, count);
        Column<double> loss;
        constexpr bool checked_here = std::is_same_v<Form, Tile<Storage>>;
        Batch<Storage> rows{x,        view<Storage>(call_, call_.grad, first),
                            b(first), sum_b_,
                            count,    call_.classes,
                            ahead,    &output_,
                            scratch_, {},
                            {},       is_read_,
                            odd_};
        const int64_t next = first + batch_rows;
        is_read_ = in_columns_ && next + batch_rows <= stop;
        if (is_read_) {
            odd_ = !odd_;
            rows.next_x = view<const Storage>(call_, call_.logits, next);
            rows.next_b = b(next);
        }
        if (call_.unfit && !checked_here)
            for (int r = 0; r < count; ++r)
                check_row(rows.b.row(r));
        const bool fit = loss_of_batch<Form, base>(rows, own, loss, call_.tolerance);
        if (call_.unfit && checked_here && !fit)
            *call_.unfit = true;
        put_losses(first, count, loss.values);
    }

    // Just before the row is computed, which finds it in cache then.
    void check_row(const Real *b) const {
        if (!is_fit(b, call_.classes, call_.tolerance))
            *call_.unfit = true;
    }

    void one(int64_t i, const Team *team) {
        const View<const Storage> x = view<const Storage>(call_, call_.logits, i);
        const int64_t ahead = i + 2 <= end_ ? x.row_stride * int64_t(sizeof(Storage)) : 0;
        const Targets own = targets(i, 1);
        if (call_.unfit)
            check_row(b(i).data);
        double loss;
        loss_of_row<base>(
            Row<Storage>{x.data, call_.classes, ahead, view<Storage>(call_, call_.grad, i).data,
                         &output_, scratch_},
            Target<Real>{own.y[0], own.scale[0], own.extra[0], own.factor[0], b(i).data, sum_b_},
            &loss, team);
        put_losses(i, 1, &loss);
    }

  public:
    Rows(const CrossEntropy &call, int64_t end)
        : call_(call), end_(end), output_(call.stream),
          scratch_(static_cast<Real *>(scratch_memory(Scratch::terms, terms_bytes))),
          in_rows_(in_rows(call, call.logits)),
          in_columns_(!in_rows_ && (base != Base::array || !in_rows(call, call.probabilities))) {
        if (has_array(base) && call.labels) {
            Real *weight = static_cast<Real *>(scratch_memory(
                Scratch::weight, std::size_t(call.classes + batch_rows) * sizeof(Real)));
            DoubleDouble sum{0, 0};
            for (int64_t c = 0; c < call.classes; ++c) {
                weight[c] = as_real<Real>(call.weight[c]);
                sum = add(sum, double(weight[c]));
            }
            weight_ = weight;
            sum_b_ = sum.hi + sum.lo;
        }
    }

    void compute(int64_t begin, const Team *team) {
        int64_t i = begin;
        const bool columns = in_place_columns();
        if (call_.classes <=
            (columns ? Tile<Storage>::most_columns : Tile<Storage>::most_classes)) {
            while (i < end_) {
                // Columns of one `outer` at a time; rows have one distance throughout.
                const int64_t left = columns ? call_.inner - i % call_.inner : end_ - i;
                const int64_t stop = i + left < end_ ? i + left : end_;
                for (; i + batch_rows <= stop; i += batch_rows)
                    batch<Tile<Storage>>(i, batch_rows, stop);
                if (i < stop && (columns || stop - i >= few_rows())) {
                    batch<Tile<Storage>>(i, int(stop - i), stop);
                    i = stop;
                }
                for (; i < stop; ++i)
                    one(i, nullptr);
            }
        } else if (call_.classes <= AsRows<Storage>::most_classes) {
            for (; i + batch_rows <= end_; i += batch_rows)
                batch<AsRows<Storage>>(i, batch_rows, end_);
        }
        for (; i < end_; ++i)
            one(i, team);
    }

  private:
    // Fewer take less time one by one.
    int few_rows() const { return call_.classes < Sum<Real>::quad ? 4 : batch_rows / 2; }

    bool in_place_columns() const {
        return !in_rows_ || (call_.grad.data && !in_rows(call_, call_.grad)) ||
               (base == Base::array && !weight_ && !in_rows(call_, call_.probabilities));
    }
};

template <class Storage>
void compute_in_place(const CrossEntropy &call, int64_t begin, int64_t end, const Team *team) {
    const bool shared = call.labels && call.label_smoothing != 0 && call.weight;
    if (shared && call.classes <= chunk_classes)
        Rows<Base::shared, Storage>(call, end).compute(begin, team);
    else if (shared || call.probabilities.data)
        Rows<Base::array, Storage>(call, end).compute(begin, team);
    else if (call.label_smoothing != 0)
        Rows<Base::ones, Storage>(call, end).compute(begin, team);
    else
        Rows<Base::zeros, Storage>(call, end).compute(begin, team);
}

// Whether the loops can read, or write, an array where it lies: contiguous rows at one distance,
// or columns of short rows.
template <class Storage> bool in_place(const Call &call, const Array &array) {
    const bool columns = call.classes <= Tile<Storage>::most_columns && in_columns(call, array);
    return !array.data || in_rows(call, array) || columns;
}

// A block of rows is copied to contiguous rows where an array does not lie so, or where it is not
// of the computed type. From probabilities q the copy makes b_n = w_n·((1 − ε)·q_n + ε/C).
template <class Storage>
void compute_copies(const CrossEntropy &call, int64_t begin, int64_t end, const Team *team) {
    using Real = RealOf<Storage>;
    const int64_t classes = call.classes;
    const bool mixed = call.probabilities.data;
    const bool logits_too =
        !in_rows(call, call.logits) || (call.grad.data && !in_rows(call, call.grad));
    const int64_t most = copied_rows<Real>(classes);
    for (int64_t i = begin; i < end; i += most) {
        const int64_t count = end - i < most ? end - i : most;
        double sample_weight[2 * batch_rows];
        CrossEntropy part = call;
        part.outer = 1;
        part.inner = count;
        part.labels = labels_from(call, i);
        part.factor = call.factor + i * call.factor_stride;
        part.loss = static_cast<char *>(call.loss) + i * (call.double_loss ? 8 : 4);
        if (call.sample_weight)
            part.sample_weight = call.sample_weight + i;
        if (mixed) {
            Real *q = block_of<Real>(Scratch::coefficients, count, classes);
            gather_any(call.probabilities_type, call, call.probabilities, i, count, q);
            for (int64_t r = 0; call.unfit && r < count; ++r)
                if (!is_fit(q + r * classes, classes, call.tolerance))
                    *call.unfit = true;
            part.unfit = nullptr;
            mix(call, i, count, q, sample_weight);
            part.probabilities = {q, 0, 1, classes};
            part.weight = nullptr;
            part.label_smoothing = 0;
            part.sample_weight = sample_weight;
        }
        if (!logits_too) {
            part.logits = {const_cast<Storage *>(view<const Storage>(call, call.logits, i).data), 0,
                           1, call.logits.inner_stride};
            part.grad = {view<Storage>(call, call.grad, i).data, 0, 1, call.grad.inner_stride};
            compute_in_place<Storage>(part, 0, count, team);
            continue;
        }
        Real *x = block_of<Real>(Scratch::logits, count, classes);
        gather<Real, Storage>(call, call.logits, i, count, x);
        part.logits = {x, 0, 1, classes};
        part.stream = false;
        if (call.grad.data)
            part.grad = part.logits;
        compute_in_place<Real>(part, 0, count, team);
        if (call.grad.data)
            scatter<Storage>(call, call.grad, i, count, call.stream, x);
    }
}

template <class Storage>
void cross_entropy(const CrossEntropy &call, int64_t begin, int64_t end, const Team *team) {
    using Real = RealOf<Storage>;
    const bool as_they_are =
        !call.probabilities.data || (call.probabilities_type == (sizeof(Real) == 4 ? f32 : f64) &&
                                     !call.weight && call.label_smoothing == 0);
    if (as_they_are && in_place<Storage>(call, call.logits) && in_place<Storage>(call, call.grad) &&
        in_place<Storage>(call, call.probabilities))
        compute_in_place<Storage>(call, begin, end, team);
    else
        compute_copies<Storage>(call, begin, end, team);
}

// The scores of rows that need no copies.
template <class Storage>
void score_in_place(const Score &call, int64_t begin, int64_t end, const Team *team) {
    using Real = RealOf<Storage>;
    Real *const scratch = static_cast<Real *>(scratch_memory(Scratch::terms, terms_bytes));
    const auto put = [&](int64_t i, const RowScore &row) {
        static_cast<Real *>(call.loss)[i] = Real(row.loss);
        static_cast<Real *>(call.probability)[i] = Real(row.probability);
        static_cast<Real *>(call.entropy)[i] = Real(row.entropy);
        static_cast<Real *>(call.logsumexp)[i] = Real(row.logsumexp);
        call.predicted[i] = row.predicted;
        call.rank[i] = row.rank;
    };
    const auto batch = [&](auto scores_of, int64_t first, int count) {
        Column<int64_t> y;
        for (int r = count; r < batch_rows; ++r)
            y[r] = ignored_class;
        read_labels(call, first, count, y.values);
        for (int r = 0; r < count; ++r)
            y[r] = y[r] == call.ignore_index        ? ignored_class
                   : is_outside(y[r], call.classes) ? no_class
                                                    : y[r];
        const View<const Storage> x = view<const Storage>(call, call.logits, first);
        const bool more = x.class_stride == 1 && first + 2 * batch_rows <= end;
        const int64_t ahead = more ? batch_rows * x.row_stride * int64_t(sizeof(Storage)) : 0;
        RowScore scores[batch_rows];
        scores_of(
            Batch<Storage>{
                x, {}, {}, 0, count, call.classes, ahead, nullptr, scratch, {}, {}, false, false},
            y, scores);
        for (int r = 0; r < count; ++r)
            put(first + r, scores[r]);
    };
    const bool rows = in_rows(call, call.logits);
    const bool tiles = call.classes <=
                       (rows ? Tile<Storage>::most_classes : Tile<Storage>::most_columns),
               batches = call.classes <= AsRows<Storage>::most_classes;
    for (int64_t i = begin; i < end;) {
        const int64_t left = rows ? end - i : std::min(end - i, call.inner - i % call.inner);
        const int count = int(left < batch_rows ? left : batch_rows);
        const bool several = !rows || count == batch_rows;
        if (several && tiles) {
            batch(scores_of_batch<Tile<Storage>, Storage>, i, count);
            i += count;
        } else if (several && batches) {
            batch(scores_of_batch<AsRows<Storage>, Storage>, i, count);
            i += count;
        } else {
            const View<const Storage> x = view<const Storage>(call, call.logits, i);
            const int64_t ahead = i + 1 < end ? x.row_stride * int64_t(sizeof(Storage)) : 0;
            int64_t y;
            read_labels(call, i, 1, &y);
            put(i++, y == call.ignore_index ? score_if_ignored
                     : is_outside(y, call.classes)
                         ? score_if_undefined
                         : score_row(x.data, call.classes, y, ahead, team));
        }
    }
}

template <class Storage>
void score(const Score &call, int64_t begin, int64_t end, const Team *team) {
    using Real = RealOf<Storage>;
    if (in_place<Storage>(call, call.logits))
        return score_in_place<Storage>(call, begin, end, team);
    const int64_t most = copied_rows<Real>(call.classes);
    for (int64_t i = begin; i < end; i += most) {
        const int64_t count = end - i < most ? end - i : most;
        Real *x = block_of<Real>(Scratch::logits, count, call.classes);
        gather<Real, Storage>(call, call.logits, i, count, x);
        Score part = call;
        part.outer = 1;
        part.inner = count;
        part.logits = {x, 0, 1, call.classes};
        part.labels = labels_from(call, i);
        part.loss = static_cast<Real *>(call.loss) + i;
        part.probability = static_cast<Real *>(call.probability) + i;
        part.entropy = static_cast<Real *>(call.entropy) + i;
        part.logsumexp = static_cast<Real *>(call.logsumexp) + i;
        part.predicted = call.predicted + i;
        part.rank = call.rank + i;
        score_in_place<Real>(part, 0, count, team);
    }
}

// Whether the probabilities of these rows are fit.
template <class Storage> bool check(const Check &call, int64_t begin, int64_t end) {
    using Real = RealOf<Storage>;
    const bool rows = in_rows(call, call.logits), columns = !rows && in_columns(call, call.logits);
    const bool tiles = rows && call.classes <= Tile<Storage>::most_classes;
    const int64_t most = columns || tiles ? batch_rows : rows ? 1 : copied_rows<Real>(call.classes);
    Real *const scratch = static_cast<Real *>(scratch_memory(Scratch::terms, terms_bytes));
    bool fit = true;
    for (int64_t i = begin; i < end && fit;) {
        const int64_t run = columns ? call.inner - i % call.inner : end - i;
        const int64_t count = std::min({end - i, run, most});
        const View<const Storage> q = view<const Storage>(call, call.logits, i);
        if (columns) {
            fit = are_fit(q, int(count), call.classes, call.tolerance);
        } else if (tiles) {
            const Batch<Storage> batch{q,       {},      {}, 0,  int(count), call.classes, 0,
                                       nullptr, scratch, {}, {}, false,      false};
            const Tile<Storage> tile(batch);
            fit = are_fit(tile.in_columns(), int(count), call.classes, call.tolerance);
        } else if (rows) {
            fit = is_fit(q.data, call.classes, call.tolerance);
        } else {
            Real *copies = block_of<Real>(Scratch::coefficients, count, call.classes);
            gather<Real, Storage>(call, call.logits, i, count, copies);
            for (int64_t r = 0; r < count; ++r)
                fit &= is_fit(copies + r * call.classes, call.classes, call.tolerance);
        }
        i += count;
    }
    return fit;
}

// The losses of a batch are often alike: added one after the other, their rounding errors would all
// have one sign.
double sum(const double *x, int64_t count) {
    if (count == 1)
        return *x;
    constexpr int lanes = Exp<double>::lanes;
    Sum<double> sum;
    double last[lanes] = {};
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        double terms[lanes];
        std::memcpy(terms, x + i, sizeof terms);
        sum.add(terms);
    }
    std::copy_n(x + i, count - i, last);
    sum.add(last);
    return nearest(sum.total());
}

#define QUOTE(name) #name
#define QUOTED(name) QUOTE(name)
extern const Level level;
const Level level = {
    QUOTED(LEVEL),
    {cross_entropy<float>, cross_entropy<double>, cross_entropy<Float16>, cross_entropy<BFloat16>},
    {score<float>, score<double>, score<Float16>, score<BFloat16>},
    {check<float>, check<double>, check<Float16>, check<BFloat16>},
    sum,
    {softcap<float>, softcap<double>},
    {softcap_gradient<float>, softcap_gradient<double>}};

} // namespace softmaxloss::LEVEL
