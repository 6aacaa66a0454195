"""The tokens and the statements of a Python text that Python itself may refuse to read.

`tokenize` stops at what Python 3 does not know, such as `10L` and the `!` of a notebook.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
  | (?P<string>[rRbBuUfF]{0,2}(?:
        \"\"\"(?:[^\\]|\\.)*?\"\"\" | '''(?:[^\\]|\\.)*?'''
      | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'))
  | (?P<newline>\n)
  | (?P<space>[ \t\f]+|\\\n)
  | (?P<number>(?:0[xX][\da-fA-F]+|0[bB][01]+|0[oO][0-7]+
      | (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[jJlL]?)
  | (?P<name>[^\W\d]\w*)
  | (?P<operator><>|[<>*/]{2}=?|[-+*/%@&|^<>=!:]=|->|\.\.\.|.)
    """,
    re.VERBOSE | re.DOTALL,
)
OPENING, CLOSING = set("([{"), set(")]}")
COMPOUND = {
    "class", "def", "elif", "else", "except", "finally", "for", "if", "try", "while", "with",
}  # fmt: skip


class Token(NamedTuple):
    """A part of the text: a comment, string, newline, space, number, name or operator."""

    kind: str
    text: str


def tokens_of(text: str) -> list[Token]:
    """The tokens, whose texts joined are the text."""
    return [Token(str(match.lastgroup), match[0]) for match in TOKEN.finditer(text)]


def statements(tokens: list[Token]) -> Iterator[range]:
    """The places of the tokens of each simple statement, and of each header such as `if x:`.

    Spaces, comments and newlines around it are left out.
    """
    start, depth, lambdas = 0, 0, 0
    for at, (kind, text) in enumerate([*tokens, Token("newline", "\n")]):
        if kind == "operator":
            depth += (text in OPENING) - (text in CLOSING and depth > 0)
        if depth:
            continue
        lambdas += text == "lambda"
        ends = kind == "newline" or text == ";"
        if text == ":":
            first = next(iter(_without_spaces(tokens, start, at)), at)
            ends = tokens[first].text in COMPOUND and not lambdas
            lambdas -= lambdas > 0
        if ends:
            places = _without_spaces(tokens, start, at)
            if places:
                yield range(places[0], places[-1] + 1)
            start, lambdas = at + 1, 0


def _without_spaces(tokens: list[Token], start: int, end: int) -> list[int]:
    blank = ("space", "comment", "newline")
    return [at for at in range(start, end) if tokens[at].kind not in blank]
