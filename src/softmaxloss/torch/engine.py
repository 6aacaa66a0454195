"""The engine for tensors: (input, target, weight, sample_weight, options) → the loss,
differentiable.

What computes, in this order: PyTorch's operations in `formula`, for derivatives that no operator
has; an autograd function that makes the gradient along with the loss; the operators of `operators`,
for compiled graphs and everything else.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import engine
from ..errors import OptionError
from ..kernels import HOST, direct_on, has_kernel
from ..kernels.openmp import share_threads
from ..kernels.softcap import z_loss_of
from ..kernels.threads import follow, get_num_threads
from ..logits import without_classes
from ..options import Options, field_values
from ..reduction import read_upstream
from ..scores import Scores
from ..text import shown
from . import distributed, formula, operators
from ._private import (
    apply_of,
    base_of,
    exchange_of_tensors,
    forward_mode_is_active,
    function_transforms_are_active,
    is_batched,
    is_recorded,
    openmp_parallel,
    saved_tensors_are_hooked,
    version_of,
)
from .distributed import is_distributed
from .tensors import (
    as_float64,
    as_numpy,
    empty_like,
    is_eager,
    is_for_onnx,
    is_plain,
    of_each_row,
    one_number,
    require_dense,
    tensor_beside,
)

# Logits, target, weight and sample_weight.
Given = tuple[Tensor, Tensor, Tensor | None, Tensor | None]


def needs_formula(*arrays: Tensor | None) -> bool:
    """Whether derivatives are asked for that the operators do not have: with respect to these
    arrays (target, weight, sample_weight), in forward mode, or by torch.func, which does not
    differentiate operators."""
    for array in arrays:
        if array is not None and array.requires_grad:
            return True
    return function_transforms_are_active() or forward_mode_is_active()


def cross_entropy(
    input: Tensor,
    target: Any,
    weight: Any,
    sample_weight: Any,
    options: Options,
    inplace: bool = False,
) -> Tensor:
    """The loss, as `softmaxloss.torch.cross_entropy` describes it."""
    if inplace is not False:
        check_inplace(inplace)
    given = _beside(input, target, weight, sample_weight)
    if needs_formula(*given[1:]):
        if is_distributed(input):
            return distributed.cross_entropy(cross_entropy, *given, options)
        return formula.reduced_loss(*given, options)
    if is_eager(input) and _has_kernel(input):
        if not (input.requires_grad and torch.is_grad_enabled()):
            return _compute(given, options, 1.0, None)
        if inplace:
            _require_to_overwrite(input)
            inplace = not input.is_neg()  # a view that the kernel cannot write to
        later = not inplace and (options.reduction == "none" or saved_tensors_are_hooked())
        loss: Tensor = _apply(*given, options, inplace, later)
        return loss
    if is_distributed(input):
        return distributed.cross_entropy(cross_entropy, *given, options)
    if is_for_onnx():
        return formula.reduced_loss(*given, options)
    result: Tensor = operators.cross_entropy(*given, *field_values(options))
    return result


def check_inplace(inplace: Any) -> None:
    """TypeError unless the option `inplace` is a bool."""
    if not isinstance(inplace, bool):
        raise TypeError(f"inplace must be True or False, got {shown(inplace)}")


def cross_entropy_with_grad(
    input: Tensor,
    target: Any,
    weight: Any,
    sample_weight: Any,
    options: Options,
    grad_output: Any,
    out: Any,
) -> tuple[Tensor, Tensor]:
    """(loss, gradient), as `softmaxloss.torch.cross_entropy_with_grad` describes them."""
    given = _beside(input, target, weight, sample_weight)
    _require_numbers(*given)
    upstream: Any = 1.0
    if grad_output is not None:
        upstream = tensor_beside(input, grad_output, "grad_output", "the logits are")
    if out is not None:
        _require_writable(out, input)
    if _has_kernel(input):
        grad = out
        if grad is None:
            grad = empty_like(input if input.is_floating_point() else input.double())
        loss = _compute(given, options, upstream, grad)
        if out is not None:
            torch.autograd.graph.increment_version(out)
        return loss, grad
    upstream = tensor_beside(input, upstream, "grad_output", "the logits are")
    read_upstream(as_float64(upstream.cpu()), without_classes(input.shape)[0], options)
    with torch.no_grad():
        loss = formula.reduced_loss(*given, options)
        grad = formula.reduced_gradient(upstream.expand(loss.shape), *given, options)
        return loss, grad if out is None else out.copy_(grad)


def _compute(
    given: Given, options: Options, upstream: float | Tensor, grad: Tensor | None
) -> Tensor:
    """The loss; `grad`, if there is one, is filled with the gradient."""
    loss = _empty_loss(given[0], options)
    if _directly(given, options, upstream, loss, grad):
        return loss
    arrays = operators.arrays_of(*given)
    if grad is None:
        return torch.from_numpy(np.asarray(engine.cross_entropy(*arrays, options)))
    factor = as_float64(upstream) if isinstance(upstream, Tensor) else upstream
    value, _ = engine.cross_entropy_with_grad(*arrays, options, factor, as_numpy(grad))
    return torch.from_numpy(np.asarray(value))


def _empty_loss(logits: Tensor, options: Options) -> Tensor:
    """Memory for the loss."""
    one = _ONE_NUMBER.get(logits.dtype, _ONE_NUMBER[torch.float64])
    if options.reduction != "none" or logits.ndim < 2:
        return torch.empty_like(one)
    if logits.ndim == 2:  # a size is read sooner than a shape
        return one.new_empty(logits.size(0))
    return one.new_empty(without_classes(tuple(logits.shape))[0])


def _has_kernel(tensor: Tensor) -> bool:
    """Whether some kernel computes on the tensor's device."""
    return has_kernel(
        HOST if tensor.is_cpu else tensor.device.type
    )  # asked in a quarter of the time


def _directly(
    given: Given,
    options: Options,
    upstream: float | Tensor,
    loss: Tensor | None,
    grad: Tensor | None,
) -> bool:
    """Fill `loss` and `grad`, those that are given, from the tensors as they are. False, with
    nothing written, where the kernel leaves the call to the engine."""
    if options.changes_logits:
        return False
    if _any_is_negated(given) or (not isinstance(upstream, float) and upstream.is_neg()):
        return False
    direct, threads = direct_on(HOST).direct, get_num_threads()
    return direct(*given, options, upstream, loss, grad, threads) is not None


def _any_is_negated(given: Given) -> bool:
    """Whether some tensor is a negated view: its memory has the numbers with the opposite sign."""
    logits, target, weight, sample_weight = given
    return (
        logits.is_neg()
        or target.is_neg()
        or (weight is not None and weight.is_neg())
        or (sample_weight is not None and sample_weight.is_neg())
    )


def score(input: Tensor, target: Any, weight: Any, sample_weight: Any, options: Options) -> Scores:
    """The scores of each example, as `softmaxloss.torch.score` describes them."""
    given = _beside(input, target, weight, sample_weight)
    if not (is_eager(*given) and _has_kernel(input)) or function_transforms_are_active():
        with torch.no_grad():
            if is_distributed(input):
                return Scores(*distributed.score(score, *given, options))  # type: ignore[arg-type]
            return formula.scores_of_call(*given, options)
    plain = weight is None and sample_weight is None and not options.label_smoothing
    if plain and not options.changes_logits and not _any_is_negated(given):
        arrays = direct_on(HOST).direct_score(*given[:2], options, get_num_threads())
        if arrays is not None:
            return Scores(*[torch.from_numpy(array) for array in arrays])  # type: ignore[arg-type]
    scores = engine.score(*operators.arrays_of(*given), options)
    return Scores(*[torch.from_numpy(np.asarray(array)) for array in scores])  # type: ignore[arg-type]


def z_loss(input: Tensor, target: Any, weight: Any, sample_weight: Any, options: Options) -> Tensor:
    """The part of the loss that is the z_loss, reduced as the loss is. It takes no gradient."""
    given = _beside(input, target, weight, sample_weight)
    if is_distributed(input):
        return distributed.cross_entropy(z_loss, *given, options)
    with torch.no_grad():
        each = replace(options, reduction="none", denominator=None)
        values: Tensor = z_loss_of(score(*given, each).logsumexp, options.z_loss)
        s = given[3]
        if s is not None:
            values = values * of_each_row(s, values.shape).to(values.dtype)
        if options.reduction == "none":
            return values
        return formula.mean(values, formula.divisor_of_call(*given, options))


def _beside(
    logits: Any, target: Any, weight: Any, sample_weight: Any
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """All as tensors where the logits are."""
    if not isinstance(logits, Tensor):
        raise TypeError(f"the logits must be a tensor here, got {type(logits).__name__}")
    if logits.is_nested or logits.layout is not torch.strided:
        require_dense(logits, "logits")
    target = tensor_beside(logits, target, "target", "the logits are")
    if weight is not None:
        weight = tensor_beside(logits, weight, "weight", "the logits are")
    if sample_weight is not None:
        sample_weight = tensor_beside(logits, sample_weight, "sample_weight", "the logits are")
    return logits, target, weight, sample_weight


def _require_numbers(*tensors: Tensor | None) -> None:
    """TypeError for tensors whose numbers are not known now."""
    if is_eager(*tensors) and not function_transforms_are_active():
        return
    other = next((type(t).__name__ for t in tensors if not is_plain(t)), None)
    if other is not None and not is_recorded() and not function_transforms_are_active():
        raise TypeError(
            f"cross_entropy_with_grad takes tensors of no subclass, got {other}, which may compute "
            "in its own way: pass tensor.as_subclass(torch.Tensor), or use cross_entropy"
        )
    raise TypeError(
        "cross_entropy_with_grad computes at once: not under torch.func, in a trace, or on tensors "
        "without memory, where cross_entropy works"
    )


def _require_writable(out: Any, logits: Tensor) -> None:
    if not isinstance(out, Tensor):
        raise TypeError(f"out must be a tensor, as the logits are, got {type(out).__name__}")
    if out.requires_grad or out.is_neg():
        raise OptionError(
            "out must be memory to write to: not a tensor that requires grad, nor a negated view"
        )
    dtype = logits.dtype if logits.is_floating_point() else torch.float64
    wanted = (tuple(logits.shape), dtype, logits.device)
    if (tuple(out.shape), out.dtype, out.device) != wanted:
        raise OptionError(
            f"out has shape {tuple(out.shape)} and dtype {out.dtype} on {out.device}; the gradient "
            f"needs shape {wanted[0]} and dtype {dtype} on {logits.device}"
        )


def _require_to_overwrite(logits: Tensor) -> None:
    """OptionError for logits whose memory the gradient cannot take."""
    base = base_of(logits)
    if logits.is_leaf or (base is not None and base.is_leaf and base.requires_grad):
        raise OptionError(
            "inplace=True writes the gradient over the logits, and these are a leaf of the graph: "
            "leave it out, or pass logits that a model computed"
        )
    if not logits.is_contiguous() and engine.may_overlap_itself(as_numpy(logits)):
        raise OptionError(
            "inplace=True writes the gradient over the logits, and some of these share memory, as "
            "after expand(): leave it out, or pass logits.contiguous()"
        )


class _Loss(torch.autograd.Function):
    """The loss and, in the same pass, the gradient for an upstream gradient of 1.

    The first backward pass hands that gradient out. Others compute from the logits, and so do all
    where the gradient is to be made `later`: where each example has an upstream gradient of its
    own, and where hooks see what is kept between the passes.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        weight: Tensor | None,
        sample_weight: Tensor | None,
        options: Options,
        inplace: bool,
        later: bool,
    ) -> Tensor:
        given = logits, target, weight, sample_weight
        grad = None if later else logits.detach() if inplace else empty_like(logits)
        loss = _compute(given, options, 1.0, grad)
        if inplace:
            torch.autograd.graph.increment_version(logits)
            ctx.version = version_of(logits)
        else:
            ctx.save_for_backward(*given)
        ctx.grad, ctx.options, ctx.inplace = grad, options, inplace
        return loss

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.inplace:
            return _in_place(ctx, grad_output), None, None, None, None, None, None
        grad, ctx.grad = ctx.grad, None
        if grad is None or torch.is_grad_enabled() or one_number(grad_output) != 1.0:
            # Computed again into the same memory instead of multiplied by the factor: in half
            # precision, entries that a loss scale keeps from underflow may already be 0.
            grad = _gradient(grad_output, ctx.saved_tensors, ctx.options, grad)
        return grad, None, None, None, None, None, None


def _gradient(grad_output: Tensor, given: Given, options: Options, grad: Tensor | None) -> Tensor:
    """The gradient times the upstream gradient, into the memory of `grad` if that is given."""
    if not torch.is_grad_enabled():
        if grad is None:
            grad = empty_like(given[0])
        if _directly(given, options, grad_output, None, grad):
            return grad
        if not is_batched(grad_output):
            _compute(given, options, grad_output, grad)
            return grad
    several: Tensor = operators.cross_entropy_backward(grad_output, *given, *field_values(options))
    return several


def _in_place(ctx: Any, grad_output: Tensor) -> Tensor:
    """The gradient in the logits' memory, times the upstream gradient."""
    wrong: str | None = None
    total: float | None = math.nan
    if ctx.grad is None:
        wrong = "the gradient is used up and the logits are lost; for a second backward pass"
    elif version_of(ctx.grad) != ctx.version:
        wrong = "the logits' memory holds the gradient and was written to since; if it must be,"
    elif torch.is_grad_enabled():
        wrong = "the logits are lost, and the gradient has no derivative; for create_graph=True"
    elif (total := one_number(grad_output.sum())) is None:
        wrong = "there is memory for one gradient only; for is_grads_batched=True"
    if wrong:
        raise RuntimeError(f"cross_entropy(…, inplace=True): {wrong} leave inplace out")
    grad: Tensor = ctx.grad
    ctx.grad = None
    if grad_output.ndim == 0 and total == 1:
        return grad
    classes = 1 if grad.ndim > 1 else 0
    upstream = grad_output if grad_output.ndim == 0 else grad_output.unsqueeze(classes)
    if total is not None and math.isfinite(total):
        return grad.mul_(upstream)
    unmoved = (grad == 0).all(classes, keepdim=True)  # rows that do not count: 0·∞ is 0 there
    return grad.mul_(upstream).masked_fill_(unmoved, 0.0)


follow(torch.get_num_threads)
_apply = apply_of(_Loss)
# A loss of logits of each dtype; of others it is float64. On the host, which a default device of
# PyTorch is not always.
_ONE_NUMBER = {
    logits: torch.zeros((), dtype=computed, device=HOST)
    for logits, computed in (
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
    )
}
if exchange_of_tensors() is not None:
    direct_on(HOST).know_tensors((Tensor, torch.nn.Parameter), exchange_of_tensors())
if parallel := openmp_parallel():
    share_threads(parallel)
