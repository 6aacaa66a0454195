"""The examples do what they say; the README and the tour show what they print."""

from __future__ import annotations

import doctest
import itertools
import json
import math
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from docs import tour

from softmaxloss.explanation import QUESTIONS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
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


def test_the_tour_page_shows_what_the_tour_prints(tmp_path):
    printed = tour.printed(tmp_path)
    assert (tmp_path / "out" / "digits_logits.npy").exists()
    page = tour.PAGE.read_text(encoding="utf-8")
    assert page == tour.written(page, printed)
    assert page.count(printed) == 1


def consoles():
    """(command, output) of each command in the README's console blocks."""
    for block in re.findall(r"^```console\n(.*?)^```$", README, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield pytest.param(command, output, id=command)


@pytest.mark.parametrize(("command", "shown"), list(consoles()))
def test_the_readme_shows_what_its_commands_print(command, shown):
    """In the output that is shown, "…" stands for any text."""
    program, *arguments = shlex.split(command)
    assert program == "softmaxloss"
    done = subprocess.run(
        [sys.executable, "-m", program, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
    )
    assert done.stderr == ""
    assert re.fullmatch(re.escape(shown).replace("…", ".*?"), done.stdout, re.DOTALL), done.stdout


def test_the_readme_has_console_blocks():
    assert len(list(consoles())) == 3


def test_the_readme_shows_the_function_that_it_checks():
    code = (ROOT / "examples" / "my_loss.py").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert code.endswith(shown)


def test_the_readme_computes_what_it_shows():
    pytest.importorskip("torch")
    failed, tried = doctest.testfile(
        str(ROOT / "README.md"), module_relative=False, optionflags=doctest.ELLIPSIS
    )
    assert failed == 0
    assert tried > 10


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_the_pages_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    links = [*re.findall(r"\]\(([^)#\s]+)[^)\s]*\)", text), *re.findall(r'src="([^"]+)"', text)]
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_index_lists_every_page():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert len(pages) >= 9
    assert not [name for name in pages if f"]({name})" not in index]


def confirm_language_model(printed):
    rows = [line.split() for line in printed.splitlines()]
    steps = {row[1]: [float(loss) for loss in row[2:]] for row in rows if row[0] == "step"}
    assert set(steps) == {"1", "2"}
    for theirs, ours in steps.values():
        assert ours == pytest.approx(theirs, rel=1e-3)
    assert steps["2"][0] < steps["1"][0]
    assert any(row[:2] == ["time", "of"] for row in rows)


def test_the_language_model_has_the_same_losses_with_both(monkeypatch, capsys):
    """In this process, and with small batches."""
    pytest.importorskip("torch")
    import language_model

    def run(program, **_):
        *_, steps, option, name = program
        assert option == "--loss"
        return SimpleNamespace(stdout=json.dumps(language_model.train(name, int(steps))))

    monkeypatch.setattr(language_model, "subprocess", SimpleNamespace(run=run, PIPE=None))
    monkeypatch.setattr(language_model, "BATCH", 128)
    monkeypatch.setattr(sys, "argv", ["language_model.py", "--steps", "2"])
    language_model.main()
    confirm_language_model(capsys.readouterr().out)


@pytest.mark.slow
def test_the_language_model_as_it_is_run():
    pytest.importorskip("torch")
    command = [sys.executable, str(ROOT / "examples" / "language_model.py"), "--steps", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    confirm_language_model(done.stdout)


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
    assert "How does the network know which output to raise?" in shown[0]["text/html"]
    assert "J = −log a_3 = −log 0.09599 = 2.3435" in shown[0]["text/plain"]
    said = "".join(out.text for out in outputs if out.output_type == "stream")
    assert all(title in said for title in (q.title for q in QUESTIONS.values()))
