"""Calls of functions of JAX.

Nearly all of their time is that of its compiler, which compiles each operation for each shape, and
once more in the derivative. So a call is compiled as a whole, with the derivative, without what
simplifies it: log(exp(x)) stays infinite where it is. What cannot be compiled is called as it is.
"""

import contextlib
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

#: What the compiler is told, where it knows these options; the first makes it fast.
FAST = {"xla_cpu_use_fusion_emitters": False, "xla_disable_hlo_passes": "algsimp"}

MOST_COMPILED = 100  # calls that are kept for the same arguments but other logits

_compiled: dict[Any, Callable[..., Any]] = {}
_not_compiled: set[Any] = set()


def upstream_for(upstream: Any, shape: tuple[int, ...]) -> Any:
    """The upstream gradient of a loss of this shape: ones, or the first entries of an array."""
    return np.ones(shape) if upstream is None else np.reshape(upstream[: math.prod(shape)], shape)


def call_jax(
    call: Callable[[Sequence[Any]], Any],
    given: Sequence[Any],
    scores: int | None,
    upstream: Any,
    key: Sequence[Any],
) -> tuple[Any, Any]:
    """What a call returns for JAX's arrays; and of a loss that is returned alone, its gradient with
    respect to the argument at the position `scores`, else None.

    `key` is what tells the call from those of other functions, or with other options.
    """
    jax: Any = sys.modules["jax"]

    def run(places: Sequence[int], values: Sequence[Any]) -> tuple[Any, Any]:
        arguments = list(given)
        for k, value in zip(places, values, strict=True):
            arguments[k] = value

        def of_scores(z: Any) -> Any:
            passed = list(arguments)
            passed[scores or 0] = z
            return call(passed)

        if scores is None:
            return call(arguments), None
        z = arguments[scores]
        try:
            value, pull = jax.vjp(of_scores, z)
        except Exception:  # it returns something else too, or needs the numbers
            return of_scores(z), None
        if not isinstance(value, jax.Array) or value.shape == z.shape or value.dtype.kind in "iu":
            return value, None
        above = jax.numpy.asarray(upstream_for(upstream, value.shape), dtype=value.dtype)
        return value, pull(above)[0]

    kinds = [_kinds(one, jax) for one in given]
    floats = [k for k, kind in enumerate(kinds) if kind == "f"]
    numbers = [k for k, kind in enumerate(kinds) if kind in ("f", "i")]
    for places in (numbers, floats):  # it may need the numbers of the labels
        with contextlib.suppress(Exception):
            fixed = [one for k, one in enumerate(given) if k not in places]
            whole = _key([*key, scores, places, fixed, upstream])
            values = [given[k] for k in places]
            shaped = whole, str(jax.tree_util.tree_map(lambda one: (one.dtype, one.shape), values))
            if shaped in _not_compiled:
                continue
            if len(_compiled) == MOST_COMPILED:
                _compiled.clear()
            if whole not in _compiled:
                _compiled[whole] = jax.jit(partial(run, places), compiler_options=FAST)
            try:
                value, gradient = _compiled[whole](values)
            except Exception:  # or those of the logits; or these options are unknown
                _not_compiled.add(shaped)
                raise
            return value, gradient
    return run((), ())


def _kinds(value: Any, jax: Any) -> str:
    """Whether it has floats, "f", is an array of whole numbers, "i", or is anything else, ""."""
    leaves = jax.tree_util.tree_leaves(value)
    if not leaves or not all(isinstance(one, jax.Array | np.ndarray) for one in leaves):
        return ""
    if all(one.dtype.kind not in "iub" for one in leaves):
        return "f"
    return "i" if len(leaves) == 1 and leaves[0].dtype.kind in "iu" else ""


def _key(value: Any) -> Any:
    """A value as one that can be compared and hashed."""
    if isinstance(value, list | tuple):
        return tuple(map(_key, value))
    if isinstance(value, dict):
        return tuple((name, _key(one)) for name, one in value.items())
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        array = np.asarray(value)
        return str(array.dtype), array.shape, array.tobytes()
    return value
