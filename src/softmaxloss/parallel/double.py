"""Double-double arithmetic: numbers as sums of two float64 tensors, and their exp and log1p.

Merging slices in float64 itself rounds some ten times, which is two units in the last place of a
loss. Sums and products alone are used, so that all processors compute the same bits.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

_SPLIT = 2.0**27 + 1
_LN2, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # 32 bits, and the rest
_TERMS = 18  # of the series of exp, up to r = 0.35


class Double(NamedTuple):
    """hi + lo, where hi is the sum rounded to float64."""

    hi: Tensor
    lo: Tensor

    @classmethod
    def sum(cls, a: Tensor, b: Tensor) -> Self:
        """a + b, exactly; lo is 0 where hi is infinite or NaN."""
        s = a + b
        t = s - a
        return cls(s, _finite((a - (s - t)) + (b - t)))

    @classmethod
    def product(cls, a: Tensor, b: Tensor) -> Self:
        """a·b, exactly where nothing overflows."""
        p = a * b
        (ah, al), (bh, bl) = _halves(a), _halves(b)
        return cls(p, _finite(((ah * bh - p) + ah * bl + al * bh) + al * bl))

    @classmethod
    def of(cls, a: Tensor) -> Self:
        return cls(a, torch.zeros_like(a))

    def zero_where(self, mask: Tensor) -> "Double":
        return Double(self.hi.masked_fill(mask, 0.0), self.lo.masked_fill(mask, 0.0))

    def plus(self, other: "Double") -> "Double":
        s = Double.sum(self.hi, other.hi)
        return Double.sum(s.hi, s.lo + (self.lo + other.lo))

    def times(self, other: "Double") -> "Double":
        p = Double.product(self.hi, other.hi)
        return Double.sum(p.hi, p.lo + _finite(self.hi * other.lo + self.lo * other.hi))

    def over(self, other: "Double") -> "Double":
        q = self.hi / other.hi
        p = Double.product(q, other.hi)
        rest = (self.hi - p.hi) - p.lo + self.lo - q * other.lo
        return Double.sum(q, _finite(rest / other.hi))


def _finite(lo: Tensor) -> Tensor:
    return lo.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _halves(a: Tensor) -> tuple[Tensor, Tensor]:
    c = _SPLIT * a
    high = c - (c - a)
    return high, a - high


def exp(d: Double) -> Double:
    """exp(d), off by 2⁻⁵⁵ of itself at most, for d < 700.

    >>> e = exp(Double(torch.tensor([1.0, -torch.inf]).double(), torch.zeros(2).double()))
    >>> e.hi.tolist()
    [2.718281828459045, 0.0]
    """
    k = torch.round(d.hi.clamp(min=-800.0, max=800.0) / math.log(2)).nan_to_num(0.0)
    r = Double.sum(_finite(d.hi - k * _LN2), d.lo - k * _LN2_LOW)
    one = Double.sum(torch.ones_like(r.hi), r.hi)
    e = Double.sum(one.hi, one.lo + (r.lo + _beyond(r.hi)))
    e = Double(_scaled(e.hi, k), _scaled(e.lo, k))
    none = d.hi < -746.0
    hi = torch.where(d.hi.isnan(), d.hi, e.hi.masked_fill(none, 0.0))
    return Double(hi, e.lo.masked_fill(none, 0.0))


def _beyond(r: Tensor) -> Tensor:
    """exp(r) − 1 − r, for |r| ≤ 0.35."""
    total = torch.full_like(r, 1 / math.factorial(_TERMS))
    for n in range(_TERMS - 1, 1, -1):
        total = total * r + 1 / math.factorial(n)
    return total * r * r


def _scaled(x: Tensor, k: Tensor) -> Tensor:
    """x·2ᵏ, in two steps, since 2ᵏ itself may be too small for a float64."""
    half = torch.floor(k / 2)
    for n in (half, k - half):
        x = x * ((n.long() + 1023) << 52).view(torch.float64)
    return x


def log1p(s: Double) -> Double:
    """log(1 + s), s ≥ 0, by one step of Newton's method: off by 2⁻⁵⁴ of itself at most.

    >>> log1p(Double(torch.tensor([1.0]).double(), torch.zeros(1).double())).hi.item()
    0.6931471805599453
    """
    L = torch.log1p(s.hi)
    # What s has more than expm1(L), where that is exact enough, over 1 + s.
    small = L.clamp(max=0.35)
    near = (((s.hi - small) - _beyond(small)) + s.lo) / (1 + s.hi)
    ratio = one_plus(s).times(exp(Double.of(-L)))
    far = (ratio.hi - 1) + ratio.lo
    step = torch.where(L <= 0.35, near, far)
    return Double.sum(L, _finite(step))


def one_plus(s: Double) -> Double:
    """1 + s."""
    return Double.of(torch.ones_like(s.hi)).plus(s)
