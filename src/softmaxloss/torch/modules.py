"""The losses as modules, in the shape of `torch.nn`."""

import inspect
import math
from typing import Any, Unpack

import torch
from torch import Tensor

from ..errors import OptionError
from ..options import (
    LinearOptionArguments,
    LinearOptions,
    OptionArguments,
    Options,
    checked_options,
    with_options,
)
from .engine import check_inplace
from .functional import cross_entropy, linear_cross_entropy
from .tensors import check_chunking, without_none

# A symbolic trace (torch.fx) of a module keeps the losses as calls.
torch.fx.wrap("cross_entropy")
torch.fx.wrap("linear_cross_entropy")


class _Loss(torch.nn.Module):
    """A module with class weights as a buffer and each option as an attribute.

    The options are those of a class of options but for the denominator, which is the batch's.
    """

    weight: Tensor | None
    _defaults: dict[str, Any]

    def __init_subclass__(cls, options: type[Options] | None = None) -> None:
        if options is None:  # a subclass of a loss, with a signature of its own
            return
        parameters = inspect.signature(options).parameters.values()
        cls._defaults = {p.name: p.default for p in parameters if p.name != "denominator"}
        with_options(options, "denominator")(cls)

    def _set(self, kind: type[Options], weight: Tensor | None, options: dict[str, Any]) -> None:
        for name in ("denominator", "sample_weight"):
            if name in options:
                raise TypeError(f"{name} is an argument of the call, not of the module")
        checked_options(kind, **options)
        self.register_buffer("weight", weight)
        for name, default in self._defaults.items():
            setattr(self, name, options.get(name, default))

    def _options(self) -> dict[str, Any]:
        """The options that are not the default itself, which a call would only check again."""
        defaults = self._defaults.items()
        return {name: value for name, d in defaults if (value := getattr(self, name)) is not d}

    def __prepare_scriptable__(self) -> Any:
        """What torch.jit.script asks a module for; its own error is of a keyword in our code."""
        raise TypeError(
            f"torch.jit.script does not compile {type(self).__name__}, whose call has keyword "
            "arguments: use torch.jit.trace, torch.compile or torch.export"
        )

    def extra_repr(self) -> str:
        options = self._options().items()
        return ", ".join(f"{n}={v!r}" for n, v in options if v != self._defaults[n])


class CrossEntropyLoss(_Loss, options=Options):
    """`torch.nn.CrossEntropyLoss` with the options of `softmaxloss.torch.cross_entropy`.

    >>> loss = CrossEntropyLoss(label_smoothing=0.1)
    >>> loss(torch.zeros(2, 4), torch.tensor([3, 0]))
    tensor(1.3863)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        inplace: bool = False,
        **options: Unpack[OptionArguments],
    ) -> None:
        super().__init__()
        check_inplace(inplace)
        self._set(Options, weight, dict(options))
        self.inplace = inplace

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        denominator: float | Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The loss of logits (C,), (N, C) or (N, C, d1, …); `denominator` is what "mean" divides
        by, for gradient accumulation over batches of different sizes; `sample_weight` has a weight
        for each example."""
        loss: Tensor = cross_entropy(
            input,
            target,
            self.weight,
            sample_weight=sample_weight,
            denominator=denominator,
            inplace=self.inplace,
            **self._options(),
        )
        return loss

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [super().extra_repr(), "inplace=True" * self.inplace]))


class LinearCrossEntropyLoss(_Loss, options=LinearOptions):
    """A linear layer and its loss in one module, whose logits are never all in memory.

    As `torch.nn.LinearCrossEntropyLoss`, with its arguments, attributes, parameters, initialisation
    and state dict (`linear.weight`, with bias=True `linear.bias`), and all options of
    `softmaxloss.torch.linear_cross_entropy`.

    >>> loss = LinearCrossEntropyLoss(8, 1000)
    >>> loss(torch.zeros(2, 8), torch.tensor([3, 0]))
    tensor(6.9078, grad_fn=<...>)
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        weight: Tensor | None = None,
        device: Any = None,
        dtype: torch.dtype | None = None,
        return_scores: bool = False,
        options: Any = None,
        **given: Unpack[LinearOptionArguments],
    ) -> None:
        if weight is not None and weight.shape != (num_classes,):
            raise OptionError(
                f"weight has shape {tuple(weight.shape)}; {num_classes} classes need shape "
                f"({num_classes},)"
            )
        check_chunking(options)
        super().__init__()
        self._set(LinearOptions, weight, without_none(given))
        self.num_classes, self.out_features = num_classes, tuple(out_features)
        self.return_scores, self.options = return_scores, options
        outputs = math.prod(self.out_features, start=num_classes)
        self.linear = torch.nn.Linear(in_features, outputs, bias=bias, device=device, dtype=dtype)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        *,
        denominator: float | Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> Any:
        """The loss of input (…, in_features), with target and sample_weight as in
        `linear_cross_entropy`; with out_features of input (N, in_features)."""
        weight: Tensor = self.linear.weight
        bias: Tensor | None = self.linear.bias
        if self.out_features:
            shape = (self.num_classes, *self.out_features)
            weight = weight.reshape(*shape, self.linear.in_features)
            bias = None if bias is None else bias.reshape(shape)
        return linear_cross_entropy(
            input,
            weight,
            target,
            linear_bias=bias,
            weight=self.weight,
            sample_weight=sample_weight,
            denominator=denominator,
            return_scores=self.return_scores,
            **self._options(),
        )

    def extra_repr(self) -> str:
        shape = f"in_features={self.linear.in_features}, num_classes={self.num_classes}"
        several = f"out_features={self.out_features}" if self.out_features else ""
        bias = f"bias={self.linear.bias is not None}"
        return ", ".join(filter(None, [shape, several, bias, super().extra_repr()]))
