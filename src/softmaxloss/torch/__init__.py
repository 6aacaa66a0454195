"""PyTorch: the loss on tensors, with autograd."""

from __future__ import annotations

from .linear import linear_cross_entropy, linear_cross_entropy_with_grad

__all__ = ["linear_cross_entropy", "linear_cross_entropy_with_grad"]
