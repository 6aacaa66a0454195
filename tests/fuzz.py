"""Random calls of the losses, compared with 50 digits: python -m tests.fuzz --minutes 10 --seed 1

Each call is made from its seed: dtype, shape, layout in memory, kind of target, options, upstream
gradient, where the gradient is written, instruction-set level, threads. It must give

- the results of `truth`, within the goals of docs/numerics.md; of a large call, for some rows;
- the same bits as with plain arrays, on the lowest level, on one thread;
- arguments that are as they were.

A finding, also one that ends the process, is printed with the command that repeats it. `make fuzz`
runs this; tests/sanitize makes random calls of the kernel alone, far more of them.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import truth
from numpy.typing import NDArray

import softmaxloss
from softmaxloss.kernels import cpu

Array = NDArray[Any]

DTYPES = ["float32", "float64", "float16", ml_dtypes.bfloat16]
LABEL_DTYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
GOALS = {"float32": 2.0, "float64": 4.0}
HALF_GOAL = 0.51
TWICE_ROUNDED = 3.0  # float64 probabilities beside float32 logits
FEW = 300  # numbers, of a call of which each row is compared


@dataclass
class Call:
    """The arguments of one call, and what it runs on."""

    logits: Array
    target: Array
    options: dict[str, Any]
    out: Array | None = None
    grad_output: Any = None
    level: str = "baseline"
    threads: int = 1
    places: list[str] = field(default_factory=list)  # how the arrays lie in memory

    def __str__(self) -> str:
        parts = {"logits": self.logits, "target": self.target, "out": self.out, **self.options}
        parts["grad_output"] = self.grad_output
        lines = [f"{name}: {_shown(value)}" for name, value in parts.items()]
        where = f"level {self.level}, {self.threads} threads, {', '.join(self.places)}"
        return "\n".join(["call:", *lines, where])


def _shown(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)
    return f"{value.dtype.str} {value.shape}, strides {value.strides}, {value.ravel()[:8]} …"


# --- random calls --------------------------------------------------------------------------------


def shape_of(rng: np.random.Generator) -> tuple[int, ...]:
    kind = rng.integers(40)
    if kind == 0:  # rows of more than a batch, and of more than a chunk
        return int(rng.integers(1, 4)), int(rng.choice([2048, 2100, 5000, 140_000]))
    if kind < 5:
        return int(rng.integers(30, 70)), int(rng.choice([3, 17, 63, 64, 127, 128, 300, 1000]))
    if kind < 7:
        return int(rng.integers(1, 4)), int(rng.integers(2, 200)), int(rng.integers(1, 70))
    if kind < 12:
        return (int(rng.integers(1, 60)),)
    if kind < 20:
        return tuple(int(n) for n in rng.integers(1, 7, rng.integers(3, 6)))
    return int(rng.integers(1, 9)), int(rng.integers(1, 40))


def logits_of(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    z = rng.normal(0, rng.choice([1e-3, 1, 1, 5, 40, 300]), shape)
    kind = rng.integers(10)
    if kind == 0:
        z = np.round(z)  # ties
    elif kind == 1:
        z[rng.random(shape) < 0.3] = -np.inf
    elif kind == 2:
        z += rng.choice([1e3, -1e4, 6e4])
    elif kind == 3:
        z[rng.random(shape) < 0.02] = rng.choice([np.nan, np.inf])
    elif kind == 4:
        z *= 1e-40
    with np.errstate(over="ignore"):
        return np.asarray(z.astype(dtype))


def target_of(rng: np.random.Generator, shape: tuple[int, ...], options: dict[str, Any]) -> Array:
    lead, classes = softmaxloss.logits.without_classes(shape)
    if rng.integers(3):
        dtype = np.dtype(rng.choice(LABEL_DTYPES))
        y = rng.integers(min(classes, np.iinfo(dtype).max), size=lead).astype(dtype)
        if rng.integers(2) and dtype.kind == "i":
            options["ignore_index"] = -100
            y = np.where(rng.random(lead) < 0.2, np.int8(-100), y).astype(dtype)
        elif rng.integers(2):
            options["ignore_index"] = int(rng.integers(classes))
        return np.asarray(y)
    rows = (*lead, classes)
    if rng.integers(2):
        q = np.zeros(rows, rng.choice(["u1", "i8", "f4", "f8"]))
        np.put_along_axis(q, rng.integers(classes, size=(*lead, 1)), 1, -1)
    else:
        q = rng.dirichlet(np.ones(classes), lead).reshape(rows)
        q[rng.random(rows) < 0.1] = 0
        options["multi_label"] = "sum"
        q = q.astype(rng.choice(["f2", "f4", "f8"]))
    return q if len(shape) < 2 else np.moveaxis(q, -1, 1)


def placed(rng: np.random.Generator, x: Array, kept: bool = False) -> tuple[Array, str]:
    """The same numbers in another place; where the array is written to, `kept` is False."""
    kinds = ["as it is", "Fortran order", "axes in another order", "every second", "reversed"]
    kinds += ["misaligned"]
    kinds += ["read-only", "byte-swapped"] if kept else []
    kind = str(rng.choice(kinds))
    y = np.array(x, order="C")
    if kind == "Fortran order":
        y = np.array(x, order="F")
    elif kind == "axes in another order" and x.ndim:
        order = rng.permutation(x.ndim)
        y = np.array(x.transpose(order), order="C").transpose(np.argsort(order))
    elif kind == "every second" and x.ndim:
        axis = int(rng.integers(x.ndim))
        wide = np.repeat(x, 2, axis)
        y = wide[(slice(None),) * axis + (slice(int(rng.integers(2)), None, 2),)]
    elif kind == "reversed" and x.ndim:
        axis = int(rng.integers(x.ndim))
        y = np.flip(np.array(np.flip(x, axis), order="C"), axis)
    elif kind == "misaligned":
        memory = np.frombuffer(bytearray(x.nbytes + 1), np.uint8)[1:]
        y = memory.view(x.dtype).reshape(x.shape)
        y[...] = x
    elif kind == "read-only":
        y.flags.writeable = False
    elif kind == "byte-swapped" and x.dtype.kind in "iuf":
        y = x.astype(x.dtype.newbyteorder())
    return y, kind


def call_of(seed: int) -> Call:
    rng = np.random.default_rng(seed)
    shape, dtype = shape_of(rng), DTYPES[rng.integers(4)]
    lead, classes = softmaxloss.logits.without_classes(shape)
    options: dict[str, Any] = {}
    logits, target = logits_of(rng, shape, dtype), target_of(rng, shape, options)
    if rng.integers(3) == 0:
        weight = rng.uniform(0, 2, classes)
        weight[rng.random(classes) < 0.2] = 0
        options["weight"] = weight.astype(rng.choice(["f4", "f8"]))
    if rng.integers(3) == 0:
        each = lead if rng.integers(2) or not lead else lead[:1]
        options["sample_weight"] = rng.uniform(0, 3, each) * (rng.random(each) > 0.2)
    if rng.integers(3) == 0:
        options["label_smoothing"] = float(rng.choice([0.01, 0.1, 1.0]))
    options["reduction"] = str(rng.choice(["mean", "sum", "none"]))
    if logits.size > FEW:
        options["reduction"] = "none"
    if rng.integers(5) == 0 and options["reduction"] == "mean":
        options["denominator"] = float(rng.uniform(0.5, 100))
    call = Call(logits, target, options)
    if rng.integers(2):
        call.grad_output = float(rng.choice([0.5, -3.0, 1e-30, 1e30, 0.0]))
        if options["reduction"] == "none" and rng.integers(2):
            call.grad_output = rng.normal(0, 2, lead)
    for name in ("weight", "sample_weight"):
        if name in options:
            options[name], place = placed(rng, options[name], kept=True)
            call.places.append(f"{name} {place}")
    call.target, place = placed(rng, target, kept=True)
    call.places.append(f"target {place}")
    out = rng.integers(5)
    call.logits, place = placed(rng, logits, kept=out > 1)
    call.places.append(f"logits {place}")
    if out == 0:
        call.out = call.logits
    elif out == 1 and shape[0] > 1:  # both in one memory, a row apart
        memory = np.empty((shape[0] + 1, *shape[1:]), dtype)
        memory[:-1] = logits
        call.logits, call.out = memory[:-1], memory[1:]
    elif out == 2:
        call.out, place = placed(rng, np.zeros(shape, dtype))
        call.places.append(f"out {place}")
    call.level, call.threads = str(rng.choice(cpu.levels())), int(rng.integers(1, 5))
    return call


# --- what is promised ----------------------------------------------------------------------------


def computed(call: Call) -> tuple[Any, Array]:
    return softmaxloss.cross_entropy_with_grad(
        call.logits, call.target, grad_output=call.grad_output, out=call.out, **call.options
    )


def plain(x: Any) -> Any:
    """A copy in C order and native byte order."""
    return np.array(x, x.dtype.newbyteorder("="), order="C") if isinstance(x, np.ndarray) else x


def same_bits(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    wide = [x.astype(np.float64) for x in (a, b)]
    equal = np.array_equal(*wide, equal_nan=True) and a.dtype == b.dtype
    signs = [np.signbit(x) & ~np.isnan(x) for x in wide]
    return bool(equal and np.array_equal(*signs))


def check(seed: int) -> None:
    """AssertionError where a promise is broken."""
    call = call_of(seed)
    original = Call(
        plain(call.logits),
        plain(call.target),
        {name: plain(value) for name, value in call.options.items()},
        grad_output=plain(call.grad_output),
    )
    cpu.use_level("baseline")
    softmaxloss.set_num_threads(1)
    want = computed(original)
    cpu.use_level(call.level)
    softmaxloss.set_num_threads(call.threads)
    kept = Call(plain(call.logits), plain(call.target), {})
    got = computed(call)
    assert same_bits(got[0], want[0]), f"the loss has the bits of a plain call\n{call}"
    assert same_bits(got[1], want[1]), f"the gradient has the bits of a plain call\n{call}"
    assert same_bits(plain(call.target), kept.target), f"the target is as it was\n{call}"
    if call.out is None or not np.may_share_memory(call.out, call.logits):
        assert same_bits(plain(call.logits), kept.logits), f"the logits are as they were\n{call}"
    rows = np.asarray(original.logits).size // max(1, _classes(original.logits))
    some = range(rows) if original.logits.size <= FEW else [0, rows // 2, rows - 1]
    if original.logits.size > 10_000:
        some = [rows - 1]
    if len(some) == rows:
        compare(original, want, str(call))
    else:
        for i in some:
            compare(*one_row(original, want, i), str(call))


def _classes(logits: Array) -> int:
    return logits.shape[1] if logits.ndim > 1 else logits.shape[0]


def one_row(call: Call, results: tuple[Any, Array], i: int) -> tuple[Call, tuple[Any, Array]]:
    """Row i of a call that is not reduced, as a call of one row."""
    lead = softmaxloss.logits.without_classes(call.logits.shape)[0]
    at = np.unravel_index(i, lead)
    logits, grad = (np.moveaxis(x, 1, -1)[at][None] for x in (call.logits, results[1]))
    by_index = call.target.shape == lead
    target = call.target[at] if by_index else np.moveaxis(call.target, 1, -1)[at]
    options = dict(call.options)
    if "sample_weight" in options:
        s = options["sample_weight"]
        options["sample_weight"] = s[at[: s.ndim]][None]
    upstream = call.grad_output
    if isinstance(upstream, np.ndarray):
        upstream = upstream[at][None]
    one = Call(logits, target[None], options, grad_output=upstream)
    return one, (np.asarray(results[0])[at][None], grad)


def compare(call: Call, results: tuple[Any, Array], shown: str) -> None:
    upstream = 1.0 if call.grad_output is None else call.grad_output
    exact = truth.cross_entropy(call.logits, call.target, grad_output=upstream, **call.options)
    loss, grad = results
    dtype = np.asarray(loss).dtype
    error = np.max(truth.ulps(loss, exact.loss, dtype), initial=0)
    assert error <= GOALS[dtype.name], f"the loss is {error:.2f} ulp off\n{shown}"
    several = call.target.shape == call.logits.shape or call.options.get("label_smoothing")
    errors = truth.ulps(grad, exact.grad, grad.dtype, of=exact.size if several else None)
    error = np.max(errors, initial=0)
    goal = HALF_GOAL if grad.dtype.itemsize == 2 else GOALS[dtype.name]
    if several and grad.dtype == np.float32 and call.target.dtype == np.float64:
        goal = TWICE_ROUNDED
    assert error <= goal, f"the gradient is {error:.2f} ulp off\n{shown}"


# --- the command ---------------------------------------------------------------------------------


def repeat(seed: Any) -> str:
    return f"to repeat: python -m tests.fuzz --only {seed}"


def make_calls(first: int, end: float) -> None:
    """Calls until a time, one at least; each seed is printed before its call."""
    for seed in itertools.count(first):
        print(seed, flush=True)
        check(seed)
        if time.time() >= end:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1, help="of the first call (1)")
    parser.add_argument("--only", type=int, help="make the call of this seed, and no other")
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)  # for the process below
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    if arguments.only is not None:
        check(arguments.only)
        print("no finding")
    elif arguments.until is not None:
        make_calls(arguments.seed, arguments.until)
    else:
        # In a process of its own, so that a crash has a message too.
        end = str(time.time() + 60 * arguments.minutes)
        command = [
            sys.executable,
            "-m",
            "tests.fuzz",
            "--seed",
            str(arguments.seed),
            "--until",
            end,
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            last = arguments.seed
            for line in process.stdout:
                last = int(line)
        if process.returncode:
            sys.exit(f"exit status {process.returncode}; {repeat(last)}")
        calls = last + 1 - arguments.seed
        print(f"{calls} calls from seed {arguments.seed} on {', '.join(cpu.levels())}: no finding")


if __name__ == "__main__":
    main()
