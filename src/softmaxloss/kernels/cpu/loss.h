// One row of a call: from logits and target to its loss, gradient and scores.
#pragma once
#include "rows.h"

namespace softmaxloss::LEVEL {

template <class Storage> struct Row {
    const Storage *x;
    int64_t classes;
    int64_t ahead;            // bytes from x to a row that is wanted later, or 0
    Storage *grad;            // null for the loss alone; may be x
    Output<Storage> *output;  // shared by many rows, or null
    RealOf<Storage> *scratch; // room for scratch_bytes, or null
};

// A row with one true class y of this weight:
//     loss = weight · ((m − z_y) + log1p(S)),   ∂loss/∂z_j = weight · (a_j − [j = y]).
template <class Storage, class Real = RealOf<Storage>>
void index_row(const Row<Storage> &row, int64_t y, double weight, double factor, double *loss,
               const Team *team = nullptr) {
    if (weight == 0) {
        *loss = 0;
        if (row.grad)
            fill(row.grad, row.classes, rounded_to<Storage>(0));
        return;
    }
    const double all = factor * weight;
    const bool scales = Scaling<Real>::fits(all);
    constexpr int64_t room = scratch_bytes / sizeof(Real) - Exp<Real>::lanes;
    const bool keeping =
        row.grad && row.scratch && row.classes <= chunk_classes && row.classes <= room && scales;
    Real *kept = keeping ? row.scratch : nullptr;
    const Sums<Real> sums =
        keeping ? sums_of_row<Also::terms>(row.x, row.classes, row.ahead, nullptr, Real(0), kept)
                : sums_of_row<Also::nothing>(row.x, row.classes, row.ahead, team);
    if (sums.frame.m != sums.frame.m) {
        *loss = sums.frame.m;
        if (row.grad)
            fill(row.grad, row.classes, rounded_to<Storage>(sums.frame.m));
        return;
    }
    const Softmax<Real> softmax(sums.frame, sums.terms, sums.largest);
    const double z_y = Real(row.x[y]);
    *loss = weight * softmax.loss(z_y);
    if (!row.grad)
        return;
    const Real of_y = softmax.true_entry(z_y, product<Wide<Real>>(factor, weight));
    if (scales) {
        const auto scaling = Scaling<Real>::of(softmax, all);
        for_each_chunk(team, row.classes, [&](int64_t i, int64_t count) {
            Output<Storage> own(team && row.output && row.output->stream()); // of this thread
            gradient_of_row(sums.frame, scaling, row.x + i, kept, count, y - i, of_y, row.grad + i,
                            row.output && !team ? *row.output : own);
        });
        return;
    }
    gradient_of_extreme_factor(softmax, all, row.x, row.classes, row.grad);
    row.grad[y] = rounded_to<Storage>(of_y);
}

// A row with coefficients c_j ≥ 0, which c(first, count, out) gives as doubles:
//     loss = Σ c_j · ((m − z_j) + log1p(S)),   ∂loss/∂z_j = (Σc)·a_j − c_j.
// A term with c_j = 0 is absent, even where it is infinite. Computed in double for every type,
// since the two terms of an entry nearly cancel where the model is right.
template <class Storage, class Coefficients, class Real = RealOf<Storage>>
void mixed_row(const Row<Storage> &row, const Coefficients &c, double factor, double *loss) {
    const auto [x, classes, ahead, grad, output, scratch] = row;
    constexpr int quad = Sum<double>::quad;
    double counts[quad];
    int64_t nonzero = 0, last = 0;
    Sum<double> of_all;
    for (int64_t i = 0; i < classes; i += quad) {
        c(i, quad, counts);
        for (int j = 0; j < quad; ++j)
            if (counts[j] != 0) {
                ++nonzero;
                last = i + j;
            }
        of_all.add(counts);
    }
    const DoubleDouble all = of_all.total();
    const double total = all.hi + all.lo;
    if (nonzero <= 1) // one class or none: the same bits as a class index
        return index_row(row, last, total, factor, loss);

    const Sums<double> sums =
        sums_of_row<Also::nothing, Storage, double>(x, classes, ahead, nullptr);
    const double m = sums.frame.m;
    if (m != m) {
        *loss = m;
        if (grad)
            fill(grad, classes, rounded_to<Storage>(Real(m)));
        return;
    }
    const Softmax<double> softmax(sums.frame, sums.terms, sums.largest);
    const int64_t k = first_index_of(m, x, classes);
    Sum<double> distance, of_others; // Σ c_j (m − z_j), and Σ_{j≠k} c_j
    for_each_group<double>(x, classes, [&](auto size, const double *values, int64_t i, int known) {
        constexpr int count = size;
        double terms[count], others[count];
        c(i, count, others);
        for (int j = 0; j < known; ++j)
            others[j] = 0;
        for (int j = 0; j < count; ++j) {
            const double below = m - values[j]; // outside of the condition, which vectorises
            terms[j] = others[j] == 0 ? 0 : others[j] * below;
        }
        if (i <= k && k < i + count)
            others[k - i] = 0;
        distance.add(terms);
        of_others.add(others);
    });
    const DoubleDouble mean_distance = distance.total(), others = of_others.total();
    *loss = mean_distance.hi + (mean_distance.lo + total * log1p(softmax.S, softmax.inverse));
    if (!grad)
        return;
    const auto scaling = Scaling<double>::of(softmax, 1);
    // total·a_k − c_k cancels where a_k is close to 1. Without cancellation:
    // a_k·Σ_{j≠k} c_j − c_k·Σ_{j≠k} a_j.
    double c_k;
    c(k, 1, &c_k);
    const double of_k = (others.hi + others.lo) * softmax.inverse.hi -
                        c_k * nearest(multiply(softmax.S, softmax.inverse));
    const double cut = sums.frame.cut(), round = sums.frame.round(), shift = sums.frame.shift;
    for (int64_t i = 0; i < classes; i += quad) {
        const int count = int(classes - i < quad ? classes - i : quad);
        c(i, quad, counts);
        double entries[quad];
        for (int j = 0; j < count; ++j)
            entries[j] = scaling.entry(lifted(double(x[i + j]), shift, cut, round));
        for (int j = 0; j < count; ++j)
            entries[j] = fma(total, entries[j], -counts[j]);
        if (i <= k && k < i + count)
            entries[k - i] = of_k;
        for (int j = 0; j < count; ++j)
            grad[i + j] = rounded_to<Storage>(Real(factor * entries[j] + 0));
    }
}

// The rank of a class is 1 + the number of classes with a larger logit.
struct RowScore {
    double loss, probability, entropy, logsumexp;
    int64_t predicted, rank;
};

template <class Storage, class Real = RealOf<Storage>>
RowScore score_row(const Storage *x, int64_t classes, int64_t y, int64_t ahead, const Team *team) {
    const Real z_y = x[y];
    const Sums<Real> sums = sums_of_row<Also::scores>(x, classes, ahead, team, z_y);
    const Real m = sums.frame.m;
    if (m != m)
        return {m, m, m, m, -1, 0};
    const Softmax<Real> softmax(sums.frame, sums.terms, sums.largest);
    const double log_sum = log1p(softmax.S, softmax.inverse);
    return {softmax.loss(z_y),
            softmax.probability(z_y),
            softmax.mean_distance(sums.distance) + log_sum,
            m + log_sum,
            first_index_of(m, x, classes),
            1 + sums.above};
}

} // namespace softmaxloss::LEVEL
