"""The losses where the classes, the rows or both are split over the ranks of process groups."""

from .functional import cross_entropy, linear_cross_entropy, score

__all__ = ["cross_entropy", "linear_cross_entropy", "score"]
