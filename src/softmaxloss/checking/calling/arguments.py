"""The arguments of a call: the numbers of an input, as a form passes them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...arrays import Array
from ..inputs import Input, image_shape, layer_for, sequence_shape
from ..reference import softmax
from .forms import ONE_HOT, Form, Labels
from .roles import Role

NO_CLASS = -100  # a label that none of the inputs has


def arguments_for(form: Form, input: Input) -> list[Any]:
    """New arguments for an input, or for one of its examples, in the form's order."""
    z, y = input.z, input.y
    rows, classes = z.shape if form.batch else (1, z.shape[-1])
    made: dict[Role, Callable[[], Any]] = {
        "logits": lambda: _laid_out(form, z),
        "probabilities": lambda: _laid_out(form, probabilities(z)),
        "log-probabilities": lambda: _laid_out(form, z),
        "labels": lambda: _labels(form, y, classes, z.dtype),
        "reg": lambda: input.reg,
        "bias": lambda: np.zeros(classes, z.dtype),
        "column bias": lambda: np.zeros((classes, 1), z.dtype),
        "classes": lambda: classes,
        "examples": lambda: rows,
        "inputs": lambda: rows + 1,  # those of `layer_for`
        "temperature": lambda: input.options.get("temperature", 1.0),
        "training": lambda: True,
        "keep": lambda: True,
        "array module": lambda: np,
        "axis": lambda: 0 if form.columns else -1,
        "mask": lambda: _mask(form, input),
        "left out": lambda: ~_mask(form, input),
        "output mask": lambda: _laid_out(form, np.ones(z.shape, np.bool_)),
        "lengths": lambda: _lengths(form, input),
        "example weights": lambda: _mask(form, input).astype(z.dtype),
        "no class": lambda: input.options.get("ignore_index", NO_CLASS),
        "class weights": lambda: input.options.get("weight", np.ones(classes, z.dtype)),
    }
    if form.is_layer:
        W, X = layer_for(np.atleast_2d(z))
        W = W.T.copy() if form.weights_by_class else W
        of_one = X if form.batch else X[0]
        if form.layout == "sequences":
            of_one = X.reshape(*sequence_shape(len(X)), -1)
        made["features"] = lambda: X.T.copy() if form.columns else of_one
        made["weights"] = lambda: W
        made["theta"] = lambda: W.ravel()
        made["params"] = lambda: _params(W, form)
        made["model"] = lambda: LinearModel(W, form)
    return [made[role]() for role in form.order]


def _lengths(form: Form, input: Input) -> Any:
    """How many words of each sequence count, (B,); of a softmax how many outputs, all of them."""
    if "labels" not in form.order:
        shape = _laid_out(form, input.z).shape
        return np.full(shape[0] if len(shape) > 1 else 1, shape[-1])
    return np.atleast_2d(_mask(form, input)).sum(axis=-1)


def _mask(form: Form, input: Input) -> Any:
    """Which examples count, in the shape of the labels; all of them, if the input does not say.

    Of a softmax, which outputs count, in the shape of the logits.
    """
    if "labels" not in form.order:
        return _laid_out(form, input.options.get("mask", np.ones(input.z.shape, np.bool_)))
    mask = np.asarray(input.options.get("mask", np.ones(np.shape(input.y), np.bool_)))
    if not form.batch:
        return mask
    index: Labels = "index" if form.labels in ONE_HOT else form.labels
    return _labels(replace(form, first_label=0, labels=index), mask, 0, None)


def probabilities(z: Array) -> Array:
    """The softmax of logits, (N, C) or (C,), in their dtype."""
    return softmax(np.atleast_2d(z))[0].reshape(z.shape)


def _bias_for(W: Array, form: Form) -> Array:
    """A bias of 0 for each class, a column where the examples are columns."""
    classes = W.shape[0] if form.weights_by_class else W.shape[1]
    return np.zeros((classes, 1) if form.columns else classes, W.dtype)


def _params(W: Array, form: Form) -> dict[str, Array]:
    """The weights and a bias of 0 under the keys that people give them."""
    bias = _bias_for(W, form)
    return dict.fromkeys(("W", "w", "W1", "weights"), W) | dict.fromkeys(("b", "b1", "bias"), bias)


class LinearModel:
    """A linear layer, for a function that is passed a model: it has weights and can be called."""

    def __init__(self, W: Array, form: Form) -> None:
        self.W = self.w = self.weights = self.weight = self.theta = W
        self.b = self.bias = _bias_for(W, form)
        self._form = form

    def __call__(self, X: Any) -> Any:
        W = self.W.T if self._form.weights_by_class else self.W
        return W.T @ X + self.b if self._form.columns else X @ W + self.b

    forward = predict = __call__


def _laid_out(form: Form, array: Array) -> Array:
    """Rows of numbers, or one row, in the layout of the form."""
    if form.layout == "columns":
        return array.T.copy()
    if form.layout == "one column":
        return array[:, None].copy()
    if form.layout == "one row":
        return array[None, :].copy()
    if form.layout == "sequences":
        return array.reshape(*sequence_shape(len(array)), -1).copy()
    if form.layout == "heads":
        return array.reshape(*image_shape(len(array)), -1).copy()
    if form.layout == "images":
        return np.moveaxis(array.reshape(*image_shape(len(array)), -1), -1, 1).copy()
    return array.copy()


def _labels(form: Form, y: Any, classes: int, dtype: Any) -> Any:
    if form.labels in ONE_HOT:
        is_class = np.asarray(y)[..., None] == np.arange(classes)
        across = replace(form, layout="rows" if form.columns else "columns")
        return _laid_out(form if form.labels == "one-hot" else across, is_class.astype(dtype))
    y = y + form.first_label
    if not form.batch:
        return int(y)
    if form.labels == "column":
        return y[:, None].copy()
    if form.labels == "row":
        return y[None, :].copy()
    if form.layout in ("sequences", "images"):
        shape = sequence_shape if form.layout == "sequences" else image_shape
        return y.reshape(shape(len(y))).copy()
    return y.copy()
