"""The command: `python -m conformance`."""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

from benchmarks import machine

from softmaxloss.files.atomic import atomic_write_text

from .implementations import IMPLEMENTATIONS
from .page import Report, markdown
from .runner import run
from .trials import trials

PAGE = "docs/conformance.md"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m conformance",
        description="The cases of docs/semantics.md on other implementations of the loss.",
    )
    parser.add_argument(
        "--only", nargs="+", choices=IMPLEMENTATIONS, default=IMPLEMENTATIONS, metavar="NAME"
    )
    parser.add_argument(
        "--seconds", type=float, default=1200, help="for each implementation; default: 1200"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", default=PAGE, help=f"default: {PAGE}")
    options = parser.parse_args(arguments)

    answers = []
    for name in options.only:
        print(f"{IMPLEMENTATIONS[name].title} …", end=" ", flush=True)
        answers.append(run(name, options.seconds))
        print(answers[-1].absent or answers[-1].version, flush=True)
    facts = machine.describe(threads=1)
    report = Report(
        trials=trials(),
        answers=answers,
        machine={name: facts[name] for name in ("processor", "system", "Python") if name in facts},
        date=datetime.date.today().isoformat(),
    )
    atomic_write_text(options.write, markdown(report))
    print(f"wrote {options.write}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
