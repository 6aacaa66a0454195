"""`softmaxloss check`: several files, its outputs, what it refuses, how it is stopped."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.submissions import METHODS, MINUS, RIGHT, WEAK

from softmaxloss.checking import BANK
from softmaxloss.cli import main

INDEXED = "negative-label-accepted"
STOPPED = "stopped before it was checked"

FILES = {
    "right": RIGHT,
    "minus": MINUS,
    "weak": WEAK,
    "columns": "def f(x, y):\n    return 0.5\n",
    "raises": "def f(x, y):\n    print('=1+1')\n    raise ValueError('no\\x1b[31m')\n",
}


pytestmark = pytest.mark.usefixtures("kept_workers")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, code in FILES.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(["check", *arguments])
        return code, *capsys.readouterr()

    return call


def test_one_file(run: Any) -> None:
    assert run("right.py:f")[0] == 0
    code, out, _ = run("minus.py:f", "--seed", "3")
    assert (code, out.count("seed 3"), out.count("(exp-minus-z)")) == (1, 1, 1)
    code, out, _ = run("raises.py:f")
    assert code == 2
    assert out.startswith("not checked: ValueError: no\\x1b[31m (line 3)\n   it printed: =1+1\n")
    code, out, _ = run("right.py:f", "--json")
    assert json.loads(out)["verdict"] == "right"
    code, out, _ = run("raises.py:f", "--json")
    assert json.loads(out)["verdict"] == "not checked"


def test_several_files(run: Any) -> None:
    code, out, _ = run("*.py:f", "--csv", "grades.csv", "--junit", "report.xml")
    assert code == 1
    *lines, last = out.splitlines()
    assert [line.partition(".py  ")[0].strip() for line in lines] == sorted(FILES)
    assert "right.py    right" in lines
    assert "weak.py     right        log-of-underflow" in lines
    assert "raises.py   not checked  ValueError: no\\x1b[31m (line 3)" in lines
    (minus,) = (line for line in lines if line.startswith("minus.py    wrong        exp(−z) for"))
    assert minus.endswith("before exp (exp-minus-z, no-max)")
    assert last == "2 right, 2 wrong, 1 not checked"
    assert set(graded("grades.csv")) == {(f"{name}.py", "f") for name in FILES}
    assert ElementTree.parse("report.xml").getroot().get("tests") == "5"


def test_one_object_for_one_function_and_a_list_for_several(run: Any) -> None:
    one = json.loads(run("minus.py:f", "--json")[1])
    assert (one["file"], one["function"], one["verdict"]) == ("minus.py", "f", "wrong")
    several = json.loads(run("[mr]*.py:f", "--json")[1])
    assert [found["file"] for found in several] == ["minus.py", "raises.py", "right.py"]
    assert [bool(found["reason"]) for found in several] == [True, True, False]
    assert [finding["wrong"] for finding in one["findings"]] == [True]


def test_the_mistakes_are_listed_and_explained(run: Any) -> None:
    code, out, _ = run("--list-mistakes")
    assert (code, [line.split()[0] for line in out.splitlines()]) == (0, [*BANK])
    code, out, _ = run("--explain", "sum")
    assert (code, len(out.splitlines())) == (0, 3)
    assert BANK["sum"].why in out
    nearest = "softmaxloss: error: unknown mistake: 'sums'; the nearest is sum\n"
    assert run("--explain", "sums") == (2, "", nearest)


def graded(file: str) -> dict[tuple[str, str], dict[str, str]]:
    """The rows of a table by file and function."""
    with open(file, encoding="utf-8-sig", newline="") as table:
        return {(row["file"], row["function"]): row for row in csv.DictReader(table)}


def test_a_folder_and_what_is_not_in_its_files(run: Any) -> None:
    Path("class").mkdir()
    for name in ("a", "b"):
        Path(f"class/{name}.py").write_text(RIGHT)
    Path("class/other.py").write_text("def g(z, y):\n    return 0\n")
    code, out, stderr = run("class:f")
    assert (code, out.splitlines()) == (0, ["class/a.py  right", "class/b.py  right", "2 right"])
    assert stderr == "1 file without f: class/other.py\n"


TWO = RIGHT + MINUS.replace("def f(", "def g(")


def test_several_functions(run: Any) -> None:
    Path("two.py").write_text(TWO)
    code, out, _ = run("two.py:f,g,f", "--junit", "report.xml")
    assert code == 1
    *lines, last = out.splitlines()
    assert [line.split()[:2] for line in lines] == [["two.py:f", "right"], ["two.py:g", "wrong"]]
    assert last == "1 right, 1 wrong"
    cases = ElementTree.parse("report.xml").getroot().iter("testcase")
    assert [(case.get("classname"), case.get("name")) for case in cases] == [
        ("two", "f"),
        ("two", "g"),
    ]
    _, out, _ = run("two.py:f,g", "--json")
    found = [(one["file"], one["function"], one["verdict"]) for one in json.loads(out)]
    assert found == [("two.py", "f", "right"), ("two.py", "g", "wrong")]


def test_a_folder(run: Any) -> None:
    """Each file that has the function, notebooks too; not what is installed or hidden."""
    cells = [{"cell_type": "code", "source": ["%pylab\n", "import numpy as np"]},
             {"cell_type": "code", "source": TWO}]  # fmt: skip
    files = {
        "work/a.py": RIGHT,
        "work/b/book.ipynb": json.dumps({"cells": cells}),
        "work/b/none.py": "def ff(): pass\nx = f\n",
        "work/b/broken.ipynb": "{",
        "work/.hidden/a.py": RIGHT,
        "work/venv/lib/site-packages/a.py": RIGHT,
    }
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    code, out, _ = run("work:f")
    assert (code, [line.split()[:2] for line in out.splitlines()]) == (
        0,
        [["work/a.py", "right"], ["work/b/book.ipynb", "right"], ["2", "right"]],
    )
    code, out, _ = run("work:f,g")
    assert [line.split()[0] for line in out.splitlines()[:-1]] == [
        "work/a.py:f",
        "work/b/book.ipynb:f",
        "work/b/book.ipynb:g",
    ]
    code, out, stderr = run("work:missing")
    assert (code, out) == (2, "")
    assert "work: no file in it has missing" in stderr


def test_exit_codes_for_several_files(run: Any) -> None:
    for name in ("right", "raises"):
        Path(f"{name}2.py").write_text(FILES[name])
    assert run("right*.py:f")[0] == 0
    assert run("raises*.py:f")[0] == 2
    assert run("r*.py:f")[0] == 1


def test_mistakes_come_before_weaknesses(run: Any) -> None:
    code = WEAK.replace("mean()\n", "mean(), (a + np.eye(a.shape[1])[y]) / len(y)\n")
    Path("weak.py").write_text(code)
    _, out, _ = run("[mw]*.py:f", "--strict", "--csv", "grades.csv")
    (weak,) = (line for line in out.splitlines() if line.startswith("weak.py"))
    assert weak.index(BANK["plus-one"].title) < weak.index(BANK["log-of-underflow"].title)
    row = graded("grades.csv")["weak.py", "f"]
    assert (row["mistakes"], row["weaknesses"]) == ("plus-one", "log-of-underflow")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["weak.py:f"], 0),
        (["weak.py:f", "--strict"], 1),
        (["weak.py:f", "--strict", "--allow", "log-of-underflow"], 0),
        (["right.py:f", "--strict"], 0),
        (["right.py:f", "--deny", INDEXED], 1),
        (["minus.py:f", "--level", "textbook"], 1),
        (["minus.py:f", "--level", "textbook", "--allow", "exp-minus-z"], 0),
        (["minus.py:f", "--allow", "exp-minus-z", "--allow", "no-max"], 0),
        (["right.py:f", "--layout", "columns"], 2),
        (["right.py:f", "--layout", "rows"], 0),
    ],
)
def test_settings(run: Any, arguments: list[str], code: int) -> None:
    assert run(*arguments)[0] == code


@pytest.mark.parametrize(
    "wrong",
    [
        ["right.py"],
        ["right.py:"],
        ["nowhere/*.py:f"],
        ["right.py:f(x)"],
        ["right.py:f..g"],
        ["right.py:f,"],
        ["right.py:f,f", "--write-test", "right.py"],
        ["right.py:f,g", "--write-test", "t.py"],
        ["right.py:f", "--allow", "no-such"],
        ["right.py:f", "--deny", "no-such"],
        ["right.py:f", "--deny", "sum", "--allow", "sum"],
        ["right.py:f", "--level", "high"],
        ["right.py:f", "--layout", "diagonal"],
        *(["right.py:f", "--timeout", time] for time in ("0", "-1", "inf", "1e400", "1e12", "nan")),
        *(["right.py:f", option, "no/such"] for option in ("--csv", "--junit", "--write-test")),
        *(["right.py:f", option, "."] for option in ("--csv", "--junit", "--write-test")),
        ["*.py:f", "--csv", "minus.py"],
        ["*.py:f", "--write-test", "t.py"],
        ["class.py:f", "--write-test", "t.py"],
        ["queue.py:f", "--write-test", "t.py"],
        ["2nd.py:f", "--write-test", "t.py"],
    ],
)
def test_arguments_that_are_refused_before_any_check(
    wrong: list[str], run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("softmaxloss.cli.check.check_files")
    for name in ("class", "queue", "2nd"):
        Path(f"{name}.py").write_text(RIGHT)
    code, out, stderr = run(*wrong)
    assert (code, out, len(stderr.splitlines())) == (2, "", 1)
    assert Path("minus.py").read_text() == MINUS


def test_a_test_to_keep(run: Any) -> None:
    """It fails exactly when the verdict is wrong."""
    Path("methods.py").write_text(METHODS)
    kept = [
        ("right.py:f", []),
        ("minus.py:f", []),
        ("minus.py:f", ["--allow", "exp-minus-z", "--allow", "no-max"]),
        ("weak.py:f", ["--strict", "--dtype", "float32", "--kind", "loss"]),
        ("methods.py:Loss.forward", ["--layout", "rows"]),
        ("methods.py:Callable", []),
        ("methods.py:Sized.static", []),
    ]
    codes = [
        run(what, "--write-test", f"test_{k}.py", *options)[0]
        for k, (what, options) in enumerate(kept)
    ]
    assert set(codes) == {0, 1}
    written = [f"test_{k}.py" for k in range(len(kept))]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", *written], capture_output=True, text=True
    )
    for file, code in zip(written, codes, strict=True):
        assert done.stdout.count(f"{'FAILED' if code else 'PASSED'} {file}") == 1, done.stdout


def test_no_test_where_nothing_was_checked(run: Any) -> None:
    code, _, stderr = run("raises.py:f", "--write-test", "test_it.py")
    assert (code, stderr) == (2, "no test written: it was not checked\n")
    assert not Path("test_it.py").exists()


def stop(sent: signal.Signals) -> tuple[int, str, str, float]:
    """Stop a check of files: the exit code, the outputs and the seconds until it ends.

    The processes that run the files must end too.
    """
    for name in ("right2", "right3"):
        Path(f"{name}.py").write_text(RIGHT)
    for name, what in (("y_endless", "while True: pass"), ("z_asleep", "time.sleep(600)")):
        Path(f"{name}.py").write_text(
            "import os, time\nclass AtImport:\n"
            "    open('process', 'w').write(str(os.getpid()))\n"  # in a folder of its own
            f"    {what}\n"
        )
    Path("temporary").mkdir()
    check = ["check", "*.py:f", "--csv", "grades.csv", "--timeout", "60"]
    command = subprocess.Popen(
        [sys.executable, "-m", "softmaxloss", *check],
        env=os.environ | {"TMPDIR": str(Path("temporary").resolve())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background ignore interrupts, and processes inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: any(told()))
    until(lambda: len(list(Path("temporary").iterdir())) <= 2)  # the last ones
    processes = told()
    began = time.monotonic()
    command.send_signal(sent)
    out, stderr = command.communicate()
    seconds = time.monotonic() - began
    for process in filter(None, processes):
        until(lambda process=process: not is_running(int(process)))
    return command.returncode, out, stderr, seconds


def told() -> list[str]:
    """The processes of the files that tell."""
    return [path.read_text() for path in Path("temporary").glob("*/**/process")]


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60  # on a busy machine, too
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_is_stopped(sent: signal.Signals, code: int) -> None:
    found, out, stderr, seconds = stop(sent)
    assert found == code
    assert seconds < 30  # the function never returns
    assert not list(Path("temporary").iterdir())
    rows = graded("grades.csv")
    assert [file for file, _ in rows] == sorted(str(file) for file in Path().glob("*.py"))
    stopped = [file for (file, _), row in rows.items() if row["problem"] == STOPPED]
    assert {"y_endless.py", "z_asleep.py"} <= set(stopped)
    assert len(stopped) < 9
    assert stderr == f"stopped: {9 - len(stopped)} of 9 were checked\n"
    assert out.count(STOPPED) == len(stopped)
    assert out.endswith(" not checked\n")


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_it_is_killed() -> None:
    assert stop(signal.SIGKILL)[0] == -signal.SIGKILL
    assert not Path("grades.csv").exists()
