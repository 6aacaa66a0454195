"""Planted bugs: each in a copy of the kernel's source, for which the suite must then fail.

The bugs are easy to make and hard to see: an error of a few units in the last place; one class, one
lane or the denominator of one row wrong in one loop of several.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from softmaxloss.kernels import cpu

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "softmaxloss" / "kernels" / "cpu"
COMPILER = next(filter(None, map(shutil.which, (os.environ.get("CXX", "c++"), "g++"))), None)

# The part of the suite that runs on each bug: the errors in ulps, and rows alone and in a batch.
SUITE = [
    "tests/test_accuracy.py::test_goals",
    "tests/test_kernels.py::test_same_bits_in_any_batch",
]
ONLY = "test_goals or (float32 or float64) and (normal or peaked) and index"

# name: (file, the text there, the text planted instead)
BUGS = {
    "8 ulp in the loss": (
        "softmax.h",
        "{ return (frame.m - z) + log1p(S, inverse); }",
        # 4 to 8 units of a float
        "{ return ((frame.m - z) + log1p(S, inverse)) * (1 + 0x1p-21); }",
    ),
    "8 ulp in the gradient": (
        "softmax.h",
        "fma(term, hi, term * lo) * last;",
        "fma(term, hi, term * lo) * last * (1 + 0x1p-21f);",
    ),
    "the last class of a row": (
        "rows.h",
        "const int64_t last = classes - lanes, from",
        "const int64_t last = classes - lanes - 1, from",
    ),
    "the last class of a tile": (
        "tile.h",
        "for (int c = 0; c < classes; ++c) {",
        "for (int c = 0; c < classes - 1; ++c) {",
    ),
    "another row's denominator": (
        "batch.h",
        "scaling.set(r, Scaling<Real>::of(softmax, factor[r] * weight[r]));",
        "scaling.set(r ^ 1, Scaling<Real>::of(softmax, factor[r] * weight[r]));",
    ),
    "a lane of a row's sum": (
        "sum.h",
        "std::memcpy(lo, lo_, sizeof lo);",
        "std::memcpy(lo, lo_, sizeof lo);\n        hi[lanes - 1] = 0;",
    ),
    "a lane of a tile's sum": (
        "tile.h",
        "return l + apart < classes_ ? add(",
        "return l + apart < classes_ && l != 1 ? add(",
    ),
}

RUN = """
import importlib.util, sys
name = "softmaxloss.kernels.cpu._cpu"
spec = importlib.util.spec_from_file_location(name, sys.argv[1])
sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[name])
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""


def compile_(*arguments: str | Path) -> None:
    done = subprocess.run(
        [str(COMPILER), "-std=c++17", "-fPIC", "-fvisibility=hidden", "-w", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension without its loops, compiled once for all processes that run tests."""
    if COMPILER is None:
        pytest.skip("no C++ compiler")
    nanobind = Path(pytest.importorskip("nanobind").__file__).parent
    base = tmp_path_factory.getbasetemp()
    parallel = "PYTEST_XDIST_WORKER" in os.environ  # then the parent is common to the processes
    folder = (base.parent if parallel else base) / "rest"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            partial.mkdir(exist_ok=True)
            compile_rest(nanobind, partial)
            partial.rename(folder)
    return folder


def compile_rest(nanobind: Path, folder: Path) -> None:
    include = [
        f"-I{sysconfig.get_path('include')}",
        f"-I{nanobind / 'include'}",
        f"-I{nanobind / 'ext' / 'robin_map' / 'include'}",
        f"-I{SOURCE}",
    ]
    sources = [nanobind / "src" / "nb_combined.cpp"]
    sources += [SOURCE / f"{name}.cpp" for name in ("bind", "dispatch", "threads")]
    with ThreadPoolExecutor() as pool:
        list(
            pool.map(
                lambda file: compile_(
                    "-O1", "-DNDEBUG", "-fno-strict-aliasing", *include,
                    "-c", "-o", folder / f"{file.stem}.o", file,
                ),
                sources,
            )
        )  # fmt: skip


def suite_with(source: Path, rest: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Compile the loops of `source` and run the suite on them."""
    fast = ["-mavx2", "-mfma"] if "avx2" in cpu.levels() else []
    options = ["-O1", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
    compile_(*options, *fast, "-DLEVEL=baseline", "-c", "-o", folder / "l.o", source / "level.cpp")
    linker = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-pthread"]
    module = folder / f"_cpu{sysconfig.get_config_var('EXT_SUFFIX')}"
    compile_("-shared", *linker, "-o", module, folder / "l.o", *sorted(rest.glob("*.o")))
    return subprocess.run(
        [sys.executable, "-c", RUN, module, "-x", "-p", "no:cacheprovider", "-k", ONLY, *SUITE],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "SOFTMAXLOSS_CPU"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_unchanged_source_passes(rest: Path, tmp_path: Path) -> None:
    """So that the failures below are due to the planted bugs."""
    done = suite_with(SOURCE, rest, tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str, rest: Path, tmp_path: Path) -> None:
    file, before, after = BUGS[bug]
    source = tmp_path / "source"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("*.py*", "__pycache__"))
    text = (source / file).read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{file} has changed: plant this bug anew"
    (source / file).write_text(text.replace(before, after), encoding="utf-8")
    done = suite_with(source, rest, tmp_path)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "AssertionError" in done.stdout or "assert" in done.stdout
