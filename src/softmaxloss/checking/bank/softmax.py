"""Mistakes in the probabilities."""

from collections.abc import Callable
from functools import partial

import numpy as np

from ..reference import softmax
from .log import EPSILONS
from .mistake import Array, wrong_step

Step = tuple[Array, Array]  # what a step returns: the probabilities a, (N, C), and log a


def shifted(z: Array) -> Array:
    return z - z.max(axis=1, keepdims=True)


def with_log(a: Array) -> Step:
    return a, np.log(a)


def with_exp(log_a: Array) -> Step:
    return np.exp(log_a), log_a


def log_sum(z: Array) -> Array:
    """log Σ exp z of each row, as a column."""
    m = z.max(axis=1, keepdims=True)
    return m + np.log(np.exp(z - m).sum(axis=1, keepdims=True))


def normalised(e: Array) -> Step:
    return with_log(e / e.sum(axis=1, keepdims=True))


def other_offset(offset: Callable[[Array], Array]) -> list[Callable[[Array], Step]]:
    """exp(z) is taken after subtracting something else than the maximum of each row: the log of the
    quotient, and the difference of the logs."""

    def of_difference(z: Array) -> Step:
        moved = z - offset(z)
        return with_exp(moved - np.log(np.exp(moved).sum(axis=1, keepdims=True)))

    return [lambda z: normalised(np.exp(z - offset(z))), of_difference]


def unshifted_plus(epsilon: float) -> Callable[[Array], Step]:
    """exp(z) with nothing subtracted, and ε added to its sum: against 0 / 0, but not inf / inf."""

    def step(z: Array) -> Step:
        e = np.exp(z)
        return with_log(e / (e.sum(axis=1, keepdims=True) + z.dtype.type(epsilon)))

    return step


def changed(change: Callable[[Array], Array]) -> Callable[[Array], Step]:
    """Softmax of something else than z."""
    return lambda z: softmax(change(z))


BOUNDS = (500, 5, 10, 15, 20, 30, 50, 80, 88, 100, 200, 250, 300, 600, 700, 709, 1000)
TEMPERATURES = (2, 0.1, 0.2, 0.25, 1.5, 3, 4, 5, 8, 10, 20, 50, 100)


SOFTMAX = (
    "z = z - z.max(axis=1, keepdims=True); a = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)"
)
softmax_mistake = partial(
    wrong_step,
    "softmax",
    fixes=(SOFTMAX, "e = np.exp(z[i] - z[i].max()); a = e / e.sum()   # for each example i"),
)
# Instead, and in a loop over the examples.
MAX_OF_ROWS = (
    "z.max(axis=1, keepdims=True), the maximum of each row",
    "z[i].max(), the maximum of the row",
)

MISTAKES = [
    softmax_mistake(
        "exp-minus-z",
        "exp(−z) for exp(z)",
        "The largest output then gets the smallest probability: the least likely class wins.",
        lambda z: softmax(-z),
        # Automatic differentiation of that loss has the minus as well.
        {"softmax": lambda z: softmax(-z), "gradient": lambda a, q: q - a},
        fix="e = np.exp(z - z.max(axis=1, keepdims=True))   # no minus before z",
    ),
    softmax_mistake(
        "no-max",
        "the maximum is not subtracted before exp",
        "exp overflows above 709 (float64) or 88 (float32), and inf / inf is NaN.",
        *other_offset(np.zeros_like),
        *map(unshifted_plus, (1e-5, *EPSILONS)),
    ),
    softmax_mistake(
        "one-max-for-the-batch",
        "one maximum for the whole batch instead of one per row",
        "A row far below the largest output of another row underflows to 0 / 0.",
        *other_offset(lambda z: z.max()),
        fixes=MAX_OF_ROWS,
    ),
    softmax_mistake(
        "max-of-columns",
        "the maximum is taken over the examples instead of the classes",
        "The same number must be subtracted from all classes of a row, or the odds change.",
        *other_offset(lambda z: z.max(axis=0)),
        fixes=MAX_OF_ROWS,
    ),
    softmax_mistake(
        "not-the-maximum",
        "the mean, the first output, … is subtracted instead of the maximum of the row",
        "exp then overflows where one output is far above it, or every exp underflows to 0.",
        *other_offset(lambda z: z[:, :1]),
        *other_offset(lambda z: z.mean(axis=1, keepdims=True)),
        *other_offset(lambda z: z.min(axis=1, keepdims=True)),
        *other_offset(lambda z: np.abs(z).max(axis=1, keepdims=True)),
        fixes=MAX_OF_ROWS,
    ),
    softmax_mistake(
        "logits-clipped",
        "the outputs are clipped before exp",
        "Outputs beyond the bound become equal and learn nothing. Subtract the maximum instead.",
        *(changed(partial(np.clip, a_min=-bound, a_max=bound)) for bound in BOUNDS),
    ),
    softmax_mistake(
        "temperature",
        "the outputs are divided by a constant before softmax",
        "That is a temperature: it changes every probability.",
        *(changed(partial(np.multiply, 1 / t)) for t in TEMPERATURES),
        fix="softmax of z itself",
    ),
    softmax_mistake(
        "takes-probabilities",
        "the outputs are used as probabilities: softmax is missing",
        "−log z_y is not a loss of the outputs, and is NaN for outputs below 0.",
        lambda z: with_log(z.copy()),
        fix="a = softmax(z) first; or check a function that takes z",
    ),
    softmax_mistake(
        "softmax-twice",
        "softmax is applied twice",
        "Softmax of probabilities is nearly uniform: the loss never falls below log(1 + (C−1)/e).",
        changed(lambda z: softmax(z)[0]),
        fix="pass the logits to the loss, before any softmax",
    ),
    softmax_mistake(
        "no-exp",
        "z / Σ z: exp is missing",
        "Outputs may be negative; exp makes them positive.",
        normalised,
        lambda z: with_exp(z - np.log(z.sum(axis=1, keepdims=True))),
        lambda z: normalised(shifted(z)),
        lambda z: normalised(np.abs(shifted(z))),
        lambda z: with_log(shifted(z) / np.exp(shifted(z)).sum(axis=1, keepdims=True)),
        lambda z: with_log(z / np.exp(z).sum(axis=1, keepdims=True)),
    ),
    softmax_mistake(
        "sigmoid-for-softmax",
        "a sigmoid of each output instead of softmax",
        "Sigmoids answer yes or no for each class separately; they do not sum to 1.",
        lambda z: (1 / (1 + np.exp(-z)), -np.logaddexp(0, -z)),
    ),
    softmax_mistake(
        "sigmoid-before-softmax",
        "a sigmoid before softmax",
        "Softmax takes the outputs as they are; of numbers in [0, 1] it is nearly uniform.",
        changed(lambda z: 1 / (1 + np.exp(-z))),
        fix="leave the sigmoid out",
    ),
    softmax_mistake(
        "relu-before-softmax",
        "negative outputs are set to 0 before softmax",
        "The last layer has no ReLU: an output below 0 is an unlikely class.",
        changed(lambda z: np.maximum(z, 0)),
        fix="leave the ReLU out after the last layer",
    ),
    softmax_mistake(
        "absolute-value",
        "the absolute value of the outputs",
        "An output of −5 is an unlikely class, not as likely as 5.",
        changed(np.abs),
    ),
    softmax_mistake(
        "squared-exponentials",
        "exp(z)²: the exponentials are squared",
        "That is the softmax of 2z, which is too confident.",
        lambda z: normalised(np.exp(shifted(z)) ** 2),
    ),
    softmax_mistake(
        "divided-by-the-largest",
        "the outputs are divided by their maximum instead of subtracting it",
        "A difference cancels in the quotient; a factor changes the odds.",
        changed(lambda z: z / z.max(axis=1, keepdims=True)),
        fix="z - z.max(axis=1, keepdims=True)   # minus, not divided by",
    ),
    softmax_mistake(
        "normalised-logits",
        "the outputs of a row are scaled to length 1 before softmax",
        "The size of the outputs says how confident the model is.",
        changed(lambda z: z / np.sqrt((z * z).sum(axis=1, keepdims=True))),
        fix="leave the scaling out",
    ),
    softmax_mistake(
        "two-to-the-z",
        "2 to the power of z instead of e to the power of z",
        "A kernel that uses exp2 must first multiply z by log2(e).",
        changed(lambda z: z * np.log(2.0)),
        fix="np.exp2(z * np.log2(np.e))",
    ),
]
