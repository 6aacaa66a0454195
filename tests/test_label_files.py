"""Labels in files: names of classes, one-hot rows, probabilities, beside the logits or apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch
from scipy.special import log_softmax

from softmaxloss import LabelError, OptionError
from softmaxloss.files import (
    FileError,
    TargetFile,
    open_logits,
    open_scores,
    read_labels,
    read_target,
)
from softmaxloss.files.evaluation import evaluate
from softmaxloss.totals import Totals

CLASSES = ["cat", "dog", "fox"]
NAMES = ["fox", "cat", "dog", "fox"]
NUMBERS = [2, 0, 1, 2]
RNG = np.random.default_rng(4)


def write_names(path: Path) -> None:
    match path.suffix:
        case ".npy":
            np.save(path, np.array(NAMES))
        case ".npz":
            np.savez(path, label=np.array([name.encode() for name in NAMES]))
        case ".json":
            path.write_text(json.dumps(NAMES))
        case ".jsonl":
            path.write_text("".join(json.dumps({"id": n, "label": n}) + "\n" for n in NAMES))
        case ".parquet":
            pq.write_table(pa.table({"x": [1.0] * 4, "label": pa.array(NAMES)}), path)
        case _:
            path.write_text("label\n" + "".join(f"{name}\n" for name in NAMES))


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "tsv", "txt", "json", "jsonl", "parquet"])
@pytest.mark.parametrize("first_class", [0, 1])
def test_names_become_class_numbers(tmp_path: Path, suffix: str, first_class: int) -> None:
    path = tmp_path / f"y.{suffix}"
    write_names(path)
    labels = read_labels(path, classes=CLASSES, first_class=first_class)
    np.testing.assert_array_equal(labels, np.array(NUMBERS) + first_class)
    assert "'fox' is text; labels are class numbers" in failure(lambda: read_labels(path))
    where = "line 2: " if suffix in ("csv", "tsv", "txt") else "0: "
    where = "line 1: " if suffix == "jsonl" else where
    message = failure(lambda: read_labels(path, classes=["cat", "dog", "owl"]))
    assert (
        f"{where}'fox' is not one of the 3 classes: the classes are 'cat', 'dog', 'owl'" in message
    )


def test_names_in_dictionaries_of_parquet(tmp_path: Path) -> None:
    for kind in (pa.dictionary(pa.int8(), pa.string()), pa.large_string()):
        pq.write_table(pa.table({"label": pa.array(NAMES, kind)}), tmp_path / "y.parquet")
        labels = read_labels(tmp_path / "y.parquet", classes=CLASSES)
        np.testing.assert_array_equal(labels, NUMBERS)
    pq.write_table(pa.table({"label": pa.array(["fox", None])}), tmp_path / "y.parquet")
    message = failure(lambda: read_labels(tmp_path / "y.parquet", classes=CLASSES))
    assert "row 1 holds a missing value" in message


def test_text_is_a_name_first_then_a_number(tmp_path: Path) -> None:
    """One rule for every format: in text, the names 3 and 5 are the classes 0 and 1."""
    classes, texts = ["3", "5", "8"], ["5", "8", "3", "-100"]
    for suffix in ("csv", "json", "npy", "parquet"):
        path = write_labels(tmp_path / f"y.{suffix}", texts)
        np.testing.assert_array_equal(read_labels(path, classes=classes), [1, 2, 0, -100])
        labels = read_labels(path, classes=classes, first_class=1)
        np.testing.assert_array_equal(labels, [2, 3, 1, -100])
        np.testing.assert_array_equal(read_labels(path, classes=["cat", "dog"]), [5, 8, 3, -100])
        own = write_labels(tmp_path / f"own.{suffix}", ["1", "0", "-100"])
        np.testing.assert_array_equal(read_labels(own, classes=["0", "1"]), [1, 0, -100])
    path.with_suffix(".json").write_text('["5", 1, "3"]')
    np.testing.assert_array_equal(read_labels(tmp_path / "y.json", classes=["3", "5"]), [1, 1, 0])


@pytest.mark.parametrize("texts", [["0", "1", "2"], ["2", "1", "0"]])
@pytest.mark.parametrize("suffix", ["csv", "json", "npy", "parquet"])
def test_numbers_beside_names_that_are_numbers_are_refused(
    tmp_path: Path, suffix: str, texts: list[str]
) -> None:
    """0, 1, 2 with the names 1, 2, 3: as names first, the classes 0 and 1 would become one."""
    path = write_labels(tmp_path / f"y.{suffix}", texts)
    message = failure(lambda: read_labels(path, classes=["1", "2", "3"]))
    name = next(text for text in texts if text != "0")
    assert f"label '{name}' is the name of a class and '0' of none" in message


def write_labels(path: Path, texts: list[str]) -> Path:
    """A column of text."""
    match path.suffix:
        case ".csv":
            path.write_text("\n".join(["label", *texts]) + "\n")
        case ".json":
            path.write_text(json.dumps(texts))
        case ".npy":
            np.save(path, np.array(texts))
        case _:
            pq.write_table(pa.table({"label": texts}), path)
    return path


def test_a_name_of_two_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "y.csv").write_text("cat\ndog\n")
    message = failure(lambda: read_labels(tmp_path / "y.csv", classes=["dog", "cat", "dog"]))
    assert "line 2: 'dog' is the name of several classes" in message


def test_names_without_a_heading(tmp_path: Path) -> None:
    (tmp_path / "y.csv").write_text("cat\nfox\n")
    np.testing.assert_array_equal(read_labels(tmp_path / "y.csv", classes=CLASSES), [0, 2])
    assert "line 2: 'fox' is text" in failure(lambda: read_labels(tmp_path / "y.csv"))


def test_the_column_that_pandas_adds(tmp_path: Path) -> None:
    (tmp_path / "y.csv").write_text(",0\n0,2\n1,0\n")
    np.testing.assert_array_equal(read_labels(tmp_path / "y.csv"), [2, 0])


# ── one-hot and probabilities ──────────────────────────────────────────────────────────────────


def write_rows(path: Path, rows: np.ndarray) -> None:
    match path.suffix:
        case ".npy":
            np.save(path, rows)
        case ".npz":
            np.savez(path, labels=rows)
        case ".safetensors":
            safetensors.numpy.save_file({"y": np.ascontiguousarray(rows)}, path)
        case ".pt":
            torch.save(torch.from_numpy(rows), path)
        case ".json":
            path.write_text(json.dumps(rows.tolist()))
        case ".jsonl":
            path.write_text("".join(json.dumps({"label": row}) + "\n" for row in rows.tolist()))
        case ".parquet":
            pq.write_table(pa.table({"target": rows.tolist()}), path)
        case ".csv":
            columns = ["fox", "dog", "cat"]  # in another order than the classes
            lines = [columns, *rows[:, ::-1].tolist()]
            path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))


SUFFIXES = ["npy", "npz", "safetensors", "pt", "json", "jsonl", "parquet", "csv"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.uint8])
def test_one_hot_rows_become_class_numbers(tmp_path: Path, suffix: str, dtype: type) -> None:
    path = tmp_path / f"y.{suffix}"
    write_rows(path, np.eye(3, dtype=dtype)[NUMBERS])
    labels = read_labels(path, classes=CLASSES, first_class=1)
    np.testing.assert_array_equal(labels, np.array(NUMBERS) + 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("max_elements", [3, 9, 1 << 20])
def test_the_loss_with_probabilities_against_scipy(
    tmp_path: Path, suffix: str, max_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in parts of 4 rows, whatever the blocks of the logits are."""
    monkeypatch.setattr("softmaxloss.files.label_files._NUMBERS", 12)
    logits, q = RNG.normal(size=(11, 3)), RNG.dirichlet([0.5] * 3, 11)
    q[4] = [0, 1, 0]
    np.save(tmp_path / "z.npy", logits)
    path = tmp_path / f"y.{suffix}"
    write_rows(path, q)
    target = read_target(path, classes=CLASSES)
    assert isinstance(target, TargetFile)
    assert target.shape == (11, 3)
    np.testing.assert_allclose(target.row(7), q[7], rtol=1e-15)
    with open_logits(tmp_path / "z.npy") as source, open_scores(tmp_path / "s.npy", 11) as scores:
        result = evaluate(source, target, top=11, scores=[scores], max_elements=max_elements)
    loss = -(q * log_softmax(logits, axis=1)).sum(axis=1)
    assert result.mean_loss == pytest.approx(loss.mean(), rel=1e-13)
    assert result.accuracy == (logits.argmax(1) == q.argmax(1)).mean()
    assert [example.row for example in result.top] == np.argsort(-loss).tolist()
    table = np.load(tmp_path / "s.npy")
    np.testing.assert_allclose(table["loss"], loss, rtol=1e-13)
    np.testing.assert_array_equal(table["label"], q.argmax(1))
    message = failure(lambda: read_labels(path, classes=CLASSES))
    assert "holds probabilities, and class indices are needed here" in message


def test_rounded_probabilities_are_made_to_sum_to_1(tmp_path: Path) -> None:
    (tmp_path / "y.csv").write_text("0.33,0.33,0.33\n0.1,0.2,0.7\n")
    target = read_target(tmp_path / "y.csv")
    assert isinstance(target, TargetFile)
    np.testing.assert_allclose(target.row(0), [1 / 3] * 3, rtol=1e-15)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([[0.5, 0.5], [0.5, 0.6]], "row 1 sums to 1.1: probabilities are not negative and sum to"),
        ([[1.0, 0.0], [0.0, 0.0]], "row 1 sums to 0"),
        ([[1.0, 0.0], [np.nan, 1.0]], "row 1 has nan"),
        ([[1.0, 0.0], [2.0, -1.0]], "row 1 has -1"),
        ([[1.0, 0.0], [np.inf, 0.0]], "row 1 sums to inf"),
    ],
)
def test_rows_that_are_no_probabilities_are_named(tmp_path: Path, rows: list, says: str) -> None:
    np.save(tmp_path / "y.npy", rows)
    assert says in failure(lambda: read_target(tmp_path / "y.npy"))


def test_targets_that_do_not_fit_the_logits(tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.zeros((4, 3)))
    np.save(tmp_path / "y.npy", np.full((4, 2), 0.5))
    np.save(tmp_path / "short.npy", np.full((3, 3), 1 / 3))
    with open_logits(tmp_path / "z.npy") as source:
        with pytest.raises(LabelError, match="3 logits need one class index or 3 probabilities"):
            evaluate(source, read_target(tmp_path / "y.npy"))
        with pytest.raises(LabelError, match="3 labels for 4 rows"):
            evaluate(source, read_target(tmp_path / "short.npy"))
        np.save(tmp_path / "y.npy", np.full((4, 3), 1 / 3))
        with pytest.raises(OptionError, match="ignore_index=0 needs class indices"):
            evaluate(source, read_target(tmp_path / "y.npy"), ignore_index=0)


def test_columns_without_names(tmp_path: Path) -> None:
    path = tmp_path / "y.csv"
    for text in ("0,1\n1,0\n0,1\n", "a,b\n0,1\n1,0\n0,1\n", "id,0,1\n7,0,1\n8,1,0\n9,0,1\n"):
        path.write_text(text)
        np.testing.assert_array_equal(read_labels(path), [1, 0, 1])
    path.write_text("0,1,2\n0,0,1\n1,0,0\n")
    np.testing.assert_array_equal(read_labels(path), [2, 0])


# ── beside the logits ──────────────────────────────────────────────────────────────────────────


def totals(path: Path, *, key: str | None = None, labels_key: str | None = None) -> Totals:
    apart = () if labels_key is None else (labels_key,)
    with open_logits(path, key=key, apart=apart) as source:
        labels = read_target(path, key=labels_key, classes=source.class_names, beside_logits=True)
        return evaluate(source, labels)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl", "json", "npz", "pt"])
@pytest.mark.parametrize("label", ["label", "target", "species"])
def test_logits_and_labels_in_one_file(tmp_path: Path, suffix: str, label: str) -> None:
    z = RNG.normal(size=(9, 3))
    y = RNG.integers(0, 3, 9)
    path, names = tmp_path / f"t.{suffix}", [CLASSES[n] for n in y]
    records = [
        {label: name, **dict(zip(CLASSES, row, strict=True))}
        for name, row in zip(names, z.tolist(), strict=True)
    ]
    match suffix:
        case "csv":
            lines = [list(records[0]), *[list(record.values()) for record in records]]
            path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
        case "parquet":
            pq.write_table(pa.Table.from_pylist(records), path)
        case "jsonl":
            path.write_text("".join(json.dumps(record) + "\n" for record in records))
        case "json":
            path.write_text(json.dumps(records))
        case "npz":
            np.savez(path, **{"logits": z, label: y})
        case "pt":
            torch.save({"logits": torch.tensor(z), label: torch.tensor(y)}, path)
    result = totals(path, labels_key=None if label != "species" else label)
    loss = -log_softmax(z, axis=1)[np.arange(9), y]
    assert result.mean_loss == pytest.approx(loss.mean(), rel=1e-13)
    if label == "species":
        assert "--labels-key" in failure(lambda: totals(path))


def test_a_table_of_probabilities_is_not_its_own_target(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("cat,dog\n0.5,0.5\n")
    assert "has no column of labels; name it by --labels-key" in failure(lambda: totals(path))
    path.write_text("0.5,0.5\n")
    assert "to find the labels in: give LABELS" in failure(lambda: totals(path))
    np.save(tmp_path / "p.npy", np.full((2, 2), 0.5))
    assert "to find the labels in: give LABELS" in failure(lambda: totals(tmp_path / "p.npy"))
    np.savez(tmp_path / "p.npz", logits=np.full((2, 2), 0.5))
    assert "name the labels by --labels-key" in failure(lambda: totals(tmp_path / "p.npz"))


def failure(call: Callable[[], object]) -> str:
    with pytest.raises(FileError) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable()
    return message
