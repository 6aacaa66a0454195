"""The first screen: the outputs, their probabilities, where each is pushed, and the loss."""

import math
from collections.abc import Sequence

from ...text import as_html, plural
from ..data import SHOWN
from ..rendering.numbers import percent
from . import drawing
from .drawing import UNIT, Share
from .numerals import amount, short
from .parts import Parts, names, picture, value

PLAIN = 'autocomplete="off"'  # a browser that returns to the page must not fill in old values

ANOTHER = '<button type="button" class="more" data-do="another">Ask me another</button>'


def head(page: Parts) -> str:
    """The question, and the example."""
    e = page.e
    listed = ""
    if page.rest.size:
        others, rest = f"the {SHOWN - 1} strongest others", "the rest in one line."
        listed = page.when("unchanged", f" {others.capitalize()} are listed, {rest}")
        listed += page.when("changed", f" Listed are those that were {others} at first, {rest}")
    classes = f'<span data-v="classes">{plural(e.terms.size, "class")}</span>'
    try_it = ""
    if page.controlled:
        try_it = ' <span class="control">Drag an output, or take a step.</span>'
    return (
        "<h1>How does the network know which output to raise?</h1>\n"
        f'<p class="lead"><span class="count">One example, {classes}. </span>'
        f'You told it the answer: <strong class="y">{page.name("y")}</strong>.{listed}{try_it}</p>'
    )


def stage(page: Parts) -> str:
    """A row for each class listed."""
    e = page.e
    scale = drawing.scale_of([e.before.logits[n] for n in page.shown])
    step = value("step", f"{e.step:g}")
    rows = [_row(page, n, scale) for n in page.shown]
    if page.rest.size:
        rows.append(_rest(page))
    return stage_of(["output z", "probability a", moved_by(step)], rows, scale)


def moved_by(step: str) -> str:
    """The header of the arrows."""
    return f"a step moves the output by {step} ×<br> <small>← lowered · raised →</small>"


def stage_of(what: Sequence[str], rows: Sequence[str], scale: float) -> str:
    """The stage. what: the headers of its three pictures; scale: where the axis of outputs ends."""
    heads = "".join(f"<span>{head}</span>" for head in what)
    joined = "\n".join(rows)
    return (
        '<section class="stage" aria-label="The outputs, their probabilities, and where each is '
        f'pushed">\n<div class="heads" aria-hidden="true">{heads}</div>\n'
        f'<div class="rows">{joined}</div>\n'
        f'<div class="ends">{picture("axis", drawing.axis(scale))}</div>\n</section>'
    )


def row_of(
    n: int | str,
    who: str,
    chance: str,
    push: str,
    *,
    field: str = "",
    slide: str = "",
    kind: str = "",
) -> str:
    """A row of the stage: the class, its output, its probability and its arrow. kind: "true" for a
    true class."""
    return (
        f'<div class="row{kind and " " + kind}" data-n="{n}">'
        f'<div class="who">{who}</div><div class="field">{field}</div>'
        f'<div class="slide">{slide}</div><div class="chance">{chance}</div>'
        f'<div class="push">{push}</div></div>'
    )


def _row(page: Parts, n: int, scale: float) -> str:
    e, true = page.e, n == page.e.target
    z, a = float(e.before.logits[n]), float(e.before.probabilities[n])
    name = page.name(n)
    still = f'<span class="still">{value("z-short", short(z), n)}</span>'
    typed = drag = ""
    if page.controlled:
        name = (
            f'<label class="pick"><input {PLAIN} type="radio" name="y" value="{n}">{name}</label>'
        )
        typed = f'<input {PLAIN} class="control" type="number" data-z="{n}" step="any">'
        drag = f'<input {PLAIN} class="control" type="range" data-z="{n}">'
    return row_of(
        n,
        f'{name}<span class="tag">{"true class" if true else ""}</span>',
        _bar(a, n),
        _arrow(page, n),
        field=f"{still}{typed}",
        slide=f"{picture('track', drawing.track(z, scale), n=n)}{drag}",
        kind="true" if true else "",
    )


def _rest(page: Parts) -> str:
    a = float(page.e.before.probabilities[page.rest].sum())
    others = plural(page.rest.size, "other")
    return row_of("rest", others, _bar(a, "rest"), _arrow(page, "rest"), kind="rest")


def _bar(a: float, n: int | str) -> str:
    return picture("share", drawing.share_bar(a), chance(a), n)


def chance(a: float) -> str:
    """What the bar of a probability shows, in words."""
    return "no probability" if math.isnan(a) else f"probability {as_html(percent(a))}"


def move(z: float, slope: float) -> float:
    """−∂J/∂z, how an output moves for a step of size 1; an output of −inf does not."""
    return 0.0 if z == -math.inf and not math.isnan(slope) else -slope


def _arrow(page: Parts, n: int | str) -> str:
    e = page.e
    z, slope = e.before.logits, e.gradient
    by = (
        -float(slope[page.rest].sum())
        if n == "rest"
        else move(float(z[int(n)]), float(slope[int(n)]))
    )
    parts = others(page) if n == e.target and by > 0 else []
    return picture("arrow", drawing.arrow(by, UNIT, parts), pushed(by), n)


def pushed(by: float) -> str:
    """What an arrow shows, in words."""
    if math.isnan(by):
        return "no direction"
    if by == 0:
        return "not moved"
    return f"{'raised' if by > 0 else 'lowered'} by {amount(by)[1:]} times the step size"


def others(page: Parts) -> list[Share]:
    """How the wrong classes move, in the order of the rows."""
    e = page.e
    found = [
        Share(n, as_html(names(e, n)[1]), float(e.gradient[n])) for n in page.shown if n != e.target
    ]
    if page.rest.size:
        found.append(Share("rest", "others", float(e.gradient[page.rest].sum())))
    return found


def dock(page: Parts) -> str:
    """The loss, which stays in view with the buttons."""
    status = buttons = ""
    if page.controlled:
        status = '<p role="status" class="status control"></p>'
        buttons = (
            '<div class="buttons control"><button type="button" data-do="step">Step</button>'
            '<button type="button" data-do="play" aria-pressed="false">Play</button>'
            '<button type="button" data-do="reset">Reset</button></div>'
        )
    said = "The loss as a point on the curve −log a"
    return (
        f'<div class="dock">{picture("curve", drawing.curve(page.e.before.loss), said)}'
        f'<div class="loss"><p><span class="half">J = −log a{page.y}</span> '
        f'<span class="half">= <strong>{page.J}</strong></span></p>'
        f"<small>only {page.name('y')}’s own term is the loss</small></div>{buttons}{status}</div>"
    )


def reading(page: Parts) -> str:
    """The prediction to make, and what the arrows mean."""
    guess = ""
    if page.controlled:
        chips = "".join(
            f'<button type="button" data-guess="{n}" aria-pressed="false">'
            f"{as_html(names(page.e, n)[0])}</button>"
            for n in page.shown
        )
        guess = (
            '<div class="predict control"><h2>Before you step: which output will move most?</h2>'
            f'<div class="chips">{chips}{"" if page.rest.size else ANOTHER}</div>'
            '<p class="verdict" aria-live="polite"></p></div>'
        )
    return f'<div class="reading">{guess}{_why(page)}</div>'


def _why(page: Parts) -> str:
    """Who is pushed where, in the words that everything else makes precise."""
    name = page.name("y")
    slope = page.when("know-slope", f"{page.operand('slope')} − 1 is negative, so ")
    pushed = page.when(
        "pushed",
        f"{slope}{name} goes up. The others have no −1, so they go down. What they lose, {name} "
        "gains: its arrow is as long as theirs together, and the sum is 0.",
    )
    still = page.when(
        "still", f"Here a{page.y} is 1 as far as float64 can show: nothing is left to push."
    )
    impossible = page.when(
        "impossible",
        f"Here {name} has the output −inf, and no step can raise it. The others go down "
        "all the same.",
    )
    undefined = page.when("no-softmax", "Here there is no softmax, so nothing is pushed.")
    more = ""
    if page.controlled:
        more = (
            '<button type="button" class="more control" data-do="numbers" aria-expanded="false">'
            "Show the numbers</button>"
        )
    return (
        '<div class="why"><h2>The label decides who gets the −1</h2>'
        f"<p>The push on an output is its probability, minus 1 for the true class. Each step moves "
        f"against it. {pushed}{still}{impossible}{undefined}</p>{more}</div>"
    )
