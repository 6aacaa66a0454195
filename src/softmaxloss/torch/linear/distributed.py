"""The linear loss of DTensors: each process computes the rows that it has, with the whole weight.

Input that is sharded by axes of its rows stays where it is, and so does replicated input. Each
process gets the whole of weight and bias, and their gradients are the sums over all processes.
"""

from dataclasses import replace

from torch import Tensor

from ...linear.plan import Arguments
from ...options import LinearOptions
from ...scores import Scores
from .. import formula
from ..distributed import Rows, is_distributed
from . import positions


def cross_entropy(
    arrays: Arguments, options: LinearOptions, return_scores: bool = False
) -> tuple[Tensor, Scores | None]:
    """The loss and, if wanted, the scores: DTensors if the input is one, else as `positions` gives
    them."""
    input, W, b, target, weight, s = arrays
    if not is_distributed(input):
        if is_distributed(W) or is_distributed(b):
            raise TypeError(
                "linear_weight or linear_bias is a DTensor, input is none: pass all as DTensors"
            )
        return positions.cross_entropy(arrays, options, return_scores)
    shape = (*input.shape[:-1], *W.shape[1:-1])
    rows = Rows(input, shape, axes=input.ndim - 1)
    local = Arguments(
        rows.of_rows(input),
        rows.of_all(W),
        rows.of_all(b),
        rows.of_rows(target),
        rows.of_all(weight),
        rows.of_rows(s),
    )
    each = options
    if options.reduction == "mean":
        each = replace(options, reduction="sum", denominator=None)
    loss, scores = positions.cross_entropy(local, each, return_scores)
    if scores is not None:
        scores = Scores(*[rows.sharded(values) for values in scores])  # type: ignore[arg-type]
    if options.reduction == "none":
        return rows.sharded(loss), scores
    total = rows.summed(loss)
    if options.reduction == "sum":
        return total, scores
    if options.denominator is not None:
        return total / options.denominator, scores
    divisor = rows.summed(positions.divisor_of_call(local, options))
    return formula.mean(total, divisor), scores
