"""Names of classes, and labels that are given by name.

Text is the name of a class, an integer its number: `"3"` is the class that is called 3, wherever it
is in the list of names, and `3` is class number 3. On a command line everything is text: there,
what is not a name is read as a number.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Array
from .errors import LabelError, OptionError
from .text import few, shown

LONGEST = 100  # characters of names that are compared for a misspelt one: the time grows with n²


def read_class_names(classes: Any, count: int) -> tuple[str, ...] | None:
    """The checked names of `count` classes; None for None.

    >>> read_class_names(["cat", "dog"], 2)
    ('cat', 'dog')
    """
    if classes is None:
        return None
    if isinstance(classes, str | Set | Mapping) or not isinstance(classes, Iterable):
        kind = type(classes).__name__
        raise TypeError(f"classes must be a sequence of names such as ['cat', 'dog'], got {kind}")
    names = tuple(classes)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"class names must be strings, got {shown(name)}")
    if len(names) != count:
        raise OptionError(f"there are {len(names)} class names for {count} logits")
    return names


def is_text(target: Array) -> bool:
    """Whether an array of labels holds names."""
    if target.dtype.kind == "O":
        return any(isinstance(label, str) for label in target.flat)
    return target.dtype.kind in "UT"


def positions_of(
    target: Array, names: Sequence[str] | None, *, rows: bool = True
) -> NDArray[np.int64]:
    """The positions, counted from 0, of the classes with these names, in the shape of `target`.

    Args:
        target: labels, some of which are text.
        names: the names of all classes.
        rows: whether each label is that of a row, which an error then names.

    Raises:
        LabelError: there are no names, a label is not one of them, or several classes have it.

    >>> positions_of(np.array(["fox", "cat"]), ("cat", "dog", "fox"))
    array([2, 0])
    >>> positions_of(np.array(["fxo"]), ("cat", "dog", "fox"))
    Traceback (most recent call last):
        ...
    softmaxloss.errors.LabelError: the label 'fxo' of row 0 is no class: did you mean 'fox'?
    """
    words = target.ravel().tolist()
    if names is None:
        word = next(word for word in words if isinstance(word, str))
        raise LabelError(f"the label {shown(word)} is a name: pass classes=[…], the names of all")
    position = {name: n for n, name in enumerate(names)}
    if len(position) < len(names):
        counts = Counter(names)
        position = {name: n for name, n in position.items() if counts[name] == 1}
    found = np.array([position.get(word, -1) for word in words], np.int64)
    if (found < 0).any():
        row = int(found.argmin())
        where = f" of row {row}" if rows else ""
        raise LabelError(f"the label {shown(words[row])}{where} is {_fault(words[row], names)}")
    return found.reshape(target.shape)


def _fault(label: object, names: Sequence[str]) -> str:
    """Why a label is not the name of one class."""
    if not isinstance(label, str):
        return "not text, as others are: pass all labels as names, or all as numbers"
    if label in names:
        return "the name of several classes: pass the number of the class"
    number = "; a class number must be an integer, not text" if label.strip().isdecimal() else ""
    return f"no class: {offer(label, names)}{number}"


def offer(label: str, names: Sequence[str]) -> str:
    """The names that a misspelt one may stand for; else what there is.

    >>> offer("Fox", ["cat", "fox"]), offer("zebra", ["cat", "fox"])
    ("did you mean 'fox'?", "the classes are 'cat', 'fox'")
    """
    folded = {name.casefold(): name for name in reversed(names) if len(name) <= LONGEST}
    word = label[:LONGEST].strip().casefold()
    near = [folded[word] for word in difflib.get_close_matches(word, folded, 3, 0.5)]
    if near:
        return f"did you mean {' or '.join(map(shown, near))}?"
    return f"the classes are {few([shown(name, 40) for name in names[:6]])}"
