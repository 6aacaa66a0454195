"""Numbers as text. The minus sign is that of formulas, "−", and not the hyphen of code."""

import contextlib
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray


def number(x: float, decimals: int = 4) -> str:
    """A number for reading: some decimals where they suffice, else the exponent form.

    >>> number(0.1), number(-1.2), number(1.234e-7), number(3e12), number(-0.0), number(-np.inf)
    ('0.1000', '−1.2000', '1.23e-07', '3e+12', '0.0000', '−inf')
    """
    size = abs(x)
    if size == 0:
        return f"{0:.{decimals}f}"
    if size < 1e-3:
        shown = f"{size:.{decimals - 2}e}"
    else:
        shown = f"{size:.{decimals}f}" if size < 1e9 else f"{size:.{decimals + 6}g}"
    return f"−{shown}" if x < 0 else shown


def percent(share: float) -> str:
    """A share with three digits. What is not all and not nothing is not shown as such.

    >>> percent(0.904), percent(0.00012345), percent(0.99999), percent(1.0)
    ('90.4 %', '0.0123 %', 'more than 99.9 %', '100 %')
    """
    shown = f"{100 * share:.3g}"
    return "more than 99.9 %" if shown == "100" and share < 1 else f"{shown} %"


def fixed_percent(share: float, decimals: int = 2) -> str:
    """A share in percent with as many decimals as the others of its table.

    >>> fixed_percent(0.0512), fixed_percent(0.5, 0)
    ('5.12 %', '50 %')
    """
    return f"{100 * share:.{decimals}f} %"


def numbers(values: Sequence[float] | NDArray[np.float64], most: int) -> str:
    """A vector, of which at most the first `most` numbers are shown.

    >>> numbers([1.0, 2.0, 3.0], 2)
    '[1.0000  2.0000  …]'
    """
    shown = [number(value) for value in values[:most]]
    return f"[{'  '.join([*shown, '…'] if len(values) > most else shown)}]"


def signed(slope: float) -> str:
    """A derivative, with a + where it is positive."""
    return f"+{number(slope)}" if slope > 0 else number(slope)


def direction(slope: float) -> str:
    """Where descent moves an output that has this derivative."""
    return "↑ up" if slope < 0 else "↓ down" if slope > 0 else ""


def zero(x: float) -> str:
    """A sum that is 0 but for rounding, without the last digits of float64."""
    return number(round(x, 9))


def compared(x: float, y: float) -> str:
    """How x compares with y, apart from rounding: "above", "below" or "equal to"."""
    return "equal to" if math.isclose(x, y) else "above" if x > y else "below"


def told_apart(x: float, y: float) -> tuple[str, str]:
    """Two numbers, infinite ones too, with as many decimals as it takes to tell them apart.

    >>> told_apart(2.25, 2.5), told_apart(1.0, 1.000001)
    (('2.2500', '2.5000'), ('1.000000', '1.000001'))
    """
    for decimals in range(4, 18):
        shown = number(x, decimals), number(y, decimals)
        if shown[0] != shown[1] or x == y:
            break
    return shown


def operands(f: Callable[..., float], values: Sequence[float], result: float) -> list[str]:
    """The operands of a formula, with as many decimals as f needs to give the result shown.

    Who computes "−log 0.09599 = 2.3435" again then finds it right: −log 0.0960 is 2.3434. Empty
    where more than 8 decimals would be needed: the formula is then shown without its operands.

    >>> operands(lambda a: -1 / a, [0.0959874], -1 / 0.0959874)
    ['0.0959874']
    >>> operands(lambda a: a - 1, [0.0959874], 0.0959874 - 1)
    ['0.0960']
    """
    wanted = number(result)
    for decimals in range(4, 9):
        shown = [number(value, decimals) for value in values]
        with contextlib.suppress(ArithmeticError, ValueError):
            if number(f(*map(_read, shown))) == wanted:
                return shown
    return []


def worked(formula: str, f: Callable[..., float], values: Sequence[float], result: float) -> str:
    """A formula with its operands and its result; the result alone where `operands` finds none.

    >>> worked("{} / 32", lambda loss: loss / 32, [2.3435381], 2.3435381 / 32)
    '2.3435 / 32 = 0.0732'
    """
    shown = operands(f, values, result)
    return f"{formula.format(*shown)} = {number(result)}" if shown else number(result)


def _read(shown: str) -> float:
    return float(shown.replace("−", "-"))
