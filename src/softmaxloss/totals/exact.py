"""Sums that do not depend on the order of their parts.

A float is a multiple of 2⁻¹⁰⁷⁴, so a sum of floats is an integer of such units, which Python holds
exactly. Where an array of sums is kept, the parts are rounded to multiples of `UNIT` instead.
"""

import math
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

UNIT = 2.0**-30  # of probabilities: 8 billion of them fit in int64
_CHUNK = 1 << 15  # numbers at a time: they stay in the cache
_HUGE = 2.0**900  # from here on, the sums below would overflow
_SCALE = -1074  # the exponent of the smallest float


class ExactSum:
    """The exact sum of floats; +inf and NaN are counted.

    >>> total = ExactSum()
    >>> total.add(np.array([1e16, 1.0, -1e16]))
    >>> total.mean(1)
    1.0
    """

    def __init__(self) -> None:
        self.units = 0  # multiples of 2⁻¹⁰⁷⁴
        self.infinite = self.invalid = 0

    def add(self, values: NDArray[Any]) -> None:
        for start in range(0, values.size, _CHUNK):
            x = values[start : start + _CHUNK].astype(np.float64)
            finite = np.isfinite(x)
            if not finite.all():
                invalid = int(np.count_nonzero(np.isnan(x)))
                self.invalid += invalid
                self.infinite += x.size - int(np.count_nonzero(finite)) - invalid
                x = x[finite]
            huge = np.abs(x) >= _HUGE
            if huge.any():
                self.units += _units(x[huge] / _HUGE) * int(_HUGE)
                x = x[~huge]
            self.units += _units(x)

    def merge(self, other: Self) -> None:
        self.units += other.units
        self.infinite += other.infinite
        self.invalid += other.invalid

    def mean(self, count: int) -> float:
        """The sum divided by `count`, rounded once; NaN for a count of 0 or with a NaN."""
        if self.invalid or not count:
            return math.nan
        return math.inf if self.infinite else float(Fraction(self.units, count << -_SCALE))


def _units(x: NDArray[np.float64]) -> int:
    """The sum of finite floats below 2⁹⁰⁰ in multiples of 2⁻¹⁰⁷⁴. Overwrites x.

    All numbers are rounded to multiples of a power of two so large that the sum of these is exact
    in float64. What the rounding leaves is summed in the same way, until nothing is left.
    """
    total, room = 0, 51 - x.size.bit_length()
    while x.size and (largest := float(np.abs(x).max())):
        # |x| < 2ᵉ: multiples of 2ᵉ⁻ʳᵒᵒᵐ, x.size of which sum to less than 2⁵² of them.
        exponent = max(math.frexp(largest)[1] - room, _SCALE)
        anchor = math.ldexp(1.5, exponent + 52)
        rounded = (x + anchor) - anchor
        x -= rounded
        total += int(math.ldexp(float(rounded.sum()), -exponent)) << (exponent - _SCALE)
    return total


def in_units(probabilities: NDArray[Any]) -> NDArray[np.int64]:
    """Probabilities as multiples of `UNIT`: their sums are exact, and off by UNIT/2 for each."""
    return np.rint(probabilities.astype(np.float64) / UNIT).astype(np.int64)
