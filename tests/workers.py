"""What is kept from one test of the check to the next: the processes that files are checked in, and
the numbers that functions are compared with."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from softmaxloss.checking import settings
from softmaxloss.checking.sandbox import process
from softmaxloss.checking.sandbox.worker import Worker


@pytest.fixture(scope="session")
def _idle_workers() -> Iterator[list[Worker]]:
    idle: list[Worker] = []
    yield idle
    for worker in idle:
        worker.close()


@pytest.fixture
def kept_workers(_idle_workers: list[Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    """`check_file`, `check_files` and the command go on with the processes of other tests.

    To start one takes a third of a second, ten times what most files take. Each file has a copy of
    its own.
    """

    class Kept(Worker):
        def __init__(self) -> None:
            super().__init__()
            if _idle_workers:
                self.supervisor = _idle_workers.pop().supervisor

        def close(self) -> None:
            if self.supervisor is None or self.supervisor.is_lost:
                super().close()
                return
            kept = Worker()
            kept.supervisor, self.supervisor = self.supervisor, None
            _idle_workers.append(kept)

    monkeypatch.setattr(process, "Worker", Kept)


@pytest.fixture(scope="session", autouse=True)
def _one_seed() -> Iterator[None]:
    """Checks that are given no seed have the same random one in all tests of a process: what is
    right and wrong for its inputs is computed once."""
    seed = secrets.randbelow(10**6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "secrets", SimpleNamespace(randbelow=lambda most: seed % most))
        yield
