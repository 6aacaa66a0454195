"""The explanation of one example: its numbers against mpmath, its text for every kind of input."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys

import ml_dtypes
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from softmaxloss import LabelError, OptionError
from softmaxloss.explanation import Explanation, explain

INF, NAN = math.inf, math.nan
SEED = [2.0, 1.0, 0.1, -1.2]
LAYER = {"features": [1.0, 2.0, -1.0], "linear_weight": [[1.0, 0.0, -1.0], [0.5, 0.5, 0.25]]}


def exact(z, y):
    """Probabilities, loss of each class, log of the denominator, gradient, in 500 digits."""
    with mpmath.workdps(500):
        z = [mpmath.mpf(float(x)) for x in z]
        exps = [mpmath.exp(x - max(z)) for x in z]
        total = mpmath.fsum(exps)
        a = [e / total for e in exps]
        logsumexp = max(z) + mpmath.log(total)
        gradient = [p - (n == y) for n, p in enumerate(a)]
        return a, [logsumexp - x for x in z], logsumexp, gradient


def close(got, wanted, spread):
    """Each entry by itself. exp turns the rounding of z − m, half an ulp of at most `spread`, into
    as large a relative error; 8 more roundings cover the sum, the division and the logarithm."""
    tolerance = (spread + 8) * 2.0**-53
    for x, reference in zip(np.atleast_1d(got), np.atleast_1d(wanted), strict=True):
        assert abs(mpmath.mpf(float(x)) - reference) <= tolerance * abs(reference), (x, reference)


def test_two_classes_worked_out_by_hand():
    """z = (0, ln 3): odds of 1 to 3."""
    why = explain([0.0, math.log(3.0)], 0, step=0.2)
    assert why.before.probabilities == pytest.approx([0.25, 0.75], rel=1e-15)
    assert why.before.loss == pytest.approx(math.log(4), rel=1e-15)
    assert why.terms == pytest.approx([math.log(4), math.log(4 / 3)], rel=1e-15)
    assert why.logsumexp == pytest.approx(math.log(4), rel=1e-15)
    assert why.gradient == pytest.approx([-0.75, 0.75], rel=1e-15)
    assert why.after.logits == pytest.approx([0.15, math.log(3) - 0.15], rel=1e-15)
    # The odds are now 1 to 3·exp(−0.3).
    assert why.after.loss == pytest.approx(math.log(1 + 3 * math.exp(-0.3)), rel=1e-15)
    assert (why.predicted, why.rank, why.uniform_loss) == (1, 2, math.log(2))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("classes", [2, 3, 10, 33])
def test_every_number_is_exact_to_a_few_roundings(scale, classes):
    z = np.random.default_rng(classes).normal(0, scale, classes)
    spread = np.ptp(z)
    for y in {0, classes - 1, int(z.argmax()), int(z.argmin())}:
        why = explain(z, y)
        a, terms, logsumexp, gradient = exact(z, y)
        close(why.before.probabilities, a, spread)
        close(why.terms, terms, spread)
        close(why.before.loss, terms[y], spread)
        assert why.terms[y] == why.before.loss
        close(why.gradient, gradient, spread)
        assert why.logsumexp == pytest.approx(float(logsumexp), rel=1e-15, abs=1e-15)
        np.testing.assert_allclose(why.after.logits, z - 0.1 * why.gradient, rtol=1e-15)
        after, after_terms, *_ = exact(why.after.logits, y)
        close(why.after.probabilities, after, spread + 1)
        close(why.after.loss, after_terms[y], spread + 1)
        assert why.rank == 1 + int((z > z[y]).sum())
        assert why.predicted == int(z.argmax())


@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=12),
    st.integers(0, 11),
    st.floats(1e-3, 10.0),
)
@settings(deadline=None)
def test_the_signs_of_the_gradient_that_the_text_claims(z, y, step):
    y %= len(z)
    why = explain(z, y, step=step, steps=0)
    others = np.delete(why.gradient, y)
    assert (others > 0).all()
    assert why.gradient[y] < 0
    # Each entry is at most 1 and rounded to half an ulp, with a few roundings before.
    assert abs(why.gradient_sum) <= 8 * 2.0**-53
    assert why.after.loss <= why.before.loss
    assert why.after.logits[y] >= why.before.logits[y]
    assert (np.delete(why.after.logits, y) <= np.delete(why.before.logits, y)).all()


@pytest.mark.parametrize(
    "logits",
    [
        [3, 1, 2],
        (3.0, 1.0, 2.0),
        np.array([3, 1, 2], np.float32),
        np.array([3, 1, 2], np.float16),
        np.array([3, 1, 2], ml_dtypes.bfloat16),
        np.array([3, 1, 2], np.uint8),
        np.array([3, 0, 1, 0, 2], ">f8")[::2],
    ],
    ids=lambda x: f"{type(x).__name__}-{getattr(x, 'dtype', '')}",
)
def test_every_form_of_logits_is_computed_in_float64(logits):
    wanted = explain(np.array([3.0, 1.0, 2.0]), 1)
    got = explain(logits, 1)
    assert got.to_dict() == wanted.to_dict()
    assert got.gradient.dtype == np.float64


def test_labels_from_one_name_the_same_example():
    zero, one = explain(SEED, 2), explain(SEED, np.uint8(3), first_class=1)
    assert (one.target, one.number(one.target), zero.number(zero.target)) == (2, 3, 2)
    assert np.array_equal(zero.gradient, one.gradient)
    assert (zero.to_dict()["target"], one.to_dict()["target"]) == (2, 3)
    assert (zero.to_dict()["predicted"], one.to_dict()["predicted"]) == (0, 1)
    assert "J = −log a_3 = " in one.to_text()


def test_the_arrays_are_read_only_copies():
    z = np.array(SEED)
    why = explain(z, 2)
    assert np.array_equal(z, SEED)
    z[0] = 99.0
    assert why.before.logits[0] == 2.0
    arrays = [v for v in vars(why).values() if isinstance(v, np.ndarray)]
    for state in (why.before, why.after):
        arrays += [state.logits, state.probabilities]
    arrays += [v for v in vars(why.path).values() if isinstance(v, np.ndarray)]
    assert len(arrays) == 15
    assert not any(array.flags.writeable for array in arrays)
    with pytest.raises(AttributeError):
        why.target = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "says"),
    [
        (([[1.0, 2.0]], 0), {}, ValueError, "shape (1, 2): pass one row"),
        ((1.0, 0), {}, ValueError, "shape"),
        (([], 0), {}, ValueError, "no classes"),
        ((["a", "b"], 0), {}, TypeError, "real numbers"),
        (([1j, 2], 0), {}, TypeError, "real numbers"),
        (([True, False], 0), {}, TypeError, "real numbers"),
        (([1.0, [2.0]], 0), {}, ValueError, "logits"),
        ((SEED, 4), {}, LabelError, "outside 0..3; all labels lie in 1..4: if they count from one"),
        ((SEED, -1), {}, LabelError, "the label is -1, outside 0..3"),
        ((SEED, -100), {}, LabelError, "the label is -100, outside 0..3"),
        ((SEED, 2**70), {}, LabelError, "which no integer dtype holds"),
        ((SEED, 0), {"first_class": 1}, LabelError, "0, outside 1..4"),
        ((SEED, True), {}, LabelError, "True"),
        ((SEED, np.True_), {}, LabelError, "True"),
        ((SEED, 2.0), {}, LabelError, "dtype float64: pass integers"),
        ((SEED, "cat"), {}, LabelError, "'cat'"),
        ((SEED, [0, 1]), {}, LabelError, "target has shape (2,); logits of shape (4,) need"),
        ((SEED, np.eye(4)), {}, LabelError, "or probabilities of shape (4,)"),
        ((SEED, [0, 1, -1, 1]), {}, LabelError, "has -1 for class 2; probabilities must be"),
        ((SEED, [0, 1, NAN, 1]), {}, LabelError, "has nan for class 2"),
        ((SEED, ["a", "b", "c", "d"]), {}, LabelError, "is a name: pass classes"),
        ((SEED, None), {}, LabelError, "target holds None"),
        ((SEED, 2), {"step": 0.0}, OptionError, "step must be a positive number, got 0.0"),
        ((SEED, 2), {"step": -1.0}, OptionError, "step"),
        ((SEED, 2), {"step": NAN}, OptionError, "step"),
        ((SEED, 2), {"step": INF}, OptionError, "step"),
        ((SEED, 2), {"step": "big"}, OptionError, "'big'"),
        ((SEED, 2), {"steps": -1}, OptionError, "steps must be a whole number, 0 or more, got -1"),
        ((SEED, 2), {"steps": 1.5}, OptionError, "1.5"),
        ((SEED, 2), {"steps": True}, OptionError, "True"),
        ((None, 2), {}, ValueError, "logits are missing"),
        ((SEED, 2), {"features": [1.0]}, OptionError, "both features, x, and linear_weight"),
        ((SEED, 2), {"linear_bias": [1.0] * 4}, OptionError, "both features"),
        ((None, 0), LAYER | {"features": [1.0, 2.0]}, OptionError, "2 features need shape (C, 2)"),
        (
            (None, 0),
            {"features": [1.0, 2.0], "linear_weight": [[1, 2, 3], [4, 5, 6]]},
            OptionError,
            "as in torch.nn.Linear: pass linear_weight.T",
        ),
        ((None, 0), LAYER | {"linear_bias": [1.0]}, OptionError, "2 classes need shape (2,)"),
        ((None, 0), LAYER | {"features": 3.0}, OptionError, "features must have shape (D,)"),
        ((None, 0), LAYER | {"features": ["a"] * 3}, TypeError, "features must be real numbers"),
        ((SEED, 0), LAYER, OptionError, "linear_weight has 2 classes, the logits have 4"),
        (([1.0, 2.0], 0), LAYER, OptionError, "z[0] is 1, W·x + b gives 2"),
        ((SEED, 2), {"first_class": 2}, OptionError, "first_class must be 0 or 1"),
        ((SEED, 2), {"classes": ["a", "b"]}, OptionError, "2 class names for 4 logits"),
        ((SEED, 2), {"classes": "abcd"}, TypeError, "sequence of names"),
        (
            (SEED, 2),
            {"classes": 5},
            TypeError,
            "names such as ['cat', 'dog'], got int",
        ),
        ((SEED, 2), {"classes": [1, 2, 3, 4]}, TypeError, "strings, got 1"),
    ],
)
def test_wrong_arguments_get_one_line(arguments, options, error, says):
    with pytest.raises(error, match=re.escape(says)) as caught:
        explain(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1


# Inputs out of the ordinary: logits, label, loss, what the remarks must say.
UNUSUAL = [
    pytest.param([5.0], 0, 0.0, [], id="one class"),
    pytest.param([NAN, 1.0, 2.0], 1, NAN, ["class 0 is NaN"], id="nan"),
    pytest.param([1.0, NAN, NAN], 1, NAN, ["classes 1 and 2 is NaN"], id="two nans"),
    pytest.param([INF, 1.0], 0, NAN, ["class 0 is +inf"], id="plus infinity on the true class"),
    pytest.param([INF, 1.0], 1, NAN, ["class 0 is +inf"], id="plus infinity elsewhere"),
    pytest.param([-INF, -INF], 0, NAN, ["Every logit is −inf"], id="all masked"),
    pytest.param([0.0, -INF], 1, INF, ["the loss is infinite"], id="true class masked"),
    pytest.param([0.0, -INF, 0.0], 0, math.log(2), ["masked out", "shared"], id="other masked"),
    pytest.param(
        [-INF, 3.0], 1, 0.0, ["masked out", "Every derivative is 0"], id="only the true class left"
    ),
    pytest.param([1.0, 1.0, 0.0], 1, None, ["shared by classes 0 and 1"], id="tie"),
    pytest.param([1.0] * 9, 1, math.log(9), ["and 4 more"], id="tie of many"),
    pytest.param([100.0, 0.0], 0, math.exp(-100), ["loses digits"], id="tiny loss"),
    pytest.param([1000.0, 0.0], 1, 1000.0, ["rounds to 0"], id="probability underflows"),
    pytest.param([1e8, 1e8 + 1], 0, math.log(1 + math.e), [], id="common offset"),
    pytest.param(
        [1e20, 1e20], 0, math.log(2), ["loses digits", "changes nothing"], id="huge offset"
    ),
    pytest.param([1e30, -1e30], 1, 2e30, ["rounds to 0"], id="huge logits"),
    pytest.param([1e308, -1e308], 1, INF, [], id="difference overflows"),
]


@pytest.mark.parametrize(("logits", "label", "loss", "remarks"), UNUSUAL)
def test_unusual_inputs_get_their_remarks(logits, label, loss, remarks):
    why = explain(logits, label)
    if loss is not None:
        # What is compared with is itself rounded, twice at most.
        assert why.before.loss == pytest.approx(loss, rel=1e-15, nan_ok=True)
    assert why.defined == (not math.isnan(why.before.loss))
    said = " ".join(why.remarks())
    for remark in remarks:
        assert remark in said
    if not remarks:
        assert not said
    text = why.to_text()
    for sentence in why.remarks():
        assert sentence in re.sub(r"\s+", " ", text)
    assert ("2. Which output" in text) == (why.defined and len(logits) > 1)
    json.loads(why.to_json(), parse_constant=pytest.fail)


def test_json_is_valid_and_keeps_every_number():
    why = explain([2.0, -INF, 0.1], 2, classes=["<b>", "\x1b[31m", "鳥"], step=0.25)
    text = why.to_json()
    assert text.isascii()
    assert "\n" not in text
    data = json.loads(text, parse_constant=pytest.fail)
    assert (data["schema"], data["version"]) == ("softmaxloss.explanation", 1)
    assert data["classes"] == ["<b>", "\x1b[31m", "鳥"]
    assert data["logits"] == [2.0, "-Infinity", 0.1]
    assert [float(x) for x in data["terms"]] == why.terms.tolist()
    assert data["gradient"] == why.gradient.tolist()
    assert data["after"]["loss"] == why.after.loss
    assert data["step"] == 0.25
    assert data["remarks"] == why.remarks()
    assert list(json.loads(explain([NAN, 1.0], 0).to_json())["after"]["logits"]) == ["NaN", "NaN"]


# --- the text ------------------------------------------------------------------------------------


def test_the_text_of_the_example_in_the_readme():
    """One example, four classes, label 3: is only −log a_3 computed, and which output is raised?
    The numbers were worked out with bc: Σ exp z = 11.5137…, exp 0.1 = 1.1051…"""
    text = explain(SEED, 3, first_class=1).to_text()
    flat = re.sub(r"\s+", " ", text)
    for line in [
        "One example with 4 classes, numbered from 1. The true class is 3.",
        "> 3 0.1000 0.1496 0.0960 █▏ 2.3435 ← J",
        "1 2.0000 1.0000 0.6418 ███████▊ (0.4435)",
        "sum 1.5582 1.0000",
        "The loss is one term, the −log a of class 3: J = −log a_3 = −log 0.09599 = 2.3435",
        "The terms in brackets are not added. Yet every output counts",
        "J = −z_3 + log Σ exp z = −0.1000 + 2.4435 = 2.3435",
        "a_3 = exp(z_3 − m) / Σ exp(z − m) = 0.1496 / 1.5582 = 0.0960",
        "> 3 −0.9040 ↑ up █████████████████████▊ 4 +0.0262 ↓ down ▋",
        "> 3 0.1000 0.1904 0.0960 0.1090 4 −1.2000 −1.2026 0.0262 0.0271",
        "for class 2, z falls from 1.0000 to 0.9764, yet a rises from 0.2361 to 0.2393, because "
        "the z of class 1 falls more. In the long run a falls too: after 754 steps it is 0.0039.",
        "In bits that is 3.3810.",
        "sum 0.0000",
        "∂J/∂a_3 = −1/a_3 = −1/0.0959874 = −10.4180",
        "a_3 is 0.2763 after 10, 0.9109 after 100, 0.9900 after 754 steps.",
        "∂J/∂z_3 = a_3 − 1 = 0.0960 − 1 = −0.9040 the true class",
        "The derivatives sum to 0",
        "J: 2.3435 → 2.2161",
        "The prediction is class 1 with probability 0.6418: wrong; the true class has rank 3 of 4.",
        "The loss is above that of a uniform guess, ln 4 = 1.3863.",
    ]:
        assert line in flat
    assert str(explain(SEED, 2)) == explain(SEED, 2).to_text()


def test_a_small_change_is_shown_with_enough_decimals():
    text = explain([9.0, 0.0], 0, step=1e-3).to_text()
    before, after = re.findall(r"J: (\S+) → (\S+)", text)[0]
    assert before != after
    assert float(after) < float(before)


def test_rounded_numbers_in_a_formula_do_not_contradict_it():
    """a_0 = 0.99995…: −log 1.0000 is not 4.54e-05, and 1.0000 − 1 not −4.54e-05."""
    text = explain([10.0, 0.0], 0).to_text()
    assert re.search(r"J = −log a_0 = −log 0\.99995460? = 4\.54e-05", text)
    assert re.search(r"∂J/∂z_0 = a_0 − 1 = 0\.99995460? − 1 = −4\.54e-05", text)
    # Where no few digits will do, none are shown.
    assert "J = −log a_0 = 9.36e-14" in explain([30.0, 0.0], 0).to_text()


def test_the_text_of_100_000_classes():
    z = np.random.default_rng(0).normal(0.0, 3.0, 100_000)
    y = int(np.argsort(z)[50_000])
    why = explain(z, y)
    text = why.to_text()
    assert len(text.splitlines()) < 90
    assert str(z.argmax()) in text
    rows = re.findall(r"^ +> +(\d+) ", text, re.MULTILINE)
    assert rows == [str(y)] * 3
    assert f"rank {1 + int((z > z[y]).sum())} of 100000" in re.sub(r"\s+", " ", text)
    a = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    listed = [*np.argsort(-z)[:11], y]
    rest = 1.0 - a[listed].sum()
    of_exp = np.delete(np.exp(z - z.max()), listed).sum()
    assert f"99988 others {of_exp:.4f} {rest:.4f}" in re.sub(r" +", " ", text)
    assert f"99988 others +{rest:.4f} ↓ down" in re.sub(r" +", " ", text)
    assert json.loads(why.to_json())["rank"] == why.rank


NASTY = [
    "<script>alert(1)</script>",
    "[red]x[/red]",
    "\x1b[31m",
    "a\nb\tc\x07",
    "\u202eevil",
    ":cat:",
]


@pytest.mark.parametrize("color", [False, True])
def test_class_names_are_shown_as_text(color):
    text = explain([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, classes=NASTY).to_text(width=120, color=color)
    if color:
        assert "\x1b[1m" in text
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert all(c == "\n" or c.isprintable() for c in text)
    for shown in [
        "<script>alert(1)</script>",
        "[red]x[/red]",
        r"\x1b[31m",
        r"a\nb\tc\x07",
        r"\u202eevil",
        ":cat:",
    ]:
        assert text.count(shown) >= 2


def test_sentences_fit_a_narrow_terminal():
    wide, narrow = (explain([2.0, -INF, 2.0, -1.2], 0).to_text(width=w) for w in (62, 56))
    bars = re.compile("[█▉▊▋▌▍▎▏]+")
    assert (
        bars.sub("", narrow).split() == bars.sub("", wide).split()
    )  # broken elsewhere, nothing cut
    assert max(cell_len(line) for line in wide.splitlines()) > 55
    sentences = [line for line in narrow.splitlines() if re.match(r" {0,3}\w+ \w+ \w+ ", line)]
    assert len(sentences) > 10
    assert max(cell_len(line) for line in sentences) <= 56


def test_40_columns_are_enough():
    text = explain(SEED, 2, classes=["cat", "dog", "a red fox", "owl"]).to_text(width=40)
    tables = [line for line in text.splitlines() if re.search(r"\d  |█", line)]
    assert len(tables) == 13
    assert max(map(cell_len, tables)) <= 40


def test_long_class_names_are_cut():
    text = explain([1.0, 2.0], 0, classes=["x" * 1_000_000, "鳥" * 1000]).to_text()
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert "x…" in text
    assert re.search("鳥 ?…", text)


@given(
    st.lists(st.floats(width=64) | st.sampled_from([NAN, INF, -INF]), min_size=1, max_size=15),
    st.integers(0, 14),
    st.sampled_from([80, 200]),
)
@settings(deadline=None)
def test_every_row_of_numbers_has_a_text_that_fits(z, y, width):
    why = explain(z, y % len(z))
    text = why.to_text(width=width)
    assert all(cell_len(line) <= width and line == line.rstrip() for line in text.splitlines())
    assert "…" not in text  # a number cut short would be a wrong number
    json.loads(why.to_json(), parse_constant=pytest.fail)


def test_rich_is_loaded_for_the_text_only():
    code = (
        "import sys, softmaxloss; w = softmaxloss.explain([1.0, 2.0], 0); w.to_json();"
        "assert not {'rich', 'click'} & set(sys.modules); str(w); assert 'rich' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_explain_returns_an_explanation():
    assert isinstance(explain(SEED, 0), Explanation)
