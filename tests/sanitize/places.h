// How the arrays of a call lie in memory.
#pragma once
#include "contents.h"

#include <utility>

namespace softmaxloss::fuzz {

// Where the numbers of an array lie, counted in numbers from the start of its memory.
struct Places {
    int64_t strides[3];
    int64_t first;   // the place of number (0, 0, 0)
    int64_t numbers; // the size of the memory
};

// Contiguous rows.
inline Places plain_places(const Shape &shape) {
    const int64_t classes = shape.classes();
    return {{shape.inner() * classes, 1, classes}, 0, shape.rows() * classes};
}

// The axes in any order, with gaps, in either direction; stride 0 along constant axes. The memory
// ends with the last number.
inline Places random_places(Random &random, const Shape &shape, const Constant &constant) {
    if (shape.rows() == 0)
        return {{0, 0, 0}, 0, 0};
    int axes[] = {0, 1, 2}; // from the outermost to the innermost
    const int64_t kind = random.below(4);
    if (kind < 2) // contiguous classes
        std::swap(axes[1], axes[2]);
    else if (kind == 3)
        for (int i = 2; i > 0; --i)
            std::swap(axes[i], axes[random.below(i + 1)]);
    const bool dense = random.once_in(2), mirrored = random.once_in(8);
    const int64_t lead = dense ? 0 : random.below(17);
    Places places{{0, 0, 0}, lead, 0};
    int64_t span = 1; // of the axes so far
    for (int i = 2; i >= 0; --i) {
        const int axis = axes[i];
        const int64_t size = shape.sizes[axis];
        if (size == 1) { // NumPy leaves any stride where there is nothing to step over
            places.strides[axis] = random.between(-99, 99);
            continue;
        }
        if (constant.along[axis] && random.once_in(2))
            continue;
        const bool apart = !dense && random.once_in(i == 2 ? 4 : 2);
        const int64_t step = span + (apart ? random.between(1, i == 2 ? 2 : 9) : 0);
        const bool backwards = mirrored && random.once_in(2);
        places.strides[axis] = backwards ? -step : step;
        places.first += backwards ? step * (size - 1) : 0;
        span += step * (size - 1);
    }
    places.numbers = lead + span;
    return places;
}

// The memory of an array, of exactly the size that it needs, so that the address sanitizer finds
// any access beyond it. All bits between its numbers are 1: a NaN in every type.
template <class T> class Memory {
    Shape shape_;
    Places places_;
    std::vector<T> numbers_;

    template <class OnNumber> void for_each(OnNumber on_number) const {
        int64_t i = 0;
        for (int64_t outer = 0; outer < shape_.outer(); ++outer)
            for (int64_t inner = 0; inner < shape_.inner(); ++inner)
                for (int64_t j = 0; j < shape_.classes(); ++j)
                    on_number(size_t(i++),
                              size_t(places_.first + outer * places_.strides[0] +
                                     j * places_.strides[1] + inner * places_.strides[2]));
    }

  public:
    Memory(const Shape &shape, const Places &places)
        : shape_(shape), places_(places), numbers_(size_t(places.numbers)) {
        if (!numbers_.empty())
            std::memset(static_cast<void *>(numbers_.data()), 0xff, numbers_.size() * sizeof(T));
    }
    Memory(const Shape &shape, const Places &places, const std::vector<T> &values)
        : Memory(shape, places) {
        for_each([&](size_t i, size_t place) { numbers_[place] = values[i]; });
    }

    Array array() {
        return {numbers_.data() + places_.first, places_.strides[0], places_.strides[1],
                places_.strides[2]};
    }
    std::vector<T> values() const {
        std::vector<T> values(size_t(shape_.rows() * shape_.classes()));
        for_each([&](size_t i, size_t place) { values[i] = numbers_[place]; });
        return values;
    }
    // The bytes of the memory, without those of the numbers if they may have changed.
    std::vector<char> bytes(bool changing = false) const {
        const char *from = reinterpret_cast<const char *>(numbers_.data());
        std::vector<char> bytes(from, from + numbers_.size() * sizeof(T));
        if (changing)
            for_each([&](size_t, size_t place) {
                std::fill_n(bytes.begin() + std::ptrdiff_t(place * sizeof(T)), sizeof(T), 0);
            });
        return bytes;
    }
};

struct Setup {
    Places logits, probabilities, gradient;
    bool in_place = false, stream = false, shared = false, direct = false;
    int threads = 1;
    int64_t row_cost = 1; // for parallel_rows, so large that small calls are split too
    int64_t unit = 1;
};

template <class Storage> Setup random_setup(Random &random, const Contents<Storage> &c) {
    Setup setup;
    const Constant varying;
    setup.in_place = c.gradient && random.once_in(3);
    setup.logits = random_places(random, c.shape, setup.in_place ? varying : c.logits_constant);
    setup.probabilities = random_places(random, c.shape, c.probabilities_constant);
    const auto &along = c.logits_constant.along;
    const bool apart = !(along[0] || along[1] || along[2]);
    const bool alike = setup.in_place || (apart && random.once_in(2));
    setup.gradient = alike ? setup.logits : random_places(random, c.shape, varying);
    setup.stream = !setup.in_place && random.once_in(2);
    if (threads_only || random.once_in(16)) {
        setup.threads = int(random.between(2, 4));
        setup.shared = c.shape.rows() < setup.threads && random.once_in(2);
    }
    setup.direct = setup.threads == 1 && random.once_in(2);
    setup.row_cost = int64_t(1) << random.between(10, 17);
    setup.unit = random.one_of<int64_t>({1, 64});
    return setup;
}

} // namespace softmaxloss::fuzz
