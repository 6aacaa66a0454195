"""Which of the known mistakes gives the numbers that an implementation gave."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .bank import BANK, Mistake
from .expected import agree
from .probes import Probe
from .steps import RIGHT, Results, Steps

__all__ = ["DEPENDS_ON", "Diagnosis", "diagnose", "nearest"]

#: The steps that each part of the results comes from.
DEPENDS_ON = {
    "softmax": ("softmax",),
    "loss": ("softmax", "target", "losses", "reduce"),
    "gradient": ("softmax", "target", "gradient", "scale"),
}


class Diagnosis(NamedTuple):
    """The mistakes that together give what was seen.

    mistakes  one, or two at once; none where no known one does
    others    mistakes that give the same numbers on all probes, and cannot be told from it
    matched   on how many probes the numbers are the mistakes'
    probes    of how many
    """

    mistakes: tuple[Mistake, ...]
    others: tuple[Mistake, ...]
    matched: int
    probes: int


def diagnose(
    part: str,
    seen: Sequence[Any],
    given: Sequence[Probe],
    epsilon: float,
    bank: Sequence[Mistake] | None = None,
) -> Diagnosis:
    """The mistakes that explain one part of the results, `seen` on each of the probes.

    One mistake is looked for before two, which are of different steps. bank: only these.
    """
    of_part = set(DEPENDS_ON[part])
    known = [m for m in bank or BANK.values() if m.steps and set(m.steps) <= of_part]

    def gives(form: Any) -> bool:
        return all(_hits(form, part, seen, given, epsilon))

    single = [m for m in known if any(gives(form) for form in m.forms)]
    if single:
        return _found(single, len(given))
    pairs = itertools.combinations(known, 2)
    for both in pairs:
        if set(both[0].steps) & set(both[1].steps):
            continue
        forms = itertools.product(*(m.forms for m in both))
        if any(gives({**f, **g}) for f, g in forms):
            return Diagnosis(both, (), len(given), len(given))
    return Diagnosis((), (), 0, len(given))


def _found(single: list[Mistake], probes: int) -> Diagnosis:
    # Conventions and weaknesses first: who does nothing worse is not accused of it.
    order = {"convention": 0, "weakness": 1, "mistake": 2}
    mistakes = sorted(single, key=lambda m: order[m.kind])
    return Diagnosis((mistakes[0],), tuple(mistakes[1:]), probes, probes)


def nearest(part: str, seen: Sequence[Any], given: Sequence[Probe], epsilon: float) -> Diagnosis:
    """The mistake with most probes, if those are most of them."""
    best: tuple[int, Mistake | None] = (0, None)
    for mistake in BANK.values():
        if not set(mistake.steps) <= set(DEPENDS_ON[part]):
            continue
        for form in mistake.forms:
            hits = sum(_hits(form, part, seen, given, epsilon))
            if hits > best[0]:
                best = (hits, mistake)
    hits, found = best
    if found is None or hits * 4 < len(given) * 3:
        return Diagnosis((), (), 0, len(given))
    return Diagnosis((found,), (), hits, len(given))


def _hits(
    form: Any, part: str, seen: Sequence[Any], given: Sequence[Probe], epsilon: float
) -> Iterator[bool]:
    """Whether these wrong steps give what was seen, on each probe."""
    steps = RIGHT.but(dict(form))
    for got, probe in zip(seen, given, strict=True):
        yield agree(got, getattr(_run(steps, probe), part), epsilon, _size(probe))


def _size(probe: Probe) -> float:
    return float(np.abs(probe.z).max())


def _run(steps: Steps, probe: Probe) -> Results:
    return _remembered(steps, probe.z.tobytes(), probe.z.shape, probe.z.dtype.str,
                       tuple(probe.y.tolist()))  # fmt: skip


@lru_cache(maxsize=20_000)
def _remembered(
    steps: Steps, z: bytes, shape: tuple[int, int], dtype: str, y: tuple[int, ...]
) -> Results:
    logits = np.frombuffer(z, dtype).reshape(shape)
    # float32's overflow and underflow are part of a mistake, so it is made in that dtype.
    return steps.run(logits, np.array(y))
