"""The public functions of `softmaxloss` for tensors, in the shape of `torch.nn.functional`."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from .. import loss
from ..arrays import as_array
from ..errors import OptionError
from ..loss import Scores
from ..options import MultiLabel, Options, Reduction, checked_options
from . import formula, ops
from .tensors import as_numpy, empty_like

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
    denominator: float | None = None,
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
        inplace: the gradient may take the memory of the logits, which are lost: half the memory.
            Autograd is told: a backward pass that needs the logits raises. The gradient can be
            asked for once, and not be differentiated.
        The others: as in `softmaxloss.cross_entropy`.

    Returns:
        A tensor, 0-d unless reduction="none": float32, float64 for float64 and integer logits.

    Raises: as `softmaxloss.cross_entropy`.

    >>> z = torch.zeros(1, 4, requires_grad=True)
    >>> cross_entropy(z, torch.tensor([3])).backward()
    >>> z.grad
    tensor([[ 0.2500,  0.2500,  0.2500, -0.7500]])
    """
    values = (ignore_index, reduction, label_smoothing, multi_label, denominator, first_class)
    target, weight = _beside(input, target, weight)
    compiling = torch.compiler.is_compiling()
    if not compiling:
        options = checked_options(*values)
        if not -(2**63) <= options.ignore_index < 2**63:
            raise OptionError(f"ignore_index must be an int64 here, got {ignore_index}")
        values = astuple(options)
        if _needs_formula(input, target, weight):
            return formula.reduced_loss(input, target, weight, options)
    elif target.requires_grad or (weight is not None and weight.requires_grad):
        return formula.reduced_loss(input, target, weight, Options(*values))
    needs_grad = input.requires_grad and torch.is_grad_enabled()
    if inplace and needs_grad and not compiling and ops.has_kernel(input):
        return _in_place(input, target, weight, options)
    # A graph calls cross_entropy_backward, which takes any upstream gradient; so does "none", where
    # each row may have its own. The gradient for 1 would be computed for nothing.
    with_grad = needs_grad and reduction != "none" and not compiling and ops.has_kernel(input)
    value: Tensor = ops.cross_entropy(input, target, weight, *values, with_grad)[0]
    return value


def cross_entropy_with_grad(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    grad_output: Tensor | float | None = None,
    out: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """(loss, gradient) of `softmaxloss.cross_entropy_with_grad` as tensors, outside of autograd.

    >>> cross_entropy_with_grad(torch.zeros(1, 4), torch.tensor([3]))[1]
    tensor([[ 0.2500,  0.2500,  0.2500, -0.7500]])
    """
    target, weight = _beside(input, target, weight)
    checked = Options(**options)
    upstream = torch.as_tensor(1.0 if grad_output is None else grad_output)
    if ops.has_kernel(input):
        if out is None:
            out = empty_like(input if input.is_floating_point() else input.double())
        value, _ = loss.cross_entropy_with_grad(
            as_numpy(input),
            out=as_numpy(out),
            grad_output=as_numpy(upstream.double()),
            **ops.arguments(target, weight, checked),
        )
        return torch.from_numpy(np.asarray(value)), out
    with torch.no_grad():
        value = formula.reduced_loss(input, target, weight, checked)
        upstream = upstream.to(input.device).expand(value.shape)
        grad = formula.reduced_gradient(upstream, input, target, weight, checked)
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
    z, y = as_numpy(input.cpu()), as_numpy(target.cpu())
    scores = loss.score(z, y, ignore_index=ignore_index, first_class=first_class)
    tensors: Any = (torch.as_tensor(part, device=input.device) for part in scores)
    return Scores(*tensors)


def _beside(logits: Any, target: Any, weight: Any) -> tuple[Tensor, Tensor | None]:
    """Target and weight as tensors where the logits are."""
    if not isinstance(logits, Tensor):
        raise TypeError(f"the logits must be a tensor here, got {type(logits).__name__}")
    target = _on_device(logits, target, "target")
    return target, None if weight is None else _on_device(logits, weight, "weight")


def _on_device(logits: Tensor, value: Any, name: str) -> Tensor:
    if not isinstance(value, Tensor):  # through NumPy, whose floats keep their digits
        return torch.as_tensor(as_array(value, name), device=logits.device)
    if value.device != logits.device:
        raise OptionError(
            f"{name} is on {value.device}, the logits are on {logits.device}: move one of them"
        )
    return value


def _needs_formula(logits: Tensor, target: Tensor, weight: Tensor | None) -> bool:
    """Whether derivatives are asked for that the operators do not have: those by target and weight,
    forward mode, and those of torch.func (which does not take the derivatives of operators)."""
    others = target.requires_grad or (weight is not None and weight.requires_grad)
    transformed: bool = torch._C._are_functorch_transforms_active()
    return others or transformed or forward_ad._current_level >= 0


def _in_place(logits: Tensor, target: Tensor, weight: Tensor | None, options: Options) -> Tensor:
    base = logits._base
    if logits.is_leaf or (base is not None and base.is_leaf and base.requires_grad):
        raise OptionError(
            "inplace=True writes the gradient over the logits, and these are a leaf of the graph: "
            "leave it out, or pass logits that a model computed"
        )
    value: Tensor = _InPlace.apply(logits, target, weight, options)  # type: ignore[no-untyped-call]
    return value


class _InPlace(torch.autograd.Function):
    """The loss, with the gradient where the logits were.

    No registered operator: those may not both write to an argument and have a derivative.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, weight: Tensor | None, options: Options
    ) -> Tensor:
        z = as_numpy(logits)
        given = ops.arguments(target, weight, options)
        value, _ = loss.cross_entropy_with_grad(z, out=z, **given)
        torch.autograd.graph.increment_version(logits)
        ctx.grad = logits.detach()
        ctx.set_materialize_grads(False)
        return torch.from_numpy(np.asarray(value))

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_output is None:
            return (None,) * 4
        grad, ctx.grad = ctx.grad, None
        if grad is None:
            raise RuntimeError(
                "cross_entropy(…, inplace=True): the gradient was given away, and the logits are "
                "lost; for a second backward pass leave inplace out"
            )
        if torch.is_grad_enabled():
            raise RuntimeError(
                "cross_entropy(…, inplace=True): the logits are lost, so that the gradient has no "
                "derivative; for create_graph=True leave inplace out"
            )
        if grad_output.ndim > 0:
            grad_output = grad_output.unsqueeze(1 if grad.ndim > 1 else 0)
        if grad_output.ndim > 0 or grad_output.item() != 1:
            grad.mul_(grad_output)
        return grad, None, None, None
