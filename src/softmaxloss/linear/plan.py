"""The plan of the linear loss: what is checked, and which rows and classes are computed together.

No framework, no products: only shapes, options and numbers of bytes. The logits of all rows are
never held. They are made in blocks of rows, all classes of each; the products that need memory of
their own are made in chunks of classes. docs/maths.md says why rows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import LabelError, OptionError
from ..labels import ClassIndices, Target, mean_divisor, read_target
from ..options import Options

__all__ = ["Extras", "Plan", "bytes_of", "check_shapes", "plan_for"]

Array = NDArray[Any]

UNITS = {"": 1, "B": 1}
UNITS |= {f"{p}B": 1000**n for n, p in enumerate("KMGT", 1)}
UNITS |= {f"{p}IB": 1024**n for n, p in enumerate("KMGT", 1)}

#: The part of the budget that is for what is needed besides the logits: one in so many.
ASIDE = 5
#: The part for one product's result and the copies that its library makes of the operands.
PRODUCT = 12
#: Classes in one chunk of a product: a multiple of the least number, which keeps rows aligned.
MOST_CLASSES = 4096
LEAST_CLASSES = 64
#: Copies of a block's rows of the input, and of the gradient by them.
FEATURES = 4
#: Softcap and z_loss need a few copies of the logits: of so many elements, or of one row.
PIECE = 1 << 17
COPIES = 5


@dataclass(frozen=True, slots=True)
class Extras:
    """The options that only the linear loss has. Raises when one has no meaning.

    z_loss         λ ≥ 0: λ·(log Σ exp z)² is added to the loss of each row
    softcap        s > 0: the logits are s·tanh(z/s); None: they are z
    skip_below     p in [0, 1): classes whose part in the gradient is at most p in all rows of a
                   block are left out of the products of the gradients
    memory_budget  bytes, or text like "64MB" or "1GiB"

    >>> Extras(memory_budget="64MB").memory_budget
    64000000
    >>> Extras(softcap=0.0)
    Traceback (most recent call last):
        ...
    softmaxloss.errors.OptionError: softcap must be a number in [1e-30, 1e30] or None, got 0.0
    """

    z_loss: float = 0.0
    softcap: float | None = None
    skip_below: float = 0.0
    memory_budget: Any = "64MB"

    def __post_init__(self) -> None:
        z_loss = _number("z_loss", self.z_loss, "a number ≥ 0")
        skip_below = _number("skip_below", self.skip_below, "a number in [0, 1)")
        if not 0.0 <= z_loss < math.inf:
            raise OptionError(f"z_loss must be a number ≥ 0, got {self.z_loss}")
        if not 0.0 <= skip_below < 1.0:
            raise OptionError(f"skip_below must be a number in [0, 1), got {self.skip_below}")
        if self.softcap is not None:
            fits = "a number in [1e-30, 1e30] or None"  # whose quotients float32 holds
            softcap = _number("softcap", self.softcap, fits)
            if not 1e-30 <= softcap <= 1e30:
                raise OptionError(f"softcap must be {fits}, got {self.softcap}")
            object.__setattr__(self, "softcap", softcap)
        object.__setattr__(self, "z_loss", z_loss)
        object.__setattr__(self, "skip_below", skip_below)
        object.__setattr__(self, "memory_budget", bytes_of(self.memory_budget))

    @property
    def change_logits(self) -> bool:
        """Whether the loss is more than a kernel computes."""
        return self.z_loss != 0.0 or self.softcap is not None


def bytes_of(budget: float | str) -> int:
    """A number of bytes, also as text: "64MB" is 64 million, "64MiB" 64·1024².

    >>> bytes_of("64MB"), bytes_of("512KiB"), bytes_of(1e6)
    (64000000, 524288, 1000000)
    """
    if isinstance(budget, Real) and not isinstance(budget, bool) and budget % 1 in (0, math.inf):
        number = float(budget)
    elif isinstance(budget, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", budget)
        if not match or match[2].upper() not in UNITS:
            raise OptionError(
                f'memory_budget must be bytes or text like "64MB" or "1GiB", got {budget!r}'
            )
        number = float(match[1]) * UNITS[match[2].upper()]
    else:
        raise TypeError(
            f'memory_budget must be bytes or text like "64MB" or "1GiB", got {budget!r}'
        )
    if not 1 <= number < 2**63:
        raise OptionError(f"memory_budget must be at least 1 byte, got {budget!r}")
    return int(number)


def check_shapes(
    input: tuple[int, ...],
    linear_weight: tuple[int, ...],
    linear_bias: tuple[int, ...] | None,
    target: tuple[int, ...],
) -> bool:
    """ValueError (LabelError for the target) unless the shapes fit each other. Returns whether the
    target holds one class index per row, not one number per class.

    >>> check_shapes((8, 16), (100, 16), (100,), (8,))
    True
    >>> check_shapes((8, 16), (100, 12), None, (8,))
    Traceback (most recent call last):
        ...
    ValueError: input of shape (8, 16) has 16 features, linear_weight of shape (100, 12) has 12
    """
    if len(linear_weight) != 2 or linear_weight[0] == 0:
        raise ValueError(
            f"linear_weight must have shape (classes, features), got shape {linear_weight}"
        )
    if not input:
        raise ValueError("input must have shape (features,) or (…, features), got one number")
    classes, features = linear_weight
    if input[-1] != features:
        raise ValueError(
            f"input of shape {input} has {input[-1]} features, linear_weight of shape "
            f"{linear_weight} has {features}"
        )
    if linear_bias is not None and linear_bias != (classes,):
        raise ValueError(
            f"linear_bias has shape {linear_bias}; linear_weight of shape {linear_weight} needs "
            f"shape ({classes},)"
        )
    rows = input[:-1]
    if target not in (rows, (*rows, classes)):
        raise LabelError(
            f"target has shape {target}; input of shape {input} and linear_weight of shape "
            f"{linear_weight} need class indices of shape {rows} or probabilities of shape "
            f"{(*rows, classes)}"
        )
    return target == rows


@dataclass(slots=True)
class Plan:
    """What one call computes: for which rows, in which blocks, and what their mean divides by."""

    rows: int  #: of the input, all of them
    classes: int
    counted: Array | None  #: which rows count, in order; None: all
    target: Target  #: of the rows that count
    blocks: list[slice]  #: of the rows that count
    chunk: int  #: classes in one product
    divisor: float  #: of the sum of the losses; 0 where nothing counts

    def inputs(self) -> Iterator[tuple[slice | Array, slice, Target]]:
        """For each block: its rows in the input, the same among those that count, its target."""
        for block in self.blocks:
            where = block if self.counted is None else self.counted[block]
            yield where, block, self.target.at((block,))

    def chunks(self) -> Iterator[slice]:
        """All classes, a chunk at a time."""
        for start in range(0, self.classes, self.chunk):
            yield slice(start, min(start + self.chunk, self.classes))

    def factor(self, upstream: float | Array) -> float | Array:
        """The derivative of the result by each row's loss: one number, or one for each row that
        counts. `upstream` is the derivative of what comes after by the result."""
        if isinstance(upstream, np.ndarray):
            return upstream if self.counted is None else upstream[self.counted]
        # Nothing counts where the divisor is 0: the loss is NaN, but nothing has a part in it.
        return upstream / self.divisor if self.divisor else 0.0

    def reduced(self, losses: Array, options: Options) -> Any:
        """The losses of the rows that count → the result; for "none" of all rows."""
        if options.reduction != "none":
            total = float(np.add.reduce(losses, dtype=np.float64))
            return total / self.divisor if self.divisor else math.nan
        return self.of_all_rows(losses, 0.0)

    def of_all_rows(self, values: Array, ignored: float) -> Array:
        """Values of the rows that count, and one for those that do not."""
        if self.counted is None:
            return values
        result = np.full(self.rows, ignored, values.dtype)
        result[self.counted] = values
        return result


def plan_for(
    rows: int,
    shape: tuple[int, int],
    target: ArrayLike,
    weight: NDArray[np.float64] | None,
    options: Options,
    extras: Extras,
    itemsize: int,
    converted: int = 0,
) -> Plan:
    """The plan for `rows` rows and a weight of shape (classes, features).

    target     (rows,) or (rows, classes)
    itemsize   bytes of one logit as it is computed and held
    converted  bytes of one weight where a chunk of the weights is converted before a product

    >>> plan_for(5, (10, 3), [1, 2, 3, 4, 5], None, Options(), Extras(memory_budget=250), 4).blocks
    [slice(0, 1, None), slice(1, 3, None), slice(3, 5, None)]
    """
    classes, features = shape
    read = read_target(target, (rows, classes), options)
    divisor = mean_divisor(read, weight, rows, options)
    counted = None
    if isinstance(read, ClassIndices) and read.may_ignore:
        counts = read.counted()
        if not counts.all():
            counted = np.flatnonzero(counts)
            read = replace(read, values=read.values[counted], may_ignore=False)
    blocks = row_blocks(rows if counted is None else counted.size, shape, itemsize, extras)
    largest = max((block.stop - block.start for block in blocks), default=1)
    # Bytes per class of a product: its result, and a copy of both operands.
    each = itemsize * (max(largest, features) + largest + features) + converted * features
    if extras.skip_below:
        each += 4 * (largest + features)
    chunk = extras.memory_budget // (PRODUCT * each)
    chunk -= chunk % LEAST_CLASSES if chunk > LEAST_CLASSES else 0
    chunk = min(max(chunk, LEAST_CLASSES), MOST_CLASSES, classes)
    return Plan(rows, classes, counted, read, blocks, chunk, divisor)


def row_blocks(rows: int, shape: tuple[int, int], itemsize: int, extras: Extras) -> list[slice]:
    """The rows in as few blocks as the budget allows, of sizes that differ by one at most."""
    classes, features = shape
    logits = classes * itemsize
    copies = 0
    if extras.change_logits:
        copies = COPIES * max(itemsize, 4) * max(classes, PIECE if rows * classes > PIECE else 0)
    budget = extras.memory_budget
    available = budget - budget // ASIDE - copies
    if rows and available < logits:
        needed = math.ceil((logits + copies) * ASIDE / (ASIDE - 1)) + 1
        raise OptionError(
            f"memory_budget of {budget} bytes does not hold one row of {classes} logits: it takes "
            f"{needed}"
        )
    # Beside its logits, a row of the input has a copy, its gradient and parts of that.
    row = logits + FEATURES * features * max(itemsize, 4)
    number = math.ceil(rows / max(1, available // row)) if rows else 0
    ends = [rows * (i + 1) // number for i in range(number)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _number(name: str, value: Any, fits: str) -> float:
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be {fits}, got {value!r}")
    return float(value)
