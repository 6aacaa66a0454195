"""Functions as operators of PyTorch: `torch.library.custom_op` without what loads the compiler.

That takes a second in the first call, of every process that compiles nothing.
"""

from collections.abc import Callable
from typing import Any

import torch

from ._private import not_compiled


class Operator:
    """The operator "namespace::name", which a function computes on every device. Its results are
    new tensors, and it changes no argument."""

    def __init__(self, name: str, schema: str, function: Callable[..., Any]) -> None:
        self.name, self.__doc__ = name, function.__doc__
        torch.library.define(name, schema, tags=torch.Tag.pt2_compliant_tag)
        torch.library.impl(name, "default", not_compiled(function))
        namespace, _, own_name = name.partition("::")
        self.overload = getattr(getattr(torch.ops, namespace), own_name).default

    def __call__(self, *values: Any) -> Any:
        return self.overload(*values)

    def register_fake(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """See `torch.library.register_fake`."""
        registered: Callable[..., Any] = torch.library.register_fake(self.name, function)
        return registered

    def register_autograd(
        self, backward: Callable[..., Any], *, setup_context: Callable[..., Any]
    ) -> None:
        """See `torch.library.register_autograd`."""
        torch.library.register_autograd(self.name, backward, setup_context=setup_context)

    def register_vmap(self, rule: Callable[..., Any]) -> None:
        """See `torch.library.register_vmap`."""
        torch.library.register_vmap(self.name, rule)


def operator(name: str, schema: str) -> Callable[[Callable[..., Any]], Operator]:
    """Decorates the function of an operator."""
    return lambda function: Operator(name, schema, function)
