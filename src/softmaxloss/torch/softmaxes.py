"""The softmax of tensors, its logarithm and logsumexp, differentiable to any order.

The library's kernels compute them and their gradients for tensors in the CPU's memory; `formula`
does for others, under torch.func and torch.compile, and in forward mode.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import softmaxes
from ..kernels import HOST
from ..softmaxes import checked_axis
from . import formula
from ._private import apply_of, forward_mode_is_active, function_transforms_are_active
from .tensors import as_numpy, is_eager, require_dense


def softmax(input: Tensor, dim: int | None) -> Tensor:
    """The softmax, as `softmaxloss.torch.softmax` describes it."""
    z, dim = _read(input, dim)
    made = _apply_softmax(z, dim) if _has_kernel(z) else _along(formula.softmax, z, dim)
    return made.to(_of_entries(input))


def log_softmax(input: Tensor, dim: int | None) -> Tensor:
    """log softmax, as `softmaxloss.torch.log_softmax` describes it."""
    z, dim = _read(input, dim)
    made = _apply_log_softmax(z, dim) if _has_kernel(z) else _along(formula.log_softmax, z, dim)
    return made.to(_of_entries(input))


def logsumexp(input: Tensor, dim: int | None) -> Tensor:
    """log Σ exp(z_n), as `softmaxloss.torch.logsumexp` describes it."""
    z, dim = _read(input, dim)
    if _has_kernel(z):
        made: Tensor = _apply_logsumexp(z, dim)
        return made
    return formula.logsumexp(z.movedim(dim, -1))


def _read(input: Tensor, dim: int | None) -> tuple[Tensor, int]:
    """The logits in the dtype that they are computed in, and their axis of classes."""
    if not isinstance(input, Tensor):
        raise TypeError(f"the logits must be a tensor here, got {type(input).__name__}")
    require_dense(input, "logits")
    dtype = input.dtype
    if dtype.is_complex or dtype is torch.bool or (dtype.is_floating_point and dtype.itemsize == 1):
        raise TypeError(f"logits must be real numbers, got dtype {dtype}")
    if input.ndim == 0:
        raise ValueError("logits must have an axis of classes, got one number")
    dim = checked_axis(tuple(input.shape), dim, "dim")
    if input.shape[dim] == 0:
        raise ValueError(f"logits of shape {tuple(input.shape)} have no classes (C = 0)")
    return input.to(formula.compute_dtype(input)), dim


def _of_entries(input: Tensor) -> torch.dtype:
    """The dtype of results with one number for each logit: the logits' own."""
    return input.dtype if input.is_floating_point() else torch.float64


def _has_kernel(z: Tensor) -> bool:
    if not is_eager(z) or z.device.type != HOST:
        return False
    return not (function_transforms_are_active() or forward_mode_is_active())


def _along(function: Callable[[Tensor], Tensor], z: Tensor, dim: int) -> Tensor:
    """A function of rows, with the classes in the last axis, of classes in another one."""
    return function(z.movedim(dim, -1)).movedim(-1, dim)


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, dim: int) -> Tensor:
        a = torch.from_numpy(softmaxes.softmax(as_numpy(z), dim))
        ctx.save_for_backward(a)
        ctx.dim = dim
        return a

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None]:
        (a,) = ctx.saved_tensors
        part = a * grad_output
        return part - a * part.sum(ctx.dim, keepdim=True), None


class _LogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, dim: int) -> Tensor:
        ctx.save_for_backward(z)
        ctx.dim = dim
        return torch.from_numpy(softmaxes.log_softmax(as_numpy(z), dim))

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None]:
        (z,), dim = ctx.saved_tensors, ctx.dim
        grad = grad_output - softmax(z, dim) * grad_output.sum(dim, keepdim=True)
        # The entry of the largest logit as minus the sum of the others: 1 − a_n would cancel where
        # a_n is near 1.
        k = z.detach().argmax(dim, keepdim=True)
        others = grad.scatter(dim, k, 0.0)
        return others.scatter(dim, k, -others.sum(dim, keepdim=True)), None


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, dim: int) -> Tensor:
        ctx.save_for_backward(z)
        ctx.dim = dim
        return torch.as_tensor(softmaxes.logsumexp(as_numpy(z), dim))

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None]:
        (z,) = ctx.saved_tensors
        return softmax(z, ctx.dim) * grad_output.unsqueeze(ctx.dim), None


_apply_softmax, _apply_log_softmax = apply_of(_Softmax), apply_of(_LogSoftmax)
_apply_logsumexp = apply_of(_LogSumExp)
