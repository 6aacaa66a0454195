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

from ...linear.plan import Arguments
from ...options import LinearOptions, field_values
from ...scores import Scores
from .. import formula
from ..library import operator
from ..tensors import as_numpy, is_eager, one_number, operator_schema, options_from
from .layer import Layer, Needs, computed_dtype, held_dtypes, rounded

ARGUMENTS = (
    "Tensor input, Tensor weight, Tensor? bias, Tensor target, Tensor? class_weight, "
    "Tensor? sample_weight, bool needs_input, bool needs_weight, bool needs_bias, "
    + operator_schema(LinearOptions)
)


def _loss_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype is torch.float64 else torch.float32


def _read(values: tuple[Any, ...]) -> tuple[Arguments, Needs, LinearOptions]:
    """The arguments that the schemas have as ARGUMENTS."""
    return Arguments(*values[:6]), list(values[6:9]), options_from(LinearOptions, values[9:])


@operator(
    "softmaxloss::linear_cross_entropy",
    f"(bool with_scores, {ARGUMENTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def forward(with_scores: bool, *values: Any) -> tuple[Tensor, ...]:
    """The loss; the gradients of a mean or a sum for an upstream gradient of 1; the scores, as two
    tensors."""
    arrays, needs, options = _read(values)
    input = arrays.input
    needs = [False] * 3 if options.reduction == "none" else needs
    layer = Layer(arrays, options, needs, with_scores)
    losses, s, gradients = layer.run(1.0, with_scores)
    reduced = layer.plan.reduced(losses, options)
    loss = torch.as_tensor(reduced, dtype=_loss_dtype(input.dtype), device=input.device)
    if s is None:
        numbers, counts = loss.new_empty(0), input.new_empty(0, dtype=torch.int64)
    else:
        numbers = torch.from_numpy(np.stack([s.loss, s.probability, s.entropy, s.logsumexp]))
        counts = torch.from_numpy(np.stack([s.predicted, s.rank]))
    return (loss, *gradients, numbers.to(input.device), counts.to(input.device))


@forward.register_fake
def _(with_scores: bool, *values: Any) -> tuple[Tensor, ...]:
    arrays, needs, options = _read(values)
    none = options.reduction == "none"
    dtype, (rows, _) = _loss_dtype(arrays.input.dtype), arrays.input.shape
    held, needs = held_dtypes(arrays, options), [False] * 3 if none else needs
    return (
        arrays.input.new_empty((rows,) if none else (), dtype=dtype),
        *_empty_gradients(arrays, needs, held),
        arrays.input.new_empty((4, rows) if with_scores else (0,), dtype=dtype),
        arrays.input.new_empty((2, rows) if with_scores else (0,), dtype=torch.int64),
    )


@operator(
    "softmaxloss::linear_cross_entropy_backward",
    f"(Tensor upstream, {ARGUMENTS}) -> (Tensor, Tensor, Tensor)",
)
def gradients_of(upstream: Tensor, *values: Any) -> tuple[Tensor, ...]:
    """The gradients for any upstream gradient: one number, or with reduction="none" one per row."""
    arrays, needs, options = _read(values)
    factors = upstream.detach().double().cpu()
    factor = as_numpy(factors.contiguous()) if factors.dim() else factors.item()
    gradients = Layer(arrays, options, needs).run(factor)[2]
    return tuple(g.to(arrays.input.dtype) for g in gradients)


@gradients_of.register_fake
def _(upstream: Tensor, *values: Any) -> tuple[Tensor, ...]:
    arrays, needs, _ = _read(values)
    return _empty_gradients(arrays, needs, (arrays.input.dtype,) * 3)


def _empty_gradients(
    arrays: Arguments, needs: Needs, dtypes: tuple[torch.dtype, ...]
) -> tuple[Tensor, ...]:
    shapes = (arrays.input.shape, arrays.linear_weight.shape, arrays.linear_weight.shape[:1])
    return tuple(
        arrays.input.new_empty(shape if need else (0,), dtype=dtype)
        for shape, need, dtype in zip(shapes, needs, dtypes, strict=True)
    )


# --- autograd ---------------------------------------------------------------------------------


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    arrays, needs, ctx.options = _read(inputs[1:])
    ctx.save_for_backward(*arrays)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)
    ctx.kept, ctx.dtype = None, arrays.input.dtype
    if ctx.options.reduction != "none" and any(needs):
        # Detached: the outputs themselves and this node would keep each other alive.
        kept = [g.detach() for g in output[1:4]]
        ctx.kept = [g if need else None for g, need in zip(kept, needs, strict=True)]


def _gradients(ctx: Any, upstream: Tensor | None, *_: None) -> tuple[Any, ...]:
    needs = list(ctx.needs_input_grad[1:4])
    rest = (None,) * (len(ctx.needs_input_grad) - 4)
    if upstream is None:
        return (None, None, None, None, *rest)
    eager = is_eager(upstream)
    if eager and torch.is_grad_enabled():
        return (None, *_composed_gradients(ctx, upstream, needs), *rest)
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
            gradients = [None if g is None else rounded(g, dtype) for g in kept]
    else:
        made = gradients_of(upstream, *ctx.saved_tensors, *needs, *field_values(ctx.options))
        gradients = [g if need else None for g, need in zip(made, needs, strict=True)]
    return (None, *gradients, *rest)


forward.register_autograd(_gradients, setup_context=_setup_context)


def _composed_gradients(ctx: Any, upstream: Tensor, needs: Needs) -> list[Tensor | None]:
    """The gradients as differentiable functions of the arguments and the upstream gradient."""
    loss, _ = composed(Arguments(*ctx.saved_tensors), ctx.options)
    wanted = [t for t, need in zip(ctx.saved_tensors, needs, strict=False) if need]
    made = iter(torch.autograd.grad(loss, wanted, upstream, create_graph=True))
    return [next(made) if need else None for need in needs]


def composed(
    arrays: Arguments, options: LinearOptions, return_scores: bool = False
) -> tuple[Tensor, Scores | None]:
    """The same loss in PyTorch's own operations, with all logits: for derivatives of any kind. And
    the scores, if wanted."""
    input, weight, bias, target, class_weight, sample_weight = arrays
    # What a row that does not count holds must not reach a derivative.
    if formula.is_index(target, input):
        input = input.masked_fill((target == options.ignore_index)[..., None], 0.0)
    if sample_weight is not None:  # a finite row has a derivative with respect to its weight of 0
        unused = (sample_weight == 0) & ~input.isfinite().all(-1)
        input = input.masked_fill(unused[..., None], 0.0)
    dtype = computed_dtype(input.dtype)
    bias = None if bias is None else bias.to(dtype)
    with torch.autocast(input.device.type, enabled=False):
        z = torch.nn.functional.linear(input.to(dtype), weight.to(dtype), bias)
    z = z.to(formula.compute_dtype(z))
    loss = formula.reduced_loss(z, target, class_weight, sample_weight, options)
    if not return_scores:
        return loss, None
    with torch.no_grad():
        return loss, formula.scores_of_call(z, target, class_weight, sample_weight, options)
