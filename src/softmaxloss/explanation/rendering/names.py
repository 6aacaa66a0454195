"""Classes as text: their numbers as the caller counts, and their names, which are untrusted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...text import shorten
from ..data import Data

NAME = 24  # cells of a class name on a page and in an answer
MOST = 5  # classes that a sentence lists


def name(e: Data, n: int, cells: int = NAME) -> str:
    """The name of the class at position n, shortened, after a space; empty without names."""
    return "" if e.classes is None else f" {shorten(e.classes[n], cells)}"


def in_table(e: Data, n: int, cells: int = NAME) -> str:
    """The class for a table: "2 bird"."""
    return f"{e.number(n)}{name(e, n, cells)}"


def in_sentence(e: Data, n: int, cells: int = NAME) -> str:
    """The class for a sentence: "2 (bird)"."""
    return str(e.number(n)) if e.classes is None else f"{e.number(n)} ({name(e, n, cells)[1:]})"


def listed(classes: Sequence[object] | NDArray[np.int64]) -> str:
    """Classes for a sentence, at most five of them.

    >>> listed([3]), listed([0, 1]), listed(range(9))
    ('class 3', 'classes 0 and 1', 'classes 0, 1, 2, 3, 4 and 4 more')
    """
    count, words = len(classes), [str(known) for known in classes[:MOST]]
    if count == 1:
        return f"class {words[0]}"
    end = f"{count - MOST} more" if count > MOST else words.pop()
    return f"classes {', '.join(words)} and {end}"
