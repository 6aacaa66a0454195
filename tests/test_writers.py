"""Scores to a file: the same numbers back, and never half a file."""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow.parquet as pq
import pytest

from softmaxloss import Scores, score
from softmaxloss.files import FileError
from softmaxloss.files.writers import COLUMNS, open_scores

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(50, 4)) * 3
LOGITS[7, 1] = np.nan
LOGITS[8] = [-np.inf, 0, 0, 0]
LABELS = np.zeros(50, np.uint8)
LABELS[9] = 255
FORMATS = ["csv", "npy", "parquet"]


def write(path: Path, logits: np.ndarray = LOGITS, labels: np.ndarray = LABELS) -> Scores:
    scores = score(logits, labels, ignore_index=255)
    with open_scores(path, len(labels)) as file:
        for start in range(0, len(labels), 20):
            part = slice(start, start + 20)
            file.append(start, labels[part], Scores(*(column[part] for column in scores)))
    return scores


def read(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return {name: table[name].to_numpy() for name in table.column_names}
    table = (
        np.load(path)
        if path.suffix == ".npy"
        else np.genfromtxt(path, delimiter=",", names=True, dtype=list(COLUMNS.values()))
    )
    return {name: table[name] for name in table.dtype.names}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_same_numbers_come_back(tmp_path: Path, suffix: str, dtype: type) -> None:
    path = tmp_path / f"s.{suffix}"
    scores = write(path, LOGITS.astype(dtype))
    table = read(path)
    assert list(table) == list(COLUMNS)
    np.testing.assert_array_equal(table["row"], np.arange(50))
    np.testing.assert_array_equal(table["label"], LABELS)
    for name, column in scores._asdict().items():
        assert table[name].dtype == COLUMNS[name]
        # .csv holds the shortest digits of the float32, which rounds to it and is not equal to it.
        np.testing.assert_array_equal(table[name].astype(column.dtype), column)
    assert os.listdir(tmp_path) == [path.name]


def test_csv_as_text(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    write(path, np.zeros((1, 4), np.float32), np.array([2]))
    assert path.read_text() == (
        "row,label,loss,probability,predicted,rank,entropy,logsumexp\n"
        "0,2,1.3862944,0.25,0,1,1.3862944,1.3862944\n"
    )


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"s.{suffix}"
    with open_scores(path, 0):
        pass
    assert read(path)["loss"].shape == (0,)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_nothing_is_left_of_an_interrupted_file(
    tmp_path: Path, suffix: str, error: type[BaseException]
) -> None:
    path = tmp_path / f"s.{suffix}"
    path.write_text("what was here before")
    with pytest.raises(error), open_scores(path, 50) as file:  # noqa: PT012
        file.append(0, LABELS[:20], score(LOGITS[:20], LABELS[:20], ignore_index=255))
        assert len(os.listdir(tmp_path)) == 2
        raise error
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_text() == "what was here before"


@pytest.mark.parametrize("suffix", FORMATS)
def test_missing_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"s.{suffix}"
    scores = score(LOGITS[:20], LABELS[:20], ignore_index=255)
    with pytest.raises(FileError, match="20 rows of 50"), open_scores(path, 50) as file:
        file.append(0, LABELS[:20], scores)
    assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match="expected row 0, got 5"), open_scores(path, 50) as file:
        file.append(5, LABELS[:20], scores)
    assert os.listdir(tmp_path) == []


def test_replaces_what_was_there_and_keeps_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    link.symlink_to(real)
    write(link)
    assert link.is_symlink()
    assert real.read_text().startswith("row,label")


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    write(tmp_path / "s.csv")
    (tmp_path / "other").write_text("")
    assert (tmp_path / "s.csv").stat().st_mode == (tmp_path / "other").stat().st_mode


def failure(path: Path) -> str:
    with pytest.raises(FileError) as caught:
        open_scores(path, 3)
    message = str(caught.value)
    assert message.isprintable()
    assert path.name in message
    return message


def test_what_cannot_be_written_fails_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "unknown suffix '.txt'; .csv, .npy, .parquet fit" in failure(tmp_path / "s.txt")
    assert "no such directory" in failure(tmp_path / "no" / "s.csv")
    (tmp_path / "file").write_text("")
    assert "Not a directory" in failure(tmp_path / "file" / "s.csv")
    (tmp_path / "d.csv").mkdir()
    assert "not a regular file" in failure(tmp_path / "d.csv")
    assert "cannot be written" in failure(tmp_path / ("n" * 300 + ".csv"))
    assert sorted(os.listdir(tmp_path)) == ["d.csv", "file"]

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        assert "pip install pyarrow" in failure(tmp_path / "s.parquet")
    assert sorted(os.listdir(tmp_path)) == ["d.csv", "file"]


def test_directory_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(0o500)
    if os.access(folder, os.W_OK):  # root may write everywhere

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", refuse)
    assert "cannot be written: Permission denied" in failure(folder / "s.csv")


@pytest.mark.filterwarnings("error")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("suffix", FORMATS)
def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = tmp_path / f"s.{suffix}"
    for buffering in (0, -1):  # it fails at the first byte, or at the end

        def full(*_: object, buffering: int = buffering) -> BinaryIO:
            return open("/dev/full", "wb", buffering=buffering)

        monkeypatch.setattr("softmaxloss.files.writers.open", full, raising=False)
        with pytest.raises(
            FileError, match=r"s\.\w+: cannot be written: .*No space left on device"
        ):
            write(path)
        gc.collect()  # a writer that fails again when it is collected would be a warning
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_memory_is_for_blocks(tmp_path: Path, suffix: str) -> None:
    """A million rows are 64 MB; .csv, 50 000 rows, is 7 MB, but over 50 MB as Python strings."""
    rows, step = (1_000_000, 10_000) if suffix != "csv" else (50_000, 500)
    logits, labels = np.zeros((step, 2), np.float32), np.zeros(step, np.uint8)
    scores = score(logits, labels)
    tracemalloc.start()
    with open_scores(tmp_path / f"s.{suffix}", rows) as file:
        for start in range(0, rows, step):
            file.append(start, labels, scores)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 << 20
