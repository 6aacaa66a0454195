"""What stands for names that Python, NumPy and common packages had once, or have elsewhere.

A file that was written for Python 2, or before NumPy 1.24, means known things by them. tqdm and
numba have no part in the results: without them a loop is a loop, and a function a function.
"""

import ast
import builtins
import collections
import collections.abc
import functools
import importlib
import itertools
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .python2 import NAMES, old_division

BUILTINS: dict[str, Any] = {
    "basestring": str,
    "cmp": lambda a, b: (a > b) - (a < b),
    "long": int,
    "raw_input": input,
    "reduce": functools.reduce,
    "reload": importlib.reload,
    "unichr": chr,
    "unicode": str,
    "xrange": range,
}

#: The names that NumPy had, and what they were or became.
OF_NUMPY: dict[str, Any] = {
    "float": float, "int": int, "bool": bool, "object": object, "str": str, "complex": complex,
    "long": int, "unicode": str, "float_": np.float64, "complex_": np.complex128,
    "unicode_": np.str_, "string_": np.bytes_, "Inf": np.inf, "Infinity": np.inf, "infty": np.inf,
    "PINF": np.inf, "NINF": -np.inf, "NaN": np.nan, "NAN": np.nan, "PZERO": 0.0, "NZERO": -0.0,
    "product": np.prod, "cumproduct": np.cumprod, "alltrue": np.all, "sometrue": np.any,
    "in1d": np.isin, "row_stack": np.vstack, "round_": np.round, "mat": np.asmatrix,
    "asfarray": functools.partial(np.asarray, dtype=np.float64), "asscalar": np.ndarray.item,
    "rank": np.ndim, "trapz": getattr(np, "trapezoid", None),
    "msort": functools.partial(np.sort, axis=0),
}  # fmt: skip
OF_MODULES: dict[Any, dict[str, Any]] = {
    itertools: {"izip": zip, "imap": map, "ifilter": filter, "izip_longest": itertools.zip_longest},
    sys: {"maxint": sys.maxsize},
    time: {"clock": time.process_time},
    collections: {
        name: getattr(collections.abc, name)
        for name in ("Callable", "Hashable", "Iterable", "Iterator", "Mapping", "MutableMapping",
                     "Sequence", "Set", "Sized")
    },
}  # fmt: skip


class Progress:
    """An iterable with the methods of a tqdm bar, which draws nothing."""

    def __init__(self, iterable: Iterable[Any] = (), *_: Any, **__: Any) -> None:
        self.iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self.iterable)

    def __len__(self) -> int:
        return len(self.iterable)  # type: ignore[arg-type]

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None  # update, set_description, close, …


def _same(function: Any = None, *_: Any, **__: Any) -> Any:
    """A decorator that changes nothing, with or without arguments."""
    return function if callable(function) else lambda decorated: decorated


def _with_metaclass(meta: Any, *bases: type) -> Any:
    return meta("Base", bases, {})


def _add_metaclass(meta: Any) -> Any:
    return lambda cls: meta(cls.__name__, cls.__bases__, dict(vars(cls)))


_PROGRESS = {
    "tqdm": Progress,
    "tqdm_notebook": Progress,
    "trange": lambda *ends, **_: Progress(range(*[e for e in ends if isinstance(e, int)])),
}
_MOVES = {
    **{name: getattr(builtins, name) for name in ("filter", "input", "map", "range", "zip")},
    "xrange": range,
    "reduce": functools.reduce,
}

#: Modules that may be absent, with their attributes, or the name of the module that replaces them.
MODULES: dict[str, Mapping[str, Any] | str] = {
    "ConfigParser": "configparser",
    "Queue": "queue",
    "StringIO": "io",
    "__builtin__": "builtins",
    "autograd": {},
    "autograd.numpy": "numpy",  # its functions give NumPy's numbers
    "autograd.numpy.random": "numpy.random",
    "cPickle": "pickle",
    "cStringIO": "io",
    # NumPy's functions, for the arrays of a graphics card.
    "cupy": {
        **vars(np), "asnumpy": np.asarray, "get_array_module": lambda *_: np,
    },
    "future": {},
    "future.builtins": {**_MOVES, "object": object, "str": str, "int": int},
    "future.standard_library": {"install_aliases": lambda: None},
    "future.utils": {
        "iteritems": lambda d: iter(d.items()), "itervalues": lambda d: iter(d.values()),
        "iterkeys": lambda d: iter(d), "with_metaclass": _with_metaclass, "PY2": False, "PY3": True,
    },
    "numba": {"prange": range, "jit": _same, "njit": _same, "autojit": _same},
    "matplotlib.pylab": "numpy",  # it has NumPy's names; others are stand-ins
    "past": {},
    "past.builtins": {**BUILTINS, **NAMES, "str": str, "int": int},
    "past.utils": {"old_div": old_division},
    "pylab": "numpy",
    "six": {
        "PY2": False, "PY3": True, "string_types": (str,), "integer_types": (int,),
        "text_type": str, "iteritems": lambda d: iter(d.items()),
        "itervalues": lambda d: iter(d.values()), "iterkeys": lambda d: iter(d),
        "with_metaclass": _with_metaclass,
        "add_metaclass": _add_metaclass,
        "b": lambda text: text.encode("latin-1"), "u": lambda text: text,
    },
    "six.moves": _MOVES,
    "six.moves.cPickle": "pickle",
    "six.moves.queue": "queue",
    "six.moves.urllib": "urllib",
    "tqdm": _PROGRESS,
    "tqdm.auto": _PROGRESS,
    "tqdm.autonotebook": _PROGRESS,
    "tqdm.notebook": _PROGRESS,
    "urllib2": "urllib.request",
    "urlparse": "urllib.parse",
}  # fmt: skip

#: The names that modules usually have, for files that use them and import nothing.
USUAL = {
    "np": "numpy", "numpy": "numpy", "math": "math", "torch": "torch",
    "nn": "torch.nn", "F": "torch.nn.functional", "jnp": "jax.numpy", "jax": "jax",
}  # fmt: skip

#: Names of modules that moved.
MOVED = {
    "scipy.misc.logsumexp": "scipy.special.logsumexp",
    "scipy.misc.comb": "scipy.special.comb",
    "scipy.misc.factorial": "scipy.special.factorial",
}


def moved(name: str) -> Any:
    """What a name of a module stands for that moved to another one; None if it is not known."""
    if name not in MOVED:
        return None
    module, _, attribute = MOVED[name].rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def install() -> None:
    """Add the old names to Python's and NumPy's, in this process."""
    for module, names in [(builtins, BUILTINS), *OF_MODULES.items()]:
        for name, value in names.items():
            if not hasattr(module, name):
                setattr(module, name, value)
    get = np.__getattr__

    def numpy_name(name: str) -> Any:
        try:
            return get(name)
        except AttributeError:
            if OF_NUMPY.get(name) is None:
                raise
            return OF_NUMPY[name]

    vars(np)["__getattr__"] = numpy_name


def used(tree: ast.AST) -> list[str]:
    """Which old names a module uses, a line for Python and one for NumPy."""
    nodes = list(ast.walk(tree))
    loaded = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    bound = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    bound |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    aliases = [n for n in nodes if isinstance(n, ast.alias)]
    bound |= {(n.asname or n.name).partition(".")[0] for n in aliases}
    numpy = {n.asname or n.name for n in aliases if n.name == "numpy"}
    attributes = {
        n.attr
        for n in nodes
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id in numpy
    }
    old = {
        "Python 2": sorted((loaded & set(BUILTINS)) - bound),
        "NumPy": sorted(f"np.{a}" for a in attributes & set(OF_NUMPY) if a not in vars(np)),
    }
    return [f"added, as {of} had them: {', '.join(names)}" for of, names in old.items() if names]
