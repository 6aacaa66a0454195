"""The loss of DTensors: each process computes the rows that it has.

Logits sharded by their first axis stay where they are, and so do replicated ones. Of logits that
are sharded by another axis, or partial, each process gets whole rows first.
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
    given = _Rows(logits, target, weight, sample_weight)
    each = replace(options, reduction="none", denominator=None)
    losses = given.sharded(loss_of(*given.local, each))
    if options.reduction == "none":
        return losses
    if options.reduction == "sum":
        return losses.sum()
    if options.denominator is not None:
        return losses.sum() / options.denominator
    divisor = given.summed(formula.divisor_of_call(*given.local, options))
    return formula.mean(losses, divisor)


def score(values_of: Callable[..., Sequence[Any]], *given: Any) -> list[Tensor]:
    """The scores as DTensors. `values_of` computes them for tensors of one process."""
    *tensors, options = given
    rows = _Rows(*tensors)
    return [rows.sharded(values) for values in values_of(*rows.local, options)]


class _Rows:
    """The arguments of a call, of those rows that this process has."""

    def __init__(
        self, logits: Any, target: Tensor, weight: Tensor | None, sample_weight: Tensor | None
    ) -> None:
        from torch.distributed.tensor import Replicate

        self.mesh, self.shape = logits.device_mesh, logits.shape[:1] + logits.shape[2:]
        by_row = logits.ndim > 1
        self.everywhere = [Replicate()] * self.mesh.ndim
        self.placements = [
            p if by_row and p.is_shard(0) else Replicate() for p in logits.placements
        ]
        if not by_row:
            self.shape = logits.shape[:0]
        self.local = (
            self._here(logits, self.placements),
            self._here(target, self.placements),
            # Its gradient is the sum of those of all rows.
            None if weight is None else self._here(weight, self.everywhere, self._partial()),
            None if sample_weight is None else self._here(sample_weight, self.placements),
        )

    def _here(self, tensor: Any, placements: list[Any], of_gradient: Any = None) -> Tensor:
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
