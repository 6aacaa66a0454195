"""What is printed as a formula is confirmed by a calculator, in text, answers and page."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.arithmetic import confirm, confirm_signs, formulas, plain

from softmaxloss.explanation import explain, explain_set

SEED = [2.0, 1.0, 0.1, -1.2]

EXAMPLES = st.tuples(
    st.integers(2, 14).flatmap(
        lambda count: st.lists(
            st.one_of(
                st.floats(-12, 12),
                st.floats(-12, 12).map(lambda x: round(x, 1)),
                st.floats(-800, 800),
                st.just(-math.inf),
            ),
            min_size=count,
            max_size=count,
        )
    ),
    st.integers(0, 13),
    st.sampled_from([0.1, 1.0, 0.037]),
)


def examples(quick, slow):
    """A parameter `count` of examples: some in each run, more of them in the slow one."""
    counts = [quick, pytest.param(slow, marks=pytest.mark.slow)]
    return pytest.mark.parametrize("count", counts)


def test_the_reader_finds_the_formulas():
    text = (
        "J = −log a_2 = −log 0.09599 = 2.3435. Then a_2 − 1 = 0.0960 − 1 = −0.9040, and ln 4 = "
        "1.3863 is"
    )
    assert formulas(text) == [
        ("− log 0.09599", "2.3435"),
        ("0.0960 − 1", "− 0.9040"),
        ("ln 4", "1.3863"),
    ]
    assert confirm(text) == 3
    page = "<p>a<sub>2</sub> = <span>0.1496</span> / 1.5582 = <b>0.0960</b></p>"
    assert formulas(plain(page)) == [("0.1496 / 1.5582", "0.0960")]


@pytest.mark.parametrize(
    "wrong",
    ["J = −log 0.0960 = 2.3435", "= 0.0960 − 1 = −0.9041", "exp(−1.2) = 0.4", "1 / 3 = 0.3334"],
)
def test_the_reader_notices_a_wrong_digit(wrong):
    with pytest.raises(AssertionError, match="printed as"):
        confirm(wrong)


@pytest.mark.parametrize("wrong", ["is -0.9040", "−(−1.2)", "1.0 + −2.0", "3 − -1"])
def test_the_reader_notices_a_wrong_sign(wrong):
    with pytest.raises(AssertionError):
        confirm_signs(wrong)


@examples(100, slow=300)
def test_a_calculator_confirms_the_text(count):
    @given(EXAMPLES)
    @settings(deadline=None, max_examples=count)
    def confirmed(example):
        z, y, step = example
        text = explain(z, y % len(z), step=step, steps=20).to_text(width=200)
        confirm(text)
        confirm_signs(text)

    confirmed()


@examples(20, slow=60)
def test_a_calculator_confirms_the_page(count):
    @given(EXAMPLES)
    @settings(deadline=None, max_examples=count)
    def confirmed(example):
        z, y, step = example
        why = explain(z, y % len(z), step=step, steps=20)
        for page in (why.to_html(), why.to_fragment()):
            confirm(plain(page))
            confirm_signs(plain(page))

    confirmed()


def test_the_page_has_its_formulas():
    assert confirm(plain(explain(SEED, 2).to_html())) >= 20  # with those of the answers


@examples(20, slow=60)
def test_a_calculator_confirms_several_labels_sets_and_layers(count):
    @given(EXAMPLES, st.lists(st.sampled_from([0.0, 1.0, 0.5]), min_size=14, max_size=14))
    @settings(deadline=None, max_examples=count)
    def confirmed(example, q):
        z, y, step = example
        y %= len(z)
        x = np.nan_to_num(z, neginf=-3.0)
        parts = [
            explain(z, q[: len(z)]),
            explain_set([z, z[::-1]], [y, y]),
            explain(None, y, features=x, linear_weight=np.eye(len(z)), linear_bias=x, step=step),
        ]
        for why in parts:
            text = why.to_text(width=200)
            confirm(text)
            confirm_signs(text)

    confirmed()


def test_the_text_has_its_formulas():
    assert confirm(explain(SEED, 2).to_text()) == 6
