"""The plan of the linear loss: what is checked, and which rows and classes are computed together.

Logits are made in blocks of rows, all classes of each; products that need memory of their own are
made in chunks of classes. docs/maths.md says why rows.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Array
from ..errors import LabelError, OptionError
from ..kernels.softcap import COPIES, FEW
from ..labels import ClassIndices, Target, read_target
from ..options import LinearOptions, Options
from ..reduction import mean_divisor, reduced

#: The part of the budget that is for what is needed besides the logits: one in so many.
ASIDE = 4
#: The part for one product's result and the copies that its library makes of the operands.
PRODUCT = 16
#: Classes in one chunk of a product: a multiple of the least number, which keeps rows aligned.
MOST_CLASSES = 4096
LEAST_CLASSES = 64
#: Classes in one chunk where all rows are computed together: the first with which the budget holds
#: enough rows.
CHUNKS, ENOUGH = (4096, 2048, 1024, 512, 256, 128), 1024
#: Blocks of fewer rows take longer than chunks of classes, with gradients and without, unless the
#: classes are few.
THIN, THIN_LOSS, MANY = 128, 2048, 2048
#: Other numbers of a row, in bytes.
OF_ROW = 256
#: Copies of a block's rows of the input, and of the gradient with respect to them.
FEATURES = 4


class Arguments(NamedTuple):
    """The arrays of one call, of any library."""

    input: Any
    linear_weight: Any
    linear_bias: Any  #: or None
    target: Any
    weight: Any  #: or None
    sample_weight: Any  #: or None


class Sizes(NamedTuple):
    """What the memory of a call depends on."""

    rows: int  #: those that count
    classes: int
    features: int
    itemsize: int  #: bytes of one logit as it is computed and held
    gathered: int = 0  #: bytes of a row of the target, where those of a block are copied together
    copied: bool = False  #: whether a few rows at a time are copied, as with softcap and z_loss

    @property
    def of_logits(self) -> int:
        """Bytes of a row of logits, and of what is copied with it."""
        return self.classes * self.itemsize + self.gathered


class LinearGradients(NamedTuple):
    """The gradients of the linear loss, each in the shape of its argument."""

    input: Any  #: ∂J/∂x
    linear_weight: Any  #: ∂J/∂W
    linear_bias: Any  #: ∂J/∂b; None without a bias


def check_shapes(arrays: Arguments) -> bool:
    """ValueError (LabelError for the target) unless the shapes fit each other. Returns whether the
    target holds one class index per row, not one number per class.

    >>> check_shapes(Arguments(np.ones((8, 16)), np.ones((9, 16)), None, np.ones(8), None, None))
    True
    >>> check_shapes(Arguments(np.ones((8, 16)), np.ones((9, 12)), None, np.ones(8), None, None))
    Traceback (most recent call last):
        ...
    ValueError: input of shape (8, 16) has 16 features, linear_weight of shape (9, 12) has 12
    """
    given = (arrays.input, arrays.linear_weight, arrays.target)
    input, linear_weight, target = (tuple(array.shape) for array in given)
    linear_bias = None if arrays.linear_bias is None else tuple(arrays.linear_bias.shape)
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
    return bool(target == rows)


@dataclass(slots=True)
class Plan:
    """What one call computes: for which rows, in which blocks, and what their mean divides by."""

    rows: int  #: of the input, all of them
    classes: int
    counted: Array | None  #: which rows count, in order; None: all
    target: Target  #: of all rows
    sample_weight: Array | None  #: of the rows that count
    blocks: list[slice]  #: of the rows that count
    chunk: int  #: classes in one product
    divisor: float  #: of the sum of the losses; 0 where nothing counts
    #: Not 0: the loop is that of chunks.py, and has memory for the logits of so many chunks.
    kept: int = 0

    @property
    def counted_rows(self) -> int:
        """How many rows count."""
        return self.rows if self.counted is None else self.counted.size

    @property
    def most_rows(self) -> int:
        """Rows in the largest block."""
        return max((block.stop - block.start for block in self.blocks), default=0)

    def chunks(self) -> Iterator[slice]:
        """All classes, a chunk at a time."""
        for start in range(0, self.classes, self.chunk):
            yield slice(start, min(start + self.chunk, self.classes))

    def reduced(self, losses: Array, options: Options) -> Any:
        """The losses of the rows that count → the result; for "none" of all rows."""
        if options.reduction == "none":
            return self.of_all_rows(losses, 0.0)
        return reduced(losses, self.divisor)

    def of_all_rows(self, values: Array, ignored: float | Array) -> Array:
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
    sample_weight: NDArray[np.float64] | None,
    options: LinearOptions,
    itemsize: int,
    converted: int = 0,
    gradients: bool | None = None,
) -> Plan:
    """The plan for `rows` rows and a weight of shape (classes, features).

    target         (rows,) or (rows, classes)
    sample_weight  (rows,); a row with 0 does not count
    itemsize       bytes of one logit as it is computed and held
    converted      bytes of one weight where a chunk of the weights is converted before a product
    gradients      whether there are any, where the layer has the loop of chunks.py; else None

    >>> options = LinearOptions(memory_budget=250)
    >>> plan_for(5, (10, 3), [1, 2, 3, 4, 5], None, None, options, 4).blocks
    [slice(0, 1, None), slice(1, 3, None), slice(3, 5, None)]
    """
    classes, features = shape
    read = read_target(target, (rows, classes), options)
    divisor = mean_divisor(read, weight, sample_weight, rows, options)
    counts = np.ones(rows, bool) if sample_weight is None else sample_weight != 0
    gathered = 0
    if isinstance(read, ClassIndices):
        counts &= read.counted()
    else:
        gathered = read.values.itemsize * classes
    counted = None if counts.all() else np.flatnonzero(counts)
    if counted is None:
        gathered = 0
    elif sample_weight is not None:
        sample_weight = sample_weight[counted]
    number = rows if counted is None else counted.size
    sizes = Sizes(number, classes, features, itemsize, gathered, read.in_place() is None)
    usual = not (options.label_smoothing or options.changes_logits or options.skip_below)
    if gradients is not None and usual and isinstance(read, ClassIndices):
        chunked = _by_chunks(sizes, options, converted, THIN if gradients else THIN_LOSS)
        if chunked is not None:
            blocks, chunk, kept = chunked
            return Plan(rows, classes, counted, read, sample_weight, blocks, chunk, divisor, kept)
    blocks = row_blocks(sizes, options)
    largest = max((block.stop - block.start for block in blocks), default=1)
    # Bytes per class of a product: its result, and a copy of both operands.
    each = itemsize * (max(largest, features) + largest + features) + converted * features
    if options.skip_below:
        each += 4 * (largest + features)
    chunk = int(options.memory_budget) // (PRODUCT * each)
    chunk -= chunk % LEAST_CLASSES if chunk > LEAST_CLASSES else 0
    chunk = min(max(chunk, LEAST_CLASSES), MOST_CLASSES, classes)
    return Plan(rows, classes, counted, read, sample_weight, blocks, chunk, divisor)


def row_blocks(sizes: Sizes, options: LinearOptions) -> list[slice]:
    """The rows in as few blocks as the budget allows, of sizes that differ by one at most."""
    free, row = _bytes(sizes, options)
    logits, budget = sizes.of_logits, int(options.memory_budget)
    if sizes.rows and free < logits:
        copies = budget - budget // ASIDE - free
        needed = math.ceil((logits + copies) * ASIDE / (ASIDE - 1)) + 1
        raise OptionError(
            f"memory_budget of {budget} bytes does not hold one row of {sizes.classes} logits: it "
            f"takes {needed}"
        )
    return _nearly_equal(sizes.rows, free // row)


def is_one_block(sizes: Sizes, options: LinearOptions) -> bool:
    """Whether all rows are one block, if all of them count.

    >>> is_one_block(Sizes(5, 10, 3, itemsize=4), LinearOptions(memory_budget=250))
    False
    """
    free, row = _bytes(sizes, options)
    return sizes.rows * row <= free


def _bytes(sizes: Sizes, options: LinearOptions) -> tuple[int, int]:
    """(of the budget for rows, of one row)."""
    rows, classes, features, itemsize = sizes[:4]
    copies, budget = 0, int(options.memory_budget)
    if sizes.copied or options.changes_logits:
        copies = COPIES * max(itemsize, 4) * max(classes, FEW if rows * classes > FEW else 0)
    # Beside its logits, a row of the input has a copy, its gradient and parts of that.
    row = sizes.of_logits + FEATURES * features * max(itemsize, 4)
    return budget - budget // ASIDE - copies, row


def _nearly_equal(rows: int, most: int) -> list[slice]:
    number = math.ceil(rows / max(1, most)) if rows else 0
    ends = [rows * (i + 1) // number for i in range(number)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _by_chunks(
    sizes: Sizes, options: LinearOptions, converted: int, thin: int
) -> tuple[list[slice], int, int] | None:
    """(blocks, chunk, kept) of the loop in chunks.py; None where that of blocks.py is better."""
    rows, classes, features, itemsize = sizes[:4]
    budget = int(options.memory_budget)
    of_row = FEATURES * features * itemsize
    fit = (budget - budget // ASIDE) // (classes * itemsize + of_row)
    if fit >= min(rows, thin) or classes < MANY:
        return None
    for chunk in CHUNKS:
        # A row: its logits of a chunk, a product of that size, a copy of it; two numbers per chunk.
        each = of_row + 3 * chunk * itemsize + 16 * math.ceil(classes / chunk) + OF_ROW
        free = budget - budget // PRODUCT - chunk * features * (2 * itemsize + converted)
        most = free // each
        if most >= min(rows, ENOUGH):
            break
    if most < min(rows, 4 * max(fit, 1)):
        return None
    blocks = _nearly_equal(rows, most)
    kept = 1 + (free - each * rows) // (chunk * itemsize * rows) if len(blocks) == 1 else 1
    return blocks, chunk, min(kept, math.ceil(classes / chunk))
