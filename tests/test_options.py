"""Each option: its valid values, and one line for a wrong one. Meanings: test_semantics.py."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import softmaxloss
from softmaxloss import OptionError
from softmaxloss.options import Options, class_weights


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ignore_index": np.int8(-1)},
        {"reduction": "none"},
        {"label_smoothing": 0},
        {"label_smoothing": 1},
        {"label_smoothing": np.float32(0.1)},
        {"denominator": 3},
        {"denominator": np.float64(0.5)},
        {"first_class": np.int64(1)},
        {"multi_label": "mean"},
    ],
)
def test_valid_options(options: dict[str, Any]) -> None:
    Options(**options)


def test_numbers_are_kept_as_python_numbers() -> None:
    options = Options(np.int8(-1), "mean", np.float32(0.25), "error", np.float64(2), np.int64(1))
    kept = (options.ignore_index, options.label_smoothing, options.denominator, options.first_class)
    assert kept == (-1, 0.25, 2.0, 1)
    assert [type(value) for value in kept] == [int, float, float, int]


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"ignore_index": 1.0}, TypeError, "ignore_index must be an integer, got 1.0"),
        ({"ignore_index": True}, TypeError, "ignore_index must be an integer, got True"),
        (
            {"ignore_index": None},
            TypeError,
            "ignore_index must be an integer, got None; leave it out for its default",
        ),
        ({"first_class": -1}, OptionError, "first_class must be 0 or 1, got -1"),
        (
            {"reduction": "Mean"},
            OptionError,
            'reduction must be one of "mean", "sum", "none"; got \'Mean\'',
        ),
        (
            {"reduction": None},
            OptionError,
            'reduction must be one of "mean", "sum", "none"; got None',
        ),
        (
            {"reduction": ["mean"]},
            OptionError,
            'reduction must be one of "mean", "sum", "none"; got [\'mean\']',
        ),
        (
            {"multi_label": "all"},
            OptionError,
            'multi_label must be one of "error", "sum", "mean"; got \'all\'',
        ),
        (
            {"label_smoothing": 1.5},
            OptionError,
            "label_smoothing must be a number in [0, 1], got 1.5",
        ),
        (
            {"label_smoothing": math.nan},
            OptionError,
            "label_smoothing must be a number in [0, 1], got nan",
        ),
        (
            {"label_smoothing": True},
            TypeError,
            "label_smoothing must be a number in [0, 1], got True",
        ),
        (
            {"denominator": "3"},
            TypeError,
            "denominator must be a positive number or None, got '3'",
        ),
        ({"denominator": -3}, OptionError, "denominator must be positive, got -3"),
        ({"denominator": math.inf}, OptionError, "denominator must be positive, got inf"),
        (
            {"denominator": 3, "reduction": "none"},
            OptionError,
            'denominator is what reduction="mean" divides by; it has no use with '
            "reduction='none'",
        ),
    ],
)
def test_wrong_options(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        Options(**options)
    assert str(caught.value) == message
    with pytest.raises(kind) as caught:
        softmaxloss.cross_entropy([[1.0, 2.0]], [0], **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "weight",
    [
        [1, 2, 3],
        (0.0, 0.0, 0.0),
        np.array([1, 2, 3], np.uint8),
        np.array([1, 2, 3], np.float16),
        np.array([1, 2, 3], ml_dtypes.bfloat16),
        np.array([[1.0, 2.0, 3.0]]).T[:, 0],
        np.array([1, 2, 3], ">f4"),
    ],
)
def test_valid_weights(weight: Any) -> None:
    w = class_weights(weight, 3)
    assert w is not None
    assert w.dtype == np.float64
    assert w.tolist() in ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("weight", "kind", "message"),
    [
        ([1, 2], OptionError, "weight has shape (2,); logits with 3 classes need shape (3,)"),
        (1.0, OptionError, "weight has shape (); logits with 3 classes need shape (3,)"),
        (
            [[1, 2, 3]],
            OptionError,
            "weight has shape (1, 3); logits with 3 classes need shape (3,)",
        ),
        (
            [1, math.inf, 1],
            OptionError,
            "weight[1] is inf; weights must be finite and not negative",
        ),
        (
            [1, 1, -0.5],
            OptionError,
            "weight[2] is -0.5; weights must be finite and not negative",
        ),
        (["a", "b", "c"], TypeError, "weight must be 3 real numbers, got dtype <U1"),
        ([1, None, 1], TypeError, "weight must be 3 real numbers, got dtype object"),
        ([1j, 1, 1], TypeError, "weight must be 3 real numbers, got dtype complex128"),
    ],
)
def test_wrong_weights(weight: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        class_weights(weight, 3)
    assert str(caught.value) == message


def test_a_denominator_beyond_float64() -> None:
    with pytest.raises(OptionError, match=r"^denominator must be [^\n]*$"):
        Options(denominator=10**400)


def test_ragged_weights() -> None:
    with pytest.raises(
        OptionError, match=r"^weight is not one rectangular array: its rows differ in length$"
    ):
        class_weights([[1], [2, 3]], 3)


@pytest.mark.parametrize("wrong", [{"label_smoothing": "x"}, {"reduction": ["mean"]}])
def test_an_error_has_no_other_behind_it(wrong: dict[str, Any]) -> None:
    """A traceback would show both."""
    with pytest.raises((TypeError, ValueError)) as caught:
        softmaxloss.cross_entropy([1.0, 2.0], 0, **wrong)
    assert caught.value.__context__ is None


class Index:
    """An integer that changes, as a tensor's may."""

    value = -100

    def __index__(self) -> int:
        return self.value


def test_a_value_that_changes_is_read_in_every_call() -> None:
    z, index = np.zeros((2, 3)), Index()
    assert softmaxloss.cross_entropy(z, [0, 2], ignore_index=index, reduction="sum") > 2
    index.value = 2
    assert softmaxloss.cross_entropy(z, [0, 2], ignore_index=index, reduction="sum") < 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("reducton", "there is no argument 'reducton'; did you mean 'reduction'?"),
        ("wieght", "there is no argument 'wieght'; did you mean 'weight'?"),
        ("size_average", "there is no argument 'size_average'"),
        ("kind", "there is no argument 'kind'"),
    ],
)
def test_an_unknown_option(name: str, says: str) -> None:
    with pytest.raises(TypeError) as error:
        softmaxloss.cross_entropy([1.0, 2.0], 0, **{name: 1})
    assert str(error.value) == says


@pytest.mark.parametrize(
    "options",
    [
        {"denominator": -(10**300)},
        {"first_class": 10**5000},
        {"ignore_index": np.array([1, 2])},
        {"label_smoothing": np.ones((20, 20))},
        {"grad_output": np.array([["a", "b"], ["c", "d"]])},
    ],
    ids=lambda options: next(iter(options)),
)
def test_an_error_is_one_short_line(options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        softmaxloss.cross_entropy_with_grad([1.0, 2.0], 0, **options)
    text = str(error.value)
    assert next(iter(options)) in text
    assert "\n" not in text
    assert len(text) < 160


def test_misaligned_class_weights() -> None:
    memory = np.zeros(3 * 8 + 1, np.uint8)
    weight = memory[1:].view(np.float64)
    weight[:] = [1.0, 2.0, 4.0]
    assert not weight.flags.aligned
    checked = class_weights(weight, 3)
    assert checked is not None
    assert checked.flags.aligned
    assert checked.tolist() == [1.0, 2.0, 4.0]
