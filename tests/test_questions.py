"""The questions about one example: each answer's numbers, and an answer for every kind of input."""

from __future__ import annotations

import contextlib
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
from tests.arithmetic import confirm, confirm_signs
from tests.exact_answers import numbers_of
from tests.paraphrases import HELD_OUT, OTHERS, PARAPHRASES

import softmaxloss
from softmaxloss import OptionError
from softmaxloss.explanation import explain
from softmaxloss.explanation.questions import QUESTIONS, answers, ask, find

INF, NAN = math.inf, math.nan
SEED = [2.0, 1.0, 0.1, -1.2]

# Pages and programs hold on to these: one is added, none is renamed.
IDS = {
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
    "which-is-raised",
    "derivative-by-a",
    "others-fall",
    "weights-not-outputs",
    "reach-one",
    "jacobian",
    "second-derivative",
    "range-of-loss",
    "why-log",
    "nat",
    "squared-error",
    "mean-or-sum",
    "negative-log-likelihood",
    "entropy-and-kl",
    "perplexity",
    "why-exp",
    "exp-minus-z",
    "always-positive",
    "two-classes",
    "temperature",
    "label-out-of-range",
    "ignore-index",
    "softmax-twice",
    "loss-and-accuracy",
    "class-weights",
    "label-smoothing",
    "nan",
    "what-is-softmax",
    "cross-entropy-loss",
    "gradient",
}


def here(id, logits=SEED, label=2, **options):
    """What the answer says of this example: all but its first paragraph, which is general."""
    return ask(explain(logits, label, **options), id).text.partition("\n\n")[2]


# --- the public names ----------------------------------------------------------------------------


def test_the_ids_stay_and_each_title_is_a_question():
    assert set(QUESTIONS) == IDS
    assert next(iter(QUESTIONS)) == "which-is-raised"  # the question that started all this
    for id, question in QUESTIONS.items():
        assert question.id == id
        assert question.title.endswith("?")
    assert len({question.title for question in QUESTIONS.values()}) == len(IDS)


def test_answers_are_in_the_order_of_the_questions():
    why = explain(SEED, 2)
    all_of_them = answers(why)
    assert [answer.id for answer in all_of_them] == list(QUESTIONS)
    for answer in all_of_them:
        assert answer == ask(why, answer.id)
        assert answer.title == QUESTIONS[answer.id].title
        assert answer == QUESTIONS[answer.id].answer(why)


# --- found by the words that people use ----------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "words"),
    [(id, words) for id, asked in PARAPHRASES.items() for words in asked],
)
def test_a_question_is_found_in_other_words(id, words):
    assert find(words).id == id


def test_words_that_were_not_designed_for_get_the_answer_or_a_list_with_it():
    """These were written with neither the terms nor the titles at hand, and are not tuned for."""
    right, wrong, listed, asked = 0, [], 0, 0
    for id, ways in HELD_OUT.items():
        for words in ways:
            asked += 1
            try:
                found = find(words).id
            except OptionError as error:
                listed += f"({id})" in str(error)
            else:
                right += found == id
                wrong += [(words, found)] if found != id else []
    assert asked > 150
    assert len(wrong) <= 0.05 * asked, wrong
    assert right + listed >= 0.9 * asked, (right, listed)


def test_what_is_not_about_the_loss_is_hardly_ever_answered():
    found = []
    for words in OTHERS:
        with contextlib.suppress(OptionError):
            found.append((words, find(words).id))
    assert len(found) <= 0.2 * len(OTHERS), found


@pytest.mark.parametrize("id", sorted(IDS))
def test_a_question_is_found_by_its_id_and_title_and_each_way_to_ask_it(id):
    question = QUESTIONS[id]
    assert find(id) is question
    assert find(question.title) is question
    assert find(question.title.upper().rstrip("?")) is question
    for words in question.asked:
        assert find(words) is question, words


def test_misspelled_words_are_found():
    assert find("what is the hesian").id == "second-derivative"
    assert find("what is perplexitty").id == "perplexity"
    assert find("derivative-sum").id == "derivatives-sum"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "why negative?",
            "no question is quite like 'why negative?'; the nearest are: Can the loss",
        ),
        (
            "xyz",
            "no question is quite like 'xyz'; softmaxloss.explanation.QUESTIONS has all of them",
        ),
        ("", "no question is quite like ''"),
        (7, "a question is text, got 7"),
        ("a\nb" * 1000, r"no question is quite like 'a\nba\nb"),
    ],
)
def test_words_that_mean_no_question_get_one_line(words, says):
    with pytest.raises(OptionError, match=re.escape(says)) as caught:
        ask(explain(SEED, 2), words)
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


def test_the_questions_asked_most():
    """The numbers were worked out with bc: a = e^z / 11.5137…, J = log 11.5137… − 0.1."""
    why = explain(SEED, 2, classes=["cat", "dog", "fox", "owl"])
    assert ask(why, "how does the network know which output to raise").text == (
        "The label decides it: the true class gets the −1. Its derivative ∂J/∂z_y = a_y − 1 is "
        "negative, that of every other class, ∂J/∂z_n = a_n, is positive, and descent moves each "
        "output against its derivative.\n\n"
        "Here ∂J/∂z_2 = a_2 − 1 = 0.0960 − 1 = −0.9040, and a step of 0.1 takes z_2 from 0.1000 to "
        "0.1904. The others fall; the largest push takes z_0 from 2.0000 to 1.9358."
    )
    assert ask(why, "only-true-class").text.split("\n\n")[1] == (
        "Here J = −log a_2 = −log 0.09599 = 2.3435. The 3 others hold 90.4 % of the probability."
    )
    assert ask(why, "others-fall").text.split("\n\n")[1] == (
        "Here, for class 1 (dog), z falls from 1.0000 to 0.9764, yet a rises from 0.2361 to "
        "0.2393, because the z of class 0 (cat) falls more. In the long run a falls too: after 754 "
        "steps it is 0.0039."
    )


CODE = {"jacobian", "same-as-frameworks"}


@pytest.mark.parametrize("id", sorted(IDS))
def test_an_answer_is_short_and_quotes_the_numbers_of_the_example(id):
    text = ask(explain(SEED, 2), id).text
    general, *rest = text.split("\n\n")
    prose = [part for part in rest if not part.startswith("   ")]
    sentences = re.findall(r"[.?](?= |$)", " ".join([general, *prose]))
    assert len(sentences) <= 5
    assert max(len(words.split()) for words in re.split(r"[.;:?] ", general)) <= 34
    shown = {x for x, _ in quoted(" ".join(prose))}
    exact = numbers_of(SEED, 2, 0.1, [10, 100, 754])[id]
    assert any(shows(x, wanted) for x in shown for wanted in exact)


def quoted(text):
    """The numbers with decimals in a text, as they are written, and whether it is a percentage.
    Those that are the same for every example are left out."""
    constant = {
        "0.3679",
        "2.7183",
        "1.4427",
        "88.72",
        "709.78",
        "11.09",
        "1.8e+308",
        "2.2e-16",
        "1e-7",
        "1e-16",
    }
    found = []
    for sign, digits, power, percent in re.findall(
        r"(?<![\w.])(−?)(\d+\.\d+|\d(?=e))(e[+-]\d+)?(?!\d)( %)?", text
    ):
        if (digits + power not in constant and len(digits.partition(".")[2]) != 1) or percent:
            found.append((f"{'-' if sign else ''}{digits}{power}", bool(percent)))
    return found


def shows(x, wanted):
    """Whether the exact number is written so, to its last digit."""
    digits, _, power = x.partition("e")
    place = mpmath.mpf(10) ** (int(power or 0) - len(digits.partition(".")[2]))
    return abs(mpmath.mpf(x) - wanted) <= 0.5 * place * (1 + 1e-6) + 1e-12 * abs(wanted)


@given(
    st.lists(
        st.one_of(st.floats(-20, 20), st.floats(-9, 9).map(lambda x: round(x, 1))),
        min_size=2,
        max_size=7,
    ),
    st.integers(0, 6),
    st.sampled_from([0.1, 1.0]),
)
@settings(deadline=None, max_examples=60)
def test_every_number_of_an_answer_is_exact(z, y, step):
    """Each number that is quoted, against mpmath."""
    y %= len(z)
    why = explain(z, y, step=step, steps=30)
    assert why.path is not None
    exact = numbers_of(z, y, step, why.path.steps.tolist())
    for answer in answers(why):
        text = "\n\n".join(
            part for part in answer.text.split("\n\n")[1:] if not part.startswith("   ")
        )
        for x, percent in quoted(text.replace("more than 99.9 %", "")):
            assert any(shows(x, wanted * (100 if percent else 1)) for wanted in exact[answer.id]), (
                answer.id,
                x,
                text,
            )


def test_the_jacobian_that_is_printed():
    text = here("jacobian")
    known = {"np": np}
    exec("\n".join(line[3:] for line in text.splitlines() if line.startswith("   ")), known)
    J = known["jacobian"]
    a = np.exp(SEED) / np.exp(SEED).sum()
    assert (
        pytest.approx(np.array([[a[i] * ((i == n) - a[n]) for n in range(4)] for i in range(4)]))
        == J
    )
    row = "  ".join(f"{x:.4f}".replace("-", "−") for x in J[2])
    assert f"Its row 2, for class 2, is [{row}]. Times ∂J/∂a_2 = −10.4180 it is" in text


@pytest.mark.parametrize("z", [[2.0, 1.0, -INF, 0.0], [2000.0, 1.0, -500.0, 0.0]])
def test_zero_times_infinity_is_no_derivative(z):
    text = explain(z, 2).ask("jacobian").text
    assert "Times" not in text
    assert "∂J/∂a_2 is too large for float64" in text


@given(
    st.lists(
        st.floats(-30, 30) | st.floats(-900, 900) | st.just(-INF), min_size=2, max_size=9
    ).filter(lambda z: max(z) > -INF),
    st.integers(0, 8),
    st.sampled_from([0, 1]),
)
@settings(deadline=None)
def test_a_calculator_confirms_the_answers(z, y, first_class):
    y %= len(z)
    for answer in answers(explain(z, y + first_class, first_class=first_class, steps=20)):
        prose = "\n".join(line for line in answer.text.split("\n") if not line.startswith("   "))
        confirm(prose)
        confirm_signs(prose)


def test_the_answers_have_formulas():
    assert sum(confirm(answer.text) for answer in answers(explain(SEED, 2))) >= 15


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
        ([-INF, -INF], "Every logit is −inf"),
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
        "only-true-class": "J = −log a_1 = inf",
        "gradient-sign": "−1.0000, and a step of 0.1 leaves z_1 at −inf.",
        "step-size": "J stays inf",
        "several-labels": 'J = −log a_1 − log a_0 = inf with "sum", and with "mean" too',
        "good-loss": "J = inf is above ln 2",
        "logits": "z_1 is −inf",
        "minus-infinity": "case here: z_1 is −inf, a_1 is 0, J is inf and ∂J/∂z_1 is −1.",
    }, id="true class masked"),
    pytest.param([-INF, 3.0], 1, {
        "only-true-class": "No other class has a share of the denominator: each is masked out.",
        "others-learn": "every other class is masked out, so a_1 is 1: every derivative is 0",
        "gradient-sign": "∂J/∂z_1 is 0, and nothing is pushed",
        "derivatives-sum": "every derivative is 0, and so is their sum",
        "step-size": "J is 0, and no step is needed",
        "logits": "all outputs but z_1 are −inf",
        "minus-infinity": "1 other class is masked out, and J is 0.0000.",
    }, id="only the true class left"),
    pytest.param([1000.0, 0.0], 0, {
        "only-true-class": "The other class holds less of the probability than float64 can show.",
        "others-learn": "a_0 is 1 as far as float64 can show: every derivative is 0",
        "index-or-one-hot": "0 · log 0 would be NaN",
        "logits": "z_0 − z_1 = 1000.0000, so a_0 / a_1 is too large for float64",
        "subtract-max": "exp m would be inf: NaN, in float64 too",
    }, id="a_y rounds to 1"),
    pytest.param([10.0, 0.0], 0, {
        "only-true-class": "J = −log a_0 = −log 0.9999546 = 4.54e-05. The other class holds",
        "gradient-sign": "∂J/∂z_0 = a_0 − 1 = 0.9999546 − 1 = −4.54e-05",
    }, id="a_y near 1"),
    pytest.param([30.0, 0.0], 0, {
        "only-true-class": "J = −log a_0 = 9.36e-14.",
        "gradient-sign": "∂J/∂z_0 = a_0 − 1 = −9.36e-14",
    }, id="a_y nearer to 1"),
    pytest.param([1000.0, 0.0], 1, {
        "only-true-class": "J = −log a_1 = 1000.0000.",
        "same-as-frameworks": "36.0437",
    }, id="a_y rounds to 0"),
    pytest.param([1.0, 1.0, 0.0], 1, {
        "order": "z_0 = 1.0000 (shared by 2 classes: the first of them is taken)",
        "logits": "class 1 is as likely as class 0",
    }, id="tie"),
    pytest.param([1e-6, 0.0], 1, {
        "zero-or-one-based": "and the loss 0.693147, not 0.693148.",
        "good-loss": "J = 0.693148 is above ln 2 = 0.693147,",
    }, id="losses that four decimals do not tell apart"),
    pytest.param([0.0, 0.0, 0.0], 1, {
        "zero-or-one-based": "the loss, by chance, 1.0986 as well",
        "softmax-twice": "J would be 1.0986 as well",
        "good-loss": "is equal to ln 3 = 1.0986",
        "subtract-max": "exp(z_n − m) is 1 for all classes",
    }, id="all equal"),
    pytest.param([math.log(3.0), 0.0], 0, {
        "two-classes": "a_0 = sigmoid(z_0 − z_1) = sigmoid(1.0986) = 0.7500.",
        "good-loss": "below ln 2 = 0.6931, and the true class has the probability 0.7500. The "
        "prediction is class 0, and right.",
        "only-true-class": "The other class holds 25 % of the probability.",
        "derivatives-sum": "and the rest adds up to 0.2500: together 0",
    }, id="two classes"),
    pytest.param([1e30, -1e30], 1, {
        "others-learn": "leaves z_0 at 1e+30: the step is too small for float64 to show",
        "step-size": "float64 shows only rounding: J stays 2e+30",
        "minus-infinity": "z_1 = −1e+30 is finite, no class is masked out, and J is 2e+30",
    }, id="huge"),
    # A spacing of float64 is 1/8 here: the step is rounded to it, and J would fall by too much.
    pytest.param([1e15, 1e15 + 1], 0, {
        "step-size": "float64 shows only rounding: J stays 1.3133",
    }, id="common offset"),
    pytest.param([1e308, -1e308], 1, {
        "step-size": "J is too large for float64",
        "logits": "z_1 and z_0 are too far apart for float64",
        "minus-infinity": "z_1 = −1e+308 is finite; J is inf only because float64 ends",
    }, id="difference overflows"),
    pytest.param([100.0, 1.0], 0, {
        "subtract-max": "exp m itself is 2.688117142e+43: float64 holds it, in float32 it is inf.",
    }, id="overflows in float32"),
    pytest.param([-800.0, -801.0], 0, {
        "subtract-max": "every exp z would be 0: 0 / 0, which is NaN as well",
    }, id="underflows"),
    pytest.param([0.0, -INF, 3.0], 0, {
        "always-positive": "z_1 is −inf: a_1 is 0, and nothing pushes class 1.",
        "exp-minus-z": "what is masked out would win",
        "label-smoothing": "that of these outputs is inf",
    }, id="another class masked"),
    pytest.param([0.0, 1.0], 0, {
        "others-fall": "no wrong probability rises; a_1 falls from 0.7311 to",
        "weights-not-outputs": "if ‖x‖² is 4, it raises z_0 by 4 · 0.0731 = 0.2924.",
    }, id="nothing rises"),
    pytest.param([18.0, 0.0, 1.0], 0, {
        "squared-error": "and −1.03e-14 with the squared error",
    }, id="cancels"),
    pytest.param([0.0, 2.0, -INF], 2, {
        "others-fall": "z_2 is −inf: a_2 stays 0, and the others keep all of the probability.",
        "which-is-raised": "leaves z_2 at −inf. The others fall; the largest push takes z_1",
    }, id="impossible, others rise"),
    pytest.param([12.0, 0.0], 0, {"nan": "12.0000, and exp of it overflows in float16."}, id="12"),
    pytest.param([100.0, 200.0], 0, {
        "nan": "200.0000, and exp of it overflows in float16 and float32.",
        "perplexity": "Here it is exp(100.0000) = 2.688117142e+43.",
    }, id="200"),
    pytest.param([0.0, 1000.0], 0, {
        "perplexity": "J = 1000.0000, and exp of it is beyond float64.",
        "derivative-by-a": "is too small or too large for float64",
        "always-positive": "a_1 = 1.0000",
    }, id="sure and wrong"),
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
    assert "The 199999 others hold" in here("only-true-class", z, 12)
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

    # derivatives-sum prints one number for two that are equal.
    assert math.fsum(np.delete(a, y)) == pytest.approx(-why.gradient[y], rel=1e-13)
    # step-size: J falls, and by no more than the bound.
    if found := re.search(
        r"J falls by (\S+); the bound \S+ · Σ \(∂J/∂z_n\)² is (\S+?)\.(?: |$)",
        ask(why, "step-size").text,
    ):
        assert 0 < float(found[1]) <= float(found[2])
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
    listed = re.findall(r"^\| `(?!ask`)([\w-]+)` \| (.+) \|$", text, re.MULTILINE)
    assert listed == [(question.id, question.title) for question in QUESTIONS.values()]
