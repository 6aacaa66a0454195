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

import numpy as np
import pytest
from filelock import FileLock

from softmaxloss.kernels import cpu

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "softmaxloss" / "kernels" / "cpu"
COMPILER = next(filter(None, map(shutil.which, (os.environ.get("CXX", "c++"), "g++"))), None)

# The part of the suite that runs on each bug: the errors in ulps, rows alone and in a batch, and
# layouts.
SUITE = [
    "tests/test_accuracy.py::test_goals",
    "tests/test_accuracy.py::test_goals_with_options",
    "tests/test_accuracy.py::test_smoothing_over_several_chunks",
    "tests/test_kernels.py::test_same_bits_in_any_batch",
    "tests/test_kernel_layouts.py::test_same_bits_in_any_layout",
]
ONLY = (
    "test_goals or several_chunks or in_any_layout and (float32 or float64)"
    " or in_any_batch and (float32 or float64) and (normal or peaked) and not reference"
)

# name: (file, the text there, the text planted instead)
BUGS = {
    # one class with a coefficient
    "8 ulp in the loss": (
        "loss.h",
        ": total * (below + L);",
        # 4 to 8 units of a float
        ": total * (below + L) * (1 + 0x1p-21);",
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
        "nonzero = {}, y = {};\n            for (int c = 0; c < classes; ++c) {",
        "nonzero = {}, y = {};\n            for (int c = 0; c < classes - 1; ++c) {",
    ),
    "another row's denominator": (
        "batch.h",
        "gradient.scaling.set(r,",
        "gradient.scaling.set(r ^ 1,",
    ),
    "a lane of a row's sum": (
        "sum.h",
        "std::memcpy(lo, lo_, sizeof lo);",
        "std::memcpy(lo, lo_, sizeof lo);\n        hi[lanes - 1] = 0;",
    ),
    "a lane of a tile's sum": (
        "tile.h",
        "return l + apart < live ? add(",
        "return l + apart < live && l != 1 ? add(",
    ),
    "a class twice in a row's last group": (
        "rows.h",
        "on_group(one, computed(x + from, lanes, values), from, int(i - from));",
        "on_group(one, computed(x + from, lanes, values), from, 0);",
    ),
    # several classes with coefficients
    "no Σ b·(m − z) in the loss": (
        "loss.h",
        "(scale * mean + more) + total * L;",
        "more + total * L;",
    ),
    "no Σ b·(m − z) of a chunk's own frame": (
        "rows.h",
        "low.mean = add(low.mean, multiply(low.base, down_by));",
        ";",
    ),
    "no −c in a row's gradient": (
        "rows.h",
        "entries[j] = entry - scale;",
        "entries[j] = entry;",
    ),
    "no −c in a tile's gradient": (
        "tile.h",
        "return entry - scale;",
        "return entry;",
    ),
    "b of another row": (
        "batch.h",
        "batch_.b.row(r) : nullptr;\n            Sums<Real> own",
        "batch_.b.row(r / 2 * 2) : nullptr;\n            Sums<Real> own",
    ),
    "b of another row in a tile": (
        "tile.h",
        "return fma(-scale, load<V>(&b_[c][r]), entry);",
        "return fma(-scale, load<V>(&b_[c][0]), entry);",
    ),
    "the neighbour's sample weight": (
        "level.cpp",
        "call_.sample_weight[first + r] : 1;",
        "call_.sample_weight[first + r / 2 * 2] : 1;",
    ),
    "the neighbour's sample weight where probabilities are copied": (
        "mixing.h",
        "call.sample_weight[first + r] : 1;",
        "call.sample_weight[first + r / 2 * 2] : 1;",
    ),
    # layouts
    "a class twice in a copied block": (
        "layout.h",
        "on_part(count - size);",
        "on_part(count > size ? count - size - 1 : 0);",
    ),
    "half the stride where rows are copied": (
        "layout.h",
        "out[r * classes + c] = as_real<Real>(x[c * step]);",
        "out[r * classes + c] = as_real<Real>(x[c / 2 * step]);",
    ),
    "classes exchanged where a gradient is copied": (
        "layout.h",
        "to + (c + j) * step + r, stream);",
        "to + (c + (j ^ 1)) * step + r, stream);",
    ),
    "a wrong stride where columns are read": (
        "tile.h",
        "const T *column = from.data + c * from.class_stride;",
        "const T *column = from.data + c * from.row_stride;",
    ),
    "half the stride where columns are written": (
        "tile.h",
        "Storage *to = batch_.grad.data + c * batch_.grad.class_stride;",
        "Storage *to = batch_.grad.data + c / 2 * batch_.grad.class_stride;",
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
        f"-I{np.get_include()}",
        f"-I{nanobind / 'include'}",
        f"-I{nanobind / 'ext' / 'robin_map' / 'include'}",
        f"-I{SOURCE}",
    ]
    sources = [nanobind / "src" / "nb_combined.cpp"]
    sources += [file for file in SOURCE.glob("*.cpp") if file.name != "level.cpp"]
    with ThreadPoolExecutor() as pool:
        list(
            pool.map(
                lambda file: compile_(
                    "-O1", "-DNDEBUG", "-fno-strict-aliasing", "-ffp-contract=off", *include,
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
