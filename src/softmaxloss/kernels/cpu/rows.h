// The loops over one row of logits: its maximum, its denominator, its gradient.
//
// `Storage` is the type in memory, `Real` the type of the computation. A long row is processed in
// chunks, which stay in cache between the loops. Like the lanes, the chunks determine the bits, so
// that threads can share a row and give the same bits.
#pragma once
#include "call.h"
#include "memory.h"
#include "softmax.h"

namespace softmaxloss::LEVEL {

using std::int64_t;

// x_j as Real: in `converted`, or x itself if it has that type.
template <class Real, class Storage, class Count>
INLINE const Real *computed(const Storage *x, Count count, Real *converted) {
    if constexpr (std::is_same_v<Real, Storage>) {
        return x;
    } else {
        widen(x, count, converted);
        return converted;
    }
}

// Calls on_group(size, values, i, known) for each quad of the row, i its first class, then for each
// group of the rest. The last group overlaps the one before, which costs less than a shorter group:
// its first `known` classes have been seen. A row of less than a group is padded with −inf.
template <class Real, class Storage, class OnGroup>
inline void for_each_group(const Storage *x, int64_t classes, OnGroup on_group) {
    constexpr int lanes = Exp<Real>::lanes, quad = Sum<Real>::quad;
    constexpr std::integral_constant<int, lanes> one{};
    Real values[quad];
    int64_t i = 0;
    for (; i + quad <= classes; i += quad)
        on_group(std::integral_constant<int, quad>(), computed(x + i, quad, values), i, 0);
    if (classes < lanes) {
        for (int l = 0; l < lanes; ++l)
            values[l] = -__builtin_inf();
        for (int l = 0; l < classes; ++l)
            values[l] = Real(x[l]);
        return on_group(one, values, 0, 0);
    }
    for (; i < classes; i += lanes) {
        const int64_t last = classes - lanes, from = i < last ? i : last;
        on_group(one, computed(x + from, lanes, values), from, int(i - from));
    }
}

// The largest logit; NaN if there is a NaN or +inf.
template <class Real, class Storage> Real largest_of(const Storage *x, int64_t classes) {
    using Int = typename Exp<Real>::Int;
    constexpr int lanes = Exp<Real>::lanes;
    const auto larger = [](Real a, Real b) { return a > b ? a : b; };
    const auto checked = [](Real m, Int nan) {
        return nan || m > std::numeric_limits<Real>::max() ? Real(__builtin_nan("")) : m;
    };
    if (classes < lanes) { // faster than a padded group
        Real m = -__builtin_inf();
        Int nan = 0;
        for (int64_t i = 0; i < classes; ++i) {
            m = larger(Real(x[i]), m);
            nan |= Real(x[i]) != Real(x[i]);
        }
        return checked(m, nan);
    }
    Real top[lanes];
    Int nans[lanes] = {};
    for (int l = 0; l < lanes; ++l)
        top[l] = -__builtin_inf();
    for_each_group<Real>(
        x, classes, [&](auto size, const Real *values, int64_t, int) INLINE_LAMBDA {
            for (int l = 0; l < lanes; ++l) {
                Real largest = values[l];
                nans[l] |= largest != largest;
                if constexpr (size == Sum<Real>::quad) {
                    const Real a = values[lanes + l];
                    const Real b = values[2 * lanes + l], c = values[3 * lanes + l];
                    largest = larger(larger(largest, a), larger(b, c));
                    nans[l] |= (a != a) | (b != b) | (c != c);
                }
                top[l] = larger(largest, top[l]);
            }
        });
    for (int half = lanes / 2; half > 0; half /= 2)
        for (int l = 0; l < half; ++l) {
            top[l] = larger(top[l + half], top[l]);
            nans[l] |= nans[l + half];
        }
    return checked(top[0], nans[0]);
}

template <class Real, class Storage>
int64_t first_index_of(Real m, const Storage *x, int64_t classes) {
    constexpr int lanes = Sum<Real>::quad;
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

// A row's coefficients are c_n = scale·b_n, and `extra` more for its class y. This says what the
// numbers b_n are: all 0, all 1, those of one array for all rows, or of an array for each row, ≥ 0.
enum class Base { zeros, ones, shared, array };

constexpr bool has_array(Base base) { return base == Base::shared || base == Base::array; }

// The sums of a row or of a chunk, in the frame of its largest logit m. The first ones are over the
// logits below m, whose terms are lifted(x).
template <class Real> struct Sums {
    using W = Wide<Real>;
    Frame<Real> frame; // m is −inf if all logits are, NaN if there is a NaN or +inf
    double largest;    // the number of logits equal to m
    W terms;           // Σ term
    W distance;        // Σ term · (m − x), if asked for
    int64_t above;     // the number of logits larger than a given one, if asked for
    bool shifted;      // the frame of some chunk subtracts its m first
    W base;            // Σ b, unless the base is shared
    W mean;            // Σ b · (m − x)
    int64_t nonzero;   // the number of b that are not 0, if they are an array
};

// What is computed beside the sum of the terms: the distance and the number above z; or every
// lifted(x), also of the largest logits, kept for the gradient.
enum class Also { nothing, scores, terms };

// The sums of x in the frame of its largest logit. Prefetches the numbers `ahead` bytes beyond x.
template <Also also, Base base, class Storage, class Real = RealOf<Storage>>
Sums<Real> sums_below(const Frame<Real> &frame, const Storage *x, int64_t classes, int64_t ahead,
                      Real z, Real *kept, const Real *b) {
    constexpr bool scored = also == Also::scores, keeping = also == Also::terms;
    constexpr bool mixed = base != Base::zeros;
    using Int = typename Exp<Real>::Int;
    constexpr int lanes = Exp<Real>::lanes, quad = Sum<Real>::quad;
    const Real m = frame.m, shift = frame.shift, cut = frame.cut(), round = frame.round();
    Sum<Real> terms_sum, distance_sum, base_sum, mean_sum;
    Int largest[lanes] = {}, above[lanes] = {}, nonzero[lanes] = {};
    const auto measure = [&](auto size, const Real *values, int64_t i, int known) INLINE_LAMBDA {
        constexpr int count = size;
        if constexpr (count == quad) {
            prefetch(x + i, ahead, quad);
            if constexpr (base == Base::array) // of the same row, mostly
                prefetch(b + i, ahead * int64_t(sizeof(Real) / sizeof(Storage)), quad);
        }
        Real terms[count];
        const auto fill_terms = [&](Real by) INLINE_LAMBDA {
            for (int j = 0; j < count; j += lanes)
                for (int l = 0; l < lanes; ++l) {
                    const bool is_largest = !(values[j + l] < m);
                    const Real term = lifted(values[j + l], by, cut, round);
                    terms[j + l] = (is_largest | (l < known)) ? Real(0) : term;
                    largest[l] += is_largest & (l >= known);
                    if constexpr (keeping)
                        kept[i + j + l] = term;
                }
        };
        shift == 0 ? fill_terms(0) : fill_terms(shift); // one operation less without a shift
        if constexpr (scored) {
            Real distances[count];
            for (int j = 0; j < count; ++j) {
                const Real below = m - values[j]; // outside of the condition, which vectorises
                distances[j] = terms[j] == 0 ? 0 : terms[j] * below;
            }
            for (int j = 0; j < count; j += lanes)
                for (int l = 0; l < lanes; ++l)
                    above[l] += (values[j + l] > z) & (l >= known);
            distance_sum.add(distances);
        }
        if constexpr (mixed) {
            Real parts[count], own[count];
            if constexpr (count == quad) {
                if constexpr (base == Base::ones)
                    for (int j = 0; j < count; ++j)
                        parts[j] = m - values[j];
                else if constexpr (base == Base::shared) // 0 · ∞ leaves the row to add_carefully
                    for (int j = 0; j < count; ++j)
                        parts[j] = b[i + j] * (m - values[j]);
                else
                    for (int j = 0; j < count; ++j) {
                        const Real below = m - values[j];
                        own[j] = b[i + j];
                        parts[j] = own[j] == 0 ? 0 : own[j] * below;
                    }
            } else {
                const int valid = classes - i < count ? int(classes - i) : count;
                for (int l = 0; l < count; ++l)
                    own[l] = 0;
                for (int l = known; l < valid; ++l)
                    own[l] = base == Base::ones ? 1 : b[i + l];
                for (int l = 0; l < count; ++l) {
                    const Real below = m - values[l];
                    parts[l] = own[l] == 0 ? 0 : own[l] * below;
                }
            }
            mean_sum.add(parts);
            if constexpr (base == Base::array) {
                for (int j = 0; j < count; j += lanes)
                    for (int l = 0; l < lanes; ++l)
                        nonzero[l] += own[j + l] != 0;
                base_sum.add(own);
            }
        }
        terms_sum.add(terms);
    };
    for_each_group<Real>(x, classes, measure);
    const auto count_of = [](const Int(&counts)[lanes]) {
        Int all = 0;
        for (int l = 0; l < lanes; ++l)
            all += counts[l];
        return all;
    };
    Sums<Real> sums{
        frame, double(count_of(largest)), terms_sum.total(), {}, 0, frame.shift != 0, {}, {}, 0};
    if constexpr (scored) {
        sums.above = count_of(above);
        sums.distance = distance_sum.total();
    }
    if constexpr (mixed)
        sums.mean = mean_sum.total();
    if constexpr (base == Base::ones)
        sums.base = {double(classes)};
    if constexpr (base == Base::array) {
        sums.base = base_sum.total();
        sums.nonzero = count_of(nonzero);
    }
    return sums;
}

// Adds the sums of chunk b to those of a, in the frame of the larger m. Neither frame has a shift,
// so their scales differ by a power of two, and only the additions are rounded.
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
    const W down_by = sum<W>(a.frame.m, -double(low.frame.m));
    if (low.frame.m == a.frame.m) {
        a.largest += low.largest;
    } else {
        if (low.largest > 0) {
            const W ties = multiply(W{low.largest}, low.frame.p);
            low.terms = add(low.terms, scaled(ties, power_of_two<double>(Exp<Real>::lift)));
            low.distance = add(low.distance, multiply(low.terms, down_by));
            const int down = int(low.frame.n_m) - int(a.frame.n_m); // 2^down may underflow
            low.terms = ldexp(low.terms, down);
            low.distance = ldexp(low.distance, down);
        }
        low.mean = add(low.mean, multiply(low.base, down_by)); // not finite for m = −inf
    }
    a.terms = add(a.terms, low.terms);
    a.distance = add(a.distance, low.distance);
    a.above = above;
    a.shifted |= low.shifted;
    a.base = add(a.base, low.base);
    a.mean = add(a.mean, low.mean);
    a.nonzero += low.nonzero;
}

// Calls work(first class, count) for each chunk of a row, on the team's threads if there is a team.
template <class Work> void for_each_chunk(const Team *team, int64_t classes, Work work) {
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
}

// The sums of a row, merged from those of its chunks in their order. m is NaN if the row has no
// softmax. Terms can be kept only if there is one chunk.
template <Also also, Base base, class Storage, class Real = RealOf<Storage>>
Sums<Real> sums_of_row(const Storage *x, int64_t classes, int64_t ahead, const Team *team,
                       Real z = 0, Real *kept = nullptr, const Real *b = nullptr) {
    static_assert(sizeof(Sums<Real>) <= Team::scratch_size);
    const auto merged = [&](auto largest_of_chunk) {
        Sums<Real> row;
        const auto chunk = [&](int64_t i, int64_t count) {
            const Real m = largest_of_chunk(x + i, count);
            if (!__builtin_isfinite(m)) // a chunk of −inf adds only what makes `mean` not finite
                return Sums<Real>{{m, 0, 0, {}}, 0, {}, {}, 0, false, {}, {__builtin_inf()}, 0};
            // Prefetch the next chunk, and from the last full chunk on the row that is wanted
            // later.
            constexpr int64_t size = sizeof(Storage);
            const int64_t next = i + 2 * chunk_classes <= classes ? chunk_classes * size
                                 : ahead != 0                     ? ahead - i * size
                                                                  : 0;
            return sums_below<also, base>(Frame<Real>::of(m), x + i, count, next, z, kept,
                                          has_array(base) ? b + i : nullptr);
        };
        if (team) {
            Sums<Real> *parts = static_cast<Sums<Real> *>(team->scratch);
            for_each_chunk(team, classes, [&](int64_t i, int64_t count) {
                parts[i / chunk_classes] = chunk(i, count);
            });
            row = parts[0];
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
    // Scales of frames with a shift do not differ by powers of two: use one frame for all chunks.
    if (row.shifted && classes > chunk_classes && row.frame.m == row.frame.m)
        row = merged([m = row.frame.m](const Storage *, int64_t) { return m; });
    if (row.frame.m < -std::numeric_limits<Real>::max())
        row.frame.m = __builtin_nan("");
    return row;
}

// The gradient of a row or of a chunk, which may not contain y:
//     factor · (Σc · a_n − c_n) = scaling.entry(term) − scale · b_n,
// where `scale` includes the factor. The entry of y is given. `out` may be `x`. `kept` holds the
// terms, or is null. (Captures by value: with references the loops would not be vectorised.)
template <Base base, class Storage, class Real = RealOf<Storage>>
void gradient_of_row(const Frame<Real> &frame, const Scaling<Real> &scaling, const Storage *x,
                     const Real *kept, int64_t classes, int64_t y, Real of_y, Real scale,
                     const Real *b, Storage *out, Output<Storage> &output) {
    const Real shift = frame.shift, cut = frame.cut(), round = frame.round();
    output.write(out, classes, [=](int64_t i, auto count, Real *entries) INLINE_LAMBDA {
        constexpr int quad = Sum<Real>::quad;
        Real converted[quad], lifted_x[quad];
        const Real *terms = kept ? kept + i : lifted_x;
        if (!kept) {
            const Real *values = computed(x + i, count, converted);
            for (int j = 0; j < count; ++j)
                lifted_x[j] = lifted(values[j], shift, cut, round);
        }
        for (int j = 0; j < count; ++j) {
            const Real entry = scaling.entry(terms[j]);
            if constexpr (base == Base::zeros)
                entries[j] = entry;
            else if constexpr (base == Base::ones)
                entries[j] = entry - scale;
            else
                entries[j] = fma(-scale, b[i + j], entry);
        }
        if (i <= y && y < i + count)
            entries[y - i] = of_y;
    });
}

// Whether a sum of probabilities is 1 within the tolerance: for one row, or for each of a register.
template <class T> INLINE auto sums_to_one(T sum, double tolerance) {
    const T off = sum < 1 ? 1 - sum : sum - 1;
    return (off <= tolerance) & (off - off == 0);
}

template <class T> inline void fill(T *out, int64_t classes, T value) {
    for (int64_t i = 0; i < classes; ++i)
        out[i] = value;
}

} // namespace softmaxloss::LEVEL
