// The numbers of a random call: logits, target, weights, options. Not how they lie in memory.
#pragma once
#include "random.h"

#include <algorithm>
#include <vector>

namespace softmaxloss::fuzz {

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

// The axes outer, classes, inner, in this order.
struct Shape {
    int64_t sizes[3];

    int64_t outer() const { return sizes[0]; }
    int64_t classes() const { return sizes[1]; }
    int64_t inner() const { return sizes[2]; }
    int64_t rows() const { return outer() * inner(); }
};

// Along which axes all numbers are the same, so that the array may have stride 0 there.
struct Constant {
    bool along[3] = {false, false, false};
};

// Numbers are stored row by row. Row i is the pair (i / inner, i % inner).
template <class Storage> struct Contents {
    using Real = RealOf<Storage>;
    Shape shape;
    std::vector<Storage> logits;
    Constant logits_constant, probabilities_constant;
    std::vector<double> probabilities; // exact in their type; empty if there are labels
    std::vector<double> doubtful;      // probabilities that need not be fit
    FloatType probabilities_type;
    double tolerance;
    std::vector<char> labels;
    std::vector<int64_t> classes_of_rows; // the labels again
    LabelType label_type;
    int64_t ignore_index;
    std::vector<double> weight, sample_weight, factor;
    double label_smoothing;
    bool gradient;

    // A probability in the type of the computation. One that is not 0 does not become 0.
    Real probability(size_t i) const {
        const double q = probabilities[i];
        const Real nearest = Real(q);
        return nearest == 0 && q != 0 ? std::numeric_limits<Real>::denorm_min() : nearest;
    }
};

// Stores the lowest bits as a number of so many bytes, in the byte order of this processor.
inline void store_bits(uint64_t bits, size_t bytes, void *to) {
    const auto store = [&](auto number) {
        number = decltype(number)(bits);
        std::memcpy(to, &number, sizeof number);
    };
    bytes == 1   ? store(std::uint8_t())
    : bytes == 2 ? store(std::uint16_t())
    : bytes == 4 ? store(std::uint32_t())
                 : store(uint64_t());
}

template <class Storage> void fill_row(Random &random, Storage *x, int64_t classes) {
    const double inf = HUGE_VAL, nan = std::nan("");
    const int64_t kind = random.below(16);
    const double size = random.one_of<double>({1, 5., 50., 1e3, 1e-320, 1e-42}),
                 offset = random.one_of<double>({0, 0., 0., 40., -700., 1e5, -1e8, 3e38, -1e308});
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
        else if (kind == 9)
            value = random.one_of({-3e38, 3e38, 0.}); // differences overflow in float
        x[j] = number<Storage>(value);
        if (kind == 6) // any bits at all
            store_bits(random.next(), sizeof(Storage), x + j);
    }
    const int64_t place = random.below(classes);
    if (kind == 7)
        x[place] = number<Storage>(random.one_of({nan, inf, -inf}));
    else if (kind == 8)
        x[place] = number<Storage>(random.one_of<double>({60, 800., 6e4, 1e38, 1e300}));
}

inline int64_t number_of_classes(Random &random) {
    if (random.once_in(threads_only ? 100 : 20000)) // shared among threads
        return 2 * chunk_classes + random.below(chunk_classes);
    if (random.once_in(4000))
        return random.between(2100, 70000);
    if (random.once_in(300))
        return random.one_of<int64_t>({401, 511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049});
    return random.once_in(8) ? random.between(60, 400) : random.between(1, 64);
}

// As the binding makes it: with one row per value of `outer`, all rows become one run of `inner`.
inline Shape random_shape(Random &random) {
    const int64_t classes = number_of_classes(random);
    if (classes > 2100) {
        const bool side_by_side = classes < 10000 && random.once_in(4);
        return {{1, classes, side_by_side ? random.between(16, 20) : random.between(1, 2)}};
    }
    if (random.once_in(classes > 400 ? 2 : 4))
        return {{1, classes, random.between(30, 70)}};
    if (random.once_in(4))
        return {{random.between(1, 3), classes,
                 random.one_of<int64_t>({2, 3, 7, 15, 16, 17, 31, 32, 33, 48, 64, 100})}};
    if (random.once_in(2))
        return {{random.between(0, 3), classes, random.between(2, 5)}};
    return {{1, classes, random.between(0, 5)}};
}

// Numbers of row i, class j become those of the first row and class along a constant axis.
template <class T>
void make_constant(const Shape &shape, const Constant &constant, std::vector<T> &values) {
    const int64_t inner = shape.inner(), classes = shape.classes();
    for (int64_t i = 0; i < shape.rows(); ++i)
        for (int64_t j = 0; j < classes; ++j) {
            const int64_t row =
                (constant.along[0] ? 0 : i / inner * inner) + (constant.along[2] ? 0 : i % inner);
            values[size_t(i * classes + j)] =
                values[size_t(row * classes + (constant.along[1] ? 0 : j))];
        }
}

inline Constant random_constant(Random &random) {
    Constant constant;
    if (random.once_in(8))
        for (bool &along : constant.along)
            along = random.once_in(2);
    return constant;
}

inline int width(LabelType type) { return 1 << (int(type) & 3); }
inline bool is_signed(LabelType type) { return int(type) < 4; }

template <class Storage> void add_labels(Random &random, Contents<Storage> &c) {
    const int64_t classes = c.shape.classes();
    c.label_type = LabelType(random.below(8));
    const int bits_of_label = 8 * width(c.label_type) - is_signed(c.label_type);
    const int64_t largest = bits_of_label > 32 ? INT64_MAX : int64_t(1) << bits_of_label;
    const int64_t least =
        is_signed(c.label_type) ? -(int64_t(1) << std::min(bits_of_label, 62)) : 0;
    c.ignore_index = random.once_in(2)                               ? -100
                     : random.once_in(2) || !is_signed(c.label_type) ? random.below(classes)
                                                                     : -1;
    const size_t bytes = size_t(width(c.label_type)), rows = size_t(c.shape.rows());
    c.labels.resize(rows * bytes);
    const bool changed = random.once_in(64); // by another thread, after they were checked
    for (size_t i = 0; i < rows; ++i) {
        const bool ignored = random.once_in(8);
        int64_t y = ignored ? c.ignore_index : random.below(std::min(classes, largest));
        if (changed && random.once_in(4))
            y = random.one_of({classes, int64_t(-7), classes + 1000});
        const int64_t fits = y >= largest || y < least ? 0 : y;
        store_bits(uint64_t(fits), bytes, c.labels.data() + i * bytes);
        c.classes_of_rows.push_back(fits);
    }
}

// Probabilities of a row that need not sum to 1: those of several labels do not.
inline void fill_probabilities(Random &random, double *q, int64_t classes) {
    const int64_t kind = random.below(8);
    for (int64_t j = 0; kind > 2 && j < classes; ++j)
        q[j] = random.once_in(4) ? 0 : random.uniform(0.01, 1);
    if (kind == 1 || kind == 2)
        q[random.below(classes)] = kind == 1 ? 1 : random.uniform(0.1, 2);
    if (kind == 3)
        q[random.below(classes)] = random.one_of({1e-300, 1e-40, 1e4});
    if (kind > 5) {
        double sum = 0;
        for (int64_t j = 0; j < classes; ++j)
            sum += q[j];
        for (int64_t j = 0; sum > 0 && j < classes; ++j)
            q[j] /= sum;
    }
}

template <class Storage> void add_probabilities(Random &random, Contents<Storage> &c) {
    const int64_t classes = c.shape.classes(), rows = c.shape.rows();
    // Mostly that of the computation, which is read where it lies.
    c.probabilities_type = random.once_in(2)              ? FloatType(random.below(float_types))
                           : sizeof(RealOf<Storage>) == 8 ? f64
                                                          : f32;
    c.tolerance = random.one_of({1e-6, 1e-4, 0.02, 0.1});
    c.probabilities.resize(size_t(rows * classes));
    for (int64_t i = 0; i < rows; ++i)
        fill_probabilities(random, c.probabilities.data() + i * classes, classes);
    with_type(c.probabilities_type, [&](auto zero) {
        using T = decltype(zero);
        for (double &q : c.probabilities) {
            const double exact = RealOf<T>(number<T>(q));
            q = std::isfinite(exact) ? exact : 1;
        }
    });
    c.probabilities_constant = random_constant(random);
    make_constant(c.shape, c.probabilities_constant, c.probabilities);
    c.doubtful = c.probabilities;
    if (!c.doubtful.empty() && random.once_in(4)) {
        c.doubtful[size_t(random.below(int64_t(c.doubtful.size())))] =
            random.one_of<double>({-1, -0.0, HUGE_VAL, std::nan("")});
        make_constant(c.shape, c.probabilities_constant, c.doubtful);
    }
}

template <class Storage> Contents<Storage> contents(Random &random) {
    Contents<Storage> c{};
    c.shape = random_shape(random);
    const int64_t classes = c.shape.classes();
    const size_t rows = size_t(c.shape.rows());
    c.logits.resize(rows * size_t(classes));
    for (size_t i = 0; i < rows; ++i)
        fill_row(random, c.logits.data() + i * size_t(classes), classes);
    c.logits_constant = random_constant(random);
    make_constant(c.shape, c.logits_constant, c.logits);
    if (random.once_in(3))
        add_probabilities(random, c);
    else
        add_labels(random, c);
    if (random.once_in(3)) {
        c.weight.resize(size_t(classes));
        for (double &w : c.weight)
            w = random.once_in(3) ? 0 : random.uniform(0.1, 3);
    }
    if (random.once_in(3)) {
        c.sample_weight.resize(rows);
        for (double &s : c.sample_weight)
            s = random.once_in(4) ? 0 : random.one_of({random.uniform(0.1, 3), 1., 1e-6});
    }
    c.label_smoothing = random.once_in(2) ? 0 : random.one_of({0.01, 0.1, 0.5, 0.999, 1.});
    c.factor.resize(random.once_in(2) ? 1 : rows);
    for (double &f : c.factor)
        f = random.once_in(2) ? random.one_of<double>({1, 1.0 / 37, -2})
                              : random.one_of<double>({0, -0.0, 1e-30, -1e-300, 5e-324, 1e30, 1e300,
                                                       HUGE_VAL, -HUGE_VAL, std::nan("")});
    c.gradient = !random.once_in(4);
    return c;
}

} // namespace softmaxloss::fuzz
