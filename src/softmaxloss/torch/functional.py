"""The public functions for tensors, in the shape of `torch.nn.functional`."""

from typing import Any, Literal, Unpack, overload

from torch import Tensor

from ..linear.plan import Arguments, LinearGradients
from ..options import (
    LinearOptionArguments,
    LinearOptions,
    MultiLabel,
    OptionArguments,
    Options,
    with_options,
)
from ..scores import Scores
from . import engine, softmaxes
from .linear import distributed
from .linear import engine as linear
from .tensors import (
    check_chunking,
    eager_options,
    read_options,
    read_score_options,
    without_none,
)


@overload
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
    inplace: bool = False,
    return_z_loss: Literal[False] = False,
    **options: Unpack[OptionArguments],
) -> Tensor: ...


@overload
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
    inplace: bool = False,
    return_z_loss: Literal[True],
    **options: Unpack[OptionArguments],
) -> tuple[Tensor, Tensor]: ...


@overload
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
    inplace: bool = False,
    return_z_loss: bool,
    **options: Unpack[OptionArguments],
) -> Any: ...


@with_options(Options)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
    inplace: bool = False,
    return_z_loss: bool = False,
    **options: Unpack[OptionArguments],
) -> Any:
    """`torch.nn.functional.cross_entropy`, and the options of `softmaxloss.cross_entropy`, in nats.

    Where a gradient will be asked for, it is computed along with the loss, while a row is in cache.
    Derivatives of any order and in any mode work, as do torch.compile, torch.func and vmap. The
    gradient with respect to the logits comes from the library's kernels on the CPU, from the
    formula in PyTorch's operations on other devices; with respect to soft targets and weights of
    either kind it always comes from the formula.

    Args:
        input: The logits, (C,), (N, C) or (N, C, d1, …); any float dtype. Half precision is
            computed in float32.
        target: Class indices, of any integer dtype, in the shape of the logits without the class
            axis; or probabilities in the shape of the logits.
        weight: (C,) weights of the classes.
        sample_weight: Weights of the examples, in the shape of the logits without the class axis,
            or (N,), as in `softmaxloss.cross_entropy`.
        ignore_index, reduction, label_smoothing, multi_label, denominator, first_class, z_loss,
            softcap: As in `softmaxloss.cross_entropy`.
        inplace: The gradient may overwrite the logits, which must not be used afterwards. Autograd
            knows: if the operation that made the logits needs them, its backward pass raises. The
            gradient is available once and cannot be differentiated; an upstream gradient other than
            1 multiplies it, in the logits' dtype.
        return_z_loss: Also return the part of the loss that is the z_loss, which takes no gradient.

    Returns:
        A tensor, 0-d unless reduction="none": float32, float64 for float64 and integer logits. With
        return_z_loss (loss, z_loss).

    Raises:
        As `softmaxloss.cross_entropy`.

    Example:
        >>> import torch
        >>> z = torch.zeros(1, 4, requires_grad=True)
        >>> cross_entropy(z, torch.tensor([3])).backward()
        >>> z.grad
        tensor([[ 0.2500,  0.2500,  0.2500, -0.7500]])
    """
    checked, divisor = read_options(Options, dict(options))
    part = None
    if return_z_loss:  # first: the loss may overwrite the logits
        part = engine.z_loss(input, target, weight, sample_weight, checked)
    loss = engine.cross_entropy(input, target, weight, sample_weight, checked, inplace)
    if divisor is not None:
        loss, part = loss / divisor, None if part is None else part / divisor
    return (loss, part) if return_z_loss else loss


@with_options(Options)
def cross_entropy_with_grad(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
    grad_output: Tensor | float | None = None,
    out: Tensor | None = None,
    **options: Unpack[OptionArguments],
) -> tuple[Tensor, Tensor]:
    """(loss, gradient) of `softmaxloss.cross_entropy_with_grad` as tensors, outside of autograd.

    >>> import torch
    >>> cross_entropy_with_grad(torch.zeros(1, 4), torch.tensor([3]))[1]
    tensor([[ 0.2500,  0.2500,  0.2500, -0.7500]])
    """
    checked = eager_options(Options, dict(options))
    return engine.cross_entropy_with_grad(
        input, target, weight, sample_weight, checked, grad_output, out
    )


def score(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    multi_label: MultiLabel = "error",
    first_class: int = 0,
    z_loss: float = 0.0,
    softcap: float | None = None,
) -> Scores:
    """`softmaxloss.score`, as tensors on the logits' device, which take no gradient.

    The library's kernels compute it on the CPU, the formula in PyTorch's operations elsewhere, in
    torch.compile and under torch.func.

    >>> import torch
    >>> score(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([1])).rank
    tensor([2])
    """
    options = read_score_options(
        ignore_index, label_smoothing, multi_label, first_class, z_loss, softcap
    )
    return engine.score(input, target, weight, sample_weight, options)


def softmax(input: Tensor, dim: int | None = None) -> Tensor:
    """`softmaxloss.softmax` of a tensor, differentiable to any order; `dim` is its `axis`.

    >>> import torch
    >>> softmax(torch.zeros(1, 4), dim=1)
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    return softmaxes.softmax(input, dim)


def log_softmax(input: Tensor, dim: int | None = None) -> Tensor:
    """`softmaxloss.log_softmax` of a tensor, differentiable to any order; `dim` is its `axis`.

    Its gradient does not cancel where a probability is close to 1.

    >>> import torch
    >>> log_softmax(torch.tensor([0.0, 50.0]), dim=0)
    tensor([-5.0000e+01, -1.9287e-22])
    """
    return softmaxes.log_softmax(input, dim)


def logsumexp(input: Tensor, dim: int | None = None) -> Tensor:
    """`softmaxloss.logsumexp` of a tensor, differentiable to any order; `dim` is its `axis`.

    >>> import torch
    >>> logsumexp(torch.zeros(1, 4), dim=1)
    tensor([1.3863])
    """
    return softmaxes.logsumexp(input, dim)


@overload
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    return_scores: Literal[False] = False,
    options: Any = None,
    **given: Unpack[LinearOptionArguments],
) -> Tensor: ...


@overload
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    return_scores: Literal[True],
    options: Any = None,
    **given: Unpack[LinearOptionArguments],
) -> tuple[Tensor, Scores]: ...


@overload
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    return_scores: bool,
    options: Any = None,
    **given: Unpack[LinearOptionArguments],
) -> Any: ...


@with_options(LinearOptions)
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    return_scores: bool = False,
    options: Any = None,
    **given: Unpack[LinearOptionArguments],
) -> Any:
    """The softmax cross-entropy loss, in nats, of the logits z = W·x + b, never held all at once.

    `softmaxloss.linear_cross_entropy` describes the arguments. Here they are tensors on one device;
    input, linear_weight and linear_bias are of one dtype: float32, float64, bfloat16 or float16.

    As in PyTorch, linear_weight may be (C, d1, …, features) and linear_bias (C, d1, …): one layer
    for each position, for input (N, features) and target (N, d1, …) or (N, C, d1, …). `options`,
    PyTorch's LinearCrossEntropyOptions, is accepted and has no effect: memory_budget says how much
    is computed at a time. ignore_index=None is the default.

    The loss is differentiable with respect to input, linear_weight and linear_bias, to any order;
    those that require no gradient cost no matrix product. float16 and bfloat16: logits are bfloat16
    or, for float16, float32; the loss is float32; the gradients are rounded at the end, those of
    weight and bias from a sum over the blocks of rows in float32. That sum takes 4 bytes per
    weight, beside the budget, where there is more than one block.

    Works in torch.compile(fullgraph=True), and under autocast as torch.nn.functional.linear does.

    Returns:
        The loss: a scalar, with reduction="none" in the shape of input without its last axis; with
        return_scores (loss, Scores), whose tensors take no gradient.

    Raises:
        As `softmaxloss.linear_cross_entropy`.

    Example:
        >>> import torch
        >>> x = torch.tensor([[2.0, 0.0], [0.0, 1.0]], requires_grad=True)
        >>> W = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], requires_grad=True)
        >>> loss = linear_cross_entropy(x, W, torch.tensor([0, 2]))
        >>> loss.backward()
        >>> loss.item()
        0.8103...
    """
    check_chunking(options)
    checked, divisor = read_options(LinearOptions, without_none(given))
    arrays = Arguments(input, linear_weight, linear_bias, target, weight, sample_weight)
    loss, scores = distributed.cross_entropy(arrays, checked, return_scores)
    loss = loss if divisor is None else loss / divisor
    return (loss, scores) if return_scores else loss


@with_options(LinearOptions)
def linear_cross_entropy_with_grad(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    grad_output: Tensor | float | None = None,
    **options: Unpack[LinearOptionArguments],
) -> tuple[Tensor, LinearGradients]:
    """The loss and its gradients, as `softmaxloss.linear_cross_entropy_with_grad` gives them.

    >>> import torch
    >>> x, W = torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    >>> linear_cross_entropy_with_grad(x, W, torch.tensor(0))[1].input
    tensor([0.0000, 0.5000])
    """
    checked = eager_options(LinearOptions, without_none(options))
    arrays = Arguments(input, linear_weight, linear_bias, target, weight, sample_weight)
    return linear.cross_entropy_with_grad(arrays, checked, grad_output)
