"""What the text of a function says of its inputs and its result.

A docstring that says "shape (n_classes, m)" decides how the examples are stored, and one that says
"the mean over the batch" decides whether a sum is a mistake. Only what is said plainly counts.
"""

import dis
import inspect
import itertools
import linecache
import re
from collections.abc import Callable
from types import CodeType
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
_MORE = re.compile(r"[(\[]\s*(\w+)\s*,\s*(\w+)\s*,\s*(\w+)(?:\s*,\s*(\w+))?\s*[)\]]")
_BATCH = re.compile(r"N|B|b|n|bs|bsz|batch(_?size)?", re.I)
_OUTPUTS = re.compile(r"C|K|V|c|k|v|(n_|num_)?class(es)?|vocab(_?size)?")
_COMMENT = re.compile(r"#+\s*(.*)")
_LIKELIHOOD = re.compile(
    r"\bgrad ?log\b|\blog ?(pi|prob(ability)?|likelihood|lik|posterior)\b|\bloglik", re.I
)
_NEGATIVE = re.compile(r"\b(neg(ative)?|minus|nll|loss|cost)\b", re.I)
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

    # Where the examples are.
    layout: Literal["rows", "columns", "sequences", "images"] | None = None
    labels_from_one: bool = False
    mean: bool = False  # whether the loss is that of the mean over the examples,
    mean_of_mask: bool = False  # or over those that the mask leaves
    as_pytorch: bool = False  # whether it is said to be PyTorch's loss
    from_logits: bool | None = None  # the default of the parameter of this name
    perhaps_from_one: bool = False  # whether the file says of some labels that they count from 1
    negated: bool = False  # whether its code has −X·W
    likelihood: bool = False  # whether it is called the log-likelihood, which has the other sign


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
    says_mean = bool(_MEAN.search(text) or _MEAN.search(name))
    with_comments = f"{text}\n{_comments(one)}"
    from_zero = bool(_FROM_ZERO.search(with_comments))
    return Wording(
        _layout(with_comments),
        bool(_FROM_ONE.search(with_comments)) and not from_zero,
        says_mean and not _SUM.search(f"{name} {text}"),
        bool(_MEAN_OF_MASK.search(text)),
        bool(_PYTORCH.search(text)),
        _from_logits(one),
        bool(_FROM_ONE.search("".join(_lines(one)))) and not from_zero,
        _negates_product(one),
        bool(_LIKELIHOOD.search(name)) and not _NEGATIVE.search(name),
    )


def _layout(text: str) -> Any:
    """Where the examples are, if the text says it of one layout only."""
    pairs, more = _PAIR.findall(text), _MORE.findall(text)
    said = {
        "rows": bool(_ROWS.search(text)) or any(map(_is_rows, pairs)),
        "columns": bool(_COLUMNS.search(text)) or any(_is_rows(pair[::-1]) for pair in pairs),
        "sequences": any(_is_sequences(*shape) for shape in more),
        "images": any(_is_images(*shape) for shape in more),
    }
    found = [layout for layout, is_said in said.items() if is_said]
    return found[0] if len(found) == 1 else None


def _is_sequences(batch: str, steps: str, outputs: str, more: str) -> bool:
    is_steps = not _OUTPUTS.fullmatch(steps) and not steps.isdigit()
    return bool(_BATCH.fullmatch(batch) and _OUTPUTS.fullmatch(outputs) and is_steps and not more)


def _is_images(batch: str, outputs: str, height: str, width: str) -> bool:
    sides = (height.lower(), width.lower()) in (("h", "w"), ("height", "width"))
    return bool(_BATCH.fullmatch(batch) and _OUTPUTS.fullmatch(outputs) and sides)


def _code(one: Any) -> CodeType | None:
    code = getattr(getattr(one, "__func__", one), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _lines(one: Any) -> list[str]:
    """The lines of the file in which a function is."""
    code = _code(one)
    return [] if code is None else linecache.getlines(code.co_filename)


def _comments(one: Any) -> str:
    """The comments in a function and those directly above it."""
    code, lines = _code(one), _lines(one)
    if code is None or not lines:
        return ""
    last = max((line for *_, line in code.co_lines() if line), default=code.co_firstlineno)
    above = itertools.takewhile(
        lambda line: line.lstrip().startswith(("#", "@")),
        reversed(lines[: code.co_firstlineno - 1]),
    )
    found = [_COMMENT.search(line) for line in (*above, *lines[code.co_firstlineno - 1 : last])]
    return "\n".join(match[1] for match in found if match)


def _negates_product(one: Any) -> bool:
    """Whether its code stores −X·W, or has (−X)·W."""
    code = _code(one)
    names = [] if code is None else [
        f"{step.opname} {step.argrepr}" for step in dis.get_instructions(code)
    ]  # fmt: skip
    triples = zip(names, names[1:], names[2:], strict=False)
    return any(
        (second.startswith("UNARY_NEGATIVE") and first.endswith(" @") and third.startswith("STORE"))
        or (first.startswith("UNARY_NEGATIVE") and third.endswith(" @"))
        for first, second, third in triples
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
