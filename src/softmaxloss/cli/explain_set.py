"""`softmaxloss explain --file … --labels …` without a row: all the examples of a file together."""

from __future__ import annotations

from functools import partial

import click

from ..errors import LabelError
from ..explanation import explain_set as explanation_of_set
from ..files import LogitsFile, read_labels
from ..files.evaluation import Example
from . import command
from .progress import progress_bar


def explain_set(
    source: LogitsFile,
    labels: str,
    *,
    top: int,
    classes: str | None,
    one_based: bool,
    ignore_index: int,
    logits_key: str | None,
    labels_key: str | None,
    html: str | None,
    open_page: bool,
    as_json: bool,
) -> None:
    """Write the explanation of all rows; the other parameters are options of `explain`."""
    known = read_labels(labels, key=labels_key)
    names = command.class_names(classes, source.class_names, source.shape[1])
    try:
        with progress_bar() as on_progress:
            explanation = explanation_of_set(
                source,
                known,
                classes=names,
                first_class=1 if one_based else 0,
                ignore_index=ignore_index,
                top=top,
                on_progress=on_progress,
            )
    except LabelError as error:
        raise click.UsageError(f"{labels}: {command.as_options(str(error))}") from None

    def again(example: Example) -> str:
        return command.explain_row(
            str(source.path), labels, example.row, logits_key, labels_key, classes, one_based
        )

    if html is not None:
        save = partial(explanation.save_html, command=again)
        command.write_page(save, html, open_page)
    if as_json:
        command.write(explanation.to_json() + "\n")
    elif html is None:
        width, color = command.terminal()
        command.write(explanation.to_text(width=width, color=color, command=again))
