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
from dataclasses import asdict, dataclass
from time import monotonic
from types import ModuleType
from typing import Any

from .results import Timings

#: With these settings the C library keeps freed memory, and a peer that allocates its results gets
#: the same pages again: the closest that it has to a given buffer. Without them, which is the
#: default, an array of 32 MiB or more costs its page faults in each call.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
#: Losses that differ by more are not the same loss (bfloat16 peers round it to 8 bits).
SAME_LOSS = 0.01
#: There are as many turns as asked for, or as many as fit in the time, but not fewer than these.
FEWEST_TURNS = 3


class PeerError(Exception):
    """A peer that is not installed, failed or ended; the message is one line."""


class Process:
    """A worker process; requests and answers are lines of JSON."""

    def __init__(self, *arguments: str, threads: int, keep_memory: bool) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        if keep_memory:
            environment |= KEEP_MEMORY
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            text=True,
            encoding="utf-8",
        )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

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


@dataclass(frozen=True)
class Job:
    """One call of one peer: what takes a turn."""

    name: str
    case: Any
    what: str
    #: what its process calls it
    key: int

    @property
    def keeps_memory(self) -> bool:
        return self.what == "gradient"


class Runner:
    """Measures rows; `notes` collects what a reader of the tables must know about the peers.

    Args:
        peers: a module with PEERS, from name to peer
        names: the peers that take part
        threads: of each peer
        repeat: the number of turns
        progress: called with one line about the present step
        seconds: a timing repeats its call until it takes so long
        patience: seconds for each row of a group, after which no further turn begins
    """

    def __init__(
        self,
        peers: ModuleType,
        names: list[str],
        threads: int,
        repeat: int,
        progress: Callable[[str], None],
        seconds: float = 0.02,
        patience: float = math.inf,
    ) -> None:
        self.peers, self.names, self.threads = peers, names, threads
        self.repeat, self.progress = repeat, progress
        self.seconds, self.patience = seconds, patience
        self.processes: dict[tuple[str, bool], Process] = {}
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        self.notes: list[str] = []

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes.values():
            process.close()

    def run(self, groups: list[list[tuple[Any, str]]]) -> list[Timings]:
        """The rows (case, what) that some peer has figures for. Those of a group take turns."""
        return [row for group in groups for row in self.measure(group) if row.seconds]

    def measure(self, group: list[tuple[Any, str]]) -> list[Timings]:
        """The rows of a group: all peers prepare them, take turns, and free their memory."""
        ready = self.prepare(group)
        seconds: dict[Job, list[float]] = {job: [] for job in ready}
        stop = monotonic() + self.patience * len(group)
        for turn in range(self.repeat):
            if turn >= FEWEST_TURNS and monotonic() > stop:
                break
            for job in ready:
                if job not in seconds:
                    continue
                self.progress(f"{job.case.label(job.what)}: turn {turn + 1} of {self.repeat}")
                try:
                    seconds[job].append(self.process(job).ask(time=job.key)["seconds"])
                except PeerError as error:
                    for lost in self.failed(job, error, ready):
                        seconds.pop(lost, None)
        for process in self.processes.values():
            with suppress(PeerError):  # the next group finds out, and says so
                process.ask(free=True)
        return [
            Timings(
                case,
                what,
                {job.name: s for job, s in seconds.items() if (job.case, job.what) == (case, what)},
            )
            for case, what in group
        ]

    def prepare(self, group: list[tuple[Any, str]]) -> list[Job]:
        """The jobs of the peers that have prepared their part, after their losses were compared."""
        losses: dict[Job, float] = {}
        for key, (case, what) in enumerate(group):
            for name in self.names:
                peer = self.peers.PEERS[name]
                if name in self.absent or not peer.takes(case, what):
                    continue
                job = Job(name, case, what, key)
                self.progress(f"{case.label(what)}: {peer.title} prepares")
                try:
                    process = self.process(job)
                    answer = process.ask(prepare=asdict(case), what=what, key=key)
                except PeerError as error:
                    for lost in self.failed(job, error, list(losses)):
                        del losses[lost]
                else:
                    losses[job] = answer["loss"]
        self.compare(losses)
        return list(losses)

    def process(self, job: Job) -> Process:
        which = job.name, job.keeps_memory
        if which not in self.processes:
            arguments = self.peers.__name__, job.name, str(self.threads), str(self.seconds)
            process = Process(*arguments, threads=self.threads, keep_memory=job.keeps_memory)
            self.processes[which] = process
            try:
                hello = process.read()
            except PeerError as error:
                hello = {"absent": str(error)}
            if "absent" in hello:
                self.absent[job.name] = hello["absent"]
                raise PeerError(hello["absent"])
            if hello["version"]:
                self.versions[self.peers.PEERS[job.name].title] = hello["version"]
        return self.processes[which]

    def failed(self, job: Job, error: PeerError, ready: list[Job]) -> list[Job]:
        """Add a note. The jobs that are lost: this one, and if the process ended all that it had
        ready; it is started again for the next."""
        where = "" if job.name in self.absent else f", {job.case.label(job.what)}"
        self.notes.append(f"{self.peers.PEERS[job.name].title}{where}: {error}")
        which = job.name, job.keeps_memory
        process = self.processes.get(which)
        if not process or not process.ended:
            return [other for other in ready if other == job]
        process.close()
        del self.processes[which]
        return [other for other in ready if (other.name, other.keeps_memory) == which]

    def compare(self, losses: dict[Job, float]) -> None:
        """Add a note about each peer whose loss of a case is not ours."""
        ours: dict[Any, float] = {}
        for job, loss in losses.items():
            if job.name in self.peers.OURS and math.isfinite(loss):
                ours.setdefault(job.case, loss)
        for job, loss in losses.items():
            peer, own = self.peers.PEERS[job.name], ours.get(job.case)
            if own is None or not peer.computes_loss:
                continue
            if not math.isclose(loss, own, rel_tol=SAME_LOSS):
                label = job.case.label(job.what)
                self.notes.append(f"{peer.title}, {label}: its loss is {loss:.6g}, ours {own:.6g}")
