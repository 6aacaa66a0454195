"""PyTorch: the losses on tensors, with autograd."""

from .functional import (
    cross_entropy,
    cross_entropy_with_grad,
    linear_cross_entropy,
    linear_cross_entropy_with_grad,
    log_softmax,
    logsumexp,
    score,
    softmax,
)
from .memory import empty_cache
from .modules import CrossEntropyLoss, LinearCrossEntropyLoss

__all__ = [
    "CrossEntropyLoss",
    "LinearCrossEntropyLoss",
    "cross_entropy",
    "cross_entropy_with_grad",
    "empty_cache",
    "linear_cross_entropy",
    "linear_cross_entropy_with_grad",
    "log_softmax",
    "logsumexp",
    "score",
    "softmax",
]
