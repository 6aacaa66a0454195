"""Wrong numbers whose mistake is not known: which properties of the loss fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .probes import ORDER, Probe

__all__ = ["properties"]

Array = NDArray[Any]


def properties(
    part: str, seen: Sequence[Any], given: Sequence[Probe], epsilon: float
) -> tuple[str, ...]:
    """Those that fail, each as a sentence about "it", the part."""
    said = []
    arrays = {
        probe.name: np.asarray(got)
        for probe, got in zip(given, seen, strict=True)
        if got is not None
    }
    finite = {name: array for name, array in arrays.items() if np.isfinite(array).all()}
    loose = 1e4 * epsilon
    if len(arrays) < len(seen):
        said.append("it raises on some of the probes")
    if len(finite) < len(arrays):
        said.append("it is not finite everywhere")
    numbers = list(finite.values())
    if part == "loss" and any((array < 0).any() for array in numbers):
        said.append("it is negative somewhere; a loss is not")
    if part == "gradient" and any((abs(a.sum(axis=-1)) > loose).any() for a in numbers):
        said.append("its rows do not sum to 0")
    if part == "softmax" and any((abs(a.sum(axis=-1) - 1) > loose).any() for a in numbers):
        said.append("its rows do not sum to 1")
    if len(numbers) > 1 and all(np.ptp(a) == 0 for a in numbers) and part != "loss":
        said.append("it is the same number everywhere")

    def differs(x: Array, y: Array) -> bool:
        return x.shape != y.shape or bool((abs(x - y) > loose * (1 + abs(y))).any())

    two = finite.get("two examples")
    if two is None:
        return tuple(said)
    shifted, reordered = finite.get("shifted"), finite.get("reordered")
    if shifted is not None and differs(shifted, two):
        said.append("it is not shift-invariant: adding 8 to every output changes it")
    if reordered is not None and differs(reordered, two if part == "loss" else two[..., ORDER]):
        said.append("it depends on the order of the classes")
    one = finite.get("one example")
    if one is not None and part != "loss":
        first = two[:1] * (len(two) if part == "gradient" else 1)
        if differs(one, first) and differs(one, two[:1]):
            said.append("an example's values depend on the other examples")
    return tuple(said)
