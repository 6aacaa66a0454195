"""The shapes in which people write the softmax loss, and how each is called.

A form says what is passed (index or one-hot labels, one example or a batch, examples in rows or in
columns, arrays or tensors). `call` turns a probe into that, and what comes back into `Results` of a
batch with examples in rows.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import frameworks
from .frameworks import Framework
from .layers import by_logits, layer_of
from .probes import Probe
from .returned import of_batch, of_examples, of_layer
from .steps import Results
from .terms import Terms

__all__ = ["NOTHING", "Besides", "Form", "candidates", "options_of"]

Array = NDArray[Any]


class Besides(NamedTuple):
    """What is passed besides logits and labels.

    options   keyword arguments, by the names that the function has for them
    upstream  what each loss is multiplied by before automatic differentiation; None: 1
    half      whether the logits are rounded to bfloat16
    reg       the last argument of f(W, X, y, reg)
    """

    options: Mapping[str, Any] = {}
    upstream: Array | None = None
    half: bool = False
    reg: float = 0.0


NOTHING = Besides()

#: The options of `torch.nn.functional.cross_entropy`, and what else people call them.
OPTIONS = {
    "weight": ("weight", "weights", "class_weight", "class_weights"),
    "ignore_index": ("ignore_index", "ignore_label"),
    "label_smoothing": ("label_smoothing", "smoothing"),
    "reduction": ("reduction",),
}


Role = Literal["logits", "labels", "weights", "features", "reg"]

#: What people call the arguments; in capitals too.
ROLES: dict[str, Role] = {
    **dict.fromkeys(("y", "t", "target", "targets", "label", "labels", "y_true"), "labels"),
    **dict.fromkeys(("w", "weight", "weights", "theta"), "weights"),
    **dict.fromkeys(("x", "data", "features", "inputs"), "features"),
    **dict.fromkeys(("reg", "lambda_", "lam", "lambd", "lmbda", "l2", "alpha"), "reg"),
}
LAYER: tuple[Role, ...] = ("weights", "features", "labels", "reg")


@dataclass(frozen=True)
class Form:
    """One way to call a function.

    order       what its arguments are; ("weights", "features", "labels", "reg") is a layer with its
                loss, f(W, X, y, reg) → (loss, ∂J/∂W), with z = X·W
    labels      whether labels are class indices or one-hot
    batch       whether all examples are passed at once
    columns     whether the examples are columns: z (C, N), or (C, 1) if there is one, or X (D, N)
                and W (C, D)
    framework   what the arrays are
    """

    order: tuple[Role, ...] = ("logits", "labels")
    labels: Literal["index", "one-hot"] = "index"
    batch: bool = True
    columns: bool = False
    framework: Framework = "numpy"

    @property
    def is_layer(self) -> bool:
        """Whether it is passed weights, and no logits."""
        return "weights" in self.order

    def __str__(self) -> str:
        array = {"numpy": "an array", "torch": "a tensor", "jax": "a JAX array"}[self.framework]
        names = {"logits": "z", "labels": "y", "weights": "W", "features": "X", "reg": "reg"}
        call = f"f({', '.join(names[role] for role in self.order)})"
        if self.is_layer:
            shapes = ("(C, D)", "(D, N)") if self.columns else ("(D, C)", "(N, D)")
            return f"{call} with W {array} {shapes[0]}, X {shapes[1]} and y (N,)"
        one = "(C, 1)" if self.columns else "(C,)"
        z = ("(C, N)" if self.columns else "(N, C)") if self.batch else one
        if "labels" not in self.order:
            return f"{call} with z {array} {z}"
        index = "class indices (N,)" if self.batch else "a class index"
        y = index if self.labels == "index" else f"one-hot {z}"
        return f"{call} with z {array} {z} and y {y}"

    def call(
        self, function: Callable[..., Any], probe: Probe, besides: Besides = NOTHING
    ) -> Results:
        """The results for a probe. Raises what the function raises, and ShapeError."""
        shape = (probe.z.shape[0], probe.z.shape[1])
        if self.is_layer:
            value = self.one_call(function, probe.z, probe.y, besides)
            results = of_layer(value, (shape[0] + 1, shape[1]), self.columns)
            if results.gradient is None:
                return results
            return results._replace(gradient=by_logits(results.gradient))
        if self.batch:
            value = self.one_call(function, probe.z, probe.y, besides)
            return of_batch(value, shape, self.columns)
        rows = [
            self.one_call(function, z, y, besides) for z, y in zip(probe.z, probe.y, strict=True)
        ]
        return of_examples(rows, shape[1])

    def one_call(self, function: Callable[..., Any], z: Array, y: Array, besides: Besides) -> Any:
        """What the function gives for arguments made from z and y, as arrays."""
        arguments = self.arguments(z, y, besides.reg)
        differentiable = "logits" in self.order and "labels" in self.order
        return frameworks.call(
            self.framework, function, arguments,
            self.order.index("logits") if differentiable else None,
            besides.options, upstream=besides.upstream, half=besides.half,
        )  # fmt: skip

    def arguments(self, z: Array, y: Array, reg: float = 0.0) -> list[Any]:
        """Fresh arguments for logits and labels, in the form's order."""
        made: dict[Role, Any] = {"reg": reg, "labels": np.asarray(y).copy()}
        if self.is_layer:
            W, X = layer_of(z)
            made["features"] = X.T.copy() if self.columns else X
            made["weights"] = W.T.copy() if self.columns else W

        def laid(array: Array) -> Array:
            if not self.columns:
                return array.copy()
            return array.T.copy() if self.batch else array[:, None].copy()

        made["logits"] = laid(z)
        if self.labels == "one-hot":
            made["labels"] = laid(np.eye(z.shape[-1], dtype=z.dtype)[y])
        elif not self.batch:
            made["labels"] = int(y)
        return [made[role] for role in self.order]


def candidates(function: Callable[..., Any], terms: Terms) -> Iterator[Form]:
    """The forms in which a function may be meant to be called, the likeliest first."""
    required, most = _positional(function)
    names = [ROLES.get(name.lower()) for name in _names(function)]
    of = frameworks.frameworks_of(function)
    layer = _layer(required, most, names)
    if layer and terms.kind in (None, "loss+gradient"):
        for framework, columns in itertools.product(of, (False, True)):
            if terms.layout in (None, "columns" if columns else "rows"):
                yield Form(layer, columns=columns, framework=framework)
        return
    both: list[tuple[Role, ...]] = [("logits", "labels"), ("labels", "logits")]
    if names[:1] == ["labels"]:
        both.reverse()
    orders = both if most >= 2 and terms.kind != "softmax" else []
    if not orders or (terms.kind is None and required <= 1):
        orders = [*orders, ("logits",)]
    # One example last: a function of columns, given one, may take it for a batch.
    layouts = {
        "rows": [(True, False)],
        "columns": [(True, True)],
        "one": [(False, False), (False, True)],
    }
    asked = [terms.layout] if terms.layout is not None else list(layouts)
    shapes = [shape for layout in asked for shape in layouts[layout]]
    labels: tuple[Literal["index", "one-hot"], ...] = ("index", "one-hot")
    for framework, shape, kind, order in itertools.product(of, shapes, labels, orders):
        # Of softmax alone (C, 1) is a batch of columns.
        if "labels" in order or (kind == "index" and shape != (False, True)):
            yield Form(order, kind, *shape, framework)


def _layer(required: int, most: int, names: Sequence[Role | None]) -> tuple[Role, ...]:
    """The order of the arguments of a layer with its loss, or nothing if it is none."""
    roles = [role for role in names[:most] if role is not None]
    if {"weights", "features", "labels"} <= set(roles) and len(set(roles)) == len(roles):
        return tuple(roles) if required <= len(roles) else ()
    return LAYER if 3 <= required <= 4 and most >= 4 else ()


def options_of(function: Callable[..., Any]) -> dict[str, str]:
    """The options that a function takes, and its names for them.

    >>> options_of(lambda z, y, class_weight=None: 0)
    {'weight': 'class_weight'}
    """
    names = _names(function)[1:]
    found = {option: [n for n in names if n in known] for option, known in OPTIONS.items()}
    return {option: given[0] for option, given in found.items() if given}


def _positional(function: Callable[..., Any]) -> tuple[int, int]:
    """How many positional arguments a function needs, and takes."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2, 2
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return sum(p.default is p.empty for p in plain), 4 if many else len(plain)


def _names(function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []
