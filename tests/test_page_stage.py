"""The first screen in a real browser: what moves, prediction, examples to try, the address."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from tests.browsing import (
    NAMES,
    SEED,
    Open,
    agrees,
    as_written,
    confirmed,
    prose,
    shown,
    type_logit,
)

from softmaxloss import cross_entropy
from softmaxloss.explanation import QUESTIONS, explain
from softmaxloss.explanation.page.answers import LIVE
from softmaxloss.explanation.rendering.numbers import number, percent

INF = math.inf
WIDTHS = [360, 900, 1400]
QUESTION = explain(SEED, 2, classes=NAMES)

# The drawn lengths in pixels: of each row's arrow without its head, and the side that it points to.
ARROWS = """rows => rows.map(row => {
  const [centre, ...parts] = [...row.querySelectorAll('.arrow > .zero, .arrow > rect')]
    .map(e => e.getBoundingClientRect());
  const middle = parts.reduce((sum, box) => sum + (box.left + box.right) / 2, 0) / parts.length;
  return [parts.reduce((sum, box) => sum + box.width, 0), Math.sign(middle - centre.left)];
})"""


def verdict(page: Any) -> str:
    return str(page.locator(".verdict").inner_text())


def kept(page: Any) -> str:
    """The address once it holds what is shown."""
    page.wait_for_timeout(250)
    return str(page.url)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_first_screen_tells_the_story(visit: Open, width: int) -> None:
    page = visit(QUESTION, width=width)
    screen = page.viewport_size["height"]
    for part in ("h1", ".row >> nth=3", ".curve", "[data-do=step]", ".why h2", ".predict h2"):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0, part
        assert box["x"] + box["width"] <= width, part
        assert box["y"] + box["height"] <= screen + (300 if part == ".why h2" else 0), part
    assert page.locator(".row.true").evaluate_all("e => e.map(row => row.dataset.n)") == ["2"]
    assert page.locator(".row.true .tag").inner_text() == "true class"
    said = page.locator(".share").evaluate_all("all => all.map(e => e.ariaLabel)")
    assert said == [f"probability {percent(a)}" for a in QUESTION.before.probabilities]
    # The arrows: as long as the derivatives, the way the outputs move; the true class's is as long
    # as all others together.
    lengths, sides = zip(*page.locator(".row").evaluate_all(ARROWS), strict=True)
    slopes = QUESTION.gradient
    assert list(sides) == (-np.sign(slopes)).tolist()
    np.testing.assert_allclose(np.divide(lengths, lengths[2]), abs(slopes / slopes[2]), atol=0.02)
    assert sum(lengths) == pytest.approx(2 * lengths[2], rel=0.01)
    # Green is the true class and nothing else.
    green = "e => getComputedStyle(e).fill"
    for n, row in enumerate(page.locator(".row").all()):
        fills = {part.evaluate(green) for part in row.locator("rect.part").all()}
        assert fills == ({"rgb(11, 110, 79)"} if n == 2 else {"rgb(154, 167, 184)"})


@pytest.mark.parametrize("width", WIDTHS)
def test_what_moves_is_in_sight_while_it_is_dragged(visit: Open, width: int) -> None:
    page = visit(QUESTION, width=width, has_touch=width == 360)
    track = page.locator(".slide >> nth=1").bounding_box()
    y = track["y"] + track["height"] / 2
    page.mouse.move(track["x"] + track["width"] * (4 + 1.0) / 8, y)  # the knob is at 1.0
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] * (4 + 3.0) / 8, y, steps=6)
    why = explain([2.0, 3.0, 0.1, -1.2], 2, classes=NAMES)
    agrees(page, why)  # exactly: positions on the axis are outputs
    for part in (".share >> nth=1", ".arrow >> nth=1", ".curve circle", ".row.true .share"):
        box = page.locator(part).bounding_box()
        assert 0 <= box["y"] <= page.viewport_size["height"] - box["height"]
    page.mouse.up()
    assert "z=2,3,0.1,-1.2&y=2" in kept(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_step_play_and_reset_stay_in_view(visit: Open, width: int) -> None:
    page = visit(QUESTION, width=width)
    for heading in ("5. The descent", "Questions"):
        page.locator("h2", has_text=heading).evaluate("e => e.scrollIntoView({block: 'center'})")
        for part in ("[data-do=step]", "[data-do=play]", "[data-do=reset]", ".curve circle"):
            box = page.locator(part).bounding_box()
            assert 0 <= box["y"] < page.viewport_size["height"] - box["height"]
            assert box["x"] + box["width"] <= width
    page.locator("[data-do=step]").click()
    agrees(page, explain(QUESTION.after.logits, 2))


def test_a_prediction_is_revealed_by_the_step(visit: Open) -> None:
    page = visit(QUESTION)
    cat, fox = (page.locator(".chips button", has_text=name) for name in ("cat", "fox"))
    cat.click()
    assert cat.get_attribute("aria-pressed") == "true"
    assert verdict(page) == "Now step."
    page.locator("[data-do=step]").click()
    moved = [number(abs(x)) for x in QUESTION.after.logits - QUESTION.before.logits]
    told = f"fox moved most, by +{moved[2]}: as far as all the others together."
    assert verdict(page) == f"Not cat: it moved by −{moved[0]}. {told}"
    assert cat.get_attribute("aria-pressed") == "false"
    page.locator("[data-do=reset]").click()
    assert not page.locator(".verdict").is_visible()
    fox.click()
    page.locator("[data-do=step]").click()
    assert verdict(page) == f"Right. {told}"
    page = visit(explain([1.0, 0.0], 1))
    page.locator(".chips button", has_text="class 0").click()
    page.locator("[data-do=step]").click()
    by = number(0.1 * explain([1.0, 0.0], 1).before.probabilities[0])
    assert verdict(page) == f"Right. class 1 moved by +{by}, class 0 as far the other way."


def test_another_prediction_hides_the_arrows_until_the_step(visit: Open) -> None:
    page = visit(QUESTION)
    page.locator("[data-do=another]").click()
    heads = page.locator(".arrow path")
    assert heads.count() == 4
    assert not any(head.is_visible() for head in heads.all())
    said = page.locator(".arrow").first.get_attribute("aria-label")
    assert said == "hidden until the next step"
    page.locator("[data-guess='0']").click()
    page.locator("[data-do=step]").click()
    assert all(head.is_visible() for head in heads.all())
    assert "moved" in verdict(page)


EXAMPLES: dict[str, tuple[list[float], int]] = {
    "Sure and right": ([-1, -1, 4, -1], 2),
    "Sure and wrong": ([4, -1, -1, -1], 2),
    "A tie": ([2, -1, 2, -1], 2),
    "One class masked": ([-INF, 1.0, 0.1, -1.2], 2),
    "All equal": ([0, 0, 0, 0], 2),
    "The four classes of the question": (SEED, 2),
}


@pytest.mark.parametrize("title", EXAMPLES)
def test_examples_to_try(visit: Open, title: str) -> None:
    z, y = EXAMPLES[title]
    page = visit(QUESTION)
    page.get_by_role("button", name=title).click()
    why = explain([float(x) for x in z], y, classes=NAMES)
    agrees(page, why)
    assert as_written(page) == as_written(visit(why, java_script_enabled=False))
    if title == "Sure and right":
        assert why.before.probabilities[2] > 0.97
    if title == "Sure and wrong":
        assert why.before.probabilities[0] > 0.97


def test_the_four_classes_of_the_question_from_anywhere(visit: Open) -> None:
    page = visit(explain([5.0, 0.0, 1.0], 0, classes=["a", "b", "c"]))
    page.get_by_role("button", name="The four classes").click()
    agrees(page, explain(SEED, 2))
    assert "You told it the answer: class 2." in prose(page)
    page.locator("[data-do=reset]").click()
    agrees(page, explain([5.0, 0.0, 1.0], 0))
    assert page.locator(".row").count() == 3


def test_classes_are_added_and_removed(visit: Open) -> None:
    page = visit(QUESTION)
    page.locator("[data-do=add]").click()
    agrees(page, explain([*SEED, 0.0], 2))
    assert page.get_by_label("output of class 4, dragged").count() == 1
    type_logit(page, 4, "1.5")
    agrees(page, explain([*SEED, 1.5], 2))
    page.locator("input[name=y][value='4']").check()
    agrees(page, explain([*SEED, 1.5], 4))
    page.get_by_role("button", name="Remove dog").click()
    why = explain([2.0, 0.1, -1.2, 1.5], 3)
    agrees(page, why)
    assert page.locator(".row .known").all_inner_texts() == ["cat", "fox", "owl", "class 3"]
    assert page.locator(".chips [data-guess]").all_inner_texts() == ["cat", "fox", "owl", "class 3"]
    page.get_by_role("button", name="Remove class 3").click()  # the true class: another becomes it
    agrees(page, explain([2.0, 0.1, -1.2], 2))
    address = kept(page)
    assert address.endswith("#z=2,0.1,-1.2&y=2&from=0,2,3")
    page.goto("about:blank")
    page.goto(address)
    assert page.locator(".row .known").all_inner_texts() == ["cat", "fox", "owl"]
    for name in ("Remove owl", "Remove fox"):
        page.get_by_role("button", name=name).click()
    assert page.locator(".row").count() == 2  # a loss needs two classes
    for _ in range(12):
        page.locator("[data-do=add]").click()
    assert page.locator(".row").count() == 12
    page.locator("[data-do=reset]").click()
    assert as_written(page) == as_written(visit(QUESTION, java_script_enabled=False))


def test_the_address_holds_what_is_shown(visit: Open) -> None:
    page = visit(QUESTION)
    assert "#" not in kept(page)
    type_logit(page, 0, "-0.75")
    page.locator("input[name=y][value='1']").check()
    page.locator("[data-set=T]").fill("2")
    page.locator("[data-set=step]").fill("0.5")
    page.locator("[data-do=step]").click()
    address = kept(page)
    shown = as_written(page)
    z = re.findall(r"#z=([^&]*)&", address)[0].split(",")
    before = np.array([-0.75, *SEED[1:]])
    slopes = explain(before / 2, 1).gradient / 2
    np.testing.assert_allclose([float(x) for x in z], before - 0.5 * slopes, rtol=1e-14)
    assert address.endswith("&y=1&T=2&step=0.5")
    page.goto("about:blank")
    page.goto(address)
    # All but the words and the picture of the steps, which then begin anew.
    for now, then in zip(as_written(page), shown, strict=True):
        assert now == then or "5. The descent" in now or 'class="chart"' in now
    page.locator("[data-do=reset]").click()
    assert "#" not in kept(page)


def test_an_address_can_be_typed(visit: Open) -> None:
    page = visit(QUESTION)
    page.evaluate("location.hash = '#z=1,2,-inf&y=1'")
    page.wait_for_function("document.querySelectorAll('.row').length === 3")
    agrees(page, explain([1.0, 2.0, -INF], 1))
    for bad in ("z=1", "z=1,x&y=0", "z=1,2&y=2", "z=1,2&y=0&T=0", "z=inf,1&y=0", "z=1,2&from=0,9"):
        page.evaluate(f"location.hash = '#{bad}'")
        page.wait_for_function("document.querySelector('.status').classList.contains('wrong')")
        agrees(page, explain([1.0, 2.0, -INF], 1))
        type_logit(page, 0, "1")
        assert not page.locator(".status.wrong").count()
    page = visit(explain(SEED, 2, first_class=1))
    type_logit(page, 0, "1")
    assert kept(page).endswith("#z=1,1,0.1,-1.2&y=2")  # the label as it is counted


@pytest.mark.parametrize("count", [13, 1000])
def test_examples_and_the_address_with_many_classes(visit: Open, count: int) -> None:
    z = np.random.default_rng(0).normal(size=count) * 3
    given = explain(z, 5)
    strongest = given.strongest_other
    page = visit(given)
    assert page.get_by_role("button", name="The four classes").count() == 0
    for title, sure in (("Sure and right", 5), ("Sure and wrong", strongest)):
        page.get_by_role("button", name=title).click()
        x = np.full(count, -1.0)
        x[sure] = float(page.locator(f"input[type=number][data-z='{sure}']").input_value())
        why = explain(x, 5)
        assert why.before.probabilities[sure] > 0.97
        assert shown(page, "J") == number(why.before.loss)
    page.get_by_role("button", name="One class masked").click()
    x[strongest] = -INF
    assert shown(page, "J") == number(explain(x, 5).before.loss)
    page.get_by_role("button", name="All equal").click()
    assert shown(page, "J") == number(math.log(count))
    page.locator("[data-do=reset]").click()
    page.locator("[data-do=step]").click()
    page.locator(f"input[name=y][value='{strongest}']").check()
    address, J = kept(page), shown(page, "J")
    assert number(explain(given.after.logits, strongest).before.loss) == J
    assert ("#z=" in address) == (count == 13)
    assert ("The address keeps" in prose(page)) == (count == 13)
    if count == 13:
        page.goto("about:blank")
        page.goto(address)
        assert shown(page, "J") == J
        rows = page.locator(".row.true .known").all_inner_texts()
        assert rows == [f"class {strongest}"]
        hidden = next(n for n in range(13) if not page.locator(f"[name=y][value='{n}']").count())
        for bad in (f"z={','.join('0' * 13)}&y={hidden}", "z=1,2&y=0", "z=1,2&y=0&from=0,1"):
            page.evaluate(f"location.hash = '#{bad}'")
            page.wait_for_function("document.querySelector('.status').classList.contains('wrong')")
            assert shown(page, "J") == J
            page.locator(f"input[name=y][value='{strongest}']").dispatch_event("input")


def inside(page: Any, part: str, width: int) -> None:
    for box in page.locator(part).evaluate_all("all => all.map(e => e.getBoundingClientRect())"):
        assert 0 <= box["left"] <= box["right"] <= width, part


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_or_covered(visit: Open, width: int) -> None:
    z = np.random.default_rng(0).normal(size=1000) * 3
    for why in (QUESTION, explain(z, 5), explain([2e5, 1.0, -500.0, 1e6], 2, classes=NAMES)):
        page = visit(why, width=width)
        names = page.locator(".row:not(.rest) .known")
        assert names.evaluate_all("all => all.every(e => e.scrollWidth <= e.clientWidth)")
        inside(page, ".arrow text, .loss strong, .dock button", width)
        assert page.locator(".heads :last-child", has_text="raised").first.is_visible()
        loss, step = (
            page.locator(part).bounding_box() for part in (".loss strong", "[data-do=step]")
        )
        assert loss["x"] + loss["width"] <= step["x"] or loss["y"] + loss["height"] <= step["y"]
        places = page.locator(".axis text:visible").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect()).map(box => [box.left, box.right])"
        )
        assert all(a[1] < b[0] for a, b in itertools.pairwise(places))
    page.locator("[data-set=step]").fill("0")
    status = page.get_by_role("status")
    assert status.is_visible()
    assert status.inner_text() == "The step size must be a number above 0."
    dock = page.locator(".dock").bounding_box()
    assert dock["y"] + dock["height"] <= page.viewport_size["height"]


def test_all_twelve_rows_are_on_the_first_screen(visit: Open) -> None:
    page = visit(explain(np.random.default_rng(0).normal(size=1000) * 3, 5))
    true, dock = (page.locator(part).bounding_box() for part in (".row.true", ".dock"))
    assert true["y"] + true["height"] <= dock["y"]


def test_a_name_from_right_to_left_turns_nothing_round(visit: Open) -> None:
    page = visit(explain(SEED, 2, classes=["cat", "dog", "שלום", "owl"]))
    name, loss = (page.locator(f".dock .loss {part}").bounding_box() for part in ("sub", "strong"))
    assert name["x"] + name["width"] < loss["x"]


def test_the_step_size_is_beside_the_arrows(visit: Open) -> None:
    page = visit(QUESTION)
    heading = page.locator(".heads > :last-child")
    assert heading.inner_text().startswith("a step moves the output by 0.1 ×")
    page.locator("[data-set=step]").fill("0.5")
    assert heading.inner_text().startswith("a step moves the output by 0.5 ×")


def test_wrong_outputs_fall_and_a_wrong_probability_rises_for_a_while(visit: Open) -> None:
    page = visit(QUESTION)
    z, z1 = QUESTION.before.logits[1], QUESTION.after.logits[1]
    a, a1 = QUESTION.before.probabilities[1], QUESTION.after.probabilities[1]
    path = QUESTION.path
    assert path is not None
    sentence = (
        f"dog’s output falls from {number(z)} to {number(z1)}, but its probability rises from "
        f"{number(a)} to {number(a1)}, because cat falls more. In the long run it falls, too: to "
        f"{number(path.probabilities[-1, 1])} after {path.steps[-1]} steps."
    )
    assert sentence in prose(page)
    assert "no wrong probability does" not in prose(page)
    type_logit(page, 0, "-4")  # now dog is the strongest
    assert "because dog falls more" in prose(page)
    type_logit(page, 3, "-4")
    page.get_by_role("button", name="All equal").click()
    assert "No wrong output rises, and here no wrong probability does, either." in prose(page)


@pytest.mark.parametrize("T", ["1", "2", "0.5"])
def test_every_printed_formula_is_right(visit: Open, T: str) -> None:
    """Computed with the numbers that it prints, it gives the result that it prints."""
    page = visit(QUESTION)
    page.locator("[data-set=T]").fill(T)
    rng = np.random.default_rng(0)
    for z, y in itertools.product(rng.normal(0, 3, (3, 4)).round(3), (0, 3)):
        for n, x in enumerate(z):
            type_logit(page, n, str(x))
        page.locator(f"input[name=y][value='{y}']").check()
        assert confirmed(page) >= 5


def test_the_answers_follow_the_numbers(visit: Open) -> None:
    assert LIVE.keys() <= QUESTIONS.keys()
    page = visit(QUESTION)
    type_logit(page, 0, "-0.5")
    page.locator("input[name=y][value='3']").check()
    z = np.array([-0.5, *SEED[1:]])
    why = explain(z, 3, classes=NAMES)
    J, a = why.before.loss, why.before.probabilities
    sigmoids = 1 / (1 + np.exp(-z))
    one_hot = np.eye(4)[3]
    squared = 2 * (a - one_hot) @ (np.diag(a) - np.outer(a, a))[:, 3]
    minus = np.exp(-z) / np.exp(-z).sum()
    expected = {
        "which-is-raised": [why.gradient[3], why.after.logits[3], why.after.logits[1]],
        "gradient": [why.gradient[3], why.gradient[1]],
        "cross-entropy-loss": [J],
        "what-is-softmax": [a[3], a[1]],
        "others-learn": [a[1], z[1], why.after.logits[1]],
        "derivative-by-a": [why.gradient_by_probability, why.jacobian_row[1], a[1]],
        "derivatives-sum": [why.gradient[3], 1 - a[3]],
        "step-size": [a[3], why.after.probabilities[3], J, why.after.loss],
        "weights-not-outputs": [0.1 * (1 - a[3]), 0.4 * (1 - a[3])],
        "jacobian": [a[3] * (1 - a[3]), -a[3] * a[1]],
        "good-loss": [J, math.log(4), a[3]],
        "why-log": [J, J / math.log(2), J / math.log(10)],
        "squared-error": [why.gradient[3], squared],
        "mean-or-sum": [J, J / 32],
        "negative-log-likelihood": [a[3], -J, J],
        "entropy-and-kl": [J, -(a * np.log(a)).sum()],
        "perplexity": [math.exp(J)],
        "logits": [a[3] / a[1], -J],
        "why-exp": [why.exponentials.min()],
        "exp-minus-z": [minus[3], a[3]],
        "always-positive": [a.min()],
        "order": [z[1], a[1]],
        "softmax-or-sigmoid": [sigmoids.sum()],
        "two-classes": [1 / (1 + math.exp(z[1] - z[3]))],
        "temperature": [J, cross_entropy(z / 2, 3), explain(z / 2, 3).before.probabilities[3]],
        "several-labels": [J + why.terms[1], (J + why.terms[1]) / 2],
        "softmax-twice": [cross_entropy(a, 3), J, math.log(1 + 3 / math.e)],
        "loss-and-accuracy": [J, cross_entropy(2 * z, 3)],
        "class-weights": [5 * J],
        "label-smoothing": [cross_entropy(z, 3, label_smoothing=0.1), J],
    }
    for id in QUESTIONS:
        answer = page.locator(f"[data-ask={id}]")
        answer.evaluate("e => { e.open = true; }")
        text = " ".join(answer.inner_text().split())
        assert "undefined" not in text, id
        assert ("Here" in text) == (id not in LIVE and id != "others-fall"), id
        assert ("as it was given" in text) == ("Here" in text), id
        for x in expected.get(id, []):
            assert number(float(x)) in text, id
    page.locator("[data-do=reset]").click()
    assert page.locator(".questions .stale:visible").count() == 0
    assert f"Here J is {number(QUESTION.before.loss)} nats" in prose(page)
