"""`check`: call a function, judge what comes back, and name what is wrong; and for tests."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from .bank import BANK
from .collecting import collect
from .forms import Part
from .judge import judge
from .report import Report
from .situations import battery

__all__ = ["assert_softmax_loss", "check"]


def check(
    fn: Callable[..., Any],
    kind: Part | None = None,
    *,
    dtype: Any = np.float64,
    seed: int | None = None,
    strict: bool = False,
) -> Report:
    """Check a softmax, its cross-entropy loss, or the loss's gradient by the logits.

    Args:
        fn: softmax(z); or of (z, y) the loss, the gradient, or both. Logits may be a batch with
            examples in rows or columns, or one example; labels indices or one-hot; NumPy arrays or
            PyTorch tensors, whose gradient autograd gives. Which it is is found out by trying.
        kind: "softmax", "loss", "gradient" or "loss+gradient", where that cannot be told from what
            comes back.
        dtype: of the logits, float64 or float32.
        seed: of the random probes; fresh for each check, and in the report.
        strict: whether a weakness, such as a loss that overflows, makes it wrong.

    Where the function has the parameters weight, ignore_index, label_smoothing or reduction, they
    are tried too.

    Raises ValueError for another kind or dtype, TypeError where fn cannot be called.

    >>> def loss(z, y):
    ...     a = np.exp(-z) / np.exp(-z).sum(axis=1, keepdims=True)
    ...     return -np.log(a[np.arange(len(y)), y]).mean()
    >>> check(loss).mistakes
    ['exp-minus-z', 'no-max']
    """
    if not callable(fn):
        raise TypeError(f"check takes a function, got {type(fn).__name__}")
    if np.dtype(dtype) not in (np.float64, np.float32):
        raise ValueError(f"dtype must be float64 or float32, got {np.dtype(dtype)}")
    seed = secrets.randbelow(10**6) if seed is None else seed
    asked = battery(seed, dtype)
    return judge(collect(fn, kind, asked), kind, asked, strict)


def assert_softmax_loss(
    fn: Callable[..., Any],
    kind: Part | None = None,
    *,
    dtype: Any = np.float64,
    seed: int | None = None,
    strict: bool = False,
    expected_failures: Collection[str] = (),
) -> None:
    """Raise AssertionError with the report unless the function is right: for tests.

    expected_failures: ids of mistakes that are known and may be there; {id: reason} fits.

    >>> assert_softmax_loss(lambda z: np.exp(z) / np.exp(z).sum(1)[:, None],
    ...                     expected_failures={"no-max": "the logits are small"})
    """
    unknown = set(expected_failures) - set(BANK)
    if unknown:
        raise ValueError(f"there is no mistake {min(unknown)!r}")
    report = check(fn, kind, dtype=dtype, seed=seed, strict=strict)
    known = set(expected_failures)
    wrong = [
        finding
        for finding in report.findings
        if finding.counts(strict)
        and not (finding.mistakes and {m.id for m in finding.mistakes} <= known)
    ]
    if wrong or report.problem is not None:
        raise AssertionError(str(report))
