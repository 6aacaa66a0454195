"""The loss of a recurrent network whose weights are globals, f(inputs, targets, hprev), as one of
logits and labels.

The hidden units get nothing from the step before, and the weights of the input give each step a
unit of its own, ½. So the weights of the output are twice the logits. The gradients of all weights
are compared with the slopes of the loss, where the units do depend on the step before.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .packed import Way, signature
from .roles import parameters_of, required_of

#: The globals by what they are: the weights of the input, of the step before, of the output, and
#: the biases of the units and of the output.
NAMES = (
    ("Wxh", "Whh", "Why", "bh", "by"), ("U", "W", "V", "b", "c"),
    ("W_xh", "W_hh", "W_hy", "b_h", "b_y"),
)  # fmt: skip
SIZES = {"vocab_size": "V", "hidden_size": "H", "V": "V", "H": "H"}
MOST_STEPS = 32  # at a time

HALF = float(np.arctanh(0.5))


def of_recurrent(function: Any) -> Iterator[Way]:
    """A loss of the words of a text, with its gradients by the weights."""
    home = getattr(function, "__globals__", {})
    names = [p.name.lower() for p in required_of(function)]
    if names[:2] != ["inputs", "targets"] or not 2 < len(names) == len(
        parameters_of(function) or ()
    ):
        return
    known = next(
        (one for one in NAMES if all(isinstance(home.get(n), np.ndarray) for n in one)), None
    )
    if known is None or len(names) != 3:
        return

    def run(weights: list[Any], inputs: list[int], targets: list[int]) -> Any:
        """The loss, and the gradient of each of the weights; the globals are as before."""
        units, words = weights[0].shape
        new = dict(zip(known, weights, strict=True))
        new |= {
            n: {"V": words, "H": units}[s] for n, s in SIZES.items() if type(home.get(n)) is int
        }
        before = {name: home[name] for name in new}
        home.update(new)
        try:
            loss, *gradients = function(inputs, targets, np.zeros((units, 1)))[:6]
        finally:
            home.update(before)
        if [np.shape(one) for one in gradients] != [one.shape for one in weights]:
            raise ValueError(
                "it returned other gradients than those of the weights, in their order"
            )
        return loss, *gradients

    def call(logits: Any, y: Any) -> Any:
        if np.ndim(logits) != 2 or np.ndim(y) != 1:
            raise ValueError("it takes class indices")
        losses, gradients = [], []
        for first in range(0, len(y), MOST_STEPS):
            z, labels = logits[first : first + MOST_STEPS], y[first : first + MOST_STEPS]
            steps, classes = z.shape
            words = max(steps, classes)
            lowest = np.full((words - classes, steps), z.min() - 1e4)
            weights = [
                np.eye(steps, words) * HALF, np.zeros((steps, steps)),
                2 * np.vstack([z.T, lowest]), np.zeros((steps, 1)), np.zeros((words, 1)),
            ]  # fmt: skip
            loss, _, _, of_output, *_ = run(weights, list(range(steps)), labels.tolist())
            losses.append(np.asarray(loss).reshape(())[()])
            gradients.append(2 * np.asarray(of_output)[:classes].T)
        return {"loss": np.sum(losses), "gradient": np.concatenate(gradients)}

    def beside() -> list[str]:
        rng = np.random.default_rng(0)
        shapes = ((3, 4), (3, 3), (4, 3), (3, 1), (4, 1))
        weights = [0.5 * rng.normal(size=shape) for shape in shapes]
        return _wrong_slopes(lambda one: run(one, [0, 2, 1], [2, 1, 3]), weights)

    vars(call)["__signature__"] = signature("logits", "y")
    yield Way(
        call,
        call,
        "f(inputs, y, 0) with a unit for each step, Why = 2·z",
        of_rows=True,
        beside=beside,
    )


def _wrong_slopes(run: Callable[[list[Any]], Any], weights: list[Any]) -> list[str]:
    """The mistake that a gradient is not the slope of the loss, by central differences; one may be
    clipped, as those that are larger are."""
    _, *gradients = run(weights)
    step = 1e-5
    for k, gradient in enumerate(gradients):
        slope = np.zeros(weights[k].shape)
        for place in np.ndindex(slope.shape):
            ends = []
            for side in (step, -step):
                moved = [one.copy() for one in weights]
                moved[k][place] += side
                ends.append(float(np.asarray(run(moved)[0]).reshape(())))
            slope[place] = (ends[0] - ends[1]) / (2 * step)
        if np.shape(gradient) != slope.shape or not np.allclose(gradient, slope, atol=1e-5):
            return ["other-layer-wrong"]
    return []
