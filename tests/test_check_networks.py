"""Networks of two layers: made with the sizes that they need, and checked as their last layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from softmaxloss import check
from softmaxloss.checking.calling.networks import (
    of_network,
    of_network_step,
    sizes_for,
)


class Net:
    """Two layers with ReLU; the bugs are planted in classes made from it."""

    regularised = 0.5  # times reg·ΣW²

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        self.params = {
            "W1": np.random.randn(input_size, hidden_size),  # noqa: NPY002 - as people do
            "b1": np.zeros(hidden_size),
            "W2": np.random.randn(hidden_size, output_size),  # noqa: NPY002
            "b2": np.zeros(output_size),
        }

    def loss(self, X: Any, y: Any, reg: float = 0.0) -> Any:
        W1, b1, W2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        before = X @ W1 + b1
        hidden = np.maximum(before, 0)
        z = hidden @ W2 + b2
        z = z - z.max(axis=1, keepdims=True)
        log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        squares = (W1**2).sum() + (W2**2).sum()
        loss = -log_a[np.arange(len(y)), y].mean() + self.regularised * reg * squares
        d = np.exp(log_a)
        d[np.arange(len(y)), y] -= 1
        d = self.scaled(d)
        back = self.through_relu(d @ W2.T, before)
        return loss, {
            "W1": X.T @ back + 2 * self.regularised * reg * W1,
            "b1": self.of_bias(back),
            "W2": hidden.T @ d + 2 * self.regularised * reg * W2,
            "b2": d.sum(axis=0),
        }

    def scaled(self, d: Any) -> Any:
        return d / len(d)

    def through_relu(self, back: Any, before: Any) -> Any:
        return back * (before > 0)

    def of_bias(self, back: Any) -> Any:
        return back.sum(axis=0)


class NotDivided(Net):
    def scaled(self, d: Any) -> Any:
        return d


class WithoutRelu(Net):
    def through_relu(self, back: Any, before: Any) -> Any:
        return back


class MeanOfBias(Net):
    def of_bias(self, back: Any) -> Any:
        return back.mean(axis=0)


class CubedPenalty(Net):
    regularised = 0.75


def test_sizes_by_the_names_of_parameters() -> None:
    class Other:
        def __init__(self, n_x: int, n_hid: int, n_classes: int, seed: int = 0) -> None: ...

    class Unknown:
        def __init__(self, words: Any) -> None: ...

    assert sizes_for(Other) == {"n_x": 4, "n_hid": 8, "n_classes": 3}
    assert sizes_for(Net, 2, 5, 7) == {"input_size": 2, "hidden_size": 5, "output_size": 7}
    with pytest.raises(TypeError, match="Unknown needs words to be made"):
        sizes_for(Unknown)


def test_a_right_network() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr] # noqa: NPY002
    net = Net(4, 8, 3)
    np.random.set_state(("MT19937", before, 624))  # noqa: NPY002
    report = check(net.loss, seed=3)
    assert report.verdict == "right", str(report)
    assert report.parts == ("loss", "gradient")
    assert "W2 = (W, −W); loss(X, y)" in str(report.form)
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index] # noqa: NPY002


def test_a_mistake_of_the_last_layer_is_named() -> None:
    report = check(NotDivided(4, 8, 3).loss, seed=3)
    assert report.verdict != "right"


@pytest.mark.parametrize(
    ("bug", "id"),
    [
        (WithoutRelu, "other-layer-wrong"),
        (MeanOfBias, "other-layer-wrong"),
        (CubedPenalty, "regularisation-wrong"),
    ],
)
def test_gradients_of_other_parameters_are_compared_with_slopes(bug: type[Net], id: str) -> None:
    report = check(bug(4, 8, 3).loss, seed=3)
    assert report.verdict == "wrong", str(report)
    assert id in report.mistakes


def test_other_objects_are_no_such_networks() -> None:
    class OneLayer(Net):
        def __init__(self) -> None:
            self.params = {"W": np.zeros((4, 3)), "b": np.zeros(3)}

    assert list(of_network(OneLayer().loss)) == []
    assert list(of_network(Net(4, 8, 3).of_bias)) == []
    assert list(of_network(np.mean)) == []


# --- a step of a network of two layers ------------------------------------------------------------


def gradients(X: Any, y: Any, W1: Any, W2: Any) -> Any:
    hidden = np.maximum(X @ W1, 0)
    z = hidden @ W2
    a = np.exp(z - z.max(axis=1, keepdims=True))
    d = a / a.sum(axis=1, keepdims=True) - np.eye(W2.shape[1])[y]
    return X.T @ ((hidden > 0) * (d @ W2.T)) / len(y), hidden.T @ d / len(y)


def epoch(X: Any, y: Any, W1: Any, W2: Any, lr: float = 0.1, batch: int = 100) -> None:
    for start in range(0, len(X), batch):
        rows = slice(start, start + batch)
        dW1, dW2 = gradients(X[rows], y[rows], W1, W2)
        W1 -= lr * dW1
        W2 -= lr * dW2


def returned(X: Any, y: Any, W1: Any, W2: Any, lr: float) -> Any:
    dW1, dW2 = gradients(X, y, W1, W2)
    return W1 - lr * dW1, W2 - lr * dW2


def of_sum(X: Any, y: Any, W1: Any, W2: Any, lr: float) -> Any:
    dW1, dW2 = gradients(X, y, W1, W2)
    return W1 - lr * dW1 * len(y), W2 - lr * dW2 * len(y)


def too_late(X: Any, y: Any, W1: Any, W2: Any, lr: float = 0.1) -> None:
    W2 -= lr * gradients(X, y, W1, W2)[1]
    W1 -= lr * gradients(X, y, W1, W2)[0]


@pytest.mark.parametrize(
    ("step", "mistakes"), [(epoch, []), (returned, []), (of_sum, ["gradient-of-the-sum"])]
)
def test_a_step_of_two_layers(step: Any, mistakes: list[str]) -> None:
    report = check(step, seed=3)
    assert report.verdict == "right", str(report)
    assert report.parts == ("gradient",)
    assert [id for id in report.mistakes if id != "negative-label-accepted"] == mistakes
    assert "(W2 − W2 after one step)/lr" in str(report.form)


def test_a_step_whose_first_layer_is_wrong_is_wrong() -> None:
    report = check(too_late, seed=3)
    assert report.verdict == "wrong"
    assert "other-layer-wrong" in report.mistakes


def test_other_functions_are_no_such_steps() -> None:
    for function in (
        lambda X, y, W1, lr: None,
        lambda X, y, W1, W2: None,
        lambda X, y, W1, W2, lr, momentum: None,
        np.mean,
    ):
        assert list(of_network_step(function)) == []
