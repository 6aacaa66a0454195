"""The nodes of a small engine with automatic differentiation that people write themselves: how one
is made from numbers, and how its numbers and its gradient are read."""

import contextlib
import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .codes import globals_of, is_installed, package_of
from .jax_calls import upstream_for

#: Attributes and methods of a node that give its numbers; numpy() may ask for a detached one.
NUMBERS = ("data", "value", "_value", "_data")
TO_NUMPY = ("numpy", "to_numpy")

#: Names of functions that make a node, where the constructor of its class takes something else.
MAKERS = re.compile(r"(as_?)?(tensor|variable)(_?from_?(numpy|array))?$|from_?(numpy|array)$", re.I)

#: Arguments that ask for the gradient; some engines compute none unless they are asked to.
ASKING = ("requires_grad", "autograd")


class Engine(NamedTuple):
    """Someone's own engine with automatic differentiation."""

    kind: type  # of its nodes
    make: Callable[..., Any]  # a node from numbers

    def leaf(self, numbers: Any) -> Any:
        """A node of which the gradient is computed."""
        parameters = _parameters(self.make)
        asking = next((name for name in ASKING if name in parameters), None)
        return self.make(numbers, **({asking: True} if asking else {}))


def engine_of(function: Any) -> Engine | None:
    """The engine in the function's module, or in one that it imports and that is not installed:
    `import needle as ndl`, for `ndl.Tensor`."""
    known = list(globals_of(function).items())
    imported = [one for _, one in known if isinstance(one, ModuleType) and not is_installed(one)]
    named = known + [item for module in imported for item in list(vars(module).items())]
    return next(_engines(named), None)


def _engines(named: list[tuple[str, Any]]) -> Iterator[Engine]:
    classes = [one for _, one in named if isinstance(one, type)]
    yield from (Engine(one, one) for one in classes if is_node(one))
    makers = [one for name, one in named if inspect.isfunction(one) and MAKERS.match(name)]
    for owner in filter(_may_be_node, classes):
        yield from (Engine(owner, make) for make in makers if _makes(make, owner))


def is_node(owner: type) -> bool:
    """Whether a class is that of the nodes of an engine: it is made from numbers and gives them
    back. It has grad and backward, unless it is called a tensor."""
    return _may_be_node(owner) and _makes(owner, owner)


def _may_be_node(owner: type) -> bool:
    named = owner.__name__ == "Tensor" or callable(getattr(owner, "backward", None))
    return named and package_of(owner) not in ("torch", "jax", "tensorflow")


def _makes(make: Callable[..., Any], owner: type) -> bool:
    """Whether numbers become a node of this class that has them."""
    for number in (np.ones(2), 1.0):
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            node = make(number)
            has_grad = owner.__name__ == "Tensor" or "grad" in dir(node)
            if isinstance(node, owner) and has_grad and np.array_equal(numbers_of(node), number):
                return True
    return False


def differentiated(
    engine: Engine,
    function: Callable[[Any], Any],
    z: Any,
    upstream: Any,
    *,
    scalars: bool,
    labelled: bool,
) -> tuple[Any, Any]:
    """The numbers that a function of a node with these numbers returns, or of a list of a node for
    each, and the gradient after backward; None where backward was not called."""
    flat = [engine.make(float(one)) for one in np.ravel(z)] if scalars else []
    leaf: Any = _nested(flat, np.shape(z)) if scalars else engine.leaf(z)
    value = function(leaf)
    numbers = numbers_of(value)
    if not labelled or not isinstance(value, engine.kind) or not hasattr(value, "backward"):
        return numbers, None
    if np.size(numbers) == 1:
        value.backward()
    else:
        _backward(engine, value, upstream_for(upstream, np.shape(numbers)))
    gradient = [one.grad for one in flat] if scalars else leaf.grad
    return numbers, np.reshape(np.asarray(numbers_of(gradient), np.float64), np.shape(z))


def _nested(flat: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """A flat list as lists in lists, of this shape."""
    for size in shape[:0:-1]:
        flat = [flat[k : k + size] for k in range(0, len(flat), size)]
    return flat


def own_backward(function: Callable[..., Any], engine: Engine) -> Callable[[Any, Any], Any] | None:
    """The gradient of z that the engine computes for an upstream gradient of each result of a
    function of z; None if it takes none."""

    def call(z: Any, upstream: Any) -> Any:
        leaf = engine.leaf(z)
        _backward(engine, function(leaf), upstream)
        return np.reshape(np.asarray(numbers_of(leaf.grad), np.float64), np.shape(z))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(np.zeros((2, 3)), np.ones((2, 3)))
    except Exception:
        return None
    return call


def _backward(engine: Engine, value: Any, upstream: Any) -> None:
    """Call backward for several results, with an upstream gradient of each."""
    if _parameters(value.backward):
        try:
            value.backward(upstream)
        except (AttributeError, TypeError):  # it takes a node
            value.backward(engine.make(upstream))
    else:
        (value * engine.make(upstream)).sum().backward()


def _parameters(function: Any) -> dict[str, inspect.Parameter]:
    """The parameters that can be passed by their place."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    with contextlib.suppress(TypeError, ValueError):
        parameters = inspect.signature(function).parameters.items()
        return {name: p for name, p in parameters if p.kind in kinds}
    return {}


def numbers_of(value: Any) -> Any:
    """Nodes as the numbers that they have, also in lists."""
    if isinstance(value, list | tuple):
        return type(value)(numbers_of(one) for one in value)
    while not isinstance(value, np.ndarray | float | int | np.generic):
        kept = [getattr(value, name, None) for name in NUMBERS]
        numbers = [k for k in kept if isinstance(k, np.ndarray | np.generic | float | int)]
        methods = [m for m in (getattr(value, name, None) for name in TO_NUMPY) if callable(m)]
        nodes = [k for k in kept if k is not None and not callable(k)]
        if numbers:
            value = numbers[0]
        elif methods:
            value = methods[0]()
        elif nodes:
            value = nodes[0]
        else:
            break
    return np.asarray(value) if isinstance(value, np.ndarray | np.generic) else value
