"""The page as a file: complete, self-contained, and harmless whatever a class is called."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from softmaxloss.explanation import QUESTIONS, explain, explain_set
from softmaxloss.explanation.page.numerals import amount
from softmaxloss.explanation.rendering.numbers import number
from softmaxloss.files import FileError
from softmaxloss.text import printable

INF, NAN = math.inf, math.nan
SEED = [2.0, 1.0, 0.1, -1.2]
LAYER = {"features": [1.0, 2.0], "linear_weight": [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]}
NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><b>",
    "\x1b[31m\x07",
    "\ud800 &amp; 'quote'",
    "\u202eevil\n",
]
EMPTY = {"meta", "input", "br"}  # have no end tag


def pages() -> dict[str, Any]:
    many = np.random.default_rng(0).normal(size=5000)
    return {
        "seed": explain(SEED, 2),
        "named": explain([*SEED, 0.0, 0.5], 2, classes=NASTY, first_class=1),
        "layer": explain(None, 1, linear_bias=[0.0, 1.0, 2.0], **LAYER),
        "many": explain(many, 4000, classes=[f"class <{n}>" for n in range(5000)]),
        "one class": explain([3.0], 0),
        "two classes": explain([3.0, 1.0], 1),
        "nan": explain([NAN, 1.0], 0),
        "inf": explain([INF, 1.0], 1),
        "true class masked": explain([0.0, -INF], 1),
        "masked": explain([-INF, 0.0, 1.0], 1),
        "huge": explain([1e30, -1e30], 1),
        "several": explain([*SEED, 0.0, 0.5], [0, 1, 1, 0, 0, 0], classes=NASTY),
        "soft": explain(SEED, [0.5, 0.25, 0.25, 0.0]),
        "all zeros": explain(SEED, [0.0] * 4),
        "set": explain_set(np.eye(6), [0, 1, 2, 3, 4, 4], classes=NASTY),
    }


PAGES = pages()


class Reader(HTMLParser):
    """The elements of a page, and its text by element; elements must nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.text += data


@pytest.mark.parametrize("name", PAGES)
def test_elements_nest_and_nothing_is_fetched(name: str) -> None:
    page = PAGES[name].to_html()
    reader = Reader(page)
    for tag, attributes in reader.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form"}
        assert not {"src", "style", "action", "srcset"} & attributes.keys()
        assert attributes.get("href", "#").startswith("#")
        assert not any(attribute.startswith("on") for attribute in attributes)
    rules = "".join(re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    assert "url(" not in rules
    assert "@import" not in rules
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", PAGES)
def test_the_content_policy_allows_the_script_and_style_of_the_page_only(name: str) -> None:
    page = PAGES[name].to_html()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"

    def names(element: str) -> str:
        found = re.findall(rf"<{element}>(.*?)</{element.split()[0]}>", page, re.DOTALL)
        digests = [hashlib.sha256(content.encode()).digest() for content in found]
        return " ".join(f"'sha256-{base64.b64encode(d).decode()}'" for d in digests) or "'none'"

    assert rules["style-src"] == names("style")
    assert rules["script-src"] == names('script type="module"')


@pytest.mark.parametrize("name", PAGES)
def test_class_names_are_shown_as_text(name: str) -> None:
    why = PAGES[name]
    page = why.to_html()
    assert page.isprintable() or all(c.isprintable() or c == "\n" for c in page)
    page.encode("utf-8")
    assert "<script>alert" not in page
    assert "<img" not in page
    if why.classes == tuple(NASTY):
        text = Reader(page).text
        shown = text if name == "set" else text.replace("…", "")
        for known in NASTY:
            assert printable(known)[:12] in shown


@pytest.mark.parametrize("name", ["seed", "named", "layer", "two classes", "masked", "huge"])
def test_the_page_is_complete_without_its_script(name: str) -> None:
    why = PAGES[name]
    text = Reader(why.to_html()).text
    numbers = [why.before.loss, why.bits, why.uniform_loss, why.logsumexp, why.denominator]
    numbers += [why.largest, why.loss_from_logits, why.after.loss]
    for values in (
        why.before.logits, why.before.probabilities, why.exponentials, why.terms, why.gradient,
        why.jacobian_row, why.after.logits, why.after.probabilities,
    ):  # fmt: skip
        numbers += values.tolist()
    for x in numbers:
        assert number(x) in text
    for question in QUESTIONS.values():
        assert question.title in text
    for remark in why.remarks():
        assert remark in text


@pytest.mark.parametrize("name", ["nan", "inf"])
def test_a_row_without_a_softmax_says_why(name: str) -> None:
    page = PAGES[name].to_html()
    assert PAGES[name].remarks()[0] in Reader(page).text
    # What needs a softmax is hidden until a number is typed.
    scene = '<section class="scene">\n<h2>4. Who is pushed where'
    assert scene in page.partition('<div data-if="softmax" hidden>')[2]
    assert "Who is pushed where" not in PAGES[name]._repr_mimebundle_()["text/html"]


def test_of_many_classes_the_strongest_are_listed() -> None:
    why = PAGES["many"]
    page = why.to_html()
    rows = re.findall(r'<(?:tr|div class="row") data-n="(\d+)"', page)
    assert set(rows) == {str(n) for n in why.strongest(12)}
    assert "4988 others" in page
    assert "class &lt;4000&gt;" in page
    data = json.loads(re.findall(r'id="example">(.*?)</script>', page)[0])
    logits = np.frombuffer(base64.b64decode(data["logits"]), "<f8")
    np.testing.assert_array_equal(logits, why.before.logits)


def test_the_layer_of_many_classes_has_one_row_for_the_others() -> None:
    why = explain(None, 3, features=[1.0, 2.0], linear_weight=np.eye(20, 2))
    page = why.to_html()
    table = page[page.index("One step for the weights</caption>") :].partition("</table>")[0]
    rest = np.delete(why.layer.after.probabilities, why.listed()).sum()
    others = '<tr data-n="rest" class="rest"><th scope="row">8 others</th>'
    assert f"{others}{'<td></td>' * 3}<td>{number(rest)}</td></tr>" in table
    assert f'<th scope="row">sum</th>{"<td></td>" * 3}<td>1.0000</td>' in table


def test_a_page_of_200_000_classes_lists_no_more_rows() -> None:
    """200 000 classes: 2.1 MB of logits, and not a row for each."""
    page = explain(np.random.default_rng(0).normal(size=200_000), 7, steps=0).to_html()
    assert 2_100_000 < len(page) < 2_300_000


@pytest.mark.parametrize("name", PAGES)
def test_a_notebook_shows_it_without_a_script(name: str) -> None:
    why = PAGES[name]
    bundle = why._repr_mimebundle_()
    assert bundle["text/plain"] == why.to_text()
    reader = Reader(bundle["text/html"])
    tags = {tag for tag, _ in reader.elements}
    assert not tags & {"script", "html", "head", "body", "input", "button"}
    assert not any("id" in attributes for _, attributes in reader.elements)
    assert reader.text.strip()


def test_every_style_is_scoped_to_the_page() -> None:
    """In a notebook: every rule is about what is in .softmaxloss, or around a page of our own."""
    style = re.findall(r"<style>(.*?)</style>", PAGES["set"].to_html(), re.DOTALL)[0]
    style = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    for selector in re.findall(r"(?:^|[{}])\s*([^{}@;]+?)\s*\{", style):
        assert "softmaxloss" in selector, selector


@pytest.mark.parametrize("name", ["soft", "several", "all zeros"])
def test_the_picture_of_several_labels_shows_target_and_push(name: str) -> None:
    """A row has the bar of a_n, the mark of q_n/Q, an arrow that points from the one to the other,
    and its length."""
    why = PAGES[name]
    q, a = why.target, why.probabilities
    Q = q.sum()
    page = why.to_html()
    row = r'<div class="row.*?" data-n="(\d+)">(.*?)(?=<div class="row|</section>)'
    rows = re.findall(row, page, re.DOTALL)
    assert [int(n) for n, _ in rows] == list(range(q.size))
    for n, row in ((int(n), row) for n, row in rows):
        assert f'<rect class="part" width="{100 * a[n]:.2f}%"' in row
        (mark,) = set(re.findall(r'class="mark" x1="(.*?)%"', row))
        assert float(mark) == pytest.approx(100 * q[n] / (Q or 1), abs=0.006)
        push = q[n] - Q * a[n]
        assert (f"raised by {amount(push)[1:]} times" in row) == (push > 0)
        assert (f"lowered by {amount(push)[1:]} times" in row) == (push < 0)
    assert ("(true)" in page) == (name == "several")


def test_the_page_is_written_atomically(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    why, path = PAGES["seed"], tmp_path / "why.html"
    why.save_html(path)
    assert path.read_text(encoding="utf-8") == why.to_html()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(FileError, match=r"why\.html: cannot be written: No space left"):
        PAGES["nan"].save_html(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text(encoding="utf-8") == why.to_html()
    with pytest.raises(FileError, match="is not a regular file"):
        why.save_html(tmp_path)
