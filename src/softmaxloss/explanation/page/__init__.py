"""The page for one example: HTML that is complete before its script runs.

From the top: stage.py is the first screen, scenes.py what leads from the outputs to the descent,
sandbox.py and answers.py the end. parts.py has what they are made of, drawing.py and chart.py the
pictures, facts.py what is true only of some examples. several.py is the page for several labels.

The script lets the numbers be changed. page.js has the controls, quantities.js and answers.js what
each number on the page is, drawing.js and chart.js the pictures, rows.js the rows of classes that
are added, state.js the examples to try and the address, maths.js the maths.
"""

import base64
import re
from functools import cache
from pathlib import Path

from ..one_data import ExampleData
from ..one_words import drawn_path
from ..rendering.html import Page
from ..rendering.numbers import number
from .answers import questions
from .facts import at_end
from .parts import Parts, names
from .sandbox import layer, notes, sandbox
from .scenes import scenes
from .several import several_page
from .stage import dock, head, reading, stage

__all__ = ["page", "several_page"]

SCRIPTS = (
    "maths.js", "drawing.js", "chart.js", "state.js", "answers.js", "quantities.js", "rows.js",
    "page.js",
)  # fmt: skip


def page(e: ExampleData, *, script: bool) -> Page:
    """The page; without a script also without controls.

    >>> import numpy as np
    >>> z, names = np.array([2.0, 1.0, 0.1, -1.2]), ("a", "b", "<i>", "d")
    >>> e = ExampleData.of(z, 2, step=0.1, steps=0, classes=names)
    >>> html = page(e, script=True).document()
    >>> "2.3435" in html, "<i>" in html, "http" in html.replace("http-equiv", "")
    (True, False, False)
    """
    title = f"Why the loss is {number(e.before.loss)}"
    written = _body(e, controls=script)
    return Page(title, written, _script(), _data(e)) if script else Page(title, written)


def _body(e: ExampleData, *, controls: bool) -> str:
    """controls: whether a script will follow the numbers."""
    page = Parts(e, controls)
    unusual = notes(page)
    parts = [head(page)]
    if not e.defined:
        parts.append(unusual)
    parts.append(stage(page))
    if e.terms.size > 1:
        parts += [dock(page), reading(page)]
    parts.append(scenes(page))
    if e.defined and e.terms.size > 1 and e.layer is not None:
        parts.append(layer(page, e.layer))
    parts.append(sandbox(page))
    if e.defined:
        parts.append(unusual)
    parts.append(questions(page))
    return "\n".join(part for part in parts if part)


def _data(e: ExampleData) -> dict[str, object]:
    """What the script starts from: all logits to the bit, NaN and infinities too."""
    path = drawn_path(e)
    columns = () if path is None else (path.steps, path.target_probability, path.loss)
    points = zip(*(column.tolist() for column in columns), strict=True)
    return {
        "logits": base64.b64encode(e.before.logits.astype("<f8").tobytes()).decode(),
        "target": e.target,
        "step": e.step,
        "first": e.first_class,
        "names": None if e.classes is None else {n: names(e, n) for n in e.listed()},
        "path": [{"step": step, "a": a_y, "J": loss} for step, a_y, loss in points],
        "end": at_end(e),
    }


@cache
def _script() -> str:
    """All modules as one: without what they import from each other."""
    files = (Path(__file__).with_name(name) for name in SCRIPTS)
    modules = "".join(file.read_text(encoding="utf-8") for file in files)
    return re.sub(r"^import .*\n|^export ", "", modules, flags=re.MULTILINE)
