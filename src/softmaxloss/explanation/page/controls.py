"""The controls of the page, hidden and empty until the script fills them in."""

from __future__ import annotations

from .parts import Parts

# A browser that returns to the page must not fill in old values.
PLAIN = 'autocomplete="off"'


def controls(page: Parts) -> str:
    """A row of fields for each class listed, and the buttons."""
    rows = "".join(
        f'<div class="knob" data-n="{n}"><label class="pick">'
        f'<input {PLAIN} type="radio" name="y" value="{n}"> {page.index(n)}'
        f'<span class="name">{page.name(n)}</span></label>'
        f'<input {PLAIN} type="range" data-z="{n}" step="any">'
        f'<input {PLAIN} type="number" data-z="{n}" step="any"></div>'
        for n in page.shown
    )
    return (
        '<section class="try" hidden aria-label="Try it">\n<h2>Try it</h2>\n'
        "<p>Drag or type the outputs z, pick the true class, and descend: everything below "
        "follows.</p>\n"
        f'<div class="knobs">{rows}</div>\n'
        '<div class="buttons">'
        '<button type="button" data-do="step">Step</button>'
        '<button type="button" data-do="play" aria-pressed="false">Play</button>'
        '<button type="button" data-do="reset">Reset</button>'
        f'<label>step size <input {PLAIN} type="number" data-set="step" min="0" step="any">'
        f'</label><label>temperature <input {PLAIN} type="number" data-set="T" min="0.05" '
        f'step="0.05"></label><label>count classes from <select {PLAIN} data-set="first">'
        "<option>0</option><option>1</option></select></label></div>\n"
        '<p role="status" class="status"></p>\n</section>'
    )
