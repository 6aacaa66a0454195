"""The softmax of whole rows from the numbers of slices: the rule of docs/maths.md for two parts of
a row, applied in the order of the ranks, so that every rank has the same bits.

Numbers of slices are (ranks, rows), numbers of rows (rows,), all float64.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .double import Double, exp, log1p, one_plus
from .slices import exponentials


class Softmax(NamedTuple):
    """The softmax of each row. S and L are float64; of float64 logits they are `Double`, in two
    fields each, so that merging adds no rounding to that of the slices."""

    m: Tensor  #: the largest logit; NaN in a row without a softmax
    S: Tensor  #: Σ exp(z_n − m) without one largest term
    L: Tensor  #: log Σ exp(z_n) − m = log1p(S)
    first: Tensor  #: the first rank that has the largest logit
    S_low: Tensor | None = None
    L_low: Tensor | None = None

    def loss(self, z: Tensor) -> Tensor:
        """−log a_n of a logit of each row."""
        if self.L_low is None:
            return (self.m - z) + self.L
        return Double.sum(self.m, -z).plus(Double(self.L, self.L_low)).hi

    def probability(self, z: Tensor) -> Tensor:
        """a_n of a logit of each row."""
        return self.share(z, torch.zeros_like(z))

    def share(self, m: Tensor, S: Tensor) -> Tensor:
        """The probability of classes with these m and S, together."""
        if self.S_low is None:
            return exponentials(m, self.m) * ((1 + S) / (1 + self.S))
        part = exp(Double.sum(m, -self.m)).times(one_plus(Double.of(S)))
        return part.over(one_plus(Double(self.S, self.S_low))).hi

    def rest(self, z: Tensor) -> Tensor:
        """1 − a_n of a logit of each row, without cancellation for the largest."""
        return torch.where(z == self.m, self.S / (1 + self.S), 1 - self.probability(z))


def softmax_of(m: Tensor, S: Tensor, *, double: bool = False) -> Softmax:
    """The softmax of rows, from m and S of each slice; in double-double arithmetic or not.

    >>> softmax_of(torch.tensor([[0.0], [0.0]]).double(), torch.tensor([[1.0], [2.0]]).double()).S
    tensor([4.], dtype=torch.float64)
    """
    largest, first = m.max(0)
    largest = torch.where(largest.isfinite(), largest, torch.nan)
    own = torch.arange(len(m), device=m.device)[:, None] == first
    if not double:
        terms = (1 + S) * exponentials(m, largest)
        S = in_order(torch.where(own, S, terms))
        return Softmax(largest, S, torch.log1p(S), first)
    hi, lo = one_plus(Double.of(S)).times(exp(Double.sum(m, -largest)))
    total = _in_order(Double(torch.where(own, S, hi), lo.masked_fill(own, 0.0)))
    L = log1p(total)
    return Softmax(largest, total.hi, L.hi, first, total.lo, L.lo)


def in_order(parts: Tensor) -> Tensor:
    """The sum over the ranks, added in their order.

    >>> in_order(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([4., 6.])
    """
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    return total


def mean_of(parts: Tensor, sums: Tensor, m: Tensor, row: Softmax) -> Double:
    """Σ_n b_n·(−log a_n), b_n ≥ 0, from `parts`, Σ b_n·(m − z_n) over the classes of each rank for
    its own m, and `sums`, its Σ b_n. All terms are ≥ 0. A rank whose b_n are all 0 adds nothing.

    >>> one, zero = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
    >>> mean_of(zero, one, zero, softmax_of(zero, one)).hi
    tensor([0.6931], dtype=torch.float64)
    """
    if row.L_low is None:
        each = torch.where(sums == 0, 0.0, parts + sums * (row.m - m))
        mean = Double.of(in_order(each) + in_order(sums) * row.L)
    else:
        raised = Double.of(parts).plus(Double.of(sums).times(Double.sum(row.m, -m)))
        total = _in_order(Double.of(sums)).times(Double(row.L, row.L_low))
        mean = _in_order(raised.zero_where(sums == 0)).plus(total)
    return mean.zero_where(in_order(sums) == 0)


def mixed(loss: Double, uniform: Double, kept: float, share: float) -> Double:
    """kept·loss + share·uniform, where a factor of 0 takes its term away."""
    terms = [
        one.times(Double.of(torch.full_like(one.hi, factor)))
        for one, factor in ((loss, kept), (uniform, share))
        if factor
    ]
    return terms[0].plus(terms[1]) if len(terms) == 2 else terms[0]


def _in_order(parts: Double) -> Double:
    """The sum over the ranks, added in their order."""
    total = Double(parts.hi[0], parts.lo[0])
    for part in zip(parts.hi[1:], parts.lo[1:], strict=True):
        total = total.plus(Double(*part))
    return total


def entropy_of(entropy: Tensor, m: Tensor, S: Tensor, row: Softmax) -> Tensor:
    """The entropy of rows from that of each slice: Σ_r p_r·(H_r − log p_r), p_r the probability of
    all classes of rank r. All terms are ≥ 0.

    >>> one, zero = torch.ones(2, 1).double(), torch.zeros(2, 1).double()
    >>> entropy_of(zero, zero, zero, softmax_of(zero, zero))
    tensor([0.6931], dtype=torch.float64)
    """
    p = row.share(m, S)
    own = ((row.m - m) + (row.L - torch.log1p(S))).clamp(min=0.0)
    return in_order(torch.where(p == 0, 0.0, p * (entropy + own)))
