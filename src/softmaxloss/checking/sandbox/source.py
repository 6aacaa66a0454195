"""The source of a module: the text of a Python file, or of the code cells of a notebook."""

import ast
import codecs
import json
import re
import tokenize
import warnings
from pathlib import Path
from typing import NamedTuple

from .python2 import OldDivision, converted, divides_as_python2
from .tokens import statements, tokens_of

#: Magics of a whole cell that run its code; the cells of others, such as %%bash, are no Python.
OF_PYTHON = {"%%time", "%%timeit", "%%capture", "%%prun", "%%python3", "%%python", "%%memit"}


class LoadError(Exception):
    """The file has no such function, or cannot be read; the message is one line that says why."""


class Part(NamedTuple):
    """A file, or a cell of a notebook."""

    name: str  # in tracebacks: the path, and the cell
    text: str


class Parsed(NamedTuple):
    """The statements of a part, and where it had to be converted."""

    part: Part
    tree: ast.Module
    is_python2: bool = False
    note: str = ""


def parts_of(path: Path) -> list[Part]:
    """The parts of a file. Raises LoadError."""
    try:
        data = path.read_bytes()
    except IsADirectoryError:
        raise LoadError(f"{path.name} is a folder") from None
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) or not path.exists()
        why = "no such file" if missing else error.strerror or "it cannot be read"
        raise LoadError(f"{why}: {path.name}") from None
    text = _decoded(data, path)
    return _cells(text, path) if path.suffix == ".ipynb" else [Part(str(path), text)]


def has(path: Path, name: str) -> bool:
    """Whether a file defines the name, as far as its text shows; `name` may be Class.method."""
    first = re.escape(name.partition(".")[0])
    defines = re.compile(rf"^[ \t]*(?:def|class)[ \t]+{first}\b|^{first}[ \t]*=", re.MULTILINE)
    try:
        return any(defines.search(part.text) for part in parts_of(path))
    except LoadError:
        return False


def place(name: str, line: int) -> str:
    """How a line of a part is called.

    >>> place("/home/loss.ipynb, cell 3", 4), place("/home/loss.py", 4)
    ('line 4 of cell 3', 'line 4')
    """
    cell = name.partition(".ipynb, ")[2]
    return f"line {line} of {cell}" if cell else f"line {line}"


def parse(part: Part) -> Parsed:
    """The statements of a part; Python 2 and the magics of IPython are converted.

    Raises the SyntaxError of Python 3 if that does not help.
    """
    try:
        return Parsed(part, _tree(part, part.text))
    except SyntaxError as error:
        refused = error
    text = without_magics(part.text)
    try:
        return Parsed(part._replace(text=text), _tree(part, text))
    except SyntaxError as error:
        where = place(part.name, error.lineno or 1)
    try:
        text = converted(text)
        tree = _tree(part, text)
    except (SyntaxError, ValueError):
        raise refused from None
    note = f"{where} is Python 2: it was converted"
    if divides_as_python2(tree):
        tree, note = OldDivision().visit(tree), f"{note}, and / of integers rounds down"
    return Parsed(part._replace(text=text), tree, True, note)


def _tree(part: Part, text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, part.name)


def _decoded(data: bytes, path: Path) -> str:
    """The text in the encoding that the file declares; in Latin-1 if it is not in that."""
    encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif path.suffix != ".ipynb":
        lines = iter(data.splitlines(keepends=True))
        try:
            encoding = tokenize.detect_encoding(lambda: next(lines, b""))[0]
        except SyntaxError:
            encoding = "latin-1"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "\0" in text:
        raise LoadError(f"{path.name} is not a Python file: it is no text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _cells(text: str, path: Path) -> list[Part]:
    """The code cells of a notebook, counted from 1."""
    try:
        book = json.loads(text)
        sheets = book.get("worksheets") or [book]  # those of IPython before 2015 have sheets
        cells = [cell for sheet in sheets for cell in sheet["cells"]]
        sources = [
            cell.get("source", cell.get("input", ""))
            for cell in cells
            if cell.get("cell_type") == "code"
        ]
        texts = [one if isinstance(one, str) else "".join(one) for one in sources]
        language = book.get("metadata", {}).get("language_info", {}).get("name", "python")
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise LoadError(f"{path.name} is not a notebook") from None
    if "python" not in str(language).lower():
        raise LoadError(f"{path.name} is a notebook in {language}, not in Python")
    return [
        Part(f"{path}, cell {number}", _code_of_cell(one)) for number, one in enumerate(texts, 1)
    ]


def _code_of_cell(text: str) -> str:
    magic = re.match(r"\s*(%%\w+)[^\n]*", text)
    if magic is None:
        return text
    return f"{text[: magic.start(1)]}#{text[magic.start(1) :]}" if magic[1] in OF_PYTHON else ""


def without_magics(text: str) -> str:
    """The text with `pass` for magics, shell commands and questions to IPython."""
    while True:
        tokens = tokens_of(text)
        at = 0
        starts = []
        for token in tokens:
            starts.append(at)
            at += len(token.text)
        for places in statements(tokens):
            start = starts[places[0]]
            line = text[start:].split("\n", 1)[0]
            assigned = re.match(r"([\w, ]+=\s*)[!%]", line)
            asked = re.fullmatch(r"\?{0,2}[\w.]+\?{0,2}\s*", line) and "?" in line
            if line[0] in "!%" or assigned or asked:
                # The quotes and brackets of a shell command are not Python's: read on anew.
                instead = f"{assigned[1]}None" if assigned else "pass"
                if line.startswith("%pylab"):
                    instead = "import numpy as np; from pylab import *"
                text = text[:start] + instead + text[start + len(line) :]
                break
        else:
            return text
