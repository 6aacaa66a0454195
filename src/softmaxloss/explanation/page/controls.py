"""The controls of the page, hidden until the script runs."""

from __future__ import annotations

import math

from .parts import Parts

__all__ = ["controls"]

# A browser that returns to the page must not fill in old values.
PLAIN = 'autocomplete="off"'
WIDEST = 8e307  # of a slider: the distance between its ends must be finite too


def controls(page: Parts) -> str:
    """A row of fields for each class listed, and the buttons."""
    e = page.e
    rows = []
    for n in page.shown:
        z = float(e.before.logits[n])
        who = f"class {e.number(n)}{page.name(n)}"
        # A number field cannot hold an infinity or NaN: it stays empty.
        shown = f"{z:.6g}" if math.isfinite(z) else ""
        edge = min(max(10.0, 2 * abs(z)), WIDEST) if math.isfinite(z) else 10.0
        checked = " checked" if n == e.target else ""
        rows.append(
            f'<div class="knob" data-n="{n}"><label class="pick">'
            f'<input {PLAIN} type="radio" name="y" value="{n}"{checked} '
            f'aria-label="{who} is the true class"> {page.index(n)}'
            f'<span class="name">{page.name(n)}</span></label>'
            f'<input {PLAIN} type="range" data-z="{n}" min="{-edge:.6g}" max="{edge:.6g}" '
            f'step="any" value="{shown or 0}" aria-label="output of {who}, dragged">'
            f'<input {PLAIN} type="number" data-z="{n}" step="any" value="{shown}" '
            f'aria-label="output of {who}, typed"></div>'
        )
    first = "".join(
        f'<option value="{k}"{" selected" if k == e.first_class else ""}>{k}</option>'
        for k in (0, 1)
    )
    return (
        '<section class="try" hidden aria-label="Try it">\n<h2>Try it</h2>\n'
        "<p>Drag or type the outputs z, pick the true class, and descend: everything below "
        "follows.</p>\n"
        f'<div class="knobs">{"".join(rows)}</div>\n'
        '<div class="buttons">'
        '<button type="button" data-do="step">Step</button>'
        '<button type="button" data-do="play" aria-pressed="false">Play</button>'
        '<button type="button" data-do="reset">Reset</button>'
        f'<label>step size <input {PLAIN} type="number" data-set="step" min="0" step="any" '
        f'value="{e.step!r}"></label>'
        f'<label>temperature <input {PLAIN} type="number" data-set="T" min="0.05" '
        'step="0.05" value="1"></label>'
        f'<label>count classes from <select {PLAIN} data-set="first">{first}</select></label>'
        "</div>\n"
        '<p role="status" class="status"></p>\n</section>'
    )
