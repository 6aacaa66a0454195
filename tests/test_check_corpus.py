"""The check on code as people write it: the files in tests/corpus, and what expected.toml says of
each of their functions."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import softmaxloss
from softmaxloss.checking import BANK
from softmaxloss.checking.calling.networks import sizes_for
from softmaxloss.cli import main

pytestmark = pytest.mark.usefixtures("kept_workers")

CORPUS = Path(__file__).parent / "corpus"
SEED = 16

#: What a word in expected.toml means: how a form with it is written in a report.
FORM_WORDS = {
    "10 classes": r"\(N, 10\)",
    "3-D": r"\(B, T, C\)",
    "4-D": r"\(B, C, H, W\)",
    "JAX": r"JAX",
    "batch": r"\(N, C\)",
    "bias": r"\bb\b",
    "column": r"\(C, 1\)",
    "columns": r"\((C|D), N\)",
    "flat": r"flat",
    "heads": r"\(B, H, T, C\)",
    "layer": r"\bW\b|θ",
    "one example": r"\(C,\)|\(C, 1\)",
    "one-hot": r"one-hot",
    "own autograd": r"Value|Variable|Tensor",
    "probabilities": r"probabilities",
    "tensor": r"tensor",
}
#: Conventions that expected.toml does not list: how probabilities are kept away from 0.
UNLISTED = {"log-of-a-plus-epsilon", "clipped"}


class Expected(NamedTuple):
    """What the check must say of a function."""

    file: str
    function: str
    shape: str
    kind: str
    form: str
    verdict: str
    mistakes: tuple[str, ...]
    loads: bool  # whether Python itself can import the file

    def differences(self, report: dict[str, Any]) -> list[str]:
        """What a report, as a dict, says otherwise."""
        if self.verdict == "not checked":
            return [] if report["verdict"] == self.verdict else [report["verdict"]]
        if report["verdict"] == "not checked":
            return [f"not checked: {report['problem']}"]
        found = [m for finding in report["findings"] for m in finding["mistakes"]]
        ids = {m["id"] for m in found}
        counted = {m["id"] for m in found if m["kind"] != "weakness"} - UNLISTED
        if "one example" in self.form:  # a batch may give an error or something wrong
            counted -= {"one-example-only"}
        fair = [set(entry.split("|")) for entry in self.mistakes]
        differences = []
        if report["verdict"] != self.verdict:
            differences.append(report["verdict"])
        missing = [one for one in fair if not one & ids and "" not in one]
        if missing or counted - set().union(*fair):
            differences.append(f"named {', '.join(sorted(counted)) or 'nothing'}")
        kind = "+".join(report["parts"])
        if kind != self.kind:
            differences.append(f"kind {kind}")
        words = [word for word in self.form.split(", ") if word]
        if not all(re.search(FORM_WORDS[word], report["form"]) for word in words):
            differences.append(f"form {report['form']}")
        return differences


def _read() -> Iterator[Expected]:
    for file, table in tomllib.loads((CORPUS / "expected.toml").read_text("utf-8")).items():
        for function, about in table.items():
            if isinstance(about, dict):
                yield Expected(
                    file, function, about.get("shape", table["shape"]), about["kind"],
                    about["form"], about.get("verdict", "right"),
                    tuple(about.get("mistakes", ())), table.get("loads", True),
                )  # fmt: skip


Compared = tuple[Expected, str, list[str]]  # how the function was checked, and what differs

EXPECTED = list(_read())
FILES = list(dict.fromkeys(one.file for one in EXPECTED))
OURS = {file: [one for one in EXPECTED if one.file == file] for file in FILES}


def by_python(one: Expected, module: Any, seed: int = SEED) -> dict[str, Any]:
    """The report of `softmaxloss.check`, as a dict."""
    owner, _, method = one.function.partition(".")
    found = getattr(module, owner)
    if method:
        with contextlib.suppress(TypeError):  # a tensor's method is called as a function
            found = found(**sizes_for(found))
        found = getattr(found, method)
    return softmaxloss.check(found, seed=seed).to_dict()


def where(one: Expected) -> str:
    """The function as the command line names it."""
    return f"{CORPUS / one.file}:{one.function}"


def by_command(what: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """What `softmaxloss check --json` prints."""
    capsys.readouterr()  # what functions printed in this process
    main(["check", what, "--seed", str(SEED), "--json", "--timeout", "60"])
    return json.loads(capsys.readouterr().out)


def by_one_command(ours: list[Expected], capsys: pytest.CaptureFixture[str]) -> Any:
    """The reports on the functions of a file, in their order."""
    found = by_command(f"{CORPUS / ours[0].file}:{','.join(o.function for o in ours)}", capsys)
    return found if isinstance(found, list) else [found]


@contextlib.contextmanager
def imported(file: str) -> Iterator[Any]:
    """The module, imported as Python does; nothing of it stays behind."""
    path, before, settings = CORPUS / file, set(sys.modules), np.geterr()
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").exists():
        parts, folder = [folder.name, *parts], folder.parent
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(".".join(parts))
    finally:
        sys.path.remove(str(folder))
        np.seterr(**settings)
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def expect_none(compared: list[Compared]) -> None:
    """Fail with a table of what differs: one line for each function."""
    failed = [
        f"{one.file}:{one.function} ({way}) expected {' '.join([one.verdict, *one.mistakes])}"
        f"; got {'; '.join(differences)}"
        for one, way, differences in compared
        if differences
    ]
    if failed:
        pytest.fail("\n".join([f"{len(failed)} differ", *failed]), pytrace=False)


def test_what_is_expected() -> None:
    """The table is about functions that exist, mistakes of the bank, and many shapes."""
    assert len({(one.file, one.function) for one in EXPECTED}) >= 120
    assert len({one.shape for one in EXPECTED}) >= 40
    verdicts = [one.verdict for one in EXPECTED if one.verdict != "not checked"]
    assert 0.6 < verdicts.count("right") / len(verdicts) < 0.75
    for one in EXPECTED:
        names = {id for entry in one.mistakes for id in entry.split("|")} - {""}
        assert names <= set(BANK), one
        is_wrong = any(BANK[id].kind == "mistake" for id in names)
        assert is_wrong == (one.verdict == "wrong"), one
        words = set(one.form.split(", ")) - {""}
        assert words <= set(FORM_WORDS), one
        assert one.function.rpartition(".")[2] in (CORPUS / one.file).read_text("utf-8"), one


def _without_lines(part: Any) -> str:
    """As text, without the places of errors, which the command alone knows."""
    return re.sub(r" \(line \d+\)", "", json.dumps(part))


def compared_both_ways(
    ours: list[Expected], commanded: list[dict[str, Any]], way: str, by_both: int | None = None
) -> Iterator[Compared]:
    """What differs of the functions of a file: by the command, and of the first `by_both` of them,
    or all, also by Python, and between the two."""
    for one, report in zip(ours, commanded, strict=True):
        yield one, way, one.differences(report)
    if not ours[0].loads:
        return
    with imported(ours[0].file) as module:
        called = [by_python(one, module) for one in ours[:by_both]]
    for one, mine, other in zip(ours, called, commanded, strict=False):
        yield one, "Python", one.differences(mine)
        keys = ("verdict", "form", "parts", "findings")
        differ = [key for key in keys if _without_lines(mine[key]) != _without_lines(other[key])]
        yield one, "both", [f"{key} differs by Python" for key in differ]


#: The files with a function of JAX and of PyTorch that a command checks in each run.
JAX = "torch_code/jax_batches.py"
TORCH = "torch_code/from_scratch.py"

#: The functions of PyTorch that are checked in a process that has loaded it.
TENSORS = {
    file: [one for one in (ours[1:] if file == TORCH else ours) if "tensor" in one.form]
    for file, ours in OURS.items()
    if ours[0].loads
}


def _by_file() -> Iterator[Any]:
    """The functions of each file. Those that load a framework take seconds for each, and are slow:
    but for one of PyTorch, and one of JAX."""
    for file, ours in OURS.items():
        slow = TENSORS.get(file, []) + [one for one in ours if "JAX" in one.form and file != JAX]
        quick = [one for one in ours if one not in slow]
        if quick:
            yield pytest.param(quick, id=file)
        if slow:
            yield pytest.param(slow, id=f"{file}, others", marks=pytest.mark.slow)


@pytest.mark.parametrize("ours", list(_by_file()))
def test_by_command_and_by_python(ours: list[Expected], capsys: pytest.CaptureFixture[str]) -> None:
    """`softmaxloss check FILE:f,g,…` of each function, and `softmaxloss.check` of the first, which
    says the same; of all of them in `test_each_by_a_command_of_its_own`."""
    expect_none([*compared_both_ways(ours, by_one_command(ours, capsys), "command", by_both=1)])


@pytest.mark.parametrize("file", [file for file, ours in TENSORS.items() if ours])
def test_tensors_by_python(file: str) -> None:
    with imported(file) as module:
        expect_none(
            [(one, "Python", one.differences(by_python(one, module))) for one in TENSORS[file]]
        )


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_each_by_a_command_of_its_own(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    alone = [by_command(where(one), capsys) for one in OURS[file]]
    expect_none([*compared_both_ways(OURS[file], alone, "alone")])


@pytest.mark.parametrize("function", ["softmax", "cross_entropy", "softmax_loss"])
def test_in_a_folder(function: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Many files at once, as a teacher has them."""
    ours = {}
    for one in EXPECTED:
        elsewhere = "package" in one.file or one in TENSORS.get(one.file, [])  # those take seconds
        if one.function == function and one.file.endswith(".py") and not elsewhere:
            copy = tmp_path / one.file.replace("/", "_")
            shutil.copy(CORPUS / one.file, copy)
            ours[str(copy)] = one
    reports = by_command(f"{tmp_path}/*.py:{function}", capsys)
    assert len(reports) == len(ours) >= 3
    compared = [(ours[r["file"]], "folder", ours[r["file"]].differences(r)) for r in reports]
    expect_none(compared)


@pytest.mark.slow
def test_on_a_loaded_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """The reports are the same where four other processes want each processor."""
    endless = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(endless) for _ in range(4 * (os.cpu_count() or 1))]
    try:
        compared = [
            found
            for ours in OURS.values()
            for found in compared_both_ways(ours, by_one_command(ours, capsys), "loaded")
        ]
    finally:
        for other in others:
            other.kill()
            other.wait()
    expect_none(compared)


@pytest.mark.slow
@pytest.mark.parametrize("file", [file for file in FILES if OURS[file][0].loads])
def test_more_seeds(file: str) -> None:
    """By Python, with other inputs."""
    with imported(file) as module:
        expect_none(
            [
                (one, f"seed {seed}", one.differences(by_python(one, module, seed)))
                for one in OURS[file]
                for seed in range(20)
            ]
        )
