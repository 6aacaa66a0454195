// One instruction-set level: this file is compiled once for each, with LEVEL its name.
#include "call.h"
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

// The rows [begin, begin + tile_rows) at once, their target class indices without smoothing.
template <class Storage> void cross_entropy_tile(const CrossEntropy &call, int64_t begin) {
    Column<int64_t> y;
    Column<double> weight, factor, loss;
    for (int r = 0; r < tile_rows; ++r) {
        y[r] = label(call.labels, call.label_type, begin + r);
        const bool ignored = y[r] == call.ignore_index;
        y[r] = ignored ? 0 : y[r];
        weight[r] = ignored ? 0 : call.weight ? call.weight[y[r]] : 1;
        factor[r] = call.factor[(begin + r) * call.factor_stride];
    }
    index_tile(static_cast<const Storage *>(call.logits) + begin * call.logits_stride,
               call.logits_stride, int(call.classes), y, weight, factor, loss,
               call.grad ? static_cast<Storage *>(call.grad) + begin * call.grad_stride : nullptr,
               call.grad_stride);
    for (int r = 0; r < tile_rows; ++r)
        put_loss(call, begin + r, loss[r]);
}

template <class Storage>
void cross_entropy_row(const CrossEntropy &call, int64_t i, const Team *team, double *loss) {
    const Storage *x = static_cast<const Storage *>(call.logits) + i * call.logits_stride;
    Storage *grad = call.grad ? static_cast<Storage *>(call.grad) + i * call.grad_stride : nullptr;
    const double factor = call.factor[i * call.factor_stride];
    const auto mixed = [&](const auto &q) {
        const auto c = [&](int64_t first, int count, double *out) {
            coefficients(call, q, first, count, out);
        };
        mixed_row(x, call.classes, c, factor, loss, grad);
    };
    const int64_t start = i * call.probabilities_stride;
    if (call.probabilities && call.double_probabilities) {
        const double *row = static_cast<const double *>(call.probabilities) + start;
        return mixed([row](int64_t j) { return row[j]; });
    }
    if (call.probabilities) {
        const float *row = static_cast<const float *>(call.probabilities) + start;
        return mixed([row](int64_t j) { return double(row[j]); });
    }
    const int64_t y = label(call.labels, call.label_type, i);
    if (y == call.ignore_index)
        return index_row(x, call.classes, 0, 0, factor, loss, grad);
    if (call.label_smoothing != 0)
        return mixed([y](int64_t j) { return double(j == y); });
    index_row(x, call.classes, y, call.weight ? call.weight[y] : 1, factor, loss, grad, team);
}

template <class Storage>
void cross_entropy(const CrossEntropy &call, int64_t begin, int64_t end, const Team *team) {
    const bool in_tiles = call.classes <= tile_classes<RealOf<Storage>>;
    if (in_tiles && !call.probabilities && call.label_smoothing == 0)
        for (; begin + tile_rows <= end; begin += tile_rows)
            cross_entropy_tile<Storage>(call, begin);
    for (int64_t i = begin; i < end; ++i) {
        double loss;
        cross_entropy_row<Storage>(call, i, team, &loss);
        put_loss(call, i, loss);
    }
}

template <class Storage>
void score(const Score &call, int64_t begin, int64_t end, const Team *team) {
    using Real = RealOf<Storage>;
    for (int64_t i = begin; i < end; ++i) {
        const Storage *x = static_cast<const Storage *>(call.logits) + i * call.logits_stride;
        const int64_t y = label(call.labels, call.label_type, i);
        const RowScore row =
            score_row(x, call.classes, y == call.ignore_index ? int64_t(-1) : y, team);
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
