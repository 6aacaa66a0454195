"""Python 2 as Python 3: its statements, written anew, and what its names stood for.

Only a file that Python 3 cannot read is taken for Python 2. Lines keep their numbers.
"""

import ast
import builtins
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .tokens import CLOSING, OPENING, Token, statements, tokens_of

METHODS = {
    "has_key": "__contains__", "iteritems": "items", "iterkeys": "keys", "itervalues": "values",
    "next": "__next__",
}  # fmt: skip
DIVISION = "__division_of_python_2__"


def converted(text: str) -> str:
    """The text with the statements of Python 2 as those of Python 3."""
    lines = text.split("\n")
    margins = [re.match(r"[ \t]*", line)[0] for line in lines]  # type: ignore[index]
    text = "\n".join(
        margin.expandtabs(8) + line[len(margin) :]
        for margin, line in zip(margins, lines, strict=True)
    )
    tokens = tokens_of(text)
    written = [_token(tokens, at) for at in range(len(tokens))]
    marks = [at for at, token in enumerate(tokens) if token.text == "`"]
    for opening, closing in zip(marks[::2], marks[1::2], strict=False):
        written[opening], written[closing] = "repr(", ")"
    for places in statements(tokens):
        rewrite = STATEMENTS.get(tokens[places[0]].text)
        if rewrite is not None:
            rewrite(tokens, written, places)
    return "".join(written)


def _token(tokens: list[Token], at: int) -> str:
    kind, text = tokens[at]
    if kind == "number":
        text = text.rstrip("lL")
        return f"0o{text[1:]}" if re.fullmatch("0[0-7]+", text) and text.strip("0") else text
    if kind == "string":
        return re.sub("^[uU][rR]", "r", text)
    if text in METHODS and at and tokens[at - 1].text == ".":
        return METHODS[text]
    return "!=" if text == "<>" else text


def _print(tokens: list[Token], written: list[str], places: range) -> None:
    parts = list(_parts(tokens, places[1:]))
    if not parts:
        written[places[0]] = "print()"
        return
    first, last = parts[0], parts[-1]
    if tokens[first[0]].text in ("=", ".") or _is_one_group(
        tokens, range(first[0], places[-1] + 1)
    ):
        return
    more = ""
    if tokens[places[-1]].text == ",":
        written[places[-1]] = ""
        more = ', end=" "'
    if tokens[first[0]].text == ">>":  # print >>file, x
        more += f", file={''.join(written[first[0] + 1 : first[-1] + 1]).strip()}"
        end = parts[1][0] if len(parts) > 1 else places[-1] + 1
        for at in range(first[0], end):
            written[at] = ""
        if len(parts) == 1:
            more = more.removeprefix(", ")
    written[places[0]] = "print("
    if places[0] + 1 < last[0] and tokens[places[0] + 1].kind == "space":
        written[places[0] + 1] = "" if "\n" not in tokens[places[0] + 1].text else "\\\n"
    written[places[-1]] += f"{more})"


def _except(tokens: list[Token], written: list[str], places: range) -> None:
    parts = list(_parts(tokens, places[1:]))
    if len(parts) == 2:
        for at in range(parts[0][-1] + 1, parts[1][0]):
            written[at] = " as " if tokens[at].text == "," else ""


def _raise(tokens: list[Token], written: list[str], places: range) -> None:
    kind, *others = list(_parts(tokens, places[1:])) or [range(0)]
    if others:
        message = "".join(written[at] for at in others[0])
        written[kind[-1]] += f"({message})"
        for at in range(kind[-1] + 1, places[-1] + 1):
            written[at] = ""


def _exec(tokens: list[Token], written: list[str], places: range) -> None:
    parts = [at for at in places[1:] if tokens[at].kind not in ("space", "comment")]
    if not parts or _is_one_group(tokens, range(parts[0], places[-1] + 1)):
        return
    depth = 0
    for at in parts:
        depth += (tokens[at].text in OPENING) - (tokens[at].text in CLOSING)
        if not depth and tokens[at].text == "in":
            written[at] = ","
    written[places[0]] = "exec("
    written[places[-1]] += ")"


STATEMENTS: dict[str, Callable[[list[Token], list[str], range], None]] = {
    "print": _print,
    "except": _except,
    "raise": _raise,
    "exec": _exec,
}


def _parts(tokens: list[Token], places: range) -> Iterator[range]:
    """The places of what commas separate, without spaces around it."""
    kept: list[int] = []
    depth = 0
    for at in places:
        kind, text = tokens[at]
        depth += (text in OPENING) - (text in CLOSING)
        if text == "," and not depth:
            yield range(kept[0], kept[-1] + 1) if kept else range(at, at + 1)
            kept = []
        elif kind not in ("space", "comment", "newline"):
            kept.append(at)
    if kept:
        yield range(kept[0], kept[-1] + 1)


def _is_one_group(tokens: list[Token], places: range) -> bool:
    """Whether one pair of parentheses encloses everything."""
    depth = 0
    for at in places:
        depth += (tokens[at].text in OPENING) - (tokens[at].text in CLOSING)
        if not depth:
            return at == places[-1] and tokens[places[0]].text == "("
    return False


# --- what its names stood for ---------------------------------------------------------------------


def divides_as_python2(tree: ast.AST) -> bool:
    """Whether a file divides, and as Python 2 does: not as its `__future__`, nor as Python 3."""
    divides = False
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="__future__", names=names):
                if any(alias.name == "division" for alias in names):
                    return False
            case ast.JoinedStr() | ast.AnnAssign() | ast.Nonlocal() | ast.MatMult():
                return False
            case ast.FunctionDef(returns=ast.expr()) | ast.arg(annotation=ast.expr()):
                return False
            case ast.BinOp(op=ast.Div()):
                divides = True
    return divides


class OldDivision(ast.NodeTransformer):
    """`/` of two integers rounds down."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        function = ast.Name(DIVISION, ast.Load())
        call = ast.Call(function, [node.left, node.right], [])
        return ast.fix_missing_locations(ast.copy_location(call, node))


def old_division(a: Any, b: Any) -> Any:
    """`a / b` of Python 2: of integers, and of arrays of integers, it rounds down."""
    return a // b if _is_integer(a) and _is_integer(b) else operator.truediv(a, b)


def _is_integer(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "iu"
    return isinstance(value, int | np.integer)


def _as_list(function: Callable[..., Any]) -> Callable[..., Any]:
    def listed(*arguments: Any) -> list[Any]:
        return list(function(*arguments))

    return listed


#: What these names are in Python 2, other than in Python 3.
NAMES: dict[str, Any] = {
    DIVISION: old_division,
    **{name: _as_list(getattr(builtins, name)) for name in ("filter", "map", "range", "zip")},
}
