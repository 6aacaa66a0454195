"""Totals over a file against SciPy on the whole array; order, counts and messages."""

from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.special import entr, logsumexp, softmax

from softmaxloss import score
from softmaxloss.errors import LabelError, OptionError
from softmaxloss.files import open_logits, open_scores
from softmaxloss.files.evaluation import evaluate
from softmaxloss.totals import Totals

RNG = np.random.default_rng(11)
N, C = 257, 9
LOGITS = RNG.normal(size=(N, C)) * 5
LABELS = RNG.integers(0, C, size=N)
LABELS[::10] = -100
COUNTED = np.flatnonzero(LABELS != -100)
LOSSES = logsumexp(LOGITS, axis=1)[COUNTED] - LOGITS[COUNTED, LABELS[COUNTED]]


def saved(path: Path, logits: np.ndarray = LOGITS) -> Path:
    if path.suffix == ".npy":
        np.save(path, logits)
    else:
        np.savetxt(path, logits, delimiter=",")
    return path


def run(path: Path, labels: np.ndarray = LABELS, **options: object) -> Totals:
    with open_logits(path) as logits:
        return evaluate(logits, labels, **options)  # type: ignore[arg-type]


# SciPy's loss is a difference of numbers up to 30, so its error is up to 30 · 2⁻⁵² ≈ 1e-14; means
# of such losses, near 10, agree to 1e-14 relative. The tolerance leaves a factor of 10.
CLOSE = {"rel": 1e-13, "abs": 1e-13}


@pytest.mark.parametrize("suffix", ["npy", "csv"])
@pytest.mark.parametrize("max_elements", [1, 7 * C, 1 << 22])
def test_totals_agree_with_scipy(tmp_path: Path, suffix: str, max_elements: int) -> None:
    result = run(saved(tmp_path / f"z.{suffix}"), max_elements=max_elements, top=12)
    a = softmax(LOGITS, axis=1)
    assert (result.examples, result.ignored, result.invalid) == (COUNTED.size, 26, 0)
    assert result.mean_loss == pytest.approx(LOSSES.mean(), **CLOSE)
    assert result.perplexity == pytest.approx(np.exp(LOSSES.mean()), rel=1e-12)
    assert result.accuracy == np.mean(LOGITS.argmax(axis=1)[COUNTED] == LABELS[COUNTED])
    assert result.mean_entropy == pytest.approx(entr(a).sum(axis=1)[COUNTED].mean(), **CLOSE)
    worst = COUNTED[np.argsort(-LOSSES)][:12]
    assert [e.row for e in result.top] == worst.tolist()
    for example in result.top:
        z, y = LOGITS[example.row], LABELS[example.row]
        assert example.label == y
        assert example.predicted == z.argmax()
        assert example.rank == 1 + (z > z[y]).sum()
        assert example.probability == pytest.approx(a[example.row, y], rel=1e-12)
        assert example.loss == pytest.approx(logsumexp(z) - z[y], **CLOSE)


@pytest.mark.parametrize("max_elements", [2, 4096, 1 << 22])
def test_the_number_of_blocks_changes_no_total_beyond_rounding(
    tmp_path: Path, max_elements: int
) -> None:
    """Large and small losses: a plain running sum of 20 000 blocks loses 1e-12 of the mean, since
    it rounds each ln 2 to a multiple of 2⁻¹². NumPy's pairwise sum of a block rounds at most some
    30 times (16 in a row of 128, 8 for its 8 lanes and the pairs above): 30 · 2⁻⁵³ = 3e-15."""
    n = 20_000
    logits = np.zeros((n, 2))
    logits[0, 0] = 2.0**40
    labels = np.ones(n, int)
    exact = (2.0**40 + (n - 1) * math.log(2)) / n
    result = run(saved(tmp_path / "z.npy", logits), labels, max_elements=max_elements)
    assert abs(result.mean_loss - exact) <= 30 * 2.0**-53 * exact


def test_labels_that_count_from_one(tmp_path: Path) -> None:
    labels = np.where(LABELS == -100, -100, LABELS + 1)
    path = saved(tmp_path / "z.npy")
    zero, one = run(path), run(path, labels, first_class=1)
    assert one.mean_loss == zero.mean_loss
    assert one.accuracy == zero.accuracy
    assert [(e.row, e.label - 1, e.predicted - 1) for e in one.top] == [
        (e.row, e.label, e.predicted) for e in zero.top
    ]


def test_ignore_index_and_unsigned_labels(tmp_path: Path) -> None:
    path = saved(tmp_path / "z.npy")
    labels = np.where(LABELS == -100, 0, LABELS).astype(np.uint8)
    assert run(path, labels).ignored == 0
    result = run(path, labels, ignore_index=0)
    rows = np.flatnonzero(labels)
    losses = logsumexp(LOGITS, axis=1)[rows] - LOGITS[rows, labels[rows]]
    assert result.ignored == N - rows.size
    assert result.mean_loss == pytest.approx(losses.mean(), **CLOSE)


@pytest.mark.parametrize("top", [0, 1, 3, 5, 8, 20, 39, 100])
@pytest.mark.parametrize("max_elements", [3, 30, 1 << 22])
def test_top_is_stable_and_begins_with_invalid_rows(
    tmp_path: Path, top: int, max_elements: int
) -> None:
    logits = np.zeros((40, 3))
    logits[[5, 30], 1] = np.nan
    logits[[7, 29], 0] = -np.inf  # the true class: loss inf
    logits[8, 2] = np.inf
    logits[9] = -np.inf
    logits[[12, 13], 0] = 4.0  # losses below ln 3
    labels = np.zeros(40, int)
    labels[6] = -100
    first = [5, 8, 9, 30, 7, 29]
    order = [*first, *(i for i in range(40) if i not in {*first, 6, 12, 13}), 12, 13]
    result = run(saved(tmp_path / "z.npy", logits), labels, top=top, max_elements=max_elements)
    assert [e.row for e in result.top] == order[:top]
    assert (result.examples, result.ignored, result.invalid) == (39, 1, 4)
    assert math.isnan(result.mean_loss)
    assert math.isnan(result.perplexity)
    assert math.isnan(result.mean_entropy)
    # The predicted class of a row of ties is class 0, so right; four invalid and two infinite
    # rows are wrong.
    assert result.accuracy == 33 / 39


def test_an_infinite_loss_is_in_the_mean(tmp_path: Path) -> None:
    path = saved(tmp_path / "z.npy", np.array([[-np.inf, 0.0], [0.0, 0.0]]))
    result = run(path, np.zeros(2, int))
    assert result.mean_loss == result.perplexity == math.inf
    assert result.mean_entropy == pytest.approx(math.log(2) / 2, rel=1e-15)
    assert result.to_dict()["mean_loss"] == "Infinity"


def test_perplexity_overflows_to_infinity(tmp_path: Path) -> None:
    path = saved(tmp_path / "z.npy", np.array([[0.0, 1000.0]]))
    result = run(path, np.zeros(1, int))
    assert (result.mean_loss, result.perplexity) == (1000.0, math.inf)


def test_a_file_of_ignored_rows_has_no_mean(tmp_path: Path) -> None:
    result = run(saved(tmp_path / "z.npy"), np.full(N, -100))
    assert (result.examples, result.ignored, result.top) == (0, N, [])
    assert math.isnan(result.mean_loss)
    assert math.isnan(result.accuracy)


def test_a_file_without_rows_has_no_examples(tmp_path: Path) -> None:
    path = saved(tmp_path / "z.npy", np.ones((0, 3)))
    assert run(path, np.zeros(0, int)).examples == 0


def test_logits_of_ignored_rows_change_no_total(tmp_path: Path) -> None:
    logits = LOGITS.copy()
    logits[LABELS == -100] = np.nan
    plain = run(saved(tmp_path / "z.npy")).to_dict()
    assert run(saved(tmp_path / "nan.npy", logits)).to_dict() == plain


def test_a_file_of_one_example(tmp_path: Path) -> None:
    path = saved(tmp_path / "z.npy", np.array([2.0, 1.0, 0.1]))
    result = run(path, np.array([1]))
    assert result.examples == 1
    assert result.mean_loss == pytest.approx(logsumexp([2.0, 1.0, 0.1]) - 1.0, rel=1e-14)


def test_float32_losses_are_summed_in_float64(tmp_path: Path) -> None:
    logits = LOGITS.astype(np.float32)
    losses = score(logits, LABELS).loss
    assert losses.dtype == np.float32
    result = run(saved(tmp_path / "z.npy", logits))
    assert result.mean_loss == math.fsum(losses[COUNTED].tolist()) / COUNTED.size


def test_to_dict_is_json(tmp_path: Path) -> None:
    data = run(saved(tmp_path / "z.npy"), top=2).to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert set(data) == {
        "examples", "ignored", "invalid", "mean_loss", "perplexity", "accuracy", "mean_entropy",
        "top_k", "ece", "top", "look_like_probabilities",
    }  # fmt: skip
    assert set(data["top"][0]) == {  # type: ignore[index]
        "row", "label", "predicted", "loss", "probability", "rank", "confidence",
    }  # fmt: skip


@pytest.mark.parametrize("suffix", ["npy", "csv"])
@pytest.mark.parametrize("count", [0, 3, N - 1, N + 1, 2 * N])
def test_a_wrong_number_of_labels_is_one_line(tmp_path: Path, suffix: str, count: int) -> None:
    path = saved(tmp_path / f"z.{suffix}")
    seen: list[int] = []
    with pytest.raises(LabelError, match=f"^{count} labels for {N} rows of logits in .*; give one"):
        run(
            path,
            np.zeros(count, int),
            max_elements=5 * C,
            on_progress=lambda done, _: seen.append(done),
        )
    # Only a .csv file must be read to count its rows.
    assert seen == [] or suffix == "csv"


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_a_wrong_label_is_named_by_its_row_in_the_file_before_any_block(
    tmp_path: Path, suffix: str
) -> None:
    labels = LABELS.copy()
    labels[201] = C
    seen: list[int] = []
    with pytest.raises(LabelError, match=rf"row 201 is {C}, outside 0\.\.{C - 1}") as caught:
        run(
            saved(tmp_path / f"z.{suffix}"),
            labels,
            max_elements=5 * C,
            on_progress=lambda done, _: seen.append(done),
        )
    assert seen == []
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "labels",
    [np.zeros(N), np.zeros(N, bool), np.zeros((N, 1), int), np.array(["a"] * N)],
    ids=["float", "bool", "2-d", "text"],
)
def test_labels_that_are_no_class_indices_are_one_line(tmp_path: Path, labels: np.ndarray) -> None:
    with pytest.raises(LabelError) as caught:
        run(saved(tmp_path / "z.npy"), labels)
    assert "\n" not in str(caught.value)


def test_a_negative_top_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="top must be 0 or more"):
        run(saved(tmp_path / "z.npy"), top=-1)


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_progress_counts_rows_or_bytes(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"z.{suffix}")
    seen: list[tuple[int, int]] = []
    run(path, max_elements=50 * C, on_progress=lambda *p: seen.append(p))
    assert len(seen) == 6
    assert sorted(seen) == seen
    assert seen[-1] == (N if suffix == "npy" else path.stat().st_size,) * 2


def test_the_scores_of_every_row_are_written(tmp_path: Path) -> None:
    path, out = saved(tmp_path / "z.npy"), tmp_path / "scores.npy"
    with open_scores(out, N) as scores:
        run(path, max_elements=50 * C, scores=[scores])
    table, whole = np.load(out), score(LOGITS, LABELS)
    np.testing.assert_array_equal(table["row"], np.arange(N))
    np.testing.assert_array_equal(table["label"], LABELS)
    for name in whole._fields:
        np.testing.assert_array_equal(table[name], getattr(whole, name))


def test_memory_is_for_blocks_not_for_the_file(tmp_path: Path) -> None:
    """40 MB of logits in blocks of 1 MB: 12 MB holds a few blocks with their scores and labels."""
    logits = np.broadcast_to(RNG.normal(size=(1, 50)), (100_000, 50))
    path = saved(tmp_path / "z.npy", logits)
    labels = np.zeros(len(logits), np.uint8)
    tracemalloc.start()
    result = run(path, labels, max_elements=1 << 17)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.examples == len(logits)
    assert peak < 12 << 20
