"""The losses as modules, in the shape of `torch.nn`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..options import MultiLabel, Reduction
from .loss import cross_entropy

__all__ = ["CrossEntropyLoss"]


class CrossEntropyLoss(torch.nn.Module):
    """`torch.nn.CrossEntropyLoss` with the options of `softmaxloss.torch.cross_entropy`.

    >>> loss = CrossEntropyLoss(label_smoothing=0.1)
    >>> loss(torch.zeros(2, 4), torch.tensor([3, 0]))
    tensor(1.3863)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        multi_label: MultiLabel = "error",
        first_class: int = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.options: dict[str, Any] = {
            "ignore_index": ignore_index,
            "reduction": reduction,
            "label_smoothing": label_smoothing,
            "multi_label": multi_label,
            "first_class": first_class,
            "inplace": inplace,
        }

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        denominator: float | None = None,
    ) -> Tensor:
        """The loss of logits (C,), (N, C) or (N, C, d1, …); `denominator` is what "mean" divides
        by, for gradient accumulation over batches of different sizes."""
        return cross_entropy(input, target, self.weight, denominator=denominator, **self.options)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())
