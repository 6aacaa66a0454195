"""Tensors in the memory of the CPU, seen as the NumPy arrays that the library computes with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..arrays import BFLOAT16, as_array
from ..errors import OptionError
from ..options import Options

__all__ = [
    "as_float64",
    "as_numpy",
    "compiled_denominator",
    "empty_like",
    "new_memory",
    "one_denominator",
    "saved_tensors_are_hooked",
    "tensor_beside",
]

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


def as_float64(tensor: torch.Tensor) -> Array:
    """Its numbers in float64, where they are floats; what is none is left to the library's checks.

    >>> as_float64(torch.tensor([0.5]))
    array([0.5])
    """
    return as_numpy(tensor.double() if tensor.is_floating_point() else tensor)


def new_memory(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A tensor whose content is undefined, for large results.

    A processor's memory comes through NumPy, which asks the system for huge pages: a large tensor
    of PyTorch's own costs a page fault for each 4 KiB when it is first written to.

    >>> new_memory((2, 3), torch.bfloat16, torch.device("cpu")).shape
    torch.Size([2, 3])
    """
    size = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or size == 0:
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(size, np.uint8)).view(dtype).view(tuple(shape))


def empty_like(tensor: torch.Tensor) -> torch.Tensor:
    """The same in a tensor's shape, dtype and layout.

    >>> empty_like(torch.zeros(3, 2).T).stride()
    (1, 2)
    """
    if not tensor.is_contiguous():
        return torch.empty_like(tensor)
    return new_memory(tensor.shape, tensor.dtype, tensor.device)


def tensor_beside(tensor: torch.Tensor, value: Any, name: str, others: str) -> torch.Tensor:
    """`value` as a tensor on the same device: what is not one is made one, what is elsewhere an
    error, whose line has `name` and `others`, "the logits are" say.

    >>> tensor_beside(torch.zeros(3), [0, 2], "target", "the logits are")
    tensor([0, 2])
    """
    if not isinstance(value, torch.Tensor):
        if torch.compiler.is_compiling():  # into the graph, whose checks are the operator's
            return torch.tensor(value, device=tensor.device)
        array = as_array(value, name)  # NumPy's floats keep their digits
        if array.dtype.kind not in "biufc":
            raise TypeError(f"{name} must be numbers, got dtype {array.dtype}")
        wide = array.dtype.kind == "f" and array.dtype.itemsize > 8
        native = np.float64 if wide else array.dtype.newbyteorder("=")
        # A copy: the array may be another one when the backward pass comes.
        return torch.tensor(np.array(array, native, order="C"), device=tensor.device)
    if value.device != tensor.device:
        raise OptionError(
            f"{name} is on {value.device}, {others} on {tensor.device}: move one of them"
        )
    return value


def one_denominator(denominator: Any) -> Any:
    """The number of a `denominator` that is a tensor; anything else as it is, for the options'
    checks.

    >>> one_denominator(torch.tensor(8))
    8
    """
    if not isinstance(denominator, torch.Tensor):
        return denominator
    if denominator.numel() != 1:
        raise OptionError(
            f"denominator must be one number, got a tensor of shape {tuple(denominator.shape)}"
        )
    if denominator.requires_grad:
        raise OptionError(
            "denominator is a number to divide by and gets no derivative: pass denominator.detach()"
        )
    return denominator.item()


def compiled_denominator(denominator: Any) -> Any:
    """The same in a graph, where its value is not known until the graph runs."""
    if not isinstance(denominator, torch.Tensor):
        return Options(denominator=denominator).denominator
    if denominator.numel() != 1 or denominator.requires_grad or denominator.is_complex():
        raise OptionError("denominator must be one positive number without a derivative")
    number = denominator.reshape(())
    torch._assert_async((number > 0) & number.isfinite(), "denominator must be positive")
    return number


def saved_tensors_are_hooked() -> bool:
    """Whether what autograd saves goes through hooks, as under activation checkpointing. They see
    what an operator saves, and not what a function keeps for itself."""
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None
