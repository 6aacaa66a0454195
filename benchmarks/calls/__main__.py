"""The command: `python -m benchmarks.calls`."""

from __future__ import annotations

import argparse
import json

from .. import command, page
from . import peers, picture, tables
from .cases import select
from .run import measure, write


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


if __name__ == "__main__":
    command.run(main)
