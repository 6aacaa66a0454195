"""What one rank computes from its slice of the classes: numbers for each row, and a softmax.

Slices are (outer, classes, inner), as kernels see logits, with a row for each pair (outer, inner);
numbers of rows are (rows,) float64, in that order. The library's kernels compute the exponentials
on the CPU, PyTorch's operations in float64, a few rows at a time, on other devices.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..kernels import has_kernel, kernel_for
from ..labels import ClassIndices
from ..options import Options
from ..scores import empty_scores
from ..torch.tensors import as_numpy

BLOCK = 1 << 18  #: numbers that are copied to float64 at a time
_EACH = Options(reduction="none")


class Slice(NamedTuple):
    """The softmax of a rank's classes, for each row. A slice without a finite logit has m = −inf
    and S = 0, as one without classes has."""

    m: Tensor  #: the largest logit; NaN or +inf where the row has one
    S: Tensor  #: Σ exp(z_n − m) without one largest term
    k: Tensor  #: the class with the largest logit in this slice, int64
    entropy: Tensor  #: of the softmax of these classes alone


def slice_of(x: Tensor) -> Slice:
    """The numbers of a slice.

    >>> slice_of(torch.tensor([[[0.0], [0.0], [0.0]]])).S.round(decimals=12)
    tensor([2.], dtype=torch.float64)
    """
    rows = x.shape[0] * x.shape[2]
    if x.shape[1] == 0 or rows == 0:
        zeros = x.new_zeros(rows, dtype=torch.float64)
        return Slice(zeros - math.inf, zeros, zeros.long(), zeros)
    made = _by_kernel(x) if has_kernel(x.device.type) else _by_operations(x)
    empty = made.m == -math.inf
    return made._replace(
        S=made.S.masked_fill(empty, 0.0),
        k=made.k.masked_fill(empty, 0),
        entropy=made.entropy.masked_fill(empty, 0.0),
    )


def _by_kernel(x: Tensor) -> Slice:
    z = readable(x)
    kernel, storage = kernel_for(z.dtype)
    z = z.astype(storage, copy=False)
    rows = z.shape[0] * z.shape[2]
    wide = x.dtype is torch.float64
    scores = empty_scores((rows,), np.dtype(np.float64 if wide else np.float32))
    kernel.score(z, ClassIndices(np.zeros(rows, np.int64), -1, False), scores)
    k = torch.from_numpy(scores.predicted)
    undefined = k < 0
    k = k.clamp(min=0)
    m = at(x, k)
    if bool(undefined.any()):  # NaN, +inf, or nothing but −inf
        m = torch.where(undefined, x.amax(1).reshape(-1).double(), m)
    if wide:
        # The scores of the largest logit itself: L = log1p(S) and a_k = 1/(1 + S).
        kernel.score(z, ClassIndices(k.numpy(), -1, False), scores)
        L, a = (torch.from_numpy(v) for v in (scores.loss, scores.probability))
        S = torch.where(a > 0.5, torch.expm1(L), 1 / a - 1)
    else:
        loss = np.empty(rows)
        kernel.cross_entropy(
            z, ClassIndices(k.numpy(), -1, False), None, None, _EACH, 1.0, loss, None
        )
        S = torch.expm1(torch.from_numpy(loss))
    return Slice(m, S, k, torch.from_numpy(scores.entropy).double())


def _by_operations(x: Tensor) -> Slice:
    m, k = x.max(1)
    m = m.double()
    S, entropy = torch.empty_like(m), torch.empty_like(m)
    for o, i in blocks(x):
        z, peak, largest = x[o, :, i].double(), m[o, None, i], k[o, None, i]
        e = exponentials(z, peak)
        below = e.scatter(1, largest, 0.0).sum(1)
        spread = torch.where(e > 0, e * (peak - z), 0.0).sum(1)
        S[o, i], entropy[o, i] = below, torch.log1p(below) + spread / (1 + below)
    return Slice(*(t.reshape(-1) for t in (m, S, k, entropy)))


def fill_gradient(
    x: Tensor,
    made: Slice,
    one: Tensor,
    softmax: Tensor,
    factor: Tensor,
    terms: "Coefficients",
    out: Tensor,
) -> None:
    """Fill `out`, in the shape of x and its dtype, with softmax·a_n − factor·c_n, where a is the
    softmax of the slice alone; softmax and factor have a number for each row. In rows with
    softmax = 0 and in a slice without a finite logit that is −factor·c_n. The entry of class
    one[i] of row i may be anything.
    """
    if terms.are_zero:
        _fill_softmax(x, made, one, softmax, out)
        return
    shape = (x.shape[0], x.shape[2])
    lines = [t.reshape(shape) for t in (*made, one, softmax, factor)]
    for o, i in blocks(x):
        z = x[o, :, i]
        *numbers, ones, alpha, f = (t[o, i].reshape(-1) for t in lines)
        # Half precision is rounded once, at the end.
        z = z.float() if z.dtype.itemsize < 4 else z
        part = out[o, :, i] if z.dtype == out.dtype else torch.empty_like(z)
        _fill_softmax(z, Slice(*numbers), ones, alpha, part)
        part -= (terms.of(o, i) * f.reshape(z.shape[0], 1, z.shape[2])).to(part.dtype)
        if part.dtype != out.dtype:
            out[o, :, i] = part


def _fill_softmax(x: Tensor, made: Slice, one: Tensor, factor: Tensor, out: Tensor) -> None:
    # A row with a factor of NaN has no softmax on any rank.
    unused = (factor == 0) | ((made.m == -math.inf) & ~factor.isnan())
    if has_kernel(x.device.type):
        array = readable(x)
        kernel, storage = kernel_for(array.dtype)
        array = array.astype(storage, copy=False)
        # The entries of all but the true class are factor·a_n.
        target = ClassIndices(one.masked_fill(unused, -1).numpy(), -1, True)
        factors, losses = factor.contiguous().numpy(), np.empty(len(factor))
        kernel.cross_entropy(array, target, None, None, _EACH, factors, losses, as_numpy(out))
        return
    shape = (x.shape[0], 1, x.shape[2])
    m, S, f, skip = (t.reshape(shape) for t in (made.m, made.S, factor, unused))
    for o, i in blocks(x):
        part = np.s_[o, :, i]
        a = exponentials(x[part].double(), m[part]) / (1 + S[part])
        out[part] = torch.where(skip[part], 0.0, f[part] * a).to(out.dtype)


class Coefficients(NamedTuple):
    """c_n = w_n·(kept·q_n + share), without what a class index adds."""

    w: Tensor | None
    share: float
    kept: float
    q: Tensor | None  #: a slice

    @property
    def are_zero(self) -> bool:
        return self.q is None and self.share == 0

    def of(self, o: slice, i: slice) -> Tensor:
        """Those of x[o, :, i], or something that broadcasts to them."""
        c: Tensor | float = self.share
        if self.q is not None:
            c = self.kept * self.q[o, :, i].double() + self.share
        if self.w is not None:
            c = self.w[:, None] * c
        return torch.as_tensor(c, dtype=torch.float64)


def at(x: Tensor, k: Tensor) -> Tensor:
    """The number of class k[i] of each row i, as float64."""
    index = k.reshape(x.shape[0], 1, x.shape[2])
    return x.gather(1, index).reshape(-1).double()


def exponentials(z: Tensor, m: Tensor) -> Tensor:
    """exp(z − m) of float64 numbers, corrected for what rounding z − m loses, which is up to 400
    units in the last place of its exp; 0 where z is −inf.

    >>> exponentials(torch.tensor([-torch.inf, 1.0]).double(), torch.tensor(1.0).double())
    tensor([0., 1.], dtype=torch.float64)
    """
    d = z - m
    shadow = d - z
    lost = (z - (d - shadow)) - (m + shadow)
    e = torch.exp(d)
    return torch.where((e > 0) & lost.isfinite(), e + e * lost, e)


def blocks(x: Tensor) -> Iterator[tuple[slice, slice]]:
    """(outer, inner) in order, so that x[outer, :, inner] has at most BLOCK numbers or one row."""
    outer, classes, inner = x.shape
    most = max(1, BLOCK // max(classes, 1))
    width = min(inner, most)
    height = max(1, most // max(inner, 1))
    for start in range(0, outer, height):
        for left in range(0, inner, width):
            yield slice(start, start + height), slice(left, left + width)


def readable(x: Tensor) -> Array:
    """The slice as a kernel reads it."""
    z = as_numpy(x)
    return z if z.flags.aligned else z.copy()


def weighted_sums(
    x: Tensor, m: Tensor, w: Tensor | None, q: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Σ b_n·(m − z_n) and Σ b_n of each row, b_n = w_n·q_n; a term with b_n = 0 is absent, even
    where it is infinite. All b_n are 1 where neither is given.

    >>> weighted_sums(torch.zeros(1, 3, 1), torch.ones(1).double(), None, None)
    (tensor([3.], dtype=torch.float64), tensor([3.], dtype=torch.float64))
    """
    peak = m.reshape(x.shape[0], 1, x.shape[2])
    spread = torch.zeros(x.shape[0], x.shape[2], dtype=torch.float64, device=x.device)
    total = torch.full_like(spread, x.shape[1])
    for o, i in blocks(x):
        part = peak[o, :, i] - x[o, :, i].double()
        if w is not None or q is not None:
            b = torch.ones_like(part) if q is None else q[o, :, i].double()
            b = b if w is None else b * w[:, None]
            part = torch.where(b == 0, 0.0, b * part)
            total[o, i] = sum_of(b).reshape(total[o, i].shape)
        spread[o, i] = sum_of(part).reshape(spread[o, i].shape)
    return spread.reshape(-1), total.reshape(-1)


def sum_of(b: Tensor) -> Tensor:
    """The sum over the classes, (rows,) float64."""
    return b.sum(1, dtype=torch.float64).reshape(-1)
