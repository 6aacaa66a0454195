"""The engine of the linear loss for tensors: autograd, torch.compile, memory within a budget."""

from typing import Any

import torch
from torch import Tensor

from ...errors import LabelError, OptionError
from ...linear.plan import LinearGradients, check_shapes
from ...options import LinearOptions, field_values
from ...reduction import read_upstream
from ...scores import Scores
from .._private import saved_tensors_are_hooked
from ..engine import needs_formula
from ..tensors import as_float64, tensor_beside
from .operators import composed, forward


def cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    target: Any,
    weight: Any,
    options: LinearOptions,
    return_scores: bool = False,
) -> tuple[Tensor, Scores | None]:
    """The loss and, if wanted, the scores, as `softmaxloss.torch.linear_cross_entropy` describes
    them."""
    input, linear_weight, linear_bias = _checked(input, linear_weight, linear_bias)
    target = tensor_beside(input, target, "target", "input is")
    weight = None if weight is None else tensor_beside(input, weight, "weight", "input is")
    classes, features = linear_weight.shape
    lead_shape = input.shape[:-1]
    by_index = check_shapes(
        tuple(input.shape),
        tuple(linear_weight.shape),
        None if linear_bias is None else tuple(linear_bias.shape),
        tuple(target.shape),
    )
    if return_scores and not by_index:
        raise LabelError("return_scores takes class indices as target, not probabilities")
    x = input.reshape(-1, features)
    target = target.reshape(x.shape[0]) if by_index else target.reshape(x.shape[0], classes)
    none = options.reduction == "none"
    if needs_formula(target, weight):
        if return_scores:
            raise OptionError(
                "return_scores is not supported with gradients with respect to target or weight, "
                "in forward mode or by torch.func"
            )
        loss = composed(x, linear_weight, linear_bias, target, weight, options)
        return loss.reshape(lead_shape) if none else loss, None
    # Hooks on saved tensors would not see gradients that the operator keeps.
    grad = torch.is_grad_enabled() and (
        torch.compiler.is_compiling() or not saved_tensors_are_hooked()
    )
    loss, _, _, _, numbers, counts = forward(
        x,
        linear_weight,
        linear_bias,
        target,
        weight,
        [grad and t is not None and t.requires_grad for t in (input, linear_weight, linear_bias)],
        return_scores,
        *field_values(options),
    )
    if none:
        loss = loss.reshape(lead_shape)
    if not return_scores:
        return loss, None
    a, b, c, d = (row.reshape(lead_shape) for row in numbers)
    predicted, rank = (row.reshape(lead_shape) for row in counts)
    return loss, Scores(a, b, predicted, rank, c, d)


def cross_entropy_with_grad(
    input: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    target: Any,
    weight: Any,
    options: LinearOptions,
    grad_output: Any,
) -> tuple[Tensor, LinearGradients]:
    """(loss, gradients) as `softmaxloss.torch.linear_cross_entropy_with_grad` describes them."""
    input, linear_weight, linear_bias = _checked(input, linear_weight, linear_bias)
    tensors = [t for t in (input, linear_weight, linear_bias) if t is not None]
    x, W, *b = leaves = [t.detach().requires_grad_() for t in tensors]
    with torch.enable_grad():
        loss, _ = cross_entropy(x, W, b[0] if b else None, target, weight, options)
    given = 1.0 if grad_output is None else grad_output
    upstream = tensor_beside(input, given, "grad_output", "input is")
    read_upstream(as_float64(upstream.detach().cpu()), tuple(input.shape[:-1]), options)
    upstream = upstream.to(loss.dtype).expand(loss.shape)
    grad_x, grad_W, *grad_b = torch.autograd.grad(loss, leaves, upstream)
    return loss.detach(), LinearGradients(grad_x, grad_W, grad_b[0] if grad_b else None)


def _checked(input: Any, weight: Any, bias: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """TypeError unless they are tensors of one device and dtype. Under autocast they are cast."""
    named = {"input": input, "linear_weight": weight}
    named |= {} if bias is None else {"linear_bias": bias}
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
    return named["input"], named["linear_weight"], named.get("linear_bias")
