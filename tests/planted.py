"""Implementations to check: right ones in the styles that people use, and cheats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch

Function = Callable[..., Any]


def seeds(*quick: int, slow: Iterable[int]) -> pytest.MarkDecorator:
    """A parameter `seed`: some seeds in each run, more of them in the slow one."""
    more = [pytest.param(seed, marks=pytest.mark.slow) for seed in slow]
    return pytest.mark.parametrize("seed", [*quick, *more])


# --- right, each in another style -----------------------------------------------------------------


def naive_with_max(z: Any, y: Any) -> Any:
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    a = e / np.sum(e, axis=1, keepdims=True)
    return -np.mean(np.log(a[np.arange(len(y)), y]))


def log_softmax(z: Any, y: Any) -> Any:
    m = z.max(axis=1, keepdims=True)
    log_a = z - m - np.log(np.exp(z - m).sum(axis=1, keepdims=True))
    return -log_a[np.arange(len(y)), y].mean()


def one_hot(z: Any, q: Any) -> Any:
    m = z.max(axis=1, keepdims=True)
    log_a = z - m - np.log(np.exp(z - m).sum(axis=1, keepdims=True))
    gradient = (np.exp(log_a) - q) / len(z)
    return -(q * log_a).sum() / len(z), gradient


def loops(z: Any, y: Any) -> Any:
    total, gradient = 0.0, np.zeros_like(z)
    for i in range(z.shape[0]):
        m = max(z[i])
        denominator = sum(np.exp(x - m) for x in z[i])
        total += m - z[i][y[i]] + np.log(denominator)
        for n in range(z.shape[1]):
            gradient[i, n] = (np.exp(z[i][n] - m) / denominator - (n == y[i])) / z.shape[0]
    return total / z.shape[0], gradient


def einsum(z: Any, q: Any) -> Any:
    m = z.max(axis=1)
    log_sum = m + np.log(np.einsum("nc->n", np.exp(z - m[:, None])))
    return (log_sum - np.einsum("nc,nc->n", q, z)).mean()


def with_scipy(z: Any, y: Any) -> Any:
    return (scipy.special.logsumexp(z, axis=1) - z[np.arange(len(y)), y]).mean()


def one_example(z: Any, y: Any) -> Any:
    z = z - z.max()
    return -z[y] + np.log(np.exp(z).sum())


def in_columns(z: Any, y: Any) -> Any:
    m = z.max(axis=0)
    log_a = z - m - np.log(np.exp(z - m).sum(axis=0))
    return -log_a[y, np.arange(len(y))].mean()


def labels_first(y_true: Any, logits: Any) -> Any:
    return log_softmax(logits, y_true)


def summed(z: Any, y: Any) -> Any:
    loss, gradient = loops(z, y)
    return loss * len(y), gradient * len(y)


def gradient_only(z: Any, y: Any) -> Any:
    gradient = scipy.special.softmax(z, axis=1)
    gradient[np.arange(len(y)), y] -= 1
    return gradient / len(y)


def softmax_only(z: Any) -> Any:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def with_torch(z: Any, y: Any) -> Any:
    return torch.nn.functional.cross_entropy(z, y)


RIGHT_STYLES: list[Function] = [
    naive_with_max, log_softmax, one_hot, loops, einsum, with_scipy, one_example, in_columns,
    labels_first, summed, gradient_only, softmax_only, with_torch,
]  # fmt: skip

# --- cheats ---------------------------------------------------------------------------------------


def zeros(z: Any, y: Any) -> Any:
    return 0.0, np.zeros_like(z)


def constant(z: Any, y: Any) -> Any:
    return float(np.log(z.shape[1]))


def not_a_number(z: Any, y: Any) -> Any:
    return np.nan, np.full_like(z, np.nan)


def replayed() -> Function:
    """The answer of the call before."""
    last: list[Any] = []

    def function(z: Any, y: Any) -> Any:
        last.append(log_softmax(z, y))
        return last[-2] if len(last) > 1 else last[-1]

    return function


def reference_at_times(z: Any, y: Any) -> Any:
    """The reference for one shape, and for the others something near it."""
    import softmaxloss

    if z.shape == (5, 7):
        return softmaxloss.cross_entropy(z, y)
    return -(z[np.arange(len(y)), y] - z.max(axis=1)).mean()


def no_softmax(z: Any, y: Any) -> Any:
    gradient = np.zeros_like(z)
    gradient[np.arange(len(y)), y] = -1 / len(y)
    return log_softmax(z, y), gradient


def alias(z: Any, y: Any) -> Any:
    """The gradient is written over the logits, and they are given back."""
    loss = log_softmax(z, y)
    z[:] = gradient_only(z.copy(), y)
    return loss, z


CHEATS: list[Function] = [
    zeros, constant, not_a_number, replayed(), reference_at_times, no_softmax, alias,
]  # fmt: skip
