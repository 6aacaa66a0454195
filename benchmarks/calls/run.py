"""A run over calls, and its place in the page."""

from __future__ import annotations

import argparse
from pathlib import Path

import softmaxloss

from .. import command, page
from ..runner import Runner
from . import peers, picture, tables
from .cases import Call
from .report import Report

#: Seconds for each line and kind of call, after three turns: a whole run takes less than ten
#: minutes on two processors.
PATIENCE = 1.5


def measure(groups: list[list[Call]], options: argparse.Namespace) -> Report:
    warning = command.warn_if_busy()
    names = [name for name in peers.PEERS if name in options.peers]
    with Runner(
        peers,
        names,
        softmaxloss.get_num_threads(),
        options.repeat,
        command.progress,
        options.seconds,
        PATIENCE,
    ) as runner:
        rows = runner.run([[(call, what) for call in g for what in call.whats] for g in groups])
    command.progress("")
    return Report(rows=rows, **command.facts(options, list(peers.PEERS), runner, warning))


def write(report: Report, target: Path) -> None:
    """Into the page, and the picture beside it."""
    drawing = target.with_name(f"{target.stem}-calls.svg")
    page.write(drawing, picture.svg(report))
    link = f"![How many times as fast as the fastest peer, per call]({drawing.name})"
    page.CALLS.fill(target, f"{link}\n\n{tables.markdown(report)}")
