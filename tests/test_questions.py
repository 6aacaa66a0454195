"""The questions about one example: each answer's numbers, and an answer for every kind of input."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import time
from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import softmaxloss
from softmaxloss import OptionError
from softmaxloss.explanation import explain
from softmaxloss.explanation.questions import QUESTIONS, answers, ask
from softmaxloss.explanation.rendering.numbers import number

INF, NAN = math.inf, math.nan
SEED = [2.0, 1.0, 0.1, -1.2]

# Pages and programs hold on to these: one is added, none is renamed.
IDS = [
    "only-true-class",
    "others-learn",
    "gradient-sign",
    "derivatives-sum",
    "step-size",
    "order",
    "several-labels",
    "zero-or-one-based",
    "index-or-one-hot",
    "softmax-or-sigmoid",
    "same-as-frameworks",
    "good-loss",
    "logits",
    "subtract-max",
    "minus-infinity",
]


def here(id, logits=SEED, label=2, **options):
    """What the answer says of this example: all but its first paragraph, which is general."""
    return ask(explain(logits, label, **options), id).text.partition("\n\n")[2]


def numbers(text):
    """Every number in the text, but for those in names such as a_2."""
    found = re.findall(r"(?<![\w.])[+-]?(?:inf|\d+(?:\.\d+)?(?:e[+-]?\d+)?)\b", text)
    return [float(x) for x in found]


# --- the public names ----------------------------------------------------------------------------


def test_the_ids_stay_and_each_title_is_a_question():
    assert list(QUESTIONS) == IDS
    for id, question in QUESTIONS.items():
        assert question.id == id
        assert question.title.endswith("?")
    assert len({question.title for question in QUESTIONS.values()}) == len(IDS)


def test_answers_are_in_the_order_of_the_questions():
    why = explain(SEED, 2)
    all_of_them = answers(why)
    assert [answer.id for answer in all_of_them] == IDS
    for answer in all_of_them:
        assert answer == ask(why, answer.id)
        assert answer.title == QUESTIONS[answer.id].title
        assert answer.text == QUESTIONS[answer.id].answer(why)


@pytest.mark.parametrize(
    ("id", "says"),
    [
        ("step", "'step': did you mean step-size"),
        ("derivative-sum", "did you mean derivatives-sum"),
        ("xyz", "there are only-true-class, others-learn"),
        ("", "there are only-true-class"),
        (7, "'7'"),
        ("a\nb" * 1000, "no question 'a"),
    ],
)
def test_an_unknown_id_gets_one_line_that_names_the_nearest(id, says):
    with pytest.raises(OptionError, match=re.escape(says)) as caught:
        ask(explain(SEED, 2), id)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400


def test_answers_load_numpy_alone():
    code = (
        "import sys, softmaxloss; from softmaxloss.explanation.questions import answers;"
        "answers(softmaxloss.explain([1.0, 2.0], 0));"
        "assert not {'rich', 'click', 'scipy', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- the example that every learner sees ---------------------------------------------------------


def test_the_three_questions_asked_most():
    """The numbers were worked out with bc: a = e^z / 11.5137…, J = log 11.5137… − 0.1."""
    why = explain(SEED, 2)
    assert ask(why, "only-true-class").text == (
        "Yes, the loss is one term, J = −log a_y, and nothing is added for the other classes. But "
        "each of them counts, because it is in the denominator of a_y = exp z_y / Σ exp z.\n\n"
        "Here J = −log a_2 = −log 0.09599 = 2.3435, one of 4 possible losses: 0.4435 for "
        "class 0, 1.4435 for class 1, 2.3435 for class 2, 3.6435 for class 3. The rest has "
        "0.9040 of the denominator."
    )
    assert ask(why, "others-learn").text == (
        "Through the denominator. The derivative of J with respect to the output of another class "
        "n is ∂J/∂z_n = a_n. It is never negative, so descent pushes that output down, by "
        "step · a_n.\n\n"
        "Here the strongest other is class 0: ∂J/∂z_0 = a_0 = 0.6418, and a step of 0.1 takes z_0 "
        "from 2.0000 to 1.9358."
    )
    assert ask(why, "derivatives-sum").text == (
        "No, to zero. The derivatives are the probabilities, which sum to 1, minus 1 for the true "
        "class: the true output is pulled up as hard as all the others together are pushed "
        "down.\n\n"
        "Here the derivative of class 2, the true one, is -0.9040, and the rest adds up to "
        "0.9040: together 0."
    )


def numbers_of_the_seed():
    """What the answers for the seed example must show, computed with 50 digits."""
    with mpmath.workdps(50):
        z = [mpmath.mpf(x) for x in SEED]
        a = [mpmath.exp(x) / mpmath.fsum(map(mpmath.exp, z)) for x in z]
        gradient = [p - (n == 2) for n, p in enumerate(a)]
        after = [x - g / 10 for x, g in zip(z, gradient, strict=True)]
        exps = [mpmath.exp(x) for x in after]
        a_after = exps[2] / mpmath.fsum(exps)
        fall = mpmath.log(a_after) - mpmath.log(a[2])
        bound = mpmath.fsum(g**2 for g in gradient) / 10
        both = -mpmath.log(a[2]) - mpmath.log(a[0])
        sigmoids = mpmath.fsum(1 / (1 + mpmath.exp(-x)) for x in z)
        twice = mpmath.log(mpmath.fsum(map(mpmath.exp, a))) - a[2]
        bits = -mpmath.log(a[2], 2)
        odds = a[2] / a[0]
    return {
        "gradient-sign": ["0.0960", gradient[2], "0.1000", after[2]],
        "step-size": ["0.1000", after[2], a[2], a_after, fall, bound],
        "order": ["2.0000", a[0]],
        "several-labels": [both, both / 2],
        "zero-or-one-based": [-mpmath.log(a[1]), -mpmath.log(a[2])],
        "index-or-one-hot": [-mpmath.log(a[2])],
        "softmax-or-sigmoid": [sigmoids, twice, -mpmath.log(a[2])],
        "good-loss": [-mpmath.log(a[2]), bits, mpmath.log(4), a[2]],
        "logits": ["-1.9000", odds, mpmath.log(a[2])],
        "subtract-max": ["2.0000", mpmath.exp("-3.2"), mpmath.exp(2), a[2]],
    }


@pytest.mark.parametrize(("id", "wanted"), numbers_of_the_seed().items())
def test_the_numbers_of_an_answer_against_mpmath(id, wanted):
    shown = [x if isinstance(x, str) else f"{float(x):.4f}" for x in wanted]
    assert re.findall(r"-?\d+\.\d{4}", here(id))[: len(shown)] == shown


def test_step_size_tells_where_the_path_ends():
    """Descent by hand: how many steps of 0.1 until the true class has 0.99."""
    z, steps = np.array(SEED), 0
    while True:
        a = np.exp(z) / np.exp(z).sum()
        if a[2] >= 0.99:
            break
        z = z - 0.1 * (a - np.eye(4)[2])
        steps += 1
    assert f"After {steps} such steps a_2 is {a[2]:.4f}." in here("step-size")


def test_answers_for_labels_that_count_from_one():
    text = here("zero-or-one-based", SEED, 3, first_class=1)
    assert text == (
        "Here the label 3 counts from 1: it is output 3 of 4. If it was meant to count from 0, "
        "the true class would be the one that is numbered 4 here, and the loss 3.6435, not 2.3435."
    )
    assert "a_3 = −log 0.09599" in here("only-true-class", SEED, 3, first_class=1)
    assert "would go from 1 to 4" in here("zero-or-one-based", SEED, 0)
    assert "would go from 0 to 3" in here("zero-or-one-based", SEED, 4, first_class=1)
    calls = here("same-as-frameworks", SEED, 3, first_class=1)
    assert "y counts from 0" in calls
    assert f"z, y = {SEED}, 2\n" in calls


def test_class_names_are_shown_as_text():
    names = ["cat", "\x1b[31mred\n", "f" * 1000, "<b>"]
    why = explain(SEED, 2, classes=names)
    text = "\n".join(answer.text for answer in answers(why))
    assert r"class 1 (\x1b[31mred\n)" in text
    assert "class 2 (fffffffffffffffffffffff…)" in text
    assert "class 0 (cat)" in text
    assert all(c == "\n" or c.isprintable() for c in text)


# --- the calls that the reader is told to type ---------------------------------------------------


def call_each(logits, label, **options):
    """The number of each call that is printed and whose library is here, by its first word."""
    text = here("same-as-frameworks", logits, label, **options)
    lines = [line.strip() for line in text.splitlines() if line.startswith("   ")]
    import scipy.special
    import sklearn.metrics
    import torch

    known = {"softmaxloss": softmaxloss, "torch": torch, "scipy": scipy, "sklearn": sklearn}
    known["logits"] = logits
    exec(lines[0], known)
    results = {}
    for line in lines[1:]:
        word = re.match(r"-?(\w+)", line)[1]
        if word in known:
            results[word] = float(eval(line, known))
        else:
            assert line == "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)"
    return text, results


@pytest.mark.parametrize("first_class", [0, 1])
@pytest.mark.parametrize("classes", [2, 3, 12, 13, 1000])
def test_each_printed_call_gives_the_number(classes, first_class):
    z = np.random.default_rng(classes).normal(0, 3, classes).tolist()
    _, results = call_each(z, classes // 2 + first_class, first_class=first_class)
    assert list(results) == ["softmaxloss", "torch", "scipy", "sklearn"]
    with mpmath.workdps(50):
        J = float(mpmath.log(mpmath.fsum(map(mpmath.exp, z))) - mpmath.mpf(z[classes // 2]))
    for word, got in results.items():
        assert got == pytest.approx(J, rel=1e-5 if word == "torch" else 1e-12), word


def test_the_call_for_tensorflow():
    tf = pytest.importorskip("tensorflow")
    got = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=2, logits=SEED)
    assert float(got) == pytest.approx(explain(SEED, 2).before.loss, rel=1e-6)


def test_the_answer_says_where_frameworks_differ():
    text, results = call_each([-INF, 0.0, 3.0], 0)
    assert results == {"softmaxloss": INF, "torch": INF, "scipy": INF}
    assert "clips a_0 to 2.2e-16: it would return 36.0437" in text
    import sklearn.metrics

    assert f"{sklearn.metrics.log_loss([0], [[0.0, 1.0]], labels=[0, 1]):.4f}" == "36.0437"

    text, results = call_each([100.0, 0.0], 0)
    assert results["softmaxloss"] == pytest.approx(math.exp(-100))
    assert results["torch"] == 0.0
    assert "Only softmaxloss keeps such a small loss" in text

    text, results = call_each([1e8, 1e8 + 1], 0)
    assert results["scipy"] == pytest.approx(math.log1p(math.e))
    assert results["torch"] == pytest.approx(math.log(2))  # float32 has no 1e8 + 1
    assert "dtype=torch.float64" in text


# --- inputs out of the ordinary ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logits", "why"),
    [
        ([NAN, 1.0], "class 0 is NaN"),
        ([1.0, INF, 2.0], "class 1 is +inf"),
        ([-INF, -INF], "Every logit is -inf"),
    ],
)
def test_a_row_without_a_softmax_has_the_reason_and_the_general_answer(logits, why):
    for answer in answers(explain(logits, 0)):
        reason, general = answer.text.split("\n\n")
        assert reason.startswith("This row has no softmax.")
        assert why in reason
        assert general == QUESTIONS[answer.id].general


def test_one_class_has_nothing_to_learn():
    for answer in answers(explain([5.0], 0)):
        assert "Here there is one class: its probability is 1, the loss 0" in answer.text


UNUSUAL = [
    pytest.param([0.0, -INF], 1, {
        "only-true-class": "J = −log a_1 = +inf",
        "gradient-sign": "-1.0000, and a step of 0.1 leaves z_1 at -inf.",
        "step-size": "J stays +inf",
        "several-labels": 'J = −log a_1 − log a_0 = +inf with "sum", and with "mean" too',
        "good-loss": "J = +inf nats is above ln 2",
        "logits": "z_1 is -inf",
        "minus-infinity": "case here: z_1 is -inf, a_1 is 0, J is +inf and ∂J/∂z_1 is -1.",
    }, id="true class masked"),
    pytest.param([-INF, 3.0], 1, {
        "only-true-class": "No other class has a share of the denominator: each is masked out.",
        "others-learn": "every other class is masked out, so a_1 is 1: every derivative is 0",
        "gradient-sign": "∂J/∂z_1 is 0, and nothing is pushed",
        "derivatives-sum": "every derivative is 0, and so is their sum",
        "step-size": "J is 0, and no step is needed",
        "logits": "all outputs but z_1 are -inf",
        "minus-infinity": "1 other class is masked out, and J is 0.0000.",
    }, id="only the true class left"),
    pytest.param([1000.0, 0.0], 0, {
        "others-learn": "a_0 is 1 as far as float64 can show: every derivative is 0",
        "index-or-one-hot": "0 · log 0 would be NaN",
        "logits": "z_0 − z_1 = 1000.0000, so a_0 / a_1 is too large for float64",
        "subtract-max": "exp m would be inf: NaN, in float64 too",
    }, id="a_y rounds to 1"),
    pytest.param([10.0, 0.0], 0, {
        "only-true-class": "J = −log a_0 = −log 0.9999546 = 4.54e-05, one of 2",
        "gradient-sign": "∂J/∂z_0 = a_0 − 1 = 0.9999546 − 1 = -4.54e-05",
    }, id="a_y near 1"),
    pytest.param([30.0, 0.0], 0, {
        "only-true-class": "J = −log a_0 = 9.36e-14, one of 2",
        "gradient-sign": "∂J/∂z_0 = a_0 − 1 = -9.36e-14",
    }, id="a_y nearer to 1"),
    pytest.param([1000.0, 0.0], 1, {
        "only-true-class": "J = −log a_1 = 1000.0000, one of 2",
        "same-as-frameworks": "36.0437",
    }, id="a_y rounds to 0"),
    pytest.param([1.0, 1.0, 0.0], 1, {
        "order": "z_0 = 1.0000 (shared by 2 classes: the first of them is taken)",
        "logits": "class 1 is as likely as class 0",
    }, id="tie"),
    pytest.param([1e-6, 0.0], 1, {
        "zero-or-one-based": "and the loss 0.693147, not 0.693148.",
        "good-loss": "J = 0.693148 nats (1.0000 bits) is above ln 2 = 0.693147,",
    }, id="losses that four decimals do not tell apart"),
    pytest.param([0.0, 0.0, 0.0], 1, {
        "zero-or-one-based": "the loss, by chance, 1.0986 as well",
        "softmax-or-sigmoid": "would not show here: J would be the same",
        "good-loss": "is equal to ln 3 = 1.0986",
        "subtract-max": "exp(z_n − m) is 1 for all classes",
    }, id="all equal"),
    pytest.param([math.log(3.0), 0.0], 0, {
        "softmax-or-sigmoid": "a_0 = sigmoid(z_0 − z_1) = 0.7500",
        "good-loss": "below ln 2 = 0.6931, and exp(−J) = a_0 = 0.7500. The prediction is class 0, "
        "and right.",
        "only-true-class": "The rest has 0.2500 of the denominator.",
        "derivatives-sum": "and the rest adds up to 0.2500: together 0",
    }, id="two classes"),
    pytest.param([1e30, -1e30], 1, {
        "others-learn": "leaves z_0 at 1e+30: the step is too small for float64 to show",
        "step-size": "float64 shows only rounding: J stays 2e+30",
        "minus-infinity": "z_1 = -1e+30 is finite, no class is masked out, and J is 2e+30",
    }, id="huge"),
    # A spacing of float64 is 1/8 here: the step is rounded to it, and J would fall by too much.
    pytest.param([1e15, 1e15 + 1], 0, {
        "step-size": "float64 shows only rounding: J stays 1.3133",
    }, id="common offset"),
    pytest.param([1e308, -1e308], 1, {
        "step-size": "J is too large for float64",
        "logits": "z_1 and z_0 are too far apart for float64",
        "minus-infinity": "z_1 = -1e+308 is finite; J is +inf only because float64 ends",
    }, id="difference overflows"),
    pytest.param([100.0, 1.0], 0, {
        "subtract-max": "exp m itself is 2.688117142e+43: float64 holds it, in float32 it is inf.",
    }, id="overflows in float32"),
    pytest.param([-800.0, -801.0], 0, {
        "subtract-max": "every exp z would be 0: 0 / 0, which is NaN as well",
    }, id="underflows"),
    pytest.param([-300.0, -301.0], 0, {"subtract-max": "5.15e-131."}, id="no overflow yet"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("logits", "label", "id", "says"),
    [
        pytest.param(logits, label, id, says, id=f"{case.id}: {id}")
        for case in UNUSUAL
        for logits, label, wanted in [case.values]
        for id, says in wanted.items()
    ],
)
def test_the_answer_for_an_unusual_input(logits, label, id, says):
    assert says in here(id, logits, label)


def test_a_step_out_of_range():
    assert "out of the range of float64" in here("step-size", [1e308, 0.0], 1, step=1.7e308)
    assert "z_0 out of the range of float64" in here("others-learn", [-1e308] * 2, 1, step=1.7e308)


def test_answers_for_200_000_classes_are_short_and_fast():
    z = np.random.default_rng(0).normal(0, 3, 200_000)
    z[::7] = -INF
    why = explain(z, 12, classes=[f"word {n}" for n in range(z.size)], steps=2)
    answers(why)
    start = time.process_time()
    found = answers(why)
    assert time.process_time() - start < 0.5
    for answer in found:
        assert len(answer.text) < 1200
    assert "one of 200000 possible losses" in found[0].text
    assert "a one-hot row of 200000 numbers: a 1 in place 13, and 0 in all the others" in here(
        "index-or-one-hot", z, 12
    )
    assert "z, y = logits, 12  # all 200000 logits" in here("same-as-frameworks", z, 12)


@given(
    st.lists(st.floats(width=64) | st.sampled_from([NAN, INF, -INF]), min_size=1, max_size=15),
    st.integers(0, 14),
    st.floats(0, exclude_min=True, allow_infinity=False, allow_nan=False),
    st.integers(0, 1),
)
@settings(deadline=None)
def test_any_row_has_every_answer(z, y, step, first_class):
    y %= len(z)
    why = explain(z, y + first_class, step=step, first_class=first_class)
    for answer in answers(why):
        assert answer.text.strip() == answer.text
        assert len(answer.text.split("\n\n")) in (2, 3, 4)
        assert all(c == "\n" or c.isprintable() for c in answer.text)
        assert "None" not in answer.text
        if why.defined:
            assert not re.search(r"\bnan\b", answer.text), answer.text


@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=12),
    st.integers(0, 11),
    st.floats(1e-3, 10.0),
)
@settings(deadline=None)
def test_the_claims_of_the_answers_hold(z, y, step):
    y %= len(z)
    why = explain(z, y, step=step)
    a, J = why.before.probabilities, why.before.loss

    # No formula with rounded numbers contradicts itself: readers compute it for themselves.
    if found := re.search(r"−log (\d\S*) = (\S+), one of", ask(why, "only-true-class").text):
        assert number(-math.log(float(found[1]))) == found[2]
    if found := re.search(r"= (\d\S*) − 1 = (\S+), and", ask(why, "gradient-sign").text):
        assert number(float(found[1]) - 1) == found[2]
    # derivatives-sum and only-true-class print one number for two that are equal.
    assert math.fsum(np.delete(a, y)) == pytest.approx(-why.gradient[y], rel=1e-13)
    # step-size: J falls, and by no more than the bound.
    step_size = ask(why, "step-size").text
    if "J falls by" in step_size:
        fall, bound = numbers(step_size.split("J falls by")[1].split(" After")[0])[0::2][:2]
        assert 0 < fall <= bound
    # order: the probabilities have the order of the outputs.
    assert (np.diff(a[np.argsort(z, kind="stable")]) >= 0).all()
    # good-loss: below ln 2 the prediction is right.
    good = ask(why, "good-loss").text
    assert ("and right" in good) == (why.predicted == y)
    if math.log(2) > J:
        assert "and right" in good
    # several-labels: descent with two labels ends at 1/2 each.
    assert "nothing is left to learn" not in ask(why, "others-learn").text


def test_two_labels_end_at_one_half():
    z = np.array(SEED)
    both = np.array([1.0, 0.0, 1.0, 0.0])
    for _ in range(5000):
        _, gradient = softmaxloss.cross_entropy_with_grad(z, both, multi_label="mean")
        z = z - gradient
    a = np.exp(z) / np.exp(z).sum()
    assert a[[0, 2]] == pytest.approx([0.5, 0.5], abs=1e-3)


def test_the_docs_list_every_question() -> None:
    docs = Path(__file__).parent.parent / "docs" / "explain.md"
    text = docs.read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([\w-]+)` \| (.+) \|$", text, re.MULTILINE)
    assert listed == [(question.id, question.title) for question in QUESTIONS.values()]
