"""The shapes in which people write the softmax loss, and how each is called.

A form says what is passed (index or one-hot labels, one example or a batch, examples in rows or in
columns, arrays or tensors) and what comes back. `call` turns a probe into that, and what comes back
into `Results` of a batch with examples in rows.
"""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .probes import Probe
from .steps import Results

__all__ = ["Form", "Part", "ShapeError", "candidates"]

Array = NDArray[Any]
Part = Literal["softmax", "loss", "gradient", "loss+gradient"]


class ShapeError(ValueError):
    """What came back has none of the shapes that this form has."""


@dataclass(frozen=True)
class Form:
    """One way to call a function.

    labels      "none" where only logits are passed, else "index" or "one-hot"
    batch       whether all examples are passed at once
    columns     whether the examples are columns: (C, N)
    first       which argument comes first
    framework   what the arrays are
    weights     for f(W, X, y, reg) → (loss, ∂J/∂W), the layout of W, examples being rows or columns
    """

    labels: Literal["none", "index", "one-hot"] = "index"
    batch: bool = True
    columns: bool = False
    first: Literal["logits", "labels"] = "logits"
    framework: Literal["numpy", "torch"] = "numpy"
    weights: Literal["none", "(D, C)", "(C, D)"] = "none"

    def __str__(self) -> str:
        if self.weights != "none":
            X = "(N, D)" if self.weights == "(D, C)" else "(D, N)"
            return f"f(W, X, y, reg) with W {self.weights} and X {X}"
        z = ("(C, N)" if self.columns else "(N, C)") if self.batch else "(C,)"
        array = "tensor" if self.framework == "torch" else "array"
        if self.labels == "none":
            return f"f(z) with z an {array} {z}" if array == "array" else f"f(z), z a {array} {z}"
        index = "(N,)" if self.batch else "a number"
        y = index if self.labels == "index" else z
        call = "f(z, y)" if self.first == "logits" else "f(y, z)"
        kind = "class indices" if self.labels == "index" else "one-hot"
        return f"{call} with z an {array} {z} and y {kind} {y}".replace("an tensor", "a tensor")

    def call(self, function: Callable[..., Any], probe: Probe) -> Results:
        """The results for a probe. Raises what the function raises, and ShapeError."""
        if self.weights != "none":
            loss, slope = function(*self.arguments(probe.z, probe.y))
            slope = np.asarray(slope).T if self.weights == "(C, D)" else np.asarray(slope)
            results = _collected((loss, slope), probe.z.shape, columns=False)
            if results.gradient is None or results.loss is None:
                raise ShapeError("it must return the loss and the gradient by the weights")
            # ∂J/∂W = Xᵀ·∂J/∂z, and X is a permutation.
            return results._replace(gradient=_features(len(probe.z), slope.dtype) @ slope)
        if self.batch:
            return _collected(self._one_call(function, probe.z, probe.y), probe.z.shape,
                              self.columns)  # fmt: skip
        rows = [self._one_call(function, z, y) for z, y in zip(probe.z, probe.y, strict=True)]
        parts = [_of_one(row, probe.z.shape[1]) for row in rows]
        joined = [
            None if any(part[k] is None for part in parts) else np.array([p[k] for p in parts])
            for k in range(3)
        ]
        softmax, losses, gradient = joined
        loss = None if losses is None else losses.mean()
        return Results(softmax, loss, None if gradient is None else gradient / len(rows))

    def _one_call(self, function: Callable[..., Any], z: Array, y: Array) -> Any:
        """What the function gives for arguments made from z and y, as arrays."""
        arguments = self.arguments(z, y)
        if self.framework == "torch":
            return _with_torch(function, arguments, self.named(arguments).index("logits"))
        return function(*arguments)

    def arguments(self, z: Array, y: Array, reg: float = 0.0) -> tuple[Any, ...]:
        """Fresh arguments for logits and labels, in the form's order."""
        labels: Any = np.asarray(y).copy()
        if self.weights != "none":
            X = _features(len(z), z.dtype)
            W = X.T @ z  # so that X·W is z, to the bit
            if self.weights == "(D, C)":
                return W, X, labels, reg
            return W.T.copy(), X.T.copy(), labels, reg
        logits = z.T.copy() if self.columns else z.copy()
        if self.labels == "one-hot":
            labels = np.eye(z.shape[-1], dtype=z.dtype)[y]
            labels = labels.T.copy() if self.columns else labels
        elif not self.batch:
            labels = int(y)
        if self.labels == "none":
            return (logits,)
        return (logits, labels) if self.first == "logits" else (labels, logits)

    def named(self, arguments: tuple[Any, ...]) -> list[str]:
        """What each of the arguments is: "logits", "labels", "weights", "features" or "reg"."""
        if self.weights != "none":
            return ["weights", "features", "labels", "reg"]
        names = ["logits", "labels"][: len(arguments)]
        return names if self.first == "logits" else names[::-1]


def candidates(function: Callable[..., Any], kind: Part | None) -> Iterator[Form]:
    """The forms in which a function may be meant to be called, the likeliest first."""
    if kind is not None and kind not in get_args(Part):
        listed = ", ".join(f'"{part}"' for part in get_args(Part))
        raise ValueError(f"kind must be one of {listed}, got {kind!r}")
    required, most = _positional(function)
    if 3 <= required <= 4 and most >= 4 and kind in (None, "loss+gradient"):
        yield Form(weights="(D, C)")
        yield Form(weights="(C, D)")
        return
    frameworks = ["torch", "numpy"] if _uses_torch(function) else ["numpy", "torch"]
    if "torch" not in sys.modules:
        frameworks = ["numpy"]
    labels = ["index", "one-hot"] if most >= 2 and kind != "softmax" else ["none"]
    if kind is None and required <= 1 and most >= 2:
        labels.append("none")
    first = ["logits", "labels"]
    names = _names(function)
    if names and names[0].lower() in ("y", "t", "target", "targets", "labels", "y_true", "label"):
        first.reverse()
    for framework, columns, batch, kinds, order in itertools.product(
        frameworks, (False, True), (True, False), labels, first
    ):
        if (columns and not batch) or (kinds == "none" and order == "labels"):
            continue
        yield Form(kinds, batch, columns, order, framework)  # type: ignore[arg-type]


def _collected(value: Any, shape: tuple[int, ...], columns: bool) -> Results:
    """What a call for a batch gave, by its shape."""
    rows, classes = shape
    matrix = (classes, rows) if columns else (rows, classes)
    softmax = loss = gradient = None
    values = list(value) if isinstance(value, tuple | list) and len(value) == 2 else [value]
    for item in values:
        array = _numbers(item)
        if array.shape == matrix:
            gradient = array.T if columns else array
        elif array.shape in ((), (1,)):
            loss = array.reshape(())[()]
        elif array.shape in ((rows,), (rows, 1), (1, rows)):
            loss = array.reshape(-1)
        elif array.ndim == 2 and array.shape == (rows, rows):
            loss = array
        else:
            raise ShapeError(f"it returned shape {array.shape}")
    if len(values) == 1 and gradient is not None:
        softmax = gradient
    return Results(softmax, loss, gradient)


def _of_one(value: Any, classes: int) -> tuple[Any, Any, Any]:
    """What a call for one example gave: softmax, loss, gradient."""
    softmax = loss = gradient = None
    values = list(value) if isinstance(value, tuple) and len(value) == 2 else [value]
    for item in values:
        array = _numbers(item)
        if array.size == classes and array.ndim and classes > 1:
            gradient = array.reshape(-1)
        elif array.size == 1:
            loss = array.reshape(())[()]
        else:
            raise ShapeError(f"it returned shape {array.shape}")
    if len(values) == 1 and gradient is not None:
        softmax = gradient
    return softmax, loss, gradient


def _numbers(value: Any) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ShapeError(f"it returned {type(value).__name__}, not numbers")
    return array


def _features(count: int, dtype: Any) -> Array:
    """X: the examples in another order, a permutation that is not its own inverse."""
    return np.roll(np.eye(count, dtype=dtype), 1, axis=0)


def _with_torch(function: Callable[..., Any], arguments: tuple[Any, ...], logits: int) -> Any:
    """The call with tensors; where only a loss comes back, autograd gives the gradient by the
    argument at the position `logits`."""
    torch = sys.modules["torch"]
    tensors = [torch.tensor(argument) for argument in arguments]
    z = tensors[logits].requires_grad_()
    value = function(*tensors)
    values = value if isinstance(value, tuple) else (value,)
    arrays = [v.detach().numpy() if isinstance(v, torch.Tensor) else np.asarray(v) for v in values]
    differentiable = len(values) == 1 and isinstance(value, torch.Tensor) and value.requires_grad
    if len(arguments) > 1 and differentiable and value.shape != z.shape:
        value.sum().backward()
        arrays.append(np.zeros(z.shape) if z.grad is None else z.grad.numpy())
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def _uses_torch(function: Any) -> bool:
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    if isinstance(function, torch.nn.Module):
        return True
    known = getattr(function, "__globals__", {})
    code = getattr(function, "__code__", None)
    names = set(code.co_names) if code is not None else set()
    modules = {name for name, value in known.items() if value is torch or
               str(getattr(value, "__name__", "")).startswith("torch")}  # fmt: skip
    return bool(names & modules) or str(getattr(function, "__module__", "")).startswith("torch")


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
