"""Which columns of a table are logits, and how the classes are called."""

import os
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from ..text import few, shorten, shown
from .errors import BadFileError
from .source import Ask

#: Columns of labels by name, in any case: taken for labels, never for logits.
LABELS = ("labels", "label", "label_ids", "targets", "target", "y_true", "y")
#: Columns that only number or name the rows: never logits, never labels.
INDEX = ("", "unnamed: 0", "__index_level_0__", "index", "id", "idx")
#: Columns that stand beside logits and are none, but might be the name of a class: not guessed.
DOUBTFUL = ("pred", "preds", "prediction", "predicted", "y_pred", "loss", "weight", "sample_weight")
#: What to do where other columns stand among those of the logits.
NAME_THEM = (
    "name the logits by --logits-key, as A,B,C or 'logit_*' (key= in Python), or the labels by "
    "--labels-key or the names of the rows by --ids-key"
)
#: Patterns that name the logits without a key.
PATTERNS = ("logits*", "logit*")


def columns_apart(logits: str, *others: tuple[str | None, str | None]) -> list[str]:
    """The columns of a file of logits that are none, because labels or names of rows are in them.

    Args:
        logits: the file.
        others: of labels, and of names of rows, the file and the key; None for the same file, and
            for no key.
    """
    return [
        key
        for file, key in others
        if key is not None and (file is None or _same_file(logits, file))
    ]


def _same_file(one: str, other: str) -> bool:
    both = os.path.exists(one) and os.path.exists(other)
    return one == other or (both and os.path.samefile(one, other))


def label_columns(names: Sequence[str], ask: Ask) -> list[int]:
    """The column of the labels in a table; or the columns of one-hot rows or of probabilities, in
    the order of the classes where these have their names."""
    if ask.key is not None:
        return [names.index(ask.key)] if ask.key in names else _named(names, ask.key)[0]
    lower = [name.lower() for name in names]
    for name in LABELS:
        if name in lower:
            return [lower.index(name)]
    rest = [j for j in range(len(names)) if not is_index(names[j])]
    if not rest or ask.beside:
        raise BadFileError(
            f"has no column of labels; name it by --labels-key (key= in Python), or give LABELS, a "
            f"file of labels; it has: {_listed(names)}"
        )
    order = ask.classes.names
    if order is not None and sorted(names[j] for j in rest) == sorted(order):
        return [names.index(name) for name in order]
    return rest


def is_label(name: str) -> bool:
    return name.lower() in LABELS


def is_index(name: str) -> bool:
    return name.lower() in INDEX


class Columns:
    """The columns of the logits in a table.

    Attributes:
        positions: of these columns among all, in the order of the classes.
        class_names: their names, without what all of them begin with for a pattern; None where
            the names are the numbers of the classes.
        left_out: the names of all other columns.

    >>> columns = Columns(["id", "label", "logit_cat", "logit_dog"], None)
    >>> columns.positions, columns.class_names, columns.left_out
    ([2, 3], ['cat', 'dog'], ['id', 'label'])
    """

    def __init__(self, names: Sequence[str], key: str | None, apart: Sequence[str] = ()) -> None:
        self.positions, prefix = _chosen(names, key, apart)
        kept = [names[position] for position in self.positions]
        self.left_out = [name for j, name in enumerate(names) if j not in set(self.positions)]
        self.class_names: list[str] | None = [_class_name(name, prefix) for name in kept]
        if self.class_names == [str(n) for n in range(len(kept))]:
            self.class_names = None


def _chosen(names: Sequence[str], key: str | None, apart: Sequence[str]) -> tuple[list[int], str]:
    """The positions of the logits, and what their names begin with by the pattern."""
    if key is not None:
        return _named(names, key)
    rest = [
        j for j, name in enumerate(names) if not (is_label(name) or is_index(name) or name in apart)
    ]
    for pattern in PATTERNS:
        if matching := [j for j in rest if fnmatchcase(names[j].lower(), pattern)]:
            return matching, pattern[:-1]
    if not rest:
        raise BadFileError(f"has no column of logits; it has: {_listed(names)}")
    for j in rest:
        if names[j].lower() in DOUBTFUL:
            raise BadFileError(
                f"column {shown(names[j], 40)} stands among the classes; if it is none, {NAME_THEM}"
            )
    return rest, ""


def _named(names: Sequence[str], key: str) -> tuple[list[int], str]:
    """The columns of a key: one name, several with commas between, or a pattern with *."""
    parts = [key] if key in names else [part.strip() for part in key.split(",")]
    chosen: list[int] = []
    for part in parts:
        found = [j for j, name in enumerate(names) if name == part] or [
            j for j, name in enumerate(names) if "*" in part and fnmatchcase(name, part)
        ]
        if not found:
            raise BadFileError(f"has no column {shown(part, 40)}; it has: {_listed(names)}")
        chosen += found
    if len(set(chosen)) < len(chosen):
        raise BadFileError(f"has columns that {shown(key, 40)} names twice")
    pattern = parts[0] if len(parts) == 1 else ""
    return chosen, pattern.partition("*")[0] if "*" in pattern else ""


def _class_name(name: str, prefix: str) -> str:
    """The name of a column without the prefix, and without what joins them."""
    if not prefix or not name.lower().startswith(prefix.lower()):
        return name
    return re.sub(r"^[\s_.:\-\[(]+", "", name[len(prefix) :]).rstrip("])") or name


def _listed(names: Sequence[str]) -> str:
    return few([shorten(name, 40) or "''" for name in names[:21]], most=20)
