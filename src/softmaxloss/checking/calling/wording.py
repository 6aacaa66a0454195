"""What the text of a function says of its inputs and its result.

A docstring that says "shape (n_classes, m)" decides how the examples are stored, and one that says
"the mean over the batch" decides whether a sum is a mistake. Only what is said plainly counts.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from .roles import parameters_of

_PAIR = re.compile(r"\(\s*([\w ]+?)\s*,\s*([\w ]+?)\s*\)")
_CLASSES = re.compile(r"C|K|V|c|k|n_?y|\d+|(n_|num_|number of )?(class(es)?|labels)|vocab_size")
_EXAMPLES = re.compile(
    r"N|B|M|m|bs|batch(_?size)?|(n_|num_|number of |nb_|m_)?(examples|samples|instances|cases)"
)
_COLUMNS = re.compile(
    r"columns? (is|are) (an )?examples?|(examples?|samples?|cases?|one) (per|in|are|as) columns?"
    r"|each column is an? (example|sample)|column[- ]wise",
    re.I,
)
_ROWS = re.compile(
    r"rows? (is|are) (an )?examples?|(examples?|samples?|cases?|one) (per|in|are|as) rows?"
    r"|each row is an? (example|sample)|row[- ]wise",
    re.I,
)
_FROM_ONE = re.compile(
    r"\b1 ?(\.\.+|…|to) ?(N|K|C|n_?class(es)?|num_classes)\b|(1|one)-based", re.I
)
_FROM_ZERO = re.compile(r"\b0 ?(\.\.+|…|to)|(0|zero)-based|from 0", re.I)
_MEAN = re.compile(r"\b(means?|averag(e|ed|es)|avg)\b", re.I)
_SUM = re.compile(r"\b(sum(s|med)?|total)\b", re.I)
_MEAN_OF_MASK = re.compile(r"(mean|average)\b[^.;]*\b(mask|unmasked|valid|non-?pad)", re.I)
_PYTORCH = re.compile(
    r"(torch|F)\S*\.(CrossEntropyLoss|cross_entropy|NLLLoss|nll_loss)|pytorch", re.I
)


class Wording(NamedTuple):
    """What is said of a function."""

    layout: Literal["rows", "columns"] | None = None  # where the examples are
    labels_from_one: bool = False
    mean: bool = False  # whether the loss is that of the mean over the examples,
    mean_of_mask: bool = False  # or over those that the mask leaves
    as_pytorch: bool = False  # whether it is said to be PyTorch's loss
    from_logits: bool | None = None  # the default of the parameter of this name


def wording_of(function: Callable[..., Any]) -> Wording:
    """What the name and the docstring of a function say.

    >>> def cost(AL, Y):
    ...     "AL: probabilities, shape (n_classes, m). Returns the average over the examples."
    >>> wording_of(cost).layout, wording_of(cost).mean
    ('columns', True)
    """
    one = inspect.unwrap(function)
    name = getattr(one, "__name__", type(one).__name__).replace("_", " ")
    text = _docstring(one)
    pairs = _PAIR.findall(text)
    says_rows = bool(_ROWS.search(text)) or any(map(_is_rows, pairs))
    says_columns = bool(_COLUMNS.search(text)) or any(_is_rows(pair[::-1]) for pair in pairs)
    says_mean = bool(_MEAN.search(text) or _MEAN.search(name))
    return Wording(
        None if says_rows == says_columns else "rows" if says_rows else "columns",
        bool(_FROM_ONE.search(text)) and not _FROM_ZERO.search(text),
        says_mean and not _SUM.search(f"{name} {text}"),
        bool(_MEAN_OF_MASK.search(text)),
        bool(_PYTORCH.search(text)),
        _from_logits(one),
    )


def _from_logits(one: Any) -> bool | None:
    owner = one if inspect.isroutine(one) or isinstance(one, type) else type(one)
    found = [p.default for p in parameters_of(owner) or () if p.name == "from_logits"]
    return found[0] if found and isinstance(found[0], bool) else None


def _docstring(one: Any) -> str:
    """Its own docstring; of an object that is not a function, that of its class."""
    owner = one if inspect.isroutine(one) or isinstance(one, type) else type(one)
    found = getattr(owner, "__doc__", None)
    return found if isinstance(found, str) else ""


def _is_rows(pair: tuple[str, str]) -> bool:
    """Whether a shape is that of examples in rows: of a number of examples, and one of classes."""
    examples, classes = pair
    return bool(_EXAMPLES.fullmatch(examples) and _CLASSES.fullmatch(classes))
