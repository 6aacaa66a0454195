"""The page for one example: HTML that is complete before its script runs.

`sections.py` writes it, with pictures of `chart.py`. The script, maths.js, chart.js and page.js,
then lets the numbers be changed.
"""

import base64
import re
from functools import cache
from pathlib import Path

from ..one_data import ExampleData
from ..one_words import drawn_path
from ..rendering.html import Page
from ..rendering.numbers import number
from .sections import body


def page(e: ExampleData, *, script: bool) -> Page:
    """The page; without a script also without controls.

    >>> import numpy as np
    >>> z, names = np.array([2.0, 1.0, 0.1, -1.2]), ("a", "b", "<i>", "d")
    >>> e = ExampleData.of(z, 2, step=0.1, steps=0, classes=names)
    >>> html = page(e, script=True).document()
    >>> "2.3435" in html, "<i>" in html, "http" in html.replace("http-equiv", "")
    (True, False, False)
    """
    written = body(e, controls=script)
    title = f"Why the loss is {number(e.before.loss)}"
    return Page(title, written, _script(), _data(e)) if script else Page(title, written)


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
        "path": [{"step": step, "a": a_y, "J": loss} for step, a_y, loss in points],
    }


@cache
def _script() -> str:
    """All modules as one: without what they import from each other."""
    files = (Path(__file__).with_name(name) for name in ("maths.js", "chart.js", "page.js"))
    modules = "".join(file.read_text(encoding="utf-8") for file in files)
    return re.sub(r"^import .*\n|^export ", "", modules, flags=re.MULTILINE)
