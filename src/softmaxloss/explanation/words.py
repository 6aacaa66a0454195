"""Numbers as words for a reader."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["argument", "number", "others", "told_apart"]


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
