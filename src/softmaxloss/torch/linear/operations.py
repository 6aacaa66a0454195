"""One block's loss and gradient in PyTorch's operations, for a device without a kernel."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...labels import ClassIndices
from ...linear.blocks import Rows, small_parts
from ...linear.plan import Extras
from .. import formula

__all__ = ["loss_in_operations", "softcapped"]


def softcapped(z: Tensor, cap: float | None) -> Tensor:
    """s·tanh(z/s), where there is a cap."""
    return z if cap is None else cap * torch.tanh(z / cap)


def loss_in_operations(
    logits: Tensor,
    rows: Rows,
    weight: Tensor | None,
    label_smoothing: float,
    extras: Extras,
    with_gradient: bool,
) -> None:
    """As `softmaxloss.linear.blocks.loss_in_place`, for a tensor of logits on any device."""
    for part in small_parts(*logits.shape):  # each operation takes memory for its result
        gradient = _few_rows(logits[part], rows.part(part), weight, label_smoothing, extras)
        if with_gradient:
            logits[part] = gradient


def _few_rows(
    held: Tensor, rows: Rows, weight: Tensor | None, label_smoothing: float, extras: Extras
) -> Tensor:
    """Fill the losses and scores; returns the gradient by the logits."""
    z = held.to(formula.compute_dtype(held))
    u = softcapped(z, extras.softcap)
    is_index = isinstance(rows.target, ClassIndices)
    given = torch.from_numpy(np.ascontiguousarray(rows.target.rows())).to(z.device)
    target = given.long() if is_index else given
    loss = formula.cross_entropy(u, target, weight, label_smoothing)
    gradient = formula.gradient(u, target, weight, label_smoothing)
    if extras.z_loss or rows.scores is not None:
        nll = formula.negative_log_softmax(u)
        k = u.argmax(1, keepdim=True)
        L = (u + nll).gather(1, k)
        if extras.z_loss:
            loss = loss + extras.z_loss * L[:, 0] ** 2
            gradient += 2 * extras.z_loss * L * torch.exp(-nll)
        if rows.scores is not None:
            _score(rows, u, nll, L, k, target[:, None])
    if extras.softcap is not None:
        e = torch.exp(-2 * (z / extras.softcap).abs())
        gradient *= 4 * e / (1 + e) ** 2
    rows.loss[...] = loss.double().cpu().numpy()
    factor = torch.from_numpy(np.broadcast_to(rows.factor, len(z)).copy()).to(z.device, z.dtype)
    return gradient * factor[:, None]


def _score(rows: Rows, u: Tensor, nll: Tensor, L: Tensor, k: Tensor, y: Tensor) -> None:
    assert rows.scores is not None
    a = torch.exp(-nll)
    defined = ~torch.isnan(L)
    above = (u > u.gather(1, y)).sum(1, keepdim=True)
    values = {
        "loss": nll.gather(1, y),
        "probability": a.gather(1, y),
        "predicted": torch.where(defined, k, -1),
        "rank": torch.where(defined, 1 + above, 0),
        "entropy": torch.where(a == 0, 0.0, a * nll).sum(1, keepdim=True),
        "logsumexp": L,
    }
    for name, column in values.items():
        getattr(rows.scores, name)[...] = column[:, 0].cpu().numpy()
