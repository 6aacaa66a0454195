"""`softmaxloss explain --file … --labels …` without a row: all the examples of a file together."""

from functools import partial

import click

from ..explanation import explain_set as explanation_of_set
from ..files import LogitsFile, read_target
from ..totals import Example
from . import command
from .progress import progress_bar


def explain_set(source: LogitsFile, labels: str) -> None:
    """Write the explanation of all rows, with the options of the command that runs now."""
    given = click.get_current_context().params
    names = command.class_names(given["classes"], source.class_names, source.shape[1])
    first_class = 1 if given["one_based"] else 0
    known = read_target(labels, key=given["labels_key"], classes=names, first_class=first_class)
    ids = command.row_ids(given["file"], known.shape[0])
    with command.label_errors(labels), progress_bar() as on_progress:
        explanation = explanation_of_set(
            source,
            known,
            classes=names,
            ids=ids,
            first_class=first_class,
            ignore_index=given["ignore_index"],
            top=given["top"],
            on_progress=on_progress,
        )

    def again(example: Example) -> str:
        return command.explain_row(given["file"], example.row, labels=labels)

    if given["html"] is not None:
        save = partial(explanation.save_html, command=again)
        command.write_page(save, given["html"], given["open_page"])
    if given["as_json"]:
        command.write(explanation.to_json() + "\n")
    elif given["html"] is None:
        width, color = command.terminal()
        command.write(explanation.to_text(width=width, color=color, command=again))
    command.expect_a_mean(explanation)
