"""The command line: standard output and error, exit codes, and one line for every wrong input."""

from __future__ import annotations

import json
import math
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from scipy.special import log_softmax
from tests.commands import fails

import softmaxloss
from softmaxloss.cli import explain as explain_command
from softmaxloss.cli import score as score_command
from softmaxloss.explanation import QUESTIONS, explain

SEED = ["explain", "2.0", "1.0", "0.1", "-1.2"]


# --- explain -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["2.0", "1.0", "0.1", "-1.2", "--label", "2"],
        ["--label", "2", "2.0", "1.0", "0.1", "-1.2"],
        ["2.0", "1.0", "--label=2", "0.1", "-1.2", "--step", "0.1"],
        ["2.0,", "1.0,", "0.1,", "-1.2", "--label", "2"],
        ["2.0,1.0,0.1,-1.2", "--label", "2"],
        ["[2.0,", "1.0,", "0.1,", "-1.2]", "--label", "2"],
        ["2e0", "+1", ".1", "−1.2", "--label", "2"],
        ["2.0", "1.0", "0.1", "-1.2", "--label", "3", "--one-based"],
        ["2.0", "1.0", "0.1", "-1.2", "--label", "bird", "--classes", "cat, dog, bird, fish"],
        ["2.0", "1.0", "0.1", "-1.2", "--label", "2", "--classes", "a,b,c,d"],
        ["--label", "2", "--", "2.0", "1.0", "0.1", "-1.2"],
    ],
)
def test_explain_takes_numbers_as_people_write_them(run, arguments):
    code, out, err = (
        run("explain", *arguments, "--json")
        if "--" not in arguments
        else run("explain", "--json", *arguments)
    )
    assert (code, err) == (0, "")
    got, wanted = json.loads(out), explain([2.0, 1.0, 0.1, -1.2], 2).to_dict()
    for key in ("logits", "loss", "gradient", "after"):
        assert got[key] == wanted[key]


@pytest.mark.parametrize(
    ("words", "logits"),
    [
        (["-1e3", "-inf", "3"], [-1000.0, "-Infinity", 3.0]),
        (["-.5", "-1.", "-Infinity"], [-0.5, -1.0, "-Infinity"]),
        (["-nan", "nan", "inf"], ["NaN", "NaN", "Infinity"]),
        (["-1,-2", "-3,"], [-1.0, -2.0, -3.0]),
        (["-1e-3", "-2E+2", "1e400"], [-0.001, -200.0, "Infinity"]),
    ],
)
def test_negative_numbers_need_no_quotes(run, words, logits):
    code, out, _ = run("explain", *words, "--label", "0", "--json")
    assert code == 0
    assert json.loads(out, parse_constant=pytest.fail)["logits"] == logits


@pytest.mark.parametrize(
    "text",
    [
        "2.0 1.0 0.1 -1.2",
        "2.0, 1.0,\n0.1\t−1.2\n",
        "[2.0, 1.0, 0.1, -1.2]\n",
        ' [2, 1.0, "0.1", -1.2]',
        "2.0\n1.0\n0.1\n-1.2\n",
        "2.0;1.0;0.1;-1.2",
        "[[2.0, 1.0, 0.1, -1.2]]",
        "tensor([ 2.0000,  1.0000,\n         0.1000, -1.2000], grad_fn=<AddmmBackward0>)\n",
        "\ufeff2.0 1.0 0.1 -1.2",
        "\ufeff[2.0, 1.0, 0.1, -1.2]",
    ],
)
def test_explain_reads_standard_input(run, text):
    code, out, _ = run("explain", "-", "--label", 2, stdin=text.encode())
    assert code == 0
    assert out == run(*SEED, "--label", 2)[1]


def test_its_own_json_can_be_read_back(run):
    _, out, _ = run("explain", "nan", "-inf", "inf", "1", "--label", 0, "--json")
    logits = json.dumps(json.loads(out)["logits"]).encode()
    assert run("explain", "-", "--label", 0, "--json", stdin=logits)[1] == out


def test_explain_prints_the_text(run):
    code, out, err = run(*SEED, "--label", 2)
    assert (code, err) == (0, "")
    assert out == explain([2.0, 1.0, 0.1, -1.2], 2).to_text()
    assert "\x1b" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--file", "z.npy", "--row", "17", "--label", "LABEL"],
        ["--file", "z.npy", "--row", "17", "--labels", "y.npy"],
        [
            *("--file", "both.npz", "--labels", "both.npz", "--row", "17"),
            *("--logits-key", "a", "--labels-key", "b"),
        ],
        ["--file", "one.npy", "--label", "LABEL"],
    ],
    ids=["label", "labels", "keys", "one-row"],
)
def test_explain_a_row_of_a_file(run, data, arguments):
    z, y = data
    np.save("one.npy", z[17])
    words = [str(y[17]) if word == "LABEL" else word for word in arguments]
    assert run("explain", *words) == (0, explain(z[17], y[17]).to_text(), "")


def test_explain_a_row_with_labels_from_one(run, data):
    z, y = data
    words = ["--file", "z.npy", "--row", 17, "--labels", "y1.npy", "--one-based"]
    wanted = explain(z[17], y[17] + 1, first_class=1).to_text()
    assert run("explain", *words) == (0, wanted, "")


def test_class_names_of_a_file_are_text(run, data):
    code, out, _ = run("explain", "--file", "z.csv", "--row", 3, "--label", "<b>")
    assert code == 0
    for name in ("[red]dog[/red]", "<b>", r"\x1b[31mred"):
        assert name in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no logits"),
        (["1", "2"], "which class is the true one? Add --label, a whole number from 0 to 1"),
        (["1", "2", "--label"], "--label"),
        (["1", "x", "--label", "0"], "'x' is not a number"),
        (
            ["z.npy", "--label", "0"],
            "'z.npy' is not a number: to read the logits from a file, --file",
        ),
        (["[[1, 2], [3, 4]]", "--label", "0"], "there are 2 rows of numbers: explain takes"),
        (["2.0", "-1.0x", "--label", "0"], "'-1.0x' is not a number"),
        (["--json", "-1.0x", "--label", "0"], "'-1.0x' is not a number"),
        (["2,0", "1,0", "--label", "0"], "are these decimal commas? Then write 2.0"),
        (["-1,25", "−2,0", "--label", "0"], "are these decimal commas? Then write -1.25"),
        (["--file", "-1.npy", "--label", "0"], "softmaxloss: error: -1.npy: no such file"),
        (["1", "\x1b[31m", "--label", "0"], r"'\x1b' is not a number"),
        (["1", "y" * 9999, "--label", "0"], "yyy…' is not a number"),
        (["1", "2", "--label", "2"], "if you count from one, add --one-based"),
        (
            ["1", "2", "--label", "-1"],
            "the label -1 is not a class: it must be a whole number from 0 to 1",
        ),
        (["1", "2", "--label", "-100"], "-100"),
        (["1", "2", "--label", "0", "--one-based"], "from 1 to 2"),
        (["1", "2", "--label", "1.0"], "'1.0' is not a class"),
        (["1", "2", "--label", "cow", "--classes", "cat,dog"], "or a class name"),
        (["1", "2", "--label", "a", "--classes", "a,a"], "several classes"),
        (["1", "2", "--label", "cad", "--classes", "cat,dog"], "; did you mean 'cat'?"),
        (["1", "2", "--label", "cow", "--classes", "cat,dog"], "; the classes are 'cat', 'dog'"),
        (["1", "2", "--labels", "cow", "--classes", "cat,dog"], "the label 'cow' is not a class"),
        (["1", "2", "--labels", "cat", "--label", "1", "--classes", "cat,dog"], "not both"),
        (["1", "2", "--label", "9", "--classes", "3,5"], "the label 9 is not a class"),
        (["1", "2", "--label", "a", "--classes", "a b"], "got 1: separate them by commas"),
        (["1", "2", "--label", "0", "--classes", "a"], "--classes: expected 2 names, got 1"),
        (["1", "2", "--label", "0", "--step", "0"], "step must be a positive number"),
        (["1", "2", "--label", "0", "--step", "-1"], "step must be a positive number"),
        (["1", "2", "--label", "0", "--step", "nan"], "step must be a positive number"),
        (["1", "2", "--label", "0", "--step", "big"], "'big' is not a valid float"),
        (["1", "2", "--lable", "0"], "--label"),
        (["1", "2", "-x", "--label", "0"], "-x"),
        (["1", "2", "--label", "0", "--row", "1"], "--row needs a file"),
        (["1", "2", "--labels", "y.npy"], "--labels needs a file"),
        (["1", "2", "--label", "0", "--logits-key", "z"], "--logits-key needs a file"),
        (["1", "-", "--label", "0"], "- reads all the logits"),
        (["1", "--file", "z.npy", "--label", "0"], "not both"),
        (["--file", "z.npy", "--label", "0"], "which row"),
        (["--file", "z.csv", "--label", "0"], "which row"),
        (["--file", "z.npy", "--row", "200", "--label", "0"], "has no row 200"),
        (["--file", "z.npy", "--row", "-1", "--label", "0"], "--row"),
        (["--file", "z.npy", "--row", "0"], "which class is the true one"),
        (["--file", "z.npy", "--row", "0", "--label", "0", "--labels", "y.npy"], "not both"),
        (["--file", "z.npy", "--row", "9", "--labels", "short.npy"], "none for row 9"),
        (["--file", "no\x1b[31m\n.npy", "--row", "9", "--label", "0"], r"no\x1b[31m\n.npy"),
        (["--file", ".", "--row", "9", "--label", "0"], "."),
    ],
)
def test_explain_wrong_input_is_one_line(run, data, arguments, says):
    np.save("short.npy", np.arange(3))
    fails(run("explain", *arguments), says)


@pytest.mark.parametrize(
    ("stdin", "says"),
    [
        (b"", "no numbers on standard input"),
        (b"[]", "no numbers on standard input"),
        (b"1 2 three", "'three' on standard input is not a number"),
        (b"1 2\n\n3 4\n", "2 rows of numbers on standard input: explain takes the logits of one"),
        (b"1,2\n3,4\n", "2 rows of numbers"),
        (b"2,0; 1,0\n", "decimal commas"),
        (b"[[1, 2], [3, 4]]", "2 rows of numbers"),
        (b"tensor([[1., 2.],\n        [3., 4.]])", "2 rows of numbers"),
        (b"tensor([1., 2.,  ..., 3.])", "the list is printed in part"),
        (b"[1, true]", "true"),
        (b"[1, null]", "null"),
        (b'[1, "x"]', "'x' on standard input"),
        (b'{"logits": [1]}', "not a number"),
        (b"\xff\xfe\x00", "not a number"),
        (b"[" * 100_000, "there are no numbers"),
        (b"[" + b"9" * 10_000 + b"]", "the label 5"),  # the number itself is read, as inf
    ],
)
def test_wrong_standard_input_is_one_line(run, stdin, says):
    fails(run("explain", "-", "--label", 5, stdin=stdin), says)


# --- score ---------------------------------------------------------------------------------------


def test_the_json_of_score_agrees_with_scipy(run, data):
    z, y = data
    losses = -log_softmax(z, axis=1)[np.arange(200), y]
    code, out, err = run("score", "z.npy", "y.npy", "--json", "--top", 7)
    assert (code, err) == (0, "")
    got = json.loads(out)
    # A sum of 200 losses, each within a few ulp.
    assert got["mean_loss"] == pytest.approx(losses.mean(), rel=1e-14)
    assert got["perplexity"] == pytest.approx(math.exp(losses.mean()), rel=1e-14)
    assert got["accuracy"] == (z.argmax(1) == y).mean()
    assert [example["row"] for example in got["top"]] == np.argsort(-losses)[:7].tolist()
    assert got["examples"] == 200


def test_the_report_of_score_ends_with_a_command_that_works(run, data):
    z, y = data
    losses = -log_softmax(z, axis=1)[np.arange(200), y]
    code, out, err = run("score", "z.npy", "y.npy")
    assert (code, err) == (0, "")
    flat = re.sub(r"[ \n]+", " ", out)
    assert "z.npy: 200 examples, 5 classes" in flat
    assert f"mean loss {losses.mean():.4f} nats (a uniform guess: ln 5 = 1.6094)" in flat
    assert f"accuracy {100 * (z.argmax(1) == y).mean():.2f} %" in flat
    assert "The 10 examples with the highest loss" in flat
    worst = int(losses.argmax())
    assert f"{worst} {y[worst]} {z[worst].argmax()} {losses[worst]:.4f}" in flat
    suggested = out.splitlines()[-1].split()
    assert suggested[:2] == ["softmaxloss", "explain"]
    code, out, _ = run(*suggested[1:])
    assert code == 0
    assert out == explain(z[worst], y[worst]).to_text()


def test_score_with_labels_from_one(run, data):
    zero = json.loads(run("score", "z.npy", "y.npy", "--json")[1])
    one = json.loads(run("score", "z.npy", "y1.npy", "--one-based", "--json")[1])
    assert one["mean_loss"] == zero["mean_loss"]
    label = one["top"][0]["label"]
    assert label == zero["top"][0]["label"] + 1
    named = run("score", "z.npy", "y1.npy", "--one-based", "--classes", "a,b,c,d,e", "--top", 1)[1]
    assert f"{label} {'abcde'[label - 1]} " in named
    assert "--classes a,b,c,d,e --one-based" in named


def test_score_with_keys(run, data):
    keys = ["--logits-key", "a", "--labels-key", "b", "--json"]
    assert run("score", "both.npz", "both.npz", *keys) == run("score", "z.npy", "y.npy", "--json")


def test_score_with_ignored_rows(run, data):
    z, y = data
    np.save("some.npy", np.where(np.arange(200) < 50, 7, y))
    ignoring = ["score", "z.npy", "some.npy", "--ignore-index", 7]
    losses = -log_softmax(z, axis=1)[np.arange(200), y][50:]
    got = json.loads(run(*ignoring, "--json")[1])
    assert got["mean_loss"] == pytest.approx(losses.mean(), rel=1e-14)
    assert "ignored     50 rows" in run(*ignoring)[1]


def test_ignored_rows_with_large_logits_warn_of_nothing(run, data):
    z, y = data
    z[3], y[3] = 1000.0, -100
    np.save("z.npy", z)
    np.save("y.npy", y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run("score", "z.npy", "y.npy")[::2] == (0, "")


def test_score_with_no_examples_listed(run, data):
    assert "highest loss" not in run("score", "z.npy", "y.npy", "--top", 0)[1]


def test_score_names_from_the_file_are_text(run, data):
    code, out, _ = run("score", "z.csv", "y.npy", "--top", 100)
    assert code == 0
    assert "1 [red]dog[…" in out
    assert "2 <b>" in out
    assert r"3 \x1b[31mr…" in out
    assert "\x1b" not in out


def test_score_lists_rows_without_a_loss_first(run, data):
    z, y = data
    z[3, 1], z[5] = np.nan, -np.inf
    np.save("bad.npy", z)
    code, out, err = run("score", "bad.npy", "y.npy", "--top", 3)
    assert code == 1
    assert err == (
        "softmaxloss: the mean loss is NaN: 2 of 200 examples have no loss, because a logit is NaN "
        "or +inf, or all are -inf; these are listed first\n"
    )
    flat = re.sub(r" +", " ", out)
    assert "mean loss nan nats" in flat
    assert "invalid 2 rows" in flat
    assert f"\n 3 {y[3]} none nan nan none\n 5 {y[5]} none nan" in flat
    json.loads(run("score", "bad.npy", "y.npy", "--json")[1], parse_constant=pytest.fail)


def test_score_writes_the_scores_of_every_example(run, data, tmp_path):
    z, y = data
    before = set(os.listdir())
    assert run("score", "z.npy", "y.npy", "--out", "scores.npy")[0] == 0
    assert set(os.listdir()) - before == {"scores.npy"}
    losses = -log_softmax(z, axis=1)[np.arange(200), y]
    # SciPy subtracts logsumexp from z and rounds by up to an ulp of |z| ~ 8.
    np.testing.assert_allclose(np.load("scores.npy")["loss"], losses, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "LOGITS"),
        (["z.npy"], "LABELS"),
        (["z.npy", "y.npy", "extra"], "extra"),
        (["none.npy", "y.npy"], "none.npy: "),
        (["z.npy", "none.npy"], "none.npy: "),
        (["z.npy", "y1.npy"], "if they count from one, add --one-based"),
        (["z.npy", "y1.npy"], "error: y1.npy: "),
        (["z.npy", "z.npy"], "z.npy"),
        (
            ["z.npy", "short.npy"],
            "error: short.npy: 3 labels for 200 rows of logits in z.npy; give",
        ),
        (["one.csv", "one.npy"], "error: one.npy: 1 label for 2 rows of logits in one.csv; give"),
        (["z1.npy", "y.npy"], "200 labels for 1 row of logits"),
        (["z.csv", "short.npy"], "3 labels for 200 rows"),
        (["z.npy", "minus.npy"], "add --ignore-index -1"),
        (["z.npy", "y.npy", "--top", "-1"], "--top"),
        (["z.npy", "y.npy", "--top", "x"], "--top"),
        (
            ["z.npy", "y.npy", "--classes", "a,b"],
            "--classes: expected 5 names, got 2",
        ),
        (["z.npy", "y.npy", "--out", "z.npy"], "z.npy is a file to be read"),
        (["z.npy", "y.npy", "--out", "y.npy"], "y.npy is a file to be read"),
        (["z.npy", "y.npy", "--out", "link.npy"], "link.npy is a file to be read"),
        (["z.npy", "y.npy", "--ids", "ids.txt", "--html", "./ids.txt"], "ids.txt is a file to be"),
        (["z.npy", "y.npy", "--classes", "ids.txt", "--html", "ids.txt"], "is a file to be read"),
        (["z.npy", "y.npy", "--classes", "no.txt"], "error: no.txt: no such file"),
        (["z.npy", "y.npy", "--classes", "ids.txt"], "--classes: expected 5 names, got 200"),
        (["z.npy", "y.npy", "--out", "s.csv", "--out", "./s.csv"], "./s.csv is named twice"),
        (["z.npy", "y.npy", "--out", "s.csv", "--html", "s.csv"], "s.csv is named twice"),
        (["z.npy", "y.npy", "--out", "s.csv", "--html", "no/page.html"], "no/page.html: "),
        (["z.npy", "y.npy", "--out", "scores.txt"], "scores.txt"),
        (["z.npy", "y.npy", "--out", "no/scores.csv"], "no/scores.csv"),
        (["z.npy", "y.npy", "--logits-key", "z"], "z.npy"),
        (["z.npy", "y.npy", "--tpo", "1"], "--top"),
        (["pickled.npy", "y.npy"], "pickled.npy"),
        (["cut.npy", "y.npy"], "cut.npy"),
    ],
)
def test_score_wrong_input_is_one_line(run, data, arguments, says):
    z, y = data
    np.save("short.npy", y[:3])
    np.save("one.npy", y[:1])
    np.save("z1.npy", z[:1])
    with open("one.csv", "w") as two:
        two.write("1,2,3,4,5\n1,2,3,4,6\n")
    np.save("minus.npy", np.where(np.arange(200) == 9, -1, y))
    os.symlink("z.npy", "link.npy")
    with open("ids.txt", "w") as ids:
        ids.writelines(f"{row}\n" for row in range(200))
    np.save("pickled.npy", np.array([{}]), allow_pickle=True)
    with open("z.npy", "rb") as whole, open("cut.npy", "wb") as cut:
        cut.write(whole.read()[:1000])
    before = {name: os.stat(name) for name in os.listdir()}
    fails(run("score", *arguments), says)
    assert {name: os.stat(name) for name in os.listdir()}.keys() == before.keys()
    assert np.array_equal(np.load("z.npy"), z)


@pytest.mark.parametrize("row", [[], ["--row", "3"]])
def test_explain_does_not_write_over_what_it_reads(run, data, row):
    z, y = data
    for name in ("z.npy", "y.npy"):
        result = run("explain", "--file", "z.npy", "--labels", "y.npy", *row, "--html", name)
        fails(result, f"{name} is a file to be read: choose another name")
    np.testing.assert_array_equal(np.load("z.npy"), z)
    np.testing.assert_array_equal(np.load("y.npy"), y)


def test_what_cannot_be_written_is_said_before_the_work(run, data, monkeypatch):
    def work(*args, **kwargs):
        raise AssertionError("the files are scored")

    monkeypatch.setattr(score_command, "evaluate", work)
    monkeypatch.setattr(score_command, "add_up", work)
    before = set(os.listdir())
    fails(run("score", "z.npy", "y.npy", "--out", "s.csv", "--html", "no/p.html"), "no/p.html: ")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    fails(run("score", "z.npy", "y.npy", "--out", "s.csv", "--out", "p.svg"), "pip install matpl")
    assert set(os.listdir()) == before


def test_names_of_classes_in_a_file(run, data, tmp_path):
    names = ["tench, Tinca tinca", "dog", "狐狸", "3", "<b>"]
    (tmp_path / "names.txt").write_bytes(
        "\r\n".join(["\ufeff" + names[0], *names[1:], ""]).encode()
    )
    code, out, _ = run("score", "z.npy", "y.npy", "--classes", "names.txt", "--json")
    assert (code, json.loads(out)["classes"]) == (0, names)
    row = ("explain", "--file", "z.npy", "--row", "3", "--classes", "names.txt")
    code, out, _ = run(*row, "--label", "tench, Tinca tinca", "--json")
    assert (code, json.loads(out)["target"]) == (0, 0)


def test_a_failed_or_interrupted_run_leaves_no_file(run, data, monkeypatch):
    before = set(os.listdir())
    fails(run("score", "z.npy", "y1.npy", "--out", "scores.csv"), "outside 0..4")
    assert set(os.listdir()) == before

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(score_command, "evaluate", interrupt)
    assert run("score", "z.npy", "y.npy", "--out", "scores.csv")[0] == 130
    assert set(os.listdir()) == before


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["TERM", "HUP"]
)
def test_a_terminated_run_leaves_no_file(run, data, monkeypatch, number, code):
    before = set(os.listdir())

    def terminate(*args, **kwargs):
        assert any(name.endswith(".part") for name in os.listdir())
        os.kill(os.getpid(), number)
        time.sleep(10)

    monkeypatch.setattr(score_command, "evaluate", terminate)
    with pytest.raises(SystemExit) as ended:
        run("score", "z.npy", "y.npy", "--out", "scores.csv")
    assert ended.value.code == code
    assert set(os.listdir()) == before
    assert signal.getsignal(number) == signal.SIG_DFL


# --- the whole program ---------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--help"], ["explain", "-h"], ["score", "--help"]])
def test_help_begins_with_examples_that_parse(run, arguments):
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith("Examples:\n  softmaxloss ")
    assert max(map(len, out.splitlines())) <= 80


def test_the_examples_of_explain_work(run, monkeypatch):
    _, out, _ = run("explain", "--help")
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    examples = re.findall(r"^  softmaxloss (explain (?:[\d.]|--ask).*)$", out, re.MULTILINE)
    assert len(examples) == 5
    for example in examples:
        assert run(*shlex.split(example))[0] == 0


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(run, option):
    assert run(option) == (0, f"softmaxloss {softmaxloss.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["explian"], "explian"),
        (["--versoin"], "--version"),
        (["\x1b[31m"], r"\x1b[31m"),
        (["help", "explian"], "explian"),
        (["2.0", "1.0", "--label", "0"], "To explain these logits: explain 2.0 1.0 --label 0"),
        (["[2,", "1]", "--label", "0"], "which command?"),
        (["completion", "tcsh"], "'bash', 'zsh', 'fish'"),
    ],
)
def test_unknown_words_are_one_line(run, arguments, says):
    fails(run(*arguments), says)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (MemoryError("Unable to allocate 7 TiB"), 2, "not enough memory: Unable to allocate 7 TiB"),
        (OSError(28, "No space left on device", "out\x1b.csv"), 2, r"out\x1b.csv: No space left"),
        (ValueError("two\nlines"), 2, r"two\nlines"),
    ],
)
def test_errors_of_the_library_are_one_line_and_an_exit_code(run, monkeypatch, error, code, says):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(explain_command, "explanation_of", fail)
    got, out, err = run(*SEED, "--label", 2)
    assert (got, out) == (code, "")
    assert (says in err and len(err.splitlines()) == 1) if says else err == ""


def command(*arguments, env=None, **kwargs):
    inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONUNBUFFERED", "COLUMNS")}
    return subprocess.run(
        [sys.executable, "-m", "softmaxloss", *arguments],
        capture_output=kwargs.pop("capture_output", True),
        text=True,
        timeout=60,
        check=False,
        env=inherited | (env or {}),
        **kwargs,
    )


def test_results_go_to_standard_output_and_errors_to_standard_error():
    right = command(*SEED, "--label", "2")
    assert (right.returncode, right.stderr) == (0, "")
    assert right.stdout == explain([2.0, 1.0, 0.1, -1.2], 2).to_text()
    wrong = command(*SEED)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("softmaxloss: error: ")
    assert wrong.stderr.count("\n") == 1


def test_closed_pipe_is_silent():
    reader, writer = os.pipe()
    os.close(reader)
    done = command(
        *SEED, "--label", "2", capture_output=False, stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        done = command(
            *SEED, "--label", "2", capture_output=False, stdout=full, stderr=subprocess.PIPE
        )
    assert (done.returncode, done.stderr) == (
        2,
        "softmaxloss: error: standard output: No space left on device\n",
    )


def test_an_ascii_output_gets_ascii_text():
    done = command(*SEED, "--label", "2", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "dJ/dz_2 = a_2 - 1 = 0.0960 - 1 = -0.9040" in done.stdout
    assert "^ up" in done.stdout


@pytest.mark.parametrize(
    ("setting", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
    ids=str,
)
def test_colours_on_a_terminal_only(setting, colored, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    done = command(
        *SEED,
        "--label",
        "2",
        capture_output=False,
        stdout=theirs,
        env={"TERM": "xterm"} | setting,
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0
    assert ("\x1b[" in shown) == colored
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    wanted = explain([2.0, 1.0, 0.1, -1.2], 2).to_text()
    assert [line.rstrip() for line in plain.splitlines()] == wanted.splitlines()


def test_no_progress_bar_without_a_terminal(data, tmp_path):
    assert command("score", "z.npy", "y.npy", cwd=tmp_path).stderr == ""


def test_a_progress_bar_on_a_terminal(data, tmp_path):
    ours, theirs = pty.openpty()
    done = command(
        *("score", "z.npy", "y.npy"),
        cwd=tmp_path,
        capture_output=False,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={"TERM": "xterm"},
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "100%" in shown
    assert "\x1b" not in done.stdout
    assert "mean loss" in done.stdout


@pytest.mark.parametrize("option", ["--label", "--labels"])
@pytest.mark.parametrize("label", ["1,2", "dog, fox", "2, dog"])
def test_several_labels(run, label, option):
    code, out, err = run(*SEED, "--classes", "cat,dog,fox,owl", option, label, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["target"] == [0.0, 1.0, 1.0, 0.0]


def test_several_labels_from_one(run):
    out = run(*SEED, "--label", "1,4", "--one-based")[1]
    assert "and 2 labels: classes 1 and 4." in out
    fails(run(*SEED, "--label", "1,7"), "the label 7 is not a class")


def test_the_path_is_as_long_as_asked(run):
    out = run(*SEED, "--label", "2", "--steps", "2", "--json")[1]
    assert json.loads(out)["path"]["steps"] == [0, 1, 2]


def test_ask_answers_a_question_alone(run):
    code, out, err = run(*SEED, "--label", "2", "--ask", "others-learn")
    assert (code, err) == (0, "")
    assert out.startswith("How do the other outputs learn")
    assert "∂J/∂z_0 = a_0 = 0.6418" in out
    assert max(map(len, out.splitlines())) <= 80


def test_ask_finds_the_question_that_is_meant(run):
    asked = "how does the network know which output to raise"
    code, out, err = run(*SEED, "--label", "2", "--ask", asked)
    assert (code, err) == (0, "")
    assert out.startswith("How does the network know which output to raise? (which-is-raised)\n")
    assert run(*SEED, "--label", "2", "--ask", "which-is-raised")[1] == out


def test_ask_list_lists_the_titles(run):
    code, out, err = run("explain", "--ask", "list")
    assert (code, err) == (0, "")
    flat = " ".join(out.split())
    for id, question in QUESTIONS.items():
        assert f"{question.title} ({id})" in flat
    assert max(map(len, out.splitlines())) <= 80
    assert json.loads(run("explain", "--ask", "list", "--json")[1]) == {
        id: question.title for id, question in QUESTIONS.items()
    }


def test_ask_all_answers_every_question(run):
    answers = json.loads(run(*SEED, "--label", "2", "--ask", "all", "--json")[1])
    assert [answer["id"] for answer in answers] == list(QUESTIONS)


def test_html_writes_the_page_and_open_opens_it(run, tmp_path, monkeypatch):
    code, out, err = run(*SEED, "--label", "2", "--html", "why.html")
    assert (code, out, err) == (0, "", "wrote why.html\n")
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert page == explain([2.0, 1.0, 0.1, -1.2], 2).to_html()
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    code, out, _ = run(*SEED, "--label", "1,2", "--html", "two.html", "--open", "--json")
    assert json.loads(out)["schema"] == "softmaxloss.several-labels"
    assert opened == [(tmp_path / "two.html").as_uri()]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--label", "2", "--html", "no/such/why.html"], "no/such/why.html: "),
        (["--label", "2", "--html", "."], "is not a regular file"),
        (["--label", "2", "--html", "-"], "--html needs the name of a file"),
        (["--label", "2", "--open"], "--open opens the page that --html FILE writes"),
        (["--label", "1,1"], "the label 1 is given twice"),
        (["--label", "2", "--ask", "why negative"], "the nearest are: Can the loss exceed 1, or"),
        (["--label", "2", "--ask", "all", "--ask", "foo"], "no question is quite like 'foo'"),
        (["--label", "1,2", "--ask", "order"], "about an example with one label"),
        (["--label", "1,2", "--ask", "order", "--html", "x.html"], "one label"),
    ],
)
def test_options_of_explain_that_cannot_be_met_write_no_file(run, tmp_path, arguments, says):
    fails(run(*SEED, *arguments), says)
    assert list(tmp_path.iterdir()) == []


def test_decimal_commas_are_not_taken_for_separators(run):
    fails(run("explain", "1,5", "2", "0,3", "--label", "1"), "are these decimal commas?")
