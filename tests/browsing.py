"""A page opened in Chromium, and what it shows; the fixtures come through conftest.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.arithmetic import confirm, confirm_signs, plain
from tests.chromium import chromium

from softmaxloss.explanation import Explanation
from softmaxloss.explanation.rendering.numbers import number

LAYER = {"features": [1.0, 2.0, 3.0, 4.0], "linear_weight": np.arange(12).reshape(3, 4) / 9}
SEED = [2.0, 1.0, 0.1, -1.2]
NAMES = ["cat", "dog", "fox", "owl"]

Open = Callable[..., Any]


class Pages:
    """Open pages, which tests use one after another: a new one takes more than all that a test
    does."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.free: dict[str, list[Any]] = {}  # by their options
        self.used: list[tuple[str, Any]] = []
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def take(self, width: int, options: dict[str, Any]) -> Any:
        kind = repr(sorted(options.items()))
        free = self.free.setdefault(kind, [])
        page = free.pop() if free else self._new(options)
        page.set_viewport_size({"width": width, "height": 900})
        self.used.append((kind, page))
        return page

    def _new(self, options: dict[str, Any]) -> Any:
        page = self.browser.new_context(**options).new_page()
        page.set_default_timeout(10_000)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        return page

    def put_back(self) -> None:
        """All that are still open, with nothing running in them."""
        for kind, page in self.used:
            if not page.is_closed():
                page.goto("about:blank")
                self.free[kind].append(page)
        self.used.clear()


class Kept:
    """The browser and its open pages, from one file of tests to the next; see conftest.py."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._pages: Pages | None = None

    def pages(self) -> Pages:
        if self._pages is None:
            self._pages = Pages(self._stack.enter_context(chromium()))
        return self._pages

    def close(self) -> None:
        self._stack.close()
        self._pages = None


KEPT = Kept()


@pytest.fixture(scope="module")
def pages() -> Pages:
    return KEPT.pages()


@pytest.fixture(scope="module")
def browser(pages: Pages) -> Any:
    return pages.browser


@pytest.fixture
def visit(pages: Pages, tmp_path: Path) -> Iterator[Open]:
    """Open an explanation's page from a file. Afterwards it must have requested nothing else, and
    logged nothing. What a test changes of a page but by its controls stays: it must close it then.
    """
    pages.requests.clear()
    pages.complaints.clear()

    def visit(why: Any, *, width: int = 1400, **options: Any) -> Any:
        path = tmp_path / f"{len(pages.used)}.html"
        why.save_html(path)
        page = pages.take(width, options)
        page.goto(path.as_uri())
        return page

    yield visit
    visited = {f"{n}.html" for n in range(len(pages.used))}
    pages.put_back()
    requested = {url.rpartition("/")[2].partition("#")[0] for url in pages.requests}
    assert requested <= {*visited, "blank", "about:blank"}
    assert pages.complaints == []


def shown(page: Any, v: str, n: int | str | None = None) -> str:
    place = "" if n is None else f'[data-n="{n}"]'
    answers = ":not([data-ask]:not([open]) *)"  # those that are closed are not filled in
    found = page.locator(f'[data-v="{v}"]{place}{answers}').all_text_contents()
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
    true = page.locator("section:not(.given) tr.true")
    assert true.evaluate_all("rows => rows.map(row => row.dataset.n)") == [str(y)] * true.count()


def confirmed(page: Any) -> int:
    """Compute every printed formula again, folded or not; returns how many there are."""
    unfold(page)
    text = plain(page.locator("main").evaluate("e => e.outerHTML"))
    confirm_signs(text)
    return confirm(text)


def as_written(page: Any) -> list[str]:
    """What the page says and draws without its controls, as if it were just written."""
    page.evaluate("document.querySelector('main').classList.remove('live')")
    unfold(page)
    texts = page.locator("main > :not(.given):not([hidden])").all_inner_texts()
    drawn = page.locator("[data-draw], .chart:visible")
    pictures = drawn.evaluate_all("all => all.map(e => e.outerHTML)")
    page.evaluate("document.querySelector('main').classList.add('live')")
    return [text for text in texts if text.strip()] + pictures


def type_logit(page: Any, n: int, z: str) -> None:
    page.locator(f'input[type=number][data-z="{n}"]').fill(z)


def unfold(page: Any) -> None:
    """Show what is folded."""
    page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")


def prose(page: Any) -> str:
    """What can be read on the page, with its numbers."""
    page.evaluate("document.querySelectorAll('.numbers').forEach(e => { e.open = true; })")
    return " ".join(page.locator("main").inner_text().split())


def in_sight(page: Any, v: str, n: int) -> None:
    """The number is in the visible part of its table."""
    assert page.locator(f'td [data-v={v}][data-n="{n}"]').evaluate(
        "e => e.getBoundingClientRect().right <= e.closest('.scroll').getBoundingClientRect().right"
    )
