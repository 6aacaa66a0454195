"""Tensors: their memory as NumPy arrays, their checks, and the options of a call on them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.compiler import is_compiling

from ..arrays import BFLOAT16, Array, as_array
from ..errors import OptionError
from ..kernels import HOST
from ..options import (
    SCORE_OPTIONS,
    AnyOptions,
    LinearOptions,
    Options,
    check_sample_shape,
    checked_options,
    field_names,
    field_values,
    score_options,
)
from ..text import shown
from ._private import assert_in_graph, is_recorded
from .memory import KEPT_FROM, large_memory

# Bytes from which NumPy asks for huge pages.
_HUGE_PAGES_FROM = 1 << 22


def is_eager(*tensors: torch.Tensor | None) -> bool:
    """Whether a call on these tensors computes now. It does not where torch.compile or a tracer
    records it, or where a tensor is of a subclass, which may have no memory of its own."""
    return not is_compiling() and _PLAIN.issuperset(map(type, tensors)) and not is_recorded()


def is_for_onnx() -> bool:
    """Whether the call is recorded for ONNX, which does not know the operators of this library."""
    recorded = is_compiling() or is_recorded()
    return recorded and torch.onnx.is_in_onnx_export()


def is_plain(tensor: torch.Tensor | None) -> bool:
    """Whether the tensor, if there is one, is of no subclass."""
    return type(tensor) in _PLAIN


_PLAIN = frozenset((torch.Tensor, torch.nn.Parameter, type(None)))


def one_number(tensor: torch.Tensor) -> float | None:
    """The number of a 0-d tensor; None where it stands for several, under vmap."""
    try:
        return float(tensor.item())
    except RuntimeError:
        return None


def as_numpy(tensor: torch.Tensor, name: str = "a tensor") -> Array:
    """The tensor's own memory as an array; bfloat16, which NumPy does not have, as its bits.

    TypeError, which has `name`, for a sparse tensor and for dtypes that have no arrays, as float8.

    >>> as_numpy(torch.tensor([[1.0, 2.0]])).shape
    (1, 2)
    """
    require_dense(tensor, name)
    tensor = tensor.detach().resolve_neg()
    if tensor.dtype in _TYPES and tensor.is_cpu and (tensor.data_ptr() or not tensor.numel()):
        array: Array = np.asarray(_Memory(tensor))
        return array.view(BFLOAT16) if tensor.dtype is torch.bfloat16 else array
    try:  # PyTorch has the error for a tensor without memory
        array = tensor.numpy()
    except TypeError:
        raise TypeError(
            f"{name}: dtype {tensor.dtype} is not supported; convert it, e.g. by .float()"
        ) from None
    return array


class _Memory:
    """The memory of a tensor, as NumPy reads it. After tensor.numpy() PyTorch never again resizes
    that memory, as FSDP2 does with parameters."""

    __slots__ = ("__array_interface__", "tensor")

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor  # as long as the array lives
        described: dict[str, Any] = {
            "version": 3,
            "data": (tensor.data_ptr(), False),
            "typestr": _TYPES[tensor.dtype],
            "shape": tuple(tensor.shape),
        }
        if not tensor.is_contiguous():
            described["strides"] = tuple(tensor.itemsize * step for step in tensor.stride())
        self.__array_interface__ = described


# Complex numbers are for PyTorch to resolve, which conjugates them.
_TYPES = {
    torch.float64: "=f8",
    torch.float32: "=f4",
    torch.float16: "=f2",
    torch.bfloat16: "=u2",
    torch.uint64: "=u8",
    torch.uint32: "=u4",
    torch.uint16: "=u2",
    torch.int64: "=i8",
    torch.int32: "=i4",
    torch.int16: "=i2",
    torch.int8: "|i1",
    torch.uint8: "|u1",
    torch.bool: "|b1",
}


def require_dense(tensor: torch.Tensor, name: str) -> None:
    """TypeError for sparse and nested tensors."""
    if tensor.is_nested:
        raise TypeError(
            f"{name}: nested tensors are not supported; pass the rows of all as one dense tensor, "
            "torch.cat(nested.unbind())"
        )
    if tensor.layout is not torch.strided:
        raise TypeError(f"{name}: layout {tensor.layout} is not supported; pass a dense tensor")


def as_float64(tensor: torch.Tensor, name: str = "a tensor") -> Array:
    """The numbers in float64 if they are floats; other dtypes are left to the library's checks.

    >>> as_float64(torch.tensor([0.5]))
    array([0.5])
    """
    return as_numpy(tensor.double() if tensor.is_floating_point() else tensor, name)


def new_memory(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A tensor with undefined content, for large results.

    CPU memory comes in huge pages, from NumPy or, if it is large, from `memory`: a tensor that
    PyTorch allocates costs a page fault for each 4 KiB when it is first written to.

    >>> new_memory((2, 3), torch.bfloat16, torch.device("cpu")).shape
    torch.Size([2, 3])
    """
    size = math.prod(shape) * dtype.itemsize
    if size < _HUGE_PAGES_FROM or device.type != HOST:
        return torch.empty(shape, dtype=dtype, device=device)
    memory = np.empty(size, np.uint8) if size < KEPT_FROM else large_memory(size)
    return _owned(torch.from_numpy(memory).view(dtype).view(tuple(shape)))


def empty_like(tensor: torch.Tensor) -> torch.Tensor:
    """`new_memory` in a tensor's shape, dtype and layout.

    >>> empty_like(torch.zeros(3, 2).T).stride()
    (1, 2)
    """
    if tensor.nbytes < _HUGE_PAGES_FROM or tensor.device.type != HOST:
        return torch.empty_like(tensor)
    if tensor.is_contiguous():
        return new_memory(tensor.shape, tensor.dtype, tensor.device)
    strides = torch.empty_like(tensor, device="meta").stride()
    flat = new_memory((tensor.numel(),), tensor.dtype, tensor.device)
    return _owned(flat.as_strided(tensor.shape, strides))


def _owned(view: torch.Tensor) -> torch.Tensor:
    """The tensor as no view of another, which autograd would refuse to change in place."""
    return view.detach()


def tensor_beside(tensor: torch.Tensor, value: Any, name: str, others: str) -> torch.Tensor:
    """`value` as a tensor on the device of `tensor`. A tensor on another device is an error, whose
    message has `name` and `others`, e.g. "the logits are".

    >>> tensor_beside(torch.zeros(3), [0, 2], "target", "the logits are")
    tensor([0, 2])
    """
    if not isinstance(value, torch.Tensor):
        if is_compiling():  # the operator checks it when the graph runs
            return torch.tensor(value, device=tensor.device)
        array = as_array(value, name)  # NumPy's floats keep their digits
        if array.dtype.kind not in "biufc":
            raise TypeError(f"{name} must be numbers, got dtype {array.dtype}")
        wide = array.dtype.kind == "f" and array.dtype.itemsize > 8
        native = np.float64 if wide else array.dtype.newbyteorder("=")
        # A copy: the array may be another one when the backward pass comes.
        return torch.tensor(np.array(array, native, order="C"), device=tensor.device)
    if value.is_nested:  # whose memory has no one shape
        require_dense(value, name)
    if value.device != tensor.device:
        raise OptionError(
            f"{name} is on {value.device}, {others} on {tensor.device}: move one of them"
        )
    return value


def of_each_row(sample_weight: torch.Tensor, lead_shape: Sequence[int]) -> torch.Tensor:
    """Sample weights in the shape of the examples, `lead_shape`; OptionError where they do not fit.

    >>> of_each_row(torch.tensor([1.0, 2.0]), (2, 3))[1]
    tensor([2., 2., 2.])
    """
    check_sample_shape(tuple(sample_weight.shape), tuple(lead_shape))
    missing = len(lead_shape) - sample_weight.ndim
    return sample_weight.reshape((*sample_weight.shape, *[1] * missing)).expand(tuple(lead_shape))


def check_chunking(options: Any) -> None:
    """TypeError unless this is None or PyTorch's options for chunks, which mean nothing here."""
    kind = getattr(torch.nn, "LinearCrossEntropyOptions", None)  # from PyTorch 2.13 on
    if options is not None and (kind is None or not isinstance(options, kind)):
        raise TypeError(
            f"options must be a LinearCrossEntropyOptions or None, got {shown(options)}; the "
            "options of this library are keyword arguments"
        )


def without_none(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without an ignore_index of None, PyTorch's default for the linear loss.

    >>> without_none({"ignore_index": None, "softcap": None})
    {'softcap': None}
    """
    return {n: v for n, v in options.items() if n != "ignore_index" or v is not None}


def eager_options(kind: type[AnyOptions], options: dict[str, Any]) -> AnyOptions:
    """The checked options of a call on tensors, whose denominator may be a tensor of one element.

    >>> eager_options(Options, {"denominator": torch.tensor(8)}).denominator
    8.0
    """
    if isinstance(options.get("denominator"), torch.Tensor):
        options["denominator"] = _one_element(options["denominator"]).item()
    compiling = is_compiling()  # which does not follow a cache
    checked = _options_in_graph(kind, options) if compiling else checked_options(kind, **options)
    if not -(2**63) <= checked.ignore_index < 2**63:
        raise OptionError(f"ignore_index must be an int64 here, got {checked.ignore_index}")
    return checked


def read_options(
    kind: type[AnyOptions], options: dict[str, Any]
) -> tuple[AnyOptions, torch.Tensor | float | None]:
    """The options of a call that may be compiled, and what its result is still to be divided by.

    In a graph of torch.compile the loss is a sum that is divided outside of the operator: an
    operator's numbers are constants of the graph, and the value of a tensor is not known before the
    graph runs.
    """
    if not is_compiling():
        return eager_options(kind, options) if options else checked_options(kind), None
    divisor = None
    if options.get("denominator") is not None and options.get("reduction", "mean") == "mean":
        divisor = _traced_denominator(options["denominator"])
        options |= {"denominator": None, "reduction": "sum"}
    return _options_in_graph(kind, options), divisor


def read_score_options(*values: Any) -> Options:
    """The options of a score that may be compiled, from the values that `score_options` takes.

    >>> read_score_options(-1, 0.0, "error", 0, 0.0, None).ignore_index
    -1
    """
    if not is_compiling():
        return score_options(*values)
    given = dict(zip(SCORE_OPTIONS, values, strict=True))
    return _options_in_graph(Options, {**given, "reduction": "none"})


def _options_in_graph(kind: type[AnyOptions], options: dict[str, Any]) -> AnyOptions:
    """`new_options` without a search for similar names, which torch.compile does not follow."""
    for name in options:
        if name not in _NAMES[kind]:
            raise TypeError(f"there is no argument {name!r}")
    return kind(**options)


_NAMES = {kind: field_names(kind) for kind in (Options, LinearOptions)}


def _one_element(denominator: torch.Tensor) -> torch.Tensor:
    if denominator.numel() != 1 or denominator.is_complex():
        raise OptionError(
            f"denominator must be one real number, got a tensor of shape {tuple(denominator.shape)}"
            f" and dtype {denominator.dtype}"
        )
    if denominator.dtype is torch.bool:
        raise TypeError("denominator must be a positive number, got a tensor of booleans")
    if denominator.requires_grad:
        raise OptionError(
            "denominator is a number to divide by and gets no gradient: pass denominator.detach()"
        )
    return denominator.reshape(())


def _traced_denominator(denominator: Any) -> Any:
    if not isinstance(denominator, torch.Tensor):
        return Options(denominator=denominator).denominator
    number = _one_element(denominator)
    assert_in_graph((number > 0) & number.isfinite(), "denominator must be positive")
    return number


def options_from(kind: type[AnyOptions], values: Sequence[Any]) -> AnyOptions:
    """The options from the arguments of an operator, which `operator_schema` declares."""
    return checked_options(kind, **dict(zip(field_names(kind), values, strict=True)))


def operator_schema(kind: type[Options]) -> str:
    """The options as parameters of an operator, in the order of the fields.

    >>> operator_schema(Options)[:43]
    'int ignore_index, str reduction, float labe'
    """
    types = {int: "int", str: "str", float: "float", type(None): "float?"}
    values = zip(field_names(kind), field_values(kind()), strict=True)
    return ", ".join(f"{types[type(default)]} {name}" for name, default in values)
