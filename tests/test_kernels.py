"""The kernels of the table: right numbers, the same bits in any batch and layout, no memory touched
but what they are given. And the CPU kernel in a process with threads, forks and signals."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
import platform
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import ml_dtypes
import numpy as np
import pytest
import truth
from numpy.typing import NDArray
from tests.kernel_rows import (
    DTYPES,
    RICHEST,
    TARGETS,
    as_before,
    bits,
    filled,
    labels,
    of_rows,
    target_of,
)

import softmaxloss
from softmaxloss import formula
from softmaxloss.cli import main
from softmaxloss.kernels import HOST, KERNELS, Kernel, cpu, kernel_for, reference
from softmaxloss.labels import ClassProbabilities
from softmaxloss.options import Options
from softmaxloss.scores import Scores, empty_scores

__all__ = ["as_before"]

Array = NDArray[Any]

# Every length of the remainder loops, both sides of the blocks (64 and 128) and of what is short
# enough to be computed many rows at a time (48 and 96), and long rows.
CLASSES = [*range(1, 71), 95, 96, 97, 127, 128, 129, 130, 255, 256, 257, 1000, 4097]
ROWS = 37  # more than the 32 of a tile
CHUNK = 1 << 17  # a row is taken in chunks of so many classes
LONG = [10_001, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 333]
FEW_CLASSES = [1, 2, 10, 129, 1000, 4097]  # for the reference, which has no loops of its own


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.normal(0, 3, shape)


def peaked(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    z = rng.normal(0, 3, shape)
    z[np.arange(shape[0]), rng.integers(shape[1], size=shape[0])] += 40
    return z


def masked(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    z = rng.normal(0, 10, shape)
    z[rng.random(shape) < 0.6] = -np.inf
    return z  # some rows of few classes have nothing left: NaN


def tied(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.integers(-2, 2, shape).astype(float)


def far_away(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.choice([-1e8, 1e5, 7e4, 3e38], size=(shape[0], 1)) + rng.normal(0, 20, shape)


def subnormal(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Probabilities about the least numbers of float32 and of float64."""
    z = rng.choice([-90.0, -103.0, -710.0, -744.0], size=shape) + rng.normal(0, 2, shape)
    z[:, 0] = 0.0
    return z


def undefined(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    z = rng.normal(0, 3, shape)
    z[np.arange(shape[0]), rng.integers(shape[1], size=shape[0])] = rng.choice([np.nan, np.inf])
    return z


KINDS = [normal, peaked, masked, tied, far_away, subnormal, undefined]


NAMES = [module.rpartition(".")[2] for module in KERNELS[HOST]]


def kernel_named(name: str) -> Kernel:
    return cast(Kernel, import_module(f"softmaxloss.kernels.{name}"))


# Every level of every kernel, as "cpu avx2".
LEVELS = [f"{name} {level}" for name in NAMES for level in kernel_named(name).levels()]


@contextlib.contextmanager
def computing_with(kernel: str) -> Iterator[Kernel]:
    """Let one kernel of the table compute everything, at one level if it is named."""
    name, _, level = kernel.partition(" ")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KERNELS, HOST, tuple(m for m in KERNELS[HOST] if m.endswith(f".{name}")))
        if level:
            kernel_named(name).use_level(level)
        yield kernel_named(name)


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with computing_with(request.param) as chosen:
        yield chosen


each_kernel = pytest.mark.parametrize("kernel", NAMES, indirect=True)
each_level = pytest.mark.parametrize("kernel", LEVELS, indirect=True)


def combinations() -> list[Any]:
    """Every (dtype, kind, target). Not slow: normal logits with each dtype and target, and each
    kind of logits in float32 and float64 with the simplest and with the richest target."""
    found = []
    for dtype, kind, target in itertools.product(DTYPES, KINDS, TARGETS):
        wide = dtype in ("float32", "float64") and target in (TARGETS[0], TARGETS[-1])
        marks = () if kind is normal or wide else pytest.mark.slow
        name = f"{np.dtype(dtype).name}-{kind.__name__}-{target}"
        found.append(pytest.param(dtype, kind, target, id=name, marks=marks))
    return found


# --- the same bits ----------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "kind", "target"), combinations())
def test_same_bits_on_every_level(dtype: str, kind: Callable[..., Array], target: str) -> None:
    rng = np.random.default_rng(0)
    for classes in [*CLASSES, *(LONG if kind is normal else LONG[::4])]:
        with np.errstate(over="ignore"):
            z = kind(rng, (ROWS if classes < 4000 else 4, classes)).astype(dtype)
        y, options = target_of(target, rng, z.shape, dtype)
        results = []
        for level in cpu.levels():
            cpu.use_level(level)
            results.append(bits(*softmaxloss.cross_entropy_with_grad(z, y, **options)))
            if y.ndim == 1:
                results[-1] += bits(*softmaxloss.score(z, y))
        assert all(result == results[0] for result in results), f"C = {classes}"


def large_batch(dtype: str, classes: int, target: str) -> tuple[Array, Array, dict[str, Any]]:
    """A batch that is worth several threads."""
    rng = np.random.default_rng(1)
    z = rng.normal(0, 5, ((1 << 20) // classes + 3, classes)).astype(dtype)
    return (z, *target_of(target, rng, z.shape, dtype))


@pytest.mark.parametrize("target", ["index", RICHEST])
@pytest.mark.parametrize("classes", [3, 1000, 500_000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_number_of_threads(dtype: str, classes: int, target: str) -> None:
    z, y, options = large_batch(dtype, classes, target)
    results = []
    for threads in (1, 2, 3, 8):
        softmaxloss.set_num_threads(threads)
        results.append(bits(*softmaxloss.cross_entropy_with_grad(z, y, **options)))
        if y.ndim == 1:
            results[-1] += bits(*softmaxloss.score(z, y))
    assert all(result == results[0] for result in results)


@each_kernel
@pytest.mark.parametrize(("dtype", "kind", "target"), combinations())
def test_same_bits_in_any_batch(
    dtype: str, kind: Callable[..., Array], target: str, kernel: Kernel
) -> None:
    """A row alone, in a batch, in another order: what holds for one row holds for every batch."""
    rng = np.random.default_rng(2)
    every = CLASSES if kernel is cpu else FEW_CLASSES
    for classes in every if "soft" not in target else (5, 129):
        with np.errstate(over="ignore"):
            z = kind(rng, (ROWS, classes)).astype(dtype)
        y, options = target_of(target, rng, z.shape, dtype)
        per_row = {name: options.pop(name, None) for name in ("grad_output", "sample_weight")}

        def compute(rows: Any, z=z, y=y, per_row=per_row, options=options) -> list[bytes]:
            some = {name: values[rows] for name, values in per_row.items() if values is not None}
            return bits(*softmaxloss.cross_entropy_with_grad(z[rows], y[rows], **some, **options))

        whole = compute(slice(None))
        splits: list[list[Any]] = [[slice(0, 1), slice(1, ROWS)], [slice(0, 33), slice(33, ROWS)]]
        splits.append([*range(ROWS)] if classes < 10 or classes > 60 else [0, slice(1, ROWS)])
        for split in splits:
            parts = [compute(rows) for rows in split]
            assert [b"".join(part) for part in zip(*parts, strict=True)] == whole, f"C = {classes}"
        order = rng.permutation(ROWS)
        loss, grad = compute(order)
        for got, want in zip((loss, grad), whole, strict=True):
            size = len(want) // ROWS
            assert got == b"".join(want[i * size :][:size] for i in order)


@each_level
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_in_place_and_with_any_row_stride(
    dtype: str, target: str, kernel: Kernel
) -> None:
    rng = np.random.default_rng(3)
    for classes in (1, 2, 31, 64, 127, 300, 33_000):
        z = rng.normal(0, 5, (ROWS if classes < 4000 else 4, classes)).astype(dtype)
        y, options = target_of(target, rng, z.shape, dtype)
        loss, grad = softmaxloss.cross_entropy_with_grad(z, y, **options)
        for view in (z.copy(), np.pad(z, [(1, 1), (2, 3)])[1:-1, 2:-3], z[::-1].copy()[::-1]):
            around = view.base.copy() if view.base is not None else None
            in_place, result = softmaxloss.cross_entropy_with_grad(view, y, **options, out=view)
            assert result is view
            assert bits(in_place, view) == bits(loss, grad)
            if around is not None and around.shape != view.shape:
                inside = np.pad(np.ones(view.shape, bool), [(1, 1), (2, 3)])
                assert np.all(view.base[~inside] == around[~inside]), "wrote outside its rows"


def streamed() -> list[Any]:
    """Every (dtype, classes, level, lead, gap). Not slow: one level and one distance from a line of
    the caches for each dtype and number of classes, so that each level has all of the others."""
    found = []
    levels, distances = cpu.levels(), [(0, 0), (1, 0), (5, 3)]
    for i, dtype in enumerate(DTYPES):
        for j, classes in enumerate([10, 100, 1013, CHUNK + 5]):
            for k, level in enumerate(levels):
                for n, distance in enumerate(distances):
                    is_quick = (k, n) == ((i + j) % len(levels), (i + 2 * j) % len(distances))
                    marks = () if is_quick else pytest.mark.slow
                    found.append(pytest.param(dtype, classes, level, *distance, marks=marks))
    return found


@pytest.mark.parametrize(("dtype", "classes", "level", "lead", "gap"), streamed())
def test_same_bits_where_a_gradient_goes_past_the_caches(
    dtype: Any, classes: int, level: str, lead: int, gap: int
) -> None:
    """One of more than 16 MiB does, in whole lines of 64 bytes: here at several distances from such
    a line, with and without gaps between the rows, some rows left to other code."""
    cpu.use_level(level)
    softmaxloss.set_num_threads(2)
    rng = np.random.default_rng(3)
    rows = (17 << 20) // (classes * np.dtype(dtype).itemsize) + 1
    some = rng.normal(0, 3, (70, classes)).astype(dtype)
    some[3, 1] = np.nan
    y = rng.integers(classes, size=70)
    y[[5, 40]] = -100
    want = softmaxloss.cross_entropy_with_grad(some, y, reduction="none")[1].view(np.uint8)
    z, labels = some[np.arange(rows) % 70], y[np.arange(rows) % 70]
    memory = np.full(lead + rows * (classes + gap), 7, z.dtype)
    around = memory[lead:].reshape(rows, classes + gap)
    out = around[:, :classes]
    softmaxloss.cross_entropy_with_grad(z, labels, reduction="none", out=out)
    got = np.ascontiguousarray(out).view(np.uint8)
    whole = rows // 70 * 70
    assert (got[:whole].reshape(-1, *want.shape) == want).all()
    assert np.array_equal(got[whole:], want[: rows - whole])
    assert (memory[:lead] == 7).all()
    assert (around[:, classes:] == 7).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@each_level
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_without_a_softmax_is_seen_at_every_place(
    dtype: str, kernel: Kernel, bad: float
) -> None:
    """Quads, groups and the rest of a row each have a loop of their own: row i is bad at i."""
    for classes in (1, 2, 31, 40, 97, 131, 300):
        z = np.zeros((classes, classes), dtype)
        np.fill_diagonal(z, bad)
        y = np.full(classes, classes // 2)
        for target in (y, np.full(z.shape, 1 / classes)):
            loss, grad = softmaxloss.cross_entropy_with_grad(z, target, reduction="none")
            assert np.isnan(loss).all()
            assert np.isnan(grad).all()
        scores = softmaxloss.score(z, y)
        for numbers in (scores.loss, scores.probability, scores.entropy, scores.logsumexp):
            assert np.isnan(numbers).all()
        assert not scores.rank.any()
        assert (scores.predicted == -1).all()


@each_level
def test_reads_nothing_beyond_its_rows(kernel: Kernel) -> None:
    """Rows between NaNs: a number read beside a row shows."""
    rng = np.random.default_rng(4)
    for dtype in DTYPES:
        for classes in (1, 2, 15, 16, 17, 31, 33, 63, 65, 127, 129):
            z = rng.normal(0, 5, (ROWS, classes)).astype(dtype)
            padded = np.full((ROWS + 2, classes + 260), np.nan, dtype)
            padded[1:-1, 130:-130] = z
            y = np.arange(ROWS) % classes
            for target, smoothing in ((y, 0.0), (y, 0.1), (np.eye(classes)[y], 0.1)):
                got, want = (
                    softmaxloss.cross_entropy_with_grad(logits, target, label_smoothing=smoothing)
                    for logits in (padded[1:-1, 130:-130], z)
                )
                assert bits(*got) == bits(*want)


# --- right numbers ----------------------------------------------------------------------------


def close(
    got: Array, want: Array, dtype: Any, size: Array | float, lost: Array | float = 1.0
) -> bool:
    """Whether they agree to a few units in the last place of `size`, times `lost`; NaN and inf
    exactly."""
    info = ml_dtypes.finfo(dtype)
    few = {2: 1, 4: 2, 8: 8}[info.dtype.itemsize]
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(np.asarray(got, float) - want)
        allowed = (
            few * lost * np.maximum(np.abs(size) * float(info.eps), float(info.smallest_subnormal))
        )
        rounded = np.asarray(want).astype(dtype).astype(float)
        same = (np.asarray(got, float) == rounded) | (np.isnan(want) & np.isnan(got))
    return bool(np.all(same | (error <= allowed)))


def spread_of(x: Array, dtype: Any) -> float:
    """How many units float64 loses where `formula` rounds z_n − m before it takes exp."""
    finite = x[np.isfinite(x)]
    return 1 + float(np.ptp(finite)) / 2 if finite.size and dtype == "float64" else 1.0


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_numbers_of_the_formula(dtype: str, kind: Callable[..., Array], target: str) -> None:
    """Every kernel against `formula`, which takes one row at a time, in units in the last place."""
    rng = np.random.default_rng(6)
    for classes in (1, 2, 10, 65, 129):
        with np.errstate(over="ignore"):
            z = kind(rng, (ROWS, classes)).astype(dtype)
        rows, weight, s, options, factor = of_rows(target, rng, z.shape, dtype)
        if dtype == "float64" and kind is subnormal:
            factor[:] = 1.0  # what a larger one magnifies, `formula` has rounded
        want, lost = np.empty(ROWS), np.empty(ROWS)
        wanted, size = np.empty(z.shape), np.empty(z.shape)
        for i, x in enumerate(np.asarray(z, float)):
            y = rows.values[i] if rows.values.ndim == 1 else rows.values[i, :, 0]
            c = np.zeros(classes)
            if not np.array_equal(y, -100):
                of_row = 1.0 if s is None else s[i]
                c = formula.coefficients(y, classes, weight, options.label_smoothing, of_row)
            want[i], wanted[i] = formula.cross_entropy(x, c), formula.cross_entropy_grad(x, c)
            lost[i] = spread_of(x, dtype)
            one = np.count_nonzero(c) <= 1
            size[i] = np.abs(wanted[i]) if one else c.sum() * formula.softmax(x) + c
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            size, wanted = size * factor[:, None], wanted * factor[:, None]
        for name in NAMES:
            kernel = kernel_named(name)
            loss, grad = filled(kernel, z[:, :, None], rows, weight, s, options, factor)
            where = (name, classes)
            assert close(loss, want, loss.dtype, want, lost), where
            assert close(grad[:, :, 0], wanted, z.dtype, size, lost[:, None]), where


@each_kernel
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_scores_of_the_formula(dtype: str, kind: Callable[..., Array], kernel: Kernel) -> None:
    rng = np.random.default_rng(7)
    for classes in (1, 2, 10, 65, 129):
        with np.errstate(over="ignore"):
            z = kind(rng, (ROWS, classes)).astype(dtype)
        y = rng.integers(classes, size=ROWS)
        scores = empty_scores(y.shape, np.dtype("float64" if dtype == "float64" else "float32"))
        kernel.score(z[:, :, None], labels(y), scores)
        for i, x in enumerate(np.asarray(z, float)):
            got = Scores(*[array[i] for array in scores])
            a, label = formula.softmax(x), int(y[i])
            if np.isnan(a).any():
                assert (got.predicted, got.rank) == (-1, 0)
                assert np.isnan([got.loss, got.probability, got.entropy, got.logsumexp]).all()
                continue
            assert got.predicted == np.argmax(x)
            assert got.rank == 1 + np.count_nonzero(x > x[label])
            lost, logsumexp = spread_of(x, dtype), formula.logsumexp(x)
            for number, want, size in [
                (got.loss, formula.cross_entropy(x, label), None),
                (got.probability, a[label], None),
                (got.entropy, formula.cross_entropy(x, a), None),
                (got.logsumexp, logsumexp, abs(x.max()) + (logsumexp - x.max())),
            ]:
                unit = want if size is None else size
                assert close(number, np.array(want), scores.loss.dtype, unit, lost), (classes, i)


# --- sums over the examples, and factors near the ends of the range ----------------------------


@each_kernel
@pytest.mark.parametrize("rows", [2, 15, 16, 127, 1000, 4099])
@pytest.mark.parametrize("classes", [10, 52])
def test_sums_of_equal_losses_do_not_drift(kernel: Kernel, classes: int, rows: int) -> None:
    """Equal terms, added one after the other, are all rounded the same way: NumPy's sum of 127
    times ln 52 is off by 6 ulp, that of the weights 0.3 by as many."""
    z, y = np.zeros((rows, classes)), np.arange(rows) % classes
    sample_weight, weight = np.full(rows, 0.3), np.full(classes, 0.3)
    wide, big_endian = np.zeros((classes, rows)).T, y.astype(">i4")
    want = np.log(np.longdouble(classes))
    means = [
        softmaxloss.cross_entropy(z, y),
        softmaxloss.cross_entropy(wide, big_endian),
        softmaxloss.cross_entropy(z, y, sample_weight=sample_weight),
        softmaxloss.cross_entropy(wide, big_endian, sample_weight=sample_weight),
        softmaxloss.cross_entropy(z, y, weight=weight),
        softmaxloss.cross_entropy(wide, big_endian, weight=weight),
        softmaxloss.cross_entropy(z, np.eye(classes)[y], sample_weight=sample_weight),
    ]
    assert np.abs(np.array(means) - want).max() <= 2 * np.spacing(float(want)), means
    total = softmaxloss.cross_entropy(z, y, reduction="sum")
    assert abs(total - rows * want) <= 2 * np.spacing(total)


@each_kernel
def test_the_sum_of_a_kernel(kernel: Kernel) -> None:
    """Against Python's, which is exact."""
    rng = np.random.default_rng(3)
    for size in [1, 2, 15, 16, 17, 64, 1001]:
        values = np.exp(rng.normal(0, 20, size))
        assert kernel.sum(values) == math.fsum(values)
    assert kernel.sum(np.empty(0)) == 0
    assert kernel.sum(np.array([1.0, np.inf])) == np.inf
    assert np.isnan(kernel.sum(np.array([1.0, np.nan])))
    assert kernel.sum(np.full(2, 1e308)) == np.inf


EXTREME_FACTORS = [
    # The product of the upstream gradient and the weight overflows; the entries do not.
    ("float64", [0, 2], 1, 1e308, [1, 4], 0),
    ("float64", [0, 700], 1, -1e308, [1, 1e303], 0),
    ("float64", [0, 2, -1], 1, 1e308, [1, 4, 1], 0.125),
    ("float32", [0, 700], 1, 1e300, [1, 1e15], 0),
    # Both entries are made of a probability that is very small.
    ("float32", [0, -155], 0, 1e30, [1, 1], 0),
    ("float32", [0, -155], 1, 1e30, [1, 1], 0),
    ("float32", [0, -155, -156, -1000], 0, -1e30, [1, 1, 1, 1], 0),
    ("float64", [0, -740], 0, 1e200, [1e100, 1], 0),
    ("float64", [0, -740], 1, 1e-300, [1e300, 1], 0),
    # As large as the loops of usual factors take.
    ("float64", [0, -715], 0, 1e10, [1, 1], 0),
    ("float64", [0, -742, -743], 0, -1e30, [0.7, 0, 2], 0),
    ("float64", [0, -744], 0, 1.0, [1e100, 1], 0),
]


@pytest.mark.parametrize("weight", [1.0, 1e30, 1e200])
@each_kernel
def test_a_large_weight_of_a_tiny_loss(kernel: Kernel, weight: float) -> None:
    """The loss of the example alone has two digits at most; its product with a weight has all."""
    if kernel is reference:
        pytest.skip("a probability that float64 holds with few digits only")
    z = np.tile([0.0, -740.0, -742.0], (40, 1))
    want = truth.cross_entropy(z[:1], [0], sample_weight=[weight], reduction="sum").loss
    got = softmaxloss.cross_entropy(z, [0] * 40, sample_weight=[weight] * 40, reduction="none")
    assert truth.ulps(got[7], want, "float64") <= 4


@pytest.mark.parametrize(("dtype", "z", "y", "factor", "weight", "smoothing"), EXTREME_FACTORS)
@each_kernel
def test_gradients_of_extreme_factors(
    kernel: Kernel,
    dtype: str,
    z: list[float],
    y: int,
    factor: float,
    weight: list[float],
    smoothing: float,
) -> None:
    """An entry that the logits' dtype holds is right, whatever its factors are by themselves."""
    if kernel is reference and min(z) < -710:
        pytest.skip("a probability that float64 holds with few digits only")
    mp = pytest.importorskip("mpmath").mp
    with mp.workdps(60):
        exps = [mp.exp(mp.mpf(x)) for x in z]
        c = [w * mp.mpf(smoothing) / len(z) for w in weight]
        c[y] += (1 - mp.mpf(smoothing)) * weight[y]
        want = [
            mp.mpf(factor) * (sum(c) * e / sum(exps) - c_n) for e, c_n in zip(exps, c, strict=True)
        ]
        if smoothing == 0:
            want[y] = -sum(x for n, x in enumerate(want) if n != y)
        for rows in [1, 40]:
            logits, labels = np.tile(np.array(z, dtype), (rows, 1)), np.full(rows, y)
            _, grad = softmaxloss.cross_entropy_with_grad(
                logits, labels, weight=weight, label_smoothing=smoothing, reduction="sum",
                grad_output=factor,
            )  # fmt: skip
            for got, entry in zip(grad[-1], want, strict=True):
                unit = np.spacing(np.array(min(abs(entry), 1e308), dtype))
                assert abs(mp.mpf(float(got)) - entry) <= 4 * mp.mpf(float(unit)), (got, entry)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("classes", [1, 2, 5])
@each_kernel
def test_a_gradient_of_an_upstream_gradient_that_is_nan(
    kernel: Kernel, dtype: str, classes: int
) -> None:
    """NaN tells of an error elsewhere: no entry hides it, not even that of a single class."""
    for rows in [1, 40]:
        logits, labels = np.zeros((rows, classes), dtype), np.zeros(rows, int)
        _, grad = softmaxloss.cross_entropy_with_grad(logits, labels, grad_output=np.nan)
        assert np.isnan(grad).all()


# --- what a kernel is given -------------------------------------------------------------------


def test_every_kernel_of_the_table_has_the_functions_of_the_contract() -> None:
    wanted = [name for name in vars(Kernel) if not name.startswith("_")]
    for name in NAMES:
        for function in wanted:
            assert callable(getattr(kernel_named(name), function)), (name, function)


def test_logits_that_no_kernel_reads_are_converted() -> None:
    f4, f8, i8 = np.dtype("float32"), np.dtype("float64"), np.dtype("int64")
    assert kernel_for(f4) == (cpu, f4)
    assert kernel_for(i8) == (cpu, f8)
    assert kernel_for(f4.newbyteorder()) == (cpu, f4)


def test_the_next_kernel_of_the_table_is_used_where_the_first_reads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blind = types.ModuleType("blind")
    blind.supports = lambda dtype: False  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "blind", blind)
    monkeypatch.setitem(KERNELS, "none", ("blind", "softmaxloss.kernels.reference"))
    f8 = np.dtype("float64")
    assert kernel_for(np.dtype("int64"), "none") == (reference, f8)


@each_level
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_in_any_layout(dtype: Any, target: str, kernel: Kernel) -> None:
    """Logits, probabilities and gradient, (outer, classes, inner), with any strides."""
    rng = np.random.default_rng(8)
    outer, classes, inner = 5, 11, 7
    z = rng.normal(0, 5, (outer * inner, classes)).astype(dtype)
    z[3, 2] = np.nan
    rows, *others = of_rows(target, rng, z.shape, dtype)
    want = filled(kernel, z[:, :, None], rows, *others)

    def spread(values: Array) -> Iterator[Array]:
        """(rows, classes) values as (outer, classes, inner)."""
        shaped = values.reshape(outer, inner, classes)
        for order in ("C", "F", "between others"):
            if order == "between others":
                wide = np.full([2 * n + 1 for n in shaped.shape], 7, values.dtype)
                view = wide[1::2, 1::2, 1::2]
            else:
                view = np.empty(shaped.shape, values.dtype, order=order)  # type: ignore[arg-type]
            view[...] = shaped
            yield np.moveaxis(view, -1, 1)
        yield np.ascontiguousarray(np.moveaxis(shaped, -1, 1))

    loss = np.empty_like(want[0])
    soft = isinstance(rows, ClassProbabilities)

    def scored(x: Array) -> list[bytes]:
        numbers = np.dtype("float64" if dtype == "float64" else "float32")
        scores = empty_scores((outer * inner,), numbers)
        kernel.score(x, rows, scores)
        return bits(*scores)

    arrays = [z, z, rows.values[:, :, 0] if soft else z]
    for x, grad, q in zip(*map(spread, arrays), strict=True):
        given = ClassProbabilities(q, None) if soft else rows
        kernel.cross_entropy(x, given, *others, loss, None)
        assert bits(loss) == bits(want[0])
        assert soft or scored(x) == scored(z[:, :, None])
        for out in (grad, x):  # the gradient may overwrite the logits
            loss[...] = 0
            kernel.cross_entropy(x, given, *others, loss, out)
            assert bits(loss, np.moveaxis(out, 1, -1).reshape(z.shape)) == bits(
                want[0], want[1][:, :, 0]
            )
            whole = out if out.base is None else out.base
            between = np.count_nonzero(whole == 7) - np.count_nonzero(out == 7)
            assert between == whole.size - out.size, "wrote between its numbers"


def binding_arguments() -> dict[str, Any]:
    return {
        "logits": np.zeros((3, 4, 1), np.float32),
        "target": np.zeros(3, np.int64),
        "weight": None,
        "sample_weight": None,
        "options": Options(),
        "ignore_index": -100,
        "factor": 1.0,
        "loss": np.empty(3),
        "grad": np.empty((3, 4, 1), np.float32),
        "threads": 1,
    }


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("logits", np.zeros((4, 3, 1), np.float32)),
        ("logits", np.zeros((3, 4, 1), np.int32)),
        ("logits", np.zeros((3, 4), np.float32)),
        ("target", np.zeros(2, np.int64)),
        ("target", np.zeros((3, 1), np.int64)),
        ("target", np.zeros((3, 4, 1), np.int32)),
        ("target", np.zeros((3, 5, 1), np.float32)),
        ("target", np.zeros(6, np.int64)[::2]),
        ("weight", np.ones(3)),
        ("weight", np.ones(4, np.float32)),
        ("sample_weight", np.ones(2)),
        ("sample_weight", np.ones(3, np.float32)),
        ("factor", np.ones(2)),
        ("factor", np.ones(6)[::2]),
        ("loss", np.empty(2, np.float32)),
        ("loss", np.empty(3, np.float16)),
        ("loss", np.empty(6)[::2]),
        ("grad", np.empty((3, 3, 1), np.float32)),
        ("grad", np.empty((3, 4, 1), np.float64)),
        ("grad", np.empty((3, 4), np.float32)),
    ],
)
def test_no_call_reaches_beyond_its_arrays(name: str, bad: Array) -> None:
    """The last line of defence, in the extension itself: an error and no access."""
    cpu._cpu.cross_entropy(**binding_arguments())
    with pytest.raises(TypeError):
        cpu._cpu.cross_entropy(**{**binding_arguments(), name: bad})


@each_kernel
@pytest.mark.parametrize("classes", [5, 200, 3000])
@pytest.mark.parametrize("bad", [10**9, -(10**9), -1])
def test_a_label_outside_the_classes_reads_nothing_there(
    classes: int, bad: int, kernel: Kernel
) -> None:
    """Labels come checked, but another thread may change them before the kernel reads them."""
    z = np.random.default_rng(0).normal(size=(40, classes, 1))
    y = np.zeros(40, np.int64)
    want = np.empty(40)
    kernel.cross_entropy(z, labels(y), None, None, Options(), 1.0, want, None)
    y[[3, 39]] = bad
    loss, grad = np.empty(40), np.empty_like(z)
    kernel.cross_entropy(z, labels(y), None, None, Options(), 1.0, loss, grad)
    seen = y != bad
    assert np.array_equal(loss[seen], want[seen])
    assert np.isnan(loss[~seen]).all()
    assert np.isnan(grad[~seen]).all()
    assert np.isfinite(grad[seen]).all()
    scores = empty_scores((40,), np.dtype("float64"))
    kernel.score(z, labels(y), scores)
    assert np.array_equal(np.isnan(scores.loss), ~seen)
    assert np.array_equal(scores.rank == 0, ~seen)


@each_level
@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_of_ignored_rows_are_not_looked_at(dtype: Any, kernel: Kernel) -> None:
    """Whatever they are: loss, gradient and scores are 0, but predicted is −1."""
    z = np.random.default_rng(9).normal(size=(80, 20)).astype(dtype)
    z[1::4], z[2::4], z[3::4, 7] = np.nan, -np.inf, np.inf
    y = np.full(80, -100)
    for target in (y, np.where(np.arange(80) % 4 == 0, 3, y)):
        ignored = target == -100
        loss, grad = softmaxloss.cross_entropy_with_grad(z, target, reduction="none")
        assert not loss[ignored].any()
        assert not grad[ignored].any()
        scores = Scores(*[array[ignored] for array in softmaxloss.score(z, target)])
        assert (scores.predicted == -1).all()
        for numbers in scores._replace(predicted=np.zeros(1)):
            assert not numbers.any()
        assert (loss[~ignored] > 0).all()


def test_a_read_only_gradient_is_refused() -> None:
    arguments = binding_arguments()
    arguments["grad"].setflags(write=False)
    with pytest.raises(TypeError):
        cpu._cpu.cross_entropy(**arguments)


# --- levels and threads by name ----------------------------------------------------------------


def test_an_unknown_level() -> None:
    with pytest.raises(ValueError, match=r"^no instruction-set level 'sse9' on this processor; it"):
        cpu.use_level("sse9")


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2"])
def test_a_wrong_number_of_threads(threads: Any) -> None:
    with pytest.raises(ValueError, match=r"^the number of threads must be a positive integer, got"):
        softmaxloss.set_num_threads(threads)


def python(
    code: str, *arguments: str, timeout: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.parametrize("level", cpu.levels())
def test_a_level_by_environment(level: str) -> None:
    code = "from softmaxloss.kernels import cpu; print(cpu.level())"
    assert python(code, SOFTMAXLOSS_CPU=level).stdout.split() == [level]


def test_an_unknown_level_by_environment() -> None:
    """At the first call, so that a command line can report it in one line."""
    refused = f"no instruction-set level 'sse9' on this processor; it has {', '.join(cpu.levels())}"
    done = python("import softmaxloss as s; s.cross_entropy([0.0], 0)", SOFTMAXLOSS_CPU="sse9")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"ValueError: {refused}"

    run = "import sys; from softmaxloss.cli import main; sys.exit(main(sys.argv[1:]))"
    done = python(run, "explain", "1", "2", "--label", "1", SOFTMAXLOSS_CPU="sse9")
    assert (done.returncode, done.stderr) == (2, f"softmaxloss: error: {refused}\n")


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"SOFTMAXLOSS_NUM_THREADS": "3"}, 3),
        ({"SOFTMAXLOSS_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"SOFTMAXLOSS_NUM_THREADS": "", "OMP_NUM_THREADS": "5"}, 5),
        ({"SOFTMAXLOSS_NUM_THREADS": "", "OMP_NUM_THREADS": "4,2"}, 4),
    ],
)
def test_threads_by_environment(environment: dict[str, str], threads: int) -> None:
    code = "import softmaxloss; print(softmaxloss.get_num_threads())"
    assert python(code, **environment).stdout.split() == [str(threads)]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux")
def test_threads_by_default_are_the_processors_allowed() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "import softmaxloss; print(softmaxloss.get_num_threads())"
    )
    done = python(code, SOFTMAXLOSS_NUM_THREADS="", OMP_NUM_THREADS="")
    assert done.stdout.split() == ["1"]


# --- without the extension --------------------------------------------------------------------

BLOCKED = "import sys; sys.modules['softmaxloss.kernels.cpu._cpu'] = None\n"
COMMAND = "import sys; from softmaxloss.cli import main; sys.exit(main(sys.argv[1:]))"
LOSSES = """
import numpy as np, softmaxloss
from softmaxloss import kernels
z = np.random.default_rng(0).normal(0, 4, (40, 7))
y = np.arange(40) % 7
print(kernels.level(), softmaxloss.get_num_threads() > 0)
for dtype in ("float32", "float64", "float16", "int64", ">f4", "longdouble"):
    x = z.astype(dtype)
    loss, grad = softmaxloss.cross_entropy_with_grad(x, y, label_smoothing=0.1)
    print(dtype, loss.dtype, f"{loss:.5f}", grad.dtype, f"{np.abs(grad.astype(float)).sum():.3f}")
    s = softmaxloss.score(x, y)
    print(s.rank, s.predicted, f"{s.loss.sum():.4f} {s.entropy.sum():.4f}")
x = z.reshape(8, 5, 7).transpose(0, 2, 1)
print(f"{softmaxloss.cross_entropy(x, y.reshape(8, 5)):.9f}")
print(f"{softmaxloss.cross_entropy(z[0], 1):.9f}")
print(f"{softmaxloss.linear_cross_entropy(z, z[:5], y % 5):.9f}")
"""
TENSORS = """
import torch, softmaxloss.torch
y = torch.arange(40) % 7
for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
    z = torch.linspace(-4, 4, 280, dtype=torch.float64).sin().mul(9).reshape(40, 7).to(dtype)
    z.requires_grad_()
    softmaxloss.torch.cross_entropy(z, y, ignore_index=3).backward()
    print(dtype, f"{z.grad.double().abs().sum().item():.3f}", z.grad.dtype)
"""


@pytest.mark.parametrize("absent", ["blocked", "by SOFTMAXLOSS_CPU"])
@pytest.mark.parametrize("code", [LOSSES, TENSORS], ids=["NumPy", "PyTorch"])
def test_the_losses_without_the_extension(code: str, absent: str) -> None:
    if code is TENSORS:
        pytest.importorskip("torch")
    with contextlib.redirect_stdout(io.StringIO()) as want:
        exec(code, {})
    if absent == "blocked":
        got = python(BLOCKED + code)
    else:
        got = python(code, SOFTMAXLOSS_CPU="reference")
    assert got.returncode == 0, got.stderr
    if code is LOSSES:
        assert got.stdout.startswith("reference True\n")
    assert got.stdout.replace("reference", cpu.level()) == want.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "2", "1", "0.1", "-1.2", "--label", "2"],
        ["check", "{folder}/mine.py:loss", "--seed", "1"],
    ],
    ids=["explain", "check"],
)
def test_the_same_text_without_the_extension(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n\n\n"
        "def loss(z, y):\n    e = np.exp(-z)\n    return float(-np.log(e[y] / e.sum()))\n"
    )
    arguments = [argument.format(folder=tmp_path) for argument in arguments]
    code = main(arguments)
    want = capsys.readouterr().out
    got = python(BLOCKED + COMMAND, *arguments)
    everywhere = python(COMMAND, *arguments, SOFTMAXLOSS_CPU="reference")
    assert want
    assert (got.stdout, got.returncode) == (want, code), got.stderr
    assert (everywhere.stdout, everywhere.returncode) == (want, code)


def test_another_level_than_the_only_one_of_the_reference() -> None:
    reference.use_level("reference")
    with pytest.raises(ValueError, match=r"^no instruction-set level 'avx2' without the extension"):
        reference.use_level("avx2")


# --- in a process with threads, forks and signals ---------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_can_use_it() -> None:
    """As data loaders do: threads ran in the parent, the child is forked, and computes."""
    code = """
import multiprocessing, warnings
import numpy as np, softmaxloss
warnings.simplefilter("ignore", DeprecationWarning)  # fork in a process that had threads
softmaxloss.set_num_threads(4)
z = np.random.default_rng(0).normal(size=(4000, 1000))
y = np.arange(4000) % 1000

def loss(_):
    return float(softmaxloss.cross_entropy(z, y)).hex()

want = loss(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print([want] * 4 == pool.map(loss, range(4)), want == loss(0))
"""
    assert python(code).stdout.split() == ["True", "True"]


def test_many_python_threads_at_once() -> None:
    softmaxloss.set_num_threads(2)
    batches = [large_batch("float32", 50 + i, "index") for i in range(12)]

    def compute(batch: tuple[Array, Array, dict[str, Any]]) -> list[bytes]:
        z, y, options = batch
        return bits(*softmaxloss.cross_entropy_with_grad(z, y, **options))

    want = [compute(batch) for batch in batches]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(3):
            assert list(pool.map(compute, batches)) == want


def endless(rows: int) -> tuple[Array, Array]:
    """Many rows in the memory of one: a call as long as wanted."""
    return np.broadcast_to(np.zeros(1 << 15, np.float32), (rows, 1 << 15)), np.zeros(rows, np.uint8)


def test_other_python_threads_run_meanwhile() -> None:
    """A call of some tenths of a second: with the lock held, no other thread would tick in it."""
    softmaxloss.set_num_threads(1)
    logits, labels = endless(1 << 14)
    running, ticks = threading.Event(), 0

    def compute() -> None:
        running.set()
        softmaxloss.cross_entropy(logits, labels)
        running.clear()

    worker = threading.Thread(target=compute)
    worker.start()
    running.wait()
    while running.is_set():
        time.sleep(0.001)
        ticks += running.is_set()
    worker.join()
    assert ticks > 10


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(
    "call",
    [
        "cross_entropy(z, y)",
        "cross_entropy_with_grad(z[:1 << 13], y[:1 << 13], out=out, label_smoothing=0.1)",
        "score(z, y)",
    ],
)
def test_ctrl_c_ends_a_call(call: str) -> None:
    """The call would take minutes; the wait for its end is 10 s."""
    code = f"""
import signal, numpy as np, softmaxloss
from softmaxloss import cross_entropy, cross_entropy_with_grad, score
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the parent ignores it
rows = 1 << 23
z = np.broadcast_to(np.zeros(1 << 15, np.float32), (rows, 1 << 15))
y = np.zeros(rows, np.uint8)
out = np.empty((1 << 13, 1 << 15), np.float32)
print("ready", flush=True)
try:
    while True:
        {call}
        if "grad" not in {call!r}: raise SystemExit("it came to its end")
except KeyboardInterrupt:
    print("interrupted", softmaxloss.cross_entropy([0.0], 0))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(0.3)
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=10)
        finally:
            child.kill()
    assert out == "interrupted 0.0\n"


CALLS = """
import hashlib
import numpy as np, softmaxloss
for dtype in ("float32", "float64"):
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(size=(50, 300)) * 20, np.full((50, 300), -700.0)])
    z[50:, 0] = 37.0
    z[80:, 1:] = -60.0
    z = z.astype(dtype)
    y = np.arange(100) % 50
    y[50:] = 0
    for options in ({}, {"label_smoothing": 0.1}):
        before()
        results = softmaxloss.cross_entropy_with_grad(z, y, reduction="none", **options)
        results += softmaxloss.score(z, y)
        results += (softmaxloss.cross_entropy(z[80:], y[80:], reduction="none"),)
        after()
        print([hashlib.md5(np.asarray(r).tobytes()).hexdigest()[:8] for r in results])
"""
PLAIN = "before = after = lambda: None\n"


def test_flushing_subnormals_elsewhere_changes_nothing() -> None:
    """torch.set_flush_denormal sets the processor's mode for the whole thread."""
    pytest.importorskip("torch")
    flush = """
import torch
def before(): assert torch.set_flush_denormal(True)
def after(): torch.set_flush_denormal(False)
"""
    want = python(PLAIN + CALLS)
    got = python(flush + CALLS)
    assert got.returncode == 0, got.stderr
    assert want.stdout.count("\n") == 4
    assert got.stdout == want.stdout


def test_one_number_that_is_subnormal() -> None:
    """Also where it is rounded to float32 after the kernel's own time."""
    torch = pytest.importorskip("torch")
    z = np.array([[0.0, 100.0], [0.0, 101.0]], np.float32)
    want = [softmaxloss.cross_entropy(z[0], 1), softmaxloss.cross_entropy(z, [1, 1])]
    assert float(want[0]) == pytest.approx(math.exp(-100), rel=0.02)  # in units of 2^-149
    assert torch.set_flush_denormal(True)
    try:
        got = [softmaxloss.cross_entropy(z[0], 1), softmaxloss.cross_entropy(z, [1, 1])]
    finally:
        torch.set_flush_denormal(False)
    assert [x.tobytes() for x in got] == [x.tobytes() for x in want]


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="its number is glibc's"
)
def test_another_rounding_mode_changes_nothing() -> None:
    """And the mode is as it was, after the call."""
    upward = """
import ctypes
libm = ctypes.CDLL("libm.so.6")
def before(): libm.fesetround(0x800)
def after():
    assert libm.fegetround() == 0x800
    libm.fesetround(0)
"""
    want = python(PLAIN + CALLS)
    got = python(upward + CALLS)
    assert got.returncode == 0, got.stderr
    assert got.stdout == want.stdout


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("row", ["normal", "offset", "first chunk masked", "one far above", "nan"])
def test_threads_that_share_a_row_give_the_same_bits(dtype: str, row: str) -> None:
    """Rows beyond 2^19 classes are shared; the last chunk is not full, nor a multiple of lanes."""
    classes = 2**19 + 1003
    z = np.random.default_rng(0).normal(size=(1, classes)) * 5
    if row == "offset":
        z += 5e4 if dtype == "float16" else 1e6
    elif row == "first chunk masked":
        z[0, :CHUNK] = -np.inf
    elif row == "one far above":
        z[0, CHUNK + 70_000] = 6e4 if dtype == "float16" else 2e5
    elif row == "nan":
        z[0, -1] = np.nan
    z = z.astype(dtype)
    before = softmaxloss.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            softmaxloss.set_num_threads(threads)
            arrays = [*softmaxloss.cross_entropy_with_grad(z, [5]), *softmaxloss.score(z, [5])]
            results.append([np.asarray(a).tobytes() for a in arrays])
    finally:
        softmaxloss.set_num_threads(before)
    assert results[0] == results[1] == results[2]
