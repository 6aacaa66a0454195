"""One block's loss and gradient in PyTorch's operations, for a device without a kernel.

The formulas are those of `softmaxloss.formula` and of linear/block.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..labels import ClassIndices
from ..linear.block import Rows
from ..linear.plan import Extras

__all__ = ["loss_in_operations"]

Array = NDArray[Any]

#: Each operation takes memory for its result: of a block's rows so many parts.
PARTS = 8


def loss_in_operations(
    logits: Tensor,
    rows: Rows,
    weight: Array | None,
    label_smoothing: float,
    extras: Extras,
    with_gradient: bool,
) -> None:
    """As `softmaxloss.linear.block.loss_in_place`, for a tensor of logits on any device."""
    step = max(1, len(logits) // PARTS)
    for start in range(0, len(logits), step):
        part = slice(start, min(start + step, len(logits)))
        gradient = _few_rows(logits[part], rows.part(part), weight, label_smoothing, extras)
        if with_gradient:
            logits[part] = gradient


def _few_rows(
    held: Tensor, rows: Rows, weight: Array | None, label_smoothing: float, extras: Extras
) -> Tensor:
    """Fill the losses and scores; returns the gradient by the logits."""
    z = held.float() if held.dtype.itemsize < 4 else held
    cap = extras.softcap
    u = z if cap is None else cap * torch.tanh(z / cap)
    m, k = u.max(1, keepdim=True)
    a = torch.exp(u - m).scatter_(1, k, 0.0)
    S = a.sum(1, keepdim=True)
    a.scatter_(1, k, 1.0).div_(1 + S)
    J = (m - u) + torch.log1p(S)  # −log a_n of each class
    L = m + torch.log1p(S)
    if rows.scores is not None:
        _score(rows, u, a, J, L, k)

    w = None if weight is None else _like(weight, z)
    if isinstance(rows.target, ClassIndices) and label_smoothing == 0.0:
        y = torch.from_numpy(rows.target.rows().astype(np.int64)).to(z.device)[:, None]
        c = torch.ones_like(m) if w is None else w[y]
        loss = torch.where(c == 0, 0.0, c * J.gather(1, y))
        others = torch.where(y == k, S / (1 + S), 1 - a.gather(1, y))  # 1 − a_y, not cancelled
        gradient = (c * a).scatter_(1, y, -c * others)
        gradient = torch.where(c == 0, 0.0, gradient)
    else:
        c = _coefficients(rows, z, w, label_smoothing)
        total = c.sum(1, keepdim=True)
        loss = torch.where(c == 0, 0.0, c * J).sum(1, keepdim=True)
        gradient = torch.where(total == 0, 0.0, total * a - c)
    if extras.z_loss:
        loss = loss + extras.z_loss * L**2
        gradient += 2 * extras.z_loss * L * a
    if cap is not None:
        e = torch.exp(-2 * (z / cap).abs())
        gradient *= 4 * e / (1 + e) ** 2
    rows.loss[...] = loss[:, 0].double().cpu().numpy()
    return gradient * _like(np.broadcast_to(rows.factor, (len(z),))[:, None].copy(), z)


def _coefficients(rows: Rows, z: Tensor, w: Tensor | None, label_smoothing: float) -> Tensor:
    """c_n = w_n·((1 − ε)·q_n + ε/C), (rows, classes)."""
    target = rows.target.rows()
    if isinstance(rows.target, ClassIndices):
        y = torch.from_numpy(target.astype(np.int64)).to(z.device)
        q = torch.zeros_like(z).scatter_(1, y[:, None], 1.0)
    else:
        q = _like(target, z)
    if label_smoothing:
        q = (1 - label_smoothing) * q + label_smoothing / z.shape[1]
    return q if w is None else q * w


def _score(rows: Rows, u: Tensor, a: Tensor, J: Tensor, L: Tensor, k: Tensor) -> None:
    s = rows.scores
    assert s is not None
    y = torch.from_numpy(rows.target.rows().astype(np.int64)).to(u.device)[:, None]
    defined = ~torch.isnan(L)
    filled = {
        "loss": J.gather(1, y),
        "probability": a.gather(1, y),
        "predicted": torch.where(defined, k, -1),
        "rank": torch.where(defined, 1 + (u > u.gather(1, y)).sum(1, keepdim=True), 0),
        "entropy": torch.where(a == 0, 0.0, a * J).sum(1, keepdim=True),
        "logsumexp": L,
    }
    for name, values in filled.items():
        getattr(s, name)[...] = values[:, 0].cpu().numpy()


def _like(array: Array, z: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(z.device, z.dtype)
