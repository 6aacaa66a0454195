"""The loss of a linear layer whose classes are split: each rank has some rows of the weight.

The logits of a rank are made in blocks of rows, within the memory budget. One exchange is for all
rows, so the gradient of a block comes after its logits are gone: the backward pass makes them
again, a product more than one process takes. Where all logits of a rank fit in the budget, they are
kept, and nothing is made twice.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ..errors import OptionError
from ..linear.plan import MOST_CLASSES, Arguments, Sizes, row_blocks
from ..options import LinearOptions
from ..torch.formula import compute_dtype
from ..torch.linear.layer import computed_dtype
from ..torch.linear.products import LIBRARIES, Product, library_for
from ..torch.tensors import eager_options, of_each_row, tensor_beside
from . import slices
from .call import Call, as_slice
from .engine import Groups, device_of, factor_of, loss_of, refuse_second_derivatives
from .exchange import add_up

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def cross_entropy(arrays: Arguments, given: dict[str, Any], groups: Groups) -> Tensor:
    """The loss, as `softmaxloss.parallel.linear_cross_entropy` describes it."""
    grad = torch.is_grad_enabled() and any(
        isinstance(t, Tensor) and t.requires_grad for t in arrays[:3]
    )

    def make() -> LinearCall:
        return LinearCall(arrays, eager_options(LinearOptions, given), grad)

    call, loss, divisor = loss_of(make, given, groups, device_of(arrays.input))
    loss = loss.to(compute_dtype(arrays.input))
    if call.options.reduction == "none":
        loss = loss.reshape(arrays.input.shape[:-1])
    if not grad:
        return loss
    result: Tensor = _apply(*arrays[:3], call, loss, divisor, groups)
    return result


class LinearCall(Call):
    """The arguments of a call: input (…, features), weight (classes of this rank, features)."""

    options: LinearOptions

    def __init__(self, arrays: Arguments, options: LinearOptions, grad: bool) -> None:
        x, W, bias = arrays[:3]
        _check(x, W, bias)
        self.grad = grad
        self.dtype = computed_dtype(W.dtype)
        lead, rows = x.shape[:-1], math.prod(x.shape[:-1])
        target = tensor_beside(x, arrays.target, "target", "input is")
        s = arrays.sample_weight
        if s is not None:
            s = of_each_row(tensor_beside(x, s, "sample_weight", "input is"), lead).reshape(rows)
        if target.shape == lead:
            target = target.reshape(rows)
        elif target.shape == (*lead, len(W)):
            target = target.reshape(rows, len(W))
        # Logits that take no memory: only their shape and dtype matter here.
        logits = torch.zeros((), dtype=self.dtype, device=x.device).expand(rows, len(W))
        super().__init__(logits, target, arrays.weight, s, options, scored=False)
        self.needs_input = grad and x.requires_grad
        self.layer = _Layer(x.detach(), W.detach(), None if bias is None else bias.detach())
        self.kept: Tensor | None = None

    @property
    def text(self) -> str:
        # An input that needs a gradient takes part in a sum over the ranks.
        features = self.layer.input.shape[1]
        return f"{super().text}; features={features}; gradient of input={self.needs_input}"

    def numbers(self, sizes: tuple[int, ...], rank: int) -> Tensor:
        self.read(sizes, rank)
        made: list[slices.Slice] = []
        sent = []
        blocks = self.blocks()
        for rows in blocks:
            z = self.layer.logits(rows, self.dtype)
            self.kept = z if len(blocks) == 1 and self.grad else None
            some, numbers = self.part(rows).numbers_of(as_slice(self.capped(z)))
            made.append(some)
            sent.append(numbers)
        columns = [torch.cat(column) for column in zip(*made, strict=True)]
        self.slice = slices.Slice(*columns)
        return torch.cat(sent, 1)

    def blocks(self) -> list[slice]:
        """The rows in blocks, of which one may be empty."""
        features = self.layer.input.shape[1]
        sizes = Sizes(self.rows, self.classes, features, self.dtype.itemsize)
        return row_blocks(sizes, self.options) or [slice(0, 0)]

    def logit_gradient(self, rows: slice, factor: Tensor) -> Tensor:
        """The gradient with respect to the logits of some rows, in the layer's dtype."""
        z, self.kept = self.kept, None
        if z is None:
            z = self.layer.logits(rows, self.dtype)
        self.part(rows).gradient(z, factor[rows], z)
        return z


class _Layer:
    """x·Wᵀ + b and its gradients, a chunk of classes at a time."""

    def __init__(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
        self.input = input.reshape(math.prod(input.shape[:-1]), input.shape[-1])
        self.weight, self.bias = weight, bias

    def chunks(self) -> list[slice]:
        ends = range(0, len(self.weight), MOST_CLASSES)
        return [slice(start, start + MOST_CLASSES) for start in ends]

    def logits(self, rows: slice, dtype: torch.dtype) -> Tensor:
        x = self.input[rows].to(dtype)
        z = x.new_empty(len(x), len(self.weight))
        product = self.product(len(x), dtype)
        for c in self.chunks():
            b = None if self.bias is None else self.bias[c].to(dtype)
            product.put(x, self.weight[c].to(dtype), b, z[:, c])
        return z

    def product(self, rows: int, dtype: torch.dtype) -> Product:
        """The product of blocks of so many rows."""
        shape, device = (len(self.weight), self.weight.shape[1]), self.input.device.type
        chosen = library_for(dtype, device, rows, MOST_CLASSES, shape, len(self.input), alone=False)
        return LIBRARIES[chosen]

    def gradients(
        self, call: LinearCall, factor: Tensor, needs: list[bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """With respect to the input, of this rank's classes, the weight and the bias; None where
        not needed. Half precision is added up in float32."""
        by_input, by_weight, by_bias = needs
        sums = torch.float64 if call.dtype is torch.float64 else torch.float32
        grad_x = self.input.new_zeros(self.input.shape, dtype=sums) if by_input else None
        grad_W = self.weight.new_zeros(self.weight.shape, dtype=sums) if by_weight else None
        grad_b = self.weight.new_zeros(len(self.weight), dtype=sums) if by_bias else None
        blocks = call.blocks()
        longest = max(MOST_CLASSES, *[len(self.input[rows]) for rows in blocks])
        scratch = self.input.new_empty(longest * self.input.shape[1], dtype=call.dtype)
        for rows in blocks:
            G, x = call.logit_gradient(rows, factor), self.input[rows].to(call.dtype)
            product = self.product(len(x), call.dtype)
            for c in self.chunks():
                part, w = G[:, c], self.weight[c].to(call.dtype)
                if grad_x is not None:
                    product.add(part, w.t(), grad_x[rows], scratch)
                if grad_W is not None:
                    product.add(part.t(), x.t(), grad_W[c], scratch)
                if grad_b is not None:
                    grad_b[c] += part.sum(0, dtype=sums)
        return grad_x, grad_W, grad_b


class _Loss(torch.autograd.Function):
    """The loss. The backward pass makes the logits again, unless they are kept, and adds up the
    gradient with respect to the input over the ranks."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        call: LinearCall,
        loss: Tensor,
        divisor: float,
        groups: Groups,
    ) -> Tensor:
        ctx.save_for_backward(input, weight, bias)
        ctx.call, ctx.divisor, ctx.group = call, divisor, groups.classes
        return loss

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivatives()
        input, weight, bias = ctx.saved_tensors  # raises if one was changed
        call, needs = ctx.call, list(ctx.needs_input_grad[:3])
        layer = _Layer(input.detach(), weight.detach(), None if bias is None else bias.detach())
        factor = factor_of(call, grad_output, ctx.divisor)
        grad_x, grad_W, grad_b = layer.gradients(call, factor, needs)
        if grad_x is not None and ctx.group is not None:
            add_up(ctx.group, grad_x)
        return (
            None if grad_x is None else grad_x.to(input.dtype).reshape(input.shape),
            None if grad_W is None else grad_W.to(weight.dtype),
            None if grad_b is None else grad_b.to(weight.dtype),
            *(None,) * 4,
        )


_apply: Any = _Loss.apply


def _check(x: Any, W: Any, bias: Any) -> None:
    """TypeError or ValueError unless the layer is one."""
    named = {"input": x, "linear_weight": W} | ({} if bias is None else {"linear_bias": bias})
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")
        if value.dtype not in _DTYPES or value.dtype != x.dtype:
            raise TypeError(
                f"{name} is {value.dtype}, input is {x.dtype}: they must be the same, float32, "
                "float64, bfloat16 or float16"
            )
    if W.ndim != 2 or x.ndim == 0 or x.shape[-1] != W.shape[1]:
        raise ValueError(
            f"input of shape {tuple(x.shape)} does not fit linear_weight of shape "
            f"{tuple(W.shape)}, which must be (classes of this rank, features)"
        )
    if bias is not None and bias.shape != W.shape[:1]:
        raise OptionError(
            f"linear_bias has shape {tuple(bias.shape)}; linear_weight of shape {tuple(W.shape)} "
            f"needs shape ({len(W)},)"
        )
