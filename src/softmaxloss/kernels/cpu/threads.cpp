#include "threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#ifndef _WIN32
#include <pthread.h>
#include <sys/resource.h>
#endif

namespace softmaxloss {

namespace {

// A thread takes one range of rows after another. Costs are in logits.
constexpr std::int64_t least_cost = 1 << 16;   // of a range: about 20 µs
constexpr std::int64_t most_cost = 1 << 22;    // so that a Ctrl-C is noticed soon
constexpr std::int64_t ranges_per_thread = 64; // so that all threads end at about the same time
constexpr std::int64_t thread_cost = 3 << 15;  // above which starting a thread pays
constexpr std::int64_t whole_batches = 64;     // rows: short rows are processed in batches
constexpr auto patience = std::chrono::milliseconds(100);

std::atomic<Parallel> shared_threads{nullptr};

// The scratch memory of one thread.
struct ScratchMemory {
    static constexpr auto line = std::align_val_t(64);
    void *start[int(Scratch::count)] = {};
    std::size_t bytes[int(Scratch::count)] = {};

    void resize(int i, std::size_t size) {
        ::operator delete(start[i], line);
        start[i] = nullptr;
        bytes[i] = 0;
        start[i] = ::operator new(size, line);
        bytes[i] = size;
    }
    ~ScratchMemory() {
        for (void *memory : start)
            ::operator delete(memory, line);
    }
};

// That of this thread; null where there is no memory for it.
#ifdef _WIN32
ScratchMemory *scratch_of_thread() noexcept {
    thread_local ScratchMemory memory;
    return &memory;
}
#else
// Not thread_local: where no memory is left for such a variable, the C library ends the process.
// That of C++ has one for a thread's exceptions, so this makes sure that there is memory for it.
ScratchMemory *scratch_of_thread() noexcept {
    static pthread_key_t key;
    static const bool has_key = pthread_key_create(&key, [](void *memory) {
                                    delete static_cast<ScratchMemory *>(memory);
                                }) == 0;
    if (!has_key)
        return nullptr;
    if (void *memory = pthread_getspecific(key))
        return static_cast<ScratchMemory *>(memory);
    void *const room = std::malloc(1 << 12);
    std::free(room);
    if (!room)
        return nullptr;
    (void)std::uncaught_exceptions();
    auto *memory = new (std::nothrow) ScratchMemory;
    if (memory && pthread_setspecific(key, memory) == 0)
        return memory;
    delete memory;
    return nullptr;
}
#endif

// OpenMP ends the process where a thread cannot be started, for which there may be too little
// address space under a limit. (`ulimit -v`; the stack of a thread takes 8 MB of it.)
Parallel usable_shared_threads() {
#ifdef __linux__
    rlimit address_space;
    if (shared_threads && getrlimit(RLIMIT_AS, &address_space) == 0 &&
        address_space.rlim_cur != RLIM_INFINITY)
        return nullptr;
#endif
    return shared_threads;
}

} // namespace

void share_threads(Parallel parallel) {
#ifdef __linux__
    static const bool watched =
        pthread_atfork(nullptr, nullptr, [] { shared_threads = nullptr; }) == 0;
    if (watched)
        shared_threads = parallel;
#else
    (void)parallel;
#endif
}

bool prepare_thread() noexcept { return scratch_of_thread() != nullptr; }

void *scratch_memory(Scratch which, std::size_t bytes) {
    ScratchMemory *const memory = scratch_of_thread();
    if (!memory)
        throw std::bad_alloc();
    if (memory->bytes[int(which)] < bytes)
        memory->resize(int(which), bytes);
    return memory->start[int(which)];
}

bool parallel_rows(std::int64_t rows, std::int64_t row_cost, std::int64_t unit, int threads,
                   const std::function<void(std::int64_t, std::int64_t)> &work,
                   const std::function<bool()> &interrupted) {
    row_cost = std::max<std::int64_t>(row_cost, 1);
    // The larger the better: within a range, rows are prefetched while others are computed.
    const std::int64_t share = rows / (ranges_per_thread * threads);
    std::int64_t size = std::max<std::int64_t>(
        1, std::max(least_cost / row_cost, std::min(share, most_cost / row_cost)));
    unit = std::max(unit, size > whole_batches ? whole_batches : 1);
    size = (size + unit - 1) / unit * unit;
    const std::int64_t ranges = (rows + size - 1) / size;
    const Parallel parallel = threads > 1 ? usable_shared_threads() : nullptr;
    const std::int64_t least = parallel ? thread_cost / 2 : thread_cost; // those are awake, mostly
    const std::int64_t worth = rows / std::max<std::int64_t>(1, least / row_cost);
    const std::int64_t count = std::min<std::int64_t>({ranges, worth, threads});

    std::atomic<std::int64_t> next{0};
    std::atomic<bool> stop{false};
    std::exception_ptr failure;
    std::once_flag failed;
    const auto take_range = [&] {
        const DefaultFloatingPoint scope;
        const std::int64_t begin = size * next.fetch_add(1, std::memory_order_relaxed);
        if (begin >= rows || stop.load(std::memory_order_relaxed))
            return false;
        try {
            work(begin, std::min(begin + size, rows));
        } catch (...) { // no memory
            std::call_once(failed, [&] { failure = std::current_exception(); });
            stop = true;
        }
        return true;
    };

    const auto here = std::this_thread::get_id();
    const auto take_ranges = [&] {
        if (std::this_thread::get_id() != here) {
            while (prepare_thread() && take_range()) {
            }
            return;
        }
        auto asked = std::chrono::steady_clock::now();
        while (take_range())
            if (const auto now = std::chrono::steady_clock::now(); now - asked > patience) {
                asked = now;
                if (interrupted())
                    stop = true;
            }
    };
    if (parallel && count > 1) {
        parallel([](void *data) { (*static_cast<decltype(&take_ranges)>(data))(); },
                 const_cast<void *>(static_cast<const void *>(&take_ranges)), unsigned(count), 0);
    } else {
        std::vector<std::thread> others;
        others.reserve(static_cast<std::size_t>(std::max<std::int64_t>(count - 1, 0)));
        try {
            for (std::int64_t i = 1; i < count; ++i)
                others.emplace_back(take_ranges);
        } catch (const std::exception &) {
            // No further thread could be started: those that run do the work.
        }
        take_ranges();
        for (auto &thread : others)
            thread.join();
    }
    if (failure)
        std::rethrow_exception(failure);
    return !stop;
}

SharedRow::SharedRow(std::int64_t classes, int threads, const std::function<bool()> &interrupted)
    : memory_(std::size_t(classes / chunk_classes + 1) * scratch_size / sizeof(std::max_align_t)),
      threads_(threads), interrupted_(interrupted) {
    scratch = memory_.data();
    each = [](const Team &team, std::int64_t count, void (*work)(void *, std::int64_t),
              void *context) {
        const auto &self = static_cast<const SharedRow &>(team);
        const auto range = [=](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i)
                work(context, i);
        };
        self.stopped = self.stopped || !parallel_rows(count, chunk_classes, 1, self.threads_, range,
                                                      self.interrupted_);
    };
}

} // namespace softmaxloss
