"""A guard: the small number ε that keeps the logarithm of a probability finite.

Code that takes probabilities often adds ε to them, or clips them at ε. Where the true class has
probability 0 the loss is −log ε: that gives the value of ε.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from ..arrays import Array

Family = Literal["plus", "clip", "floor"]

_CHANGE: dict[Family, Callable[[Any, Any], Any]] = {
    "plus": lambda a, epsilon: a + epsilon,
    "clip": lambda a, epsilon: np.clip(a, epsilon, 1 - epsilon),
    "floor": lambda a, epsilon: np.maximum(a, epsilon),
}


class Guard(NamedTuple):
    """A change of the probabilities before their logarithm."""

    family: Family
    epsilon: float

    def __call__(self, a: Array) -> Array:
        """The changed probabilities.

        >>> Guard("floor", 1e-7)(np.array([0.0, 0.5])).tolist()
        [1e-07, 0.5]
        """
        return np.asarray(_CHANGE[self.family](a, a.dtype.type(self.epsilon)))

    @property
    def mistake(self) -> str:
        """The id under which it is listed."""
        return "log-of-a-plus-epsilon" if self.family == "plus" else "clipped"

    def __str__(self) -> str:
        epsilon = f"{self.epsilon:.4g}"
        return {
            "plus": f"log(a + {epsilon})",
            "clip": f"log of a clipped to {epsilon} … 1 − {epsilon}",
            "floor": f"log of max(a, {epsilon})",
        }[self.family]


def guards_for(loss_at_zero: Any, gradient_at_zero: Any = None) -> list[Guard]:
    """The guards that give this loss for one example whose true class has probability 0; without a
    loss, those that give this gradient with respect to the probabilities, or its negative.

    >>> [str(guard) for guard in guards_for(-np.log(1e-7))][0]
    'log(a + 1e-07)'
    >>> guards_for(None, [[-1e7, 0.0]])[0].epsilon
    1e-07
    """
    if loss_at_zero is None and gradient_at_zero is not None:
        with np.errstate(divide="ignore"):
            loss_at_zero = np.log(np.abs(gradient_at_zero).max())
    value = np.asarray(np.nan if loss_at_zero is None else loss_at_zero, np.float64)
    if value.size != 1 or not 0 < value < 740:
        return []
    epsilon = float(f"{np.exp(-value.item()):.9g}")  # as it was written
    power = 2.0 ** round(np.log2(epsilon))
    epsilon = power if abs(epsilon - power) < 1e-8 * power else epsilon  # that of a dtype
    return [Guard(family, epsilon) for family in _CHANGE]
