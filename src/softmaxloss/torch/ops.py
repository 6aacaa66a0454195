"""The loss as operators that PyTorch knows: with shapes for its compiler, derivatives and vmap.

    softmaxloss::cross_entropy            the loss and, where asked for, its gradient in one go
    softmaxloss::cross_entropy_backward   the gradient for any upstream gradient
    softmaxloss::class_indices            the checked class indices of what `formula` computes

The library's kernels compute them on the CPU, `formula` elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.library import custom_op

from .. import loss
from ..labels import ClassIndices, read_target
from ..logits import read_logits, without_classes
from ..options import Options, checked_options, class_weights
from . import formula
from .tensors import as_numpy, empty_like

__all__ = ["class_indices", "cross_entropy", "cross_entropy_backward", "has_kernel"]

# The fields of Options, in their order. (An operator takes no other objects.)
OPTIONS = (
    "int ignore_index, str reduction, float label_smoothing, str multi_label, float? denominator, "
    "int first_class"
)


def has_kernel(tensor: Tensor) -> bool:
    """Whether the library's kernels compute on this tensor's device."""
    return bool(tensor.device.type == "cpu")


def arguments(target: Tensor, weight: Tensor | None, options: Options) -> dict[str, Any]:
    """What the library's functions for NumPy take beside logits."""
    weights = None if weight is None else as_numpy(weight.double())
    return {"target": as_numpy(target), "weight": weights, **asdict(options)}


# --- the loss ------------------------------------------------------------------------------------


@custom_op(
    "softmaxloss::cross_entropy",
    mutates_args=(),
    schema=f"(Tensor logits, Tensor target, Tensor? weight, {OPTIONS}, bool with_grad)"
    " -> (Tensor, Tensor)",
)
def cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor | None, *values: Any
) -> tuple[Tensor, Tensor]:
    """(loss, gradient for an upstream gradient of 1); without it, that has no elements."""
    options, with_grad = checked_options(*values[:-1]), values[-1]
    if not has_kernel(logits):
        assert not with_grad
        return formula.reduced_loss(logits, target, weight, options), logits.new_empty(0)
    given = arguments(target, weight, options)
    if not with_grad:
        value = loss.cross_entropy(as_numpy(logits), **given)
        return torch.from_numpy(np.asarray(value)), logits.new_empty(0)
    grad = empty_like(logits)
    value, _ = loss.cross_entropy_with_grad(as_numpy(logits), out=as_numpy(grad), **given)
    return torch.from_numpy(np.asarray(value)), grad


def _shape(
    logits: Tensor, target: Tensor, weight: Tensor | None, *values: Any
) -> tuple[Tensor, Tensor]:
    reduction, with_grad = values[1], values[-1]
    shape = without_classes(logits.shape)[0] if reduction == "none" else ()
    value = logits.new_empty(shape, dtype=formula.compute_dtype(logits))
    return value, torch.empty_like(logits) if with_grad else logits.new_empty(0)


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    logits, target, weight, *values, with_grad = inputs
    ctx.save_for_backward(logits, target, weight)
    ctx.values = values
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    # Not saved as an output: it is given away in the backward pass.
    ctx.grad = output[1].detach() if with_grad else None


def _backward(ctx: Any, grad_output: Tensor | None, _: Any) -> tuple[Tensor | None, ...]:
    grad, ctx.grad = ctx.grad, None
    nothing = (None,) * (len(ctx.values) + 3)
    if grad_output is None:
        return (None, *nothing)
    if grad is not None and not torch.is_grad_enabled() and type(grad) is Tensor:
        factor = _number(grad_output)
        if factor == 1.0:
            return (grad, *nothing)
        if factor is not None:
            # Once more into the same memory, and not times the factor: in half precision, entries
            # that the factor is there to save may have become 0.
            logits, target, weight = ctx.saved_tensors
            given = arguments(target, weight, checked_options(*ctx.values))
            loss.cross_entropy_with_grad(
                as_numpy(logits), grad_output=factor, out=as_numpy(grad), **given
            )
            return (grad, *nothing)
    logits, target, weight = ctx.saved_tensors
    return (cross_entropy_backward(grad_output, logits, target, weight, *ctx.values), *nothing)


def _number(tensor: Tensor) -> float | None:
    """The one number of a tensor; None where it stands for several, under vmap."""
    try:
        return float(tensor.item())
    except RuntimeError:
        return None


cross_entropy.register_fake(_shape)
cross_entropy.register_autograd(_backward, setup_context=_keep_for_backward)

# --- its gradient --------------------------------------------------------------------------------


@custom_op(
    "softmaxloss::cross_entropy_backward",
    mutates_args=(),
    schema=f"(Tensor grad_output, Tensor logits, Tensor target, Tensor? weight, {OPTIONS})"
    " -> Tensor",
)
def cross_entropy_backward(
    grad_output: Tensor, logits: Tensor, target: Tensor, weight: Tensor | None, *values: Any
) -> Tensor:
    """The gradient by the logits, `grad_output` being that by the loss."""
    options = checked_options(*values)
    if not has_kernel(logits):
        return formula.reduced_gradient(grad_output, logits, target, weight, options)
    grad = empty_like(logits)
    given = arguments(target, weight, options)
    loss.cross_entropy_with_grad(
        as_numpy(logits), grad_output=as_numpy(grad_output.double()), out=as_numpy(grad), **given
    )
    return grad


def _shape_of_gradient(
    grad_output: Tensor, logits: Tensor, target: Tensor, weight: Tensor | None, *values: Any
) -> Tensor:
    return torch.empty_like(logits)


def _keep_for_second(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.options = Options(*inputs[4:])


def _second_derivative(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
    grad_output, logits, target, weight = ctx.saved_tensors

    def first(grad_output: Tensor, logits: Tensor) -> Tensor:
        return formula.reduced_gradient(grad_output, logits, target, weight, ctx.options)

    product: Any = torch.func.vjp(first, grad_output, logits)[1]
    return (*product(v), *(None,) * 8)


cross_entropy_backward.register_fake(_shape_of_gradient)
cross_entropy_backward.register_autograd(_second_derivative, setup_context=_keep_for_second)

# --- the checks, for the formula -----------------------------------------------------------------


@custom_op(
    "softmaxloss::class_indices",
    mutates_args=(),
    schema=f"(Tensor target, Tensor logits, Tensor? weight, {OPTIONS}) -> Tensor",
)
def class_indices(target: Tensor, logits: Tensor, weight: Tensor | None, *values: Any) -> Tensor:
    """Class indices from 0, −1 where a row is ignored, int64; of probabilities nothing. Everything
    is checked, on the CPU."""
    numbers = as_numpy(torch.zeros((), dtype=logits.dtype))  # only their dtype is looked at
    shape = read_logits(np.broadcast_to(numbers, logits.shape)).shape
    if weight is not None:
        class_weights(as_numpy(weight.cpu().double()), without_classes(shape)[1])
    read = read_target(as_numpy(target.cpu()), shape, checked_options(*values))
    if not isinstance(read, ClassIndices):
        return target.new_empty(0, dtype=torch.int64)
    y = np.where(read.counted(), read.values, -1).astype(np.int64)
    return torch.from_numpy(y).to(target.device)


def _shape_of_indices(
    target: Tensor, logits: Tensor, weight: Tensor | None, *values: Any
) -> Tensor:
    by_index = target.ndim < logits.ndim
    return target.new_empty(target.shape if by_index else 0, dtype=torch.int64)


class_indices.register_fake(_shape_of_indices)

# --- vmap ----------------------------------------------------------------------------------------


def _one_by_one(operator: Callable[..., Any]) -> Callable[..., Any]:
    """The rule that computes each element of a batch for itself."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *values: Any) -> tuple[Any, Any]:
        results = [
            operator(
                *(
                    value if dim is None or not isinstance(value, Tensor) else value.select(dim, i)
                    for value, dim in zip(values, in_dims, strict=True)
                )
            )
            for i in range(info.batch_size)
        ]
        if isinstance(results[0], Tensor):
            return torch.stack(results), 0
        return tuple(torch.stack(parts) for parts in zip(*results, strict=True)), (0, 0)

    return rule


def _class_indices_of_a_batch(
    info: Any,
    in_dims: tuple[int | None, ...],
    target: Tensor,
    logits: Tensor,
    weight: Tensor | None,
    *values: Any,
) -> tuple[Tensor, int]:
    """Labels in one go, as those of one batch of rows."""
    shape = list(logits.shape)
    if in_dims[1] is not None:
        del shape[in_dims[1]]
    if in_dims[0] is None or target.ndim - 1 == len(shape) or in_dims[2] is not None:
        indices: tuple[Tensor, int] = _one_by_one(class_indices)(
            info, in_dims, target, logits, weight, *values
        )
        return indices
    target = target.movedim(in_dims[0], 0)
    rows = logits.new_empty(()).expand(target.numel(), without_classes(tuple(shape))[1])
    return class_indices(target.reshape(-1), rows, weight, *values).reshape(target.shape), 0


cross_entropy.register_vmap(_one_by_one(cross_entropy))
cross_entropy_backward.register_vmap(_one_by_one(cross_entropy_backward))
class_indices.register_vmap(_class_indices_of_a_batch)
