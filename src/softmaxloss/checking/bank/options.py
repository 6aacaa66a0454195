"""Mistakes with an option, with the gradient from above, with labels that are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers import scales
from ..optional import Losses, ignoring, plain, regularised, smoothed, weighted, with_upstream
from ..steps import RIGHT, softmax
from .mistake import Mistake

__all__ = ["MISTAKES"]

Array = Any  # NDArray, whose operators mypy takes for Any themselves


def weighted_over_n(z: Array, y: Array, weight: Array) -> Losses:
    return weighted(z, y, weight)._replace(divisor=len(y))


def weight_not_in_gradient(z: Array, y: Array, weight: Array) -> Losses:
    right = weighted(z, y, weight)
    return right._replace(slopes=plain(z, y).slopes)


def weight_not_in_gradient_over_n(z: Array, y: Array, weight: Array) -> Losses:
    """The slopes are divided by N, the losses by Σ w."""
    right = weighted(z, y, weight)
    return right._replace(slopes=plain(z, y).slopes * right.divisor / len(y))


def weight_of_prediction(z: Array, y: Array, weight: Array) -> Losses:
    of_each, w = plain(z, y), weight[z.argmax(axis=1)]
    return Losses(w * of_each.losses, w[:, None] * of_each.slopes, w.sum())


def weight_in_log(z: Array, y: Array, weight: Array) -> Losses:
    of_each = plain(z, y)
    return of_each._replace(losses=of_each.losses - np.log(weight[y]))


def weight_on_logits(z: Array, y: Array, weight: Array) -> Losses:
    of_each = plain(z * weight, y)
    return of_each._replace(slopes=of_each.slopes * weight)


def ignored_in_mean(z: Array, y: Array, index: int) -> Losses:
    return ignoring(z, y, index)._replace(divisor=len(y))


def ignored_have_gradient(z: Array, y: Array, index: int) -> Losses:
    if not 0 <= index < z.shape[1]:
        return ignored_have_gradient_without_one(z, y, index)
    return ignoring(z, y, index)._replace(slopes=plain(z, y).slopes)


def ignored_have_gradient_without_one(z: Array, y: Array, index: int) -> Losses:
    right = ignoring(z, y, index)
    return right._replace(slopes=np.where((y == index)[:, None], softmax(z)[0], right.slopes))


def ignored_class_left_out(z: Array, y: Array, index: int) -> Losses:
    if not 0 <= index < z.shape[1]:
        return ignoring(z, y, index)
    without = z.copy()
    without[:, index] = -np.inf
    return ignoring(without, y, index)


def ignored_times_zero(z: Array, y: Array, index: int) -> Losses:
    kept = (y != index) * 1.0
    of_each = plain(z, np.where(y == index, 0, y))
    return Losses(kept * of_each.losses, kept[:, None] * of_each.slopes, kept.sum())


def zero_over_zero(z: Array, y: Array, index: int) -> Losses:
    right = ignoring(z, y, index)
    return right if right.divisor else right._replace(slopes=np.full(z.shape, np.nan))


def smoothed_loss_only(z: Array, y: Array, epsilon: float) -> Losses:
    return smoothed(z, y, epsilon)._replace(slopes=plain(z, y).slopes)


def _with_target(target: Callable[[Array, float], Array]) -> Callable[..., Losses]:
    """The loss with another target than (1 − ε)·q + ε/C."""

    def losses(z: Array, y: Array, epsilon: float) -> Losses:
        a, log_a = softmax(z)
        q = target(RIGHT.target(y, z.shape), epsilon)
        return Losses(-(q * log_a).sum(axis=1), a * q.sum(axis=1, keepdims=True) - q, len(y))

    return losses


def _short_slopes(target: Callable[[Array, float], Array]) -> Callable[..., Losses]:
    """The same, with slopes a − q although q does not sum to 1."""

    def losses(z: Array, y: Array, epsilon: float) -> Losses:
        right = _with_target(target)(z, y, epsilon)
        return right._replace(slopes=softmax(z)[0] - target(RIGHT.target(y, z.shape), epsilon))

    return losses


def over_others(q: Array, epsilon: float) -> Array:
    return np.where(q == 1, 1 - epsilon, epsilon / (q.shape[1] - 1))


def without_uniform(q: Array, epsilon: float) -> Array:
    return (1 - epsilon) * q


def not_reduced(q: Array, epsilon: float) -> Array:
    return q + epsilon / q.shape[1]


def swapped(q: Array, epsilon: float) -> Array:
    return epsilon * q + (1 - epsilon) / q.shape[1]


def one_scalar(z: Array, y: Array, above: Array) -> Losses:
    return with_upstream(z, y, np.full_like(above, above[0]))


def one_scalar_mean(z: Array, y: Array, above: Array) -> Losses:
    return with_upstream(z, y, np.full_like(above, above.mean()))


def half_reg(z: Array, y: Array, reg: float) -> Losses:
    return regularised(z, y, reg / 2)


def _penalty(of_loss: float, of_gradient: float) -> Callable[..., Losses]:
    """These times reg·ΣW² and 2·reg·W."""

    def losses(z: Array, y: Array, reg: float) -> Losses:
        right = regularised(z, y, reg)
        slopes = of_gradient * right.penalty_slopes
        return right._replace(penalty=of_loss * right.penalty, penalty_slopes=slopes)

    return losses


def _without_row(row: int, factor: float) -> Callable[..., Losses]:
    """A row of W is the bias: the layer's W has the first row of z second, and the last first."""

    def losses(z: Array, y: Array, reg: float) -> Losses:
        penalised = z.copy()
        penalised[row] = 0
        right = regularised(penalised, y, factor * reg)
        return plain(z, y)._replace(penalty=right.penalty, penalty_slopes=right.penalty_slopes)

    return losses


def reg_over_n(z: Array, y: Array, reg: float) -> Losses:
    return regularised(z, y, reg / len(y))


def half_reg_over_n(z: Array, y: Array, reg: float) -> Losses:
    return regularised(z, y, reg / (2 * len(y)))


def reg_of_length(z: Array, y: Array, reg: float) -> Losses:
    """The root of ΣW², and not ΣW²."""
    w = z / scales(len(z))
    length = float(np.sqrt((w * w).sum()))
    slopes = reg * w / length / scales(len(z))
    return plain(z, y)._replace(penalty=reg * length, penalty_slopes=slopes)


def reg_of_sizes(z: Array, y: Array, reg: float) -> Losses:
    w = z / scales(len(z))
    slopes = reg * np.sign(w) / scales(len(z))
    return plain(z, y)._replace(penalty=reg * float(np.abs(w).sum()), penalty_slopes=slopes)


def half_sum(z: Array, y: Array, _: Any) -> Losses:
    """The sum of the exponentials is rounded to bfloat16 after each term."""
    right = plain(z, y)
    e = np.exp(z.astype(np.float32) - z.max(axis=1, keepdims=True))
    total = np.zeros(len(y), np.float32)
    for n in range(z.shape[1]):
        bits = (total + e[:, n]).astype(np.float32).view(np.uint32)
        even = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
        total = even.astype(np.uint32).view(np.float32)
    picked = z[np.arange(len(y)), y] - z.max(axis=1)
    return right._replace(losses=np.log(total) - picked)


def _of(about: str) -> Callable[..., Mistake]:
    def mistake(
        id: str, title: str, why: str, fix: str, *wrong: Callable[..., Losses], **rest: Any
    ) -> Mistake:
        return Mistake(id, title, why, fix, about=about, wrong=wrong, **rest)

    return mistake


_weight, _ignored, _smoothing = _of("weight"), _of("ignore_index"), _of("label_smoothing")
_upstream, _reg, _half = _of("upstream"), _of("reg"), _of("bfloat16")

MISTAKES = [
    _weight(
        "weighted-mean-over-n",
        "the mean of the weighted losses divides by N",
        "PyTorch divides by the sum of the weights of the examples; TensorFlow and Keras by N.",
        "(w[y] * J).sum() / w[y].sum()",
        weighted_over_n,
        kind="convention",
    ),
    _weight(
        "weight-unused",
        "the weights change nothing",
        "The loss of each example is to be multiplied by the weight of its class.",
        "J = w[y] * J",
        plain,
    ),
    _weight(
        "weight-not-in-the-gradient",
        "the weights are in the loss and not in the gradient",
        "w_y·J has the gradient w_y·(a − onehot).",
        "dz *= w[y][:, None]",
        weight_not_in_gradient,
        weight_not_in_gradient_over_n,
    ),
    _weight(
        "weight-of-the-prediction",
        "the weight of the likeliest class is taken, and not that of the true one",
        "The weight belongs to the label.",
        "w[y]   # and not w[z.argmax(axis=1)]",
        weight_of_prediction,
    ),
    _weight(
        "weight-inside-the-log",
        "−log(w_y·a_y): the weight is inside the log",
        "There it adds a constant, which has no gradient; it is a factor of the loss.",
        "J = -w[y] * np.log(a[np.arange(N), y])",
        weight_in_log,
    ),
    _weight(
        "weight-on-the-logits",
        "the outputs are multiplied by the weights",
        "A weight says how much an example counts, and not how large an output is.",
        "J = w[y] * J, and softmax of z alone",
        weight_on_logits,
    ),
    _ignored(
        "ignored-rows-in-the-mean",
        "the mean divides by all examples, the ignored ones too",
        "The more padding there is in a batch, the smaller its loss and its steps.",
        "J.sum() / (y != ignore_index).sum()",
        ignored_in_mean,
    ),
    _ignored(
        "ignore-index-unused",
        "ignore_index changes nothing",
        "Examples with that label must have no loss and no gradient.",
        "kept = y != ignore_index",
        plain,
    ),
    _ignored(
        "ignored-rows-have-a-gradient",
        "ignored examples have no loss, and have a gradient",
        "The model would learn from padding.",
        "dz[y == ignore_index] = 0",
        ignored_have_gradient,
        ignored_have_gradient_without_one,
    ),
    _ignored(
        "ignored-class-left-out",
        "the ignored class is left out of the denominator",
        "ignore_index leaves examples out; the class stays one of the outputs of all others.",
        "the sum over all classes",
        ignored_class_left_out,
    ),
    _ignored(
        "ignored-rows-times-zero",
        "ignored examples are multiplied by 0, and not left out",
        "0 · NaN is NaN: what an ignored row holds must not matter.",
        "np.where(kept, J, 0.0), and the same for the gradient",
        ignored_times_zero,
        kind="weakness",
    ),
    _ignored(
        "nan-gradient-where-all-are-ignored",
        "where all examples are ignored the gradient is NaN",
        "0 / 0: one such batch makes every weight of the model NaN.",
        "dz /= max(kept.sum(), 1)",
        zero_over_zero,
    ),
    _smoothing(
        "label-smoothing-over-the-others",
        "ε is spread over the other classes, ε/(C − 1) each",
        "PyTorch, Keras and the paper spread it over all classes, ε/C each.",
        "q = (1 - eps) * q + eps / C",
        _with_target(over_others),
        kind="convention",
    ),
    _smoothing(
        "smoothing-unused",
        "label_smoothing changes nothing",
        "The target is (1 − ε)·onehot + ε/C.",
        "q = (1 - eps) * q + eps / C",
        plain,
    ),
    _smoothing(
        "smoothing-not-in-the-gradient",
        "label smoothing is in the loss and not in the gradient",
        "The gradient is a − q with the same q.",
        "dz = (a - q) / N, with the smoothed q",
        smoothed_loss_only,
    ),
    _smoothing(
        "smoothing-without-the-uniform-part",
        "the target is (1 − ε)·onehot, and the rest is missing",
        "The target must sum to 1: ε/C goes to each class.",
        "q = (1 - eps) * q + eps / C",
        _with_target(without_uniform),
        _short_slopes(without_uniform),
    ),
    _smoothing(
        "smoothing-added",
        "the target is onehot + ε/C, and the true class is not made smaller",
        "The target must sum to 1: (1 − ε)·onehot + ε/C.",
        "q = (1 - eps) * q + eps / C",
        _with_target(not_reduced),
        _short_slopes(not_reduced),
    ),
    _smoothing(
        "smoothing-swapped",
        "ε and 1 − ε are exchanged",
        "ε is the share that is spread over the classes: 0.1 is little smoothing.",
        "q = (1 - eps) * q + eps / C",
        _with_target(swapped),
    ),
    Mistake(
        "reduction-unused",
        "the reduction asked for is not the one that comes",
        '"mean" is the mean of the losses, "sum" their sum, "none" the loss of each example.',
        'J if reduction == "none" else J.sum() if reduction == "sum" else J.mean()',
        about="reduction",
    ),
    _upstream(
        "upstream-unused",
        "the gradient from above is not used",
        "The loss may be scaled, or a part of a larger one: backward gets ∂L/∂J and must multiply "
        "by it.",
        "return grad_output * dz",
        plain,
    ),
    _upstream(
        "upstream-as-one-scalar",
        "the gradient from above is taken to be the same for all examples",
        "Where each example has a loss, each has its own factor.",
        "grad_output[:, None] * dz",
        one_scalar,
        one_scalar_mean,
    ),
    _reg(
        "half-regularisation",
        "½·reg·ΣW²",
        "The other convention is reg·ΣW²; the gradients are reg·W and 2·reg·W.",
        "reg * np.sum(W * W)",
        half_reg,
        kind="convention",
    ),
    _reg(
        "no-regularisation",
        "reg changes nothing",
        "The loss asked for has the term reg·ΣW².",
        "loss += reg * np.sum(W * W); dW += 2 * reg * W",
        plain,
    ),
    _reg(
        "regularisation-gradient",
        "the gradient of the regularisation does not fit that of the loss",
        "reg·ΣW² has the gradient 2·reg·W, ½·reg·ΣW² has reg·W.",
        "dW += 2 * reg * W",
        _penalty(1.0, 0.5),
        _penalty(1.0, 0.0),
        _penalty(0.5, 1.0),
        _penalty(0.5, 0.0),
        _penalty(0.0, 1.0),
        _penalty(0.0, 0.5),
        _penalty(1.0, -1.0),
    ),
    _reg(
        "regularisation-over-n",
        "the penalty is divided by the number of examples",
        "λ/(2N)·ΣW² is the convention of some courses: there it shrinks with more data.",
        "loss += reg * np.sum(W * W), after the mean",
        half_reg_over_n,
        reg_over_n,
        kind="convention",
    ),
    _reg(
        "bias-not-regularised",
        "the row of W that is the bias is not regularised",
        "Many leave the bias out of the penalty, where it is a row of W.",
        "reg * np.sum(W * W)",
        *(_without_row(row, factor) for row in (-1, -2) for factor in (1.0, 0.5)),
        kind="convention",
    ),
    _reg(
        "regularisation-wrong",
        "reg adds something else than ΣW²",
        "The penalty is on the squares of the weights.",
        "loss += reg * np.sum(W * W)",
        reg_of_length,
        reg_of_sizes,
    ),
    _half(
        "half-precision-sum",
        "the sum of the exponentials is kept in half precision",
        "256 + 1 is 256 in bfloat16: with many classes the sum stops growing, and the loss is too "
        "small.",
        "sum in float32, and round the result",
        half_sum,
    ),
    Mistake(
        "negative-label-accepted",
        "a label of −1 is accepted",
        "In Python the index −1 is the last class: a wrong label, or one counted from 1, passes "
        "unseen.",
        'if (y < 0).any(): raise ValueError("labels count from 0")',
        kind="weakness",
        about="labels",
    ),
    Mistake(
        "label-out-of-range-accepted",
        "a label that is no class is accepted",
        "Classes are 0 to C − 1: for label C there is no output, and any number is made up.",
        'if (y >= C).any(): raise ValueError("labels are 0 to C - 1")',
        kind="weakness",
        about="labels",
    ),
]
