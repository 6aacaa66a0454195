"""Numbers and untrusted text as words for a reader, whatever shows them. Loads nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

__all__ = ["argument", "number", "others", "printable", "shorten", "told_apart"]


def number(x: float, decimals: int = 4) -> str:
    """A number for reading: some decimals where they suffice, else the exponent form.

    >>> number(0.1), number(-1.234e-7), number(3e12), number(-0.0), number(float("inf"))
    ('0.1000', '-1.23e-07', '3e+12', '0.0000', 'inf')
    """
    if x == 0:
        return f"{0:.{decimals}f}"
    if abs(x) < 1e-3:
        return f"{x:.{decimals - 2}e}"
    return f"{x:.{decimals}f}" if abs(x) < 1e9 else f"{x:.{decimals + 6}g}"


def told_apart(x: float, y: float) -> tuple[str, str]:
    """Two numbers with as many decimals as it takes to tell them apart.

    >>> told_apart(2.25, 2.5), told_apart(1.0, 1.000001)
    (('2.2500', '2.5000'), ('1.000000', '1.000001'))
    """
    for decimals in range(4, 18):
        shown = number(x, decimals), number(y, decimals)
        if shown[0] != shown[1] or x == y:
            break
    return shown


def argument(x: float, f: Callable[[float], float], result: float) -> str:
    """A number in (0, 1] with as many decimals as it takes for f of them to give the result shown:
    who computes "−log 0.09599 = 2.3435" again finds it right. Nothing where many would not do.

    >>> argument(0.0959874, lambda a: 1 / a, 1 / 0.0959874)
    '0.0959874'
    """
    for decimals in range(4, 9):
        shown = number(x, decimals)
        if (rounded := float(shown)) > 0 and number(f(rounded)) == number(result):
            return shown
    return ""


def others(count: int) -> str:
    """So many other classes.

    >>> others(1), others(5)
    ('1 other', '5 others')
    """
    return "1 other" if count == 1 else f"{count} others"


def printable(text: str) -> str:
    r"""The text on one line and harmless to a terminal: what does not print is escaped.

    >>> print(printable("\x1b[31mred\n"))
    \x1b[31mred\n
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def shorten(text: str, cells: int) -> str:
    r"""Untrusted text, printable, cut to so many cells of a terminal.

    >>> print(shorten("tab\there", 6), shorten("a long name", 6), shorten("鳥鳥鳥鳥", 6))
    tab\t… a lon… 鳥鳥…
    """
    shown = printable(text[: cells + 1])  # a character is counted as one cell at least
    widths = [2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in shown]
    if sum(widths) <= cells:
        return shown
    kept, room = 0, cells - 1  # one cell for the sign that it goes on
    while widths[kept] <= room:
        room -= widths[kept]
        kept += 1
    return f"{shown[:kept]}…"
