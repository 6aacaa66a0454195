"""The cases of truth/semantics.json as parameters, and the library called with one of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from truth.cases import Case, arguments, expanded, load

import softmaxloss

Array = NDArray[Any]

CASES = [one for case in load() for one in expanded(case)]
ERRORS = {
    "LabelError": softmaxloss.LabelError,
    "OptionError": softmaxloss.OptionError,
    "TypeError": TypeError,
    "ValueError": ValueError,
}


def label(case: Case) -> str:
    return f"{case['row'][:40]}: {case['name']}".encode("ascii", "replace").decode()


def in_each_dtype(cases: list[Case]) -> list[Any]:
    """(case, dtype) for each dtype that a case asks for."""
    return [
        pytest.param(case, dtype, id=f"{label(case)}-{dtype}")
        for case in cases
        for dtype in case.get("dtypes", ["float64", "float32"])
    ]


def run(case: Case, dtype: str) -> tuple[Any, Array]:
    """The loss and the gradient that the library returns."""
    logits, target, options = arguments(case, dtype)
    return softmaxloss.cross_entropy_with_grad(
        logits, target, **options, grad_output=case.get("grad_output")
    )


def torch_error(logits: Array, options: dict[str, Any], case: Case, dtype: str) -> float:
    """A bound on PyTorch's own rounding errors.

    Its log-softmax z_n − m − log Σ exp has rounding errors of eps times the size of these terms:
    the spread of the logits and log C. The gradient is its exp, with values below 1. Each is then
    multiplied by a weight and by the upstream gradient, and at worst summed over the examples.
    """
    finite = logits[np.isfinite(logits)]
    classes = logits.shape[min(1, logits.ndim - 1)]
    spread = np.ptp(finite) if finite.size else 0.0
    size = 2.0 + spread + math.log(max(classes, 1))
    scale = np.max(options.get("weight", 1.0)) * np.max(options.get("sample_weight", 1.0))
    scale *= np.max(np.abs(case.get("grad_output", 1.0)))
    examples = max(1, logits.size // max(classes, 1))
    return float(4 * np.finfo(dtype).eps * size * scale * examples)
