"""`softmaxloss score`: the totals of logits and their labels, and the hardest examples.

`score_many.py` scores the files of a folder or a pattern together.
"""

import contextlib
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..explanation import SetExplanation
from ..explanation.set_plots import PLOTS, load_matplotlib
from ..explanation.set_sums import add_up
from ..files import (
    COMPRESSIONS,
    FORMATS,
    WRITERS,
    TargetFile,
    listed,
    open_scores,
    read_target,
)
from ..files.evaluation import evaluate
from ..shards import is_one_file, labels_apart
from ..totals import Example
from . import command
from .progress import progress_bar
from .score_many import score_many
from .score_report import Scored, show

HELP = f"""Mean loss, accuracy and perplexity of logits in files, and the hardest examples.

LOGITS is a file with one row for each example, LABELS one with a class number, a class name or a
row of probabilities for each; without LABELS, LOGITS is a table with a column of labels. - is
standard input. Files larger than memory are read block by block; text may be compressed
({listed(COMPRESSIONS)}).

Each may also be a folder of files or a pattern in quotes, 'part-*.npy'; or give three and more
LOGITS with their labels, or any number and --labels. LABELS is then a file for each file of LOGITS,
or one for all: its rows follow the order of the file names. The files are scored together: by
several processes where Dask is installed. With --weight W, LOGITS holds hidden states x, and the
logits are W x.

A file of logits holds:

\b
"""
HELP += "\n".join(f"  {suffix:<13} {holds}" for suffix, holds in FORMATS.items())

_SEVERAL = ("workers", "scheduler", "resume", "strict")


@click.command(
    cls=command.ExamplesFirst,
    meant={
        "--logits": "LOGITS, the first file, has no option",
        **dict.fromkeys(["--label", "--target", "--targets"], "LABELS is the second file"),
        **dict.fromkeys(["--names", "--class-names"], "the names of the classes are --classes"),
        **dict.fromkeys(["--output", "-o"], "scores are written by --out, a page by --html"),
        "--file": "LOGITS, the first file, has no option",
    },
    help=HELP,
    short_help="Loss, accuracy and hardest examples of files.",
    examples="""
    softmaxloss score logits.npy labels.npy
    softmaxloss score logits.csv labels.csv --top 20 --classes cat,dog,bird
    softmaxloss score logits.npy labels.npy --html report.html --open
    softmaxloss score run.npz run.npz --labels-key y --out scores.parquet
    softmaxloss score predictions.csv --labels-key species
    zcat log.jsonl.gz | softmaxloss score -
    softmaxloss score 'shards/part-*.parquet' --out scores.parquet --workers 8
    softmaxloss score logits/ labels.npy
    softmaxloss score hidden/ labels/ --weight W.safetensors
    """,
)
@click.argument("paths", metavar="LOGITS [LABELS]", nargs=-1, type=command.FILE)
@click.option(
    "--labels",
    "labels_files",
    metavar="FILE",
    type=command.FILE,
    multiple=True,
    help="The labels, where several LOGITS are named one by one: a file for each, or one for all. "
    "May be repeated.",
)
@command.top
@command.classes
@command.one_based
@command.ignore_index
@command.probabilities
@command.ids
@click.option(
    "--html", metavar="FILE", type=command.FILE, help="Write a page for a browser to FILE."
)
@click.option("--open", "open_page", is_flag=True, help="Open the page of --html.")
@click.option(
    "--out",
    "outputs",
    metavar="FILE",
    type=command.FILE,
    multiple=True,
    help=f"Write the scores of every example, as {listed(WRITERS)}; or plots, as {listed(PLOTS)} "
    "(needs matplotlib). May be repeated.",
)
@command.logits_key
@command.labels_key
@command.linear
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    help="Score several files in N processes (needs Dask); 1: one file after the other. Default: "
    "a process for each GB of the files, as far as there are processors.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Score several files on this cluster of Dask.")
@click.option(
    "--resume",
    metavar="DIR",
    type=command.FILE,
    help="Keep what is known of finished files in DIR, and go on from there. Default: a folder "
    "beside --out, until that is written.",
)
@click.option("--strict", is_flag=True, help="Stop at the first of several files that is bad.")
@command.as_json
def score(
    paths: tuple[str, ...],
    labels_files: tuple[str, ...],
    html: str | None,
    open_page: bool,
    outputs: tuple[str, ...],
    **_: Any,
) -> None:
    """Score the files and report; the parameters are the options of the command."""
    if not paths:
        raise click.UsageError(
            "no files: softmaxloss score LOGITS LABELS, or - in the place of LOGITS for standard "
            "input"
        )
    command.page_options(html, open_page)
    plots = [out for out in outputs if Path(out).suffix.lower() in PLOTS]
    if plots:
        load_matplotlib()
    logits, labels = [*paths], [*labels_files]
    if not labels:
        logits, labels = labels_apart(paths)
    scores = [out for out in outputs if out not in plots]
    if all(map(is_one_file, [*logits, *labels])) and len(logits) == 1 >= len(labels):
        _refuse_several()
        _score_one(logits[0], labels[0] if labels else logits[0], scores, plots)
    else:
        score_many(logits, labels, scores, plots)


def _refuse_several() -> None:
    """Raise for options that have no meaning for one file."""
    context = click.get_current_context()
    for name in _SEVERAL:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is for several files: a folder or a pattern")


def _score_one(logits: str, labels: str, scores: list[str], plots: list[str]) -> None:
    """Score one file, with the options of the command that runs now."""
    given = click.get_current_context().params
    html, top = given["html"], given["top"]
    first_class = 1 if given["one_based"] else 0
    read = (logits, labels, given["ids_file"], given["classes"], given["weight"])
    command.check_outputs([*scores, *plots, html], read)
    explained = None
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(command.open_file(logits, labels))
        names = command.class_names(given["classes"], source.class_names, source.shape[1])
        known = read_target(
            labels,
            key=given["labels_key"],
            classes=names,
            first_class=first_class,
            beside_logits=labels == logits,
        )
        ids = command.row_ids(logits, known.shape[0])
        opened = [
            open_scores(out, known.shape[0], ids=ids, classes=names, first_class=first_class)
            for out in scores
        ]
        writers = [stack.enter_context(file) for file in opened]
        stack.enter_context(command.label_errors(labels))
        options: Any = {"top": top, "ignore_index": given["ignore_index"]}
        options |= {"first_class": first_class, "scores": writers}
        options |= {"on_progress": stack.enter_context(progress_bar())}
        if html is None and not plots:
            result = evaluate(source, known, **options)
        else:
            sums = add_up(source, known, ids=ids, **options)
            result = sums.totals
            named = None if names is None else tuple(names)
            explained = SetExplanation.of(sums, classes=named, first_class=first_class)

    def again(example: Example) -> str:
        return command.explain_row(logits, example.row, labels=labels)

    scored = Scored(
        what=source.path.name,
        totals=result,
        explained=explained,
        classes=names,
        soft=isinstance(known, TargetFile),
        left_out=source.left_out,
        again=again,
        called=None if ids is None else ids.__getitem__,
    )
    show(scored, plots, html)
    command.expect_a_mean(result)
