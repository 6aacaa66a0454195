"""A small language model of the text of Python's help, with PyTorch's loss and with softmaxloss.

It reads 48 bytes and predicts the next three bytes, as one of the 13 thousand triples in the text.
As in a large language model, the many classes make the last layer the largest one, and its logits
take most of the memory. Both losses start from the same weights and see the same batches.

    python examples/language_model.py                      both, side by side
    python examples/language_model.py --loss softmaxloss   one of them
    python examples/language_model.py --steps 500          a better model
"""

from __future__ import annotations

import argparse
import json
import pydoc_data.topics
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from softmaxloss.torch import linear_cross_entropy

CONTEXT, BATCH, WIDTH = 48, 2048, 512


class Text:
    """Batches of a text: the bytes before random positions, and the number of the next triple."""

    def __init__(self) -> None:
        topics = pydoc_data.topics.topics
        text = "\n".join(topics[name] for name in sorted(topics)).encode()
        self.bytes = torch.tensor(list(text))
        triples = self.bytes.unfold(0, 3, 1) @ torch.tensor([1 << 16, 1 << 8, 1])
        values, self.triples = triples.unique(return_inverse=True)
        self.classes = len(values)

    def batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        positions = torch.randint(CONTEXT, len(self.triples), (BATCH,), generator=generator)
        before = self.bytes[positions[:, None] + torch.arange(-CONTEXT, 0)]
        return before, self.triples[positions]


class Model(torch.nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(256, 32)
        self.hidden = torch.nn.Linear(CONTEXT * 32, WIDTH)
        self.output = torch.nn.Linear(WIDTH, classes)

    def forward(self, before: Tensor) -> Tensor:
        """The input of the last layer, which the loss applies itself."""
        return torch.tanh(self.hidden(self.embedding(before).flatten(1)))


def loss_of(name: str, hidden: Tensor, output: torch.nn.Linear, target: Tensor) -> Tensor:
    if name == "softmaxloss":
        return linear_cross_entropy(hidden, output.weight, target, linear_bias=output.bias)
    return F.cross_entropy(output(hidden), target)


def train(name: str, steps: int) -> dict[str, object]:
    torch.manual_seed(0)
    text = Text()
    model = Model(text.classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    batches = torch.Generator().manual_seed(1)
    losses, seconds = [], []
    for step in range(steps):
        start = perf_counter()
        before, target = text.batch(batches)
        loss = loss_of(name, model(before), model.output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        seconds.append(perf_counter() - start)
        if sys.stderr.isatty():
            print(f"\r{name}: step {step + 1} of {steps}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return {
        "classes": text.classes,
        "losses": losses,
        "seconds": sorted(seconds)[steps // 2],
        "peak": peak_memory(),
    }


def peak_memory() -> int | None:
    """The peak memory of this process in bytes; None where the system does not report it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    return next(int(row.split()[1]) << 10 for row in status.splitlines() if row.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loss", choices=["torch", "softmaxloss"], help="default: both")
    parser.add_argument("--steps", type=int, default=60, help="default: 60")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps < 1:
        parser.error(f"--steps must be 1 or more, got {options.steps}")
    if options.json:
        print(json.dumps(train(options.loss, options.steps)))
        return
    names = [options.loss] if options.loss else ["torch", "softmaxloss"]
    # One process for each loss, so that each has its own peak memory.
    program = [sys.executable, __file__, "--json", "--steps", str(options.steps), "--loss"]
    runs = [
        json.loads(subprocess.run([*program, name], stdout=subprocess.PIPE, check=True).stdout)
        for name in names
    ]
    print(f"loss in nats over {runs[0]['classes']} classes" + "".join(f"{n:>14}" for n in names))
    shown = sorted({1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, options.steps})
    for step in (step for step in shown if step <= options.steps):
        row = "".join(f"{run['losses'][step - 1]:14.4f}" for run in runs)
        print(f"  step {step:<5}{'':22}{row}")
    print(f"{'time of a step':35}" + "".join(f"{run['seconds'] * 1e3:11.0f} ms" for run in runs))
    if all(run["peak"] for run in runs):
        print(f"{'peak memory':35}" + "".join(f"{run['peak'] / 2**20:10.0f} MiB" for run in runs))


if __name__ == "__main__":
    main()
