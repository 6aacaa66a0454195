"""The output in a notebook: readable in its theme, untouched by its styles, clear without any."""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np
import pytest

from softmaxloss import explain, explain_set

SEED = [2.0, 1.0, 0.1, -1.2]
NAMES = ["cat", "dog", "fox", "owl"]
LAYER = {"features": [1.0, 2.0], "linear_weight": [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]}
MANY = np.random.default_rng(0).normal(size=40)

WHY = {
    "one": explain(SEED, 2, classes=NAMES),
    "layer": explain(None, 1, **LAYER),
    "many": explain(MANY, 3),
    "nan": explain([float("nan"), 1.0], 0),
    "several": explain(SEED, [0, 1, 1, 0], classes=NAMES),
    "set": explain_set(np.eye(4), [0, 1, 2, 2], classes=NAMES),
}

# Rules like those that JupyterLab, VS Code and Colab have for tables, code and pictures in outputs,
# and some more of the kind.
STYLES = """
body { font: 13px/1.2 monospace; text-align: center; letter-spacing: 2px; white-space: pre-wrap; }
body { color: COLOR; background: PAPER; text-transform: uppercase; word-break: break-all; }
.jp-out { --ink: red; --paper: red; --line: red; color: COLOR; overflow-x: auto; }
.jp-out table { border-collapse: separate; border: 1px solid red; margin: 9px; }
.jp-out thead { border-bottom: 3px solid red; vertical-align: bottom; }
.jp-out tbody tr:nth-child(odd) { background: STRIPE; }
.jp-out tbody tr:nth-child(even) { background: PAPER; }
.jp-out tbody tr:hover { background: orange; }
.jp-out td, .jp-out th, .jp-out tr { text-align: right; vertical-align: middle; padding: 1em;
  line-height: normal; white-space: normal; max-width: none; border: 2px dotted red; color: COLOR; }
.jp-out th { font-weight: bold; }
.jp-out table td:not([align]), .jp-out table th:not([align]) { text-align: center !ignored; }
.jp-out h1, .jp-out h2 { font-weight: 300; margin: 2em 0 1px; color: red; font-size: 40px; }
.jp-out h1:first-child { margin-top: 30px; }
.jp-out p { text-align: left; margin: 0 0 3em; color: COLOR; }
.jp-out pre, .jp-out code { background: STRIPE; color: COLOR; font-size: 30px; border: 1px solid; }
.jp-out pre { line-height: 3; margin: 3em; overflow: hidden; white-space: pre; }
.jp-out img, .jp-out svg { max-width: 100%; height: auto; border: 3px solid red; margin: 5px; }
.jp-out details { border: 9px solid red; padding: 9px; }
.jp-out summary { color: COLOR; list-style: none; font-style: italic; }
.jp-out dl, .jp-out dt, .jp-out dd { float: left; clear: left; width: 20%; margin: 1em; }
.jp-out dt { font-weight: bold; display: table-cell; }
.jp-out strong, .jp-out b { color: red; } .jp-out span { display: inline-block; }
.jp-out figure { margin: 4em; } .jp-out caption { caption-side: bottom; text-align: right; }
.jp-out sub { font-size: 30px; vertical-align: top; } .jp-out * { box-sizing: border-box; }
"""

THEMES = {
    "jupyter": "<body data-jp-theme-light='{light}'>",
    "vscode": "<body class='vscode-{theme}'>",
    "colab": "<body>",
}

CONTRASTS = """() => {
  const probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = color => {
    probe.clearRect(0, 0, 1, 1); probe.fillStyle = color; probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const paper = e => {
    const color = rgb(getComputedStyle(e).backgroundColor);
    return color[3] === 255 || !e.parentElement ? color : paper(e.parentElement);
  };
  const found = [];
  for (const e of document.querySelectorAll('.softmaxloss *')) {
    const own = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join('');
    if (!own || e.closest('style, title') || e.classList.contains('inside')) continue;
    const style = getComputedStyle(e);
    const ink = rgb(e.closest('svg') ? style.fill : style.color);
    const html = e.closest('svg')?.parentElement ?? e;
    const [more, less] = [luminance(ink), luminance(paper(html))].sort((a, b) => b - a);
    found.push([(more + 0.05) / (less + 0.05), own]);
  }
  return found;
}"""

# Every property of every element, but for what the system gives: a line for each.
COMPUTED = """() => [...document.querySelectorAll('.softmaxloss, .softmaxloss *')].map(e => {
  const style = getComputedStyle(e), names = [...style].filter(name => !name.startsWith('--'));
  const lines = names.map(name => name + ': ' + style.getPropertyValue(name));
  return [e.tagName + '.' + (e.getAttribute('class') ?? ''), lines.join('\\n')];
})"""


def output(why: Any, host: str, theme: str, styles: str = STYLES) -> str:
    """A page like that of a notebook, with the explanation as the output of a cell."""
    ink, paper, stripe = {
        "light": ("#222", "#fff", "#f5f5f5"),
        "dark": ("#eee", "#111", "#303030"),
    }[theme]
    styles = styles.replace("COLOR", ink).replace("PAPER", paper).replace("STRIPE", stripe)
    body = THEMES[host].format(theme=theme, light=str(theme == "light").lower())
    root = f"<html theme='{theme}'>" if host == "colab" else "<html>"
    cell = why._repr_mimebundle_()["text/html"]
    return (
        f"<!DOCTYPE html>{root}<style>{styles}</style>{body}"
        f'<div class="jp-out" style="width: 900px">{cell}</div>'
    )


@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("host", THEMES)
def test_text_has_contrast_in_the_theme_of_the_notebook(
    browser: Any, host: str, theme: str, system: str
) -> None:
    page = browser.new_page(color_scheme=system)
    for why in WHY.values():
        page.set_content(output(why, host, theme))
        page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 10
        assert min(contrasts)[0] >= 4.5, min(contrasts)
        paper = "getComputedStyle(document.querySelector('.softmaxloss')).backgroundColor"
        assert (
            page.evaluate(paper)
            == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}[theme]
        )
    page.close()


@pytest.mark.parametrize(
    "name",
    [
        "one",
        "set",
        *(pytest.param(n, marks=pytest.mark.slow) for n in WHY if n not in ("one", "set")),
    ],
)
def test_no_style_of_the_notebook_applies(browser: Any, name: str) -> None:
    page = browser.new_page()
    page.set_content(output(WHY[name], "jupyter", "dark", styles=""))
    alone = page.evaluate(COMPUTED)
    page.set_content(output(WHY[name], "jupyter", "dark"))
    among = page.evaluate(COMPUTED)
    page.close()
    assert len(alone) == len(among) > 20
    for (tag, wanted), (_, got) in zip(alone, among, strict=True):
        assert wanted.count(": ") > 200
        assert got.splitlines() == wanted.splitlines(), tag


@pytest.mark.parametrize("name", ["one", "many", "several"])
def test_without_styles_the_text_says_which_class_is_true(name: str) -> None:
    """As on pages that remove styles, classes and pictures from a notebook."""
    cell = WHY[name]._repr_mimebundle_()["text/html"]
    stripped = re.sub(r"<(style|svg)\b.*?</\1>", "", cell, flags=re.DOTALL)
    for row in re.findall(r"<tr\b[^>]*>.*?</tr>", stripped, flags=re.DOTALL):
        words = html.unescape(re.sub(r"<[^>]*>", " ", row))
        marked = 'class="true"' in row.partition(">")[0]
        assert ("(true)" in words) == marked, words
    assert "(true)" in stripped


def test_the_repr_in_a_plain_session_is_short() -> None:
    assert repr(WHY["one"]) == (
        "<Explanation: true class 2 (fox) of 4, loss 2.3435; print() shows all of it>"
    )
    for why in WHY.values():
        assert len(repr(why)) < 100
        assert repr(why).isprintable()
