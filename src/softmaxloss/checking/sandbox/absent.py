"""Stand-ins for what a file imports and is not here: they fail only when they are really used.

A file of a course imports what plots, shows progress and reads the data set; its loss uses none of
it. A stand-in can be imported, inherited from, used as a decorator and in annotations.
"""

import ast
import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any, NoReturn

import numpy as np

from ..reference import softmax
from .substitutes import MODULES, moved

USES = (
    "abs add and array bool bytes ceil complex contains delattr delitem divmod enter exit float "
    "floor floordiv ge gt index int invert iter le len lshift lt matmul mod mul neg next pos pow "
    "radd rand rdivmod reversed rfloordiv rlshift rmatmul rmod rmul round rpow rrshift "
    "rshift rsub rtruediv rxor setitem sub truediv trunc xor"
)  # not `|` and `==`, which annotations need


class AbsentError(ImportError):
    """A stand-in is used."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"it uses {name}, {why}")
        needs = why if why.startswith("which needs ") else f"which needs {name}, {why}"
        self.why_of_others = needs  # why there is nothing that is made of it


AbsentError.__name__ = "ModuleNotFoundError"  # for messages: it is what the user knows


class Absent:
    """A name from elsewhere; `why` says why it is not here."""

    def __init__(self, name: str, why: str) -> None:
        self.__dict__.update(absent_name=name, absent_why=why)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _named(f"{self.absent_name}.{name}", str(self.absent_why), Absent)

    def __getitem__(self, _: Any) -> "Absent":  # a type in an annotation
        return self

    def __or__(self, _: Any) -> "Absent":
        return self

    __ror__ = __or__

    def __instancecheck__(self, _: Any) -> bool:
        return False

    __subclasscheck__ = __instancecheck__

    def __mro_entries__(self, _: tuple[Any, ...]) -> tuple[type]:
        name, why = self.absent_name, self.absent_why

        class Base:
            def __init__(self, *_: Any, **__: Any) -> None:
                pass

            def __getattr__(self, attribute: str) -> NoReturn:
                raise AttributeError(f"no {attribute}: it inherits from {name}, {why}")

        return (Base,)

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise AbsentError(str(self.absent_name), str(self.absent_why))


def _used(self: Absent, *_: Any, **__: Any) -> NoReturn:
    self()


for _name in USES.split():
    setattr(Absent, f"__{_name}__", _used)


class AbsentSoftmax(Absent):
    """A softmax from elsewhere: of one example there is one only, which is what it gives. Of a
    matrix it could be that of the rows or of the columns."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        z = np.asarray(arguments[0]) if len(arguments) == 1 and not options else np.zeros(())
        if z.ndim != 1 or z.dtype.kind != "f":
            return super().__call__()
        return softmax(z[None])[0][0]


def _named(name: str, why: str, kind: type[Absent]) -> Any:
    """A stand-in for a name of what is absent. What asserts something returns nothing, and says
    nothing of the results: `chex.assert_rank`."""
    if name.rpartition(".")[2].startswith("assert"):
        return lambda *_, **__: None
    return kind(name, why)


class AbsentModule(ModuleType):
    """A module whose every name is a stand-in."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        whole = f"{self.__name__}.{name}"
        if whole in MODULES:
            return substitute(whole)
        why = f"and {self.__name__.partition('.')[0]} is neither installed nor beside the file"
        kind = AbsentSoftmax if name == "softmax" else Absent
        return moved(whole) or _named(whole, why, kind)


def substitute(name: str) -> AbsentModule:
    """A module with what stands for its attributes, and for others a stand-in."""
    instead, module = MODULES.get(name, {}), AbsentModule(name)
    known = vars(importlib.import_module(instead)) if isinstance(instead, str) else instead
    vars(module).update({k: v for k, v in known.items() if not k.startswith("__")})
    return module


class AbsentModules(MetaPathFinder, Loader):
    """Finds every module that the user's files import and no other finder has found.

    Not where the import may fail: in a `try` with an `except ImportError`, and in other packages,
    which try which of their optional companions are installed.
    """

    def __init__(self, tree_of: Callable[[str], ast.AST | None]) -> None:
        self.tree_of = tree_of  # of a file, if it is the user's
        self.found: list[str] = []
        self.as_numpy: list[str] = []  # those that NumPy stands for

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and "importlib" in frame.f_code.co_filename:
            # `importlib.util.find_spec` asks; `from package import name` may find an attribute.
            asks = frame.f_code.co_name == "find_spec" and "util" in frame.f_code.co_filename
            if asks or frame.f_code.co_name == "_handle_fromlist":
                return None
            frame = frame.f_back
        tree = None if frame is None else self.tree_of(frame.f_code.co_filename)
        if tree is None or frame is None:
            return None
        if may_fail(tree, frame.f_lineno):
            return None
        if fullname not in MODULES:
            self.found.append(fullname)
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = substitute(spec.name)
        if vars(module).get("ndarray") is np.ndarray:
            self.as_numpy.append(spec.name)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do."""


def may_fail(tree: ast.AST, line: int) -> bool:
    """Whether an import in this line is in a `try` that expects it to fail."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and node.body[0].lineno <= line <= _end(node.body):
            for handler in node.handlers:
                caught = "Exception" if handler.type is None else ast.unparse(handler.type)
                if any(name in caught for name in ("ImportError", "NotFoundError", "Exception")):
                    return True
    return False


def _end(body: list[ast.stmt]) -> int:
    return max(statement.end_lineno or statement.lineno for statement in body)


def unbound_names(tree: ast.AST, bound: Iterable[str]) -> set[str]:
    """The names that a module reads, and that nothing in it binds."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    stored = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    stored |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    stored |= {
        node.name for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
    }  # fmt: skip
    return {node.id for node in names} - stored - set(bound)
