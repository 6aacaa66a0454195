"""Labels as text → class numbers."""

import re
from collections import Counter
from collections.abc import Sequence

from ..text import few, shorten, shown
from .errors import BadFileError

_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")


class ClassNumbers:
    """The number of the class that a text names: its position in `names` + `first_class`.

    In a text file everything is text: there, a whole number is that number.

    >>> ClassNumbers(["cat", "dog"], first_class=1).of("dog"), ClassNumbers().of(" -100")
    (2, -100)
    """

    def __init__(self, names: Sequence[str] | None = None, first_class: int = 0) -> None:
        self.names = names
        self._numbers = {name: n for n, name in enumerate(names or (), first_class)}
        counts = Counter(names or ())
        self._several = {name for name in counts if counts[name] > 1}

    def __contains__(self, text: str) -> bool:
        return text in self._numbers

    def named(self, text: str) -> int:
        """The number of a class where text is stored as text, so that "3" is a name.

        >>> ClassNumbers(["3", "5"]).named("5")
        1
        """
        known = text in self._numbers and text not in self._several
        return self._numbers[text] if known else self.of(text)

    def of(self, text: str) -> int:
        """The number of a class. Raises BadFileError for text that is no label."""
        named = self._numbers.get(text)
        if not _WHOLE_NUMBER.fullmatch(text):
            if named is None or text in self._several:
                raise BadFileError(self._no_label(text))
            return named
        word = shown(text, 40)
        if len(text) > 40 or not -(2**63) <= (number := int(text)) < 2**63:
            raise BadFileError(f"{word} is not a 64-bit number")
        if named not in (None, number):
            raise BadFileError(
                f"label {word} is both the number of a class and the name of another, number "
                f"{named}: write all labels as names that are not numbers, or as numbers"
            )
        return number

    def _no_label(self, text: str) -> str:
        word, value = shown(text, 40), as_float(text)
        if text in self._several:
            return f"{word} is the name of several classes"
        if value is None and text.strip():
            if self.names is None:
                return (
                    f"{word} is text; labels are class numbers, 0 for the first class: "
                    "for names give the classes in their order, --classes A,B,… (classes= in "
                    "Python)"
                )
            names = few([shorten(name, 20) for name in self.names[:9]], most=8)
            return f"{word} is not one of the {len(self.names)} classes: {names}"
        if value is not None and value.is_integer() and abs(value) < 1e15:
            return f"label {word}: write whole numbers without a point, {int(value)}"
        return f"{word} is not a whole number; labels are class numbers, 0 for the first class"


def as_float(cell: str) -> float | None:
    """The number in a cell, or None."""
    try:
        return None if "_" in cell else float(cell)  # float() reads 1_000 as a Python literal
    except ValueError:
        return None
