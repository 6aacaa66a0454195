// The arguments of one call as plain data, shared by the binding and every level.
#pragma once
#include <cstddef>
#include <cstdint>

namespace softmaxloss {

enum class LabelType { i8, i16, i32, i64, u8, u16, u32, u64 };
enum LogitsType { f32, f64, f16, bf16, logits_types };

// Arrays of rows, (rows, classes), have a contiguous last axis. Strides count elements, not bytes.
struct Call {
    std::int64_t rows, classes;
    const void *logits;
    std::int64_t logits_stride;
    const void *labels; // (rows,) class indices, or null
    LabelType label_type;
    std::int64_t ignore_index;
};

struct CrossEntropy : Call {
    const void *probabilities; // (rows, classes), or null
    bool double_probabilities; // else float
    std::int64_t probabilities_stride;
    const double *weight; // (classes,) or null
    double label_smoothing;
    const double *factor; // (rows,), or one number for all rows if factor_stride is 0
    std::int64_t factor_stride;
    void *loss;       // (rows,)
    bool double_loss; // else float
    void *grad;       // (rows, classes) in the logits' type, or null
    std::int64_t grad_stride;
    bool stream; // write the gradient past the caches; not if it overwrites the logits
};

struct Score : Call {
    void *loss, *probability; // (rows,) in the type of the computation, as the last two
    std::int64_t *predicted, *rank;
    void *entropy, *logsumexp;
};

// The threads that share one long row. each() calls work(context, i) for all i in [0, count), in
// any order, or for some if it is stopped. `scratch` has `scratch_size` bytes for each i, at first
// 0. (Function pointers: code of std::function, compiled for one level, could be linked into
// another.)
struct Team {
    static constexpr std::size_t scratch_size = 128;

    void *scratch;
    void (*each)(const Team &, std::int64_t count, void (*work)(void *, std::int64_t), void *);
};

// A long row is processed in chunks of so many classes.
constexpr std::int64_t chunk_classes = 1 << 17;

// The size of scratch_memory().
constexpr std::size_t scratch_bytes = (1 << 19) + (1 << 13);

// One instruction-set level: functions that compute the rows [begin, end) of a call, one for each
// type of logits. The threads of a team share each row.
struct Level {
    const char *name;
    void (*cross_entropy[logits_types])(const CrossEntropy &, std::int64_t begin, std::int64_t end,
                                        const Team *);
    void (*score[logits_types])(const Score &, std::int64_t begin, std::int64_t end, const Team *);
};

} // namespace softmaxloss
