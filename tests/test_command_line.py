"""The command line as a stranger meets it: pasted numbers, names, help, narrow terminals, NaN."""

from __future__ import annotations

import json
import math
import re
import shlex

import numpy as np
import pytest
from rich.cells import cell_len
from tests.commands import fails

NAMES = "cat,dog,fox,owl"
SEED = ["explain", "2.0", "1.0", "0.1", "-1.2"]


@pytest.mark.parametrize(
    "text",
    [
        "[2, 1, 0.1, -1.2]",
        "2,1,0.1,-1.2",
        "2; 1; 0.1; -1.2",
        "(2, 1, 0.1, -1.2)",
        "[2.  1.  0.1 -1.2]",
        "[[2, 1, 0.1, -1.2]]",
        "tensor([ 2.0000,  1.0000,  0.1000, -1.2000])",
        "tensor([[2.0, 1.0, 0.1, -1.2]], device='cuda:0', grad_fn=<AddmmBackward0>)",
        "torch.tensor([2.0, 1.0, 0.1, -1.2])",
        "Parameter containing:\ntensor([2.0, 1.0, 0.1, -1.2], requires_grad=True)",
        "array([ 2. ,  1. ,  0.1, -1.2], dtype=float32)",
        "np.array([2, 1, 0.1, -1.2])",
        "Array([ 2. ,  1. ,  0.1, -1.2], dtype=float32)",
        "[np.float64(2.0), np.float64(1.0), np.float64(0.1), np.float64(-1.2)]",
        "[tensor(2.), tensor(1., device='cuda:0'), tensor(0.1000), tensor(-1.2000)]",
        "tf.Tensor([ 2.   1.   0.1 -1.2], shape=(4,), dtype=float32)",
        "<tf.Tensor: shape=(4,), dtype=float32, numpy=array([2., 1., 0.1, -1.2], dtype=float32)>",
        "2 1 0.1 −1.2",
        "2 1 0.1 –1.2",
        "2\u00a01\u00a00.1\u00a0−1.2",
    ],
)
def test_explain_takes_numbers_as_programs_print_them(run, text):
    code, out, err = run("explain", text, "--label", "2", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["logits"] == [2.0, 1.0, 0.1, -1.2]


@pytest.mark.parametrize("json", [[], ["--json"]])
@pytest.mark.parametrize(
    "command", [["score", "z.npy", "LABELS"], ["explain", "--file", "z.npy", "--labels", "LABELS"]]
)
def test_a_mean_that_is_nan_is_said_and_exits_1(run, data, command, json):
    z, y = data
    np.save("none.npy", np.full(200, -100))
    code, out, err = run(*(word.replace("LABELS", "none.npy") for word in command), *json)
    assert (code, bool(out)) == (1, True)
    assert err == "softmaxloss: the mean loss is NaN: no row counts, all are ignored\n"
    np.save("no rows.npy", z[:0])
    np.save("no labels.npy", y[:0])
    words = [word.replace("LABELS", "no labels.npy") for word in command]
    code, out, err = run(*(word.replace("z.npy", "no rows.npy") for word in words), *json)
    assert (code, err) == (1, "softmaxloss: the mean loss is NaN: there are no rows\n")
    assert "nan" not in out
    z[7, 0] = math.inf
    np.save("z.npy", z)
    code, out, err = run(*(word.replace("LABELS", "y.npy") for word in command), *json)
    assert (code, bool(out)) == (1, True)
    assert "the mean loss is NaN: 1 of 200 examples has no loss" in err
    z[7] = -math.inf
    z[7, (y[7] + 1) % 5] = 0.0  # an infinite loss is none of these
    np.save("z.npy", z)
    assert run(*(word.replace("LABELS", "y.npy") for word in command), *json)[::2] == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "2.0", "1.0", "0.1", "-1.2", "--label", "2"],
        ["explain", "2.0", "1.0", "0.1", "-1.2", "--label", "fox", "--classes", NAMES],
        ["explain", "2.0", "1.0", "0.1", "-1.2", "--label", "cat,owl", "--classes", NAMES],
        ["explain", "2e30", "-1e30", "0.1", "-1.2", "--label", "2"],
        ["explain", *map(str, range(40)), "--label", "2"],
        ["explain", "2.0", "1.0", "0.1", "-1.2", "--label", "2", "--ask", "all"],
        ["explain", "--file", "z.csv", "--labels", "y.npy"],
        ["score", "z.csv", "y.npy"],
        ["score", "z.npy", "y.npy"],
    ],
)
def test_everything_fits_40_columns_and_nothing_is_lost(run, data, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "400")
    wide = run(*arguments)[1]
    monkeypatch.setenv("COLUMNS", "40")
    narrow = run(*arguments)[1]
    code = [line for line in narrow.splitlines() if line.startswith("      ")]  # not broken
    lines = [line for line in narrow.splitlines() if line not in code]
    assert max(map(cell_len, lines)) <= 40
    assert arguments[0] != "score" or narrow.count("accuracy") == 1  # the totals are one table
    number = re.compile(r"\d+\.\d+(?:e[+-]\d+)?")
    # Of one example, the column exp(z−m) of the first table is left out where there is no room.
    wide, narrow = (re.sub(r"(?s)1\. The loss J.*?2\. ", "", text) for text in (wide, narrow))
    assert set(number.findall(wide)) <= set(number.findall(narrow))


@pytest.mark.parametrize("name", ["explain", "score", "check", "help", "completion"])
def test_help_as_a_word(run, name):
    wanted = run(name, "--help")
    assert wanted[0] == 0
    assert run("help", name) == wanted
    assert f"  softmaxloss {name}" in wanted[1]
    assert f"\n  {name} " in run("help")[1]


def test_help_of_the_program(run):
    assert run("help") == run("--help") == run()


@pytest.mark.parametrize("arguments", [["--help"], ["explain", "-h"], ["help", "completion"]])
def test_help_fits_a_narrow_terminal(run, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "40")
    _, _, text = run(*arguments)[1].partition("\n\n")  # below the examples, which are to be copied
    assert max(map(len, text.splitlines())) <= 40


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["explian"], "softmaxloss"),
        (["explain", "1", "2"], "softmaxloss explain"),
        (["explain", "1", "2", "--lable", "1"], "softmaxloss explain"),
        (["explain", "one", "2", "--label", "1"], "softmaxloss explain"),
        (["score"], "softmaxloss score"),
        (["check", "my_loss.py"], "softmaxloss check"),
        (["completion"], "softmaxloss completion"),
    ],
)
def test_an_error_of_use_names_the_help(run, arguments, command):
    fails(run(*arguments), f" (try '{command} --help')")


def test_an_error_in_a_file_does_not_name_the_help(run):
    result = run("score", "none.npy", "none.npy")
    fails(result, "none.npy: ")
    assert "--help" not in result[2]


@pytest.mark.parametrize(
    ("label", "target", "note"),
    [("5", 2, ""), ("3", 0, "the name of class 0, so"), ("7", 3, ""), ("2", 1, "of class 2")],
)
def test_a_label_that_is_a_name_is_no_number(run, label, target, note):
    code, out, err = run(*SEED, "--classes", "3,2,5,7", "--label", label, "--json")
    assert (code, json.loads(out)["target"]) == (0, target)
    assert err == "" if label in "57" else note in err
    assert len(err.splitlines()) == (label not in "57")


def test_a_number_in_a_file_is_a_number(run, data):
    _, y = data
    row = int(np.argmax(y != 2))  # whose label is the name of another class
    files = ("--file", "z.npy", "--row", row, "--labels", "y.npy")
    code, out, err = run("explain", *files, "--classes", "4,3,2,1,0", "--json")
    assert (code, json.loads(out)["target"], err) == (0, y[row], "")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("explain [2, 1, 0.1, -1.2] --label 2", "2.3435"),
        (
            "explain 2,1,0.1,-1.2 --label=fox --classes=cat,dog,fox,owl",
            "The true class is 2 (fox).",
        ),
        ("explain -1.2 -3 -0.5 --label 0 --one-based", "the label 0 is not a class"),
        ("explain \"tensor([2., 1.], device='cuda:0')\" --label 1", "1.3133"),
        ("explain 2 1 0.1 -1.2 -l 2", "no option -l: the true class is --label"),
        ("explain 2 1 0.1 -1.2 --target 2", "no option --target: the true class is --label"),
        ("explain 2 1 0.1 -1.2 --label 2 --question why", "a question is --ask"),
        ("explain 2 1 0.1 -1.2 --label 2 --out x.json", "a page is written by --html"),
        ("explain 2 1 0.1 -1.2 --label 2 --ask", "(try 'softmaxloss explain --help')"),
        ("explain -- -2 1 --label 1", "'--label' is not a number: after -- there are only numbers"),
        ("--label 2 explain 2 1 0.1", "--label follows the command: explain … --label"),
        ("explain 'logits: [2.0, 1.0, 0.1, -1.2]' --label 2", "2.3435"),
        ("explain 'z = 2.0 1.0 0.1 -1.2' --label 2", "2.3435"),
        (
            "explain '[2.0, 1.0]' 1",
            "2 rows of numbers: explain takes the logits of one example; the",
        ),
        ("explain 2 1 0.1 --label 2.0", "a whole number from 0 to 2; write 2"),
        ("explain 2 1 0.1 --label 0.5", "probabilities are given as 0.2,0.8, one for each class"),
        ("explain 2 1 0.1 -1.2 --label 0,0,1,0", "2.3435"),
        ("explain 2 1 0.1 -1.2 --label '[0, 0, 1, 0]'", "2.3435"),
        ("explain 2 1 0.1 -1.2 --label 0.2,0.3,0.5,0", "J = Σ q_n·(−log a_n) = 0.2000·0.4435"),
        ("explain 2 1 0.1 -1.2 --label 1 --label 2", "2 labels: classes 1 and 2"),
        ("explain 2 1 --label 0,1", "2 labels: classes 0 and 1"),
        ("explain 2 1 0.1 -1.2 --label 2,2,1,0", "the label 2 is given twice"),
        ("explain 2 1 0.1 --label cat", "for names add --classes A,B,C"),
        ("explain 2 1 --classes cat dog --label cat", "separate names of classes by commas"),
        ("explain 2 1 --classes \"['cat', 'dog']\" --label dog", "The true class is 1 (dog)."),
        ("explain 2 1 --classes '\"a, b\",dog' --label 'a, b'", "The true class is 0 (a, b)."),
        ("explain --label 2", "or - to read them from standard input"),
        ("ask 'why log'", "no such command 'ask'; explain has an option --ask"),
        ("Score z.npy y.npy", "did you mean score?"),
        ("eval z.npy y.npy", "no such command 'eval'; commands: check, completion, explain"),
        ("z.npy y.npy", "which command? To score this file: score z.npy y.npy"),
        ("loss.py:f", "which command? To check this code: check loss.py:f"),
        ("score", "no files: softmaxloss score LOGITS LABELS"),
        ("score --logits z.npy --labels y.npy", "LOGITS, the first file, has no option"),
        ("score z.npy y.npy -o s.csv", "no option -o: scores are written by --out"),
        ("score y.npy z.npy", "if these are the logits, they come first: LOGITS LABELS"),
        ("score z.npy y.npy --out s.xlsx", "use .npy, .csv or .parquet"),
        ("explain 2 1 0.1 -1.2", "which class is the true one? Add --label"),
        ("explain 2 1 0.1 -1.2 --labels dog,owl --classes cat,dog,fox,owl", "2 labels: classes 1"),
        ("explain 2 1 0.1 -1.2 --label foks --classes cat,dog,fox,owl", "did you mean 'fox'?"),
        ("explain z.npy y.npy", "to read the logits from a file, --file z.npy"),
        ("2 1 0.1 -1.2 --label 2", "explain 2 1 0.1 -1.2 --label 2"),
        ("score z.npy y.npy", "mean loss"),
        ("score z.npy", "LABELS"),
        ("score z.npy y.npy --json --top 1", '"mean_loss"'),
        ("check my_loss.py", "write FILE.py:FUNCTION"),
        ("help", "Usage: softmaxloss"),
        ("explain", "no logits: softmaxloss explain 2.0 1.0"),
    ],
)
def test_what_a_stranger_types_works_or_gets_one_line(run, data, line, says):
    code, out, err = run(*shlex.split(line))
    if code == 0:
        assert err == ""
        assert says in out
    else:
        fails((code, out, err), says)
