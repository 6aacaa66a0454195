"""linear_cross_entropy on tensors: autograd, torch.compile, and no more memory than a budget."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...api import Scores
from ...errors import LabelError, OptionError
from ...linear import LinearGradients
from ...linear.plan import Extras, check_shapes
from ...options import MultiLabel, Reduction, checked_options
from ..operators import needs_formula
from ..tensors import (
    compiled_denominator,
    one_denominator,
    saved_tensors_are_hooked,
    tensor_beside,
)
from .operators import composed, forward, options_of

__all__ = ["linear_cross_entropy", "linear_cross_entropy_with_grad"]


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    multi_label: MultiLabel = "error",
    denominator: float | Tensor | None = None,
    first_class: int = 0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    memory_budget: float | str = "64MB",
    skip_below: float = 0.0,
    return_scores: bool = False,
) -> Any:
    """The softmax cross-entropy loss, in nats, of the logits z = W·x + b, which are never all held.

    `softmaxloss.linear_cross_entropy` describes the arguments. Here they are tensors on one device,
    input, linear_weight and linear_bias of one dtype: float32, float64, bfloat16 or float16.

    The loss is differentiable by input, linear_weight and linear_bias, as often as is asked; those
    that require no gradient cost no product. float16 and bfloat16: logits are bfloat16 or, for
    float16, float32; the loss is float32; the gradients are rounded at the end, the weight's (and
    bias's) from a sum in float32 of what each block of rows gives. That sum takes 4 bytes per
    weight, beside the budget, where there is more than one block.

    Works in torch.compile(fullgraph=True), and under autocast as torch.nn.functional.linear does.

    Returns:
        The loss: a scalar, with reduction="none" in the shape of input without its last axis; with
        return_scores (loss, Scores), of tensors that take no gradient.

    >>> x = torch.tensor([[2.0, 0.0], [0.0, 1.0]], requires_grad=True)
    >>> W = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], requires_grad=True)
    >>> loss = linear_cross_entropy(x, W, torch.tensor([0, 2]))
    >>> loss.backward()
    >>> loss.item()
    0.8103...
    """
    compiling = torch.compiler.is_compiling()
    if compiling and denominator is not None and reduction == "mean":
        # Outside of the operator, whose numbers are constants of a graph.
        denominator = compiled_denominator(denominator)
        result = linear_cross_entropy(
            input,
            linear_weight,
            target,
            linear_bias=linear_bias,
            weight=weight,
            reduction="sum",
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            multi_label=multi_label,
            first_class=first_class,
            z_loss=z_loss,
            softcap=softcap,
            memory_budget=memory_budget,
            skip_below=skip_below,
            return_scores=return_scores,
        )
        return (result[0] / denominator, result[1]) if return_scores else result / denominator
    divisor = one_denominator(denominator)
    values: tuple[Any, ...] = (
        *(ignore_index, reduction, label_smoothing, multi_label, divisor, first_class),
        *(z_loss, softcap, skip_below, str(memory_budget)),
    )
    if not compiling:  # else the operator does, while it is compiled
        checked_options(*values[:6])
        Extras(z_loss, softcap, skip_below, memory_budget)
    input, linear_weight, linear_bias = _checked(input, linear_weight, linear_bias)
    target = tensor_beside(input, target, "target", "input is")
    weight = None if weight is None else tensor_beside(input, weight, "weight", "input is")
    classes, features = linear_weight.shape
    lead = input.shape[:-1]
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
    if needs_formula(target, weight):
        if return_scores:
            raise OptionError(
                "return_scores is not there for derivatives by targets or weights, in forward mode "
                "or by torch.func"
            )
        loss = composed(x, linear_weight, linear_bias, target, weight, *options_of(values))
        return loss.reshape(lead) if reduction == "none" else loss
    # Gradients that are kept are nothing that hooks on saved tensors would see.
    grad = torch.is_grad_enabled() and (compiling or not saved_tensors_are_hooked())
    loss, _, _, _, numbers, counts = forward(
        x,
        linear_weight,
        linear_bias,
        target,
        weight,
        grad and input.requires_grad,
        grad and linear_weight.requires_grad,
        grad and linear_bias is not None and linear_bias.requires_grad,
        return_scores,
        *values,
    )
    if reduction == "none":
        loss = loss.reshape(lead)
    if not return_scores:
        return loss
    a, b, c, d = (row.reshape(lead) for row in numbers)
    predicted, rank = (row.reshape(lead) for row in counts)
    return loss, Scores(a, b, predicted, rank, c, d)


def linear_cross_entropy_with_grad(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    grad_output: Tensor | float | None = None,
    **options: Any,
) -> tuple[Tensor, LinearGradients]:
    """The loss and its gradients, as `softmaxloss.linear_cross_entropy_with_grad` gives them.

    >>> x, W = torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    >>> linear_cross_entropy_with_grad(x, W, torch.tensor(0))[1].input
    tensor([0.0000, 0.5000])
    """
    input, linear_weight, linear_bias = _checked(input, linear_weight, linear_bias)
    tensors = [t for t in (input, linear_weight, linear_bias) if t is not None]
    x, W, *b = leaves = [t.detach().requires_grad_() for t in tensors]
    with torch.enable_grad():
        loss = linear_cross_entropy(x, W, target, linear_bias=b[0] if b else None, **options)
    given = 1.0 if grad_output is None else grad_output
    upstream = tensor_beside(input, given, "grad_output", "input is").to(loss.dtype)
    if upstream.shape not in ((), loss.shape):
        raise OptionError(
            f"grad_output has shape {tuple(upstream.shape)}; it must be one number or have the "
            f"shape of the loss, {tuple(loss.shape)}"
        )
    upstream = upstream.expand(loss.shape)
    by_input, by_weight, *by_bias = torch.autograd.grad(loss, leaves, upstream)
    return loss.detach(), LinearGradients(by_input, by_weight, by_bias[0] if by_bias else None)


def _checked(input: Any, weight: Any, bias: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """TypeError unless they are tensors of one device and dtype; as autocast has them."""
    named = {"input": input, "linear_weight": weight}
    named |= {} if bias is None else {"linear_bias": bias}
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a tensor, as input is, got {type(value).__name__}")
        tensor_beside(input, value, name, "input is")
    kind = input.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        input, weight, bias = (
            t.to(dtype) if t is not None and t.is_floating_point() and t.dtype.itemsize < 8 else t
            for t in (input, weight, bias)
        )
    for name, value in {"input": input, "linear_weight": weight, "linear_bias": bias}.items():
        if value is None:
            continue
        if value.dtype not in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
            raise TypeError(
                f"{name} must be float32, float64, bfloat16 or float16, got {value.dtype}"
            )
        if value.dtype != input.dtype:
            raise TypeError(
                f"{name} is {value.dtype}, input is {input.dtype}: they must be the same"
            )
    return input, weight, bias
