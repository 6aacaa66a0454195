"""Which of the known mistakes give the numbers of an implementation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..bank import BANK, Mistake
from ..guard import Guard
from ..inputs import Input, sequence_shape
from ..reference import BY_SCORES, Expected, Steps, agree, expected, is_right

RIGHT = Steps()

#: The steps on which each part of the results depends.
DEPENDS_ON = {
    "softmax": ("softmax",),
    "log_softmax": ("softmax", "log"),
    "loss": ("softmax", "target", "log", "losses", "reduce"),
    "gradient": ("softmax", "target", "gradient", "scale"),
    "weights": ("softmax", "target", "gradient", "scale", "weights"),
    "feature_gradient": ("softmax", "target", "gradient", "scale"),
    "bias_gradient": ("softmax", "target", "gradient", "scale", "bias"),
}

#: The conventions that multiply the right numbers by a factor, from the number of examples.
FACTORS: dict[str, dict[str, Callable[[int], float]]] = {
    "softmax": {},
    "log_softmax": {},
    "loss": {
        "sum": float,
        "bits": lambda rows: 1 / math.log(2.0),
        "mean-over-sequences": lambda rows: sequence_shape(rows)[1],
    },
    "gradient": {
        "gradient-of-the-sum": float,
        "gradient-in-bits": lambda rows: 1 / math.log(2.0),
        "gradient-of-the-mean-over-sequences": lambda rows: sequence_shape(rows)[1],
    },
}
FACTORS["feature_gradient"] = FACTORS["bias_gradient"] = FACTORS["gradient"]


class Numbers:
    """The right and the wrong numbers for the inputs, each computed once."""

    def __init__(
        self,
        inputs: Sequence[Input],
        scores: str = "logits",
        guard: Guard | None = None,
        by: str | None = None,
    ) -> None:
        self.inputs = inputs
        self.guard = guard  # of the logarithm
        self.scores = scores  # what the function is passed
        self.by = by or scores  # what the gradient is with respect to
        self.sizes = {input.name: float(np.abs(input.z).max()) for input in inputs}
        self._expected: dict[float, list[Expected]] = {}
        self._wrong: dict[tuple[Steps, str, str, bool], Any] = {}
        self._candidates: dict[tuple[str, tuple[str, ...], int], Candidates] = {}
        self._known: dict[str, dict[Any, Any]] = {input.name: {} for input in inputs}
        self._log, self._gradient = RIGHT.log, RIGHT.gradient
        by_scores = BY_SCORES[self.by]
        if guard is not None:
            self._log = lambda a, log_a: np.log(guard(a))
        if self.by != "logits":
            self._gradient = by_scores if guard is None else lambda a, q: by_scores(guard(a), q)

    def expected(self, epsilon: float) -> list[Expected]:
        """What is right for each input, computed in the precision ε."""
        if epsilon not in self._expected:
            self._expected[epsilon] = [
                expected(input, epsilon, self.by, self.guard) for input in self.inputs
            ]
        return self._expected[epsilon]

    def candidates(self, quantity: str, known: Sequence[Mistake], at_once: int) -> Candidates:
        """So many mistakes at once, of these."""
        key = quantity, tuple(mistake.id for mistake in known), at_once
        if key not in self._candidates:
            self._candidates[key] = Candidates(quantity, self, known, at_once)
        return self._candidates[key]

    def run(self, steps: Steps, part: str, input: Input, layer: bool) -> Any:
        """What steps give, of which those that are right are right for these scores and guard."""
        if steps.log is RIGHT.log and self._log is not RIGHT.log:
            steps = steps._replace(log=self._log)
        if steps.gradient is RIGHT.gradient and self._gradient is not RIGHT.gradient:
            steps = steps._replace(gradient=self._gradient)
        known = self._known[input.name]
        return getattr(steps.run(input.z, input.y, (part,), layer=layer, known=known), part)

    def wrong(self, steps: Steps, part: str, input: Input, layer: bool) -> Any:
        """What wrong steps give, in the dtype of the logits: overflow is part of a mistake."""
        key = steps, part, input.name, layer
        if key not in self._wrong:
            self._wrong[key] = self.run(steps, part, input, layer)
        return self._wrong[key]


def is_arithmetic(problem: str | None) -> bool:
    """Whether an error stands for a number that is not finite, as in Python's math."""
    name, _, message = (problem or "").partition(": ")
    return name in ("OverflowError", "ZeroDivisionError", "FloatingPointError") or (
        name == "ValueError" and message.startswith(("math domain error", "expected a positive"))
    )


class Candidates:
    """Mistakes of one part, one or two at once, and what they give on a small input: that rules out
    nearly all of them in one comparison."""

    INPUT = "two examples"
    VARIANTS = 16  # of each of two mistakes, at most

    def __init__(
        self, quantity: str, numbers: Numbers, known: Sequence[Mistake], at_once: int
    ) -> None:
        input = next((one for one in numbers.inputs if one.name == self.INPUT), None)
        part, layer = ("gradient", True) if quantity == "weights" else (quantity, False)
        most = None if at_once == 1 else self.VARIANTS
        self.all: list[tuple[tuple[Mistake, ...], Steps]] = []
        self._by_shape: dict[Any, tuple[list[int], list[Any]]] = {}
        for mistakes in itertools.combinations(known, at_once):
            if len({step for m in mistakes for step in m.steps[0]}) < sum(
                len(m.steps[0]) for m in mistakes
            ):
                continue  # they are in one step
            for variants in itertools.product(*(m.steps[:most] for m in mistakes)):
                changed = Steps(**{k: v for variant in variants for k, v in variant.items()})
                if input is not None:
                    value = numbers.run(changed, part, input, layer)
                    shape = None if value is None else np.shape(value)
                    places, values = self._by_shape.setdefault(shape, ([], []))
                    places.append(len(self.all))
                    values.append(value)
                self.all.append((mistakes, changed))

    def near(self, observed: Observed) -> Iterator[tuple[tuple[Mistake, ...], Steps]]:
        """Those that may give what was observed: on the small input they do, to two digits."""
        k = next((k for k, one in enumerate(observed.inputs) if one.name == self.INPUT), None)
        got = None if k is None else observed.values[k]
        if k is None or (got is None and is_arithmetic(observed.problems[k])):
            yield from self.all
            return
        places, values = self._by_shape.get(None if got is None else np.shape(got), ([], []))
        if got is None or not places:
            yield from (self.all[place] for place in places)
            return
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.abs(np.asarray(values, np.float64) - got)
            error = 1e-2 * (0.1 + np.abs(got))
            same = (apart <= error) | (~np.isfinite(apart) & ~np.isfinite(got))
        for place in np.flatnonzero(same.reshape(len(values), -1).all(axis=1)):
            yield self.all[places[place]]


class Observed(NamedTuple):
    """One part of the results on each of some inputs."""

    part: str  # "softmax", "log_softmax", "loss" or "gradient"
    values: Sequence[Any]  # None where the function raised an error
    right: Sequence[bool]
    expected: Sequence[Expected]
    inputs: Sequence[Input]
    epsilon: float  # of the precision of the values
    numbers: Numbers
    problems: Sequence[str | None]  # the error that the function raised
    layer: bool = False  # whether the gradient is that with respect to the weights of a layer

    @property
    def quantity(self) -> str:
        """What the part is in `Expected`: of a layer, the gradient is that of the weights."""
        return "weights" if self.layer and self.part == "gradient" else self.part

    def wanted(self, k: int) -> Any:
        """What is right for input k."""
        return self.expected[k].values[self.quantity]

    def only(self, kept: Sequence[int]) -> Observed:
        """The same on some of the inputs."""
        columns = ("values", "right", "expected", "inputs", "problems")
        chosen: dict[str, Any] = {c: [getattr(self, c)[k] for k in kept] for c in columns}
        return self._replace(**chosen)

    def by_size(self) -> list[int]:
        """The inputs, small ones first: nearly all mistakes are ruled out on them."""
        return sorted(range(len(self.inputs)), key=lambda k: self.inputs[k].z.size)

    def hit(self, steps: Steps, k: int, *, tight: bool = False) -> bool:
        """Whether wrong steps give the numbers on input k."""
        input, candidate = self.inputs[k], self.wrong(steps, k)
        size = self.numbers.sizes[input.name]
        if self.values[k] is None and is_arithmetic(self.problems[k]):
            return candidate is not None and not np.isfinite(candidate).all()
        of_logs = self.part == "log_softmax"
        return agree(self.values[k], candidate, self.epsilon, size, tight=tight, of_logs=of_logs)

    def wrong(self, steps: Steps, k: int) -> Any:
        """What wrong steps give on input k."""
        return self.numbers.wrong(steps, self.part, self.inputs[k], self.layer)

    def known(self, mistakes: Sequence[Mistake]) -> list[Mistake]:
        """Those of the mistakes that are wrong steps of this part."""
        steps = set(DEPENDS_ON[self.quantity])
        known = [m for m in mistakes if m.steps and set(m.steps[0]) <= steps]
        if self.numbers.scores == "logits":
            return known
        # Of probabilities, the softmax is not the function's.
        return [m for m in known if "softmax" not in m.steps[0] or m.id == "softmax-twice"]


def observe(
    part: str,
    values: Sequence[Any],
    epsilon: float,
    numbers: Numbers,
    problems: Sequence[str | None] = (),
    *,
    layer: bool = False,
) -> Observed:
    """One part of the results on all inputs."""
    wanted, problems = numbers.expected(epsilon), problems or [None] * len(values)
    one = Observed(part, values, (), wanted, numbers.inputs, epsilon, numbers, problems, layer)
    pairs = zip(values, wanted, strict=True)
    right = [got is not None and is_right(one.quantity, got, want) for got, want in pairs]
    return one._replace(right=right)


class Diagnosis(NamedTuple):
    """The mistakes that together give the numbers."""

    mistakes: tuple[Mistake, ...] = ()  # one, or two at once; empty where no known ones do
    others: tuple[Mistake, ...] = ()  # that give the same numbers on all inputs
    matched: int = 0  # on how many inputs the numbers are those of the mistakes


def diagnose(
    observed: Observed, bank: Sequence[Mistake] | None = None, *, pairs: bool = True
) -> Diagnosis:
    """The mistakes of the bank (None: of all) that explain one part of the results.

    With `pairs`, two mistakes in different steps are considered if one is not enough.
    """
    known = observed.known(bank or [*BANK.values()])
    scaled = _scaled(observed)
    if scaled is not None:
        return scaled
    single = [
        mistake
        for (mistake,), steps in observed.numbers.candidates(observed.quantity, known, 1).near(
            observed
        )
        if mistake.id not in FACTORS[observed.part]
        and _explains(observed, steps, tight=mistake.kind != "mistake")
    ]
    single = [*dict.fromkeys(single)]
    if single:
        # Conventions and weaknesses first: an implementation with nothing worse is not accused.
        order = {"convention": 0, "weakness": 1, "mistake": 2}
        single.sort(key=lambda mistake: order[mistake.kind])
        return Diagnosis((single[0],), tuple(single[1:]), len(observed.values))
    if not pairs:
        return Diagnosis()
    both = _pair(observed, known)
    id = {"loss": "sum", "gradient": "gradient-of-the-sum"}.get(observed.part)
    if both or id is None or BANK[id] not in known:
        return Diagnosis(both, (), len(observed.values) if both else 0)
    # Two mistakes in a sum over the examples.
    given = zip(observed.values, observed.inputs, strict=True)
    means = [None if got is None else np.asarray(got) / len(input.y) for got, input in given]
    both = _pair(observed._replace(values=means), known, without=set(BANK[id].steps[0]))
    return Diagnosis((*both, BANK[id]), (), len(means)) if both else Diagnosis()


def _pair(
    observed: Observed, known: Sequence[Mistake], without: Collection[str] = ()
) -> tuple[Mistake, ...]:
    """Two mistakes that together give the numbers, in other steps than those `without`; of several
    pairs, one with fewer mistakes."""
    found = [
        two
        for two, steps in observed.numbers.candidates(observed.quantity, known, 2).near(observed)
        if not any(set(mistake.steps[0]) & set(without) for mistake in two)
        and _explains(observed, steps, tight=not _mistakes_among(two))
    ]
    return min(found, key=_mistakes_among, default=())


def _explains(observed: Observed, steps: Steps, *, tight: bool) -> bool:
    """Whether steps give all the numbers, and are wrong where the numbers are.

    Those that are right there explain nothing: a mistake in the loss has the right gradient.
    """
    places = observed.by_size()
    if not all(observed.hit(steps, k, tight=tight) for k in places):
        return False
    return any(
        not is_right(observed.quantity, observed.wrong(steps, k), observed.expected[k])
        for k in places
        if not observed.right[k]
        and (observed.values[k] is not None or is_arithmetic(observed.problems[k]))
    )


def _mistakes_among(mistakes: Sequence[Mistake]) -> int:
    return sum(mistake.kind == "mistake" for mistake in mistakes)


def _scaled(observed: Observed) -> Diagnosis | None:
    """The conventions that are a factor: these are compared as closely as the right numbers."""
    part, factors = observed.part, FACTORS[observed.part]
    if any(got is None for got in observed.values):
        return None
    pairs = [*zip(observed.values, observed.expected, strict=True)]
    if part == "loss" and all(is_right("losses", np.atleast_1d(got), want) for got, want in pairs):
        return Diagnosis((BANK["a-loss-for-each"],), (), len(pairs))
    for ids in [*itertools.combinations(factors, 1), *itertools.combinations(factors, 2)]:
        by_input = [math.prod(factors[id](len(one.y)) for id in ids) for one in observed.inputs]
        if all(
            is_right(observed.quantity, *pair, by) for pair, by in zip(pairs, by_input, strict=True)
        ):
            return Diagnosis(tuple(BANK[id] for id in ids), (), len(pairs))
    return None


def nearest(observed: Observed) -> tuple[Mistake, int] | None:
    """The mistake that gives most of the numbers, and on how many inputs.

    It must give more than half of all numbers and three quarters of the wrong ones: a mistake that
    is right everywhere else says nothing.
    """
    values = observed.values
    wrong = {k for k, got in enumerate(values) if got is not None and not observed.right[k]}
    best: tuple[Mistake, int] | None = None
    if not wrong:
        return None
    order = observed.by_size()

    def hits(changes: Mapping[str, Any]) -> int:
        """On how many inputs; 0 if these are too few."""
        steps, missed, missed_wrong = Steps(**changes), 0, 0
        for k in order:
            if not observed.hit(steps, k):
                missed, missed_wrong = missed + 1, missed_wrong + (k in wrong)
                if missed * 2 >= len(values) or missed_wrong * 4 > len(wrong):
                    return 0
        return len(values) - missed

    for mistake in observed.known([*BANK.values()]):
        for changes in mistake.steps:
            count = hits(changes)
            if count > (0 if best is None else best[1]):
                best = (mistake, count)
    return best
