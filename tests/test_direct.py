"""A whole call in one crossing into the kernel: the bits and the errors of the general way.

The general way is the same call where `direct` leaves everything to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

import softmaxloss
from softmaxloss import cross_entropy, cross_entropy_with_grad, engine
from softmaxloss.kernels import direct_on

Array = NDArray[Any]

pytestmark = pytest.mark.skipif(
    softmaxloss.kernels.level() == "reference", reason="without the extension all is general"
)


class Kernels:
    """The kernel, with a `direct` that leaves every call, or that notes which calls it takes."""

    def __init__(self, leaves: bool) -> None:
        self.leaves, self.taken = leaves, []  # type: ignore[var-annotated]
        self._kernel = direct_on("cpu")

    def direct(self, *arguments: Any) -> Any:
        result = None if self.leaves else self._kernel.direct(*arguments)
        self.taken.append(result is not None)
        return result


def both(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any], module: Any = engine
) -> tuple[Any, Any, list[bool]]:
    """The results of the call directly and in general, and which direct calls were taken."""
    direct, general = Kernels(leaves=False), Kernels(leaves=True)
    with monkeypatch.context() as patch:
        patch.setattr(module, "direct_on", lambda device="cpu": direct)
        first = call()
        patch.setattr(module, "direct_on", lambda device="cpu": general)
        return first, call(), direct.taken


def bits(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(bits(part) for part in result)
    array = np.asarray(result)
    return type(result), array.dtype, array.shape, array.tobytes()


def agree(
    monkeypatch: pytest.MonkeyPatch, *arguments: Any, is_taken: bool = True, **options: Any
) -> None:
    upstream = options.pop("grad_output", None)
    calls: list[Callable[[], Any]] = [
        lambda: cross_entropy_with_grad(*arguments, grad_output=upstream, **options)
    ]
    if upstream is None:
        calls.append(lambda: cross_entropy(*arguments, **options))
    for call in calls:
        first, second, taken = both(monkeypatch, call)
        assert bits(first) == bits(second)
        assert taken == [is_taken]


def logits(rows: int, classes: int, dtype: Any = np.float32) -> Array:
    rng = np.random.default_rng(rows * 1000 + classes)
    return rng.normal(0, 3, (rows, classes)).astype(dtype)


def labels(rows: int, classes: int) -> Array:
    return np.random.default_rng(rows).integers(classes, size=rows)


# Where NumPy's sum changes its order: below 8, up to 128, above.
ROWS = [1, 2, 7, 8, 9, 15, 16, 31, 33, 64, 100, 127, 128, 129, 136, 200, 255, 257, 1000, 1025, 3001]


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_every_number_of_rows(rows: int, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    z, y = logits(rows, 10, dtype), labels(rows, 10)
    agree(monkeypatch, z, y)
    y[:: 3 if rows > 1 else 2] = -100
    agree(monkeypatch, z, y)
    agree(monkeypatch, z, y, weight=np.random.default_rng(1).random(10))


@pytest.mark.parametrize("classes", [1, 2, 10, 33, 127, 128, 1000, 2049, 5000])
def test_every_number_of_classes(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in (1, 3, 40):
        agree(monkeypatch, logits(rows, classes), labels(rows, classes))


OPTIONS: list[dict[str, Any]] = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"label_smoothing": 0.1},
    {"label_smoothing": 1.0, "reduction": "sum"},
    {"denominator": 7},
    {"ignore_index": 3},
    {"ignore_index": -1},
    {"ignore_index": 10**6},
    {"ignore_index": 2**63 - 1},
    {"multi_label": "sum"},
    {"grad_output": 2.5},
    {"grad_output": np.float32(2.5), "is_taken": False},
    {"grad_output": np.array(-2.5, np.float32)},
    {"reduction": "none", "grad_output": np.linspace(-1, 1, 20)},
    {"reduction": "none", "grad_output": np.linspace(-1, 1, 40, dtype=np.float32)[::2]},
    {"reduction": "none", "grad_output": np.broadcast_to(np.float64(3.0), (20,))},
    {"weight": np.linspace(0, 2, 10)},
    {"weight": np.linspace(0, 2, 10, dtype=np.float32), "reduction": "none"},
    {"weight": np.linspace(0, 2, 20)[::2], "label_smoothing": 0.2},
    {"weight": np.zeros(10)},
    {"sample_weight": np.linspace(0, 2, 20)},
    {"sample_weight": np.linspace(0, 2, 40, dtype=np.float32)[::2], "reduction": "sum"},
    {"sample_weight": np.linspace(0, 2, 20), "weight": np.linspace(0, 2, 10)},
    {"sample_weight": np.linspace(0, 2, 20), "reduction": "none", "label_smoothing": 0.1},
    {"sample_weight": np.zeros(20), "ignore_index": 3},
    {"sample_weight": [1.0] * 20, "is_taken": False},
    {"weight": [1.0] * 10, "is_taken": False},
    {"weight": np.ones(10, np.int64), "is_taken": False},
    {"first_class": 1, "ignore_index": 0, "is_taken": False},
    {"multi_label": "mean", "is_taken": False},
    {"ignore_index": 2**70, "is_taken": False},
]


def name_of(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={np.asarray(value).ravel()[0]}" for name, value in options.items())


@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
def test_every_option(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    agree(monkeypatch, logits(20, 10), labels(20, 10), **options)


@pytest.mark.parametrize("options", OPTIONS[:6], ids=name_of)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probabilities(
    dtype: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    q = np.random.default_rng(0).dirichlet(np.ones(10), 20).astype(dtype)
    agree(monkeypatch, logits(20, 10), q, **options)
    agree(monkeypatch, logits(20, 10), q, weight=np.linspace(0, 2, 10), **options)
    agree(monkeypatch, logits(20, 10), q, sample_weight=np.linspace(0, 2, 20), **options)
    agree(monkeypatch, logits(20, 10), q * 3, multi_label="sum", **options)


INTEGERS = [np.dtype(code) for code in "bhilqBHILQ"]


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda dtype: dtype.char)
def test_labels_of_every_integer_dtype(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    y = labels(20, 10).astype(dtype)
    agree(monkeypatch, logits(20, 10), y)
    agree(monkeypatch, logits(20, 10), y, ignore_index=3)
    y[[4, 9]] = np.iinfo(dtype).max
    agree(
        monkeypatch,
        logits(20, 10),
        y,
        ignore_index=int(np.iinfo(dtype).max),
        is_taken=dtype.char not in "LQ",
    )
    agree(monkeypatch, logits(1, 10)[0], dtype.type(3))


LAYOUTS: dict[str, tuple[Callable[[Array], Array], bool]] = {
    "rows at a distance": (lambda x: np.concatenate([x, x], 1)[:, : x.shape[1]], True),
    "backwards": (lambda x: x[::-1].copy()[::-1], True),
    "one row for all": (lambda x: np.broadcast_to(x[:1], x.shape), True),
    "read-only": (lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape), True),
    "byte-swapped": (lambda x: x.astype(x.dtype.newbyteorder()), False),
    "misaligned": (
        lambda x: np.frombuffer(b"." + x.tobytes(), x.dtype, -1, 1).reshape(x.shape),
        False,
    ),
    "a subclass": (lambda x: x.view(np.memmap), False),
    "a list": (lambda x: x.tolist(), False),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("of", ["logits", "labels", "probabilities"])
def test_layouts(layout: str, of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change, is_taken = LAYOUTS[layout]
    z, y = logits(20, 10), labels(20, 10)
    if of == "logits":
        z = change(z)
    elif of == "probabilities":
        y = change(np.random.default_rng(0).dirichlet(np.ones(10), 20))
    else:
        y = change(y[:, None])[:, 0] if layout == "rows at a distance" else change(np.array(y))
    if type(z) is np.ndarray:
        agree(monkeypatch, z, y, is_taken=is_taken)
    else:  # direct is not even asked
        loss, general, taken = both(monkeypatch, lambda: cross_entropy(z, y))
        assert (bits(loss), taken) == (bits(general), [])


def test_one_weight_more_or_less_changes_the_result() -> None:
    """The divisor and the sum are those of these rows: computed here from the losses of each."""
    z, y, w = logits(50, 10, np.float64), labels(50, 10), np.linspace(0.5, 2, 10)
    y[::7] = -100
    each = cross_entropy(z, y, weight=w, reduction="none")
    want = each.sum() / w[y[y >= 0]].sum()
    assert cross_entropy(z, y, weight=w) == pytest.approx(want, rel=1e-15)
    assert cross_entropy(z, y, weight=w, reduction="sum") == pytest.approx(each.sum(), rel=1e-15)


BAD: dict[str, Callable[[Array, Array], dict[str, Any]]] = {
    "a label too large": lambda z, y: {"target": np.append(y[1:], 10)},
    "a negative label": lambda z, y: {"target": np.append(y[1:], -1)},
    "labels from one": lambda z, y: {"target": y + 1},
    "a label that is -100 in int64": lambda z, y: {"target": np.full(20, 2**64 - 100, np.uint64)},
    "labels of floats": lambda z, y: {"target": y.astype(float)},
    "labels of booleans": lambda z, y: {"target": y > 3},
    "durations as labels": lambda z, y: {"target": y.astype("m8[s]")},
    "a duration as label": lambda z, y: {"logits": z[0], "target": np.timedelta64(3)},
    "too few labels": lambda z, y: {"target": y[1:]},
    "labels with an axis": lambda z, y: {"target": y[:, None]},
    "a label for many rows": lambda z, y: {"target": 3},
    "a negative probability": lambda z, y: {"target": np.full(z.shape, -0.1)},
    "a NaN as probability": lambda z, y: {"target": np.full(z.shape, np.nan)},
    "a sum barely too large": lambda z, y: {"target": np.full(z.shape, 0.1000101, np.float32)},
    "a sum barely too small": lambda z, y: {"target": np.full(z.shape, 0.09999989, np.float64)},
    "a sum of 2": lambda z, y: {"target": np.full(z.shape, 0.2)},
    "infinite": lambda z, y: {"target": np.full(z.shape, np.inf), "multi_label": "sum"},
    "ignored": lambda z, y: {"target": np.full(z.shape, 0.1), "ignore_index": 3},
    "a negative weight": lambda z, y: {"weight": np.linspace(-1, 1, 10)},
    "a NaN as weight": lambda z, y: {"weight": np.full(10, np.nan)},
    "an infinite weight": lambda z, y: {"weight": np.full(10, np.inf)},
    "too few weights": lambda z, y: {"weight": np.ones(9)},
    "a negative sample weight": lambda z, y: {"sample_weight": np.linspace(-1, 1, 20)},
    "a NaN as sample weight": lambda z, y: {"sample_weight": np.full(20, np.nan)},
    "too few sample weights": lambda z, y: {"sample_weight": np.ones(9)},
    "an upstream gradient for each": lambda z, y: {"grad_output": np.ones(20)},
    "too few": lambda z, y: {"grad_output": np.ones(9), "reduction": "none"},
    "a complex upstream gradient": lambda z, y: {"grad_output": np.array(1j)},
    "complex logits": lambda z, y: {"logits": z + 0j},
    "a number": lambda z, y: {"logits": z[0, 0].reshape(())},
    "no classes": lambda z, y: {"logits": z[:, :0]},
    "an out of another shape": lambda z, y: {"out": z[1:].copy()},
    "an out of another dtype": lambda z, y: {"out": z.astype(float)},
    "an out with one row": lambda z, y: {"out": as_strided(z[0].copy(), z.shape, (0, 4))},
    "a read-only out": lambda z, y: {"out": LAYOUTS["read-only"][0](z)},
    "a list as out": lambda z, y: {"out": z.tolist()},
}


@pytest.mark.parametrize("bad", BAD)
def test_errors_are_those_of_the_general_way(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def error() -> tuple[Any, str]:
        z, y = logits(20, 10), labels(20, 10)
        arguments = {"logits": z, "target": y, **BAD[bad](z, y)}
        with pytest.raises((ValueError, TypeError)) as info:
            cross_entropy_with_grad(**arguments)
        return info.type, str(info.value)

    first, second, taken = both(monkeypatch, error)
    assert first == second
    assert taken in ([], [False])


def test_nothing_is_written_before_an_error() -> None:
    z, y = logits(20, 10), labels(20, 10)
    out = np.full_like(z, 7)
    bad = np.full(z.shape, 0.1)
    bad[-1, -1] = 2
    for target in (np.append(y[1:], 10), bad):
        with pytest.raises(softmaxloss.LabelError):
            cross_entropy_with_grad(z, target, out=out)
        assert (out == 7).all()


SHAPES: dict[str, tuple[Callable[[Array], Array], bool]] = {
    "(3, 10, 4)": (lambda x: x[..., 0].copy(), True),
    "(3, 10, 4, 5)": (lambda x: x, True),
    "no examples": (lambda x: x[:0], False),
    "no places": (lambda x: x[..., :0], False),
    "(3, 10, 1, 1)": (lambda x: x[:, :, :1, :1].copy(), True),
    "(1, 10, 4, 5)": (lambda x: x[:1], True),
    "classes last in memory": (
        lambda x: x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
        True,
    ),
    "classes first in memory": (lambda x: x.swapaxes(0, 1).copy().swapaxes(0, 1), True),
    "transposed": (lambda x: x[:, :, 0, 0].T.copy().T, True),
    "every other class": (lambda x: x[:, ::2], True),
    "every other example": (lambda x: x[::2], True),
    "some columns": (lambda x: x[:, :, :2, :3], False),
    "places swapped": (lambda x: x.swapaxes(2, 3), False),
    "all backwards": (lambda x: x[::-1, ::-1, ::-1, ::-1], True),
    "a row of the last place": (lambda x: x[1, :, 2, 3], True),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_shapes_and_strides(name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    change, is_taken = SHAPES[name]
    z = change(np.random.default_rng(0).normal(size=(3, 10, 4, 5)).astype(dtype))
    classes = z.shape[min(1, z.ndim - 1)]
    shape = z.shape[:1] + z.shape[2:] if z.ndim > 1 else ()
    y = np.asarray(np.random.default_rng(0).integers(classes, size=shape))
    q = change(np.full((3, 10, 4, 5), 0.1, dtype)) * np.array(10 / classes, dtype)
    for options in ({"reduction": "sum"}, {"reduction": "none"}, {"label_smoothing": 0.1}):
        agree(monkeypatch, z, y, is_taken=is_taken, **options)
        agree(monkeypatch, z, q, is_taken=is_taken, **options)
    if z.ndim > 2:
        agree(monkeypatch, z, y, is_taken=is_taken, sample_weight=np.linspace(1, 2, len(z)))
        agree(monkeypatch, z, y, is_taken=is_taken, sample_weight=np.full(shape, 0.3))
    for out in (change(np.zeros((3, 10, 4, 5), dtype)), z.copy()):
        first, second, _ = both(monkeypatch, lambda: cross_entropy_with_grad(z, y, out=out.copy()))  # noqa: B023
        assert bits(first) == bits(second)
        want = cross_entropy_with_grad(z, y)[1]
        assert np.array_equal(cross_entropy_with_grad(z, y, out=out)[1], want)


def test_memory_that_overlaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every argument had memory of its own."""
    z, y = logits(20, 10), labels(20, 10)
    want = cross_entropy_with_grad(z, y)[1]

    def into(place: int) -> bytes:
        memory = np.zeros(20 * 10 + 8, np.float32)
        given = memory[4:204].reshape(20, 10)
        given[:] = z
        out = memory[place : place + 200].reshape(20, 10)
        return cross_entropy_with_grad(given, y, out=out)[1].tobytes()

    for place, is_taken in ((3, False), (4, True), (5, False)):
        first, second, taken = both(monkeypatch, lambda: into(place))  # noqa: B023
        assert first == second == want.tobytes()
        assert taken == [is_taken]

    z, y = logits(200, 10), labels(200, 10)  # more rows than a kernel reads the labels of at once
    want = cross_entropy_with_grad(z, y)[1]
    memory = np.zeros((200, 10), np.float32)
    over_labels = memory.view(np.int32).reshape(-1)[:200]
    over_labels[:] = y
    assert np.array_equal(cross_entropy_with_grad(z, over_labels, out=memory)[1], want)
    memory = np.zeros((200, 10))
    memory[0] = np.linspace(1, 2, 10)
    z = z.astype(float)
    want = cross_entropy_with_grad(z, y, weight=memory[0].copy())[1]
    assert np.array_equal(cross_entropy_with_grad(z, y, weight=memory[0], out=memory)[1], want)


def test_options_are_those_of_each_call() -> None:
    """Those of the last call are kept in C++. Here are calls with others, at once."""
    z, y = logits(40, 200), labels(40, 200)
    options = [{}, {"reduction": "sum"}, {"label_smoothing": 0.1}, {"ignore_index": int(y[0])}]
    want = [bits(cross_entropy_with_grad(z, y, **each)) for each in options]
    order = list(itertools.islice(itertools.cycle([0, 1, 2, 3, 1, 3, 0, 2]), 200))
    with ThreadPoolExecutor(8) as pool:
        got = pool.map(lambda i: bits(cross_entropy_with_grad(z, y, **options[i])), order)
        assert [want[i] for i in order] == list(got)


def test_objects_of_other_types_are_left() -> None:
    z, y = logits(2, 3), labels(2, 3)
    direct = direct_on("cpu").direct
    options = softmaxloss.options.Options()
    rest = (None, None, options, 1.0, None, None, 1)
    assert direct(z, y, *rest) is not None
    for bad in (None, "a", b"ab", [0, 1], memoryview(y), object(), 1.0, True, np.bool_(True)):
        assert direct(z, bad, *rest) is None
        assert direct(bad, y, *rest) is None
    with pytest.raises(TypeError, match="9 arguments"):
        direct(z, y)
    for flag in (True, np.bool_(True), 1.0, np.timedelta64(1)):
        assert direct(z[0], flag, *rest) is None


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("classes", [3, 100, 130, 3000])
@pytest.mark.parametrize("bad", ["negative", "NaN", "infinite", "sum"])
def test_probabilities_that_are_not_fit_are_found(bad: str, classes: int, layout: str) -> None:
    """Without a gradient they are checked in the loops that compute, each of which can miss one."""
    rng = np.random.default_rng(classes)
    for rows in (1, 5, 40):
        z = rng.normal(size=(rows, classes)).astype(np.float32)
        q = rng.dirichlet(np.ones(classes), rows).astype(np.float32)
        row, y = rng.integers(rows), rng.integers(classes)
        other = (y + 1) % classes
        wrong = q.copy()
        wrong[row, y] = {"negative": -0.1, "NaN": np.nan, "infinite": np.inf, "sum": 1.01}[bad]
        if bad == "negative":  # and the sum is 1
            wrong[row, other] += q[row, y] + np.float32(0.1)
        if layout == "columns":
            z, q, wrong = (np.asfortranarray(array) for array in (z, q, wrong))
        for options in ({}, {"label_smoothing": 0.1}, {"sample_weight": np.zeros(rows)}):
            softmaxloss.cross_entropy(z, q, **options)
            with pytest.raises(softmaxloss.LabelError):
                softmaxloss.cross_entropy(z, wrong, **options)
