"""The forms in which people write the softmax loss, and how each is called.

A form says what is passed: class indices or one-hot labels, one example or a batch, examples in
rows or in columns, arrays or tensors.
"""

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...arrays import Array
from ..inputs import Input, layer_for
from ..reference import Results
from ..settings import Settings
from .frameworks import Framework, call, frameworks_of
from .results import of_batch, of_examples

#: The options of `torch.nn.functional.cross_entropy`, and other names that people give them.
OPTIONS = {
    "weight": ("weight", "weights", "class_weight", "class_weights"),
    "ignore_index": ("ignore_index", "ignore_label"),
    "label_smoothing": ("label_smoothing", "smoothing"),
    "reduction": ("reduction",),
}

Role = Literal["logits", "labels", "weights", "features", "reg"]

#: The role of an argument by its name, in lower case.
ROLES: dict[str, Role] = {
    **dict.fromkeys(("y", "t", "target", "targets", "label", "labels", "y_true"), "labels"),
    **dict.fromkeys(("w", "weight", "weights", "theta"), "weights"),
    **dict.fromkeys(("x", "data", "features", "inputs"), "features"),
    **dict.fromkeys(("reg", "lambda_", "lam", "lambd", "lmbda", "l2", "alpha"), "reg"),
}
#: The name of an argument by its role.
NAMES = {"logits": "z", "labels": "y", "weights": "W", "features": "X", "reg": "reg"}
LAYER: tuple[Role, ...] = ("weights", "features", "labels", "reg")


@dataclass(frozen=True)
class Form:
    """One way to call a function.

    ("weights", "features", "labels", "reg") is a linear layer with its loss: f(W, X, y, reg) →
    (loss, ∂J/∂W), with z = X·W. Examples in columns: z is (C, N), or (C, 1) for one example; X is
    (D, N) and W (C, D).
    """

    order: tuple[Role, ...] = ("logits", "labels")  # of the arguments
    labels: Literal["index", "one-hot"] = "index"
    batch: bool = True  # whether all examples are passed at once
    columns: bool = False  # whether the examples are columns
    framework: Framework = "numpy"  # of the arrays

    @property
    def is_layer(self) -> bool:
        """Whether it is passed the weights of a layer instead of logits."""
        return "weights" in self.order

    def __str__(self) -> str:
        array = {"numpy": "an array", "torch": "a tensor", "jax": "a JAX array"}[self.framework]
        call = f"f({', '.join(NAMES[role] for role in self.order)})"
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

    def call(self, function: Callable[..., Any], input: Input) -> Results:
        """The results for an input, as a batch with examples in rows.

        Raises what the function raises, and ShapeError for a result of no known shape.
        """
        rows, classes = input.z.shape
        if not self.batch:
            values = [self.call_once(function, one) for one in input.examples()]
            return of_examples(values, classes)
        value = self.call_once(function, input)
        if not self.is_layer:
            return of_batch(value, (rows, classes), self.columns)
        _, loss, gradient = of_batch(
            value, (rows + 1, classes), self.columns, one_loss=True, or_rows=rows
        )
        return Results(None, loss, gradient)

    def call_once(self, function: Callable[..., Any], input: Input) -> Any:
        """What the function returns for one call, as arrays."""
        differentiable = "logits" in self.order and "labels" in self.order
        logits = self.order.index("logits") if differentiable else None
        return call(self.framework, function, self.arguments(input), input, logits)

    def arguments(self, input: Input) -> list[Any]:
        """New arguments for an input, or one of its examples, in the form's order."""
        z, y = input.z, input.y
        made: dict[Role, Any] = {"reg": input.reg, "labels": y.copy()}
        if self.is_layer:
            W, X = layer_for(z)
            made["features"] = X.T.copy() if self.columns else X
            made["weights"] = W.T.copy() if self.columns else W

        def laid_out(array: Array) -> Array:
            if not self.columns:
                return array.copy()
            return array.T.copy() if self.batch else array[:, None].copy()

        made["logits"] = laid_out(z)
        if self.labels == "one-hot":
            made["labels"] = laid_out(np.eye(z.shape[-1], dtype=z.dtype)[y])
        elif not self.batch:
            made["labels"] = int(y)
        return [made[role] for role in self.order]


def forms_of(function: Callable[..., Any], settings: Settings) -> Iterator[Form]:
    """The forms in which a function may be meant to be called, the likeliest first."""
    parameters = _parameters(function)
    required, most = 2, 2
    if parameters is not None:
        plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        required = sum(p.default is p.empty for p in plain)
        most = 4 if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(plain)
    names = [ROLES.get(parameter.name.lower()) for parameter in parameters or ()]
    frameworks = frameworks_of(function)
    layer = _layer(required, most, names)
    if layer and settings.kind in (None, "loss+gradient"):
        for framework, columns in itertools.product(frameworks, (False, True)):
            if settings.layout in (None, "columns" if columns else "rows"):
                yield Form(layer, columns=columns, framework=framework)
        return
    both: list[tuple[Role, ...]] = [("logits", "labels"), ("labels", "logits")]
    if names[:1] == ["labels"]:
        both.reverse()
    orders = both if most >= 2 and settings.kind != "softmax" else []
    if not orders or (settings.kind is None and required <= 1):
        orders = [*orders, ("logits",)]
    # One example last: a function of columns may take one example for a batch.
    layouts = {
        "rows": [(True, False)],
        "columns": [(True, True)],
        "one": [(False, False), (False, True)],
    }
    asked = [settings.layout] if settings.layout is not None else list(layouts)
    shapes = [shape for layout in asked for shape in layouts[layout]]
    labels: tuple[Literal["index", "one-hot"], ...] = ("index", "one-hot")
    for framework, shape, kind, order in itertools.product(frameworks, shapes, labels, orders):
        # For softmax alone (C, 1) is a batch of columns.
        if "labels" in order or (kind == "index" and shape != (False, True)):
            yield Form(order, kind, *shape, framework)


def _layer(required: int, most: int, names: Sequence[Role | None]) -> tuple[Role, ...]:
    """The order of the arguments of a layer with its loss; empty if the function is not one."""
    roles = [role for role in names[:most] if role is not None]
    if {"weights", "features", "labels"} <= set(roles) and len(set(roles)) == len(roles):
        return tuple(roles) if required <= len(roles) else ()
    return LAYER if 3 <= required <= 4 and most >= 4 else ()


def option_names(function: Callable[..., Any]) -> dict[str, str]:
    """The options that a function has, and its names for them.

    >>> option_names(lambda z, y, class_weight=None: 0)
    {'weight': 'class_weight'}
    """
    names = [parameter.name for parameter in _parameters(function) or ()][1:]
    found = {option: [n for n in names if n in known] for option, known in OPTIONS.items()}
    return {option: given[0] for option, given in found.items() if given}


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a function of an extension
        return None
