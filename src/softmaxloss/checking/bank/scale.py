"""Mistakes in the scale of the gradient of a batch, and in the gradients of weights and softmax."""

from functools import partial

import numpy as np

from ..inputs import gradient_wrt_weights, sequence_shape
from ..reference import Shape
from .mistake import Array, Mistake, wrong_step


def _clipped_mean(bound: float, g: Array, shape: Shape) -> Array:
    return np.clip(g / shape[0], -bound, bound)


# The last argument of each entry is the wrong step: of the gradient g, unscaled, and (N, C).
_scale = partial(wrong_step, "scale", fixes=("dz /= N", "dz /= N, once, after the loop"))
_weights = partial(wrong_step, "weights")
_bias = partial(wrong_step, "bias", fixes=("db = dz.sum(axis=0)", "db += dz[i]"))

MISTAKES = [
    _scale(
        "gradient-of-the-sum",
        "the gradient of the sum of the losses, not of their mean",
        "A mean of N losses has a gradient with the factor 1/N. It must match the loss.",
        lambda g, shape: g,
        kind="convention",
    ),
    _scale(
        "gradient-of-the-mean-over-sequences",
        "the gradient is divided by the number of sequences, not of all examples",
        "It must match the loss: there the losses of a sequence are added.",
        lambda g, shape: g / sequence_shape(shape[0])[0],
        kind="convention",
    ),
    _scale(
        "gradient-divided-twice",
        "the gradient is divided by N twice",
        "A mean divides by N once.",
        lambda g, shape: g / shape[0] ** 2,
    ),
    _scale(
        "gradient-divided-by-classes",
        "the gradient is divided by the number of classes, not of examples",
        "z.shape[0] is the number of examples.",
        lambda g, shape: g / shape[1],
        fix="dz /= z.shape[0]",
    ),
    _scale(
        "gradient-divided-by-both",
        "the gradient is divided by N·C",
        "The mean is over the examples, not over their classes.",
        lambda g, shape: g / (shape[0] * shape[1]),
    ),
    _scale(
        "gradient-divided-by-n-minus-1",
        "the gradient is divided by N − 1",
        "N − 1 is for a variance; a mean divides by N.",
        lambda g, shape: g / max(shape[0] - 1, 1),
    ),
    _scale(
        "gradient-divided-by-n-plus-1",
        "the gradient is divided by N + 1",
        "A mean divides by the number of examples, N.",
        lambda g, shape: g / (shape[0] + 1),
    ),
    _scale(
        "gradient-halved",
        "½·(a − onehot)",
        "The factor 1/(2N) belongs to a squared error.",
        lambda g, shape: g / (2 * shape[0]),
    ),
    _scale(
        "gradient-floor-divided",
        "//= for /= in the gradient",
        "// rounds down: most entries become 0 or −1.",
        lambda g, shape: g // shape[0],
        {"weights": lambda g: np.floor(gradient_wrt_weights(g))},
    ),
    _scale(
        "gradient-divided-in-the-loop",
        "the gradient is divided by N inside the loop over the examples",
        "Earlier examples are divided again and again. Divide once, after the loop.",
        lambda g, shape: g / np.float64(shape[0]) ** (shape[0] - np.arange(shape[0]))[:, None],
    ),
    _scale(
        "gradient-times-n",
        "the gradient is multiplied by N",
        "A mean divides by N.",
        lambda g, shape: g * shape[0],
    ),
    _scale(
        "gradient-clipped",
        "the entries of the gradient are clipped",
        "Clipping belongs to the optimiser: it turns the gradient into that of no loss.",
        *(
            one
            for bound in (0.1, 0.01, 0.001, 0.5, 0.25, 0.05, 1, 5)
            for one in (
                partial(_clipped_mean, bound),
                {"weights": lambda g, b=bound: np.clip(gradient_wrt_weights(g), -b, b)},
            )
        ),
        fix="return dz, without np.clip",
    ),
    _scale(
        "gradient-of-rows-averaged",
        "every row is the mean of all rows",
        "Each example has its own gradient, of shape (N, C) for all.",
        lambda g, shape: np.broadcast_to(g.mean(axis=0), shape),
    ),
    _scale(
        "gradient-of-the-last-only",
        "only the last row is filled",
        "A loop that assigns the whole array keeps only the last example.",
        lambda g, shape: np.where(np.arange(shape[0])[:, None] == shape[0] - 1, g / shape[0], 0),
        lambda g, shape: np.where(np.arange(shape[0])[:, None] == shape[0] - 1, g, 0),
        fix="dz[i] = …   # not dz = …",
    ),
    _scale(
        "gradient-of-the-first-only",
        "only the first row is filled",
        "A return inside the loop ends it after the first example.",
        lambda g, shape: np.where(np.arange(shape[0])[:, None] == 0, g / shape[0], 0),
        fix="return after the loop",
    ),
    _scale(
        "gradient-of-the-last-left-out",
        "the last row is not filled",
        "A range that ends at N − 1 does not reach example N − 1.",
        lambda g, shape: np.where(np.arange(shape[0])[:, None] == shape[0] - 1, 0, g / shape[0]),
        fix="for i in range(N)",
    ),
    _scale(
        "gradient-of-the-first-left-out",
        "the first row is not filled",
        "Examples count from 0: a loop that starts at 1 leaves example 0 out.",
        lambda g, shape: np.where(np.arange(shape[0])[:, None] == 0, 0, g / shape[0]),
        fix="for i in range(N)",
    ),
    _scale(
        "gradient-in-bits",
        "the gradient has the factor 1/ln 2",
        "It belongs to a loss in bits.",
        lambda g, shape: g / (shape[0] * np.log(2.0)),
        kind="convention",
    ),
    _weights(
        "logit-gradient-for-weights",
        "the gradient with respect to z is returned as dW",
        "z = X·W: dW is Xᵀ·dz, of the shape of W.",
        lambda g: g,
        fix="dW = X.T @ dz",
        loop="dW[:, k] += dz[i, k] * X[i]",
    ),
    _bias(
        "bias-gradient-of-all-classes",
        "the gradient of the bias is one number: a sum over the classes, too",
        "Each class has a bias of its own: add over the examples only; over all classes it is 0.",
        lambda g: g.sum(),
        lambda g: np.full(g.shape[1], g.sum()),
    ),
    _bias(
        "bias-gradient-by-example",
        "the gradient of the bias is added over the classes, not over the examples",
        "The bias has one number for each class, and is added to every example.",
        lambda g: g.sum(axis=1),
    ),
    Mistake(
        "softmax-not-differentiated",
        "backward of softmax returns the upstream gradient unchanged",
        "Each output moves all probabilities: ∂L/∂z_n = a_n·(g_n − Σ_k a_k·g_k).",
        "dz = a * (g - (a * g).sum(axis=1, keepdims=True))",
        about="backward",
    ),
    Mistake(
        "jacobian-sum-left-out",
        "backward of softmax multiplies by a_n only",
        "The other probabilities change too: subtract Σ_k a_k·g_k from g_n first.",
        "dz = a * (g - (a * g).sum(axis=1, keepdims=True))",
        about="backward",
    ),
]
