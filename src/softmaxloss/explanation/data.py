"""What the explanations of an example, of several labels and of a set have in common as data."""

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import formula
from ..jsonable import jsonable

Vector = NDArray[np.float64]

SHOWN = 12  # classes listed; of more, the most important ones are


@dataclass(frozen=True, eq=False, kw_only=True)
class Data:
    """The classes of an explanation: their names, or None, and the number of the first of them."""

    classes: tuple[str, ...] | None = None
    first_class: int = 0

    def number(self, n: int) -> int:
        """The number of the class at position n in the caller's labels."""
        return n + self.first_class


@dataclass(frozen=True, eq=False)
class State:
    """The outputs of a classifier for one example and their loss.

    Attributes:
        logits: (C,) z.
        probabilities: (C,) a = softmax(z).
        loss: J = −log a_y in nats, computed from z: it is right even where a_y rounds to 0 or 1.
    """

    logits: Vector
    probabilities: Vector
    loss: float


def frozen(values: Any, dtype: Any = np.float64) -> NDArray[Any]:
    """A read-only copy."""
    copy = np.array(values, dtype)
    copy.flags.writeable = False
    return copy


def strongest(z: Vector, y: int, count: int) -> list[int]:
    """The positions of at most `count` classes, the largest logit first, y among them."""
    z = np.where(np.isnan(z), np.inf, z)
    order = np.argsort(-z, kind="stable")[:count].tolist()
    if y not in order:
        order[-1] = y
    return [int(n) for n in order]


def listed(z: Vector, y: int) -> list[int]:
    """The positions of the classes that tables list: all of up to 12, else the strongest 12."""
    return list(range(z.size)) if z.size <= SHOWN else strongest(z, y, SHOWN)


def state(z: Vector, loss: float) -> State:
    """The outputs z, their softmax and their loss."""
    return State(frozen(z), frozen(formula.softmax(z)), float(loss))


def as_json(value: Any) -> Any:
    """The value as JSON can hold it: dataclasses and named tuples as objects, arrays and other
    tuples as lists."""
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "_asdict"):
        return {name: as_json(part) for name, part in value._asdict().items()}
    if isinstance(value, tuple) or (isinstance(value, np.ndarray) and value.ndim > 1):
        return [as_json(part) for part in value]
    if isinstance(value, float | np.ndarray):
        return jsonable(value)
    return value
