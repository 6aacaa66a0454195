"""The loss of DTensors: each process computes the rows that it has.

Logits sharded by their first axis stay where they are, and so do replicated ones. Of logits that
are sharded by another axis, or partial, each process gets whole rows first. The linear loss on
DTensors, in linear/distributed.py, shares the rules.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..options import Options
from . import formula


def is_distributed(tensor: Tensor) -> bool:
    """Whether the tensor is a DTensor. Its module is not imported without need.

    >>> is_distributed(torch.zeros(2))
    False
    """
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def cross_entropy(
    loss_of: Callable[..., Tensor],
    logits: Any,
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    options: Options,
) -> Tensor:
    """The loss as a DTensor. `loss_of` computes it for tensors of one process."""
    rows, local = _of_process(logits, target, weight, sample_weight)
    losses = rows.sharded(loss_of(*local, replace(options, reduction="none", denominator=None)))
    if options.reduction == "none":
        return losses
    if options.reduction == "sum":
        return losses.sum()
    if options.denominator is not None:
        return losses.sum() / options.denominator
    divisor = rows.summed(formula.divisor_of_call(*local, options))
    return formula.mean(losses, divisor)


def score(values_of: Callable[..., Sequence[Any]], *given: Any) -> list[Tensor]:
    """The scores as DTensors. `values_of` computes them for tensors of one process."""
    *tensors, options = given
    rows, local = _of_process(*tensors)
    return [rows.sharded(values) for values in values_of(*local, options)]


def _of_process(
    logits: Any, target: Tensor, weight: Tensor | None, sample_weight: Tensor | None
) -> tuple["Rows", tuple[Any, Any, Any, Any]]:
    """The arguments of a call, of those rows that this process has."""
    whole = logits.ndim > 1
    shape = logits.shape[:1] + logits.shape[2:] if whole else logits.shape[:0]
    rows = Rows(logits, shape, axes=1 if whole else 0)
    given, y, s = (rows.of_rows(tensor) for tensor in (logits, target, sample_weight))
    return rows, (given, y, rows.of_all(weight), s)


class Rows:
    """Which rows this process has: those of a DTensor whose first `axes` axes are of rows. `shape`
    is that of the rows of all processes."""

    def __init__(self, tensor: Any, shape: Sequence[int], axes: int) -> None:
        from torch.distributed.tensor import Replicate

        self.mesh, self.shape = tensor.device_mesh, torch.Size(shape)
        self.everywhere = [Replicate()] * self.mesh.ndim
        self.placements: list[Any] = [
            p if p.is_shard() and p.dim < axes else Replicate() for p in tensor.placements
        ]

    def of_rows(self, tensor: Any) -> Any:
        """Of a tensor whose first axes are those of the rows, the part of this process."""
        if tensor is None:
            return None
        from torch.distributed.tensor import Partial

        has_axis = [p.is_shard() and p.dim < tensor.ndim for p in self.placements]
        pairs = list(zip(self.placements, has_axis, strict=True))
        # One weight for a whole example is needed by every process that has some of its rows.
        shared = [Partial() if p.is_shard() and not has else p for p, has in pairs]
        placements = [p if has else self.everywhere[0] for p, has in pairs]
        return self._local(tensor, placements, shared)

    def of_all(self, tensor: Any) -> Any:
        """A tensor that all rows need. Its gradient is the sum of those of all rows."""
        return None if tensor is None else self._local(tensor, self.everywhere, self._partial())

    def _local(self, tensor: Any, placements: list[Any], of_gradient: Any = None) -> Tensor:
        from torch.distributed.tensor import DTensor

        if not isinstance(tensor, DTensor):  # the same in all processes
            tensor = DTensor.from_local(tensor, self.mesh, self.everywhere, run_check=False)
        tensor = tensor.redistribute(self.mesh, placements)
        local: Tensor = tensor.to_local(grad_placements=of_gradient)
        return local

    def _partial(self) -> list[Any]:
        """The placements of sums of which each process has a part, over its rows."""
        from torch.distributed.tensor import Partial

        return [Partial() if p.is_shard() else p for p in self.placements]

    def sharded(self, values: Tensor) -> Tensor:
        """One number for each of the rows of this process as a DTensor."""
        from torch.distributed.tensor import DTensor

        strides = torch.empty(self.shape, device="meta").stride()
        made: Tensor = DTensor.from_local(
            values, self.mesh, self.placements, run_check=False, shape=self.shape, stride=strides
        )
        return made

    def summed(self, part: Tensor) -> Tensor:
        """The sum over all rows of what is `part` over the rows of this process."""
        from torch.distributed.tensor import DTensor

        made = DTensor.from_local(part, self.mesh, self._partial(), run_check=False)
        total: Tensor = made.redistribute(self.mesh, self.everywhere)
        return total
