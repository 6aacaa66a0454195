"""Readers: every format gives the same numbers in bounded memory, every bad file one line."""

from __future__ import annotations

import itertools
import json
import os
import re
import struct
import subprocess
import sys
import tomllib
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch

from softmaxloss.files import FORMATS, FileError, open_logits, read_labels

ROOT = Path(__file__).parent.parent
LOGITS = np.random.default_rng(7).normal(size=(11, 5)) * 4
LOGITS[3, 2] = -np.inf
LOGITS[4, 0] = np.nan
LABELS = np.array([0, 4, 2, 1, -100, 3, 3, 0, 1, 2, 4])


def write(path: Path, array: np.ndarray, name: str) -> Path:
    """The array in the format of the suffix, by the library that owns the format."""
    match path.suffix:
        case ".npy":
            np.save(path, array)
        case ".npz":
            np.savez_compressed(path, **{name: array})
        case ".csv" | ".tsv" | ".txt":
            mark = {".csv": ",", ".tsv": "\t", ".txt": " "}[path.suffix]
            rows = np.atleast_2d(array.T).T.tolist()  # one label a line
            path.write_text("".join(mark.join(map(repr, row)) + "\n" for row in rows))
        case ".jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n" for row in array.tolist()))
        case ".pt" | ".pth":
            torch.save({name: torch.from_numpy(array.copy())}, path)
        case ".json":
            path.write_text(json.dumps(array.tolist()))
        case ".parquet":
            columns = np.atleast_2d(array.T)
            pq.write_table(
                pa.table({f"{name}{j}": c for j, c in enumerate(columns)}), path, row_group_size=4
            )
        case ".arrow":
            columns = np.atleast_2d(array.T)
            write_arrow(path, pa.table({f"{name}{j}": c for j, c in enumerate(columns)}))
        case ".safetensors":
            safetensors.numpy.save_file({name: array}, path)
    return path


def write_arrow(path: Path, table: pa.Table, *, stream: bool = False) -> None:
    """A table in Arrow's own format, in batches of 4 rows."""
    kind = pa.ipc.new_stream if stream else pa.ipc.new_file
    with kind(str(path), table.schema) as file:
        file.write_table(table, max_chunksize=4)


SUFFIXES = [suffix.removeprefix(".") for suffix in FORMATS]
LINES = ["csv", "tsv", "txt", "jsonl"]
UNCOUNTED = [*LINES, "arrow"]  # rows that must be read to be counted
BINARY = ["npy", "npz", "safetensors", "pt"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("max_elements", [1, 15, 1 << 22])
def test_every_format_gives_the_same_logits(tmp_path: Path, suffix: str, max_elements: int) -> None:
    path = write(tmp_path / f"z.{suffix}", LOGITS, "logits")
    with open_logits(path) as logits:
        assert logits.shape == (None if suffix in UNCOUNTED else 11, 5)
        for _ in range(2):  # a file may be read again
            blocks = list(logits.blocks(max_elements=max_elements))
            assert [start for start, _ in blocks] == np.cumsum(
                [0, *(len(b) for _, b in blocks[:-1])]
            ).tolist()
            assert all(b.ndim == 2 and b.size <= max(5, max_elements) for _, b in blocks)
            np.testing.assert_array_equal(np.concatenate([b for _, b in blocks]), LOGITS)
        done, total = logits.progress
        assert done == total == (path.stat().st_size if suffix in UNCOUNTED else 11)
        for i in (0, 4, 10):
            np.testing.assert_array_equal(logits.row(i), LOGITS[i])
        for i in (-1, 11):
            with pytest.raises(FileError, match=f"no row {i}"):
                logits.row(i)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_closed_file_is_not_read(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"z.{suffix}", LOGITS, "logits")
    with open_logits(path) as logits:
        pass
    assert "is already closed" in failure(path, lambda: logits.row(0))
    assert "is already closed" in failure(path, lambda: next(logits.blocks()))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_the_same_labels(tmp_path: Path, suffix: str) -> None:
    labels = read_labels(write(tmp_path / f"y.{suffix}", LABELS, "labels"))
    assert labels.dtype.kind == "i"
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize("suffix", ["npy", "npz", "json", "safetensors"])
def test_an_array_of_one_axis_is_one_example(tmp_path: Path, suffix: str) -> None:
    with open_logits(write(tmp_path / f"z.{suffix}", LOGITS[0], "logits")) as logits:
        assert logits.shape == (1, 5)
        ((start, block),) = logits.blocks(max_elements=2)
        assert start == 0
        np.testing.assert_array_equal(block, LOGITS[:1])
        np.testing.assert_array_equal(logits.row(0), LOGITS[0])
        with pytest.raises(FileError, match="no row 1"):
            logits.row(1)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("dtype", ["float16", "float32", ">f8", "int8", "uint64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_other_types_and_orders(
    tmp_path: Path, suffix: str, dtype: str, order: str
) -> None:
    array = np.array(np.arange(35).reshape(7, 5), dtype=dtype, order=order)
    with open_logits(write(tmp_path / f"z.{suffix}", array, "z")) as logits:
        blocks = [b for _, b in logits.blocks(max_elements=15)]
        assert blocks[0].dtype.name == np.dtype(dtype).name
        np.testing.assert_array_equal(np.concatenate(blocks), array)
        np.testing.assert_array_equal(logits.row(6), array[6])


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [("safetensors", np.float16), ("parquet", np.float16), ("pt", np.float16)],
)
def test_half_precision_keeps_its_dtype(tmp_path: Path, suffix: str, dtype: type) -> None:
    array = np.arange(12).reshape(3, 4)
    with open_logits(write(tmp_path / f"z.{suffix}", array.astype(dtype), "z")) as logits:
        block = next(logits.blocks())[1]
        assert block.dtype == dtype
        np.testing.assert_array_equal(block.astype(float), array)


def test_bfloat16_is_read_as_float32_without_another_package(tmp_path: Path) -> None:
    numbers = np.array([[1.0, -2.5, np.inf], [np.nan, 3e38, -0.0]], ml_dtypes.bfloat16)
    path = write(tmp_path / "z.safetensors", numbers, "z")
    code = (
        "import sys; from softmaxloss.files import open_logits\n"
        "block = next(open_logits(sys.argv[1]).blocks())[1]\n"
        "print(block.dtype, block.view('u4').tolist(), 'ml_dtypes' in sys.modules)"
    )
    expected = numbers.astype(np.float32).view(np.uint32).tolist()
    assert printed_by(code, str(path)) == f"float32 {expected} False\n"
    tensor = torch.tensor([[1.0, -2.5, torch.inf], [torch.nan, 3e38, -0.0]], dtype=torch.bfloat16)
    torch.save(tensor, tmp_path / "z.pt")
    with open_logits(tmp_path / "z.pt") as logits:
        assert next(logits.blocks())[1].view(np.uint32).tolist() == expected


@pytest.mark.parametrize("suffix", ["npy", "safetensors"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_file_cut_short_while_it_is_read_is_one_line(
    tmp_path: Path, suffix: str, order: str
) -> None:
    """A file that were mapped would end the process by SIGBUS."""
    array = np.array(np.ones((4000, 8)), order=order)
    path = write(tmp_path / f"z.{suffix}", np.asarray(array), "z")
    with open_logits(path) as logits:
        blocks = logits.blocks(max_elements=800)
        next(blocks)
        os.truncate(path, 30_000)
        assert "ended while it was read" in failure(path, lambda: list(blocks))
        assert "ended while it was read" in failure(path, lambda: logits.row(3999))


@pytest.mark.parametrize("suffix", BINARY)
def test_empty_arrays_have_no_blocks(tmp_path: Path, suffix: str) -> None:
    with open_logits(write(tmp_path / f"z.{suffix}", np.ones((0, 3)), "z")) as logits:
        assert logits.shape == (0, 3)
        assert list(logits.blocks()) == []
        with pytest.raises(FileError, match="no rows"):
            logits.row(0)
    assert read_labels(write(tmp_path / f"y.{suffix}", LABELS[:0], "y")).shape == (0,)


@pytest.mark.parametrize("suffix", BINARY)
def test_labels_may_be_one_column(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"y.{suffix}", LABELS[:, None], "y")
    np.testing.assert_array_equal(read_labels(path), LABELS)


@pytest.mark.parametrize("suffix", ["npz", "json", "safetensors", "parquet", "arrow"])
def test_a_key_names_the_array(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"d.{suffix}"
    arrays = {"logits": np.abs(LOGITS[5:]), "other": LOGITS[5:] + 1, "labels": LABELS[5:]}
    match suffix:
        case "npz":
            np.savez(path, **arrays)
        case "json":
            lists = {name: array.tolist() for name, array in arrays.items()}
            path.write_text(json.dumps(lists | {"note": "x"}))
        case "safetensors":
            safetensors.numpy.save_file(arrays, path)
        case "parquet" | "arrow":
            columns = pa.table({name: array.tolist() for name, array in arrays.items()})
            if suffix == "parquet":
                pq.write_table(columns, path)
            else:
                write_arrow(path, columns)
    with open_logits(path) as logits:
        np.testing.assert_array_equal(logits.row(0), np.abs(LOGITS[5]))
    with open_logits(path, key="other") as logits:
        np.testing.assert_array_equal(logits.row(0), LOGITS[5] + 1)
    np.testing.assert_array_equal(read_labels(path), LABELS[5:])
    np.testing.assert_array_equal(read_labels(path, key="labels"), LABELS[5:])


def test_csv_takes_bom_quotes_spaces_blank_lines_and_crlf(tmp_path: Path) -> None:
    path = tmp_path / "z.csv"
    path.write_bytes(
        b'\xef\xbb\xbf\r\n cat ,"a, dog"\r\n\r\n1.5, -inf\r\n  NaN,"2e3"\r\n \r\n Infinity,-0'
    )
    with open_logits(path) as logits:
        assert logits.class_names == ["cat", "a, dog"]
        np.testing.assert_array_equal(
            next(logits.blocks())[1], [[1.5, -np.inf], [np.nan, 2000], [np.inf, 0]]
        )


@pytest.mark.parametrize(
    ("content", "key", "labels"),
    [
        ("name,label,weight\nx,3,0.5\ny,0,0.5\n", None, [3, 0]),
        ("fold,class\n1,7\n2,8\n", "class", [7, 8]),
    ],
    ids=["label", "key"],
)
def test_csv_labels_are_one_column_of_several(
    tmp_path: Path, content: str, key: str | None, labels: list[int]
) -> None:
    path = tmp_path / "y.csv"
    path.write_text(content)
    np.testing.assert_array_equal(read_labels(path, key=key), labels)


def test_json_takes_nan_and_infinity(tmp_path: Path) -> None:
    path = tmp_path / "z.json"
    path.write_text("[[NaN, 1], [-Infinity, 2]]")
    with open_logits(path) as logits:
        np.testing.assert_array_equal(next(logits.blocks())[1], [[np.nan, 1], [-np.inf, 2]])


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float32()), pa.list_(pa.float32(), 5), pa.large_list(pa.float32())],
    ids=["list", "fixed_size_list", "large_list"],
)
def test_parquet_lists(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "z.parquet"
    column = pa.array(LOGITS.astype(np.float32).tolist(), kind)
    pq.write_table(pa.table({"id": np.arange(11), "z": column}), path, row_group_size=4)
    with open_logits(path) as logits:
        assert logits.shape == (11, 5)
        assert logits.class_names is None
        blocks = [b for _, b in logits.blocks(max_elements=10)]
        np.testing.assert_array_equal(np.concatenate(blocks), LOGITS.astype(np.float32))
        np.testing.assert_array_equal(logits.row(9), LOGITS[9].astype(np.float32))


@pytest.mark.parametrize("stream", [False, True], ids=["file", "stream"])
@pytest.mark.parametrize("max_elements", [5, 15, 1 << 22])
def test_arrow_files_and_streams(tmp_path: Path, stream: bool, max_elements: int) -> None:
    """Streams are what Hugging Face's datasets keep on disk."""
    path = tmp_path / "z.arrow"
    names = pa.array(["fox", "cat", "fox", "dog", *["cat"] * 7]).dictionary_encode()
    table = pa.table({"id": np.arange(11), "logits": LOGITS.tolist(), "label": names})
    write_arrow(path, table, stream=stream)
    with open_logits(path) as logits:
        assert logits.shape == (None, 5)
        blocks = [b for _, b in logits.blocks(max_elements=max_elements)]
        assert logits.progress == (path.stat().st_size,) * 2
        np.testing.assert_array_equal(np.concatenate(blocks), LOGITS)
        np.testing.assert_array_equal(logits.row(9), LOGITS[9])
    labels = read_labels(path, classes=["cat", "dog", "fox"])
    np.testing.assert_array_equal(labels, [2, 0, 2, 1, *[0] * 7])


def test_parquet_class_names(tmp_path: Path) -> None:
    path = tmp_path / "z.parquet"
    pq.write_table(pa.table({"cat": [1.0, 2.0], "dog": pa.array([3, 4], pa.int8())}), path)
    with open_logits(path) as logits:
        assert logits.class_names == ["cat", "dog"]
        np.testing.assert_array_equal(next(logits.blocks())[1], [[1, 3], [2, 4]])


# ── bad files ──────────────────────────────────────────────────────────────────────────────────

Maker = Callable[[Path], Any]


def text(content: str | bytes) -> Maker:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda path: path.write_bytes(data)


def saved(array: Any) -> Maker:
    return lambda path: write(path, np.asarray(array), "z")


def cut(keep: int, array: np.ndarray = LOGITS) -> Maker:
    def make(path: Path) -> None:
        write(path, array, "z")
        path.write_bytes(path.read_bytes()[:keep])

    return make


def npy_header(shape: str, descr: str = "'<f4'", order: str = "False") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n"


def zipped(content: bytes, name: str = "z.npy", method: int = zipfile.ZIP_DEFLATED) -> Maker:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr(name, content)

    return make


def lying_directory(unpacked: int) -> Maker:
    """A zip whose directory and local header claim a larger unpacked size than the true one."""

    def make(path: Path) -> None:
        data = npy_header(f"({unpacked},)", "'|u1'")
        data = npy_header(f"({unpacked - len(data)},)", "'|u1'") + bytes(64)
        zipped(data)(path)
        raw = bytearray(path.read_bytes())
        struct.pack_into("<I", raw, 22, unpacked)
        struct.pack_into("<I", raw, raw.index(b"PK\x01\x02") + 24, unpacked)
        path.write_bytes(raw)

    return make


def bomb(path: Path) -> None:
    """Over 1 GiB of zeros in about a megabyte."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        head = npy_header("(1100, 262144)").replace(b" \n", b"\n")
        with archive.open("z.npy", "w", force_zip64=True) as file:
            file.write(head)
            for _ in range(1100):
                file.write(bytes(1 << 20))


def damaged_zip(path: Path) -> None:
    np.savez_compressed(path, z=np.random.default_rng(7).normal(size=(200, 5)))
    raw = bytearray(path.read_bytes())
    raw[2000:2100] = bytes(100)
    path.write_bytes(raw)


def pickled(path: Path) -> None:
    np.save(path, np.array([[1, "x"], [None, 2]], dtype=object), allow_pickle=True)


def table(**columns: Any) -> Maker:
    return lambda path: pq.write_table(pa.table(columns), path)


BAD_LOGITS: list[tuple[str, Maker, str]] = [
    # every format
    ("missing.npy", lambda path: None, "no such file"),
    ("folder.npy", lambda path: path.mkdir(), "is a directory"),
    ("no_suffix", lambda path: None, "no such file"),
    ("folder", lambda path: path.mkdir(), "is a directory"),
    ("pipe.csv", lambda path: os.mkfifo(path), "not a regular file"),
    *[(f"empty.{s}", text(""), "is empty") for s in SUFFIXES],
    ("z.text", text("1,2"), "unknown suffix '.text'; use .npy, .npz"),
    ("z", text("1,2"), "unknown suffix ''"),
    ("new\nline.npy", lambda path: None, "no such file"),
    # .npy
    ("cut_header.npy", cut(50), "no valid .npy header (cut short?)"),
    ("cut_magic.npy", cut(3), "no valid .npy header (cut short?)"),
    ("cut_data.npy", cut(-1), "promises 11 × 5 float64 = 440 bytes, 439 follow"),
    ("no_npy.npy", text("0.1,0.2\n"), "no valid .npy header"),
    ("gigantic.npy", text(npy_header("(10**5, 10**15)")), "no valid .npy header"),
    (
        "gigantic2.npy",
        text(npy_header("(100000, 1000000000000000)")),
        "has the shape (100000, 1000000000000000), which no array has",
    ),
    ("gigantic3.npy", text(npy_header(f"({10**30}, 0)")), "which no array has"),
    ("long_header.npy", text(npy_header(" " * 20_000 + "(2, 2)")), "header of over 10000 bytes"),
    (
        "negative.npy",
        text(npy_header("(-2, -2)") + bytes(64)),
        "has the shape (-2, -2), which no array has",
    ),
    ("true.npy", text(npy_header("(True, 4)") + bytes(16)), "has the shape (True, 4), which no"),
    ("evil.npy", text(npy_header("__import__('os').abort()")), "no valid .npy header"),
    ("deep.npy", text(npy_header("(" * 300 + ")" * 300)), "no valid .npy header"),
    ("pickled.npy", pickled, "pickled Python objects, which are never loaded"),
    ("three.npy", saved(np.ones((2, 3, 4))), "has shape (2, 3, 4); logits are (examples, classes)"),
    ("scalar.npy", lambda path: np.save(path, 3.0), "holds a single number"),
    ("scalar.npz", saved(3.0), "member 'z.npy' holds a single number"),
    ("scalar.safetensors", saved(3.0), "holds a single number"),
    ("escape.parquet", table(a=[{"\x1b[31m": 1}]), "column 'a' is struct<"),
    ("no_classes.npy", saved(np.ones((3, 0))), "no classes"),
    ("text.npy", saved([["a", "b"]]), "logits are floats or integers"),
    ("bool.npy", saved([[True, False]]), "holds bool; logits are floats or integers"),
    ("complex.npy", saved([[1j, 2]]), "holds complex128"),
    ("fields.npy", saved(np.zeros((2, 2), [("a", "f4")])), "logits are floats or integers"),
    ("bf16.npy", saved(np.ones((2, 2), ml_dtypes.bfloat16)), ".npy does not keep bfloat16"),
    # .npz
    ("no_zip.npz", text("PK, but not a zip"), "is no .npz (zip) file or is cut short"),
    ("cut.npz", cut(150), "is no .npz (zip) file or is cut short"),
    ("renamed.npz", text(npy_header("(1, 1)") + bytes(4)), "is no .npz"),
    ("no_array.npz", zipped(b"hello", "readme.txt"), "holds nothing that could be the logits"),
    ("bomb.npz", lying_directory(1100 << 20), "a zip bomb?"),
    (
        "longer.npz",
        zipped(npy_header("(9, 9)") + bytes(64)),
        "promises 9 × 9 float32 = 324 bytes, 64 follow",
    ),
    (
        "shorter.npz",
        zipped(npy_header("(1, 2)") + bytes(64)),
        "promises 1 × 2 float32 = 8 bytes, 64 follow",
    ),
    ("pickled.npz", lambda p: np.savez(p, z=np.array([None])), "pickled Python objects"),
    ("three.npz", saved(np.ones((2, 3, 4))), "has shape (2, 3, 4)"),
    # .csv
    ("ragged.csv", text("1,2\n3,4\n\n5,6,7\n"), "line 4 has 3 columns, not 2"),
    ("ragged_header.csv", text("a,b,c\n1,2\n"), "line 2 has 2 columns, not 3"),
    ("word.csv", text("a,b\n1,2\n3,four\n"), "line 3, column 2 ('b'): 'four' is not a number"),
    ("hole.csv", text("1,2\n,4\n"), "line 2, column 1: '' is not a number"),
    ("python.csv", text("1,2\n1_0,4\n"), "line 2, column 1: '1_0' is not a number"),
    ("escape.csv", text("1,2\n3,\x1b[31m\n"), r"line 2, column 2: '\x1b[31m' is not a number"),
    ("thousands.csv", text("1,5;2\n1.234,5;3\n"), "line 1, column 1: '1,5' has a comma, and other"),
    ("mixed.csv", text("1,5;2\n1.5;3\n"), "line 1, column 1: '1,5' has a comma, and other"),
    ("spaces.csv", text("1.5 2.5\n1 x\n"), "line 2, column 1 ('1.5 2.5'): '1 x' is not a number"),
    ("latin.csv", text(b"1,2\n\xe9,2\n"), "line 2 is not UTF-8 text"),
    ("utf16.csv", text("1,2\n".encode("utf-16")), "line 1 is not UTF-8 text"),
    ("binary.csv", text(bytes(range(256))), "is not"),
    ("blank.csv", text("\n  \n\n"), "only blank lines"),
    ("header.csv", text("cat,dog\n"), "one line and that is not all numbers"),
    ("numbers.csv", text("0,1,2\n0.5,1,2\n"), "column numbers or an example?"),
    ("predicted.csv", text("cat,dog,pred\n1,2,0\n"), "column 'pred' stands among the classes"),
    ("file.csv", text("file,cat,dog\na.png,1,2\n"), "line 2, column 1 ('file'): 'a.png' is not a"),
    ("labels.csv", text("id,label\n1,2\n"), "has no column of logits; it has: id, label"),
    ("quote.csv", text('1,2\n"1,2\n3,4\n'), "line 2"),
    (
        "typo.csv",
        text("1.0,2.O,3\n1,2,3\n"),
        "neither all numbers nor all names: column 2 is '2.O'",
    ),
    ("typo1.csv", text("1.0,2.O,3\n"), "line 1 is neither all numbers nor all names"),
    ("sep.csv", text("sep=;\n"), "holds only its first line, sep="),
    ("mac.csv", text("a,b\r1,2\r"), r"line 1 holds carriage returns (\r): end its lines with \n"),
    ("arabic.csv", text("1,٣\n1,2\n"), "line 1, column 2: '٣' is not a number"),
    ("arabic2.csv", text("a,b\n1,2\n1,٣\n"), "line 3, column 2 ('b'): '٣' is not a number"),
    # .json
    ("cut.json", text("[[1, 2], [3"), "not valid JSON (cut short?)"),
    ("deep.json", text("[" * 100_000 + "]" * 100_000), "nested too deeply"),
    ("ragged.json", text("[[1, 2], [3]]"), "row 1 has 1 numbers, row 0 has 2"),
    ("null.json", text("[[1, 2], [3, null]]"), "row 1, column 1 is null, not a number"),
    ("text.json", text('[[1, "x\\ny"]]'), r"row 0, column 1 is the text 'x\ny', not a number"),
    ("bool.json", text("[[true, 0.5]]"), "row 0, column 0 is true, not a number"),
    ("nested.json", text("[[[1, 2]]]"), "row 0, column 0 is a list"),
    ("mixed.json", text("[[1, 2], 3]"), "row 1 is the number 3, not a list"),
    ("number.json", text("3"), "holds the number 3; expected a list"),
    ("nothing.json", text("[]"), "no classes"),
    ("long.json", text("[[1" + "0" * 400 + "]]"), "too large for float64"),
    ("longer.json", text("[[1" + "0" * 5000 + "]]"), "not valid JSON"),
    ("latin.json", text(b'["\xe9"]'), "not UTF-8 text"),
    ("object.json", text('{"a": 1}'), "holds nothing that could be the logits"),
    # .parquet
    ("no.parquet", text("PAR1 but not so"), "is no .parquet file or is cut short"),
    ("cut.parquet", cut(-20), "is no .parquet file or is cut short"),
    ("no.arrow", text("ARROW1 but not so"), "is no .arrow file or is cut short"),
    ("cut.arrow", cut(-20), "is no .arrow file or is cut short"),
    ("words.parquet", table(a=[1.0], b=["x"]), "column 'b' is string, not float or integer"),
    ("hole.parquet", table(a=[1.0, None], b=[1.0, 2.0]), "column 'a', row 1 holds a missing value"),
    ("ragged.parquet", table(z=[[1.0, 2.0], [3.0]]), "row 1 has 1 numbers, row 0 has 2"),
    ("null.parquet", table(z=[[1.0, 2.0], None]), "column 'z', row 1 holds a missing value"),
    ("inner.parquet", table(z=[[1.0, 2.0], [1.0, None]]), "'z', row 1 holds a missing value"),
    (
        "two.parquet",
        table(a=[[1.0]], b=[[1.0]]),
        "holds several arrays: a, b; name the logits by --logits-key (key= in Python)",
    ),
    ("strings.parquet", table(z=[["a"]]), "holds no lists of floats or integers"),
    ("labels.parquet", table(label=[1]), "has no column of logits; it has: label"),
    ("no_rows.parquet", table(z=pa.array([], pa.list_(pa.float32()))), "holds no rows"),
    ("no_lists.parquet", table(z=pa.array([[], []], pa.list_(pa.float32()))), "no classes"),
    # .safetensors
    ("no.safetensors", text("hello, world"), "is no .safetensors file or is cut short"),
    ("cut.safetensors", cut(-5), "takes 440 bytes, to be found at 0 to 440 of 435"),
    ("bool.safetensors", saved([[True]]), "is BOOL; F64, F32"),
    ("three.safetensors", saved(np.ones((2, 3, 4))), "has shape (2, 3, 4)"),
]


def failure(path: Path, call: Callable[[], object]) -> str:
    """The message of the `FileError`, checked to be one line that names the file."""
    with pytest.raises(FileError) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable()  # one line, without terminal sequences
    assert re.search(re.escape(path.name.replace("\n", "\\n")) + ": ", message)
    assert len(message) < 1000
    return message


@pytest.mark.parametrize(("name", "make", "expected"), BAD_LOGITS, ids=[b[0] for b in BAD_LOGITS])
def test_bad_logits_are_one_line(tmp_path: Path, name: str, make: Maker, expected: str) -> None:
    path = tmp_path / name
    make(path)
    assert expected in failure(path, lambda: read_all(path))


@pytest.mark.slow
def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    bomb(path)
    assert "a zip bomb?" in failure(path, lambda: read_all(path))


BAD_LABELS: list[tuple[str, Maker, str]] = [
    ("missing.csv", lambda path: None, "no such file"),
    ("y.text", text("1"), "unknown suffix"),
    ("cut.npy", cut(-1, LABELS), "is cut short"),
    ("pickled.npy", pickled, "pickled Python objects"),
    (
        "two_hot.npy",
        saved([[0, 1, 0], [1, 0, 1]]),
        "several numbers per example, and row 1 sums to 2",
    ),
    ("three.npy", saved(np.ones((2, 3, 4))), "has shape (2, 3, 4); labels are one number"),
    ("float.npy", saved([1.0, 2.0]), "holds float64; labels are integers"),
    ("bool.npy", saved([True, False]), "holds bool; labels are integers"),
    ("text.npy", saved(["cat"]), "row 0: 'cat' is text; labels are class numbers"),
    ("damaged.npz", damaged_zip, "cannot be unpacked"),
    ("names.csv", text("label\n0\ncat\n"), "line 3: 'cat' is text; labels are class numbers"),
    ("point.csv", text("1\n3.0\n"), "line 2: label '3.0': write whole numbers without a point, 3"),
    ("large.csv", text("1\n1e300\n"), "line 2: '1e300' is not a whole number"),
    ("half.csv", text("1\n3.5\n"), "line 2: '3.5' is not a whole number"),
    ("hole.csv", text("a,label\n1,2\n1,\n"), "line 3: '' is not a whole number"),
    ("nan.csv", text("1\nnan\n"), "line 2: 'nan' is not a whole number"),
    ("two.csv", text("1,2\n3,4\n"), "has several numbers per example, and row 0 sums to 3"),
    ("names2.csv", text("a,b\n3,4\n"), "holds several columns, a, b: name the one with the labels"),
    ("ragged.csv", text("1\n3,4\n"), "line 2 has 2 columns, not 1"),
    ("huge.csv", text("1\n99999999999999999999\n"), "is not a 64-bit number"),
    ("longer.csv", text("1\n" + "9" * 5000 + "\n"), "is not a 64-bit number"),
    ("header.csv", text("label\n"), "holds no labels"),
    ("latin.csv", text(b"1\n\xe9\n"), "line 2 is not UTF-8"),
    ("names.json", text('[0, "cat"]'), "row 1: 'cat' is text; labels are class numbers"),
    ("float.json", text("[0, 1.0]"), "write whole numbers without a point, 1"),
    ("null.json", text("[0, null]"), "row 1: a label is null"),
    ("rows.json", text("[[0]]"), "holds float64; labels are integers"),
    ("deeper.json", text("[0, [0]]"), "row 1: a label is a list"),
    ("bool.json", text("[true]"), "row 0: a label is true"),
    ("huge.json", text("[99999999999999999999]"), "not a 64-bit number"),
    ("names.parquet", table(label=["cat"]), "column 'label', row 0: 'cat' is text"),
    ("float.parquet", table(label=[1.0]), "holds float64; labels are integers"),
    ("hole.parquet", table(label=[1, None]), "row 1 holds a missing value"),
    ("negative.safetensors", saved([[0.5, 0.5], [1.5, -0.5]]), "row 1 has -0.5: probabilities"),
]


@pytest.mark.parametrize(("name", "make", "expected"), BAD_LABELS, ids=[b[0] for b in BAD_LABELS])
def test_bad_labels_are_one_line(tmp_path: Path, name: str, make: Maker, expected: str) -> None:
    path = tmp_path / name
    make(path)
    assert expected in failure(path, lambda: read_labels(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_unknown_key_is_one_line(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"z.{suffix}", LOGITS, "z")
    message = failure(path, lambda: open_logits(path, key="no\tsuch"))
    assert r"no\tsuch" in message
    if suffix in ("npz", "safetensors"):
        assert message.endswith("it has: z")
    path = write(tmp_path / f"y.{suffix}", LABELS, "y")
    assert r"no\tsuch" in failure(path, lambda: read_labels(path, key="no\tsuch"))


def test_several_arrays_need_a_key(tmp_path: Path) -> None:
    path = tmp_path / "z.npz"
    np.savez(path, a=LOGITS, b=LOGITS)
    assert "several arrays: a, b; name the logits by --logits-key (key= in Python)" in failure(
        path, lambda: open_logits(path)
    )


def test_damage_that_only_reading_finds(tmp_path: Path) -> None:
    path = tmp_path / "z.npz"
    damaged_zip(path)
    with open_logits(path) as logits:
        assert "cannot be unpacked" in failure(path, lambda: list(logits.blocks(max_elements=50)))


def test_a_lying_zip_allocates_no_memory(tmp_path: Path) -> None:
    """The directory and the header claim 1 GiB; the file holds 64 bytes."""
    path = tmp_path / "z.npz"
    lying_directory(1 << 30)(path)
    tracemalloc.start()
    message = failure(path, lambda: read_all(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "cut short" in message or "cannot be unpacked" in message
    assert peak < 32 << 20


def read_all(path: Path) -> None:
    with open_logits(path) as logits:
        list(logits.blocks())


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "z.npy", LOGITS, "z")
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read everything

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", refuse)
    assert "cannot be opened: Permission denied" in failure(path, lambda: open_logits(path))


@pytest.mark.parametrize(
    ("suffix", "module", "hint"),
    [
        ("parquet", "pyarrow.parquet", "needs pyarrow: pip install pyarrow"),
        (
            "pt",
            "torch",
            "PyTorch reads it, and is not installed: pip install torch, or where it is",
        ),
    ],
)
def test_a_missing_package_is_named_with_its_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str, hint: str
) -> None:
    path = write(tmp_path / f"z.{suffix}", LOGITS, "z")
    monkeypatch.setitem(sys.modules, module, None)
    assert hint in failure(path, lambda: open_logits(path))


def test_a_large_npz_in_fortran_order_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "z.npz"
    np.savez(path, z=np.asfortranarray(LOGITS))
    monkeypatch.setattr("softmaxloss.files.npy._FORTRAN_LIMIT", 100)
    assert "Fortran (column) order" in failure(path, lambda: open_logits(path))


# ── memory ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "jsonl", "safetensors", "pt"])
def test_streaming_takes_memory_for_blocks_not_for_the_file(tmp_path: Path, suffix: str) -> None:
    """48 MB of logits (12 MB as text) in blocks of 0.5 MB: only a few blocks are alive at once.

    The bound is 16 blocks: the block, the one before it, the window of the decompressor and 1 MiB
    that it returns at once, the text of a block. The whole file would take 6 times the bound.
    """
    rows = 1_500 if suffix in LINES else 6_000
    array = np.zeros((rows, 1000))
    array[::7] = np.random.default_rng(7).normal(size=1000)
    path = write(tmp_path / f"z.{suffix}", array, "z")
    total = 0.0
    with open_logits(path) as logits:
        tracemalloc.start()
        for _, block in logits.blocks(max_elements=1 << 16):
            total += float(block.sum())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert total == pytest.approx(array.sum(), rel=1e-9)
    assert peak < 16 * (8 << 16)
    assert peak < array.nbytes


# ── what is loaded and what is documented ──────────────────────────────────────────────────────


def printed_by(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_importing_the_readers_loads_no_optional_package() -> None:
    code = (
        "import sys, softmaxloss.files\n"
        "print({'pyarrow', 'torch', 'gzip', 'click', 'rich'} & set(sys.modules))"
    )
    assert printed_by(code) == "set()\n"


def test_reading_needs_no_module_that_some_pythons_lack(tmp_path: Path) -> None:
    path = write(tmp_path / "z.npz", LOGITS, "z")
    code = (
        "import sys\n"
        "lacking = 'lzma _lzma bz2 _bz2 ctypes _ctypes sqlite3 curses readline resource ssl'\n"
        "sys.modules.update(dict.fromkeys(lacking.split()))\n"
        "from softmaxloss.files import open_logits\n"
        "print(open_logits(sys.argv[1]).shape)"
    )
    assert printed_by(code, str(path)) == "(11, 5)\n"


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_format_is_in_the_docs_and_its_packages_in_an_extra(suffix: str) -> None:
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(suffix in text.read_text(encoding="utf-8") for text in texts)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = itertools.chain(*project["optional-dependencies"].values())
    needs = FORMATS[suffix].needs
    if needs != "torch":  # an extra would install gigabytes
        assert {*needs.split()} <= {package.partition(">")[0] for package in extras}
