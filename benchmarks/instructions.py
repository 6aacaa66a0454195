"""Instructions for each logit: `python -m benchmarks.instructions`, which needs valgrind.

Counted, not timed: a busy machine changes nothing. What two processes differ in
before their first call leaves up to half an instruction for each logit open.
Valgrind knows no AVX-512, so the level is avx2, 8
floats or 4 doubles at a time; avx512 takes about half as many. What Python and NumPy take for a
call is in the counts, and is what they differ by between few and many rows.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

from . import machine
from .cases import Case

SHAPES = [
    Case(32, 32000),
    Case(1024, 1000),
    Case(8192, 100),
    Case(65536, 10),
    Case(32, 32000, "bfloat16"),
    Case(32, 32000, "float64"),
]
CALLS = 40  # enough that differences in the start of the two processes do not matter
RUN = """
import sys
from benchmarks.cases import Case
from benchmarks.peers import Library
rows, classes, dtype, what, calls = sys.argv[1:]
call = Library(1).prepare(Case(int(rows), int(classes), dtype), what)
for _ in range(int(calls)):
    call()
"""


def total(case: Case, what: str, calls: int) -> int:
    """The instructions of a process that makes `calls` calls."""
    arguments = [str(case.rows), str(case.classes), case.dtype, what, str(calls)]
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run(
        [*tool, sys.executable, "-c", RUN, *arguments],
        env={**os.environ, "SOFTMAXLOSS_CPU": "avx2", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if not found:
        raise RuntimeError((done.stderr.strip().splitlines() or ["valgrind said nothing"])[-1])
    return int(found[1])


def per_logit(case: Case, what: str) -> float:
    """From the difference of CALLS calls."""
    return (total(case, what, 1 + CALLS) - total(case, what, 1)) / (CALLS * case.elements)


def main() -> int:
    if not shutil.which("valgrind"):
        print("valgrind is not installed", file=sys.stderr)
        return 2
    print(f"Counted on {machine.dated()}.\n")
    print("| logits | loss + gradient | loss only |\n| --- | --- | --- |")
    for case in SHAPES:
        counts = [f"{per_logit(case, what):.1f}" for what in ("gradient", "loss")]
        print(f"| {case.name} | {' | '.join(counts)} |", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(str(error))
