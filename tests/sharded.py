"""Logits and labels in several files; the fixture `shards` comes through conftest.py."""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

CUTS = [0, 1, 40, 41, 41, 120, 199, 200]  # 7 shards, of 0 to 79 rows


@pytest.fixture
def shards(data, tmp_path):
    """The rows of `data` as 7 files of logits and of labels, in z/ and y/, 10 after 9."""
    z, y = data
    y[::9] = -100
    np.save("y.npy" if os.getcwd() == str(tmp_path) else tmp_path / "y.npy", y)
    for folder in ("z", "y"):
        (tmp_path / folder).mkdir()
    for number, (start, end) in enumerate(itertools.pairwise(CUTS), 6):
        np.save(tmp_path / "z" / f"z-{number}.npy", z[start:end])
        np.save(tmp_path / "y" / f"y-{number}.npy", y[start:end])
    return z, y


def numbers(result):
    """The JSON of a run without what only several files have."""
    code, out, err = result
    assert code == 0, err
    fields = json.loads(out)
    fields.pop("failed", None)
    for example in fields["top"]:
        for name in ("file", "file_row"):
            example.pop(name, None)
    return fields


def explained_as_scored(run, *files):
    """The hardest example of the files: it has the same loss by the command that explains it. Also
    the text that names that command."""
    _, out, _ = run("score", *files, "--top", 1, "--json")
    (hardest,) = json.loads(out)["top"]
    code, text, _ = run("score", *files, "--top", 1)
    assert code == 0
    words = re.search(r"softmaxloss (explain --file .*)\n", text)[1].split()
    code, out, _ = run(*words, "--json")
    assert code == 0
    assert json.loads(out)["loss"] == pytest.approx(hardest["loss"], rel=1e-12)
    return hardest, text


SEVEN = [f"z/z-{number}.npy" for number in range(6, 13)]


def many(rows, count, classes=50):
    """So many shards in z/ and y/; all rows and labels."""
    random = np.random.default_rng(5)
    z = random.normal(0.0, 3.0, (count, rows, classes)).astype(np.float32)
    y = random.integers(0, classes, (count, rows))
    for folder in ("z", "y"):
        Path(folder).mkdir()
    for number in range(count):
        np.save(f"z/{number}.npy", z[number])
        np.save(f"y/{number}.npy", y[number])
    return z, y
