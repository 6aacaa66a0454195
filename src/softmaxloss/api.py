"""The public functions, for arrays of any framework.

Each reads its options into one value and hands over to the engine for NumPy's arrays, or to the
public function of the same name in the array's framework.
"""

from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from . import engine, softmaxes
from .arrays import Array
from .backends import backend_of
from .linear import numpy as linear
from .linear.plan import Arguments, LinearGradients
from .options import (
    LinearOptionArguments,
    LinearOptions,
    MultiLabel,
    OptionArguments,
    Options,
    checked_options,
    score_options,
    with_options,
)
from .scores import Scores


@with_options(Options)
def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    return_z_loss: bool = False,
    **options: Unpack[OptionArguments],
) -> Any:
    """The softmax cross-entropy loss, in nats; the names are those of PyTorch's function.

    For one example with logits z and true class y:  J = −log a_y = −z_y + log Σ_n exp(z_n), where
    a = softmax(z). For probabilities q as target:  J = Σ_n q_n·(−log a_n).

    Args:
        logits: (C,), (N, C) or (N, C, d1, …). float32 and float64 are computed as they are,
            float16 and bfloat16 in float32, integers in float64. −inf masks a class out.
        target: Class indices, of any integer dtype, in the shape of logits without the class axis;
            or one-hot rows or probabilities in the shape of logits.
        weight: (C,) weights of the classes, ≥ 0.
        sample_weight: Weights of the examples, ≥ 0: the loss of each is multiplied by its own, in
            the shape of logits without the class axis, or (N,) for all of the example's d1, …. One
            with weight 0 does not count, and its logits are not looked at.
        ignore_index: Examples with this label do not count. The class stays in the denominator.
        reduction: "mean", "sum" or "none" over the examples. The mean divides by the number of
            examples that count; with weights by their sum, Σ w_y·s (with probabilities Σ s), where
            w is `weight`, s is `sample_weight`, and one that is not given is 1.
        label_smoothing: ε in [0, 1]: the target becomes (1−ε)·q + ε/C.
        multi_label: What several labels on one example mean: "error", the "sum" of their losses, as
            in PyTorch and TensorFlow, or the "mean" of them.
        denominator: What "mean" divides by instead, for gradient accumulation.
        first_class: 1 if the labels count from one.
        z_loss: λ ≥ 0: adds λ·(log Σ_n exp(z_n))² to the loss of each example that counts, which
            pulls the log of the denominator towards 0. `weight` does not count in it,
            `sample_weight` does.
        softcap: s > 0: s·tanh(z/s) takes the place of the logits z, which bounds them to ±s; −inf
            becomes −s and masks nothing out.
        return_z_loss: Also return the part of the loss that is the z_loss, reduced as the loss is.

    Returns:
        A NumPy scalar; with reduction="none" an array of one loss per example. float64 for float64
        and integer logits, else float32. With return_z_loss (loss, z_loss).

    Raises:
        LabelError: A label outside the classes, probabilities that do not sum to 1, a wrong shape.
        OptionError: An option with a value that has no meaning. Both are ValueErrors.
        TypeError: Logits, labels or options of a wrong type.

    Example:
        >>> cross_entropy([2.0, 1.0, 0.1, -1.2], 0)
        np.float64(0.443537896...)
        >>> cross_entropy([[2.0, 1.0], [0.0, 3.0]], [0, 0], reduction="none")
        array([0.31326169, 3.04858735])

    Source: docs/maths.md; accuracy: docs/numerics.md.
    """
    backend = None if type(logits) is np.ndarray else backend_of(logits)
    if backend is not None:
        return backend.cross_entropy(
            logits,
            target,
            weight,
            sample_weight=sample_weight,
            return_z_loss=return_z_loss,
            **options,
        )
    checked = checked_options(Options, **options)
    loss = engine.cross_entropy(logits, target, weight, sample_weight, checked)
    if not return_z_loss:
        return loss
    return loss, engine.z_loss(logits, target, weight, sample_weight, checked)


@with_options(Options)
def cross_entropy_with_grad(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    grad_output: ArrayLike | None = None,
    out: Array | None = None,
    **options: Unpack[OptionArguments],
) -> tuple[Any, Array]:
    """The loss as `cross_entropy` gives it, and its gradient with respect to the logits.

    For one example with true class y:  ∂J/∂z_n = a_n for n ≠ y, and a_y − 1 for n = y. The entries
    sum to 0.

    Args:
        logits, target, weight, …: As in `cross_entropy`.
        grad_output: The upstream gradient ∂L/∂loss, 1 by default: a number; with reduction="none"
            also one per example. The gradient is multiplied by it.
        out: The array to write the gradient to, of the logits' shape and dtype. It may be the
            logits themselves, which are then overwritten. After an error or Ctrl-C during the call
            its content is undefined.

    Returns:
        (loss, gradient). The gradient has the logits' shape and dtype, float64 for integers.

    Raises:
        As `cross_entropy`.

    Example:
        >>> loss, grad = cross_entropy_with_grad([0.0, 0.0, 0.0, 0.0], 3)
        >>> grad
        array([ 0.25,  0.25,  0.25, -0.75])
    """
    backend = None if type(logits) is np.ndarray else backend_of(logits)
    if backend is not None:
        pair: tuple[Any, Any] = backend.cross_entropy_with_grad(
            logits,
            target,
            weight,
            sample_weight=sample_weight,
            grad_output=grad_output,
            out=out,
            **options,
        )
        return pair
    checked = checked_options(Options, **options)
    return engine.cross_entropy_with_grad(
        logits, target, weight, sample_weight, checked, grad_output, out
    )


def score(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    multi_label: MultiLabel = "error",
    first_class: int = 0,
    z_loss: float = 0.0,
    softcap: float | None = None,
) -> Scores:
    """How each example does, from one pass over its logits; where an option changes the loss from
    two.

    An ignored example has 0 for all scores but predicted class first_class − 1, so it adds nothing
    to a sum; so has one with sample weight 0. An example whose logits have no softmax (a NaN, +inf,
    nothing but −inf) has NaN for its numbers, rank 0 and predicted class first_class − 1.

    Args:
        logits: (C,), (N, C) or (N, C, d1, …), as in `cross_entropy`.
        target: Class indices or probabilities, as in `cross_entropy`. The probability and the rank
            are then those of the class with the largest probability, the first of several.
        weight, sample_weight, label_smoothing, multi_label, z_loss: As in `cross_entropy`. They
            change no score but the loss.
        softcap: As in `cross_entropy`. The scores are those of the capped logits.
        ignore_index: Examples with this label are ignored.
        first_class: 1 if the labels count from one; `predicted` then does too.

    Returns:
        `Scores`: loss, probability, predicted, rank, entropy and logsumexp of each example. The
        loss is that of `cross_entropy` with the same arguments and reduction="none".

    Raises:
        As `cross_entropy`.

    Example:
        >>> s = score([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]], [0, 2])
        >>> s.predicted, s.rank
        (array([0, 1]), array([1, 2]))
        >>> s.loss
        array([0.40760596, 2.16984602])
    """
    backend = None if type(logits) is np.ndarray else backend_of(logits)
    if backend is not None:
        scores: Scores = backend.score(
            logits,
            target,
            weight,
            sample_weight=sample_weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            multi_label=multi_label,
            first_class=first_class,
            z_loss=z_loss,
            softcap=softcap,
        )
        return scores
    options = score_options(
        ignore_index, label_smoothing, multi_label, first_class, z_loss, softcap
    )
    return engine.score(logits, target, weight, sample_weight, options)


def softmax(logits: ArrayLike, axis: int | None = None) -> Any:
    """The softmax: a_n = exp(z_n) / Σ_j exp(z_j).

    From the kernels of the loss, and as exact: each entry to a few units in its last place, however
    small it is. A row whose logits have no softmax (a NaN, +inf, nothing but −inf) is NaN.

    Args:
        logits: Real numbers of any float or integer dtype, as in `cross_entropy`. −inf masks a
            class out.
        axis: The axis of the classes. It must be given for more than two axes, of which both
            axis=1, as in `cross_entropy`, and axis=-1 are usual; else it is the last one.

    Returns:
        An array of the logits' shape and dtype, float64 for integers. Half precision is computed in
        float32 and rounded once.

    Raises:
        OptionError: `axis` is not given, or not an axis of the logits. A ValueError.
        ValueError: Logits without an axis or without classes.
        TypeError: Arguments of a wrong type.

    Example:
        >>> softmax([[0.0, 0.0], [0.0, np.log(3)]])
        array([[0.5 , 0.5 ],
               [0.25, 0.75]])
    """
    backend = None if type(logits) is np.ndarray else backend_of(logits)
    if backend is not None:
        return backend.softmax(logits, axis)
    return softmaxes.softmax(logits, axis)


def log_softmax(logits: ArrayLike, axis: int | None = None) -> Any:
    """The logarithm of the softmax: log a_n = z_n − log Σ_j exp(z_j), without cancellation.

    Args:
        logits, axis: As in `softmax`.

    Returns:
        As `softmax`. The entry of a class whose probability is near 1 keeps its digits.

    Raises:
        As `softmax`.

    Example:
        >>> log_softmax([0.0, 50.0])
        array([-5.00000000e+01, -1.92874985e-22])
    """
    backend = None if type(logits) is np.ndarray else backend_of(logits)
    if backend is not None:
        return backend.log_softmax(logits, axis)
    return softmaxes.log_softmax(logits, axis)


def logsumexp(logits: ArrayLike, axis: int | None = None) -> Any:
    """The logarithm of the denominator of the softmax: log Σ_n exp(z_n).

    It is ±inf where a logit is +inf or all are −inf, as in PyTorch and SciPy.

    Args:
        logits, axis: As in `softmax`.

    Returns:
        One number for each example: the logits' shape without the axis of the classes. float64 for
        float64 and integer logits, else float32.

    Raises:
        As `softmax`.

    Example:
        >>> logsumexp([[0.0, 0.0], [0.0, np.log(3)]])
        array([0.69314718, 1.38629436])
    """
    backend = None if type(logits) is np.ndarray else backend_of(logits)
    if backend is not None:
        return backend.logsumexp(logits, axis)
    return softmaxes.logsumexp(logits, axis)


@with_options(LinearOptions)
def linear_cross_entropy(
    input: ArrayLike,
    linear_weight: ArrayLike,
    target: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    return_scores: bool = False,
    **options: Unpack[LinearOptionArguments],
) -> Any:
    """The softmax cross-entropy loss, in nats, of the logits z = W·x + b, never held all at once.

    The same as cross_entropy(input @ linear_weight.T + linear_bias, target), in the memory of a few
    rows of logits. The names are those of PyTorch's function. With z_loss λ and softcap s the
    logits are u = s·tanh(z/s) and the loss of a row is  −log a_y + λ·(log Σ_n exp(u_n))².

    Args:
        input: (features,), (N, features) or (…, features): x, one row per example. float32 and
            float64 are computed as they are, float16 and bfloat16 in float32, integers in float64;
            if input and weight differ, in the wider.
        linear_weight: (C, features), W.
        target: Class indices in the shape of input without its last axis; or probabilities, with
            an axis of the C classes in its place.
        linear_bias: (C,), b.
        weight: (C,) weights of the classes, ≥ 0. They do not count in z_loss.
        sample_weight: Weights of the rows, ≥ 0: the loss of each, z_loss included, is multiplied by
            its own. In the shape of input without its last axis, or one for each of its first axis.
            A row with weight 0 is an ignored row.
        ignore_index, reduction, label_smoothing, multi_label, denominator, first_class, z_loss,
            softcap: As in `cross_entropy`. Ignored rows take part in no matrix product.
        memory_budget: Bytes for logits and everything else beside arguments and results, as a
            number or text ("64MB", "512KiB", "1GB"). At least one row of logits must fit. Not
            included: arrays of a few numbers per example; a sum of the weight's gradient in the
            computed dtype, where the weights are narrower (4 bytes for each weight of float16 and
            bfloat16); what checking probabilities as target takes; what the libraries that compute
            products keep for themselves, some MB. The result depends on the budget by no more
            than the order of the sums.
        skip_below: p in [0, 1): may leave out of the matrix products of the gradients, in each
            block of rows, the classes whose part in the gradient with respect to the logits,
            |a_n − q_n|, is at most p in all of its rows. With f_i the derivative of the result with
            respect to the loss of row i, an entry of the input's gradient is then off by at most
            |f_i|·p·Σ_n |W_nd|,  one of the weight's by at most  p·Σ_i |f_i·x_id|.  The loss and the
            bias's gradient do not change.
        return_scores: Also return `Scores` of each example, of the logits u, as `score` gives them.
            Their loss includes the z_loss.

    Returns:
        A NumPy scalar, with reduction="none" an array of one loss per example; with return_scores
        (loss, Scores). Tensors of PyTorch give tensors, see `softmaxloss.torch`.

    Raises:
        LabelError: A label outside the classes, probabilities that do not sum to 1, a wrong shape.
        OptionError: An option with a value that has no meaning, a budget too small for one row.
        ValueError: Shapes that do not fit each other. Both others are ValueErrors.
        TypeError: Arguments of a wrong type.

    Example:
        >>> W = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> linear_cross_entropy([[2.0, 0.0], [0.0, 1.0]], W, [0, 2])
        np.float64(0.810...)
    """
    backend = backend_of(input)
    if backend is not None:
        return backend.linear_cross_entropy(
            input,
            linear_weight,
            target,
            linear_bias=linear_bias,
            weight=weight,
            sample_weight=sample_weight,
            return_scores=return_scores,
            **options,
        )
    checked = checked_options(LinearOptions, **options)
    arrays = Arguments(input, linear_weight, linear_bias, target, weight, sample_weight)
    return linear.cross_entropy(arrays, checked, return_scores)


@with_options(LinearOptions)
def linear_cross_entropy_with_grad(
    input: ArrayLike,
    linear_weight: ArrayLike,
    target: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    grad_output: ArrayLike | None = None,
    **options: Unpack[LinearOptionArguments],
) -> tuple[Any, LinearGradients]:
    """The loss as `linear_cross_entropy` gives it, and its gradients.

    With G = ∂J/∂z, one row per example:  ∂J/∂x = G·W,  ∂J/∂W = Gᵀ·x,  ∂J/∂b = Σ_i G_i.

    Args:
        input, linear_weight, target, …: As in `linear_cross_entropy`.
        grad_output: The upstream gradient ∂L/∂loss, 1 by default: a number; with reduction="none"
            also one per example. The gradients are multiplied by it.

    Returns:
        (loss, gradients), with gradients.input, .linear_weight and .linear_bias in the shapes and
        dtypes of the arguments (float64 for integers).

    Raises:
        As `linear_cross_entropy`.

    Example:
        >>> loss, grads = linear_cross_entropy_with_grad([1.0, 0.0], [[0.0, 0.0], [0.0, 1.0]], 0)
        >>> grads.linear_weight
        array([[-0.5,  0. ],
               [ 0.5,  0. ]])
        >>> grads.input
        array([0. , 0.5])
    """
    backend = backend_of(input)
    if backend is not None:
        pair: tuple[Any, LinearGradients] = backend.linear_cross_entropy_with_grad(
            input,
            linear_weight,
            target,
            linear_bias=linear_bias,
            weight=weight,
            sample_weight=sample_weight,
            grad_output=grad_output,
            **options,
        )
        return pair
    checked = checked_options(LinearOptions, **options)
    arrays = Arguments(input, linear_weight, linear_bias, target, weight, sample_weight)
    return linear.cross_entropy_with_grad(arrays, checked, grad_output)
