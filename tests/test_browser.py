"""The page in a real browser: its numbers follow what is typed, dragged, chosen and played."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from tests.browsing import (
    LAYER,
    NAMES,
    SEED,
    Open,
    agrees,
    confirmed,
    in_sight,
    shown,
    type_logit,
    unfold,
)

from softmaxloss.explanation import explain, explain_set
from softmaxloss.explanation.rendering.numbers import number

NASTY = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\x1b[31m", "</script>x"]


def test_typing_a_logit_and_choosing_a_label(visit: Open) -> None:
    page = visit(explain(SEED, 2, classes=NAMES))
    type_logit(page, 0, "-0.75")
    agrees(page, explain([-0.75, 1.0, 0.1, -1.2], 2))
    page.locator('input[name=y][value="1"]').check()
    agrees(page, explain([-0.75, 1.0, 0.1, -1.2], 1))
    assert "You told it the answer: dog." in page.locator(".lead").inner_text()
    assert "only dog’s own term is the loss" in page.locator("main").inner_text()
    type_logit(page, 3, "")  # half typed: nothing happens
    agrees(page, explain([-0.75, 1.0, 0.1, -1.2], 1))
    type_logit(page, 3, "800")
    agrees(page, explain([-0.75, 1.0, 0.1, 800.0], 1))
    page.get_by_role("button", name="Reset").click()
    agrees(page, explain(SEED, 2))
    assert page.locator(".stale:visible").count() == 0


def test_dragging_a_slider_changes_its_output(visit: Open) -> None:
    page = visit(explain(SEED, 2))
    knob = page.locator('input[type=range][data-z="1"]')
    box = knob.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    z = float(knob.input_value())
    assert 2 < z < 3
    agrees(page, explain([2.0, z, 0.1, -1.2], 2))


def test_the_step_button_takes_one_step(visit: Open) -> None:
    page = visit(explain(SEED, 2))
    page.locator("[data-set=step]").fill("0.5")
    why = explain(SEED, 2, step=0.5)
    for taken in range(1, 4):
        page.get_by_role("button", name="Step", exact=True).click()
        why = explain(why.after.logits, 2, step=0.5)
        agrees(page, why)
        words = page.get_by_role("status").inner_text()
        a_y = number(why.before.probabilities[2])
        assert words.startswith(f"After {taken} step")
        assert f"a of class 2 is {a_y}, J is {number(why.before.loss)}." in words


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_playing_to_the_end(visit: Open, motion: str) -> None:
    page = visit(explain(SEED, 2, step=0.5), reduced_motion=motion)
    lines = page.locator("polyline[data-line=a]")
    before = lines.get_attribute("points")
    play = page.locator("[data-do=play]")
    play.click()
    page.wait_for_function(
        "() => document.querySelector('[data-do=play]').textContent === 'Play'"
        " && Number(document.querySelector('[data-v=a][data-n=y]').textContent) >= 0.99"
    )
    path = explain(SEED, 2, step=0.5).path
    assert path is not None
    end = explain(path.logits[-1], 2)
    assert f"After {path.steps[-1]} steps" in page.get_by_role("status").inner_text()
    # A step rounds a little otherwise in the browser; four decimals hide it.
    assert shown(page, "a", "y") == number(end.before.probabilities[2])
    assert shown(page, "J") == number(end.before.loss)
    assert lines.get_attribute("points") != before
    told = page.locator(".path tbody th").all_text_contents()
    assert told == [str(step) for step in path.steps]  # however many points are drawn
    page.get_by_role("button", name="Reset").click()
    assert lines.get_attribute("points") == before


def test_the_play_button_pauses(visit: Open) -> None:
    page = visit(explain([9.0, 0.0], 1, step=0.01), reduced_motion="no-preference")
    play = page.locator("[data-do=play]")
    play.click()
    assert play.get_attribute("aria-pressed") == "true"
    page.wait_for_function("() => /After 1/.test(document.querySelector('.status').textContent)")
    play.click()
    assert play.inner_text() == "Play"
    paused = page.get_by_role("status").inner_text()
    page.wait_for_timeout(200)
    assert page.get_by_role("status").inner_text() == paused


def test_the_axes_follow_the_steps(visit: Open) -> None:
    page = visit(explain(SEED, 2), reduced_motion="reduce")
    ticks = page.locator(".chart .tick")
    before = ticks.all_text_contents()
    page.locator("[data-set=step]").fill("0.01")
    type_logit(page, 0, "6")
    page.locator("[data-do=play]").click()
    words = page.get_by_role("status").inner_text()
    taken = re.findall(r"After (\d+) steps", words)
    path = explain(SEED, 2).path
    assert path is not None
    assert int(taken[0]) > path.steps[-1]
    assert taken[0] in page.locator(".tick.middle").all_text_contents()
    loss = explain([6.0, 1.0, 0.1, -1.2], 2).before.loss
    assert page.locator(".tick.J").last.text_content() == number(loss, 2)
    end = f"Over {taken[0]} steps of descent the probability of class 2 goes from "
    assert page.locator(".chart").get_attribute("aria-label").startswith(end)
    page.get_by_role("button", name="Reset").click()
    assert ticks.all_text_contents() == before
    assert "Over" in page.locator(".chart").get_attribute("aria-label")


def test_the_line_of_a_long_play_has_few_points(visit: Open) -> None:
    """5000 tiny steps, in five plays of 1000 at once: the line does not grow with them."""
    page = visit(explain([9.0, 0.0], 1), reduced_motion="reduce")
    page.locator("[data-set=step]").fill("0.00001")
    for _ in range(5):
        page.locator("[data-do=play]").click()
    assert page.get_by_role("status").inner_text().startswith("After 5000 steps: ")
    assert page.locator("[data-do=play]").inner_text() == "Play"
    points = page.locator("polyline[data-line=a]").get_attribute("points").split()
    assert 100 < len(points) < 1000


def test_the_formulas_follow_temperature_and_numbering(visit: Open) -> None:
    page = visit(explain(SEED, 2))
    page.locator("[data-set=T]").fill("2")
    why = explain(np.array(SEED) / 2, 2)
    assert shown(page, "a", 0) == number(why.before.probabilities[0])
    assert shown(page, "J") == number(why.before.loss)
    assert shown(page, "plain-grad", "y") == number(why.gradient[2] / 2)
    # What the page writes as a formula is true of the numbers in it.
    assert confirmed(page) >= 6
    told = [" ".join(f.split()) for f in page.locator(".formula:visible").all_inner_texts()]
    a_y, slope = number(why.before.probabilities[2]), number(why.gradient[2] / 2)
    assert f"∂J/∂z2 = (a2 − 1)/T = ({a_y} − 1)/2 = {slope}" in told
    lse, J = number(why.logsumexp), number(why.before.loss)
    assert f"J = log Σ exp z/T − z2/T = {lse} − 0.0500 = {J}" in told
    assert "∂J/∂z = (a − onehot)/T" in page.locator("main").inner_text()
    page.get_by_role("button", name="Reset").click()
    page.locator("[data-set=first]").select_option("1")
    assert "You told it the answer: class 3." in page.locator(".lead").inner_text()
    assert "only class 3’s own term is the loss" in page.locator("main").inner_text()
    agrees(page, explain(SEED, 2))


def test_a_quantity_is_lit_everywhere(visit: Open) -> None:
    page = visit(explain(SEED, 2))
    unfold(page)
    page.locator('[data-v=a][data-n="2"]').first.hover()
    lit = page.locator(".lit").evaluate_all("all => all.map(e => e.dataset.v + ' ' + e.dataset.n)")
    assert set(lit) == {"a 2", "a y"}
    assert len(lit) >= 5
    page.locator('[data-v=z][data-n="2"]').first.hover()
    assert page.locator(".lit[data-v=z]").count() >= 2
    page.locator("h1").hover(position={"x": 1, "y": 1})
    assert page.locator(".lit").count() == 0


def test_every_control_works_with_the_keyboard(visit: Open) -> None:
    page = visit(explain(SEED, 2))
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "() => { const e = document.activeElement; return e.dataset.do ?? e.dataset.set"
                " ?? (e.dataset.z && e.type + e.dataset.z) ?? e.name ?? e.tagName; }"
            )
        )
    numbers = {f"{kind}{n}" for kind in ("range", "number") for n in range(4)}
    assert numbers | {"y", "step", "play", "reset", "T", "first", "SUMMARY"} <= set(reached)
    page.locator('input[type=range][data-z="1"]').focus()
    page.keyboard.press("End")
    agrees(page, explain([2.0, 4.0, 0.1, -1.2], 2))
    page.locator('input[name=y][value="2"]').focus()
    page.keyboard.press("ArrowDown")
    agrees(page, explain([2.0, 4.0, 0.1, -1.2], 3))
    page.locator("[data-do=step]").focus()
    page.keyboard.press("Enter")
    agrees(page, explain(explain([2.0, 4.0, 0.1, -1.2], 3).after.logits, 3))
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.get_attribute("open") is not None


PAGES = {
    "names": explain(SEED, 2, classes=NAMES),
    "layer": explain(None, 1, linear_bias=[0.0, 1.0, 2.0], **LAYER),
    "many": explain(
        np.random.default_rng(0).normal(size=5000) * 5, 17, classes=["a long name"] * 5000
    ),
    "huge": explain([1e30, -1e30], 1),
    "nan": explain([math.nan, 1.0], 0),
    "several": explain(SEED, [0, 1, 1, 0], classes=NAMES),
    "set": explain_set(np.eye(12), list(range(12)), classes=["quite a long name"] * 12),
    "small set": explain_set(np.eye(4), [0, 1, 2, 2], classes=NAMES),
}


@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("name", ["names", "layer", "many", "huge", "several", "set"])
def test_the_page_is_no_wider_than_the_screen(visit: Open, name: str, width: int) -> None:
    page = visit(PAGES[name], width=width)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    if name == "names":
        page.locator("[data-do=step]").click()
        type_logit(page, 1, "-0.5937")  # as after a step: it must not be cut
        assert page.locator('input[type=number][data-z="1"]').evaluate(
            "e => e.scrollWidth <= e.clientWidth"
        )
        unfold(page)  # what is asked about, −log a, is in sight
        in_sight(page, "term", 2)


# Below and above the width at which the page changes its layout, and each colour scheme.
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1400, "dark")])
@pytest.mark.parametrize("name", ["names", "layer", "many", "nan", "several", "small set"])
def test_the_page_is_accessible(visit: Open, name: str, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = visit(PAGES[name], width=width, color_scheme=scheme)
    unfold(page)
    if page.locator("[data-v=a]:visible").count():
        page.locator("[data-v=a]:visible").first.hover()  # what is lit must be readable too
    found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [(v["id"], v["nodes"][0]["html"]) for v in serious] == []


def test_class_names_are_shown_and_never_run(visit: Open) -> None:
    page = visit(explain(SEED, 0, classes=NASTY))
    page.locator('input[name=y][value="3"]').check()
    assert "You told it the answer: </script>x." in page.locator(".lead").inner_text()
    page.locator('input[name=y][value="0"]').check()
    assert "You told it the answer: <script>alert(1)</scrip…." in page.locator(".lead").inner_text()
    assert page.locator("img").count() == 0
    visit(explain_set(np.eye(4), [0, 1, 2, 2], classes=NASTY))
    visit(explain(SEED, [0, 1, 1, 0], classes=NASTY))


def test_a_row_without_a_softmax_gets_one_by_typing(visit: Open) -> None:
    page = visit(explain([math.nan, 1.0, 0.0], 1))
    assert shown(page, "J") == "nan"
    assert "is NaN" in page.locator(".note").inner_text()
    assert page.get_by_text("4. Who is pushed where").is_hidden()
    page.locator("[data-do=step]").click()
    assert "no softmax" in page.get_by_role("status").inner_text()
    type_logit(page, 0, "2.5")  # and it has one
    agrees(page, explain([2.5, 1.0, 0.0], 1))
    for heading in ("4. Who is pushed where", "5. The descent"):
        assert page.get_by_text(heading).is_visible()
    assert page.locator("figure").is_visible()
    page.locator("[data-do=reset]").click()
    assert page.get_by_text("4. Who is pushed where").is_hidden()
    page = visit(explain([0.0, -math.inf], 1))
    assert shown(page, "J") == "inf"
    visit(explain([3.0], 0))


def test_the_page_of_200_000_classes_follows(visit: Open) -> None:
    z = np.random.default_rng(0).normal(size=200_000)
    page = visit(explain(z, 7, steps=2))
    assert shown(page, "den") == number(explain(z, 7, steps=0).denominator)
    page.get_by_role("button", name="Step", exact=True).click()
    after = explain(explain(z, 7, steps=0).after.logits, 7, steps=0)
    assert shown(page, "J") == number(after.before.loss)
    rest = np.setdiff1d(np.arange(z.size), explain(z, 7, steps=0).strongest(12))
    assert shown(page, "a", "rest") == number(float(after.before.probabilities[rest].sum()))


def test_the_page_in_print(visit: Open) -> None:
    page = visit(explain(SEED, 2))
    page.emulate_media(media="print", color_scheme="dark")
    paper = page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    assert page.locator(".control:visible").count() == 0
    assert page.locator(".row .still").all_inner_texts() == ["2", "1", "0.1", "−1.2"]
    assert page.locator("h2", has_text="1. The outputs").is_visible()
    folded = len(page.pdf())
    page.locator("details").evaluate_all("all => all.forEach(e => { e.open = true; })")
    assert folded > 0.9 * len(page.pdf())  # the answers are printed, folded or not
    page.close()


def test_two_explanations_in_one_notebook(browser: Any) -> None:
    why = explain(SEED, 2, classes=NAMES)
    cell = why._repr_mimebundle_()["text/html"]
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(f"<body>{cell}{cell}</body>")
    text = page.locator(".softmaxloss").first.inner_text()
    assert re.search(r"fox\s+true class\s+0.1", text)
    assert "−log 0.09599 = 2.3435" in text
    folded = page.locator(".softmaxloss").first.text_content()
    assert "2 fox (true)" in folded
    assert page.locator("input, button, script").count() == 0
    context.close()
