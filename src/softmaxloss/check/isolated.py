"""The check of a file's function in a process of its own, with limits.

The process calls the function and writes down what comes; what is right is computed and compared
here, where the function's code is not. Endless loops, crashes, exits, prints and a NumPy that was
changed harm nobody. It is no protection from malice: the process has the user's rights.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from .bank import BANK
from .collecting import Further, Try, collect
from .forms import Form
from .judge import judge
from .report import Report
from .steps import Results
from .terms import Terms

__all__ = ["check_file"]

MOST_SAID = 2000  # characters of what the code printed, kept


def check_file(
    path: str | os.PathLike[str],
    function: str,
    terms: Terms,
    *,
    timeout: float = 10.0,
    memory: int = 4 << 30,
) -> Report:
    """`check` of a function in a Python file, in a process of its own.

    timeout: seconds that the process may take. memory: bytes of data that it may hold.

    A file that cannot be run gives a report that says why, as does a function that is not there.
    """
    path = Path(path).resolve()
    request = {
        "file": str(path),
        "function": function,
        "terms": asdict(terms),
        "memory": memory,
    }
    with tempfile.TemporaryDirectory(prefix="softmaxloss-check-") as folder:
        answer = Path(folder) / "answer.json"
        printed = Path(folder) / "printed.txt"
        work = Path(folder) / "work"
        work.mkdir()
        problem = _run(request | {"answer": str(answer)}, work, printed, timeout)
        said = printed.read_text("utf-8", "replace")[:MOST_SAID] if printed.exists() else ""
        if problem is None:
            try:
                data = json.loads(answer.read_text("utf-8"))
                problem = data["problem"]
                tries = [_try(attempt) for attempt in data["tries"]]
            except (OSError, ValueError, KeyError, TypeError):
                problem, tries = "it ended before the check was over", []
            if problem is None:
                return replace(judge(tries, terms), printed=said)
        return Report("wrong", None, (), (), terms, problem or "it gave no answer", said)


def _run(request: dict[str, Any], work: Path, printed: Path, timeout: float) -> str | None:
    """Run the process; what went wrong, or None."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(work)}
    with open(printed, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=work,
            env=environment,
            start_new_session=True,  # so that what it starts ends with it
        )
        try:
            process.communicate(json.dumps(request).encode(), timeout=timeout)
        except subprocess.TimeoutExpired:
            return f"it took longer than {timeout:g} seconds"
        except BrokenPipeError:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    code = process.returncode
    if code < 0:
        return f"it crashed: {signal.Signals(-code).name}"
    return None if code == 0 else f"it ended with exit code {code} before the check was over"


# --- in the process -------------------------------------------------------------------------------


def main() -> None:
    """Read a request from standard input, and write the tries to the file it names."""
    request = json.loads(sys.stdin.buffer.read())
    _limit(request["memory"])
    answer: dict[str, Any] = {"tries": [], "problem": None}
    try:
        terms = Terms(**request["terms"])
        numpy = dict(vars(np))
        function = _load(Path(request["file"]), request["function"])
        tries = list(collect(function, terms))
        changed = any(vars(np).get(name) is not value for name, value in numpy.items())
        vars(np).update(numpy)
        for attempt in tries if changed else []:
            attempt.calls.append("numpy-changed")
        answer["tries"] = [_plain(attempt) for attempt in tries]
    except BaseException as error:
        # SystemExit, KeyboardInterrupt and MemoryError too: it is the function's, not ours.
        what = "it called sys.exit" if isinstance(error, SystemExit) else type(error).__name__
        answer["problem"] = f"{what}: {error}".partition("\n")[0]
    part = f"{request['answer']}.part"
    Path(part).write_text(json.dumps(answer), "utf-8")
    os.replace(part, request["answer"])
    os._exit(0)  # threads and exit handlers of the code are not waited for


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _load(path: Path, name: str) -> Any:
    """The function of a file; modules beside the file can be imported by it."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.name}")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("submission", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["submission"] = module
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        known = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise AttributeError(f"there is no {name} in {path.name}; there is {', '.join(known)}")
    return getattr(module, name)


def _plain(attempt: Try) -> dict[str, Any]:
    """A try as JSON can hold it (with NaN and Infinity, which Python's reads)."""
    return attempt._asdict() | {
        "form": asdict(attempt.form),
        "results": [_numbers(result) for result in attempt.results],
        "further": [(f.name, _numbers(f.results), f.problem) for f in attempt.further],
    }


def _numbers(results: Results) -> list[Any]:
    def plain(part: Any) -> Any:
        array = np.asarray(part)
        return {"dtype": array.dtype.str, "shape": array.shape, "values": array.ravel().tolist()}

    return [None if part is None else plain(part) for part in results]


def _try(attempt: Any) -> Try:
    """What `_plain` made plain."""
    return Try(
        form=Form(**attempt["form"] | {"order": tuple(attempt["form"]["order"])}),
        results=[_results(parts) for parts in attempt["results"]],
        problem=attempt["problem"],
        calls=[str(id) for id in attempt["calls"] if id in BANK],
        further=[Further(name, _results(p), problem) for name, p, problem in attempt["further"]],
        derived=attempt["derived"],
        follows=attempt["follows"],
    )


def _results(parts: Any) -> Results:
    return Results(*(_array(part) for part in parts))


def _array(part: Any) -> Any:
    if part is None:
        return None
    return np.array(part["values"], np.dtype(part["dtype"])).reshape(part["shape"])


if __name__ == "__main__":
    main()
