"""Many files of logits with one file of labels for all."""

from __future__ import annotations

import csv
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from tests.commands import fails
from tests.sharded import SEVEN, explained_as_scored, numbers

from softmaxloss.cli import main


@pytest.mark.parametrize(
    "files",
    [
        ["z", "y.npy"],
        ["z/z-*.npy", "y.npy", "--workers", "2"],
        [*SEVEN, "y.npy"],
        [*SEVEN[::-1], "--labels", "y.npy"],
        ["z", "y.csv", "--labels-key", "truth"],
        ["z", "y.parquet", "--labels-key", "truth"],
        ["z", "one-hot.npy"],
    ],
    ids=["folder", "workers", "names", "option", "table", "parquet", "one-hot"],
)
def test_one_file_of_labels_for_all(run, shards, files):
    """Its rows are those of the files in the order of their names; with the ids the same."""
    _, y = shards
    if "one-hot.npy" in files:
        y[y == -100] = 0
        np.save("y.npy", y)
    np.save("one-hot.npy", np.eye(5)[np.maximum(y, 0)])
    lines = "".join(f"{label},x\n" for label in y)
    Path("y.csv").write_text(f"truth,other\n{lines}")
    pa.parquet.write_table(pa.table({"other": y, "truth": y}), "y.parquet")
    Path("ids.txt").write_text("".join(f"im{n}\n" for n in range(200)))
    same = ["--ids", "ids.txt", "--top", 30, "--json", "--out"]
    whole = numbers(run("score", "z.npy", "y.npy", *same, "one.csv"))
    assert numbers(run("score", *files, *same, "many.csv")) == whole
    ours, theirs = Path("many.csv").read_text(), Path("one.csv").read_text()
    assert re.sub(r",(file,file_row|z/z-\d+.npy,\d+)$", "", ours, flags=re.MULTILINE) == theirs


def test_text_is_read_for_its_rows_and_its_classes(run, shards):
    """Text does not say how many rows it has; names of classes are those of the logits."""
    z, y = shards
    names = np.array([*"abcde"])
    for number, rows in enumerate((z[:90], z[90:])):
        lines = "".join(",".join(map(repr, row)) + "\n" for row in rows.tolist())
        Path(f"z{number}.csv").write_text("a,b,c,d,e\n" + lines)
    y[y == -100] = 0
    Path("y.txt").write_text("".join(f"{name}\n" for name in names[y]))
    np.save("y.npy", y)
    whole = numbers(run("score", "z.npy", "y.npy", "--classes", "a,b,c,d,e", "--json"))
    assert numbers(run("score", "z0.csv", "z1.csv", "--labels", "y.txt", "--json")) == whole


def test_one_file_of_ids_for_tables_with_labels_of_their_own(run, shards):
    """Whose column of labels is no logit."""
    z, y = shards
    y[y == -100] = 0
    for number, rows in enumerate((slice(90), slice(90, None))):
        lines = [",".join(map(repr, row)) for row in z[rows].tolist()]
        text = "".join(f"{line},{'abcde'[n]}\n" for line, n in zip(lines, y[rows], strict=True))
        Path(f"t{number}.csv").write_text(f"a,b,c,d,e,species\n{text}")
    Path("ids.txt").write_text("".join(f"im{n}\n" for n in range(200)))
    np.save("y.npy", y)
    ids = ["--ids", "ids.txt", "--json", "--out"]
    whole = numbers(run("score", "z.npy", "y.npy", "--classes", "a,b,c,d,e", *ids, "one.npy"))
    many = ["t0.csv", "t1.csv", "--labels-key", "species"]
    assert numbers(run("score", *many, *ids, "many.npy")) == whole
    assert Path("many.npy").read_bytes() == Path("one.npy").read_bytes()


def test_one_file_of_labels_that_does_not_fit(run, shards):
    _, y = shards
    np.save("short.npy", y[:-1])
    says = "short.npy: has 199 labels for the 200 rows of 7 files of logits"
    fails(run("score", "z", "short.npy"), says)
    Path("ids.txt").write_text("a\n" * 201)
    says = "ids.txt: has 201 ids for the 200 rows of 7 files of logits"
    fails(run("score", "z", "y.npy", "--ids", "ids.txt"), says)
    np.save("q.npy", np.full((200, 5), 0.2))
    fails(run("score", "z", "q.npy"), "q.npy: holds probabilities: give one file of them for each")
    y[150] = 9
    np.save("y.npy", y)
    code, _, err = run("score", "z", "y.npy")
    assert code == 1
    assert "y.npy, from row 120 on: the label of row 30 is 9, outside 0..4" in err
    Path("z/z-8.npy").write_bytes(Path("z/z-8.npy").read_bytes()[:-8])
    fails(run("score", "z", "y.npy"), "z/z-8.npy: is cut short")


def test_files_in_several_folders_are_named_in_their_order(run, shards):
    """Where one file of labels follows it."""
    for number in (6, 9, 12):
        Path(f"z/part={number % 2}").mkdir(exist_ok=True)
        os.rename(f"z/z-{number}.npy", f"z/part={number % 2}/z-{number}.npy")
    _, _, err = run("score", "z", "y.npy")
    order = "z/part=0/z-6.npy, z/part=0/z-12.npy, z/part=1/z-9.npy, …"
    assert err == f"softmaxloss: note: files are taken in the order of their names: {order}\n"


def test_the_command_for_an_example_knows_its_label(run, shards):
    explained_as_scored(run, "z", "y.npy")


def test_finished_files_with_one_file_of_labels(run, shards):
    _, y = shards
    command = ["score", "z", "y.npy", "--resume", "state", "--json"]
    whole = numbers(run(*command))
    result = run(*command)
    assert "7 of 7 files were scored before" in result[2]
    assert numbers(result) == whole
    y[0] = 1 - min(y[0], 1)
    np.save("y.npy", y)
    assert "scored before" not in run(*command)[2]


@pytest.mark.parametrize("where", ["beside the logits", "a file each", "one file for all"])
def test_ids_in_a_column(run, tmp_path, where):
    ids = [f"{row:02}, front.png" for row in range(12)]
    table = {"image": ids, "truth": [0, 1, 0] * 4, "cat": [0.5, 2.0, 1.0] * 4, "dog": [1.0] * 12}
    for folder in ("whole", "parts", "names"):
        (tmp_path / folder).mkdir()
    pa.parquet.write_table(pa.table(table), "whole/all.parquet")
    for part in range(3):
        rows = pa.table(table)[4 * part : 4 * part + 4]
        pa.parquet.write_table(rows, f"parts/{part}.parquet")
        pa.parquet.write_table(rows.select(["truth", "image"]), f"names/{part}.parquet")
    keys = ["--labels-key", "truth", "--ids-key", "image"]
    if where != "beside the logits":
        keys += ["--logits-key", "cat,dog", "--ids"]
        keys.append("names" if where == "a file each" else "whole/all.parquet")
    code, out, err = run("score", "parts", *keys, "--out", "many.csv")
    assert (code, err) == (0, "")
    assert "…front.png" in out
    one = [*keys[:-1], "whole/all.parquet"] if "--ids" in keys else keys
    assert run("score", "whole/all.parquet", *one, "--out", "one.csv")[0] == 0
    for name in ("many.csv", "one.csv"):
        rows = csv.DictReader(Path(name).read_text().splitlines())
        assert [row["id"] for row in rows] == ids
    command = shlex.split(out.splitlines()[-1])
    assert main(command[1:]) == 0
