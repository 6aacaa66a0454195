"""Calls with the arrays of a framework: NumPy's; PyTorch's and JAX's with the gradient they derive.

Neither framework is imported here: a function that uses one has done it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Derived", "Framework", "call", "frameworks_of"]

Array = NDArray[Any]
Framework = Literal["numpy", "torch", "jax"]


class Derived(NamedTuple):
    """A loss that came back alone, and the gradient that the framework derived of it."""

    loss: Any
    gradient: Any


def frameworks_of(function: Any) -> list[Framework]:
    """The frameworks whose arrays a function may take, the likeliest first: that which it is of, or
    whose names it uses, and NumPy; PyTorch last where its module only knows of it."""
    known = getattr(function, "__globals__", {})
    code = getattr(function, "__code__", None)
    names = set(code.co_names) & set(known) if code is not None else set()
    used = {_root(known[name]) for name in names} | {_root(function), _root(type(function))}
    if "torch" in used or _is_module(function):
        return ["torch", "numpy"]
    if used & {"jax", "jaxlib", "optax", "flax"}:
        return ["jax", "numpy"]
    if "torch" in sys.modules and (not known or "torch" in map(_root, list(known.values()))):
        return ["numpy", "torch"]
    return ["numpy"]


def _root(value: Any) -> str:
    """The package that something is from."""
    name = getattr(value, "__module__", None) or getattr(value, "__name__", None)
    return str(name).partition(".")[0]


def _is_module(function: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(function, torch.nn.Module)


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
    if framework == "numpy":
        return function(*arguments, **options)
    run = _with_torch if framework == "torch" else _with_jax
    return run(function, arguments, logits, options, upstream, half)


def _with_torch(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    logits: int | None,
    options: Mapping[str, Any],
    upstream: Array | None,
    half: bool,
) -> Any:
    torch = sys.modules["torch"]

    def tensor(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        made = torch.tensor(value)
        return made.to(torch.bfloat16) if half and made.is_floating_point() else made

    def array(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()

    given = [torch.tensor(a) if isinstance(a, int) else tensor(a) for a in arguments]
    if logits is not None:
        given[logits].requires_grad_()
    value = function(*given, **{name: tensor(v) for name, v in options.items()})
    if not isinstance(value, torch.Tensor):
        several = isinstance(value, tuple | list)
        return type(value)(array(v) for v in value) if several else array(value)
    if logits is None or not value.requires_grad or value.shape == given[logits].shape:
        return array(value)
    above = torch.ones_like(value)
    if upstream is not None:
        whole = torch.tensor(upstream, dtype=value.dtype)
        above = whole[0].reshape(value.shape) if value.numel() == 1 else whole.reshape(value.shape)
    value.backward(above)
    slope = given[logits].grad
    zero = np.zeros(given[logits].shape)
    return Derived(array(value), zero if slope is None else array(slope))


def _with_jax(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    logits: int | None,
    options: Mapping[str, Any],
    upstream: Array | None,
    half: bool,
) -> Any:
    jax = sys.modules["jax"]
    jnp = jax.numpy

    def tensor(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        made = jnp.asarray(value)
        return made.astype(jnp.bfloat16) if half and value.dtype.kind == "f" else made

    def array(value: Any) -> Any:
        is_half = isinstance(value, jax.Array) and value.dtype == jnp.bfloat16
        return np.asarray(value.astype(jnp.float32) if is_half else value)

    given = [tensor(a) for a in arguments]
    more = {name: tensor(v) for name, v in options.items()}
    value = function(*given, **more)
    if not isinstance(value, jax.Array):
        several = isinstance(value, tuple | list)
        return type(value)(array(v) for v in value) if several else array(value)
    if logits is None or value.shape == given[logits].shape or value.dtype.kind in "iu":
        return array(value)

    def of_logits(z: Any) -> Any:
        return function(*given[:logits], z, *given[logits + 1 :], **more)

    value, pull = jax.vjp(of_logits, given[logits])
    above = jnp.ones_like(value)
    if upstream is not None:
        whole = jnp.asarray(upstream, dtype=value.dtype)
        above = whole[0].reshape(value.shape) if value.size == 1 else whole.reshape(value.shape)
    return Derived(array(value), array(pull(above)[0]))
