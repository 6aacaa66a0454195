"""`check` of JAX functions, in a process of its own; see check_of_jax.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("seeds", [6, pytest.param(1000, marks=pytest.mark.slow)])
def test_jax_functions(seeds: int) -> None:
    command = [sys.executable, "-m", "tests.check_of_jax", str(seeds)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
