// How numbers get from memory and back to it.
//
// Who writes a cache line makes the processor read it first, unless it says that the whole line is
// to be new and goes past the caches: a third of all traffic, where the gradient is larger than the
// caches.
#pragma once
#include "half.h"
#include "sum.h"

#if defined(__SSE2__) && !defined(__clang__)
#include <immintrin.h>
#endif

namespace softmaxloss::LEVEL {

using std::int64_t;

constexpr int line = 64; // bytes

// Asks for `count` numbers that lie `ahead` bytes beyond x, to have them in the second-level cache
// when they are read; 0: for nothing.
template <class Storage> INLINE void prefetch(const Storage *x, int64_t ahead, int count) {
    if (ahead != 0)
        for (int byte = 0; byte < count * int(sizeof(Storage)); byte += line)
            __builtin_prefetch(reinterpret_cast<const char *>(x) + ahead + byte, 0, 2);
}

// Copies lines past the caches, to where a line begins.
__attribute__((noinline)) inline void stream_lines(const void *from, void *to, int bytes) {
#if defined(__AVX512F__)
    constexpr int width = 64;
#elif defined(__AVX__)
    constexpr int width = 32;
#else
    constexpr int width = 16;
#endif
    typedef long long Vector __attribute__((vector_size(width), may_alias));
    for (int i = 0; i < bytes / width; ++i) {
        const Vector v = static_cast<const Vector *>(from)[i];
        Vector *place = static_cast<Vector *>(to) + i;
#if defined(__clang__)
        __builtin_nontemporal_store(v, place);
#elif defined(__AVX512F__)
        _mm512_stream_si512(reinterpret_cast<__m512i *>(place), v);
#elif defined(__AVX__)
        _mm256_stream_si256(reinterpret_cast<__m256i *>(place), v);
#elif defined(__SSE2__)
        _mm_stream_si128(reinterpret_cast<__m128i *>(place), v);
#else
        *place = v;
#endif
    }
}

// Streamed lines may reach memory late: before another thread is told of them, this.
INLINE void finish_streaming() {
#if defined(__SSE2__)
    __builtin_ia32_sfence();
#endif
}

// Writes numbers in blocks: fill(first, count, numbers) makes them, `count` a constant but at the
// ends. Without `stream` they may be made from what was there before.
template <class Storage, class Fill>
INLINE void write_blocks(Storage *out, int64_t count, bool stream, Fill fill) {
    using Real = RealOf<Storage>;
    constexpr int block = Sum<Real>::block;
    constexpr bool rounding = !std::is_same_v<Storage, Real>;
    const auto one_block = [&](int64_t i, auto size, bool past_caches) INLINE_LAMBDA {
        if constexpr (!rounding)
            if (!past_caches)
                return fill(i, size, out + i);
        alignas(line) Real numbers[block];
        alignas(line) Storage rounded[rounding ? block : 1];
        fill(i, size, numbers);
        const void *made = numbers;
        if constexpr (rounding) {
            for (int j = 0; j < size; ++j)
                rounded[j] = rounded_to<Storage>(numbers[j]);
            made = rounded;
        }
        const int bytes = int(size) * int(sizeof(Storage));
        if (past_caches)
            stream_lines(made, out + i, bytes);
        else
            std::memcpy(static_cast<void *>(out + i), made, std::size_t(bytes));
    };
    int64_t i = 0;
    if (stream) {
        const int64_t beyond = int64_t(reinterpret_cast<std::uintptr_t>(out) % line);
        const int64_t to_line = beyond ? (line - beyond) / int64_t(sizeof(Storage)) : 0;
        i = to_line < count ? to_line : count;
        one_block(0, int(i), false);
    }
    for (; i + block <= count; i += block)
        one_block(i, std::integral_constant<int, block>(), stream);
    if (i < count)
        one_block(i, int(count - i), false);
}

} // namespace softmaxloss::LEVEL
