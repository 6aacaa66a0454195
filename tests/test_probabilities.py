"""Probabilities that are taken for logits: noticed, and explained as what they are on request."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from softmaxloss import OptionError, explain, explain_set
from softmaxloss.cli import main
from softmaxloss.files import FileError, open_logits
from softmaxloss.files.evaluation import evaluate
from softmaxloss.probabilities import (
    log_of_probabilities,
    look_like_probabilities,
    normalised,
)

RNG = np.random.default_rng(8)
LOGITS = RNG.normal(size=(40, 4)) * 2
A = softmax(LOGITS, axis=1)
LABELS = RNG.integers(0, 4, 40)
NOTE = "sum to 1, as probabilities do"


@pytest.mark.parametrize("digits", [2, 3, 6, 17])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rounded_probabilities_are_noticed(digits: int, dtype: type) -> None:
    assert look_like_probabilities(A.round(digits).astype(dtype))


def test_half_precision_and_whole_numbers() -> None:
    assert look_like_probabilities(A.astype(np.float16))
    assert look_like_probabilities(np.eye(3, dtype=np.int8))


@pytest.mark.parametrize(
    "logits",
    [
        LOGITS,
        np.vstack([A, [[0.3, 0.3, 0.3, 0.3]]]),
        np.vstack([A, [[1.2, -0.2, 0.0, 0.0]]]),
        [[0.5, np.nan]],
        [[np.inf, 0.0]],
        [[1.0], [1.0]],
        np.log(A),
        [[0.0, 0.0]],
    ],
)
def test_logits_are_not(logits: np.ndarray) -> None:
    assert not look_like_probabilities(np.asarray(logits))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 1e-6), (np.float16, 1e-3)]
)
def test_the_softmax_of_the_log_gives_the_probabilities(dtype: type, tolerance: float) -> None:
    z = log_of_probabilities(A.astype(dtype))
    assert z.dtype == (np.float64 if dtype is np.float64 else np.float32)
    np.testing.assert_allclose(softmax(z, axis=1), A, rtol=tolerance)


def test_normalised_and_what_is_refused() -> None:
    np.testing.assert_allclose(normalised(A.round(2)).sum(axis=1), 1, rtol=1e-15)
    with pytest.raises(ValueError, match=r"^row 8 sums to 0.9: probabilities are not negative"):
        log_of_probabilities(np.array([[0.5, 0.5], [0.5, 0.4]]), 7)
    with pytest.raises(ValueError, match=r"^row 0 has -0.1"):
        normalised(np.array([[1.1, -0.1]]))


def test_explain_says_so_and_takes_probabilities() -> None:
    plain = explain(A[0], 1)
    assert NOTE in plain.to_text().replace("\n   ", " ")
    assert any(NOTE in remark for remark in plain.remarks())
    why = explain(A[0], 1, from_probabilities=True)
    np.testing.assert_allclose(why.before.probabilities, A[0], rtol=1e-14)
    assert why.before.loss == pytest.approx(-np.log(A[0, 1]), rel=1e-14)
    assert not any("probabilities do" in remark for remark in why.remarks())
    assert not any("probabilities do" in remark for remark in explain(LOGITS[0], 1).remarks())
    with pytest.raises(ValueError, match="row 0 has"):
        explain(LOGITS[0], 1, from_probabilities=True)


def test_explain_set_says_so_and_takes_probabilities(tmp_path: Path) -> None:
    plain = explain_set(A, LABELS)
    assert plain.look_like_probabilities
    assert NOTE in plain.to_text().replace("\n", " ")
    fixed = explain_set(A, LABELS, from_probabilities=True)
    assert not fixed.look_like_probabilities
    assert "probabilities do" not in fixed.to_text()
    assert fixed.mean_loss == pytest.approx(explain_set(LOGITS, LABELS).mean_loss, rel=1e-13)
    np.save(tmp_path / "a.npy", A)
    with open_logits(tmp_path / "a.npy", from_probabilities=True) as file:
        assert explain_set(file, LABELS).mean_loss == fixed.mean_loss
    with (
        open_logits(tmp_path / "a.npy") as file,
        pytest.raises(OptionError, match="open_logits takes from_probabilities=True"),
    ):
        explain_set(file, LABELS, from_probabilities=True)


@pytest.mark.parametrize("max_elements", [4, 1 << 20])
def test_one_row_that_is_none_is_enough(tmp_path: Path, max_elements: int) -> None:
    for row, seen in ((-1, False), (None, True), (0, False)):
        a = A.copy()
        if row is not None:
            a[row] *= 2
        np.save(tmp_path / "a.npy", a)
        with open_logits(tmp_path / "a.npy") as file:
            result = evaluate(file, LABELS, max_elements=max_elements)
        assert result.look_like_probabilities is seen


def test_a_row_of_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    a = A.copy()
    a[33] *= 2
    np.save(tmp_path / "a.npy", a)
    with open_logits(tmp_path / "a.npy", from_probabilities=True) as file:
        with pytest.raises(FileError, match=r"a.npy: row 33 sums to 2: probabilities"):
            list(file.blocks(max_elements=40))
        with pytest.raises(FileError, match=r"a.npy: row 33 sums to 2: probabilities"):
            file.row(33)
        np.testing.assert_allclose(softmax(file.row(32)), A[32], rtol=1e-14)


def test_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    np.save("a.npy", A)
    np.save("y.npy", LABELS)

    def run(*arguments: str) -> tuple[str, str]:
        assert main(arguments) == 0
        return capsys.readouterr()

    loss = -np.log(A[np.arange(40), LABELS])
    out, err = run("score", "a.npy", "y.npy", "--json")
    assert err == (
        "softmaxloss: note: a.npy: no number is negative and every row sums to 1: if these are "
        "probabilities, not logits, add --probabilities\n"
    )
    assert json.loads(out)["look_like_probabilities"] is True
    out, err = run("score", "a.npy", "y.npy", "--json", "--probabilities")
    assert err == ""
    assert json.loads(out)["mean_loss"] == pytest.approx(loss.mean(), rel=1e-13)
    # The command that the report ends with explains the same example.
    out, err = run("score", "a.npy", "y.npy", "--probabilities")
    again = out.splitlines()[-1].split()[1:]
    assert "--probabilities" in again
    out, err = run(*again, "--json")
    assert json.loads(out)["loss"] == pytest.approx(loss.max(), rel=1e-13)
    out, err = run("explain", "0.2", "0.7", "0.1", "--label", "1", "--probabilities", "--json")
    assert json.loads(out)["loss"] == pytest.approx(-np.log(0.7), rel=1e-13)
    assert "--probabilities" in run("explain", "0.2", "0.7", "0.1", "--label", "1")[0]
    both = ("explain", "--file", "a.npy", "--labels", "y.npy")
    assert "--probabilities" in run(*both)[0]
    out, err = run(*both, "--probabilities", "--json")
    assert json.loads(out)["mean_loss"] == pytest.approx(loss.mean(), rel=1e-13)
    assert main(["explain", "1", "2", "--label", "0", "--probabilities"]) == 2
    assert "row 0 sums to 3: probabilities are not negative" in capsys.readouterr()[1]
