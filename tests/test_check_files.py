"""`check_file`: a function in a process of its own, which nothing it does can disturb."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
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
from softmaxloss.checking.sandbox.process import check_file
from softmaxloss.checking.sandbox.protocol import decode, encode
from softmaxloss.checking.settings import Settings


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def checked(code: str, function: str = "f", timeout: float = 8) -> Report:
    Path("file.py").write_text(code)
    return check_file("file.py", function, Settings(seed=1), timeout=timeout)


def first(code: str, of: str) -> str:
    """The function f, with a line of code before the others."""
    return of.replace("(x, y):\n", f"(x, y):\n    {code}\n")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("while True:\n    pass\n", "it took longer than 2 seconds"),
        ("import sys\nsys.exit(0)\n", "it called sys.exit: 0"),
        ("import sys\ndef f(x, y):\n    sys.exit(0)\n", "it called sys.exit"),
        ("import os\nos._exit(0)\n", "it ended before the check was over"),
        ("import os\nos._exit(3)\n", "it ended with exit code 3 before the check was over"),
        ("import os\nos.kill(os.getpid(), 11)\n", "it crashed: SIGSEGV"),
        ("def f(x y):\n    pass\n", "SyntaxError: invalid syntax (file.py, line 1)"),
        ("def f(x, y):\n    return bytearray(1 << 40)\n", "MemoryError"),
        ("def f(x, y):\n    raise ValueError('no\\x1b[31m\\nmore')\n", "ValueError: no\\x1b[31m"),
        ("raise ValueError('x' * 5_000_000)\n", f"ValueError: {'x' * 287}…"),
        (first("raise ValueError('x' * 5_000_000)", RIGHT), f"ValueError: {'x' * 287}…"),
        ("print('x' * (70 << 20))\n", "OSError: [Errno 27] File too large"),
        ("class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E\n", "E"),
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
        ("while x.ndim != 2: pass", "it took longer than 3 seconds"),
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
    assert report.findings[0].remarks[-1:] == (f"other ways to call it were not tried: {problem}",)


def test_an_exit_in_one_form_leaves_the_others() -> None:
    columns = RIGHT.replace("=1", "=0").replace("np.arange(len(y)), y", "y, np.arange(len(y))")
    code = first("import sys; x.shape[1] == len(y) or sys.exit(1)", columns)
    report = checked(code)
    assert report.form == Form(columns=True)
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
    report = checked(f"import os\nos.write(3, {line!r})\n{RIGHT}")
    assert report.problem == "its results cannot be read"


def test_results_that_cannot_be_compared() -> None:
    """Three results for more inputs."""
    line = encode(Attempt(Form(), [Results(None, 1.0, None)] * 3))
    report = checked(f"import os\nos.write(3, {line!r})\n{RIGHT}")
    assert report.verdict == "not checked"
    assert report.problem is not None


def test_numbers_that_json_lacks() -> None:
    part = np.array([[1, np.nan, np.inf]], np.longdouble)
    message = decode(encode(Attempt(Form(), [Results(part, np.float32(0.1), None)])))
    assert isinstance(message, Attempt)
    softmax, loss, gradient = message.results[0]
    np.testing.assert_array_equal(softmax, part)
    assert loss.dtype == np.float32
    assert loss == np.float32(0.1)
    assert gradient is None


def test_a_process_that_outlives_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps writing into the folder that is removed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    report = checked(
        "import os, time\nif not os.fork():\n    os.setsid()\n    end = time.monotonic() + 2\n"
        "    while time.monotonic() < end:\n"
        f"        open(str(time.monotonic()), 'w').close()\n    os._exit(0)\n{RIGHT}"
    )
    assert report.verdict == "right"


def test_a_process_cannot_run_for_ever() -> None:
    """Not even if no other process ends it."""
    code = "import resource\nraise ValueError(resource.getrlimit(resource.RLIMIT_CPU)[1])\n"
    cores = os.cpu_count() or 1
    assert checked(code, timeout=7.5).problem == f"ValueError: {13 * cores}"


def test_a_forked_copy_sends_nothing() -> None:
    report = checked(f"import os\nif not os.fork():\n    1 / 0\n{RIGHT}")
    assert report.verdict == "right"


def test_a_link_to_itself() -> None:
    os.symlink("loop.py", "loop.py")
    assert check_file("loop.py", "f", Settings()).problem == "no such file: loop.py"


def test_modules_beside_the_file() -> None:
    for name in ("queue", "scipy", "helper"):
        Path(f"{name}.py").write_text("ours = True\n")
    report = checked(
        f"import helper, queue, scipy\nhelper.ours, queue.Queue, scipy.linalg\n{RIGHT}"
    )
    assert report.verdict == "right"


def test_an_exported_notebook() -> None:
    assert checked(f"get_ipython().run_line_magic('matplotlib', 'inline')\n{RIGHT}").form
    assert checked("import os\nraise ValueError(os.environ['MPLBACKEND'])").problem == (
        "ValueError: Agg"
    )


def test_what_it_changes_and_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    report = checked(
        "import numpy as np\nnp.abs = lambda x: 0 * x\nnp.isfinite = lambda x: True\n"
        "import softmaxloss.checking.diagnosis.mistakes as m\nm.is_right = lambda *a: True\n"
        "def f(x, y):\n    print('hello ' * 100)\n    return 0.5 * x[0, 0]\n"
    )
    assert report.verdict == "wrong"
    assert "numpy-changed" in report.mistakes
    assert len(report.printed) == 2000
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    assert checked("print('a word')\n1 / 0").printed == "a word\n"
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
        ("Loss", "instances of Loss cannot be called; name a method: Loss.forward, Loss.static"),
        ("Loss.g", "Loss has no g; it has forward, static"),
        ("Sized.forward", "Sized cannot be made without arguments: "),
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
