"""What `make run` shows: explain an example, train on real digits, score, explain the hardest.

Each line after a `$` is a command that you can type. docs/tour.md shows the output.

    python examples/tour.py
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

from digits import TRAIN, load

HERE = Path(__file__).parent
OUT = "out"


def run(command: str, *, show: bool = True) -> str:
    """Run `softmaxloss …` or `python …` with this Python. Return its output if it is not shown."""
    program, *arguments = shlex.split(command.replace("examples/", f"{HERE}/"))
    module = ["-m", "softmaxloss"] if program == "softmaxloss" else []
    if show:
        print(f"\n$ {command}\n", flush=True)
    done = subprocess.run(
        [sys.executable, *module, *arguments],
        stdout=None if show else subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout or ""


def draw(row: int) -> None:
    """Print the digit as 8×8 characters, darker for more ink."""
    pixels, labels = load()
    print(f"\nThe hardest digit, row {row}, labelled {labels[TRAIN + row]}, as it was written:\n")
    for line in pixels[TRAIN + row].reshape(8, 8):
        print("    " + "".join(" .:-=+*#@"[round(8 * ink)] * 2 for ink in line).rstrip())
    sys.stdout.flush()


def main() -> None:
    run("softmaxloss explain 2.0 1.0 0.1 -1.2 --label 2")
    run(f"python examples/digits.py --out {OUT}")
    files = f"{OUT}/digits_logits.npy {OUT}/digits_labels.npy"
    run(f"softmaxloss score {files} --top 5")
    hardest = json.loads(run(f"softmaxloss score {files} --top 1 --json", show=False))
    row = hardest["top"][0]["row"]
    draw(row)
    run(
        f"softmaxloss explain --file {OUT}/digits_logits.npy --row {row} "
        f"--labels {OUT}/digits_labels.npy"
    )


if __name__ == "__main__":
    main()
