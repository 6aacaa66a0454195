"""Mistakes in the probabilities."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .mistake import Mistake

__all__ = ["MISTAKES"]

Array = Any  # NDArray, whose operators mypy takes for Any themselves
FIX = "z = z - z.max(axis=1, keepdims=True); a = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)"


def shifted(z: Array) -> Array:
    return z - z.max(axis=1, keepdims=True)


def normalised(e: Array) -> tuple[Array, Array]:
    a = e / e.sum(axis=1, keepdims=True)
    return a, np.log(a)


def log_normalised(z: Array) -> tuple[Array, Array]:
    log_a = shifted(z) - np.log(np.exp(shifted(z)).sum(axis=1, keepdims=True))
    return np.exp(log_a), log_a


def with_logs(a: Array) -> tuple[Array, Array]:
    return a, np.log(a)


def exp_minus_z(z: Array) -> tuple[Array, Array]:
    return log_normalised(-z)


def no_max(z: Array) -> tuple[Array, Array]:
    return normalised(np.exp(z))


def log_of_underflow(z: Array) -> tuple[Array, Array]:
    return normalised(np.exp(shifted(z)))


def one_max(z: Array) -> tuple[Array, Array]:
    return normalised(np.exp(z - z.max()))


def max_of_columns(z: Array) -> tuple[Array, Array]:
    return normalised(np.exp(z - z.max(axis=0)))


def other_offset(z: Array, offset: Callable[[Array], Array]) -> tuple[Array, Array]:
    return normalised(np.exp(z - offset(z)))


OFFSETS: tuple[Callable[[Array], Array], ...] = (
    lambda z: z[:, :1],
    lambda z: z.mean(axis=1, keepdims=True),
    lambda z: z.min(axis=1, keepdims=True),
    lambda z: np.abs(z).max(axis=1, keepdims=True),
)

BOUNDS = (500, 5, 10, 15, 20, 30, 50, 80, 88, 100, 200, 250, 300, 600, 700, 709, 1000)


def clipped_logits(z: Array, bound: float) -> tuple[Array, Array]:
    return log_normalised(np.clip(z, -bound, bound))


TEMPERATURES = (2, 0.1, 0.2, 0.25, 1.5, 3, 4, 5, 8, 10, 20, 50, 100)


def divided(z: Array, temperature: float) -> tuple[Array, Array]:
    return log_normalised(z / temperature)


def taken_for_probabilities(z: Array) -> tuple[Array, Array]:
    return with_logs(z.copy())


def max_not_added_back(z: Array) -> tuple[Array, Array]:
    log_a = z - np.log(np.exp(shifted(z)).sum(axis=1, keepdims=True))
    return np.exp(log_a), log_a


def denominator_not_reset(z: Array) -> tuple[Array, Array]:
    """A loop over the rows whose total starts at 0 before it, and not in it."""
    e = np.exp(shifted(z))
    return with_logs(e / np.cumsum(e.sum(axis=1, keepdims=True), axis=0))


def over_the_batch(z: Array) -> tuple[Array, Array]:
    e = np.exp(shifted(z))
    return with_logs(e / e.sum(axis=0, keepdims=True))


def over_the_batch_alone(z: Array) -> tuple[Array, Array]:
    """The maximum is that of the columns too: softmax with axis=0."""
    a, log_a = log_normalised(z.T)
    return a.T, log_a.T


def over_everything(z: Array) -> tuple[Array, Array]:
    e = np.exp(z - z.max())
    return with_logs(e / e.sum())


def no_keepdims(z: Array) -> tuple[Array, Array]:
    e = np.exp(shifted(z))
    return with_logs(e / e.sum(axis=1))


def twice(z: Array) -> tuple[Array, Array]:
    return log_normalised(log_normalised(z)[0])


def of_log_probabilities(z: Array) -> tuple[Array, Array]:
    a, log_a = log_normalised(z)
    return a, np.log(-log_a)


def not_normalised(z: Array) -> tuple[Array, Array]:
    return np.exp(shifted(z)), shifted(z)


def not_normalised_no_max(z: Array) -> tuple[Array, Array]:
    return np.exp(z), z


def no_exp(z: Array) -> tuple[Array, Array]:
    return with_logs(z / z.sum(axis=1, keepdims=True))


def sigmoid(z: Array) -> tuple[Array, Array]:
    return 1 / (1 + np.exp(-z)), -np.logaddexp(0, -z)


def sigmoid_first(z: Array) -> tuple[Array, Array]:
    return log_normalised(1 / (1 + np.exp(-z)))


def relu_first(z: Array) -> tuple[Array, Array]:
    return log_normalised(np.maximum(z, 0))


def absolute_value(z: Array) -> tuple[Array, Array]:
    return log_normalised(np.abs(z))


def squared(z: Array) -> tuple[Array, Array]:
    e = np.exp(shifted(z)) ** 2
    return normalised(e)


def divided_by_largest(z: Array) -> tuple[Array, Array]:
    return log_normalised(z / z.max(axis=1, keepdims=True))


def divided_by_norm(z: Array) -> tuple[Array, Array]:
    return log_normalised(z / np.sqrt((z * z).sum(axis=1, keepdims=True)))


def base_two(z: Array) -> tuple[Array, Array]:
    return log_normalised(z * np.log(2.0))


def one_plus(z: Array) -> tuple[Array, Array]:
    e = np.exp(shifted(z))
    a = e / (1 + e.sum(axis=1, keepdims=True))
    return with_logs(a)


def true_class_left_out(z: Array) -> tuple[Array, Array]:
    """The denominator is that of the others."""
    e = np.exp(shifted(z))
    return with_logs(e / (e.sum(axis=1, keepdims=True) - e))


def mean_for_sum(z: Array) -> tuple[Array, Array]:
    e = np.exp(shifted(z))
    return with_logs(e / e.mean(axis=1, keepdims=True))


def log_of_sum_of_z(z: Array) -> tuple[Array, Array]:
    """log Σ exp z taken for Σ z."""
    log_a = z - z.sum(axis=1, keepdims=True)
    return np.exp(log_a), log_a


EPSILONS = (
    1e-7, 1e-8, 1e-6, 1e-5, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16, 2.0**-52, 2.0**-23, 1e-20, 1e-30,
    1e-37, 1e-38, 1e-45, 1e-100, 1e-300, 1e-308,
)  # fmt: skip


def in_dtype(epsilon: float, z: Array) -> Any:
    """NaN for one that is 0 in float32: that clips nothing, and is another mistake."""
    return z.dtype.type(epsilon) or np.nan


def clipped(z: Array, epsilon: float = EPSILONS[0]) -> tuple[Array, Array]:
    epsilon = in_dtype(epsilon, z)
    a = log_normalised(z)[0]
    return a, np.log(np.clip(a, epsilon, 1 - epsilon))


def clipped_below(z: Array, epsilon: float = EPSILONS[0]) -> tuple[Array, Array]:
    epsilon = in_dtype(epsilon, z)
    a = log_normalised(z)[0]
    return a, np.log(np.maximum(a, epsilon))


def plus_epsilon(z: Array, epsilon: float = EPSILONS[1]) -> tuple[Array, Array]:
    epsilon = in_dtype(epsilon, z)
    a = log_normalised(z)[0]
    return a, np.log(a + epsilon)


def last_class_left_out(z: Array) -> tuple[Array, Array]:
    e = np.exp(shifted(z))
    return with_logs(e / e[:, :-1].sum(axis=1, keepdims=True))


def first_class_left_out(z: Array) -> tuple[Array, Array]:
    e = np.exp(shifted(z))
    return with_logs(e / e[:, 1:].sum(axis=1, keepdims=True))


def one_block_only(z: Array, block: int = 1024) -> tuple[Array, Array]:
    """A row is taken to fit into one block of threads."""
    e = np.exp(shifted(z))
    return with_logs(e / e[:, :block].sum(axis=1, keepdims=True))


def whole_blocks_only(z: Array) -> tuple[Array, Array]:
    """A vectorised loop over four classes at a time, without the rest."""
    e = np.exp(shifted(z))
    whole = max(z.shape[1] // 4 * 4, 1)
    return with_logs(e / e[:, :whole].sum(axis=1, keepdims=True))


def padded_with_zeros(z: Array, width: int | None = 4) -> tuple[Array, Array]:
    """The padding to whole vectors, or to a power of two where the width is None, is z = 0 and not
    −∞."""
    classes = z.shape[1]
    more = (1 << (classes - 1).bit_length()) - classes if width is None else -classes % width
    a, log_a = log_normalised(np.concatenate([z, np.zeros((z.shape[0], more))], axis=1))
    return a[:, :classes], log_a[:, :classes]


def sum_not_rescaled(z: Array) -> tuple[Array, Array]:
    """One pass, where a new maximum does not rescale the sum so far."""
    m = np.maximum.accumulate(z, axis=1)
    total = np.exp(z - m).sum(axis=1, keepdims=True)
    log_a = shifted(z) - np.log(total)
    return np.exp(log_a), log_a


def sum_rescaled_wrongly(z: Array) -> tuple[Array, Array]:
    """One pass, which rescales the sum by exp(new − old)."""
    m, total = z[:, :1], np.ones_like(z[:, :1])
    for n in range(1, z.shape[1]):
        new = np.maximum(m, z[:, n : n + 1])
        total = total * np.exp(new - m) + np.exp(z[:, n : n + 1] - new)
        m = new
    log_a = z - m - np.log(total)
    return np.exp(log_a), log_a


def _mistake(id: str, title: str, why: str, step: Callable[..., Any], **rest: Any) -> Mistake:
    return Mistake(id, title, why, **({"fix": FIX} | rest), steps={"softmax": step})


MISTAKES = [
    _mistake(
        "exp-minus-z",
        "exp(−z) for exp(z)",
        "The largest output then gets the smallest probability: the least likely class wins.",
        exp_minus_z,
        # Automatic differentiation of that loss has its minus too.
        also=({"softmax": exp_minus_z, "gradient": lambda a, q: q - a},),
        fix="e = np.exp(z - z.max(axis=1, keepdims=True))   # no minus before z",
    ),
    _mistake(
        "no-max",
        "the maximum is not subtracted before exp",
        "exp overflows above 709 (float64) or 88 (float32), and inf / inf is NaN.",
        no_max,
    ),
    _mistake(
        "log-of-underflow",
        "the log of a probability that has become 0",
        "Where the outputs are far apart a_y rounds to 0 and its log is −inf; the loss is finite.",
        log_of_underflow,
        kind="weakness",
        fix="log_a = z - z.max(axis=1, keepdims=True); "
        "log_a -= np.log(np.exp(log_a).sum(axis=1, keepdims=True))",
    ),
    _mistake(
        "one-max-for-the-batch",
        "one maximum for the whole batch, and not one for each row",
        "A row far below the largest of another row underflows to 0 / 0.",
        one_max,
        fix="z.max(axis=1, keepdims=True), the maximum of each row",
    ),
    _mistake(
        "max-of-columns",
        "the maximum is taken down the columns, over the examples",
        "What is subtracted must be the same for all classes of a row, or the odds change.",
        max_of_columns,
        fix="z.max(axis=1, keepdims=True), the maximum of each row",
    ),
    _mistake(
        "not-the-maximum",
        "something else than the maximum of the row is subtracted: its mean, its first output, the "
        "largest absolute value, …",
        "exp then overflows where one output is far above that, or all of them underflow to 0.",
        partial(other_offset, offset=OFFSETS[0]),
        fix="z.max(axis=1, keepdims=True), the maximum of each row",
        also=tuple({"softmax": partial(other_offset, offset=offset)} for offset in OFFSETS),
    ),
    _mistake(
        "logits-clipped",
        "the outputs are clipped before exp",
        "Two outputs beyond the bound become equal, and learn nothing. Subtracting the maximum "
        "needs no bound.",
        partial(clipped_logits, bound=BOUNDS[0]),
        also=tuple({"softmax": partial(clipped_logits, bound=bound)} for bound in BOUNDS),
    ),
    _mistake(
        "temperature",
        "the outputs are divided by a number before softmax",
        "That is a temperature: it changes every probability.",
        partial(divided, temperature=TEMPERATURES[0]),
        fix="softmax of z itself",
        also=tuple({"softmax": partial(divided, temperature=t)} for t in TEMPERATURES),
    ),
    _mistake(
        "takes-probabilities",
        "the outputs are taken for probabilities: softmax is missing",
        "−log z_y is no loss of the outputs, and NaN for those below 0.",
        taken_for_probabilities,
        fix="a = softmax(z) first; or check a function that takes z",
    ),
    _mistake(
        "max-not-added-back",
        "the maximum is subtracted inside the log-sum-exp, and not added again",
        "log Σ exp z = m + log Σ exp(z − m): the loss is too small by the maximum.",
        max_not_added_back,
        fix="m = z.max(axis=1); J = m + np.log(np.exp(z - m[:, None]).sum(axis=1)) "
        "- z[np.arange(N), y]",
    ),
    _mistake(
        "denominator-not-reset",
        "the denominator still holds the exponentials of the rows before",
        "Each row has a sum of its own.",
        denominator_not_reset,
        fix="total = 0 inside the loop over the rows",
    ),
    _mistake(
        "softmax-over-the-batch",
        "the probabilities are normalised over the examples, and not over the classes",
        "Each example's probabilities must sum to 1: here the columns do, and not the rows.",
        over_the_batch,
        also=({"softmax": over_the_batch_alone},),
        fix="e / e.sum(axis=1, keepdims=True), the sum of each row",
    ),
    _mistake(
        "softmax-over-everything",
        "the probabilities are normalised over the whole matrix",
        "Each row must sum to 1 by itself; here all of them together do.",
        over_everything,
        fix="e / e.sum(axis=1, keepdims=True), the sum of each row",
    ),
    _mistake(
        "no-keepdims",
        "keepdims is missing",
        "A sum of shape (N,) divides the columns, not the rows: an error where N ≠ C, and wrong "
        "numbers without one where N = C.",
        no_keepdims,
        fix="e / e.sum(axis=1, keepdims=True)",
    ),
    _mistake(
        "softmax-twice",
        "softmax is applied twice",
        "Outputs that are probabilities lie in [0, 1]: their softmax is nearly uniform, and the "
        "loss never gets under log(1 + (C−1)/e).",
        twice,
        fix="pass the logits to the loss, before any softmax",
    ),
    _mistake(
        "log-softmax-of-logs",
        "a log is taken of log-probabilities",
        "log softmax is the log already.",
        of_log_probabilities,
        fix="J = -log_a[np.arange(N), y]",
    ),
    _mistake(
        "not-normalised",
        "exp(z − m) is not divided by its sum",
        "Without the denominator they are no probabilities, and the other outputs are not learned.",
        not_normalised,
    ),
    _mistake(
        "loss-is-minus-z",
        "the denominator is missing: −z_y for −z_y + log Σ exp z",
        "The loss then has no lower bound, and the other outputs never enter it.",
        not_normalised_no_max,
        fix="J = -z[np.arange(N), y] + np.log(np.exp(z).sum(axis=1))   # and subtract the maximum",
    ),
    _mistake(
        "no-exp",
        "z / Σ z: exp is missing",
        "Outputs may be negative: what is not exp of something is no probability.",
        no_exp,
    ),
    _mistake(
        "sigmoid-for-softmax",
        "a sigmoid of each output in place of softmax",
        "Sigmoids answer a yes or no for each class; they do not sum to 1.",
        sigmoid,
    ),
    _mistake(
        "sigmoid-before-softmax",
        "a sigmoid before softmax",
        "Softmax takes the outputs as they are; of numbers in [0, 1] it is nearly uniform.",
        sigmoid_first,
        fix="leave the sigmoid out",
    ),
    _mistake(
        "relu-before-softmax",
        "negative outputs are cut to 0 before softmax",
        "The last layer has no ReLU: an output below 0 is a less likely class.",
        relu_first,
        fix="leave the ReLU out after the last layer",
    ),
    _mistake(
        "absolute-value",
        "the absolute value of the outputs",
        "An output of −5 is unlikely, and not as likely as 5.",
        absolute_value,
    ),
    _mistake(
        "squared-exponentials",
        "exp(z)²: the exponentials are squared",
        "That is softmax of 2z, which is too sure of itself.",
        squared,
    ),
    _mistake(
        "divided-by-the-largest",
        "divided by the maximum, which is to be subtracted",
        "Only a difference cancels in the quotient; a factor changes the odds.",
        divided_by_largest,
        fix="z - z.max(axis=1, keepdims=True)   # minus, not divided by",
    ),
    _mistake(
        "normalised-logits",
        "the outputs of a row are scaled to length 1 before softmax",
        "The size of the outputs says how sure the model is.",
        divided_by_norm,
        fix="leave the scaling out",
    ),
    _mistake(
        "two-to-the-z",
        "2 to the power of z for e to the power of z",
        "A kernel that uses exp2 must scale z by log2(e) before.",
        base_two,
        fix="np.exp2(z * np.log2(np.e))",
    ),
    _mistake(
        "one-in-the-denominator",
        "1 + Σ exp in the denominator",
        "That is a sigmoid's; softmax divides by the sum alone.",
        one_plus,
    ),
    _mistake(
        "own-class-left-out",
        "the class itself is left out of its denominator",
        "The denominator has all classes, or the quotients are odds and not probabilities.",
        true_class_left_out,
    ),
    _mistake(
        "mean-for-sum-of-exp",
        "the mean of exp in the denominator, not the sum",
        "The probabilities then sum to C, and the loss is too small by log C.",
        mean_for_sum,
    ),
    _mistake(
        "sum-of-z",
        "Σ z in place of log Σ exp z",
        "The normaliser is the log of the sum of the exponentials.",
        log_of_sum_of_z,
    ),
    _mistake(
        "clipped",
        "the probabilities are clipped before the log",
        "The loss stops growing near 16.1 (for 1e-7), where the model is most wrong, and there is "
        "no gradient beyond.",
        clipped,
        fix="take log softmax, z - m - log Σ exp(z - m), which needs no clipping",
        also=tuple(
            {"softmax": partial(step, epsilon=epsilon)}
            for step in (clipped, clipped_below)
            for epsilon in EPSILONS
        ),
    ),
    _mistake(
        "log-of-a-plus-epsilon",
        "a small number is added to the probability before the log",
        "It is not needed with log softmax, and makes every loss a little wrong.",
        plus_epsilon,
        fix="take log softmax, z - m - log Σ exp(z - m), which needs no epsilon",
        also=tuple({"softmax": partial(plus_epsilon, epsilon=e)} for e in EPSILONS),
    ),
    _mistake(
        "last-class-left-out",
        "the last class is left out of the sum",
        "A range that ends at C − 1 does not reach class C − 1.",
        last_class_left_out,
        fix="range(C), or e.sum(axis=1)",
    ),
    _mistake(
        "first-class-left-out",
        "the first class is left out of the sum",
        "Classes are counted from 0: a loop that starts at 1 leaves class 0 out.",
        first_class_left_out,
        fix="range(C), or e.sum(axis=1)",
    ),
    _mistake(
        "whole-blocks-only",
        "the classes after the last whole block are left out of the sum",
        "C need not be a multiple of the block: the rest must be summed too.",
        whole_blocks_only,
        fix="mask the last block, or add a loop for the rest",
    ),
    _mistake(
        "one-block-only",
        "the classes after the first 1024 are left out of the sum",
        "A block has at most 1024 threads: with more classes each must take several.",
        one_block_only,
        fix="for n in range(thread, C, threads)",
        also=tuple({"softmax": partial(one_block_only, block=block)} for block in (512, 256)),
    ),
    _mistake(
        "padded-with-zeros",
        "the padding of the last block counts as outputs of 0",
        "exp(0) is 1: each padded place adds to the denominator. Padding is −inf.",
        padded_with_zeros,
        fix="load with other=-inf",
        also=tuple(
            {"softmax": partial(padded_with_zeros, width=width)}
            for width in (None, 8, 16, 32, 64, 128, 256, 512, 1024)
        ),
    ),
    _mistake(
        "sum-not-rescaled",
        "a running sum is not rescaled when the maximum grows",
        "Its terms were exp(z − m) with the old m.",
        sum_not_rescaled,
        fix="S = S * exp(m_old - m_new) + exp(z - m_new)",
    ),
    _mistake(
        "sum-rescaled-the-wrong-way",
        "a running sum is rescaled by exp(m_new − m_old)",
        "A larger maximum makes the old terms smaller, not larger.",
        sum_rescaled_wrongly,
        fix="S = S * exp(m_old - m_new) + exp(z - m_new)",
    ),
]
