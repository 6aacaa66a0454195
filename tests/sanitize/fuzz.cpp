// Random calls of the kernel, for a build with sanitizers or for another processor: `fuzz CALLS
// SEED`.
//
// Each call is made once plainly (baseline level, one thread, contiguous rows, probabilities in the
// computed type), then on every level in a random layout and with random threads, as bind.cpp
// would. The numbers must be the same, the memory of inputs and between outputs unchanged, and rows
// that are ignored or have no softmax as promised. At the end it prints a digest of all numbers,
// the same on every processor.
#include "places.h"
#include "threads.h"

#include <atomic>
#ifdef SANITIZED
#include <sanitizer/common_interface_defs.h>
#endif

namespace softmaxloss::fuzz {

// --- the calls ----------------------------------------------------------------------------------

// Calls work(begin, end, team) for ranges that cover all rows.
template <class Work> void for_rows(const Shape &shape, const Setup &setup, Work work) {
    const std::function<bool()> interrupted = [] { return false; };
    const int64_t rows = shape.rows();
    if (setup.direct)
        return work(0, rows, nullptr);
    if (!setup.shared) {
        parallel_rows(
            rows, setup.row_cost, setup.unit, setup.threads,
            [&](int64_t begin, int64_t end) { work(begin, end, nullptr); }, interrupted);
        return;
    }
    SharedRow team(shape.classes(), setup.threads, interrupted);
    for (int64_t i = 0; i < rows; ++i)
        work(i, i + 1, &team);
}

template <class Real> struct Scores {
    std::vector<Real> loss, probability, entropy, logsumexp;
    std::vector<int64_t> predicted, rank;
};

template <class Storage> struct Results {
    std::vector<RealOf<Storage>> loss;
    std::vector<Storage> gradient;
    Scores<RealOf<Storage>> scores;
    bool fit = false;
};

template <class Call, class Storage> Call call_of(const Contents<Storage> &c, const Array &logits) {
    Call call{};
    call.outer = c.shape.outer();
    call.classes = c.shape.classes();
    call.inner = c.shape.inner();
    call.logits = logits;
    if (c.probabilities.empty())
        call.labels = c.labels.data();
    call.label_type = c.label_type;
    call.ignore_index = c.ignore_index;
    return call;
}

template <class Storage>
Scores<RealOf<Storage>> score(const Contents<Storage> &c, const Level &level, const Setup &setup,
                              const Array &logits) {
    Scores<RealOf<Storage>> s;
    for (auto *numbers : {&s.loss, &s.probability, &s.entropy, &s.logsumexp})
        numbers->resize(size_t(c.shape.rows()));
    for (auto *numbers : {&s.predicted, &s.rank})
        numbers->resize(size_t(c.shape.rows()));
    Score call = call_of<Score>(c, logits);
    call.loss = s.loss.data();
    call.probability = s.probability.data();
    call.predicted = s.predicted.data();
    call.rank = s.rank.data();
    call.entropy = s.entropy.data();
    call.logsumexp = s.logsumexp.data();
    for_rows(c.shape, setup, [&](int64_t begin, int64_t end, const Team *team) {
        level.score[float_type<Storage>()](call, begin, end, team);
    });
    return s;
}

// Whether the probabilities are fit, however they lie.
template <class Storage>
bool check(const Contents<Storage> &c, const Level &level, const Setup &setup) {
    std::atomic<bool> fit{true};
    with_type(c.probabilities_type, [&](auto zero) {
        using T = decltype(zero);
        std::vector<T> values;
        for (const double q : c.doubtful)
            values.push_back(number<T>(q));
        Memory<T> memory(c.shape, setup.probabilities, values);
        Check call = call_of<Check>(c, memory.array());
        call.tolerance = c.tolerance;
        Setup rows = setup;
        rows.shared = false;
        for_rows(c.shape, rows, [&](int64_t begin, int64_t end, const Team *) {
            if (!level.check[c.probabilities_type](call, begin, end))
                fit = false;
        });
    });
    return fit;
}

// The loss and gradient, in memory as it is set up.
template <class Storage>
void compute_loss(const Contents<Storage> &c, const Level &level, const Setup &setup,
                  Memory<Storage> &logits, const Array &probabilities, FloatType type,
                  Results<Storage> &results) {
    using Real = RealOf<Storage>;
    const Shape none{{0, c.shape.classes(), 0}};
    const bool separate = c.gradient && !setup.in_place;
    Memory<Storage> own(separate ? c.shape : none, separate ? setup.gradient : Places{});
    Memory<Storage> &gradient = setup.in_place ? logits : own;
    results.loss.resize(size_t(c.shape.rows()));
    CrossEntropy call = call_of<CrossEntropy>(c, logits.array());
    call.probabilities = probabilities;
    call.probabilities_type = type;
    call.weight = c.weight.empty() ? nullptr : c.weight.data();
    call.sample_weight = c.sample_weight.empty() ? nullptr : c.sample_weight.data();
    call.label_smoothing = c.label_smoothing;
    call.factor = c.factor.data();
    call.factor_stride = c.factor.size() != 1 || c.shape.rows() == 1;
    call.loss = results.loss.data();
    call.double_loss = sizeof(Real) == 8;
    if (c.gradient)
        call.grad = gradient.array();
    call.stream = setup.stream;
    const auto before = logits.bytes(setup.in_place), around = own.bytes(true);
    for_rows(c.shape, setup, [&](int64_t begin, int64_t end, const Team *team) {
        level.cross_entropy[float_type<Storage>()](call, begin, end, team);
    });
    require(logits.bytes(setup.in_place) == before, "the memory of the logits stays");
    require(own.bytes(true) == around, "nothing is written between the numbers of the gradient");
    if (c.gradient)
        results.gradient = gradient.values();
}

template <class Storage>
Results<Storage> compute(const Contents<Storage> &c, const Level &level, const Setup &setup,
                         bool plain = false) {
    using Real = RealOf<Storage>;
    Results<Storage> results;
    Memory<Storage> logits(c.shape, setup.logits, c.logits);
    if (c.probabilities.empty()) {
        results.scores = score(c, level, setup, logits.array());
        compute_loss(c, level, setup, logits, {}, f32, results);
        return results;
    }
    results.fit = check(c, level, setup);
    const FloatType type = plain ? float_type<Real>() : c.probabilities_type;
    with_type(type, [&](auto zero) {
        using T = decltype(zero);
        std::vector<T> values;
        for (size_t i = 0; i < c.probabilities.size(); ++i)
            values.push_back(number<T>(plain ? double(c.probability(i)) : c.probabilities[i]));
        Memory<T> probabilities(c.shape, setup.probabilities, values);
        const auto before = probabilities.bytes();
        compute_loss(c, level, setup, logits, probabilities.array(), type, results);
        require(probabilities.bytes() == before, "the memory of the probabilities stays");
    });
    return results;
}

// --- what is promised ---------------------------------------------------------------------------

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
    if (!c.sample_weight.empty() && c.sample_weight[size_t(i)] == 0)
        return false;
    const int64_t classes = c.shape.classes();
    for (int64_t j = 0; j < classes; ++j) {
        const double q = c.probabilities.empty() ? double(c.classes_of_rows[size_t(i)] == j)
                                                 : double(c.probability(size_t(i * classes + j)));
        const double mixed = (1 - c.label_smoothing) * q + c.label_smoothing / double(classes);
        if (mixed * (c.weight.empty() ? 1 : c.weight[size_t(j)]) != 0)
            return true;
    }
    return false;
}

template <class Storage>
void check_scores(const Contents<Storage> &c, const Results<Storage> &r, int64_t i, bool ignored,
                  bool no_softmax) {
    const size_t row = size_t(i);
    const auto &s = r.scores;
    const bool unscored = no_softmax || ignored;
    for (const auto *score : {&s.loss, &s.probability, &s.entropy, &s.logsumexp})
        require(ignored ? (*score)[row] == 0 : is_nan((*score)[row]) == no_softmax,
                "scores are 0 where a row is ignored, and NaN only where there is no softmax");
    require(unscored ? s.predicted[row] == -1
                     : s.predicted[row] >= 0 && s.predicted[row] < c.shape.classes(),
            "the predicted class");
    require(unscored ? s.rank[row] == 0 : s.rank[row] >= 1 && s.rank[row] <= c.shape.classes(),
            "the rank");
}

template <class Storage>
void check_row(const Contents<Storage> &c, const Results<Storage> &r, int64_t i) {
    const size_t row = size_t(i);
    const int64_t classes = c.shape.classes();
    const bool by_label = c.probabilities.empty();
    const int64_t y = by_label ? c.classes_of_rows[row] : 0;
    const bool ignored = by_label && y == c.ignore_index;
    const bool no_label = !ignored && (y < 0 || y >= classes);
    const bool no_softmax = no_label || undefined(c.logits.data() + i * classes, classes);
    const bool absent = ignored || (!no_label && !counts(c, i)), nan = no_softmax && !absent;
    const double factor = c.factor[c.factor.size() == 1 ? 0 : row];
    require(absent ? r.loss[row] == 0
            : nan  ? is_nan(r.loss[row])
                   : r.loss[row] >= 0,
            "a loss is 0 where nothing counts, NaN where there is no softmax, else at least 0");
    for (int64_t j = 0; c.gradient && j < classes; ++j) {
        const Storage entry = r.gradient[size_t(i * classes + j)];
        const double value = RealOf<Storage>(entry);
        if (absent)
            require(value == 0, "a gradient is 0 where nothing counts");
        else if (nan || std::isfinite(factor))
            require(is_nan(entry) == nan, "a gradient is NaN where there is no softmax only");
    }
    if (by_label)
        check_scores(c, r, i, ignored, no_softmax);
}

// Whether the doubtful probabilities are fit, in other words. Sums at the edge of the tolerance are
// not judged.
template <class Storage>
void require_right_check(const Contents<Storage> &c, const Results<Storage> &r) {
    const int64_t classes = c.shape.classes();
    bool fit = true, at_the_edge = false;
    for (int64_t i = 0; i < c.shape.rows(); ++i) {
        double sum = 0;
        for (int64_t j = 0; j < classes; ++j) {
            const double q = c.doubtful[size_t(i * classes + j)];
            fit &= q >= 0;
            sum += q;
        }
        const double off = std::fabs(sum - 1);
        fit &= off <= c.tolerance;
        at_the_edge |= std::fabs(off - c.tolerance) < 1e-9;
    }
    require(r.fit == fit || at_the_edge, "probabilities are fit as their definition says");
}

// Of all numbers so far: FNV-1a over the bits of each as a double. Any NaN equals any other.
inline uint64_t digest = 0xcbf29ce484222325;

template <class T> void add_to_digest(const std::vector<T> &numbers) {
    for (const T &number : numbers) {
        double value;
        if constexpr (std::is_integral_v<T>)
            value = double(number);
        else
            value = is_nan(number) ? 0.5 : double(RealOf<T>(number));
        uint64_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        digest = (digest ^ bits) * 0x100000001b3;
    }
}

// Softcap of the logits, and a gradient through it, at random places, in other memory or in place.
template <class Real> void check_softcap(Random &random, const std::vector<Real> &z) {
    const double cap = std::exp(random.uniform(-69, 69));
    const FloatType type = float_type<Real>();
    const auto size = int64_t(z.size());
    std::vector<Real> grad;
    for (int64_t i = 0; i < size; ++i)
        grad.push_back(random.once_in(4) ? Real(0) : number<Real>(random.uniform(-2, 2)));
    const auto compute = [&](const Level &level, bool slope, bool in_place) {
        std::vector<Real> out = slope ? grad : z;
        const Softcap call{slope || !in_place ? z.data() : out.data(),
                           !slope     ? nullptr
                           : in_place ? out.data()
                                      : grad.data(),
                           out.data(), cap};
        const std::function<bool()> interrupted = [] { return false; };
        parallel_rows(
            size, 1, 1, in_place ? 3 : 1,
            [&](int64_t begin, int64_t end) {
                (slope ? level.softcap_gradient : level.softcap)[type](call, begin, end);
            },
            interrupted);
        return out;
    };
    for (const bool slope : {false, true}) {
        const std::vector<Real> plain = compute(*supported_levels().front(), slope, false);
        for (int64_t i = 0; i < size; ++i) {
            const Real x = z[size_t(i)], value = plain[size_t(i)];
            if (slope && grad[size_t(i)] == 0)
                require(value == 0, "a gradient of 0 stays 0");
            else
                require(is_nan(value) == is_nan(x), "softcap is NaN for a NaN only");
            const Real most = slope ? std::fabs(grad[size_t(i)]) * Real(1.000001) : Real(cap);
            require(!(std::fabs(value) > most), "no number exceeds the cap, no derivative 1");
        }
        add_to_digest(plain);
        for (const Level *level : supported_levels())
            require(same(compute(*level, slope, true), plain), "the same softcap in place");
    }
}

template <class Storage> void one_call(Random &random) {
    const Contents<Storage> c = contents<Storage>(random);
    Setup plainly{};
    plainly.logits = plainly.probabilities = plainly.gradient = plain_places(c.shape);
    const Results<Storage> plain = compute(c, *supported_levels().front(), plainly, true);
    for (int64_t i = 0; i < c.shape.rows(); ++i)
        check_row(c, plain, i);
    if (!c.probabilities.empty())
        require_right_check(c, plain);
    add_to_digest(plain.loss);
    add_to_digest(plain.gradient);
    add_to_digest(plain.scores.probability);
    add_to_digest(plain.scores.entropy);
    add_to_digest(plain.scores.logsumexp);
    add_to_digest(plain.scores.predicted);
    add_to_digest(plain.scores.rank);
    for (const Level *level : supported_levels()) {
        const Results<Storage> results = compute(c, *level, random_setup(random, c));
        require(same(results.loss, plain.loss), "the same loss however it is computed");
        require(same(results.gradient, plain.gradient), "the same gradient");
        require(same(results.scores, plain.scores), "the same scores");
        require(results.fit == plain.fit, "the same check of probabilities");
    }
    if constexpr (std::is_same_v<Storage, RealOf<Storage>>)
        check_softcap(random, c.logits);
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
#ifdef SANITIZED
    __sanitizer_set_death_callback(say_how_to_repeat);
#endif
    for (current_seed = first; current_seed != first + calls; ++current_seed) {
        Random random{current_seed};
        random.state = random.next(); // neighbouring seeds have nothing in common
        with_type(softmaxloss::FloatType(random.below(4)),
                  [&](auto zero) { one_call<decltype(zero)>(random); });
    }
    std::printf("%llu calls from seed %llu on %zu levels%s: no finding, digest %016llx\n",
                static_cast<unsigned long long>(calls), static_cast<unsigned long long>(first),
                softmaxloss::supported_levels().size(), threads_only ? ", all with threads" : "",
                static_cast<unsigned long long>(digest));
}
