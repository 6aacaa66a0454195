"""Lines of text: the ids of rows, the names of classes."""

import os
from pathlib import Path

from ..text import plural
from .errors import BadFileError, FileError
from .source import check_file


def read_ids(path: str | os.PathLike[str], rows: int) -> list[str]:
    """The ids in a text file, one line for each of `rows` rows.

    Raises:
        FileError: missing, not text in UTF-8, or another number of lines.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "ids.txt"
    >>> _ = path.write_text("a.png\\nb.png\\n")
    >>> read_ids(path, 2)
    ['a.png', 'b.png']
    """
    ids = read_lines(path)
    if len(ids) != rows:
        hint = ": leave out the header" if len(ids) == rows + 1 else ""
        raise FileError(path, f"has {plural(len(ids), 'id')} for {plural(rows, 'row')}{hint}")
    return ids


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
