// What one call asks of the kernel: plain data, shared by the binding and by every level.
#pragma once
#include <cstddef>
#include <cstdint>

namespace softmaxloss {

enum class LabelType { i8, i16, i32, i64, u8, u16, u32, u64 };
enum LogitsType { f32, f64, f16, bf16, logits_types };

// Rows are 2-D, (rows, classes), their last axis contiguous; strides count elements, not bytes.
struct CrossEntropy {
    std::int64_t rows, classes;
    const void *logits;
    std::int64_t logits_stride;
    const void *labels; // (rows,) class indices; null when there are probabilities
    LabelType label_type;
    const void *probabilities; // (rows, classes), or null
    bool double_probabilities; // else they are float
    std::int64_t probabilities_stride;
    const double *weight; // (classes,) or null
    double label_smoothing;
    std::int64_t ignore_index;
    const double *factor; // (rows,), or one number for all rows when factor_stride is 0
    std::int64_t factor_stride;
    void *loss;       // (rows,)
    bool double_loss; // else it is float
    void *grad;       // (rows, classes) in the logits' type, or null: the loss alone
    std::int64_t grad_stride;
    bool stream; // write the gradient past the caches; it is not where the logits are
};

struct Score {
    std::int64_t rows, classes;
    const void *logits;
    std::int64_t logits_stride;
    const void *labels;
    LabelType label_type;
    std::int64_t ignore_index;
    void *loss, *probability; // these and the last two: (rows,) in the computed type
    std::int64_t *predicted, *rank;
    void *entropy, *logsumexp;
};

// The threads that share one long row. each() calls work(context, i) for all i in [0, count), in
// any order, and returns false if it was stopped; scratch has room for `scratch_size` bytes for
// each i.
struct Team {
    static constexpr std::size_t scratch_size = 128;

    void *scratch;
    bool (*each)(const Team &, std::int64_t count, void (*work)(void *, std::int64_t), void *);
};

// One instruction-set level: for each type of logits, the rows [begin, end) of a call. With a team,
// which needs room for classes / chunk_classes parts, each row is shared.
constexpr std::int64_t chunk_classes = 1 << 17;

// What a call needs of scratch_memory() at most.
constexpr std::size_t scratch_bytes = (1 << 19) + (1 << 13);

struct Level {
    const char *name;
    void (*cross_entropy[logits_types])(const CrossEntropy &, std::int64_t begin, std::int64_t end,
                                        const Team *);
    void (*score[logits_types])(const Score &, std::int64_t begin, std::int64_t end, const Team *);
};

} // namespace softmaxloss
