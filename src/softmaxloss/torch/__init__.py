"""PyTorch: the loss on tensors, with autograd."""

from __future__ import annotations
