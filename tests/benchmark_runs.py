"""The benchmark commands in a process of their own, and reports without a run."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SVG = "{http://www.w3.org/2000/svg}"
FIELDS = {
    "machine": {"processor": "A & B"},
    "versions": {"this library": "1.0"},
    "date": "2026-01-01",
    "options": "",
    "repeat": 3,
}


def run(module, *arguments, modules=""):
    """`python -m module`; packages in the folder `modules` hide the installed ones."""
    path = os.pathsep.join(part for part in (str(modules), os.environ.get("PYTHONPATH")) if part)
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


def is_refused(done, message):
    """Whether a command ended with this line, before anything was measured."""
    last = done.stderr.splitlines()[-1]
    return done.returncode == 2 and message in last and not done.stdout
