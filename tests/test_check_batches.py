"""`check`: a batch or one example, a softmax or its log, and what is said of either."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from softmaxloss import check
from softmaxloss.checking.inputs import plain_inputs, with_classes

SEED = 16


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max())
    return e / e.sum()


def test_a_softmax_over_everything_is_right_for_one_example() -> None:
    report = check(softmax, seed=SEED)
    assert report.verdict == "right"
    assert str(report).startswith("right for one example: softmax, called as f(z) with z an array")
    assert 'check it with layout="rows"' in str(report)
    assert check(softmax, layout="rows").mistakes == ["softmax-over-everything"]
    assert str(check(softmax, layout="one")).startswith("right: softmax")


def test_not_if_it_speaks_of_a_batch() -> None:
    def documented(x: Any) -> Any:
        """Softmax of each example in a batch."""
        return softmax(x)

    def counted(x: Any) -> Any:
        num_examples = x.size // x.shape[-1]
        return softmax(x) * (num_examples > 0)

    def annotated(x: Any) -> Any:
        return softmax(x)

    annotated.__annotations__["x"] = "Float[Array, 'batch classes']"

    for function in (documented, counted, annotated):
        report = check(function, seed=SEED)
        assert report.mistakes == ["softmax-over-everything"], str(report)
        assert check(function, layout="one").verdict == "right"


@pytest.mark.parametrize("of_many", [True, False])
def test_labels_of_many_examples(of_many: bool) -> None:
    def one(scores: Any, y: Any) -> Any:
        return -np.sum(y * np.log(softmax(scores) + 1e-12))

    def many(scores: Any, labels: Any) -> Any:
        return -np.sum(labels * np.log(softmax(scores) + 1e-12))

    report = check(many if of_many else one, seed=SEED)
    assert report.verdict == ("wrong" if of_many else "right"), str(report)
    assert ("softmax-over-everything" in report.mistakes) == of_many
    assert ("one-example-only" in report.mistakes) != of_many


def test_a_softmax_that_returns_the_log() -> None:
    def of_rows(z: Any) -> Any:
        m = z.max(axis=1, keepdims=True)
        return z - m - np.log(np.exp(z - m).sum(axis=1, keepdims=True))

    def my_softmax(z: Any) -> Any:
        return of_rows(z)

    def no_maximum_softmax(z: Any) -> Any:
        return z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    def softmax_of_logits(z: Any) -> Any:
        return np.exp(of_rows(z))

    def log_softmax(z: Any) -> Any:
        return np.exp(of_rows(z))

    def log_of_probabilities(z: Any) -> Any:
        return np.log(np.exp(of_rows(z)))

    assert check(my_softmax).mistakes == ["log-returned"]
    assert check(of_rows, "softmax").mistakes == ["log-returned"]
    assert check(of_rows).parts == ("log_softmax",)
    assert check(no_maximum_softmax).mistakes == ["log-returned", "no-max"]
    assert check(softmax_of_logits).mistakes == []
    assert check(log_softmax).mistakes == ["log-missing"]
    assert check(log_of_probabilities).mistakes == ["log-of-underflow"]


def layer(W: Any, X: Any, y: Any) -> Any:
    a = np.exp(X @ W - (X @ W).max(axis=1, keepdims=True))
    a /= a.sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    loss = -np.log(a[rows, y] + 1e-300).mean()
    a[rows, y] -= 1
    return loss, X.T @ a / len(y)


@pytest.mark.parametrize(
    ("penalty", "fix"),
    [
        (lambda W: (W * W).sum(), "dW += 2 * reg * W"),
        (lambda W: (W * W).sum() / 2, "dW += reg * W"),
        (lambda W: np.abs(W).sum(), "dW += reg * np.sign(W)"),
        (lambda W: (W[:-1] ** 2).sum() / 2, "dW += reg * W   # without the bias"),
    ],
)
def test_the_fix_of_a_penalty_is_the_gradient_of_its_loss(penalty: Any, fix: str) -> None:
    def wrong(W: Any, X: Any, y: Any, reg: float) -> Any:
        loss, gradient = layer(W, X, y)
        return loss + reg * penalty(W), gradient + 3 * reg * W

    def other(W: Any, X: Any, y: Any, reg: float) -> Any:
        loss, gradient = layer(W, X, y)
        factor = 2 if "2 *" not in fix else 1
        return loss + reg * penalty(W), gradient + factor * reg * W

    assert check(wrong).verdict == "wrong"
    report = check(other, seed=SEED)
    assert "regularisation-gradient" in report.mistakes, str(report)
    assert f"fix: {fix}" in str(report)


def test_the_example_shows_the_difference() -> None:
    """With 1e-3 in the log the loss of two examples is right to a few digits."""

    def plus(z: Any, y: Any) -> Any:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        a = e / e.sum(axis=1, keepdims=True)
        return -np.log(a[np.arange(len(y)), y] + 1e-5).mean()

    (finding,) = (f for f in check(plus, seed=SEED).findings if f.part == "loss")
    assert finding.example is not None
    yours, expected = (float(finding.example[name]) for name in ("yours", "expected"))
    assert abs(yours - expected) > 0.05 * expected


def test_a_function_that_is_right_for_no_number_of_classes() -> None:
    """A number in the code is tried only where the likely forms cannot be called."""

    def constant(z: Any, y: Any) -> Any:
        return 10.0 * len(y)

    assert "classes-hard-coded" not in check(constant).mistakes

    def ten(z: Any, y: Any) -> Any:
        return (np.eye(10)[y] * z).sum(axis=1).mean()

    report = check(ten)
    assert report.verdict == "wrong"
    assert "loss-is-minus-z" not in report.mistakes
    assert "(N, 10)" in str(report.form)


@pytest.mark.parametrize("classes", [3, 10, 100])
def test_inputs_with_a_number_of_classes(classes: int) -> None:
    for input in with_classes(plain_inputs(SEED), classes):
        assert input.z.shape == (len(input.y), classes)
        assert 0 <= input.y.min() <= input.y.max() < classes
        assert np.isfinite(input.z).all()


# --- what can be read in two ways -----------------------------------------------------------------


def softmax_of_columns(z: Any) -> Any:
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


def losses_of_columns(a: Any, q: Any) -> Any:
    return -(q * np.log(a)).sum(axis=0)


def by_its_label_or_logits(u: Any, v: Any) -> Any:
    """The logits are the argument with two dimensions."""
    y, z = (u, v) if np.ndim(u) < np.ndim(v) else (v, u)
    top = z.max(axis=1, keepdims=True)
    return (np.log(np.exp(z - top).sum(axis=1)) + top[:, 0] - z[np.arange(len(y)), y]).mean()


def of_one_or_many(z: Any, y: Any) -> Any:
    z = z - z.max(axis=-1, keepdims=True)
    log_a = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_a, np.asarray(y)[..., None], axis=-1).mean()


AMBIGUOUS: dict[str, tuple[Any, str, dict[str, Any], list[str]]] = {
    # The function, how it is called, and what one who means another reading asks for and is told.
    "columns or a wrong axis": (
        softmax_of_columns, "(C, N)", {"layout": "rows"}, ["softmax-over-the-batch"],
    ),
    "a loss for each column": (losses_of_columns, "one-hot (C, N)", {"layout": "rows"}, []),
    "two orders": (by_its_label_or_logits, "f(z, y)", {"layout": "columns"}, []),
    "one or many": (of_one_or_many, "(N, C)", {"layout": "columns"}, []),
}  # fmt: skip


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_can_be_read_in_two_ways(name: str) -> None:
    """It is right if one of the readings is; who means the other one says so."""
    function, form, meant, mistakes = AMBIGUOUS[name]
    report = check(function, seed=SEED)
    assert report.verdict == "right", str(report)
    assert form in str(report.form)
    other = check(function, seed=SEED, **meant)
    assert other.verdict != "right", str(other)
    assert set(mistakes) <= set(other.mistakes)


def test_where_two_readings_are_wrong_the_simpler_mistake_is_named() -> None:
    """−Σ y·log p of class indices is that of one-hot labels without a mistake."""

    def without_minus(p: Any, y: Any) -> Any:
        return (y * np.log(p)).sum(axis=1).mean()

    report = check(without_minus, seed=SEED)
    assert report.mistakes == ["no-minus"], str(report)
    assert "one-hot" in str(report.form)


@pytest.mark.parametrize("level", ["textbook", "stable"])
def test_one_example_is_said_to_be_one_at_each_level(level: Any) -> None:
    """Also where the right form has a weakness that the level does not ask about."""

    def softmax(z: Any) -> Any:
        e = np.exp(z if level == "textbook" else z - z.max())
        return e / e.sum()

    report = check(softmax, seed=3, level=level)
    assert report.verdict == "right"
    assert "one-example-only" in report.mistakes
    assert str(report).startswith("right for one example")


def test_the_rest_of_an_object_is_judged_if_asked_for() -> None:
    """The object is not called right where its gradient could not be called; its softmax is."""

    class Layer:
        def forward(self, z: Any) -> Any:
            e = np.exp(z - z.max(axis=1, keepdims=True))
            return e / e.sum(axis=1, keepdims=True)

        def backward(self, following: Any, optimizer: Any) -> Any:
            return following.weights.T @ optimizer.delta

    report = check(Layer)
    assert report.verdict == "not checked"
    assert "backward" in str(report.problem)
    assert check(Layer, "softmax").verdict == "right"
