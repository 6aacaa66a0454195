// The arguments of one call as plain data, shared by the binding and every level.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace softmaxloss {

enum class LabelType { i8, i16, i32, i64, u8, u16, u32, u64 };
enum FloatType { f32, f64, f16, bf16, float_types };

// An array (outer, classes, inner) of floats. Strides count elements, not bytes.
struct Array {
    void *data; // null if there is no such array
    std::int64_t outer_stride, class_stride, inner_stride;
};

// Row i is the pair (i / inner, i % inner). Arrays (rows,) are contiguous.
struct Call {
    std::int64_t outer, classes, inner;
    Array logits;
    const void *labels; // (rows,) class indices, or null
    LabelType label_type;
    std::int64_t ignore_index;

    std::int64_t rows() const { return outer * inner; }
};

struct CrossEntropy : Call {
    Array probabilities; // in place of labels
    FloatType probabilities_type;
    // If not null, the probabilities are checked as by Check, and this becomes true if they are not
    // fit. The results are undefined then.
    std::atomic<bool> *unfit;
    double tolerance;
    const double *weight;        // (classes,) or null
    const double *sample_weight; // (rows,) or null
    double label_smoothing;
    const double *factor; // (rows,), or one number for all rows if factor_stride is 0
    std::int64_t factor_stride;
    void *loss;       // (rows,)
    bool double_loss; // else float
    Array grad;       // in the logits' type
    bool stream;      // write the gradient past the caches; not if it overwrites the logits
};

struct Score : Call {
    void *loss, *probability; // (rows,) in the type of the computation, as the last two
    std::int64_t *predicted, *rank;
    void *entropy, *logsumexp;
};

// Probabilities are fit if all are finite and not negative, and each row sums to 1 within the
// tolerance.
struct Check : Call { // the probabilities are `logits`
    double tolerance;
};

// Contiguous numbers, all float or all double. The arrays may be the same.
struct Softcap {
    const void *logits, *grad; // grad is with respect to the capped logits; null for those alone
    void *out;
    double cap;
};

// The threads that share one long row. each() calls work(context, i) for all i in [0, count), in
// any order, or for some if it is stopped. `scratch` has `scratch_size` bytes for each i, at first
// 0. (Function pointers: code of std::function, compiled for one level, could be linked into
// another.)
struct Team {
    static constexpr std::size_t scratch_size = 192;

    void *scratch;
    void (*each)(const Team &, std::int64_t count, void (*work)(void *, std::int64_t), void *);
};

// A long row is processed in chunks of so many classes.
constexpr std::int64_t chunk_classes = 1 << 17;

// What a thread keeps scratch memory for: the terms of rows; rows copied from another layout, of
// logits and of coefficients; the class weights.
enum class Scratch { terms, logits, coefficients, weight, count };

// The size of the scratch memory for terms.
constexpr std::size_t terms_bytes = (1 << 19) + (1 << 13);

// One instruction-set level: functions that compute the rows [begin, end) of a call, one for each
// type of logits. The threads of a team share each row.
struct Level {
    const char *name;
    void (*cross_entropy[float_types])(const CrossEntropy &, std::int64_t begin, std::int64_t end,
                                       const Team *);
    void (*score[float_types])(const Score &, std::int64_t begin, std::int64_t end, const Team *);
    bool (*check[float_types])(const Check &, std::int64_t begin, std::int64_t end);
    double (*sum)(const double *, std::int64_t count); // compensated
    // Of the numbers [begin, end), for f32 and f64.
    void (*softcap[2])(const Softcap &, std::int64_t begin, std::int64_t end);
    void (*softcap_gradient[2])(const Softcap &, std::int64_t begin, std::int64_t end);
};

} // namespace softmaxloss
