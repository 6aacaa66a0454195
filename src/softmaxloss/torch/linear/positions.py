"""The loss of several linear layers on one input, whose logits are (N, C, d1, …): one layer for
each position of d1, …, as `torch.nn.functional.linear_cross_entropy` has them.

The losses are computed one layer after the other, each within the memory budget.
"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...errors import LabelError
from ...linear.plan import Arguments
from ...options import LinearOptions
from ...scores import Scores
from .. import formula
from ..tensors import of_each_row
from . import engine


def cross_entropy(
    arrays: Arguments, options: LinearOptions, return_scores: bool = False
) -> tuple[Tensor, Scores | None]:
    """The loss and, if wanted, the scores. Of one layer, linear_weight (C, features), those of
    `engine`; else linear_weight is (C, d1, …, features), linear_bias (C, d1, …)."""
    input, W, b, target, weight, s = arrays
    if not isinstance(W, Tensor) or W.ndim <= 2:
        return engine.cross_entropy(arrays, options, return_scores)
    _check_shapes(arrays)
    rows, places = input.shape[0], W.shape[1:-1]
    by_index = target.ndim == 1 + len(places)
    # unbind: its gradient is put together once.
    layers = W.flatten(1, -2).unbind(1)
    biases = [None] * len(layers) if b is None else b.flatten(1).unbind(1)
    targets = target.flatten(1 if by_index else 2).unbind(-1)
    samples = [s] * len(layers)
    if s is not None and s.ndim > 1:
        samples = list(s.flatten(1).unbind(1))
    each = options
    if options.reduction == "mean":
        each = replace(options, reduction="sum", denominator=None)
    losses, scores = [], []
    for i, (layer, bias) in enumerate(zip(layers, biases, strict=True)):
        part = Arguments(input, layer, bias, targets[i], weight, samples[i])
        loss, of_layer = engine.cross_entropy(part, each, return_scores)
        losses.append(loss)
        scores.append(of_layer)
    loss = torch.stack(losses, -1)
    if options.reduction == "none":
        loss = loss.reshape(rows, *places)
    elif options.reduction == "sum":
        loss = loss.sum()
    else:
        loss = formula.mean(loss, divisor_of_call(arrays, options))
    if not return_scores:
        return loss, None
    columns: Any = zip(*scores, strict=True)
    of_rows: Any = [torch.stack(c, -1).reshape(rows, *places) for c in columns]
    return loss, Scores(*of_rows)


def divisor_of_call(arrays: Arguments, options: LinearOptions) -> Tensor:
    """What "mean" divides the sum of the losses by."""
    input, W, _, target, weight, s = arrays
    classes, shape = W.shape[0], tuple(input.shape[:-1])
    if W.ndim > 2:
        shape = (*shape, classes, *W.shape[1:-1])
    else:  # rows in one axis
        by_index = target.ndim < input.ndim
        s = None if s is None else of_each_row(s, shape).reshape(-1)
        target = target.reshape(-1) if by_index else target.reshape(-1, classes)
        shape = (math.prod(shape), classes)
    logits = input.new_empty(()).expand(shape)  # only the shape and the dtype matter
    return formula.divisor_of_call(logits, target, weight, s, options)


def _check_shapes(arrays: Arguments) -> None:
    input, W, b, target, _, _ = arrays
    classes, features, places = W.shape[0], W.shape[-1], tuple(W.shape[1:-1])
    several = f"linear_weight of shape {tuple(W.shape)}"
    if input.ndim != 2 or input.shape[1] != features:
        raise ValueError(
            f"{several} needs input of shape (N, {features}), got shape {tuple(input.shape)}"
        )
    if math.prod(places) == 0:
        raise ValueError(f"{several} has no layers")
    if b is not None and tuple(b.shape) != (classes, *places):
        raise ValueError(
            f"linear_bias has shape {tuple(b.shape)}; {several} needs shape {(classes, *places)}"
        )
    rows = input.shape[0]
    if tuple(target.shape) not in ((rows, *places), (rows, classes, *places)):
        raise LabelError(
            f"target has shape {tuple(target.shape)}; input of shape {tuple(input.shape)} and "
            f"{several} need class indices of shape {(rows, *places)} or probabilities of shape "
            f"{(rows, classes, *places)}"
        )
