"""`check` of functions of JAX, in a process of its own; see check_of_jax.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_functions_of_jax() -> None:
    """Over a thousand seeds."""
    command = [sys.executable, "-m", "tests.check_of_jax", "1000"]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
