"""The memory that the loss takes through autograd: `python -m benchmarks.peak`.

Each peer has a process of its own: a small call loads what it loads, then the highest resident
memory of one forward and backward pass is read from the system, above what it was before, with the
logits there. Linux only.
"""

from __future__ import annotations

import subprocess
import sys

import softmaxloss

from . import machine
from .cases import Case
from .peers import PEERS

CASES = [Case(4096, 32000), Case(65536, 1000), Case(1024, 128256, "bfloat16")]
NAMES = ("torch", "compile", "tensors", "inplace")


def peak() -> int:
    """The highest resident memory of this process since the last call of `forget`, in bytes."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def forget() -> None:
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # resets the peak to the present value


def worker(name: str, number: int) -> None:
    case = CASES[number]
    peer = PEERS[name](softmaxloss.get_num_threads())
    peer.prepare(case.smaller(), "fresh")()
    call = peer.prepare(case, "fresh")
    forget()
    before = peak()
    call()
    print((peak() - before) / case.nbytes)


def main() -> int:
    print(f"Peak memory beyond the logits, as a multiple of theirs; {machine.dated()}.\n")
    print(f"| logits | {' | '.join(PEERS[name].title for name in NAMES)} |")
    print("| --- |" + " --- |" * len(NAMES))
    for number, case in enumerate(CASES):
        cells = [case.name]
        for name in NAMES:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.peak", name, str(number)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            cells.append(f"{float(done.stdout):.2f}")
        print(f"| {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        worker(sys.argv[1], int(sys.argv[2]))
    else:
        sys.exit(main())
