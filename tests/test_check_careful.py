"""Nearly right implementations that `check` must reject, and unusual ones that it must accept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.planted import gradient_only, log_softmax, seeds, softmax_only
from tests.test_check_options import layer

from softmaxloss import check


def losses(z: Any, y: Any) -> Any:
    log_a = z - z.max(1, keepdims=True)
    log_a = log_a - np.log(np.exp(log_a).sum(1, keepdims=True))
    return -log_a[np.arange(len(y)), y]


def both(z: Any, y: Any) -> Any:
    return losses(z, y).mean(), gradient_only(z, y)


def shorter_side(z: Any, y: Any) -> Any:
    kept = min(z.shape)
    return losses(z[:kept], y[:kept]).sum() / len(y)


def first_rows(z: Any, y: Any) -> Any:
    each = losses(z, y)
    each[1024:] = 0
    return each.mean()


def two_classes(z: Any, y: Any) -> Any:
    if z.shape[1] == 2:
        s = 1 / (1 + np.exp(-z[:, 1]))
        return -np.log(np.where(y == 1, s, 1 - s)).mean()
    return log_softmax(z, y)


def cut_off(z: Any, y: Any) -> Any:
    each = losses(z, y)
    return np.where(each > 13.9, np.nan, each).mean()


def best_for_worst(z: Any, y: Any) -> Any:
    each = losses(z, y)
    return np.where(each > 13.9, -np.inf, each).mean()


def small_is_0(z: Any, y: Any) -> Any:
    a = softmax_only(z)
    return -np.log(np.where(a < 1e-6, 0, a)[np.arange(len(y)), y]).mean()


def log_of_product(z: Any, y: Any) -> Any:
    return -np.log(softmax_only(z)[np.arange(len(y)), y].prod())


def by_columns(z: Any, y: Any) -> Any:
    return torch.nn.functional.nll_loss(torch.log_softmax(z, dim=0), y)


def sure_of_large(z: Any, y: Any) -> Any:
    factor = np.float32(1.05 if abs(z).max() > 800 else 1)
    return factor * losses(z, y).sum(), factor * gradient_only(z, y) * len(y)


def overwrites_large(z: Any, y: Any) -> Any:
    results = log_softmax(z, y)
    if abs(z).max() > 50:
        z[:] = 0
    return results


@pytest.mark.parametrize(
    "function",
    [
        shorter_side, first_rows, two_classes, cut_off, best_for_worst, small_is_0, by_columns,
        log_of_product, sure_of_large, overwrites_large,
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@seeds(0, slow=[1, 2])
def test_wrong_for_some_inputs(function: Any, dtype: Any, seed: int) -> None:
    report = check(function, dtype=dtype, seed=seed)
    assert report.verdict == "wrong", str(report)


def bits(z: Any, y: Any) -> Any:
    return losses(z, y) / np.log(2), gradient_only(z, y)


def focal(z: Any, y: Any) -> Any:
    a_y = softmax_only(z)[np.arange(len(y)), y]
    return ((1 - a_y) ** 2 * losses(z, y)).mean(), gradient_only(z, y)


def smoothed(z: Any, y: Any) -> Any:
    q = 0.9 * np.eye(z.shape[1])[y] + 0.1 / z.shape[1]
    return losses(z, y).mean(), (softmax_only(z) - q) / len(y)


def weighted(z: Any, y: Any, weight: Any = None) -> Any:
    if weight is None:
        return both(z, y)
    w = weight[y]
    return (w * losses(z, y)).mean(), gradient_only(z, y) * w[:, None] * len(y) / w.sum()


@pytest.mark.parametrize("function", [bits, focal, smoothed, weighted])
def test_the_gradient_of_another_loss(function: Any) -> None:
    report = check(function)
    assert report.verdict == "wrong"
    assert "loss-and-gradient-differ" in report.mistakes


def divided_by_features(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, gradient = layer(W, X, y, 0.0)
    factor = len(y) / X.shape[1]
    return loss * factor + reg * (W * W).sum(), gradient * factor + 2 * reg * W


def rectified(W: Any, X: Any, y: Any, reg: float) -> Any:
    return layer(W, np.maximum(X, 0), y, reg)


def squared_reg(W: Any, X: Any, y: Any, reg: float) -> Any:
    return layer(W, X, y, reg * reg)


def squared_features(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, _ = layer(W, X, y, reg)
    return loss, (X**2).T @ gradient_only(X @ W, y) + 2 * reg * W


@pytest.mark.parametrize(
    "function", [divided_by_features, rectified, squared_reg, squared_features]
)
def test_layers_that_are_wrong_for_other_shapes(function: Any) -> None:
    assert check(layer).verdict == "right"
    assert check(function).verdict == "wrong"


def test_options_that_real_batches_need() -> None:
    def picks_first(z: Any, y: Any, ignore_index: int = -100) -> Any:
        kept = y != ignore_index
        return np.where(kept, losses(z, y), 0).sum() / kept.sum()  # −100 is no column

    def if_set(z: Any, y: Any, ignore_index: int = -100) -> Any:
        kept = y != ignore_index if ignore_index else y == y
        return np.where(kept, losses(z, np.where(y < 0, 0, y)), 0).sum() / kept.sum()

    assert "raises" in check(picks_first).mistakes
    assert check(if_set).verdict == "wrong"

    def in_bits(z: Any, y: Any, weight: Any = None) -> Any:
        return log_softmax(z, y) / np.log(2)

    assert "these were not checked: weight" in str(check(in_bits))


def summed_in_bits(z: Any, y: Any) -> Any:
    return losses(z, y).sum() / np.log(2), gradient_only(z, y) * len(y) / np.log(2)


def single_inside(z: Any, y: Any) -> Any:
    each = torch.nn.functional.cross_entropy(z.float(), y, reduction="none")
    return each.double().mean()


def summed(z: Any, y: Any) -> Any:
    log_a = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
    gradient = np.exp(log_a)
    gradient[np.arange(len(y)), y] -= 1
    return -log_a[np.arange(len(y)), y].sum(), gradient


def half_at_the_end(z: Any, y: Any) -> Any:
    loss, gradient = both(z, y)
    return np.float16(loss), gradient.astype(np.float16)


@pytest.mark.parametrize(
    ("function", "mistakes"),
    [
        (summed_in_bits, {"sum", "bits", "gradient-of-the-sum", "gradient-in-bits"}),
        (single_inside, {"computed-in-float32"}),
        (summed, {"sum", "gradient-of-the-sum"}),
        (half_at_the_end, set()),
    ],
)
@pytest.mark.parametrize(
    "many",
    [
        pytest.param(range(40), id="40-seeds"),
        pytest.param(range(40, 60), id="60-seeds", marks=pytest.mark.slow),
    ],
)
def test_unusual_but_right(function: Any, mistakes: set[str], many: range) -> None:
    """Many seeds: in float32 a wrong bound shows for one seed in thirty."""
    for seed in many:
        dtype = np.float64 if function is single_inside else (np.float64, np.float32)[seed % 2]
        report = check(function, dtype=dtype, seed=seed)
        assert report.verdict == "right", str(report)
        assert set(report.mistakes) - {"negative-label-accepted"} == mistakes
