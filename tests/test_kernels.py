"""What the CPU kernel promises beside right numbers: the same bits whatever computes them, memory
that is only what it was given, and good manners in a process with threads, forks and signals."""

from __future__ import annotations

import itertools
import math
import os
import platform
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import softmaxloss
from softmaxloss.kernels import DEVICES, cpu, kernel_for, reference

Array = NDArray[Any]

# Every length of the remainder loops, both sides of the blocks (64 and 128) and of what is short
# enough to be computed many rows at a time (48 and 96), and long rows.
CLASSES = [*range(1, 71), 95, 96, 97, 127, 128, 129, 130, 255, 256, 257, 1000, 4097]
ROWS = 37  # more than the 32 of a tile
CHUNK = 1 << 17  # a row is taken in chunks of so many classes
LONG = [10_001, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 333]
DTYPES = ["float32", "float64", "float16", ml_dtypes.bfloat16]


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.normal(0, 3, shape)


def peaked(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    z = rng.normal(0, 3, shape)
    z[np.arange(shape[0]), rng.integers(shape[1], size=shape[0])] += 40
    return z


def masked(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    z = rng.normal(0, 10, shape)
    z[rng.random(shape) < 0.6] = -np.inf
    return z  # some rows of few classes have nothing left: NaN


def tied(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.integers(-2, 2, shape).astype(float)


def far_away(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.choice([-1e8, 1e5, 7e4, 3e38], size=(shape[0], 1)) + rng.normal(0, 20, shape)


def subnormal(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Probabilities about the least numbers of float32 and of float64."""
    z = rng.choice([-90.0, -103.0, -710.0, -744.0], size=shape) + rng.normal(0, 2, shape)
    z[:, 0] = 0.0
    return z


def undefined(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    z = rng.normal(0, 3, shape)
    z[np.arange(shape[0]), rng.integers(shape[1], size=shape[0])] = rng.choice([np.nan, np.inf])
    return z


KINDS = [normal, peaked, masked, tied, far_away, subnormal, undefined]
TARGETS = ["index", "weighted", "smoothed", "soft", "soft, weighted and smoothed"]


def combinations() -> list[Any]:
    """Every (dtype, kind, target). Not slow: normal logits with each dtype and target, and each
    kind of logits in float32 and float64 with the simplest and with the richest target."""
    found = []
    for dtype, kind, target in itertools.product(DTYPES, KINDS, TARGETS):
        wide = dtype in ("float32", "float64") and target in (TARGETS[0], TARGETS[-1])
        marks = () if kind is normal or wide else pytest.mark.slow
        name = f"{np.dtype(dtype).name}-{kind.__name__}-{target}"
        found.append(pytest.param(dtype, kind, target, id=name, marks=marks))
    return found


def target_of(
    name: str, rng: np.random.Generator, shape: tuple[int, int], dtype: str
) -> tuple[Array, dict[str, Any]]:
    upstream = rng.normal(0, 2, shape[0])
    upstream[:4] = 1.0, 1e30, 1e-40, 0.0
    options: dict[str, Any] = {"reduction": "none", "grad_output": upstream}
    if "weighted" in name:
        options["weight"] = rng.uniform(0, 2, shape[1])
        options["weight"][0] = 0.0
    if "smoothed" in name:
        options["label_smoothing"] = 0.1
    if "soft" in name:
        q = rng.dirichlet(np.ones(shape[1]), shape[0])
        q = q.astype("float64" if dtype == "float64" else "float32")
        return q, {**options, "multi_label": "sum"}
    y = rng.integers(shape[1], size=shape[0])
    y[-1] = -100
    return y, options


def bits(*arrays: Any) -> list[bytes]:
    return [np.asarray(array).tobytes() for array in arrays]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    level, threads = cpu.level(), cpu.get_num_threads()
    yield
    cpu.use_level(level)
    cpu.set_num_threads(threads)


# --- the same bits ----------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "kind", "target"), combinations())
def test_same_bits_on_every_level(dtype: str, kind: Callable[..., Array], target: str) -> None:
    rng = np.random.default_rng(0)
    for classes in [*CLASSES, *LONG]:
        with np.errstate(over="ignore"):
            z = kind(rng, (ROWS if classes < 4000 else 4, classes)).astype(dtype)
        y, options = target_of(target, rng, z.shape, dtype)
        results = []
        for level in cpu.levels():
            cpu.use_level(level)
            results.append(bits(*softmaxloss.cross_entropy_with_grad(z, y, **options)))
            if y.ndim == 1:
                results[-1] += bits(*softmaxloss.score(z, y))
        assert all(result == results[0] for result in results), f"C = {classes}"


def large_batch(dtype: str, classes: int, target: str) -> tuple[Array, Array, dict[str, Any]]:
    """A batch that is worth several threads."""
    rng = np.random.default_rng(1)
    z = rng.normal(0, 5, ((1 << 20) // classes + 3, classes)).astype(dtype)
    return (z, *target_of(target, rng, z.shape, dtype))


@pytest.mark.parametrize("target", ["index", "soft, weighted and smoothed"])
@pytest.mark.parametrize("classes", [3, 1000, 500_000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_number_of_threads(dtype: str, classes: int, target: str) -> None:
    z, y, options = large_batch(dtype, classes, target)
    results = []
    for threads in (1, 2, 3, 8):
        cpu.set_num_threads(threads)
        results.append(bits(*softmaxloss.cross_entropy_with_grad(z, y, **options)))
        if y.ndim == 1:
            results[-1] += bits(*softmaxloss.score(z, y))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_in_any_batch(dtype: str, kind: Callable[..., Array], target: str) -> None:
    """A row alone, in a batch, in another order: what holds for one row holds for every batch."""
    rng = np.random.default_rng(2)
    for classes in CLASSES if "soft" not in target else (5, 129):
        with np.errstate(over="ignore"):
            z = kind(rng, (ROWS, classes)).astype(dtype)
        y, options = target_of(target, rng, z.shape, dtype)
        upstream = options.pop("grad_output")

        def compute(rows: Any, z=z, y=y, upstream=upstream, options=options) -> list[bytes]:
            return bits(
                *softmaxloss.cross_entropy_with_grad(
                    z[rows], y[rows], grad_output=upstream[rows], **options
                )
            )

        whole = compute(slice(None))
        splits: list[list[Any]] = [[slice(0, 1), slice(1, ROWS)], [slice(0, 33), slice(33, ROWS)]]
        splits.append([*range(ROWS)] if classes < 10 or classes > 60 else [0, slice(1, ROWS)])
        for split in splits:
            parts = [compute(rows) for rows in split]
            assert [b"".join(part) for part in zip(*parts, strict=True)] == whole, f"C = {classes}"
        order = rng.permutation(ROWS)
        loss, grad = compute(order)
        for got, want in zip((loss, grad), whole, strict=True):
            size = len(want) // ROWS
            assert got == b"".join(want[i * size :][:size] for i in order)


@pytest.mark.parametrize("level", cpu.levels())
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_in_place_and_with_any_row_stride(dtype: str, target: str, level: str) -> None:
    cpu.use_level(level)
    rng = np.random.default_rng(3)
    for classes in (1, 2, 31, 64, 127, 300, 33_000):
        z = rng.normal(0, 5, (ROWS, classes)).astype(dtype)
        y, options = target_of(target, rng, z.shape, dtype)
        loss, grad = softmaxloss.cross_entropy_with_grad(z, y, **options)
        for view in (z.copy(), np.pad(z, [(1, 1), (2, 3)])[1:-1, 2:-3], z[::-1].copy()[::-1]):
            around = view.base.copy() if view.base is not None else None
            in_place, result = softmaxloss.cross_entropy_with_grad(view, y, **options, out=view)
            assert result is view
            assert bits(in_place, view) == bits(loss, grad)
            if around is not None and around.shape != view.shape:
                inside = np.pad(np.ones(view.shape, bool), [(1, 1), (2, 3)])
                assert np.all(view.base[~inside] == around[~inside]), "wrote outside its rows"


@pytest.mark.parametrize("level", cpu.levels())
@pytest.mark.parametrize("classes", [10, 100, 1000, 1013, 5003, CHUNK + 5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_where_a_gradient_goes_past_the_caches(
    dtype: Any, classes: int, level: str
) -> None:
    """One of more than 16 MiB does, in whole lines of 64 bytes: here at several distances from such
    a line, with and without gaps between the rows, some rows left to other code."""
    cpu.use_level(level)
    cpu.set_num_threads(2)
    rng = np.random.default_rng(3)
    rows = (17 << 20) // (classes * np.dtype(dtype).itemsize) + 1
    some = rng.normal(0, 3, (70, classes)).astype(dtype)
    some[3, 1] = np.nan
    y = rng.integers(classes, size=70)
    y[[5, 40]] = -100
    want = softmaxloss.cross_entropy_with_grad(some, y, reduction="none")[1].view(np.uint8)
    z, labels = some[np.arange(rows) % 70], y[np.arange(rows) % 70]
    for lead, gap in [(0, 0), (1, 0), (5, 3)]:
        memory = np.full(lead + rows * (classes + gap), 7, z.dtype)
        out = memory[lead:].reshape(rows, classes + gap)[:, :classes]
        softmaxloss.cross_entropy_with_grad(z, labels, reduction="none", out=out)
        for first in range(0, rows, 70):
            part = np.ascontiguousarray(out[first : first + 70]).view(np.uint8)
            assert np.array_equal(part, want[: len(part)]), (first, lead, gap)
        assert (memory[:lead] == 7).all()
        assert (memory[lead:].reshape(rows, classes + gap)[:, classes:] == 7).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("level", cpu.levels())
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_without_a_softmax_is_seen_at_every_place(dtype: str, level: str, bad: float) -> None:
    """Blocks, groups and what is left of a row each have a loop of their own: row i is bad at i."""
    cpu.use_level(level)
    for classes in (1, 2, 31, 40, 97, 131, 300):
        z = np.zeros((classes, classes), dtype)
        np.fill_diagonal(z, bad)
        y = np.full(classes, classes // 2)
        for target in (y, np.full(z.shape, 1 / classes)):
            loss, grad = softmaxloss.cross_entropy_with_grad(z, target, reduction="none")
            assert np.isnan(loss).all()
            assert np.isnan(grad).all()
        assert np.isnan(softmaxloss.score(z, y).logsumexp).all()
        assert not softmaxloss.score(z, y).rank.any()


@pytest.mark.parametrize("level", cpu.levels())
def test_reads_nothing_beyond_its_rows(level: str) -> None:
    """Rows between NaNs: what is read beside a row shows."""
    cpu.use_level(level)
    rng = np.random.default_rng(4)
    for dtype in DTYPES:
        for classes in (1, 2, 15, 16, 17, 31, 33, 63, 65, 127, 129):
            z = rng.normal(0, 5, (ROWS, classes)).astype(dtype)
            padded = np.full((ROWS + 2, classes + 260), np.nan, dtype)
            padded[1:-1, 130:-130] = z
            y = np.arange(ROWS) % classes
            for target, smoothing in ((y, 0.0), (y, 0.1), (np.eye(classes)[y], 0.1)):
                got, want = (
                    softmaxloss.cross_entropy_with_grad(logits, target, label_smoothing=smoothing)
                    for logits in (padded[1:-1, 130:-130], z)
                )
                assert bits(*got) == bits(*want)


# --- what a kernel is given -------------------------------------------------------------------


def test_every_device_is_a_kernel() -> None:
    for device in DEVICES:
        for dtype in ("float32", "float64"):
            kernel, storage = kernel_for(device, np.dtype(dtype), np.dtype(dtype))
            assert storage == dtype
            assert callable(kernel.cross_entropy)
            assert callable(kernel.score)


def test_what_a_kernel_does_not_read_is_converted_or_left_to_the_formula(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    f4, f8, i8 = np.dtype("float32"), np.dtype("float64"), np.dtype("int64")
    assert kernel_for("cpu", i8, f8) == (cpu, f8)
    assert kernel_for("cpu", f4.newbyteorder(), f4) == (cpu, f4)
    blind = types.ModuleType("blind")
    blind.supports = lambda dtype: False  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "blind", blind)
    monkeypatch.setitem(DEVICES, "none", "blind")
    assert kernel_for("none", i8, f8) == (reference, f8)


def kernel_arguments() -> dict[str, Any]:
    return {
        "logits": np.zeros((3, 4), np.float32),
        "target": np.zeros(3, np.int64),
        "weight": None,
        "label_smoothing": 0.0,
        "ignore_index": -100,
        "factor": 1.0,
        "loss": np.empty(3),
        "grad": np.empty((3, 4), np.float32),
    }


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("logits", np.zeros((4, 3), np.float32).T),
        ("logits", np.zeros((3, 4), np.int32)),
        ("target", np.zeros(2, np.int64)),
        ("target", np.zeros((3, 4), np.float16)),
        ("target", np.zeros(6, np.int64)[::2]),
        ("weight", np.ones(3)),
        ("weight", np.ones(4, np.float32)),
        ("factor", np.ones(2)),
        ("loss", np.empty(2, np.float32)),
        ("loss", np.empty(3, np.float16)),
        ("grad", np.empty((3, 3), np.float32)),
        ("grad", np.empty((3, 4), np.float64)),
        ("grad", np.empty((4, 3), np.float32).T),
    ],
)
def test_no_call_reaches_beyond_its_arrays(name: str, bad: Array) -> None:
    """The last line of defence, below the checks of loss.py: an error and no access."""
    cpu.cross_entropy(**kernel_arguments())
    with pytest.raises(TypeError):
        cpu.cross_entropy(**{**kernel_arguments(), name: bad})


@pytest.mark.parametrize("classes", [5, 200, 3000])
@pytest.mark.parametrize("bad", [10**9, -(10**9), -1])
def test_a_label_outside_the_classes_reads_nothing_there(classes: int, bad: int) -> None:
    """They come checked, but another thread may change them before the kernel reads them."""
    z = np.random.default_rng(0).normal(size=(40, classes))
    y = np.zeros(40, np.int64)
    want = np.empty(40)
    cpu.cross_entropy(z, y, None, 0.0, -100, 1.0, want, None)
    y[[3, 39]] = bad
    loss, grad = np.empty(40), np.empty_like(z)
    cpu.cross_entropy(z, y, None, 0.0, -100, 1.0, loss, grad)
    seen = y != bad
    assert np.array_equal(loss[seen], want[seen])
    assert np.isnan(loss[~seen]).all()
    assert np.isnan(grad[~seen]).all()
    assert np.isfinite(grad[seen]).all()
    scores = [np.empty(40, t) for t in (float, float, np.int64, np.int64, float, float)]
    cpu.score(z, y, -100, *scores)


def test_a_read_only_gradient_is_refused() -> None:
    arguments = kernel_arguments()
    arguments["grad"].setflags(write=False)
    with pytest.raises(TypeError):
        cpu.cross_entropy(**arguments)


# --- levels and threads by word ---------------------------------------------------------------


def test_an_unknown_level() -> None:
    with pytest.raises(ValueError, match=r"^no instruction-set level 'sse9' on this processor; it"):
        cpu.use_level("sse9")


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2", None])
def test_a_wrong_number_of_threads(threads: Any) -> None:
    with pytest.raises(ValueError, match=r"^the number of threads must be a positive integer, got"):
        softmaxloss.set_num_threads(threads)


def python(
    code: str, *arguments: str, timeout: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.parametrize("level", cpu.levels())
def test_a_level_by_environment(level: str) -> None:
    code = "from softmaxloss.kernels import cpu; print(cpu.level())"
    assert python(code, SOFTMAXLOSS_CPU=level).stdout.split() == [level]


def test_an_unknown_level_by_environment() -> None:
    """At the first call, so that a command line can report it in one line."""
    refused = f"no instruction-set level 'sse9' on this processor; it has {', '.join(cpu.levels())}"
    done = python("import softmaxloss as s; s.cross_entropy([0.0], 0)", SOFTMAXLOSS_CPU="sse9")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"ValueError: {refused}"

    run = "import sys; from softmaxloss.cli import main; sys.exit(main(sys.argv[1:]))"
    done = python(run, "explain", "1", "2", "--label", "1", SOFTMAXLOSS_CPU="sse9")
    assert (done.returncode, done.stderr) == (2, f"softmaxloss: error: {refused}\n")


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"SOFTMAXLOSS_NUM_THREADS": "3"}, 3),
        ({"SOFTMAXLOSS_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"SOFTMAXLOSS_NUM_THREADS": "", "OMP_NUM_THREADS": "5"}, 5),
        ({"SOFTMAXLOSS_NUM_THREADS": "", "OMP_NUM_THREADS": "4,2"}, 4),
    ],
)
def test_threads_by_environment(environment: dict[str, str], threads: int) -> None:
    code = "import softmaxloss; print(softmaxloss.get_num_threads())"
    assert python(code, **environment).stdout.split() == [str(threads)]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux")
def test_threads_by_default_are_the_processors_allowed() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "import softmaxloss; print(softmaxloss.get_num_threads())"
    )
    done = python(code, SOFTMAXLOSS_NUM_THREADS="", OMP_NUM_THREADS="")
    assert done.stdout.split() == ["1"]


# --- in a process with threads, forks and signals ---------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_can_use_it() -> None:
    """As data loaders do: threads ran in the parent, the child is forked, and computes."""
    code = """
import multiprocessing, warnings
import numpy as np, softmaxloss
warnings.simplefilter("ignore", DeprecationWarning)  # fork in a process that had threads
softmaxloss.set_num_threads(4)
z = np.random.default_rng(0).normal(size=(4000, 1000))
y = np.arange(4000) % 1000

def loss(_):
    return float(softmaxloss.cross_entropy(z, y)).hex()

want = loss(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print([want] * 4 == pool.map(loss, range(4)), want == loss(0))
"""
    assert python(code).stdout.split() == ["True", "True"]


def test_many_python_threads_at_once() -> None:
    cpu.set_num_threads(2)
    batches = [large_batch("float32", 50 + i, "index") for i in range(12)]

    def compute(batch: tuple[Array, Array, dict[str, Any]]) -> list[bytes]:
        z, y, options = batch
        return bits(*softmaxloss.cross_entropy_with_grad(z, y, **options))

    want = [compute(batch) for batch in batches]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(3):
            assert list(pool.map(compute, batches)) == want


def endless(rows: int) -> tuple[Array, Array]:
    """Many rows in the memory of one: a call as long as wanted."""
    return np.broadcast_to(np.zeros(1 << 15, np.float32), (rows, 1 << 15)), np.zeros(rows, np.uint8)


def test_other_python_threads_run_meanwhile() -> None:
    """A call of some tenths of a second: with the lock held, no other thread would tick in it."""
    cpu.set_num_threads(1)
    logits, labels = endless(1 << 14)
    running, ticks = threading.Event(), 0

    def compute() -> None:
        running.set()
        softmaxloss.cross_entropy(logits, labels)
        running.clear()

    worker = threading.Thread(target=compute)
    worker.start()
    running.wait()
    while running.is_set():
        time.sleep(0.001)
        ticks += running.is_set()
    worker.join()
    assert ticks > 10


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(
    "call",
    [
        "cross_entropy(z, y)",
        "cross_entropy_with_grad(z[:1 << 13], y[:1 << 13], out=out, label_smoothing=0.1)",
        "score(z, y)",
    ],
)
def test_ctrl_c_ends_a_call(call: str) -> None:
    """The call would take minutes; the wait for its end is 10 s."""
    code = f"""
import numpy as np, softmaxloss
from softmaxloss import cross_entropy, cross_entropy_with_grad, score
rows = 1 << 23
z = np.broadcast_to(np.zeros(1 << 15, np.float32), (rows, 1 << 15))
y = np.zeros(rows, np.uint8)
out = np.empty((1 << 13, 1 << 15), np.float32)
print("ready", flush=True)
try:
    while True:
        {call}
        if "grad" not in {call!r}: raise SystemExit("it came to its end")
except KeyboardInterrupt:
    print("interrupted", softmaxloss.cross_entropy([0.0], 0))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(0.3)
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=10)
        finally:
            child.kill()
    assert out == "interrupted 0.0\n"


CALLS = """
import hashlib
import numpy as np, softmaxloss
for dtype in ("float32", "float64"):
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(size=(50, 300)) * 20, np.full((50, 300), -700.0)])
    z[50:, 0] = 37.0
    z[80:, 1:] = -60.0
    z = z.astype(dtype)
    y = np.arange(100) % 50
    y[50:] = 0
    for options in ({}, {"label_smoothing": 0.1}):
        before()
        results = softmaxloss.cross_entropy_with_grad(z, y, reduction="none", **options)
        results += softmaxloss.score(z, y)
        results += (softmaxloss.cross_entropy(z[80:], y[80:], reduction="none"),)
        after()
        print([hashlib.md5(np.asarray(r).tobytes()).hexdigest()[:8] for r in results])
"""
PLAIN = "before = after = lambda: None\n"


def test_flushing_subnormals_elsewhere_changes_nothing() -> None:
    """torch.set_flush_denormal sets the processor's mode for the whole thread."""
    pytest.importorskip("torch")
    flush = """
import torch
def before(): assert torch.set_flush_denormal(True)
def after(): torch.set_flush_denormal(False)
"""
    want = python(PLAIN + CALLS)
    got = python(flush + CALLS)
    assert got.returncode == 0, got.stderr
    assert want.stdout.count("\n") == 4
    assert got.stdout == want.stdout


def test_one_number_that_is_subnormal() -> None:
    """Also where it is rounded to float32 after the kernel's own time."""
    torch = pytest.importorskip("torch")
    z = np.array([[0.0, 100.0], [0.0, 101.0]], np.float32)
    want = [softmaxloss.cross_entropy(z[0], 1), softmaxloss.cross_entropy(z, [1, 1])]
    assert float(want[0]) == pytest.approx(math.exp(-100), rel=0.02)  # in units of 2^-149
    assert torch.set_flush_denormal(True)
    try:
        got = [softmaxloss.cross_entropy(z[0], 1), softmaxloss.cross_entropy(z, [1, 1])]
    finally:
        torch.set_flush_denormal(False)
    assert [x.tobytes() for x in got] == [x.tobytes() for x in want]


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="its number is glibc's"
)
def test_another_rounding_mode_changes_nothing() -> None:
    """And the mode is as it was, after the call."""
    upward = """
import ctypes
libm = ctypes.CDLL("libm.so.6")
def before(): libm.fesetround(0x800)
def after():
    assert libm.fegetround() == 0x800
    libm.fesetround(0)
"""
    want = python(PLAIN + CALLS)
    got = python(upward + CALLS)
    assert got.returncode == 0, got.stderr
    assert got.stdout == want.stdout


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("row", ["normal", "offset", "first chunk masked", "one far above", "nan"])
def test_threads_that_share_a_row_give_the_same_bits(dtype: str, row: str) -> None:
    """Rows beyond 2^19 classes are shared; the last chunk is not full, nor a multiple of lanes."""
    classes = 2**19 + 1003
    z = np.random.default_rng(0).normal(size=(1, classes)) * 5
    if row == "offset":
        z += 5e4 if dtype == "float16" else 1e6
    elif row == "first chunk masked":
        z[0, :CHUNK] = -np.inf
    elif row == "one far above":
        z[0, CHUNK + 70_000] = 6e4 if dtype == "float16" else 2e5
    elif row == "nan":
        z[0, -1] = np.nan
    z = z.astype(dtype)
    before = softmaxloss.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            softmaxloss.set_num_threads(threads)
            arrays = [*softmaxloss.cross_entropy_with_grad(z, [5]), *softmaxloss.score(z, [5])]
            results.append([np.asarray(a).tobytes() for a in arrays])
    finally:
        softmaxloss.set_num_threads(before)
    assert results[0] == results[1] == results[2]
