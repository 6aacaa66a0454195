"""The examples do what they say, and the docs show their output."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from softmaxloss.explanation import QUESTIONS

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples"))


def test_the_loss_of_the_digits_falls_from_that_of_a_uniform_guess():
    import digits

    x, y = digits.load()
    weights, bias, losses = digits.train(x[: digits.TRAIN], y[: digits.TRAIN], steps=100)
    assert losses[0] == pytest.approx(math.log(10), abs=1e-15)
    assert all(after < before for before, after in itertools.pairwise(losses))
    unseen = x[digits.TRAIN :] @ weights + bias
    # A hundred steps of softmax regression classify nine of ten unseen digits correctly.
    assert np.mean(unseen.argmax(axis=1) == y[digits.TRAIN :]) > 0.88


def test_the_readme_shows_what_the_tour_prints(tmp_path):
    printed = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "tour.py")],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        cwd=tmp_path,
    )
    assert printed.stderr == ""
    assert (tmp_path / "out" / "digits_logits.npy").exists()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("<!-- the output of examples/tour.py -->\n```text\n")[2]
    assert shown.partition("\n```\n<!-- end -->")[0].strip() == printed.stdout.strip()


def test_the_language_model_has_the_same_losses_with_both():
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "language_model.py"), "--steps", "3"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split() for line in done.stdout.splitlines()]
    steps = {row[1]: [float(loss) for loss in row[2:]] for row in rows if row[0] == "step"}
    assert set(steps) == {"1", "2", "3"}
    for theirs, ours in steps.values():
        assert ours == pytest.approx(theirs, rel=1e-3)
    assert steps["3"][0] < steps["1"][0]
    assert any(row[:2] == ["time", "of"] for row in rows)


def test_the_notebook_runs_and_shows_the_page():
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / "examples" / "one_example.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)  # as they are committed
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert all(out.output_type in ("stream", "execute_result") for out in outputs)
    shown = [out.data for out in outputs if out.output_type == "execute_result"]
    assert len(shown) == 3
    assert all("<table" in data["text/html"] for data in shown)
    assert "Why the loss is" in shown[0]["text/html"]
    assert "J = −log a_3 = −log 0.09599 = 2.3435" in shown[0]["text/plain"]
    said = "".join(out.text for out in outputs if out.output_type == "stream")
    assert all(title in said for title in (q.title for q in QUESTIONS.values()))
