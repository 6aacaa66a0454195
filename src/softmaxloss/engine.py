"""The engine for NumPy arrays: check the arguments, run a kernel, reduce.

The maths is in `formula`, the loops are in `kernels`. The functions take (logits, target, weight,
sample_weight, options) and are called by `api` and by the engines of other frameworks.
"""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array, as_floats, put, round_to
from .errors import OptionError
from .kernels import direct_on, kernel_for, softcap
from .kernels.softcap import z_loss_of
from .kernels.threads import get_num_threads
from .labels import ClassIndices, Target, read_target
from .logits import compute_dtype, gradient_dtype, read_logits, without_classes
from .options import Options, class_weights, sample_weights
from .reduction import gradient_factor, mean_divisor, read_upstream, reduced
from .rows import BLOCK, blocks, class_last, in_shape, outer_classes_inner
from .scores import IGNORED, Scores, counted_from, empty_scores

_FLOAT64 = np.dtype(np.float64)


def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None,
    sample_weight: ArrayLike | None,
    options: Options,
) -> Any:
    """The loss, as `softmaxloss.cross_entropy` describes it.

    >>> cross_entropy([0.0, 0.0], 1, None, None, Options())
    np.float64(0.693147180...)
    """
    if type(logits) is np.ndarray:
        loss = _direct(logits, target, weight, sample_weight, options, 1.0, None)
        if loss is not None:
            return loss
    call = _Call(logits, target, weight, sample_weight, options)
    return call.reduced(call.run(1.0, None))


def cross_entropy_with_grad(
    logits: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None,
    sample_weight: ArrayLike | None,
    options: Options,
    grad_output: ArrayLike | None = None,
    out: Array | None = None,
) -> tuple[Any, Array]:
    """(loss, gradient), as `softmaxloss.cross_entropy_with_grad` describes them.

    >>> cross_entropy_with_grad([0.0, 0.0], 1, None, None, Options())[1]
    array([ 0.5, -0.5])
    """
    if type(logits) is np.ndarray:
        grad = np.empty(logits.shape, logits.dtype) if out is None else out
        upstream = 1.0 if grad_output is None else grad_output
        loss = _direct(logits, target, weight, sample_weight, options, upstream, grad)
        if loss is not None:
            return loss, grad
    call = _Call(logits, target, weight, sample_weight, options)
    if out is None:
        grad = np.empty(call.given.shape, gradient_dtype(call.given.dtype))
    else:
        grad = call.checked_out(out)
    upstream = read_upstream(grad_output, call.lead_shape, options)
    losses = call.run(gradient_factor(upstream, call.divisor), grad)
    return call.reduced(losses), grad


def score(
    logits: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None,
    sample_weight: ArrayLike | None,
    options: Options,
) -> Scores:
    """The scores of each example, as `softmaxloss.score` describes them.

    >>> score([[0.0, 1.0]], [1], None, None, Options(reduction="none")).rank
    array([1])
    """
    plain = weight is None and sample_weight is None and not options.label_smoothing
    plain = plain and not options.changes_logits
    if plain and type(logits) is np.ndarray:
        arrays = direct_on().direct_score(logits, target, options, get_num_threads())
        if arrays is not None:
            return (
                Scores._make(arrays)
                if logits.ndim > 1
                else Scores(*[array[()] for array in arrays])
            )
    call = _Call(logits, target, weight, sample_weight, options)
    scores = call.score()
    if not plain or not isinstance(call.target, ClassIndices):
        scores = scores._replace(loss=call.run(1.0, None))
    if call.sample_weight is not None:
        unused = call.sample_weight == 0
        for array, value in zip(scores, IGNORED, strict=True):
            array[unused] = value
    scores = counted_from(options.first_class, scores)
    return Scores(*[in_shape(array, call.lead_shape) for array in scores])


def z_loss(
    logits: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None,
    sample_weight: ArrayLike | None,
    options: Options,
) -> Any:
    """The part of the loss that is the z_loss, reduced as the loss is.

    >>> z_loss([0.0, 0.0], 1, None, None, Options(z_loss=1.0))
    np.float64(0.480453013...)
    """
    call = _Call(logits, target, weight, sample_weight, options)
    values = z_loss_of(call.score().logsumexp.astype(np.float64), options.z_loss)
    if call.sample_weight is not None:
        values = np.where(call.sample_weight == 0, 0.0, call.sample_weight * values)
    return call.reduced(values.astype(call.dtype) if call.final else values)


def _direct(
    logits: Array,
    target: Any,
    weight: Any,
    sample_weight: Any,
    options: Options,
    upstream: Any,
    grad: Array | None,
) -> Any | None:
    """The loss, without the checks of `_Call`, which are most of the time of a small call. None
    where only `_Call` can tell what the arguments mean."""
    losses = None
    if options.changes_logits:
        return None
    if options.reduction == "none":
        if logits.ndim == 0:
            return None
        losses = np.empty(without_classes(logits.shape)[0], compute_dtype(logits.dtype))
    loss = direct_on().direct(
        logits, target, weight, sample_weight, options, upstream, losses, grad, get_num_threads()
    )
    return loss if loss is None or losses is None else losses[()]


class _Call:
    """The checked arguments of one call, and how a kernel gets to see them."""

    def __init__(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        weight: ArrayLike | None,
        sample_weight: ArrayLike | None,
        options: Options,
    ) -> None:
        self.options = options
        self.given = self.logits = x = read_logits(logits)
        self.lead_shape, self.classes = without_classes(x.shape)
        self.rows = math.prod(self.lead_shape)
        self.weight = None if weight is None else class_weights(weight, self.classes)
        self.sample_weight = None
        if sample_weight is not None:
            self.sample_weight = sample_weights(sample_weight, self.lead_shape)
        self.target: Target = read_target(target, x.shape, options)
        self.dtype = compute_dtype(x.dtype)  # of the loss
        self.kernel, self.storage = kernel_for(self.dtype if options.changes_logits else x.dtype)
        self.divisor = mean_divisor(
            self.target, self.weight, self.sample_weight, self.rows, options
        )
        # Whether the losses are the result: nothing is left to add up or to divide.
        self.final = options.reduction == "none" or (self.rows == 1 and self.divisor == 1.0)

    def run(self, factor: float | Array, grad: Array | None) -> Array:
        """The loss of each example, (rows,). `grad`, in the logits' shape, is filled if given."""
        # A loss that is still to be added up is not rounded to float32 first.
        loss = np.empty(self.rows, self.dtype if self.final else _FLOAT64)
        x = self._in_place(self.logits)
        y = self.target.in_place()
        g = None if grad is None else self._in_place(grad)
        copies = softcap.makes_copies(self.target, self.weight, self.options)
        if copies or x is None or y is None or (g is None) is not (grad is None):
            self._run_in_blocks(factor, loss, grad)
            return loss
        compute = self._compute()
        compute(x, y, self.weight, self.sample_weight, self.options, factor, loss, g)
        return loss

    def _compute(self) -> Any:
        """`Kernel.cross_entropy`, with the options that the kernel does not have."""
        if self.options.changes_logits:
            return partial(softcap.cross_entropy, self.kernel)
        return self.kernel.cross_entropy

    def _run_in_blocks(self, factor: float | Array, loss: Array, grad: Array | None) -> None:
        """`run` where some array has no dtype or layout that the kernel reads, or with options that
        the kernel does not have."""
        compute, most = self._compute(), softcap.FEW if self.options.changes_logits else BLOCK
        for place, rows in blocks(self.lead_shape, self.classes, most):
            x = self._block(self.logits, place)
            part = None if grad is None else class_last(grad)[place]
            # Where the kernel can write it, the gradient needs no copy.
            whole = part is not None and part.dtype == x.dtype and part.flags.carray
            made = None
            if part is not None:
                made = part.reshape(x.shape) if whole else np.empty_like(x)
            compute(
                x,
                self.target.block(place),
                self.weight,
                None if self.sample_weight is None else self.sample_weight[rows],
                self.options,
                factor if isinstance(factor, float) else factor[rows],
                loss[rows],
                made,
            )
            if part is not None and made is not None and not whole:
                put(part, made)

    def score(self) -> Scores:
        """The scores of each example, (rows,), classes counted from 0. Their loss is that of the
        true class alone."""
        scores = empty_scores((self.rows,), self.dtype)
        target = self.target.true_classes()
        x, cap = self._in_place(self.logits), self.options.softcap
        if x is not None and cap is None:
            self.kernel.score(x, target.in_place(), scores)
            return scores
        for place, rows in blocks(self.lead_shape, self.classes):
            part = Scores(*[array[rows] for array in scores])
            z = self._block(self.logits, place)
            u = z if cap is None else softcap.capped(self.kernel, z, cap)
            self.kernel.score(u, target.block(place), part)
        return scores

    def _in_place(self, x: Array) -> Array | None:
        """x as (outer, classes, inner) in its own memory, where the kernel can use that."""
        if x.dtype != self.storage or not x.flags.aligned:
            return None
        return outer_classes_inner(x)

    def _block(self, x: Array, place: Any) -> Array:
        """Some examples as (rows, classes, 1), copied where the kernel cannot read them."""
        part = class_last(x)[place]
        if part.dtype != self.storage:
            part = as_floats(part)
        part = np.require(part, self.storage, ["C", "A"])
        return part.reshape(-1, self.classes, 1)

    def reduced(self, losses: Array) -> Any:
        if self.options.reduction == "none":
            return in_shape(losses, self.lead_shape)
        return losses[0] if self.final else round_to(self.dtype, reduced(losses, self.divisor))

    def checked_out(self, out: Array) -> Array:
        """`out`, if the gradient can be written to it; what it would overwrite is copied first."""
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
        dtype = gradient_dtype(self.given.dtype)
        if out.shape != self.given.shape or out.dtype != dtype:
            raise OptionError(
                f"out has shape {out.shape} and dtype {out.dtype}; the gradient needs shape "
                f"{self.given.shape} and dtype {dtype}"
            )
        if not out.flags.writeable:
            raise OptionError("out is read-only; the gradient is written to it")
        if not out.flags.c_contiguous and may_overlap_itself(out):
            raise OptionError(
                "out has numbers that share memory; each entry of the gradient needs its own memory"
            )
        # The same memory, element for element, is fine: a kernel reads a row before it writes it.
        given = self.given
        if given is not out and _may_overlap(given, out) and not _same_memory(given, out):
            self.logits = self.logits.copy()
        if _may_overlap(self.target.values, out):
            self.target = replace(self.target, values=self.target.values.copy())
        if self.weight is not None and _may_overlap(self.weight, out):
            self.weight = self.weight.copy()
        if self.sample_weight is not None and _may_overlap(self.sample_weight, out):
            self.sample_weight = self.sample_weight.copy()
        return out


def _may_overlap(a: Array, b: Array) -> bool:
    """Whether two arrays may share memory, judged by where they start and end."""
    if a.flags.owndata and b.flags.owndata:  # the cheaper test, and exact
        return a is b
    return np.may_share_memory(a, b)


def may_overlap_itself(a: Array) -> bool:
    """Whether two elements of an array may share memory: an axis whose step is smaller than the
    extent of the axes with smaller steps."""
    end = a.itemsize
    steps = sorted((abs(step), size) for step, size in zip(a.strides, a.shape, strict=True))
    for step, size in steps:
        if size > 1:
            if step < end:
                return a.size > 0
            end += step * (size - 1)
    return False


def _same_memory(a: Array, b: Array) -> bool:
    """Whether two arrays of one shape have each element at the same place in memory."""
    starts_equal: bool = a.__array_interface__["data"] == b.__array_interface__["data"]
    return starts_equal and a.strides == b.strides
