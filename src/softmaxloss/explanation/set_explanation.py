"""The explanation of a set of examples as data: which classes push which, and where to look."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import LabelError
from ..files import LogitsFile
from ..files.atomic import atomic_write_text
from ..files.evaluation import Evaluation, Example, evaluate, highest
from ..jsonable import jsonable
from ..labels import ClassIndices, read_target
from ..logits import read_logits
from ..options import Options
from .explanation import class_names, frozen, whole_number
from .pushes import LEAST, AllPairs, PushSums, StrongPairs
from .rendered import Rendered

__all__ = ["Pairs", "Push", "SetExplanation", "explain_set"]

Vector = NDArray[np.float64]
Integers = NDArray[np.int64]

IN_JSON = 100  # strongest pairs


class Push(NamedTuple):
    """How the examples of one class push the output of another. Classes are positions from 0."""

    true: int  #: i, the true class of the examples
    pushed: int  #: n ≠ i, the class that they push down
    mean: float  #: the mean of ∂J/∂z_n over them, which is their mean probability of n
    examples: int  #: how many examples of class i there are
    share: float  #: of all the pushing down in the set: mean · examples over the sum of all pairs


@dataclass(frozen=True, eq=False)
class Pairs:
    """The stronger pairs of a set with many classes, the strongest in total first.

    true    (P,) i, the true class of the examples, a position from 0
    pushed  (P,) n ≠ i, the class that they push down
    mean    (P,) the mean of ∂J/∂z_n over the examples of class i
    others  (C,) what the examples of each class push down on average beside these pairs
    short   (C,) no mean of a pair of this true class is short by more than this, and no pair that
            is missing has more

    Probabilities under 0.001 of an example are left to `others`, and of more than 524 288 pairs the
    smallest are. `others` and `short` are NaN for a class without examples.
    """

    true: Integers
    pushed: Integers
    mean: Vector
    others: Vector
    short: Vector


@dataclass(frozen=True, eq=False)
class SetExplanation(Rendered):
    """How a set of examples pushes the outputs of a classifier. Made by `explain_set`.

    An example of class i pushes every other output n down by ∂J/∂z_n = a_n and its own up, by
    ∂J/∂z_i = a_i − 1; here are the means over the set. Arrays are read-only and in the order of the
    classes; losses are in nats. `number` gives the number that the caller's labels use.

    examples      rows that count, that is all but the ignored ones
    ignored       rows whose label is `ignore_index`
    invalid       rows among `examples` without a softmax: a logit is NaN or +inf, or all are −inf.
                  They make `mean_loss` NaN and are wrong in `accuracy`; the arrays below leave them
                  out, and `top` names them
    mean_loss     NaN where no row counts or one is invalid
    accuracy      the share of the examples whose predicted class is their label
    uniform_loss  ln C, the loss of a uniform guess
    counts        (C,) int64: how many examples of each class there are
    class_loss    (C,) their mean loss; NaN for a class without examples
    pulls         (C,) the mean of ∂J/∂z_i = a_i − 1 over the examples of class i: how they pull
                  their own output up. NaN for a class without examples
    net_gradient  (C,) the mean of ∂J/∂z_n over all examples: the mean probability of n less the
                  share of the examples that have class n. Their pushes and pulls in balance: above
                  0, descent lowers the output, below 0 it raises it. It is 0 for every class where
                  the model is calibrated on average, as it is on its training set once its biases
                  have converged
    pushes        (C, C) row i: the mean of ∂J/∂z over the examples of true class i. It sums to 0;
                  (i, i) is `pulls`, (i, n) how hard they push class n down: their mean probability
                  of n. NaN for a class without examples. None for more than 2048 classes
    pairs         for more than 2048 classes, the stronger entries of that matrix; else None
    top           the examples with the highest loss, invalid ones first: those to look at. Their
                  `label` and `predicted` are in the caller's numbering
    classes       the names of the classes, or None
    first_class   the number of the first class in the caller's labels
    """

    examples: int
    ignored: int
    invalid: int
    mean_loss: float
    accuracy: float
    uniform_loss: float
    counts: Integers
    class_loss: Vector
    pulls: Vector
    net_gradient: Vector
    pushes: Vector | None
    pairs: Pairs | None
    top: tuple[Example, ...]
    classes: tuple[str, ...] | None = None
    first_class: int = 0

    @property
    def shares(self) -> Vector:
        """(C,) the share of the examples that have each class; NaN where there are none."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.counts / self.counts.sum())

    @property
    def mean_probability(self) -> Vector:
        """(C,) the mean of a_n over all examples; NaN where there are none."""
        return np.asarray(self.net_gradient + self.shares)

    def strongest(self, count: int = 10) -> list[Push]:
        """The pairs that push most in total, mean · examples, the strongest first; no pair with 0.

        >>> z = [[0.0, 0.0, -9.0], [0.0, 0.0, -9.0], [-9.0, 0.0, 9.0]]
        >>> [(p.true, p.pushed, p.examples) for p in explain_set(z, [0, 0, 2]).strongest(2)]
        [(0, 1, 2), (0, 2, 2)]
        """
        whole = -float(np.nansum(self.pulls * self.counts))
        if self.pairs is not None:
            pairs = self.pairs
            true, pushed, means = pairs.true[:count], pairs.pushed[:count], pairs.mean[:count]
        else:
            assert self.pushes is not None
            totals = np.nan_to_num(self.pushes * self.counts[:, np.newaxis]).reshape(-1)
            places = highest(totals, count)
            places = places[np.argsort(-totals[places], kind="stable")]
            places = places[totals[places] > 0]  # not the diagonal, which pulls
            true, pushed = np.divmod(places, self.counts.size)
            means = self.pushes[true, pushed]
        counts = self.counts[true]
        shares = means * counts / whole
        columns = (true, pushed, means, counts, shares)
        return [Push(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """The explanation as lists, numbers and strings that any JSON writer takes.

        NaN and the infinities, which JSON lacks, are the strings "NaN", "Infinity", "-Infinity"
        (`float()` reads them back). Classes in `strongest`, 100 pairs at most, and `top` are in the
        caller's numbering.
        """
        strongest = [
            {
                "true": self.number(push.true),
                "pushed": self.number(push.pushed),
                "mean": push.mean,
                "examples": push.examples,
                "share": push.share,
            }
            for push in self.strongest(IN_JSON)
        ]
        return {
            "schema": "softmaxloss.set-explanation",
            "version": 1,
            "classes": None if self.classes is None else list(self.classes),
            "first_class": self.first_class,
            "examples": self.examples,
            "ignored": self.ignored,
            "invalid": self.invalid,
            "mean_loss": jsonable(self.mean_loss),
            "accuracy": jsonable(self.accuracy),
            "uniform_loss": self.uniform_loss,
            "counts": self.counts.tolist(),
            "class_loss": jsonable(self.class_loss),
            "pulls": jsonable(self.pulls),
            "net_gradient": jsonable(self.net_gradient),
            "pushes": None if self.pushes is None else [jsonable(row) for row in self.pushes],
            "others": None if self.pairs is None else jsonable(self.pairs.others),
            "short": None if self.pairs is None else jsonable(self.pairs.short),
            "strongest": strongest,
            "top": [{key: jsonable(v) for key, v in e._asdict().items()} for e in self.top],
        }

    def to_text(
        self,
        *,
        width: int = 80,
        color: bool = False,
        command: Callable[[Example], str] | None = None,
    ) -> str:
        """The explanation in words and tables, for a terminal. `print(explanation)` shows it too.

        width: the columns that it may take; tables take more where the numbers need it. color: with
        ANSI colours. command: what to type to see one example explained; default: a call of
        `explain`.
        """
        from .set_text import render  # loads rich, which `import softmaxloss` must not

        return render(self, width=width, color=color, command=command or self.call)

    def to_html(self, *, command: Callable[[Example], str] | None = None) -> str:
        """The explanation as a page: one file of HTML with a map of the pushes, without a script.
        command: as in `to_text`."""
        from .set_html import to_html

        return to_html(self, command or self.call)

    def save_html(
        self, path: str | os.PathLike[str], *, command: Callable[[Example], str] | None = None
    ) -> None:
        """Write the page to a file, which is there when it is complete."""
        atomic_write_text(path, self.to_html(command=command))

    def to_fragment(self) -> str:
        """The page for a place among other things, as in a notebook: without head and script."""
        from .set_html import fragment

        return fragment(self, self.call)

    def call(self, example: Example) -> str:
        """The call of `explain` that explains this example, to copy.

        >>> explanation = explain_set([[0.0, 1.0]], [2], first_class=1)
        >>> explanation.call(explanation.top[0])
        'explain(logits[0], 2, first_class=1)'
        """
        counted = f", first_class={self.first_class}" if self.first_class else ""
        return f"explain(logits[{example.row}], {example.label}{counted})"


def explain_set(
    logits: ArrayLike | LogitsFile,
    target: ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    first_class: int = 0,
    ignore_index: int = -100,
    top: int = 10,
    on_progress: Callable[[int, int], None] | None = None,
    max_elements: int = 1 << 22,
) -> SetExplanation:
    """Explain the losses of a set: which classes push and pull each other most, where to look.

    The data is the mean gradient ∂J/∂z = a − onehot(y) by true class, a (C, C) matrix: its entry
    (i, n), the mean probability of class n among the examples of class i, says how hard these push
    output n down.

    Args:
        logits: shape (N, C); or a file, from `softmaxloss.files.open_logits`, which is read in
            blocks, never whole.
        target: class indices, shape (N,).
        classes: C names.
        first_class: 1 if the labels count from one.
        ignore_index: rows with this label do not count.
        top: how many of the examples with the highest loss to name.
        on_progress: called with (done, total) after each block, as by `evaluate`.
        max_elements: how many logits a block has at most.

    The gradients are computed in float64, the losses and predictions as `score` does. Memory: for
    the blocks and the (C, C) matrix; of more than 2048 classes only the stronger pairs are kept,
    see `SetExplanation`.

    Raises ValueError when the logits have another shape, `LabelError` when a label is no class or
    the target has another shape, `OptionError` when an option does not fit, TypeError when the
    logits are no real numbers.

    >>> z = np.log([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    >>> explanation = explain_set(z, [0, 0, 2])
    >>> explanation.pushes.round(4)
    array([[-0.4 ,  0.25,  0.15],
           [  nan,   nan,   nan],
           [ 0.1 ,  0.1 , -0.2 ]])
    >>> explanation.strongest(1)[0].pushed, explanation.top[0].row
    (1, 1)
    """
    options = Options(ignore_index=ignore_index, first_class=first_class)
    source, labels = _source(logits, target, options)
    count = source.shape[1]
    names = class_names(classes, count)
    sums = PushSums(count, first_class=options.first_class)
    totals = evaluate(
        source,
        labels,
        top=whole_number("top", top),
        ignore_index=options.ignore_index,
        first_class=options.first_class,
        on_block=sums.add,
        on_progress=on_progress,
        max_elements=max_elements,
    )
    return _explanation(totals, sums, names, options.first_class)


def _source(
    logits: ArrayLike | LogitsFile, target: ArrayLike, options: Options
) -> tuple[LogitsFile, NDArray[Any]]:
    """The logits as a file, be it one in memory, and the labels as an array."""
    if isinstance(logits, LogitsFile):
        return logits, np.asarray(target)
    x = read_logits(logits)
    if x.ndim != 2:
        hint = ": explain explains one example" if x.ndim == 1 else ""
        raise ValueError(f"explain_set takes logits of shape (N, C); got shape {x.shape}{hint}")
    if x.shape[1] == 0:
        raise ValueError(f"logits of shape {x.shape} have no classes (C = 0)")
    if not isinstance(read_target(target, x.shape, options), ClassIndices):
        raise LabelError(
            "explain_set takes class indices as target; for one-hot rows pass target.argmax(axis=1)"
        )
    return LogitsFile.in_memory(x), np.asarray(target)


def _explanation(
    totals: Evaluation, sums: PushSums, names: tuple[str, ...] | None, first_class: int
) -> SetExplanation:
    counts, classes = sums.counts, sums.counts.size
    pushes, pairs = None, None
    with np.errstate(invalid="ignore", divide="ignore"):  # no mean for a class without examples
        if isinstance(sums.pairs, AllPairs):
            pushes = frozen(sums.pairs.sums / counts[:, np.newaxis])
        else:
            pairs = _pairs(sums.pairs, counts)
        return SetExplanation(
            examples=totals.examples,
            ignored=totals.ignored,
            invalid=totals.invalid,
            mean_loss=totals.mean_loss,
            accuracy=totals.accuracy,
            uniform_loss=math.log(classes),
            counts=_kept(counts),
            class_loss=frozen(sums.losses / counts),
            pulls=frozen(sums.pairs.pulls / counts),
            net_gradient=frozen(sums.net / counts.sum()),
            pushes=pushes,
            pairs=pairs,
            top=tuple(totals.top),
            classes=names,
            first_class=first_class,
        )


def _pairs(sums: StrongPairs, counts: Integers) -> Pairs:
    true, pushed, total = sums.result()
    known = np.bincount(true, weights=total, minlength=counts.size)
    others = np.maximum(-sums.pulls - known, 0.0) / counts
    short = np.minimum(others, LEAST + sums.dropped / counts)
    mean = total / counts[true]
    return Pairs(*[_kept(array) for array in (true, pushed, mean, others, short)])


def _kept(array: NDArray[Any]) -> NDArray[Any]:
    """The array itself, read-only from now on."""
    array.flags.writeable = False
    return array
