"""The products of the linear loss on tensors, for one block of rows, a chunk of classes at a time.

On a processor, float32 products of few rows are two to three times as fast in oneDNN as in the BLAS
that torch.mm calls; both round alike. oneDNN returns new memory, so that it takes part in chunks
only. float16 is computed in float32, a chunk of the weights at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ...linear.plan import Plan
from ..tensors import new_memory

__all__ = ["Products", "computed_dtype"]


def computed_dtype(dtype: torch.dtype) -> torch.dtype:
    """What logits and gradients are made in and held in until they are handed out: float16 in
    float32, since the gradient of a mean may be less than float16 holds until it is multiplied by
    a loss scale; others as they are."""
    return torch.float32 if dtype is torch.float16 else dtype


@cache
def _onednn() -> Any | None:
    """oneDNN's x·wᵀ + b for float32, where this PyTorch has it."""
    try:
        product = torch.ops.mkldnn._linear_pointwise
        one = torch.ones(1, 1)
        assert product(one, one, one[0], "none", [], "").item() == 2.0
    except (AttributeError, AssertionError, RuntimeError, NotImplementedError):
        return None
    return product


class Products:
    """The layer's products for the blocks of one plan, and the gradients that they add up to.

    needs: whether the input's, the weight's and the bias's gradients are wanted; the others cost
    nothing and are None.
    """

    def __init__(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        plan: Plan,
        needs: tuple[bool, bool, bool],
    ) -> None:
        self.input, self.weight, self.bias, self.plan = input, weight, bias, plan
        self.dtype = computed_dtype(weight.dtype)
        by_input, by_weight, by_bias = needs
        self.grad_input = None
        if by_input:
            self.grad_input = torch.zeros(input.shape, dtype=self.dtype, device=input.device)
        self.by_weight = self.by_bias = None
        # Half precision adds up in float32, and is rounded once.
        half = weight.dtype.itemsize < 4
        sums = torch.float32 if half else weight.dtype
        if by_weight:
            one = half and len(plan.blocks) == 1
            dtype = self.dtype if one else sums
            self.by_weight = new_memory(weight.shape, dtype, weight.device)
        if by_bias:
            self.by_bias = weight.new_zeros(weight.shape[0], dtype=sums)
        self.untouched = True  # by_weight is not written yet
        on_cpu = input.device.type == "cpu"
        fast = self.dtype is torch.float32 and on_cpu and torch.backends.mkldnn.enabled
        self.onednn = _onednn() if fast else None

    def rows(self, where: Any) -> Tensor:
        """Rows of the input as the products take them."""
        return self.input[where].to(self.dtype).contiguous()

    def make_logits(self, x: Tensor, logits: Tensor) -> None:
        for c in self.plan.chunks():
            # oneDNN is slow with weights that are not contiguous, and takes a bias for it.
            w = self.weight[c].to(self.dtype).contiguous()
            b = None if self.bias is None else self.bias[c].to(self.dtype).contiguous()
            if self.onednn is not None:
                logits[:, c] = self.onednn(x, w, b, "none", [], "")
            elif b is None:
                torch.mm(x, w.t(), out=logits[:, c])
            else:
                torch.addmm(b, x, w.t(), out=logits[:, c])

    def add(
        self, grad: Tensor, x: Tensor, where: Any, used: Tensor | None, labels: Tensor | None
    ) -> None:
        """What a block adds to the gradients, given that by its logits, which is used up.

        used    the classes that take part in the two large products, None for all
        labels  the true class of each row, None where there are probabilities instead
        """
        if self.by_bias is not None:
            for c in self.plan.chunks():
                self.by_bias[c] += grad[:, c].to(self.by_bias.dtype).sum(0)
        if self.grad_input is not None:
            self.grad_input[where] = self.by_rows(grad, used)
        if self.by_weight is None:
            return
        apart = labels is not None and self.by_weight.dtype is not self.dtype
        if self.untouched and (used is not None or apart):
            self.by_weight.zero_()
            self.untouched = False
        if labels is not None and apart:
            # A product is rounded to half precision before it is added. The entries of the true
            # classes, which are most of it, go past it.
            true = (torch.arange(len(labels), device=labels.device), labels)
            self.by_weight.index_add_(0, labels, grad[true][:, None].float() * x.float())
            grad[true] = 0.0  # scatter_ would copy all of grad
        for c in self.chunks(used):
            self.add_by_class(grad[:, c], x, c)
        self.untouched = False

    def chunks(self, used: Tensor | None) -> Iterable[Any]:
        if used is None:
            return self.plan.chunks()
        # Of nothing, split makes one part, which oneDNN refuses.
        return torch.split(used, self.plan.chunk) if len(used) else ()

    def by_rows(self, grad: Tensor, used: Tensor | None) -> Tensor:
        """The gradient by the input: grad·W."""
        half = self.dtype.itemsize == 2
        if half and used is None:
            return torch.mm(grad, self.weight)  # one product, which is rounded once
        sums = grad.new_zeros(
            grad.shape[0], self.weight.shape[1], dtype=torch.float32 if half else self.dtype
        )
        for c in self.chunks(used):
            w = self.weight[c].to(self.dtype).contiguous()
            sums += self.product(grad[:, c], w.t())
        return sums.to(self.dtype)

    def add_by_class(self, part: Tensor, x: Tensor, c: Any) -> None:
        """Add partᵀ·x to the rows c of the gradient by the weight."""
        assert self.by_weight is not None
        if isinstance(c, Tensor):
            product = self.product(part.t(), x.t())
            self.by_weight.index_add_(0, c, product.to(self.by_weight.dtype))
            return
        rows = self.by_weight[c]
        same = rows.dtype == self.dtype and self.onednn is None
        if self.untouched and same:
            torch.mm(part.t(), x, out=rows)
        elif self.untouched:
            rows.copy_(self.product(part.t(), x.t()))
        elif same:
            rows.addmm_(part.t(), x)
        else:
            rows += self.product(part.t(), x.t())

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """a·bᵀ in new memory."""
        if self.onednn is not None:
            result: Tensor = self.onednn(a, b, None, "none", [], "")
            return result
        return torch.mm(a, b.t())

    def gradients(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """By the input, the weight and the bias, in `computed_dtype`."""
        if self.untouched and self.by_weight is not None:
            self.by_weight.zero_()
        by_weight = self.by_weight
        if by_weight is not None and by_weight.dtype is not self.dtype:
            by_weight = new_memory(by_weight.shape, self.dtype, by_weight.device).copy_(by_weight)
        by_bias = None if self.by_bias is None else self.by_bias.to(self.dtype)
        return self.grad_input, by_weight, by_bias
