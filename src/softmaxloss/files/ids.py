"""The ids of rows: lines of text, or a column; and lines of text for the names of classes."""

import os
from pathlib import Path

from ..text import plural, shown
from .class_numbers import ClassNumbers
from .errors import BadFileError, FileError
from .formats import readable
from .source import Ask, check_file


def read_ids(path: str | os.PathLike[str], rows: int, *, key: str | None = None) -> list[str]:
    """The ids in a file, one for each of `rows` rows.

    Args:
        path: a text file with an id on each line; with a key any of the formats of `open_logits`.
        rows: how many there must be.
        key: the name of the column or array with the ids, text or whole numbers.

    Raises:
        FileError: missing, unreadable, without that column, or another number of ids.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "ids.txt"
    >>> _ = path.write_text("a.png\\nb.png\\n")
    >>> read_ids(path, 2)
    ['a.png', 'b.png']
    """
    ids = read_all_ids(path, key)
    if len(ids) != rows:
        header = key is None and len(ids) == rows + 1
        hint = ": leave out the header, or name its column by --ids-key" if header else ""
        raise FileError(path, f"has {plural(len(ids), 'id')} for {plural(rows, 'row')}{hint}")
    return ids


def read_all_ids(path: str | os.PathLike[str], key: str | None = None) -> list[str]:
    """As `read_ids`, however many there are."""
    return read_lines(path) if key is None else _read_column(path, key)


def _read_column(path: str | os.PathLike[str], key: str) -> list[str]:
    """The ids in a column, which is read as a column of labels is."""
    file, texts = readable(path), _Texts()
    with file.faults():
        source = file.format.labels(file.path, Ask(key, (), classes=texts, option="--ids-key"))
        kind = source.dtype.kind
        if source.shape[1:] not in ((), (1,)) or kind not in "iuUS":
            raise BadFileError(
                f"{shown(key, 40)} has shape {source.shape} and holds {source.dtype}; ids are one "
                "text or whole number per row"
            )
        values = source.whole().reshape(-1).tolist()
    if not texts.count:
        return [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values]
    if texts.count < len(values):
        raise FileError(path, f"{shown(key, 40)} has ids of which some are text and some numbers")
    return [texts.known[value] for value in values]


class _Texts(ClassNumbers):
    """Numbers any texts in the order in which they appear."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0  # of texts that were asked for
        self.known: list[str] = []
        self._number_of: dict[str, int] = {}

    def of(self, text: str) -> int:
        self.count += 1
        number = self._number_of.setdefault(text, len(self.known))
        if number == len(self.known):
            self.known.append(text)
        return number


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """The lines of a text file, without their ends.

    Raises:
        FileError: missing, empty, or not text in UTF-8.
    """
    path = Path(path)
    try:
        check_file(path)
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except BadFileError as error:
        raise FileError(path, str(error)) from None
    except UnicodeDecodeError:
        raise FileError(path, "is not text in UTF-8") from None
    if not lines[-1]:
        lines.pop()  # the last line ends
    return lines
