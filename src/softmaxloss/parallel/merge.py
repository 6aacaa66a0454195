"""The softmax of whole rows from the numbers of slices: the rule of docs/maths.md for two parts of
a row, applied in the order of the ranks, so that every rank has the same bits.

Numbers of slices are (ranks, rows), numbers of rows (rows,), all float64.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .slices import exponentials


class Softmax(NamedTuple):
    """The softmax of each row."""

    m: Tensor  #: the largest logit; NaN in a row without a softmax
    S: Tensor  #: Σ exp(z_n − m) without one largest term
    L: Tensor  #: log Σ exp(z_n) − m = log1p(S)
    first: Tensor  #: the first rank that has the largest logit

    def probability(self, z: Tensor) -> Tensor:
        """a_n of a logit of each row."""
        return exponentials(z, self.m) / (1 + self.S)

    def rest(self, z: Tensor) -> Tensor:
        """1 − a_n of a logit of each row, without cancellation for the largest."""
        return torch.where(z == self.m, self.S / (1 + self.S), 1 - self.probability(z))


def softmax_of(m: Tensor, S: Tensor) -> Softmax:
    """The softmax of rows, from m and S of each slice.

    >>> softmax_of(torch.tensor([[0.0], [0.0]]).double(), torch.tensor([[1.0], [2.0]]).double()).S
    tensor([4.], dtype=torch.float64)
    """
    largest, first = m.max(0)
    largest = torch.where(largest.isfinite(), largest, torch.nan)
    terms = (1 + S) * exponentials(m, largest)
    own = torch.arange(len(m), device=m.device)[:, None] == first
    S = in_order(torch.where(own, S, terms))
    return Softmax(largest, S, torch.log1p(S), first)


def in_order(parts: Tensor) -> Tensor:
    """The sum over the ranks, added in their order.

    >>> in_order(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([4., 6.])
    """
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    return total


def mean_of(parts: Tensor, sums: Tensor, m: Tensor, row: Softmax) -> Tensor:
    """Σ_n b_n·(−log a_n), b_n ≥ 0, from `parts`, Σ b_n·(m − z_n) over the classes of each rank for
    its own m, and `sums`, its Σ b_n. All terms are ≥ 0. A rank whose b_n are all 0 adds nothing.

    >>> one, zero = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
    >>> mean_of(zero, one, zero, softmax_of(zero, one))
    tensor([0.6931], dtype=torch.float64)
    """
    raised = torch.where(sums == 0, 0.0, parts + sums * (row.m - m))
    total = in_order(sums)
    return in_order(raised) + total * row.L


def entropy_of(entropy: Tensor, m: Tensor, S: Tensor, row: Softmax) -> Tensor:
    """The entropy of rows from that of each slice: Σ_r p_r·(H_r − log p_r), p_r the probability of
    all classes of rank r. All terms are ≥ 0.

    >>> one, zero = torch.ones(2, 1).double(), torch.zeros(2, 1).double()
    >>> entropy_of(zero, zero, zero, softmax_of(zero, zero))
    tensor([0.6931], dtype=torch.float64)
    """
    p = exponentials(m, row.m) * ((1 + S) / (1 + row.S))
    own = ((row.m - m) + (row.L - torch.log1p(S))).clamp(min=0.0)
    return in_order(torch.where(p == 0, 0.0, p * (entropy + own)))
