"""Calls with the arrays of a framework: NumPy's; PyTorch's and JAX's with the gradient they derive.

Neither framework is imported here: a function that uses one has done it.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Derived", "Framework", "as_numpy", "call", "frameworks_of", "passed"]

Array = NDArray[Any]
Framework = Literal["numpy", "torch", "jax"]


class Derived(NamedTuple):
    """A loss that came back alone, and the gradient that the framework derived of it."""

    loss: Any
    gradient: Any


def frameworks_of(function: Any) -> list[Framework]:
    """The frameworks whose arrays a function may take, the likeliest first: that which it is of, or
    uses, itself or in functions that it calls, and NumPy; PyTorch last where its module only knows
    of it."""
    used = {_root(one) for one in _used(function)}
    if "torch" in used or _is_module(inspect.unwrap(function)):
        return ["torch", "numpy"]
    if used & {"jax", "jaxlib", "optax", "flax"}:
        return ["jax", "numpy"]
    known = getattr(inspect.unwrap(function), "__globals__", {})
    if "torch" in sys.modules and (not known or "torch" in map(_root, list(known.values()))):
        return ["numpy", "torch"]
    return ["numpy"]


def _used(function: Any) -> list[Any]:
    """The function and what it wraps; the values of its names, and those of the functions of its
    own module among them."""
    home = getattr(inspect.unwrap(function), "__globals__", {})
    found: list[Any] = []
    waiting = [function]
    while waiting:
        one = waiting.pop()
        if any(one is seen for seen in found):
            continue
        found += [one, type(one)]
        if hasattr(one, "__wrapped__"):
            waiting.append(one.__wrapped__)
        code, known = getattr(one, "__code__", None), getattr(one, "__globals__", {})
        if not isinstance(code, CodeType) or (known is not home and one is not function):
            continue
        waiting += [known[name] for name in code.co_names if name in known]
        for cell in one.__closure__ or ():
            with contextlib.suppress(ValueError):  # it is empty yet
                waiting.append(cell.cell_contents)
    return found


def _root(value: Any) -> str:
    """The package that something is from."""
    name = getattr(value, "__module__", None) or getattr(value, "__name__", None)
    return str(name).partition(".")[0]


def _is_module(function: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(function, torch.nn.Module)


def passed(framework: Framework, value: Any, half: bool = False) -> Any:
    """A NumPy array as the framework has it; half: in bfloat16, if it holds floats."""
    if framework == "numpy" or not isinstance(value, np.ndarray | int):
        return value
    if framework == "torch":
        torch = sys.modules["torch"]
        made = torch.tensor(value)
        return made.to(torch.bfloat16) if half and made.is_floating_point() else made
    jnp = sys.modules["jax"].numpy
    made = jnp.asarray(value)
    return made.astype(jnp.bfloat16) if half and made.dtype.kind == "f" else made


def as_numpy(value: Any) -> Any:
    """Arrays of frameworks as NumPy's, without a copy where that can be; anything else as it is."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if jax is not None and isinstance(value, jax.Array):
        is_half = value.dtype == jax.numpy.bfloat16
        return np.asarray(value.astype(jax.numpy.float32) if is_half else value)
    if isinstance(value, tuple | list):
        return type(value)(as_numpy(one) for one in value)
    if isinstance(value, dict):
        return {name: as_numpy(one) for name, one in value.items()}
    return value


def call(
    framework: Framework,
    function: Callable[..., Any],
    arguments: Sequence[Any],
    logits: int | None,
    options: Mapping[str, Any],
    *,
    upstream: Array | None = None,
    half: bool = False,
) -> Any:
    """What the function gives for NumPy arguments, as NumPy arrays.

    logits    the position of the argument that a lone loss is differentiated by; None: none is
    upstream  what each loss is multiplied by before; ones where it is None; a scalar loss has the
              first of them
    half      whether the floating-point arguments are rounded to bfloat16
    """
    given = [passed(framework, argument, half) for argument in arguments]
    more = {
        name: passed(framework, value, half) if isinstance(value, np.ndarray) else value
        for name, value in options.items()
    }
    if framework == "numpy" or logits is None:
        return as_numpy(function(*given, **more))
    derive = _with_torch if framework == "torch" else _with_jax
    return derive(function, given, logits, more, upstream)


def _above(shape: tuple[int, ...], upstream: Array | None) -> Array:
    """What a loss of this shape is multiplied by."""
    if upstream is None:
        return np.ones(shape)
    return np.reshape(upstream[0] if math.prod(shape) == 1 else upstream, shape)


def _with_torch(
    function: Callable[..., Any],
    given: list[Any],
    logits: int,
    options: Mapping[str, Any],
    upstream: Array | None,
) -> Any:
    torch = sys.modules["torch"]
    z = given[logits].requires_grad_()
    value = function(*given, **options)
    lone = isinstance(value, torch.Tensor) and value.shape != z.shape
    if not lone or not value.requires_grad:
        return as_numpy(value)
    value.backward(torch.tensor(_above(tuple(value.shape), upstream), dtype=value.dtype))
    slope = np.zeros(z.shape) if z.grad is None else as_numpy(z.grad)
    return Derived(as_numpy(value), slope)


def _with_jax(
    function: Callable[..., Any],
    given: list[Any],
    logits: int,
    options: Mapping[str, Any],
    upstream: Array | None,
) -> Any:
    jax = sys.modules["jax"]
    value = function(*given, **options)
    lone = isinstance(value, jax.Array) and value.shape != given[logits].shape
    if not lone or value.dtype.kind in "iu":
        return as_numpy(value)

    def of_logits(z: Any) -> Any:
        return function(*given[:logits], z, *given[logits + 1 :], **options)

    value, pull = jax.vjp(of_logits, given[logits])
    above = jax.numpy.asarray(_above(value.shape, upstream), dtype=value.dtype)
    return Derived(as_numpy(value), as_numpy(pull(above)[0]))
