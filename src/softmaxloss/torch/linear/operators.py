"""The linear loss as operators of PyTorch, with shapes for its compiler and derivatives.

The gradients of a mean or a sum are computed in the forward pass, where the logits are, for an
upstream gradient of 1. The first backward pass multiplies them by its upstream gradient and hands
them out without a copy. Another one (retain_graph) computes them again from the arguments, as does
every one with reduction="none". With create_graph=True PyTorch differentiates `composed`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...linear.blocks import softcapped
from ...options import LinearOptions, field_values
from .. import formula
from ..tensors import is_eager, one_number, operator_schema, options_from
from .layer import Layer, Needs, computed_dtype

OPTIONS = operator_schema(LinearOptions)


def _loss_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype is torch.float64 else torch.float32


def _or_empty(gradients: tuple[Tensor | None, ...], like: Tensor) -> tuple[Tensor, ...]:
    dtype = computed_dtype(like.dtype)
    return tuple(like.new_empty(0, dtype=dtype) if g is None else g for g in gradients)


@torch.library.custom_op(
    "softmaxloss::linear_cross_entropy",
    mutates_args=(),
    schema="(Tensor input, Tensor weight, Tensor? bias, Tensor target, Tensor? class_weight, "
    f"bool[] needs, bool with_scores, {OPTIONS}) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    class_weight: Tensor | None,
    needs: Needs,
    with_scores: bool,
    *values: Any,
) -> tuple[Tensor, ...]:
    """The loss; the gradients of a mean or a sum for an upstream gradient of 1; the scores, as two
    tensors."""
    options = options_from(LinearOptions, values)
    if options.reduction == "none":
        needs = [False] * 3
    layer = Layer(input, weight, bias, target, class_weight, options, needs)
    losses, s, gradients = layer.run(1.0, with_scores)
    reduced = layer.plan.reduced(losses, options)
    loss = torch.as_tensor(reduced, dtype=_loss_dtype(input.dtype), device=input.device)
    if s is None:
        numbers, counts = loss.new_empty(0), input.new_empty(0, dtype=torch.int64)
    else:
        numbers = torch.from_numpy(np.stack([s.loss, s.probability, s.entropy, s.logsumexp]))
        counts = torch.from_numpy(np.stack([s.predicted, s.rank]))
    return (
        loss,
        *_or_empty(gradients, input),
        numbers.to(input.device),
        counts.to(input.device),
    )


@forward.register_fake
def _(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    class_weight: Tensor | None,
    needs: Needs,
    with_scores: bool,
    *values: Any,
) -> tuple[Tensor, ...]:
    none = options_from(LinearOptions, values).reduction == "none"
    dtype, rows = _loss_dtype(input.dtype), input.shape[0]
    needs = [False] * 3 if none else needs
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
    f"Tensor? class_weight, bool[] needs, {OPTIONS}) "
    "-> (Tensor, Tensor, Tensor)",
)
def gradients_of(
    upstream: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    class_weight: Tensor | None,
    needs: Needs,
    *values: Any,
) -> tuple[Tensor, ...]:
    """The gradients for any upstream gradient: one number, or with reduction="none" one per row."""
    options = options_from(LinearOptions, values)
    layer = Layer(input, weight, bias, target, class_weight, options, needs)
    factors = upstream.detach().double().cpu()
    gradients = layer.run(factors.contiguous().numpy() if factors.dim() else factors.item())[2]
    return tuple(g.to(input.dtype) for g in _or_empty(gradients, input))


@gradients_of.register_fake
def _(
    upstream: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    class_weight: Tensor | None,
    needs: Needs,
    *values: Any,
) -> tuple[Tensor, ...]:
    return _empty_gradients(input, weight, needs, input.dtype)


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
    *tensors, needs, _ = inputs[:7]
    ctx.options = options_from(LinearOptions, inputs[7:])
    ctx.save_for_backward(*tensors)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)
    ctx.kept, ctx.dtype = None, inputs[0].dtype
    if ctx.options.reduction != "none" and any(needs):
        # Detached: the outputs themselves and this node would keep each other alive.
        kept = [g.detach() for g in output[1:4]]
        ctx.kept = [g if need else None for g, need in zip(kept, needs, strict=True)]


def _gradients(ctx: Any, upstream: Tensor | None, *_: None) -> tuple[Any, ...]:
    needs = list(ctx.needs_input_grad[:3])
    rest = (None,) * (len(ctx.needs_input_grad) - 3)
    if upstream is None:
        return (None, None, None, *rest)
    eager = is_eager(upstream)
    if eager and torch.is_grad_enabled():
        return (*_composed_gradients(ctx, upstream, needs), *rest)
    kept, dtype = ctx.kept, ctx.dtype
    if kept is not None and all(g is not None for g, need in zip(kept, needs, strict=True) if need):
        factor = one_number(upstream) if eager else None
        if factor is None:
            gradients = [g if g is None else (g * upstream).to(dtype) for g in kept]
        else:
            ctx.kept = None
            if factor != 1.0:
                for g in kept:
                    None if g is None else g.mul_(factor)
            gradients = [g if g is None else g.to(dtype) for g in kept]
    else:
        made = gradients_of(upstream, *ctx.saved_tensors, needs, *field_values(ctx.options))
        gradients = [g if need else None for g, need in zip(made, needs, strict=True)]
    return (*gradients, *rest)


forward.register_autograd(_gradients, setup_context=_setup_context)


def _composed_gradients(ctx: Any, upstream: Tensor, needs: Needs) -> list[Tensor | None]:
    """The gradients as differentiable functions of the arguments and the upstream gradient."""
    input, weight, bias, target, class_weight = ctx.saved_tensors
    loss = composed(input, weight, bias, target, class_weight, ctx.options)
    wanted = [t for t, need in zip((input, weight, bias), needs, strict=True) if need]
    made = iter(torch.autograd.grad(loss, wanted, upstream, create_graph=True))
    return [next(made) if need else None for need in needs]


def composed(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    class_weight: Tensor | None,
    options: LinearOptions,
) -> Tensor:
    """The same loss in PyTorch's own operations, with all logits: for derivatives of any kind."""
    if target.ndim < input.ndim:  # what an ignored row holds must not reach a derivative
        input = input.masked_fill((target == options.ignore_index)[..., None], 0.0)
    dtype = computed_dtype(input.dtype)
    bias = None if bias is None else bias.to(dtype)
    with torch.autocast(input.device.type, enabled=False):
        z = torch.nn.functional.linear(input.to(dtype), weight.to(dtype), bias)
    z = z.to(formula.compute_dtype(z))
    if options.softcap is not None:
        z = softcapped(torch, z, options.softcap)
    return formula.reduced_loss(z, target, class_weight, options)
