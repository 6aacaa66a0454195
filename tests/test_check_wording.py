"""What the text of a function says: how examples are stored, from where labels count, a mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from softmaxloss.checking.calling.forms import Form
from softmaxloss.checking.calling.wording import Wording, wording_of


def documented(text: str | None, name: str = "loss") -> Callable[..., Any]:
    """A function with this docstring."""

    def function(z: Any, y: Any) -> Any:
        return None

    function.__doc__, function.__name__ = text, name
    return function


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("logits of shape (n_classes, m)", "columns"),
        ("scores (C, N), one-hot Y (C, N)", "columns"),
        ("Z: (batch_size, num_classes)", "rows"),
        ("x is N x C; returns (N, C)", "rows"),
        ("each column is an example", "columns"),
        ("one example per row", "rows"),
        ("one sample per row, or each column is a sample", None),  # it contradicts itself
        ("W has shape (D, C)", None),  # it says nothing of the examples
        ("an image of shape (28, 28)", None),
        ("", None),
        (None, None),
    ],
)
def test_how_the_examples_are_stored(text: str | None, layout: str | None) -> None:
    assert wording_of(documented(text)).layout == layout


def test_a_form_that_contradicts_the_text() -> None:
    columns, rows = Wording(layout="columns"), Wording(layout="rows")
    assert Form(layout="rows").contradicts(columns)
    assert Form(layout="sequences").contradicts(columns)
    assert Form(layout="columns").contradicts(rows)
    assert not Form(layout="rows").contradicts(rows)
    assert not Form(layout="one").contradicts(columns)
    assert not Form(layout="columns").contradicts(Wording())
    probabilities = Form(("probabilities", "labels"))
    assert probabilities.contradicts(Wording(from_logits=True))
    assert not probabilities.contradicts(Wording(from_logits=False))
    assert Form().contradicts(Wording(from_logits=False))


@pytest.mark.parametrize(
    ("text", "from_one"),
    [
        ("y: labels 1..N", True),
        ("y: labels from 1 to C", True),
        ("y is 1-based", True),
        ("y: labels 0..C-1, not 1-based", False),
        ("y: labels 0 to 9", False),
        ("loss of 1 example", False),
    ],
)
def test_from_where_labels_count(text: str, from_one: bool) -> None:
    assert wording_of(documented(text)).labels_from_one is from_one


@pytest.mark.parametrize(
    ("text", "name", "mean"),
    [
        ("Returns the average loss.", "loss", True),
        (None, "mean_loss", True),
        (None, "avg_cross_entropy", True),
        ("The mean of the losses; with reduction='sum' their sum.", "loss", False),
        ("The summed loss.", "mean_loss", False),
        ("meaningful", "loss", False),
    ],
)
def test_whether_it_is_a_mean(text: str | None, name: str, mean: bool) -> None:
    assert wording_of(documented(text, name)).mean is mean


def test_what_else_is_said() -> None:
    said = wording_of(documented("The mean over the unmasked tokens, as torch.nn.functional's."))
    assert said.mean_of_mask
    assert not said.as_pytorch
    assert wording_of(documented("Equals F.cross_entropy.")).as_pytorch
    assert wording_of(documented("like nn.CrossEntropyLoss in PyTorch")).as_pytorch


def test_the_default_of_from_logits() -> None:
    def of(y: Any, p: Any, from_logits: bool = True) -> Any: ...

    def required(y: Any, p: Any, from_logits: bool) -> Any: ...

    class Loss:
        def __init__(self, from_logits: bool = False) -> None: ...

    assert wording_of(of).from_logits is True
    assert wording_of(required).from_logits is None
    assert wording_of(Loss).from_logits is False
    assert wording_of(Loss()).from_logits is False
    assert wording_of(len).from_logits is None
