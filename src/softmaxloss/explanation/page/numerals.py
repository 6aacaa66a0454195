"""Numbers as the pictures of a page show them, and operands that give the result printed."""

import math
from collections.abc import Callable, Sequence

from ..rendering.numbers import number


def short(x: float) -> str:
    """A number with as few digits as it needs.

    >>> short(2.0), short(-1.2), short(0.0)
    ('2', '−1.2', '0')
    """
    if not math.isfinite(x):
        return number(x)
    return f"{x:g}".replace("-", "−") if x else "0"


def percent(a: float) -> str:
    """A probability for a bar.

    >>> percent(0.0959), percent(1e-9), percent(0.99999), percent(1.0)
    ('9.6 %', '<0.1 %', '>99.9 %', '100 %')
    """
    if a in (0.0, 1.0):
        return f"{100 * a:.0f} %"
    if a < 0.0005:
        return "<0.1 %"
    return ">99.9 %" if a >= 0.9995 else f"{100 * a:.1f} %"


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


def operands(values: Sequence[float], f: Callable[..., float], result: float) -> list[str] | None:
    """Numbers with as many decimals as f needs to give the result that is shown.

    A reader who computes "−log 0.09599 = 2.3435" again finds it right. None where more than 8
    decimals would be needed.

    >>> operands([0.0959874], lambda a: -math.log(a), -math.log(0.0959874))
    ['0.09599']
    """
    for decimals in range(4, 9):
        shown = [number(x, decimals) for x in values]
        try:
            again = f(*(float(x.replace("−", "-")) for x in shown))
        except (ValueError, ZeroDivisionError, OverflowError):
            continue
        if math.isfinite(again) and number(again) == number(result):
            return shown
    return None
