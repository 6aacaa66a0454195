"""Numbers as text."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray


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


def minus(x: float) -> str:
    """The number with a minus before it.

    >>> minus(0.1), minus(-1.2)
    ('−0.1000', '−(-1.2000)')
    """
    shown = number(x)
    return f"−({shown})" if shown.startswith("-") else f"−{shown}"


def compared(x: float, y: float) -> str:
    """How x compares with y, apart from rounding: "above", "below" or "equal to"."""
    return "equal to" if math.isclose(x, y) else "above" if x > y else "below"


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
    """A number in (0, 1] with as many decimals as f needs to give the result shown.

    A reader who computes "−log 0.09599 = 2.3435" again finds it right. Empty where more than 8
    decimals would be needed.

    >>> argument(0.0959874, lambda a: 1 / a, 1 / 0.0959874)
    '0.0959874'
    """
    for decimals in range(4, 9):
        shown = number(x, decimals)
        if (rounded := float(shown)) > 0 and number(f(rounded)) == number(result):
            return shown
    return ""
