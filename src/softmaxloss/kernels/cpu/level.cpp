// One instruction-set level. This file is compiled once for each, with LEVEL its name.
#include "threads.h"
#include "tile.h"

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

// c_j = w_j · ((1 − ε)·q_j + ε/C), 0 beyond the last class. Not inlined: short rows are faster so.
template <class Target>
__attribute__((noinline)) void coefficients(const CrossEntropy &call, const Target &q,
                                            int64_t first, int count, double *out) {
    const double keep = 1 - call.label_smoothing, spread = call.label_smoothing / call.classes;
    const int64_t left = call.classes - first;
    const int valid = left < count ? int(left) : count;
    for (int j = 0; j < valid; ++j)
        out[j] = fma(keep, q(first + j), spread) * (call.weight ? call.weight[first + j] : 1);
    for (int j = valid; j < count; ++j)
        out[j] = 0;
}

// The rows of a call up to `end`.
template <class Storage> class Rows {
    static constexpr double nan = __builtin_nan("");
    using Real = RealOf<Storage>;
    const CrossEntropy &call_;
    const int64_t end_;
    Output<Storage> output_;
    Real *const scratch_;

    // Row i, the first of `rows` rows. Those after them are prefetched if they are before `end`.
    Row<Storage> row(int64_t i, int64_t rows) {
        const int64_t ahead = i + 2 * rows <= end_ ? rows * call_.logits_stride : 0;
        Storage *grad = static_cast<Storage *>(call_.grad);
        return {static_cast<const Storage *>(call_.logits) + i * call_.logits_stride,
                call_.classes,
                ahead * int64_t(sizeof(Storage)),
                grad ? grad + i * call_.grad_stride : nullptr,
                &output_,
                scratch_};
    }

    void put_losses(int64_t first, int count, const double *loss) const {
        if (call_.double_loss)
            std::copy_n(loss, count, static_cast<double *>(call_.loss) + first);
        else
            std::copy_n(loss, count, static_cast<float *>(call_.loss) + first);
    }

    template <class Layout> void batch(int64_t first) {
        Targets targets;
        auto &[y, weight, factor] = targets;
        read_labels(call_, first, batch_rows, y.values);
        for (int r = 0; r < batch_rows; ++r)
            factor[r] = call_.factor[(first + r) * call_.factor_stride];
        for (int r = 0; r < batch_rows; ++r) {
            const bool ignored = y[r] == call_.ignore_index,
                       outside = is_outside(y[r], call_.classes);
            weight[r] = ignored ? 0 : outside ? nan : 1;
            y[r] = ignored | outside ? 0 : y[r];
        }
        if (call_.weight)
            for (int r = 0; r < batch_rows; ++r)
                weight[r] *= call_.weight[y[r]];
        Column<double> loss;
        index_batch<Layout>(row(first, batch_rows), call_.logits_stride, call_.grad_stride, targets,
                            loss);
        put_losses(first, batch_rows, loss.values);
    }

    double one(int64_t i, const Team *team) {
        const double factor = call_.factor[i * call_.factor_stride];
        double loss;
        const auto mixed = [&](const auto &q) {
            const auto c = [&](int64_t first, int count, double *out) {
                coefficients(call_, q, first, count, out);
            };
            mixed_row(row(i, 1), c, factor, &loss);
        };
        const auto soft = [&](auto of_type) {
            const auto *q = static_cast<const decltype(of_type) *>(call_.probabilities) +
                            i * call_.probabilities_stride;
            mixed([q](int64_t j) { return double(q[j]); });
        };
        if (call_.probabilities) {
            call_.double_probabilities ? soft(double()) : soft(float());
            return loss;
        }
        int64_t y;
        read_labels(call_, i, 1, &y);
        const bool ignored = y == call_.ignore_index;
        if (ignored || is_outside(y, call_.classes))
            index_row(row(i, 1), 0, ignored ? 0 : nan, factor, &loss);
        else if (call_.label_smoothing != 0)
            mixed([y](int64_t j) { return double(j == y); });
        else
            index_row(row(i, 1), y, call_.weight ? call_.weight[y] : 1, factor, &loss, team);
        return loss;
    }

  public:
    Rows(const CrossEntropy &call, int64_t end)
        : call_(call), end_(end), output_(call.stream),
          scratch_(call.grad ? static_cast<Real *>(scratch_memory()) : nullptr) {}

    void compute(int64_t begin, const Team *team) {
        int64_t i = begin;
        if (!call_.probabilities && call_.label_smoothing == 0) {
            if (call_.classes <= Tile<Storage>::most_classes)
                for (; i + batch_rows <= end_; i += batch_rows)
                    batch<Tile<Storage>>(i);
            else if (call_.classes <= AsRows<Storage>::most_classes)
                for (; i + batch_rows <= end_; i += batch_rows)
                    batch<AsRows<Storage>>(i);
        }
        for (; i < end_; ++i) {
            const double loss = one(i, team);
            put_losses(i, 1, &loss);
        }
    }
};

template <class Storage>
void cross_entropy(const CrossEntropy &call, int64_t begin, int64_t end, const Team *team) {
    Rows<Storage>(call, end).compute(begin, team);
}

template <class Storage>
void score(const Score &call, int64_t begin, int64_t end, const Team *team) {
    using Real = RealOf<Storage>;
    constexpr double nan = __builtin_nan("");
    for (int64_t i = begin; i < end; ++i) {
        const Storage *x = static_cast<const Storage *>(call.logits) + i * call.logits_stride;
        const int64_t ahead = i + 1 < end ? call.logits_stride * int64_t(sizeof(Storage)) : 0;
        int64_t y;
        read_labels(call, i, 1, &y);
        const bool ignored = y == call.ignore_index;
        const RowScore row = ignored || is_outside(y, call.classes)
                                 ? RowScore{ignored ? 0 : nan, nan, nan, nan, -1, 0}
                                 : score_row(x, call.classes, y, ahead, team);
        static_cast<Real *>(call.loss)[i] = Real(row.loss);
        static_cast<Real *>(call.probability)[i] = Real(row.probability);
        static_cast<Real *>(call.entropy)[i] = Real(row.entropy);
        static_cast<Real *>(call.logsumexp)[i] = Real(row.logsumexp);
        call.predicted[i] = row.predicted;
        call.rank[i] = row.rank;
    }
}

#define QUOTE(name) #name
#define QUOTED(name) QUOTE(name)
extern const Level level;
const Level level = {
    QUOTED(LEVEL),
    {cross_entropy<float>, cross_entropy<double>, cross_entropy<Float16>, cross_entropy<BFloat16>},
    {score<float>, score<double>, score<Float16>, score<BFloat16>}};

} // namespace softmaxloss::LEVEL
