"""Which files are meant by a folder or a pattern, and which labels belong to which logits."""

import errno
import glob
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ..files import COMPRESSIONS, FORMATS, FileError
from ..files.source import ADDRESS, is_address
from ..text import few, plural, shorten

_NUMBER = re.compile(r"([0-9]+)")


def is_one_file(path: str) -> bool:
    """Whether a path is the name of one file: not a folder, and no pattern.

    >>> is_one_file("logits.npy"), is_one_file("part-*.npy")
    (True, False)
    """
    return not os.path.isdir(path) and (os.path.exists(path) or not glob.has_magic(path))


def labels_apart(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of LOGITS and those of LABELS; [] where files of logits hold their own.

    The second of two names is LABELS, unless both differ only in a number. A shell makes several
    names of a pattern. If the first one begins a row of names that differ only in numbers, the
    others are LABELS where the first ones are .npy, which hold no labels of their own, or where
    all others are called so.

    Raises:
        FileError: it is the first ones that are called so.

    >>> labels_apart(["z.npz", "y.npz"]), labels_apart(["part-0.npz", "part-1.npz"])
    ((['z.npz'], ['y.npz']), (['part-0.npz', 'part-1.npz'], []))
    >>> labels_apart(["z-0.npy", "z-1.npy", "y.npy"])
    (['z-0.npy', 'z-1.npy'], ['y.npy'])
    >>> labels_apart(["z-0.pt", "z-1.pt", "labels-0.pt", "labels-1.pt"])
    (['z-0.pt', 'z-1.pt'], ['labels-0.pt', 'labels-1.pt'])
    """
    if len(paths) == 2 and paths[0] == paths[1]:
        return [paths[0]], [paths[1]]
    like_first = [path for path in paths if _family(path) == _family(paths[0])]
    others = [path for path in paths if path not in like_first]
    if len(paths) == 2 and others:
        return like_first, others
    if len(like_first) == 1 or not others:
        return [*paths], []
    called = [_is_called_labels(path) for path in (paths[0], *others)]
    one_array = Path(paths[0]).suffix.lower() == ".npy"
    if one_array and called[0] and not all(called):
        raise FileError(
            paths[0],
            f"is called labels, and stands before {shorten(others[0], 100)}: give LOGITS first",
        )
    if one_array or (not called[0] and all(called[1:])):
        return like_first, others
    return [*paths], []


def _family(path: str) -> str:
    """The name without its numbers."""
    return _NUMBER.sub("*", path)


def _is_called_labels(path: str) -> bool:
    return "label" in path.lower()


def files_of(paths: Sequence[str]) -> list[str]:
    """All files of some paths, folders and patterns, in the order of their names; numbers in names
    are ordered by their value.

    Of a folder, these are the files in it and in its folders whose suffix is that of a format;
    names that begin with "." or "_" are left out, as other readers of datasets do.

    Raises:
        FileError: a pattern or a folder without files; a folder with files of several formats, or
            one that cannot be read.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("z-10.npy", "z-9.npy", "_done", "notes.md"):
    ...     _ = (folder / name).write_text("")
    >>> [Path(name).name for name in files_of([str(folder)])]
    ['z-9.npy', 'z-10.npy']
    """
    found = list[str]()
    for path in paths:
        if os.path.isdir(path):
            found += _in_folder(path)
        elif is_address(path) and not os.path.exists(path):
            raise FileError(path, ADDRESS)
        elif is_one_file(path):
            found.append(path)
        else:
            matching = [name for name in glob.glob(path, recursive=True) if os.path.isfile(name)]
            if not matching:
                _check_readable(path)
                raise FileError(path, "no file has a name that fits this pattern")
            found += matching
    return sorted({*map(os.path.normpath, found)}, key=lambda path: (_in_order(path), path))


def _check_readable(pattern: str) -> None:
    """Raise for a folder that cannot be read, in which glob finds nothing."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
        _unreadable(PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder))


def _unreadable(error: OSError) -> NoReturn:
    raise FileError(error.filename, f"cannot be opened: {error.strerror}") from None


def _in_folder(folder: str) -> list[str]:
    found = dict[str, list[str]]()
    for where, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if name[0] not in "._"]
        for name in names:
            if name[0] not in "._" and (suffix := _suffix(name)):
                found.setdefault(suffix, []).append(os.path.join(where, name))
    if not found:
        raise FileError(folder, f"is a folder without files of logits: {', '.join(FORMATS)}")
    files = [path for paths in found.values() for path in paths]
    called = {_is_called_labels(os.path.relpath(path, folder)) for path in files}
    if len(found) > 1 or len(called) > 1:
        raise FileError(folder, _several_kinds(folder, files))
    return files


def _several_kinds(folder: str, files: Sequence[str]) -> str:
    """What is wrong with a folder of such files, and a pattern of those that may be meant."""
    kinds = Counter(_family(os.path.relpath(path, folder)) for path in files).most_common()
    likely = [kind for kind, _ in kinds if not _is_called_labels(kind)]
    listed = few([f"{count} × {shorten(kind, 40)}" for kind, count in kinds[:6]])
    pattern = os.path.join(folder, likely[0] if likely else kinds[0][0])
    return f"holds several kinds of files, {listed}: say which, '{shorten(pattern, 4096)}'"


def _suffix(name: str) -> str:
    """The suffix of a format, with that of a compression; "" for any other file."""
    path = Path(name.lower())
    packed = path.suffix if path.suffix in COMPRESSIONS else ""
    known = Path(path.stem).suffix if packed else path.suffix
    return known + packed if known in FORMATS else ""


def _in_order(path: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in _NUMBER.split(path)]


def paired(logits: Sequence[str], others: Sequence[str], what: str) -> Sequence[str]:
    """The other files, one for each file of logits, both in the order of their names.

    Raises:
        FileError: another number of files, or the numbers in the names of two do not fit.

    >>> paired(["z-1.npy", "z-2.npy"], ["y-1.npy", "y-3.npy"], "labels")
    Traceback (most recent call last):
        ...
    softmaxloss.files.errors.FileError: y-3.npy: would be the labels of z-2.npy, and the numbers in\
 their names differ: give one file of labels for each file of logits, with the same numbers
    """
    if len(others) != len(logits):
        given = few([shorten(name, 40) for name in others], most=2)
        raise FileError(
            logits[0],
            f"{plural(len(others), 'file')} of {what} ({given}) for {plural(len(logits), 'file')} "
            f"of logits: give one for each, or one for all",
        )
    numbers = [_varying(names) for names in (logits, others)]
    for mine, other, z, y in zip(*numbers, logits, others, strict=True):
        if mine and other and mine != other:
            raise FileError(
                y,
                f"would be the {what} of {shorten(z, 4096)}, and the numbers in their names "
                f"differ: give one file of {what} for each file of logits, with the same numbers",
            )
    return others


def _varying(names: Sequence[str]) -> list[tuple[int, ...]]:
    """The numbers in each name, without those that all names have."""
    numbers = [tuple(map(int, _NUMBER.findall(name))) for name in names]
    if len({*map(len, numbers)}) != 1:
        return [() for _ in numbers]
    columns = [column for column in zip(*numbers, strict=True) if len({*column}) > 1]
    return [*zip(*columns, strict=True)] if columns else [() for _ in numbers]
