"""PyTorch: the loss on tensors, with autograd."""

from __future__ import annotations

from .loss import cross_entropy, cross_entropy_with_grad, score
from .modules import CrossEntropyLoss

__all__ = ["CrossEntropyLoss", "cross_entropy", "cross_entropy_with_grad", "score"]
