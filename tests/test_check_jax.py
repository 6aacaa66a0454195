"""`check` of JAX functions, in a process of its own; see check_of_jax.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("which", ["quick", pytest.param("slow", marks=pytest.mark.slow)])
def test_jax_functions(which: str) -> None:
    command = [sys.executable, "-m", "tests.check_of_jax", which]
    # It compiles for each shape, for one call or two.
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    root = Path(__file__).parent.parent
    done = subprocess.run(
        command, cwd=root, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
