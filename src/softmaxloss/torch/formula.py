"""The maths of `softmaxloss.formula` in PyTorch's own operations, any number of rows at once.

For everything that no kernel computes: tensors on other devices, forward-mode derivatives,
derivatives of the gradient, and gradients with respect to soft targets, class weights or sample
weights. Everything here is differentiable.

The first functions take rows with the classes in the last axis; their target is class indices, −1
where a row is ignored, or probabilities; their sample weights have one number for each row. The
`reduced` functions take the user's arguments.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ..kernels.softcap import softcap_slope, softcapped, z_loss_gradient, z_loss_of
from ..options import Options, field_values
from ..reduction import divisor_for
from ..scores import IGNORED, Scores
from .tensors import is_for_onnx, of_each_row


def cross_entropy(
    z: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """J = Σ_n c_n·(−log a_n) for each row; c_n = s·w_n·((1 − ε)·q_n + ε/C).

    >>> cross_entropy(torch.zeros(1, 4), torch.tensor([3]))
    tensor([1.3863])
    """
    if z.numel() == 0:
        return z.sum(-1)
    c = coefficients(z, target, weight, sample_weight, label_smoothing)
    nll = negative_log_softmax(_counted(z, c))
    if is_index(target, z) and label_smoothing == 0:
        y = target.clamp(min=0)[..., None]
        c, nll = c.gather(-1, y), nll.gather(-1, y)
    # 0·∞ is 0 here. Masked before the product: its derivative, too, would be NaN.
    absent = (c == 0) & nll.isinf()
    return (c * nll.masked_fill(absent, 0.0)).sum(-1)


def gradient(
    z: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """∂J/∂z_n = (Σ_j c_j)·a_n − c_n for each row.

    >>> gradient(torch.zeros(1, 4), torch.tensor([3]))
    tensor([[ 0.2500,  0.2500,  0.2500, -0.7500]])
    """
    if z.numel() == 0:
        return z
    c = coefficients(z, target, weight, sample_weight, label_smoothing)
    counts = (c != 0).any(-1, keepdim=True)
    z = _counted(z, c)
    e, below = _exponentials(z)
    a = e / (1 + below)
    if is_index(target, z) and label_smoothing == 0:
        # The true class as minus the sum of the others: a_y − 1 would cancel where a_y is near 1.
        y = target.clamp(min=0)[..., None]
        others = a.scatter(-1, y, 0.0)
        of_y = below - below - others.sum(-1, keepdim=True)  # NaN for a row without a softmax
        grad = c.gather(-1, y) * torch.where(_one_hot(y, z), of_y, others)
    else:
        grad = c.sum(-1, keepdim=True) * a - c
    return torch.where(counts, grad, 0.0)


def negative_log_softmax(z: Tensor) -> Tensor:
    """−log a_n = (m − z_n) + log1p(S): the loss of each class, if it were the true one.

    >>> negative_log_softmax(torch.tensor([0.0, 100.0], dtype=torch.float64))[1].item()
    3.720075976020836e-44
    """
    m = z.detach().amax(-1, keepdim=True)
    # m − m: NaN for a row without a softmax, one with a +inf or nothing but −inf
    return (m - z) + torch.log1p(_exponentials(z)[1]) + (m - m)


def softmax(z: Tensor) -> Tensor:
    """a_n for each row. NaN in a row without a softmax.

    >>> softmax(torch.zeros(2))
    tensor([0.5000, 0.5000])
    """
    e, below = _exponentials(z)
    return e / (1 + below)


def log_softmax(z: Tensor) -> Tensor:
    """log a_n for each row.

    >>> log_softmax(torch.zeros(2))
    tensor([-0.6931, -0.6931])
    """
    return -negative_log_softmax(z)


def logsumexp(z: Tensor) -> Tensor:
    """m + log1p(S) for each row; ±inf where a row has +inf or nothing but −inf.

    >>> logsumexp(torch.zeros(2))
    tensor(0.6931)
    """
    m = z.detach().amax(-1)
    value = m + torch.log1p(_exponentials(z)[1])[..., 0]
    return torch.where(m.isinf(), m, value)


def scores(z: Tensor, target: Tensor, loss: Tensor) -> Scores:
    """The scores of each row, whose loss is given; classes count from 0.

    >>> scores(torch.zeros(1, 4), torch.tensor([3]), torch.zeros(1)).rank
    tensor([1])
    """
    y = target if is_index(target, z) else target.argmax(-1)
    ignored, y = y < 0, y.clamp(min=0)[..., None]
    z = z.masked_fill(ignored[..., None], 0.0)
    k = z.argmax(-1, keepdim=True)
    nll = negative_log_softmax(z)
    a = torch.exp(-nll)
    undefined = nll.isnan().any(-1)
    absent = ignored | undefined
    rank = 1 + (z > z.gather(-1, y)).sum(-1)
    values: Any = (
        loss.masked_fill(ignored, 0.0),
        a.gather(-1, y)[..., 0].masked_fill(ignored, 0.0),
        k[..., 0].masked_fill(absent, -1),
        rank.masked_fill(absent, 0),
        torch.where(a == 0, 0.0, a * nll).sum(-1).masked_fill(ignored, 0.0),
        (z + nll).gather(-1, k)[..., 0].masked_fill(ignored, 0.0),
    )
    return Scores(*values)


def is_index(target: Tensor, z: Tensor) -> bool:
    """Whether the target is class indices, not probabilities."""
    return target.ndim < z.ndim


def coefficients(
    z: Tensor,
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    label_smoothing: float,
) -> Tensor:
    """c_n of each row, in the dtype of the logits."""
    if is_index(target, z):
        ignored = (target < 0)[..., None]
        q = _one_hot(target.clamp(min=0)[..., None], z).to(z.dtype)
    else:
        ignored, q = None, target.to(z.dtype)
    if label_smoothing > 0:
        q = (1 - label_smoothing) * q + label_smoothing / z.shape[-1]
    if weight is not None:
        q = q * weight.to(z.dtype)
    if sample_weight is not None:
        q = q * sample_weight.to(z.dtype)[..., None]
    return q if ignored is None else q.masked_fill(ignored, 0.0)


def compute_dtype(logits: Tensor) -> torch.dtype:
    """The dtype that logits are computed in: float32 for floats up to 32 bits, else float64."""
    narrow = logits.dtype in (torch.float32, torch.float16, torch.bfloat16)
    return torch.float32 if narrow else torch.float64


def reduced_loss(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    options: Options,
) -> Tensor:
    """The loss as `softmaxloss.cross_entropy` gives it.

    >>> reduced_loss(torch.zeros(4), torch.tensor(3), None, None, Options())
    tensor(1.3863)
    """
    z, target, s = _rows(logits, target, weight, sample_weight, options)
    losses = _losses(_capped(z, options), target, weight, s, options)
    if options.reduction == "none":
        return losses
    return mean(losses, _divisor(z, target, weight, s, options))


def mean(losses: Tensor, divisor: Tensor) -> Tensor:
    """The sum of the losses over the divisor. Where that is 0, because no example counts, the loss
    is NaN and its derivatives are 0.

    >>> mean(torch.tensor([1.0, 2.0]), torch.tensor(2.0))
    tensor(1.5000)
    """
    nothing = divisor == 0
    return losses.sum() / torch.where(nothing, 1.0, divisor) + torch.where(nothing, torch.nan, 0.0)


def divisor_of_call(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    options: Options,
) -> Tensor:
    """What the sum of the losses is divided by.

    >>> divisor_of_call(torch.zeros(2, 4), torch.tensor([3, -100]), None, None, Options())
    tensor(1.)
    """
    z, target, s = _rows(logits, target, weight, sample_weight, options)
    return _divisor(z, target, weight, s, options)


def scores_of_call(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    options: Options,
) -> Scores:
    """The scores as `softmaxloss.score` gives them.

    >>> scores_of_call(torch.zeros(4), torch.tensor(3), None, None, Options()).rank
    tensor(1)
    """
    z, target, s = _rows(logits, target, weight, sample_weight, options)
    u = _capped(z, options)
    made = scores(u, target, _losses(u, target, weight, s, options))
    if s is not None:
        pairs: Any = zip(made, IGNORED, strict=True)
        made = Scores(*[values.masked_fill(s == 0, value.item()) for values, value in pairs])
    return made._replace(predicted=made.predicted + options.first_class)


def reduced_gradient(
    grad_output: Tensor,
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    options: Options,
) -> Tensor:
    """The gradient as `softmaxloss.cross_entropy_with_grad` gives it for an upstream gradient.

    >>> reduced_gradient(torch.tensor(2.0), torch.zeros(4), torch.tensor(3), None, None, Options())
    tensor([ 0.5000,  0.5000,  0.5000, -1.5000])
    """
    z, target, s = _rows(logits, target, weight, sample_weight, options)
    divisor = _divisor(z, target, weight, s, options)
    # The divisor is 0 where no example counts: the loss is NaN, its gradient 0.
    factor = grad_output.to(z.dtype) / torch.where(divisor == 0, torch.inf, divisor)
    u = _capped(z, options)
    grad = gradient(u, target, weight, s, options.label_smoothing)
    if options.z_loss:
        grad = grad + _z_loss_gradient(u, target, s, options.z_loss)
    if options.softcap is not None:  # NaN where a row does not count, whose gradient is 0
        grad = grad * softcap_slope(torch, z.masked_fill(z.isnan(), 0.0), options.softcap)
    grad = factor[..., None] * grad
    if logits.is_floating_point():
        grad = grad.to(logits.dtype)
    return grad if logits.ndim <= 2 else grad.movedim(-1, 1)


def _rows(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    options: Options,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Logits and target with the classes in the last axis, the logits in their compute dtype; one
    sample weight for each row."""
    given = (logits, target, weight, sample_weight)
    if is_for_onnx():
        y = (target.long() - options.first_class).masked_fill(target == options.ignore_index, -1)
    else:  # the operator checks all arguments
        y = torch.ops.softmaxloss.class_indices(
            *(None if t is None else t.detach() for t in given), *field_values(options, Options)
        )
    z, s = _class_last(logits).to(compute_dtype(logits)), sample_weight
    if s is not None:
        s = of_each_row(s, z.shape[:-1])
    if is_index(target, logits):
        return z, y, s
    q = _class_last(target).to(z.dtype)
    return z, q / q.sum(-1, keepdim=True) if options.multi_label == "mean" else q, s


def _losses(
    z: Tensor, target: Tensor, weight: Tensor | None, s: Tensor | None, options: Options
) -> Tensor:
    """The loss of each row of capped logits, its z_loss included."""
    losses = cross_entropy(z, target, weight, s, options.label_smoothing)
    if options.z_loss:
        losses = losses + _z_loss(z, target, s, options.z_loss)
    return losses


def _class_last(x: Tensor) -> Tensor:
    return x if x.ndim <= 2 else x.movedim(1, -1)


def _capped(z: Tensor, options: Options) -> Tensor:
    """The logits with their softcap."""
    if options.softcap is None:
        return z
    u: Tensor = softcapped(torch, z, options.softcap)
    return u


def _z_loss(z: Tensor, target: Tensor, s: Tensor | None, z_loss: float) -> Tensor:
    """λ·L² of each row times its sample weight; 0 in rows that do not count."""
    z, ignored = _without_unused(z, target, s)
    losses: Tensor = z_loss_of(torch.logsumexp(z, -1), z_loss).masked_fill(ignored, 0.0)
    return losses if s is None else losses * s.to(z.dtype)


def _z_loss_gradient(z: Tensor, target: Tensor, s: Tensor | None, z_loss: float) -> Tensor:
    """The gradient of `_z_loss` with respect to the logits."""
    z, ignored = _without_unused(z, target, s)
    L = torch.logsumexp(z, -1)[..., None]
    grad: Tensor = z_loss_gradient(torch, z, L, z_loss).masked_fill(ignored[..., None], 0.0)
    return grad if s is None else grad * s.to(z.dtype)[..., None]


def _without_unused(z: Tensor, target: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
    """The logits with 0 in rows that do not count; which rows are ignored."""
    if s is not None:
        z = _counted(z, s[..., None])
    ignored = target < 0 if is_index(target, z) else z.new_zeros(z.shape[:-1]).bool()
    return z.masked_fill(ignored[..., None], 0.0), ignored


def _divisor(
    z: Tensor, target: Tensor, weight: Tensor | None, s: Tensor | None, options: Options
) -> Tensor:
    """What the sum of the rows' losses is divided by. `s` has a sample weight for each row."""
    by_index = is_index(target, z)

    def counted_weight() -> Tensor:
        counted = (target >= 0).to(z.dtype) if by_index else z.new_ones(z.shape[:-1])
        if by_index and weight is not None:
            counted = counted * weight.to(z.dtype)[target.clamp(min=0)]
        return (counted if s is None else counted * s.to(z.dtype)).sum()

    rows = math.prod(z.shape[:-1])
    weighs = by_index or s is not None
    divisor = divisor_for(options, rows, counted_weight if weighs else None)
    return divisor if isinstance(divisor, Tensor) else z.new_full((), divisor)


def _one_hot(y: Tensor, z: Tensor) -> Tensor:
    return y == torch.arange(z.shape[-1], device=z.device)


def _counted(z: Tensor, c: Tensor) -> Tensor:
    """The logits, with 0 in rows that do not count and have no softmax: their NaN must not reach a
    derivative. (Other rows that do not count have derivatives with respect to c.)"""
    m = z.detach().amax(-1, keepdim=True)
    return z.masked_fill((c == 0).all(-1, keepdim=True) & (m - m != 0), 0.0)


def _exponentials(z: Tensor) -> tuple[Tensor, Tensor]:
    """exp(z_n − m), and S, their sum without one of the largest.

    The maximum is a constant here: no result depends on it, so it needs no derivative. The largest
    term is exp(0) = 1; it enters S as e − 1 = 0, which keeps its derivative.
    """
    m, largest = z.detach().max(-1, keepdim=True)
    e = torch.exp(z - m)
    return e, e.scatter(-1, largest, 0.0).sum(-1, keepdim=True) + (e.gather(-1, largest) - 1)
