"""Tensors in the memory of the CPU, seen as the NumPy arrays that the library computes with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..arrays import BFLOAT16

__all__ = ["as_numpy", "empty_like"]

Array = NDArray[Any]


def as_numpy(tensor: torch.Tensor) -> Array:
    """The tensor's own memory as an array; bfloat16, which NumPy does not know, as its bits.

    >>> as_numpy(torch.tensor([[1.0, 2.0]])).shape
    (1, 2)
    """
    tensor = tensor.detach().resolve_neg()
    if tensor.dtype is torch.bfloat16:
        bits: Array = tensor.view(torch.int16).numpy()
        return bits.view(BFLOAT16)
    array: Array = tensor.numpy()
    return array


def empty_like(tensor: torch.Tensor) -> torch.Tensor:
    """New memory of a tensor's shape and dtype, from NumPy where it may be large: NumPy asks for
    huge pages, which are a fifth of the page faults' time of the usual ones.

    >>> empty_like(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """
    if not tensor.is_contiguous() or tensor.device.type != "cpu" or tensor.numel() == 0:
        return torch.empty_like(tensor)
    bytes_ = torch.from_numpy(np.empty(tensor.numel() * tensor.element_size(), np.uint8))
    return bytes_.view(tensor.dtype).view(tensor.shape)
