"""The errors of the loss and its gradient in units in the last place, here and elsewhere.

    python -m benchmarks.accuracy            prints the tables
    python -m benchmarks.accuracy --write    puts them into docs/numerics.md as well

Every number is compared with 50-digit arithmetic on the same, exact inputs (truth/). The tables
show the largest error over a family of examples: of the loss, of the gradient's entry of the true
class, and of its other entries. Needs the packages of the group "test".
"""

from __future__ import annotations

import argparse
import datetime
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy
import torch
import truth
from numpy.typing import NDArray

import softmaxloss
from softmaxloss import kernels

from . import machine, page

Array = NDArray[Any]
Library = Callable[[Array, int], tuple[Any, Array]]
Family = Callable[[np.random.Generator, Any], tuple[Array, int]]

GOALS = {"float32": 2.0, "float64": 4.0}
ENTRIES = 2000  # of a long row's gradient are compared
MARKERS = ("<!-- accuracy: begin -->", "<!-- accuracy: end -->")
NUMERICS = Path(__file__).parent.parent / "docs" / "numerics.md"


# --- the examples -------------------------------------------------------------------------------


def few_classes(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    classes = int(rng.integers(2, 11))
    return rng.normal(0, 3, classes), int(rng.integers(classes))


def uniform(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    return rng.normal(0, 0.5, 1000), int(rng.integers(1000))


def equal(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    classes = int(rng.choice([2, 3, 127, 128, 129, 1000, 4097]))
    return np.full(classes, rng.normal(0, 20)), int(rng.integers(classes))


def sure_and_right(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    z = rng.normal(0, 2, 300)
    z[7] = z.max() + rng.uniform(10, 60)
    return z, 7


def sure_and_wrong(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    z, _ = sure_and_right(rng, dtype)
    return z, 100


def nearly_tied(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    z = rng.normal(0, 2, 50)
    z[3] = z.max() + 5
    z[4] = z[3] * (1 - 4 * np.finfo(dtype).eps)
    return z, int(rng.choice([3, 4]))


def offset(size: float, grid: float) -> Family:
    """A common offset; the differences of the logits are multiples of `grid`, so they are exact."""

    def family(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
        z = np.round(rng.normal(0, 4 + grid, 200) / grid) * grid
        return z + rng.choice([-size, size]), int(rng.integers(200))

    return family


def spread(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    return rng.uniform(-80, 80, 500), int(rng.integers(500))


def masked(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    z = rng.normal(0, 5, 400)
    z[rng.random(400) < 0.7] = -np.inf
    z[11] = rng.normal(0, 5)
    return z, 11


def subnormal(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    """Losses and gradient entries below the least normal number."""
    lowest = np.log(np.finfo(dtype).smallest_subnormal)
    gap = rng.uniform(lowest, np.log(np.finfo(dtype).tiny), 5)
    return np.concatenate([[50.0], 50.0 + gap]), int(rng.choice([0, 0, 2]))


def vocabulary(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    """128k classes: a sum in one accumulator drifts. Few distinct values, for the reference."""
    z = np.round(rng.normal(0, 1.5, 1 << 17) * 16) / 16 + rng.normal()
    return z, int(rng.integers(z.size))


def sure_of_a_word(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    z, y = vocabulary(rng, dtype)
    z[y] += 30
    return z, y


def tied_in_a_vocabulary(rng: np.random.Generator, dtype: Any) -> tuple[Array, int]:
    """Two logits nearly tied above many equal ones, whose sum is long."""
    z = np.full(131072, rng.uniform(-1, 0))
    z[:2] = 9.0, 9.0 - rng.uniform(0, 0.01)
    return z, 1


FAMILIES: dict[str, Family] = {
    "2 to 10 classes": few_classes,
    "near uniform, C = 1000": uniform,
    "all equal, C ≤ 4097": equal,
    "sure and right: one logit 10–60 above": sure_and_right,
    "sure and wrong": sure_and_wrong,
    "two logits nearly tied": nearly_tied,
    "differences to ±80": spread,
    "offset ±1e4": offset(1e4, 2**-7),
    "offset ±1e8": offset(1e8, 8.0),
    "70 % masked by −inf": masked,
    "subnormal losses and entries": subnormal,
    "C = 131072": vocabulary,
    "C = 131072, sure and right": sure_of_a_word,
    "C = 131072, two nearly tied": tied_in_a_vocabulary,
}
LONG = {name for name in FAMILIES if "131072" in name}


def examples(family: str, dtype: Any, count: int, seed: int = 20) -> Iterator[tuple[Array, int]]:
    rng = np.random.default_rng([seed, list(FAMILIES).index(family)])
    for _ in range(min(count, 2) if family in LONG else count):
        z, y = FAMILIES[family](rng, dtype)
        yield z.astype(dtype), y


# --- the libraries ------------------------------------------------------------------------------


def ours(z: Array, y: int) -> tuple[Any, Array]:
    return softmaxloss.cross_entropy_with_grad(z, y)


def with_numpy(z: Array, y: int) -> tuple[Any, Array]:
    """The usual code: shifted by the maximum, so that nothing overflows."""
    m = z.max()
    e = np.exp(z - m)
    total = e.sum()
    grad = e / total
    grad[y] -= 1
    return m + np.log(total) - z[y], grad


def with_scipy(z: Array, y: int) -> tuple[Any, Array]:
    grad = scipy.special.softmax(z)
    grad[y] -= 1
    return -scipy.special.log_softmax(z)[y], grad


def with_torch(z: Array, y: int) -> tuple[Any, Array]:
    logits = torch.tensor(z, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(y))
    loss.backward()
    assert logits.grad is not None
    return loss.item(), logits.grad.numpy()


LIBRARIES: dict[str, Library] = {
    "softmaxloss": ours,
    "NumPy": with_numpy,
    "SciPy": with_scipy,
    "PyTorch": with_torch,
}


# --- the measurement ----------------------------------------------------------------------------


class Errors(NamedTuple):
    """The largest errors, in units in the last place."""

    loss: float
    true_entry: float
    other_entries: float


def errors(libraries: dict[str, Library], family: str, dtype: Any, count: int) -> dict[str, Errors]:
    """The largest errors of each library over `count` examples of a family."""
    worst = dict.fromkeys(libraries, Errors(0.0, 0.0, 0.0))
    for z, y in examples(family, dtype, count):
        loss, grad, _ = truth.example(z, truth.coefficients(y, z.size))
        others = np.delete(np.arange(z.size), y)
        if others.size > ENTRIES:
            others = np.concatenate([others[:: others.size // ENTRIES], [others[-1]]])
        wanted = np.array([grad[n] for n in others], object)
        for name, library in libraries.items():
            got_loss, got = library(z, y)
            found = Errors(
                largest_error(got_loss, loss, dtype),
                largest_error(got[y], grad[y], dtype),
                largest_error(got[others], wanted, dtype),
            )
            worst[name] = Errors(*np.maximum(worst[name], found))
    return worst


def largest_error(got: Any, want: Any, dtype: Any) -> float:
    """In units in the last place; inf where the error is as large as the number itself, unless the
    number was rounded to 0."""
    error = truth.ulps(got, want, dtype)
    lost = np.array(abs(np.subtract(got, want, dtype=object)) >= abs(want), bool) & (error > 1)
    return float(np.where(lost, np.inf, error).max())


def shown(ulps: float) -> str:
    if np.isinf(ulps):
        return "no digit"
    return f"{ulps:.2f}" if ulps < 10 else f"{ulps:.0f}" if ulps < 1e5 else f"{ulps:.0e}"


def table(dtype: str, count: int) -> str:
    """A Markdown table: a line for each family, loss / true entry / other entries."""
    lines = [
        f"| {dtype} | " + " | ".join(LIBRARIES) + " |",
        "|---|" + "---|" * len(LIBRARIES),
    ]
    with np.errstate(all="ignore"):
        for family in FAMILIES:
            worst = errors(LIBRARIES, family, dtype, count)
            cells = [" / ".join(shown(e) for e in worst[name]) for name in LIBRARIES]
            lines.append(f"| {family} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def measured_on() -> str:
    processor = machine.describe(threads=1)["processor"]
    return (
        f"Measured on {datetime.date.today().isoformat()}: {processor}, {platform.system()}, "
        f"level {kernels.level()}; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}, PyTorch {torch.__version__}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    parser.add_argument("--examples", type=int, default=100, help="of each family")
    arguments = parser.parse_args()
    count = arguments.examples
    report = "\n\n".join(
        [f"{measured_on()} {count} examples of each family (2 of those with 131072 classes)."]
        + [table(dtype, count) for dtype in GOALS]
    )
    print(report)
    if arguments.write:
        text = NUMERICS.read_text(encoding="utf-8")
        before, _, rest = text.partition(MARKERS[0])
        _, _, after = rest.partition(MARKERS[1])
        page.write(NUMERICS, f"{before}{MARKERS[0]}\n{report}\n{MARKERS[1]}{after}")


if __name__ == "__main__":
    main()
