"""One block's loss and gradient in PyTorch's operations, for a device without a kernel."""

import numpy as np
import torch
from torch import Tensor

from ...labels import ClassIndices
from ...linear import blocks
from ...options import LinearOptions
from .. import formula


def loss_in_operations(
    logits: Tensor,
    rows: blocks.Rows,
    weight: Tensor | None,
    options: LinearOptions,
    with_gradient: bool,
) -> None:
    """As `softmaxloss.linear.blocks.block_loss`, for a tensor of logits on any device."""
    for part in blocks.few_rows(*logits.shape):  # each operation allocates its result
        gradient = _few_rows(logits[part], rows.part(part), weight, options)
        if with_gradient:
            logits[part] = gradient


def _few_rows(
    held: Tensor, rows: blocks.Rows, weight: Tensor | None, options: LinearOptions
) -> Tensor:
    """Fill the losses and scores; returns the gradient with respect to the logits."""
    z = held.to(formula.compute_dtype(held))
    cap, smoothing = options.softcap, options.label_smoothing
    u = z if cap is None else blocks.softcapped(torch, z, cap)
    target = torch.from_numpy(rows.target.block(slice(None)).values).to(z.device)
    target = target.long() if isinstance(rows.target, ClassIndices) else target[:, :, 0]
    loss = formula.cross_entropy(u, target, weight, None, smoothing)
    gradient = formula.gradient(u, target, weight, None, smoothing)
    if options.z_loss or rows.scores is not None:
        nll = formula.negative_log_softmax(u)
        k = u.argmax(1, keepdim=True)
        L = (u + nll).gather(1, k)
        if options.z_loss:
            loss = loss + blocks.z_loss_of(L[:, 0], options.z_loss)
            gradient += blocks.z_loss_gradient(torch, u, L, options.z_loss)
        if rows.scores is not None:
            _score(rows, u, nll, L, k, target[:, None])
    if cap is not None:
        gradient *= blocks.softcap_slope(torch, z, cap)
    rows.loss[...] = loss.double().cpu().numpy()
    factor = torch.from_numpy(np.broadcast_to(rows.factor, len(z)).copy()).to(z.device, z.dtype)
    return gradient * factor[:, None]


def _score(rows: blocks.Rows, u: Tensor, nll: Tensor, L: Tensor, k: Tensor, y: Tensor) -> None:
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
