"""All trials of one implementation, in a process of its own.

    python -m conformance.worker NAME RESULTS START

appends one line of JSON for each trial from START on to the file RESULTS. So the results do not mix
with output of the framework, and those before a crash are kept.
"""

from __future__ import annotations

import contextlib
import copy
import json
import sys
import warnings
from typing import Any

import ml_dtypes
import numpy as np

from .implementations import IMPLEMENTATIONS, Implementation, NotOfferedError
from .trials import Trial, trials

Result = dict[str, Any]


def ask(implementation: Implementation, trial: Trial) -> Result:
    """One result: {"loss", "grad" (with their dtypes)}, {"raises"} or {"not offered"}."""
    missing = sorted(trial.needs - implementation.offers)
    if missing:
        return {"not offered": missing[0]}
    if implementation.slow and not trial.first:
        return {"not asked": True}
    z, y, options = copy.deepcopy(trial.arguments)
    moved = implementation.classes_last and _classes_in_the_middle(z, y)
    if moved:
        z = np.moveaxis(z, 1, -1)
        y = y if trial.by_index else np.moveaxis(y, 1, -1)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            loss, grad = implementation.run(z, y, options, trial.upstream)
    except NotOfferedError as missing_part:
        return {"not offered": str(missing_part)}
    except Exception as error:
        return {"raises": type(error).__name__.removeprefix("_")}
    if moved and grad is not None:
        grad = np.moveaxis(grad, -1, 1)
    last = implementation.classes_last and np.ndim(trial.arguments[0]) > 2
    return {
        "loss": _plain(loss),
        "grad": None if grad is None else _plain(grad),
        "classes last": ("moved" if moved else "as given") if last else None,
    }


def _classes_in_the_middle(z: Any, y: Any) -> bool:
    """Whether the shapes are (N, C, d1, …) and cannot be (N, d1, …, C)."""
    return isinstance(z, np.ndarray) and z.ndim > 2 and np.shape(y) != z.shape[:-1]


def _plain(array: Any) -> dict[str, Any]:
    array = np.asarray(array)
    if array.dtype.kind != "f" and array.dtype != ml_dtypes.bfloat16:
        array = np.real(array).astype(float)
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "values": array.astype(float).ravel().tolist(),
    }


def main(name: str, results: str, start: str) -> int:
    with open(results, "a", encoding="utf-8") as file:

        def tell(line: Any) -> None:
            print(json.dumps(line), file=file, flush=True)

        try:
            implementation = IMPLEMENTATIONS[name]()
        except ModuleNotFoundError as error:
            tell({"absent": f"{error.name} is not installed"})
            return 0
        tell({"version": implementation.version})
        for trial in trials()[int(start) :]:
            tell(ask(implementation, trial))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
