"""The runner: one process per peer; they take turns, with one timed call in each turn."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from .cases import WHATS, Case
from .peers import LIMITS, PEERS
from .report import Row

#: With these settings the C library keeps freed memory, and a peer that allocates its results gets
#: the same pages again: the closest that it has to a given buffer. Without them, which is the
#: default, an array of 32 MiB or more costs its page faults in each call.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
#: Losses that differ by more are not the same loss (bfloat16 peers round it to 8 bits).
SAME_LOSS = 0.01


class PeerError(Exception):
    """A peer that is not installed, failed or ended; the message is one line."""


class Process:
    """A worker process; requests and answers are lines of JSON."""

    def __init__(self, name: str, threads: int, seconds: float, keep_memory: bool) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        if keep_memory:
            environment |= KEEP_MEMORY
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, str(threads), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            text=True,
            encoding="utf-8",
        )

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.log.seek(0)
            last = self.log.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise PeerError(f"its process ended with code {code}" + (f": {last}" if last else ""))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # read() reports how the process ended
            print(json.dumps(request), file=self.process.stdin, flush=True)
        return self.read()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


class Runner:
    """Measures rows; `notes` collects what a reader of the tables must know about the peers.

    Args:
        names: the peers, keys of `PEERS`
        threads: of each peer
        repeat: the number of turns
        progress: called with one line about the present step
        seconds: a timing repeats its call until it takes so long
    """

    def __init__(
        self,
        names: list[str],
        threads: int,
        repeat: int,
        progress: Callable[[str], None],
        seconds: float = 0.02,
    ) -> None:
        self.names, self.threads, self.repeat, self.progress = names, threads, repeat, progress
        self.seconds = seconds
        self.processes: dict[tuple[str, bool], Process] = {}
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        self.notes: list[str] = []

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes.values():
            process.close()

    def run(self, cases: list[Case]) -> list[Row]:
        rows = []
        for case in cases:
            for what in case.whats:
                row = self.measure(case, what)
                if row.seconds:
                    rows.append(row)
        return rows

    def measure(self, case: Case, what: str) -> Row:
        """One row: all peers prepare, then they take turns, then they free their memory."""
        keep = what == "gradient"
        label = f"{case.name}, {WHATS[what][0]}"
        ready: dict[str, Process] = {}
        losses: dict[str, float] = {}
        for name in self.names:
            peer = PEERS[name]
            takes_part = what in peer.whats and case.dtype in peer.dtypes
            if (
                name in self.absent
                or not takes_part
                or (case.group != "shapes" and not peer.linear)
            ):
                continue
            self.progress(f"{label}: {peer.title} prepares")
            try:
                process = self.process(name, keep)
                losses[name] = process.ask(prepare=asdict(case), what=what)["loss"]
                ready[name] = process
            except PeerError as error:
                self.failed(name, keep, label, error)
        self.compare(label, losses)

        seconds: dict[str, list[float]] = {name: [] for name in ready}
        for turn in range(self.repeat):
            self.progress(f"{label}: turn {turn + 1} of {self.repeat}")
            for name, process in list(ready.items()):
                try:
                    seconds[name].append(process.ask(time=True)["seconds"])
                except PeerError as error:
                    del ready[name], seconds[name]
                    self.failed(name, keep, label, error)
        for name, process in ready.items():
            try:
                process.ask(free=True)
            except PeerError as error:
                self.failed(name, keep, label, error)
        return Row(case, what, seconds)

    def process(self, name: str, keep: bool) -> Process:
        if (name, keep) not in self.processes:
            process = Process(name, self.threads, self.seconds, keep)
            self.processes[name, keep] = process
            try:
                hello = process.read()
            except PeerError as error:
                hello = {"absent": str(error)}
            if "absent" in hello:
                self.absent[name] = hello["absent"]
                raise PeerError(hello["absent"])
            self.versions[name] = hello["version"]
        return self.processes[name, keep]

    def failed(self, name: str, keep: bool, label: str, error: PeerError) -> None:
        """Add a note; a process that ended is started again for the next row."""
        where = "" if name in self.absent else f", {label}"
        self.notes.append(f"{PEERS[name].title}{where}: {error}")
        process = self.processes.get((name, keep))
        if process and process.process.poll() is not None:
            process.close()
            del self.processes[name, keep]

    def compare(self, label: str, losses: dict[str, float]) -> None:
        """Add a note about each peer that computes another loss."""
        if not math.isfinite(ours := losses.get("library", math.nan)):
            return
        for name, loss in losses.items():
            if name not in LIMITS and not math.isclose(loss, ours, rel_tol=SAME_LOSS):
                self.notes.append(
                    f"{PEERS[name].title}, {label}: its loss is {loss:.6g}, ours {ours:.6g}"
                )
