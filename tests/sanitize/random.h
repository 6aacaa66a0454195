// Random numbers, and how a broken promise is reported.
#pragma once
#define LEVEL fuzz
#include "dispatch.h"
#include "half.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

namespace softmaxloss::fuzz {

using std::int64_t;
using std::size_t;
using std::uint64_t;

inline uint64_t current_seed;

inline void say_how_to_repeat() {
    std::fprintf(stderr, "to repeat: fuzz 1 %llu\n", static_cast<unsigned long long>(current_seed));
}

inline void require(bool holds, const char *promise) {
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
    template <class T> T one_of(std::initializer_list<T> values) {
        return values.begin()[below(int64_t(values.size()))];
    }
};

template <class Storage> Storage number(double x) {
    return rounded_to<Storage>(static_cast<RealOf<Storage>>(x));
}

template <class T> bool is_nan(T x) {
    if constexpr (std::is_integral_v<T>)
        return false;
    else
        return std::isnan(double(RealOf<T>(x)));
}

template <class Storage> constexpr FloatType float_type() {
    return std::is_same_v<Storage, float>     ? f32
           : std::is_same_v<Storage, double>  ? f64
           : std::is_same_v<Storage, Float16> ? f16
                                              : bf16;
}

// Calls work(T{}) for the type T that is meant.
template <class Work> void with_type(FloatType type, Work work) {
    switch (type) {
    case f32:
        return work(float{});
    case f64:
        return work(double{});
    case f16:
        return work(Float16{});
    default:
        return work(BFloat16{});
    }
}

} // namespace softmaxloss::fuzz
