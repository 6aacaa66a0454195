"""linear_cross_entropy on tensors: autograd, torch.compile, and no more memory than a budget.

The gradients of a mean or a sum are made in the forward pass, where the logits are, for an upstream
gradient of 1. The first backward pass multiplies them by the one that comes, and hands them out
without a copy. Another one (retain_graph) makes them again from the arguments, as does every one
for reduction="none". With create_graph=True the backward pass is PyTorch's own, through the
composed function.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from ..errors import LabelError
from ..labels import ClassIndices
from ..linear.plan import Extras, check_shapes
from ..loss import Scores
from ..options import MultiLabel, Options, Reduction, checked_options
from .blocks import Call
from .products import computed_dtype

__all__ = ["linear_cross_entropy"]

Needs = tuple[bool, bool, bool]
OPTIONS = (
    "str reduction, int ignore_index, float label_smoothing, str multi_label, float? denominator, "
    "int first_class, float z_loss, float? softcap, str memory_budget, float skip_below"
)


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
    denominator: float | None = None,
    first_class: int = 0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    memory_budget: int | str = "64MB",
    skip_below: float = 0.0,
    return_scores: bool = False,
) -> Any:
    """The softmax cross-entropy loss, in nats, of the logits z = W·x + b, which are never all held.

    `softmaxloss.linear_cross_entropy` describes the arguments. Here they are tensors on one device,
    input, linear_weight and linear_bias of one dtype: float32, float64, bfloat16 or float16.

    The loss is differentiable by input, linear_weight and linear_bias, as often as is asked; those
    that require no gradient cost no product. float16 and bfloat16: logits are bfloat16 or, for
    float16, float32; the loss is float32; the gradients are rounded once at the end, the weight's
    (and bias's) from a sum in float32 of what each block of rows gives. That sum takes 4 bytes per
    weight, beside the budget, where there is more than one block.

    Works in torch.compile(fullgraph=True), and under autocast as torch.nn.functional.linear does.

    Returns:
        The loss: a scalar, with reduction="none" in the shape of input without its last axis; with
        return_scores (loss, Scores), of tensors that take no gradient.

    >>> x = torch.tensor([[2.0, 0.0], [0.0, 1.0]], requires_grad=True)
    >>> W = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], requires_grad=True)
    >>> loss = linear_cross_entropy(x, W, torch.tensor([0, 2]))
    >>> loss.backward()
    >>> loss
    tensor(0.8109, grad_fn=<...>)
    """
    if not torch.compiler.is_compiling():  # else the operator does, while it is compiled
        checked_options(
            ignore_index, reduction, label_smoothing, multi_label, denominator, first_class
        )
        Extras(z_loss, softcap, skip_below, memory_budget)
    input, linear_weight, linear_bias = _checked(input, linear_weight, linear_bias, target, weight)
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
    grad = torch.is_grad_enabled()
    x = input.reshape(-1, features)
    loss, _, _, _, numbers, counts = torch.ops.softmaxloss.linear_cross_entropy(
        x,
        linear_weight,
        linear_bias,
        target.reshape(x.shape[0]) if by_index else target.reshape(x.shape[0], classes),
        weight,
        grad and input.requires_grad,
        grad and linear_weight.requires_grad,
        grad and linear_bias is not None and linear_bias.requires_grad,
        return_scores,
        reduction,
        ignore_index,
        label_smoothing,
        multi_label,
        denominator,
        first_class,
        z_loss,
        softcap,
        str(memory_budget),
        skip_below,
    )
    if reduction == "none":
        loss = loss.reshape(lead)
    if not return_scores:
        return loss
    a, b, c, d = (row.reshape(lead) for row in numbers)
    predicted, rank = (row.reshape(lead) for row in counts)
    return loss, Scores(a, b, predicted, rank, c, d)


def _checked(
    input: Any, weight: Any, bias: Any, target: Any, class_weight: Any
) -> tuple[Tensor, Tensor, Tensor | None]:
    """TypeError unless they are tensors of one device and dtype; as autocast has them."""
    named = {"input": input, "linear_weight": weight, "target": target}
    named |= {} if bias is None else {"linear_bias": bias}
    named |= {} if class_weight is None else {"weight": class_weight}
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a tensor, as input is, got {type(value).__name__}")
        if value.device != input.device:
            raise TypeError(f"{name} is on {value.device}, input on {input.device}")
    kind = input.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        input, weight = input.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    for name, value in {"input": input, "linear_weight": weight, "linear_bias": bias}.items():
        if value is None:
            continue
        if value.dtype not in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
            raise TypeError(f"{name} must be float32, float64, bfloat16 or float16, got {value.dtype}")
        if value.dtype != input.dtype:
            raise TypeError(f"{name} is {value.dtype}, input is {input.dtype}: they must be the same")
    return input, weight, bias


# --- the operators ----------------------------------------------------------------------------


def _options(values: tuple[Any, ...]) -> tuple[Options, Extras]:
    reduction, ignore, smoothing, multi, denominator, first, z_loss, softcap, budget, skip = values
    options = checked_options(ignore, reduction, smoothing, multi, denominator, first)
    return options, Extras(z_loss, softcap, skip, budget)


def _loss_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype is torch.float64 else torch.float32


def _or_empty(gradients: tuple[Tensor | None, ...], like: Tensor) -> tuple[Tensor, ...]:
    dtype = computed_dtype(like.dtype)
    return tuple(like.new_empty(0, dtype=dtype) if g is None else g for g in gradients)


@torch.library.custom_op(
    "softmaxloss::linear_cross_entropy",
    mutates_args=(),
    schema="(Tensor input, Tensor weight, Tensor? bias, Tensor target, Tensor? class_weight, "
    f"bool by_input, bool by_weight, bool by_bias, bool with_scores, {OPTIONS}) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def _forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    class_weight: Tensor | None,
    by_input: bool,
    by_weight: bool,
    by_bias: bool,
    with_scores: bool,
    *values: Any,
) -> tuple[Tensor, ...]:
    """The loss; the gradients of a mean or a sum for an upstream of 1; the scores as two arrays."""
    options, extras = _options(values)
    call = Call(input, weight, bias, target, class_weight, options, extras)
    needs = (by_input, by_weight, by_bias)
    if options.reduction == "none":
        needs = (False, False, False)
    results = call.run(1.0, needs, with_scores)
    reduced = call.plan.reduced(results.losses, options)
    loss = torch.as_tensor(reduced, dtype=_loss_dtype(input.dtype), device=input.device)
    if results.scores is None:
        numbers, counts = loss.new_empty(0), input.new_empty(0, dtype=torch.int64)
    else:
        s = results.scores
        numbers = torch.from_numpy(np.stack([s.loss, s.probability, s.entropy, s.logsumexp]))
        counts = torch.from_numpy(np.stack([s.predicted, s.rank]))
    return (
        loss,
        *_or_empty(results.gradients, input),
        numbers.to(input.device),
        counts.to(input.device),
    )


@_forward.register_fake
def _(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    class_weight: Tensor | None,
    by_input: bool,
    by_weight: bool,
    by_bias: bool,
    with_scores: bool,
    *values: Any,
) -> tuple[Tensor, ...]:
    _options(values)
    none = values[0] == "none"
    dtype = _loss_dtype(input.dtype)
    needs = (False, False, False) if none else (by_input, by_weight, by_bias)
    rows = input.shape[0]
    return (
        input.new_empty((rows,) if none else (), dtype=dtype),
        *_empty_gradients(input, weight, needs, computed_dtype(input.dtype)),
        input.new_empty((4, rows) if with_scores else (0,), dtype=dtype),
        input.new_empty((2, rows) if with_scores else (0,), dtype=torch.int64),
    )


@torch.library.custom_op(
    "softmaxloss::linear_cross_entropy_backward",
    mutates_args=(),
    schema="(Tensor upstream, Tensor input, Tensor weight, Tensor? bias, Tensor target, "
    f"Tensor? class_weight, bool by_input, bool by_weight, bool by_bias, {OPTIONS}) "
    "-> (Tensor, Tensor, Tensor)",
)
def _backward(
    upstream: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    class_weight: Tensor | None,
    by_input: bool,
    by_weight: bool,
    by_bias: bool,
    *values: Any,
) -> tuple[Tensor, ...]:
    """The gradients for any upstream: one number, or with reduction="none" one per row."""
    call = Call(input, weight, bias, target, class_weight, *_options(values))
    factors = upstream.detach().double().cpu()
    factor = factors.contiguous().numpy() if factors.dim() else factors.item()
    results = call.run(factor, (by_input, by_weight, by_bias))
    return tuple(g.to(input.dtype) for g in _or_empty(results.gradients, input))


@_backward.register_fake
def _(
    upstream: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    class_weight: Tensor | None,
    by_input: bool,
    by_weight: bool,
    by_bias: bool,
    *values: Any,
) -> tuple[Tensor, ...]:
    return _empty_gradients(input, weight, (by_input, by_weight, by_bias), input.dtype)


def _empty_gradients(
    input: Tensor, weight: Tensor, needs: Needs, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    shapes = (input.shape, weight.shape, weight.shape[:1])
    return tuple(
        input.new_empty(shape if need else (0,), dtype=dtype)
        for shape, need in zip(shapes, needs, strict=True)
    )


# --- autograd ---------------------------------------------------------------------------------


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    tensors, needs, ctx.values = inputs[:5], inputs[5:8], inputs[9:]
    ctx.save_for_backward(*tensors)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)
    ctx.kept, ctx.dtype = None, inputs[0].dtype
    if ctx.values[0] != "none" and any(needs):
        # Not the outputs themselves, which would keep this node alive, and be kept alive by it.
        kept = [g.detach() for g in output[1:4]]
        ctx.kept = [g if need else None for g, need in zip(kept, needs, strict=True)]


def _gradients(ctx: Any, upstream: Tensor | None, *_: None) -> tuple[Any, ...]:
    needs = tuple(ctx.needs_input_grad[:3])
    rest = (None,) * (len(ctx.needs_input_grad) - 3)
    if upstream is None:
        return (None, None, None, *rest)
    eager = _is_eager(upstream)
    if eager and torch.is_grad_enabled():
        return (*_composed_gradients(ctx, upstream, needs), *rest)
    kept, dtype = ctx.kept, ctx.dtype
    if kept is not None and all(g is not None for g, need in zip(kept, needs, strict=True) if need):
        if not eager:
            gradients = [g if g is None else (g * upstream).to(dtype) for g in kept]
        else:
            ctx.kept = None
            factor = upstream.item()
            if factor != 1.0:
                for g in kept:
                    None if g is None else g.mul_(factor)
            gradients = [g if g is None else g.to(dtype) for g in kept]
    else:
        made = torch.ops.softmaxloss.linear_cross_entropy_backward(
            upstream, *ctx.saved_tensors, *needs, *ctx.values
        )
        gradients = [g if need else None for g, need in zip(made, needs, strict=True)]
    return (*gradients, *rest)


torch.library.register_autograd(
    "softmaxloss::linear_cross_entropy", _gradients, setup_context=_setup_context
)


def _is_eager(tensor: Tensor) -> bool:
    """Whether this is a computation, and not one that is being recorded for a compiler."""
    return (
        type(tensor) is Tensor
        and not torch.compiler.is_compiling()
        and _get_current_dispatch_mode() is None
    )


def _composed_gradients(ctx: Any, upstream: Tensor, needs: Needs) -> list[Tensor | None]:
    """The gradients as differentiable functions of the arguments and the upstream."""
    input, weight, bias, target, class_weight = ctx.saved_tensors
    options, extras = _options(ctx.values)
    loss = composed(input, weight, bias, target, class_weight, options, extras)
    wanted = [t for t, need in zip((input, weight, bias), needs, strict=True) if need]
    made = iter(torch.autograd.grad(loss, wanted, upstream, create_graph=True))
    return [next(made) if need else None for need in needs]


def composed(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    class_weight: Tensor | None,
    options: Options,
    extras: Extras,
) -> Tensor:
    """The same loss in PyTorch's own operations, with all logits: for derivatives of derivatives."""
    F = torch.nn.functional
    plan = Call(input, weight, bias, target, class_weight, options, extras).plan
    z = F.linear(input, weight, bias).to(_loss_dtype(input.dtype))
    if plan.counted is not None:
        z = z[torch.from_numpy(plan.counted).to(z.device)]
    if extras.softcap is not None:
        z = extras.softcap * torch.tanh(z / extras.softcap)
    y = torch.from_numpy(plan.target.rows()).to(z.device)
    losses = F.cross_entropy(
        z,
        y.long() if isinstance(plan.target, ClassIndices) else y.to(z.dtype),
        None if class_weight is None else class_weight.to(z.dtype),
        reduction="none",
        ignore_index=-(2**62),  # such rows are left out already
        label_smoothing=options.label_smoothing,
    )
    if extras.z_loss:
        losses = losses + extras.z_loss * torch.logsumexp(z, 1) ** 2
    if options.reduction != "none":
        return losses.sum() / plan.divisor if plan.divisor else losses.sum() * torch.nan
    if plan.counted is None:
        return losses
    where = torch.from_numpy(plan.counted).to(z.device)
    return losses.new_zeros(plan.rows).index_add(0, where, losses)
