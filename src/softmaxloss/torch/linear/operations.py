"""One block's loss and gradient in PyTorch's operations, for a device without a kernel."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...kernels import softcap
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
    u = z if cap is None else softcap.softcapped(torch, z, cap)
    target = torch.from_numpy(rows.target.block(slice(None)).values).to(z.device)
    target = target.long() if isinstance(rows.target, ClassIndices) else target[:, :, 0]
    loss = formula.cross_entropy(u, target, weight, None, smoothing)
    gradient = formula.gradient(u, target, weight, None, smoothing)
    if rows.scores is not None:
        made: Any = formula.scores(u, target, loss)
        for row, values in zip(rows.scores, made, strict=True):
            row[...] = values.cpu().numpy()
    if options.z_loss:
        L = formula.logsumexp(u)
        loss = loss + softcap.z_loss_of(L, options.z_loss)
        gradient += softcap.z_loss_gradient(torch, u, L[:, None], options.z_loss)
    if cap is not None:
        gradient *= softcap.softcap_slope(torch, z, cap)
    rows.loss[...] = loss.double().cpu().numpy()
    factor = torch.from_numpy(np.broadcast_to(rows.factor, len(z)).copy()).to(z.device, z.dtype)
    return gradient * factor[:, None]
