"""Tensors in the memory of the CPU, seen as the NumPy arrays that the library computes with."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from ..arrays import BFLOAT16

__all__ = ["as_numpy"]


def as_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    """The tensor's own memory as an array; bfloat16, which NumPy does not know, as its bits.

    >>> as_numpy(torch.tensor([[1.0, 2.0]])).shape
    (1, 2)
    """
    tensor = tensor.detach().resolve_neg()
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(BFLOAT16)
    return tensor.numpy()
