"""A linear layer on tensors, for the loop of `softmaxloss.linear.blocks`.

Products take all classes at once where they need no memory beside their result, and else a chunk of
classes at a time; `products` says which library computes them. With NumPy's the loop runs on the
tensors' memory as arrays. float16 is computed in float32, a chunk of the weights at a time.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...arrays import Array
from ...kernels import has_kernel, kernel_for
from ...labels import ClassIndices, Target
from ...linear import layer as arrays_layer
from ...linear.blocks import Rows, block_loss, few_rows, run
from ...linear.plan import Arguments, Plan, Sizes, is_one_block, plan_for
from ...options import LinearOptions, class_weights, sample_weights
from ...scores import Scores, counted_from
from ..tensors import as_float64, as_numpy, new_memory
from .operations import loss_in_operations
from .products import LIBRARIES, library_for

#: Which gradients are wanted: with respect to the input, the weight and the bias.
Needs = list[bool]


def computed_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype that logits and gradients are computed and held in. float16 is held in float32: the
    gradient of a mean may underflow in float16 until it is multiplied by a loss scale."""
    return torch.float32 if dtype is torch.float16 else dtype


def held_dtypes(arrays: Arguments, options: LinearOptions) -> tuple[torch.dtype, ...]:
    """The dtypes of the gradients with respect to input, weight and bias, until an upstream
    gradient multiplies them. Half-precision sums over several blocks stay in float32 until then, to
    be rounded once."""
    (rows, _), (classes, features) = arrays.input.shape, arrays.linear_weight.shape
    dtype = computed_dtype(arrays.input.dtype)
    if dtype.itemsize > 2:
        return dtype, dtype, dtype
    one = is_one_block(Sizes(rows, classes, features, dtype.itemsize), options)
    return dtype, dtype if one else torch.float32, torch.float32


class Layer:
    """One call: input (rows, features), weight (classes, features), target (rows,) or (rows,
    classes). Options and labels are checked before anything is computed.

    Gradients that are not needed cost nothing and are empty.
    """

    def __init__(
        self,
        arrays: Arguments,
        options: LinearOptions,
        needs: Needs,
        with_scores: bool = False,
    ) -> None:
        input, weight, bias, target, class_weight, sample_weight = arrays
        self.input, self.weight = input.detach(), weight.detach()
        self.bias = None if bias is None else bias.detach()
        self.options, self.needs = options, needs
        self.dtype = computed_dtype(weight.dtype)
        classes, features = weight.shape
        self.class_weight = None
        if class_weight is not None:
            self.class_weight = class_weights(as_float64(class_weight.cpu(), "weight"), classes)
        if sample_weight is not None:
            sample_weight = sample_weights(
                as_float64(sample_weight.cpu(), "sample_weight"), input.shape[:1]
            )
        self.computed = np.dtype(np.float64 if self.dtype is torch.float64 else np.float32)
        self.kernel, _ = kernel_for(self.computed)
        by_kernel = has_kernel(input.device.type)
        self.plan: Plan = plan_for(
            input.shape[0],
            (classes, features),
            as_numpy(target.detach().cpu(), "target"),
            self.class_weight,
            sample_weight,
            options,
            self.dtype.itemsize,
            self.dtype.itemsize if self.dtype != weight.dtype else 0,
            any(needs) if by_kernel and not with_scores and self.dtype.itemsize > 2 else None,
        )
        by_input, by_weight, by_bias = needs
        self.grad_input = self.grad_weight = self.grad_bias = None
        if by_input:
            self.grad_input = torch.empty(input.shape, dtype=self.dtype, device=input.device)
        # Half precision adds up in float32, and is rounded once.
        half, self.held = weight.dtype.itemsize < 4, held_dtypes(arrays, options)
        sums = torch.float32 if half else weight.dtype
        if by_weight:
            dtype = self.held[1] if len(self.plan.blocks) == 1 else sums
            self.grad_weight = new_memory(weight.shape, dtype, weight.device)
        if by_bias:
            self.grad_bias = weight.new_empty(classes, dtype=sums)
        self.untouched = True  # grad_weight is not written yet
        self.library = library_for(
            self.dtype,
            input.device.type,
            self.plan.most_rows,
            self.plan.chunk,
            (classes, features),
            self.plan.counted_rows,
            alone=True,
        )
        self.product = LIBRARIES[self.library]
        # For a product that is added to a gradient.
        added = any(needs) and self.library != "numpy"
        scratch = max(self.plan.most_rows, self.plan.chunk) * features if added else 0
        self.scratch = input.new_empty(scratch, dtype=self.dtype)

    def run(
        self, upstream: float | Array, with_scores: bool = False
    ) -> tuple[Array, Scores | None, tuple[Tensor, ...]]:
        """(losses of the rows that count, scores of all rows, gradients in `held_dtypes`)."""
        with torch.no_grad():
            if self.library == "numpy":
                losses, scores = self._on_arrays().run(upstream, with_scores)
            else:
                for grad in (self.grad_input, self.grad_bias):
                    if grad is not None:
                        grad.zero_()
                scores_dtype = self.computed if with_scores else None
                losses, scores = run(self, self.plan, upstream, any(self.needs), scores_dtype)
                if self.untouched and self.grad_weight is not None:
                    self.grad_weight.zero_()
            if scores is not None:
                counted_from(self.options.first_class, scores)
            return losses, scores, self.gradients()

    def _on_arrays(self) -> arrays_layer.Layer:
        """The same layer on the tensors' memory."""
        layer = (self.input, self.weight, self.bias)
        grads = (self.grad_input, self.grad_weight, self.grad_bias)
        x_W_b, by = ([None if t is None else as_numpy(t) for t in ts] for ts in (layer, grads))
        return arrays_layer.Layer(
            arrays_layer.Arrays(*x_W_b),
            self.plan,
            self.computed,
            self.class_weight,
            self.options,
            arrays_layer.Arrays(*by),
            lambda numbers, _: as_numpy(self.memory(numbers)),
        )

    def memory(self, numbers: int) -> Tensor:
        return new_memory((numbers,), self.dtype, self.input.device)

    def rows(self, where: slice | Array) -> Tensor:
        rows: Tensor = self.input[self._index(where)].to(self.dtype).contiguous()
        return rows

    def _index(self, where: slice | Array) -> Any:
        return where if isinstance(where, slice) else self.beside(where)

    def beside(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self.input.device)

    def make_logits(self, x: Tensor, logits: Tensor) -> None:
        for c in self._chunks(self.dtype):
            self.make_chunk(x, c, logits[:, c])

    def make_chunk(self, x: Tensor, classes: slice, logits: Tensor) -> None:
        b = None if self.bias is None else self.bias[classes].to(self.dtype)
        self.product.put(x, self.weight[classes].to(self.dtype), b, logits)

    def loss(self, logits: Tensor, rows: Rows, with_gradient: bool) -> None:
        if not has_kernel(logits.device.type):
            weight: Any = self.class_weight
            if weight is not None:
                weight = torch.from_numpy(weight).to(logits.device)
            loss_in_operations(logits, rows, weight, self.options, with_gradient)
            return
        # Softcap and z_loss take float32: half-precision logits are converted a few rows at a time.
        convert = self.dtype.itemsize == 2 and self.options.changes_logits
        for part in few_rows(*logits.shape) if convert else [slice(0, logits.shape[0])]:
            z = logits[part].float() if convert else logits[part]
            array = as_numpy(z)
            kernel, _ = kernel_for(array.dtype)
            some = rows.part(part) if convert else rows
            block_loss(kernel, array, some, self.class_weight, self.options, with_gradient)
            if convert and with_gradient:
                logits[part] = z

    def add(
        self,
        grad: Tensor,
        x: Tensor,
        where: slice | Array,
        target: Target,
        used: list[Tensor] | None,
    ) -> None:
        if self.grad_bias is not None:
            for c in self._chunks(self.grad_bias.dtype):
                self.grad_bias[c] += grad[:, c].to(self.grad_bias.dtype).sum(0)
        if self.grad_input is not None:
            self.grad_input[self._index(where)] = self.by_rows(grad, used)
        if self.grad_weight is None:
            return
        # A product is rounded to half precision before it is added. The entries of the true
        # classes, which are most of the gradient, are added in float32 instead.
        apart = isinstance(target, ClassIndices) and self.grad_weight.dtype is not self.dtype
        if self.untouched and used is not None:
            self.grad_weight.zero_()
            self.untouched = False
        if apart:
            labels = self.beside(target.values.astype(np.int64))
            true = (torch.arange(len(labels), device=labels.device), labels)
            of_true_classes = grad[true][:, None].float() * x.float()
            grad[true] = 0.0  # scatter_ would copy all of grad
        for c in self._chunks(self.grad_weight.dtype, used):
            self.add_by_class(grad[:, c], x, c)
        if apart:
            self.grad_weight.index_add_(0, labels, of_true_classes)
        self.untouched = False

    def _chunks(self, result: torch.dtype, used: list[Tensor] | None = None) -> Iterable[Any]:
        """The used classes in chunks, or all classes: at once, which is fastest, for products that
        need no memory beside a result of this dtype; else in chunks."""
        if used is not None:
            return used
        whole = self.product.adds and self.weight.dtype == self.dtype == result
        return [slice(None)] if whole else self.plan.chunks()

    def by_rows(self, grad: Tensor, used: list[Tensor] | None) -> Tensor:
        """The gradient with respect to rows of the input: grad·W."""
        half = self.dtype.itemsize == 2
        shape, product = (grad.shape[0], self.weight.shape[1]), self.product
        if half and used is None:  # one product, which is rounded once
            sums = grad.new_empty(shape)
            product.put(grad, self.weight.t(), None, sums)
            return sums
        sums = grad.new_zeros(shape, dtype=torch.float32 if half else self.dtype)
        for c in self._chunks(sums.dtype, used):
            product.add(grad[:, c], self.weight[c].to(self.dtype).t(), sums, self.scratch)
        return sums.to(self.dtype)

    def add_by_class(self, part: Tensor, x: Tensor, c: Any) -> None:
        """Add partᵀ·x to the rows c of the weight's gradient."""
        assert self.grad_weight is not None
        product, a, b = self.product, part.t(), x.t()
        rows = self.grad_weight[c]
        if isinstance(c, Tensor):  # a copy
            product.add(a, b, rows, self.scratch)
            self.grad_weight[c] = rows
        elif not self.untouched:
            product.add(a, b, rows, self.scratch)
        elif rows.dtype == self.dtype:
            product.put(a, b, None, rows)
        else:
            made = self.scratch[: rows.numel()].view(rows.shape)
            product.put(a, b, None, made)
            rows.copy_(made)

    # --- for chunks.Layer

    def as_array(self, made: Tensor) -> Array:
        return as_numpy(made.cpu())

    def sums(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def add_chunk(self, grad: Tensor, x: Tensor, classes: slice, sums: Tensor) -> None:
        if self.grad_bias is not None:
            self.grad_bias[classes] += grad.sum(0)
        if self.grad_input is not None:
            w = self.weight[classes].to(self.dtype).t()
            self.product.add(grad, w, sums, self.scratch)
        if self.grad_weight is not None:
            self.add_by_class(grad, x, classes)

    def set_sums(self, where: slice | Array, sums: Tensor) -> None:
        if self.grad_input is not None:
            self.grad_input[self._index(where)] = sums
        self.untouched = False

    def gradients(self) -> tuple[Tensor, ...]:
        """With respect to the input, the weight and the bias, in `held_dtypes`."""
        made = (self.grad_input, self.grad_weight, self.grad_bias)
        return tuple(
            self.input.new_empty(0, dtype=dtype) if g is None else rounded(g, dtype)
            for g, dtype in zip(made, self.held, strict=True)
        )


def rounded(g: Tensor, dtype: torch.dtype) -> Tensor:
    """The gradient in this dtype."""
    return g if g.dtype is dtype else new_memory(g.shape, dtype, g.device).copy_(g)
