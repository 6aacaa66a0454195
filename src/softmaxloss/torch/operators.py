"""The loss as operators that PyTorch knows: with shapes for its compiler, derivatives and vmap.

    softmaxloss::cross_entropy            the loss
    softmaxloss::cross_entropy_backward   its gradient, for any upstream gradient
    softmaxloss::class_indices            the checked class indices of what `formula` computes

The library's kernels compute them on the CPU, `formula` elsewhere. For what runs at once, and not
from a compiled graph, loss.py has a way that makes the gradient along with the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.library import custom_op

from .. import api as loss
from ..labels import ClassIndices, read_target
from ..logits import read_logits, without_classes
from ..options import OPTION_NAMES, Options, checked_options, class_weights, option_values
from . import formula
from .tensors import as_float64, as_numpy, empty_like

__all__ = [
    "OPTIONS",
    "arguments",
    "class_indices",
    "cross_entropy",
    "cross_entropy_backward",
    "has_kernel",
    "is_eager",
    "is_transformed",
    "needs_formula",
    "one_number",
]

# The fields of Options, in their order. (An operator takes no other objects.)
OPTIONS = (
    "int ignore_index, str reduction, float label_smoothing, str multi_label, float? denominator, "
    "int first_class"
)


def has_kernel(tensor: Tensor) -> bool:
    """Whether the library's kernels compute on this tensor's device."""
    return bool(tensor.device.type == "cpu")


def is_eager(tensor: Tensor) -> bool:
    """Whether this is a computation, and not one that is being recorded: by torch.compile, by a
    tracer, or by a tensor type of theirs, which has no memory of its own."""
    return (
        not torch.compiler.is_compiling()
        and type(tensor) in (Tensor, torch.nn.Parameter)
        and torch._C._len_torch_dispatch_stack() == 0
        and not torch._C._is_tracing()
    )


def is_transformed() -> bool:
    """Whether a function of torch.func is at work."""
    transformed: bool = torch._C._are_functorch_transforms_active()
    return transformed


def one_number(tensor: Tensor) -> float | None:
    """The number of a 0-d tensor; None where it stands for several, under vmap."""
    try:
        return float(tensor.item())
    except RuntimeError:
        return None


def needs_formula(target: Tensor, weight: Tensor | None) -> bool:
    """Whether derivatives are asked for that the operators do not have: those by target and weight,
    forward mode, and those of torch.func, which takes no derivatives of operators."""
    if target.requires_grad or (weight is not None and weight.requires_grad):
        return True
    return is_transformed() or forward_ad._current_level >= 0


def arguments(target: Tensor, weight: Tensor | None, options: Options) -> dict[str, Any]:
    """What the library's functions for NumPy take beside logits."""
    weights = None if weight is None else as_float64(weight)
    values = dict(zip(OPTION_NAMES, option_values(options), strict=True))
    return {"target": as_numpy(target), "weight": weights, **values}


# --- the loss ------------------------------------------------------------------------------------


@custom_op(
    "softmaxloss::cross_entropy",
    mutates_args=(),
    schema=f"(Tensor logits, Tensor target, Tensor? weight, {OPTIONS}) -> Tensor",
)
def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor | None, *values: Any) -> Tensor:
    """The loss; its derivative is `cross_entropy_backward`."""
    options = checked_options(*values)
    if not has_kernel(logits):
        return formula.reduced_loss(logits, target, weight, options)
    value = loss.cross_entropy(as_numpy(logits), **arguments(target, weight, options))
    return torch.from_numpy(np.asarray(value))


def _shape(logits: Tensor, target: Tensor, weight: Tensor | None, *values: Any) -> Tensor:
    shape = without_classes(logits.shape)[0] if values[1] == "none" else ()
    return logits.new_empty(shape, dtype=formula.compute_dtype(logits))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.values = inputs[3:]


def _backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
    grad = cross_entropy_backward(grad_output, *ctx.saved_tensors, *ctx.values)
    return (grad, *(None,) * 8)


cross_entropy.register_fake(_shape)
cross_entropy.register_autograd(_backward, setup_context=_keep)

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
        made = formula.reduced_gradient(grad_output, logits, target, weight, options)
        return torch.empty_like(logits).copy_(made)  # in the layout that graphs are told
    grad = empty_like(logits)
    given = arguments(target, weight, options)
    loss.cross_entropy_with_grad(
        as_numpy(logits), grad_output=as_float64(grad_output), out=as_numpy(grad), **given
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
        class_weights(as_float64(weight.cpu()), without_classes(shape)[1])
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

    def rule(info: Any, in_dims: tuple[int | None, ...], *values: Any) -> tuple[Tensor, int]:
        results = [
            operator(
                *(
                    value if dim is None or not isinstance(value, Tensor) else value.select(dim, i)
                    for value, dim in zip(values, in_dims, strict=True)
                )
            )
            for i in range(info.batch_size)
        ]
        return torch.stack(results), 0

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
    batch_dim = in_dims[0]
    of_one = tuple(size for dim, size in enumerate(target.shape) if dim != batch_dim)
    by_index = of_one == without_classes(tuple(shape))[0]
    if batch_dim is None or not by_index or in_dims[2] is not None:
        indices: tuple[Tensor, int] = _one_by_one(class_indices)(
            info, in_dims, target, logits, weight, *values
        )
        return indices
    target = target.movedim(batch_dim, 0)
    rows = logits.new_empty(()).expand(target.numel(), without_classes(tuple(shape))[1])
    return class_indices(target.reshape(-1), rows, weight, *values).reshape(target.shape), 0


cross_entropy.register_vmap(_one_by_one(cross_entropy))
cross_entropy_backward.register_vmap(_one_by_one(cross_entropy_backward))
class_indices.register_vmap(_class_indices_of_a_batch)
