"""`softmaxloss score` of several files: a folder, a pattern, or one name after the other."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..explanation import SetExplanation
from ..shards import (
    INSTALL,
    Job,
    Shard,
    State,
    Whole,
    cluster,
    files_of,
    has_dask,
    here,
    is_one_file,
    local_workers,
    processors,
    score_shards,
    shards_of,
)
from ..text import few, plural, printable, shorten
from ..totals import Example, Totals
from . import command
from .progress import progress_bar
from .score_report import Scored, show

_BYTES_PER_WORKER = 1 << 30  # it takes seconds to start a process, and as long to score this
_NAMED = 20  # files that failed, before the others are counted


def score_many(
    logits: Sequence[str], labels: Sequence[str], scores: Sequence[str], plots: Sequence[str]
) -> None:
    """Score files together, with the options of the command that runs now."""
    given = click.get_current_context().params
    html: str | None = given["html"]
    job = _job(explained=html is not None or bool(plots))
    shards = _shards(logits, labels, given["ids_file"], job)
    written = [*scores, *plots, *([] if html is None else [html])]
    read = [path for shard in shards for path in shard.files]
    command.check_outputs(written, [*read, given["classes"], given["weight"]])
    folder = given["resume"] or (_beside(written[0]) if written else None)
    with State(folder, keep_after=given["resume"] is not None) as state:
        with progress_bar() as on_progress:
            whole = score_shards(
                shards,
                job,
                state,
                _where,
                with_rows=bool(scores),
                strict=given["strict"],
                on_progress=on_progress,
            )
        if whole.reused:
            reused = f"{whole.reused} of {plural(len(shards), 'file')}"
            click.echo(f"softmaxloss: note: {reused} were scored before", err=True)
        if scores and not whole.failed:
            whole.write(scores, job, state)
        _show(whole, job, plots, html)
        if whole.failed:
            _end_with_failures(whole, len(shards), written, state)
        state.complete()
    command.expect_a_mean(whole.totals)


def _shards(logits: Sequence[str], labels: Sequence[str], ids: str | None, job: Job) -> list[Shard]:
    """The files that belong together."""
    if "-" in [*logits, *labels, ids]:
        raise click.UsageError("standard input, -, is one file, and here there are several")
    files = files_of(logits)
    if (
        len(labels) == 1
        and is_one_file(labels[0])
        and len({os.path.dirname(file) for file in files}) > 1
    ):
        first = few([shorten(file, 100) for file in files[:4]], most=3)
        order = f"files are taken in the order of their names: {first}"
        click.echo(f"softmaxloss: note: {order}", err=True)
    return shards_of(
        files,
        files_of(labels) if labels else None,
        None if ids is None else files_of([ids]),
        job,
    )


def _job(*, explained: bool) -> Job:
    """What is asked of every file."""
    given = click.get_current_context().params
    linear = command.linear_file()
    if linear is not None:
        linear.read()  # an error of this file is one of all
    names = None if given["classes"] is None else tuple(command.names_of(given["classes"]))
    return Job(
        top=given["top"],
        ignore_index=given["ignore_index"],
        first_class=1 if given["one_based"] else 0,
        explained=explained,
        from_probabilities=given["probabilities"],
        classes=names,
        logits_key=given["logits_key"],
        labels_key=given["labels_key"],
        ids_key=given["ids_key"],
        linear=linear,
    )


def _beside(path: str) -> str:
    """The folder of finished files, beside a file that is to be written."""
    out = Path(path)
    return os.fspath(out.with_name(f".{out.name}.shards"))


def _where(shards: int, size: int) -> contextlib.AbstractContextManager[Any]:
    """Where so many files of so many bytes are scored."""
    given = click.get_current_context().params
    if given["scheduler"] is not None:
        if given["workers"] is not None:
            raise click.UsageError("--workers are processes of this machine: leave out --scheduler")
        return cluster(given["scheduler"])
    number = given["workers"]
    if number is None:
        number = min(processors(), 1 + size // _BYTES_PER_WORKER)
        if min(number, shards) > 1 and not has_dask():
            click.echo(
                "softmaxloss: note: scoring one file after the other; for several at a time "
                f"install Dask: {INSTALL}",
                err=True,
            )
            number = 1
    number = min(number, shards)
    return here() if number == 1 else local_workers(number)


def _show(whole: Whole, job: Job, plots: Sequence[str], html: str | None) -> None:
    """Write the report, and where no file is missing plots and page."""
    explained, names = None, whole.facts.names
    if not isinstance(whole.sums, Totals) and not whole.failed:
        first = job.first_class
        explained = SetExplanation.of(whole.sums, classes=names, first_class=first)

    def place(row: int) -> tuple[str, int]:
        shard, row = whole.place(row)
        return shard.logits, row

    def again(example: Example) -> str:
        shard, row = whole.place(example.row)
        if shard.labels is not None and shard.labels.rows is not None:
            return command.explain_row(shard.logits, row, label=example.label)
        labels = shard.logits if shard.labels is None else shard.labels.path
        return command.explain_row(shard.logits, row, labels=labels)

    scored = Scored(
        what=plural(len(whole.done), "file"),
        totals=whole.totals,
        explained=explained,
        classes=names,
        soft=whole.soft,
        left_out=whole.facts.left_out,
        again=again,
        called=lambda row: whole.ids[row],
        place=place,
        failed=[
            (shard.logits, command.with_options(why.reason)) for shard, why in whole.failed.items()
        ],
    )
    show(scored, plots, html)


def _end_with_failures(whole: Whole, files: int, written: Sequence[str], state: State) -> None:
    """Name the files that could not be scored, and end with exit code 1."""
    reasons = [command.with_options(why.reason) for why in whole.failed.values()]
    for reason in reasons[:_NAMED]:
        click.echo(f"softmaxloss: error: {printable(reason)}", err=True)
    if len(reasons) > _NAMED:
        click.echo(f"softmaxloss: … and {len(reasons) - _NAMED} more", err=True)
    missing = f"{len(reasons)} of {plural(files, 'file')} could not be scored"
    if written:
        missing += f"; not written: {', '.join(shorten(out, 4096) for out in written)}"
    if state.resumable:
        missing += "; once they are repaired or left out, the same command scores only what is left"
    click.echo(f"softmaxloss: {printable(missing)}", err=True)
    click.get_current_context().exit(1)
