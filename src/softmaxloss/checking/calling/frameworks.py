"""Calls with the arrays of a framework: NumPy's, lists, and those with automatic differentiation:
PyTorch's, JAX's, and the nodes of a small engine that people write themselves.

No framework is imported here: a function that uses one has imported it.
"""

import contextlib
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import GeneratorType
from typing import Any, Literal, NamedTuple

import numpy as np

from ..inputs import Input
from .codes import globals_of, package_of, used_by
from .jax_calls import call_jax, upstream_for
from .nodes import Engine, differentiated, engine_of

MOST_VALUES = 10_000  # that a generator yields

Framework = Literal["numpy", "torch", "jax", "lists", "own", "own scalars", "own labels"]

#: Nodes of someone's own engine: the logits, each of them, or the logits and the labels.
OWN: tuple[Framework, ...] = ("own", "own scalars", "own labels")


class Differentiated(NamedTuple):
    """A loss that was returned alone, and its gradient by automatic differentiation."""

    loss: Any
    gradient: Any


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """PyTorch with one thread. For inputs this small, on a busy machine, several wait for each
    other, busily, and a quick function looks slow."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def frameworks_of(function: Any) -> list[Framework]:
    """The frameworks whose arrays a function may take, the likeliest first.

    First the framework that the function belongs to or uses, directly or in functions that it
    calls; then NumPy. PyTorch comes last where the module only imports it, lists where nothing of
    NumPy is used.
    """
    values = used_by(function)
    used = {package_of(one) for one in values}
    torch = sys.modules.get("torch")
    unwrapped = inspect.unwrap(function)
    of_torch = torch is not None and (
        isinstance(unwrapped, torch.nn.Module)
        or (isinstance(unwrapped, type) and issubclass(unwrapped, torch.nn.Module))
    )
    if "torch" in used or of_torch:
        return ["torch", "numpy"]
    if used & {"jax", "jaxlib", "optax", "flax"}:
        return ["jax", "numpy"]
    found: list[Framework] = ["numpy"]
    known = globals_of(function)
    if torch is not None and (not known or "torch" in map(package_of, list(known.values()))):
        found.append("torch")
    if engine_of(function) is not None:
        found += OWN
    if "numpy" not in used:
        found.append("lists")
    return found


def framework_of(value: Any) -> Framework:
    """The framework of an array; of what is none of PyTorch and JAX, "numpy"."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and isinstance(value, torch.Tensor):
        return "torch"
    return "jax" if jax is not None and isinstance(value, jax.Array) else "numpy"


def to_framework(framework: Framework, value: Any, dtype: str = "") -> Any:
    """A NumPy array as an array of the framework; with a dtype, if it has floats: bfloat16, …"""
    if framework in ("numpy", *OWN) or not isinstance(value, np.ndarray | int):
        return value
    if framework == "lists":
        return value.tolist() if isinstance(value, np.ndarray) else value
    if framework == "torch":
        torch = sys.modules["torch"]
        made = torch.tensor(value)
        return made.to(getattr(torch, dtype)) if dtype and made.is_floating_point() else made
    jnp = sys.modules["jax"].numpy
    made = jnp.asarray(value)
    return made.astype(dtype) if dtype and made.dtype.kind == "f" else made


def as_numpy(value: Any) -> Any:
    """Arrays of frameworks as NumPy arrays, without a copy if possible; other values unchanged."""
    framework = framework_of(value)
    if framework == "torch":
        value = value.detach().cpu()
        return (value.float() if value.dtype == sys.modules["torch"].bfloat16 else value).numpy()
    if framework == "jax":
        jnp = sys.modules["jax"].numpy
        return np.asarray(value.astype(jnp.float32) if value.dtype == jnp.bfloat16 else value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(as_numpy, value))
    if isinstance(value, tuple | list):
        return type(value)(as_numpy(one) for one in value)
    if isinstance(value, dict):
        return {name: as_numpy(one) for name, one in value.items()}
    return value


def call_by_names(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    names: Sequence[str],
    options: Mapping[str, Any] = {},
) -> Any:
    """Call a function with its arguments, those with a name by keyword, and with its options.

    Of a generator the values that it yields are returned; where each is a tuple, such as a loss and
    a gradient, a list of each.
    """
    pairs = [*zip(names, arguments, strict=True)]
    by_place = [value for name, value in pairs if not name]
    value = function(*by_place, **{name: value for name, value in pairs if name}, **options)
    if not isinstance(value, GeneratorType):
        return value
    values = list(itertools.islice(value, MOST_VALUES))
    if values and all(isinstance(one, tuple) and len(one) > 1 for one in values):
        return tuple(map(list, zip(*values, strict=True)))
    return values


def call(
    framework: Framework,
    function: Callable[..., Any],
    arguments: Sequence[Any],
    input: Input,
    scores: int | None,
    names: Sequence[str],
    dtype: str = "",
    node: Engine | None = None,
    labelled: bool = True,
) -> Any:
    """What the function returns for NumPy arguments, as NumPy arrays.

    The input has further keyword arguments, and the upstream gradient, of which a scalar loss gets
    the first entry. A loss that is returned alone is differentiated with respect to the argument at
    the position `scores`, if any. `names` has the name of each argument that is passed by keyword,
    "" for the others.
    """
    given = [to_framework(framework, argument, dtype) for argument in arguments]
    options = {
        name: to_framework(framework, value) if isinstance(value, np.ndarray) else value
        for name, value in input.options.items()
    }

    def of_scores(z: Any = None) -> Any:
        passed = given if z is None else [*given[:scores], z, *given[(scores or 0) + 1 :]]
        return call_by_names(function, passed, names, options)

    if framework == "own labels" and node is not None and scores is not None:
        given = [
            one if k == scores or not isinstance(one, np.ndarray) else node.make(one)
            for k, one in enumerate(given)
        ]
    if framework in OWN:
        if node is None or scores is None:
            raise TypeError("nothing to differentiate by")
        value, gradient = differentiated(
            node, of_scores, given[scores], input.upstream,
            scalars=framework == "own scalars", labelled=labelled,
        )  # fmt: skip
        return value if gradient is None else Differentiated(value, gradient)
    by = scores if labelled else None
    if framework == "jax":
        key = [function, names, options]
        value, gradient = call_jax(
            lambda passed: call_by_names(function, passed, names, options),
            given, by, input.upstream, key,
        )  # fmt: skip
        value = as_numpy(value)
        return value if gradient is None else Differentiated(value, as_numpy(gradient))
    if framework in ("numpy", "lists") or by is None:
        return as_numpy(of_scores())
    z = given[by]
    torch = sys.modules["torch"]
    # The function gets a copy of the leaf, which it may change in place.
    value = of_scores(z.requires_grad_().clone())
    alone = isinstance(value, torch.Tensor) and value.shape != z.shape
    if not alone or not value.requires_grad:
        return as_numpy(value)
    upstream = upstream_for(input.upstream, tuple(value.shape))
    value.backward(torch.tensor(upstream, dtype=value.dtype))
    return Differentiated(
        as_numpy(value), np.zeros(z.shape) if z.grad is None else as_numpy(z.grad)
    )
