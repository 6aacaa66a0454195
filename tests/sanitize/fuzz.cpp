// Random calls of the kernel, for a build with sanitizers: `fuzz CALLS SEED`.
//
// Each call is made once plainly (baseline level, one thread, contiguous rows), then on every level
// in a random layout and with random threads, as bind.cpp would. The numbers must be the same, the
// memory beside the rows unchanged, and rows that are ignored or have no softmax as promised.
// Arrays have exactly the size they need, so that the address sanitizer finds any access beyond
// them.
#define LEVEL fuzz
#include "dispatch.h"
#include "half.h"
#include "threads.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <sanitizer/common_interface_defs.h>

namespace softmaxloss::fuzz {

using std::int64_t;
using std::uint64_t;

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__
#endif
#endif
#ifdef __SANITIZE_THREAD__
constexpr bool threads_only = true;
#else
constexpr bool threads_only = false;
#endif

uint64_t current_seed;

void say_how_to_repeat() {
    std::fprintf(stderr, "to repeat: fuzz 1 %llu\n", static_cast<unsigned long long>(current_seed));
}

void require(bool holds, const char *promise) {
    if (holds)
        return;
    std::fprintf(stderr, "broken promise: %s\n", promise);
    say_how_to_repeat();
    std::_Exit(1);
}

// splitmix64 (Steele, Lea, Flood 2014), written from its definition. Any seed works.
struct Random {
    uint64_t state;

    uint64_t next() {
        state += 0x9e3779b97f4a7c15;
        uint64_t z = state;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    int64_t below(int64_t n) { return int64_t(next() % uint64_t(n)); }
    int64_t between(int64_t least, int64_t most) { return least + below(most - least + 1); }
    double uniform(double a, double b) { return a + (b - a) * double(next() >> 11) * 0x1p-53; }
    bool once_in(int64_t n) { return below(n) == 0; }
    double one_of(std::initializer_list<double> values) {
        return values.begin()[below(int64_t(values.size()))];
    }
};

// --- the contents of a call ---------------------------------------------------------------------

template <class Storage> struct Contents {
    using Real = RealOf<Storage>;
    int64_t rows, classes;
    std::vector<Storage> logits;
    std::vector<Real> probabilities; // of every class; empty if there are labels
    std::vector<char> labels;
    std::vector<int64_t> classes_of_rows; // the labels again
    LabelType label_type;
    int64_t ignore_index;
    std::vector<double> weight, factor;
    double label_smoothing;
    bool gradient;
};

template <class Storage> Storage number(double x) {
    return rounded_to<Storage>(static_cast<RealOf<Storage>>(x));
}

template <class Storage> void fill_row(Random &random, Storage *x, int64_t classes) {
    const double inf = HUGE_VAL, nan = std::nan("");
    const int64_t kind = random.below(16);
    const double size = random.one_of({1, 5, 50, 1e3, 1e-320, 1e-42}),
                 offset = random.one_of({0, 0, 0, 40, -700, 1e5, -1e8, 3e38, -1e308});
    for (int64_t j = 0; j < classes; ++j) {
        double value = random.uniform(-size, size);
        if (kind == 1)
            value = random.once_in(2) ? -inf : value;
        else if (kind == 2)
            value = double(random.below(3));
        else if (kind == 3)
            value = -inf;
        else if (kind == 4 || kind == 5)
            value += offset;
        x[j] = number<Storage>(value);
        if (kind == 6) { // any bits at all
            const uint64_t any = random.next();
            std::memcpy(x + j, &any, sizeof(Storage));
        }
    }
    const int64_t place = random.below(classes);
    if (kind == 7)
        x[place] = number<Storage>(random.one_of({nan, inf, -inf}));
    else if (kind == 8)
        x[place] = number<Storage>(random.one_of({60, 800, 6e4, 1e38, 1e300}));
}

int64_t number_of_classes(Random &random) {
    if (random.once_in(threads_only ? 100 : 20000)) // shared among threads
        return 2 * chunk_classes + random.below(chunk_classes);
    if (random.once_in(2000))
        return random.between(400, 70000);
    return random.once_in(8) ? random.between(64, 400) : random.between(1, 64);
}

int width(LabelType type) { return 1 << (int(type) & 3); }
bool is_signed(LabelType type) { return int(type) < 4; }

template <class Storage> Contents<Storage> contents(Random &random) {
    using Real = RealOf<Storage>;
    Contents<Storage> c{};
    c.classes = number_of_classes(random);
    if (c.classes > 400)
        c.rows = random.between(1, 2);
    else
        c.rows = random.once_in(4) ? random.between(30, 70) : random.between(0, 5);
    const std::size_t rows = std::size_t(c.rows), classes = std::size_t(c.classes);
    c.logits.resize(rows * classes);
    for (int64_t i = 0; i < c.rows; ++i)
        fill_row(random, c.logits.data() + i * c.classes, c.classes);

    c.label_type = LabelType(random.below(8));
    const int bits_of_label = 8 * width(c.label_type) - is_signed(c.label_type);
    const int64_t largest = bits_of_label > 32 ? c.classes : int64_t(1) << bits_of_label;
    c.ignore_index = random.once_in(2)                               ? -100
                     : random.once_in(2) || !is_signed(c.label_type) ? random.below(c.classes)
                                                                     : -1;
    c.labels.resize(rows * std::size_t(width(c.label_type)));
    for (std::size_t i = 0; i < rows; ++i) {
        const bool ignored = random.once_in(8) && is_signed(c.label_type);
        const int64_t y = ignored ? c.ignore_index : random.below(std::min(c.classes, largest));
        const int64_t least = -(int64_t(1) << std::min(bits_of_label, 62));
        const int64_t fits = y >= largest || y < least ? 0 : y;
        const std::size_t bytes = std::size_t(width(c.label_type));
        std::memcpy(c.labels.data() + i * bytes, &fits, bytes); // little-endian
        c.classes_of_rows.push_back(fits);
    }
    if (random.once_in(3)) {
        c.probabilities.resize(rows * classes);
        for (std::size_t i = 0; i < rows; ++i) {
            const bool dense = random.once_in(2), none = random.once_in(16);
            Real *q = c.probabilities.data() + i * classes;
            for (std::size_t j = 0; dense && !none && j < classes; ++j)
                q[j] = random.once_in(4) ? Real(0) : Real(random.uniform(0.01, 1));
            if (!dense && !none)
                q[random.below(c.classes)] = 1;
        }
    }
    if (random.once_in(3)) {
        c.weight.resize(classes);
        for (double &w : c.weight)
            w = random.once_in(3) ? 0 : random.uniform(0.1, 3);
    }
    c.label_smoothing = random.once_in(2) ? 0 : random.one_of({0.01, 0.1, 0.5, 0.999, 1});
    c.factor.resize(random.once_in(2) ? 1 : rows);
    for (double &f : c.factor)
        f = random.once_in(2) ? random.one_of({1, 1.0 / 37, -2})
                              : random.one_of({0, -0.0, 1e-30, -1e-300, 5e-324, 1e30, 1e300,
                                               HUGE_VAL, -HUGE_VAL, std::nan("")});
    c.gradient = !random.once_in(4);
    return c;
}

// --- how it is called ---------------------------------------------------------------------------

// Rows with NaNs before and between them, and nothing after the last.
template <class T> struct Matrix {
    int64_t rows, classes, stride, lead;
    std::vector<T> memory;

    Matrix(int64_t rows, int64_t classes, int64_t lead, int64_t gap)
        : rows(rows), classes(classes), stride(classes + gap), lead(rows ? lead : 0),
          memory(std::size_t(rows ? lead + (rows - 1) * stride + classes : 0)) {
        if (rows)
            std::memset(static_cast<void *>(memory.data()), 0xff, memory.size() * sizeof(T));
    }
    T *row(int64_t i) { return memory.data() + lead + i * stride; }
    void assign(const std::vector<T> &values) {
        for (int64_t i = 0; i < rows; ++i)
            std::copy_n(values.data() + i * classes, classes, row(i));
    }
    bool untouched_beside() {
        const auto untouched = [&](const T *from, int64_t count) {
            const char *bytes = reinterpret_cast<const char *>(from);
            return std::all_of(bytes, bytes + count * int64_t(sizeof(T)),
                               [](char byte) { return byte == char(0xff); });
        };
        bool all = rows == 0 || untouched(memory.data(), lead);
        for (int64_t i = 0; i + 1 < rows; ++i)
            all &= untouched(row(i) + classes, stride - classes);
        return all;
    }
};

struct Layout {
    int64_t lead = 0, gap = 0, lead_of_gradient = 0, gap_of_gradient = 0;
    bool in_place = false, stream = false, shared = false;
    int threads = 1;
    int64_t row_cost = 1; // for parallel_rows, so large that small calls are split too
};

Layout random_layout(Random &random, int64_t rows) {
    Layout layout;
    if (random.once_in(2)) {
        layout.lead = random.below(4);
        layout.gap = random.below(9);
        layout.lead_of_gradient = random.below(4);
        layout.gap_of_gradient = random.below(9);
    }
    layout.in_place = random.once_in(3);
    layout.stream = !layout.in_place && random.once_in(2);
    if (threads_only || random.once_in(16)) {
        layout.threads = int(random.between(2, 4));
        layout.shared = rows < layout.threads && random.once_in(2);
    }
    layout.row_cost = int64_t(1) << random.between(10, 17);
    return layout;
}

template <class Call>
void run(const Call &call, void (*level)(const Call &, int64_t, int64_t, const Team *),
         const Layout &layout) {
    const std::function<bool()> interrupted = [] { return false; };
    if (layout.shared) {
        SharedRow team(call.classes, layout.threads, interrupted);
        for (int64_t i = 0; i < call.rows; ++i)
            level(call, i, i + 1, &team);
    } else {
        parallel_rows(
            call.rows, layout.row_cost, layout.threads,
            [&](int64_t begin, int64_t end) { level(call, begin, end, nullptr); }, interrupted);
    }
}

template <class Real> struct Scores {
    std::vector<Real> loss, probability, entropy, logsumexp;
    std::vector<int64_t> predicted, rank;
};

template <class Storage> struct Results {
    std::vector<RealOf<Storage>> loss;
    std::vector<Storage> gradient;
    Scores<RealOf<Storage>> scores;
};

template <class Storage> constexpr LogitsType logits_type();
template <> constexpr LogitsType logits_type<float>() { return f32; }
template <> constexpr LogitsType logits_type<double>() { return f64; }
template <> constexpr LogitsType logits_type<Float16>() { return f16; }
template <> constexpr LogitsType logits_type<BFloat16>() { return bf16; }

template <class Storage>
Results<Storage> compute(const Contents<Storage> &c, const Level &level, const Layout &layout) {
    using Real = RealOf<Storage>;
    Results<Storage> results;
    const std::size_t rows = std::size_t(c.rows);
    Matrix<Storage> logits(c.rows, c.classes, layout.lead, layout.gap);
    logits.assign(c.logits);

    if (c.probabilities.empty()) {
        auto &s = results.scores;
        for (auto *numbers : {&s.loss, &s.probability, &s.entropy, &s.logsumexp})
            numbers->resize(rows);
        for (auto *numbers : {&s.predicted, &s.rank})
            numbers->resize(rows);
        const Score call{c.rows,
                         c.classes,
                         logits.row(0),
                         logits.stride,
                         c.labels.data(),
                         c.label_type,
                         c.ignore_index,
                         s.loss.data(),
                         s.probability.data(),
                         s.predicted.data(),
                         s.rank.data(),
                         s.entropy.data(),
                         s.logsumexp.data()};
        run(call, level.score[logits_type<Storage>()], layout);
    }

    Matrix<Real> probabilities(c.probabilities.empty() ? 0 : c.rows, c.classes,
                               layout.lead_of_gradient, layout.gap);
    probabilities.assign(c.probabilities);
    Matrix<Storage> own(c.gradient && !layout.in_place ? c.rows : 0, c.classes,
                        layout.lead_of_gradient, layout.gap_of_gradient);
    Matrix<Storage> &gradient = layout.in_place ? logits : own;
    results.loss.resize(rows);
    CrossEntropy call{};
    call.rows = c.rows;
    call.classes = c.classes;
    call.logits = logits.row(0);
    call.logits_stride = logits.stride;
    if (c.probabilities.empty())
        call.labels = c.labels.data();
    else
        call.probabilities = probabilities.row(0);
    call.double_probabilities = call.double_loss = sizeof(Real) == 8;
    call.label_type = c.label_type;
    call.probabilities_stride = probabilities.stride;
    call.weight = c.weight.empty() ? nullptr : c.weight.data();
    call.label_smoothing = c.label_smoothing;
    call.ignore_index = c.ignore_index;
    call.factor = c.factor.data();
    call.factor_stride = c.factor.size() == 1 ? 0 : 1;
    call.loss = results.loss.data();
    call.grad = c.gradient ? gradient.row(0) : nullptr;
    call.grad_stride = gradient.stride;
    call.stream = layout.stream;
    run(call, level.cross_entropy[logits_type<Storage>()], layout);

    require(logits.untouched_beside(), "nothing is written beside the rows of logits");
    require(probabilities.untouched_beside(), "nothing is written beside the probabilities");
    require(own.untouched_beside(), "nothing is written beside the rows of the gradient");
    if (c.gradient)
        for (int64_t i = 0; i < c.rows; ++i)
            results.gradient.insert(results.gradient.end(), gradient.row(i),
                                    gradient.row(i) + c.classes);
    return results;
}

// --- what is promised ---------------------------------------------------------------------------

template <class T> bool is_nan(T x) {
    if constexpr (std::is_integral_v<T>)
        return false;
    else
        return std::isnan(double(RealOf<T>(x)));
}

// Compares the bits of all numbers. Any NaN equals any other.
template <class T> bool same(const std::vector<T> &a, const std::vector<T> &b) {
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(), [](const T &x, const T &y) {
               return std::memcmp(&x, &y, sizeof(T)) == 0 || (is_nan(x) && is_nan(y));
           });
}

template <class Real> bool same(const Scores<Real> &a, const Scores<Real> &b) {
    return same(a.loss, b.loss) && same(a.probability, b.probability) &&
           same(a.entropy, b.entropy) && same(a.logsumexp, b.logsumexp) &&
           same(a.predicted, b.predicted) && same(a.rank, b.rank);
}

// Whether the row has no softmax: one logit is NaN or +inf, or all are −inf.
template <class Storage> bool undefined(const Storage *x, int64_t classes) {
    bool all_masked = true;
    for (int64_t j = 0; j < classes; ++j) {
        const double value = RealOf<Storage>(x[j]);
        if (!(value < HUGE_VAL))
            return true;
        all_masked &= value == -HUGE_VAL;
    }
    return all_masked;
}

// Whether a class of row i has a coefficient other than 0.
template <class Storage> bool counts(const Contents<Storage> &c, int64_t i) {
    for (int64_t j = 0; j < c.classes; ++j) {
        const double q = c.probabilities.empty()
                             ? double(c.classes_of_rows[std::size_t(i)] == j)
                             : double(c.probabilities[std::size_t(i * c.classes + j)]);
        const double mixed = (1 - c.label_smoothing) * q + c.label_smoothing / double(c.classes);
        if (mixed * (c.weight.empty() ? 1 : c.weight[std::size_t(j)]) != 0)
            return true;
    }
    return false;
}

template <class Storage>
void check_row(const Contents<Storage> &c, const Results<Storage> &r, int64_t i) {
    const std::size_t row = std::size_t(i);
    const bool by_label = c.probabilities.empty();
    const bool ignored = by_label && c.classes_of_rows[row] == c.ignore_index;
    const bool no_softmax = undefined(c.logits.data() + i * c.classes, c.classes);
    const bool absent = ignored || !counts(c, i), nan = no_softmax && !absent;
    const double factor = c.factor[c.factor.size() == 1 ? 0 : row];
    require(absent ? r.loss[row] == 0
            : nan  ? is_nan(r.loss[row])
                   : r.loss[row] >= 0,
            "a loss is 0 where nothing counts, NaN where there is no softmax, else at least 0");
    for (int64_t j = 0; c.gradient && j < c.classes; ++j) {
        const Storage entry = r.gradient[std::size_t(i * c.classes + j)];
        const double value = RealOf<Storage>(entry);
        if (absent)
            require(value == 0, "a gradient is 0 where nothing counts");
        else if (nan || std::isfinite(factor))
            require(is_nan(entry) == nan, "a gradient is NaN where there is no softmax only");
    }
    if (!by_label)
        return;
    const auto &s = r.scores;
    const bool unscored = no_softmax || ignored;
    require(is_nan(s.logsumexp[row]) == unscored && is_nan(s.entropy[row]) == unscored &&
                is_nan(s.probability[row]) == unscored,
            "scores are NaN only where a row is ignored or there is no softmax");
    require(ignored ? s.loss[row] == 0 : is_nan(s.loss[row]) == no_softmax, "the score's loss");
    require(unscored ? s.predicted[row] == -1
                     : s.predicted[row] >= 0 && s.predicted[row] < c.classes,
            "the predicted class");
    require(unscored ? s.rank[row] == 0 : s.rank[row] >= 1 && s.rank[row] <= c.classes, "the rank");
}

template <class Storage> void one_call(Random &random) {
    const Contents<Storage> c = contents<Storage>(random);
    const Results<Storage> plain = compute(c, *supported_levels().front(), Layout{});
    for (int64_t i = 0; i < c.rows; ++i)
        check_row(c, plain, i);
    for (const Level *level : supported_levels()) {
        const Results<Storage> results = compute(c, *level, random_layout(random, c.rows));
        require(same(results.loss, plain.loss), "the same loss however it is computed");
        require(same(results.gradient, plain.gradient), "the same gradient");
        require(same(results.scores, plain.scores), "the same scores");
    }
}

} // namespace softmaxloss::fuzz

int main(int argc, char **argv) {
    using namespace softmaxloss::fuzz;
    if (argc != 3) {
        std::fprintf(stderr, "usage: fuzz CALLS SEED\n");
        return 2;
    }
    const uint64_t calls = std::strtoull(argv[1], nullptr, 10);
    const uint64_t first = std::strtoull(argv[2], nullptr, 10);
    __sanitizer_set_death_callback(say_how_to_repeat);
    for (current_seed = first; current_seed != first + calls; ++current_seed) {
        Random random{current_seed};
        random.state = random.next(); // neighbouring seeds have nothing in common
        switch (random.below(4)) {
        case 0:
            one_call<float>(random);
            break;
        case 1:
            one_call<double>(random);
            break;
        case 2:
            one_call<Float16>(random);
            break;
        default:
            one_call<BFloat16>(random);
        }
    }
    std::printf("%llu calls from seed %llu on %zu levels%s: no finding\n",
                static_cast<unsigned long long>(calls), static_cast<unsigned long long>(first),
                softmaxloss::supported_levels().size(), threads_only ? ", all with threads" : "");
}
