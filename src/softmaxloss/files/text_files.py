"""Text files: .csv is streamed line by line, .json is read whole."""

import array
import csv
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..arrays import Array
from ..text import shown
from .source import ArraySource, BadFileError, Source, choose_key, refuse_key, refuse_labels

_LINE_LIMIT = 1 << 29  # characters: ten million classes written with 50 characters each
_BLOCK_LIMIT = 1 << 19  # numbers: their text takes several times the memory of the numbers
_JSON_LIMIT = 1 << 30
_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")


class CsvSource(Source):
    """Rows of comma-separated numbers, with or without a first line of class names."""

    def __init__(self, path: Path, key: str | None, defaults: Sequence[str]) -> None:
        refuse_key(key)
        self._path = path
        self.dtype = np.dtype(np.float64)
        with open(path, "rb") as file:
            (number, line), *second = itertools.islice(_lines(file), 2)
        cells = _cells(number, line)
        if any(_as_float(cell) is None for cell in cells):
            self.names = _class_names(number, cells)
            if not second:
                raise BadFileError(
                    "has one line and that is not all numbers; expected one line per example"
                )
        elif second and len(cells) > 1 and cells == [str(j) for j in range(len(cells))]:
            raise BadFileError(
                f"line {number} reads 0,1,…,{len(cells) - 1}: column numbers or an example? "
                "Remove the line if it is a heading; write 0.0,1.0,… if it is an example"
            )
        self._width = len(cells)
        self.shape = (None, len(cells))

    def blocks(self, rows: int) -> Iterator[Array]:
        rows = min(rows, max(1, _BLOCK_LIMIT // self._width))
        size = self._path.stat().st_size
        with open(self._path, "rb") as file:
            lines = itertools.islice(_lines(file), 1 if self.names else 0, None)
            while batch := list(itertools.islice(lines, rows)):
                text = [line for _, line in batch]
                try:
                    block = np.loadtxt(text, delimiter=",", comments=None, quotechar='"', ndmin=2)
                except ValueError:
                    raise self._fault(batch) from None
                if block.shape != (len(batch), self._width):
                    raise self._fault(batch)
                self.bytes_read = (file.tell(), size)
                yield block

    def _fault(self, batch: list[tuple[int, str]]) -> BadFileError:
        """The error that names the line and column where a batch cannot be read."""
        for number, line in batch:
            for column, cell in enumerate(_cells(number, line, self._width), start=1):
                if _as_float(cell) is None or not cell.isascii():  # float() reads any script
                    return BadFileError(
                        f"line {number}, column {column}: {shown(cell, 40)} is not a number"
                        + _separator_hint(cell)
                    )
        return BadFileError(f"lines {batch[0][0]} to {number} are not comma-separated numbers")


def _class_names(line: int, cells: list[str]) -> list[str]:
    if cells[0] == "":
        raise BadFileError(
            "the first column has no name: is it a row index? "
            "Write the table without it (pandas: index=False)"
        )
    refuse_labels(cells)
    if len(cells) == 1 and (hint := _separator_hint(cells[0])):
        raise BadFileError(f"line {line} is one column, {shown(cells[0], 40)}{hint}")
    words = [column for column, cell in enumerate(cells) if _as_float(cell) is None]
    if len(words) < len(cells):  # a row with a typo must not pass for names
        word = cells[words[0]]
        raise BadFileError(
            f"line {line} is neither all numbers nor all names: column {words[0] + 1} is "
            f"{shown(word, 40)}{_separator_hint(word)}"
        )
    return cells


def open_csv_labels(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """Whole numbers: the one column, or the one named `key`."""
    labels = array.array("q")
    with open(path, "rb") as file:
        lines = _lines(file)
        number, line = next(lines)
        cells = _cells(number, line)
        column = 0
        if any(_as_float(cell) is None for cell in cells):
            column = cells.index(choose_key(cells, key, defaults))
        elif key is not None:
            raise BadFileError(f"has no line of column names to find {shown(key, 40)} in")
        elif len(cells) > 1:
            raise BadFileError(f"has {len(cells)} columns; labels are one column")
        else:
            lines = itertools.chain([(number, line)], lines)
        for number, line in lines:
            cell = _cells(number, line, len(cells))[column]
            if not _WHOLE_NUMBER.fullmatch(cell):
                raise BadFileError(f"line {number}: {_not_a_label(cell)}")
            try:
                labels.append(int(cell))
            except (OverflowError, ValueError):  # ValueError: more digits than int() takes
                why = f"{shown(cell, 40)} is not a 64-bit number"
                raise BadFileError(f"line {number}: {why}") from None
    if not labels:
        raise BadFileError("holds no labels; expected one whole number per line")
    return ArraySource(np.frombuffer(labels, dtype=np.int64))


def _not_a_label(cell: str) -> str:
    value, word = _as_float(cell), shown(cell, 40)
    if value is None and cell.strip():
        return (
            f"{word} is text; labels are class numbers, 0 for the first class: "
            "map the names to their position" + _separator_hint(cell)
        )
    if value is not None and value.is_integer() and abs(value) < 1e15:
        return f"label {word}: write whole numbers without a point, {int(value)}"
    return f"{word} is not a whole number; labels are class numbers, 0 for the first class"


def _lines(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, numbered from 1."""
    blank = True
    for number, line in enumerate(iter(lambda: file.readline(_LINE_LIMIT), b""), start=1):
        if len(line) == _LINE_LIMIT:
            raise BadFileError(f"line {number} is longer than {_LINE_LIMIT} bytes")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadFileError(
                f"line {number} is not UTF-8 text ({error.reason}); save it as UTF-8"
            ) from None
        if text.strip():
            blank = False
            yield number, text
    if blank:
        raise BadFileError("holds only blank lines")


def _cells(number: int, line: str, width: int = 0) -> list[str]:
    """The cells of a line, which must be `width` where that is known already."""
    try:
        cells = [cell.strip() for cell in next(csv.reader([line]))]
    except csv.Error as error:
        if "\r" in line.strip():
            raise BadFileError(
                f"line {number} holds carriage returns (\\r): end its lines with \\n"
            ) from None
        raise BadFileError(f"line {number} is not comma-separated text: {error}") from None
    if width and len(cells) != width:
        raise BadFileError(f"line {number} has {len(cells)} columns, not {width}")
    return cells


def _as_float(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)  # float() reads 1_000 as a Python literal
    except ValueError:
        return None


def _separator_hint(cell: str) -> str:
    return "; separate columns by commas" if ";" in cell or "\t" in cell else ""


def open_json(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """A list of lists of numbers, or an object that holds one."""
    data = _json_list(path, key, defaults)
    rows = data if data and isinstance(data[0], list) else [data]
    for i, row in enumerate(rows):
        if not isinstance(row, list):
            raise BadFileError(f"row {i} is {_kind(row)}, not a list of numbers")
        if len(row) != len(rows[0]):
            raise BadFileError(f"row {i} has {len(row)} numbers, row 0 has {len(rows[0])}")
        for j, value in enumerate(row):
            if type(value) is not float and type(value) is not int:
                raise BadFileError(f"row {i}, column {j} is {_kind(value)}, not a number")
    try:
        return ArraySource(np.array(rows, dtype=np.float64))
    except OverflowError:
        raise BadFileError("holds a whole number too large for float64") from None


def open_json_labels(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """A list of whole numbers, or an object that holds one."""
    data = _json_list(path, key, defaults)
    for i, value in enumerate(data):
        if type(value) is not int:
            number_or_text = isinstance(value, str | float)
            why = _not_a_label(str(value)) if number_or_text else f"a label is {_kind(value)}"
            raise BadFileError(f"row {i}: {why}")
    try:
        return ArraySource(np.array(data, dtype=np.int64))
    except OverflowError:
        raise BadFileError("holds a label that is not a 64-bit number") from None


def _json_list(path: Path, key: str | None, defaults: Sequence[str]) -> list[Any]:
    if path.stat().st_size > _JSON_LIMIT:
        raise BadFileError("is over 1 GiB; .json is read whole: save .npy, which is streamed")
    try:
        data = json.loads(path.read_bytes())
    except UnicodeDecodeError as error:
        raise BadFileError(f"is not UTF-8 text ({error.reason})") from None
    except RecursionError:
        raise BadFileError("is nested too deeply; expected a list of lists") from None
    except ValueError as error:
        raise BadFileError(f"is not valid JSON (cut short?): {error}") from None
    if isinstance(data, dict):
        lists = [name for name, value in data.items() if isinstance(value, list)]
        data = data[choose_key(lists, key, defaults)]
    elif key is not None:
        raise BadFileError(f"holds no object to find {shown(key, 40)} in")
    if not isinstance(data, list):
        raise BadFileError(f"holds {_kind(data)}; expected a list, or an object with a list")
    return data


def _kind(value: object) -> str:
    """A JSON value in JSON's words."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return f"the text {shown(value, 40)}" if isinstance(value, str) else f"the number {value}"
