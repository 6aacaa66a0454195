"""Text: separators, decimal commas, tables with other columns, compression, JSON lines."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from softmaxloss.files import FileError, open_logits, read_labels

try:
    from compression import zstd
except ImportError:  # before Python 3.14
    from backports import zstd

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(size=(6, 3)).round(4)
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
}


def read(path: Path, **options: object) -> np.ndarray:
    with open_logits(path, **options) as logits:  # type: ignore[arg-type]
        return np.concatenate([block for _, block in logits.blocks()])


def failure(call: Callable[[], object]) -> str:
    with pytest.raises(FileError) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000
    return message


def save(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lines(mark: str, number: Callable[[float], str] = repr) -> str:
    return "".join(mark.join(map(number, row)) + "\n" for row in LOGITS.tolist())


# ── separators and decimal commas ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt"])
@pytest.mark.parametrize("mark", [",", ";", "\t", " "])
@pytest.mark.parametrize("heading", ["", "cat{0}dog{0}fox\n"])
def test_the_separator_is_found(tmp_path: Path, suffix: str, mark: str, heading: str) -> None:
    path = save(tmp_path / f"z.{suffix}", heading.format(mark) + lines(mark))
    with open_logits(path) as logits:
        assert logits.class_names == (["cat", "dog", "fox"] if heading else None)
        np.testing.assert_array_equal(next(logits.blocks())[1], LOGITS)


@pytest.mark.parametrize("mark", [";", "\t", " "])
@pytest.mark.parametrize("form", ["{:.4f}", "{:.4e}", "{:+.4f}"])
def test_decimal_commas(tmp_path: Path, mark: str, form: str) -> None:
    text = lines(mark, lambda x: form.format(x).replace(".", ","))
    expected = [[float(form.format(x)) for x in row] for row in LOGITS]
    np.testing.assert_array_equal(read(save(tmp_path / "z.csv", text)), expected)
    headed = save(tmp_path / "h.csv", mark.join(["a", "b", "c"]) + "\n" + text)
    np.testing.assert_array_equal(read(headed), expected)


def test_both_decimal_marks_are_refused_also_in_different_blocks(tmp_path: Path) -> None:
    path = save(tmp_path / "z.csv", "1,5;2,5\n" * 5 + "1.5;2.5\n")
    with open_logits(path) as logits:
        assert "one decimal mark" in failure(lambda: list(logits.blocks(max_elements=2)))


def test_what_numpy_savetxt_writes(tmp_path: Path) -> None:
    for name in ("z.txt", "z.csv"):
        np.savetxt(tmp_path / name, LOGITS)
        np.testing.assert_array_equal(read(tmp_path / name), LOGITS)
    np.savetxt(tmp_path / "y.txt", [2, 0, 1], fmt="%d")
    np.testing.assert_array_equal(read_labels(tmp_path / "y.txt"), [2, 0, 1])


def test_names_with_other_marks_in_them(tmp_path: Path) -> None:
    text = 'a;b,"c,d",living room\n1,2,3\n'
    with open_logits(save(tmp_path / "z.csv", text)) as logits:
        assert logits.class_names == ["a;b", "c,d", "living room"]
    labels = save(tmp_path / "y.txt", "living room\ndining room\nliving room\n")
    rooms = ["dining room", "living room"]
    np.testing.assert_array_equal(read_labels(labels, classes=rooms), [1, 0, 1])


def test_a_line_for_excel_names_the_separator(tmp_path: Path) -> None:
    path = save(tmp_path / "z.csv", "\ufeffsep=;\r\ncat;dog\r\n1,5;2,5\r\n")
    with open_logits(path) as logits:
        assert logits.class_names == ["cat", "dog"]
        np.testing.assert_array_equal(next(logits.blocks())[1], [[1.5, 2.5]])


# ── tables ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("heading", "options", "positions", "names"),
    [
        ("id,label,cat,dog", {}, [2, 3], ["cat", "dog"]),
        (",cat,dog,Label", {}, [1, 2], ["cat", "dog"]),
        ("Unnamed: 0,y_true,0,1", {}, [2, 3], None),
        ("index,7,8,label", {}, [1, 2], ["7", "8"]),
        ("step,logit_cat,loss,logit_dog", {}, [1, 3], ["cat", "dog"]),
        ("logits.0,logits.1,step,pred", {}, [0, 1], None),
        ("a,b,c,d", {"key": "c,a"}, [2, 0], ["c", "a"]),
        ("p_b,x,p_a,label", {"key": "p_*"}, [0, 2], ["b", "a"]),
        ("a,b,species,fold", {"apart": ("species", "fold")}, [0, 1], ["a", "b"]),
    ],
)
def test_the_columns_of_the_logits(
    tmp_path: Path,
    heading: str,
    options: dict[str, object],
    positions: list[int],
    names: list[str] | None,
) -> None:
    numbers = np.arange(8.0).reshape(2, 4) + 0.5
    rows = "".join(",".join(map(str, row)) + "\n" for row in numbers)
    path = save(tmp_path / "z.csv", f"{heading}\n{rows}")
    with open_logits(path, **options) as logits:  # type: ignore[arg-type]
        assert logits.class_names == names
        columns = heading.split(",")
        assert logits.left_out == [c for j, c in enumerate(columns) if j not in positions]
        np.testing.assert_array_equal(next(logits.blocks())[1], numbers[:, positions])


def test_text_with_line_ends_commas_and_quotes_beside_the_logits(tmp_path: Path) -> None:
    text = (
        'prompt,logit_a,label,logit_b\n"1, 2\n""3""",0.5,1,1.5\nplain,2.5,0,3.5\n"x\n\ny",4,1,5\n'
    )
    path = save(tmp_path / "z.csv", text)
    np.testing.assert_array_equal(read(path), [[0.5, 1.5], [2.5, 3.5], [4, 5]])
    np.testing.assert_array_equal(read_labels(path), [1, 0, 1])
    many = save(tmp_path / "many.csv", 'x,a,b\n"' + "\n1" * 60_000 + '",2,3\n')  # at once
    np.testing.assert_array_equal(read(many, key="a,b"), [[2, 3]])
    bad = save(tmp_path / "bad.csv", text + 'z,1,0,"2\n')
    assert 'line 8 opens a quote (") that is not closed' in failure(lambda: read(bad))


def test_a_heading_of_class_numbers(tmp_path: Path) -> None:
    path = save(tmp_path / "z.csv", "0,1,2\n0.25,0.5,0.25\n")
    with open_logits(path) as logits:
        assert logits.class_names is None
        np.testing.assert_array_equal(next(logits.blocks())[1], [[0.25, 0.5, 0.25]])


@pytest.mark.parametrize(
    ("heading", "options", "says"),
    [
        ("a,b", {"key": "c"}, "has no column 'c'; it has: a, b"),
        ("a,b", {"key": "a,a"}, "names twice"),
        ("a,b", {"key": "x_*"}, "has no column 'x_*'"),
        ("1,2", {"key": "a"}, "has no line of column names to find 'a' in"),
    ],
)
def test_a_key_that_fits_no_columns(
    tmp_path: Path, heading: str, options: dict[str, str], says: str
) -> None:
    path = save(tmp_path / "z.csv", f"{heading}\n1,2\n")
    assert says in failure(lambda: read(path, **options))


# ── JSON lines ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("row", "names", "left_out"),
    [
        (lambda z: z, None, []),
        (lambda z: {"logits": z}, None, []),
        (lambda z: {"id": "a", "logits": z, "label": 1}, None, ["id", "label"]),
        (lambda z: {"scores": z, "label": 1}, None, ["label"]),
        (lambda z: dict(zip("abc", z, strict=True)), ["a", "b", "c"], []),
        (lambda z: {"label": 1, **dict(zip("abc", z, strict=True))}, ["a", "b", "c"], ["label"]),
        (lambda z: {"logits": dict(zip("abc", z, strict=True))}, ["a", "b", "c"], []),
    ],
)
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_the_forms_of_a_record(tmp_path: Path, row, names, left_out, suffix) -> None:
    records = [row(z) for z in LOGITS.tolist()]
    text = "\n".join(map(json.dumps, records)) if suffix == "jsonl" else json.dumps(records)
    with open_logits(save(tmp_path / f"z.{suffix}", text)) as logits:
        assert (logits.class_names, list(logits.left_out)) == (names, left_out)
        blocks = [block for _, block in logits.blocks(max_elements=6)]
        np.testing.assert_array_equal(np.concatenate(blocks), LOGITS)
        np.testing.assert_array_equal(logits.row(4), LOGITS[4])


def test_fields_may_come_in_another_order(tmp_path: Path) -> None:
    text = '{"a": 1, "b": 2}\n{"b": 4, "a": 3}\n'
    np.testing.assert_array_equal(read(save(tmp_path / "z.jsonl", text)), [[1, 2], [3, 4]])


BAD_LINES = [
    ("[1, 2]\n[3\n", "line 2 is not valid JSON (cut short?)"),
    ("[1, 2]\n\n[3]\n", "line 3 has 1 numbers, line 1 has 2"),
    ("[1, 2]\n[3, null]\n", "line 2, column 1 is null, not a number"),
    ("[1, 2]\n[3, true]\n", "line 2, column 1 is true, not a number"),
    ('[1, 2]\n[3, "4"]\n', "line 2, column 1 is the text '4', not a number"),
    ("[1, 2]\n3\n", "line 2 is the number 3, not a list of numbers"),
    ('{"logits": [1, 2]}\n{"logit": [1, 2]}\n', "line 2 has no 'logits'"),
    ('{"a": 1, "b": 2}\n[1, 2]\n', "line 2 has no 'a'"),
    ('{"a": [1], "b": [2]}\n', "holds several arrays: a, b; name the logits by --logits-key"),
    ('{"text": "x", "a": 1}\n', "'text' is the text 'x', not a number; if it is no class, name"),
    ("[" * 100_000 + "\n", "line 1 is nested too deeply"),
    ("[1, 2]\n[1" + "0" * 400 + ", 2]\n", "too large for float64"),
    ("[1, 2]\n[1" + "0" * 5000 + ", 2]\n", "line 2 is not valid JSON"),
    ("[]\n", "no classes"),
    ("\n\n", "only blank lines"),
    (b"[1]\n[\xff]\n", "line 2 is not UTF-8"),
]


@pytest.mark.parametrize(("text", "says"), BAD_LINES)
def test_a_bad_line_of_json_is_named(tmp_path: Path, text: str | bytes, says: str) -> None:
    path = save(tmp_path / "z.jsonl", text)
    assert says in failure(lambda: read(path))


# ── compression ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt", "jsonl", "json"])
def test_compressed_text(tmp_path: Path, packing: str, suffix: str) -> None:
    rows = LOGITS.tolist()
    text = json.dumps(rows) if suffix == "json" else lines("\t")
    text = "\n".join(map(json.dumps, rows)) if suffix == "jsonl" else text
    path = save(tmp_path / f"z.{suffix}.{packing}", PACKERS[packing](text.encode()))
    with open_logits(path) as logits:
        for _ in range(2):
            blocks = [block for _, block in logits.blocks(max_elements=6)]
            np.testing.assert_array_equal(np.concatenate(blocks), LOGITS)
        if suffix != "json":
            done, total = logits.progress
            assert done == total == path.stat().st_size


@pytest.mark.parametrize("packing", PACKERS)
def test_several_streams_in_one_file_are_read_to_the_end(tmp_path: Path, packing: str) -> None:
    pack = PACKERS[packing]
    path = save(tmp_path / f"y.txt.{packing}", pack(b"1\n2\n") + pack(b"3\n"))
    np.testing.assert_array_equal(read_labels(path), [1, 2, 3])


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_a_damaged_compressed_file_is_one_line(tmp_path: Path, packing: str, damage: str) -> None:
    text = "".join(f"{x},{y}\n" for x, y in RNG.normal(size=(5000, 2)))
    data = bytearray(PACKERS[packing](text.encode()))
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "changed":
        data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    else:
        data = bytearray(b"1,2\n3,4\n")
    path = save(tmp_path / f"z.csv.{packing}", bytes(data))
    message = failure(lambda: read(path))
    assert path.name in message
    if damage != "changed":  # what is unpacked may be text that is not numbers
        assert "cannot be unpacked (cut short?)" in message


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_a_decompression_bomb_does_not_fill_the_memory(
    tmp_path: Path, packing: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 MB in one line, against a limit of 1 MB."""
    monkeypatch.setattr("softmaxloss.files.unpacked._UNPACKED_LIMIT", 1 << 20)
    path = save(tmp_path / f"z.{suffix}.{packing}", PACKERS[packing](b"[" + b" " * 40_000_000))
    tracemalloc.start()
    message = failure(lambda: read(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    limit = max(1 << 20, 100 * path.stat().st_size)
    assert "longer than" in message or "MiB long" in message
    assert peak < 6 * limit + (16 << 20)  # the line, the same as text, and the decompressor


def test_a_bomb_of_labels_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softmaxloss.files.unpacked._UNPACKED_LIMIT", 1 << 16)
    path = save(tmp_path / "y.csv.xz", lzma.compress(b"0\n" * 1_000_000))
    assert "unpacks from" in failure(lambda: read_labels(path))
    path = save(tmp_path / "y.csv", b"0\n" * 100_000)  # not compressed: as large as it is
    assert read_labels(path).size == 100_000


def test_blocks_of_a_compressed_file_stay_small(tmp_path: Path) -> None:
    """5 MB of text; a block has 8192 numbers."""
    text = gzip.compress(b"".join(b"%d,1,2,4\n" % (i % 7) for i in range(600_000)), 1)
    path = save(tmp_path / "z.csv.gz", text)
    tracemalloc.start()
    with open_logits(path) as logits:
        for k, (_, block) in enumerate(logits.blocks(max_elements=8192)):
            assert block.shape[0] <= 2048
            if k == 30:
                break
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize("name", ["z.npy.gz", "z.parquet.xz", "z.pt.zst"])
def test_compressed_binary_files_are_refused(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, gzip.compress(b"x"))
    assert "is compressed, and only text is read so: unpack it" in failure(lambda: read(path))
    path = save(tmp_path / "z.gz", gzip.compress(b"x"))
    assert "unknown suffix ''" in failure(lambda: read(path))


@pytest.mark.parametrize(("packing", "module"), [("xz", "lzma"), ("bz2", "bz2")])
def test_a_python_without_a_module_says_so(
    tmp_path: Path, packing: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / f"z.csv.{packing}", PACKERS[packing](b"1,2\n"))
    monkeypatch.setitem(__import__("sys").modules, module, None)
    assert f"needs the Python module {module}: unpack it" in failure(lambda: read(path))


def test_zst_names_the_package_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "z.csv.zst", zstd.compress(b"1,2\n"))
    for module in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    assert "pip install backports.zstd, or unpack it" in failure(lambda: read(path))


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("# made by numpy.savetxt\n", None),
        ("# cat,dog,fox\n", ("cat", "dog", "fox")),
        ("# made by me\n# on a Monday\ncat,dog,fox\n", ("cat", "dog", "fox")),
        ("#,dog,fox\n", ("#", "dog", "fox")),
    ],
)
def test_lines_that_savetxt_writes_before_the_numbers(tmp_path, heading, names):
    path = tmp_path / "z.csv"
    path.write_text(heading + "1,2,3\n4,5,6.5\n")
    with open_logits(path) as source:
        assert (source.class_names and tuple(source.class_names)) == names
        ((_, block),) = source.blocks()
        np.testing.assert_array_equal(block, [[1, 2, 3], [4, 5, 6.5]])


def test_savetxt_with_a_header(tmp_path):
    """As NumPy writes it: the header names the columns, or it does not."""
    z = np.random.default_rng(0).normal(size=(4, 3))
    for header, names in (("cat dog fox", ["cat", "dog", "fox"]), ("of my best model", None)):
        np.savetxt(tmp_path / "z.txt", z, header=header)
        with open_logits(tmp_path / "z.txt") as source:
            assert (source.class_names and [*source.class_names]) == names
            np.testing.assert_array_equal(np.concatenate([b for _, b in source.blocks()]), z)


@pytest.mark.parametrize("array", [np.eye(3), [[1.0, 2.0], [3.0, 4.0]]], ids=["numpy", "list"])
def test_an_array_as_it_is_printed_is_no_table(tmp_path, array):
    path = tmp_path / "z.txt"
    for printed in (repr(array), str(array), f"tensor({array})"):
        path.write_text(printed)
        with pytest.raises(FileError, match="line 1 begins an array as a program prints it"):
            open_logits(path)


def test_a_spreadsheet_is_to_be_saved_as_text(tmp_path):
    (tmp_path / "z.xlsx").write_bytes(b"PK")
    with pytest.raises(FileError, match=r"unknown suffix '\.xlsx': save the sheet as \.csv"):
        open_logits(tmp_path / "z.xlsx")
