"""A whole file of logits against its labels: totals, and the examples with the highest loss."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..api import cross_entropy, score
from ..arrays import Array
from ..errors import LabelError, OptionError
from ..jsonable import jsonable
from ..labels import read_indices
from ..options import Options
from ..scores import Scores
from ..text import plural, shorten
from .label_files import TargetFile
from .logits_file import LogitsFile
from .writers import ScoresFile


class Example(NamedTuple):
    """One row of the file: its number, counted from 0, its label and its scores."""

    row: int
    label: int
    predicted: int
    loss: float
    probability: float
    rank: int


class Evaluation:
    """Running totals over blocks of scored rows.

    Attributes:
        examples: the rows that count: all but the ignored ones.
        ignored: the rows whose label is `ignore_index`.
        invalid: the examples without a loss (a logit is NaN or +inf, or all are −inf). They make
            the means NaN, as in `cross_entropy`.
        top: the examples with the highest loss: the invalid ones, then by loss, then by row.
        look_like_probabilities: whether every row has the form of probabilities.

    >>> import numpy as np
    >>> logits, labels = np.array([[0.0, 0.0], [0.0, np.log(3)]]), np.array([0, 0])
    >>> totals = Evaluation(top=1)
    >>> totals.add(0, labels, score(logits, labels))
    >>> round(totals.perplexity, 12)  # sqrt(2 · 4): the losses are ln 2 and ln 4
    2.828427124746
    >>> totals.accuracy, totals.top[0].row
    (0.5, 1)
    """

    def __init__(self, *, top: int = 10, ignore_index: int = -100) -> None:
        if top < 0:
            raise OptionError(f"top must be 0 or more, got {top}")
        self.examples = self.ignored = self.invalid = 0
        self.top: list[Example] = []
        self.look_like_probabilities = False
        self._limit = top
        self._ignore_index = ignore_index
        self._correct = 0
        # One sum per block, summed exactly at the end: the order of blocks does not matter.
        self._losses: list[float] = []
        self._entropies: list[float] = []

    def add(self, start: int, labels: Array, scores: Scores) -> None:
        """Count the rows from `start` on; `labels` and each of `scores` have shape (rows,)."""
        counted = np.flatnonzero(labels != self._ignore_index)
        loss = scores.loss[counted]
        self.examples += counted.size
        self.ignored += labels.size - counted.size
        self.invalid += int(np.count_nonzero(np.isnan(loss)))
        self._correct += int(np.count_nonzero(scores.predicted[counted] == labels[counted]))
        self._losses.append(float(np.sum(loss, dtype=np.float64)))
        self._entropies.append(float(np.sum(scores.entropy[counted], dtype=np.float64)))
        columns = scores._asdict() | {"label": labels}
        for i in counted[highest(loss, self._limit)].tolist():
            fields = {name: columns[name][i].item() for name in Example._fields[1:]}
            self.top.append(Example(row=start + i, **fields))
        self.top.sort(key=lambda e: (not math.isnan(e.loss), -e.loss, e.row))
        del self.top[self._limit :]

    @property
    def mean_loss(self) -> float:
        """The mean loss in nats; NaN without examples or with an invalid one."""
        return self._mean(self._losses)

    @property
    def mean_entropy(self) -> float:
        """The mean entropy of the predicted probabilities, in nats."""
        return self._mean(self._entropies)

    @property
    def perplexity(self) -> float:
        """exp(mean_loss)."""
        with np.errstate(over="ignore"):
            return float(np.exp(np.float64(self.mean_loss)))

    @property
    def accuracy(self) -> float:
        """The share of examples whose predicted class is their label; an invalid one is wrong."""
        return self._correct / self.examples if self.examples else math.nan

    def _mean(self, sums: list[float]) -> float:
        return math.fsum(sums) / self.examples if self.examples else math.nan

    def to_dict(self) -> dict[str, object]:
        """Every figure by name, as JSON can hold it ("NaN" and "Infinity" are strings).

        >>> Evaluation(top=0).to_dict()["mean_loss"]
        'NaN'
        """
        counts = ("examples", "ignored", "invalid", "look_like_probabilities")
        means = ("mean_loss", "perplexity", "accuracy", "mean_entropy")
        top = [{name: jsonable(value) for name, value in e._asdict().items()} for e in self.top]
        return {name: jsonable(getattr(self, name)) for name in counts + means} | {"top": top}


def evaluate(
    logits: LogitsFile,
    labels: Array | TargetFile,
    *,
    top: int = 10,
    ignore_index: int = -100,
    first_class: int = 0,
    scores: ScoresFile | None = None,
    on_block: Callable[[Array, Array, Scores], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    max_elements: int = 1 << 22,
) -> Evaluation:
    """Score every row of a file, block by block.

    Args:
        logits: from `open_logits`, shape (N, C).
        labels: class indices, shape (N,), or a file of probabilities, from `read_target`. With
            these the loss is the cross-entropy with the probabilities; the label, for accuracy,
            rank and probability, is the most probable class.
        top: how many of the examples with the highest loss to keep.
        ignore_index: rows with this label do not count.
        first_class: 1 if the labels count from one.
        scores: where to write the scores of every row, from `open_scores`.
        on_block: called with the logits, labels and scores of each block.
        on_progress: called with (done, total) after each block: rows, or bytes of a .csv file.
        max_elements: the most logits in a block, which has at least one row.

    Raises:
        LabelError: a label outside the classes, or not one label for each row; raised before the
            first block, but for the number of rows of a .csv file, which is known at its end.
        FileError: the logits turn out to be damaged, or the scores cannot be written.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from softmaxloss.files import open_logits
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "logits.npy"
    >>> np.save(path, np.zeros((3, 4)))
    >>> with open_logits(path) as logits:
    ...     result = evaluate(logits, np.array([0, 1, 2]))
    >>> round(result.perplexity, 12)
    4.0
    """
    rows, classes = logits.shape
    if not isinstance(labels, TargetFile) and labels.ndim != 1:
        raise LabelError(
            f"labels have shape {labels.shape}; give one class index for each row, of one-hot rows "
            "labels.argmax(axis=1)"
        )
    count = len(labels) if isinstance(labels, np.ndarray) else labels.shape[0]
    result = Evaluation(top=top, ignore_index=ignore_index)
    done = rows or 0
    if rows is None or rows == count:
        options = Options(ignore_index=ignore_index, first_class=first_class)
        scored_part = _scorer(labels, classes, options)
        for start, block in logits.blocks(max_elements=max_elements):
            done = start + len(block)
            if done > count:
                continue  # count the rows for the message
            part, scored = scored_part(start, block)
            result.add(start, part, scored)
            if scores is not None:
                scores.append(start, part, scored)
            if on_block is not None:
                on_block(block, part, scored)
            if on_progress is not None:
                on_progress(*logits.progress)
    if done != count:
        raise LabelError(
            f"{plural(count, 'label')} for {plural(done, 'row')} of logits in "
            f"{shorten(str(logits.path), 4096)}; give one label for each row"
        )
    result.look_like_probabilities = logits.look_like_probabilities
    return result


def _scorer(
    labels: Array | TargetFile, classes: int, options: Options
) -> Callable[[int, Array], tuple[Array, Scores]]:
    """A function of the first row and the logits of a block, called for one block after the other:
    the labels of the block and its scores."""
    ignore_index, first = options.ignore_index, options.first_class
    if isinstance(labels, np.ndarray):
        # All labels at once, so that an error names the row in the file and comes first.
        read_indices(labels, classes, options)

        def of_indices(start: int, block: Array) -> tuple[Array, Scores]:
            part = labels[start : start + len(block)]
            return part, score(block, part, ignore_index=ignore_index, first_class=first)

        return of_indices
    if labels.shape[1] != classes:
        raise LabelError(
            f"there are {labels.shape[1]} probabilities for each example, for {classes} logits"
        )
    if first <= ignore_index < first + classes:
        raise OptionError(f"ignore_index={ignore_index} needs class indices, not probabilities")
    reader = labels.reader()

    def of_probabilities(start: int, block: Array) -> tuple[Array, Scores]:
        q = reader.take(len(block))
        part = q.argmax(axis=1) + first
        scored = score(block, part, ignore_index=ignore_index, first_class=first)
        return part, scored._replace(loss=cross_entropy(block, q, reduction="none"))

    return of_probabilities


def highest(losses: Array, count: int) -> npt.NDArray[np.intp]:
    """Positions of the `count` highest losses; NaN is the highest, ties go by position."""
    if count == 0 or losses.size <= count:
        return np.arange(min(count, losses.size))
    # like sort, partition puts NaN behind +inf
    least = np.partition(losses, losses.size - count)[losses.size - count]
    if np.isnan(least):
        return np.flatnonzero(np.isnan(losses))[:count]
    above = np.flatnonzero(~(losses <= least))
    return np.concatenate([above, np.flatnonzero(losses == least)[: count - above.size]])
