"""What the commands have in common: their options, their progress, the checks before a run."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import machine, page
from .runner import Runner

PAGE = Path("docs/performance.md")


def run(main: Callable[[], int]) -> None:
    """Exit with the status of `main`; on Ctrl-C with a line and 130, as shells do."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        sys.exit(130)


def add_options(parser: argparse.ArgumentParser, peers: Sequence[str], only: str) -> None:
    """--peers, --only and all others; `only` is the help on what can be named."""
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help=only)
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
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the picture")
    parser.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=PAGE,
        metavar="PAGE",
        help=f"write the figures into the page, and its picture beside it; default: {PAGE}",
    )


def check(options: argparse.Namespace, *sections: page.Section) -> None:
    """ValueError for what cannot be done, before anything is measured."""
    if options.repeat < 1:
        raise ValueError(f"--repeat must be 1 or more, got {options.repeat}")
    for path in (options.svg, options.write):
        if path and not path.parent.is_dir():
            raise ValueError(f"{path.parent} is not a directory")
    for section in sections if options.write else ():
        section.check(options.write)


def left_out(options: argparse.Namespace, peers: Sequence[str]) -> str:
    """The options that leave something out, as typed on the command line."""
    words = ["--quick"] if options.quick else []
    if options.only:
        words += ["--only", *options.only]
    if len(options.peers) < len(peers):
        words += ["--peers", *options.peers]
    return " ".join(words)


def facts(
    options: argparse.Namespace, peers: Sequence[str], runner: Runner, warning: str | None
) -> dict[str, Any]:
    """The fields of a `Run`."""
    return {
        "machine": machine.describe(runner.threads),
        "versions": runner.versions,
        "date": datetime.date.today().isoformat(),
        "options": left_out(options, peers),
        "repeat": options.repeat,
        "notes": [*([warning] if warning else []), *runner.notes],
    }


def warn_if_busy() -> str | None:
    if warning := machine.busy():
        print(warning, file=sys.stderr)
    return warning


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
