"""The trials of an implementation: every case, with each of its variants, in each dtype."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import truth
from truth import cases

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Trial:
    """One call of an implementation."""

    #: the name of the case's row in docs/semantics.md, and of the case
    row: str
    name: str
    #: the case, with one of each list of alternatives
    case: cases.Case
    dtype: str
    #: whether it is the only trial of its case where calls are slow
    first: bool

    @property
    def wants_error(self) -> bool:
        return cases.wants_error(self.case)

    @property
    def upstream(self) -> Any:
        return self.case.get("grad_output", 1.0)

    @cached_property
    def arguments(self) -> tuple[Any, Any, dict[str, Any]]:
        return cases.arguments(self.case, self.dtype)

    @cached_property
    def by_index(self) -> bool:
        logits, target, _ = self.arguments
        return np.ndim(target) == 0 or np.shape(target) != _shape(logits)

    @cached_property
    def needs(self) -> frozenset[str]:
        """The features that the call needs beyond logits and class indices, as in `offers`."""
        _, target, options = self.arguments
        needed = set(options) - {"reduction", "multi_label"}
        if options.get("label_smoothing") == 0:
            needed.remove("label_smoothing")
        if options.get("reduction") not in (None, "mean", "sum", "none"):
            needed.add("reduction")
        if options.get("multi_label", "sum") != "sum":  # every implementation adds the labels
            needed.add("multi_label")
        if not self.by_index:
            needed.add("probabilities")
        elif np.asarray(target).dtype.kind in "iu" and np.any(np.asarray(target) == -100):
            needed.add("ignore_index")
        if "layout" in self.case or "target_layout" in self.case:
            needed.add("NumPy views")
        return frozenset(needed)

    @cached_property
    def truth(self) -> truth.Truth:
        logits, target, options = self.arguments
        return truth.cross_entropy(logits, target, **options, grad_output=self.upstream)

    @cached_property
    def means_over_n(self) -> list[truth.Truth]:
        """The mean divided by the number of examples instead: of all of them, and of those that are
        not ignored."""
        logits, target, options = self.arguments
        counted = np.asarray(target) != options.get("ignore_index", -100)
        sizes = {np.size(target), int(np.sum(counted))} - {0} if self.by_index else set()
        return [
            truth.cross_entropy(
                logits, target, **{**options, "denominator": size}, grad_output=self.upstream
            )
            for size in sorted(sizes)
        ]


def _shape(logits: Any) -> tuple[int, ...] | None:
    try:
        return np.shape(logits)
    except ValueError:  # ragged
        return None


def trials() -> list[Trial]:
    """All trials, in the same order in every process."""
    found = []
    for case in cases.load():
        first = True
        for variant in cases.expanded(case):
            # float32 first: models are trained in it
            for dtype in sorted(case.get("dtypes", ["float32", "float64"])):
                found.append(Trial(case["row"], case["name"], variant, dtype, first))
                first = False
    return found


def sections() -> dict[str, str]:
    """Row of docs/semantics.md → its section."""
    section, found = "", {}
    for line in (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| "):
            found[line.split(" | ")[0].removeprefix("| ")] = section
    del found["input"], found["option"]  # the headings of the tables
    return found
