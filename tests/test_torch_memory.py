"""The memory of large gradients and logits: what is kept after it is freed, and for how long."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from softmaxloss.torch import cross_entropy, empty_cache, linear_cross_entropy, memory  # noqa: E402
from softmaxloss.torch.tensors import new_memory  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="keeps memory on Linux")
LARGE = (memory.KEPT_FROM // 4000 + 1, 1000)  # float32


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    empty_cache()
    yield
    empty_cache()


def large(shape: tuple[int, ...] = LARGE) -> Any:
    return new_memory(shape, torch.float32, torch.device("cpu"))


def sizes() -> list[int]:
    return [len(kept) for kept in memory._kept]


def test_freed_memory_is_used_again() -> None:
    first = large()
    place, size = first.data_ptr(), first.nbytes
    assert sizes() == []
    del first
    assert len(sizes()) == 1
    assert 0 <= sizes()[0] - size < 1 << 21  # whole huge pages
    again = large()
    assert (again.data_ptr(), sizes()) == (place, [])
    assert large().data_ptr() != place  # the first is in use


def test_memory_in_use_is_not_handed_out() -> None:
    """A view, a NumPy array and a storage keep it in use, each alone."""
    whole = large().fill_(1.0)
    view, array, storage = whole[5:7], whole.numpy(), whole.untyped_storage()
    place = whole.data_ptr()
    del whole
    other = large().fill_(2.0)
    assert (view == 1).all()
    del view
    assert (array == 1).all()
    del array, other
    gc.collect()
    assert large().data_ptr() != place
    del storage
    assert large().data_ptr() == place


def test_two_are_kept_and_the_next_may_be_smaller() -> None:
    several = [large() for _ in range(4)]
    places = [array.data_ptr() for array in several]
    while several:
        del several[0]
    assert len(sizes()) == 2
    much_less = memory.large_memory(LARGE[0] * 1000)
    assert much_less.ctypes.data not in places
    assert len(sizes()) == 2
    smaller = [memory.large_memory(LARGE[0] * 3000) for _ in range(2)]
    assert {array.ctypes.data for array in smaller} == set(places[2:])
    del smaller
    empty_cache()
    assert sizes() == []


def test_small_memory_is_not_kept() -> None:
    large((10, 1000))
    assert sizes() == []


def test_gradients_are_right_in_memory_that_was_used() -> None:
    z = torch.randn(LARGE, requires_grad=True)
    y = torch.randint(LARGE[1], LARGE[:1])
    cross_entropy(z, y).backward()
    want, place = z.grad.clone(), z.grad.data_ptr()
    z.grad.fill_(torch.nan)
    z.grad = None
    cross_entropy(z, y).backward()
    assert z.grad.data_ptr() == place
    assert torch.equal(z.grad, want)


def test_many_threads() -> None:
    """No two have the same memory at the same time."""

    def fill(number: int) -> bool:
        for _ in range(20):
            mine = large().fill_(float(number))
            if not bool((mine == number).all()):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(fill, range(4)))
    assert 1 <= len(sizes()) <= 2


@pytest.mark.parametrize("library", ["numpy", "onednn", "torch"])
def test_the_logits_of_the_linear_loss_are_kept(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the weight's gradient: the next call makes neither anew."""
    monkeypatch.setenv("SOFTMAXLOSS_PRODUCTS", library)
    x, y = torch.randn(64, 64), torch.randint(200000, (64,))
    W = torch.zeros(200000, 64, requires_grad=True)
    made: list[int] = []
    fresh = memory._fresh

    def counted(size: int) -> Any:
        made.append(size)
        return fresh(size)

    monkeypatch.setattr(memory, "_fresh", counted)
    for _ in range(3):
        linear_cross_entropy(x, W, y).backward()
        W.grad = None
    assert len(made) == 2


FORK = """
import os, sys, torch
from softmaxloss.torch import memory
from softmaxloss.torch.tensors import new_memory
torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
make = lambda: new_memory(({rows}, 1000), torch.float32, torch.device("cpu"))
used = make().fill_(1.0)
place = make().data_ptr()
if os.fork() == 0:
    used.fill_(2.0)
    os._exit(0 if make().fill_(2.0).data_ptr() == place else 1)
print(os.waitstatus_to_exitcode(os.wait()[1]), bool((used == 1).all()))
"""


def test_a_fork_shares_nothing() -> None:
    code = FORK.format(rows=LARGE[0])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["0", "True"]


def lazily_freed() -> int:
    """Bytes of this process that the system may take back."""
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("LazyFree"))


def test_the_system_may_take_what_is_kept() -> None:
    before = lazily_freed()
    kept = large().fill_(1.0)
    assert lazily_freed() < before + kept.nbytes // 2
    size = kept.nbytes
    del kept
    assert lazily_freed() > before + size // 2
    again = large().fill_(2.0)
    assert (again == 2).all()
    del again
    empty_cache()
    assert lazily_freed() < before + size // 2


def test_without_the_advice_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("mmap.MADV_FREE")
    assert memory.large_memory(memory.KEPT_FROM).nbytes == memory.KEPT_FROM
    assert sizes() == []


def test_out_of_memory() -> None:
    with pytest.raises(MemoryError, match="no memory for"):
        memory.large_memory(1 << 60)


@pytest.mark.parametrize("layout", ["rows", "transposed"])
@pytest.mark.parametrize("rows", [8, 5000])
def test_a_gradient_is_no_view(rows: int, layout: str) -> None:
    """Autograd refuses to change a view in place that was made without recording it."""
    z = torch.zeros(rows, 1000) if layout == "rows" else torch.zeros(1000, rows).T
    z.requires_grad_()
    (grad,) = torch.autograd.grad(cross_entropy(z, torch.zeros(rows, dtype=torch.long)), z)
    assert not grad._is_view()
    grad += 0.1 * z
    grad.detach_()
