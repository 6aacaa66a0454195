"""What a type checker reads: the types of results that depend on an option."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")
pytest.importorskip("torch")

SOURCE = """
from typing import Any, assert_type
from torch import Tensor
from softmaxloss.scores import Scores
from softmaxloss.torch import cross_entropy, linear_cross_entropy

def calls(x: Tensor, W: Tensor, y: Tensor, several: bool) -> None:
    assert_type(cross_entropy(x, y), Tensor)
    assert_type(cross_entropy(x, y, None, softcap=30.0, return_z_loss=False), Tensor)
    assert_type(cross_entropy(x, y, z_loss=1e-4, return_z_loss=True), tuple[Tensor, Tensor])
    assert_type(cross_entropy(x, y, return_z_loss=several), Any)
    assert_type(linear_cross_entropy(x, W, y), Tensor)
    assert_type(linear_cross_entropy(x, W, y, return_scores=True), tuple[Tensor, Scores])
    assert_type(linear_cross_entropy(x, W, y, return_scores=several), Any)
    cross_entropy(x, y, reducton="sum")
    linear_cross_entropy(x, W, y, memory_budget=None)
"""


@pytest.mark.slow
def test_results_and_options_have_types(tmp_path: Path) -> None:
    """All but the last two calls are right."""
    file = tmp_path / "calls.py"
    file.write_text(SOURCE)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(file)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    wrong = [line.split("calls.py:")[1] for line in done.stdout.splitlines() if "error:" in line]
    last = len(SOURCE.splitlines())
    assert {int(line.split(":")[0]) for line in wrong} == {last - 1, last}, done.stdout
