"""`softmaxloss score` of several files: the same numbers as of one file, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from tests.commands import fails

from softmaxloss.cli import main, score_many
from softmaxloss.shards import Job, Shard, workers
from softmaxloss.shards.groups import Groups
from softmaxloss.shards.state import Keys

CUTS = [0, 1, 40, 41, 41, 120, 199, 200]  # 7 shards, of 0 to 79 rows


@pytest.fixture
def shards(data, tmp_path):
    """The rows of `data` as 7 files of logits and of labels, in z/ and y/, 10 after 9."""
    z, y = data
    y[::9] = -100
    np.save("y.npy" if os.getcwd() == str(tmp_path) else tmp_path / "y.npy", y)
    for folder in ("z", "y"):
        (tmp_path / folder).mkdir()
    for number, (start, end) in enumerate(itertools.pairwise(CUTS), 6):
        np.save(tmp_path / "z" / f"z-{number}.npy", z[start:end])
        np.save(tmp_path / "y" / f"y-{number}.npy", y[start:end])
    return z, y


def numbers(result):
    """The JSON of a run without what only several files have."""
    code, out, err = result
    assert code == 0, err
    fields = json.loads(out)
    fields.pop("failed", None)
    for example in fields["top"]:
        for name in ("file", "file_row"):
            example.pop(name, None)
    return fields


SEVEN = [f"z/z-{number}.npy" for number in range(6, 13)]


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
    code, out, _ = run("score", "z", "y", "--top", 1, "--json")
    (hardest,) = json.loads(out)["top"]
    code, out, _ = run("score", "z", "y", "--top", 1)
    assert code == 0
    assert f"{hardest['file']}:{hardest['file_row']}" in out
    words = re.search(r"softmaxloss (explain --file .*)\n", out)[1].split()
    code, out, _ = run(*words, "--json")
    assert code == 0
    assert json.loads(out)["loss"] == pytest.approx(hardest["loss"], rel=1e-12)


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
    _, _, err = run("score", "z", "q", "--html", "x.html")
    assert "a page or plots need one class for each row" in err
    assert not Path("x.html").exists()


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
        (["z", "y", "--resume", "y.npy"], "y.npy: cannot be written: File exists"),
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


# --- going on, and lost workers ------------------------------------------------------------------


def test_a_finished_file_is_scored_again_only_if_it_or_the_options_change(run, shards):
    z, _ = shards

    def again(*more, files=("z", "y")):
        code, out, err = run("score", *files, "--resume", "state", "--json", *more)
        assert code == 0, err
        found = re.search(r"(\d+) of \d+ files were scored before", err)
        return int(found[1]) if found else 0, json.loads(out)

    first, whole = again()
    assert first == 0
    assert again() == (7, whole)
    os.rename("z", "moved")
    assert again(files=("moved", "y"))[0] == 7  # by content
    os.rename("moved", "z")
    changed = z[41:120].copy()
    changed[3, 1] += 1.0
    np.save("z/z-10.npy", changed)
    os.utime("z/z-10.npy", ns=(1, 1))
    number, result = again()
    assert (number, result["mean_loss"] != whole["mean_loss"]) == (6, True)
    stamp = os.stat("z/z-10.npy")
    changed[70, 1] += 1.0  # the same size and the time set back: its last bytes tell
    np.save("z/z-10.npy", changed)
    os.utime("z/z-10.npy", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert again()[0] == 6
    assert again("--top", 11)[0] == 0
    assert again("--html", "x.html")[0] == 0
    assert again("--classes", "a,b,c,d,e")[0] == 0
    assert again("--out", "x.npy")[0] == 0  # the scores of the rows were not kept
    assert again("--out", "x.csv")[0] == 7
    for file in Path("state").glob("*.sums"):
        file.write_bytes(file.read_bytes()[:-30])
    assert again("--out", "x.csv")[0] == 0


def test_two_runs_do_not_share_a_folder(run, shards):
    from softmaxloss.shards import State

    with State("state", keep_after=True):
        fails(run("score", "z", "y", "--resume", "state"), "state: is in use by another run")


def many(rows, count, classes=50):
    """So many shards in z/ and y/; all rows and labels."""
    random = np.random.default_rng(5)
    z = random.normal(0.0, 3.0, (count, rows, classes)).astype(np.float32)
    y = random.integers(0, classes, (count, rows))
    for folder in ("z", "y"):
        Path(folder).mkdir()
    for number in range(count):
        np.save(f"z/{number}.npy", z[number])
        np.save(f"y/{number}.npy", y[number])
    return z, y


def kill_one_worker(killed):
    """Kill a process of Dask that scores for this one, and add its number to those killed."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended already
            if process.pid not in killed and "spawn_main" in "".join(process.cmdline()):
                process.kill()
                return killed.append(process.pid)
    raise AssertionError("no worker runs")


def test_two_killed_workers_and_three_bad_files_of_two_hundred(run, monkeypatch):
    z, y = many(rows=500, count=200)
    for number in (3, 77, 199):
        Path(f"z/{number}.npy").write_bytes(Path(f"z/{number}.npy").read_bytes()[:5000])
    good = np.delete(np.arange(200), [3, 77, 199])
    np.save("z.npy", z[good].reshape(-1, 50))
    np.save("y.npy", y[good].reshape(-1))
    whole = numbers(run("score", "z.npy", "y.npy", "--json"))
    killed = []

    @contextlib.contextmanager
    def killing():
        def progress(done, total):
            if done > total * (0.2, 0.5, 1.0)[len(killed)]:
                kill_one_worker(killed)

        yield progress

    monkeypatch.setattr(score_many, "progress_bar", killing)
    code, out, err = run("score", "z", "y", "--workers", 2, "--json")
    assert len(killed) == 2
    assert code == 1
    assert [one["file"] for one in json.loads(out)["failed"]] == [
        f"z/{n}.npy" for n in (3, 77, 199)
    ]
    assert len(err.splitlines()) == 4  # nothing of Dask's
    assert numbers((0, out, err)) == whole


def test_a_file_that_ends_its_workers_is_named(run, shards, monkeypatch):
    """As one does that needs more memory than there is."""
    os.rename("z/z-8.npy", "z/z-8-kills.npy")
    monkeypatch.setattr(workers, "score_group", score_or_die)
    with one_failure_is_allowed():
        code, out, _ = run("score", "z/*.npy", "--labels", "y", "--workers", 2, "--json")
    assert code == 1
    (named,) = json.loads(out)["failed"]
    assert named["file"] == "z/z-8-kills.npy"
    assert "2 workers ended while scoring it" in named["reason"]


def test_a_file_that_ends_its_workers_takes_no_other_with_it(run, monkeypatch):
    """Those of its group are scored: alone, after the group has ended workers twice."""
    many(rows=50, count=60)
    whole = numbers(run("score", "z", "y", "--json"))
    os.rename("z/30.npy", "z/30-kills.npy")
    monkeypatch.setattr(workers, "score_group", score_or_die)
    sizes = []
    take = Groups.take

    def counted(*given, **named):
        sizes.append(len(group := take(*given, **named)))
        return group

    monkeypatch.setattr(Groups, "take", counted)
    with one_failure_is_allowed():
        code, out, _ = run("score", "z/*.npy", "--labels", "y", "--workers", 2, "--json")
    assert code == 1
    (named,) = json.loads(out)["failed"]
    assert named["file"] == "z/30-kills.npy"
    assert "2 workers ended while scoring it" in named["reason"]
    assert json.loads(out)["examples"] == whole["examples"] - 50
    assert max(sizes) > 5


def test_workers_that_are_gone_for_good(run, monkeypatch):
    many(rows=50, count=9)
    for number in (0, 1):
        os.rename(f"z/{number}.npy", f"z/{number}-kills.npy")
    monkeypatch.setattr(workers, "score_group", score_or_die)
    monkeypatch.setattr(workers, "_PATIENCE", 1)
    monkeypatch.setattr("distributed.Nanny._on_worker_exit", lambda self, code: asyncio.sleep(0))
    result = run("score", "z/*.npy", "--labels", "y", "--workers", 2)
    fails(result, "all workers ended, and none came back")


def one_failure_is_allowed():
    import dask
    import distributed

    assert distributed  # to import it later would take its settings away at the end
    return dask.config.set({"distributed.scheduler.allowed-failures": 1})


def score_or_die(job, tasks):
    """In the place of `score_group`."""
    from softmaxloss.shards.scoring import score_group

    if any("kills" in task.shard.logits for task in tasks):
        time.sleep(0.2)  # Dask does not start a worker again that ends while it starts
        os.kill(os.getpid(), signal.SIGKILL)
    return score_group(job, tasks)


@pytest.mark.parametrize("count", [1, 2])
def test_a_run_that_is_killed_goes_on_where_it_was(run, tmp_path, count):
    many(rows=4000, count=40)
    command = ["score", "z", "y", "--json", "--workers", str(count), "--resume", "state"]
    whole = numbers(run(*command[:4], "--out", "whole.npy"))
    process = subprocess.Popen(
        [sys.executable, "-m", "softmaxloss", *command, "--out", "out.npy"], cwd=tmp_path
    )
    while len(finished := [*Path("state").glob("*.sums")]) < 5:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    times = {file: file.stat().st_mtime_ns for file in Path("state").glob("*.sums")}
    assert 5 <= len(times) < 40
    assert finished
    assert not Path("out.npy").exists()
    result = run(*command, "--out", "out.npy")
    reused = int(re.search(r"(\d+) of 40 files were scored before", result[2])[1])
    assert len(times) <= reused < 40  # workers finish the file that they have
    assert {file: file.stat().st_mtime_ns for file in times} == times
    assert numbers(result) == whole
    assert Path("out.npy").read_bytes() == Path("whole.npy").read_bytes()


def test_a_cluster(run, shards):
    from distributed import LocalCluster

    whole = numbers(run("score", "z.npy", "y.npy", "--json", "--out", "one.npy"))
    with LocalCluster(n_workers=2, processes=False, dashboard_address=None) as cluster:
        command = ["score", "z", "y", "--json", "--scheduler", cluster.scheduler_address]
        assert numbers(run(*command, "--out", "x.npy")) == whole
    assert Path("x.npy").read_bytes() == Path("one.npy").read_bytes()


def test_no_cluster_is_one_line(run, shards, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(workers, "_WAIT", 1)
    fails(
        run("score", "z", "y", "--scheduler", "tcp://127.0.0.1:9"),
        "no scheduler of Dask at tcp://127.0.0.1:9",
    )
    with LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        fails(run("score", "z", "y", "--scheduler", cluster.scheduler_address), "has no workers")


def test_an_interrupted_run_ends_with_its_code(shards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(score_many, "score_shards", interrupt)
    assert main(["score", "z", "y", "--out", "x.npy"]) == 130
    assert not list(Path().glob(".*"))


@pytest.mark.parametrize("count", [1, 2])
def test_ctrl_c_in_a_terminal_ends_all_without_a_word(run, tmp_path, count):
    """A terminal interrupts the workers as well."""
    many(rows=4000, count=40)
    command = ["score", "z", "y", "--workers", str(count), "--resume", "state"]
    process = subprocess.Popen(
        [sys.executable, "-m", "softmaxloss", *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while not [*Path("state").glob("*.sums")]:
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate() == (b"", b"")
    assert process.returncode == 130
    assert len([*Path("state").glob("*.sums")]) < 40


@pytest.mark.parametrize(("place", "time"), [(150_000, None), (299_999, 5)], ids=["time", "end"])
def test_a_change_of_a_large_file_is_noticed(tmp_path, place, time):
    """By its time, or where that is set back by its last bytes."""
    path = tmp_path / "z.bin"
    path.write_bytes(bytes(300_000))
    os.utime(path, ns=(5, 5))
    before = Keys(Job()).of(Shard(str(path)))
    assert Keys(Job()).of(Shard(str(path))) == before
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(b"x")
    if time is not None:
        os.utime(path, ns=(time, time))
    assert Keys(Job()).of(Shard(str(path))) != before


# --- one file of labels for all ------------------------------------------------------------------


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
    code, out, _ = run("score", "z", "y.npy", "--top", 1, "--json")
    (hardest,) = json.loads(out)["top"]
    code, out, _ = run("score", "z", "y.npy", "--top", 1)
    words = re.search(r"softmaxloss (explain --file .*)\n", out)[1].split()
    code, out, _ = run(*words, "--json")
    assert code == 0
    assert json.loads(out)["loss"] == pytest.approx(hardest["loss"], rel=1e-12)


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
