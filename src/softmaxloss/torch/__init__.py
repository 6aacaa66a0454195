"""PyTorch: the loss on tensors, with autograd."""

from __future__ import annotations

from .linear import linear_cross_entropy, linear_cross_entropy_with_grad
from .loss import cross_entropy, cross_entropy_with_grad, score
from .modules import CrossEntropyLoss

__all__ = [
    "CrossEntropyLoss",
    "cross_entropy",
    "cross_entropy_with_grad",
    "linear_cross_entropy",
    "linear_cross_entropy_with_grad",
    "score",
]
