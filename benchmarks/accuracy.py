"""The errors of the loss and its gradient in units in the last place, here and elsewhere.

    python -m benchmarks.accuracy            prints the tables
    python -m benchmarks.accuracy --write    puts them into docs/numerics.md as well

Every number is compared with 50-digit arithmetic on the same, exact inputs (truth/). The tables
show the largest error over a family of examples: of the loss, of the gradient's entry of the true
class, and of its other entries. With more than one coefficient, they show it of the loss and of all
entries. Needs the packages of the group "test".
"""

from __future__ import annotations

import argparse
import datetime
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import scipy
import torch
import truth
from numpy.typing import NDArray

import softmaxloss
from softmaxloss import kernels

from . import machine, page
from .accuracy_examples import FAMILIES, LONG, MIXED, TARGETS, examples, mixed_examples

Array = NDArray[Any]
Library = Callable[..., tuple[Any, Array]]

GOALS = {"float32": 2.0, "float64": 4.0}
HALF_TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
HALF_GOAL = 0.51  # of an entry; the loss is a float32
ENTRIES = 2000  # of a long row's gradient are compared
MARKERS = ("<!-- accuracy: begin -->", "<!-- accuracy: end -->")
OF_OPTIONS = """\
With label smoothing, weights and soft targets, each cell is the largest error of the loss / of the
gradient's entries. An entry is (Σc)·a_n − c_n, and is close to 0 where its two parts are nearly
equal. So its error is in ulp of their sum, (Σc)·a_n + c_n. With one class that counts, as for a
class index with a sample weight, it is in ulp of the entry itself."""
OF_HALF_TYPES = """\
With float16 and bfloat16 logits, the largest of all families but C = 131072. The loss is a float32
here; PyTorch's has the logits' type, and its error is in ulp of that type."""
NUMERICS = Path(__file__).parent.parent / "docs" / "numerics.md"


# --- the libraries ------------------------------------------------------------------------------


def ours(z: Array, target: Any, **options: Any) -> tuple[Any, Array]:
    return softmaxloss.cross_entropy_with_grad(z, target, **options)


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


def with_torch(
    z: Array, target: Any, *, weight: Any = None, sample_weight: Any = 1.0, **options: Any
) -> tuple[Any, Array]:
    dtype = getattr(torch, z.dtype.name)
    wide = np.float64 if z.dtype == np.float64 else np.float32  # torch reads no bfloat16 of NumPy
    logits = torch.tensor(z.astype(wide), dtype=dtype, requires_grad=True)
    if np.ndim(target) == 0:
        target = torch.tensor(target)
    else:
        target = torch.tensor(target.astype(wide), dtype=dtype)
    if weight is not None:
        options["weight"] = torch.tensor(weight, dtype=dtype)
    loss = torch.nn.functional.cross_entropy(logits, target, **options) * sample_weight
    loss.backward()
    assert logits.grad is not None
    return loss.item(), logits.grad.to(getattr(torch, np.dtype(wide).name)).numpy()


LIBRARIES: dict[str, Library] = {
    "softmaxloss": ours,
    "NumPy": with_numpy,
    "SciPy": with_scipy,
    "PyTorch": with_torch,
}
WITH_OPTIONS = {name: LIBRARIES[name] for name in ("softmaxloss", "PyTorch")}


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


class MixedErrors(NamedTuple):
    """The largest errors, of an entry in ulp of (Σc)·a_n + c_n, the sum of its two parts."""

    loss: float
    entries: float


def mixed_errors(
    libraries: dict[str, Library], target: str, family: str, dtype: Any, count: int
) -> dict[str, MixedErrors]:
    """The largest errors of each library over `count` examples of a family with a target."""
    worst = dict.fromkeys(libraries, MixedErrors(0.0, 0.0))
    for z, of, options in mixed_examples(target, family, dtype, count):
        c = truth.coefficients(
            of,
            z.size,
            options.get("weight"),
            options.get("label_smoothing", 0.0),
            options.get("sample_weight", 1.0),
        )
        loss, grad, size = truth.example(z, c)
        some = np.unique(np.linspace(0, z.size - 1, min(z.size, ENTRIES)).astype(int))
        wanted = np.array([grad[n] for n in some], object)
        parts = np.array([size[n] for n in some], object)
        one = sum(c_n != 0 for c_n in c) == 1  # then an entry is no difference
        computed = dtype if dtype in GOALS else "float32"
        for name, library in libraries.items():
            got_loss, got = library(z, of, **options)
            got = got[some].astype(float)
            found = MixedErrors(
                largest_error(got_loss, loss, computed if name == "softmaxloss" else dtype),
                largest_error(got, wanted, dtype)
                if one
                else float(truth.ulps(got, wanted, dtype, of=parts).max()),
            )
            worst[name] = MixedErrors(*np.maximum(worst[name], found))
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
            lines.append(line(family, errors(LIBRARIES, family, dtype, count)))
    return "\n".join(lines)


def mixed_table(dtype: str, count: int) -> str:
    """The same for each target, with label smoothing, weights and soft targets: loss / entries."""
    lines = [f"| {dtype} | " + " | ".join(WITH_OPTIONS) + " |", "|---|" + "---|" * 2]
    for target in TARGETS:
        for family in MIXED:
            worst = mixed_errors(WITH_OPTIONS, target, family, dtype, count)
            lines.append(line(f"{target}; {family}", worst))
    return "\n".join(lines)


def half_table(count: int) -> str:
    """The same for float16 and bfloat16, the largest of all families that are not long."""
    lines = ["| float16, bfloat16 | " + " | ".join(WITH_OPTIONS) + " |", "|---|" + "---|" * 2]
    for dtype in HALF_TYPES.values():
        for target in TARGETS:
            worst = dict.fromkeys(WITH_OPTIONS, MixedErrors(0.0, 0.0))
            for family in (name for name in MIXED if name not in LONG):
                found = mixed_errors(WITH_OPTIONS, target, family, dtype, count)
                for name in worst:
                    worst[name] = MixedErrors(*np.maximum(worst[name], found[name]))
            lines.append(line(f"{np.dtype(dtype).name}; {target}", worst))
    return "\n".join(lines)


def line(name: str, errors: dict[str, Any]) -> str:
    cells = [" / ".join(shown(e) for e in found) for found in errors.values()]
    return f"| {name} | " + " | ".join(cells) + " |"


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
        + [OF_OPTIONS, *[mixed_table(dtype, count) for dtype in GOALS]]
        + [OF_HALF_TYPES, half_table(count // 4)]
    )
    print(report)
    if arguments.write:
        text = NUMERICS.read_text(encoding="utf-8")
        before, _, rest = text.partition(MARKERS[0])
        _, _, after = rest.partition(MARKERS[1])
        page.write(NUMERICS, f"{before}{MARKERS[0]}\n{report}\n{MARKERS[1]}{after}")


if __name__ == "__main__":
    main()
