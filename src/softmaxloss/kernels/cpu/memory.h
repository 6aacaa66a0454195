// Reading logits from memory, and writing gradients to it.
//
// An ordinary store first reads its cache line (write-allocate); streaming whole lines avoids that.
// It is a third of all memory traffic where the gradient is larger than the caches.
#pragma once
#include "half.h"
#include "sum.h"

#if defined(__SSE2__) && !defined(__clang__)
#include <immintrin.h>
#endif

namespace softmaxloss::LEVEL {

using std::int64_t;

constexpr int line = 64;       // bytes
constexpr int batch_rows = 32; // rows processed together, see batch.h

// Prefetches `count` numbers `ahead` bytes beyond x into the second-level cache; nothing if `ahead`
// is 0.
template <class Storage> INLINE void prefetch(const Storage *x, int64_t ahead, int count) {
    if (ahead != 0)
        for (int byte = 0; byte < count * int(sizeof(Storage)); byte += line)
            __builtin_prefetch(reinterpret_cast<const char *>(x) + ahead + byte, 0, 2);
}

// Copies line by line: for few bytes memcpy takes longer to start than to copy.
template <class T> INLINE void copy(const T *from, int64_t count, T *to) {
    constexpr int64_t per_line = line / sizeof(T);
    int64_t i = 0;
    for (; i + per_line <= count; i += per_line)
        std::memcpy(static_cast<void *>(to + i), from + i, line);
    if (i < count)
        std::memcpy(static_cast<void *>(to + i), from + i, std::size_t(count - i) * sizeof(T));
}

// Streams whole lines to `to`, which is aligned to a line.
INLINE void stream_lines(const void *from, void *to, int bytes) {
    typedef long long Vector __attribute__((vector_size(register_bytes), may_alias));
    for (int i = 0; i < bytes / register_bytes; ++i) {
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

// The most classes of rows that are transposed, see tile.h.
template <class Real> constexpr int longest_tile = 2 * Sum<Real>::quad - 1;

// Writes the rows of a gradient, through the caches or past them.
template <class Storage> class Output {
    using Real = RealOf<Storage>;
    static constexpr int quad = Sum<Real>::quad, per_line = line / int(sizeof(Storage));

    const bool stream_;
    // When streaming, numbers not yet in memory. An incomplete line waits here for the numbers that
    // complete it: a store into half a line would delay all stores after it.
    alignas(line) Storage waiting_[batch_rows * longest_tile<Real> + per_line];
    Storage *line_ = nullptr; // where waiting_ belongs; whole lines of memory
    int from_ = 0, to_ = 0;   // the part of waiting_ that is filled and not in memory

    // Writes all complete lines. The incomplete last line becomes the first.
    INLINE void write_lines() {
        if (from_ % per_line != 0)
            write_line();
        const int end = to_ / per_line * per_line;
        if (end == 0)
            return;
        stream_lines(waiting_ + from_, line_ + from_, (end - from_) * int(sizeof(Storage)));
        std::memcpy(static_cast<void *>(waiting_), waiting_ + end, line);
        line_ += end;
        to_ -= end;
        from_ = 0;
    }

    INLINE void begin(Storage *out) {
        write_lines();
        if (out == line_ + to_)
            return;
        flush();
        from_ = to_ = int(reinterpret_cast<std::uintptr_t>(out) % line / sizeof(Storage));
        line_ = out - to_;
    }

    INLINE void flush() {
        write_lines();
        if (to_ > from_)
            std::memcpy(static_cast<void *>(line_ + from_), waiting_ + from_,
                        std::size_t(to_ - from_) * sizeof(Storage));
        from_ = to_ = 0;
    }

  public:
    explicit Output(bool stream) : stream_(stream) {}
    Output(const Output &) = delete;
    Output &operator=(const Output &) = delete;

    // Streamed lines may reach memory late: other threads may read them only after the fence.
    ~Output() {
        flush();
#if defined(__SSE2__)
        if (stream_)
            __builtin_ia32_sfence();
#endif
    }

    bool stream() const { return stream_; }

    // Writes `count` numbers by quads: fill(first, size, numbers) makes them, `size` a constant
    // except at the end. Without streaming, fill may read the numbers that it overwrites.
    template <class Fill> INLINE void write(Storage *out, int64_t count, Fill fill) {
        constexpr bool rounding = !std::is_same_v<Storage, Real>;
        if (stream_)
            begin(out);
        const auto one_quad = [&](int64_t i, auto size) INLINE_LAMBDA {
            Storage *place = stream_ ? waiting_ + to_ : out + i;
            if constexpr (rounding) {
                alignas(line) Real numbers[quad];
                fill(i, size, numbers);
                round_all(numbers, size, place);
            } else {
                fill(i, size, place);
            }
            if (stream_) {
                to_ += size;
                write_lines();
            }
        };
        int64_t i = 0;
        for (; i + quad <= count; i += quad)
            one_quad(i, std::integral_constant<int, quad>());
        if (i < count)
            one_quad(i, int(count - i));
    }

    // The same for numbers made by the caller: room for a batch of rows, then made(count). Their
    // lines wait for write_line(), or for more numbers.
    INLINE Storage *room(Storage *out) {
        begin(out);
        return waiting_ + to_;
    }
    INLINE void made(int count) { to_ += count; }

    // Writes one waiting line, if there is one. Only few can be on their way to memory at once;
    // more would stall.
    INLINE void write_line() {
        const int end = from_ / per_line * per_line + per_line;
        if (end > to_)
            return;
        if (from_ % per_line == 0)
            stream_lines(waiting_ + from_, line_ + from_, line);
        else // numbers in memory before the first one stay
            std::memcpy(static_cast<void *>(line_ + from_), waiting_ + from_,
                        std::size_t(end - from_) * sizeof(Storage));
        from_ = end;
    }
};

} // namespace softmaxloss::LEVEL
