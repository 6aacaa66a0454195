"""Runs the workers: one process per implementation, in limited time, restarted after a crash."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from .trials import ROOT, trials

#: A process that crashes is restarted so many times, after the trial in which it crashed.
LIVES = 20


@dataclass
class Answers:
    """The results of one implementation, trial by trial; see worker.ask."""

    name: str
    version: str = ""
    #: the reason why there are none; empty if the implementation could be loaded
    absent: str = ""
    results: list[dict[str, Any]] = field(default_factory=list)
    #: the reports of battery.py, by dtype
    checked: dict[str, dict[str, Any]] = field(default_factory=dict)


def run(name: str, seconds: float) -> Answers:
    answers, count, end = Answers(name), len(trials()), monotonic() + seconds
    for _ in range(LIVES):
        start = len(answers.results)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results"
            end_of_process = _process("worker", [name, str(path), str(start)], end - monotonic())
            lines = _lines(path)
        if not lines:
            answers.absent = f"it could not be loaded: {end_of_process}"
            return answers
        if "absent" in lines[0]:
            answers.absent = lines[0]["absent"]
            return answers
        answers.version = lines[0]["version"]
        answers.results += lines[1:]
        if len(answers.results) == count or end_of_process == "out of time":
            break
        answers.results.append({"crashes": end_of_process})
    answers.results += [{"not asked": True}] * (count - len(answers.results))
    answers.checked = _checked(name, end - monotonic())
    return answers


def _checked(name: str, seconds: float) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results"
        _process("battery", [name, str(path)], seconds)
        return dict(_lines(path))


def _process(module: str, arguments: list[str], seconds: float) -> str:
    """Run a module until it ends; the way in which it ended."""
    command = [sys.executable, "-m", f"conformance.{module}", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=max(seconds, 1),
        )
    except subprocess.TimeoutExpired:
        return "out of time"
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return f"code {done.returncode}" + (f", {last}" if last else "")


def _lines(path: Path) -> list[Any]:
    """The complete lines of the file: a process that was stopped may leave half a line."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]
