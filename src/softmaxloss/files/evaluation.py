"""A whole file of logits against its labels, block by block."""

from collections.abc import Callable, Iterable

import numpy as np

from ..api import cross_entropy, score
from ..arrays import Array
from ..errors import LabelError, OptionError
from ..labels import read_indices
from ..options import Options
from ..probabilities import normalised
from ..scores import Scores
from ..text import plural, shorten
from ..totals import Totals
from .label_files import TargetFile
from .logits_file import LogitsFile
from .writers import ScoresFile


def evaluate(
    logits: LogitsFile,
    labels: Array | TargetFile,
    *,
    top: int = 10,
    ignore_index: int = -100,
    first_class: int = 0,
    first_row: int = 0,
    details: bool = False,
    scores: Iterable[ScoresFile] = (),
    on_block: Callable[[Array, Array, Scores, Array | None], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    max_elements: int = 1 << 22,
) -> Totals:
    """Score every row of a file, block by block.

    Args:
        logits: from `open_logits`, shape (N, C).
        labels: class indices, shape (N,); or probabilities, shape (N, C) or a file of them, from
            `read_target`. With these the loss is the cross-entropy with the probabilities; the
            label, for accuracy, rank and probability, is the most probable class.
        top: how many of the examples with the highest loss to keep.
        ignore_index: rows with this label do not count.
        first_class: 1 if the labels count from one.
        first_row: the number of the first row, for a shard of a set.
        details: whether to keep `Totals.temperatures` and `Totals.strongest`, too.
        scores: where to write the scores of every row, files from `open_scores`.
        on_block: called with the logits, labels and scores of each block, and with the
            probabilities, (rows, C), where the labels are such.
        on_progress: called with (done, total) after each block: rows, or bytes of a .csv file.
        max_elements: the most logits in a block, which has at least one row.

    Returns:
        The totals, which can be merged with those of other files.

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
    if len(labels.shape) not in (1, 2):
        raise LabelError(
            f"labels have shape {labels.shape}; give one class index for each row, or "
            "probabilities of shape (N, C)"
        )
    count = labels.shape[0]
    result = Totals(
        classes, top=top, ignore_index=ignore_index, first_class=first_class, details=details
    )
    done = rows or 0
    if rows is None or rows == count:
        options = Options(ignore_index=ignore_index, first_class=first_class)
        scored_part = _scorer(labels, classes, options)
        for start, block in logits.blocks(max_elements=max_elements):
            done = start + len(block)
            if done > count:
                continue  # count the rows for the message
            part, scored, q = scored_part(start, block)
            result.add(first_row + start, block, part, scored, q)
            for file in scores:
                file.append(start, part, scored)
            if on_block is not None:
                on_block(block, part, scored, q)
            if on_progress is not None:
                on_progress(*logits.progress)
    if done != count:
        raise LabelError(
            f"{plural(count, 'label')} for {plural(done, 'row')} of logits in "
            f"{shorten(str(logits.path), 4096)}; give one label for each row"
            + ("; are the logits transposed?" if count == classes != done else "")
        )
    result.look_like_probabilities = logits.look_like_probabilities
    return result


def _scorer(
    labels: Array | TargetFile, classes: int, options: Options
) -> Callable[[int, Array], tuple[Array, Scores, Array | None]]:
    """A function of the first row and the logits of a block, called for one block after the other:
    the labels of the block, its scores, and the probabilities where the labels are such."""
    ignore_index, first = options.ignore_index, options.first_class
    if isinstance(labels, np.ndarray) and labels.ndim == 1:
        # All labels at once, so that an error names the row in the file and comes first.
        read_indices(labels, classes, options)

        def of_indices(start: int, block: Array) -> tuple[Array, Scores, None]:
            part = labels[start : start + len(block)]
            return part, score(block, part, ignore_index=ignore_index, first_class=first), None

        return of_indices
    if labels.shape[1] != classes:
        raise LabelError(
            f"the labels have shape {tuple(labels.shape)}; {classes} logits need one class index "
            f"or {classes} probabilities for each example"
        )
    if first <= ignore_index < first + classes:
        raise OptionError(f"ignore_index={ignore_index} needs class indices, not probabilities")
    take = _rows_of(labels) if isinstance(labels, np.ndarray) else labels.reader().take

    def of_probabilities(start: int, block: Array) -> tuple[Array, Scores, Array]:
        q = take(len(block))
        part = q.argmax(axis=1) + first
        scored = score(block, part, ignore_index=ignore_index, first_class=first)
        return part, scored._replace(loss=cross_entropy(block, q, reduction="none")), q

    return of_probabilities


def _rows_of(probabilities: Array) -> Callable[[int], Array]:
    """A function that takes the next rows, as many as it is given."""
    start = 0

    def take(rows: int) -> Array:
        nonlocal start
        block, first, start = probabilities[start : start + rows], start, start + rows
        try:
            return normalised(block, first)
        except ValueError as error:
            raise LabelError(f"target: {error}") from None

    return take
