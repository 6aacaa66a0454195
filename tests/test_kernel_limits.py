"""Infinite and huge logits, and tiny coefficients, with several coefficients per row: what
docs/semantics.md says, in every loop of the CPU kernel, against 50 digits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import truth
from numpy.typing import NDArray
from tests.test_kernels import as_before

import softmaxloss

__all__ = ["as_before"]

Array = NDArray[Any]
Case = tuple[str, Array, Any, dict[str, Any]]  # name, one row of logits, its target, options

DTYPES = ["float32", "float64", "float16", ml_dtypes.bfloat16]
# A tile, a batch of rows and a row by itself, for float32 and for float64.
CLASSES = [2, 40, 63, 64, 127, 128, 300, 2100]
# So that a sum of their differences stays below the largest number of the computed type.
HUGE = {"float32": 3e38, "float64": 1e304, "float16": 6e4, "bfloat16": 3e38}
GOALS = {"float32": 2, "float64": 4}


def cases(dtype: Any, classes: int) -> Iterator[Case]:
    rng = np.random.default_rng(classes)
    # Few distinct numbers, of each of which 50 digits are computed once.
    normal = rng.choice(rng.normal(0, 3, 40), classes)
    last, half = classes - 1, classes // 2
    masked = normal.copy()
    masked[half:] = -np.inf
    huge = normal.copy()
    huge[0], huge[-1] = HUGE[np.dtype(dtype).name], -HUGE[np.dtype(dtype).name]
    weight = np.where(np.arange(classes) < half, 2.5, 0.0)
    tiny = np.ones(classes)
    tiny[-1] = 1e-50
    q = np.where(np.arange(classes) < half, 1 / max(half, 1), 0.0).astype("float32")
    barely = q.astype(float)
    barely[-1] = 1e-300
    smoothing = {"label_smoothing": 0.1}
    yield "-inf, smoothing: +inf", masked, 0, smoothing
    yield "-inf at the label, smoothing: +inf", masked, last, smoothing
    yield "-inf, smoothing, weight 0: left out", masked, 0, {**smoothing, "weight": weight}
    yield "-inf, smoothing, tiny weight: +inf", masked, 0, {**smoothing, "weight": tiny}
    none = {**smoothing, "weight": np.zeros(classes)}
    yield "-inf everywhere, smoothing, no weight: 0", np.full(classes, -np.inf), 0, none
    yield "NaN, smoothing, no weight: 0", np.where(normal > 0, normal, np.nan), 0, none
    yield "-inf, soft, q = 0: left out", masked, q, {}
    yield "-inf, soft, tiny q: +inf", masked, barely, {}
    yield "-inf, soft, tiny q of weight 0: left out", masked, barely, {"weight": weight}
    yield "-inf, soft, smoothing, weight 0", masked, q, {**smoothing, "weight": weight}
    yield "huge, smoothing", huge, 0, smoothing
    yield "huge, smoothing, the smallest", huge, last, smoothing
    yield "huge, smoothing, weight 0", huge, 0, {**smoothing, "weight": weight}
    yield "huge, smoothing, sample weight", huge, last, {**smoothing, "sample_weight": 0.25}
    yield "huge, soft", huge, np.full(classes, 1 / classes, "float32"), {}


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_and_huge_logits(dtype: Any, classes: int) -> None:
    rows = 40
    for name, row, target, options in cases(dtype, classes):
        with np.errstate(over="ignore"):
            x = row.astype(dtype)
        kept = dict(options)
        s = kept.pop("sample_weight", 1.0)
        loss, grad, size = truth.example(
            x, truth.coefficients(target, classes, sample_weight=s, **kept)
        )
        if "+inf" in name:
            assert loss == truth.mp.inf, name
        batch = np.repeat(x[None], rows, 0)
        targets = np.repeat(np.asarray(target)[None], rows, 0)
        computed = "float64" if dtype == "float64" else "float32"
        for order in ("C", "F"):
            got, entries = softmaxloss.cross_entropy_with_grad(
                np.array(batch, order=order),
                np.array(targets, order=order),
                reduction="none",
                multi_label="sum",
                sample_weight=np.full(rows, s),
                **kept,
            )
            found = {(a.tobytes(), b.tobytes()) for a, b in zip(got, entries, strict=True)}
            if order == "C":
                first = found
                assert truth.ulps(got[0], loss, computed) <= GOALS[computed], name
                entry = entries[0].astype(float)
                error = truth.ulps(entry, np.array(grad), dtype, of=np.array(size))
                assert error.max() <= GOALS[computed], name
            assert len(found) == 1, (name, order)
            assert found == first, (name, order)
