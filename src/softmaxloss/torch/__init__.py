"""PyTorch: the loss on tensors, with autograd."""

from __future__ import annotations

from .linear import linear_cross_entropy

__all__ = ["linear_cross_entropy"]
