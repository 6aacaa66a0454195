"""After the scenes: everything to try, the layer, what is unusual."""

from ..one_data import Layer
from ..one_words import layer_cells, layer_section, remarks
from ..rendering.html import paragraph, section
from ..rendering.names import NAME
from ..rendering.numbers import number
from .parts import Parts
from .stage import PLAIN

FEATURES = 3  # of a layer, shown
HELD = 100  # outputs that an address can hold
PRESETS = {
    "right": "Sure and right",
    "wrong": "Sure and wrong",
    "tie": "A tie",
    "masked": "One class masked",
    "equal": "All equal",
    "four": "The four classes of the question",
}


def sandbox(page: Parts) -> str:
    """Examples, classes and settings to try; empty without a script."""
    if not page.controlled:
        return ""
    titles, classes = PRESETS, ""
    if page.rest.size:
        titles = {k: title for k, title in PRESETS.items() if k != "four"}
    else:
        removable = "".join(
            f'<button type="button" data-remove="{n}">{page.name(n)} ×</button>' for n in page.shown
        )
        classes = (
            '<div class="buttons" role="group" aria-label="Classes"><span>Classes:</span>'
            f"{removable}"
            f'<button type="button" data-do="add">Add a class</button></div>\n'
        )
    buttons = "".join(
        f'<button type="button" data-preset="{k}">{title}</button>' for k, title in titles.items()
    )
    examples = f'<div class="buttons" role="group" aria-label="Examples">{buttons}</div>\n'
    held = ""
    if page.e.terms.size <= HELD:
        held = " The address keeps what you see: copy it to share the view."
    return (
        '<section class="try control">\n<h2>Try it</h2>\n'
        "<p>Choose outputs, then step. Above, you choose the true class by its name, and can type "
        f"outputs.{held}</p>\n"
        f"{examples}{classes}"
        f'<div class="buttons"><label>step size <input {PLAIN} type="number" data-set="step" '
        f'min="0" step="any"></label><label>temperature <input {PLAIN} type="number" '
        f'data-set="T" min="0.05" step="0.05"></label><label>count classes from '
        f'<select {PLAIN} data-set="first"><option>0</option><option>1</option></select></label>'
        "</div>\n</section>"
    )


def layer(page: Parts, layer: Layer) -> str:
    part = layer_section(page.e, layer, NAME, FEATURES)
    a = layer.after.probabilities
    assert part.table is not None
    table = page.table(
        part.table.caption,
        [head.lstrip("<") for head in part.table.heads],
        lambda n: layer_cells(layer, n, FEATURES),
        ["", "", "", number(float(a[page.rest].sum()))],
        ["", "", "", number(float(a.sum()))],
    )
    words = "".join(map(paragraph, part.words))
    title = part.title.partition(". ")[2]
    return section(f"6. {title}", f"{page.given('This is')}{table}{words}", "given")


def notes(page: Parts) -> str:
    """What is unusual about the example."""
    said = remarks(page.e)
    if not said:
        return ""
    words = "".join(map(paragraph, said))
    return section("Note", f"{page.given('This is')}{words}", "note given")
