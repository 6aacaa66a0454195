"""The command: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import json

import softmaxloss

from . import command, linear, page, peers, picture, table
from .calls import cases as call_cases
from .calls import run as call_run
from .calls import tables as call_tables
from .cases import Case, select
from .peers import LIMITS, PEERS
from .report import Report, Row
from .runner import Runner

NAMES = [name for name in PEERS if name not in LIMITS]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="The speed of this library and its peers, and of memory, in one run: the calls "
        "of benchmarks.calls, unless --only names shapes, and then the shapes.",
    )
    shapes = "4096x32000, 1024x128256-bfloat16, 5 (one example), linear; default: all"
    command.add_options(parser, NAMES, shapes)
    options = parser.parse_args(arguments)
    try:
        cases = select(options.only, options.quick)
        # A selection is one of shapes; benchmarks.calls has its own.
        calls = [] if options.only else call_cases.select([], options.quick)
        command.check(options, page.SHAPES, *([page.CALLS] if calls else []))
    except ValueError as error:
        parser.error(str(error))
    call_report = call_run.measure(calls, options) if calls else None
    report = measure(cases, options)
    if options.json:
        found = {"calls": call_report.as_json()} if call_report else {}
        print(json.dumps(found | report.as_json(), indent=1))
    else:
        if call_report:
            print(call_tables.text(call_report), end="\n\n")
        print(table.text(report))
    if options.svg:
        page.write(options.svg, picture.svg(report))
    if options.write:
        if call_report:
            call_run.write(call_report, options.write)
        drawing = options.write.with_suffix(".svg")
        page.write(drawing, picture.svg(report))
        link = f"![Time over the limit, per shape and peer]({drawing.name})"
        figures = [link, table.markdown(report)]
        if not report.options:  # a whole run
            figures.append(linear.markdown(options.repeat))
        page.SHAPES.fill(options.write, "\n\n".join(figures))
    return 0


def measure(cases: list[Case], options: argparse.Namespace) -> Report:
    warning = command.warn_if_busy()
    names = [name for name in PEERS if name in (*LIMITS, *options.peers)]
    threads = softmaxloss.get_num_threads()
    with Runner(peers, names, threads, options.repeat, command.progress, options.seconds) as runner:
        found = runner.run([[(case, what)] for case in cases for what in case.whats])
    command.progress("")
    rows = [Row(row.case, row.what, row.seconds) for row in found]
    return Report(rows=rows, **command.facts(options, NAMES, runner, warning))


if __name__ == "__main__":
    command.run(main)
