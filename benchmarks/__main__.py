"""The command: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path

import softmaxloss

from . import linear, machine, page, picture, table
from .cases import select
from .peers import LIMITS, PEERS
from .report import Report
from .runner import Runner

PAGE = "docs/performance.md"


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        cases = select(options.only, options.quick)
        if options.repeat < 1:
            raise ValueError(f"--repeat must be 1 or more, got {options.repeat}")
        for path in (options.svg, options.write):
            if path and not path.parent.is_dir():
                raise ValueError(f"{path.parent} is not a directory")
        if options.write:
            page.check(options.write)
    except ValueError as error:
        parser.error(str(error))
    if warning := machine.busy():
        print(warning, file=sys.stderr)

    names = [name for name in PEERS if name in (*LIMITS, *options.peers)]
    threads = softmaxloss.get_num_threads()
    with Runner(names, threads, options.repeat, _progress, options.seconds) as runner:
        rows = runner.run(cases)
    _progress("")
    report = Report(
        rows=rows,
        machine=machine.describe(threads),
        versions=runner.versions,
        date=datetime.date.today().isoformat(),
        options=_selection(options),
        repeat=options.repeat,
        notes=[*([warning] if warning else []), *runner.notes],
    )
    print(json.dumps(report.as_json(), indent=1) if options.json else table.text(report))
    if options.svg:
        page.write(options.svg, picture.svg(report))
    if options.write:
        drawing = options.write.with_suffix(".svg")
        page.write(drawing, picture.svg(report))
        link = f"![Time over the limit, per shape and peer]({drawing.name})"
        figures = [link, table.markdown(report)]
        if not report.options:  # a whole run
            figures.append(linear.markdown(options.repeat))
        page.fill(options.write, "\n\n".join(figures))
    return 0


def _parser() -> argparse.ArgumentParser:
    peers = [name for name in PEERS if name not in LIMITS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="The speed of this library and its peers, and of memory, in one run.",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="SHAPE",
        default=[],
        help="4096x32000, 1024x128256-bfloat16, 5 (one example), linear; default: all",
    )
    parser.add_argument("--peers", nargs="+", choices=peers, default=peers, help="default: all")
    parser.add_argument("--repeat", type=int, default=7, metavar="N", help="turns; default: 7")
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.02,
        help="a timing repeats its call until it takes so long; default: 0.02",
    )
    parser.add_argument("--quick", action="store_true", help="a sixteenth of the rows")
    parser.add_argument("--json", action="store_true", help="print JSON, with every timing")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw time over limit per shape")
    parser.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=Path(PAGE),
        metavar="PAGE",
        help=f"write the figures into the page, and its picture beside it; default: {PAGE}",
    )
    return parser


def _selection(options: argparse.Namespace) -> str:
    """The options that leave something out, as typed on the command line."""
    words = ["--quick"] if options.quick else []
    if options.only:
        words += ["--only", *options.only]
    if len(options.peers) < len(PEERS) - len(LIMITS):
        words += ["--peers", *options.peers]
    return " ".join(words)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        sys.exit(130)
