"""Chromium for tests of pages, which are skipped where it is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tools import chromium as system


@contextmanager
def chromium() -> Iterator[Any]:
    pytest.importorskip("playwright.sync_api")
    if system.program() is None:
        pytest.skip("no Chromium found: install the system's package chromium")
    with system.chromium() as browser:
        yield browser
