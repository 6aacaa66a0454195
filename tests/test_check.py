"""`check`: every mistake of the bank is found and named, and nothing right is accused."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import mpmath
import numpy as np
import pytest
from tests.planted import CHEATS, RIGHT_STYLES, alias, naive_with_max, replayed

from softmaxloss.check import BANK, Mistake, assert_softmax_loss, check
from softmaxloss.check.diagnosis import DEPENDS_ON, diagnose
from softmaxloss.check.isolated import check_file
from softmaxloss.check.judge import expected, is_right, unit
from softmaxloss.check.probes import probes
from softmaxloss.check.steps import RIGHT
from softmaxloss.cli import main

DTYPES = [np.float64, np.float32]
SEEDS = range(1000)
WITH_STEPS = [m for m in BANK.values() if m.steps]

# A mistake in the logarithm alone is none of the probabilities, and so not of the gradient.
OF_THE_LOSS_ALONE = {"log-of-underflow", "clipped", "log-of-a-plus-epsilon", "log-softmax-of-logs"}


# Conventions that both parts must have; planted, they are in one.
ALONE = {"sum", "bits", "gradient-of-the-sum", "gradient-in-bits"}


def shows_in(mistake: Mistake, part: str) -> bool:
    steps = set(mistake.steps)
    if part != "loss" and mistake.id in OF_THE_LOSS_ALONE:
        return False
    return steps <= set(DEPENDS_ON[part])


def planted(mistake: Mistake, part: str) -> Any:
    """An implementation with this mistake, of the loss, the gradient, both, or the softmax."""
    steps = RIGHT.but(dict(mistake.steps))

    def result(got: Any) -> Any:
        if got is None:
            raise IndexError("as NumPy does")
        return got

    if part == "softmax":
        return lambda z: result(steps.run(z, np.zeros(len(z), int)).softmax)
    if part == "loss+gradient":
        return lambda z, y: (result(steps.run(z, y).loss), result(steps.run(z, y).gradient))
    return lambda z, y: result(getattr(steps.run(z, y), part))


def test_the_bank_is_large_and_whole() -> None:
    assert len(BANK) > 100  # as the README says
    for id, mistake in BANK.items():
        assert mistake.id == id
        assert id == id.lower().strip()
        assert mistake.title
        assert mistake.why.endswith(".")
        assert mistake.fix


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", ["softmax", "loss", "gradient", "loss+gradient"])
def test_every_mistake_is_found_and_named(part: str, dtype: Any) -> None:
    for mistake in WITH_STEPS:
        parts = ("loss", "gradient") if part == "loss+gradient" else (part,)
        if not any(shows_in(mistake, p) for p in parts):
            continue
        for seed in (1, 2):
            report = check(planted(mistake, part), part, dtype=dtype, seed=seed)  # type: ignore[arg-type]
            expected_ids = [mistake.id]
            if part == "loss+gradient" and mistake.id in ALONE:  # one of the two has it
                expected_ids.append("loss-and-gradient-differ")
            assert report.mistakes == expected_ids, (mistake.id, str(report))
            right = mistake.kind != "mistake" and len(expected_ids) == 1
            assert report.verdict == ("right" if right else "wrong")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", DEPENDS_ON)
def test_the_probes_tell_every_two_mistakes_apart(part: str, dtype: Any) -> None:
    """None gives the numbers of another one on all probes."""
    epsilon = unit(dtype)
    for seed in range(5):
        given = probes(seed, dtype)
        for mistake in WITH_STEPS:
            if not shows_in(mistake, part):
                continue
            steps = RIGHT.but(dict(mistake.steps))
            seen = [getattr(steps.run(probe.z, probe.y), part) for probe in given]
            found = diagnose(part, seen, given, epsilon)
            assert [m.id for m in found.mistakes] == [mistake.id]
            assert [m.id for m in found.others] == []


@pytest.mark.parametrize("style", RIGHT_STYLES, ids=lambda f: f.__name__)
def test_right_implementations_are_not_accused(style: Any) -> None:
    """Over a thousand seeds, in both precisions."""
    allowed = {"log-of-underflow"} if style is naive_with_max else set()
    allowed |= {"sum", "gradient-of-the-sum"} if style.__name__ == "summed" else set()
    for seed in SEEDS if style.__name__ != "loops" else range(100):
        report = check(style, seed=seed, dtype=DTYPES[seed % 2])
        assert report.verdict == "right", str(report)
        assert set(report.mistakes) == allowed


def test_frameworks() -> None:
    torch = pytest.importorskip("torch")

    def loss(z: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(z, y)

    for function in (loss, torch.nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss(reduction="sum")):
        report = check(function)
        assert report.verdict == "right", str(report)
        assert report.parts == ("loss", "gradient")

    def wrong(z: Any, y: Any) -> Any:
        return torch.nn.functional.nll_loss(torch.softmax(z, 1), y)

    assert check(wrong).mistakes[0] == "minus-probability"

    def twice(z: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(torch.softmax(z, 1), y)

    assert "softmax-twice" in check(twice).mistakes


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda f: f.__name__)
def test_cheats_fail(cheat: Any) -> None:
    for seed in range(4):
        report = check(cheat, seed=seed)
        assert report.verdict == "wrong", str(report)


def test_what_watching_calls_shows() -> None:
    assert "logits-overwritten" in check(alias).mistakes
    assert "result-is-the-input" in check(alias).mistakes
    assert "not-repeatable" in check(replayed()).mistakes or not check(replayed()).mistakes

    def labels(z: Any, y: Any) -> Any:
        loss = naive_with_max(z, y)
        y -= 1
        return loss

    assert "labels-overwritten" in check(labels).mistakes


def test_two_mistakes_at_once() -> None:
    def function(z: Any, y: Any) -> Any:
        e = np.exp(z)
        a = e / e.sum(axis=1, keepdims=True)
        return -np.log(a[np.arange(len(y)), y - 1]).mean()

    assert set(check(function).mistakes) == {"no-max", "labels-from-one"}


def test_wrong_and_not_known() -> None:
    report = check(lambda z, y: 1.01 * naive_with_max(z, y), seed=3)
    assert report.verdict == "wrong"
    assert report.mistakes == []
    assert "none of the mistakes that are known here" in str(report)
    report = check(lambda z, y: np.tanh(z) - 0.3, "gradient")
    assert "its rows do not sum to 0" in str(report)


def test_the_report() -> None:
    report = check(lambda z, y: -naive_with_max(z, y), seed=5)
    text = str(report)
    assert text.startswith("wrong: loss, called as f(z, y) with z an array (N, C)")
    assert "no-minus" in text
    assert "fix: J = -np.log(a[np.arange(N), y])" in text
    data = json.loads(report.to_json(), parse_constant=pytest.fail)
    assert data["verdict"] == "wrong"
    assert data["seed"] == 5
    assert {m["id"] for m in data["findings"][0]["mistakes"]} == {"no-minus", "log-of-underflow"}
    again = check(lambda z, y: -naive_with_max(z, y), seed=5)
    assert str(again) == text


def test_what_cannot_be_checked() -> None:
    def broken(z: Any, y: Any) -> Any:
        raise RuntimeError("out of order")

    report = check(broken)
    assert report.problem == "RuntimeError: out of order"
    assert report.verdict == "wrong"
    assert check(lambda z, y: "hello").problem
    with pytest.raises(TypeError, match="takes a function"):
        check(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kind must be one of"):
        check(naive_with_max, "hinge")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype must be float64 or float32"):
        check(naive_with_max, dtype=np.float16)


def test_in_somebodys_tests() -> None:
    assert_softmax_loss(naive_with_max)
    with pytest.raises(AssertionError, match="no-minus"):
        assert_softmax_loss(lambda z, y: -naive_with_max(z, y))
    known = {"no-minus": "to be fixed", "log-of-underflow": "fine"}
    assert_softmax_loss(lambda z, y: -naive_with_max(z, y), expected_failures=known)
    with pytest.raises(ValueError, match="there is no mistake 'no-such'"):
        assert_softmax_loss(naive_with_max, expected_failures={"no-such": ""})


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_expected_is_right(dtype: Any) -> None:
    """Against mpmath, for the inputs as rounded."""
    epsilon = unit(dtype)
    for probe in probes(0, dtype):
        want = expected(probe, epsilon)
        with mpmath.workdps(400):
            losses, gradient = [], np.zeros(probe.z.shape)
            for i, (row, y) in enumerate(zip(probe.z.tolist(), probe.y.tolist(), strict=True)):
                e = [mpmath.exp(mpmath.mpf(x)) for x in row]
                total = mpmath.fsum(e)
                losses.append(mpmath.log(total) - mpmath.mpf(row[y]))
                for n, x in enumerate(e):
                    gradient[i, n] = float(x / total - (n == y)) / len(probe.z)
            loss = float(mpmath.fsum(losses) / len(losses))
        assert want.loss == pytest.approx(loss, rel=1e-14)
        np.testing.assert_allclose(want.gradient, gradient, rtol=1e-12, atol=1e-300)
        # And what is off by the hundredfold of rounding is not right.
        assert is_right("loss", np.asarray(loss, dtype), want)
        off = 1000 * epsilon * (1 + np.abs(probe.z).max())
        assert not is_right("loss", np.asarray(loss + off, dtype), want)


# --- files, each in a process of its own ----------------------------------------------------------

SUBMISSIONS = {
    "right": "import numpy as np\ndef f(x, y):\n"
    "    z = x - x.max(axis=1, keepdims=True)\n"
    "    log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))\n"
    "    return -log_a[np.arange(len(y)), y].mean()\n",
    "minus": "import numpy as np\ndef f(x, y):\n"
    "    a = np.exp(-x) / np.exp(-x).sum(axis=1, keepdims=True)\n"
    "    return -np.log(a[np.arange(len(y)), y]).mean()\n",
    "endless": "while True:\n    pass\n",
    "exits": "import sys\ndef f(x, y):\n    sys.exit(0)\n",
    "exits_hard": "import os\nos._exit(0)\n",
    "crashes": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "syntax": "def f(x y):\n    pass\n",
    "missing": "def g(x, y):\n    return 0\n",
    "greedy": "def f(x, y):\n    return bytearray(1 << 40)\n",
    "patches": "import numpy as np\nnp.abs = lambda x: 0 * x\nnp.isfinite = lambda x: True\n"
    "import softmaxloss.check.judge as judge\njudge.is_right = lambda *a: True\n"
    "def f(x, y):\n    print('=1+1')\n    return 0.5 * x[0, 0]\n",
    "prints": "print('hello ' * 100000)\ndef f(x, y):\n    raise ValueError('no\x1b[31m')\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, code in SUBMISSIONS.items():
        (tmp_path / f"{name}.py").write_text(code)
    return tmp_path


def test_each_file_in_a_process_of_its_own(folder: Path) -> None:
    said = {
        name: check_file(folder / f"{name}.py", "f", seed=1, timeout=8 if name != "endless" else 2)
        for name in SUBMISSIONS
    }
    assert said["right"].verdict == "right"
    assert said["minus"].mistakes == ["exp-minus-z", "no-max"]
    problems = {name: report.problem for name, report in said.items() if report.problem}
    assert problems == {
        "endless": "it took longer than 2 seconds",
        "exits": "it called sys.exit: 0",
        "exits_hard": "it ended before the check was over",
        "crashes": "it crashed: SIGSEGV",
        "syntax": "SyntaxError: invalid syntax (syntax.py, line 1)",
        "missing": "AttributeError: there is no f in missing.py; there is g",
        "greedy": "MemoryError: ",
        "prints": "ValueError: no\x1b[31m",
    }
    assert said["patches"].verdict == "wrong"
    assert "numpy-changed" in said["patches"].mistakes
    assert len(said["prints"].printed) == 2000
    assert not [p for p in folder.iterdir() if p.suffix != ".py"]


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(folder)
    (folder / "endless.py").unlink()

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["check", *arguments])
        return code, capsys.readouterr().out

    assert run("right.py:f")[0] == 0
    code, out = run("minus.py:f", "--seed", "3")
    assert code == 1
    assert "exp-minus-z" in out
    assert "seed 3" in out
    code, out = run("prints.py:f")
    assert code == 2
    assert out.startswith("not checked: ValueError: no\\x1b[31m\n")
    code, out = run("*.py:f", "--csv", "grades.csv", "--junit", "report.xml")
    assert code == 1
    assert "minus.py: wrong (exp-minus-z, no-max)" in out
    assert out.endswith(f"1 of {len(SUBMISSIONS) - 1} right\n")
    rows = list(csv.DictReader((folder / "grades.csv").open(encoding="utf-8")))
    assert {row["file"]: row["verdict"] for row in rows}["right.py"] == "right"
    assert {row["file"]: row["mistakes"] for row in rows}["minus.py"] == "exp-minus-z no-max"
    suite = ElementTree.parse(folder / "report.xml").getroot()
    assert len(suite) == len(SUBMISSIONS) - 1
    assert int(suite.get("failures", 0)) == 2
    code, out = run("right.py:f", "--json")
    assert json.loads(out)["verdict"] == "right"
    for wrong in ("right.py", "right.py:", "nowhere/*.py:f", "right.py:f(x)"):
        assert main(["check", wrong]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_class_of_files(tmp_path: Path) -> None:
    for n in range(24):
        code = SUBMISSIONS["right" if n % 2 else "minus"]
        (tmp_path / f"{n:03}.py").write_text(code)
    assert main(["check", f"{tmp_path}/*.py:f", "--csv", str(tmp_path / "grades.csv")]) == 1
    rows = list(csv.DictReader((tmp_path / "grades.csv").open(encoding="utf-8")))
    assert [row["verdict"] for row in rows] == ["wrong", "right"] * 12


# --- the layer with its loss, as courses have it --------------------------------------------------


def layer(W: Any, X: Any, y: Any, reg: float) -> Any:
    z = X @ W
    z = z - z.max(axis=1, keepdims=True)
    log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    slope = np.exp(log_a)
    slope[np.arange(len(y)), y] -= 1
    loss = -log_a[np.arange(len(y)), y].mean() + reg * (W * W).sum()
    return loss, X.T @ slope / len(y) + 2 * reg * W


def layer_in_columns(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W.T, X.T, y, reg)
    return loss, slope.T


def half(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W, X, y, 0.0)
    return loss + reg * (W * W).sum() / 2, slope + reg * W


def no_reg(W: Any, X: Any, y: Any, reg: float) -> Any:
    return layer(W, X, y, 0.0)


def reg_of_n(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W, X, y, 0.0)
    return loss + reg * (W * W).sum() / len(y), slope + 2 * reg * W / len(y)


def reg_not_in_gradient(W: Any, X: Any, y: Any, reg: float) -> Any:
    return layer(W, X, y, reg)[0], layer(W, X, y, 0.0)[1]


def not_transposed(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W, X, y, 0.0)
    return loss + reg * (W * W).sum(), X @ X @ slope + 2 * reg * W


def not_divided(W: Any, X: Any, y: Any, reg: float) -> Any:
    loss, slope = layer(W, X, y, 0.0)
    return loss + reg * (W * W).sum(), slope * len(y) + 2 * reg * W


@pytest.mark.parametrize(
    ("function", "form", "mistakes", "verdict"),
    [
        (layer, "W (D, C) and X (N, D)", [], "right"),
        (layer_in_columns, "W (C, D) and X (D, N)", [], "right"),
        (half, "W (D, C) and X (N, D)", ["half-regularisation"], "right"),
        (no_reg, "W (D, C) and X (N, D)", ["no-regularisation"], "wrong"),
        (reg_of_n, "W (D, C) and X (N, D)", ["regularisation-wrong"], "wrong"),
        (reg_not_in_gradient, "W (D, C) and X (N, D)", ["regularisation-gradient"], "wrong"),
        (not_transposed, "W (D, C) and X (N, D)", [], "wrong"),
        (
            not_divided,
            "W (D, C) and X (N, D)",
            ["gradient-of-the-sum", "loss-and-gradient-differ"],
            "wrong",
        ),
    ],
)
def test_a_layer_and_its_loss(function: Any, form: str, mistakes: list[str], verdict: str) -> None:
    for seed in range(5):
        report = check(function, seed=seed)
        assert form in str(report.form)
        assert report.mistakes == mistakes
        assert report.verdict == verdict


def test_the_docs_list_every_mistake() -> None:
    from docs.mistakes import BEGIN, END, PAGE, listing

    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == listing()
    assert all(f'<a id="{id}"></a>' in page for id in BANK)


def test_a_test_to_keep(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for name, passes in (("right", True), ("minus", False)):
        assert main(["check", f"{name}.py:f", "--write-test", f"test_{name}.py"]) == 1 - passes
        command = [sys.executable, "-m", "pytest", "-q", f"test_{name}.py"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (done.returncode == 0) == passes, done.stdout
    assert "# found: exp-minus-z, no-max" in (folder / "test_minus.py").read_text()
    assert main(["check", "*.py:f", "--write-test", "t.py"]) == 2


def test_the_smallest_case_can_be_worked_out_by_hand() -> None:
    (finding,) = check(lambda z, y: 2 * naive_with_max(z, y), seed=8).findings
    assert finding.example is not None
    z = np.array(eval(finding.example["z"]))
    assert z.size == 3
    assert (z == z.round(1)).all()


def test_every_behaviour_is_found() -> None:
    """Those mistakes that are no wrong step."""

    def nan_for_equal(z: Any, y: Any) -> Any:
        loss = naive_with_max(z, y)
        return np.nan if (z == 0).all() else loss

    def constant(z: Any, y: Any) -> Any:
        return 1.5

    found = {id for function in (nan_for_equal, constant, alias) for id in check(function).mistakes}
    elsewhere = {
        "labels-overwritten", "not-repeatable", "numpy-changed", "loss-and-gradient-differ",
        "no-regularisation", "regularisation-wrong", "regularisation-gradient",
        "half-regularisation",
    }  # fmt: skip
    assert {m.id for m in BANK.values() if not m.steps} <= found | elsewhere


def test_jax() -> None:
    jax = pytest.importorskip("jax")

    def loss(z: Any, y: Any) -> Any:
        log_a = jax.nn.log_softmax(z, axis=1)
        return -jax.numpy.take_along_axis(log_a, y[:, None], axis=1).mean()

    for function in (loss, jax.jit(loss), jax.value_and_grad(loss)):
        report = check(function)  # in float32, unless 64-bit types are switched on
        assert report.verdict == "right", str(report)
    assert check(lambda z, y: -loss(z, y)).mistakes == ["no-minus"]
