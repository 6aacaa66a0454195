"""The page in a real browser: its sentences, picture and labels follow the numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.browsing import (
    LAYER,
    NAMES,
    SEED,
    Open,
    agrees,
    as_written,
    in_sight,
    prose,
    shown,
    type_logit,
    unfold,
)

from softmaxloss.explanation import Explanation, explain
from softmaxloss.explanation.page.drawing import scale_of
from softmaxloss.explanation.rendering.numbers import number
from softmaxloss.text import shorten

INF, NAN = math.inf, math.nan

OPENED: dict[str, Explanation] = {
    "seed": explain(SEED, 2),
    "named": explain(SEED, 2, classes=["a name of more than 24 characters", *NAMES[1:]]),
    "right": explain([10.0, 0.0], 0),
    "certain": explain([1000.0, 0.0], 0),
    "hopeless": explain([1000.0, 0.0], 1),
    "no way there": explain([0.0, -INF], 1),
    "masked": explain([0.0, 1.0, -INF], 0),
    "all masked but one": explain([0.0, -INF], 0),
    "nan": explain([NAN, 1.0, 2.0], 0),
    "inf": explain([INF, 1.0], 1),
    "nothing left": explain([-INF, -INF], 1),
    "stopped": explain([9.0, 0.0], 1, step=0.001),
    "few steps": explain(SEED, 2, steps=10),
    "too large": explain([1e308, -1e308, 0.0], 1, step=1e308),
    "small step": explain(SEED, 2, step=0.000123456789),
    "13 classes": explain(np.arange(13.0), 12, first_class=1),
    "many": explain(np.random.default_rng(0).normal(size=5000) * 5, 17),
    "layer": explain(None, 1, linear_bias=[0.0, 1.0, 2.0], features=[1.0], linear_weight=[[1]] * 3),
}


def knobs(why: Explanation) -> dict[str, float]:
    """What the controls of each class listed show, by their labels; NaN for an empty field."""
    found = {}
    listed = why.listed() if why.terms.size > 1 else []
    scale = scale_of([why.before.logits[n] for n in listed])
    for n in listed:
        known = f"class {why.number(n)}" if why.classes is None else shorten(why.classes[n], 24)
        z = float(why.before.logits[n])
        finite = math.isfinite(z)
        found[f"{known} is the true class"] = float(n == why.target)
        found[f"output of {known}, dragged"] = min(max(z, -scale), scale) if finite else 0.0
        digits = 4 if abs(z) < 100 else 6
        found[f"output of {known}, typed"] = float(f"{z:.{digits}g}") if finite else NAN
    return found


@pytest.mark.parametrize("name", OPENED)
def test_it_opens_as_it_was_written(visit: Open, name: str) -> None:
    why = OPENED[name]
    written = visit(why, java_script_enabled=False)
    page = visit(why)
    if 1 < why.terms.size <= 12 and why.defined:
        agrees(page, why)
    assert page.locator(".stale:visible, .warm:visible").count() == 0
    found = page.locator(".row input").evaluate_all(
        "all => all.map(e => [e.ariaLabel, e.type === 'radio' ? Number(e.checked) : e.value])"
    )
    values = {label: float(value) if value != "" else NAN for label, value in found}
    step = scale_of([why.before.logits[n] for n in why.listed()]) / 80  # of a slider
    for label, z in knobs(why).items():
        near = {"abs": 0.51 * step} if label.endswith("dragged") else {"rel": 1e-12}
        assert values.pop(label) == pytest.approx(z, nan_ok=True, **near), label
    assert not values
    # Running the script changes nothing that is read or seen, but for the controls.
    assert as_written(page) == as_written(written)


def test_the_picture_is_of_the_example_shown(visit: Open) -> None:
    """Also after another label, other outputs, another step size or temperature."""
    page = visit(explain(SEED, 2))

    def drawn(why: Explanation, i: int) -> None:
        path = why.path
        assert path is not None
        first, last = path.target_probability[[0, -1]], path.loss[[0, -1]]
        said = (
            f"Over {path.steps[-1]} steps of descent the probability of class {i} goes from "
            f"{number(first[0])} to {number(first[1])}, the loss from {number(last[0])} to "
            f"{number(last[1])}."
        )
        assert page.locator(".chart").get_attribute("aria-label") == said
        rows = page.locator(".path tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )
        assert rows == [
            [str(k), number(a), number(J)]
            for k, a, J in zip(path.steps, path.target_probability, path.loss, strict=True)
        ]
        points = page.locator("polyline[data-line=a]").get_attribute("points").split()
        assert len(points) == path.steps.size
        assert page.locator(".tick.middle").last.text_content() == str(path.steps[-1])
        assert page.locator(".path thead").text_content() == f"stepsa{i}J"
        goes = f"a{i} goes {'to 1' if path.reached else 'from'}"
        assert goes in page.locator("figcaption").inner_text().replace("\n", "")

    drawn(explain(SEED, 2), 2)
    page.locator('input[name=y][value="1"]').check()
    drawn(explain(SEED, 1), 1)
    type_logit(page, 0, "6.5")
    drawn(explain([6.5, *SEED[1:]], 1), 1)
    page.locator("[data-set=step]").fill("0.01")
    drawn(explain([6.5, *SEED[1:]], 1, step=0.01), 1)
    page.locator("[data-set=first]").select_option("1")
    drawn(explain([6.5, *SEED[1:]], 1, step=0.01), 2)
    page.get_by_role("button", name="Reset").click()
    drawn(explain(SEED, 2), 2)
    # While it plays: of the steps taken.
    for _ in range(3):
        page.get_by_role("button", name="Step", exact=True).click()
    told = [page.locator(f".path tbody tr:nth-child({k})").text_content() for k in (1, 2, 3, 4)]
    assert [line[0] for line in told] == ["0", "1", "2", "3"]
    assert shown(page, "path-a1") == shown(page, "a", "y")
    assert "In 3 steps, a" in page.locator("figcaption").inner_text()


def changes() -> list[Any]:
    """Every (given, z, y, step). Not slow: each of what is typed, once."""
    found = []
    typed = [
        ([3.0, -1.0, 2.0], 1, 0.25),
        ([700.0, -20.0, 5.0], 1, 12.5),
        ([1000.0, 0.0, 999.0], 1, 0.001),
        ([0.0, 1000.0, 0.0], 1, 1e-5),
        ([1e308, -1e308, 0.0], 1, 1e308),
        ([5.0, 4.0, 0.0], 0, 1234567.0),
    ]
    for i, given in enumerate([[0.0, 1.0, 2.0], [-INF, NAN, 1.0], [-INF, 0.0, -INF]]):
        for j, (z, y, step) in enumerate(typed):
            marks = pytest.mark.slow if (i + j) % 3 else ()
            found.append(pytest.param(given, z, y, step, marks=marks))
    return found


@pytest.mark.parametrize(("given", "z", "y", "step"), changes())
def test_a_changed_page_reads_as_one_written_for_the_new_numbers(
    visit: Open, given: list[float], z: list[float], y: int, step: float
) -> None:
    page = visit(explain(given, 2))
    for n, typed in enumerate(z):
        type_logit(page, n, str(typed))
    page.locator(f'input[name=y][value="{y}"]').check()
    page.locator("[data-set=step]").fill(str(step))
    written = visit(explain(z, y, step=step), java_script_enabled=False)
    assert as_written(page) == as_written(written)


def test_with_very_many_classes_there_is_no_picture_of_what_was_typed(visit: Open) -> None:
    page = visit(OPENED["many"])
    assert page.locator(".chart").is_visible()
    page.locator('input[type=number][data-z="17"]').fill("-9.5")
    assert page.locator(".chart").is_hidden()
    page.get_by_role("button", name="Reset").click()
    assert page.locator(".chart").is_visible()


def test_an_example_that_is_right_has_a_picture_later(visit: Open) -> None:
    page = visit(OPENED["right"], reduced_motion="reduce")
    assert page.locator("figure").is_hidden()
    page.locator("[data-do=play]").click()
    assert (
        page.get_by_role("status").inner_text()
        == "a of class 0 is 1.0000 already: there is nothing left to do."
    )
    agrees(page, OPENED["right"])
    page.get_by_role("button", name="Step", exact=True).click()
    agrees(page, explain(OPENED["right"].after.logits, 0))
    page.get_by_role("button", name="Reset").click()
    page.locator('input[name=y][value="1"]').check()
    assert page.locator("figure").is_visible()
    page.locator("[data-do=play]").click()
    assert float(shown(page, "a", "y")) >= 0.99
    path = explain([10.0, 0.0], 1).path
    assert path is not None
    assert shown(page, "path-steps") == f"{path.steps[-1]} steps"


def test_the_sentences_follow_the_numbers(visit: Open) -> None:
    page = visit(explain([0.0, 1.0, -INF], 0))
    masked = "where an is 0, as for an output of −inf, there is no push"
    every = "every other output is pushed down"
    assert masked in prose(page)
    assert every not in prose(page)
    type_logit(page, 2, "0.5")
    assert masked not in prose(page)
    assert every in prose(page)
    note = page.locator(".note")
    assert "masked out" in note.inner_text()  # and marked
    assert note.locator(".stale").inner_text() == "This is about the example as it was given."
    type_logit(page, 0, "900")
    assert "Every derivative is 0: a0 is 1, and nothing is pushed." in prose(page)
    assert "the true output is pushed up" not in prose(page)
    type_logit(page, 0, "-900")
    assert "the true output is pushed up" in prose(page)
    assert "is beyond what float64 can hold here" in prose(page)
    assert "The third column is the product" not in prose(page)
    page.get_by_role("button", name="Reset").click()
    page.locator('input[name=y][value="2"]').check()
    assert "the true output is −inf, and no step moves it from there" in prose(page)
    assert "the true output is pushed up." not in prose(page)
    page.locator("[data-do=play]").click()
    assert "away from −inf" in page.get_by_role("status").inner_text()


def test_the_list_of_strongest_classes_says_when_it_is_old(visit: Open) -> None:
    page = visit(OPENED["13 classes"])
    assert "The 11 strongest others are listed, the rest in one line." in prose(page)
    assert page.locator(".row.rest .who").inner_text() == "1 other"
    assert page.locator("tr.rest th").first.text_content() == "1 other"
    page.locator('input[type=number][data-z="12"]').fill("-5")
    assert "The 11 strongest" not in prose(page)
    assert "Listed are those that were the 11 strongest others at first" in prose(page)


def test_sliders_hold_any_number(visit: Open) -> None:
    page = visit(explain([1e308, 0.0], 1))
    knob = page.locator('input[type=range][data-z="1"]')
    assert page.locator('input[type=range][data-z="0"]').get_attribute("max") == "8e+307"
    type_logit(page, 1, "1e308")
    agrees(page, explain([1e308, 1e308], 1))
    assert [knob.get_attribute("min"), knob.get_attribute("max")] == ["-8e+307", "8e+307"]
    type_logit(page, 0, "1")
    type_logit(page, 1, "1")
    assert knob.get_attribute("max") == "8e+307"  # it grows where it must, and shrinks only at once
    page.get_by_role("button", name="A tie").click()
    assert [knob.get_attribute("min"), knob.get_attribute("max")] == ["-4", "4"]


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        *[("step", typed) for typed in ("-1", "0", "", "1e-400")],
        *[("T", typed) for typed in ("-1", "0", "", "1e-320")],
    ],
)
def test_a_wrong_setting_is_marked(visit: Open, field: str, typed: str) -> None:
    words = {
        "step": "The step size must be a number above 0.",
        "T": "The temperature must be a number, 0.001 or more.",
    }[field]
    page = visit(explain(SEED, 2))
    box, status = page.locator(f"[data-set={field}]"), page.get_by_role("status")
    box.fill(typed)
    assert box.get_attribute("aria-invalid") == "true"
    assert status.inner_text() == words
    assert status.evaluate("e => e.classList.contains('wrong')")
    for button in ("step", "play"):  # no step of another size than is shown
        page.locator(f"[data-do={button}]").click()
        agrees(page, explain(SEED, 2))
        assert status.inner_text() == words
    box.fill("1")
    assert box.get_attribute("aria-invalid") is None
    assert not status.evaluate("e => e.classList.contains('wrong')")
    box.fill("")
    page.get_by_role("button", name="Reset").click()
    assert box.get_attribute("aria-invalid") is None
    assert float(box.input_value()) == {"step": 0.1, "T": 1}[field]


def test_numbers_that_overflow_are_refused(visit: Open) -> None:
    page = visit(explain([1e306, 0.0], 1))
    page.locator("[data-set=T]").fill("0.002")
    assert page.get_by_role("status").inner_text() == (
        "The temperature is too low for outputs of this size."
    )
    page.locator("[data-set=T]").fill("0.5")
    type_logit(page, 0, "1e308")
    assert "too large for the temperature" in page.get_by_role("status").inner_text()
    page.locator("[data-do=reset]").focus()  # the field shows again what counts
    assert page.locator('input[type=number][data-z="0"]').input_value() == "1e+306"
    assert page.locator('input[type=number][data-z="0"]').get_attribute("aria-invalid") is None
    page = visit(OPENED["too large"])
    assert page.locator("figure").is_hidden()
    page = visit(explain([1.0, 0.5], 1, step=1.7e308))
    page.locator("[data-set=T]").fill("0.05")
    page.locator("[data-do=step]").click()
    assert "beyond the numbers of float64" in page.get_by_role("status").inner_text()
    page.locator("[data-set=step]").fill("1e-320")
    page.locator("[data-do=step]").click()
    assert "changes nothing" in page.get_by_role("status").inner_text()


def test_the_layer_section_stays_that_of_the_given_example(visit: Open) -> None:
    page = visit(explain(None, 1, linear_bias=[0.0, 1.0, 2.0], **LAYER))
    page.locator('input[name=y][value="2"]').check()
    layer = page.locator("section.given", has_text="6. The layer")
    assert layer.locator("tr.true th").inner_text() == "1"
    assert layer.locator(".stale").is_visible()
    assert (
        page.locator("section:not(.given) tr.true").evaluate_all(
            "rows => rows.map(row => row.dataset.n)"
        )
        == ["2"] * 4
    )
    page.locator("[data-set=first]").select_option("1")
    assert layer.locator("th[scope=row]").all_inner_texts() == ["1", "2", "3", "sum"]


def test_the_numbering_changes_in_labels_for_screen_readers(visit: Open) -> None:
    page = visit(explain(SEED, 2))
    page.locator("[data-set=first]").select_option("1")
    for known in ("class 1 is the true class", "output of class 4, dragged"):
        assert page.get_by_label(known).count() == 1
    assert page.get_by_label("output of class 4, typed").count() == 1
    assert "probability of class 3 goes" in page.locator(".chart").get_attribute("aria-label")
    assert "You told it the answer: class 3." in prose(page)
    assert page.locator("tr.true th").first.inner_text() == "3"


@pytest.mark.parametrize("z", [SEED, [10.0, -100.5, 3000.0, 4.0]], ids=["seed", "wide"])
def test_long_names_and_numbers_on_a_phone(visit: Open, z: list[float]) -> None:
    names = ["airplane", "automobile", "bird", "cat-like thing"]
    page = visit(explain(z, 3, classes=names), width=360)
    unfold(page)
    for n in range(4):
        in_sight(page, "term", n)
        in_sight(page, "push", n)
    for tick in page.locator(".chart .tick").all():
        size = "e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a"
        assert tick.evaluate(size) >= 11
        box, chart = tick.bounding_box(), page.locator(".chart").bounding_box()
        assert chart["x"] <= box["x"]
        assert box["x"] + box["width"] <= chart["x"] + chart["width"]


def test_a_long_name_is_cut_alike_before_and_after(visit: Open) -> None:
    page = visit(OPENED["named"])
    page.locator('input[name=y][value="0"]').check()
    assert "You told it the answer: a name of more than 24 …." in prose(page)
