"""The forms in which people write the softmax loss.

A form says what is passed: logits or probabilities, class indices or one-hot labels, one example or
a batch, examples in rows or in columns, arrays or tensors, and what is done with the results.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..settings import Settings
from .frameworks import OWN, Framework, frameworks_of
from .nodes import engine_of
from .packed import Way
from .passing import arguments_of
from .protocols import title_of, ways_to_call
from .roles import SCORES, WITH_WEIGHTS, Arguments, Role, parameters_of
from .wording import Wording, wording_of

#: The options of `torch.nn.functional.cross_entropy`, and other names that people give them.
OPTIONS = {
    "weight": ("weight", "weights", "class_weight", "class_weights"),
    "ignore_index": (
        "ignore_index",
        "ignore_label",
        "ignore_id",
        "pad_id",
        "pad_idx",
        "pad_index",
        "pad_token_id",
        "padding_idx",
        "pad_token",
    ),
    "label_smoothing": ("label_smoothing", "smoothing"),
    "reduction": ("reduction",),
    "mask": ("mask", "loss_mask", "valid_mask"),
}

#: The symbol of an argument by its role.
SYMBOLS: dict[Role, str] = {
    "logits": "z", "probabilities": "a", "log-probabilities": "log a", "labels": "y",
    "weights": "W", "theta": "θ", "params": "params", "bias": "b", "column bias": "b",
    "features": "X", "reg": "reg", "classes": "C", "inputs": "D", "examples": "N", "model": "model",
    "temperature": "1", "training": "True", "mask": "mask", "left out": "mask",
    "output mask": "mask",
    "axis": "axis", "keep": "True", "array module": "numpy",
    "class weights": "w",
    "no class": "-100", "lengths": "lengths", "example weights": "weights",
}  # fmt: skip

#: "one-hot across": in columns where the outputs are in rows, or the other way round.
Labels = Literal["index", "one-hot", "column", "row", "one-hot across"]
ONE_HOT: tuple[Labels, ...] = ("one-hot", "one-hot across")
Layout = Literal["rows", "columns", "one", "one column", "one row", "sequences", "images", "heads"]

#: The shape of the logits by layout.
SHAPES: dict[Layout, str] = {
    "rows": "(N, C)", "columns": "(C, N)", "one": "(C,)", "one column": "(C, 1)",
    "one row": "(1, C)", "sequences": "(B, T, C)",
    "images": "(B, C, H, W)", "heads": "(B, H, T, C)",
}  # fmt: skip

#: The arguments that only a layer has.
OF_LAYER: set[Role] = WITH_WEIGHTS | {"features"}

BATCHES: tuple[Layout, ...] = ("rows", "columns", "sequences", "images", "heads")


@dataclass(frozen=True)
class Form:
    """One way to call a function.

    ("weights", "features", "labels", "reg") is a linear layer with its loss: f(W, X, y, reg) →
    (loss, ∂J/∂W), with z = X·W. W is (D, C), or (C, D) with `weights_by_class`. X is (N, D), or
    (D, N) in columns.
    """

    order: tuple[Role, ...] = ("logits", "labels")  # of the arguments
    keywords: tuple[str, ...] = ()  # their `names`, if any is passed by keyword
    labels: Labels = "index"
    layout: Layout = "rows"
    weights_by_class: bool = False
    framework: Framework = "numpy"  # of the arrays
    single: bool = False  # whether its arrays are float32 because it does not take float64
    node: str = ""  # the class of its own engine with automatic differentiation
    first_label: int = 0  # 1: its text says that labels count from 1
    classes: int = 0  # the only number of classes that it takes; 0: any
    protocol: str = ""  # of an object with methods, such as "forward(z, y), backward()"
    returns: tuple[str, ...] = ()  # the part that each returned array is, "" for none

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each argument that is passed by keyword, "" for one that is not."""
        return self.keywords or ("",) * len(self.order)

    def dtype(self, asked: Any) -> Any:
        """The dtype of its floats, if this one is asked for."""
        return "float32" if self.single else asked

    @property
    def batch(self) -> bool:
        """Whether all examples are passed at once."""
        return self.layout in BATCHES

    @property
    def takes_matrix(self) -> bool:
        """Whether the examples are the rows or the columns of a matrix."""
        return self.layout in ("rows", "columns")

    def resembles(self, first: Form) -> bool:
        """Whether labels and matrices are in the places that they have in the first form."""
        places = [[role == "labels" for role in form.order] for form in (self, first)]
        return self.takes_matrix and places[0] == places[1]

    def contradicts(self, wording: Wording) -> bool:
        """Whether the text of the function says that its examples are stored in another way, or a
        default of its own that its outputs are others."""
        from_logits = wording.from_logits if "labels" in self.order else None
        if from_logits not in (None, self.scores == "logits"):
            return True
        if self.is_layer or wording.layout is None:
            return False
        others = {
            "rows": ("columns",), "columns": ("rows", "sequences", "images", "heads"),
            "sequences": ("rows", "columns", "images", "heads"),
            "images": ("rows", "columns", "sequences", "heads"),
        }  # fmt: skip
        return self.layout in others[wording.layout]

    @property
    def columns(self) -> bool:
        """Whether the examples are columns."""
        return self.layout in ("columns", "one column")

    @property
    def is_layer(self) -> bool:
        """Whether it is passed the weights of a layer instead of logits, or the features beside
        them: its gradient is that of the weights."""
        return not OF_LAYER.isdisjoint(self.order)

    @property
    def scores(self) -> Role:
        """What is passed as the outputs of a classifier: logits, probabilities or their log."""
        kinds: tuple[Role, ...] = ("probabilities", "log-probabilities")
        if "logits" in self.order:
            return "logits"
        return next((role for role in kinds if role in self.order), "logits")

    def __str__(self) -> str:
        text = self._text()
        return re.sub(r"\bC\b", str(self.classes), text) if self.classes else text

    def _text(self) -> str:
        arrays = {
            "numpy": "an array", "torch": "a tensor", "jax": "a JAX array", "lists": "a list",
            "own": f"a {self.node}", "own scalars": f"a list of {self.node}",
            "own labels": f"a {self.node}",
        }  # fmt: skip
        array = arrays[self.framework] + (" of float32" if self.single else "")
        passed = ", ".join(
            f"{name}={SYMBOLS[role]}" if name else SYMBOLS[role]
            for role, name in zip(self.order, self.names, strict=True)
        )
        call = self.protocol or f"f({passed})"
        shape = SHAPES[self.layout]
        if self.is_layer:
            weights = "(C, D)" if self.weights_by_class else "(D, C)"
            if "theta" in self.order:
                weights = f"flat, from {weights}"
            features = "(D, N)" if self.columns else "(N, D)" if self.batch else "(D,)"
            features = "(B, T, D)" if self.layout == "sequences" else features
            index = "y (B, T)" if self.layout == "sequences" else "y (N,)"
            y = {"index": index, "one-hot": f"one-hot Y {shape}", "column": "y (N, 1)",
                 "row": "y (1, N)"}[self.labels]  # fmt: skip
            symbol = "θ" if "theta" in self.order else "W"
            symbol = "model.W" if "model" in self.order else symbol
            symbol = 'params["W"]' if "params" in self.order else symbol
            given = f"{call} with {symbol} {array} {weights}"
            if not WITH_WEIGHTS & set(self.order):
                given = f"{call}, the gradient of W {weights}, with {SYMBOLS[self.scores]} {shape}"
            if "labels" not in self.order:
                return f"{given} and X {features}"
            return f"{given}, X {features} and {y}"
        symbol = SYMBOLS[self.scores]
        what = {"logits": "", "probabilities": "probabilities, ",
                "log-probabilities": "log-probabilities, "}[self.scores]  # fmt: skip
        text = f"{call} with {symbol} {what}{array} {shape}"
        if "labels" not in self.order:
            return text
        index = "class indices (N,)" if self.batch else "a class index"
        index += " from 1" if self.first_label else ""
        if self.layout in ("sequences", "images"):
            index = f"class indices {'(B, T)' if self.layout == 'sequences' else '(B, H, W)'}"
        across = SHAPES["rows" if self.columns else "columns"]
        y = {"index": index, "one-hot": f"one-hot {shape}", "column": "class indices (N, 1)",
             "row": "class indices (1, N)", "one-hot across": f"one-hot {across}",
             }[self.labels]  # fmt: skip
        return f"{text} and y {y}"


def forms_of(target: Any, settings: Settings) -> Iterator[tuple[Form, Way]]:
    """The forms in which something may be meant to be called, the likeliest first.

    With each form, the way to call it: a function that takes its arguments. Forms that resemble the
    first, with its matrix and its order, come before the others.
    """
    title = title_of(target)
    wording = wording_of(target)
    frameworks = frameworks_of(target)
    engine = engine_of(target)
    node = engine.kind.__name__ if engine is not None else ""
    for way in ways_to_call(target):
        forms = [
            replace(
                form,
                framework=framework,
                node=node if framework in OWN else "",
                first_label=first_label,
                protocol=way.protocol,
            )
            for arguments in arguments_of(way.signature)
            for form in _of_arguments(arguments, settings, title)
            if (form.layout == "rows" if way.of_rows else not form.contradicts(wording))
            for framework in frameworks
            for first_label in _first_labels(form, wording)
        ]
        for form in sorted(forms, key=lambda form: not form.resembles(forms[0])):
            yield form, way


def _first_labels(form: Form, wording: Wording) -> tuple[int, ...]:
    if form.labels in ONE_HOT or "labels" not in form.order:
        return (0,)
    return (1,) if wording.labels_from_one else (0, 1) if wording.perhaps_from_one else (0,)


def _of_arguments(arguments: Arguments, settings: Settings, title: str) -> Iterator[Form]:
    roles = {argument.role for argument in arguments}
    if settings.kind in ("softmax", "log_softmax") and "labels" in roles:
        return
    if "features" in roles and not roles & WITH_WEIGHTS:
        yield from _of_outputs_of_layer(arguments, settings)
    elif roles & WITH_WEIGHTS:
        # Beside a model or its weights, what is not known is features.
        layer = tuple(a._replace(role="features") if a.role == "scores" else a for a in arguments)
        yield from _of_layer(layer, settings)
    else:
        yield from _of_scores(arguments, settings, title)


def _form(arguments: Arguments, **fields: Any) -> Form:
    order = tuple(argument.role for argument in arguments)
    keywords = tuple(argument.keyword for argument in arguments)
    return Form(order, keywords if any(keywords) else (), **fields)


def _layouts(settings: Settings, of: Sequence[Layout]) -> list[Layout]:
    """The layouts to try. One example comes last: a function of a batch may take one, too."""
    asked: dict[str, tuple[Layout, ...]] = {
        "rows": ("rows", "sequences", "images", "heads"),
        "columns": ("columns",),
        "one": ("one", "one column", "one row"),
    }
    allowed = asked[settings.layout] if settings.layout is not None else of
    return [layout for layout in of if layout in allowed]


def _of_layer(arguments: Arguments, settings: Settings) -> Iterator[Form]:
    labels: tuple[Labels, ...] = ("index", "one-hot", "column", "row")
    layouts = _layouts(settings, ("rows", "columns", "sequences"))
    if not any(one.role == "labels" for one in arguments):  # its probabilities
        labels, layouts = ("index",), _layouts(settings, ("rows", "columns", "one"))
    for kind, layout, by_class in itertools.product(labels, layouts, (False, True)):
        if layout == "sequences" and kind in ("column", "row"):
            continue
        # W·X with both transposed is likelier than either alone.
        by_class = by_class != (layout == "columns")
        if layout == "columns" and any(one.role == "bias" for one in arguments):
            column = tuple(
                one._replace(role="column bias") if one.role == "bias" else one for one in arguments
            )
            yield _form(column, labels=kind, layout=layout, weights_by_class=by_class)
        yield _form(arguments, labels=kind, layout=layout, weights_by_class=by_class)


def _of_outputs_of_layer(arguments: Arguments, settings: Settings) -> Iterator[Form]:
    """Of the features, the outputs and the labels of a layer: the gradient of its weights."""
    roles = {argument.role for argument in arguments}
    layouts = _layouts(settings, ("rows", "columns"))
    kinds: tuple[Labels, ...] = ("index", "one-hot", "column")
    for layout, kind, role in itertools.product(layouts, kinds, _scores_to_try(roles)):
        for by_class in (layout == "columns", layout != "columns"):
            passed = _with_scores(arguments, role)
            yield _form(passed, labels=kind, layout=layout, weights_by_class=by_class)


def _of_scores(arguments: Arguments, settings: Settings, title: str) -> Iterator[Form]:
    roles = {argument.role for argument in arguments}
    every: tuple[Layout, ...] = (
        "rows", "columns", "one", "one column", "one row", "sequences", "images",
    )  # fmt: skip
    layouts = _layouts(settings, every)
    if "labels" not in roles:
        # (1, C) is a batch of rows. Attention has scores of heads.
        for layout in (*layouts, *_layouts(settings, ("heads",))):
            if layout != "one row":
                yield _form(_with_scores(arguments, "logits"), layout=layout)
        return
    kinds: tuple[Labels, ...] = ("index", "one-hot", "column", "row", "one-hot across")
    scores = _scores_to_try(roles)
    if "logits" not in roles and any(word in title.lower() for word in ("nll", "likelihood")):
        scores = (*dict.fromkeys((*scores, "log-probabilities")),)
    for layout, kind, role in itertools.product(layouts, kinds, scores):
        if kind in ("index", "one-hot") or layout in ("rows", "columns"):
            yield _form(_with_scores(arguments, role), labels=kind, layout=layout)


def _scores_to_try(roles: Set[Role]) -> tuple[Role, ...]:
    """What the outputs may be, the likeliest first. An argument that is called logits is logits."""
    if "logits" in roles:
        return ("logits",)
    if "log-probabilities" in roles:
        return ("log-probabilities",)
    likely = roles & {"probabilities", "predictions"}
    return ("probabilities", "logits") if likely else ("logits", "probabilities")


def _with_scores(arguments: Arguments, role: Role) -> Arguments:
    """The arguments with one kind of outputs, unless both logits and probabilities are passed."""
    if sum(one.role in SCORES for one in arguments) > 1:
        return arguments
    return tuple(one._replace(role=role) if one.role in SCORES else one for one in arguments)


def option_names(function: Any) -> dict[str, str]:
    """The options that a function has, and its names for them.

    >>> option_names(lambda z, y, class_weight=None: 0)
    {'weight': 'class_weight'}
    """
    names = [parameter.name for parameter in parameters_of(function) or ()][1:]
    found = {option: [n for n in names if n in known] for option, known in OPTIONS.items()}
    return {option: given[0] for option, given in found.items() if given}
