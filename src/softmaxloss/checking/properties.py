"""Wrong numbers whose mistake is not known: which properties of the loss fail."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .diagnosis import Seen
from .probes import ORDER

__all__ = ["properties"]

Array = NDArray[Any]


def properties(seen: Seen, problem: str | None) -> tuple[str, ...]:
    """Those that fail, each as a sentence about "it", the part. problem: what it raised first."""
    said = []
    part = seen.part
    arrays = {
        probe.name: np.asarray(got)
        for probe, got in zip(seen.given, seen.values, strict=True)
        if got is not None
    }
    finite = {name: array for name, array in arrays.items() if np.isfinite(array).all()}
    loose = 1e4 * seen.epsilon
    raised = len(seen.values) - len(arrays)
    if raised:
        right = all(ok for got, ok in zip(seen.values, seen.right, strict=True) if got is not None)
        else_ = ", and is right on the others" if right else ""
        said.append(f"it raises on {raised} of {len(seen.values)} inputs{else_}: {problem}")
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

    said += _multiple(seen, loose)
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


def _multiple(seen: Seen, loose: float) -> list[str]:
    """Whether the numbers are the right ones times a number, or plus one."""
    wanted = [np.asarray(getattr(want, seen.part)) for want in seen.wanted]
    pairs = [
        (np.asarray(got), want)
        for got, want in zip(seen.values, wanted, strict=True)
        if got is not None and np.shape(got) == np.shape(want)
    ]
    if len(pairs) < 3:
        return []
    x, y = (np.concatenate([np.ravel(pair[k]) for pair in pairs]) for k in (0, 1))
    large = np.abs(y) > 1e-3
    if not large.any() or not np.isfinite(x).all():
        return []
    ratio, difference = np.median(x[large] / y[large]), np.median(x - y)
    if ratio and abs(ratio - 1) > loose and (abs(x - ratio * y) <= loose * (1 + abs(x))).all():
        return [f"it is {ratio:.6g} times the right one, everywhere"]
    if abs(difference) > loose and (abs(x - y - difference) <= loose * (1 + abs(x))).all():
        return [f"it is the right one plus {difference:.6g}, everywhere"]
    return []
