"""The engine of the linear loss for tensors: autograd, torch.compile, memory within a budget."""

import math
from typing import Any

import torch
from torch import Tensor

from ...linear.plan import Arguments, LinearGradients, check_shapes
from ...options import LinearOptions, field_values
from ...reduction import read_upstream
from ...scores import Scores
from .._private import function_transforms_are_active, is_traced, saved_tensors_are_hooked
from ..distributed import is_distributed
from ..engine import needs_formula
from ..tensors import as_float64, is_for_onnx, of_each_row, require_dense, tensor_beside
from .operators import composed, forward, gradients_of


def cross_entropy(
    arrays: Arguments, options: LinearOptions, return_scores: bool = False
) -> tuple[Tensor, Scores | None]:
    """The loss and, if wanted, the scores, as `softmaxloss.torch.linear_cross_entropy` describes
    them."""
    lead_shape, arrays = _rows(_checked(arrays))
    none = options.reduction == "none"
    if needs_formula(arrays.target, arrays.weight, arrays.sample_weight) or is_for_onnx():
        loss, scores = composed(arrays, options, return_scores)
        if scores is not None:
            scores = Scores(*[values.reshape(lead_shape) for values in scores])
        return loss.reshape(lead_shape) if none else loss, scores
    # Hooks on saved tensors would not see gradients that the operator keeps. And a trace is for
    # calls with and without gradients: the backward pass makes those that the operator did not.
    grad = torch.is_grad_enabled() and (
        torch.compiler.is_compiling() or not (saved_tensors_are_hooked() or is_traced())
    )
    needs = [grad and t is not None and t.requires_grad for t in arrays[:3]]
    loss, _, _, _, numbers, counts = forward(return_scores, *arrays, *needs, *field_values(options))
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
    if function_transforms_are_active():
        raise TypeError(
            "linear_cross_entropy_with_grad computes at once: not under torch.func, where "
            "linear_cross_entropy works"
        )
    if is_distributed(arrays.input):
        raise TypeError(
            "linear_cross_entropy_with_grad computes at once: not on DTensors, where "
            "linear_cross_entropy works"
        )
    lead_shape, arrays = _rows(_checked(arrays))
    values, needs = field_values(options), [True, True, arrays.linear_bias is not None]
    with torch.no_grad():
        if grad_output is None and options.reduction != "none":
            loss, *gradients = forward(False, *arrays, *needs, *values)[:4]
        else:
            given = 1.0 if grad_output is None else grad_output
            upstream = tensor_beside(arrays.input, given, "grad_output", "input is")
            read_upstream(as_float64(upstream.detach().cpu()), tuple(lead_shape), options)
            loss = forward(False, *arrays, False, False, False, *values)[0]
            upstream = upstream.expand(lead_shape if options.reduction == "none" else ())
            gradients = gradients_of(upstream.reshape(loss.shape), *arrays, *needs, *values)
        if options.reduction == "none":
            loss = loss.reshape(lead_shape)
        grad_x, grad_W, grad_b = (g.to(arrays.input.dtype) for g in gradients)
    by_bias = None if arrays.linear_bias is None else grad_b
    return loss, LinearGradients(grad_x.reshape(*lead_shape, grad_W.shape[1]), grad_W, by_bias)


def _rows(arrays: Arguments) -> tuple[torch.Size, Arguments]:
    """The shape of the rows, and the arguments with the rows in one axis."""
    input, W = arrays.input, arrays.linear_weight
    by_index = check_shapes(arrays)
    lead_shape, s = input.shape[:-1], arrays.sample_weight
    rows = math.prod(lead_shape)
    return lead_shape, arrays._replace(
        input=input.reshape(rows, W.shape[1]),
        target=arrays.target.reshape(rows) if by_index else arrays.target.reshape(rows, W.shape[0]),
        sample_weight=None if s is None else of_each_row(s, lead_shape).reshape(rows),
    )


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
