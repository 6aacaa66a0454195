"""The engine of the losses over process groups: exchange, merge, reduce, and the backward pass."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import OptionError
from ..kernels import has_kernel
from ..options import Options, field_names
from ..reduction import divisor_for, finite_divisor, total
from ..scores import IGNORED, Scores
from ..torch._private import forward_mode_is_active, function_transforms_are_active
from ..torch.formula import compute_dtype
from ..torch.tensors import eager_options, empty_like
from . import slices
from .call import Call
from .exchange import Message, gather
from .merge import entropy_of, in_order

AnyCall = TypeVar("AnyCall", bound=Call)


class Groups:
    """The process groups of a call; None where the classes, or the rows, are not split."""

    def __init__(self, classes: Any, rows: Any) -> None:
        if classes is None and rows is None:
            raise OptionError("pass class_group, row_group or both: the ranks that share the work")
        for name, group in (("class_group", classes), ("row_group", rows)):
            if group is not None and not isinstance(group, dist.ProcessGroup):
                raise TypeError(
                    f"{name} must be a process group or None, got {type(group).__name__}"
                )
            if group is not None and dist.get_rank(group) < 0:
                raise OptionError(f"this process is not in {name}")
        self.classes, self.rows = classes, rows
        self.rank = 0 if classes is None else dist.get_rank(classes)


def cross_entropy(
    input: Any, target: Any, weight: Any, sample_weight: Any, given: dict[str, Any], groups: Groups
) -> Tensor:
    """The loss, as `softmaxloss.parallel.cross_entropy` describes it."""

    def make() -> Call:
        options = eager_options(Options, given)
        return Call(input, target, weight, sample_weight, options, scored=False)

    call, loss, divisor = loss_of(make, given, groups, device_of(input))
    loss = loss.to(compute_dtype(input))
    if not (input.requires_grad and torch.is_grad_enabled()):
        return loss
    result: Tensor = _apply(input, call, loss, divisor)
    return result


def loss_of(
    make: Callable[[], AnyCall], given: dict[str, Any], groups: Groups, device: torch.device
) -> tuple[AnyCall, Tensor, float]:
    """The call that `make` makes, its loss, float64, and what that was divided by. Raises the error
    of any rank; `given` are the options that made the call."""
    call, error = None, None
    try:
        call = merged(make, groups, device)
    except Exception as raised:
        error = raised
    each = given.get("reduction") == "none" if call is None else call.options.reduction == "none"
    if error is not None and (groups.rows is None or each):
        raise error
    if each:
        assert call is not None
        return call, call.losses.reshape(call.lead_shape), 1.0
    loss, divisor = _reduced(call, error, groups, device)
    assert call is not None
    return call, loss, divisor


def merged(make: Callable[[], AnyCall], groups: Groups, device: torch.device) -> AnyCall:
    """The call, with the softmax and the loss of each row. Raises the error of any rank."""
    if function_transforms_are_active() or forward_mode_is_active():
        # Nothing can be sent from there; the other ranks will be in the same place.
        raise TypeError(
            "the losses over process groups have no forward-mode derivatives and do not work "
            "under torch.func"
        )
    try:
        call = make()
    except Exception as error:
        _ask(groups.classes, device, Message.failed(error))
        raise
    if not call.by_index and call.options.multi_label == "mean":

        def sums(sizes: tuple[int, ...]) -> Tensor:
            call.read(sizes, groups.rank)
            return slices.sum_of(call.probabilities)

        call.divide_target(in_order(_ask_all(call, groups, "sums", call.rows, sums)))
    need = len(call.fields) * call.rows
    call.merge(
        _ask_all(call, groups, "numbers", need, lambda sizes: call.numbers(sizes, groups.rank))
    )
    return call


def score(
    input: Any, target: Any, weight: Any, sample_weight: Any, given: dict[str, Any], groups: Groups
) -> Scores:
    """The scores, as `softmaxloss.parallel.score` describes them."""

    def make() -> Call:
        options = eager_options(Options, {**given, "reduction": "none"})
        return Call(input, target, weight, sample_weight, options, scored=True)

    call = merged(make, groups, device_of(input))
    row, of, dtype = call.row, call.of, compute_dtype(input)
    z, ignored = call.true_logits()
    larger = _ask_all(call, groups, "ranks", call.rows, lambda sizes: call.count_larger(z))
    k = of["k"].gather(0, row.first[None])[0].long()
    rank = 1 + in_order(larger).long()
    undefined = row.m.isnan()
    scores = Scores(
        call.losses,  # type: ignore[arg-type]
        row.probability(z),  # type: ignore[arg-type]
        k.masked_fill(undefined, -1),  # type: ignore[arg-type]
        rank.masked_fill(undefined, 0),  # type: ignore[arg-type]
        entropy_of(of["entropy"], of["m"], of["S"], row),  # type: ignore[arg-type]
        row.m + row.L,  # type: ignore[arg-type]
    )
    made: list[Any] = []
    for values, value in zip(scores, IGNORED, strict=True):
        values = values.masked_fill(ignored, value.item())  # type: ignore[attr-defined]
        values = values if values.dtype is torch.int64 else values.to(dtype)
        made.append(values.reshape(call.lead_shape))
    made[2] += call.options.first_class
    return Scores(*made)


def _ask(group: Any, device: torch.device, message: Message) -> Tensor:
    """The numbers of all ranks, (ranks, need); those of this one where nothing is split."""
    if group is not None:
        return gather(group, device, message)
    if message.error is not None:
        raise message.error
    return message.numbers((message.classes,)).reshape(1, -1)


def _ask_all(call: Call, groups: Groups, what: str, need: int, numbers: Any) -> Tensor:
    message = Message(f"{what}; {call.text}", call.classes, need, numbers, *call.checksums())
    return _ask(groups.classes, call.logits.device, message)


def device_of(input: Any) -> torch.device:
    return input.device if isinstance(input, Tensor) else torch.device("cpu")


def _reduced(
    call: Call | None, error: Exception | None, groups: Groups, device: torch.device
) -> tuple[Tensor, float]:
    """The loss of all rows, of all ranks that share them, and what it was divided by."""
    message = Message.failed(error or OptionError("no call"))
    if call is not None:
        sums = [_total(call.losses), _total(call.counted_weights())]
        here = torch.tensor(sums, dtype=torch.float64)
        options = "; ".join(
            f"{name}={getattr(call.options, name)}" for name in field_names(type(call.options))
        )
        text = f"{options}; dtype={str(call.logits.dtype).removeprefix('torch.')}"
        message = Message(text, 0, 2, lambda sizes: here)
    parts = _ask(groups.rows, device, message).cpu()
    assert call is not None
    losses, weights = in_order(parts).tolist()
    divisor = finite_divisor(float(divisor_for(call.options, 0, lambda: weights)))
    loss = losses / divisor if divisor else math.nan
    return torch.tensor(loss, dtype=torch.float64, device=device), divisor


def _total(values: Tensor) -> float:
    """The sum, within 1 ulp where a kernel adds."""
    if has_kernel(values.device.type):
        return total(values.numpy())
    return float(values.sum())


class _Loss(torch.autograd.Function):
    """The loss, whose gradient is computed in the backward pass, without the other ranks."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, call: Call, loss: Tensor, divisor: float) -> Tensor:
        ctx.save_for_backward(input)
        ctx.call, ctx.divisor = call.without_logits(), divisor
        return loss

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivatives()
        (input,) = ctx.saved_tensors
        grad = empty_like(input)
        ctx.call.gradient(input, factor_of(ctx.call, grad_output, ctx.divisor), grad)
        return grad, None, None, None


def refuse_second_derivatives() -> None:
    """RuntimeError in a backward pass with create_graph=True: a gradient without a graph would
    silently count as constant."""
    if torch.is_grad_enabled():
        raise RuntimeError(
            "create_graph=True: the losses over process groups have no second derivatives"
        )


def factor_of(call: Call, grad_output: Tensor, divisor: float) -> Tensor:
    """What the gradient of each row's loss is multiplied by."""
    upstream = grad_output.double().reshape(-1).expand(call.rows)
    factor = upstream / divisor if divisor else torch.zeros_like(upstream)
    return factor if call.s is None else factor * call.s


_apply: Any = _Loss.apply
