"""The processes that files are checked in, kept from test to test: to start one takes a third of a
second, ten times what most files take. Each file has a copy of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
    """`check_file`, `check_files` and the command go on with the processes of other tests."""

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
