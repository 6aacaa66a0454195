"""Untrusted text, escaped and shortened for a reader: the one place for it. Loads nothing."""

from __future__ import annotations

import unicodedata

__all__ = ["printable", "shorten"]


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
