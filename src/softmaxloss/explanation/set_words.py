"""What the text and the page of a set both say: sentences, and the cells of their tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from ..files.evaluation import Example
from .rendering.names import in_table, plural
from .rendering.numbers import direction, number, signed
from .set_data import Push, SetData
from .set_sums import LEAST

__all__ = [
    "HARDEST",
    "NET",
    "NET_ABOUT",
    "NET_TITLE",
    "PUSHES",
    "hardest_cells",
    "heaviest",
    "net_cells",
    "net_gradient",
    "no_pushes",
    "notes",
    "push_cells",
    "short",
]

EMPTY = "none"  # where there is no number

PUSHES = ["examples of class", "push down class", "on average by", "examples", "of all pushes"]

NET_TITLE = "Where all the examples together push each output"
NET = ["class", "examples", "mean loss", "share", "mean a_n", "∂J/∂z_n", "descent"]

NET_ABOUT = (
    "∂J/∂z_n, the mean over all examples, is the mean probability a_n of the class minus its share "
    "of the examples: the pushes of the others against the pull of its own. Above 0, descent "
    "lowers the output. It is 0 for every class where the model gives each class, on average, as "
    "much probability as it has examples (calibrated on average)."
)

HARDEST = ["row", "label", "predicted", "loss", "label's probability", "rank"]


def notes(e: SetData) -> Iterator[str]:
    """What the reader of the numbers must know first; for most sets nothing."""
    if e.invalid:
        yield (
            f"{plural(e.invalid, 'row')} without a softmax. A row with NaN, with +inf or with "
            "only -inf has no loss, so there is no mean loss. The numbers below leave such rows "
            "out; the examples at the end begin with them."
        )
    if e.counts.size == 1:
        yield "With one class, every loss is 0, and nothing is pushed."


def push_cells(e: SetData, push: Push, cells: int) -> list[str]:
    """The row of a pair in the table headed `PUSHES`."""
    pair = (in_table(e, push.true, cells), in_table(e, push.pushed, cells))
    return [*pair, signed(push.mean), str(push.examples), f"{100 * push.share:.1f} %"]


def no_pushes(e: SetData) -> str:
    """Why there is no pair to list."""
    if np.nansum(e.pulls) == 0:
        return "None: every example has all its probability on its own class."
    return (
        f"With {e.counts.size} classes only the strong pairs are kept, and here none is strong: "
        f"no example gives {LEAST:g} or more to any other class."
    )


def short(e: SetData, strongest: Iterable[Push]) -> str:
    """How far these averages may be off where not all pairs are kept; empty where all are."""
    if e.pairs is None:
        return ""
    most = max(float(e.pairs.short[push.true]) for push in strongest)
    return (
        f"With {e.counts.size} classes only the strong pairs are kept. No average here is too "
        f"small by more than {number(most)}."
    )


def net_cells(e: SetData, classes: Sequence[int], name: str) -> list[str]:
    """The row of one class, or of several together, in the table headed `NET`."""
    slope, examples = net_gradient(e, classes), int(e.counts[classes].sum())
    loss = number(float(e.class_loss[classes[0]])) if examples else EMPTY
    return [
        name,
        str(examples),
        loss if len(classes) == 1 else "",
        number(float(e.shares[classes].sum())),
        number(float(e.mean_probability[classes].sum())),
        signed(slope),
        direction(slope),
    ]


def heaviest(e: SetData, count: int) -> list[int]:
    """The positions of at most `count` classes, those that the set moves most, in their order."""
    order = np.argsort(-np.abs(e.net_gradient), kind="stable")[:count]
    return [int(n) for n in np.sort(order)]


def net_gradient(e: SetData, classes: Sequence[int]) -> float:
    """The sum of the net gradient over these classes, for reading: exactly 0 where a_n and the
    share cancel but for the last digits of float64."""
    return round(math.fsum(e.net_gradient[classes].tolist()), 12)


def hardest_cells(example: Example, name: Callable[[int], str]) -> list[str]:
    """The row of an example in the table headed `HARDEST`. name: shows a label."""
    valid = example.rank > 0
    return [
        str(example.row),
        name(example.label),
        name(example.predicted) if valid else EMPTY,
        number(example.loss),
        number(example.probability),
        str(example.rank) if valid else EMPTY,
    ]
