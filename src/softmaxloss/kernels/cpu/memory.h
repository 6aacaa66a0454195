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

constexpr int line = 64;       // bytes
constexpr int batch_rows = 32; // rows that are done together, see batch.h

// Asks for `count` numbers that lie `ahead` bytes beyond x, to have them in the second-level cache
// when they are read; 0: for nothing.
template <class Storage> INLINE void prefetch(const Storage *x, int64_t ahead, int count) {
    if (ahead != 0)
        for (int byte = 0; byte < count * int(sizeof(Storage)); byte += line)
            __builtin_prefetch(reinterpret_cast<const char *>(x) + ahead + byte, 0, 2);
}

// Line by line: for so few bytes the library's memcpy takes longer to begin than to copy.
template <class T> INLINE void copy(const T *from, int64_t count, T *to) {
    constexpr int64_t per_line = line / sizeof(T);
    int64_t i = 0;
    for (; i + per_line <= count; i += per_line)
        std::memcpy(static_cast<void *>(to + i), from + i, line);
    if (i < count)
        std::memcpy(static_cast<void *>(to + i), from + i, std::size_t(count - i) * sizeof(T));
}

// Copies lines past the caches, to where a line begins.
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

// A function of its own: where it is inlined, the loop may be left as it is, one number at a time.
template <class Storage>
__attribute__((noinline)) void round_all(const RealOf<Storage> *from, int count, Storage *to) {
    for (int j = 0; j < count; ++j)
        to[j] = rounded_to<Storage>(from[j]);
}

// Where the rows of a gradient are written to.
template <class Storage> class Output {
    using Real = RealOf<Storage>;
    static constexpr int block = Sum<Real>::block, per_line = line / int(sizeof(Storage));

    const bool stream_;
    // When streaming, what is not yet in memory. A line that is begun stays here until what follows
    // completes it: a store into half a line would make all after it wait for that line.
    alignas(line) Storage waiting_[batch_rows * block + per_line];
    Storage *line_ = nullptr; // where waiting_ belongs; whole lines of memory
    int from_ = 0, to_ = 0;   // the part of waiting_ that is made and not in memory

    // The last, begun line is then the first.
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

    // Before another thread is told of the numbers: streamed lines may reach memory late.
    ~Output() {
        flush();
#if defined(__SSE2__)
        if (stream_)
            __builtin_ia32_sfence();
#endif
    }

    bool stream() const { return stream_; }

    // Writes numbers in blocks: fill(first, count, numbers) makes them, `count` a constant but at
    // the end. Without streaming they may be made from what was there before.
    template <class Fill> INLINE void write(Storage *out, int64_t count, Fill fill) {
        constexpr bool rounding = !std::is_same_v<Storage, Real>;
        if (stream_)
            begin(out);
        const auto one_block = [&](int64_t i, auto size) INLINE_LAMBDA {
            Storage *place = stream_ ? waiting_ + to_ : out + i;
            if constexpr (rounding) {
                alignas(line) Real numbers[block];
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
        for (; i + block <= count; i += block)
            one_block(i, std::integral_constant<int, block>());
        if (i < count)
            one_block(i, int(count - i));
    }

    // The same for numbers that are made elsewhere: room for a batch of rows, and that they are
    // there. Their lines wait until write_line() is called, or more is written.
    INLINE Storage *room(Storage *out) {
        begin(out);
        return waiting_ + to_;
    }
    INLINE void made(int count) { to_ += count; }

    // Writes one line that waits, if there is one. So few can be on their way to memory that many
    // at once would have to be waited for.
    INLINE void write_line() {
        const int end = from_ / per_line * per_line + per_line;
        if (end > to_)
            return;
        if (from_ % per_line == 0)
            stream_lines(waiting_ + from_, line_ + from_, line);
        else // what is in memory before the first number stays
            std::memcpy(static_cast<void *>(line_ + from_), waiting_ + from_,
                        std::size_t(end - from_) * sizeof(Storage));
        from_ = end;
    }
};

} // namespace softmaxloss::LEVEL
