"""`check_file` and `softmaxloss check`: each file in a process of its own, and what is written."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from softmaxloss.check.isolated import check_file
from softmaxloss.check.terms import Terms
from softmaxloss.cli import main

SUBMISSIONS = {
    "right": "import numpy as np\ndef f(x, y):\n"
    "    z = x - x.max(axis=1, keepdims=True)\n"
    "    log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))\n"
    "    return -log_a[np.arange(len(y)), y].mean()\n",
    "minus": "import numpy as np\ndef f(x, y):\n"
    "    a = np.exp(-x) / np.exp(-x).sum(axis=1, keepdims=True)\n"
    "    return -np.log(a[np.arange(len(y)), y]).mean()\n",
    "endless": "while True:\n    pass\n",
    "exits": "import sys\ndef f(x, y):\n    sys.exit(0)\n",
    "exits_hard": "import os\nos._exit(0)\n",
    "crashes": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "syntax": "def f(x y):\n    pass\n",
    "missing": "def g(x, y):\n    return 0\n",
    "greedy": "def f(x, y):\n    return bytearray(1 << 40)\n",
    "patches": "import numpy as np\nnp.abs = lambda x: 0 * x\nnp.isfinite = lambda x: True\n"
    "import softmaxloss.check.judge as judge\njudge.is_right = lambda *a: True\n"
    "def f(x, y):\n    print('=1+1')\n    return 0.5 * x[0, 0]\n",
    "prints": "print('hello ' * 100000)\ndef f(x, y):\n    raise ValueError('no\x1b[31m')\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, code in SUBMISSIONS.items():
        (tmp_path / f"{name}.py").write_text(code)
    return tmp_path


def test_each_file_in_a_process_of_its_own(folder: Path) -> None:
    terms = Terms(seed=1)
    said = {
        name: check_file(folder / f"{name}.py", "f", terms, timeout=2 if name == "endless" else 8)
        for name in SUBMISSIONS
    }
    assert said["right"].verdict == "right"
    assert said["minus"].mistakes == ["exp-minus-z", "no-max"]
    problems = {name: report.problem for name, report in said.items() if report.problem}
    assert problems == {
        "endless": "it took longer than 2 seconds",
        "exits": "it called sys.exit: 0",
        "exits_hard": "it ended before the check was over",
        "crashes": "it crashed: SIGSEGV",
        "syntax": "SyntaxError: invalid syntax (syntax.py, line 1)",
        "missing": "AttributeError: there is no f in missing.py; there is g",
        "greedy": "MemoryError: ",
        "prints": "ValueError: no\x1b[31m",
    }
    assert said["patches"].verdict == "wrong"
    assert "numpy-changed" in said["patches"].mistakes
    assert len(said["prints"].printed) == 2000
    assert not [p for p in folder.iterdir() if p.suffix != ".py"]


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(folder)
    (folder / "endless.py").unlink()

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["check", *arguments])
        return code, capsys.readouterr().out

    assert run("right.py:f")[0] == 0
    code, out = run("minus.py:f", "--seed", "3")
    assert code == 1
    assert "exp-minus-z" in out
    assert "seed 3" in out
    code, out = run("prints.py:f")
    assert code == 2
    assert out.startswith("not checked: ValueError: no\\x1b[31m\n")
    code, out = run("*.py:f", "--csv", "grades.csv", "--junit", "report.xml")
    assert code == 1
    assert "minus.py: wrong (exp-minus-z, no-max)" in out
    assert out.endswith(f"1 of {len(SUBMISSIONS) - 1} right\n")
    rows = list(csv.DictReader((folder / "grades.csv").open(encoding="utf-8")))
    assert {row["file"]: row["verdict"] for row in rows}["right.py"] == "right"
    assert {row["file"]: row["mistakes"] for row in rows}["minus.py"] == "exp-minus-z no-max"
    suite = ElementTree.parse(folder / "report.xml").getroot()
    assert len(suite) == len(SUBMISSIONS) - 1
    assert int(suite.get("failures", 0)) == 2
    code, out = run("right.py:f", "--json")
    assert json.loads(out)["verdict"] == "right"
    for wrong in ("right.py", "right.py:", "nowhere/*.py:f", "right.py:f(x)"):
        assert main(["check", wrong]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_class_of_files(tmp_path: Path) -> None:
    for n in range(24):
        code = SUBMISSIONS["right" if n % 2 else "minus"]
        (tmp_path / f"{n:03}.py").write_text(code)
    assert main(["check", f"{tmp_path}/*.py:f", "--csv", str(tmp_path / "grades.csv")]) == 1
    rows = list(csv.DictReader((tmp_path / "grades.csv").open(encoding="utf-8")))
    assert [row["verdict"] for row in rows] == ["wrong", "right"] * 12


def test_a_test_to_keep(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for name, passes in (("right", True), ("minus", False)):
        assert main(["check", f"{name}.py:f", "--write-test", f"test_{name}.py"]) == 1 - passes
        command = [sys.executable, "-m", "pytest", "-q", f"test_{name}.py"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (done.returncode == 0) == passes, done.stdout
    assert "# found: exp-minus-z, no-max" in (folder / "test_minus.py").read_text()
    assert main(["check", "*.py:f", "--write-test", "t.py"]) == 2
