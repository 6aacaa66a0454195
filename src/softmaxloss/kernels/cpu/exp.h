// exp in two parts, a power of two and the rest, so that a softmax never computes x − m.
//
// Rounding x − m in float costs up to 64 ulp of exp(x − m). Instead each logit is reduced alone,
//     x = n·ln 2 + r,   n an integer, |r| ≤ ln 2 / 2,   exp(x) = 2^n · (1 + g),   g = exp(r) − 1,
// and only the integers n are subtracted, which is exact. The first step of the reduction,
// x − n·ln2_hi by a fused multiply-add, is exact too: the difference fits the mantissa.
//
// Fused operations are written as fma, and the compiler may fuse no others. So every
// instruction-set level rounds in the same places and gives the same bits.
#pragma once
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

// Functions called in a vectorised loop must be inlined: a remaining call would run once per lane.
#define INLINE __attribute__((always_inline)) inline
#define INLINE_LAMBDA __attribute__((always_inline))

namespace softmaxloss::LEVEL {

#if defined(__AVX512F__)
constexpr int register_bytes = 64;
#elif defined(__AVX__)
constexpr int register_bytes = 32;
#else
constexpr int register_bytes = 16;
#endif

// A register of numbers. The templates below take it as they take a single number.
template <class Real, int bytes> struct VectorOf {
    typedef Real type __attribute__((vector_size(bytes)));
};
template <class Real> using Vector = typename VectorOf<Real, register_bytes>::type;

// The polynomials are printed by tools/polynomials.py.
template <class Real> struct Exp;

template <> struct Exp<float> {
    using Int = std::int32_t;
    using UInt = std::uint32_t;
    static constexpr int lanes = 32;          // of a sum: they determine its bits
    static constexpr int mantissa = 23;       // bits
    static constexpr float round = 0x1.8p23f; // x + round has x's nearest integer in its low bits
    static constexpr float log2e = 0x1.715476p+0f;
    static constexpr float ln2_hi = 0x1.62e43p-1f, ln2_lo = -0x1.05c61p-29f;
    static constexpr float q[] = {0x1.fffffcp-2f, 0x1.55549p-3f, 0x1.5558fap-5f, 0x1.123b68p-7f,
                                  0x1.6a21bcp-10f};
    // exp(x − m) is kept multiplied by 2^lift, so that neither it nor a sum of such terms is
    // subnormal. It is 0 where x < m − reach: there it is below 2^-222, far less than the least
    // float divided by any C, unless a factor beyond 2^factor_max magnifies it.
    static constexpr int lift = 100;
    static constexpr float reach = 154;
    // Factors f of a gradient that one scaling can include: 2^factor_min ≤ |f| ≤ 2^factor_max.
    static constexpr int factor_min = -100, factor_max = 59;
    static constexpr int least_exponent = -126;
    static constexpr float far = 0x1p16f; // a larger |m| is subtracted first: see Frame
};

template <> struct Exp<double> {
    using Int = std::int64_t;
    using UInt = std::uint64_t;
    static constexpr int lanes = 16;
    static constexpr int mantissa = 52;
    static constexpr double round = 0x1.8p52;
    static constexpr double log2e = 0x1.71547652b82fep+0;
    static constexpr double ln2_hi = 0x1.62e42fefa39efp-1, ln2_lo = 0x1.abc9e3b39803fp-56;
    static constexpr double q[] = {
        0x1.000000000000ap-1,  0x1.55555555554f7p-3,  0x1.55555555506ecp-5,  0x1.1111111128361p-7,
        0x1.6c16c184884dbp-10, 0x1.a01a012885926p-13, 0x1.a01998fe1b176p-16, 0x1.71df27bf00616p-19,
        0x1.28ae78451a22ep-22, 0x1.ad7e3caccb739p-26};
    static constexpr int lift = 512;
    static constexpr double reach = 1060;
    static constexpr int factor_min = -800, factor_max = 399;
    static constexpr int least_exponent = -1022;
    static constexpr double far = 0x1p16;
};

template <> struct Exp<Vector<float>> : Exp<float> {
    using Int = Vector<std::int32_t>;
    using UInt = Vector<std::uint32_t>;
};
template <> struct Exp<Vector<double>> : Exp<double> {
    using Int = Vector<std::int64_t>;
    using UInt = Vector<std::uint64_t>;
};

template <class V, class Number> INLINE V load(const Number *from) {
    static_assert(sizeof(Number) == sizeof(V{}[0]));
    V v;
    std::memcpy(&v, from, sizeof v);
    return v;
}
template <class V, class Number> INLINE void store(V v, Number *to) {
    static_assert(sizeof(Number) == sizeof v[0]);
    std::memcpy(to, &v, sizeof v);
}

template <class V> INLINE V broadcast(V value) { return value; }
template <class V> INLINE V broadcast(decltype(V{}[0] + 0) value) { return V{} + value; }
INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
INLINE double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
// b and c are vectors, or one number for all lanes.
template <class V, class B, class C> INLINE V fma(V a, B b, C c) {
    const V bs = broadcast<V>(b), cs = broadcast<V>(c);
    for (int i = 0; i < int(sizeof(V) / sizeof a[0]); ++i)
        a[i] = fma(a[i], bs[i], cs[i]);
    return a;
}

template <class To, class From> INLINE To bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

// 2^n for n in the normal range.
template <class Real> INLINE Real power_of_two(int n) {
    using E = Exp<Real>;
    constexpr int bias = sizeof(Real) == 4 ? 127 : 1023;
    return bits<Real>(typename E::UInt(n + bias) << E::mantissa);
}

// q(r) by pairs of coefficients (Estrin's scheme): as many operations as Horner's scheme, one more
// for double, in a dependency chain half as long.
template <class T> INLINE T q_of(T r, T r2) {
    constexpr const auto &q = Exp<T>::q;
    const T q01 = fma(r, q[1], q[0]), q23 = fma(r, q[3], q[2]);
    if constexpr (Exp<T>::mantissa == 23) {
        return fma(fma(r2, q[4], q23), r2, q01);
    } else {
        const T q45 = fma(r, q[5], q[4]), q67 = fma(r, q[7], q[6]), q89 = fma(r, q[9], q[8]);
        const T r4 = r2 * r2;
        return fma(fma(q89, r4, fma(q67, r2, q45)), r4, fma(q23, r2, q01));
    }
}

// exp(t − n·ln 2) − 1, for n the integer nearest to t/ln 2.
template <class Real> INLINE Real expm1_of_rest(Real t, Real n) {
    using E = Exp<Real>;
    const Real r = fma(-n, E::ln2_lo, fma(-n, E::ln2_hi, t)), r2 = r * r;
    return fma(r2, q_of(r, r2), r);
}

// exp(t) = 2^n · (1 + g). The low bits of `rounded` hold n plus the integer added to Exp::round.
template <class Real> struct Reduced {
    Real rounded, g;
};

template <class Real> INLINE Reduced<Real> reduce(Real t, Real round) {
    using E = Exp<Real>;
    const Real rounded = fma(t, E::log2e, round);
    return {rounded, expm1_of_rest(t, rounded - round)};
}

// value · 2^n, where the low bits of `rounded` hold n and the result is a normal number.
template <class Real> INLINE Real scale(Real value, Real rounded) {
    using E = Exp<Real>;
    using UInt = typename E::UInt;
    return bits<Real>(bits<UInt>(value) + (bits<UInt>(rounded) << E::mantissa));
}

} // namespace softmaxloss::LEVEL
