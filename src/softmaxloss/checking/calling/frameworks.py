"""Calls with the arrays of a framework: NumPy's, lists, and those with automatic differentiation:
PyTorch's, JAX's, and the nodes of a small engine that people write themselves.

No framework is imported here: a function that uses one has imported it.
"""

import builtins
import contextlib
import dis
import inspect
import itertools
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, GeneratorType, ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np

from ..inputs import Input
from .jax_calls import call_jax, upstream_for

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
    values = _used(function)
    used = {_package(one) for one in values}
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
    known = _globals(function)
    if torch is not None and (not known or "torch" in map(_package, list(known.values()))):
        found.append("torch")
    if node_of(function) is not None:
        found += OWN
    if "numpy" not in used:
        found.append("lists")
    return found


def _globals(function: Any) -> dict[str, Any]:
    """The names of the module in which a function, a method or a class is defined."""
    one = inspect.unwrap(function)
    one = getattr(one, "__func__", one)
    found = getattr(one, "__globals__", None)
    if found is None:
        owner = one if isinstance(one, type) else type(one)
        found = vars(sys.modules.get(owner.__module__, None) or builtins)
    return found if found is not vars(builtins) else {}


def node_of(function: Any) -> type | None:
    """The class of nodes of an engine in the function's module, or in one that it imports and that
    is not installed: `import needle as ndl`, for `ndl.Tensor`."""
    known = list(_globals(function).values())
    imported = [one for one in known if isinstance(one, ModuleType) and not is_installed(one)]
    values = known + [value for module in imported for value in list(vars(module).values())]
    return next(filter(is_node, [one for one in values if isinstance(one, type)]), None)


def is_installed(module: ModuleType) -> bool:
    """Whether a module is Python's or of an installed package, and not beside the user's file."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return True
    return any(Path(file).is_relative_to(one) for one in {sys.prefix, sys.base_prefix})


def is_node(owner: type) -> bool:
    """Whether a class is that of the nodes of an engine: it is made from numbers, and has data or
    numpy(). It has grad and backward, unless it is called a tensor."""
    is_tensor = owner.__name__ == "Tensor"
    if not is_tensor and not callable(getattr(owner, "backward", None)):
        return False
    if _package(owner) in ("torch", "jax", "tensorflow"):
        return False
    for number in (np.ones(2), 1.0):
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            node = owner(number)
            has_grad = hasattr(node, "grad") or is_tensor
            if has_grad and (hasattr(node, "data") or hasattr(node, "numpy")):
                return True
    return False


def has_loops(function: Any) -> bool:
    """Whether the function, or one of its own module that it calls, is written with loops."""
    steps = (step for code in _codes(function) for step in dis.get_instructions(code))
    return any(step.opname == "FOR_ITER" for step in steps)


#: What code of a softmax or its loss uses, directly or in a function that it calls.
OF_LOSS = re.compile(
    r"^_?(exp|log)(1p|2p?|10|m1)?$|^e$|softmax|log_?sum_?exp|logaddexp|entropy|nll|likelihood|xent"
    r"|loss|criterion|sigmoid",
    re.I,
)


def has_words_of_loss(function: Any) -> bool:
    """Whether its code has an exponential, a logarithm, or something called a softmax or a loss.

    >>> import numpy as np
    >>> has_words_of_loss(lambda z, y: np.log(z[y])), has_words_of_loss(lambda z, y: abs(z - y))
    (True, False)
    """
    owner = getattr(function, "__self__", None)
    own = [one for base in type(owner).__mro__ for one in vars(base).values()]
    codes = _codes(function) + [one.__code__ for one in own if inspect.isfunction(one)]
    home = _globals(function)
    known = ("numpy", "scipy", "math", "torch", "jax", "builtins")
    elsewhere = any(
        inspect.isfunction(one) and one.__globals__ is not home and _package(one) not in known
        for one in _used(function)
    )
    if not codes or elsewhere:  # of an extension, or of another file: it does not tell
        return True
    for code in codes:  # with the functions that are made in it
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
    names = {name for code in codes for name in code.co_names}
    numbers = [one for code in codes for one in code.co_consts if type(one) is float]
    is_e = any(abs(one - np.e) < 1e-2 for one in numbers)
    return is_e or any(OF_LOSS.search(name) for name in names)


def transposes(function: Any) -> bool:
    """Whether its code transposes an array."""
    return any({"T", "transpose"} & {*code.co_names} for code in _codes(function))


#: The words of code that reduces along an axis.
AXES = {"axis", "dim", "keepdims", "keepdim"}


MOST_CLASSES = 1000  # that are written in someone's code
MOST_VALUES = 10_000  # that a generator yields

#: The names of the number of examples, and words of a docstring on a batch.
COUNTS = {"num_train", "num_examples", "num_samples", "n_samples", "n_examples"}
IN_TEXT = re.compile(
    r"batch|\b(examples|samples|instances|rows|row-wise)\b|\([Nnm], *\w+\)|\bN x ", re.ASCII
)


def words_of_batches(function: Any) -> set[str]:
    """The words in its code that are those of a batch: an axis, a shape, an index per row."""
    words: set[Any] = set()
    for code in _codes(function):
        words.update(code.co_names)
        # The names of keyword arguments are constants.
        words.update(w for c in code.co_consts if isinstance(c, tuple) for w in c)
    return words & (AXES | {"shape", "arange", "len", "zip", "enumerate"})


def speaks_of_batches(function: Any) -> bool:
    """Whether the docstring, an annotation or a variable says that it is meant for a batch."""
    one = inspect.unwrap(function)
    one = getattr(one, "__func__", one)
    code = getattr(one, "__code__", None)
    names = set(code.co_varnames) if isinstance(code, CodeType) else set()
    if names & COUNTS or any("batch" in name.lower() for name in names):
        return True
    text = [getattr(one, "__doc__", None), *getattr(one, "__annotations__", {}).values()]
    return any(IN_TEXT.search(str(part)) for part in text if part is not None)


def fixed_classes(function: Any) -> list[int]:
    """The whole numbers in its code that may be the number of classes, 10 first."""
    values = [c for code in _codes(function) for c in code.co_consts] + _used(function)
    flat = [one for value in values for one in (value if isinstance(value, tuple) else [value])]
    found = dict.fromkeys(n for n in flat if type(n) is int and 3 <= n <= MOST_CLASSES)
    return sorted(found, key=lambda n: n != 10)


def _codes(function: Any) -> list[CodeType]:
    """The code of the function and of those of its own module that it calls."""
    home = _globals(function)
    own = [one for one in _used(function) if getattr(one, "__globals__", None) is home]
    return [one.__code__ for one in own if isinstance(one.__code__, CodeType)]


def _used(function: Any) -> list[Any]:
    """The function, what it wraps, and the values of the names that it uses; for functions of its
    own module among them, what those use as well."""
    home = _globals(function)
    found: list[Any] = []
    waiting = [function]
    owner = function if isinstance(function, type) else type(function)
    if not inspect.isroutine(function) and owner.__module__ not in ("builtins", "functools"):
        methods = [one for base in owner.__mro__ for one in vars(base).values()]
        waiting += [one for one in methods if inspect.isfunction(one)]
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
    node: type | None = None,
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
            one if k == scores or not isinstance(one, np.ndarray) else node(one)
            for k, one in enumerate(given)
        ]
    if framework in OWN:
        return _call_own(
            framework, of_scores, node, None if scores is None else given[scores], labelled
        )
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


def _call_own(
    framework: Framework, of_scores: Callable[[Any], Any], node: Any, z: Any, labelled: bool
) -> Any:
    """What a function of someone's own nodes returns, and the gradient after backward."""
    assert node is not None
    if z is None:
        raise TypeError("nothing to differentiate by")
    if framework == "own scalars":
        flat = [node(float(one)) for one in np.ravel(z)]
        nested = (
            flat
            if z.ndim == 1
            else [flat[k : k + z.shape[1]] for k in range(0, z.size, z.shape[1])]
        )
        value = of_scores(nested)
    else:
        # Some compute no gradient unless they are asked to.
        asking = next((n for n in ("requires_grad", "autograd") if _has(node, n)), None)
        leaf = node(z, **({asking: True} if asking else {}))
        flat = []
        value = of_scores(leaf)
    if not labelled or not isinstance(value, node) or not hasattr(value, "backward"):
        return _own_as_numpy(value)
    value.backward()
    gradient = [one.grad for one in flat] if flat else leaf.grad
    slope = np.reshape(np.asarray(_own_as_numpy(gradient), np.float64), np.shape(z))
    return Differentiated(_own_as_numpy(value), slope)


def own_backward(function: Callable[..., Any], node: Any) -> Callable[[Any, Any], Any] | None:
    """The gradient of z that someone's own engine computes for an upstream gradient of each result
    of a function of z; None if the engine takes none."""

    def call(z: Any, upstream: Any) -> Any:
        asking = next((n for n in ("requires_grad", "autograd") if _has(node, n)), None)
        leaf = node(z, **({asking: True} if asking else {}))
        value = function(leaf)
        if _most_passed(value.backward):
            value.backward(upstream)
        else:
            (value * node(upstream)).sum().backward()
        return np.reshape(np.asarray(_own_as_numpy(leaf.grad), np.float64), np.shape(z))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(np.zeros((2, 3)), np.ones((2, 3)))
    except Exception:
        return None
    return call


def _most_passed(method: Any) -> int:
    """How many arguments a method can be passed by their place."""
    with contextlib.suppress(TypeError, ValueError):
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return sum(p.kind in kinds for p in inspect.signature(method).parameters.values())
    return 0


def _has(node: type, name: str) -> bool:
    with contextlib.suppress(TypeError, ValueError):
        return name in inspect.signature(node).parameters
    return False


def _own_as_numpy(value: Any) -> Any:
    """Nodes as the numbers that they hold."""
    if isinstance(value, list | tuple):
        return type(value)(_own_as_numpy(one) for one in value)
    while not isinstance(value, np.ndarray | float | int | np.generic):
        data = getattr(value, "data", None)  # its numpy() may ask for a detached one
        if isinstance(data, np.ndarray | np.generic | float | int):
            value = data
        elif callable(getattr(value, "numpy", None)):
            value = value.numpy()
        elif data is not None and not callable(data):
            value = data
        else:
            break
    return np.asarray(value) if isinstance(value, np.ndarray | np.generic) else value
