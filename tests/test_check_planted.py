"""Bugs of one line, planted in right functions of different shapes: the check names them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.planted import seeds
from tests.planted_lines import PLANTED, Planted

import softmaxloss
from softmaxloss.checking import BANK, Report


def checked(code: str, seed: int) -> Report:
    made: dict[str, Any] = {"np": np, "torch": torch, "__name__": "planted"}
    exec(code, made)
    return softmaxloss.check(made["f"], seed=seed)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: one.shape)
@seeds(1, slow=range(2, 20))
def test_right_before_a_bug_is_planted(planted: Planted, seed: int) -> None:
    report = checked(planted.code, seed)
    assert report.verdict == "right", str(report)


def test_the_bugs() -> None:
    """There are many, and each is planted at one place and has a name of the bank."""
    bugs = [(planted.code, bug) for planted in PLANTED for bug in planted.bugs]
    assert len(PLANTED) >= 10
    assert len(bugs) >= 60
    for code, (right, wrong, id) in bugs:
        assert code.count(right) == 1, right
        assert right != wrong
        assert not id or BANK[id].kind == "mistake", id


@seeds(1, slow=range(2, 20))
def test_planted_bugs_are_named(seed: int) -> None:
    """At least 95 % of them, by their own names, and none passes as right."""
    unnamed, passed, total = [], [], 0
    for planted in PLANTED:
        for right, wrong, id in planted.bugs:
            total += 1
            report = checked(planted.code.replace(right, wrong), seed)
            got = report.problem or " ".join(report.mistakes) or "not named"
            line = f"{planted.shape}: {right!r} → {wrong!r}: {report.verdict}: {got}"
            known = [name for name in report.mistakes if BANK[name].kind == "mistake"]
            if report.verdict == "right":
                passed.append(line)
            elif not known or id not in [*known, ""]:
                unnamed.append(line)
    if passed or len(unnamed) > 0.05 * total:
        text = "\n".join([f"{len(unnamed)} of {total} not named", *passed, *unnamed])
        pytest.fail(text, pytrace=False)
