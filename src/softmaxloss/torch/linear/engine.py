"""The engine of the linear loss for tensors: autograd, torch.compile, memory within a budget."""

from typing import Any

import torch
from torch import Tensor

from ...errors import OptionError
from ...linear.plan import Arguments, LinearGradients, check_shapes
from ...options import LinearOptions, field_values
from ...reduction import read_upstream
from ...scores import Scores
from .._private import saved_tensors_are_hooked
from ..engine import needs_formula
from ..tensors import as_float64, of_each_row, require_dense, tensor_beside
from .operators import composed, forward


def cross_entropy(
    arrays: Arguments, options: LinearOptions, return_scores: bool = False
) -> tuple[Tensor, Scores | None]:
    """The loss and, if wanted, the scores, as `softmaxloss.torch.linear_cross_entropy` describes
    them."""
    arrays = _checked(arrays)
    input, W, target = arrays.input, arrays.linear_weight, arrays.target
    rows, lead_shape = input.shape[:-1].numel(), input.shape[:-1]
    by_index = check_shapes(arrays)
    s = arrays.sample_weight
    arrays = arrays._replace(
        input=input.reshape(rows, W.shape[1]),
        target=target.reshape(rows) if by_index else target.reshape(rows, W.shape[0]),
        sample_weight=None if s is None else of_each_row(s, lead_shape).reshape(rows),
    )
    none = options.reduction == "none"
    if needs_formula(arrays.target, arrays.weight, arrays.sample_weight):
        if return_scores:
            raise OptionError(
                "return_scores is not supported with gradients with respect to target, weight or "
                "sample_weight, in forward mode or by torch.func"
            )
        loss = composed(arrays, options)
        return loss.reshape(lead_shape) if none else loss, None
    # Hooks on saved tensors would not see gradients that the operator keeps.
    grad = torch.is_grad_enabled() and (
        torch.compiler.is_compiling() or not saved_tensors_are_hooked()
    )
    needs = [grad and t is not None and t.requires_grad for t in arrays[:3]]
    loss, _, _, _, numbers, counts = forward(return_scores, *arrays, needs, *field_values(options))
    if none:
        loss = loss.reshape(lead_shape)
    if not return_scores:
        return loss, None
    a, b, c, d = (row.reshape(lead_shape) for row in numbers)
    predicted, rank = (row.reshape(lead_shape) for row in counts)
    return loss, Scores(a, b, predicted, rank, c, d)


def cross_entropy_with_grad(
    arrays: Arguments, options: LinearOptions, grad_output: Any
) -> tuple[Tensor, LinearGradients]:
    """(loss, gradients) as `softmaxloss.torch.linear_cross_entropy_with_grad` describes them."""
    arrays = _checked(arrays)
    x, W, b = (None if t is None else t.detach().requires_grad_() for t in arrays[:3])
    with torch.enable_grad():
        leaves_first = arrays._replace(input=x, linear_weight=W, linear_bias=b)
        loss, _ = cross_entropy(leaves_first, options)
    given = 1.0 if grad_output is None else grad_output
    upstream = tensor_beside(arrays.input, given, "grad_output", "input is")
    read_upstream(as_float64(upstream.detach().cpu()), tuple(arrays.input.shape[:-1]), options)
    upstream = upstream.to(loss.dtype).expand(loss.shape)
    leaves = [t for t in (x, W, b) if t is not None]
    grad_x, grad_W, *grad_b = torch.autograd.grad(loss, leaves, upstream)
    return loss.detach(), LinearGradients(grad_x, grad_W, grad_b[0] if grad_b else None)


def _checked(arrays: Arguments) -> Arguments:
    """All as tensors of one device. TypeError unless those of the layer are of one dtype. Under
    autocast they are cast."""
    input = arrays.input
    named = {"input": input, "linear_weight": arrays.linear_weight}
    named |= {} if arrays.linear_bias is None else {"linear_bias": arrays.linear_bias}
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a tensor, as input is, got {type(value).__name__}")
        tensor_beside(input, value, name, "input is")
    kind = input.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        for name, t in named.items():
            if t.is_floating_point() and t.dtype.itemsize < 8:
                named[name] = t.to(dtype)
    for name, value in named.items():
        if value.dtype not in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
            raise TypeError(
                f"{name} must be float32, float64, bfloat16 or float16, got {value.dtype}"
            )
        if value.dtype != named["input"].dtype:
            raise TypeError(
                f"{name} is {value.dtype}, input is {named['input'].dtype}: they must be the same"
            )
    for name in ("target", "weight", "sample_weight"):
        value = getattr(arrays, name)
        if value is not None:
            named[name] = tensor_beside(input, value, name, "input is")
            require_dense(named[name], name)
    return arrays._replace(**named)
