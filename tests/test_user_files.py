"""Files as people have them: each gives the loss of the model that made it, or one clear line."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.special import log_softmax, softmax

from softmaxloss.cli import main

CLASSES = ["setosa", "versicolor", "virginica"]
RNG = np.random.default_rng(6)
Z = (RNG.normal(size=(50, 3)) * 3).round(4)  # as many digits as the files below keep
Y = np.where(RNG.random(50) < 0.8, Z.argmax(1), RNG.integers(0, 3, 50))
NAMES = [CLASSES[y] for y in Y]
MEAN_LOSS = -log_softmax(Z, axis=1)[np.arange(50), Y].mean()


def rows(
    path: str, heading: list[str], columns: list[list[object]], mark: str = ",", end: str = "\n"
) -> None:
    lines = [heading, *zip(*columns, strict=True)]
    text = "".join(mark.join(map(str, line)) + end for line in lines)
    data = text.encode()
    Path(path).write_bytes(gzip.compress(data, mtime=0) if path.endswith(".gz") else data)


def columns_of(array: np.ndarray, form: Callable[[float], str] = repr) -> list[list[object]]:
    return [[form(x) for x in column] for column in array.T.tolist()]


def comma(x: float) -> str:
    return f"{x:.4f}".replace(".", ",")


def excel() -> None:
    """A German Excel: byte order mark, semicolons, decimal commas, CRLF."""
    rows(
        "run.csv",
        ["\ufeffID", "Label", *CLASSES],
        [list(range(50)), NAMES, *columns_of(Z, comma)],
        ";",
        "\r\n",
    )


def pandas_index() -> None:
    """DataFrame.to_csv and Series.to_csv, which write the index."""
    rows("run.csv", ["", *CLASSES], [list(range(50)), *columns_of(Z)])
    rows("y.csv", ["", "0"], [list(range(50)), Y.tolist()])


def pandas_numbered() -> None:
    """DataFrame(predict_proba(X)).to_csv(index=False), and the names of the true classes."""
    rows("run.csv", ["0", "1", "2"], columns_of(softmax(Z, axis=1)))
    rows("y.csv", ["species"], [NAMES])


def predict_proba() -> None:
    """DataFrame(predict_proba(X), columns=classes_) with the column of the true class."""
    heading = [*CLASSES, "species"]
    rows("run.csv", heading, [*columns_of(softmax(Z, axis=1)), NAMES])


def trainer() -> None:
    """numpy.savez(**trainer.predict(…)._asdict()) of Transformers."""
    metrics = np.array({"test_loss": 0.3}, dtype=object)
    np.savez("run.npz", predictions=Z.astype(np.float32), label_ids=Y, metrics=metrics)


def torch_dict() -> None:
    """torch.save of a dict, from a model that still has its graph."""
    logits = torch.tensor(Z, requires_grad=True) * 1
    torch.save({"logits": logits, "targets": torch.tensor(Y), "epoch": 3}, "run.pt")


def language_model() -> None:
    """One JSON object a line: a prompt, the score of every answer, the right answer."""
    with open("run.jsonl", "w") as file:
        for k in range(50):
            scores = dict(zip(CLASSES, Z[k].tolist(), strict=True))
            record = {"doc_id": k, "prompt": "which?\n", "logits": scores, "target": NAMES[k]}
            file.write(json.dumps(record) + "\n")


def logs() -> None:
    """A compressed log of a training run, with a path in each line."""
    paths = [f'"a, {k}.png"' for k in range(50)]
    heading = ["step", "file", "label", "logit_0", "logit_1", "logit_2", "loss"]
    loss = [f"{x:.3f}" for x in RNG.random(50)]
    rows("run.csv.gz", heading, [list(range(50)), paths, Y.tolist(), *columns_of(Z), loss])


def savetxt() -> None:
    """numpy.savetxt, which separates by spaces."""
    np.savetxt("run.txt", Z)
    np.savetxt("y.txt", Y, fmt="%d")


def one_hot() -> None:
    """Keras: logits, and to_categorical(y)."""
    np.save("run.npy", Z.astype(np.float32))
    np.save("y.npy", np.eye(3, dtype=np.float32)[Y])


def records() -> None:
    """DataFrame.to_json(orient="records")."""
    table = [
        {**dict(zip(CLASSES, z, strict=True)), "label": int(y)}
        for z, y in zip(Z.tolist(), Y, strict=True)
    ]
    Path("run.json").write_text(json.dumps(table))


def parquet() -> None:
    """DataFrame.to_parquet with a categorical label and an index."""
    table = dict(zip(CLASSES, Z.T, strict=True))
    table |= {"label": pa.array(NAMES).dictionary_encode(), "__index_level_0__": np.arange(50)}
    pq.write_table(pa.table(table), "run.parquet")


USERS = [
    (excel, ["run.csv"]),
    (pandas_index, ["run.csv", "y.csv"]),
    (pandas_numbered, ["run.csv", "y.csv", "--probabilities", "--classes", ",".join(CLASSES)]),
    (predict_proba, ["run.csv", "--labels-key", "species", "--probabilities"]),
    (trainer, ["run.npz"]),
    (torch_dict, ["run.pt"]),
    (language_model, ["run.jsonl"]),
    (logs, ["run.csv.gz"]),
    (savetxt, ["run.txt", "y.txt"]),
    (one_hot, ["run.npy", "y.npy"]),
    (records, ["run.json"]),
    (parquet, ["run.parquet"]),
]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.mark.parametrize(("make", "arguments"), USERS, ids=[make.__name__ for make, _ in USERS])
def test_score_and_explain_take_the_files_people_have(
    run: Callable[..., tuple[int, str, str]], make: Callable[[], None], arguments: list[str]
) -> None:
    make()
    code, out, err = run("score", *arguments, "--json", "--out", "scores.csv")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert data["mean_loss"] == pytest.approx(MEAN_LOSS, rel=1e-6)
    assert data["examples"] == 50
    # The command at the end of the report explains that example, from the same files.
    code, out, _ = run("score", *arguments)
    code, out, err = run(*out.splitlines()[-1].split()[1:], "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["loss"] == pytest.approx(data["top"][0]["loss"], rel=1e-6)
    # As a set, with the same files.
    logits, *rest = arguments
    labels = rest.pop(0) if rest and not rest[0].startswith("-") else logits
    code, out, err = run("explain", "--file", logits, "--labels", labels, *rest, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["mean_loss"] == pytest.approx(MEAN_LOSS, rel=1e-6)


@pytest.mark.parametrize(("make", "arguments"), USERS, ids=[make.__name__ for make, _ in USERS])
def test_standard_input_is_recognised_by_its_content(
    run: Callable[..., tuple[int, str, str]], make: Callable[[], None], arguments: list[str]
) -> None:
    make()
    logits, *rest = arguments
    code, out, err = run("score", "-", *rest, "--json", stdin=Path(logits).read_bytes())
    assert (code, err) == (0, "")
    assert json.loads(out)["mean_loss"] == pytest.approx(MEAN_LOSS, rel=1e-6)


@pytest.mark.parametrize(
    ("content", "row"),
    [
        (b"1,2\n3,4\n", [3, 4]),
        (b"1 2\n3 4\n", [3, 4]),
        (b"[[1, 2], [3, 4]]", [3, 4]),
        (b"[\n[1, 2],\n[3, 4]\n]\n", [3, 4]),
        (b"[1, 2]\n[3, 4]\n", [3, 4]),
        (b'{"logits": [[1, 2], [3, 4]]}', [3, 4]),
        (b'[{"logits": [1, 2]}, {"logits": [3, 4]}]', [3, 4]),
        (b'{"logits": [1, 2]}\n{"logits": [3, 4]}\n', [3, 4]),
        (b"\xef\xbb\xbf[1, 2]\n[3, 4]\n", [3, 4]),
        (gzip.compress(b"[1, 2]\n[3, 4]\n", mtime=0), [3, 4]),
        (gzip.compress(b"a;b\n1;2\n3,0;4,0\n", mtime=0), [3, 4]),
    ],
)
def test_the_form_of_text_on_standard_input(
    run: Callable[..., tuple[int, str, str]], content: bytes, row: list[float]
) -> None:
    arguments = ["--file", "-", "--row", "1", "--label", "0", "--json"]
    code, out, err = run("explain", *arguments, stdin=content)
    assert (code, err) == (0, "")
    assert json.loads(out)["logits"] == row


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "standard input: is empty (0 bytes)"),
        (b"1,2\n3\n", "standard input: line 2 has 1 columns, not 2"),
        (b"[1, 2]\n[3, null]\n", "standard input: line 2, column 1 is null"),
        (b"[1, 2]\n[3\n", "standard input: line 2 is not valid JSON"),
        (
            gzip.compress(b"1,2\n" * 999, mtime=0)[:-20],
            "standard input: cannot be unpacked (cut short?)",
        ),
        (b"\x93NUMPYx", "standard input: has no valid .npy header"),
        (b"\x00\xff\xfe", "standard input: line 1 is not UTF-8"),
    ],
)
def test_wrong_standard_input_is_one_line(
    run: Callable[..., tuple[int, str, str]], content: bytes, says: str
) -> None:
    np.save("y.npy", [0, 1])
    code, out, err = run("score", "-", "y.npy", stdin=content)
    assert (code, out) == (2, "")
    assert err.startswith(f"softmaxloss: error: {says}")
    assert len(err.splitlines()) == 1
    assert os.listdir() == ["y.npy"]


def test_the_report_names_the_columns_that_are_no_logits(
    run: Callable[..., tuple[int, str, str]],
) -> None:
    logs()
    report = " ".join(run("score", "run.csv.gz")[1].split())
    assert report.startswith(
        "run.csv.gz: 50 examples, 3 classes (columns that are no logits: step, file, label, loss)"
    )
    one_hot()
    np.save("soft.npy", np.eye(3)[Y] * 0.9 + 0.1 / 3)
    assert "labels      probabilities  (the label" in run("score", "run.npy", "soft.npy")[1]
    code, out, _ = run("explain", "--file", "run.npy", "--labels", "soft.npy", "--row", "3")
    assert code == 0
    assert "a target that gives 3 of them" in out
