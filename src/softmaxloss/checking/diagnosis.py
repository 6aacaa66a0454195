"""Which of the known mistakes gives the numbers that an implementation gave."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .bank import BANK, Mistake
from .expected import Expected, agree, is_right
from .probes import Probe
from .steps import RIGHT, Results, Steps

__all__ = ["DEPENDS_ON", "Diagnosis", "Seen", "diagnose", "nearest"]

#: The steps that each part of the results comes from.
DEPENDS_ON = {
    "softmax": ("softmax",),
    "loss": ("softmax", "target", "losses", "reduce"),
    "gradient": ("softmax", "target", "gradient", "scale"),
}


#: The conventions that are the right number times a factor, by the number of examples.
FACTORS: dict[str, dict[str, Callable[[int], float]]] = {
    "softmax": {},
    "loss": {"sum": float, "bits": lambda rows: 1 / math.log(2.0)},
    "gradient": {"gradient-of-the-sum": float, "gradient-in-bits": lambda rows: 1 / math.log(2.0)},
}


class Seen(NamedTuple):
    """One part of the results on each of some probes; None where it raised.

    part     "softmax", "loss" or "gradient"
    values   what came
    right    whether it is right
    wanted   what is right, and how far from it is rounding
    given    the probes
    epsilon  of the precision in which it was computed
    """

    part: str
    values: Sequence[Any]
    right: Sequence[bool]
    wanted: Sequence[Expected]
    given: Sequence[Probe]
    epsilon: float

    def only(self, kept: Sequence[int]) -> Seen:
        """The same on some of the probes."""

        def of(values: Sequence[Any]) -> list[Any]:
            return [values[k] for k in kept]

        return self._replace(
            values=of(self.values), right=of(self.right), wanted=of(self.wanted),
            given=of(self.given),
        )  # fmt: skip


class Diagnosis(NamedTuple):
    """The mistakes that together give what was seen.

    mistakes  one, or two at once; none where no known one does
    others    mistakes that give the same numbers on all probes, and cannot be told from it
    matched   on how many probes the numbers are the mistakes'
    """

    mistakes: tuple[Mistake, ...]
    others: tuple[Mistake, ...]
    matched: int


def diagnose(seen: Seen, bank: Sequence[Mistake] | None = None, *, pairs: bool = True) -> Diagnosis:
    """The mistakes that explain one part of the results.

    One mistake is looked for before two, which are of different steps. bank: only these. pairs:
    whether two are looked for.
    """
    nothing = Diagnosis((), (), 0)
    of_part = set(DEPENDS_ON[seen.part])
    known = [m for m in bank or BANK.values() if m.steps and set(m.steps) <= of_part]

    wrong = [k for k, ok in enumerate(seen.right) if not ok and seen.values[k] is not None]

    def gives(form: Any, tight: bool = False) -> bool:
        if not all(_hits(form, seen, tight)):
            return False
        # What is right where the numbers are wrong explains nothing: a mistake in the loss alone
        # has the right gradient.
        steps = RIGHT.but(dict(form))
        given = ((getattr(_run(steps, seen.given[k]), seen.part), seen.wanted[k]) for k in wrong)
        return any(not is_right(seen.part, value, want) for value, want in given)

    scaled = _scaled(seen)
    if scaled is not None:
        return scaled
    single = [
        m
        for m in known
        if m.id not in FACTORS[seen.part]
        and any(gives(form, tight=m.kind != "mistake") for form in m.forms)
    ]
    if single:
        # Conventions and weaknesses first: who does nothing worse is not accused of it.
        order = {"convention": 0, "weakness": 1, "mistake": 2}
        single.sort(key=lambda m: order[m.kind])
        return Diagnosis((single[0],), tuple(single[1:]), len(seen.values))
    for both in itertools.combinations(known, 2) if pairs else ():
        if set(both[0].steps) & set(both[1].steps):
            continue
        forms = itertools.product(*(m.forms for m in both))
        if any(gives({**f, **g}) for f, g in forms):
            return Diagnosis(both, (), len(seen.values))
    return nothing


def _scaled(seen: Seen) -> Diagnosis | None:
    """The conventions that are a factor, which can be judged as what is right can."""
    factors = FACTORS[seen.part]
    if seen.part == "loss" and all(map(_is_each, seen.values, seen.wanted)):
        return Diagnosis((BANK["a-loss-for-each"],), (), len(seen.values))
    for count in range(1, len(factors) + 1):
        for ids in itertools.combinations(factors, count):
            pairs = zip(seen.values, seen.wanted, strict=True)
            if all(
                got is not None
                and is_right(
                    seen.part, got, want, math.prod(factors[id](len(want.losses)) for id in ids)
                )
                for got, want in pairs
            ):
                return Diagnosis(tuple(BANK[id] for id in ids), (), len(seen.values))
    return None


def _is_each(got: Any, want: Expected) -> bool:
    losses = np.reshape(got, -1) if got is not None and np.ndim(got) == 0 else got
    return losses is not None and is_right("losses", losses, want)


def nearest(seen: Seen) -> tuple[Mistake, int] | None:
    """The mistake that gives most of the numbers, if those are three quarters of them, and on how
    many probes. It must give some that are wrong: what is right everywhere else says nothing."""
    wrong = [k for k, got in enumerate(seen.values) if got is not None and not seen.right[k]]
    best: tuple[Mistake, int] | None = None
    for mistake in BANK.values():
        if not wrong or not mistake.steps or not set(mistake.steps) <= set(DEPENDS_ON[seen.part]):
            continue
        for form in mistake.forms:
            hits = list(_hits(form, seen))
            most = sum(hits[k] for k in wrong) * 4 >= 3 * len(wrong) and sum(hits) * 2 > len(hits)
            if most and (best is None or sum(hits) > best[1]):
                best = (mistake, sum(hits))
    return best


def _hits(form: Any, seen: Seen, tight: bool = False) -> Iterator[bool]:
    """Whether these wrong steps give what was seen, on each probe."""
    steps = RIGHT.but(dict(form))
    for got, probe in zip(seen.values, seen.given, strict=True):
        candidate = getattr(_run(steps, probe), seen.part)
        yield agree(got, candidate, seen.epsilon, _size(probe), tight=tight)


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
