"""Calls with the arrays of a framework: NumPy's; PyTorch's and JAX's, with automatic
differentiation.

Neither framework is imported here: a function that uses one has imported it.
"""

import contextlib
import dis
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, Literal, NamedTuple

import numpy as np

from ..inputs import Input

Framework = Literal["numpy", "torch", "jax"]


class Differentiated(NamedTuple):
    """A loss that was returned alone, and its gradient by automatic differentiation."""

    loss: Any
    gradient: Any


def frameworks_of(function: Any) -> list[Framework]:
    """The frameworks whose arrays a function may take, the likeliest first.

    First the framework that the function belongs to or uses, directly or in functions that it
    calls; then NumPy. PyTorch comes last where the module only imports it.
    """
    used = {_package(one) for one in _used(function)}
    torch = sys.modules.get("torch")
    is_module = torch is not None and isinstance(inspect.unwrap(function), torch.nn.Module)
    if "torch" in used or is_module:
        return ["torch", "numpy"]
    if used & {"jax", "jaxlib", "optax", "flax"}:
        return ["jax", "numpy"]
    known = getattr(inspect.unwrap(function), "__globals__", {})
    if torch is not None and (not known or "torch" in map(_package, list(known.values()))):
        return ["numpy", "torch"]
    return ["numpy"]


def has_loops(function: Any) -> bool:
    """Whether the function, or one of its own module that it calls, is written with loops."""
    home = getattr(inspect.unwrap(function), "__globals__", {})
    own = [one for one in _used(function) if getattr(one, "__globals__", None) is home]
    codes = [one.__code__ for one in own if isinstance(one.__code__, CodeType)]
    return any(step.opname == "FOR_ITER" for code in codes for step in dis.get_instructions(code))


def _used(function: Any) -> list[Any]:
    """The function, what it wraps, and the values of the names that it uses; for functions of its
    own module among them, what those use as well."""
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
            with contextlib.suppress(ValueError):  # the cell is still empty
                waiting.append(cell.cell_contents)
    return found


def _package(value: Any) -> str:
    """The top-level package in which something is defined."""
    name = getattr(value, "__module__", None) or getattr(value, "__name__", None)
    return str(name).partition(".")[0]


def to_framework(framework: Framework, value: Any, half: bool = False) -> Any:
    """A NumPy array as an array of the framework; half: in bfloat16, if it has floats."""
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
    """Arrays of frameworks as NumPy arrays, without a copy if possible; other values unchanged."""
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
    input: Input,
    logits: int | None,
) -> Any:
    """What the function returns for NumPy arguments, as NumPy arrays.

    The input has the keyword arguments, the upstream gradient, of which a scalar loss gets the
    first entry, and whether floating-point arguments are rounded to bfloat16. A loss that is
    returned alone is differentiated with respect to the argument at the position `logits`, if any.
    """
    half = input.about == "bfloat16"
    given = [to_framework(framework, argument, half) for argument in arguments]
    options = {
        name: to_framework(framework, value) if isinstance(value, np.ndarray) else value
        for name, value in input.options.items()
    }
    if framework == "numpy" or logits is None:
        return as_numpy(function(*given, **options))
    z = given[logits]

    def of_logits(z: Any) -> Any:
        return function(*given[:logits], z, *given[logits + 1 :], **options)

    def upstream_for(value: Any) -> Any:
        shape = tuple(value.shape)
        if input.upstream is None:
            return np.ones(shape)
        return np.reshape(input.upstream[: math.prod(shape)], shape)

    if framework == "torch":
        torch = sys.modules["torch"]
        value = of_logits(z.requires_grad_())
        alone = isinstance(value, torch.Tensor) and value.shape != z.shape
        if not alone or not value.requires_grad:
            return as_numpy(value)
        value.backward(torch.tensor(upstream_for(value), dtype=value.dtype))
        return Differentiated(
            as_numpy(value), np.zeros(z.shape) if z.grad is None else as_numpy(z.grad)
        )
    jax = sys.modules["jax"]
    value = of_logits(z)
    if not isinstance(value, jax.Array) or value.shape == z.shape or value.dtype.kind in "iu":
        return as_numpy(value)
    value, pull = jax.vjp(of_logits, z)
    upstream = jax.numpy.asarray(upstream_for(value), dtype=value.dtype)
    return Differentiated(as_numpy(value), as_numpy(pull(upstream)[0]))
