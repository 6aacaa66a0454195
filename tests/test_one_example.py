"""One example without options takes a fast path: it has the bits and the errors of the full call,
which a 0-d array as label takes."""

from __future__ import annotations

import warnings
from enum import IntEnum
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import softmaxloss
from softmaxloss import cross_entropy, cross_entropy_with_grad, engine

Array = NDArray[Any]


class Colour(IntEnum):
    BLUE = 1


SPECIAL = {
    "equal": [0.0, 0.0, 0.0],
    "certain": [0.0, 100.0, -5.0],
    "wrong": [1e3, 0.0, 3.0],
    "masked": [-np.inf, 1.0, 2.0],
    "true class masked": [1.0, -np.inf, 2.0],
    "all masked": [-np.inf, -np.inf, -np.inf],
    "inf": [np.inf, 0.0, 1.0],
    "nan": [0.0, 1.0, np.nan],
    "largest": [3.4e38, -3.4e38, 0.0],
}


def agree(z: Array, y: int) -> None:
    expected_loss, expected = cross_entropy_with_grad(z, np.array(y))
    for got in (cross_entropy(z, y), cross_entropy_with_grad(z, y)[0]):
        assert type(got) is type(expected_loss)
        assert got.tobytes() == expected_loss.tobytes()
    grad = cross_entropy_with_grad(z, y)[1]
    assert (grad.dtype, grad.tobytes()) == (expected.dtype, expected.tobytes())
    out = np.empty_like(z)
    assert cross_entropy_with_grad(z, y, out=out)[1] is out
    assert out.tobytes() == expected.tobytes()
    in_place = z.copy()
    cross_entropy_with_grad(in_place, y, out=in_place)
    assert in_place.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [1, 2, 5, 32, 33, 100, 1000, 4095, 4096, 5000])
def test_the_bits_of_the_full_call(dtype: Any, classes: int) -> None:
    z = np.random.default_rng(classes).normal(0, 4, classes).astype(dtype)
    for y in {0, classes // 2, classes - 1}:
        agree(z, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SPECIAL)
def test_special_logits(dtype: Any, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agree(np.array(SPECIAL[name], dtype), 1)


@pytest.mark.parametrize("label", [1, np.int8(1), np.uint64(1), np.longlong(1), Colour.BLUE])
def test_every_integer(label: Any) -> None:
    z = np.array([0.5, 2.0, 0.1])
    assert cross_entropy(z, label) == cross_entropy(z, np.array(1))


def test_the_fast_path_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the full call")

    monkeypatch.setattr(engine, "_Call", refuse)
    z, out = np.array([0.5, 2.0, 0.1], np.float32), np.empty(3, np.float32)
    cross_entropy(z, 1)
    cross_entropy_with_grad(z, np.int64(1))
    cross_entropy_with_grad(z, 1, out=out)
    read_only = z.copy()
    read_only.flags.writeable = False
    cross_entropy_with_grad(read_only, 1)
    for other in ({"first_class": 1}, {"weight": [1, 1, 1]}, {"grad_output": 2}):
        with pytest.raises(AssertionError, match="the full call"):
            cross_entropy_with_grad(z, 1, **other)


def layouts() -> dict[str, Array]:
    z = np.array([0.5, 2.0, 0.1, 7.0])
    shifted = np.zeros(8 * 4 + 1, np.uint8)[1:].view(np.float64)
    shifted[:] = z
    return {
        "strided": np.repeat(z, 2)[::2],
        "backwards": z[::-1].copy()[::-1],
        "broadcast": np.broadcast_to(np.float64(1), (4,)),
        "byte-swapped": z.astype(">f8"),
        "misaligned": shifted,
        "float16": z.astype(np.float16),
        "longdouble": z.astype(np.longdouble),
        "integers": z.astype(np.int32),
    }


@pytest.mark.parametrize("layout", layouts())
def test_other_arrays_take_the_full_call(layout: str) -> None:
    z = layouts()[layout]
    expected_loss, expected = cross_entropy_with_grad(z, np.array(2))
    got, grad = cross_entropy_with_grad(z, 2)
    assert (got, type(got)) == (expected_loss, type(expected_loss))
    np.testing.assert_array_equal(grad, expected)
    assert grad.dtype == expected.dtype
    out = layouts()[layout]
    if out.flags.writeable and out.dtype == expected.dtype:
        cross_entropy_with_grad(np.array(z), 2, out=out)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("start", [0, 1, 2])
def test_an_out_that_overlaps(start: int) -> None:
    memory = np.arange(6.0)
    expected = cross_entropy_with_grad(memory[:4].copy(), 2)[1]
    cross_entropy_with_grad(memory[:4], 2, out=memory[start : start + 4])
    np.testing.assert_array_equal(memory[start : start + 4], expected)


def same_error(label: Any, **options: Any) -> None:
    z = np.array([0.5, 2.0, 0.1])
    errors = (softmaxloss.LabelError, softmaxloss.OptionError, TypeError)
    with pytest.raises(errors) as fast:
        cross_entropy_with_grad(z, label, **options)
    with pytest.raises(errors) as full:
        cross_entropy_with_grad(z, label, grad_output=1.0, **options)
    assert type(fast.value) is type(full.value)
    assert str(fast.value) == str(full.value)


@pytest.mark.parametrize(
    "label",
    [-1, 3, 2**70, -(2**70), np.uint64(2**64 - 1), True, np.bool_(True), 1.0, "1", None],
    ids=repr,
)
def test_a_wrong_label_has_the_error_of_the_full_call(label: Any) -> None:
    same_error(label)


def read_only() -> Array:
    out = np.zeros(3)
    out.flags.writeable = False
    return out


OUTS = {
    "too long": np.zeros(4),
    "float32": np.zeros(3, np.float32),
    "read-only": read_only(),
    "bytes": bytearray(24),
    "list": [0.0, 0.0, 0.0],
    "two axes": np.zeros((1, 3)),
}


@pytest.mark.parametrize("out", OUTS)
def test_a_wrong_out_has_the_error_of_the_full_call(out: str) -> None:
    same_error(1, out=OUTS[out])


def test_an_ignored_example() -> None:
    value, grad = cross_entropy_with_grad(np.array([np.nan, 1.0]), -100)
    assert np.isnan(value)
    assert not grad.any()
