"""The command: `python -m benchmarks.calls`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import softmaxloss

from .. import command, page
from ..runner import Runner
from . import peers, picture, tables
from .cases import Call, select
from .report import Report

#: Seconds for each line and kind of call, after three turns: a whole run takes less than ten
#: minutes on two processors.
PATIENCE = 2.0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calls",
        description="The calls that people make: this library, PyTorch eager and compiled.",
    )
    shapes = "4096x8000, 8x21x256x256, 5 (one example)"
    command.add_options(
        parser,
        list(peers.PEERS),
        f"shapes, options, dtypes, layouts: {shapes}, smoothing, bfloat16; default: all",
    )
    options = parser.parse_args(arguments)
    try:
        groups = select(options.only, options.quick)
        command.check(options, page.CALLS)
    except ValueError as error:
        parser.error(str(error))
    report = measure(groups, options)
    print(json.dumps(report.as_json(), indent=1) if options.json else tables.text(report))
    if options.svg:
        page.write(options.svg, picture.svg(report))
    if options.write:
        write(report, options.write)
    return 0


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


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        sys.exit(130)
