"""How many threads a call may use: which number wins, and whose limits hold."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest

import softmaxloss
from softmaxloss.kernels import limits, threads
from softmaxloss.kernels.processors import processors, share

PROCESSORS = processors()


def numbers(code: str, **environment: str) -> list[int]:
    """What a new process prints that runs this code."""
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", f"from softmaxloss import *\nimport softmaxloss\n{code}"],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


SHOW = "print(softmaxloss.get_num_threads())\n"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    state = threads._own, threads._number, threads._followed, threads._limit
    yield
    threads._own, threads._number, threads._followed, threads._limit = state


def test_the_environment() -> None:
    assert numbers(SHOW) == [PROCESSORS]
    assert numbers(SHOW, OMP_NUM_THREADS="7,2") == [7]
    assert numbers(SHOW, OMP_NUM_THREADS="0") == [PROCESSORS]
    assert numbers(SHOW, OMP_NUM_THREADS="0007") == [7]
    assert numbers(SHOW, OMP_NUM_THREADS="9" * 5000) == [threads.MOST_THREADS]
    assert numbers(SHOW, SOFTMAXLOSS_NUM_THREADS="0" * 5000 + "5") == [5]
    assert numbers(SHOW, OMP_NUM_THREADS="7", SOFTMAXLOSS_NUM_THREADS="5") == [5]
    later = "softmaxloss.set_num_threads(3)\n" + SHOW + "softmaxloss.set_num_threads(None)\n" + SHOW
    assert numbers(later, OMP_NUM_THREADS="7", SOFTMAXLOSS_NUM_THREADS="5") == [3, 5]
    assert numbers(later, OMP_NUM_THREADS="7") == [3, 7]


def test_a_number_that_is_none_is_named_once() -> None:
    for value in ("abc", "0", "-2", "1.5"):
        done = subprocess.run(
            [sys.executable, "-c", f"import softmaxloss\n{SHOW}"],
            env={**os.environ, "SOFTMAXLOSS_NUM_THREADS": value, "OMP_NUM_THREADS": "7"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "7\n"
        wanted = f"SOFTMAXLOSS_NUM_THREADS must be a positive integer, got {value!r}; it is ignored"
        assert done.stderr.count(wanted) == 1
    assert numbers(SHOW, OMP_NUM_THREADS="7", SOFTMAXLOSS_NUM_THREADS="") == [7]


@pytest.mark.parametrize(
    ("groups", "files", "wanted"),
    [
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5, id="a container"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, inf, id="no limit"),
        pytest.param("0::/\n", {}, inf, id="no such file"),
        pytest.param(
            "0::/user.slice/app\n",
            {"user.slice/app/cpu.max": "max 100000\n", "user.slice/cpu.max": "200000 100000\n"},
            2.0,
            id="a group around it",
        ),
        pytest.param(
            "4:memory:/x\n3:cpu,cpuacct:/docker/ab\n0::/\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            0.5,
            id="version 1, seen from inside",
        ),
        pytest.param(
            "3:cpu:/a:b\n",
            {"cpu/a:b/cpu.cfs_quota_us": "-1", "cpu/a:b/cpu.cfs_period_us": "100000"},
            inf,
            id="version 1, no limit",
        ),
        pytest.param("", {"cpu.max": "150000 100000\n"}, inf, id="no groups"),
        pytest.param("0::/\n", {"cpu.max": "150000 0\n"}, inf, id="no period"),
        pytest.param("nonsense", {"cpu.max": "what\n"}, inf, id="no words that are known"),
    ],
)
def test_the_share_of_a_control_group(
    groups: str, files: dict[str, str], wanted: float, tmp_path: Path
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert share(groups, tmp_path) == wanted


def test_the_processors_are_within_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "softmaxloss.kernels.processors"
    for quota, wanted in (0.1, 1), (1.5, 2), (3.0, 3), (inf, 8):
        monkeypatch.setattr(f"{name}.share", lambda *_, quota=quota: quota)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
        assert processors() == wanted


TORCH = """
import torch
torch.set_num_threads(3)
{show}
import softmaxloss.torch
{show}
torch.set_num_threads(2)
{show}
softmaxloss.set_num_threads(5)
{show}
softmaxloss.set_num_threads(None)
{show}
"""


def test_pytorchs_number_is_followed_until_there_is_an_own_one() -> None:
    pytest.importorskip("torch")
    code = TORCH.format(show=SHOW)
    assert numbers(code, OMP_NUM_THREADS="7") == [7, 3, 2, 5, 2]
    assert numbers(code, SOFTMAXLOSS_NUM_THREADS="4") == [4, 4, 4, 5, 4]


WORKERS = """
import torch
from softmaxloss.torch import cross_entropy

class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 2
    def __getitem__(self, index):
        cross_entropy(torch.zeros(1, 3), torch.tensor([0]))
        return softmaxloss.get_num_threads()

loader = torch.utils.data.DataLoader(Numbers(), num_workers=2, multiprocessing_context="fork")
print(*[batch.item() for batch in loader])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
def test_workers_of_a_dataloader_use_one_thread() -> None:
    pytest.importorskip("torch")
    assert numbers(WORKERS, OMP_NUM_THREADS="4") == [1, 1]


def test_calls_on_tensors_get_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from softmaxloss.torch import cross_entropy, engine

    seen = []
    kernel = engine.direct_on("cpu")

    class Recorder:
        def direct(self, *arguments: object) -> object:
            seen.append(arguments[-1])
            return kernel.direct(*arguments)

    monkeypatch.setattr(engine, "direct_on", lambda device: Recorder())
    monkeypatch.delenv("SOFTMAXLOSS_NUM_THREADS", raising=False)
    softmaxloss.set_num_threads(None)
    threads.follow(lambda: 6)
    cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]))
    softmaxloss.set_num_threads(3)
    cross_entropy(torch.zeros(2, 3, requires_grad=True), torch.tensor([0, 1])).backward()
    assert seen == [6, 3]


@pytest.fixture
def threadpoolctl() -> Any:
    module = pytest.importorskip("threadpoolctl")
    if softmaxloss.kernels.level() == "reference":
        pytest.skip("needs the extension")
    assert limits.register()
    return module


def test_limits_of_threadpoolctl(threadpoolctl: Any) -> None:
    softmaxloss.set_num_threads(4)
    with threadpoolctl.threadpool_limits(limits=2):
        assert softmaxloss.get_num_threads() == 2
        with threadpoolctl.threadpool_limits({"softmaxloss": 1}):
            assert softmaxloss.get_num_threads() == 1
        assert softmaxloss.get_num_threads() == 2
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        assert softmaxloss.get_num_threads() == 4
    assert softmaxloss.get_num_threads() == 4
    info = [pool for pool in threadpoolctl.threadpool_info() if pool["prefix"] == "_cpu."]
    assert [(pool["user_api"], pool["num_threads"]) for pool in info] == [("softmaxloss", 4)]


@pytest.mark.parametrize("about", ["all", "another library", "its own number"])
def test_after_a_limit_there_is_none(threadpoolctl: Any, about: str) -> None:
    """A limit of BLAS, as scikit-learn sets them, restores the number of this library, too."""
    given = {"all": 1, "another library": {"blas": 1}, "its own number": {"softmaxloss": 2}}[about]
    softmaxloss.set_num_threads(2)
    for _ in range(2):
        with threadpoolctl.threadpool_limits(given):
            assert softmaxloss.get_num_threads() == (1 if about == "all" else 2)
            softmaxloss.set_num_threads(3)
        assert softmaxloss.get_num_threads() == 3
        softmaxloss.set_num_threads(2)
        assert softmaxloss.get_num_threads() == 2


def test_after_a_limit_pytorch_is_followed_again(
    threadpoolctl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether PyTorch's own number is restored sooner or later."""
    monkeypatch.delenv("SOFTMAXLOSS_NUM_THREADS", raising=False)
    number = [4]
    softmaxloss.set_num_threads(None)
    threads.follow(lambda: number[0])
    with threadpoolctl.threadpool_limits(1):
        number[0] = 1
        assert softmaxloss.get_num_threads() == 1
    assert softmaxloss.get_num_threads() == 1
    number[0] = 3
    assert softmaxloss.get_num_threads() == 3


def test_a_number_set_within_a_limit_counts_after_it(threadpoolctl: Any) -> None:
    softmaxloss.set_num_threads(2)
    with threadpoolctl.threadpool_limits(1):
        softmaxloss.set_num_threads(4)
        assert softmaxloss.get_num_threads() == 1
    assert softmaxloss.get_num_threads() == 4


@pytest.mark.parametrize("order", ["threadpoolctl, softmaxloss", "softmaxloss, threadpoolctl"])
def test_which_of_the_two_is_imported_first(order: str) -> None:
    pytest.importorskip("threadpoolctl")
    code = f"""
import {order}
softmaxloss.set_num_threads(4)
with threadpoolctl.threadpool_limits(1):
    print(softmaxloss.get_num_threads())
from softmaxloss.kernels import limits
limits.register()
with threadpoolctl.threadpool_limits(1):
    print(softmaxloss.get_num_threads())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if softmaxloss.kernels.level() == "reference":
        pytest.skip("needs the extension")
    first = {"threadpoolctl, softmaxloss": "1", "softmaxloss, threadpoolctl": "4"}[order]
    assert done.stdout.split() == [first, "1"]
