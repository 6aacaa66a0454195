"""Evaluates the formulas in a text as a reader with a calculator does: from what is printed.

"a_2 − 1 = 0.0960 − 1 = −0.9040" has one formula to evaluate: 0.0960 − 1, whose result must be
−0.9040 to the digits printed. What has letters for numbers, as a_2 − 1, is left out.
"""

from __future__ import annotations

import html
import itertools
import math
import re

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


def plain(page: str) -> str:
    """What a page shows without its script, with a full stop between blocks."""
    body = re.sub(r"<(style|script|svg)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert " hidden" not in re.sub(r"<section[^>]* hidden.*?</section>", "", body, flags=re.DOTALL)
    body = re.sub(r"<section[^>]* hidden.*?</section>", "", body, flags=re.DOTALL)
    body = re.sub(r"<sub>(?:<span[^>]*>)?(\w+)(?:</span>)?</sub>", r"_\1", body)
    body = re.sub(r"</?(?:span|strong|b|em|i|a|code)\b[^>]*>", "", body)
    return html.unescape(re.sub(r"<[^>]*>", " . ", body))


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
        numeric = not any(is_letter(token) for token in [*left, *right])
        if equal and numeric and len(left) > 1 and right:
            found.append((" ".join(left), " ".join(right)))
    return found


def _unwrapped(text: str) -> str:
    """The lines, with a full stop between two unless a formula continues from one to the next."""
    return re.sub(r"(?<![=+−·/( ])\n(?!\s*[=+−·/])", " . ", text)


def is_letter(token: str) -> bool:
    return re.fullmatch(LETTER, token) is not None and token not in FUNCTIONS


def is_symbol(word: str) -> bool:
    """Whether a word may be in a formula: a function, a letter, or a letter with an index."""
    symbol = r"[a-zA-ZεΣ∂‖²∇](?:_\w+|[²ᵀ‖]+)?|∂\S+"
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
        return float(token)

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
