"""JSON: .jsonl is streamed, one example a line; .json is read whole."""

import itertools
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..text import shown
from .class_numbers import ClassNumbers
from .columns import NAME_THEM, Columns, label_columns
from .errors import BadFileError
from .source import ArraySource, Ask, Source
from .tables import lines
from .unpacked import Unpacked

Values = Iterator[tuple[str, Any]]  # "row 3" or "line 3", and what stands there
# Opens the values; the second says how far they are read, in bytes, where their number is unknown.
Opened = Callable[[], AbstractContextManager[tuple[Values, Callable[[], tuple[int, int] | None]]]]
Pick = Callable[[str, Any], Any]  # what is wanted of a value


def open_json(path: Path, ask: Ask) -> Source:
    """A list of lists of numbers or of objects, or an object that holds one; one list of numbers
    is one example."""
    data, ask = _json_list(path, ask)
    one = not data or not isinstance(data[0], list | dict)
    return _Rows(_listed([data] if one else data), ask, 1 if one else len(data))


def open_jsonl(path: Path, ask: Ask) -> Source:
    """A list of numbers, or an object that holds them, on each line."""
    return _Rows(_lines_of(path), ask, None)


def open_json_labels(path: Path, ask: Ask) -> Source:
    """A list of labels or of objects, or an object that holds one."""
    data, ask = _json_list(path, ask)
    return _labels(_listed(data), ask, len(data), lambda labels: None)


def open_jsonl_labels(path: Path, ask: Ask) -> Source:
    """A label, or an object that holds one, on each line."""
    with Unpacked(path) as file:
        return _labels(_lines_of(path), ask, None, file.keep)


class _Rows(Source):
    """The numbers of each value as a row."""

    def __init__(self, opened: Opened, ask: Ask, rows: int | None) -> None:
        self._opened = opened
        self.dtype = np.dtype(np.float64)
        with opened() as (values, _):
            self._first, value = next(values)
        self._pick, self.names, self.left_out = _logits_of(value, ask)
        self._width = len(self._numbers(self._first, value))
        self.shape = (rows, self._width)

    def blocks(self, rows: int) -> Iterator[Array]:
        with self._opened() as (values, progress):
            while batch := list(itertools.islice(values, rows)):
                block = [self._numbers(where, value) for where, value in batch]
                for (where, _), row in zip(batch, block, strict=True):
                    if len(row) != self._width:
                        raise BadFileError(
                            f"{where} has {len(row)} numbers, {self._first} has {self._width}"
                        )
                try:
                    rows_read = np.array(block, np.float64).reshape(len(block), self._width)
                except OverflowError:
                    raise BadFileError("holds a whole number too large for float64") from None
                self.bytes_read = progress()
                yield rows_read

    def _numbers(self, where: str, value: Any) -> list[float]:
        row = self._pick(where, value)
        if not isinstance(row, list):
            raise BadFileError(f"{where} is {_kind(row)}, not a list of numbers")
        if not set(map(type, row)) <= {int, float}:
            j = next(j for j, number in enumerate(row) if type(number) not in (int, float))
            raise BadFileError(f"{where}, column {j} is {_kind(row[j])}, not a number")
        return row


def _logits_of(value: Any, ask: Ask) -> tuple[Pick, list[str] | None, list[str]]:
    """How to get at the numbers of a value like this one; the names of the classes, if it has
    them, and the names of what is left out."""
    if not isinstance(value, dict):
        ask.refuse_names("holds no object")
        return (lambda where, row: row), None, []
    names = list(value)
    wanted = ask.defaults if ask.key is None else (ask.key,)
    inner = next((name for name in wanted if name in value), "")
    if isinstance(value.get(inner), list | dict):
        left_out = [name for name in names if name != inner]
        if isinstance(value[inner], list):
            return (lambda where, row: _field(where, row, inner)), None, left_out
        classes = list(value[inner])
        return (
            (lambda where, row: _fields(where, _field(where, row, inner), classes)),
            classes,
            left_out,
        )
    lists = [name for name in names if isinstance(value[name], list | dict)]
    if lists and ask.key is None:
        inner = ask.choose(lists)
        return _logits_of(value, ask._replace(key=inner))
    columns = Columns(names, ask.key, ask.apart)
    kept = [names[position] for position in columns.positions]
    for name in kept:
        if type(value[name]) not in (int, float):
            raise BadFileError(
                f"{shown(name, 40)} is {_kind(value[name])}, not a number; if it is no class, "
                f"{NAME_THEM}"
            )
    return (lambda where, row: _fields(where, row, kept)), columns.class_names, columns.left_out


def _field(where: str, value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise BadFileError(f"{where} has no {shown(name, 40)}")
    return value[name]


def _fields(where: str, value: Any, names: Sequence[str]) -> list[Any]:
    return [_field(where, value, name) for name in names]


def _labels(opened: Opened, ask: Ask, rows: int | None, keep: Callable[[int], None]) -> Source:
    """Labels; or, where each is a list, rows of numbers."""
    with opened() as (values, _):
        _, value = next(values, ("", None))
    name = _label_name(value, ask)
    if isinstance(value if name is None else _field("row 0", value, name), list):
        return _Rows(opened, ask._replace(key=name), rows)
    labels = array("q")
    with opened() as (values, _):
        for where, value in values:
            label = value if name is None else _field(where, value, name)
            try:
                labels.append(_number(label, ask))
            except BadFileError as error:
                raise BadFileError(f"{where}: {error}") from None
            keep(len(labels))
    return ArraySource(np.frombuffer(labels, np.int64) if labels else np.empty(0, np.int64))


def _number(label: Any, ask: Ask) -> int:
    """The class number of a label."""
    if isinstance(label, str):
        return ask.classes.of(label)
    if type(label) is int and -(2**63) <= label < 2**63:
        return label
    if type(label) in (int, float):
        return ClassNumbers().of(str(label)[:50])  # raises, and says why
    raise BadFileError(f"a label is {_kind(label)}")


def _label_name(value: Any, ask: Ask) -> str | None:
    """The name of the label in an object; None where there are no objects."""
    if isinstance(value, dict):
        names = list(value)
        return names[label_columns(names, ask)[0]] if len(names) == 1 else ask.choose(names)
    ask.refuse_names("holds no object")
    return None


def _lines_of(path: Path) -> Opened:
    """The values on the lines of a file."""

    @contextmanager
    def opened() -> Iterator[Any]:
        with Unpacked(path) as file:
            values = ((f"line {number}", _parsed(text, number)) for number, text in lines(file))
            yield values, lambda: file.progress

    return opened


def _listed(data: list[Any]) -> Opened:
    """The values of a list."""

    @contextmanager
    def opened() -> Iterator[Any]:
        yield ((f"row {i}", value) for i, value in enumerate(data)), lambda: None

    return opened


def _parsed(text: str, number: int) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise BadFileError(f"line {number} is nested too deeply") from None
    except ValueError as error:
        raise BadFileError(f"line {number} is not valid JSON (cut short?): {error}") from None


def _json_list(path: Path, ask: Ask) -> tuple[list[Any], Ask]:
    """The list in a file, and what is to be asked of its values."""
    with Unpacked(path) as file:
        text = file.whole()
    try:
        data = json.loads(text)
    except UnicodeDecodeError as error:
        raise BadFileError(f"is not UTF-8 text ({error.reason})") from None
    except RecursionError:
        raise BadFileError("is nested too deeply; expected a list of lists") from None
    except ValueError as error:
        raise BadFileError(f"is not valid JSON (cut short?): {error}") from None
    if isinstance(data, dict):
        named = [name for name, value in data.items() if isinstance(value, list)]
        data, ask = data[ask.choose(named)], ask._replace(key=None, beside=False)
    elif not (isinstance(data, list) and data and isinstance(data[0], dict)):
        ask.refuse_names("holds no object")
    if not isinstance(data, list):
        raise BadFileError(f"holds {_kind(data)}; expected a list, or an object with a list")
    return data, ask


def _kind(value: object) -> str:
    """A JSON value in JSON's words."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return f"the text {shown(value, 40)}" if isinstance(value, str) else f"the number {value}"
