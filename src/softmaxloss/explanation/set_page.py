"""The page for a set of examples: the finding, pictures, tables, examples, each explained."""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..text import as_html
from ..totals import Example
from . import set_charts as charts
from . import set_sections as sections
from .data import SHOWN
from .rendering.html import Page, paragraph, section, section_of, table_of
from .rendering.names import NAME, in_table
from .rendering.numbers import fixed_percent, number
from .rendering.sections import Cell, Row, Section, Table
from .set_charts import MapCell, heat_map
from .set_data import SetData
from .set_explained import explained
from .set_sections import EMPTY
from .set_words import finding, lead

MAPPED = 40  # classes in a map; of more, those in the strongest pairs
WRITTEN = 12  # classes, up to which a map has its numbers written in its cells
LISTED = 20  # pairs, and classes


def page(e: SetData, command: Callable[[Example], str], *, links: bool = True) -> Page:
    """The page. command: what to type to explain one example; links: whether rows link to their
    explanation, which takes ids that are none of another page's."""
    title, known = finding(e), e.counts.any()
    parts = [f"<h1>{as_html(title)}</h1>", *map(paragraph, lead(e))]
    if known:
        parts.append(_cards(e))
    if e.counts.size > 1 and known:
        parts += [_confusions(e), _classes(e), _losses(e), _calibration(e)]
    parts += _examples(e, command, links)
    if e.counts.size > 1 and known:
        parts.append(_map(e))
        parts += map(section_of, (f(e, LISTED, NAME) for f in (sections.pushes, sections.net)))
    return Page(title, "\n".join(parts), styles=_styles())


@cache
def _styles() -> str:
    return Path(__file__).with_name("set_page.css").read_text(encoding="utf-8")


def _cards(e: SetData) -> str:
    """The numbers that are looked for first."""
    facts = {"mean loss in nats": number(e.mean_loss), "accuracy": fixed_percent(e.accuracy)}
    if e.top_k:
        k = 5 if 5 in e.top_k else max(e.top_k)
        facts[f"top-{k} accuracy"] = fixed_percent(e.top_k[k])
    if e.counts.size > 1:
        facts["ECE"] = fixed_percent(e.calibration.ece)
        facts["best temperature"] = f"{e.calibration.best.temperature:.3g}"
    shown = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts.items())
    return f'<dl class="beside">{shown}</dl>'


def _with(picture: str, part: Section) -> str:
    """A section with a picture above its table."""
    words = "".join(map(paragraph, part.words))
    rows = "" if part.table is None else table_of(part.table)
    return section(as_html(part.title), f"{words}{picture}{rows}")


def _numbers(table: Table) -> str:
    """A table of what a picture shows, folded."""
    return f"<details><summary>The same as numbers</summary>{table_of(table)}</details>"


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>" if picture else ""


# --- confusions -----------------------------------------------------------------------------------


def _confusions(e: SetData) -> str:
    part = sections.confusions(e, SHOWN, NAME)
    pairs = [(pair.true, pair.predicted) for pair in e.confusions.most(MAPPED * MAPPED)]
    shown = _mapped(e, pairs)
    if not shown:
        return section_of(part)
    matrix = e.confusions.matrix(shown)
    which = "" if len(shown) == e.counts.size else f" of the {len(shown)} classes confused most"
    title = f"Confusion counts{which}"
    written = len(shown) <= WRITTEN
    cells = [
        [
            _confusion(e, i, n, int(times), written)
            for n, times in zip(shown, line.tolist(), strict=True)
        ]
        for i, line in zip(shown, matrix, strict=True)
    ]
    picture = heat_map(e, shown, cells, title, ("true class", "predicted class"))
    said = (
        "A row is a true class, a column what is predicted for it. The colour shows the share of "
        "the row, growing with its square root: green for right predictions, red for wrong ones."
    )
    names = [in_table(e, n) for n in shown]
    rows = [Row([name, *map(str, x)]) for name, x in zip(names, matrix.tolist(), strict=True)]
    numbers = _numbers(Table(title, ["true class", *names], rows))
    words = "".join(map(paragraph, part.words))
    listed = "" if part.table is None else table_of(part.table)
    both = f'<div class="abreast">{_scrolling(title, picture)}{listed}</div>'
    return section(part.title, f"{words}{both}{paragraph(said)}{numbers}")


def _confusion(e: SetData, i: int, n: int, times: int, written: bool) -> MapCell:
    total = int(e.counts[i])
    share = times / total if total else 0.0
    said = f"true class {in_table(e, i)}, predicted {in_table(e, n)}: {times} of {total}"
    said += f" ({fixed_percent(share)})" if total else ""
    kind = "empty" if not total else "true" if i == n else "down"
    return MapCell(kind, math.sqrt(share), said, str(times) if written and times else "")


def _scrolling(title: str, picture: str) -> str:
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{as_html(title)}">'
        f"{picture}</div>"
    )


# --- classes, losses, calibration -----------------------------------------------------------------


def _classes(e: SetData) -> str:
    many = e.counts.size > LISTED  # else they are all in the table
    picture = _figure(charts.recalls(e), "Recall of all classes, the lowest first") if many else ""
    return _with(picture, sections.classes(e, LISTED, NAME))


def _losses(e: SetData) -> str:
    bins = charts.loss_bins(e)
    caption = "Bars are equally wide on a logarithmic scale."
    if not e.soft:
        caption = (
            "A loss of 0.69 is a probability of ½ for the label, 2.3 one of a tenth, 4.6 one of a "
            "hundredth; bars are equally wide on a logarithmic scale."
        )
    rows = [Row([f"{b.least:.3g} to {b.below:.3g}", str(b.examples), str(b.wrong)]) for b in bins]
    table = Table("Examples by their loss", ["loss", "examples", "predicted wrong"], rows)
    picture = _figure(charts.losses(e), caption)
    ranks = [Row([f"{k}", Cell(fixed_percent(share), share=share)]) for k, share in e.top_k.items()]
    within = Table("How often the label is among the k largest logits", ["k", "examples"], ranks)
    both = f'<div class="abreast">{picture}{table_of(within) if ranks else ""}</div>'
    return section("How large the losses are", f"{both}{_numbers(table)}")


def _calibration(e: SetData) -> str:
    c = e.calibration
    size = c.counts.size
    rows = [
        Row([f"{k / size:.2f} to {(k + 1) / size:.2f}", str(c.counts[k]), *_shares(e, k)])
        for k in range(size)
    ]
    table = Table(
        "Examples by the probability of their prediction",
        ["confidence", "examples", "mean confidence", "accuracy"],
        rows,
    )
    pictures = _figure(
        charts.reliability(e),
        "Where bars end on the line, predictions are right as often as the model says.",
    )
    pictures += _figure(
        charts.temperatures(e), "Below T = 1 the model gets surer, above it less sure."
    )
    picture = f'<div class="figures">{pictures}</div>{_numbers(table)}'
    return _with(picture, sections.calibration(e))


def _shares(e: SetData, k: int) -> list[str]:
    shares = (float(e.calibration.confidence[k]), float(e.calibration.accuracy[k]))
    return [EMPTY if math.isnan(x) else fixed_percent(x) for x in shares]


# --- examples -------------------------------------------------------------------------------------


def _examples(e: SetData, command: Callable[[Example], str], links: bool) -> list[str]:
    """The lists of examples, and each of them explained."""
    parts = [section_of(part) for part in sections.examples(e, NAME, links=links)]
    if parts:
        parts.append(section("Each of them explained", explained(e, command, links=links)))
    return parts


# --- pushes ---------------------------------------------------------------------------------------


def _map(e: SetData) -> str:
    pairs = [(push.true, push.pushed) for push in e.strongest(MAPPED * MAPPED)]
    shown = _mapped(e, pairs)
    if not shown:
        return ""
    means = _means(e, shown)
    which = "" if len(shown) == e.counts.size else f", the {len(shown)} that push most"
    said = (
        "Each row is a true class, each column a class: the colour says how hard the examples of "
        "the true class push the output of the other down on average. On the diagonal they pull up "
        "the output of their own class. A row sums to 0 over all classes. The strength of the "
        "colour grows with the square root of the number, so that small numbers can be seen."
    )
    if e.pairs is not None:
        said += " Pairs too weak to be kept are blank."
    heading = f"A map of the pushes{which}"
    names = [in_table(e, n) for n in shown]
    rows = [
        Row([name, *(EMPTY if math.isnan(x) else number(x) for x in line)])
        for name, line in zip(names, means.tolist(), strict=True)
    ]
    caption = "Mean of ∂J/∂z: row by true class, column by class"
    largest = float(np.nanmax(np.abs(means), initial=0.0))
    cells = [
        [_push(e, i, n, x, largest) for n, x in zip(shown, line, strict=True)]
        for i, line in zip(shown, means.tolist(), strict=True)
    ]
    picture = _scrolling(heading, heat_map(e, shown, cells, heading))
    numbers = _numbers(Table(caption, ["true class", *names], rows))
    return section(heading, f"{paragraph(said)}{picture}{numbers}")


def _mapped(e: SetData, pairs: list[tuple[int, int]]) -> list[int]:
    """The positions of the classes in a map, in their order: all, or those in the first pairs."""
    if e.counts.size <= MAPPED:
        return list(range(e.counts.size))
    chosen: set[int] = set()
    for pair in pairs:
        if len(chosen.union(pair)) > MAPPED:
            break
        chosen.update(pair)
    return sorted(chosen)


def _means(e: SetData, shown: list[int]) -> NDArray[np.float64]:
    """The part of the matrix of pushes for these classes; 0 for pairs that are not kept."""
    if e.pushes is not None:
        return np.asarray(e.pushes[np.ix_(shown, shown)])
    assert e.pairs is not None
    means = np.diag(e.pulls[shown])
    means[e.class_counts[shown] == 0] = math.nan
    among = np.isin(e.pairs.true, shown) & np.isin(e.pairs.pushed, shown)
    rows = np.searchsorted(shown, e.pairs.true[among])
    columns = np.searchsorted(shown, e.pairs.pushed[among])
    means[rows, columns] = e.pairs.mean[among]
    return means


def _push(e: SetData, i: int, n: int, x: float, largest: float) -> MapCell:
    """One cell of the map of pushes, in words too."""
    examples = f"the examples of class {in_table(e, i)}"
    if math.isnan(x):
        return MapCell("empty", 0.0, f"there are no examples of class {in_table(e, i)}")
    strength = math.sqrt(abs(x) / largest) if largest else 0.0
    if i == n:
        said = f"{examples} pull their own output up by {number(-x)} on average"
    elif x == 0 and e.pairs is not None:
        least = number(float(e.pairs.short[i]))
        said = f"{examples} push class {in_table(e, n)} down by {least} at most on average"
    else:
        said = f"{examples} push class {in_table(e, n)} down by {number(x)} on average"
    return MapCell("up" if x < 0 else "down", strength, said)
