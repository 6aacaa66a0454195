"""A penalty of the weights with a strength that is written in the code: it is taken out, so that
what is left can be compared."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...arrays import Array
from ..calling.calls import Attempt
from ..inputs import Input, inputs_for, layer_for
from ..reference import expected
from ..settings import Settings

NEAR = 1e-6  # how well one strength must fit all inputs
MOST_LOST = 1e4  # times the loss: a larger penalty takes too many of its digits


def without_fixed_penalty(attempt: Attempt, settings: Settings) -> Attempt:
    """The attempt without c·ΣW² or c times its mean in the loss, and without their slope in the
    gradient, if one c gives what is too much on all inputs."""
    form = attempt.form
    if "loss" not in form.returns or not form.batch or "labels" not in form.order:
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
    fit = next(_strengths(attempt, known, form.is_layer), None)
    if fit is None:
        return attempt
    strength, is_mean = fit
    results, slopes = [], []
    for k, input in known:
        result, W = attempt.results[k], _weights(input, form.is_layer)
        size = W.size if is_mean else 1
        slope = 2 * strength / size * W
        gradient = result.gradient
        if gradient is not None and np.shape(gradient) == W.shape:
            right = expected(input, 1e-16).values["weights" if form.is_layer else "gradient"]
            slopes.append(_share(gradient - right, slope))
            gradient = gradient - slopes[-1] * slope
        loss = np.float64(result.loss - strength / size * (W**2).sum())
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
        with_options={},
    )


def _weights(input: Input, layer: bool) -> Array:
    """The weights of the layer; of a loss that looks its logits up in a table, the table."""
    z = input.z.astype(np.float64)
    return layer_for(z)[0] if layer else z


def _strengths(
    attempt: Attempt, known: list[tuple[int, Input]], layer: bool
) -> Iterator[tuple[float, bool]]:
    """The strengths of a penalty that fit all losses; whether each is of the mean of the squares."""
    losses: list[Any] = [attempt.results[k].loss for k, _ in known]
    if len(losses) < 3 or any(np.ndim(one) or one is None for one in losses):
        return
    right = [expected(input, 1e-16).values["loss"] for _, input in known[:1]]
    if not np.isfinite(losses).all() or losses[0] - right[0] < NEAR:
        return
    right += [expected(input, 1e-16).values["loss"] for _, input in known[1:]]
    more = np.array(losses, np.float64) - right
    weights = [_weights(input, layer) for _, input in known]
    for is_mean in (False, True):
        sizes = np.array([(W**2).mean() if is_mean else (W**2).sum() for W in weights])
        strength = _share(more, sizes)
        if (abs(more - strength * sizes) <= NEAR * (1 + abs(more))).all() and strength > NEAR:
            yield strength, is_mean


def _share(more: Array, of: Array) -> float:
    """How many times an array is in another, by least squares."""
    return float((more * of).sum() / max((of * of).sum(), 1e-300))
