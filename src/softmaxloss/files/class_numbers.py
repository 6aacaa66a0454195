"""Labels as text → class numbers."""

import re
from collections import Counter
from collections.abc import Sequence

from ..class_names import offer
from ..text import shown
from .errors import BadFileError

_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")


class ClassNumbers:
    """The number of the class that a text names: its position in `names` + `first_class`.

    What is the name of a class is that class; any other text is read as a whole number. With the
    names 3, 5 and 8, the text 5 is the second class. Labels of which some can only be names and
    others only numbers are refused: of 0, 1, 2 with the names 1, 2, 3 neither reading is right.

    >>> ClassNumbers(["cat", "dog"], first_class=1).of("dog"), ClassNumbers().of(" -100")
    (2, -100)
    >>> ClassNumbers(["3", "5", "8"]).of("5")
    1
    """

    def __init__(self, names: Sequence[str] | None = None, first_class: int = 0) -> None:
        self.names = names
        self._numbers = {name: n for n, name in enumerate(names or (), first_class)}
        self._range = range(first_class, first_class + len(names or ()))
        counts = Counter(names or ())
        self._several = {name for name in counts if counts[name] > 1}
        self._as_name = self._as_number = ""  # the first label that is only one of the two

    def __contains__(self, text: str) -> bool:
        return text in self._numbers

    def of(self, text: str) -> int:
        """The number of a class. Raises BadFileError for text that is no label."""
        if text in self._several:
            raise BadFileError(f"{shown(text, 40)} is the name of several classes")
        named = self._numbers.get(text)
        if not _WHOLE_NUMBER.fullmatch(text):
            if named is None:
                raise BadFileError(self._no_label(text))
            return named
        if len(text) > 40 or not -(2**63) <= (number := int(text)) < 2**63:
            if named is None:
                raise BadFileError(f"{shown(text, 40)} is not a 64-bit number")
            return named
        if named is None:
            self._as_number = self._as_number or (text if number in self._range else "")
        elif named != number:
            self._as_name = self._as_name or text
        if self._as_name and self._as_number:
            raise BadFileError(
                f"label {shown(self._as_name, 40)} is the name of a class and "
                f"{shown(self._as_number, 40)} of none, only the number of one: write all labels "
                "as names, or as numbers and name the classes otherwise, --classes A,B,… "
                "(classes= in Python)"
            )
        return number if named is None else named

    def _no_label(self, text: str) -> str:
        word, value = shown(text, 40), as_float(text)
        if value is None and text.strip():
            if self.names is None:
                return (
                    f"{word} is text; labels are class numbers, 0 for the first class: "
                    "for names give the classes in their order, --classes A,B,… (classes= in "
                    "Python)"
                )
            return f"{word} is not one of the {len(self.names)} classes: {offer(text, self.names)}"
        if value is not None and value.is_integer() and abs(value) < 1e15:
            return f"label {word}: write whole numbers without a point, {int(value)}"
        return f"{word} is not a whole number; labels are class numbers, 0 for the first class"


def as_float(cell: str) -> float | None:
    """The number in a cell, or None."""
    try:
        return None if "_" in cell else float(cell)  # float() reads 1_000 as a Python literal
    except ValueError:
        return None
