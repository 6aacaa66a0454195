"""Mistakes in the sum by which the exponentials are divided, and in its log."""

from collections.abc import Callable

import numpy as np

from ..inputs import image_shape, sequence_shape
from ..reference import softmax
from .log import EPSILONS
from .mistake import Array
from .softmax import (
    Step,
    changed,
    log_sum,
    other_offset,
    shifted,
    softmax_mistake,
    with_exp,
    with_log,
)


def other_denominator(total: Callable[[Array], Array]) -> list[Callable[[Array], Step]]:
    """exp(z − m) divided by another total of it than the sum of each row: the log of the quotient,
    and the difference of the logs."""

    def of_quotient(z: Array) -> Step:
        e = np.exp(shifted(z))
        return with_log(e / total(e))

    def of_difference(z: Array) -> Step:
        return with_exp(shifted(z) - np.log(total(np.exp(shifted(z)))))

    return [of_quotient, of_difference]


def sum_plus(epsilon: float) -> Callable[[Array], Step]:
    """ε is added to the sum of the exponentials."""

    def step(z: Array) -> Step:
        total = np.exp(shifted(z)).sum(axis=1, keepdims=True) + z.dtype.type(epsilon)
        log_a = shifted(z) - np.log(total)
        # An ε that is below the last digit changes nothing.
        return with_exp(log_a if (log_a != softmax(z)[1]).any() else log_a * np.nan)

    return step


def first_classes(count: int) -> list[Callable[[Array], Step]]:
    return other_denominator(lambda e: e[:, :count].sum(axis=1, keepdims=True))


def padded_with_zeros(width: int | None) -> Callable[[Array], Step]:
    """The padding to whole vectors of this width (None: to a power of two) is 0 and not −∞."""

    def step(z: Array) -> Step:
        classes = z.shape[1]
        more = (1 << (classes - 1).bit_length()) - classes if width is None else -classes % width
        a, log_a = softmax(np.pad(z, ((0, 0), (0, more))))
        return a[:, :classes], log_a[:, :classes]

    return step


def sum_not_rescaled(z: Array) -> Step:
    """One pass, in which a new maximum does not rescale the sum so far."""
    total = np.exp(z - np.maximum.accumulate(z, axis=1)).sum(axis=1, keepdims=True)
    return with_exp(shifted(z) - np.log(total))


def sum_rescaled_wrongly(z: Array) -> Step:
    """One pass, which rescales the sum by exp(new − old)."""
    m, total = z[:, :1], np.ones_like(z[:, :1])
    for n in range(1, z.shape[1]):
        new = np.maximum(m, z[:, n : n + 1])
        total = total * np.exp(new - m) + np.exp(z[:, n : n + 1] - new)
        m = new
    return with_exp(z - m - np.log(total))


SUM_OF_ROWS = (
    "e / e.sum(axis=1, keepdims=True), the sum of each row",
    "e / e.sum(), with e = np.exp(z[i] - z[i].max())",
)
ALL_CLASSES = ("e.sum(axis=1, keepdims=True)", "for k in range(C)")
RESCALED = "S = S * exp(m_old - m_new) + exp(z - m_new)"


def _over_steps(z: Array) -> Step:
    """The softmax over the steps of each sequence, of one class."""
    in_time = z.reshape(*sequence_shape(len(z)), -1)
    swapped = in_time.swapaxes(1, 2).reshape(-1, in_time.shape[1])
    both = softmax(swapped)
    back = (len(in_time), in_time.shape[2], in_time.shape[1])
    a, log_a = (one.reshape(back).swapaxes(1, 2).reshape(z.shape) for one in both)
    return a, log_a


def _classes_not_moved(z: Array) -> Array:
    """Images with their classes in the second place, read as if they were in the last."""
    images = z.reshape(*image_shape(len(z)), -1)
    return np.moveaxis(images, -1, 1).reshape(z.shape)


MISTAKES = [
    softmax_mistake(
        "softmax-over-the-steps",
        "the softmax is taken over the steps of a sequence instead of the classes",
        "Of (B, T, C) the classes are the last axis: each step has probabilities of its own.",
        _over_steps,
        fix="a = softmax(z, axis=-1)",
    ),
    softmax_mistake(
        "classes-not-moved-last",
        "(B, C, H, W) is reshaped to rows of C without moving the classes to the end",
        "A row then has numbers of several pixels instead of the classes of one.",
        changed(_classes_not_moved),
        fix="z = np.moveaxis(z, 1, -1).reshape(-1, C)",
    ),
    softmax_mistake(
        "divided-by-log-sum-exp",
        "z is divided by log Σ exp z instead of subtracting it",
        "The log of a quotient is a difference: log a = z − log Σ exp z.",
        lambda z: with_exp(z / log_sum(z)),
        lambda z: with_exp(z / np.log(np.exp(z).sum(axis=1, keepdims=True))),
        fix="log_a = z - log_sum_exp(z)",
    ),
    softmax_mistake(
        "max-not-added-back",
        "the maximum is subtracted inside the log-sum-exp and not added back",
        "log Σ exp z = m + log Σ exp(z − m): the loss is too small by the maximum.",
        lambda z: with_exp(z - np.log(np.exp(shifted(z)).sum(axis=1, keepdims=True))),
        lambda z: with_log(np.exp(z) / np.exp(shifted(z)).sum(axis=1, keepdims=True)),
        fix="m = z.max(axis=1); J = m + np.log(np.exp(z - m[:, None]).sum(axis=1)) "
        "- z[np.arange(N), y]",
    ),
    softmax_mistake(
        "max-subtracted-twice",
        "the maximum is subtracted from z, but not in the sum of the exponentials",
        "Subtract the same number in both, or the loss is too large by the maximum.",
        lambda z: with_exp(shifted(z) - np.log(np.exp(z).sum(axis=1, keepdims=True))),
        lambda z: with_log(np.exp(shifted(z)) / np.exp(z).sum(axis=1, keepdims=True)),
    ),
    softmax_mistake(
        "true-output-missing",
        "log Σ exp z alone: −z_y is missing",
        "The loss must fall when the output of the true class grows.",
        lambda z: with_exp(-log_sum(z) + 0 * z),
        fix="J = log_sum_exp - z[np.arange(N), y]",
        loop="loss += log_sum_exp - z[i, y[i]]",
    ),
    softmax_mistake(
        "signs-differ",
        "z has a minus in the numerator or in the sum, but not in both",
        "The loss is log Σ exp z − z_y, the probability exp z_y / Σ exp z.",
        lambda z: with_exp(-z - log_sum(z)),
        lambda z: with_exp(z - log_sum(-z)),
        lambda z: with_exp(shifted(z) - log_sum(-shifted(z))),
        lambda z: with_exp(-shifted(z) - log_sum(shifted(z))),
        fix="J = log_sum_exp - z[np.arange(N), y]",
        loop="loss += log_sum_exp - z[i, y[i]]",
    ),
    softmax_mistake(
        "times-the-sum",
        "exp z is multiplied by the sum instead of divided by it",
        "log a = z − log Σ exp z: a probability is a share of the sum.",
        lambda z: with_exp(shifted(z) + log_sum(shifted(z))),
        lambda z: with_exp(z + log_sum(z)),
    ),
    softmax_mistake(
        "other-log-of-the-sum",
        "log2 or log10 of the sum of the exponentials",
        "exp needs the natural logarithm.",
        *(
            lambda z, base=base, change=change: with_exp(
                change(z) - log_sum(change(z)) / np.log(base)
            )
            for base in (10.0, 2.0)
            for change in (shifted, np.positive)
        ),
        fix="np.log, the natural logarithm",
    ),
    softmax_mistake(
        "sum-without-log",
        "Σ exp z instead of log Σ exp z",
        "The loss is −z_y plus the log of the sum.",
        lambda z: with_exp(shifted(z) - np.exp(log_sum(shifted(z)))),
        lambda z: with_exp(z - np.exp(log_sum(z))),
        fix="np.log(np.exp(z).sum(axis=1))   # and subtract the maximum",
        loop="np.log(np.exp(z[i]).sum())   # and subtract the maximum",
    ),
    softmax_mistake(
        "sum-assigned",
        "total = … instead of total += …: only the last class is in the sum",
        "The denominator is the sum over all classes.",
        *other_denominator(lambda e: e[:, -1:]),
        fix="total += exp(z_k - m)",
    ),
    softmax_mistake(
        "denominator-not-reset",
        "the denominator still contains the exponentials of the rows before",
        "Each row has a sum of its own.",
        *other_denominator(lambda e: np.cumsum(e.sum(axis=1, keepdims=True), axis=0)),
        fix="total = 0 inside the loop over the rows",
    ),
    softmax_mistake(
        "softmax-over-the-batch",
        "the probabilities are normalised over the examples instead of the classes",
        "The probabilities of each example must sum to 1: here the columns do, not the rows.",
        *other_denominator(lambda e: e.sum(axis=0, keepdims=True)),
        # With axis=0 the maximum is that of the columns as well.
        lambda z: with_exp(softmax(z.T)[1].T),
        fixes=SUM_OF_ROWS,
    ),
    softmax_mistake(
        "softmax-over-everything",
        "the probabilities are normalised over the whole matrix",
        "Each row must sum to 1 by itself; here all rows together do.",
        lambda z: with_log(np.exp(z - z.max()) / np.exp(z - z.max()).sum()),
        lambda z: with_exp(z - z.max() - np.log(np.exp(z - z.max()).sum())),
        # The maximum of each row, and the sum over everything.
        *other_denominator(np.sum),
        fixes=SUM_OF_ROWS,
    ),
    softmax_mistake(
        "no-keepdims",
        "keepdims is missing",
        "A sum of shape (N,) divides the columns: an error if N ≠ C, silently wrong if N = C.",
        *other_denominator(lambda e: e.sum(axis=1)),
        *other_offset(lambda z: z.max(axis=1)),
        lambda z: with_log(np.exp(z - z.max(axis=1)) / np.exp(z - z.max(axis=1)).sum(axis=1)),
        lambda z: with_exp(
            shifted(z) - np.log(np.exp(z - z.max(axis=1)).sum(axis=1, keepdims=True))
        ),
        fix="e / e.sum(axis=1, keepdims=True)",
    ),
    softmax_mistake(
        "not-normalised",
        "exp(z − m) is not divided by its sum",
        "The values are not probabilities, and the other outputs do not learn.",
        lambda z: (np.exp(shifted(z)), shifted(z)),
    ),
    softmax_mistake(
        "loss-is-minus-z",
        "the denominator is missing: −z_y instead of −z_y + log Σ exp z",
        "The loss then has no lower bound, and ignores the other outputs.",
        lambda z: (np.exp(z), z),
        fix="J = -z[np.arange(N), y] + np.log(np.exp(z).sum(axis=1))   # and subtract the maximum",
    ),
    softmax_mistake(
        "one-in-the-denominator",
        "1 + Σ exp in the denominator",
        "The 1 belongs to a sigmoid; softmax divides by the sum only.",
        *other_denominator(lambda e: 1 + e.sum(axis=1, keepdims=True)),
    ),
    softmax_mistake(
        "own-class-left-out",
        "each class is left out of its own denominator",
        "The denominator contains all classes, or the quotients are odds, not probabilities.",
        *other_denominator(lambda e: e.sum(axis=1, keepdims=True) - e),
    ),
    softmax_mistake(
        "mean-for-sum-of-exp",
        "the mean of exp in the denominator instead of the sum",
        "The probabilities then sum to C, and the loss is too small by log C.",
        *other_denominator(lambda e: e.mean(axis=1, keepdims=True)),
    ),
    softmax_mistake(
        "sum-of-z",
        "Σ z instead of log Σ exp z",
        "The normaliser is the log of the sum of the exponentials.",
        lambda z: with_exp(z - z.sum(axis=1, keepdims=True)),
        lambda z: with_log(np.exp(z) / z.sum(axis=1, keepdims=True)),
        lambda z: with_log(np.exp(shifted(z)) / shifted(z).sum(axis=1, keepdims=True)),
    ),
    softmax_mistake(
        "epsilon-in-the-sum",
        "a small number is added to the sum of the exponentials",
        "The sum is never 0 once the maximum is subtracted: it is at least 1.",
        *map(sum_plus, (1e-5, *EPSILONS)),
        fix="e.sum(axis=1, keepdims=True), without epsilon",
        loop="total = e.sum(), without epsilon",
        kind="weakness",
    ),
    softmax_mistake(
        "last-class-left-out",
        "the last class is left out of the sum",
        "A range that ends at C − 1 does not reach class C − 1.",
        *first_classes(-1),
        fixes=ALL_CLASSES,
    ),
    softmax_mistake(
        "first-class-left-out",
        "the first class is left out of the sum",
        "Classes count from 0: a loop that starts at 1 leaves class 0 out.",
        *other_denominator(lambda e: e[:, 1:].sum(axis=1, keepdims=True)),
        fixes=ALL_CLASSES,
    ),
    softmax_mistake(
        "whole-blocks-only",
        "the classes after the last whole block are left out of the sum",
        "C need not be a multiple of the block size: the rest must be summed as well.",
        # A vectorised loop over four classes at a time, without the rest.
        *other_denominator(
            lambda e: e[:, : max(e.shape[1] // 4 * 4, 1)].sum(axis=1, keepdims=True)
        ),
        fix="mask the last block, or add a loop for the rest",
    ),
    softmax_mistake(
        "one-block-only",
        "the classes after the first 1024 are left out of the sum",
        "A block has at most 1024 threads: with more classes each thread must sum several.",
        *(step for count in (1024, 512, 256) for step in first_classes(count)),
        fix="for n in range(thread, C, threads)",
    ),
    softmax_mistake(
        "padded-with-zeros",
        "the padding of the last block counts as outputs of 0",
        "exp(0) is 1: each padded place adds to the denominator. The padding must be −inf.",
        *map(padded_with_zeros, (4, None, 8, 16, 32, 64, 128, 256, 512, 1024)),
        fix="load with other=-inf",
    ),
    softmax_mistake(
        "sum-not-rescaled",
        "a running sum is not rescaled when the maximum grows",
        "Its terms are exp(z − m) with the old m.",
        sum_not_rescaled,
        fix=RESCALED,
    ),
    softmax_mistake(
        "sum-rescaled-the-wrong-way",
        "a running sum is rescaled by exp(m_new − m_old)",
        "A larger maximum makes the old terms smaller, not larger.",
        sum_rescaled_wrongly,
        fix=RESCALED,
    ),
]
