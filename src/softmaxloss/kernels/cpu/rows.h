// The loops over one row of logits: its maximum, its denominator, its gradient.
//
// `Storage` is the type in memory, `Real` the type computed in. A long row is taken in chunks that
// stay in cache between the loops; the chunks are part of the result's definition, like the lanes,
// so that threads may share a row and give the same bits.
#pragma once
#include "call.h"
#include "half.h"
#include "log1p.h"
#include "sum.h"

namespace softmaxloss::LEVEL {

using std::int64_t;

// What exp(x − m) needs beside x. With exp(m) = 2^n_m · p,
//     exp(x − m) = 2^(n − n_m) · (1 + g) / p,   x = n·ln 2 + r.
// Where |m| is large, m is subtracted first. That is exact wherever the result counts: such an x
// is within `reach` of m, so within a factor 2 of it (Sterbenz's lemma).
template <class Real> struct Frame {
    Real m, shift, top, n_m;
    Twofold p;

    INLINE explicit Frame(Real largest) : m(largest) {
        using E = Exp<Real>;
        shift = m < -E::far || m > E::far ? m : Real(0);
        top = m - shift;
        n_m = reduce(top, E::round).rounded - E::round;
        const double g = expm1_of_rest<double>(top, n_m);
        p.hi = 1 + g;
        p.lo = g - (p.hi - 1);
    }

    Real round_to(Real lift) const { return Exp<Real>::round + (lift - n_m); }
    Real cut() const { return top - Exp<Real>::reach; }
};

// 2^lift · p · exp(x − m) where x < m, else 0.
template <class Real> INLINE Real term(Real x, Real m, Real shift, Real cut, Real round) {
    const Real t = x - shift;
    const Reduced<Real> e = reduce(t, round);
    return (x < m) & (t >= cut) ? scale(1 + e.g, e.rounded) : Real(0);
}

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
        for (; i + lanes <= classes; i += lanes)
            for (int l = 0; l < lanes; ++l) {
                const Real a = Real(x[i + l]);
                top[l] = larger(a, top[l]);
                nans[l] |= a != a;
            }
        for (int half = lanes / 2; half > 0; half /= 2)
            for (int l = 0; l < half; ++l) {
                top[l] = larger(top[l + half], top[l]);
                nans[l] |= nans[l + half];
            }
        m = top[0];
        nan = nans[0];
    }
    for (; i < classes; ++i) {
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

// Calls on_block(values, first index) for each block of the row and on_group(values, first index)
// for each group of what is left, the last one padded with −inf.
template <class Real, class Storage, class Block, class Group>
inline void for_each_block(const Storage *x, int64_t classes, Block on_block, Group on_group) {
    constexpr int lanes = Exp<Real>::lanes, block = Sum<Real>::block;
    Real values[block];
    const auto read = [&](int64_t i, int count) {
        if constexpr (std::is_same_v<Real, Storage>)
            return x + i;
        for (int j = 0; j < count; ++j)
            values[j] = Real(x[i + j]);
        return static_cast<const Real *>(values);
    };
    int64_t i = 0;
    for (; i + block <= classes; i += block)
        on_block(read(i, block), i);
    for (; i + lanes <= classes; i += lanes)
        on_group(read(i, lanes), i);
    if (i < classes) {
        for (int l = 0; l < lanes; ++l)
            values[l] = -__builtin_inf();
        for (int l = 0; l < classes - i; ++l)
            values[l] = Real(x[i + l]);
        on_group(values, i);
    }
}

// The sums of a row, or of a part of it, in the frame of its largest logit m: over the logits below
// m, each term 2^lift · p · exp(x − m).
template <class Real> struct Sums {
    Real m;           // −inf: nothing but −inf; NaN: there is a NaN or +inf
    Real n_m;         // of the frame of m
    Twofold p;        // of the frame of m
    double largest;   // how many logits equal m
    Twofold terms;    // Σ term
    Twofold distance; // Σ term · (m − x), where it is asked for
    int64_t above;    // how many logits are larger than a given one, where it is asked for
    bool shifted;     // the frame subtracts m first
};

// The sums of x, whose largest logit is m. With `scored` also the distance, and the count above z.
template <class Real, bool scored, class Storage>
Sums<Real> sums_below(Real m, const Storage *x, int64_t classes, Real z) {
    using Int = typename Exp<Real>::Int;
    constexpr int lanes = Exp<Real>::lanes, block = Sum<Real>::block;
    if (!__builtin_isfinite(m))
        return {m, 0, {1, 0}, 0, {}, {}, 0, false};
    const Frame<Real> frame(m);
    const Real shift = frame.shift, cut = frame.cut(), round = frame.round_to(Exp<Real>::lift);
    Sum<Real> terms_sum, distance_sum;
    Int largest[lanes] = {}, above[lanes] = {};
    const auto measure = [&](const Real *values, int count, Real *terms, Real *distances) {
        const auto fill_terms = [&](Real shift) INLINE_LAMBDA {
            for (int j = 0; j < count; j += lanes)
                for (int l = 0; l < lanes; ++l) {
                    terms[j + l] = term(values[j + l], m, shift, cut, round);
                    largest[l] += !(values[j + l] < m);
                }
        };
        shift == 0 ? fill_terms(0) : fill_terms(shift); // a step less where there is none
        if constexpr (scored) {
            for (int j = 0; j < count; ++j)
                distances[j] = terms[j] == 0 ? 0 : terms[j] * (m - values[j]);
            for (int j = 0; j < count; j += lanes)
                for (int l = 0; l < lanes; ++l)
                    above[l] += values[j + l] > z;
        }
    };
    for_each_block<Real>(
        x, classes,
        [&](const Real *values, int64_t) {
            Real terms[block], distances[block];
            measure(values, block, terms, distances);
            terms_sum.add_block(terms);
            if constexpr (scored)
                distance_sum.add_block(distances);
        },
        [&](const Real *values, int64_t) {
            Real terms[lanes], distances[lanes];
            measure(values, lanes, terms, distances);
            terms_sum.add_group(terms);
            if constexpr (scored)
                distance_sum.add_group(distances);
        });
    Sums<Real> sums{m, frame.n_m, frame.p, 0, terms_sum.total(), {}, 0, frame.shift != 0};
    int64_t count = 0;
    for (int l = 0; l < lanes; ++l) {
        count += largest[l];
        sums.above += above[l];
    }
    sums.largest = double(count);
    if constexpr (scored)
        sums.distance = distance_sum.total();
    return sums;
}

// The sums of two parts of a row in the frame of the larger m. Both frames reduce without a shift,
// so one is a power of two of the other, and nothing is rounded but the additions.
template <class Real> void merge(Sums<Real> &a, const Sums<Real> &b) {
    if (a.m != a.m || b.m != b.m) {
        a.m = __builtin_nan("");
        return;
    }
    Sums<Real> low = a.m < b.m ? a : b;
    if (a.m < b.m)
        a = b;
    const int64_t above = a.above + low.above;
    if (low.m == a.m) {
        a.largest += low.largest;
    } else if (low.largest > 0) {
        const int down = int(low.n_m) - int(a.n_m);
        const Twofold ties = multiply({low.largest, 0}, low.p);
        low.terms = add(low.terms, {__builtin_ldexp(ties.hi, Exp<Real>::lift),
                                    __builtin_ldexp(ties.lo, Exp<Real>::lift)});
        low.distance = add(low.distance, multiply(low.terms, two_sum(a.m, -low.m)));
        low.terms = {__builtin_ldexp(low.terms.hi, down), __builtin_ldexp(low.terms.lo, down)};
        low.distance = {__builtin_ldexp(low.distance.hi, down),
                        __builtin_ldexp(low.distance.lo, down)};
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

// The sums of a whole row, from those of its chunks, in their order.
template <class Real, bool scored, class Storage>
Sums<Real> sums_of_row(const Storage *x, int64_t classes, const Team *team = nullptr, Real z = 0) {
    static_assert(sizeof(Sums<Real>) <= Team::scratch_size);
    const auto merged = [&](auto largest_of_chunk) {
        Sums<Real> row;
        const auto chunk = [&](int64_t i, int64_t count) {
            return sums_below<Real, scored>(largest_of_chunk(x + i, count), x + i, count, z);
        };
        if (team) {
            Sums<Real> *parts = static_cast<Sums<Real> *>(team->scratch);
            const bool done = for_each_chunk(team, classes, [&](int64_t i, int64_t count) {
                parts[i / chunk_classes] = chunk(i, count);
            });
            row = parts[0];
            if (!done) { // interrupted: some parts are missing, and nobody will see the result
                row.m = __builtin_nan("");
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
    if (row.shifted && classes > chunk_classes && row.m == row.m)
        row = merged([m = row.m](const Storage *, int64_t) { return m; });
    if (row.m < -std::numeric_limits<Real>::max())
        row.m = __builtin_nan("");
    return row;
}

// S = Σ exp(x_j − m) over all classes but one whose logit is m, from the sum of the terms and the
// number of logits that equal m.
template <class Real> INLINE Twofold rest_of_sum(Twofold terms, Twofold p, double largest) {
    const double unlift = power_of_two<double>(-Exp<Real>::lift);
    const Twofold below = divide(terms, p);
    return add({below.hi * unlift, below.lo * unlift}, {largest - 1, 0});
}
INLINE Twofold one_plus(Twofold S) { return add({1, 0}, S); }

// factor / (p·(1 + S)) = (hi + lo)·2^e, for the last step of a gradient:
//     factor · exp(x − m) / (1 + S) = 2^(n − n_m + e) · (hi + lo)·(1 + g)
// so that an entry is rounded once more only after 1 + g is.
template <class Real> struct Scaling {
    Real hi, lo, round, lower, unlift;
    bool extreme; // factor is 0, infinite, NaN, or too large or small for this

    INLINE Scaling(Real top, Real n_m, Twofold p, Twofold S, double factor) {
        using E = Exp<Real>;
        const Twofold f = divide({factor, 0}, multiply(p, one_plus(S)));
        // 32-bit integers throughout: AVX2 converts no others.
        const int e = int((bits<std::uint64_t>(f.hi) >> 52) & 0x7ff) - 1023;
        extreme = (e < E::factor_min) | (e > E::factor_max);
        const double to_unit = power_of_two<double>(-e);
        hi = Real(f.hi * to_unit);
        lo = Real((f.hi * to_unit - hi) + f.lo * to_unit);
        const int below_one = e < 0 ? e : 0, lift = E::lift + below_one;
        round = E::round + (Real(lift) - n_m);
        lower = top - (E::reach + Real(below_one) * E::ln2_hi);
        unlift = power_of_two<Real>(e - lift);
    }

    INLINE Real entry(Real x, Real shift) const {
        return entry(x, shift, lower, round, hi, lo, unlift);
    }

    static INLINE Real entry(Real x, Real shift, Real lower, Real round, Real hi, Real lo,
                             Real unlift) {
        const Real t = x - shift;
        const Reduced<Real> exp = reduce(t > lower ? t : lower, round);
        return scale(hi + fma(hi, exp.g, lo), exp.rounded) * unlift;
    }
};

// out_j = factor · exp(x_j − m) / (1 + S). `out` may be `x`.
template <class Real, class Storage>
void scaled_softmax(const Frame<Real> &frame, Twofold S, double factor, const Storage *x,
                    int64_t classes, Storage *out) {
    const Real shift = frame.shift;
    const Scaling<Real> scaling(frame.top, frame.n_m, frame.p, S, factor);
    if (!scaling.extreme) {
        const auto fill_entries = [&](Real shift) INLINE_LAMBDA {
            for (int64_t i = 0; i < classes; ++i)
                out[i] = rounded_to<Storage>(scaling.entry(Real(x[i]), shift));
        };
        shift == 0 ? fill_entries(0) : fill_entries(shift);
        return;
    }
    // In two steps: the first as large as it can be, so that hardly an entry loses digits by being
    // subnormal in between.
    const bool large = __builtin_isfinite(factor) && (factor > 1 || factor < -1);
    const double first = large ? power_of_two<double>(Exp<Real>::factor_max - 1) : 1;
    const Scaling<Real> most(frame.top, frame.n_m, frame.p, S, first);
    for (int64_t i = 0; i < classes; ++i)
        out[i] = rounded_to<Storage>(Real(most.entry(Real(x[i]), shift) * (factor / first)));
}

// exp(z − m) / (1 + S) for z ≤ m. What rounding z − m loses counts too: exp(t + lost) is very
// nearly exp(t)·(1 + lost).
INLINE double probability(double z, double m, Twofold S) {
    const double floor = -Exp<double>::reach;
    const Twofold difference = two_sum(z, -m);
    const bool counts = difference.hi > floor;
    const Reduced<double> e = reduce(counts ? difference.hi : floor, Exp<double>::round + 512);
    const double exp = scale(1 + e.g, e.rounded) * 0x1p-512;
    return (counts ? fma(exp, difference.lo, exp) : exp) / one_plus(S).hi;
}

INLINE double log1p(Twofold S) { return log1p(S.hi) + S.lo / (1 + S.hi); }

// −log a of a class with logit z, and the derivative factor · (a − 1) by that logit. Where z is a
// largest logit, 1 − a is the sum of all others, S / (1 + S), and does not cancel.
INLINE double loss_of_class(double z, double m, Twofold S) { return (m - z) + log1p(S); }
INLINE double true_entry(double z, double m, Twofold S, Twofold factor) {
    const Twofold rest = divide(S, one_plus(S));
    const Twofold others = z == m ? rest : Twofold{1 - probability(z, m, S), 0};
    const Twofold entry = multiply(factor, others);
    return 0 - (entry.hi + entry.lo); // +0 where there are no others
}

template <class T> inline void fill(T *out, int64_t classes, T value) {
    for (int64_t i = 0; i < classes; ++i)
        out[i] = value;
}

} // namespace softmaxloss::LEVEL
