"""Scores written to a file read back as the same numbers; no unfinished file is ever left."""

from __future__ import annotations

import gc
import os
import stat
import sys
import tracemalloc
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow.parquet as pq
import pytest

from softmaxloss import Scores, score
from softmaxloss.files import FileError, open_scores
from softmaxloss.files.writers import COLUMNS

LOGITS = np.random.default_rng(5).normal(size=(50, 4)) * 3
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
def test_the_written_scores_read_back(tmp_path: Path, suffix: str, dtype: type) -> None:
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


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_ignored_row_adds_nothing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"s.{suffix}"
    write(path)
    row = {name: column[9] for name, column in read(path).items()}
    assert (row["label"], row["loss"], row["rank"], row["predicted"]) == (255, 0.0, 0, -1)
    assert [row["probability"], row["entropy"], row["logsumexp"]] == [0.0] * 3


def test_the_text_of_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    write(path, np.zeros((1, 4), np.float32), np.array([2]))
    assert path.read_text() == (
        "row,label,loss,probability,predicted,rank,entropy,logsumexp\n"
        "0,2,1.3862944,0.25,0,1,1.3862944,1.3862944\n"
    )


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_without_rows(tmp_path: Path, suffix: str) -> None:
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
def test_missing_rows_leave_no_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"s.{suffix}"
    scores = score(LOGITS[:20], LABELS[:20], ignore_index=255)
    with pytest.raises(FileError, match="20 rows of 50"), open_scores(path, 50) as file:
        file.append(0, LABELS[:20], scores)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_out_of_order_leave_no_file(tmp_path: Path, suffix: str) -> None:
    scores = score(LOGITS[:20], LABELS[:20], ignore_index=255)
    path = tmp_path / f"s.{suffix}"
    with pytest.raises(ValueError, match="expected row 0, got 5"), open_scores(path, 50) as file:
        file.append(5, LABELS[:20], scores)
    assert os.listdir(tmp_path) == []


def test_an_older_file_is_replaced_and_a_link_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    link.symlink_to(real)
    write(link)
    assert link.is_symlink()
    assert real.read_text().startswith("row,label")


def test_the_permissions_are_those_of_a_new_file(tmp_path: Path) -> None:
    write(tmp_path / "s.csv")
    (tmp_path / "other").write_text("")
    assert (tmp_path / "s.csv").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_the_permissions_of_an_older_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("old")
    for mode in (0o640, 0o444, 0o777):
        path.chmod(mode)
        write(path)
        assert stat.S_IMODE(path.stat().st_mode) == mode


def failure(path: Path) -> str:
    with pytest.raises(FileError) as caught, open_scores(path, 3):
        pass
    message = str(caught.value)
    assert message.isprintable()
    assert path.name in message
    return message


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("s.txt", "unknown suffix '.txt'; use .npy, .csv or .parquet"),
        ("no/s.csv", "no such directory"),
        ("file/s.csv", "Not a directory"),
        ("d.csv", "not a regular file"),
        ("n" * 300 + ".csv", "cannot be written"),
    ],
    ids=["suffix", "no-folder", "file-as-folder", "folder", "long-name"],
)
def test_a_path_that_cannot_be_written_fails_at_once(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "d.csv").mkdir()
    assert says in failure(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["d.csv", "file"]


def test_a_missing_package_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "needs pyarrow: pip install pyarrow" in failure(tmp_path / "s.parquet")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_may_not_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
@pytest.mark.parametrize("buffering", [0, -1], ids=["first-byte", "last-byte"])
def test_a_full_disk_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, buffering: int
) -> None:
    def full(*_: object) -> BinaryIO:
        return open("/dev/full", "wb", buffering=buffering)

    monkeypatch.setattr("softmaxloss.files.atomic.open", full, raising=False)
    with pytest.raises(FileError, match=r"s\.\w+: cannot be written: .*No space left on device"):
        write(tmp_path / f"s.{suffix}")
    gc.collect()  # a writer that fails again when it is collected would be a warning
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_writing_takes_memory_for_blocks_not_for_the_file(tmp_path: Path, suffix: str) -> None:
    """A million rows are 64 MB; 50 000 rows of .csv are 7 MB, but over 50 MB as Python strings."""
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
