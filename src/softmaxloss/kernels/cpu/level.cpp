// One instruction-set level: this file is compiled once for each, with LEVEL its name.
#include "threads.h"
#include "tile.h"

namespace softmaxloss::LEVEL {

inline int64_t label(const void *labels, LabelType type, int64_t i) {
    switch (type) {
    case LabelType::i8:
        return static_cast<const std::int8_t *>(labels)[i];
    case LabelType::i16:
        return static_cast<const std::int16_t *>(labels)[i];
    case LabelType::i32:
        return static_cast<const std::int32_t *>(labels)[i];
    case LabelType::i64:
        return static_cast<const std::int64_t *>(labels)[i];
    case LabelType::u8:
        return static_cast<const std::uint8_t *>(labels)[i];
    case LabelType::u16:
        return static_cast<const std::uint16_t *>(labels)[i];
    case LabelType::u32:
        return static_cast<const std::uint32_t *>(labels)[i];
    case LabelType::u64:
        return static_cast<int64_t>(static_cast<const std::uint64_t *>(labels)[i]);
    }
    return 0;
}

// c_j = w_j · ((1 − ε)·q_j + ε/C), 0 beyond the last class.
template <class Target>
inline void coefficients(const CrossEntropy &call, const Target &q, int64_t first, int count,
                         double *out) {
    const double keep = 1 - call.label_smoothing, spread = call.label_smoothing / call.classes;
    const int64_t left = call.classes - first;
    const int valid = left < count ? int(left) : count;
    for (int j = 0; j < valid; ++j)
        out[j] = fma(keep, q(first + j), spread) * (call.weight ? call.weight[first + j] : 1);
    for (int j = valid; j < count; ++j)
        out[j] = 0;
}

inline void put_loss(const CrossEntropy &call, int64_t i, double loss) {
    if (call.double_loss)
        static_cast<double *>(call.loss)[i] = loss;
    else
        static_cast<float *>(call.loss)[i] = float(loss);
}

template <class Storage>
Row<Storage> row_of(const CrossEntropy &call, int64_t i, int64_t ahead, RealOf<Storage> *scratch) {
    Storage *grad = static_cast<Storage *>(call.grad);
    return {static_cast<const Storage *>(call.logits) + i * call.logits_stride, call.classes,
            ahead * call.logits_stride * int64_t(sizeof(Storage)),
            grad ? grad + i * call.grad_stride : nullptr, call.stream, scratch};
}

// The batches in [begin, end), their targets class indices without smoothing; where they end.
template <class Layout, class Storage>
int64_t cross_entropy_batches(const CrossEntropy &call, int64_t begin, int64_t end,
                              RealOf<Storage> *scratch) {
    for (; begin + batch_rows <= end; begin += batch_rows) {
        Targets targets;
        for (int r = 0; r < batch_rows; ++r) {
            const int64_t y = label(call.labels, call.label_type, begin + r);
            const bool ignored = y == call.ignore_index;
            targets.y[r] = ignored ? 0 : y;
            targets.weight[r] = ignored ? 0 : call.weight ? call.weight[y] : 1;
            targets.factor[r] = call.factor[(begin + r) * call.factor_stride];
        }
        const int64_t ahead = begin + 2 * batch_rows <= end ? batch_rows : 0;
        Column<double> loss;
        index_batch<Layout>(row_of<Storage>(call, begin, ahead, scratch), call.logits_stride,
                            call.grad_stride, targets, loss);
        for (int r = 0; r < batch_rows; ++r)
            put_loss(call, begin + r, loss[r]);
    }
    return begin;
}

template <class Storage>
void cross_entropy_row(const CrossEntropy &call, int64_t i, int64_t end, const Team *team,
                       RealOf<Storage> *scratch, double *loss) {
    const Row<Storage> row = row_of<Storage>(call, i, i + 1 < end ? 1 : 0, scratch);
    const double factor = call.factor[i * call.factor_stride];
    const auto mixed = [&](const auto &q) {
        const auto c = [&](int64_t first, int count, double *out) {
            coefficients(call, q, first, count, out);
        };
        mixed_row(row, c, factor, loss);
    };
    const int64_t start = i * call.probabilities_stride;
    if (call.probabilities && call.double_probabilities) {
        const double *q = static_cast<const double *>(call.probabilities) + start;
        return mixed([q](int64_t j) { return q[j]; });
    }
    if (call.probabilities) {
        const float *q = static_cast<const float *>(call.probabilities) + start;
        return mixed([q](int64_t j) { return double(q[j]); });
    }
    const int64_t y = label(call.labels, call.label_type, i);
    if (y == call.ignore_index)
        return index_row(row, 0, 0, factor, loss);
    if (call.label_smoothing != 0)
        return mixed([y](int64_t j) { return double(j == y); });
    index_row(row, y, call.weight ? call.weight[y] : 1, factor, loss, team);
}

template <class Storage>
void cross_entropy(const CrossEntropy &call, int64_t begin, int64_t end, const Team *team) {
    RealOf<Storage> *scratch =
        call.grad ? static_cast<RealOf<Storage> *>(scratch_memory()) : nullptr;
    if (!call.probabilities && call.label_smoothing == 0) {
        if (call.classes <= Tile<Storage>::most_classes)
            begin = cross_entropy_batches<Tile<Storage>, Storage>(call, begin, end, scratch);
        else if (call.classes <= AsRows<Storage>::most_classes)
            begin = cross_entropy_batches<AsRows<Storage>, Storage>(call, begin, end, scratch);
    }
    for (int64_t i = begin; i < end; ++i) {
        double loss;
        cross_entropy_row<Storage>(call, i, end, team, scratch, &loss);
        put_loss(call, i, loss);
    }
    if (call.stream)
        finish_streaming();
}

template <class Storage>
void score(const Score &call, int64_t begin, int64_t end, const Team *team) {
    using Real = RealOf<Storage>;
    for (int64_t i = begin; i < end; ++i) {
        const Storage *x = static_cast<const Storage *>(call.logits) + i * call.logits_stride;
        const int64_t y = label(call.labels, call.label_type, i);
        const int64_t ahead =
            i + 1 < end ? call.logits_stride * int64_t(sizeof(Storage)) : int64_t(0);
        const RowScore row =
            score_row(x, call.classes, y == call.ignore_index ? int64_t(-1) : y, ahead, team);
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
