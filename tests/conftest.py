"""Fixtures of more than one file, and how parallel runs share the machine."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from collections.abc import Generator

# With several test processes, PyTorch and BLAS get one thread in each; the library keeps its own
# default. Set before anything loads NumPy or PyTorch; the processes that tests start inherit it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("SOFTMAXLOSS_NUM_THREADS", str(os.cpu_count()))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Each of these processes, and each that a test starts, would compile the package and the
    # assertions of the tests anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Of a million objects made by imports and the collection of tests, none is garbage.
    gc.disable()

import pytest
from tests.browsing import KEPT, browser, pages, visit
from tests.commands import data, run
from tests.sharded import shards
from tests.workers import _idle_workers, _one_seed, kept_workers

from softmaxloss.kernels.processors import processors

__all__ = [
    "_idle_workers", "_one_seed", "browser", "data", "kept_workers", "pages", "run", "shards",
    "visit",
]  # fmt: skip

#: Files that the check is tested on; they are no tests, and some cannot be imported.
collect_ignore = ["corpus"]


def pytest_collection_finish() -> None:
    """From here on the garbage collector looks at what tests make, and at nothing older."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)  # where xdist is not installed
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are processors: tests wait for processes that they start, and for
    limits of time."""
    return processors() + 1


#: So many tests of one file run in one process, one after the other: what they share is made
#: once, and the bookkeeping of xdist, whose time grows with the square of their number, is short.
TOGETHER = 20


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups: the tests that open pages, for which one process starts the browser once; and those
    with parameters, but for slow ones. A test alone is a group of its own."""
    seen: Counter[str] = Counter()
    for item in items:
        file, marks = item.path.name, {mark.name for mark in item.iter_markers()}
        if _opens_pages(item):
            item.add_marker(pytest.mark.xdist_group("browser"))
        elif "[" in item.name and not {"xdist_group", "slow"} & marks:
            item.add_marker(pytest.mark.xdist_group(f"{file} {seen[file] // TOGETHER}"))
            seen[file] += 1


def _opens_pages(item: pytest.Item) -> bool:
    return bool({"browser", "page"} & set(getattr(item, "fixturenames", ())))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, None, None]:
    """The browser is closed after a file, unless the next one begins with pages: playwright's event
    loop, which runs as long, would be in the way of others."""
    yield
    if nextitem is None or (nextitem.path != item.path and not _opens_pages(nextitem)):
        KEPT.close()
