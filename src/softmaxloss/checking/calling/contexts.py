"""Operations of an engine that are classes with a static forward and backward, both of which are
passed a context: each as a class whose objects are the context."""

import inspect
from types import FunctionType
from typing import Any

#: Names of the context.
CONTEXTS = {"ctx", "context"}


class Context:
    """What forward keeps for backward, as in torch.autograd.Function."""

    needs_input_grad = (True,) * 8
    saved_tensors: tuple[Any, ...] = ()
    saved_values: tuple[Any, ...] = ()

    def save_for_backward(self, *values: Any) -> None:
        """Keep values for backward."""
        self.saved_tensors = self.saved_values = values

    def save(self, *values: Any) -> None:
        """Keep values for backward, under its other usual name."""
        self.save_for_backward(*values)


def with_context(target: Any) -> Any:
    """A class, or an object of one, whose forward and backward are passed a context, as a class
    whose objects are that context; other targets are returned as they are.

    >>> class Exp:
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return ctx.needs_input_grad[0]
    ...     @staticmethod
    ...     def backward(ctx, g): ...
    >>> with_context(Exp)().forward(1.0)
    True
    """
    owner = target if isinstance(target, type) else type(target)
    found = (inspect.getattr_static(owner, name, None) for name in ("forward", "backward"))
    methods = [getattr(one, "__func__", one) for one in found]
    if not all(isinstance(one, FunctionType) and _has_context(one) for one in methods):
        return target
    names = {"__module__": owner.__module__, "__qualname__": owner.__qualname__}
    both = dict(zip(("forward", "backward"), methods, strict=True))
    return type(owner.__name__, (Context,), names | both)


def _has_context(function: FunctionType) -> bool:
    return next(iter(inspect.signature(function).parameters), "") in CONTEXTS
