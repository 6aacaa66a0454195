"""The page in a real browser: its numbers follow what is typed, dragged, chosen and played."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.chromium import chromium

from softmaxloss.explain import Explanation, explain, explain_set
from softmaxloss.explain.words import number

SEED = [2.0, 1.0, 0.1, -1.2]
NAMES = ["cat", "dog", "fox", "owl"]
NASTY = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\x1b[31m", "</script>x"]

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open an explanation's page from a file; afterwards it must have asked for nothing else, and
    complained of nothing."""
    contexts, requests, complaints = [], [], []

    def visit(why: Any, *, width: int = 1400, **options: Any) -> Any:
        path = tmp_path / f"{len(contexts)}.html"
        why.save_html(path)
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(path.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    visited = [f"{n}.html" for n in range(len(contexts))]
    assert [url.rpartition("/")[2] for url in requests] == visited
    assert complaints == []


def shown(page: Any, v: str, n: int | str | None = None) -> str:
    place = "" if n is None else f'[data-n="{n}"]'
    found = page.locator(f'[data-v="{v}"]{place}').all_text_contents()
    assert len(set(found)) == 1, (v, n, found)
    return str(found[0])


def agrees(page: Any, why: Explanation) -> None:
    """Every kind of number on the page is the library's."""
    y = why.target
    for n in range(why.terms.size):
        term = number(why.terms[n])
        slope = number(why.gradient[n])
        expected = {
            "z": number(why.before.logits[n]),
            "exp": number(why.exponentials[n]),
            "a": number(why.before.probabilities[n]),
            "term": term if n == y else f"({term})",
            "jac": number(why.jacobian_row[n]),
            "grad": f"+{slope}" if why.gradient[n] > 0 else slope,
            "push": {-1: "↑ up", 0: "", 1: "↓ down"}[int(np.sign(why.gradient[n]))],
            "z1": number(why.after.logits[n]),
            "a1": number(why.after.probabilities[n]),
            "inv": number(why.gradient_by_probability) if n == y else "0",
        }
        assert {v: shown(page, v, n) for v in expected} == expected
    scalars = {
        "J": why.before.loss, "J1": why.after.loss, "J2": why.loss_from_logits, "bits": why.bits,
        "lse": why.logsumexp, "m": why.largest, "den": why.denominator, "lnC": why.uniform_loss,
    }  # fmt: skip
    assert {v: shown(page, v) for v in scalars} == {v: number(x) for v, x in scalars.items()}
    assert shown(page, "rank") == str(why.rank)
    assert shown(page, "a", "y") == number(why.before.probabilities[y])
    assert page.locator("tr.true").evaluate_all("rows => rows.map(row => row.dataset.n)") == (
        [str(y)] * page.locator("tr.true").count()
    )


def type_logit(page: Any, n: int, z: str) -> None:
    page.locator(f'input[type=number][data-z="{n}"]').fill(z)


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


@pytest.mark.parametrize("name", OPENED)
def test_it_opens_as_it_was_written(visit: Open, name: str) -> None:
    why = OPENED[name]
    written = visit(why, java_script_enabled=False)
    page = visit(why)
    if 1 < why.terms.size <= 12 and why.defined:
        agrees(page, why)
    # Running the script changes nothing that is read, but for the controls.
    plain, controls = written.locator("main").inner_text(), page.locator(".try").inner_text()
    assert page.locator("main").inner_text().replace(controls, "").split() == plain.split()
    assert page.locator(".stale:visible, .warm:visible").count() == 0
    for part in (".chart", ".path tbody"):
        if written.locator(part).count() and written.locator(".chart").is_visible():
            html = [p.locator(part).evaluate("e => e.outerHTML") for p in (written, page)]
            assert html[0] == html[1]
    labels = [
        p.locator("input").evaluate_all("all => all.map(e => e.ariaLabel)") for p in (written, page)
    ]
    assert labels[0] == labels[1]


def prose(page: Any) -> str:
    return " ".join(page.locator("main").inner_text().split())


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


@pytest.mark.parametrize(
    ("z", "y", "step"),
    [
        ([3.0, -1.0, 2.0], 1, 0.25),
        ([700.0, -20.0, 5.0], 1, 12.5),
        ([1000.0, 0.0, 999.0], 1, 0.001),
        ([0.0, 1000.0, 0.0], 1, 1e-5),
        ([1e308, -1e308, 0.0], 1, 1e308),
        ([5.0, 4.0, 0.0], 0, 1234567.0),
    ],
)
@pytest.mark.parametrize("given", [[0.0, 1.0, 2.0], [-INF, NAN, 1.0], [-INF, 0.0, -INF]])
def test_a_changed_page_reads_as_one_written_for_the_new_numbers(
    visit: Open, given: list[float], z: list[float], y: int, step: float
) -> None:
    def read(page: Any) -> list[str]:
        page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        texts = page.locator("section:not(.given):not(.try)").all_inner_texts()
        figure = page.locator("figure")
        chart = figure.locator("svg")
        return [*texts, chart.evaluate("e => e.outerHTML") if figure.is_visible() else ""]

    page = visit(explain(given, 2))
    for n, typed in enumerate(z):
        type_logit(page, n, str(typed))
    page.locator(f'input[name=y][value="{y}"]').check()
    page.locator("[data-set=step]").fill(str(step))
    assert read(page) == read(visit(explain(z, y, step=step), java_script_enabled=False))


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
        == "a_0 = 1.0000 already: there is nothing left to do."
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


def test_many_classes_listed(visit: Open) -> None:
    page = visit(OPENED["13 classes"])
    assert "The 11 strongest others are listed, the rest in one line." in prose(page)
    assert page.locator("tr.rest th").first.inner_text() == "1 other"
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
    page.get_by_role("button", name="Reset").click()
    assert [knob.get_attribute("min"), knob.get_attribute("max")] == ["-10", "10"]


@pytest.mark.parametrize(
    ("field", "bad", "words"),
    [
        ("step", ["-1", "0", "", "1e-400"], "The step size must be a number above 0."),
        ("T", ["-1", "0", "", "1e-320"], "The temperature must be a number, 0.001 or more."),
    ],
)
def test_a_wrong_setting_is_marked(visit: Open, field: str, bad: list[str], words: str) -> None:
    page = visit(explain(SEED, 2))
    box, status = page.locator(f"[data-set={field}]"), page.get_by_role("status")
    for typed in bad:
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


def test_what_is_of_the_given_example_stays_so(visit: Open) -> None:
    page = visit(explain(None, 1, linear_bias=[0.0, 1.0, 2.0], **LAYER))
    page.locator('input[name=y][value="2"]').check()
    layer = page.locator("section.given", has_text="4. The layer")
    assert layer.locator("tr.true").get_attribute("data-n") == "1"
    assert layer.locator(".stale").is_visible()
    assert (
        page.locator("section:not(.given) tr.true").evaluate_all(
            "rows => rows.map(row => row.dataset.n)"
        )
        == ["2"] * 3
    )


def test_numbering_reaches_what_is_read_aloud(visit: Open) -> None:
    page = visit(explain(SEED, 2, classes=NAMES))
    page.locator("[data-set=first]").select_option("1")
    assert page.get_by_label("class 1 cat is the true class").count() == 1
    assert page.get_by_label("output of class 4 owl, dragged").count() == 1
    assert page.get_by_label("output of class 4 owl, typed").count() == 1
    assert "probability of class 3 goes" in page.locator(".chart").get_attribute("aria-label")
    assert page.locator(".questions .stale").inner_text() == (
        "The answers are about the example as it was given, with its classes numbered from 0."
    )
    type_logit(page, 0, "1")
    page.locator("[data-set=first]").select_option("0")
    assert page.locator(".questions .stale").inner_text() == (
        "The answers are about the example as it was given."
    )


def in_sight(page: Any, v: str, n: int) -> None:
    """The number is not in the part of its table that is reached by scrolling only."""
    assert page.locator(f'td [data-v={v}][data-n="{n}"]').evaluate(
        "e => e.getBoundingClientRect().right <= e.closest('.scroll').getBoundingClientRect().right"
    )


def test_long_names_and_numbers_on_a_phone(visit: Open) -> None:
    names = ["airplane", "automobile", "bird", "cat-like thing"]
    for z in (SEED, [10.0, -100.5, 3000.0, 4.0]):
        page = visit(explain(z, 3, classes=names), width=360)
        for n in range(4):
            in_sight(page, "term", n)
            in_sight(page, "push", n)
        for tick in page.locator(".chart .tick").all():
            assert (
                tick.evaluate("e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a")
                >= 11
            )
            box, chart = tick.bounding_box(), page.locator(".chart").bounding_box()
            assert chart["x"] <= box["x"]
            assert box["x"] + box["width"] <= chart["x"] + chart["width"]


def test_a_long_name_is_cut_alike_before_and_after(visit: Open) -> None:
    page = visit(OPENED["named"])
    page.locator('input[name=y][value="0"]').check()
    assert "The true class is 0 a name of more than 24 …." in prose(page)


def test_typing_a_logit_and_choosing_a_label(visit: Open) -> None:
    page = visit(explain(SEED, 2, classes=NAMES))
    type_logit(page, 0, "-0.75")
    agrees(page, explain([-0.75, 1.0, 0.1, -1.2], 2))
    assert page.locator(".questions .stale").is_visible()
    page.locator('input[name=y][value="1"]').check()
    agrees(page, explain([-0.75, 1.0, 0.1, -1.2], 1))
    assert "The true class is 1 dog." in page.locator(".lead").inner_text()
    assert "−log a of class 1." in page.locator("main").inner_text()
    type_logit(page, 3, "")  # half typed: nothing happens
    agrees(page, explain([-0.75, 1.0, 0.1, -1.2], 1))
    type_logit(page, 3, "800")
    agrees(page, explain([-0.75, 1.0, 0.1, 800.0], 1))
    page.get_by_role("button", name="Reset").click()
    agrees(page, explain(SEED, 2))
    assert page.locator(".stale:visible").count() == 0


def test_dragging(visit: Open) -> None:
    page = visit(explain(SEED, 2))
    knob = page.locator('input[type=range][data-z="1"]')
    box = knob.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    z = float(knob.input_value())
    assert 4 < z < 8
    agrees(page, explain([2.0, z, 0.1, -1.2], 2))


def test_stepping(visit: Open) -> None:
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
        assert f"a_2 = {a_y}, J = {number(why.before.loss)}." in words


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_playing_to_the_end(visit: Open, motion: str) -> None:
    page = visit(explain(SEED, 2), reduced_motion=motion)
    lines = page.locator("polyline[data-line=a]")
    before = lines.get_attribute("points")
    play = page.locator("[data-do=play]")
    play.click()
    page.wait_for_function(
        "() => document.querySelector('[data-do=play]').textContent === 'Play'"
        " && Number(document.querySelector('[data-v=a][data-n=y]').textContent) >= 0.99"
    )
    path = explain(SEED, 2).path
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


def test_pausing(visit: Open) -> None:
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


def test_a_long_play_stays_answering(visit: Open) -> None:
    """With tiny steps there are many: neither a frame nor the line grows with them."""
    page = visit(explain([9.0, 0.0], 1), reduced_motion="no-preference")
    page.locator("[data-set=step]").fill("0.00001")
    page.evaluate(
        "() => { let then = performance.now(); window.longest = 0; setInterval(() => {"
        " const now = performance.now(); window.longest = Math.max(window.longest, now - then);"
        " then = now; }, 5); }"
    )
    page.locator("[data-do=play]").click()
    page.wait_for_timeout(15_000)
    assert page.evaluate("window.longest") < 1000
    points = page.locator("polyline[data-line=a]").get_attribute("points").split()
    assert len(points) < 4000


def test_temperature_and_numbering(visit: Open) -> None:
    page = visit(explain(SEED, 2))
    page.locator("[data-set=T]").fill("2")
    why = explain(np.array(SEED) / 2, 2)
    assert shown(page, "a", 0) == number(why.before.probabilities[0])
    assert shown(page, "J") == number(why.before.loss)
    assert shown(page, "plain-grad", "y") == number(why.gradient[2] / 2)
    # What the page writes as a formula is true of the numbers in it.
    formulas = page.locator(".formula").all_inner_texts()
    a_y, slope = number(why.before.probabilities[2]), number(why.gradient[2] / 2)
    assert f"∂J/∂z2 = (a2 − 1)/T = ({a_y} − 1)/T = {slope}" in formulas[3].replace("\n", "")
    z_y, lse, J = number(0.05), number(why.logsumexp), number(why.before.loss)
    assert f"J = −z2/T + log Σ exp z/T = −{z_y} + {lse} = {J}" in formulas[2].replace("\n", "")
    assert "∂J/∂z = (a − onehot)/T" in page.locator("main").inner_text()
    page.get_by_role("button", name="Reset").click()
    page.locator("[data-set=first]").select_option("1")
    assert "numbered from 1. The true class is 3." in page.locator(".lead").inner_text()
    assert "−log a of class 3." in page.locator("main").inner_text()
    agrees(page, explain(SEED, 2))


def test_a_quantity_is_lit_everywhere(visit: Open) -> None:
    page = visit(explain(SEED, 2))
    page.locator('[data-v=a][data-n="2"]').first.hover()
    lit = page.locator(".lit").evaluate_all("all => all.map(e => e.dataset.v + ' ' + e.dataset.n)")
    assert set(lit) == {"a 2", "a y"}
    assert len(lit) >= 5
    page.locator('[data-v=z][data-n="2"]').first.hover()
    assert page.locator(".lit[data-v=minus-z]").count() == 1
    page.locator("h1").hover(position={"x": 1, "y": 1})
    assert page.locator(".lit").count() == 0


def test_with_the_keyboard_alone(visit: Open) -> None:
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
    agrees(page, explain([2.0, 10.0, 0.1, -1.2], 2))
    page.locator('input[name=y][value="2"]').focus()
    page.keyboard.press("ArrowDown")
    agrees(page, explain([2.0, 10.0, 0.1, -1.2], 3))
    page.locator("[data-do=step]").focus()
    page.keyboard.press("Enter")
    agrees(page, explain(explain([2.0, 10.0, 0.1, -1.2], 3).after.logits, 3))
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.get_attribute("open") is not None


LAYER = {"features": [1.0, 2.0, 3.0, 4.0], "linear_weight": np.arange(12).reshape(3, 4) / 9}


@pytest.mark.parametrize("width", [360, 1400])
def test_it_fits(visit: Open, width: int) -> None:
    for why in (
        explain(SEED, 2, classes=NAMES),
        explain(None, 1, linear_bias=[0.0, 1.0, 2.0], **LAYER),
        explain(np.random.default_rng(0).normal(size=5000) * 5, 17, classes=["a long name"] * 5000),
        explain([1e30, -1e30], 1),
        explain(SEED, [0, 1, 1, 0], classes=NAMES),
        explain_set(np.eye(12), list(range(12)), classes=["quite a long name"] * 12),
    ):
        page = visit(why, width=width)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        if isinstance(why, Explanation) and why.terms.size == 4:
            type_logit(page, 1, "-0.593653")  # as after a step: it must not be cut
            assert page.locator('input[type=number][data-z="1"]').evaluate(
                "e => e.scrollWidth <= e.clientWidth"
            )
            # What is asked about, −log a, is in sight.
            in_sight(page, "term", 2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_an_accessibility_checker(visit: Open, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for why in (
        explain(SEED, 2, classes=NAMES),
        explain(None, 1, linear_bias=[0.0, 1.0, 2.0], **LAYER),
        explain([math.nan, 1.0], 0),
        explain(SEED, [0, 1, 1, 0]),
        explain_set(np.eye(4), [0, 1, 2, 2], classes=NAMES),
    ):
        page = visit(why, color_scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        if page.locator("[data-v=a]").count():
            page.locator("[data-v=a]").first.hover()  # what is lit must be readable too
        found = axe.run(page).response["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        assert [(v["id"], v["nodes"][0]["html"]) for v in serious] == []


def test_class_names_are_shown_and_not_run(visit: Open) -> None:
    page = visit(explain(SEED, 0, classes=NASTY))
    page.locator('input[name=y][value="3"]').check()
    assert "The true class is 3 </script>x." in page.locator(".lead").inner_text()
    page.locator('input[name=y][value="0"]').check()
    assert "0 <script>alert(1)</scrip…." in page.locator(".lead").inner_text()
    assert page.locator("img").count() == 0
    visit(explain_set(np.eye(4), [0, 1, 2, 2], classes=NASTY))
    visit(explain(SEED, [0, 1, 1, 0], classes=NASTY))


def test_rows_without_a_softmax(visit: Open) -> None:
    page = visit(explain([math.nan, 1.0, 0.0], 1))
    assert shown(page, "J") == "nan"
    assert "is NaN" in page.locator(".note").inner_text()
    assert page.get_by_text("2. Which output is raised").is_hidden()
    page.locator("[data-do=step]").click()
    assert "no softmax" in page.get_by_role("status").inner_text()
    type_logit(page, 0, "2.5")  # and it has one
    agrees(page, explain([2.5, 1.0, 0.0], 1))
    for heading in ("2. Which output is raised", "3. Descent"):
        assert page.get_by_text(heading).is_visible()
    assert page.locator("figure").is_visible()
    page.locator("[data-do=reset]").click()
    assert page.get_by_text("2. Which output is raised").is_hidden()
    page = visit(explain([0.0, -math.inf], 1))
    assert shown(page, "J") == "inf"
    visit(explain([3.0], 0))


def test_200_000_classes(visit: Open) -> None:
    z = np.random.default_rng(0).normal(size=200_000)
    page = visit(explain(z, 7, steps=2))
    assert shown(page, "den") == number(explain(z, 7, steps=0).denominator)
    page.get_by_role("button", name="Step", exact=True).click()
    after = explain(explain(z, 7, steps=0).after.logits, 7, steps=0)
    assert shown(page, "J") == number(after.before.loss)
    rest = np.setdiff1d(np.arange(z.size), explain(z, 7, steps=0).strongest(12))
    assert shown(page, "a", "rest") == number(float(after.before.probabilities[rest].sum()))


def test_printed(visit: Open) -> None:
    page = visit(explain(SEED, 2))
    page.emulate_media(media="print")
    assert page.locator(".try").is_hidden()
    assert page.locator("h2", has_text="1. The loss J").is_visible()
    folded = len(page.pdf())
    page.locator("details").evaluate_all("all => all.forEach(e => { e.open = true; })")
    assert folded > 0.9 * len(page.pdf())  # the answers are printed, folded or not


def test_two_in_a_notebook(browser: Any) -> None:
    why = explain(SEED, 2, classes=NAMES)
    cell = why._repr_mimebundle_()["text/html"]
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(f"<body>{cell}{cell}</body>")
    text = page.locator(".softmaxloss").first.inner_text()
    assert re.search(r"2 fox\s+0.1000\s+0.1496\s+0.0960\s+2.3435", text)
    assert page.locator("input, button, script").count() == 0
    context.close()
