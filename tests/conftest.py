"""Fixtures of more than one file, and how parallel runs share the machine."""

from __future__ import annotations

import os

import pytest
from tests.browsing import browser, visit
from tests.commands import data, run
from tests.sharded import shards

__all__ = ["browser", "data", "run", "shards", "visit"]

#: Files that the check is tested on; they are no tests, and some cannot be imported.
collect_ignore = ["corpus"]

# With several test processes, PyTorch and BLAS get one thread in each; the library keeps its own
# default. Set before a test loads PyTorch; the processes that tests start inherit it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("SOFTMAXLOSS_NUM_THREADS", str(os.cpu_count()))
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that open pages run in one process, which starts the browser once per file."""
    for item in items:
        if {"browser", "page"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("browser"))
