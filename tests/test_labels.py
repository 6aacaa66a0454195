"""Targets in every form: the values that are read, and the messages in full. The loss for each form
is in test_semantics.py."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from softmaxloss import LabelError, OptionError
from softmaxloss.labels import ClassIndices, ClassProbabilities, read_target
from softmaxloss.options import Options


def read(target: Any, shape: tuple[int, ...] = (2, 3), **options: Any) -> Any:
    return read_target(target, shape, Options(**options))


def error_of(target: Any, shape: tuple[int, ...] = (2, 3), **options: Any) -> str:
    with pytest.raises(LabelError) as caught:
        read(target, shape, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "uint64", "int64"])
def test_labels_are_not_copied(dtype: str) -> None:
    y = np.array([0, 2], dtype)
    target = read(y)
    assert isinstance(target, ClassIndices)
    assert target.values is y
    assert target.counted().all()


def test_probabilities_are_not_copied() -> None:
    q = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    target = read(q)
    assert isinstance(target, ClassProbabilities)
    assert np.shares_memory(target.values, q)
    assert target.divisors is None


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("classes", [1, 100, 128, 129, 200, 256, 257, 40_000, 70_000])
def test_the_ends_of_each_integer_type(classes: int, kind: str, order: str) -> None:
    """The label at each end, alone and among others, also for more classes than the dtype holds."""
    dtype = np.dtype(order + kind)
    ends = np.iinfo(dtype)
    for label in (int(ends.min), -1, 0, classes - 1, classes, int(ends.max)):
        if not ends.min <= label <= ends.max:
            continue
        y = np.array([0, label, 0, 0], dtype)
        for given in (y, y[1:2], np.array([y, y])[:, 1::-1]):
            shape = (given.shape[0], classes, *given.shape[1:])
            if 0 <= label < classes:
                assert read(given, shape).values is given
                counted = read(given, shape, ignore_index=label).counted()
                assert counted.sum() == np.sum(given != label)
            else:
                assert f" is {label}, outside 0..{classes - 1}" in error_of(given, shape)
                assert not read(given, shape, ignore_index=label).counted().all()


def test_misaligned_labels() -> None:
    packed = np.zeros(3, np.dtype([("flag", np.int8), ("label", np.int64)]))
    packed["label"] = [2, 0, 1]
    shifted = np.frombuffer(b"\0" + np.array([2, 0, 1]).tobytes(), np.int64, offset=1)
    for y in (packed["label"], shifted):
        rows = read(y, (3, 3)).in_place().values
        assert rows.flags.aligned
        assert rows.tolist() == [2, 0, 1]


def test_misaligned_probabilities() -> None:
    q = np.frombuffer(b"\0" + np.eye(3).tobytes(), np.float64, offset=1).reshape(3, 3)
    target = read(q, (3, 3))
    assert target.in_place() is None
    assert target.block(slice(None)).values.flags.aligned


def test_one_based_labels() -> None:
    y = np.array([3, 1, 7], np.uint8)
    target = read(y, (3, 3), first_class=1, ignore_index=7)
    assert target.values[:2].tolist() == [2, 0]
    assert target.counted().tolist() == [True, True, False]
    assert y.tolist() == [3, 1, 7]


def test_rows_that_count() -> None:
    assert read([0, -100]).counted().tolist() == [True, False]
    assert read([0, 2], ignore_index=2).counted().tolist() == [True, False]
    # 156 is −100 in 8 bits, but here it is a class
    assert read(np.array([156, 1], np.uint8), (2, 200)).counted().tolist() == [True, True]


def test_multi_label_mean_divides_by_the_row() -> None:
    target = read([[1, 1, 0], [1, 1, 1]], multi_label="mean")
    assert target.divisors.tolist() == [2.0, 3.0]


def test_the_classes_are_in_axis_1() -> None:
    q = np.zeros((2, 3, 4, 5))
    q[:, 1] = 1.0
    target = read(q, (2, 3, 4, 5))
    assert target.in_place().values.shape == (2, 3, 20)
    assert target.block((0, slice(1, 3))).values.shape == (10, 3, 1)


@pytest.mark.parametrize(
    ("dtype", "near", "far"),
    [
        ("float64", 1 + 0.9e-6, 1 + 1.1e-6),
        ("float32", 1 - 0.9e-4, 1 - 1.1e-4),
        ("float16", 1.018, 1.022),
        (ml_dtypes.bfloat16, 1.09, 1.11),
    ],
)
def test_how_close_to_one_probabilities_must_sum(dtype: Any, near: float, far: float) -> None:
    read(np.array([[near, 0.0, 0.0]]).astype(dtype), (1, 3))
    assert "sums to" in error_of(np.array([[far, 0.0, 0.0]]).astype(dtype), (1, 3))


def test_integers_must_sum_to_one_exactly() -> None:
    assert error_of([[2, 0, 0], [0, 1, 0]]).startswith("the target of row 0 sums to 2, not 1")


SOFTMAX_EXPECTS = (
    ": the softmax loss expects one true class, or probabilities that sum to 1, since its classes"
    ' exclude each other; pass multi_label="sum" or "mean" to add or average over the labels, or'
    " use a sigmoid loss if several classes can be true at once"
)


@pytest.mark.parametrize(
    ("target", "shape", "message"),
    [
        ([0, 4], (2, 3), "the label of row 1 is 4, outside 0..2"),
        (
            [1, 3],
            (2, 3),
            "the label of row 1 is 3, outside 0..2; all labels lie in 1..3: if they count from "
            "one, pass first_class=1",
        ),
        (
            [0, -1],
            (2, 3),
            "the label of row 1 is -1, outside 0..2; if it marks rows that do not count, pass "
            "ignore_index=-1",
        ),
        (
            [True, False],
            (2, 3),
            "target is boolean: pass class indices (converted to integers, if False is class 0 and "
            "True is class 1), or one row of 0/1 per example",
        ),
        (
            [0.0, 1.0],
            (2, 3),
            "target has the shape of class indices but dtype float64: pass integers, "
            "target.astype(int) of NumPy, target.long() of PyTorch",
        ),
        (
            ["cat", "dog"],
            (2, 3),
            "target holds 'cat': pass class indices 0..2, e.g. classes.index(name) for class names",
        ),
        ([10**30, 0], (2, 3), f"target holds {10**30}, which no integer dtype holds"),
        (
            [0, 1, 2],
            (2, 3),
            "target has shape (3,); logits of shape (2, 3) need class indices of shape (2,) or "
            "probabilities of shape (2, 3)",
        ),
        (
            [[0, 1, 1], [1, 0, 0]],
            (2, 3),
            f"the target of row 0 has 2 labels (classes 1, 2){SOFTMAX_EXPECTS}",
        ),
        (
            [[0.5, 0.25, 0.125], [1, 0, 0]],
            (2, 3),
            f"the target of row 0 sums to 0.875, not 1{SOFTMAX_EXPECTS}",
        ),
        (
            [[0, 0, 0], [1, 0, 0]],
            (2, 3),
            'the target of row 0 is all zeros: no class is true; with multi_label="sum" such a row '
            "has loss 0",
        ),
        (
            [0.5, 0.75, -0.25],
            (3,),
            "the target has -0.25 for class 2; probabilities must be finite and not negative",
        ),
    ],
)
def test_messages(target: Any, shape: tuple[int, ...], message: str) -> None:
    assert error_of(target, shape) == message


def test_messages_with_a_hint() -> None:
    assert error_of([1, 3, -100], (3, 3)).endswith("pass first_class=1")  # ignored rows aside
    assert error_of([[0], [1]]).endswith(": remove its last axis, e.g. target[..., 0]")
    assert "remove" not in error_of([[0, 0], [1, 1]])
    assert error_of(np.ones((1, 7)), (1, 7)).startswith(
        "the target of row 0 has 7 labels (classes 0, 1, 2, 3, 4, …):"
    )
    assert error_of([[1], [0, 1]]).startswith("target is not one rectangular array")


def test_integers_as_objects() -> None:
    """A column of a data frame may hold Python integers: the message names what does not fit."""
    assert "dtype object" in error_of(np.array([0, 2], dtype=object))
    assert str(10**30) in error_of([0, 10**30])


def test_a_masked_array_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^target is a masked array, whose mask has no one"):
        read(np.ma.masked_equal([0, 2], 2))


def test_complex_probabilities_are_refused() -> None:
    assert error_of(np.ones((2, 3), complex)) == (
        "target probabilities must be real numbers, got dtype complex128"
    )


def test_ignore_index_needs_class_indices() -> None:
    with pytest.raises(OptionError) as caught:
        read([[1, 0, 0], [0, 1, 0]], ignore_index=0)
    assert str(caught.value) == (
        "ignore_index=0 needs class indices as target; this target has a value for each class, "
        "shape (2, 3)"
    )
