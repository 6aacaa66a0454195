"""The explanation of a set: against NumPy and mpmath; its text, page and command."""

from __future__ import annotations

import html.parser
import io
import json
import math
import os
import pty
import re
import subprocess
import sys
import tracemalloc
import xml.etree.ElementTree as ET

import ml_dtypes
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from softmaxloss import LabelError, OptionError, SetExplanation, explain_set
from softmaxloss.cli import explain_set as set_command
from softmaxloss.cli import main
from softmaxloss.explanation import explain, set_page, set_sums
from softmaxloss.files import open_logits

INF, NAN = math.inf, math.nan
RNG = np.random.default_rng(5)
N, C = 400, 7
LOGITS = RNG.normal(0.0, 3.0, (N, C))
LABELS = np.where(RNG.random(N) < 0.7, LOGITS.argmax(1), RNG.integers(0, C - 1, N))
LABELS[LABELS == 4] = 3  # a class without examples
LABELS[::9] = -100
COUNTED = LABELS != -100

# Sums of n numbers of one sign, each right to 4 ulp, one after the other: n + 4 roundings at most.
CLOSE = {"rtol": (N + 4) * 2.0**-52, "atol": 0.0}


def page_of(e, command=None):
    """The body of the page, as HTML."""
    return set_page.page(e, command or e.call).body


def plain_numpy(z, y):
    """∂J/∂z of each row, that of the true class as minus the sum of the others, and its loss."""
    z = np.asarray(z, np.float64)
    a = np.exp(z - z.max(axis=1, keepdims=True))
    a /= a.sum(axis=1, keepdims=True)
    rows = np.arange(len(z))
    loss = -np.log(a[rows, y])
    a[rows, y] = 0.0
    a[rows, y] = -a.sum(axis=1)
    return a, loss


@pytest.mark.parametrize("max_elements", [1, 13 * C, 1 << 22])
def test_the_mean_gradient_against_numpy(max_elements):
    e = explain_set(LOGITS, LABELS, max_elements=max_elements)
    z, y = LOGITS[COUNTED], LABELS[COUNTED]
    gradient, loss = plain_numpy(z, y)
    assert e.pairs is None
    for i in range(C):
        of_i = y == i
        assert e.counts[i] == of_i.sum()
        if i == 4:
            assert of_i.sum() == 0
            assert np.isnan(e.pushes[i]).all()
            assert np.isnan([e.class_loss[i], e.pulls[i]]).all()
            continue
        # exp turns half an ulp of z − m, which is at most 32 here, into as large a relative error.
        tolerance = CLOSE["rtol"] + 40 * 2.0**-53
        np.testing.assert_allclose(e.pushes[i], gradient[of_i].mean(axis=0), rtol=tolerance)
        np.testing.assert_allclose(e.class_loss[i], loss[of_i].mean(), rtol=1e-13)
        assert e.pulls[i] == e.pushes[i, i]
    # Here signs mix: the error is relative to the parts, whose sizes sum to less than 2.
    np.testing.assert_allclose(e.net_gradient, gradient.mean(axis=0), rtol=0, atol=1e-13)
    assert (e.examples, e.ignored, e.invalid) == (COUNTED.sum(), (~COUNTED).sum(), 0)
    assert e.mean_loss == pytest.approx(loss.mean(), rel=1e-13)
    assert e.accuracy == np.mean(z.argmax(1) == y)
    assert e.uniform_loss == math.log(C)
    worst = np.flatnonzero(COUNTED)[np.argsort(-loss)[:10]]
    assert [example.row for example in e.top] == worst.tolist()


def test_the_mean_gradient_against_mpmath():
    z = np.array([[700.0, 0.0, -3.0], [2.0, 1.0, 0.0], [1e8, 1e8 + 1, 1e8 - 30], [40.0, 0.0, 1.0]])
    y = np.array([0, 0, 2, 0])
    e = explain_set(z, y)
    with mpmath.workdps(400):
        sums = [[mpmath.mpf(0)] * 3 for _ in range(3)]
        for row, label in zip(z, y, strict=True):
            exps = [mpmath.exp(mpmath.mpf(float(x))) for x in row]
            for n in range(3):
                sums[label][n] += exps[n] / mpmath.fsum(exps) - (n == label)
        for i, count in ((0, 3), (2, 1)):
            for n in range(3):
                wanted = sums[i][n] / count
                # half an ulp of z − m, up to 703, and 12 more roundings
                error = abs(mpmath.mpf(float(e.pushes[i, n])) - wanted)
                assert error <= 720 * 2.0**-53 * abs(wanted)


@given(st.data())
@settings(deadline=None)
def test_the_sums_and_signs_that_the_text_claims(data):
    n, classes = data.draw(st.integers(1, 20)), data.draw(st.integers(2, 6))
    numbers = st.floats(-60, 60)
    row = st.lists(numbers, min_size=classes, max_size=classes)
    z = np.array(data.draw(st.lists(row, min_size=n, max_size=n)))
    y = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    e = explain_set(z, y)
    present = np.flatnonzero(e.counts)
    rounding = 50 * 2.0**-53  # 20 summands of at most 1, and means of them
    assert np.abs(e.pushes[present].sum(axis=1)).max() <= rounding
    off = e.pushes[present].copy()
    off[np.arange(present.size), present] = 0.0
    assert (off >= 0).all()
    assert (e.pulls[present] <= 0).all()
    assert abs(e.net_gradient.sum()) <= rounding
    weights = e.counts[present] / n
    np.testing.assert_allclose(weights @ e.pushes[present], e.net_gradient, rtol=0, atol=rounding)
    a = np.array([explain(row, 0, steps=0).before.probabilities for row in z]).mean(axis=0)
    np.testing.assert_allclose(e.mean_probability, a, rtol=0, atol=rounding)
    np.testing.assert_allclose(e.net_gradient, a - e.shares, rtol=0, atol=rounding)
    np.testing.assert_allclose(weights @ e.class_loss[present], e.mean_loss, rtol=rounding)
    strongest = e.strongest(classes**2)
    totals = [push.mean * push.examples for push in strongest]
    assert totals == sorted(totals, reverse=True) or np.allclose(totals, sorted(totals)[::-1])
    assert sum(push.share for push in strongest) == pytest.approx(1.0) or not strongest
    assert len(strongest) == np.count_nonzero(off)
    for push in strongest:
        assert push.mean == e.pushes[push.true, push.pushed]
        assert push.examples == e.counts[push.true]


def test_the_net_gradient_of_a_calibrated_model_is_0():
    """Each probability 1/4, each class a quarter of the examples."""
    e = explain_set(np.full((8, 4), 3.0), [0, 1, 2, 3] * 2)
    assert (e.net_gradient == 0).all()
    off = np.full((4, 4), 0.25) - np.eye(4)
    assert (e.pushes == off).all()


def test_strongest_is_by_total_then_by_class():
    z = np.log([[0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]])
    e = explain_set(z, [0, 0, 1, 2])
    got = [(p.true, p.pushed, round(p.mean, 12), p.examples) for p in e.strongest(4)]
    # 2 · 0.4, 0.3, then 0.25 twice, in the order of the classes
    assert got == [(0, 1, 0.4, 2), (1, 2, 0.3, 1), (2, 0, 0.25, 1), (2, 1, 0.25, 1)]
    # Over 2 · 0.5 + 0.4 + 0.5 in all.
    assert e.strongest(1)[0].share == pytest.approx(0.8 / 1.9)
    assert e.strongest(0) == []


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i1", ml_dtypes.bfloat16])
def test_every_dtype_is_computed_in_float64(dtype):
    z = LOGITS.astype(dtype)
    wide = explain_set(z.astype(np.float64), LABELS)
    for layout in (z, np.asfortranarray(z), z.tolist()):
        e = explain_set(layout, LABELS)
        assert np.array_equal(e.pushes, wide.pushes, equal_nan=True)
        assert np.array_equal(e.net_gradient, wide.net_gradient)


def test_labels_from_one_and_other_labels_to_ignore():
    zero = explain_set(LOGITS, LABELS)
    one = explain_set(LOGITS, np.where(COUNTED, LABELS + 1, 0), first_class=1, ignore_index=0)
    assert np.array_equal(zero.pushes, one.pushes, equal_nan=True)
    assert one.strongest(3) == zero.strongest(3)
    assert (zero.number(2), one.number(2)) == (2, 3)
    assert [e.label - 1 for e in one.top] == [e.label for e in zero.top]
    for a, b in zip(one.to_dict()["strongest"], zero.to_dict()["strongest"], strict=True):
        assert (a["true"] - 1, a["pushed"] - 1) == (b["true"], b["pushed"])
    assert "first_class=1" in one.to_text()


def test_rows_without_a_softmax_are_left_out_and_named():
    z = np.array([[0.0, 1.0], [NAN, 0.0], [INF, 0.0], [-INF, -INF], [0.0, -INF], [NAN, NAN]])
    y = np.array([0, 0, 1, 1, 1, -100])
    e = explain_set(z, y)
    assert (e.examples, e.ignored, e.invalid) == (5, 1, 3)
    assert math.isnan(e.mean_loss)
    assert e.counts.tolist() == [1, 1]
    assert [example.row for example in e.top[:3]] == [1, 2, 3]
    a = 1 / (1 + math.exp(-1.0))
    np.testing.assert_allclose(e.pushes, [[-a, a], [1.0, -1.0]], rtol=1e-15)
    np.testing.assert_allclose(e.net_gradient, [(1 - a) / 2, (a - 1) / 2], rtol=1e-15)
    assert e.class_loss[1] == INF
    assert "3 rows without a softmax" in e.to_text()
    assert "1 row with the label to ignore" in e.to_text()
    assert json.loads(e.to_json(), parse_constant=pytest.fail)["class_loss"][1] == "Infinity"


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((0, 3)), np.zeros(0, int)),
        (np.zeros((0, 3)), []),
        (np.zeros((3, 3)), [-100] * 3),
        ([[5.0]], [0]),
        ([[NAN]], [0]),
        ([[5.0], [-INF]], [0, 0]),
        ([[0.0, 1.0]], [1]),
        ([[1000.0, 0.0]], [0]),
        ([[1e308, -1e308], [1e30, -1e30]], [1, 1]),
        ([[NAN, 1.0]], [1]),
        ([[0.0, -INF, 0.0]], [1]),
    ],
)
def test_unusual_sets_have_text_json_and_page(logits, labels):
    e = explain_set(logits, labels)
    assert e.examples + e.ignored == len(logits)
    text = e.to_text()
    assert "nan" not in text.replace("Mean loss nan", "").replace("accuracy nan", "") or e.invalid
    data = json.loads(e.to_json(), parse_constant=pytest.fail)
    assert data["examples"] == e.examples
    check_html(page_of(e))


def test_a_set_without_pushes_says_so():
    e = explain_set([[1000.0, 0.0]], [0])
    assert e.strongest() == []
    assert "None: every example has all its probability on its own class" in e.to_text()
    assert "None: every example" in page_of(e)


@pytest.mark.parametrize("classes", [C, 3000])
def test_the_arrays_are_read_only(classes):
    e = explain_set(np.zeros((2, classes)), [0, 1])
    parts = [e, e.confusions, e.calibration, e.examined, *([] if e.pairs is None else [e.pairs])]
    arrays = [v for part in parts for v in vars(part).values() if isinstance(v, np.ndarray)]
    assert len(arrays) == (8 + 8 + 6 + 1 if classes == C else 7 + 5 + 8 + 6 + 1)
    assert not any(array.flags.writeable for array in arrays)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "says"),
    [
        (([1.0, 2.0], 0), {}, ValueError, "shape (2,): explain explains one example"),
        ((np.zeros((2, 3, 4)), np.zeros((2, 4), int)), {}, ValueError, "shape (N, C)"),
        ((np.zeros((0, 0)), []), {}, ValueError, "no classes"),
        ((["a"], [0]), {}, TypeError, "real numbers"),
        (([[1.0, 2.0]], [2]), {}, LabelError, "row 0 is 2, outside 0..1"),
        (([[1.0, 2.0]], [0, 1]), {}, LabelError, "2 labels for 1 row of logits in memory"),
        (([[1.0, 2.0]], [[0.5, 0.6]]), {}, LabelError, "row 0 sums to 1.1"),
        (([[1.0, 2.0]], [[0], [0, 1]]), {}, LabelError, "its rows differ in length"),
        (([[1.0, 2.0]], [0.0]), {}, LabelError, "integers"),
        (([[1.0, 2.0]], [0]), {"first_class": 1}, LabelError, "outside 1..2"),
        (([[1.0, 2.0]], [0]), {"first_class": 2}, OptionError, "first_class"),
        (([[1.0, 2.0]], [0]), {"top": -1}, OptionError, "top must be a whole number, 0 or more"),
        (([[1.0, 2.0]], [0]), {"classes": ["a"]}, OptionError, "1 class names for 2"),
        (([[1.0, 2.0]], [0]), {"classes": "ab"}, TypeError, "sequence of names"),
    ],
)
def test_wrong_arguments_get_one_line(arguments, options, error, says):
    with pytest.raises(error, match=re.escape(says)) as caught:
        explain_set(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1


# --- many classes ---------------------------------------------------------------------------------


def many(rows, classes, *, seed=0):
    """Examples that a model takes for few others, as models do; class 0 has many."""
    random = np.random.default_rng(seed)
    z = random.normal(0.0, 1.0, (rows, classes))
    y = random.integers(0, classes, rows)
    y[: rows // 2] = random.integers(0, 3, rows // 2)
    z[np.arange(rows), y] += 11.0
    z[np.arange(rows), (y + random.integers(1, 4, rows)) % classes] += 11.0
    return z, y


@pytest.fixture(scope="module")
def full():
    """The whole matrix of a set with many classes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(set_sums, "ALL_PAIRS", 3000)
        return explain_set(*many(600, 3000))


@pytest.mark.parametrize(
    ("max_elements", "most"),
    [
        (1, None),
        (70 * 3000, 150),
        pytest.param(1, 150, marks=pytest.mark.slow),
        pytest.param(70 * 3000, None, marks=pytest.mark.slow),
    ],
)
def test_many_classes_against_the_full_matrix(monkeypatch, full, max_elements, most):
    z, y = many(600, 3000)
    if most is not None:
        monkeypatch.setattr(set_sums, "MOST_PAIRS", most)
    e = explain_set(z, y, max_elements=max_elements)
    assert e.pushes is None
    assert full.pairs is None
    for name in ("counts", "class_loss", "mean_loss", "accuracy", "top"):
        np.testing.assert_array_equal(getattr(e, name), getattr(full, name))
    np.testing.assert_allclose(e.pulls, full.pulls, rtol=1e-13)
    np.testing.assert_allclose(e.net_gradient, full.net_gradient, rtol=0, atol=1e-15)

    pairs = e.pairs
    present = np.flatnonzero(e.counts)
    assert len({*zip(pairs.true.tolist(), pairs.pushed.tolist(), strict=True)}) == pairs.true.size
    assert not (pairs.true == pairs.pushed).any()
    kept = np.zeros((3000, 3000))
    kept[pairs.true, pairs.pushed] = pairs.mean
    missing = full.pushes[present] - kept[present]
    missing[np.arange(present.size), present] = 0.0
    # What is kept is never too much, what is missing never more than said; up to rounding.
    assert missing.min() >= -1e-13
    assert (missing.max(axis=1) <= pairs.short[present] + 1e-13).all()
    np.testing.assert_allclose(missing.sum(axis=1), pairs.others[present], rtol=0, atol=1e-12)
    assert (pairs.short[present] <= pairs.others[present]).all()
    assert np.isnan(pairs.short[e.counts == 0]).all()
    if most is None:
        assert pairs.short[present].max() <= 1e-3
        strongest = [(p.true, p.pushed, p.examples) for p in e.strongest(5)]
        assert strongest == [(p.true, p.pushed, p.examples) for p in full.strongest(5)]
        # Not all is under 0.001, so that this compares something.
        assert pairs.others[present].mean() < 0.3
    else:
        assert pairs.true.size == most
    totals = pairs.mean * e.counts[pairs.true]
    assert (np.diff(totals) <= 1e-12).all()
    text = e.to_text()
    assert "With 3000 classes only the strong pairs are kept" in text
    data = json.loads(e.to_json(), parse_constant=pytest.fail)
    assert data["pushes"] is None
    assert len(data["strongest"]) == 100
    check_html(page_of(e))


def test_pairs_that_are_too_weak_are_counted_with_the_others():
    """All of a flat distribution is under 0.001: no pair is left, and the others say so."""
    e = explain_set(np.zeros((3, 4000)), [5, 5, 6])
    assert e.pairs.true.size == 0
    np.testing.assert_allclose(e.pairs.others[[5, 6]], 3999 / 4000, rtol=1e-12)
    assert (e.pairs.short[[5, 6]] == 1e-3).all()
    text = e.to_text()
    assert "none is strong: no example gives 0.001 or more" in re.sub(r"\s+", " ", text)
    check_html(page_of(e))


def test_a_hundred_thousand_classes_in_bounded_memory(tmp_path):
    """The full matrix would take 80 GB. A block of 1 << 20 logits takes 8 MB, its float64 copy and
    a mask as much again; vectors of C are 0.8 MB each."""
    rows, classes = 60, 100_000
    z = np.zeros((rows, classes), np.float32)
    z[np.arange(rows), np.arange(rows) + 7] = 20.0
    y = np.arange(rows)
    np.save(tmp_path / "z.npy", z)
    with open_logits(tmp_path / "z.npy") as source:
        tracemalloc.start()
        e = explain_set(source, y, max_elements=1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 48 << 20
    assert (e.pairs.pushed - e.pairs.true == 7).all()
    assert e.pairs.true.size == rows
    np.testing.assert_allclose(e.pairs.mean, 1 / (1 + 99_999 * math.exp(-20.0)), rtol=1e-6)
    assert len(e.to_text().splitlines()) < 120
    json.loads(e.to_json(), parse_constant=pytest.fail)


def test_memory_is_that_of_a_block(tmp_path):
    """40 MB of logits, 1 MB a block: its copy in float64 and the scores are as much again."""
    logits = np.broadcast_to(RNG.normal(size=(1, 50)), (100_000, 50))
    np.save(tmp_path / "z.npy", logits)
    labels = np.zeros(len(logits), np.uint8)
    with open_logits(tmp_path / "z.npy") as source:
        tracemalloc.start()
        e = explain_set(source, labels, max_elements=1 << 17)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert e.counts[0] == len(logits)
    assert peak < 12 << 20
    gradient, _ = plain_numpy(logits[:1], [0])
    np.testing.assert_allclose(e.pushes[0], gradient[0], rtol=1e-10)  # 100 000 roundings at most


@pytest.mark.parametrize("name", ["z.csv", "z.npy"])
def test_a_file_is_explained_as_its_array(tmp_path, name):
    np.savetxt(tmp_path / "z.csv", LOGITS, delimiter=",")
    np.save(tmp_path / "z.npy", LOGITS)
    with open_logits(tmp_path / name) as source:
        assert explain_set(source, LABELS).to_json() == explain_set(LOGITS, LABELS).to_json()
        with pytest.raises(LabelError, match=f"3 labels for {N} rows"):
            explain_set(source, [0, 1, 2])


# --- text, JSON, page -----------------------------------------------------------------------------

NASTY = [
    "<script>alert(1)</script>",
    "[red]x[/red]",
    "\x1b[31m",
    "a\nb\x07\x00",
    "\u202eevil",
    '"&',
]


def nasty():
    random = np.random.default_rng(1)
    return explain_set(random.normal(0, 2, (60, 6)), random.integers(0, 6, 60), classes=NASTY)


def test_the_text_of_a_set_worked_out_by_hand():
    """By hand: class 1 gets 0.7 and 0.5 from its two examples, class 2 gets 0.2 and 0.4."""
    z = np.log([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8]])
    e = explain_set(z, [1, 1, 3], first_class=1, classes=["cat", "dog", "fox"])
    flat = re.sub(r"\s+", " ", e.to_text())
    for line in [
        "3 examples, 3 classes, numbered from 1. Mean loss 0.4243 nats",
        "a uniform guess: ln 3 = 1.0986), accuracy 100.00 %.",
        "1 cat 2 dog +0.3000 2 60.0 %",
        "The 2 examples of class 1 (cat) push the output of class 2 (dog) down by 0.3000 on "
        "average, their mean probability of class 2:",
        "1 cat 2 0.5249 0.6667 0.4333 −0.2333 ↑ up",
        "2 dog 0 none 0.0000 0.2333 +0.2333 ↓ down",
        "3 fox 1 0.2231 0.3333 0.3333 0.0000",
        "1 1 cat 0.5000 1 cat 0.5000 0.6931",
        "Why the one with the highest loss? explain(logits[1], 1, first_class=1)",
    ]:
        assert line in flat, line
    assert str(e) == e.to_text()
    assert "explain row 1" in e.to_text(command=lambda example: f"explain row {example.row}")


@pytest.mark.parametrize("color", [False, True])
def test_class_names_are_shown_as_text(color):
    text = nasty().to_text(width=140, color=color)
    if color:
        assert "\x1b[1m" in text
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert all(c == "\n" or c.isprintable() for c in text)
    for shown in [*NASTY[:2], r"\x1b[31m", r"a\nb\x07\x00", r"\u202eevil", '"&']:
        assert shown in text


def test_the_text_of_a_set_fits_80_columns():
    random = np.random.default_rng(2)
    z, y = random.normal(0, 2, (500, 30)), random.integers(0, 30, 500)
    e = explain_set(z, y, classes=["x" * 100_000] * 29 + ["鳥" * 1000])
    text = e.to_text()
    assert max(map(cell_len, text.splitlines())) <= 80
    assert "22 others" in text
    assert "x…" in text


def test_json_is_valid_and_keeps_every_number():
    e = nasty()
    text = e.to_json()
    assert text.isascii()
    assert "\n" not in text
    data = json.loads(text, parse_constant=pytest.fail)
    assert (data["schema"], data["version"]) == ("softmaxloss.set-explanation", 1)
    assert data["classes"] == NASTY
    assert data["pushes"] == e.pushes.tolist()
    for name in ("counts", "class_loss", "pulls", "net_gradient"):
        assert data[name] == getattr(e, name).tolist()
    assert data["mean_loss"] == e.mean_loss
    assert data["top"] == [example._asdict() for example in e.top]
    assert data["strongest"][0]["mean"] == e.strongest(1)[0].mean
    gap = json.loads(explain_set(LOGITS, LABELS).to_json(), parse_constant=pytest.fail)
    assert gap["pushes"][4] == ["NaN"] * C


SVG = "{http://www.w3.org/2000/svg}"


class Page(html.parser.HTMLParser):
    """That every element is closed, which elements and attributes there are, and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def check_html(text):
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert not {"script", "style", "iframe", "link", "img"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert "style" not in names
    assert not any(name.startswith("on") for name in names)
    # Links lead to places in the page.
    ids = [value for name, value in page.attributes if name == "id"]
    links = [value for name, value in page.attributes if name == "href"]
    assert len(set(ids)) == len(ids)
    assert set(links) == {f"#{id}" for id in ids}
    assert all(c == "\n" or c.isprintable() for c in text)
    # Well-formed XML too, so that nothing in it is open to interpretation.
    ET.fromstring(f"<body>{text}</body>")
    return page


def test_the_map_and_its_table_have_the_numbers():
    e = explain_set(LOGITS, LABELS)
    text = page_of(e)
    page = check_html(text)
    root = ET.fromstring(f"<body>{text}</body>")
    (section,) = [s for s in root.iter("section") if s.find("h2").text.startswith("A map of")]
    cells = section.findall(f".//{SVG}rect")
    assert len(cells) == C * C
    largest = np.nanmax(np.abs(e.pushes))
    for k, cell in enumerate(cells):
        i, n = divmod(k, C)
        x = e.pushes[i, n]
        kind = "empty" if math.isnan(x) else "up" if i == n else "down"
        assert cell.get("class") == kind
        said = cell.find(f"{SVG}title").text
        if not math.isnan(x):
            # Written with 3 decimals.
            strength = float(cell.get("fill-opacity"))
            assert strength == pytest.approx(0.6 * math.sqrt(abs(x) / largest), abs=6e-4)
            assert said.startswith(f"the examples of class {i} ")
            assert f"down by {x:.4f}" in said or f"up by {-x:.4f}" in said or abs(x) < 1e-3
        else:
            assert said == "there are no examples of class 4"
    # The same numbers for readers who do not see the map.
    table = section.find(".//details//table")
    assert len(table.findall(".//tbody/tr")) == C
    shown = [td.text for td in table.findall(".//tbody/tr")[0].findall("td")]
    for x, wanted in zip(shown, e.pushes[0], strict=True):
        assert float(x.replace("−", "-")) == pytest.approx(wanted, abs=5e-5, rel=5e-3)
    words = " ".join(page.words)
    for example in e.top:
        assert f"explain(logits[{example.row}], {example.label})" in words


def test_names_and_commands_on_the_page_are_text():
    text = page_of(nasty(), command=lambda e: f"<img src=x onerror=alert({e.row})>\x1b\n")
    page = check_html(text)
    words = " ".join(page.words)
    assert "<script>alert(1)</scrip…" in words  # cut to the width of a column
    assert "<img src=x onerror=alert(" in words
    assert r")>\x1b\n" in words
    assert r"\x1b[31m" in words
    assert r"\u202eevil" in words
    one = explain_set([[0.0, 1.0, 9.0]], [2], first_class=1, classes=["cat", "dog", "fox"])
    cells = re.findall("<td>(.*?)</td>", page_of(one).partition("that are hard")[2])
    assert [cells[0], cells[2]] == ["2 dog", "3 fox"]


@pytest.mark.parametrize("classes", [41, 300, 3000])
def test_the_map_of_many_classes_is_of_the_strongest(classes):
    z, y = many(900, classes)
    e = explain_set(z, y)
    text = page_of(e)
    root = ET.fromstring(f"<body>{text}</body>")
    maps = [svg for svg in root.iter(f"{SVG}svg") if svg.get("class") == "push-map"]
    assert len(maps) == 2
    for one in maps:
        assert 35 <= math.isqrt(len(one.findall(f"{SVG}rect"))) <= 40
    first = e.strongest(1)[0]
    said = [t.text for t in root.iter(f"{SVG}title")]
    wanted = f"the examples of class {first.true} push class {first.pushed} down by "
    assert any(t.startswith(f"{wanted}{first.mean:.4f}") for t in said)
    assert len(text) < 1_000_000


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run the command in a folder with logits and labels: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    np.save("z.npy", LOGITS)
    np.save("y.npy", LABELS)
    np.save("y1.npy", np.where(COUNTED, LABELS + 1, -1))
    np.savez("both.npz", a=LOGITS, b=LABELS)
    names = ",".join(["cat", "[red]dog[/red]", "<b>", "\x1b[31mred", "e", "f", "g"])
    rows = "\n".join(",".join(map(repr, row)) for row in LOGITS.tolist())
    (tmp_path / "z.csv").write_text(f"{names}\n{rows}\n")

    def run(*arguments):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
        code = main(["explain", *[str(a) for a in arguments]])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_the_command_explains_the_set(run):
    code, out, err = run("--file", "z.npy", "--labels", "y.npy")
    assert (code, err) == (0, "")
    e = explain_set(LOGITS, LABELS)
    again = f"softmaxloss explain --file z.npy --labels y.npy --row {e.top[0].row}"
    assert out == e.to_text(command=lambda example: again)
    # The command that it ends with explains that example.
    code, one, _ = run(*out.splitlines()[-1].split()[2:])
    row = e.top[0].row
    assert (code, one) == (0, explain(LOGITS[row], LABELS[row]).to_text())


def test_the_options_of_the_command(run):
    plain = json.loads(run("--file", "z.npy", "--labels", "y.npy", "--json")[1])
    assert plain == explain_set(LOGITS, LABELS).to_dict()
    keys = ["--logits-key", "a", "--labels-key", "b"]
    both = ["--file", "both.npz", "--labels", "both.npz", *keys]
    assert json.loads(run(*both, "--json")[1]) == plain
    assert " ".join(keys) in run(*both)[1]
    one = ["--file", "z.npy", "--labels", "y1.npy", "--one-based", "--ignore-index", "-1"]
    one += ["--top", "3", "--classes", "a,b,c,d,e,f,g"]
    data = json.loads(run(*one, "--json")[1])
    assert (data["first_class"], data["classes"], len(data["top"])) == (1, list("abcdefg"), 3)
    assert data["pushes"] == plain["pushes"]
    assert "--classes a,b,c,d,e,f,g --one-based" in run(*one)[1]
    named = run("--file", "z.csv", "--labels", "y.npy")[1]
    for name in ("[red]dog[…", "<b>", r"\x1b[31mr…"):
        assert name in named
    assert "\x1b" not in named
    assert "look at first" not in run("--file", "z.npy", "--labels", "y.npy", "--top", 0)[1]


def test_one_row_and_one_label_are_one_example(run):
    np.save("z1.npy", LOGITS[:1])
    np.save("one.npy", LABELS[1:2])
    out = run("--file", "z1.npy", "--labels", "one.npy")[1]
    assert out == explain(LOGITS[0], LABELS[1]).to_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--file", "z.npy"], "which row of the file? Add --row N, counted from 0, or to explain"),
        (["--file", "z.npy", "--labels", "none.npy"], "none.npy: no such file"),
        (["--file", "none.npy", "--labels", "y.npy"], "none.npy: no such file"),
        (["--file", "z.npy", "--labels", "y1.npy"], "error: y1.npy: "),
        (["--file", "z.npy", "--labels", "y1.npy"], "add --ignore-index -1"),
        (["--file", "z.npy", "--labels", "short.npy"], f"3 labels for {N} rows of logits in z.npy"),
        (["--file", "z.npy", "--labels", "z.npy"], "z.npy"),
        (["--file", "z.npy", "--labels", "y.npy", "--step", "0.2"], "--step is for one example"),
        (["--file", "z.npy", "--labels", "y.npy", "--top", "-1"], "--top"),
        (["--file", "z.npy", "--labels", "y.npy", "--classes", "a,b"], "names, got 2"),
        (["--file", "z.npy", "--labels", "y.npy", "--label", "1"], "not both"),
        (["--file", "z.npy", "--labels", "y.npy", "--row", "1", "--top", "3"], "--top is for a"),
        (["1", "2", "--label", "0", "--ignore-index", "3"], "--ignore-index is for a whole file"),
    ],
)
def test_wrong_input_of_the_command_is_one_line(run, arguments, says):
    np.save("short.npy", LABELS[:3])
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("softmaxloss: error: ")
    assert len(err.splitlines()) == 1
    assert says in err


def test_an_interrupt_ends_the_command_with_130(run, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(set_command, "explanation_of_set", interrupt)
    assert run("--file", "z.npy", "--labels", "y.npy") == (130, "", "")


def test_progress_bar_on_a_terminal(run, tmp_path):
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "softmaxloss", "explain", "--file", "z.npy", "--labels", "y.npy"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "100%" in shown
    assert "\x1b" not in done.stdout
    assert "Mean loss" in done.stdout


def test_explain_set_returns_a_set_explanation():
    assert explain_set([[0.0, 1.0]], [0]).__class__ is SetExplanation
