// The loops over one row of logits: its maximum, its denominator, its gradient.
//
// `Storage` is the type in memory, `Real` the type computed in. A long row is taken in chunks that
// stay in cache between the loops; the chunks are part of the result's definition, like the lanes,
// so that threads may share a row and give the same bits.
#pragma once
#include "call.h"
#include "memory.h"
#include "softmax.h"

namespace softmaxloss::LEVEL {

using std::int64_t;

// The largest logit; NaN where there is a NaN or +inf.
template <class Real, class Storage> Real largest_of(const Storage *x, int64_t classes) {
    using Int = typename Exp<Real>::Int;
    constexpr int lanes = Exp<Real>::lanes, block = 4 * lanes;
    const auto larger = [](Real a, Real b) { return a > b ? a : b; };
    Real m = -__builtin_inf();
    Int nan = 0;
    int64_t i = 0;
    if (classes >= lanes) {
        Real top[lanes];
        Int nans[lanes] = {};
        for (int l = 0; l < lanes; ++l)
            top[l] = Real(x[l]);
        for (; i + block <= classes; i += block)
            for (int l = 0; l < lanes; ++l) {
                const Real a = Real(x[i + l]), b = Real(x[i + lanes + l]);
                const Real c = Real(x[i + 2 * lanes + l]), d = Real(x[i + 3 * lanes + l]);
                top[l] = larger(larger(larger(a, b), larger(c, d)), top[l]);
                nans[l] |= (a != a) | (b != b) | (c != c) | (d != d);
            }
        // The last group overlaps the one before: that costs less than an end of another length.
        for (; i < classes; i += lanes) {
            const int64_t last = classes - lanes;
            const Storage *group = x + (i < last ? i : last);
            for (int l = 0; l < lanes; ++l) {
                const Real a = Real(group[l]);
                top[l] = larger(a, top[l]);
                nans[l] |= a != a;
            }
        }
        for (int half = lanes / 2; half > 0; half /= 2)
            for (int l = 0; l < half; ++l) {
                top[l] = larger(top[l + half], top[l]);
                nans[l] |= nans[l + half];
            }
        m = top[0];
        nan = nans[0];
    }
    for (; i < classes; ++i) { // fewer than a group in all
        const Real a = Real(x[i]);
        m = larger(a, m);
        nan |= a != a;
    }
    return nan || m > std::numeric_limits<Real>::max() ? Real(__builtin_nan("")) : m;
}

template <class Real, class Storage>
int64_t first_index_of(Real m, const Storage *x, int64_t classes) {
    constexpr int lanes = Sum<Real>::block;
    int64_t i = 0;
    for (; i + lanes <= classes; i += lanes) {
        int found = 0;
        for (int l = 0; l < lanes; ++l)
            found |= Real(x[i + l]) == m;
        if (found)
            break;
    }
    while (i < classes && Real(x[i]) != m)
        ++i;
    return i;
}

// x_j as the computed type, the same memory where it is that: `converted` is not used, then.
template <class Real, class Storage, class Count>
INLINE const Real *computed(const Storage *x, Count count, Real *converted) {
    if constexpr (std::is_same_v<Real, Storage>)
        return x;
    for (int j = 0; j < count; ++j)
        converted[j] = Real(x[j]);
    return converted;
}

// Calls on_block(values, i) for each block of the row, i its first class, and on_group(values, i,
// known) for each group of what is left. The last group overlaps the one before: its first `known`
// classes have been seen. A row of less than a group is padded with −inf.
template <class Real, class Storage, class Block, class Group>
inline void for_each_block(const Storage *x, int64_t classes, Block on_block, Group on_group) {
    constexpr int lanes = Exp<Real>::lanes, block = Sum<Real>::block;
    Real values[block];
    int64_t i = 0;
    for (; i + block <= classes; i += block)
        on_block(computed(x + i, block, values), i);
    if (classes < lanes) {
        for (int l = 0; l < lanes; ++l)
            values[l] = -__builtin_inf();
        for (int l = 0; l < classes; ++l)
            values[l] = Real(x[l]);
        return on_group(values, 0, 0);
    }
    for (; i < classes; i += lanes) {
        const int64_t last = classes - lanes, from = i < last ? i : last;
        on_group(computed(x + from, lanes, values), from, int(i - from));
    }
}

// The sums of a row, or of a part of it, in the frame of its largest logit m: over the logits below
// m, each term lifted(x).
template <class Real> struct Sums {
    using W = Wide<Real>;
    Frame<Real> frame; // m is −inf: nothing but −inf; NaN: there is a NaN or +inf
    double largest;    // how many logits equal m
    W terms;           // Σ term
    W distance;        // Σ term · (m − x), where it is asked for
    int64_t above;     // how many logits are larger than a given one, where it is asked for
    bool shifted;      // some part's frame subtracts its m first
};

// What one reading of a row gives beside the sum of its terms: the distance and the count above z;
// or all lifted(x), those of the largest logits too, kept for the gradient.
enum class Also { nothing, scores, terms };

// The sums of x in the frame of its largest logit. Meanwhile what lies `ahead` bytes further on is
// fetched.
template <Also also, class Storage, class Real = RealOf<Storage>>
Sums<Real> sums_below(const Frame<Real> &frame, const Storage *x, int64_t classes, int64_t ahead,
                      Real z, Real *kept) {
    constexpr bool scored = also == Also::scores, keeping = also == Also::terms;
    using Int = typename Exp<Real>::Int;
    constexpr int lanes = Exp<Real>::lanes, block = Sum<Real>::block;
    const Real m = frame.m, shift = frame.shift, cut = frame.cut(), round = frame.round();
    Sum<Real> terms_sum, distance_sum;
    Int largest[lanes] = {}, above[lanes] = {};
    const auto measure = [&](const Real *values, int count, int known, Real *terms, Real *distances,
                             Real *keep) INLINE_LAMBDA {
        const auto fill_terms = [&](Real by) INLINE_LAMBDA {
            for (int j = 0; j < count; j += lanes)
                for (int l = 0; l < lanes; ++l) {
                    const bool is_largest = !(values[j + l] < m);
                    const Real term = lifted(values[j + l], by, cut, round);
                    terms[j + l] = (is_largest | (l < known)) ? Real(0) : term;
                    largest[l] += is_largest & (l >= known);
                    if constexpr (keeping)
                        keep[j + l] = term;
                }
        };
        shift == 0 ? fill_terms(0) : fill_terms(shift); // a step less where there is none
        if constexpr (scored) {
            for (int j = 0; j < count; ++j)
                distances[j] = terms[j] == 0 ? 0 : terms[j] * (m - values[j]);
            for (int j = 0; j < count; j += lanes)
                for (int l = 0; l < lanes; ++l)
                    above[l] += (values[j + l] > z) & (l >= known);
        }
    };
    for_each_block<Real>(
        x, classes,
        [&](const Real *values, int64_t i) INLINE_LAMBDA {
            prefetch(x + i, ahead, block);
            Real terms[block], distances[block];
            measure(values, block, 0, terms, distances, keeping ? kept + i : nullptr);
            terms_sum.add_block(terms);
            if constexpr (scored)
                distance_sum.add_block(distances);
        },
        [&](const Real *values, int64_t i, int known) INLINE_LAMBDA {
            Real terms[lanes], distances[lanes], keep[lanes];
            measure(values, lanes, known, terms, distances, keep);
            if constexpr (keeping)
                std::memcpy(kept + i, keep, sizeof keep);
            terms_sum.add_group(terms);
            if constexpr (scored)
                distance_sum.add_group(distances);
        });
    Sums<Real> sums{frame, 0, terms_sum.total(), {}, 0, frame.shift != 0};
    Int ties = 0;
    for (int l = 0; l < lanes; ++l)
        ties += largest[l];
    sums.largest = double(ties);
    if constexpr (scored)
        for (int l = 0; l < lanes; ++l)
            sums.above += above[l];
    if constexpr (scored)
        sums.distance = distance_sum.total();
    return sums;
}

// The sums of two parts of a row in the frame of the larger m. Both frames reduce without a shift,
// so one is a power of two of the other, and nothing is rounded but the additions.
template <class Real> void merge(Sums<Real> &a, const Sums<Real> &b) {
    using W = Wide<Real>;
    if (a.frame.m != a.frame.m || b.frame.m != b.frame.m) {
        a.frame.m = __builtin_nan("");
        return;
    }
    const bool b_is_larger = a.frame.m < b.frame.m;
    Sums<Real> low = b_is_larger ? a : b;
    if (b_is_larger)
        a = b;
    const int64_t above = a.above + low.above;
    if (low.frame.m == a.frame.m) {
        a.largest += low.largest;
    } else if (low.largest > 0) {
        const W ties = multiply(W{low.largest}, low.frame.p);
        low.terms = add(low.terms, scaled(ties, power_of_two<double>(Exp<Real>::lift)));
        low.distance =
            add(low.distance, multiply(low.terms, sum<W>(a.frame.m, -double(low.frame.m))));
        const int down = int(low.frame.n_m) - int(a.frame.n_m); // 2^down may be no double
        low.terms = ldexp(low.terms, down);
        low.distance = ldexp(low.distance, down);
    }
    a.terms = add(a.terms, low.terms);
    a.distance = add(a.distance, low.distance);
    a.above = above;
    a.shifted |= low.shifted;
}

// Calls work(first class, how many) for each chunk of a row, on the team's threads if there is one.
// False: the team was stopped before the end.
template <class Work> bool for_each_chunk(const Team *team, int64_t classes, Work work) {
    const auto chunk = [&](int64_t i) {
        const int64_t first = i * chunk_classes, left = classes - first;
        work(first, left < chunk_classes ? left : chunk_classes);
    };
    const int64_t chunks = (classes + chunk_classes - 1) / chunk_classes;
    if (team)
        return team->each(
            *team, chunks,
            [](void *context, int64_t i) { (*static_cast<decltype(&chunk)>(context))(i); },
            const_cast<void *>(static_cast<const void *>(&chunk)));
    for (int64_t i = 0; i < chunks; ++i)
        chunk(i);
    return true;
}

// The sums of a whole row, from those of its chunks, in their order. Its frame's m is NaN if it has
// no softmax. Terms can be kept of a single chunk.
template <Also also, class Storage, class Real = RealOf<Storage>>
Sums<Real> sums_of_row(const Storage *x, int64_t classes, int64_t ahead, const Team *team,
                       Real z = 0, Real *kept = nullptr) {
    static_assert(sizeof(Sums<Real>) <= Team::scratch_size);
    const auto merged = [&](auto largest_of_chunk) {
        Sums<Real> row;
        const auto chunk = [&](int64_t i, int64_t count) {
            const Real m = largest_of_chunk(x + i, count);
            if (!__builtin_isfinite(m))
                return Sums<Real>{{m, 0, 0, {}}, 0, {}, {}, 0, false};
            // Wanted next: the next chunk, and after the last full one the beginning of that row.
            constexpr int64_t size = sizeof(Storage);
            const int64_t next = i + 2 * chunk_classes <= classes ? chunk_classes * size
                                 : ahead != 0                     ? ahead - i * size
                                                                  : 0;
            return sums_below<also>(Frame<Real>::of(m), x + i, count, next, z, kept);
        };
        if (team) {
            Sums<Real> *parts = static_cast<Sums<Real> *>(team->scratch);
            const bool done = for_each_chunk(team, classes, [&](int64_t i, int64_t count) {
                parts[i / chunk_classes] = chunk(i, count);
            });
            row = parts[0];
            if (!done) { // interrupted: some parts are missing, and nobody will see the result
                row.frame.m = __builtin_nan("");
                return row;
            }
            for (int64_t i = chunk_classes; i < classes; i += chunk_classes)
                merge(row, parts[i / chunk_classes]);
        } else {
            for_each_chunk(nullptr, classes, [&](int64_t i, int64_t count) {
                if (i == 0)
                    row = chunk(i, count);
                else
                    merge(row, chunk(i, count));
            });
        }
        return row;
    };
    Sums<Real> row =
        merged([](const Storage *part, int64_t count) { return largest_of<Real>(part, count); });
    // Frames that subtract their own m are no powers of two of each other: one for all, then.
    if (row.shifted && classes > chunk_classes && row.frame.m == row.frame.m)
        row = merged([m = row.frame.m](const Storage *, int64_t) { return m; });
    if (row.frame.m < -std::numeric_limits<Real>::max())
        row.frame.m = __builtin_nan("");
    return row;
}

// By value: a loop that found these through references would not be vectorised.
template <class Real, class Count>
INLINE void terms_of(const Real *x, Count count, Real shift, Real cut, Real round, Real *terms) {
    for (int j = 0; j < count; ++j)
        terms[j] = lifted(x[j], shift, cut, round);
}
template <class Real, class Count>
INLINE void entries_of(const Real *terms, Count count, Scaling<Real> scaling, Real *entries) {
    for (int j = 0; j < count; ++j)
        entries[j] = scaling.entry(terms[j]);
}

// The gradient factor · (softmax − onehot(y)) of a row, or of a part of it where y may be
// elsewhere: entries beside that of y, which is given. `out` may be `x`. The terms, where they were
// kept.
template <class Storage, class Real = RealOf<Storage>>
void gradient_of_row(const Frame<Real> &frame, const Scaling<Real> &scaling, const Storage *x,
                     const Real *kept, int64_t classes, int64_t y, Real of_y, Storage *out,
                     Output<Storage> &output) {
    const auto fill_entries = [&](auto terms_from) INLINE_LAMBDA {
        output.write(out, classes, [&](int64_t i, auto count, Real *entries) INLINE_LAMBDA {
            Real terms[Sum<Real>::block];
            entries_of(terms_from(i, count, terms), count, scaling, entries);
            if (i <= y && y < i + count)
                entries[y - i] = of_y;
        });
    };
    if (kept)
        return fill_entries([kept](int64_t i, auto, Real *) INLINE_LAMBDA { return kept + i; });
    const Real shift = frame.shift, cut = frame.cut(), round = frame.round();
    fill_entries([=](int64_t i, auto count, Real *terms) INLINE_LAMBDA -> const Real * {
        Real converted[Sum<Real>::block];
        terms_of(computed(x + i, count, converted), count, shift, cut, round, terms);
        return terms;
    });
}

// The same for a factor that no scaling holds: in double, and slow.
template <class Storage, class Real = RealOf<Storage>>
void gradient_of_extreme_factor(const Softmax<Real> &softmax, double factor, const Storage *x,
                                int64_t classes, Storage *out) {
    for (int64_t i = 0; i < classes; ++i)
        out[i] = rounded_to<Storage>(Real(softmax.probability(Real(x[i]), factor) + 0));
}

template <class T> inline void fill(T *out, int64_t classes, T value) {
    for (int64_t i = 0; i < classes; ++i)
        out[i] = value;
}

} // namespace softmaxloss::LEVEL
