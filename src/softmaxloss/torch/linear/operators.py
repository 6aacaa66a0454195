"""The operators of the linear loss: what torch.compile sees, and how autograd goes through them.

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

from ...linear.plan import Extras
from ...options import Options
from .. import formula
from ..operators import OPTIONS, is_eager, one_number
from .blocks import Call
from .operations import softcapped
from .products import computed_dtype

__all__ = ["composed", "forward", "gradients_of", "options_of"]

Needs = tuple[bool, bool, bool]
EXTRAS = "float z_loss, float? softcap, float skip_below, str memory_budget"


def options_of(values: tuple[Any, ...]) -> tuple[Options, Extras]:
    """The options of an operator: those of every loss, then those of the linear one."""
    return Options(*values[:-4]), Extras(*values[-4:])


def _loss_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype is torch.float64 else torch.float32


def _or_empty(gradients: tuple[Tensor | None, ...], like: Tensor) -> tuple[Tensor, ...]:
    dtype = computed_dtype(like.dtype)
    return tuple(like.new_empty(0, dtype=dtype) if g is None else g for g in gradients)


@torch.library.custom_op(
    "softmaxloss::linear_cross_entropy",
    mutates_args=(),
    schema="(Tensor input, Tensor weight, Tensor? bias, Tensor target, Tensor? class_weight, "
    f"bool by_input, bool by_weight, bool by_bias, bool with_scores, {OPTIONS}, {EXTRAS}) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def forward(
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
    options, extras = options_of(values)
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


@forward.register_fake
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
    options_of(values)
    none = values[1] == "none"
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
    f"Tensor? class_weight, bool by_input, bool by_weight, bool by_bias, {OPTIONS}, {EXTRAS}) "
    "-> (Tensor, Tensor, Tensor)",
)
def gradients_of(
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
    call = Call(input, weight, bias, target, class_weight, *options_of(values))
    factors = upstream.detach().double().cpu()
    factor = factors.contiguous().numpy() if factors.dim() else factors.item()
    results = call.run(factor, (by_input, by_weight, by_bias))
    return tuple(g.to(input.dtype) for g in _or_empty(results.gradients, input))


@gradients_of.register_fake
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
    if ctx.values[1] != "none" and any(needs):
        # Not the outputs themselves, which would keep this node alive, and be kept alive by it.
        kept = [g.detach() for g in output[1:4]]
        ctx.kept = [g if need else None for g, need in zip(kept, needs, strict=True)]


def _gradients(ctx: Any, upstream: Tensor | None, *_: None) -> tuple[Any, ...]:
    needs = tuple(ctx.needs_input_grad[:3])
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
        made = gradients_of(upstream, *ctx.saved_tensors, *needs, *ctx.values)
        gradients = [g if need else None for g, need in zip(made, needs, strict=True)]
    return (*gradients, *rest)


forward.register_autograd(_gradients, setup_context=_setup_context)


def _composed_gradients(ctx: Any, upstream: Tensor, needs: Needs) -> list[Tensor | None]:
    """The gradients as differentiable functions of the arguments and the upstream."""
    input, weight, bias, target, class_weight = ctx.saved_tensors
    options, extras = options_of(ctx.values)
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
    """The same loss in PyTorch's own operations, with all logits: for derivatives of any kind."""
    if target.ndim < input.ndim:  # what an ignored row holds must not reach a derivative
        input = input.masked_fill((target == options.ignore_index)[..., None], 0.0)
    dtype = computed_dtype(input.dtype)
    bias = None if bias is None else bias.to(dtype)
    with torch.autocast(input.device.type, enabled=False):
        z = torch.nn.functional.linear(input.to(dtype), weight.to(dtype), bias)
    z = softcapped(z.to(formula.compute_dtype(z)), extras.softcap)
    return formula.reduced_loss(z, target, class_weight, options, extras.z_loss)
