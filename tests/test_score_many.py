"""`softmaxloss score` of several files: the same numbers as of one file."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from tests.commands import fails
from tests.sharded import CUTS, SEVEN, explained_as_scored, numbers

from softmaxloss.cli import score_many


@pytest.mark.parametrize(
    "files",
    [
        ["z", "y"],
        ["z/*.npy", "y/y-*.npy"],
        [*SEVEN[::-1], "--labels", "y"],
        ["z/z-1?.npy", *SEVEN[:4], "--labels", "y/*"],
        ["z", "y", "--workers", "1"],
        ["z", "y", "--workers", "2"],
    ],
    ids=["folders", "patterns", "backwards", "mixed", "here", "workers"],
)
def test_the_numbers_of_a_file_and_of_its_shards_are_the_same(run, shards, files):
    """Also the table of every row, bit for bit, and the page's sums to rounding."""
    whole = numbers(run("score", "z.npy", "y.npy", "--top", 30, "--json", "--out", "one.npy"))
    assert numbers(run("score", *files, "--top", 30, "--json", "--out", "many.npy")) == whole
    assert Path("many.npy").read_bytes() == Path("one.npy").read_bytes()
    assert not list(Path().glob(".*"))  # nothing is left behind


def test_the_tables_of_a_file_and_of_its_shards(run, shards):
    """In .csv and .parquet, with ids and names: two more columns say where a row stands."""
    z, _ = shards
    ids = [f"im,{n}" for n in range(200)]
    Path("ids.txt").write_text("\n".join(ids) + "\n")
    Path("ids").mkdir()
    for number, (start, end) in enumerate(itertools.pairwise(CUTS), 6):
        lines = "".join(f"{id}\n" for id in ids[start:end])
        Path(f"ids/{number}.txt").write_text(lines or "\n")
    os.remove("z/z-9.npy")  # an empty file of ids is refused
    os.remove("y/y-9.npy")
    os.remove("ids/9.txt")
    both = ["--classes", "a,b,c,d,e", "--json", "--top", 7]
    one = [*both, "--ids", "ids.txt", "--out", "one.csv", "--out", "one.parquet"]
    many = [*both, "--ids", "ids", "--out", "many.csv", "--out", "many.parquet"]
    assert numbers(run("score", "z", "y", *many)) == numbers(run("score", "z.npy", "y.npy", *one))
    ours, theirs = Path("many.csv").read_text(), Path("one.csv").read_text()
    assert re.sub(r",(file,file_row|z/z-\d+.npy,\d+)$", "", ours, flags=re.MULTILINE) == theirs
    ours, theirs = pa.parquet.read_table("many.parquet"), pa.parquet.read_table("one.parquet")
    assert ours.drop_columns(["file", "file_row"]).equals(theirs)
    for row in (0, 1, 39, 40, 41, 199):
        file, place = ours["file"][row].as_py(), ours["file_row"][row].as_py()
        np.testing.assert_array_equal(np.load(file)[place], z[row])


def test_the_page_of_a_file_and_of_its_shards(run, shards):
    """The numbers of the page are printed with four digits, so that rounding does not show."""
    assert run("score", "z.npy", "y.npy", "--html", "one.html")[0] == 0
    assert run("score", "z", "y", "--html", "many.html")[0] == 0

    def figures(name):
        text = Path(name).read_text()
        return re.findall(r"<td[^>]*>([+−]?[\d.]+)</td>", text)

    assert len(figures("one.html")) > 100
    assert figures("many.html") == figures("one.html")
    page = Path("many.html").read_text()
    assert re.search(r"Row 41, y?z/z-10.npy:0|z/z-\d+.npy:\d+", page)


def test_the_plots_of_several_files(run, shards):
    pytest.importorskip("matplotlib")
    assert run("score", "z", "y", "--out", "x.svg")[0] == 0
    assert Path("x.svg").read_text().startswith("<?xml")


def test_an_example_is_named_by_its_file_and_the_command_explains_it(run, shards):
    hardest, text = explained_as_scored(run, "z", "y")
    assert f"{hardest['file']}:{hardest['file_row']}" in text


def test_tables_with_their_own_labels(run, shards):
    """Three names and more are shards, and so are two that differ in a number."""
    z, y = shards
    for number, (start, end) in enumerate([(0, 90), (90, 150), (150, 200)]):
        columns = {f"logit_{name}": z[start:end, n] for n, name in enumerate("abcde")}
        table = pa.table(columns | {"label": y[start:end]})
        folder = Path(f"split=test/part={number}")
        folder.mkdir(parents=True)
        pa.parquet.write_table(table, folder / f"{number}.parquet")
        pa.parquet.write_table(table, f"part-{number}.parquet")
    Path("split=test/_SUCCESS.txt").write_text("")
    whole = numbers(run("score", "z.npy", "y.npy", "--classes", "a,b,c,d,e", "--json"))
    names = [f"part-{n}.parquet" for n in range(3)]
    for files in (["split=test"], ["part-*.parquet"], names):
        assert numbers(run("score", *files, "--json")) == whole
    two = numbers(run("score", *names[:2], "--json"))
    assert two["examples"] + two["ignored"] == 150


def test_labels_in_the_files_of_logits_that_are_named_twice(run):
    """The column of labels is then no logit, of one file and of several."""
    for name in ("p-1.csv", "p-2.csv"):
        Path(name).write_text("cat,dog,kind\n2,1,0\n0.5,3,1\n")
    key = ["--labels-key", "kind", "--json"]
    one = numbers(run("score", "p-1.csv", "p-1.csv", *key))
    assert one["classes"] == ["cat", "dog"]
    labels = ["--labels", "p-1.csv", "--labels", "p-2.csv"]
    for files in (["p-*.csv"], ["p-1.csv", "p-2.csv", *labels], ["p-*.csv", "--labels", "p-*.csv"]):
        many = numbers(run("score", *files, *key))
        assert (many["classes"], many["mean_loss"]) == (one["classes"], one["mean_loss"])


def test_probabilities_as_labels(run, shards):
    z, _ = shards
    q = np.random.default_rng(2).dirichlet(np.ones(5), 200)
    np.save("q.npy", q)
    Path("q").mkdir()
    for number, (start, end) in enumerate(itertools.pairwise(CUTS), 6):
        np.save(f"q/{number}.npy", q[start:end])
    np.save("q/9.npy", np.full((1, 5), 0.2))  # probabilities of no rows cannot be told from labels
    np.save("z/z-9.npy", z[:1])
    os.remove("q/9.npy")
    os.remove("z/z-9.npy")
    whole = numbers(run("score", "z.npy", "q.npy", "--json"))
    assert numbers(run("score", "z", "q", "--json")) == whole
    for files, page in (["z.npy", "q.npy"], "one.html"), (["z", "q"], "many.html"):
        assert run("score", *files, "--top", 3, "--html", page)[0] == 0
    pages = [Path(name).read_text().partition("Labels that look wrong")[0] for name in
             ("one.html", "many.html")]  # fmt: skip
    assert pages[0] == pages[1]


BAD = {
    "z/z-7.npy": "is cut short or damaged",
    "z/z-8.npy": "is empty (0 bytes)",
    "y/y-11.npy": "row 2 is 77, outside 0..4",
}


@pytest.fixture
def damaged(shards):
    """Three of the shards are bad: the start and the end of the rows that are good ones."""
    data = Path("z/z-7.npy").read_bytes()
    Path("z/z-7.npy").write_bytes(data[:-9])
    Path("z/z-8.npy").write_bytes(b"")
    labels = np.load("y/y-11.npy")
    labels[2] = 77
    np.save("y/y-11.npy", labels)
    return data


def test_bad_files_are_named_and_the_others_scored(run, shards, damaged):
    z, y = shards
    good = np.r_[0:1, 41:120, 199:200]
    np.save("good.npy", z[good])
    np.save("labels.npy", y[good])
    whole = numbers(run("score", "good.npy", "labels.npy", "--json", "--out", "one.npy"))
    code, out, err = run("score", "z", "y", "--json", "--out", "x.npy", "--html", "x.html")
    assert code == 1
    named = json.loads(out)["failed"]
    assert [one["file"] for one in named] == ["z/z-7.npy", "z/z-8.npy", "z/z-11.npy"]
    for (file, why), one, line in zip(BAD.items(), named, err.splitlines(), strict=False):
        assert one["reason"].startswith(f"{file}: ")
        assert why in one["reason"]
        assert line == f"softmaxloss: error: {one['reason']}"
    assert "3 of 7 files could not be scored; not written: x.npy, x.html; " in err
    assert not Path("x.npy").exists()
    assert not Path("x.html").exists()
    assert numbers((0, out, err)) == whole


def test_bad_files_that_are_repaired_or_left_out(run, shards, damaged):
    """Only they are scored, and then the table is written."""
    arguments = ["--json", "--top", 3, "--out", "x.npy"]
    assert run("score", "z", "y", *arguments)[0] == 1
    Path("z/z-7.npy").write_bytes(damaged)
    for number in (8, 11):
        os.remove(f"z/z-{number}.npy")
        os.remove(f"y/y-{number}.npy")
    code, out, err = run("score", "z", "y", *arguments)
    assert (code, err) == (0, "softmaxloss: note: 4 of 5 files were scored before\n")
    assert len(np.load("x.npy")) == json.loads(out)["examples"] + json.loads(out)["ignored"] == 120
    assert not list(Path().glob(".*"))


def test_strict_stops_at_a_bad_file(run, shards, damaged):
    fails(run("score", "z", "y", "--strict", "--out", "x.npy"), "z/z-7.npy: is cut short")
    assert not Path("x.npy").exists()


def test_files_that_are_all_bad_are_an_error(run, shards):
    fails(
        run("score", "z", "y", "--classes", "a,b"),
        "none of 7 files could be scored: z/z-6.npy: has 5 classes, for 2 names",
    )


def test_files_with_other_classes_are_bad(run, shards):
    np.save("z/z-9.npy", np.zeros((0, 4)))
    code, _, err = run("score", "z", "y")
    assert code == 1
    assert "z/z-9.npy: has 4 classes (without names); most files have 5 classes" in err
    Path("t").mkdir()
    for number, names in enumerate(["a,b", "b,a", "a,b"]):
        Path(f"t/{number}.csv").write_text(f"{names},label\n1.0,2.0,0\n")
    code, out, err = run("score", "t", "--json")
    assert code == 1
    assert "t/1.csv: has 2 classes (b, a); most files have 2 classes (a, b)" in err
    assert json.loads(out)["examples"] == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["q*", "y"], "q*: no file has a name that fits this pattern"),
        (["empty", "y"], "empty: is a folder without files of logits: .npy, .npz, "),
        ([".", "y"], ".: holds several kinds of files, 7 × "),
        (["run"], "run: holds several kinds of files, 2 × y_label*.npy, 2 × z*.npy: say which, "),
        (["run"], "say which, 'run/z*.npy'"),
        (["run/y_label1.npy", "run/y_label2.npy", "run/z1.npy"], "give LOGITS first"),
        (["z/z-6.npy", "z/z-7.npy"], "z/z-6.npy: holds one array, and no names"),
        (["z/z-6.npy", "z/z-7.npy", "y/y-6.npy", "y/y-7.npy", "y/y-8.npy"], "3 files of labels"),
        (["s3://bucket/z/*.npy", "y"], "s3://bucket/z/*.npy: is an address; files are read from "),
        (["s3://bucket/z/", "y"], "s3://bucket/z/: is an address; files are read from "),
        (["s3://bucket/z.npy", "y.npy"], "s3:/bucket/z.npy: is an address; files are read from "),
        (["z", "y/y-[67].npy"], "2 files of labels (y/y-6.npy, y/y-7.npy) for 7 files of logits"),
        (["z/z-[678].npy", "y/y-[679].npy"], "y/y-9.npy: would be the labels of z/z-8.npy"),
        (["z", "y", "--ids", "y/y-[67].npy"], "for 7 files of logits: give one for each, or one"),
        (["z", "y", "--ids", "y.npy"], "y.npy: is not text in UTF-8"),
        (["z", "-"], "standard input, -, is one file, and here there are several"),
        (["z", "y", "--out", "z/z-6.npy"], "z/z-6.npy is a file to be read"),
        (["z", "y", "--out", "no/x.npy"], "no/x.npy: cannot be written: no such directory"),
        (["z", "y", "--resume", "y.npy"], "y.npy: is a file; name a folder"),
        (["z", "y", "--scheduler", "a:1", "--workers", 2], "leave out --scheduler"),
        (["z", "y", "--weight", "z.npy", "--probabilities"], "leave out --probabilities"),
        (["z", "y", "--weight", "no.npy"], "no.npy: no such file"),
        (["z", "y", "--weight-key", "W"], "--weight-key needs --weight FILE"),
        (["z.npy", "y.npy", "--workers", 2], "--workers is for several files"),
        (["z.npy", "y.npy", "--resume", "x"], "--resume is for several files"),
        (["z.npy", "y.npy", "--strict"], "--strict is for several files"),
    ],
)
def test_wrong_input_is_one_line(run, shards, arguments, says):
    Path("empty").mkdir()
    Path("run").mkdir()
    for number in (1, 2):
        np.save(f"run/z{number}.npy", np.zeros((3, 5)))
        np.save(f"run/y_label{number}.npy", np.zeros(3, int))
    fails(run("score", *arguments), says)


def test_one_file_does_not_load_dask(data, tmp_path):
    code = (
        "import sys; from softmaxloss.cli import main; main(['score', 'z.npy', 'y.npy']); "
        "sys.exit('dask' in sys.modules or 'distributed' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_without_dask_files_are_scored_one_after_the_other(run, shards, monkeypatch):
    whole = numbers(run("score", "z", "y", "--json"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setattr(score_many, "has_dask", lambda: False)
    monkeypatch.setattr(score_many, "processors", lambda: 4)
    monkeypatch.setattr(score_many, "_BYTES_PER_WORKER", 1)
    result = run("score", "z", "y", "--json")
    assert numbers(result) == whole
    assert "install Dask: pip install 'softmaxloss[dask]'" in result[2]
    fails(run("score", "z", "y", "--workers", 2), "workers need Dask: pip install")
