"""Rows with every kind of target, as the losses and as kernels take them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import softmaxloss
from softmaxloss.kernels import Kernel, cpu
from softmaxloss.labels import ClassIndices, ClassProbabilities, Target
from softmaxloss.options import Options

Array = NDArray[Any]

DTYPES = ["float32", "float64", "float16", ml_dtypes.bfloat16]
RICHEST = "soft, weighted and smoothed, by sample"
TARGETS = ["index", "weighted", "smoothed", "soft", "index, by sample", RICHEST]


def target_of(
    name: str, rng: np.random.Generator, shape: tuple[int, int], dtype: str
) -> tuple[Array, dict[str, Any]]:
    upstream = rng.normal(0, 2, shape[0])
    upstream[:4] = 1.0, 1e30, 1e-40, 0.0
    options: dict[str, Any] = {"reduction": "none", "grad_output": upstream}
    if "weighted" in name:
        options["weight"] = rng.uniform(0, 2, shape[1])
        options["weight"][0] = 0.0
    if "by sample" in name:
        options["sample_weight"] = rng.uniform(0, 2, shape[0])
        options["sample_weight"][5::7] = 0.0
    if "smoothed" in name:
        options["label_smoothing"] = 0.1
    if "soft" in name:
        q = rng.dirichlet(np.ones(shape[1]), shape[0])
        q = q.astype("float64" if dtype == "float64" else "float32")
        return q, {**options, "multi_label": "sum"}
    y = rng.integers(shape[1], size=shape[0])
    y[-1] = -100
    return y, options


def bits(*arrays: Any) -> list[bytes]:
    return [np.asarray(array).tobytes() for array in arrays]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    level, threads = cpu.level(), softmaxloss.get_num_threads()
    yield
    cpu.use_level(level)
    softmaxloss.set_num_threads(threads)


def labels(values: Array) -> ClassIndices:
    return ClassIndices(values, -100, True)


def of_rows(name: str, rng: np.random.Generator, shape: tuple[int, int], dtype: str) -> Any:
    """A target and options of `target_of` as kernels get them: target, weight, sample_weight,
    options, factor."""
    y, options = target_of(name, rng, shape, dtype)
    target: Target = labels(y)
    if y.ndim == 2:
        target = ClassProbabilities(y[:, :, None], None)
    smoothing = Options(label_smoothing=options.get("label_smoothing", 0.0))
    weights = options.get("weight"), options.get("sample_weight")
    return target, *weights, smoothing, options["grad_output"]


def filled(kernel: Kernel, logits: Array, *rest: Any) -> tuple[Array, Array]:
    """Loss and gradient of rows (outer, classes, inner)."""
    narrow = logits.dtype.itemsize < 8
    rows = logits.shape[0] * logits.shape[2]
    loss = np.empty(rows, np.float32 if narrow else np.float64)
    grad = np.empty(logits.shape, logits.dtype)
    kernel.cross_entropy(logits, *rest, loss, grad)
    return loss, grad
