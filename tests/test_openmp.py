"""Whose threads the kernels run on. The runtime is one of this test, which counts its calls."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import softmaxloss
from softmaxloss.kernels import openmp

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or softmaxloss.kernels.level() == "reference",
    reason="needs the compiled kernel on Linux",
)

Z = np.zeros((2000, 1000), np.float32)
Y = np.zeros(2000, np.int64)


@pytest.fixture
def calls() -> Iterator[list[int]]:
    """The numbers of threads that the kernels asked this runtime for."""
    asked: list[int] = []
    work = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    def parallel(function: int, data: int, threads: int, flags: int) -> None:
        asked.append(threads)
        work(function)(data)

    before, given = openmp._parallel, softmaxloss.get_num_threads()
    softmaxloss.set_num_threads(2)
    openmp.share_threads(ctypes.cast(parallel, ctypes.c_void_p).value or 0)
    yield asked
    openmp.share_threads(before)
    softmaxloss.set_num_threads(given)


def test_inside_own_threads_openmp_rests(calls: list[int]) -> None:
    want = softmaxloss.cross_entropy(Z, Y)
    assert calls == [2]
    with openmp.own_threads():
        with openmp.own_threads():
            assert softmaxloss.cross_entropy(Z, Y) == want
        assert softmaxloss.cross_entropy(Z, Y) == want
        assert calls == [2]
    softmaxloss.cross_entropy(Z, Y)
    assert calls == [2, 2]


def test_the_last_of_several_threads_ends_it(calls: list[int]) -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with openmp.own_threads():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with openmp.own_threads():
        thread.start()
        inside.wait()
    softmaxloss.cross_entropy(Z, Y)
    assert calls == []
    leave.set()
    thread.join()
    softmaxloss.cross_entropy(Z, Y)
    assert calls == [2]


def test_an_error_ends_it(calls: list[int]) -> None:
    with pytest.raises(KeyError), openmp.own_threads():
        raise KeyError
    softmaxloss.cross_entropy(Z, Y)
    assert calls == [2]


def test_the_linear_loss_wakes_no_thread_of_openmp(calls: list[int]) -> None:
    x, W = np.ones((2000, 4), np.float32), np.ones((1000, 4), np.float32)
    softmaxloss.linear_cross_entropy_with_grad(x, W, Y)
    assert calls == []


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_child_process_begins_anew(calls: list[int]) -> None:
    with openmp.own_threads():
        child = os.fork()
        if child == 0:
            state = (openmp._parallel, openmp._calls, openmp._lock.locked())
            os._exit(0 if state == (0, 0, False) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    softmaxloss.cross_entropy(Z, Y)
    assert calls == [2]
