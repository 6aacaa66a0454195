"""The check of functions that are written in less usual ways; the corpus has more of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from softmaxloss import check


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def with_epsilon(z: Any, y: Any, pad_idx: int) -> Any:
    keep = y != pad_idx
    picked = softmax(z)[np.arange(len(y)), np.where(keep, y, 0)]
    return -(np.log(picked + 1e-9) * keep).sum() / keep.sum()


def with_epsilon_over_n(z: Any, y: Any, pad_idx: int) -> Any:
    keep = y != pad_idx
    picked = softmax(z)[np.arange(len(y)), np.where(keep, y, 0)]
    return -(np.log(picked + 1e-9) * keep).mean()


def test_a_small_number_in_the_log_is_one_with_options_too() -> None:
    right = check(with_epsilon, seed=0, level="textbook")
    assert right.verdict == "right", str(right)
    assert "log-of-a-plus-epsilon" in right.mistakes
    assert check(with_epsilon_over_n, seed=0, level="textbook").verdict == "wrong"


def test_probabilities_beside_a_masked_loss_are_not_compared() -> None:
    def masked(logits: Any, mask: Any, target: Any) -> Any:
        a = softmax(logits)
        losses = -np.log(a[np.arange(len(target)), target])
        return (losses * mask).sum() / mask.sum(), a

    assert check(masked, seed=0, level="textbook").verdict == "right"


def test_weights_of_examples_that_are_not_used() -> None:
    def reinforce(logits: Any, actions: Any, advantages: Any) -> Any:
        del advantages
        return -np.log(softmax(logits)[np.arange(len(actions)), actions]).mean()

    assert "mask-unused" in check(reinforce, seed=0, level="textbook").mistakes


def test_a_backward_where_all_examples_are_ignored() -> None:
    """0 / 0 for an empty batch is a weakness, as everything that shows for such inputs only."""

    class Padded:
        def forward(self, logits: Any, targets: Any, pad_idx: int) -> Any:
            self.keep, self.a = targets != pad_idx, softmax(logits)
            self.y = np.where(self.keep, targets, 0)
            picked = self.a[np.arange(len(self.y)), self.y]
            return -np.log(picked[self.keep]).mean()

        def backward(self) -> Any:
            d = self.a - np.eye(self.a.shape[1])[self.y]
            d = np.where(self.keep[:, None], d, 0.0)
            return d / self.keep.sum()

    report = check(Padded, seed=0, level="textbook")
    assert report.verdict == "right", str(report)
    assert "nan-gradient-where-all-are-ignored" in report.mistakes


def fit(X: Any, y: Any, lr: float, epochs: int) -> Any:
    W = np.zeros((X.shape[1], 3))
    for _ in range(epochs):
        W -= lr * X.T @ (softmax(X @ W) - np.eye(3)[y])
    return W


def rnn(inputs: Any, targets: Any, hprev: Any) -> Any:
    raise NotImplementedError


def two_layers(X: Any, Y: Any, parameters: Any, layers_dims: Any, seed: Any) -> Any:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "what"),
    [(fit, "it trains a model"), (rnn, "a recurrent network"), (two_layers, "it is a network")],
)
def test_what_is_more_than_a_loss_is_said_to_be_that(function: Any, what: str) -> None:
    report = check(function, seed=0)
    assert report.verdict == "not checked"
    assert report.problem is not None
    assert what in report.problem


def test_a_wrong_penalty_is_never_right() -> None:
    """Of forms in which the penalty is compared at one point only."""

    def cost(AL: Any, Y: Any, parameters: Any, lambd: float) -> Any:
        penalty = sum(np.sum(value) for name, value in parameters.items() if name[0] == "W")
        return -(Y * np.log(AL)).sum() / Y.shape[1] + lambd * penalty

    assert check(cost, seed=0, level="textbook").verdict != "right"


def test_a_table_of_logits() -> None:
    """A table of logits whose gradient is that of the rows that were looked up."""

    def table(W: Any, xs: Any, ys: Any) -> Any:
        a = softmax(W[xs])
        loss = -np.log(a[np.arange(len(ys)), ys]).mean()
        a[np.arange(len(ys)), ys] -= 1
        dW = np.zeros_like(W)
        np.add.at(dW, xs, a / len(ys))
        return loss, dW

    def without_place(W: Any, xs: Any, ys: Any) -> Any:
        loss, dW = table(W, xs, ys)
        return loss, dW[xs]

    assert check(table, seed=0, level="textbook").verdict == "right"
    assert check(without_place, seed=0, level="textbook").verdict == "wrong"


def test_a_layer_that_is_wrong_for_a_batch_only() -> None:
    """It is not called for one example after another, for which it would be right."""

    def over_everything(W: Any, X: Any, y: Any) -> Any:
        e = np.exp(X @ W)
        return -np.log((e / e.sum())[np.arange(len(y)), y]).mean()

    def of_one(w: Any, x: Any, label: Any) -> Any:
        e = np.exp(x @ w)
        return -np.log((e / e.sum())[label])

    assert check(over_everything, seed=0, level="textbook").verdict == "wrong"
    assert check(of_one, seed=0, level="textbook").verdict == "right"
