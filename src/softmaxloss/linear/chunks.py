"""The other loop of the linear loss: many rows, and chunks of their classes one after the other.

Where few rows of all classes fit in the budget, products of so few rows are slow, and the weight
and its gradient are read once for each block of them. Here a chunk's logits stay in cache, and the
weight is read once. A first pass over the classes merges the softmax of the chunks; for gradients a
second one makes the logits again, four products in place of three, except for those that the
budget kept. It takes class indices; what a chunk needs of the kernel is what
`softmaxloss.parallel` needs for the classes of one process.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..arrays import Array
from ..kernels import Kernel
from ..labels import ClassIndices
from ..options import Options
from .plan import Plan

_EACH = Options(reduction="none")


class Layer(Protocol):
    """A linear layer in the arrays of some library. x are rows of its input."""

    kernel: Kernel
    class_weight: Array | None

    def memory(self, numbers: int) -> Any:
        """Memory for so many logits, (numbers,)."""

    def rows(self, where: slice | Array) -> Any:
        """x: these rows of the input, as the products take them."""

    def make_chunk(self, x: Any, classes: slice, logits: Any) -> None:
        """Fill the logits with x·Wᵀ + b of these classes."""

    def as_array(self, made: Any) -> Array:
        """What the library made, such as logits, as an array; on the CPU on the same memory."""

    def add_chunk(self, grad: Any, x: Any, classes: slice, sums: Any) -> None:
        """Add to the layer's gradients, and to `sums` that with respect to x."""

    def sums(self, x: Any) -> Any:
        """Zeros for the gradient with respect to x."""

    def set_sums(self, where: slice | Array, sums: Any) -> None:
        """The gradient with respect to x is complete."""


@np.errstate(invalid="ignore", over="ignore")
def run(layer: Layer, plan: Plan, factor: float | Array, with_gradient: bool) -> Array:
    """The losses of the rows that count, float64. With a gradient the layer adds up its gradients,
    in which the row's loss counts `factor` times."""
    losses = np.empty(plan.counted_rows, np.float64)
    factors = np.broadcast_to(np.asarray(factor, np.float64), losses.shape)
    memory = layer.memory(plan.most_rows * plan.chunk * plan.kept)
    # Once for all blocks: freed and allocated again, it would leave holes in the heap.
    softmaxes = np.empty((2, len(list(plan.chunks())), plan.most_rows))
    for block in plan.blocks:
        where = block if plan.counted is None else plan.counted[block]
        labels: Any = plan.target.at(where)
        y = labels.values.astype(np.int64)
        group = _Group(layer, plan, memory, softmaxes, layer.rows(where), y)
        losses[block] = group.losses()
        if with_gradient:
            layer.set_sums(where, group.gradients(factors[block]))
    return losses


class _Group:
    """Some rows: their softmax over all classes, and their gradients."""

    def __init__(
        self, layer: Layer, plan: Plan, memory: Any, softmaxes: Array, x: Any, y: Array
    ) -> None:
        self.layer, self.plan, self.memory, self.x, self.y = layer, plan, memory, x, y
        self.each = np.arange(len(y))
        w = layer.class_weight
        self.weight = np.ones(len(y)) if w is None else w[y]
        self.chunks = list(plan.chunks())
        self.m, self.S = softmaxes[:, :, : len(y)]
        self.z_y = np.empty(len(y))

    def losses(self) -> Array:
        """w·((m − z_y) + log1p(S)), from the softmax of each chunk."""
        m, S = np.full(len(self.y), -np.inf), np.zeros(len(self.y))
        for i, c in enumerate(self.chunks):
            z = self._logits(i)
            self.m[i], self.S[i] = peak, rest = self._softmax(z)
            own = self._own(c)
            self.z_y[own] = z[own, self.y[own] - c.start]
            top = np.maximum(m, peak)
            of = np.where(top == -np.inf, 0.0, top)  # nothing but masked classes so far
            S = np.where(peak > m, rest + (1 + S) * exp(m, of), S + (1 + rest) * exp(peak, of))
            m = top
        self.top, self.sum = np.where(np.isfinite(m), m, np.nan), S
        loss = (self.top - self.z_y) + np.log1p(S)
        return np.where(self.weight == 0, 0.0, self.weight * loss)

    def gradients(self, factor: Array) -> Any:
        """The gradient with respect to x; the layer has added up the others."""
        sums = self.layer.sums(self.x)
        f = np.where(self.weight == 0, 0.0, factor * self.weight)
        losses = np.empty(len(self.y))
        for i in reversed(range(len(self.chunks))):
            c = self.chunks[i]
            z = self._logits(i, again=True)
            own = self._own(c)
            one = np.where(own, self.y - c.start, 0)
            z_one = z[self.each, one].astype(np.float64)
            p = exp(z_one, self.top) / (1 + self.sum)
            rest = np.where(z_one == self.top, self.sum / (1 + self.sum), 1 - p)
            # The kernel's softmax is that of the chunk alone. The entry of one class is set here.
            lift = exp(self.m[i], self.top) * ((1 + self.S[i]) / (1 + self.sum))
            empty = (self.m[i] == -np.inf) & ~np.isnan(lift)
            target = ClassIndices(np.where((f == 0) | empty, -1, one), -1, True)
            self._kernel(z, target, f * lift, losses, z)
            z[self.each, one] = np.where(f == 0, 0.0, f * np.where(own, -rest, p))
            self.layer.add_chunk(self._memory(i), self.x, c, sums)
        return sums

    def _memory(self, i: int) -> Any:
        """The logits of a chunk. All but the first few chunks take turns in one place."""
        numbers = len(self.y) * self.plan.chunk
        start = min(i, self.plan.kept - 1) * numbers
        c = self.chunks[i]
        shape = (len(self.y), c.stop - c.start)
        return self.memory[start : start + shape[0] * shape[1]].reshape(shape)

    def _logits(self, i: int, again: bool = False) -> Array:
        """The logits of a chunk, made unless they are there from the first time."""
        made = again and (i < self.plan.kept - 1 or i == len(self.chunks) - 1)
        memory = self._memory(i)
        if not made:
            self.layer.make_chunk(self.x, self.chunks[i], memory)
        return self.layer.as_array(memory)

    def _own(self, c: slice) -> Array:
        """The rows whose true class is in the chunk."""
        return np.asarray((self.y >= c.start) & (self.y < c.stop))

    def _softmax(self, z: Array) -> tuple[Array, Array]:
        """Of each row the largest logit m and Σ exp(z_n − m) without one largest term."""
        k = z.argmax(1)
        m = z[self.each, k].astype(np.float64)
        loss = np.empty(len(z))
        self._kernel(z, ClassIndices(k, -1, False), 1.0, loss, None)
        return m, np.where(m == -np.inf, 0.0, np.expm1(loss))

    def _kernel(
        self, z: Array, target: ClassIndices, factor: Any, loss: Array, grad: Array | None
    ) -> None:
        grad = None if grad is None else grad[:, :, None]
        self.layer.kernel.cross_entropy(
            z[:, :, None], target, None, None, _EACH, factor, loss, grad
        )


@np.errstate(invalid="ignore")
def exp(z: Array, m: Array) -> Array:
    """exp(z − m) with what rounding z − m loses, which is up to 400 units in its last place.

    >>> exp(np.array([-np.inf, 1.0]), np.ones(2))
    array([0., 1.])
    """
    d = z - m
    shadow = d - z
    lost = (z - (d - shadow)) - (m + shadow)
    e = np.exp(d)
    return np.asarray(np.where((e > 0) & np.isfinite(lost), e + e * lost, e))
