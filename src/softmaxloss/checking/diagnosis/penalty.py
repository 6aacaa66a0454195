"""A penalty of the weights with a strength that is written in the code: it is taken out, so that
what is left can be compared."""

import itertools
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from ...arrays import Array
from ..calling.calls import Attempt
from ..inputs import Input, inputs_for, layer_for
from ..reference import Results, expected
from ..settings import Settings

NEAR = 1e-6  # how well one strength must fit all inputs
ROUNDED = 8  # units in the last place that a sum with the penalty may be off
MOST_LOST = 1e4  # times the loss: a larger penalty takes too many of its digits

NARROW = 12.0  # between the outputs of an input that a strength is found from

#: What a penalty is divided by: nothing, the number of weights, or that of examples.
Per = Literal["", "weight", "example"]
PERS: tuple[Per, ...] = ("", "weight", "example")


def without_fixed_penalty(attempt: Attempt, settings: Settings) -> Attempt:
    """The attempt without c·ΣW², c times its mean or c·ΣW²/N in the loss, and without their slope
    in the gradient, if one c gives what is too much on all inputs.

    A parameter for the strength is still compared with none: beside c it may be unused.
    """
    form = attempt.form
    if not {"loss", "gradient"} & {*form.returns} or not form.batch:
        return attempt
    if "labels" not in form.order:
        return attempt
    if not form.is_layer and "W[words]" not in form.protocol:
        return attempt
    dtype = form.dtype(settings.dtype)
    inputs = inputs_for(form.scores != "logits", settings.seed, dtype, attempt.small, form.classes)
    if len(inputs) != len(attempt.results):
        return attempt
    known = [
        (k, input) for k, input in enumerate(inputs) if np.abs(input.z).max() < MOST_LOST / 100
    ]
    strengths = _strengths if "loss" in form.returns else _strengths_of_gradient
    fit = next(strengths(attempt, known, form.is_layer), None)
    if fit is None:
        return attempt
    strength, per, of_sum = fit
    results, slopes = [], []
    for k, input in known:
        result, W = attempt.results[k], _weights(input, form.is_layer)
        size = _divisor(per, W, input)
        slope = 2 * strength / size * W
        gradient = result.gradient
        if gradient is not None and np.shape(gradient) == W.shape and W.any():
            right = expected(input, 1e-16).values["weights" if form.is_layer else "gradient"]
            right = right * (len(input.y) if of_sum else 1)
            slopes.append(_share(gradient - right, slope))
            lost = ROUNDED * np.finfo(np.asarray(gradient).dtype).eps * (1 + np.abs(slope))
            gradient = gradient - slopes[-1] * slope
            # The digits that rounding took where the penalty is much larger.
            gradient = np.where(abs(gradient - right) <= lost, right, gradient)
        loss = result.loss
        loss = None if loss is None else np.float64(loss - strength / size * (W**2).sum())
        results.append(result._replace(loss=loss, gradient=gradient))
    kept = {input.name for _, input in known}
    behaviour = [*attempt.behaviour, "fixed-penalty"]
    if slopes and np.ptp(slopes) < NEAR and abs(slopes[0] - 1) > NEAR:
        behaviour.append("regularisation-gradient")
    return attempt._replace(
        results=results,
        problems=[attempt.problems[k] for k, _ in known],
        left_out=tuple(input.name for input in inputs if input.name not in kept),
        behaviour=behaviour,
        with_options={k: v for k, v in attempt.with_options.items() if k in ("reg", "reg 0")},
    )


def as_loss(attempt: Attempt) -> Attempt:
    """The attempt with the other sign, if it is called the log-likelihood, and is."""
    losses = [result.loss for result in attempt.results if result.loss is not None]
    if not attempt.wording.likelihood or not losses or any(np.ndim(one) > 1 for one in losses):
        return attempt
    numbers = np.concatenate([np.ravel(one) for one in losses])
    finite = numbers[np.isfinite(numbers)]
    if not finite.size or (finite > 0).any():
        return attempt
    with_options = {
        name: (_negative(results), problem)
        for name, (results, problem) in attempt.with_options.items()
    }
    return attempt._replace(
        results=[_negative(result) for result in attempt.results],
        with_options=with_options,
        behaviour=[*attempt.behaviour, "of-the-log-likelihood"],
    )


def _negative(results: Results) -> Results:
    loss, gradient = results.loss, results.gradient
    return results._replace(
        loss=None if loss is None else -loss, gradient=None if gradient is None else -gradient
    )


def _weights(input: Input, layer: bool) -> Array:
    """The weights of the layer; of a loss that looks its logits up in a table, the table."""
    z = input.z.astype(np.float64)
    return layer_for(z)[0] if layer else z


def _divisor(per: Per, W: Array, input: Input) -> int:
    return {"": 1, "weight": W.size, "example": len(input.y)}[per]


def _strengths(
    attempt: Attempt, known: list[tuple[int, Input]], layer: bool
) -> Iterator[tuple[float, Per, bool]]:
    """The strengths of a penalty that fit all losses; what each is divided by, and whether the
    losses are sums over the examples."""
    # Beyond that an ε in the log shows.
    known = [(k, input) for k, input in known if np.ptp(input.z) < NARROW]
    losses: list[Any] = [attempt.results[k].loss for k, _ in known]
    if len(losses) < 3 or any(np.ndim(one) or one is None for one in losses):
        return
    first = expected(known[0][1], 1e-16).values["loss"]
    if not np.isfinite(losses).all() or losses[0] - first < NEAR:
        return
    right = np.array([expected(input, 1e-16).values["loss"] for _, input in known])
    rows = np.array([len(input.y) for _, input in known])
    weights = [_weights(input, layer) for _, input in known]
    for per, of_sum in itertools.product(PERS, (False, True)):
        more = np.array(losses, np.float64) - right * (rows if of_sum else 1)
        pairs = zip(weights, known, strict=True)
        sizes = np.array([(W**2).sum() / _divisor(per, W, input) for W, (_, input) in pairs])
        strength = _as_written(_share(more, sizes))
        if (abs(more - strength * sizes) <= NEAR * (1 + abs(more))).all() and strength > NEAR:
            yield strength, per, of_sum


def _strengths_of_gradient(
    attempt: Attempt, known: list[tuple[int, Input]], layer: bool
) -> Iterator[tuple[float, Per, bool]]:
    """The same, of a gradient alone."""
    part = "weights" if layer else "gradient"
    gradients: list[Any] = [attempt.results[k].gradient for k, _ in known]
    weights = [_weights(input, layer) for _, input in known]
    pairs = [*zip(gradients, weights, strict=True)]
    if any(np.shape(one) != W.shape or not np.isfinite(one).all() for one, W in pairs):
        return
    for of_sum in (False, True):
        right = [
            expected(input, 1e-16).values[part] * (len(input.y) if of_sum else 1)
            for _, input in known[:1]
        ]
        share = _share(gradients[0] - right[0], weights[0])
        if not NEAR < share < 1 or abs(gradients[0] - right[0] - share * weights[0]).max() > NEAR:
            continue
        right += [
            expected(input, 1e-16).values[part] * (len(input.y) if of_sum else 1)
            for _, input in known[1:]
        ]
        rest = [g - r - share * W for g, r, W in zip(gradients, right, weights, strict=True)]
        if all(
            (abs(one) <= NEAR * (1 + abs(W))).all() for one, W in zip(rest, weights, strict=True)
        ):
            yield share / 2, "", of_sum


def _as_written(strength: float) -> float:
    """The number nearby that has few digits, as one that is written in code; else itself."""
    few = float(f"{strength:.6g}")
    return few if abs(few - strength) <= 1e-2 * NEAR * abs(few) else strength


def _share(more: Array, of: Array) -> float:
    """How many times an array is in another, by least squares."""
    return float((more * of).sum() / max((of * of).sum(), 1e-300))
