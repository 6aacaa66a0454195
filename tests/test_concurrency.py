"""Many callers at once, the limit of threads, and systems without more memory or threads.

Forks, Ctrl-C, and the same bits for any number of threads are in test_kernels.py.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest

import softmaxloss

# One after the other: they use several threads, or measure them.
pytestmark = pytest.mark.xdist_group("threads")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc or Linux's limits")


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_64_callers_at_once() -> None:
    """Each has its own logits; some calls are large enough for several threads."""
    rng = np.random.default_rng(0)
    sizes = [(40, 7), (3, 5000), (700, 1000), (1, 600_000)]
    inputs = []
    for i in range(64):
        rows, classes = sizes[i % 4]
        inputs.append((rng.normal(size=(rows, classes)), rng.integers(classes, size=rows)))

    def compute(i: int) -> list[bytes]:
        results = [*softmaxloss.cross_entropy_with_grad(*inputs[i]), *softmaxloss.score(*inputs[i])]
        return [np.asarray(result).tobytes() for result in results]

    before = softmaxloss.get_num_threads()
    try:
        softmaxloss.set_num_threads(1)
        want = [compute(i) for i in range(64)]
        softmaxloss.set_num_threads(3)
        with ThreadPoolExecutor(64) as pool:
            assert list(pool.map(compute, range(64))) == want
    finally:
        softmaxloss.set_num_threads(before)


# The largest number of threads during a call: those of the process, without those before the call
# and the one that counts. The caller is one of them.
COUNT = """
import os, threading, time, numpy as np, softmaxloss
z = np.broadcast_to(np.zeros(1 << 15, np.float32), (6000, 1 << 15))
y = np.zeros(6000, np.uint8)
before = len(os.listdir("/proc/self/task"))

def most():
    calls = []

    def compute():
        while not ended.is_set():
            calls.append(softmaxloss.cross_entropy(z, y))
            time.sleep(0.01)  # the system lists a thread for a moment after it has ended

    ended = threading.Event()
    caller = threading.Thread(target=compute)
    caller.start()
    seen = looks = 0
    while len(calls) < 2 or looks < 100:
        seen = max(seen, len(os.listdir("/proc/self/task")) - before)
        looks += 1
    ended.set()
    caller.join()
    return seen
"""


@linux
@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"SOFTMAXLOSS_NUM_THREADS": "3"}, 3),
        ({"SOFTMAXLOSS_NUM_THREADS": "1", "OMP_NUM_THREADS": "4"}, 1),
        ({"SOFTMAXLOSS_NUM_THREADS": "", "OMP_NUM_THREADS": "4"}, 4),
    ],
)
def test_no_more_threads_than_the_limit(environment: dict[str, str], threads: int) -> None:
    assert python(COUNT + "print(most())", **environment).split() == [str(threads)]


@linux
def test_a_limit_set_later_holds_for_the_next_call() -> None:
    code = COUNT + "for n in (1, 5, 2):\n    softmaxloss.set_num_threads(n)\n    print(most())"
    assert python(code).split() == ["1", "5", "2"]


@linux
def test_out_of_memory() -> None:
    """One MemoryError; the arguments are unchanged, and the next call works."""
    code = """
import resource, numpy as np, softmaxloss
z = np.zeros((4096, 16384), np.float32)
y = np.zeros(4096, np.int64)
softmaxloss.set_num_threads(1)
softmaxloss.cross_entropy_with_grad(z[:1], y[:1])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)  # the gradient needs 256 MB
try:
    softmaxloss.cross_entropy_with_grad(z, y)
except MemoryError as error:
    print("MemoryError", str(error).count("\\n"))
print(not z.any(), not y.any())
loss, grad = softmaxloss.cross_entropy_with_grad(z, y, out=z)
print(grad is z, float(loss))
"""
    lines = python(code).splitlines()
    assert lines[:2] == ["MemoryError 0", "True True"]
    name, loss = lines[2].split()
    assert name == "True"
    assert float(loss) == np.float32(math.log(16384))


@linux
@pytest.mark.parametrize("shape", [(2000, 1000), (1, 2_000_000)])
def test_without_more_threads_the_caller_does_the_work(shape: tuple[int, int]) -> None:
    """A new thread needs address space for its stack, of which none is left."""
    code = f"""
import resource, threading, numpy as np, softmaxloss
z = np.random.default_rng(0).normal(size={shape})
y = np.zeros({shape[0]}, np.int64)
out, want = np.zeros_like(z), np.zeros_like(z)
softmaxloss.set_num_threads(1)
loss, _ = softmaxloss.cross_entropy_with_grad(z, y, out=want)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20),) * 2)  # less than a stack of 8 MB
resource.setrlimit(resource.RLIMIT_STACK, (8 << 20,) * 2)
try:
    threading.Thread(target=print).start()
except RuntimeError as error:
    print("no thread")
softmaxloss.set_num_threads(4)
print(softmaxloss.cross_entropy_with_grad(z, y, out=out)[0] == loss, np.array_equal(out, want))
"""
    assert python(code).splitlines() == ["no thread", "True True"]


# Calls of 1 ms and more on daemon threads, which are inside one when the interpreter ends.
DAEMONS = """
import threading, time, warnings
import numpy as np, softmaxloss
rng = np.random.default_rng(0)
z, y = rng.normal(size=(2000, 500)).astype(np.float32), rng.integers(500, size=2000)
long, many = np.zeros((1, 1 << 20)), np.zeros(1 << 20, np.int64)
softmaxloss.set_num_threads(2)
def again():
    while True:
        {call}
for _ in range(4):
    threading.Thread(target=again, daemon=True).start()
time.sleep(0.1)
"""


@pytest.mark.parametrize(
    "call",
    [
        "softmaxloss.cross_entropy_with_grad(z, y)",
        "softmaxloss.score(z, y)",
        "softmaxloss.cross_entropy(z, y, z_loss=0.1)",
        "softmaxloss.cross_entropy(long, many[:1])",
        "softmaxloss.cross_entropy(np.broadcast_to(z[:1, :3], (1 << 20, 3)), many)",
    ],
)
def test_the_interpreter_ends_while_daemon_threads_compute(call: str) -> None:
    """Python ends a thread that asks for the GIL then, which aborted the process.

    Within PyTorch's own functions it still does, torch.nn.functional.cross_entropy among them: so
    there is no such promise for tensors.
    """
    for _ in range(3):
        assert python(DAEMONS.format(call=call)) == ""


# Threads that each need memory, in an address space that ends somewhere in between.
SHORT_OF_MEMORY = """
import resource, numpy as np, softmaxloss
z, y = np.zeros((4000, 1000), np.float32), np.zeros(4000, np.int64)
cross_entropy = softmaxloss.cross_entropy
{setup}
softmaxloss.set_num_threads(1)
want = float(cross_entropy(z, y))
softmaxloss.set_num_threads(8)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
before = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + {room}, before[1]))
try:
    got = float(cross_entropy(z, y))
except MemoryError:
    got = None
resource.setrlimit(resource.RLIMIT_AS, before)
print("MemoryError" if got is None else got == want)
"""
TENSORS = """
import torch
from softmaxloss.torch import cross_entropy
z, y = torch.tensor(z), torch.tensor(y)
"""


@linux
@pytest.mark.parametrize("setup", ["", TENSORS], ids=["arrays", "tensors"])
def test_threads_that_find_no_memory(setup: str) -> None:
    """The others do the work. OpenMP would end the process, so its threads are not used then."""
    if setup:
        pytest.importorskip("torch")
    for room in [1 << 20] if setup else [0, 1 << 20, 16 << 20]:
        assert python(SHORT_OF_MEMORY.format(room=room, setup=setup)) == "True\n"


# The first call of a thread, for which no memory at all is left.
EXHAUSTED = """
import ctypes, resource, threading
import numpy as np, softmaxloss
z, y = np.zeros((300, 1000), np.float32), np.zeros(300, np.int64)
want, out = np.empty_like(z), np.empty_like(z)
softmaxloss.cross_entropy_with_grad(z, y, out=want)
malloc = ctypes.CDLL(None).malloc
malloc.restype = ctypes.c_void_p
results = []

def call():
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used, before[1]))
    for bits in range(20, 3, -1):
        while malloc(1 << bits):
            pass
    try:
        softmaxloss.cross_entropy_with_grad(z, y, out=out)
        results.append(np.array_equal(out, want))
    except MemoryError:
        results.append("MemoryError")
    resource.setrlimit(resource.RLIMIT_AS, before)

thread = threading.Thread(target=call)
thread.start()
thread.join()
print(*results)
"""


@linux
def test_a_thread_without_any_memory() -> None:
    """The C library would end the process: "cannot allocate memory for thread-local data"."""
    assert python(EXHAUSTED) == "MemoryError\n"


@pytest.mark.skipif(getattr(sys, "_is_gil_enabled", lambda: True)(), reason="Python has its GIL")
def test_without_the_gil() -> None:
    """Importing does not bring it back; calls beside each other, with other options each, have the
    bits of calls one after the other."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(64, 50)), rng.integers(50, size=64)
    options = [{"label_smoothing": i / 100, "reduction": "sum"} for i in range(1, 9)]

    def compute(i: int) -> bytes:
        return np.asarray(softmaxloss.cross_entropy(z, y, **options[i % 8])).tobytes()

    want = [compute(i) for i in range(8)]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(compute, range(4000))) == want * 500
    assert not sys._is_gil_enabled()  # type: ignore[attr-defined]


@pytest.mark.slow
@linux
def test_more_than_2_to_31_elements_in_bfloat16() -> None:
    """4.4 GB of logits, in place; the results of its 16 different rows are known."""
    rows, classes = 2**16 + 64, 2**15
    sample = np.random.default_rng(0).normal(0, 3, (16, classes)).astype(ml_dtypes.bfloat16)
    labels = np.arange(16) * 2047
    want, grad = softmaxloss.cross_entropy_with_grad(sample, labels, reduction="none")
    try:
        logits = np.tile(sample, (rows // 16, 1))
    except MemoryError:
        pytest.skip("needs 4.4 GB of memory")
    assert logits.size > 2**31
    loss, out = softmaxloss.cross_entropy_with_grad(
        logits, np.tile(labels, rows // 16), reduction="none", out=logits
    )
    assert out is logits
    np.testing.assert_array_equal(loss, np.tile(want, rows // 16))
    for first in range(0, rows, 16):
        assert np.array_equal(out[first : first + 16].view(np.uint16), grad.view(np.uint16)), first
