"""Numbers as the pictures of a page show them."""

import math

from ..rendering.numbers import number


def short(x: float) -> str:
    """A number with as few digits as it needs.

    >>> short(2.0), short(-1.2), short(0.0)
    ('2', '−1.2', '0')
    """
    if not math.isfinite(x):
        return number(x)
    return f"{'−' if x < 0 else ''}{abs(x):g}"


def amount(move: float) -> str:
    """How far an output moves, with its sign.

    >>> amount(0.904), amount(-0.0026), amount(-2e-5), amount(0.0)
    ('+0.90', '−0.003', '−2.0e-05', '0')
    """
    if move == 0:
        return "0"
    size = abs(move)
    shown = number(size, 2 if size >= 0.01 else 3)
    return f"{'−' if move < 0 else '+'}{shown}"
