"""Folders without permission, read-only files and full disks: one line, exit code 2, and nothing
half-written.

A limit on the size of files is a disk that is full after so many bytes, for root as well. What
root may do all the same is simulated, and tried without the simulation by other users.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.commands import fails
from tests.sharded import numbers

LIMIT = 4096
no_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


def on_a_full_disk(*arguments, stdout=subprocess.PIPE, limit=LIMIT, **env):
    """The command where no file can be longer than `limit`: (exit code, output, errors)."""

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "softmaxloss", *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=full,
        env=os.environ | env,
        check=False,
    )
    return done.returncode, done.stdout or "", done.stderr


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """One file of logits and labels, and the same in two parts, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    z, y = random.normal(size=(600, 3)), random.integers(0, 3, 600)
    np.save("z.npy", z)
    np.save("y.npy", y)
    for folder, x in (("z", z), ("y", y)):
        Path(folder).mkdir()
        np.save(f"{folder}/1.npy", x[:300])
        np.save(f"{folder}/2.npy", x[300:])
    Path("out").mkdir()


EXPLAIN = ["explain", 2, 1, 0, "--label", 1]
ONE, MANY = ["score", "z.npy", "y.npy"], ["score", "z", "y", "--workers", "1"]


@pytest.mark.parametrize(
    "arguments",
    [
        [*EXPLAIN, "--html", "out/a.html"],
        [*ONE, "--html", "out/a.html"],
        [*ONE, "--out", "out/a.csv"],
        [*ONE, "--out", "out/a.npy"],
        [*ONE, "--out", "out/a.parquet"],
        [*MANY, "--out", "out/a.csv"],
        [*MANY, "--html", "out/a.html"],
    ],
    ids=lambda arguments: " ".join(map(str, arguments)),
)
def test_a_full_disk(sets, arguments):
    old = Path(arguments[-1])
    old.write_text("old")
    result = on_a_full_disk(*arguments)
    fails(result, "cannot be written: File too large")
    assert [p.name for p in Path("out").iterdir()] == [old.name]
    assert old.read_text() == "old"


def test_a_disk_that_is_full_in_the_middle_of_several_files(sets):
    """No file of logits is to blame, and the same command goes on from what is finished."""
    z = np.load("z/2.npy")
    np.save("z/2.npy", np.concatenate([z] * 50))
    np.save("y/2.npy", np.concatenate([np.load("y/2.npy")] * 50))
    arguments = [*MANY, "--out", "out/a.csv", "--json"]
    fails(on_a_full_disk(*arguments, limit=50_000), ".rows: cannot be written: File too large")
    assert not Path("out/a.csv").exists()
    code, out, err = on_a_full_disk(*arguments, limit=resource.RLIM_INFINITY)
    assert "1 of 2 files were scored before" in err
    assert numbers((code, out, ""))["examples"] == 300 + 50 * 300
    assert [p.name for p in Path("out").iterdir()] == ["a.csv"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [[*EXPLAIN, "--ask", "all"], [*ONE, "--top", 600, "--json"]])
def test_standard_output_to_a_full_disk(sets, arguments, unbuffered):
    """Also where Python does not buffer it: it then writes a part and does not say so."""
    with open("out/a.txt", "wb") as file:
        result = on_a_full_disk(*arguments, stdout=file, PYTHONUNBUFFERED=unbuffered)
    fails(result, "standard output: File too large")


def test_unbuffered_output_is_whole(sets):
    arguments = [*ONE, "--top", 600, "--json"]
    unlimited = {"limit": resource.RLIM_INFINITY}
    plain = on_a_full_disk(*arguments, **unlimited, PYTHONUNBUFFERED="")
    assert on_a_full_disk(*arguments, **unlimited, PYTHONUNBUFFERED="1") == plain
    assert len(plain[1]) > 50_000


OUTPUTS = [
    [*EXPLAIN, "--html", "out/a.html"],
    [*ONE, "--html", "out/a.html"],
    [*ONE, "--out", "out/a.csv"],
    [*MANY, "--html", "out/a.html"],
]


@pytest.mark.parametrize("arguments", OUTPUTS, ids=lambda arguments: arguments[-1])
@pytest.mark.parametrize("simulated", [True, pytest.param(False, marks=no_root)])
def test_a_read_only_file_is_not_replaced(run, sets, monkeypatch, arguments, simulated):
    old = Path(arguments[-1])
    old.write_text("old")
    old.chmod(0o444)
    if simulated:
        monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(old.absolute()))
    fails(run(*arguments), f"{old}: cannot be written: it is read-only")
    assert old.read_text() == "old"


@no_root
@pytest.mark.parametrize(
    "arguments", [*OUTPUTS, [*MANY, "--resume", "out/state"]], ids=lambda arguments: arguments[-1]
)
def test_a_folder_without_permission_to_write(run, sets, arguments):
    Path("out").chmod(0o555)
    fails(run(*arguments), f"{arguments[-1]}: cannot be written: Permission denied")
    assert not list(Path("out").iterdir())


@pytest.mark.parametrize("name", ["z", "z/more"])
@pytest.mark.parametrize("simulated", [True, pytest.param(False, marks=no_root)])
def test_a_folder_that_cannot_be_read_is_not_left_out(run, sets, monkeypatch, name, simulated):
    Path("z/more").mkdir()
    Path(name).chmod(0)
    scandir = os.scandir

    def refuses(path):
        if str(path) == name:
            raise PermissionError(13, "Permission denied", name)
        return scandir(path)

    if simulated:
        monkeypatch.setattr(os, "scandir", refuses)
    fails(run("score", "z", "y"), f"{name}: cannot be opened: Permission denied")
    Path(name).chmod(0o755)


def test_a_pattern_in_a_folder_that_cannot_be_read(run, sets, monkeypatch):
    Path("none").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path != "none")
    fails(run("score", "none/*.npy", "y"), "none: cannot be opened: Permission denied")
