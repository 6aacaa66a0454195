"""`check`: call a function, judge what comes back, and name what is wrong; and for tests."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from .collecting import collect
from .judge import judge
from .report import Report
from .terms import Layout, Part, terms_of

__all__ = ["assert_softmax_loss", "check"]


def check(
    fn: Callable[..., Any],
    kind: Part | None = None,
    *,
    layout: Layout | None = None,
    dtype: Any = np.float64,
    seed: int | None = None,
    strict: bool = False,
    expected_failures: Collection[str] = (),
) -> Report:
    """Check a softmax, its cross-entropy loss, or the loss's gradient by the logits.

    Args:
        fn: softmax(z); or of (z, y) the loss, the gradient, or both; or of (W, X, y, reg) the loss
            of a layer and its gradient by W. Labels are indices or one-hot; arrays NumPy's,
            PyTorch's or JAX's, of which the framework gives the gradient. Where it has the
            parameters weight, ignore_index, label_smoothing or reduction they are tried too.
        kind: "softmax", "loss", "gradient" or "loss+gradient", where that cannot be told from what
            comes back.
        layout: "rows" or "columns", how the examples of a batch lie, or "one", for a function of
            one example. None: which of them it is is found out by trying.
        dtype: of the logits, float64 or float32.
        seed: of the random inputs; fresh for each check, and in the report.
        strict: whether weaknesses, such as a loss that is infinite for a very wrong prediction, and
            conventions, such as a sum for a mean, make it wrong too.
        expected_failures: ids of mistakes that do not; {id: reason} fits.

    Raises ValueError for another kind, layout, dtype or id, TypeError where fn cannot be called.

    >>> def loss(z, y):
    ...     a = np.exp(-z) / np.exp(-z).sum(axis=1, keepdims=True)
    ...     return -np.log(a[np.arange(len(y)), y]).mean()
    >>> check(loss).mistakes
    ['exp-minus-z', 'no-max']
    """
    if not callable(fn):
        raise TypeError(f"check takes a function, got {type(fn).__name__}")
    terms = terms_of(
        kind,
        layout=layout,
        dtype=dtype,
        seed=secrets.randbelow(10**6) if seed is None else seed,
        strict=strict,
        allowed=expected_failures,
    )
    return judge(collect(fn, terms), terms)


def assert_softmax_loss(
    fn: Callable[..., Any],
    kind: Part | None = None,
    *,
    layout: Layout | None = None,
    dtype: Any = np.float64,
    seed: int | None = None,
    strict: bool = False,
    expected_failures: Collection[str] = (),
) -> None:
    """Raise AssertionError with the report unless `check` finds the function right: for tests.

    >>> assert_softmax_loss(lambda z: np.exp(z) / np.exp(z).sum(1)[:, None],
    ...                     expected_failures={"no-max": "the logits are small"})
    """
    report = check(
        fn,
        kind,
        layout=layout,
        dtype=dtype,
        seed=seed,
        strict=strict,
        expected_failures=expected_failures,
    )
    if report.verdict == "wrong":
        raise AssertionError(str(report))
