"""The table of docs/conformance.md: this library is right everywhere, and mistakes are found."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from conformance import page, runner
from conformance.implementations import IMPLEMENTATIONS, Implementation, Library, NotOfferedError
from conformance.judge import judge
from conformance.trials import sections, trials
from conformance.worker import ask
from scipy.special import logsumexp, softmax

TRIALS = trials()
# In one process, which makes the report once.
pytestmark = pytest.mark.xdist_group("conformance")


@pytest.fixture(scope="module")
def report():
    """A run with two implementations, each in a process of its own."""
    answers = [runner.run(name, 300) for name in ("library", "scipy")]
    return page.Report(TRIALS, answers, {"processor": "a test"}, "2026-01-01")


def verdicts(implementation, chosen=lambda trial: True):
    """(case, dtype, verdict) of an implementation that runs in this process."""
    return [
        (trial.name, trial.dtype, judge(trial, ask(implementation, trial)))
        for trial in TRIALS
        if chosen(trial)
    ]


def test_this_library_is_right_everywhere(report):
    assert len(report.judged["this library"]) == len(TRIALS) > 300
    faults = [
        (trial.name, trial.dtype, verdict)
        for trial, verdict in report.judged["this library"]
        if verdict.kind != "right"
    ]
    assert not faults


def test_the_inputs_of_check(report):
    """This library is right on them, SciPy on all except invalid labels."""
    checked = {answers.name: answers.checked for answers in report.answers}
    for dtype in ("float32", "float64"):
        ours = checked["library"][dtype]
        assert ours["verdict"] == "right"
        assert not ours["findings"]
        assert {"ordinary", "far above", "weight", "ignore_index, all", "label C"} <= {
            check["name"] for check in ours["checks"]
        }
        found = [m["id"] for f in checked["scipy"][dtype]["findings"] for m in f["mistakes"]]
        assert found == ["negative-label-accepted"]
    section = page.markdown(report).partition("## The inputs of `check`")[2]
    row = next(line for line in section.splitlines() if line.startswith("| **label -1**"))
    assert row.endswith("| right | **wrong** |")
    assert "[negative-label-accepted](check.md#negative-label-accepted) |" in section


def test_scipy_is_right_and_wrong_where_expected(report):
    cells = {(trial.name, trial.dtype): verdict for trial, verdict in report.judged["SciPy"]}
    assert cells["a Python integer", "float32"].kind == "right"
    assert cells["1e8", "float32"].kind == "right"
    assert cells["nearly zero is not zero", "float64"].kind == "wrong"
    assert cells["a negative label", "float32"].kind == "accepts"
    assert cells["a label equal to C", "float32"].kind == "right"  # it raises
    assert cells["shape without the class axis", "float32"].detail == "classes last"
    assert cells["soft labels", "float32"].kind == "not offered"


def test_the_page(report):
    text = page.markdown(report)
    for section in ("The true class", "The logits", "Options"):
        assert text.count(f"\n## {section}\n") == 1
    cases = text.partition("## The inputs of `check`")[0]
    rows = [line for line in cases.splitlines() if line.startswith("| ") and "**: " in line]
    assert len(rows) == len({(trial.row, trial.name) for trial in TRIALS})
    assert {row.count(" | ") for row in rows} == {3}
    assert all(line.isprintable() for line in text.splitlines())
    assert "**A label outside 0..C−1 gets a number**: SciPy (1.75: “a negative label”)." in text
    assert {trial.row for trial in TRIALS} <= set(sections())


# --- implementations with a planted mistake ----------------------------------------------------


class Planted(Library):
    """This library, with changed results."""

    def change(self, z, loss, grad, options):
        raise NotImplementedError

    def run(self, z, y, options, upstream):
        loss, grad = super().run(z, y, options, upstream)
        return self.change(np.asarray(z), np.asarray(loss), np.asarray(grad), options)


class OnePartInAThousand(Planted):
    def change(self, z, loss, grad, options):
        return loss * 1.001, grad


class Negative(Planted):
    def change(self, z, loss, grad, options):
        return loss, -grad


class LostBelowEps(Planted):
    def change(self, z, loss, grad, options):
        return np.where(loss < np.finfo(loss.dtype).eps, 0, loss).astype(loss.dtype), grad


class NotANumber(Planted):
    def change(self, z, loss, grad, options):
        return np.where(np.isinf(loss), np.nan, loss), grad


class WithoutShift(Implementation):
    """The naive formula, which overflows."""

    def run(self, z, y, options, upstream):
        if np.ndim(z) != 2 or options:
            raise NotOfferedError("this")
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            a = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            return np.mean(-np.log(a[np.arange(len(a)), y])), None


class CommonOffset(WithoutShift):
    """logsumexp(z) − z_y: under a common offset its digits are those of the offset."""

    def run(self, z, y, options, upstream):
        if np.ndim(z) != 2 or set(options) - {"reduction"}:
            raise NotOfferedError("this")
        losses = logsumexp(z, axis=1) - z[np.arange(len(z)), y]
        return losses if options.get("reduction") == "none" else np.mean(losses), None


class MeanOverAll(Library):
    def run(self, z, y, options, upstream):
        if options.get("reduction", "mean") == "mean" and "denominator" not in options:
            options = options | {"denominator": max(1, np.size(y))}
        return super().run(z, y, options, upstream)


class SoftmaxMinusTarget(Library):
    """TensorFlow's gradient, whatever the target sums to."""

    def run(self, z, y, options, upstream):
        loss, _ = super().run(z, y, options, upstream)
        return loss, softmax(z, axis=1) - y


@pytest.mark.parametrize(
    ("planted", "case", "detail"),
    [
        (OnePartInAThousand, "a Python integer", "0.444 for 0.4435"),
        (Negative, "a Python integer", "gradient 0.358 for −0.358"),
        (LostBelowEps, "nearly zero is not zero", "0 for 3.72e−44"),
        (NotANumber, "loss inf, gradient finite", "nan for inf"),
        (WithoutShift, "a naive exp overflows", "nan for 2.41"),
        (CommonOffset, "1e8", "8 for 8.0003"),
    ],
)
def test_a_planted_mistake_is_wrong(planted, case, detail):
    found = verdicts(planted(), lambda trial: trial.name == case and trial.dtype == "float32")
    assert found
    assert all((verdict.kind, verdict.detail) == ("wrong", detail) for *_, verdict in found), found


def test_a_mean_over_all_examples_is_another_convention():
    (weighted, *_) = verdicts(MeanOverAll(), lambda trial: trial.name == "index labels, mean")
    assert (weighted[2].kind, weighted[2].detail) == ("other", "mean divides by N")


def test_the_gradient_a_minus_q_is_another_convention():
    for *_, verdict in verdicts(SoftmaxMinusTarget(), lambda trial: trial.name == "their sum"):
        assert (verdict.kind, verdict.mistake) == ("other", "gradient a − q")


def test_zero_for_the_mean_of_nothing_is_a_convention_and_for_nan_it_is_wrong():
    class Zero(Library):
        def run(self, z, y, options, upstream):
            loss, grad = super().run(z, y, options, upstream)
            return np.nan_to_num(loss), grad

    found = {name: verdict for name, _, verdict in verdicts(Zero())}
    assert (found["all ignored"].kind, found["all ignored"].detail) == ("other", "0")
    assert found["NaN for that row alone"].detail == "0 for nan"


@pytest.mark.parametrize(("wants_error", "kind"), [(False, "raises"), (True, "right")])
def test_an_error_is_right_where_one_is_expected(wants_error, kind):
    class Raises(Library):
        def run(self, z, y, options, upstream):
            raise RuntimeError("no")

    found = verdicts(Raises(), lambda trial: trial.wants_error == wants_error)
    assert {verdict.kind for *_, verdict in found} == {kind}


# --- processes ---------------------------------------------------------------------------------


def hide(monkeypatch, folder, code):
    """Put a module named jax in front of the installed one."""
    (folder / "jax.py").write_text(code)
    path = os.pathsep.join(p for p in (str(folder), os.environ.get("PYTHONPATH")) if p)
    monkeypatch.setenv("PYTHONPATH", path)


def test_a_package_that_is_not_installed_has_no_column(monkeypatch, tmp_path, report):
    hide(monkeypatch, tmp_path, "raise ModuleNotFoundError('No module named jax', name='jax')")
    jax = runner.run("jax", 60)
    assert jax.absent == "jax is not installed"
    both = page.Report(TRIALS, [*report.answers, jax], {}, "2026-01-01")
    text = page.markdown(both)
    assert "- JAX: absent; jax is not installed." in text
    assert "| input | case | this library | SciPy |" in text


def test_a_framework_that_cannot_be_loaded_is_absent(monkeypatch, tmp_path):
    hide(monkeypatch, tmp_path, "import os; os._exit(3)")
    assert runner.run("jax", 60).absent == "it could not be loaded: code 3"


def test_a_crash_is_a_verdict_and_the_other_trials_run(monkeypatch):
    """Two processes; the first ends in its fourth trial."""
    lives = iter([3, len(TRIALS) - 4])

    def process(module, arguments, seconds):
        if module == "battery":
            return "code 0"
        count = next(lives)
        Path(arguments[1]).write_text('{"version": "1"}\n' + '{"raises": "X"}\n' * count + '{"rai')
        return "code -11"

    monkeypatch.setattr(runner, "_process", process)
    answers = runner.run("jax", 60)
    assert len(answers.results) == len(TRIALS)
    assert [i for i, result in enumerate(answers.results) if "crashes" in result] == [3]
    assert judge(TRIALS[3], answers.results[3]).kind == "crashes"


def test_trials_after_the_time_limit_are_not_asked(monkeypatch):
    def process(module, arguments, seconds):
        if module == "battery":
            return "out of time"
        Path(arguments[1]).write_text('{"version": "1"}\n{"raises": "X"}\n')
        return "out of time"

    monkeypatch.setattr(runner, "_process", process)
    kinds = [judge(*pair).kind for pair in zip(TRIALS, runner.run("jax", 60).results, strict=True)]
    assert set(kinds[1:]) == {"not asked"}


def test_every_implementation_has_a_title_and_a_call():
    for kind in IMPLEMENTATIONS.values():
        assert kind.title
        assert kind.call
