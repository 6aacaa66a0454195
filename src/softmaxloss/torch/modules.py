"""The losses as modules, in the shape of `torch.nn`."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from ..options import MultiLabel, Reduction, checked_options
from .functional import cross_entropy
from .linear import linear_cross_entropy

__all__ = ["CrossEntropyLoss", "LinearCrossEntropyLoss"]

# A symbolic trace (torch.fx) of a module keeps the losses as calls.
torch.fx.wrap("cross_entropy")
torch.fx.wrap("linear_cross_entropy")


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
        checked_options(ignore_index, reduction, label_smoothing, multi_label, None, first_class)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction: Reduction = reduction
        self.label_smoothing = label_smoothing
        self.multi_label: MultiLabel = multi_label
        self.first_class = first_class
        self.inplace = inplace

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        denominator: float | Tensor | None = None,
    ) -> Tensor:
        """The loss of logits (C,), (N, C) or (N, C, d1, …); `denominator` is what "mean" divides
        by, for gradient accumulation over batches of different sizes."""
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            multi_label=self.multi_label,
            denominator=denominator,
            first_class=self.first_class,
            inplace=self.inplace,
        )

    def extra_repr(self) -> str:
        shown = {name: getattr(self, name) for name in _DEFAULTS}
        return ", ".join(f"{n}={v!r}" for n, v in shown.items() if v != _DEFAULTS[n])


_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(CrossEntropyLoss).parameters.items()
    if name != "weight"
}
_LINEAR_OPTIONS = inspect.signature(linear_cross_entropy).parameters.keys()


class LinearCrossEntropyLoss(torch.nn.Module):
    """A linear layer and its loss in one module, whose logits are never all in memory.

    As `torch.nn.LinearCrossEntropyLoss`, with its parameters, initialisation and state dict
    (`linear.weight`, with bias=True `linear.bias`), and all options of
    `softmaxloss.torch.linear_cross_entropy`.

    >>> loss = LinearCrossEntropyLoss(8, 1000)
    >>> loss(torch.zeros(2, 8), torch.tensor([3, 0]))
    tensor(6.9078, grad_fn=<...>)
    """

    weight: Tensor | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        bias: bool = False,
        weight: Tensor | None = None,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        unknown = options.keys() - _LINEAR_OPTIONS
        if unknown:
            raise TypeError(f"linear_cross_entropy has no option {min(unknown)!r}")
        self.linear = torch.nn.Linear(
            in_features, num_classes, bias=bias, device=device, dtype=dtype
        )
        self.register_buffer("weight", weight)
        self.options = options

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        denominator: float | Tensor | None = None,
    ) -> Any:
        """The loss of input (…, in_features), with target as in `linear_cross_entropy`."""
        return linear_cross_entropy(
            input,
            self.linear.weight,
            target,
            linear_bias=self.linear.bias,
            weight=self.weight,
            denominator=denominator,
            **self.options,
        )

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())
