"""The examples that accuracy.py measures: families of logits, and targets for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Family = Callable[[np.random.Generator, Any], tuple[Array, int]]


def few_classes(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    classes = int(rng.integers(2, 11))
    return rng.normal(0, 3, classes), int(rng.integers(classes))


def uniform(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    return rng.normal(0, 0.5, 1000), int(rng.integers(1000))


def equal(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    classes = int(rng.choice([2, 3, 127, 128, 129, 1000, 4097]))
    return np.full(classes, rng.normal(0, 20)), int(rng.integers(classes))


def sure_and_right(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    z = rng.normal(0, 2, 300)
    z[7] = z.max() + rng.uniform(10, 60)
    return z, 7


def sure_and_wrong(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    z, _ = sure_and_right(rng, dtype)
    return z, 100


def nearly_tied(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    z = rng.normal(0, 2, 50)
    z[3] = z.max() + 5
    z[4] = z[3] * (1 - 4 * np.finfo(dtype).eps)
    return z, int(rng.choice([3, 4]))


def offset(size: float, grid: float) -> Family:
    """A common offset; the differences of the logits are multiples of `grid`, so they are exact."""

    def family(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
        z = np.round(rng.normal(0, 4 + grid, 200) / grid) * grid
        return z + rng.choice([-size, size]), int(rng.integers(200))

    return family


def spread(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    return rng.uniform(-80, 80, 500), int(rng.integers(500))


def masked(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    z = rng.normal(0, 5, 400)
    z[rng.random(400) < 0.7] = -np.inf
    z[11] = rng.normal(0, 5)
    return z, 11


def subnormal(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    """Losses and gradient entries below the least normal number."""
    lowest = np.log(np.finfo(dtype).smallest_subnormal)
    gap = rng.uniform(lowest, np.log(np.finfo(dtype).tiny), 5)
    return np.concatenate([[50.0], 50.0 + gap]), int(rng.choice([0, 0, 2]))


def vocabulary(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    """128k classes: a sum in one accumulator drifts. Few distinct values, for the reference."""
    z = np.round(rng.normal(0, 1.5, 1 << 17) * 16) / 16 + rng.normal()
    return z, int(rng.integers(z.size))


def sure_of_a_word(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    z, y = vocabulary(rng, dtype)
    z[y] += 30
    return z, y


def tied_in_a_vocabulary(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    """Two logits nearly tied above many equal ones, whose sum is long."""
    z = np.full(131072, rng.uniform(-1, 0))
    z[:2] = 9.0, 9.0 - rng.uniform(0, 0.01)
    return z, 1


FAMILIES: dict[str, Family] = {
    "2 to 10 classes": few_classes,
    "near uniform, C = 1000": uniform,
    "all equal, C ≤ 4097": equal,
    "sure and right: one logit 10–60 above": sure_and_right,
    "sure and wrong": sure_and_wrong,
    "two logits nearly tied": nearly_tied,
    "differences to ±80": spread,
    "offset ±1e4": offset(1e4, 2**-7),
    "offset ±1e8": offset(1e8, 8.0),
    "70 % masked by −inf": masked,
    "subnormal losses and entries": subnormal,
    "C = 131072": vocabulary,
    "C = 131072, sure and right": sure_of_a_word,
    "C = 131072, two nearly tied": tied_in_a_vocabulary,
}
LONG = {name for name in FAMILIES if "131072" in name}


def examples(family: str, dtype: Any, count: int, seed: int = 20) -> Iterator[tuple[Array, int]]:
    rng = np.random.default_rng([seed, list(FAMILIES).index(family)])
    for _ in range(min(count, 2) if family in LONG else count):
        z, y = FAMILIES[family](rng, dtype)
        yield z.astype(dtype), y


# --- targets with several coefficients, and weights --------------------------------------------


class Example(NamedTuple):
    logits: Array
    target: Any  # a class index, or probabilities
    options: dict[str, Any]


Mix = Callable[[np.random.Generator, Array, int], tuple[Any, dict[str, Any]]]


def eighths(rng: np.random.Generator, *shape: int) -> Any:
    """Weights that every type of logits holds exactly."""
    return rng.integers(1, 25, shape) / 8


def soft(rng: np.random.Generator, z: Array) -> Array:
    q = rng.dirichlet(np.ones(z.size))
    q[rng.random(z.size) < 0.2] = 0
    if not q.any():
        q[0] = 1
    return (q / q.sum()).astype(z.dtype)


def smoothed(rng: np.random.Generator, z: Array, y: int) -> tuple[Any, dict[str, Any]]:
    return y, {"label_smoothing": 0.1}


def weighted_and_smoothed(rng: np.random.Generator, z: Array, y: int) -> tuple[Any, dict[str, Any]]:
    return y, {"label_smoothing": 0.1, "weight": eighths(rng, z.size)}


def soft_target(rng: np.random.Generator, z: Array, y: int) -> tuple[Any, dict[str, Any]]:
    return soft(rng, z), {}


def soft_target_weighted(rng: np.random.Generator, z: Array, y: int) -> tuple[Any, dict[str, Any]]:
    return soft(rng, z), {"label_smoothing": 0.1, "weight": eighths(rng, z.size)}


def of_a_sample(rng: np.random.Generator, z: Array, y: int) -> tuple[Any, dict[str, Any]]:
    return y, {"sample_weight": eighths(rng)}


TARGETS: dict[str, Mix] = {
    "label smoothing 0.1": smoothed,
    "class weights, smoothing 0.1": weighted_and_smoothed,
    "soft targets": soft_target,
    "soft targets, class weights, smoothing 0.1": soft_target_weighted,
    "class index, sample weight": of_a_sample,
}
# The families that are measured with each target.
MIXED = [
    "2 to 10 classes",
    "near uniform, C = 1000",
    "sure and right: one logit 10–60 above",
    "differences to ±80",
    "offset ±1e4",
    "C = 131072",
]


def mixed_examples(target: str, family: str, dtype: Any, count: int) -> Iterator[Example]:
    rng = np.random.default_rng([21, list(TARGETS).index(target)])
    for z, y in examples(family, dtype, count):
        of, options = TARGETS[target](rng, z, y)
        yield Example(z, of, {"reduction": "sum", **options})
