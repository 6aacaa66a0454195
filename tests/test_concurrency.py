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
import os, threading, numpy as np, softmaxloss
z = np.broadcast_to(np.zeros(1 << 15, np.float32), (6000, 1 << 15))
y = np.zeros(6000, np.uint8)
before = len(os.listdir("/proc/self/task"))

def most():
    caller = threading.Thread(target=softmaxloss.cross_entropy, args=(z, y))
    caller.start()
    seen = 0
    while caller.is_alive():
        seen = max(seen, len(os.listdir("/proc/self/task")) - before)
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
