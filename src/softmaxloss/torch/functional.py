"""The public functions of `softmaxloss` for tensors, in the shape of `torch.nn.functional`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import api as loss
from ..api import Scores
from ..errors import OptionError
from ..logits import without_classes
from ..options import MultiLabel, Options, Reduction, checked_options, option_values
from . import formula
from . import operators as ops
from .tensors import (
    as_float64,
    as_numpy,
    compiled_denominator,
    empty_like,
    one_denominator,
    saved_tensors_are_hooked,
    tensor_beside,
)

__all__ = ["cross_entropy", "cross_entropy_with_grad", "score"]


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    multi_label: MultiLabel = "error",
    denominator: float | Tensor | None = None,
    first_class: int = 0,
    inplace: bool = False,
) -> Tensor:
    """`torch.nn.functional.cross_entropy`, and the options of `softmaxloss.cross_entropy`, in nats.

    The gradient is made along with the loss while a row is in cache, where one will be asked for.
    Derivatives of any order and in any mode work, so do torch.compile, torch.func and vmap. The
    logits' derivatives come from the library's kernels on the CPU, from the formula in PyTorch's
    operations on other devices; those by soft targets and weights always do.

    Args:
        input: the logits, (C,), (N, C) or (N, C, d1, …); any float dtype. Half precision is
            computed in float32.
        target: class indices, of any integer dtype, in the shape of the logits without the class
            axis; or probabilities in the shape of the logits.
        weight: (C,) weights of the classes.
        inplace: the gradient may take the memory of the logits, which are lost: nobody may use them
            after. Autograd is told: the backward pass of what used them before raises if it needs
            them. The gradient can be asked for once, and not be differentiated; an upstream
            gradient other than 1 multiplies it, in the logits' dtype.
        The others: as in `softmaxloss.cross_entropy`.

    Returns:
        A tensor, 0-d unless reduction="none": float32, float64 for float64 and integer logits.

    Raises: as `softmaxloss.cross_entropy`.

    >>> z = torch.zeros(1, 4, requires_grad=True)
    >>> cross_entropy(z, torch.tensor([3])).backward()
    >>> z.grad
    tensor([[ 0.2500,  0.2500,  0.2500, -0.7500]])
    """
    compiling = torch.compiler.is_compiling()
    if compiling and denominator is not None and reduction == "mean":
        # Outside of the operator, whose numbers are constants of a graph.
        denominator = compiled_denominator(denominator)
        total = cross_entropy(
            input,
            target,
            weight,
            ignore_index=ignore_index,
            reduction="sum",
            label_smoothing=label_smoothing,
            multi_label=multi_label,
            first_class=first_class,
        )
        return total / denominator
    divisor = one_denominator(denominator)
    values = (ignore_index, reduction, label_smoothing, multi_label, divisor, first_class)
    target, weight = _beside(input, target, weight)
    if not compiling:
        options = _checked_options(*values)
        values = option_values(options)
    if ops.needs_formula(target, weight):
        return formula.reduced_loss(input, target, weight, Options(*values))
    if ops.is_eager(input) and ops.has_kernel(input):
        if not (input.requires_grad and torch.is_grad_enabled()):
            value = loss.cross_entropy(as_numpy(input), **ops.arguments(target, weight, options))
            return torch.from_numpy(np.asarray(value))
        if inplace:
            _require_inner(input)
            inplace = not input.is_neg()  # a view that the kernel cannot write to
        hooked = not inplace and saved_tensors_are_hooked()
        if inplace or (reduction != "none" and not hooked):
            at_once: Tensor = _Loss.apply(input, target, weight, options, inplace)  # type: ignore[no-untyped-call]
            return at_once
    result: Tensor = ops.cross_entropy(input, target, weight, *values)
    return result


def cross_entropy_with_grad(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    multi_label: MultiLabel = "error",
    denominator: float | Tensor | None = None,
    first_class: int = 0,
    grad_output: Tensor | float | None = None,
    out: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(loss, gradient) of `softmaxloss.cross_entropy_with_grad` as tensors, outside of autograd.

    >>> cross_entropy_with_grad(torch.zeros(1, 4), torch.tensor([3]))[1]
    tensor([[ 0.2500,  0.2500,  0.2500, -0.7500]])
    """
    target, weight = _beside(input, target, weight)
    _require_numbers("cross_entropy_with_grad", input, target, weight)
    divisor = one_denominator(denominator)
    options = _checked_options(
        ignore_index, reduction, label_smoothing, multi_label, divisor, first_class
    )
    upstream = 1.0 if grad_output is None else grad_output
    upstream = tensor_beside(input, upstream, "grad_output", "the logits are")
    if out is not None:
        _require_writable(out, input)
    if ops.has_kernel(input):
        grad = empty_like(input if input.is_floating_point() else input.double())
        value, _ = loss.cross_entropy_with_grad(
            as_numpy(input),
            out=as_numpy(grad if out is None else out),
            grad_output=as_float64(upstream),
            **ops.arguments(target, weight, options),
        )
        if out is None:
            return torch.from_numpy(np.asarray(value)), grad
        torch.autograd.graph.increment_version(out)
        return torch.from_numpy(np.asarray(value)), out
    loss.read_upstream(as_float64(upstream.cpu()), without_classes(input.shape)[0], options)
    with torch.no_grad():
        value = formula.reduced_loss(input, target, weight, options)
        upstream = upstream.expand(value.shape)
        grad = formula.reduced_gradient(upstream, input, target, weight, options)
        return value, grad if out is None else out.copy_(grad)


def score(
    input: Tensor,
    target: Tensor,
    *,
    ignore_index: int = -100,
    first_class: int = 0,
) -> Scores:
    """`softmaxloss.score`, as tensors on the logits' device; computed on the CPU.

    >>> score(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([1])).rank
    tensor([2])
    """
    target, _ = _beside(input, target, None)
    _require_numbers("score", input, target)
    z, y = as_numpy(input.cpu()), as_numpy(target.cpu())
    scores = loss.score(z, y, ignore_index=ignore_index, first_class=first_class)
    tensors: Any = (torch.as_tensor(part, device=input.device) for part in scores)
    return Scores(*tensors)


def _beside(logits: Any, target: Any, weight: Any) -> tuple[Tensor, Tensor | None]:
    """Target and weight as tensors where the logits are."""
    if not isinstance(logits, Tensor):
        raise TypeError(f"the logits must be a tensor here, got {type(logits).__name__}")
    if logits.layout is not torch.strided:
        raise TypeError(
            f"the logits have layout {logits.layout}: nested and sparse tensors have no classes "
            "in one axis; pass the values of the examples as one dense tensor"
        )
    y = tensor_beside(logits, target, "target", "the logits are")
    return y, None if weight is None else tensor_beside(logits, weight, "weight", "the logits are")


def _checked_options(*values: Any) -> Options:
    options = checked_options(*values)
    if not -(2**63) <= options.ignore_index < 2**63:
        raise OptionError(f"ignore_index must be an int64 here, got {options.ignore_index}")
    return options


def _require_numbers(function: str, *tensors: Tensor | None) -> None:
    """TypeError for tensors that stand for numbers which are not there."""
    if ops.is_transformed() or not all(t is None or ops.is_eager(t) for t in tensors):
        raise TypeError(
            f"{function} computes at once: not under torch.func, in a trace, or on tensors without "
            "memory, where cross_entropy works"
        )


def _require_writable(out: Any, logits: Tensor) -> None:
    if not isinstance(out, Tensor):
        raise TypeError(f"out must be a tensor, as the logits are, got {type(out).__name__}")
    if out.requires_grad or out.is_neg():
        raise OptionError(
            "out must be memory to write to: not a tensor that requires grad, nor a negated view"
        )
    dtype = logits.dtype if logits.is_floating_point() else torch.float64
    wanted = (tuple(logits.shape), dtype, logits.device)
    if (tuple(out.shape), out.dtype, out.device) != wanted:
        raise OptionError(
            f"out has shape {tuple(out.shape)} and dtype {out.dtype} on {out.device}; the gradient "
            f"needs shape {wanted[0]} and dtype {dtype} on {logits.device}"
        )


def _require_inner(logits: Tensor) -> None:
    base = logits._base
    if logits.is_leaf or (base is not None and base.is_leaf and base.requires_grad):
        raise OptionError(
            "inplace=True writes the gradient over the logits, and these are a leaf of the graph: "
            "leave it out, or pass logits that a model computed"
        )


class _Loss(torch.autograd.Function):
    """The loss, and along with it the gradient for an upstream gradient of 1, which is given away
    in the backward pass. What else may be asked for is computed from the logits."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        weight: Tensor | None,
        options: Options,
        inplace: bool,
    ) -> Tensor:
        ctx.grad = logits.detach() if inplace else empty_like(logits)
        value, _ = loss.cross_entropy_with_grad(
            as_numpy(logits), out=as_numpy(ctx.grad), **ops.arguments(target, weight, options)
        )
        if inplace:
            torch.autograd.graph.increment_version(logits)
        else:
            ctx.save_for_backward(logits, target, weight)
        ctx.options, ctx.inplace, ctx.version = options, inplace, ctx.grad._version
        return torch.from_numpy(np.asarray(value))

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.inplace:
            return _in_place(ctx, grad_output), None, None, None, None
        grad, ctx.grad = ctx.grad, None
        factor = None if torch.is_grad_enabled() or grad is None else ops.one_number(grad_output)
        if factor is not None and factor != 1.0:
            # Once more into the same memory, and not times the factor: in half precision, entries
            # that the factor is there to save may have become 0.
            logits, target, weight = ctx.saved_tensors
            loss.cross_entropy_with_grad(
                as_numpy(logits),
                grad_output=factor,
                out=as_numpy(grad),
                **ops.arguments(target, weight, ctx.options),
            )
        elif factor is None:
            values = option_values(ctx.options)
            grad = ops.cross_entropy_backward(grad_output, *ctx.saved_tensors, *values)
        return grad, None, None, None, None


def _in_place(ctx: Any, grad_output: Tensor) -> Tensor:
    """The gradient in the logits' memory, times the one upstream."""
    wrong: str | None = None
    total: float | None = math.nan
    if ctx.grad is None:
        wrong = "the gradient was given away, and the logits are lost; for a second backward pass"
    elif ctx.grad._version != ctx.version:
        wrong = "the logits' memory, which holds the gradient, was written to since; if it must be,"
    elif torch.is_grad_enabled():
        wrong = "the logits are lost, and the gradient has no derivative; for create_graph=True"
    elif (total := ops.one_number(grad_output.sum())) is None:
        wrong = "one gradient is there, and several are asked for; for is_grads_batched=True"
    if wrong:
        raise RuntimeError(f"cross_entropy(…, inplace=True): {wrong} leave inplace out")
    grad: Tensor = ctx.grad
    ctx.grad = None
    if grad_output.ndim == 0 and total == 1:
        return grad
    classes = 1 if grad.ndim > 1 else 0
    upstream = grad_output if grad_output.ndim == 0 else grad_output.unsqueeze(classes)
    if total is not None and math.isfinite(total):
        return grad.mul_(upstream)
    unmoved = (grad == 0).all(classes, keepdim=True)  # rows that do not count: 0·∞ is 0 there
    return grad.mul_(upstream).masked_fill_(unmoved, 0.0)
