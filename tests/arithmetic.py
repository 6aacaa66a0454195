"""Evaluates the formulas in a text as a reader with a calculator does: from what is printed.

"a_2 − 1 = 0.0960 − 1 = −0.9040" has one formula to evaluate: 0.0960 − 1, whose result must be
−0.9040 to the digits printed. What has letters for numbers, as a_2 − 1, is left out.
"""

from __future__ import annotations

import itertools
import math
import re
from html.parser import HTMLParser

FUNCTIONS = {
    "log": math.log,
    "ln": math.log,
    "exp": math.exp,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "√": math.sqrt,
}
NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]*\w)"
LETTER = r"[a-zA-ZεΣ∂‖∇][\w/∂²‖ᵀ_]*|[‖²]"
TOKEN = re.compile(rf"\s*(?:({NUMBER})|(=)|([−+·/()])|({LETTER})|(.))")


class _Shown(HTMLParser):
    """Collects what a page shows: not what is hidden, drawn, a control, or code."""

    LEFT_OUT = frozenset(["style", "script", "svg", "select", "button", "input", "pre", "title"])
    EMPTY = frozenset(["br", "input", "meta", "hr", "link"])
    INLINE = frozenset(
        ["span", "strong", "b", "em", "i", "a", "code", "sub", "sup", "var", "output"]
    )

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, bool]] = []  # the elements around, and whether one is left out
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        out = (
            tag in self.LEFT_OUT
            or "hidden" in dict(attrs)
            or (bool(self.open) and self.open[-1][1])
        )
        if tag == "sub" and not out:
            self.words.append("_")
        elif tag not in self.INLINE:
            self.words.append("\n . ")
        if tag not in self.EMPTY:
            self.open.append((tag, out))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag in self.EMPTY:
            return
        while self.open.pop()[0] != tag:
            pass
        if tag not in self.INLINE:
            self.words.append("\n . ")

    def handle_data(self, data: str) -> None:
        if not (self.open and self.open[-1][1]):
            self.words.append(data)


def plain(page: str) -> str:
    """What a page shows without its script, with a full stop between blocks."""
    reader = _Shown()
    reader.feed(page)
    return "".join(reader.words)


def formulas(text: str) -> list[tuple[str, str]]:
    """The formulas that can be evaluated, each with the result that is printed for it."""
    sides: list[list[str]] = [[]]
    joined: list[bool] = []  # whether "=" is between a side and the next
    for number, equals, operator, letter, _ in TOKEN.findall(_unwrapped(text)):
        if token := number or operator or (letter if is_symbol(letter) else ""):
            sides[-1].append(token)
        else:
            joined.append(bool(equals))
            sides.append([])
    found = []
    for (left, right), equal in zip(itertools.pairwise(sides), joined, strict=True):
        left, right = _inside(left[::-1], ")(")[::-1], _inside(right, "()")
        numeric = not any(is_letter(token) for token in [*left, *right])
        if equal and numeric and len(left) > 1 and right:
            found.append((" ".join(left), " ".join(right)))
    return found


def _inside(tokens: list[str], brackets: str) -> list[str]:
    """The tokens up to a bracket around the whole formula."""
    depth = 0
    for k, token in enumerate(tokens):
        depth += (token == brackets[0]) - (token == brackets[1])
        if depth < 0:
            return tokens[:k]
    return tokens


def _unwrapped(text: str) -> str:
    """The lines, with a full stop between two unless a formula continues from one to the next."""
    return re.sub(r"(?<![=+−·/( ])\n(?!\s*[=+−·/])", " . ", text)


def is_letter(token: str) -> bool:
    return re.fullmatch(LETTER, token) is not None and token not in (*FUNCTIONS, "e")


def is_symbol(word: str) -> bool:
    """Whether a word may be in a formula: a function, a letter, or a letter with an index."""
    symbol = r"[a-zA-ZεΣ∂‖²∇](?:_\w+|[²ᵀ‖]+)?|∂\S+|‖x‖²"
    return word in (*FUNCTIONS, "inf") or re.fullmatch(symbol, word) is not None


def evaluate(formula: str) -> float:
    """The value of a formula of numbers, functions, operators and brackets."""
    tokens = formula.split()

    def sum_() -> float:
        value = product()
        while tokens and tokens[0] in "+−":
            sign = tokens.pop(0)
            value = value + product() if sign == "+" else value - product()
        return value

    def product() -> float:
        value = factor()
        while tokens and tokens[0] in "·/":
            sign = tokens.pop(0)
            value = value * factor() if sign == "·" else value / factor()
        return value

    def factor() -> float:
        token = tokens.pop(0)
        if token == "−":
            return -factor()
        if token == "(":
            value = sum_()
            assert tokens.pop(0) == ")"
            return value
        if token in FUNCTIONS:
            return FUNCTIONS[token](factor())
        return math.e if token == "e" else float(token)

    value = sum_()
    assert not tokens, f"{formula!r} is no formula"
    return value


def confirm(text: str) -> int:
    """Compare the value of every formula with its printed result; returns how many there were."""
    found = formulas(text)
    for formula, result in found:
        shown = result.split()[-1]
        digits, _, power = shown.partition("e")
        place = 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
        value = evaluate(formula)
        assert abs(value - evaluate(result)) <= 0.5 * place + 1e-12 * abs(value), (
            f"{formula} is {value!r}, printed as {result}"
        )
    return len(found)


def confirm_signs(text: str) -> None:
    """There is one minus sign, and none follows another."""
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("   " * 2))
    assert not re.search(r"(?<![\w.])-[\d.(]|-inf", prose), re.search(r".{20}-[\d.(i].{9}", prose)
    assert not re.search(r"[−+-]\s*\(?\s*[−-]", text), re.search(
        r".{20}[−+-]\s*\(?\s*[−-].{9}", text
    )
