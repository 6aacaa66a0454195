"""The cases of truth/semantics.json on every kernel, for the loss and for the gradient.

Each case is compared with `truth` and, where it says so, with explicit values, with another call
that must give the same bits, or with an error message. A second test compares with PyTorch.
"""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import truth
from numpy.typing import NDArray
from tests.semantics import CASES, ERRORS, in_each_dtype, label, run, torch_error
from truth.cases import Case, arguments, wants_error

import softmaxloss
from softmaxloss import kernels
from softmaxloss.kernels import cpu

Array = NDArray[Any]

KERNELS = ["reference", *(f"cpu {level}" for level in cpu.levels())]


def computed_dtype(logits: Array) -> np.dtype[Any]:
    narrow = logits.dtype.kind not in "iu" and logits.itemsize <= 4
    return np.dtype("float32" if narrow else "float64")


def is_half(logits: Array) -> bool:
    return logits.dtype.kind not in "iu" and logits.itemsize == 2


# The goals of docs/numerics.md, in units in the last place.
ALLOWED_ULPS = {"float32": 2.0, "float64": 4.0}


@contextmanager
def computing_with(kernel: str) -> Iterator[None]:
    """On this kernel alone, which a failure names."""
    level = cpu.level()
    with pytest.MonkeyPatch.context() as patch:
        try:
            if kernel == "reference":
                patch.setitem(kernels.KERNELS, "cpu", ("softmaxloss.kernels.reference",))
            else:
                cpu.use_level(kernel.removeprefix("cpu "))
            yield
        except BaseException as error:
            error.add_note(f"on the kernel {kernel}")
            raise
        finally:
            cpu.use_level(level)


@pytest.mark.parametrize(("case", "dtype"), in_each_dtype(CASES))
def test_case(case: Case, dtype: str) -> None:
    """On every kernel, whose numbers are compared with one truth: its 50 digits take long."""
    logits, target, options = arguments(case, dtype)
    if wants_error(case):
        checks = [partial(check_error, case, dtype, gradient) for gradient in (False, True)]
    else:
        upstream = case.get("grad_output", 1.0)
        want = truth.cross_entropy(logits, target, **options, grad_output=upstream)
        checks = [partial(check, case, dtype, want) for check in (check_loss, check_gradient)]
    for kernel in KERNELS:
        with computing_with(kernel):
            for check in checks:
                check()


def check_loss(case: Case, dtype: str, want: truth.Truth) -> None:
    logits, target, options = arguments(case, dtype)
    loss = softmaxloss.cross_entropy(logits, target, **options)
    assert np.asarray(loss).dtype == computed_dtype(logits)
    assert np.all(truth.ulps(loss, want.loss, dtype) <= ALLOWED_ULPS[dtype]), (loss, want.loss)
    assert not np.any(np.signbit(loss)), "a loss is never negative, nor −0.0"
    expect = case.get("expect", {})
    if "loss" in expect:
        expected = np.asarray(expect["loss"], float)
        error = truth.ulps(loss, expected.astype(dtype).astype(object), dtype)
        assert np.all(error <= ALLOWED_ULPS[dtype]), (loss, expected)
    for other in other_calls(case):
        same, _ = run(other, dtype)
        assert_same(loss, taken(same, other), other, dtype)


def check_gradient(case: Case, dtype: str, want: truth.Truth) -> None:
    logits, target, options = arguments(case, dtype)
    given = np.array(logits, copy=True)
    loss, grad = run(case, dtype)
    np.testing.assert_array_equal(logits, given)  # the caller's array is as it was
    alone = softmaxloss.cross_entropy(logits, target, **options)
    assert np.asarray(loss).tobytes() == np.asarray(alone).tobytes()
    assert grad.shape == logits.shape
    assert grad.dtype == (logits.dtype if is_half(logits) else computed_dtype(logits))
    # With one nonzero coefficient each entry is accurate to its own last place. With several an
    # entry is the difference (Σc)·a_n − c_n, whose parts are rounded before they cancel.
    several = np.shape(target) == logits.shape or options.get("label_smoothing")
    error = truth.ulps(grad, want.grad, grad.dtype, of=want.size if several else None)
    # A half type rounds the float32 gradient, of which 2 units are at most 2^-12 of its own.
    allowed = 0.501 if is_half(logits) else ALLOWED_ULPS[dtype]
    assert np.all(error <= allowed), (grad, want.grad, error)
    if "grad_output" not in case:
        masked = (np.asarray(logits, float) == -np.inf) & (grad == 0)
        assert not np.any(np.signbit(grad[masked])), "a masked class has gradient +0.0"
    expect = case.get("expect", {})
    if "grad" in expect:
        np.testing.assert_array_equal(grad, np.asarray(expect["grad"], float))
    if "grad_shape" in expect:
        assert grad.shape == tuple(expect["grad_shape"])
    for *index, value in expect.get("grad_at", []):
        np.testing.assert_array_equal(grad[tuple(index)], float(value))
    for other in other_calls(case):
        if not other.get("loss_only"):
            _, same = run(other, dtype)
            assert_same(grad, taken(same, other), other, dtype)


def other_calls(case: Case) -> list[Case]:
    return [{**case, **case["same_as"]}] if "same_as" in case else []


def taken(result: Any, other: Case) -> Any:
    return result[other["take"]] if "take" in other else result


def assert_same(got: Any, same: Any, other: Case, dtype: str) -> None:
    if "within_ulps" in other:
        error = truth.ulps(got, np.asarray(same, object), dtype)
        assert np.all(error <= other["within_ulps"])
    else:
        assert np.asarray(got).tobytes() == np.asarray(same).tobytes()


def check_error(case: Case, dtype: str, gradient: bool) -> None:
    expect = case["expect"]
    logits, target, options = arguments(case, dtype)
    out = np.full(np.shape(logits), 7.0, dtype) if isinstance(logits, np.ndarray) else None
    call: Any = softmaxloss.cross_entropy
    if gradient:
        call, options = softmaxloss.cross_entropy_with_grad, {**options, "out": out}
    with pytest.raises(ERRORS[expect["error"]]) as caught:
        call(logits, target, **options)
    message = str(caught.value)
    assert expect["message"] in message
    assert "\n" not in message
    assert expect.get("not_message", "\n") not in message
    assert out is None or np.all(out == 7.0), "nothing is written before an error"


@pytest.mark.parametrize(
    ("case", "dtype"),
    in_each_dtype([case for case in CASES if not wants_error(case) and "torch" not in case]),
)
def test_as_torch(case: Case, dtype: str) -> None:
    """The same number as PyTorch, in the cases where PyTorch's is right."""
    torch = pytest.importorskip("torch")
    logits, target, options = arguments(case, dtype)
    z = torch.tensor(np.array(logits, dtype, order="C"), requires_grad=True)
    y = np.array(target, order="C")
    by_index = y.ndim < z.ndim
    y = torch.tensor(y.astype(np.int64) if by_index else y.astype(dtype))
    theirs = {name: value for name, value in options.items() if name != "multi_label"}
    if "weight" in theirs:
        theirs["weight"] = torch.tensor(theirs["weight"], dtype=z.dtype)
    want = torch.nn.functional.cross_entropy(z, y, **theirs)
    upstream = torch.tensor(case.get("grad_output", 1.0), dtype=z.dtype)
    want.backward(upstream.expand_as(want))
    loss, grad = run(case, dtype)
    tolerance = torch_error(np.asarray(logits, float), options, case, dtype)
    np.testing.assert_allclose(loss, want.detach().numpy(), rtol=0, atol=tolerance)
    np.testing.assert_allclose(grad, z.grad.numpy(), rtol=0, atol=tolerance)


def test_every_row_of_the_docs_has_a_case() -> None:
    text = (Path(__file__).parent.parent / "docs" / "semantics.md").read_text(encoding="utf-8")
    cells = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines()]
    rows = {
        cell
        for line, cell in zip(text.splitlines(), cells, strict=True)
        if line.startswith("| ") and cell not in ("input", "option")
    }
    assert rows - {case["row"] for case in CASES} == {"more than 2³¹ numbers"}  # below
    assert {case["row"] for case in CASES} <= rows


def test_every_case_says_why() -> None:
    for case in CASES:
        assert len(case["why"].split()) > 3, case["name"]
    labels = [label(case) for case in CASES]
    assert len(set(labels)) == len(labels)


# --- more than 2^31 elements ------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs memory without a reservation")


def zeros_without_memory(elements: int) -> NDArray[np.float32]:
    """float32 zeros that take memory only where they are written to."""
    no_reserve = 0x4000  # MAP_NORESERVE on Linux
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve
    return np.frombuffer(mmap.mmap(-1, 4 * elements, flags=flags), np.float32)


@linux
def test_more_than_2_to_31_classes() -> None:
    """Indices, counts of ties and the label are beyond 32 bits: C equal logits cost log C."""
    classes = 2**31 + 77
    logits = zeros_without_memory(classes)
    assert softmaxloss.cross_entropy(logits, classes - 1) == np.float32(math.log(classes))


@linux
def test_more_than_2_to_31_elements_between_rows() -> None:
    """Offsets in memory beyond 32 bits, of logits, of probabilities and of the gradient."""
    rows, stride, classes = 4, 2**30 + 3, 70
    shape = (rows, stride)
    values = np.random.default_rng(5).normal(size=(rows, classes)).astype(np.float32)
    logits, target, out = (
        zeros_without_memory(rows * stride).reshape(shape)[:, :classes] for _ in range(3)
    )
    logits[...] = values
    target[...] = np.eye(classes)[[0, 5, 69, 7]]
    want = softmaxloss.cross_entropy_with_grad(values, [0, 5, 69, 7], reduction="none")
    got = softmaxloss.cross_entropy_with_grad(logits, target, reduction="none", out=out)
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(out, want[1])


def test_more_than_2_to_31_elements_in_all() -> None:
    """A count of elements beyond 32 bits: one row of memory, read as many."""
    rows, classes = 2**16 + 1, 2**15
    row = np.zeros(classes, np.float32)
    logits = np.broadcast_to(row, (rows, classes))
    labels = np.zeros(rows, np.uint8)
    losses = softmaxloss.cross_entropy(logits, labels, reduction="none")
    assert losses.shape == (rows,)
    assert np.all(losses == np.float32(math.log(classes)))
