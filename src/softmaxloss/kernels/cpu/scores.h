// The scores of rows: one by one, and of a batch, with the same bits.
#pragma once
#include "batch.h"
#include "tile.h"

namespace softmaxloss::LEVEL {

// The rank of a class is 1 + the number of classes with a larger logit.
struct RowScore {
    double loss, probability, entropy, logsumexp;
    int64_t predicted, rank;
};

constexpr double not_a_number = __builtin_nan("");
// As softmaxloss.scores.IGNORED, and for a row without a softmax.
constexpr RowScore score_if_ignored{0, 0, 0, 0, -1, 0};
constexpr RowScore score_if_undefined{not_a_number, not_a_number, not_a_number,
                                      not_a_number, -1,           0};

template <class Real>
INLINE RowScore score_of(const Softmax<Real> &softmax, double z_y, Wide<Real> distance,
                         int64_t first, int64_t above) {
    const double log_sum = log1p(softmax.S, softmax.inverse);
    return {softmax.loss(z_y),
            softmax.probability(z_y),
            softmax.mean_distance(distance) + log_sum,
            softmax.frame.m + log_sum,
            first,
            1 + above};
}

template <class Storage, class Real = RealOf<Storage>>
RowScore score_row(const Storage *x, int64_t classes, int64_t y, int64_t ahead, const Team *team) {
    const Real z_y = x[y];
    const Sums<Real> sums = sums_of_row<Also::scores, Base::zeros>(x, classes, ahead, team, z_y);
    const Real m = sums.frame.m;
    if (m != m)
        return {m, m, m, m, -1, 0};
    const Softmax<Real> softmax(sums.frame, sums.terms, sums.largest);
    return score_of(softmax, z_y, sums.distance, first_index_of(m, x, classes), sums.above);
}

// In place of the class of a row: it does not count, or its label is no class.
constexpr int64_t ignored_class = -1, no_class = -2;

// score_row for the rows of a batch.
template <class Form, class Storage, class Real = RealOf<Storage>>
void scores_of_batch(const Batch<Storage> &batch, const Column<int64_t> &y,
                     RowScore (&scores)[batch_rows]) {
    using Int = typename Exp<Real>::Int;
    Form form(batch);
    Column<Int> absent;
    for (int r = 0; r < batch_rows; ++r)
        absent[r] = y[r] < 0;
    Column<Real> m, z_y;
    form.find_largest(absent, m);
    for (int r = 0; r < batch_rows; ++r) {
        absent[r] |= !(m[r] - m[r] == 0);
        z_y[r] = 0;
    }
    for (int r = 0; r < batch.count; ++r)
        if (y[r] >= 0)
            z_y[r] = Real(batch.x.row(r)[y[r] * batch.x.class_stride]);
    BatchSums<Real> sums;
    for (int r = 0; r < batch_rows; ++r)
        sums.frame.set(r, Frame<Real>::of(absent[r] ? 0 : m[r]));
    BatchScoreSums<Real> also;
    form.add_scores(absent, z_y, sums, also);
    Column<double> loss, probability, entropy, logsumexp;
    for (int r = 0; r < batch_rows; ++r) {
        const Softmax<Real> softmax(sums.frame[r], sums.terms[r], sums.largest[r]);
        const RowScore score = score_of(softmax, z_y[r], also.distance[r], 0, 0);
        loss[r] = score.loss;
        probability[r] = score.probability;
        entropy[r] = score.entropy;
        logsumexp[r] = score.logsumexp;
    }
    for (int r = 0; r < batch.count; ++r)
        if (y[r] == ignored_class)
            scores[r] = score_if_ignored;
        else if (absent[r])
            scores[r] = score_if_undefined;
        else
            scores[r] = {loss[r],      probability[r],         entropy[r],
                         logsumexp[r], int64_t(also.first[r]), 1 + int64_t(also.above[r])};
}

} // namespace softmaxloss::LEVEL
