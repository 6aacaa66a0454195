"""The architecture: the direction of imports, what an import loads, which names are public."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import softmaxloss

PACKAGE = Path(softmaxloss.__file__).parent
ROOT = Path(__file__).parent.parent

# Subjects (modules and packages of softmaxloss) from the ground up. A subject may import from the
# floors below its own. A new subject gets its place here.
FLOORS = [
    {"errors", "jsonable", "text"},
    {"arrays"},
    {"formula", "options", "logits", "probabilities", "rows", "scores"},
    {"labels", "class_names"},
    {"kernels"},
    {"reduction"},
    {"engine"},
    {"linear", "softmaxes"},
    {"torch"},
    {"backends", "parallel"},
    {"api"},
    {"totals"},
    {"files"},
    {"explanation", "checking"},
    {"shards"},
    {"cli"},
    {"__init__", "__main__"},
]
FLOOR = {subject: number for number, floor in enumerate(FLOORS) for subject in floor}

Graph = dict[str, set[str]]


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Dotted name → file, for every module; a package is the module of its __init__.py, and an
    extension that of its stub."""
    found = {}
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.pyi")]):
        parts = ["softmaxloss", *path.relative_to(package).with_suffix("").parts]
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of the package that a module imports anywhere: at its top, inside a function,
    under TYPE_CHECKING, or through import_module and a string that names one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    by_string = any(
        isinstance(node, ast.Name | ast.Attribute | ast.alias)
        and "import_module" in (getattr(node, key, "") for key in ("id", "attr", "name"))
        for node in ast.walk(tree)
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in known:
                    yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                if f"{module}.{alias.name}" in known:
                    yield f"{module}.{alias.name}"
                elif module in known:
                    yield module
        elif by_string and isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = f"{'.'.join(package)}{node.value}" if node.value[:1] == "." else node.value
            if text in known:
                yield text


def graph_of(package: Path = PACKAGE) -> Graph:
    """Module → the modules that it imports, within the package.

    `import softmaxloss.a.b` and `from softmaxloss.a import b` are edges to a.b; Python runs the
    __init__.py of a as well, which is no edge.
    """
    known = modules(package)
    return {name: set(imported(name, path, known)) for name, path in known.items()}


def cycles(graph: Graph) -> list[str]:
    """A shortest circle "a -> b -> a" through each module that is on one, each circle once."""
    found = set()
    for start in graph:
        paths = [[start]]
        seen: set[str] = set()
        while paths:
            path = paths.pop(0)
            if start in graph[path[-1]]:
                least = path.index(min(path))
                circle = path[least:] + path[:least]
                found.add(" -> ".join([*circle, circle[0]]))
                break
            following = sorted(graph[path[-1]] - seen)
            seen.update(following)
            paths += [[*path, module] for module in following]
    return sorted(found)


def subject(name: str) -> str:
    """The entry of FLOORS that a module belongs to."""
    return name.split(".")[1] if "." in name else "__init__"


def test_every_subject_has_its_floor() -> None:
    assert {subject(name) for name in modules()} == set(FLOOR)


def test_imports_run_one_way() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, others in graph_of().items()
        for other in sorted(others)
        if subject(name) != subject(other) and FLOOR[subject(other)] >= FLOOR[subject(name)]
    ]
    assert not wrong


def test_no_import_runs_in_a_circle() -> None:
    found = cycles(graph_of())
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    "planted",
    [
        "from .labels import read_target",
        "from . import labels",
        "import softmaxloss.labels",
        "from softmaxloss import labels",
        "def later():\n    from .labels import read_target",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import labels",
        "from importlib import import_module\nimport_module('softmaxloss.labels')",
        "import importlib\nimportlib.import_module('.labels', __package__)",
    ],
)
def test_a_planted_circle_is_found(planted: str, tmp_path: Path) -> None:
    """labels.py imports options.py; here the copy of options.py imports labels.py as well."""
    copy = tmp_path / "softmaxloss"
    for name in ("labels.py", "options.py", "arrays.py", "errors.py"):
        copy.mkdir(exist_ok=True)
        shutil.copy(PACKAGE / name, copy)
    assert not cycles(graph_of(copy))
    with (copy / "options.py").open("a", encoding="utf-8") as file:
        file.write(f"\n{planted}\n")
    circle = "softmaxloss.labels -> softmaxloss.options -> softmaxloss.labels"
    assert cycles(graph_of(copy)) == [circle]


def test_circles_of_every_length_are_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert cycles({"a": {"a"}}) == ["a -> a"]
    assert cycles({"d": {"b"}, "a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a -> b -> c -> a"]


def test_kernels_know_the_arguments_of_a_call_and_no_engine() -> None:
    known = {
        "kernels",
        "formula",
        "arrays",
        "labels",
        "logits",
        "options",
        "rows",
        "scores",
        "text",
    }
    for name, others in graph_of().items():
        if subject(name) == "kernels":
            assert {subject(other) for other in others} <= known, name


OUTSIDE = [
    path
    for folder in ("src", "truth", "benchmarks", "conformance", "docs", "examples", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_are_imported_by_tests_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not [name for name in names if name.split(".")[0] == "tests"]


def test_the_truth_does_not_use_the_library() -> None:
    for path in sorted((ROOT / "truth").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(from|import) softmaxloss", text, re.MULTILINE), path


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
    submodules = {subject(name) for name in modules()}
    present = {name for name in dir(softmaxloss) if not name.startswith("_")}
    assert present - submodules <= set(names)
    assert set(names) <= present


@pytest.mark.parametrize("name", softmaxloss.__all__)
def test_public_names_are_documented(name: str) -> None:
    """Each has a docstring, with a doctest if it is a function, and is named in the docs."""
    value = getattr(softmaxloss, name)
    doc = inspect.getdoc(value)
    assert doc
    if inspect.isfunction(value) and inspect.signature(value).parameters:
        assert ">>>" in doc
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    pattern = re.compile(rf"\b{name}\b")
    assert any(pattern.search(text.read_text(encoding="utf-8")) for text in texts), name


# Not softmaxloss.__main__: to import it is to run it.
@pytest.mark.parametrize(
    "name",
    [n for n, path in modules().items() if path.suffix == ".py" and not n.endswith("__main__")],
)
def test_every_module_has_a_docstring_and_the_names_of_its_all(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        assert hasattr(module, public)


@pytest.mark.xdist_group("named")
def test_groups_of_parallel_runs_have_an_effect(request: pytest.FixtureRequest) -> None:
    """Tests of one group run in one process; a version of pytest-xdist may take no notice."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@named")


@pytest.mark.parametrize("_", range(2))
def test_neighbours_run_in_one_process(request: pytest.FixtureRequest, _: int) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.partition("@")[2].startswith("test_architecture.py ")
