"""`softmaxloss.check` of an implementation.

    python -m conformance.battery NAME RESULTS

appends the report for each dtype, as a line of JSON, to the file RESULTS.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from softmaxloss.checking import Report, check

from .implementations import IMPLEMENTATIONS, Implementation, NotOfferedError

SEED = 0
OPTIONS = {
    "weight": np.ones(3), "ignore_index": 2, "label_smoothing": 0.1, "reduction": "sum"
}  # fmt: skip


def function_of(implementation: Implementation) -> Callable[..., Any]:
    """The implementation as a function for `check`: f(z, y), with the options that it offers."""

    def function(z: Any, y: Any, **options: Any) -> Any:
        with contextlib.redirect_stdout(sys.stderr):
            loss, gradient = implementation.run(z, y, options, 1.0)
        return loss if gradient is None else (loss, gradient)

    def takes(option: str, value: Any) -> bool:
        try:
            function(np.zeros((2, 3)), np.array([0, 1]), **{option: value})
        except NotOfferedError:  # with class indices
            return False
        return True

    kinds = inspect.Parameter
    parameters = [kinds(name, kinds.POSITIONAL_OR_KEYWORD) for name in ("z", "y")]
    # Options that are not passed have the implementation's own defaults.
    parameters += [
        kinds(name, kinds.KEYWORD_ONLY, default=...)
        for name, value in OPTIONS.items()
        if name in implementation.offers and takes(name, value)
    ]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function


def reports(implementation: Implementation) -> dict[str, Report]:
    """By the dtype of the logits."""
    dtypes = ("float32",) if implementation.slow else ("float32", "float64")
    function = function_of(implementation)
    return {dtype: check(function, layout="rows", dtype=dtype, seed=SEED) for dtype in dtypes}


def main(name: str, results: str) -> int:
    with open(results, "a", encoding="utf-8") as file:
        try:
            implementation = IMPLEMENTATIONS[name]()
        except ModuleNotFoundError:
            return 0
        for dtype, report in reports(implementation).items():
            print(json.dumps([dtype, report.to_dict()]), file=file, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
