"""The table of formats: what each suffix holds, and how it is read and written."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..text import shown
from .errors import BadFileError, FileError
from .json_files import open_json, open_json_labels, open_jsonl, open_jsonl_labels
from .npy import open_npy, open_npz
from .parquet import open_parquet, open_parquet_labels
from .safetensors import open_safetensors
from .source import Ask, Source, check_file
from .standard_input import STANDARD_INPUT, copy_of_standard_input
from .tables import open_table, open_table_labels
from .torch_files import open_torch
from .unpacked import COMPRESSIONS
from .writers import CsvScores, NpyScores, ParquetScores, ScoresFile

T = TypeVar("T")
Opener = Callable[[Path, Ask], Source]


class Format(NamedTuple):
    """How the files of one suffix are read and written.

    Attributes:
        holds: what a file of logits holds.
        logits: opens the logits.
        labels: opens the labels.
        scores: writes scores; None where only reading is supported.
        needs: the optional packages for it, as pip names them.
        text: whether it is text, which may be compressed.
    """

    holds: str
    logits: Opener
    labels: Opener
    scores: type[ScoresFile] | None = None
    needs: str = ""
    text: bool = False

    def __str__(self) -> str:
        return f"{self.holds} (needs {self.needs})" if self.needs else self.holds


_SPACES = "numbers separated by spaces, or a table"

#: Every suffix that is read; those with `scores` are written, too.
FORMATS = {
    ".npy": Format("an array", open_npy, open_npy, NpyScores),
    ".npz": Format("arrays by name", open_npz, open_npz),
    ".csv": Format(
        "a table, with column names or without", open_table, open_table_labels, CsvScores, text=True
    ),
    ".tsv": Format("a table separated by tabs", open_table, open_table_labels, text=True),
    ".txt": Format(_SPACES, open_table, open_table_labels, text=True),
    ".json": Format("a list of lists or of objects", open_json, open_json_labels, text=True),
    ".jsonl": Format("a list or an object on each line", open_jsonl, open_jsonl_labels, text=True),
    ".parquet": Format(
        "a table, or a column of lists",
        open_parquet,
        open_parquet_labels,
        ParquetScores,
        needs="pyarrow",
    ),
    ".arrow": Format("the same", open_parquet, open_parquet_labels, needs="pyarrow"),
    ".safetensors": Format("tensors by name", open_safetensors, open_safetensors),
    ".pt": Format("a tensor, or tensors by name", open_torch, open_torch, needs="torch"),
    ".pth": Format("the same", open_torch, open_torch, needs="torch"),
}
WRITERS = {suffix: known.scores for suffix, known in FORMATS.items() if known.scores is not None}


def listed(suffixes: Iterable[str]) -> str:
    """The suffixes as part of a sentence.

    >>> listed(WRITERS)
    '.npy, .csv or .parquet'
    """
    *most, last = suffixes
    return f"{', '.join(most)} or {last}"


_SHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


def entry(table: Mapping[str, T], path: Path) -> T:
    """What the table has for the suffix of a file."""
    suffix = path.suffix.lower()
    if suffix not in table:
        sheet = (
            ": save the sheet as .csv"
            if suffix in _SHEETS and table is FORMATS
            else f"; use {listed(table)}"
        )
        raise FileError(path, f"unknown suffix {shown(suffix, 40)}{sheet}")
    return table[suffix]


class Readable(NamedTuple):
    """A file that is to be read."""

    path: Path  # of its bytes
    name: Path  # for messages
    format: Format

    @contextlib.contextmanager
    def faults(self) -> Iterator[None]:
        """Add the file's name to what a reader says, or tell which package to install."""
        try:
            yield
        except BadFileError as error:
            raise FileError(self.name, str(error)) from None
        except ImportError as error:
            needs = self.format.needs
            package = (error.name or needs).partition(".")[0]
            raise FileError(
                self.name, f"this {self.path.suffix} file needs {package}: pip install {needs}"
            ) from None


def readable(path: str | os.PathLike[str]) -> Readable:
    """The file of a path, checked to exist; "-" is standard input, which is copied to a file."""
    if os.fspath(path) == "-":
        with _named(STANDARD_INPUT):
            path = copy_of_standard_input()
        name = STANDARD_INPUT
    else:
        path = name = Path(path)
    with _named(name):
        check_file(path)
    packed = path.suffix.lower() in COMPRESSIONS
    known = entry(FORMATS, path.with_suffix("") if packed else path)
    if packed and not known.text:
        raise FileError(name, "is compressed, and only text is read so: unpack it")
    return Readable(path, name, known)


@contextlib.contextmanager
def _named(name: Path) -> Iterator[None]:
    try:
        yield
    except BadFileError as error:
        raise FileError(name, str(error)) from None
