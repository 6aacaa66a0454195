"""The shape of the house: which way imports run, what an import loads, which names are public."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import softmaxloss

PACKAGE = Path(softmaxloss.__file__).parent
ROOT = Path(__file__).parent.parent

# Subjects (modules and packages of softmaxloss) from the ground up. Each may import from the floors
# below its own. A new subject gets its place here.
FLOORS = [
    {"text"},
    {"arrays", "errors", "backends", "jsonable"},
    {"formula", "logits", "options", "rows"},
    {"labels"},
    {"kernels"},
    {"api"},
    {"linear"},
    {"torch"},
    {"files"},
    {"explanation", "checking"},
    {"cli"},
    {"__init__", "__main__"},
]
FLOOR = {subject: number for number, floor in enumerate(FLOORS) for subject in floor}


def modules() -> Iterator[tuple[str, Path]]:
    """(dotted name, file) of every module of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield ".".join(["softmaxloss", *path.relative_to(PACKAGE).with_suffix("").parts]), path


def imports_of(name: str, path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere, by full name."""
    package = name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from . import x` imports the submodule x, or a name of the package itself
            yield from (f"{module}.{alias.name}" for alias in node.names)


def subject(name: str) -> str | None:
    """The floor's entry that a full name belongs to; None outside of the package."""
    parts = name.split(".")
    if parts[0] != "softmaxloss":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR else "__init__"


def test_every_subject_has_its_floor() -> None:
    found = {name.split(".")[1] for name, _ in modules()}
    assert found == set(FLOOR)


def test_imports_run_one_way() -> None:
    wrong = []
    for name, path in modules():
        here = subject(name)
        assert here is not None
        for imported in imports_of(name, path):
            there = subject(imported)
            # what every module may know of the package itself
            if there is None or there == here or imported == "softmaxloss.__version__":
                continue
            if here == "backends":  # the table of what is above: imported when an array arrives
                continue
            if FLOOR[there] >= FLOOR[here]:
                wrong.append(f"{name} imports {imported}")
    assert not wrong


def test_the_import_reader_sees_them(tmp_path: Path) -> None:
    """That the test above can fail: each way to write an import is read."""
    file = tmp_path / "labels.py"
    file.write_text(
        "from . import loss\nfrom .loss import score\nimport softmaxloss.cli\n"
        "def f():\n    from ..kernels import cpu\n"
    )
    found = list(imports_of("softmaxloss.kernels.labels", file))
    assert found == [
        *("softmaxloss.kernels.loss", "softmaxloss.kernels.loss.score", "softmaxloss.cli"),
        "softmaxloss.kernels.cpu",
    ]
    assert subject("softmaxloss.cli") == "cli"
    assert subject("numpy.linalg") is None


def test_kernels_know_the_maths_and_nothing_else() -> None:
    for name, path in modules():
        if subject(name) == "kernels":
            known = {subject(imported) for imported in imports_of(name, path)}
            assert known <= {None, "kernels", "formula"} | {"__init__"}, name


def loaded_by(code: str) -> set[str]:
    program = f"{code}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_loads_numpy_only() -> None:
    loaded = loaded_by("import softmaxloss")
    assert "numpy" in loaded
    heavy = {"torch", "jax", "rich", "click", "scipy", "pyarrow", "pandas", "sklearn", "mpmath"}
    assert not loaded & (heavy | {"safetensors", "ml_dtypes", "tensorflow", "multiprocessing"})


def test_using_it_loads_numpy_only() -> None:
    loaded = loaded_by(
        "import softmaxloss; softmaxloss.cross_entropy_with_grad([[0.0, 1.0]], [1]); "
        "softmaxloss.score([0.0, 1.0], 1)"
    )
    assert not loaded & {"torch", "jax", "rich", "click", "scipy", "pyarrow", "ml_dtypes"}


def test_public_names() -> None:
    names = softmaxloss.__all__
    assert names == sorted(names)
    submodules = {name.split(".")[1] for name, _ in modules()}
    present = {name for name in vars(softmaxloss) if not name.startswith("_")}
    assert present - submodules <= set(names)
    assert set(names) <= present


@pytest.mark.parametrize("name", softmaxloss.__all__)
def test_public_names_are_documented(name: str) -> None:
    """Each has a docstring, with a doctest where it is a function, and its place in the docs."""
    value = getattr(softmaxloss, name)
    doc = inspect.getdoc(value)
    assert doc
    if inspect.isfunction(value) and inspect.signature(value).parameters:
        assert ">>>" in doc
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    pattern = re.compile(rf"\b{name}\b")
    assert any(pattern.search(text.read_text(encoding="utf-8")) for text in texts), name


@pytest.mark.parametrize("name", [name for name, _ in modules()])
def test_every_module_says_what_it_is_for(name: str) -> None:
    if name.endswith("__main__"):  # importing it runs it
        return
    module = importlib.import_module(name.removesuffix(".__init__"))
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        assert hasattr(module, public)
