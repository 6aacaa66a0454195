"""The explanation of one example with several labels, as text."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from .rendering.names import in_sentence, listed, plural
from .rendering.terminal import lay_out, name_cells, prose, section
from .several_data import SeveralLabelsData
from .several_sections import sections


def render(explanation: SeveralLabelsData, *, width: int = 80, color: bool = False) -> str:
    """The explanation as text that ends in a newline; for `width` and `color` see `to_text`.

    >>> import numpy as np
    >>> e = SeveralLabelsData.of(np.array([2.0, 1.0, 0.1]), np.array([0.0, 1.0, 1.0]), step=0.1)
    >>> print(render(e).splitlines()[0])
    One example with 3 classes, numbered from 0, and 2 labels: classes 1 and 2.
    """
    return lay_out(_parts(explanation, name_cells(width)), color=color, width=width)


def _parts(e: SeveralLabelsData, cells: int) -> Iterator[RenderableType]:
    labels = e.labels
    known = listed([in_sentence(e, n, cells) for n in labels]) if labels else ""
    if not labels:
        said = "no label: its target is all zeros"
    elif set(e.target[labels]) == {1.0}:
        said = f"{len(labels)} labels: {known}"
    else:
        said = f"a target that gives {len(labels)} of them a share: {known}"
    classes = plural(e.terms.size, "class")
    yield prose(f"One example with {classes}, numbered from {e.first_class}, and {said}.")
    for part in sections(e, cells):
        yield from section(part)
