"""`check_file`: a function in a process of its own, which nothing it does can disturb."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.submissions import METHODS, MINUS, RIGHT

from softmaxloss.checking.calling.calls import Attempt
from softmaxloss.checking.calling.forms import Form
from softmaxloss.checking.calling.frameworks import frameworks_of
from softmaxloss.checking.reference import Results
from softmaxloss.checking.report import Report
from softmaxloss.checking.sandbox import process
from softmaxloss.checking.sandbox.process import check_file, check_files
from softmaxloss.checking.sandbox.protocol import decode, encode
from softmaxloss.checking.sandbox.worker import Worker
from softmaxloss.checking.settings import Settings

pytestmark = pytest.mark.usefixtures("kept_workers")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def checked(code: str, function: str = "f", timeout: float = 8) -> Report:
    Path("file.py").write_text(code)
    return check_file("file.py", function, Settings(seed=1), timeout=timeout)


def first(code: str, of: str) -> str:
    """The function f, with a line of code before the others."""
    return of.replace("(x, y):\n", f"(x, y):\n    {code}\n")


def at_import(code: str) -> str:
    """Code that runs when the file is imported, as the bodies of classes do."""
    return f"class AtImport:\n{textwrap.indent(code, '    ')}\n"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("def f(x, y):\n    while True: pass\n", "it took longer than 2 seconds (line 2)"),
        ("import sys\nf = sys.exit(0)\n", "importing it failed: it called sys.exit: 0 (line 2)"),
        ("import sys\ndef f(x, y):\n    sys.exit(0)\n", "it called sys.exit"),
        ("import os\nf = os._exit(0)\n", "it ended before the check was over"),
        ("import os\nf = os._exit(3)\n", "it ended with exit code 3 before the check was over"),
        ("import os\nf = os.kill(os.getpid(), 11)\n", "it crashed: SIGSEGV"),
        ("def f(x y):\n    pass\n", "SyntaxError: invalid syntax (file.py, line 1)"),
        ("def f(x, y):\n    return bytearray(1 << 40)\n", "MemoryError (line 2)"),
        ("def f(x, y):\n    raise ValueError('no\\x1b[31m\\nmore')\n", "ValueError: no\\x1b[31m "
         "(line 2)"),
        ("f = int('x' * 5_000_000)\n", "importing it failed: ValueError: invalid literal for int() "
         f"with base 10: '{'x' * 158}… (line 1)"),
        (first("raise ValueError('x' * 5_000_000)", RIGHT), f"ValueError: {'x' * 199}… (line 3)"),
        ("f = open('big', 'w').write('x' * (70 << 20))\n",
         "importing it failed: OSError: [Errno 27] File too large (line 1)"),
        ("f = print('x' * (70 << 20))\n", "f in file.py is not a function: NoneType"),
        ("class E(Exception):\n    def __str__(self):\n        1 / 0\ndef f(x, y): raise E\n",
         "E (line 4)"),
        ("", "file.py has no f, nor anything else that can be called"),
        ("from math import *\ndef g():\n    pass\n", "file.py has no f; it has g, acos, "
         "acosh, asin, asinh, atan, atan2, atanh, cbrt, ceil, …"),
        ("f = 3\n", "f in file.py is not a function: int"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_checked(code: str, problem: str) -> None:
    report = checked(code, timeout=2)
    assert (report.verdict, report.problem) == ("not checked", problem)


@pytest.mark.parametrize(
    ("trouble", "problem"),
    [
        ("while x.ndim != 2: pass", "it took longer than 3 seconds (line 3)"),
        ("import os; x.ndim == 2 or os._exit(1)", "it ended with exit code 1 before the check was "
         "over"),
        ("import os; x.ndim == 2 or os.abort()", "it crashed: SIGABRT"),
        # Half a line of the answer.
        ("import os; x.ndim == 2 or [os.write(3, b'{'), os._exit(0)]", "it ended before the check "
         "was over"),
        ("import os; x.ndim == 2 or os.write(3, b'}\\n')", "its results cannot be read"),
    ],
)  # fmt: skip
def test_trouble_in_a_form_that_was_not_meant(trouble: str, problem: str) -> None:
    assert checked(first(trouble, RIGHT), timeout=3).verdict == "right"
    report = checked(first(trouble, MINUS), timeout=3)
    assert report.mistakes[0] == "exp-minus-z"
    assert report.findings[0].remarks[-1] == f"other ways to call it were not tried: {problem}"


def test_an_exit_in_one_form_leaves_the_others() -> None:
    columns = RIGHT.replace("=1", "=0").replace("np.arange(len(y)), y", "y, np.arange(len(y))")
    code = first("import sys; x.shape[1] == len(y) or sys.exit(1)", columns)
    report = checked(code)
    assert report.form is not None
    assert report.form.layout == "columns"
    assert report.verdict == "right"


def test_the_framework_of_what_is_wrapped() -> None:
    class Compiled:
        __module__ = "jaxlib.of"

        def __call__(self, z: Any, y: Any) -> Any:
            return z

    compiled = functools.update_wrapper(Compiled(), lambda z, y: z)

    @functools.wraps(compiled)
    def call(*arguments: Any) -> Any:
        return compiled(*arguments)

    assert frameworks_of(call) == ["jax", "numpy"]


@pytest.mark.parametrize(
    "line",
    [
        b"3\n",
        b"[" * 100_000 + b"\n",
        b'{"Done": {}}\n',
        b'{"Done": {"problem": ' + b"9" * 5000 + b"}}\n",
        encode(Attempt(Form(order=("me",)), [])),  # type: ignore[arg-type]
        encode(Attempt(Form(), [Results(None, "1", None)])),
    ],
)
def test_an_invalid_message(line: bytes) -> None:
    report = checked(at_import(f"import os\nos.write(3, {line!r})") + RIGHT)
    assert report.problem == "its results cannot be read"


def test_results_that_cannot_be_compared() -> None:
    """Three results for more inputs."""
    line = encode(Attempt(Form(), [Results(None, 1.0, None)] * 3))
    report = checked(at_import(f"import os\nos.write(3, {line!r})") + RIGHT)
    assert report.verdict == "not checked"
    assert report.problem is not None


def test_numbers_that_json_lacks() -> None:
    part = np.array([[1, np.nan, np.inf]], np.longdouble)
    message = decode(encode(Attempt(Form(), [Results(part, np.float32(0.1), None)])))
    assert isinstance(message, Attempt)
    softmax, loss, gradient, *_ = message.results[0]
    np.testing.assert_array_equal(softmax, part)
    assert loss.dtype == np.float32
    assert loss == np.float32(0.1)
    assert gradient is None


def test_a_process_cannot_run_for_ever() -> None:
    """Not even if no other process ends it."""
    code = "import resource\nf = int(f'is {resource.getrlimit(resource.RLIMIT_CPU)[1]}')\n"
    assert checked(code, timeout=7.5).problem == (
        "importing it failed: ValueError: invalid literal for int() with base 10: 'is 21' (line 2)"
    )


def test_a_forked_copy_sends_nothing() -> None:
    report = checked(at_import("import os\nif not os.fork():\n    1 / 0") + RIGHT)
    assert report.verdict == "right"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("import time; time.sleep(100)", "it waited longer than 1 seconds (line 3)"),
        ("sum(iter(int, 1))", "it took longer than 1 seconds"),  # no return to Python
        ("import os; os.kill(os.getpid(), 19)", "it did not end in 2 seconds"),
        ("import signal; signal.setitimer(2, 0)\n    while True: pass",
         "it took longer than 1 seconds"),
    ],
)  # fmt: skip
def test_time(line: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "did not end" in problem:
        monkeypatch.setattr("softmaxloss.checking.sandbox.process.PATIENCE", 2)
    assert checked(first(line, RIGHT), timeout=1).problem == problem


def test_correct_work_beside_others_that_take_all_processors() -> None:
    """The limit is on its own processor time, not on the clock."""
    Path("busy.py").write_text("def f(x, y):\n    while True: pass\n")
    slow = first("for _ in range(5_000): x.sum()", RIGHT)
    for name in "abc":
        Path(f"{name}.py").write_text(slow)
    names = ["busy", "a", "busy", "b", "c"]
    found = check_files([(f"{name}.py", "f") for name in names], Settings(seed=1), timeout=3)
    for (path, _), report in found:
        assert report.verdict == ("not checked" if path == "busy.py" else "right"), report.problem


TROUBLE = {
    "ends": "import os; os._exit(1)",
    "waits": "import time; time.sleep(1000)",
    "prints": "while True: print('x' * 10_000)",
    "closes its files": "import os\nos.closerange(0, 100)",
    "reads": "import sys\nwhile True: sys.stdin.read()",
}


def test_trouble_without_a_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems that have none, where each file has a process of its own."""
    monkeypatch.setattr("softmaxloss.checking.sandbox.worker.SUPERVISED", False)
    wanted = []
    for name, code in TROUBLE.items():
        Path(f"{name}.py").write_text(f"{at_import(code)}raise ValueError\n")
        Path(f"after {name}.py").write_text(RIGHT)
        wanted += [(f"{name}.py", "f"), (f"after {name}.py", "f")]
    found = {path: report for (path, _), report in check_files(wanted, Settings(), timeout=1)}
    assert len(found) == len(wanted)
    for path, report in found.items():
        assert report.verdict == ("right" if "after" in path else "not checked"), path


def test_a_link_to_itself() -> None:
    os.symlink("loop.py", "loop.py")
    assert check_file("loop.py", "f", Settings()).problem == "no such file: loop.py"


def test_modules_beside_the_file() -> None:
    for name in ("queue", "scipy", "helper"):
        Path(f"{name}.py").write_text("ours = True\n")
    report = checked(
        first("helper.ours, queue.Queue, scipy.linalg", f"import helper, queue, scipy\n{RIGHT}")
    )
    assert report.verdict == "right"


def test_an_exported_notebook() -> None:
    assert checked(f"get_ipython().run_line_magic('matplotlib', 'inline')\n{RIGHT}").form
    assert "'Agg'" in str(checked("import os\nf = int(os.environ['MPLBACKEND'])").problem)


def test_what_it_changes_and_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    report = checked(
        "import numpy as np\nnp.abs = lambda x: 0 * x\nnp.isfinite = lambda x: True\n"
        "import softmaxloss.checking.diagnosis.mistakes as m\nm.is_right = lambda *a: True\n"
        "def f(x, y):\n    print('hello ' * 100)\n    return 0.5\n"
    )
    assert report.verdict == "wrong"
    assert "numpy-changed" in report.mistakes
    assert len(report.printed) == 2000
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    monkeypatch.setattr(process, "Worker", Worker)  # a new one, with this environment
    assert checked("def f(x, y):\n    1 / 0\nf.a = print('a word')").printed == "a word\n"
    assert [path.name for path in Path().iterdir()] == ["file.py"]


MODULE = """import torch
class Module(torch.nn.Module):
    def forward(self, x, y):
        return torch.nn.functional.cross_entropy(x, y)
"""


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("Loss.forward", "Loss().forward"),
        ("Sized.static", "Sized.static"),
        ("Callable", "Callable()"),
        ("Module", "Module()"),
        ("made.forward", "made.forward"),
        ("Sized.forward", "object.__new__(Sized).forward"),  # which needs nothing of its object
    ],
)
def test_methods(name: str, function: str) -> None:
    report = checked(MODULE if name == "Module" else METHODS, name, timeout=20)
    assert (report.verdict, report.function, report.problem) == ("right", function, None)
    assert report.form is not None
    assert report.form.framework == ("torch" if name == "Module" else "numpy")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Sum", "instances of Sum cannot be called; name a method: Sum.static"),
        ("Loss.g", "Loss has no g; it has forward, static"),
    ],
)
def test_invalid_methods(name: str, problem: str) -> None:
    assert str(checked(METHODS, name).problem).startswith(problem)


def test_it_is_imported_on_systems_without_limits() -> None:
    code = (
        "import sys; sys.modules.update(resource=None, ctypes=None); "
        "import softmaxloss.checking.sandbox."
    )
    for module in ("child", "process"):
        subprocess.run([sys.executable, "-c", f"{code}{module}"], check=True)
