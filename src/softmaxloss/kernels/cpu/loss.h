// One row of a call: from logits and target to its loss and gradient.
#pragma once
#include "rows.h"

namespace softmaxloss::LEVEL {

// A row whose target is one class y that counts `weight`:
//     loss = weight · ((m − z_y) + log1p(S)),   ∂loss/∂z_j = weight · (a_j − [j = y]).
template <class Storage, class Real = RealOf<Storage>>
void index_row(const Storage *x, int64_t classes, int64_t y, double weight, double factor,
               double *loss, Storage *grad, const Team *team = nullptr) {
    if (weight == 0) {
        *loss = 0;
        if (grad)
            fill(grad, classes, rounded_to<Storage>(0));
        return;
    }
    const Sums<Real> sums = sums_of_row<Real, false>(x, classes, team);
    if (sums.m != sums.m) {
        *loss = sums.m;
        if (grad)
            fill(grad, classes, rounded_to<Storage>(sums.m));
        return;
    }
    const Twofold S = rest_of_sum<Real>(sums.terms, sums.p, sums.largest);
    const double z_y = Real(x[y]);
    *loss = weight * loss_of_class(z_y, sums.m, S);
    if (!grad)
        return;
    const Frame<Real> frame(sums.m);
    for_each_chunk(team, classes, [&](int64_t i, int64_t count) {
        scaled_softmax(frame, S, factor * weight, x + i, count, grad + i);
    });
    const double entry = true_entry(z_y, sums.m, S, two_product(factor, weight));
    grad[y] = rounded_to<Storage>(Real(entry));
}

// A row whose classes count c_j ≥ 0 each, c(first, count, out) giving them as doubles:
//     loss = Σ c_j · ((m − z_j) + log1p(S)),   ∂loss/∂z_j = (Σc)·a_j − c_j.
// A term with c_j = 0 is absent, even where it is infinite. Computed in double for every type,
// since the two parts of an entry nearly cancel where the model is right.
template <class Storage, class Coefficients, class Real = RealOf<Storage>>
void mixed_row(const Storage *x, int64_t classes, const Coefficients &c, double factor,
               double *loss, Storage *grad) {
    constexpr int lanes = Exp<double>::lanes, block = Sum<double>::block;
    double counts[block];
    int64_t nonzero = 0, last = 0;
    Sum<double> of_all;
    for (int64_t i = 0; i < classes; i += block) {
        c(i, block, counts);
        for (int j = 0; j < block; ++j)
            if (counts[j] != 0) {
                ++nonzero;
                last = i + j;
            }
        of_all.add_block(counts);
    }
    const Twofold all = of_all.total();
    const double total = all.hi + all.lo;
    if (nonzero <= 1) // one-hot, or nothing that counts: the same bits as a class index
        return index_row(x, classes, last, total, factor, loss, grad);

    const Sums<double> sums = sums_of_row<double, false>(x, classes);
    if (sums.m != sums.m) {
        *loss = sums.m;
        if (grad)
            fill(grad, classes, rounded_to<Storage>(Real(sums.m)));
        return;
    }
    const Twofold S = rest_of_sum<double>(sums.terms, sums.p, sums.largest);
    const int64_t k = first_index_of(sums.m, x, classes);
    Sum<double> distance, of_others; // Σ c_j (m − z_j), and Σ c_j without c_k
    const auto weigh = [&](const double *values, int64_t i, int count, double *terms) {
        c(i, count, counts);
        for (int j = 0; j < count; ++j)
            terms[j] = counts[j] == 0 ? 0 : counts[j] * (sums.m - values[j]);
        if (i <= k && k < i + count)
            counts[k - i] = 0;
    };
    for_each_block<double>(
        x, classes,
        [&](const double *values, int64_t i) {
            double terms[block];
            weigh(values, i, block, terms);
            distance.add_block(terms);
            of_others.add_block(counts);
        },
        [&](const double *values, int64_t i) {
            double terms[lanes];
            weigh(values, i, lanes, terms);
            distance.add_group(terms);
            of_others.add_group(counts);
        });
    const Twofold mean_distance = distance.total(), others = of_others.total();
    *loss = mean_distance.hi + (mean_distance.lo + total * log1p(S));
    if (!grad)
        return;
    const Frame<double> frame(sums.m);
    double c_k;
    c(k, 1, &c_k);
    for (int64_t i = 0; i < classes; i += block) {
        const int count = int(classes - i < block ? classes - i : block);
        double a[block];
        for (int j = 0; j < count; ++j)
            a[j] = double(x[i + j]);
        scaled_softmax(frame, S, 1, a, count, a);
        c(i, block, counts);
        for (int j = 0; j < count; ++j)
            grad[i + j] = rounded_to<Storage>(Real(factor * fma(total, a[j], -counts[j])));
    }
    // total·a_k − c_k cancels where a_k is close to 1; the same entry from what is left of both.
    const Twofold sum = one_plus(S), rest = divide(S, sum);
    const double entry = (others.hi + others.lo) / sum.hi - c_k * rest.hi;
    grad[k] = rounded_to<Storage>(Real(factor * entry));
}

// The rank of a class is 1 + the number of classes with a larger logit; y < 0: there is no label.
struct RowScore {
    double loss, probability, entropy, logsumexp;
    int64_t predicted, rank;
};

template <class Storage, class Real = RealOf<Storage>>
RowScore score_row(const Storage *x, int64_t classes, int64_t y, const Team *team) {
    constexpr double nan = __builtin_nan("");
    const bool labelled = y >= 0;
    const Real z_y = labelled ? Real(x[y]) : Real(0);
    const Sums<Real> sums = sums_of_row<Real, true>(x, classes, team, z_y);
    const double m = sums.m;
    if (m != m)
        return {labelled ? nan : 0, nan, nan, nan, -1, 0};
    const Twofold S = rest_of_sum<Real>(sums.terms, sums.p, sums.largest);
    // Σ a_j (−log a_j) = log1p(S) + Σ a_j (m − x_j)
    const double distance = rest_of_sum<Real>(sums.distance, sums.p, 1).hi / one_plus(S).hi;
    return {labelled ? loss_of_class(z_y, m, S) : 0,
            labelled ? probability(z_y, m, S) : nan,
            distance + log1p(S),
            m + log1p(S),
            first_index_of(sums.m, x, classes),
            labelled ? 1 + sums.above : 0};
}

} // namespace softmaxloss::LEVEL
