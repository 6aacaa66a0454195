"""Totals: against scikit-learn, SciPy and exact fractions; and the same from any shards."""

from __future__ import annotations

import json
import math
import pickle
import random
from fractions import Fraction
from functools import reduce

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, top_k_accuracy_score

from softmaxloss import score
from softmaxloss.errors import OptionError
from softmaxloss.scores import Scores
from softmaxloss.totals import LOSS_EDGES, Reliability, Totals, top_ks
from softmaxloss.totals.calibration import BINS, TEMPERATURES
from softmaxloss.totals.exact import ExactSum
from softmaxloss.totals.pairs import PairCounts

INF, NAN = math.inf, math.nan
RNG = np.random.default_rng(7)
N, C = 3000, 12
LABELS = RNG.integers(0, C, N)
LOGITS = RNG.normal(0.0, 2.0, (N, C))
LOGITS[np.arange(N), LABELS] += 3.0
LOGITS *= 1.7  # overconfident
LABELS[::7] = RNG.integers(0, C, LABELS[::7].size)


def totals_of(z, y, *, start=0, block=1000, **options) -> Totals:
    """The totals of rows that are numbered from `start`, in blocks."""
    options = {"top": 20, "details": True} | options
    totals = Totals(z.shape[1], **options)
    for k in range(0, len(y), block):
        part, labels = z[k : k + block], y[k : k + block]
        first = options.get("first_class", 0)
        totals.add(start + k, part, labels, score(part, labels, first_class=first))
    return totals


WHOLE = totals_of(LOGITS, LABELS)
A = softmax(LOGITS, axis=1)


def state(totals: Totals) -> bytes:
    """All that was added up, to be compared bit for bit."""
    totals.pairs.result()  # counts what waits
    return pickle.dumps(
        [
            totals.to_dict(),
            totals._loss.__dict__,
            totals._entropy.__dict__,
            totals._correct,
            *(x.tobytes() for x in (totals.counts, totals.losses, totals.wrong_losses)),
            *(x.tobytes() for x in (totals._ranks, totals._probability, totals._hardest._kept)),
            *(x.tobytes() for x in totals.pairs.result()),
            *(x.tobytes() for x in totals.reliability.__dict__.values()),
            [] if totals.temperatures is None else totals.temperatures.fit(),
            [] if totals.temperatures is None else totals.temperatures.losses,
        ]
    )


# --- exact sums -----------------------------------------------------------------------------------

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FLOATS, max_size=50), st.lists(FLOATS, max_size=50))
@settings(deadline=None, max_examples=300)
def test_sums_are_exact(first, second):
    a, b = ExactSum(), ExactSum()
    a.add(np.array(first))
    b.add(np.array(second))
    a.merge(b)
    exact = sum(map(Fraction, first + second), Fraction())
    assert Fraction(a.units, 1 << 1074) == exact
    # Too large a sum of floats of the largest size is none of a loss; the mean is in the range.
    count = max(1, len(first) + len(second))
    assert a.mean(count) == float(exact / count)


@pytest.mark.parametrize(
    "values",
    [
        RNG.exponential(size=200_000) * 2.0 ** RNG.integers(-1070, 6, 200_000),
        np.full(100_000, np.finfo(np.float64).max),
        np.full(70_001, 5e-324),
        RNG.normal(size=100_000).astype(np.float32),
        np.array([1e300, 1.0, -1e300, 2.0**-1074]),
    ],
    ids=["all sizes", "largest", "smallest", "float32", "cancelling"],
)
def test_long_sums_are_exact(values):
    total = ExactSum()
    total.add(values)
    assert Fraction(total.units, 1 << 1074) == sum(map(Fraction, values.tolist()), Fraction())


def test_infinities_and_nan_are_counted():
    total = ExactSum()
    total.add(np.array([1.0, INF]))
    assert total.mean(2) == INF
    total.add(np.array([NAN]))
    assert math.isnan(total.mean(3))
    assert math.isnan(ExactSum().mean(0))


# --- against others -------------------------------------------------------------------------------


def test_confusions_against_scikit_learn():
    true, predicted, count = WHOLE.pairs.result()
    matrix = np.zeros((C, C), int)
    matrix[true, predicted] = count
    np.testing.assert_array_equal(matrix, confusion_matrix(LABELS, LOGITS.argmax(1)))
    assert (np.diff(true * C + predicted) > 0).all()
    assert count.min() > 0


@pytest.mark.parametrize("k", [1, 2, 3, 5, 10, 11, 12])
def test_top_k_against_scikit_learn(k):
    wanted = top_k_accuracy_score(LABELS, LOGITS, k=k) if k < C else 1.0
    assert WHOLE.top_k(k) == wanted
    assert WHOLE.to_dict()["top_k"].keys() == {"2", "3", "5", "10"}


def test_top_k_with_ties_and_ranks_beyond_the_largest_k():
    z = np.zeros((2, 300))
    z[1] = np.arange(300)
    totals = totals_of(z, np.array([7, 3]))
    # All are tied for the first place: none is larger than the label.
    assert totals.top_k(1) == totals.top_k(100) == 0.5
    assert totals.accuracy == 0.0
    assert top_ks(4) == [2, 3]


def ece_by_loops(confidence, correct):
    """The expected calibration error as Guo et al. 2017 define it, slowly."""
    total = 0.0
    for k in range(BINS):
        inside = [
            (c, r)
            for c, r in zip(confidence, correct, strict=True)
            if k / BINS < c <= (k + 1) / BINS
        ]
        if inside:
            c, r = zip(*inside, strict=True)
            total += len(inside) / len(confidence) * abs(sum(r) / len(r) - sum(c) / len(c))
    return total


def test_ece_against_loops_and_scikit_learn():
    confidence, correct = A.max(1), LOGITS.argmax(1) == LABELS
    # Each confidence is off by 2⁻³¹ at most, as a multiple of 2⁻³⁰.
    assert WHOLE.reliability.ece == pytest.approx(ece_by_loops(confidence, correct), abs=2**-31)
    accuracy, mean = calibration_curve(correct, confidence, n_bins=BINS)
    some = WHOLE.reliability.counts > 0
    np.testing.assert_allclose(WHOLE.reliability.accuracy[some], accuracy, rtol=1e-15)
    np.testing.assert_allclose(WHOLE.reliability.confidence[some], mean, rtol=0, atol=2**-31)
    assert WHOLE.reliability.counts.sum() == N


def test_losses_are_counted_in_bins():
    losses = -log_softmax(LOGITS, axis=1)[np.arange(N), LABELS]
    wrong = LOGITS.argmax(1) != LABELS
    for x, counts in ((losses, WHOLE.losses), (losses[wrong], WHOLE.wrong_losses)):
        edges = [-INF, *LOSS_EDGES, INF]
        np.testing.assert_array_equal(counts, np.histogram(x, edges)[0])


def test_a_number_at_an_edge_is_in_the_right_bin():
    """Confidence in (a, b], losses in [a, b)."""
    bins = Reliability()
    bins.add(np.array([3 / 15, 0.2 + 1e-9, 1.0, 1e-9]), np.zeros(4, bool))
    assert np.flatnonzero(bins.counts).tolist() == [0, 2, 3, 14]
    one = Scores(*[np.array([x]) for x in (1.0, math.exp(-1), 0, 1, 0.9, 1.0)])
    totals = Totals(2)
    totals.add(0, np.array([[0.0, 0.0]]), np.array([0]), one)
    (place,) = np.flatnonzero(totals.losses)
    assert LOSS_EDGES[place - 1] == 1.0


def test_the_mean_probability_of_each_class():
    mean = [A[n == LABELS, n].mean() for n in range(C)]
    np.testing.assert_allclose(WHOLE.class_probability, mean, rtol=0, atol=2**-31)


@pytest.mark.parametrize("scale", [0.2, 0.3, 0.7, 1.0, 2.0, 2.7, 3.7, 4.5])
def test_the_best_temperature_against_a_search(scale):
    z = LOGITS * scale

    def loss(log_T: float) -> float:
        return -log_softmax(z / math.exp(log_T), axis=1)[np.arange(N), LABELS].mean()

    found = minimize_scalar(loss, bounds=(math.log(0.25), math.log(8)), options={"xatol": 1e-9})
    fit = totals_of(z, LABELS).temperatures.fit()
    # What the docstring of `fit` promises.
    assert fit.temperature == pytest.approx(math.exp(found.x), rel=0.01)
    assert fit.loss == pytest.approx(found.fun, rel=5e-4)
    assert fit.loss <= loss(0.0) + 1e-12
    # The ECE is that of the nearest temperature.
    assert fit.tried == min(TEMPERATURES, key=lambda T: abs(math.log(T / fit.temperature)))
    a = softmax(z / fit.tried, axis=1)
    assert fit.ece == pytest.approx(ece_by_loops(a.max(1), z.argmax(1) == LABELS), abs=1e-6)


def test_the_losses_at_other_temperatures_and_their_slopes():
    temperatures = WHOLE.temperatures
    for T, loss, slope in zip(TEMPERATURES, temperatures.losses, temperatures.slopes, strict=True):
        at, h = np.log(T), 1e-5

        def mean(log_T: float) -> float:
            return -log_softmax(LOGITS / np.exp(log_T), axis=1)[np.arange(N), LABELS].mean()

        assert loss == pytest.approx(mean(at), rel=1e-12)
        assert slope == pytest.approx((mean(at + h) - mean(at - h)) / (2 * h), rel=1e-6, abs=1e-8)


def test_a_temperature_beyond_the_range_is_its_end():
    right = totals_of(np.array([[5.0, 0.0], [0.0, 5.0]]), np.array([0, 1])).temperatures.fit()
    assert (right.temperature, right.tried) == (0.25, 0.25)
    wrong = totals_of(np.array([[90.0, 0.0], [0.0, 90.0]]), np.array([1, 0])).temperatures.fit()
    assert (wrong.temperature, wrong.tried) == (8.0, 8.0)
    masked = totals_of(np.array([[-INF, 0.0], [0.0, 0.0]]), np.array([0, 1])).temperatures
    assert math.isnan(masked.fit().temperature)
    # At T = 0.25 the logits are infinite: that temperature does not count.
    huge = totals_of(np.array([[1e308, 9e307], [1.0, 0.0]]), np.array([0, 0])).temperatures.fit()
    assert huge.temperature > 0.25


@pytest.mark.parametrize("dtype", ["f2", "f4", "i4", ml_dtypes.bfloat16])
def test_every_dtype_has_totals(dtype):
    z = LOGITS.astype(dtype)
    wide, totals = totals_of(z.astype(np.float64), LABELS), totals_of(z, LABELS)
    assert totals.accuracy == wide.accuracy
    assert totals.mean_loss == pytest.approx(wide.mean_loss, rel=1e-6)
    # An example at the edge of a bin may change it: by a share of 1/N each.
    assert totals.reliability.ece == pytest.approx(wide.reliability.ece, abs=5 / N)
    best, wanted = totals.temperatures.fit(), wide.temperatures.fit()
    assert best.temperature == pytest.approx(wanted.temperature, rel=1e-4)
    assert [e.row for e in totals.top[:3]] == [e.row for e in wide.top[:3]]


def test_the_strongest_logits_of_the_hardest():
    for e in WHOLE.top:
        kept = WHOLE.strongest([e])[e.row]
        order = np.argsort(-LOGITS[e.row], kind="stable")
        np.testing.assert_array_equal(kept.classes, order[:12])
        np.testing.assert_array_equal(kept.logits, LOGITS[e.row][order[:12]])
        assert e.confidence == pytest.approx(A[e.row].max(), rel=1e-12)
        assert math.log(np.exp(LOGITS[e.row]).sum()) == pytest.approx(kept.logsumexp, rel=1e-14)


def test_the_true_class_is_among_the_strongest():
    z = np.arange(40.0)[np.newaxis] / 10
    kept = totals_of(z, np.array([2])).strongest(totals_of(z, np.array([2])).top)[0]
    assert kept.classes.tolist() == [*range(39, 28, -1), 2]
    assert kept.logits[-1] == 0.2


def test_rows_that_are_ignored_or_have_no_softmax():
    z = np.array([[0.0, 1.0], [NAN, 0.0], [INF, 0.0], [-INF, -INF], [0.0, 2.0], [NAN, NAN]])
    y = np.array([0, 0, 1, 1, 1, -100])
    totals = totals_of(z, y)
    assert (totals.examples, totals.ignored, totals.invalid) == (5, 1, 3)
    assert totals.counts.tolist() == [1, 1]
    assert totals.top_k(1) == totals.accuracy == 0.2
    assert totals.top_k(2) == 0.4
    assert totals.losses.sum() == totals.reliability.counts.sum() == 2
    assert [e.row for e in totals.top] == [1, 2, 3, 0, 4]
    assert math.isfinite(totals.temperatures.fit().temperature)
    json.dumps(totals.to_dict(), allow_nan=False)


# --- merging --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_split_in_any_order_has_the_same_bits(seed, dtype):
    """With rows that are ignored, have no softmax, an infinite loss, or losses of all sizes."""
    chance = random.Random(seed)
    z, y = LOGITS[:500].astype(dtype), LABELS[:500].copy()
    z *= (2.0 ** np.random.default_rng(seed).integers(-20, 8, (500, 1))).astype(dtype)
    y[chance.sample(range(500), 20)] = -100
    if seed % 2:
        z[chance.randrange(500), 3] = NAN
        z[chance.randrange(500), :] = -INF
    if seed % 3 == 0:
        z[9, y[9]] = -INF
    whole = state(totals_of(z, y, block=chance.choice([7, 100, 500])))
    cuts = sorted(chance.choices(range(501), k=chance.randrange(1, 12)))  # some shards are empty
    parts = [
        totals_of(z[a:b], y[a:b], start=a, block=chance.randrange(1, 60))
        for a, b in zip([0, *cuts], [*cuts, 500], strict=True)
    ]
    before = [*map(state, parts)]
    chance.shuffle(parts)
    assert state(reduce(Totals.merge, parts)) == whole
    # In pairs, from the right, all at once.
    half = len(parts) // 2
    left, right = (parts[0].merge(*parts[1:half]), parts[half].merge(*parts[half + 1 :]))
    assert state(right.merge(left)) == whole or half == 0
    assert state(reduce(lambda a, b: b.merge(a), parts)) == whole
    assert state(parts[0].merge(*parts[1:])) == whole
    assert sorted(map(state, parts)) == sorted(before)  # they stay as they were
    assert state(pickle.loads(pickle.dumps(parts[0]))) == state(parts[0])


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_small_sets_merge(data):
    rows = data.draw(st.integers(1, 12))
    numbers = st.sampled_from([0.0, 1.0, -1.0, 3.5, 1e-20, 700.0, INF, -INF, NAN])
    z = np.array(data.draw(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=rows,
                                    max_size=rows)))  # fmt: skip
    y = np.array(data.draw(st.lists(st.sampled_from([0, 1, 2, -100]), min_size=rows,
                                    max_size=rows)))  # fmt: skip
    cut = data.draw(st.integers(0, rows))
    parts = totals_of(z[:cut], y[:cut], top=3), totals_of(z[cut:], y[cut:], start=cut, top=3)
    assert state(parts[1].merge(parts[0])) == state(totals_of(z, y, top=3))


def test_shards_that_look_like_probabilities():
    """All of them that have rows must."""
    yes, no, empty = (totals_of(LOGITS[:k], LABELS[:k]) for k in (2, 3, 0))
    yes.look_like_probabilities = True
    assert yes.merge(empty).look_like_probabilities
    assert empty.merge(yes).look_like_probabilities
    assert not yes.merge(no, empty).look_like_probabilities
    assert not empty.merge(empty).look_like_probabilities


def test_labels_from_one():
    one = totals_of(LOGITS, LABELS + 1, first_class=1)
    assert one.counts.tolist() == WHOLE.counts.tolist()
    assert one.temperatures.fit() == WHOLE.temperatures.fit()
    assert one.reliability.ece == WHOLE.reliability.ece
    assert [(e.label - 1, e.predicted - 1) for e in one.top] == [
        (e.label, e.predicted) for e in WHOLE.top
    ]


@pytest.mark.parametrize(
    "options",
    [{"top": 3}, {"first_class": 1}, {"ignore_index": 0}, {"details": False}],
)
def test_totals_with_other_options_do_not_merge(options):
    y = np.ones(2, int)
    other = totals_of(LOGITS[:2], y, **options)
    with pytest.raises(OptionError, match="totals merge if their classes"):
        totals_of(LOGITS[:2], y).merge(other)
    with pytest.raises(OptionError, match="totals merge if their classes"):
        totals_of(LOGITS[:2, :5], y).merge(totals_of(LOGITS[:2], y))


@pytest.mark.parametrize("classes", [5, 300, 100_000])
@pytest.mark.parametrize("waiting", [10, 1 << 20])
def test_pairs_of_many_classes(monkeypatch, classes, waiting):
    """With a matrix for each block, and by sorting; merged as often as wanted."""
    monkeypatch.setattr("softmaxloss.totals.pairs._WAITING", waiting)
    true, predicted = RNG.integers(0, classes, (2, 4000))
    true[:100], predicted[:100] = classes - 1, 0
    parts = [PairCounts(classes) for _ in range(2)]
    for k in range(0, 4000, 30):
        parts[k % 4 == 0].add(true[k : k + 30], predicted[k : k + 30])
    parts[0].merge(parts[1])
    wanted: dict[tuple[int, int], int] = {}
    for pair in zip(true.tolist(), predicted.tolist(), strict=True):
        wanted[pair] = wanted.get(pair, 0) + 1
    i, n, count = (x.tolist() for x in parts[0].result())
    assert dict(zip(zip(i, n, strict=True), count, strict=True)) == wanted
