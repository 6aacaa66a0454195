"""The inputs on which a function is tried: few, and each for a reason.

Plain inputs are logits and labels. Four of them belong together: one example is the first of two,
and the two are given again with a common offset and with their classes in another order. Where the
mistake is not known, they show which properties of the loss fail.

Further inputs come with an option, an upstream gradient or an invalid label.

Any logits can be those of a linear layer: `layer_for` gives W and X with z = X·W exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np

from ..arrays import Array

About = Literal[
    "", "weight", "ignore_index", "label_smoothing", "reduction", "reg", "upstream", "bfloat16",
    "labels", "backward", "probability", "mask",
    "mask of outputs", "temperature",
]  # fmt: skip

#: The classes in "reordered": a permutation that is not its own inverse.
ORDER = [1, 2, 0]

#: The names of the plain inputs with extreme logits.
EXTREME = frozenset(
    {"large", "low", "mixed", "apart", "just apart", "far apart", "above", "far above"}
)


class Input(NamedTuple):
    """What a function is called with, and why."""

    name: str
    why: str
    z: Array  # the logits, (N, C)
    y: Array  # the labels, (N,)
    about: About = ""  # empty for a plain input; "bfloat16": the logits are rounded to it
    options: Mapping[str, Any] = {}  # keyword arguments
    upstream: Array | None = None  # the upstream gradient, (N,) or of a softmax (N, C); None: ones
    reg: float = 0.0  # the argument reg of f(W, X, y, reg)

    def examples(self) -> list[Input]:
        """The same for each example: z is (C,), and y a label."""
        return [self._replace(z=z, y=y) for z, y in zip(self.z, self.y, strict=True)]


def inputs_for(
    probabilities: bool, seed: int, dtype: Any = np.float64, small: bool = False, classes: int = 0
) -> list[Input]:
    """The plain inputs for functions of logits, or those for functions of probabilities.

    All of them have that number of classes, if it is not 0.
    """
    made = plain_inputs(seed, dtype, small)
    made = with_classes(made, classes) if classes else made
    return probability_inputs(made, dtype) if probabilities else made


def with_classes(inputs: Sequence[Input], classes: int) -> list[Input]:
    """The inputs with that number of classes, for code in which it is written.

    Where one has fewer, outputs below all others are added before the last class; where it has
    more, those before the last are left out. Inputs that are about their classes, or that have
    options, are left out.

    >>> made = with_classes(plain_inputs(0), 10)
    >>> {input.z.shape[1] for input in made}, made[0].y.tolist()
    ({10}, [0, 9, 3, 3, 1])
    """
    left_out = ("reordered", "odd", "many classes")
    return [
        _with_classes(input, classes)
        for input in inputs
        if input.name not in left_out and not input.options and input.about in ("", "reg")
    ]


def _with_classes(input: Input, classes: int) -> Input:
    z, last = input.z, input.z.shape[1] - 1
    more = max(classes - 1 - last, 0)
    step = 0.3 * (z.min(axis=1, keepdims=True) < z.max(axis=1, keepdims=True))
    below = z.min(axis=1, keepdims=True) - step * np.arange(1, more + 1)
    kept = min(last, classes - 1)
    wide = np.concatenate([z[:, :kept], below.astype(z.dtype), z[:, last:]], axis=1)
    y = np.where(input.y == last, classes - 1, np.minimum(input.y, kept - 1))
    return input._replace(z=wide, y=y)


def probability_inputs(inputs: Sequence[Input], dtype: Any = np.float64) -> list[Input]:
    """The plain inputs of which no probability underflows; their logits are log-probabilities.

    >>> z = probability_inputs(plain_inputs(0))[0].z
    >>> bool(np.allclose(np.exp(z).sum(axis=1), 1.0))
    True
    """
    made = []
    for input in inputs:
        z = input.z.astype(np.float64)
        z = z - z.max(axis=1, keepdims=True)
        z = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        same = input.name in ("shifted", "large", "low", "mixed")
        if z.min() > -60.0 and not same:
            made.append(input._replace(z=z.astype(dtype)))
    return made


def plain_inputs(seed: int, dtype: Any = np.float64, small: bool = False) -> list[Input]:
    """The plain inputs for a seed, rounded to the dtype: of the same kinds for each seed.

    Small: for a slow function. Those with many examples or classes have fewer, and some are left
    out.

    >>> [(input.name, input.z.shape) for input in plain_inputs(0)][:2]
    [('ordinary', (5, 7)), ('square', (6, 6))]
    """
    rng = np.random.default_rng(seed)

    def normal(rows: int, classes: int, scale: float = 2.0) -> Array:
        return rng.normal(0.0, scale, (rows, classes))

    ordinary = normal(5, 7)
    labels = np.array([0, 6, 3, 3, 1])
    # The true class is the likeliest in some rows and not in others, for every seed.
    for row, y in enumerate(labels):
        others = np.delete(np.arange(7), y)
        ordinary[row, y] = ordinary[row, others].max() + (1.0 if row % 2 else -1.5)

    mixed = normal(4, 5)
    mixed[1] += 1000.0
    mixed[2] -= 1000.0

    def apart(*gaps: float) -> Array:
        """In row i the true class is i, and its output lies this far below the largest."""
        z = normal(len(gaps), 6)
        for row, gap in enumerate(gaps):
            z[row, -1] = z[row].max() + gap
            z[row, row] = z[row, -1] - gap
        return z

    by_hand, of_each = normal(2, 3).round(1), np.array([2, 0])

    sure = normal(4, 5)
    sure_labels = np.array([4, 0, 2, 1])
    sure[np.arange(4), sure_labels] += 9.0

    # Far enough above the others, and above their mean, that exp overflows, and exp of its negative
    # does not yet underflow.
    above = rng.uniform(-1.0, 1.0, (1, 300))
    above[0, -1] = 91.0 if np.dtype(dtype) == np.float32 else 714.0

    many, classes = (70, 130) if small else (1100, 2100)

    made = [
        Input("ordinary", "N ≠ C; labels 0, C − 1 and a repeat", ordinary, labels),
        Input("square", "N = C, where a wrong axis raises no error", normal(6, 6),
              np.array([5, 0, 2, 2, 4, 1])),
        Input("multiple of 4", "C = 8, where blocks leave no rest", normal(3, 8),
              np.array([7, 2, 5])),
        Input("sure", "confident and correct predictions", sure, sure_labels),
        Input("equal outputs", "a = 1/C", np.zeros((3, 5)), np.array([4, 0, 1])),
        Input("two examples", "small enough to compute by hand", by_hand, of_each),
        Input("one example", "N = 1, the first of those two", by_hand[:1], of_each[:1]),
        Input("shifted", "those two with 8 added to every output", by_hand + 8.0, of_each),
        Input("reordered", "those two with the classes in another order", by_hand[:, ORDER],
              np.argsort(ORDER)[of_each]),
        Input("two classes", "C = 2, and many more examples", normal(40, 2),
              rng.permutation(40) % 2),
        Input("odd", "C = 33, one more than a block", normal(3, 33), np.array([32, 0, 17])),
        Input("many examples", f"N = {many}, more than a block of rows", normal(many, 3),
              rng.permutation(many) % 3),
        Input("many classes", f"C = {classes}, more than a block of threads", normal(2, classes),
              np.array([classes - 1, classes // 4])),
        Input("large", "all outputs near 1000", 1000.0 + normal(3, 5), np.array([4, 0, 2])),
        Input("low", "all outputs near −1000", normal(2, 5) - 1000.0, np.array([1, 3])),
        Input("mixed", "a row near 1000, one near −1000", mixed, np.array([3, 4, 0, 1])),
        Input("apart", "true classes 14 and more below the largest output",
              apart(14.0, 17.0, 30.0, 50.0), np.arange(4)),
        Input("just apart", "the true class 17 below the largest output", apart(17.0),
              np.array([0])),
        Input("far apart", "true classes 1000 and 120 below the largest output",
              apart(1000.0, 120.0), np.arange(2)),
        Input("above", "a true class just too far above the others for exp", above,
              np.array([299])),
        Input("far above", "a true class 1000 above the others", apart(1000.0), np.array([5])),
    ]  # fmt: skip
    left_out = ("multiple of 4", "equal outputs", "odd", "low", "just apart") if small else ()
    kept = [input for input in made if input.name not in left_out]
    return [input._replace(z=input.z.astype(dtype)) for input in kept]


def option_inputs(seed: int, dtype: Any = np.float64, classes: int = 0) -> list[Input]:
    """The inputs with an option, an upstream gradient, a penalty or an invalid label; with a number
    of classes, those that can have it."""
    rng = np.random.default_rng([seed, 1])
    z = rng.normal(0.0, 2.0, (5, 4)).round(1).astype(dtype)
    y = np.array([0, 2, 3, 2, 1])
    # Each class has one example, except class 2, which is also the class that is ignored.
    weight = np.array([0.5, 2.0, 1.25, 3.0], dtype)
    # With one decimal two penalties may be equal by chance, such as Σ|W|/N and ΣW.
    decimals = np.random.default_rng([seed, 2]).normal(0.0, 2.0, z.shape).round(4).astype(dtype)
    not_finite = z.copy()
    not_finite[1] = np.nan
    padded = np.array([0, -100, 3, 2, 1])
    upstream = rng.permutation([0.5, -1.0, 2.0, 3.0, 1.5]).astype(dtype)

    def option(
        about: About, value: Any, why: str, z: Array = z, y: Array = y, more: str = ""
    ) -> Input:
        return Input(f"{about}{more}", why, z, y, about, {about: value})

    made = [
        option("weight", weight, "a weight for each class"),
        option("ignore_index", 2, "two of five examples are ignored"),
        option("ignore_index", -100, "the label of a row is -100", y=padded, more=", -100"),
        option("ignore_index", 0, "class 0 is ignored", more=", 0"),
        option("ignore_index", 2, "NaN in an ignored row", not_finite, more=", NaN"),
        option("ignore_index", 2, "all rows are ignored", z[:3], np.full(3, 2), ", all"),
        option("label_smoothing", 0.1, "0.1"),
        option("reduction", "mean", "the mean of the losses", more="='mean'"),
        option("reduction", "sum", "the sum of the losses", more="='sum'"),
        option("reduction", "none", "the loss of each example", more="='none'"),
        option("mask", np.array([True, True, False, True, False, False]),
               "the second sequence has one word",
               rng.normal(0.0, 2.0, (6, 4)).round(1).astype(dtype), np.array([3, 0, 2, 1, 0, 2])),
        Input("mask of outputs", "some outputs of each example do not count", z, y,
              "mask of outputs", {"mask": (np.arange(20).reshape(5, 4) % 7 > 2)}),
        Input("temperature", "2", z, y, "temperature", {"temperature": 2.0}),
        Input("reg", "0.7", decimals, y, "reg", reg=0.7),
        Input("reg 0", "0: what is without regularisation", decimals, y, "reg"),
        Input("upstream", "an upstream gradient that is not 1", z, y, "upstream",
              upstream=upstream),
        Input("upstream of each", "an upstream gradient for each example", z, y, "upstream",
              {"reduction": "none"}, upstream),
        Input("bfloat16", "512 equal outputs", np.zeros((2, 512), dtype), np.array([0, 511]),
              "bfloat16"),
        Input("label -1", "an invalid label", z, np.array([0, 2, -1, 2, 1]), "labels"),
        Input("label C", "an invalid label", z, np.array([0, 2, 4, 2, 1]), "labels"),
        Input("probability 0", "the true class has probability 0",
              np.log(np.array([[1.0, 0.5, 0.25, 0.25]])) - [[np.inf, 0.0, 0.0, 0.0]],
              np.array([0]), "probability"),
        Input("backward", "an upstream gradient for each probability", z, y, "backward",
              upstream=rng.normal(0.0, 1.0, z.shape).round(2).astype(dtype)),
    ]  # fmt: skip
    return with_classes(made, classes) if classes else made


def sequence_shape(rows: int) -> tuple[int, int]:
    """B and T with B·T examples, as near to a square as it is possible.

    >>> sequence_shape(6), sequence_shape(40), sequence_shape(5)
    ((2, 3), (5, 8), (1, 5))
    """
    sequences = next(b for b in range(int(rows**0.5), 0, -1) if rows % b == 0)
    return sequences, rows // sequences


def image_shape(rows: int) -> tuple[int, int, int]:
    """B, H and W with B·H·W examples, one for each pixel; B is that of `sequence_shape`.

    >>> image_shape(6), image_shape(40)
    ((2, 1, 3), (5, 2, 4))
    """
    images, pixels = sequence_shape(rows)
    return (images, *sequence_shape(pixels))


UNUSED = 1  # the feature that is 0 everywhere


@cache
def _row_scales(rows: int, dtype: Any) -> Array:
    """The power of two by which X scales each example, as a column."""
    return np.resize([2.0, -1.0, 0.5, -4.0, 1.0], rows)[:, None].astype(dtype)


def _moved(rows: Array) -> Array:
    """The rows in the places of the features: the last one first, and one of zeros."""
    moved = np.zeros((len(rows) + 1, *rows.shape[1:]), rows.dtype)
    moved[0], moved[UNUSED + 1 :] = rows[-1], rows[:-1]
    return moved


def layer_for(z: Array) -> tuple[Array, Array]:
    """W, (N + 1, C), and X, (N, N + 1), with X·W = z exactly.

    X moves the examples to other rows, each times a power of two, and has a column of zeros. So it
    is not square, has negative entries, and its transpose is not its inverse.
    """
    rows, scale = len(z), _row_scales(len(z), z.dtype)
    features = np.zeros((rows, rows + 1), z.dtype)
    places = _moved(np.arange(rows)[:, None])[:, 0]
    used = np.delete(np.arange(rows + 1), UNUSED)
    features[places[used], used] = scale[places[used], 0]
    return _moved(z / scale), features


def gradient_wrt_weights(gradient: Array) -> Array:
    """∂J/∂W = Xᵀ·∂J/∂z, for the X of `layer_for`, from ∂J/∂z."""
    return _moved(gradient * _row_scales(len(gradient), np.result_type(gradient, np.float32)))
