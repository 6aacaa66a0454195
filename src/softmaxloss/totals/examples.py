"""The examples with the highest loss, with their strongest logits."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..scores import Scores

STRONGEST = 12  # classes of an example that are kept


class Example(NamedTuple):
    """One row of the file: its number, counted from 0, its label and its scores."""

    row: int
    label: int
    predicted: int
    loss: float
    probability: float  #: of the label
    rank: int
    confidence: float  #: the probability of the predicted class


class Strongest(NamedTuple):
    """The logits of an example that say most: the largest ones, and that of its label."""

    classes: NDArray[np.int64]  #: (S,) positions from 0, the largest logit first
    logits: NDArray[np.float64]  #: (S,)
    target: NDArray[np.float64]  #: (S,) 1 for the label and 0 else, or their probabilities
    logsumexp: float  #: of all its logits


class HardestExamples:
    """At most `limit` examples with the highest loss: those without one, then by loss, by row.

    Args:
        limit: how many to keep.
        classes: the number of classes.
        strongest: whether to keep the strongest logits of each.
    """

    def __init__(self, limit: int, classes: int, *, strongest: bool) -> None:
        self._limit = limit
        width = min(STRONGEST, classes) if strongest else 0
        kinds: dict[str, Any] = {
            name: np.int64 if kind is int else np.float64
            for name, kind in Example.__annotations__.items()
        }
        fields: list[Any] = [*kinds.items(), ("logsumexp", np.float64)]
        fields += [("classes", np.int64, (width,)), ("logits", np.float64, (width,))]
        fields += [("target", np.float64, (width,))]
        self._kept = np.zeros(0, np.dtype(fields))

    def add(
        self,
        start: int,
        labels: NDArray[Any],
        scores: Scores,
        confidence: NDArray[np.float64],
        logits: NDArray[Any],
        places: NDArray[np.intp],
        first_class: int,
        target: NDArray[Any] | None,
    ) -> None:
        """Add the rows at `places` of a block that begins with row `start`. target: (rows, C),
        where the labels are probabilities."""
        loss = scores.loss[places]
        if len(self._kept) == self._limit and self._limit:
            places = places[~(loss < self._kept["loss"][-1])]  # NaN is kept
        places = places[highest(scores.loss[places], self._limit)]
        new = np.zeros(places.size, self._kept.dtype)
        new["row"], new["label"] = start + places, labels[places]
        new["confidence"] = confidence[places]
        for name in ("predicted", "loss", "probability", "rank", "logsumexp"):
            new[name] = getattr(scores, name)[places]
        if new["classes"].shape[1] and places.size:
            y = labels[places].astype(np.int64) - first_class
            new["classes"], new["logits"] = _strongest(logits[places], y, new["classes"].shape[1])
            if target is None:
                new["target"] = new["classes"] == y[:, np.newaxis]
            else:
                new["target"] = np.take_along_axis(target[places], new["classes"], axis=1)
        self._combine(new)

    def merge(self, other: Self) -> None:
        self._combine(other._kept)

    def renumber(self, first_row: int | Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        if callable(first_row):
            self._kept["row"] = first_row(self._kept["row"])
        else:
            self._kept["row"] += first_row

    def _combine(self, new: NDArray[Any]) -> None:
        if len(new):
            both = np.concatenate([self._kept, new])
            order = np.lexsort((both["row"], -both["loss"], ~np.isnan(both["loss"])))
            self._kept = both[order[: self._limit]]

    def examples(self) -> list[Example]:
        """The examples, the hardest first."""
        columns = [self._kept[name].tolist() for name in Example._fields]
        return [Example(*row) for row in zip(*columns, strict=True)]

    def strongest(self, rows: Iterable[int]) -> dict[int, Strongest]:
        """The strongest logits of these rows, as far as they are among the examples."""
        wanted = set(rows)
        return {
            int(one["row"]): Strongest(
                one["classes"], one["logits"], one["target"], float(one["logsumexp"])
            )
            for one in self._kept
            if int(one["row"]) in wanted
        }


def _strongest(
    logits: NDArray[Any], y: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The `count` largest logits of each row, (rows, count), the class y among them."""
    z = logits.astype(np.float64)
    z[np.isnan(z)] = np.inf
    classes = np.argpartition(-z, count - 1, axis=1)[:, :count]
    classes.sort(axis=1)
    found = np.take_along_axis(z, classes, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    classes = np.take_along_axis(classes, order, axis=1)
    missing = ~(classes == y[:, np.newaxis]).any(axis=1)
    classes[missing, -1] = y[missing]
    return classes, np.take_along_axis(logits, classes, axis=1).astype(np.float64)


def highest(losses: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Positions of the `count` highest losses; NaN is the highest, ties go by position."""
    if count == 0 or losses.size <= count:
        return np.arange(min(count, losses.size))
    # like sort, partition puts NaN behind +inf
    least = np.partition(losses, losses.size - count)[losses.size - count]
    if np.isnan(least):
        return np.flatnonzero(np.isnan(losses))[:count]
    above = np.flatnonzero(~(losses <= least))
    return np.concatenate([above, np.flatnonzero(losses == least)[: count - above.size]])
