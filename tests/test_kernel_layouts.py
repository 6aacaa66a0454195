"""The CPU kernel on memory as it lies: the same bits as from contiguous rows at the baseline level,
whatever the layout of each array, the level and the number of threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.kernel_rows import DTYPES, RICHEST, TARGETS, as_before, bits, filled, of_rows

import softmaxloss
from softmaxloss.kernels import cpu
from softmaxloss.labels import ClassIndices, ClassProbabilities
from softmaxloss.scores import empty_scores

__all__ = ["as_before"]

Array = NDArray[Any]
Shape = tuple[int, int, int]  # outer, classes, inner
# (memory that holds more than the array, the array in it)
Layout = Callable[[Shape], tuple[tuple[int, ...], Callable[[Array], Array]]]

LAYOUTS: dict[str, Layout] = {
    "channels": lambda s: (s, lambda m: m),
    "channels last": lambda s: ((s[0], s[2], s[1]), lambda m: m.transpose(0, 2, 1)),
    "slices of rows": lambda s: (
        (s[0], s[2], s[1] + 5),
        lambda m: m[:, :, 2:-3].transpose(0, 2, 1),
    ),
    "part of a picture": lambda s: ((s[0], s[1], s[2] + 3), lambda m: m[:, :, 1:-2]),
    "transposed": lambda s: ((s[1], s[0], s[2]), lambda m: m.transpose(1, 0, 2)),
    "inner axis first": lambda s: ((s[2], s[1], s[0]), lambda m: m.T),
    "between others": lambda s: (
        (2 * s[0] + 1, 2 * s[1] + 1, 2 * s[2] + 1),
        lambda m: m[1::2, 1::2, 1::2],
    ),
    "backwards": lambda s: (s, lambda m: m[::-1, ::-1, ::-1]),
}
# Both sides of where tiles, batches and copies end: 127 and 2048 float32, 63 and 1024 float64.
CLASSES = [2, 31, 32, 63, 64, 127, 128, 129, 256, 512, 513, 1024, 1025, 2048, 2049]
INNER = [1, 3, 15, 16, 31, 33, 64, 100]


class Placed:
    """Rows (rows, classes) as an array (outer, classes, inner) in some layout, NaN around it."""

    def __init__(self, name: str, rows: Array, outer: int) -> None:
        shape = (outer, rows.shape[1], rows.shape[0] // outer)
        size, view = LAYOUTS[name](shape)
        self.memory = np.full(size, np.nan, rows.dtype)
        self.array = view(self.memory)
        self.array[...] = rows.reshape(outer, shape[2], shape[1]).transpose(0, 2, 1)
        inside = np.zeros(size, bool)
        view(inside)[...] = True
        self.outside = ~inside
        self.before = self.memory[self.outside].tobytes()

    def rows(self) -> Array:
        return np.ascontiguousarray(self.array.transpose(0, 2, 1)).reshape(-1, self.array.shape[1])

    def is_alone(self) -> bool:
        """Whether nothing was written beside the array."""
        return self.memory[self.outside].tobytes() == self.before


class Call:
    """The rows of one call, and what they give contiguously, at the baseline level."""

    def __init__(self, dtype: Any, target: str, classes: int, outer: int, inner: int) -> None:
        rng = np.random.default_rng(classes * 1000 + inner)
        self.outer = outer
        self.z = rng.normal(0, 5, (outer * inner, classes)).astype(dtype)
        self.z[1, classes // 2] = np.nan
        self.z[2, : classes // 2] = -np.inf
        self.target, *self.others = of_rows(target, rng, self.z.shape, dtype)
        self.q: Array | None = None
        if isinstance(self.target, ClassProbabilities):
            # Numbers of 8 bits, so that every dtype holds them.
            self.q = rng.integers(0, 1 << 8, self.z.shape) / (1 << 11)
            plain = self.q.astype("float64" if dtype == "float64" else "float32")
            self.target = ClassProbabilities(plain[:, :, None], None)
        cpu.use_level("baseline")
        softmaxloss.set_num_threads(1)
        loss, grad = filled(cpu, self.z[:, :, None], self.target, *self.others)
        self.loss, self.grad = bits(loss), bits(grad[:, :, 0])
        self.numbers = loss.dtype
        self.scores = self.scored(self.z[:, :, None])

    def scored(self, x: Array) -> list[bytes]:
        if self.q is not None:
            return []
        scores = empty_scores((len(self.z),), self.numbers)
        cpu.score(x, self.target, scores)
        return bits(*scores)

    def check(self, names: tuple[str, str, str], q_dtype: Any, where: Any) -> None:
        """With logits, gradient and probabilities in these layouts."""
        x, grad = (Placed(name, self.z, self.outer) for name in names[:2])
        target = self.target
        if self.q is not None:
            q = Placed(names[2], self.q.astype(q_dtype), self.outer).array
            target = ClassProbabilities(q if q.dtype.kind == "f" else q.view(np.uint16), None)
        assert self.scored(x.array) == self.scores, where
        loss = np.empty(len(self.z), self.numbers)
        for out in (None, grad, x):  # the gradient may overwrite the logits
            loss[...] = 7
            cpu.cross_entropy(x.array, target, *self.others, loss, out.array if out else None)
            assert bits(loss) == self.loss, where
            if out:
                assert bits(out.rows()) == self.grad, where
                assert out.is_alone(), where


# How far the layouts of the gradient and of the probabilities are from that of the logits, in
# LAYOUTS.
OTHERS = [(0, 0), (-3, -2)]


def check_layouts(call: Call, names: Iterable[str], where: Any, only: int | None = None) -> None:
    """The gradient in the layout of the logits and in another one; or, from one layout and level to
    the next, in one of the two."""
    every = list(LAYOUTS)
    types = itertools.cycle(DTYPES)
    softmaxloss.set_num_threads(1)
    for k, level in enumerate(cpu.levels()):
        cpu.use_level(level)
        for name in names:
            i = every.index(name)
            for n, (of_grad, of_q) in enumerate(OTHERS):
                layouts = (name, every[i + of_grad], every[i + of_q])
                q_dtype = next(types)
                if only is None or (i + k + only) % 2 == n:
                    call.check(layouts, q_dtype, (*where, level, layouts, q_dtype))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_in_any_layout(dtype: Any, target: str) -> None:
    """Each number of classes with one size of the inner axis, each layout of logits at each level
    with one of the gradient, and many classes with some layouts, others for each dtype and target;
    the slow test has all."""
    shift = TARGETS.index(target) + DTYPES.index(dtype)
    for i, classes in enumerate(CLASSES):
        inner = INNER[(i + shift) % len(INNER)]
        call = Call(dtype, target, classes, 2 if inner > 3 else 5, inner)
        step = 4 if classes > 1000 else 2 if classes > 200 else 1
        names = list(LAYOUTS)[(i + shift) % step :: step]
        check_layouts(call, names, (classes, inner), only=i // 2 + shift)


@pytest.mark.slow
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_in_every_layout(dtype: Any, target: str, inner: int) -> None:
    for classes in CLASSES:
        call = Call(dtype, target, classes, 2 if inner > 3 else 5, inner)
        check_layouts(call, LAYOUTS, (classes, inner))


def threaded() -> list[Any]:
    """Every (dtype, classes, inner, target). Not slow: one target for each dtype and size, so that
    each dtype and each size has all targets."""
    found = []
    targets = ["index", "smoothed", RICHEST]
    for i, dtype in enumerate(DTYPES):
        for j, size in enumerate([(31, 100), (127, 33), (300, 64), (2049, 16)]):
            for n, target in enumerate(targets):
                marks = () if n == (i + j) % len(targets) else pytest.mark.slow
                found.append(pytest.param(dtype, *size, target, marks=marks))
    return found


@pytest.mark.parametrize(("dtype", "classes", "inner", "target"), threaded())
def test_same_bits_for_any_number_of_threads(
    dtype: Any, classes: int, inner: int, target: str
) -> None:
    """Of batches that are worth three threads."""
    call = Call(dtype, target, classes, 300_000 // (classes * inner) + 1, inner)
    cpu_level = cpu.levels()[-1]
    cpu.use_level(cpu_level)
    for i, name in enumerate(LAYOUTS):
        softmaxloss.set_num_threads(2 + i % 2)
        call.check((name, name, name), "float32", (name,))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_repeated_rows_columns_and_numbers(dtype: Any, target: str) -> None:
    """Inputs with stride 0, as numpy.broadcast_to makes them."""
    for classes, inner in itertools.product((1, 31, 130, 3000), (1, 16, 33)):
        outer = 4 if inner == 1 else 3
        call = Call(dtype, target, classes, outer, inner)
        shape = (outer, classes, inner)
        for axes in ((0,), (1,), (2,), (0, 2), (0, 1, 2)):
            small = [1 if axis in axes else n for axis, n in enumerate(shape)]
            rng = np.random.default_rng(9)
            x = np.broadcast_to(rng.normal(0, 3, small).astype(dtype), shape)
            dtype_of_q = "float64" if dtype == "float64" else "float32"
            if call.q is not None:
                q = np.broadcast_to(rng.integers(0, 9, small).astype(dtype_of_q), shape)
            results = []
            for copy in (np.asarray, np.ascontiguousarray):
                given: Any = call.target
                if call.q is not None:
                    given = ClassProbabilities(copy(q), None)
                loss, grad = np.empty(outer * inner, call.numbers), np.empty(shape, dtype)
                cpu.cross_entropy(copy(x), given, *call.others, loss, grad)
                results.append(bits(loss, grad))
            assert results[0] == results[1], (classes, inner, axes)


@pytest.mark.parametrize("classes", [5, 40, 200, 3000])
@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_label_outside_the_classes_changes_its_own_row_alone(
    dtype: Any, name: str, classes: int
) -> None:
    """Labels come checked, but another thread may change them before the kernel reads them."""
    rng = np.random.default_rng(10)
    z = rng.normal(0, 3, (2 * 48, classes)).astype(dtype)
    y, changed = rng.integers(classes, size=len(z)), np.zeros(len(z), bool)
    changed[[3, 50]] = True
    bad = np.where(changed, [classes, -1] * 48, y)
    numbers = np.dtype("float64" if dtype == "float64" else "float32")
    want, got = (empty_scores(y.shape, numbers) for _ in range(2))
    x = Placed(name, z, 2).array
    cpu.score(x, ClassIndices(y, -100, True), want)
    cpu.score(x, ClassIndices(bad, -100, True), got)
    for before, after in zip(want, got, strict=True):
        assert bits(before[~changed]) == bits(after[~changed])
    assert np.isnan(got.loss[changed]).all()
    assert (got.predicted[changed] == -1).all()


@pytest.mark.parametrize(("dtype", "classes"), [(np.float64, 200), (np.float32, 400)])
def test_columns_with_a_large_gradient_in_rows(dtype: Any, classes: int) -> None:
    """More classes than rows in tiles have, and a gradient that is streamed."""
    rng = np.random.default_rng(0)
    rows = 20_000
    x = rng.normal(size=(rows, classes)).astype(dtype)
    y = rng.integers(0, classes, rows)
    q = rng.random((rows, classes)).astype(dtype)
    q /= q.sum(axis=1, keepdims=True)
    for logits, target in ((np.asfortranarray(x), y), (x, np.asfortranarray(q))):
        out = np.full((rows, classes), np.nan, dtype)
        loss, _ = softmaxloss.cross_entropy_with_grad(logits, target, out=out)
        wanted, grad = softmaxloss.cross_entropy_with_grad(x, np.ascontiguousarray(target))
        assert loss == wanted
        np.testing.assert_array_equal(out, grad)
