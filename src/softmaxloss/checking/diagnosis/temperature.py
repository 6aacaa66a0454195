"""A temperature T: the softmax is that of z/T. A loss may be multiplied by T or T², as in
distillation, so that its gradient does not shrink."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..bank import BANK
from ..inputs import Input, gradient_wrt_weights, sequence_shape
from ..reference import Results, losses, softmax, target
from ..report import Finding, InputCheck, array_text

#: By what the outputs are multiplied instead of 1/T, by the id of the mistake.
INSTEAD = {"temperature-unused": 0, "temperature-multiplied": 1}

NEAR = 1e-3  # relative; what an ε in the log changes is less, what another temperature does is more


def check_temperature(
    input: Input, got: Results, parts: Sequence[str], *, layer: bool
) -> tuple[InputCheck, Finding | None]:
    """Compare the results for a temperature that is not 1."""
    right = {part: _gives(input, got, part, -1, layer) for part in parts}
    check = InputCheck(input.name, input.why, right)
    if all(right.values()):
        return check, None
    part = next(part for part, ok in right.items() if not ok)
    wrong = [part for part, ok in right.items() if not ok]
    named = (
        id for id, power in INSTEAD.items()
        if all(_gives(input, got, one, power, layer) for one in wrong)
    )  # fmt: skip
    id = next(named, "temperature-wrong")
    value = getattr(got, part)
    want = next(_values(input, part, -1, layer))
    example = {
        "z": array_text(input.z), "y": array_text(input.y),
        "temperature": f"{input.options['temperature']:g}",
        "yours": f"{part} {array_text(value, want)}", "expected": f"{part} {array_text(want)}",
    }  # fmt: skip
    return check, Finding(
        "temperature", (input.name,), (BANK[id],), example=example, wrong_values=True
    )


def _gives(input: Input, got: Results, part: str, power: int, layer: bool) -> bool:
    """Whether a part of the results is that of z·T^power."""
    value = getattr(got, part)
    return value is not None and any(
        np.shape(value) == np.shape(want) and np.allclose(value, want, rtol=NEAR, atol=NEAR / 10)
        for want in _values(input, part, power, layer)
    )


def _values(input: Input, part: str, power: int, layer: bool) -> Iterator[Any]:
    """What is right for z·T^power, in each convention."""
    T, rows = input.options["temperature"], len(input.z)
    a, log_a = softmax(input.z.astype(np.float64) * T**power)
    if part in ("softmax", "log_softmax"):
        yield a if part == "softmax" else log_a
        return
    q = target(input.y, (rows, a.shape[1]))
    of_each = losses(a, log_a, q)
    slope = T**power * (a - q)
    slope = gradient_wrt_weights(slope) if layer and part == "gradient" else slope
    slope = slope.sum(axis=0) if part == "bias_gradient" else slope
    divisors = (rows, 1, sequence_shape(rows)[0])
    for times, divisor in itertools.product((1, T, T * T), divisors):
        yield (
            np.float64(times * of_each.sum() / divisor)
            if part == "loss"
            else (times * slope / divisor)
        )
    if part == "loss":
        yield from (times * of_each for times in (1, T, T * T))
