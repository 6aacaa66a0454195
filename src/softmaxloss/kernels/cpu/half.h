// The 16-bit floats, as bits. The conversions use integer operations, which vectorise on every
// level, or for float16 the processor's instructions, with the same results. They round once, to
// nearest, ties to even.
#pragma once
#include "exp.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace softmaxloss::LEVEL {

struct BFloat16 { // the upper half of a float
    std::uint16_t value;

    INLINE operator float() const { return bits<float>(std::uint32_t(value) << 16); }

    static INLINE BFloat16 rounded(float x) {
        const std::uint32_t u = bits<std::uint32_t>(x);
        const std::uint32_t to_even = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
        return {std::uint16_t(x == x ? to_even : 0x7fc0)};
    }
};

struct Float16 { // 1 sign, 5 exponent, 10 fraction bits
    std::uint16_t value;

    INLINE operator float() const {
        const std::uint32_t sign = std::uint32_t(value & 0x8000) << 16, rest = value & 0x7fff;
        const float magnitude = bits<float>(rest << 13) * 0x1p112f;    // subnormals too
        const std::uint32_t special = rest >= 0x7c00 ? 0x7f800000 : 0; // inf and NaN
        return bits<float>(bits<std::uint32_t>(magnitude) | sign | special);
    }

    static INLINE Float16 rounded(float x) {
        const std::uint32_t u = bits<std::uint32_t>(x), sign = (u >> 16) & 0x8000;
        const std::uint32_t magnitude = u & 0x7fffffff;
        const std::uint32_t normal = (magnitude - (112u << 23) + 0xfff + ((u >> 13) & 1)) >> 13;
        // Below 2^-14 the sum with 1/2 has its last bit where float16 has it, and rounds there.
        const std::uint32_t subnormal =
            bits<std::uint32_t>(bits<float>(magnitude) + 0.5f) - bits<std::uint32_t>(0.5f);
        std::uint32_t h = magnitude < 0x38800000 ? subnormal : normal;
        h = magnitude >= 0x477ff000 ? 0x7c00 : h; // from 65520 on
        h = magnitude > 0x7f800000 ? 0x7e00 : h;
        return {std::uint16_t(h | sign)};
    }
};

// The type that computes with numbers of type Storage.
template <class Storage> using RealOf = std::conditional_t<sizeof(Storage) == 2, float, Storage>;

template <class Storage> INLINE Storage rounded_to(RealOf<Storage> x) {
    if constexpr (std::is_same_v<Storage, RealOf<Storage>>)
        return x;
    else
        return Storage::rounded(x);
}

// Converts `count` numbers to the type that computes with them.
template <class Storage, class Count, class Real>
INLINE void widen(const Storage *from, Count count, Real *to) {
    int j = 0;
#if defined(__AVX512F__) // (without a mask GCC 12 warns of its own header)
    if constexpr (std::is_same_v<Storage, Float16> && std::is_same_v<Real, float>)
        for (; j + 16 <= int(count); j += 16) {
            __m256i bits;
            std::memcpy(&bits, from + j, sizeof bits);
            const __m512 numbers = _mm512_maskz_cvtph_ps(0xffff, bits);
            std::memcpy(to + j, &numbers, sizeof numbers);
        }
#endif
    for (; j < int(count); ++j)
        to[j] = Real(from[j]);
}

// Not inlined, since compilers may then leave the loop scalar.
template <class Storage>
__attribute__((noinline)) void round_all(const RealOf<Storage> *from, int count, Storage *to) {
    int j = 0;
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<Storage, Float16>)
        for (; j + 16 <= count; j += 16) {
            __m512 numbers;
            std::memcpy(&numbers, from + j, sizeof numbers);
            const __m256i bits = _mm512_maskz_cvtps_ph(0xffff, numbers, _MM_FROUND_TO_NEAREST_INT);
            std::memcpy(static_cast<void *>(to + j), &bits, sizeof bits);
        }
#endif
    for (; j < count; ++j)
        to[j] = rounded_to<Storage>(from[j]);
}

} // namespace softmaxloss::LEVEL
