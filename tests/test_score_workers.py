"""Several files that are scored by workers: lost ones, going on after an end, clusters."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.commands import fails
from tests.sharded import many, numbers

from softmaxloss.cli import main, score_many
from softmaxloss.shards import Job, Shard, workers
from softmaxloss.shards.groups import Groups
from softmaxloss.shards.state import Keys


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


def assert_ended_workers(out, file):
    (named,) = json.loads(out)["failed"]
    assert named["file"] == file
    assert "2 workers ended while scoring it" in named["reason"]


def test_a_file_that_ends_its_workers_is_named(run, shards, monkeypatch):
    """As one does that needs more memory than there is."""
    os.rename("z/z-8.npy", "z/z-8-kills.npy")
    monkeypatch.setattr(workers, "score_group", score_or_die)
    with one_failure_is_allowed():
        code, out, _ = run("score", "z/*.npy", "--labels", "y", "--workers", 2, "--json")
    assert code == 1
    assert_ended_workers(out, "z/z-8-kills.npy")


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
    assert_ended_workers(out, "z/30-kills.npy")
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
    rows = 8_000_000  # of zeros, which take no room on a disk: the last file takes its time
    np.lib.format.open_memmap("z/39.npy", "w+", np.float32, (rows, 50))
    np.lib.format.open_memmap("y/39.npy", "w+", np.uint8, (rows,))
    command = ["score", "z", "y", "--workers", str(count), "--resume", "state"]
    process = subprocess.Popen(
        [sys.executable, "-m", "softmaxloss", *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Also where the tests themselves run with SIGINT ignored, as a shell's background jobs do.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
