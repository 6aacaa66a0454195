"""The loss as operators of PyTorch, with shapes for its compiler, derivatives and vmap.

    softmaxloss::cross_entropy            the loss
    softmaxloss::cross_entropy_backward   its gradient, for any upstream gradient
    softmaxloss::class_indices            the checked class indices of what `formula` computes

The library's kernels compute them on the CPU, `formula` on other devices. Each takes the options as
numbers and text, one parameter for each field of `Options`.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import engine
from ..kernels import has_kernel
from ..labels import ClassIndices, read_target
from ..logits import read_logits, without_classes
from ..options import Options, class_weights, field_names, field_values, sample_weights
from ..reduction import mean_divisor
from . import formula
from .library import operator
from .tensors import as_float64, as_numpy, empty_like, operator_schema, options_from

ARGUMENTS = (
    "Tensor logits, Tensor target, Tensor? weight, Tensor? sample_weight, "
    + operator_schema(Options)
)


class Arrays(NamedTuple):
    """The tensors that an operator is given as ARGUMENTS."""

    logits: Tensor
    target: Tensor
    weight: Tensor | None
    sample_weight: Tensor | None


def _read(values: tuple[Any, ...]) -> tuple[Arrays, Options]:
    """What an operator is given as ARGUMENTS."""
    return Arrays(*values[:4]), options_from(Options, values[4:])


def arrays_of(
    logits: Tensor, target: Tensor, weight: Tensor | None, sample_weight: Tensor | None
) -> tuple[Any, Any, Any, Any]:
    """The tensors as the NumPy engine takes them."""
    w = None if weight is None else as_float64(weight, "weight")
    s = None if sample_weight is None else as_float64(sample_weight, "sample_weight")
    return as_numpy(logits, "logits"), as_numpy(target, "target"), w, s


# --- the loss ------------------------------------------------------------------------------------


@operator("softmaxloss::cross_entropy", f"({ARGUMENTS}) -> Tensor")
def cross_entropy(*values: Any) -> Tensor:
    """The loss; its derivative is `cross_entropy_backward`."""
    arrays, options = _read(values)
    if not has_kernel(arrays.logits.device.type):
        return formula.reduced_loss(*arrays, options)
    loss = engine.cross_entropy(*arrays_of(*arrays), options)
    return torch.from_numpy(np.asarray(loss))


@cross_entropy.register_fake
def _(*values: Any) -> Tensor:
    (logits, *_), options = _read(values)
    shape = without_classes(logits.shape)[0] if options.reduction == "none" else ()
    return logits.new_empty(shape, dtype=formula.compute_dtype(logits))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    tensors = len(inputs) - len(field_names(Options))
    ctx.save_for_backward(*inputs[:tensors])
    ctx.options = options_from(Options, inputs[tensors:])


def _backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
    grad = cross_entropy_backward(grad_output, *ctx.saved_tensors, *field_values(ctx.options))
    return (grad, *(None,) * (len(ctx.needs_input_grad) - 1))


cross_entropy.register_autograd(_backward, setup_context=_keep)

# --- its gradient --------------------------------------------------------------------------------


@operator(
    "softmaxloss::cross_entropy_backward",
    f"(Tensor grad_output, {ARGUMENTS}) -> Tensor",
)
def cross_entropy_backward(grad_output: Tensor, *values: Any) -> Tensor:
    """The gradient with respect to the logits, for the upstream gradient `grad_output`."""
    arrays, options = _read(values)
    logits = arrays.logits
    if not has_kernel(logits.device.type):
        made = formula.reduced_gradient(grad_output, *arrays, options)
        return torch.empty_like(logits).copy_(made)  # the layout that the fake function promises
    grad, upstream = empty_like(logits), as_float64(grad_output)
    engine.cross_entropy_with_grad(*arrays_of(*arrays), options, upstream, as_numpy(grad))
    return grad


@cross_entropy_backward.register_fake
def _(grad_output: Tensor, logits: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(logits)


def _second_derivative(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
    grad_output, *saved = ctx.saved_tensors
    arrays = Arrays(*saved)

    def first(grad_output: Tensor, logits: Tensor) -> Tensor:
        return formula.reduced_gradient(grad_output, *arrays._replace(logits=logits), ctx.options)

    product: Any = torch.func.vjp(first, grad_output, arrays.logits)[1]
    return (*product(v), *(None,) * (len(ctx.needs_input_grad) - 2))


cross_entropy_backward.register_autograd(_second_derivative, setup_context=_keep)

# --- the checks, for the formula -----------------------------------------------------------------


@operator("softmaxloss::class_indices", f"({ARGUMENTS}) -> Tensor")
def class_indices(*values: Any) -> Tensor:
    """Class indices from 0, −1 where a row is ignored, int64; empty for probabilities. All
    arguments are checked, on the CPU."""
    (logits, target, weight, sample_weight), options = _read(values)
    numbers = as_numpy(torch.zeros((), dtype=logits.dtype))  # only the dtype matters
    shape = read_logits(np.broadcast_to(numbers, logits.shape)).shape
    lead_shape, classes = without_classes(shape)
    w = s = None
    if weight is not None:
        w = class_weights(as_float64(weight.cpu(), "weight"), classes)
    if sample_weight is not None:
        s = sample_weights(as_float64(sample_weight.cpu(), "sample_weight"), lead_shape)
    read = read_target(as_numpy(target.cpu(), "target"), shape, options)
    mean_divisor(read, w, s, math.prod(lead_shape), options)
    if not isinstance(read, ClassIndices):
        return target.new_empty(0, dtype=torch.int64)
    y = np.where(read.counted(), read.values, -1).astype(np.int64)
    return torch.from_numpy(y).to(target.device)


@class_indices.register_fake
def _(logits: Tensor, target: Tensor, *_: Any) -> Tensor:
    shape = target.shape if formula.is_index(target, logits) else 0
    return target.new_empty(shape, dtype=torch.int64)


# --- vmap ----------------------------------------------------------------------------------------


def _one_by_one(operator: Callable[..., Any]) -> Callable[..., Any]:
    """A batching rule that calls the operator for each element of the batch."""

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
    info: Any, in_dims: tuple[int | None, ...], *values: Any
) -> tuple[Tensor, int]:
    """All labels of the batch in one call, as rows of one batch."""
    arrays = Arrays(*values[:4])
    shape, of_one, of_weights = (
        None if t is None else tuple(n for dim, n in enumerate(t.shape) if dim != batch_dim)
        for t, batch_dim in zip(arrays[:2] + arrays[3:], in_dims[:2] + in_dims[3:4], strict=True)
    )
    assert shape is not None
    lead_shape, classes = without_classes(shape)
    whole = of_weights in (None, lead_shape)
    if in_dims[1] is None or of_one != lead_shape or in_dims[2] is not None or not whole:
        rule = _one_by_one(class_indices)
        indices: tuple[Tensor, int] = rule(info, in_dims, *values)
        return indices
    target, s = arrays.target.movedim(in_dims[1], 0), arrays.sample_weight
    if s is not None:
        s = s.expand(target.shape) if in_dims[3] is None else s.movedim(in_dims[3], 0)
        s = s.reshape(-1)
    rows = arrays.logits.new_empty(()).expand(target.numel(), classes)
    made = class_indices(rows, target.reshape(-1), arrays.weight, s, *values[4:])
    return made.reshape(target.shape), 0


cross_entropy.register_vmap(_one_by_one(cross_entropy))
cross_entropy_backward.register_vmap(_one_by_one(cross_entropy_backward))
class_indices.register_vmap(_class_indices_of_a_batch)
