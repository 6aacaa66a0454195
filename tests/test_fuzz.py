"""Short runs of tests/fuzz.py; `make fuzz` is the long one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from tests import fuzz
from tests.test_kernels import as_before

import softmaxloss

__all__ = ["as_before"]


def test_no_finding() -> None:
    for seed in range(1000, 1100):
        fuzz.check(seed)


def test_calls_are_of_every_kind() -> None:
    calls = [fuzz.call_of(seed) for seed in range(300)]
    assert {str(call.logits.dtype) for call in calls} >= {*fuzz.DTYPES[:3], "bfloat16"}
    assert {call.logits.ndim for call in calls} >= {1, 2, 3, 4, 5}
    assert {call.threads for call in calls} == {1, 2, 3, 4}
    assert len({place for call in calls for place in call.places}) > 25
    assert {str(fuzz.call_of(seed)) for seed in (7, 7)} == {str(calls[7])}, "the same each time"


def wrong_by_six_ulp(loss: Any, grad: Any) -> tuple[Any, Any]:
    return loss * (1 + 6 * np.finfo(loss.dtype).eps), grad


def wrong_in_one_entry(loss: Any, grad: Any) -> tuple[Any, Any]:
    if grad.size:
        grad[(0,) * grad.ndim] *= 1.5
    return loss, grad


@pytest.mark.parametrize("wrong", [wrong_by_six_ulp, wrong_in_one_entry])
def test_it_finds(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = softmaxloss.cross_entropy_with_grad
    monkeypatch.setattr(
        softmaxloss, "cross_entropy_with_grad", lambda *a, **k: wrong(*right(*a, **k))
    )

    def some_calls() -> None:
        for seed in range(1000, 1010):
            fuzz.check(seed)

    with pytest.raises(AssertionError, match=r"ulp off\ncall:\nlogits: "):
        some_calls()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_command() -> None:
    done = run("--minutes=0.02", "--seed=1000")
    assert done.returncode == 0, done.stderr
    assert "calls from seed 1000 on baseline" in done.stdout
    assert run("--only=1001").stdout == "no finding\n"


def test_a_crash_has_a_message() -> None:
    """A negative seed raises in the process that makes the calls."""
    done = run("--minutes=0.02", "--seed=-3")
    assert done.returncode != 0
    assert "exit status 1; to repeat: python -m tests.fuzz --only -3" in done.stderr
