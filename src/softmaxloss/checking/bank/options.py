"""Mistakes with options, upstream gradients and invalid labels."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import reference as right
from ..reference import LossParts, plain
from .mistake import Array, wrong_option

Wrong = Callable[..., LossParts]  # of z, y and the value of the option


def ignored_have_gradient(z: Array, y: Array, index: int) -> LossParts:
    if not 0 <= index < z.shape[1]:
        return ignored_have_softmax(z, y, index)
    return right.ignoring(z, y, index)._replace(gradients=plain(z, y).gradients)


def ignored_have_softmax(z: Array, y: Array, index: int) -> LossParts:
    """The gradient of an ignored example is a: nothing is subtracted."""
    parts, ignored = right.ignoring(z, y, index), (y == index)[:, None]
    return parts._replace(gradients=np.where(ignored, right.softmax(z)[0], parts.gradients))


def ignored_have_the_last(z: Array, y: Array, index: int) -> LossParts:
    """An ignored example has the gradient of the last class, as for label −1."""
    last = plain(z, np.where(y == index, z.shape[1] - 1, y)).gradients
    return right.ignoring(z, y, index)._replace(gradients=last)


def ignored_class_left_out(z: Array, y: Array, index: int) -> LossParts:
    if not 0 <= index < z.shape[1]:
        return right.ignoring(z, y, index)
    without = z.copy()
    without[:, index] = -np.inf
    return right.ignoring(without, y, index)


def _other_target(change: Callable[[Array, float], Array]) -> tuple[Wrong, Wrong]:
    """The loss with another target q than (1 − ε)·onehot + ε/C, with its gradient a·Σq − q and with
    a − q, which is not its gradient unless q sums to 1."""

    def wrong(z: Array, y: Array, epsilon: float) -> LossParts:
        return right.with_target(z, change(right.target(y, z.shape), epsilon))

    def simple(z: Array, y: Array, epsilon: float) -> LossParts:
        q = change(right.target(y, z.shape), epsilon)
        return right.with_target(z, q)._replace(gradients=right.softmax(z)[0] - q)

    return wrong, simple


def _less_entropy(spread: Callable[[Array, float], Array]) -> Wrong:
    """The loss with another target, less the entropy of that target."""

    def wrong(z: Array, y: Array, epsilon: float) -> LossParts:
        q = spread(right.target(y, z.shape), epsilon)
        parts = right.with_target(z, q)
        return parts._replace(losses=parts.losses + (q * np.log(q)).sum(axis=1))

    return wrong


def _over_the_others(q: Array, epsilon: float) -> Array:
    return np.where(q == 1, 1 - epsilon, epsilon / (q.shape[1] - 1))


def half_sum(z: Array, y: Array, _: Any) -> LossParts:
    """The sum of the exponentials is rounded to bfloat16 after each term."""
    e = np.exp(z.astype(np.float32) - z.max(axis=1, keepdims=True))
    total = np.zeros(len(y), np.float32)
    for n in range(z.shape[1]):
        bits = (total + e[:, n]).astype(np.float32).view(np.uint32)
        even = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
        total = even.astype(np.uint32).view(np.float32)
    picked = z[np.arange(len(y)), y] - z.max(axis=1)
    return plain(z, y)._replace(losses=np.log(total) - picked)


_weight, _ignored = partial(wrong_option, "weight"), partial(wrong_option, "ignore_index")
_mask = partial(wrong_option, "mask")
_smoothing, _reg = partial(wrong_option, "label_smoothing"), partial(wrong_option, "reg")
_upstream, _label = partial(wrong_option, "upstream"), partial(wrong_option, "labels")
SMOOTHED = "q = (1 - eps) * q + eps / C"

MISTAKES = [
    _weight(
        "weighted-mean-over-n",
        "the mean of the weighted losses divides by N",
        "PyTorch divides by the sum of the weights of the examples; TensorFlow and Keras by N.",
        "(w[y] * J).sum() / w[y].sum()",
        lambda z, y, weight: right.weighted(z, y, weight)._replace(divisor=len(y)),
        kind="convention",
    ),
    _weight(
        "weight-unused",
        "the weights have no effect",
        "The loss of each example must be multiplied by the weight of its class.",
        "J = w[y] * J",
        plain,
    ),
    _weight(
        "weight-not-in-the-gradient",
        "the weights are in the loss but not in the gradient",
        "w_y·J has the gradient w_y·(a − onehot).",
        "dz *= w[y][:, None]",
        lambda z, y, weight: right.weighted(z, y, weight)._replace(gradients=plain(z, y).gradients),
        # The gradients are divided by N, the losses by Σ w.
        lambda z, y, weight: right.weighted(z, y, weight)._replace(
            gradients=plain(z, y).gradients * weight[y].sum() / len(y)
        ),
    ),
    _weight(
        "weight-of-the-prediction",
        "the weight of the predicted class is used instead of that of the true class",
        "The weight belongs to the label.",
        "w[y]   # not w[z.argmax(axis=1)]",
        lambda z, y, weight: right.times(plain(z, y), weight[z.argmax(axis=1)]),
    ),
    _weight(
        "weight-inside-the-log",
        "−log(w_y·a_y): the weight is inside the log",
        "There it adds a constant, which has no gradient; it must multiply the loss.",
        "J = -w[y] * np.log(a[np.arange(N), y])",
        lambda z, y, w: plain(z, y)._replace(losses=plain(z, y).losses - np.log(w[y])),
    ),
    _weight(
        "weight-on-the-logits",
        "the outputs are multiplied by the weights",
        "A weight says how much an example counts, not how large an output is.",
        "J = w[y] * J, and softmax of z alone",
        lambda z, y, w: plain(z * w, y)._replace(gradients=plain(z * w, y).gradients * w),
    ),
    _ignored(
        "ignored-rows-in-the-mean",
        "the mean divides by the number of all examples, the ignored ones included",
        "The more padding a batch has, the smaller are its loss and its steps.",
        "J.sum() / (y != ignore_index).sum()",
        lambda z, y, index: right.ignoring(z, y, index)._replace(divisor=len(y)),
    ),
    _ignored(
        "ignore-index-unused",
        "ignore_index has no effect",
        "Examples with that label must have no loss and no gradient.",
        "kept = y != ignore_index",
        plain,
    ),
    _ignored(
        "ignored-rows-have-a-gradient",
        "ignored examples have no loss but a gradient",
        "The model would learn from padding.",
        "dz[y == ignore_index] = 0",
        ignored_have_gradient,
        ignored_have_softmax,
        ignored_have_the_last,
    ),
    _ignored(
        "ignored-class-left-out",
        "the ignored class is left out of the denominator",
        "ignore_index leaves out examples; the class remains an output of all other examples.",
        "the sum over all classes",
        ignored_class_left_out,
    ),
    _ignored(
        "ignored-rows-times-zero",
        "ignored examples are multiplied by 0 instead of being left out",
        "0 · NaN is NaN: the contents of an ignored row must not matter.",
        "np.where(kept, J, 0.0), and the same for the gradient",
        lambda z, y, index: right.times(plain(z, np.where(y == index, 0, y)), 1.0 * (y != index)),
        kind="weakness",
    ),
    _ignored(
        "nan-gradient-where-all-are-ignored",
        "the gradient is NaN if all examples are ignored",
        "0 / 0: one such batch makes every weight of the model NaN.",
        "dz /= max(kept.sum(), 1)",
        lambda z, y, index: (
            right.ignoring(z, y, index)
            if (y != index).any()
            else right.ignoring(z, y, index)._replace(gradients=np.full(z.shape, np.nan))
        ),
        kind="weakness",
    ),
    _mask(
        "masked-rows-in-the-mean",
        "the mean divides by the number of all examples, those that are masked included",
        "Then the loss of a batch with more padding is smaller; others divide by mask.sum().",
        "(mask * J).sum() / mask.sum()",
        lambda z, y, mask: right.masked(z, y, mask)._replace(divisor=len(y)),
        kind="convention",
    ),
    _mask(
        "mask-unused",
        "the mask has no effect",
        "Examples that are masked must have no loss and no gradient.",
        "J = mask * J",
        plain,
    ),
    _mask(
        "mask-not-in-the-gradient",
        "masked examples have no loss but a gradient",
        "The model would learn from padding.",
        "dz *= mask[:, None]",
        lambda z, y, mask: right.masked(z, y, mask)._replace(gradients=plain(z, y).gradients),
        lambda z, y, mask: right.masked(z, y, mask)._replace(
            gradients=plain(z, y).gradients, divisor=len(y)
        ),
    ),
    _smoothing(
        "label-smoothing-over-the-others",
        "ε is spread over the other classes, ε/(C − 1) each",
        "PyTorch, Keras and the paper spread it over all classes, ε/C each.",
        SMOOTHED,
        _other_target(_over_the_others)[0],
        kind="convention",
    ),
    _smoothing(
        "smoothing-less-entropy",
        "the entropy of the smoothed target is subtracted",
        "That is a constant, so that the loss is 0 where the prediction is the target: a "
        "Kullback-Leibler divergence. The gradient stays the same.",
        "J = -(q * log_a).sum(axis=1)",
        _less_entropy(_over_the_others),
        _less_entropy(lambda q, eps: (1 - eps) * q + eps / q.shape[1]),
        kind="convention",
    ),
    _smoothing(
        "smoothing-unused",
        "label_smoothing has no effect",
        "The target is (1 − ε)·onehot + ε/C.",
        SMOOTHED,
        plain,
    ),
    _smoothing(
        "smoothing-not-in-the-gradient",
        "label smoothing is in the loss but not in the gradient",
        "The gradient is a − q with the same q.",
        "dz = (a - q) / N, with the smoothed q",
        lambda z, y, eps: right.smoothed(z, y, eps)._replace(gradients=plain(z, y).gradients),
    ),
    _smoothing(
        "smoothing-without-the-uniform-part",
        "the target is (1 − ε)·onehot: the uniform part is missing",
        "The target must sum to 1: each class gets ε/C.",
        SMOOTHED,
        *_other_target(lambda q, eps: (1 - eps) * q),
    ),
    _smoothing(
        "smoothing-added",
        "the target is onehot + ε/C: the true class is not reduced",
        "The target must sum to 1: (1 − ε)·onehot + ε/C.",
        SMOOTHED,
        *_other_target(lambda q, eps: q + eps / q.shape[1]),
    ),
    _smoothing(
        "smoothing-swapped",
        "ε and 1 − ε are swapped",
        "ε is the share that is spread over the classes: 0.1 is little smoothing.",
        SMOOTHED,
        _other_target(lambda q, eps: eps * q + (1 - eps) / q.shape[1])[0],
    ),
    wrong_option(
        "reduction",
        "reduction-unused",
        "the result has another reduction than the one passed",
        '"mean" is the mean of the losses, "sum" their sum, "none" the loss of each example.',
        'J if reduction == "none" else J.sum() if reduction == "sum" else J.mean()',
    ),
    _upstream(
        "upstream-unused",
        "the upstream gradient is not used",
        "The loss may be part of a larger one: backward receives ∂L/∂J and must multiply by it.",
        "return grad_output * dz",
        plain,
    ),
    _upstream(
        "upstream-as-one-scalar",
        "the upstream gradient is assumed to be the same for all examples",
        "If each example has a loss, each has its own factor.",
        "grad_output[:, None] * dz",
        lambda z, y, upstream: right.with_upstream(z, y, np.full_like(upstream, upstream[0])),
        lambda z, y, upstream: right.with_upstream(z, y, np.full_like(upstream, upstream.mean())),
    ),
    _reg(
        "half-regularisation",
        "½·reg·ΣW²",
        "The other convention is reg·ΣW²; the gradients are reg·W and 2·reg·W.",
        "reg * np.sum(W * W)",
        kind="convention",
    ),
    _reg(
        "regularisation-over-n",
        "the penalty is divided by the number of examples",
        "λ/(2N)·ΣW² is the convention of some courses: the penalty shrinks with more data.",
        "reg * np.sum(W * W)",
        kind="convention",
    ),
    _reg(
        "l1-regularisation",
        "reg·Σ|W|",
        "That is the penalty of the lasso: it makes weights exactly 0. Its gradient is "
        "reg·sign(W).",
        "reg * np.sum(W * W)",
        kind="convention",
    ),
    _reg(
        "bias-not-regularised",
        "the row of W that is the bias is not regularised",
        "Many leave the bias out of the penalty.",
        "reg * np.sum(W * W)",
        kind="convention",
    ),
    _reg(
        "no-regularisation",
        "reg has no effect",
        "The loss has the term reg·ΣW².",
        "loss += reg * np.sum(W * W); dW += 2 * reg * W",
    ),
    _reg(
        "regularisation-gradient",
        "the gradient of the regularisation is not that of its loss",
        "reg·ΣW² has the gradient 2·reg·W, ½·reg·ΣW² has reg·W, reg·Σ|W| has reg·sign(W).",
        "dW += 2 * reg * W",
    ),
    _reg(
        "regularisation-scaled-once",
        "the penalty is divided by N in the loss or in the gradient, but not in both",
        "Add the penalty after both are divided by N, or before both.",
        "loss /= N; dW /= N; loss += reg * np.sum(W * W); dW += 2 * reg * W",
    ),
    _reg(
        "regularisation-not-squared",
        "reg·ΣW: the square is missing",
        "Negative weights would lower the loss without limit.",
        "loss += reg * np.sum(W * W)",
    ),
    _reg(
        "regularisation-by-the-norm",
        "reg·‖W‖: a root is taken of ΣW²",
        "The penalty is the sum of the squares; np.linalg.norm returns its root.",
        "loss += reg * np.sum(W * W)",
    ),
    _reg(
        "regularisation-wrong",
        "reg adds something else than ΣW²",
        "The penalty is on the squares of the weights.",
        "loss += reg * np.sum(W * W)",
    ),
    wrong_option(
        "bfloat16",
        "half-precision-sum",
        "the sum of the exponentials is kept in half precision",
        "256 + 1 is 256 in bfloat16: with many classes the sum, and so the loss, is too small.",
        "sum in float32, and round the result",
        half_sum,
    ),
    _label(
        "negative-label-accepted",
        "a label of −1 is accepted",
        "In Python the index −1 is the last class: a wrong label passes silently.",
        'if (y < 0).any(): raise ValueError("labels count from 0")',
        kind="weakness",
    ),
    _label(
        "label-out-of-range-accepted",
        "a label outside 0..C−1 is accepted",
        "There is no output for label C, so the loss is made up.",
        'if (y >= C).any(): raise ValueError("labels are 0 to C - 1")',
        kind="weakness",
    ),
]
