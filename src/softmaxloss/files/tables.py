"""Tables as text: .csv, .tsv and .txt, streamed line by line.

The separator is found from the first two lines. Where it is no comma, the numbers may have decimal
commas.
"""

import array
import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..text import shown
from .class_numbers import as_float
from .columns import NAME_THEM, Columns, is_index, is_label, label_columns
from .errors import BadFileError
from .source import ArraySource, Ask, Source
from .unpacked import Unpacked

_BLOCK_LIMIT = 1 << 19  # numbers: their text takes several times the memory of the numbers
_QUOTED_LIMIT = 1 << 24  # characters of a record that goes on over several lines

_MARKS = ("\t", ";", ",")

_PRINTED = re.compile(r"(tensor|array)\(|\[[\s\[\d.+-]", re.IGNORECASE)

Record = tuple[int, str]  # the number of its first line, counted from 1, and its text


def open_table(path: Path, ask: Ask) -> Source:
    """The logits of a table: all columns of numbers but those of labels and row numbers."""
    start = _start_of(path)
    if not start.has_heading():
        ask.refuse_names("has no line of column names")
        return _Numbers(path, start, range(len(start.first)), heading=False)
    _refuse_misprint(start, ask)
    if len(start.records) == 1:
        raise BadFileError(
            "has one line and that is not all numbers; expected one line per example"
        )
    columns = Columns(start.first, ask.key, ask.apart)
    hint = f"; if the column is no class, {NAME_THEM}"
    source = _Numbers(path, start, columns.positions, heading=True, hint=hint)
    source.names, source.left_out = columns.class_names, columns.left_out
    return source


def open_table_labels(path: Path, ask: Ask) -> Source:
    """The labels of a table: one column, or a column for each class."""
    start = _start_of(path)
    names = start.first
    a_name = names[0] in ask.classes and not is_label(names[0])
    if len(names) == 1 and (a_name or not start.has_words()):
        ask.refuse_names("has no line of column names")
        return ArraySource(_column(path, start, 0, ask, heading=False))
    # 0,1 may be one-hot, 0,1,2 is not.
    if not start.has_words() and (len(names) < 3 or not start.has_numbers_in_order()):
        ask.refuse_names("has no line of column names")
        return _Numbers(path, start, range(len(names)), heading=False)
    positions = label_columns(names, ask)
    if len(positions) == 1:
        return ArraySource(_column(path, start, positions[0], ask, heading=True))
    source = _Numbers(path, start, positions, heading=True)
    source.names = [names[position] for position in positions]
    return source


class _Start(NamedTuple):
    """How a table begins."""

    delimiter: str  # " " for any white space
    skip: int  # records before the first one
    records: list[Record]  # the first two
    first: list[str]  # the cells of the first

    def number(self, cell: str) -> float | None:
        return as_float(cell if self.delimiter == "," else cell.replace(",", "."))

    def cells(self, number: int, text: str, width: int = 0) -> list[str]:
        """The cells of a record, which must be `width` where that is known already."""
        cells = _split(number, text, self.delimiter)
        if width and len(cells) != width:
            raise BadFileError(f"line {number} has {len(cells)} columns, not {width}")
        return cells

    def has_words(self) -> bool:
        """Whether the first record has cells that are no numbers."""
        return any(self.number(cell) is None for cell in self.first)

    def has_numbers_in_order(self) -> bool:
        """Whether the first record is 0,1,2,…"""
        return self.first[0] == "0" and self.first == [str(j) for j in range(len(self.first))]

    def has_heading(self) -> bool:
        """Whether the first record names the columns."""
        first = self.first
        if self.has_words():
            return True
        if len(self.records) < 2 or len(first) < 2 or not self.has_numbers_in_order():
            return False
        # Numbers in one file are written in one way: 0,1,2 above 0.7,0.2,0.1 are names.
        second = self.cells(*self.records[1], len(first))
        if not any(cell.lstrip("+-").isdecimal() for cell in second):
            return True
        raise BadFileError(
            f"line {self.records[0][0]} reads 0,1,…,{len(first) - 1}: column numbers or an "
            "example? Remove the line if it is a heading; write 0.0,1.0,… if it is an example"
        )


class _Numbers(Source):
    """Some columns of a table as rows of numbers."""

    def __init__(
        self,
        path: Path,
        start: _Start,
        positions: Sequence[int],
        *,
        heading: bool,
        hint: str = "",
    ) -> None:
        self._path, self._start, self._positions, self._hint = path, start, positions, hint
        self._heading, self._width = heading, len(start.first)
        self._all = list(positions) == list(range(self._width))
        self.dtype = np.dtype(np.float64)
        self.shape = (None, len(positions))

    def blocks(self, rows: int) -> Iterator[Array]:
        rows = min(rows, max(1, _BLOCK_LIMIT // self._width))
        decimals: set[str] = set()  # how the numbers so far are written
        delimiter = None if self._start.delimiter == " " else self._start.delimiter
        with Unpacked(self._path) as file:
            records = itertools.islice(_records(file), self._start.skip + self._heading, None)
            while batch := list(itertools.islice(records, rows)):
                text = self._numbers_of(batch)
                if delimiter != ",":
                    decimals |= {mark for mark in ",." if any(mark in line for line in text)}
                    if len(decimals) > 1:
                        raise self._mixed(batch)
                    if "," in decimals:
                        text = [line.replace(",", ".") for line in text]
                try:
                    block = np.loadtxt(
                        text, delimiter=delimiter, comments=None, quotechar='"', ndmin=2
                    )
                except ValueError:
                    raise self._fault(batch) from None
                if block.shape != (len(batch), len(self._positions)):
                    raise self._fault(batch)
                self.bytes_read = file.progress
                yield block

    def _numbers_of(self, batch: list[Record]) -> list[str]:
        """The lines of a batch, without the other columns."""
        if self._all:
            return [text for _, text in batch]
        cells = [self._start.cells(*record, self._width) for record in batch]
        if len(self._positions) == 1:
            return [row[self._positions[0]] for row in cells]
        take = itemgetter(*self._positions)
        return [self._start.delimiter.join(take(row)) for row in cells]

    def _fault(self, batch: list[Record]) -> BadFileError:
        """The error that names the line and column where a batch cannot be read."""
        for number, text in batch:
            cells = self._start.cells(number, text, self._width)
            for position in self._positions:
                cell = cells[position]
                if (
                    self._start.number(cell) is None or not cell.isascii()
                ):  # float() reads any script
                    where = f"line {number}, column {position + 1}"
                    if self._heading:
                        where += f" ({shown(self._start.first[position], 40)})"
                    return BadFileError(f"{where}: {shown(cell, 40)} is not a number{self._hint}")
        return BadFileError(f"lines {batch[0][0]} to {number} are not numbers")

    def _mixed(self, batch: list[Record]) -> BadFileError:
        """The error for decimal commas beside decimal points, or 1.234,5."""
        found = f"before line {batch[0][0]} numbers have a comma"
        for number, text in reversed(batch):
            cells = self._start.cells(number, text, self._width)
            for position in self._positions:
                if "," in (cell := cells[position]):
                    found = f"line {number}, column {position + 1}: {shown(cell, 40)} has a comma"
        return BadFileError(
            f"{found}, and other numbers a point: use one decimal mark, and none for thousands"
        )


def _refuse_misprint(start: _Start, ask: Ask) -> None:
    """Raise for a first line of numbers with a misprint, which must not pass for names."""
    names = start.first
    words = [j for j, cell in enumerate(names) if start.number(cell) is None]
    known = any(is_index(n) or is_label(n) or n in ask.apart for n in names)
    if 0 < len(words) < len(names) and not known and ask.key is None:
        raise BadFileError(
            f"line {start.records[0][0]} is neither all numbers nor all names: column "
            f"{words[0] + 1} is {shown(names[words[0]], 40)}"
        )


def _column(path: Path, start: _Start, position: int, ask: Ask, *, heading: bool) -> Array:
    """The class numbers in one column."""
    labels, width = array.array("q"), len(start.first)
    with Unpacked(path) as file:
        for number, text in itertools.islice(_records(file), start.skip + heading, None):
            cell = start.cells(number, text, width)[position]
            try:
                labels.append(ask.classes.of(cell))
            except BadFileError as error:
                raise BadFileError(f"line {number}: {error}") from None
            file.keep(len(labels))
    if not labels:
        raise BadFileError("holds no labels; expected one per line")
    return np.frombuffer(labels, dtype=np.int64)


def _start_of(path: Path) -> _Start:
    with Unpacked(path) as file:
        records = _records(file)
        number, text = next(records)
        skip = 0
        if named := text.lower().startswith("sep=") and len(text.strip()) == 5:  # written for Excel
            delimiter, skip = text[4], 1
            try:
                number, text = next(records)
            except StopIteration:
                raise BadFileError("holds only its first line, sep=…") from None
        first = [(number, text), *itertools.islice(records, 1)]
        if _PRINTED.match(text):
            raise BadFileError(
                f"line {number} begins an array as a program prints it; save the array itself, "
                "numpy.save('logits.npy', z)"
            )
        # numpy.savetxt marks its header so, whether it names the columns or not.
        while text.startswith("#") and len(first) == 2:
            heading = (number, text.removeprefix("# "))
            mark = delimiter if named else _delimiter(first[1:])
            columns = len(_split(*first[1], mark))
            if not first[1][1].startswith("#") and len(_split(*heading, mark)) == columns:
                number, text = first[0] = heading
                break
            skip += 1
            number, text = first[1]
            first = [(number, text), *itertools.islice(records, 1)]
    if not named:
        delimiter = _delimiter(first)
    return _Start(delimiter, skip, first, _split(number, text, delimiter))


def _delimiter(records: list[Record]) -> str:
    """What separates the cells: a mark that is as often in each record, or spaces."""
    counts = {mark: [_count(number, text, mark) for number, text in records] for mark in _MARKS}
    fit = [mark for mark in _MARKS if counts[mark][0] and len(set(counts[mark])) == 1]
    mark = fit[0] if fit else max(reversed(_MARKS), key=lambda mark: counts[mark][0])
    # Spaces, where they stand between numbers: 1,5 2,5 with commas would have the cell "5 2".
    last = records[-1][1]
    if " " not in last.strip() or not any(" " in cell for cell in _split(*records[-1], mark)):
        return mark
    numbers = all(as_float(word.replace(",", ".")) is not None for word in last.split())
    return " " if numbers and len(records[0][1].split()) == len(last.split()) else mark


def _count(number: int, text: str, mark: str) -> int:
    """How many marks separate cells."""
    return len(_split(number, text, mark)) - 1 if '"' in text else text.count(mark)


def _split(number: int, text: str, delimiter: str) -> list[str]:
    """The cells of a record, without the spaces around them."""
    if delimiter == " ":
        return text.split()
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter))]
    except csv.Error as error:
        if "\r" in text.strip():
            raise BadFileError(
                f"line {number} holds carriage returns (\\r): end its lines with \\n"
            ) from None
        raise BadFileError(f"line {number} is not comma-separated text: {error}") from None


def _records(file: Unpacked) -> Iterator[Record]:
    """The records that are not blank. One with line ends in quotes has several lines."""
    numbered = lines(file)
    for number, text in numbered:
        yield number, _joined(number, text, numbered) if text.count('"') % 2 else text


def _joined(number: int, text: str, numbered: Iterator[Record]) -> str:
    """A line that opens a quote, and the lines after it up to the one that closes it."""
    parts, size = [text], len(text)
    for _, more in numbered:
        parts.append(more)
        size += len(more)
        if more.count('"') % 2:
            return "".join(parts)
        if size > _QUOTED_LIMIT:
            break
    raise BadFileError(f'line {number} opens a quote (") that is not closed')


def lines(file: Unpacked) -> Iterator[Record]:
    """The lines that are not blank, numbered from 1. Raises for a file without one."""
    blank = True
    for number, line in enumerate(iter(file.readline, b""), start=1):
        if len(line) == file.line_limit:
            raise BadFileError(f"line {number} is longer than {file.line_limit >> 20} MiB")
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
