"""The command run in an empty folder, on files in it; the fixtures come through conftest.py."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from softmaxloss.cli import main


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run the command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def data(tmp_path):
    """Logits and labels in files, in the folder where `run` runs: (logits, labels)."""
    random = np.random.default_rng(0)
    z = random.normal(0.0, 2.0, (200, 5))
    y = np.where(random.random(200) < 0.8, z.argmax(1), random.integers(0, 5, 200))
    np.save(tmp_path / "z.npy", z)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "y1.npy", y + 1)
    names = "cat,[red]dog[/red],<b>,\x1b[31mred,bird"
    rows = "\n".join(",".join(map(repr, row)) for row in z.tolist())
    (tmp_path / "z.csv").write_text(f"{names}\n{rows}\n")
    np.savez(tmp_path / "both.npz", a=z, b=y)
    return z, y


def fails(result, says):
    code, out, err = result
    assert code == 2
    assert out == ""
    assert err.startswith("softmaxloss: error: ")
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1
    assert all(c.isprintable() for c in err[:-1])
    assert says in err
