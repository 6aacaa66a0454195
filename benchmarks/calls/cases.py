"""The calls: logits of some shape, dtype and layout, with one option of the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from ..cases import DTYPES as HEADLINE_DTYPES
from ..cases import Array, normal, numpy_dtype

#: kind of call → its name in the tables
KINDS = {
    "autograd": "forward + backward",
    "loss": "loss only",
    "buffer": "NumPy, into a buffer",
    "score": "score",
}
DTYPES = HEADLINE_DTYPES | {"float16": 2}
HALF = ("bfloat16", "float16")
LAYOUTS = {
    "contiguous": "",
    "channels_last": "channels_last",
    "transposed": "transposed",
    "columns": "columns of a wider array",
}
#: How many columns the wider array has more: logits padded to a round number of classes.
PADDING = 64
IGNORED = -100

WEIGHTED = "({} * s).sum() / s.sum()"


@dataclass(frozen=True)
class Option:
    """How a call is written: cross_entropy(x, y, …), with weights w per class and s per example."""

    title: str
    #: behind x, y
    arguments: str = ""
    #: what is made of the losses, before the backward pass
    reduced: str = "{}"
    #: the same with PyTorch's function, where that has no such argument
    otherwise: Option | None = None
    #: at most so many times as long as with class indices alone
    goal: float = 1.15

    def expression(self, cross_entropy: str = "cross_entropy") -> str:
        """As source code.

        >>> OPTIONS["none"].expression()
        'cross_entropy(x, y, reduction="none").mean()'
        """
        arguments = ", ".join(filter(None, ["x, y", self.arguments]))
        return self.reduced.format(f"{cross_entropy}({arguments})")


_BY_HAND = Option('reduction="none", weighted by hand', 'reduction="none"', WEIGHTED)
OPTIONS = {
    "index": Option("class indices"),
    "smoothing": Option("label smoothing", "label_smoothing=0.1"),
    "weight": Option("class weights", "weight=w"),
    "weight+smoothing": Option("class weights, smoothing", "weight=w, label_smoothing=0.1"),
    "soft": Option("soft targets", goal=2.0),
    "sample_weight": Option("sample weights", "sample_weight=s", otherwise=_BY_HAND),
    "ignored": Option("half of the labels ignored"),
    "none": Option('reduction="none"', 'reduction="none"', "{}.mean()"),
    "by_hand": _BY_HAND,
    "sum": Option('reduction="sum"', 'reduction="sum"'),
}
GOAL_HALF, GOAL_LAYOUT, GOAL_SCORE = 1.2, 1.6, 1.5


@dataclass(frozen=True)
class Call:
    """One line of the table. `logits` is a shape, "8x21x256x256"; "5" is one example."""

    logits: str
    option: str = "index"
    dtype: str = "float32"
    layout: str = "contiguous"
    #: measured only because others are compared with it; not a line of the table
    reference: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.logits.split("x"))

    @property
    def classes(self) -> int:
        return self.shape[1] if len(self.shape) > 1 else self.shape[0]

    @property
    def targets(self) -> tuple[int, ...]:
        """The shape of class indices."""
        return self.shape[:1] + self.shape[2:] if len(self.shape) > 1 else ()

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype]

    @property
    def name(self) -> str:
        """The logits in words."""
        sizes = self.logits.replace("x", " × ")
        if len(self.shape) == 1:
            sizes = f"one example, {sizes} classes"
        details = [self.dtype if self.dtype != "float32" else "", LAYOUTS[self.layout]]
        return ", ".join([" ".join(filter(None, [sizes, details[0]])), *filter(None, details[1:])])

    @property
    def whats(self) -> list[str]:
        """The kinds of call that are measured."""
        kinds = ["autograd", "loss"]
        if self.option != "by_hand":
            kinds.append("buffer")
        if self.option == "index" and self.dtype == "float32" and len(self.shape) > 1:
            kinds.append("score")
        return kinds

    def label(self, what: str) -> str:
        return f"{self.name}, {OPTIONS[self.option].title}, {KINDS[what]}"

    @property
    def compared(self) -> Compared | None:
        """What the time is compared with, beside the peers, and the goal."""
        if self.option != "index":
            index = replace(self, option="index")
            return Compared(index, "class indices", OPTIONS[self.option].goal)
        if self.layout != "contiguous" or len(self.shape) > 2:
            rows = f"{math.prod(self.targets)}x{self.classes}"
            lying = replace(self, logits=rows, layout="contiguous")
            return Compared(lying, f"contiguous rows, {rows.replace('x', ' × ')}", GOAL_LAYOUT)
        if self.dtype in HALF:
            return Compared(replace(self, dtype="float32"), "float32", GOAL_HALF)
        return None

    def as_reference(self) -> Call:
        return replace(self, reference=True)

    def smaller(self) -> Call:
        """A sixteenth of the examples, where there are many, for a quick look."""
        if math.prod(self.shape) < 1_000_000:
            return self
        first, classes, *places = self.shape
        if places:
            side = round(16 ** (1 / len(places)))
            places = [size // side for size in places]
        else:
            first //= 16
        return replace(self, logits="x".join(map(str, (first, classes, *places))))


class Compared(NamedTuple):
    call: Call
    title: str
    #: at most so many times as long
    goal: float


def _calls(
    logits: str, *options: str, dtype: str = "float32", layout: str = "contiguous"
) -> list[Call]:
    return [Call(logits, option, dtype, layout) for option in options]


#: The calls of a group take turns, so that they can be compared with each other.
GROUPS: list[list[Call]] = [
    _calls("5", "index", "smoothing")
    + _calls("1000", "index")
    + _calls("32x10", "index", "smoothing")
    + _calls("50x10", "index", "by_hand"),
    _calls("128x10", "index", "smoothing", "weight", "soft", "sample_weight", "ignored", "none"),
    _calls(
        "256x1000",
        *("index", "smoothing", "weight", "weight+smoothing"),
        *("soft", "sample_weight", "none"),
    )
    + _calls("256x1000", "index", dtype="bfloat16"),
    _calls("1024x100", "index", "smoothing", "soft", "sum"),
    _calls(
        "65536x100",
        *("index", "smoothing", "weight", "weight+smoothing"),
        *("soft", "sample_weight", "ignored", "none"),
    )
    + _calls("65536x100", "index", "smoothing", dtype="bfloat16")
    + _calls("65536x100", "index", layout="transposed")
    + _calls("65536x100", "index", layout="columns"),
    _calls("262144x100", "index", "smoothing"),
    _calls("1000000x10", "index", "smoothing", "sample_weight"),
    _calls(
        "4096x8000",
        *("index", "smoothing", "weight", "weight+smoothing"),
        *("soft", "sample_weight", "ignored", "none"),
    )
    + _calls("4096x8000", "index", "smoothing", dtype="bfloat16")
    + _calls("4096x8000", "index", dtype="float16")
    + _calls("4096x8000", "index", "soft", dtype="float64")
    + _calls("4096x8000", "index", "smoothing", layout="transposed")
    + _calls("4096x8000", "index", layout="columns"),
    _calls("8x21x64x64", "index", "soft"),
    _calls("4x21x256x256", "index", "smoothing"),
    _calls("6x19x256x256", "index", "ignored"),
    _calls("8x21x256x256", "index", "smoothing", "weight", "ignored")
    + _calls("8x21x256x256", "index", dtype="bfloat16")
    + _calls("8x21x256x256", "index", "smoothing", layout="channels_last"),
    _calls("4x150x128x128", "index", "smoothing", "soft")
    + _calls("4x150x128x128", "index", layout="channels_last"),
    _calls("8x8000x256", "index", "smoothing", "sample_weight"),
    _calls("2048x50257", "index", "ignored") + _calls("2048x50257", "index", dtype="bfloat16"),
    _calls("4096x32000", "index", "smoothing"),
]
CALLS = [call for group in GROUPS for call in group]


def select(words: list[str], quick: bool) -> list[list[Call]]:
    """The groups that the words leave, with what their calls are compared with.

    Words of one kind (shapes, options, dtypes, layouts) are alternatives, those of different kinds
    are conditions: 256x1000 65536x100 smoothing soft.
    """
    fields = {
        name: {getattr(call, name) for call in CALLS}
        for name in ("logits", "option", "dtype", "layout")
    }
    wanted: dict[str, set[str]] = {}
    for word in words:
        field = next((name for name, known in fields.items() if word in known), None)
        if field is None:
            raise ValueError(
                f"{word!r} is not in the table: name shapes ({CALLS[-1].logits}), options "
                f"({', '.join(OPTIONS)}), dtypes ({', '.join(DTYPES)}) or layouts "
                f"({', '.join(LAYOUTS)})"
            )
        wanted.setdefault(field, set()).add(word)
    groups = []
    for group in GROUPS:
        calls = [
            call.smaller() if quick else call
            for call in group
            if all(getattr(call, name) in words for name, words in wanted.items())
        ]
        if calls:
            groups.append(with_references(calls))
    if not groups:
        raise ValueError(f"no call of the table is {' '.join(words)} at once")
    return groups


def with_references(calls: list[Call]) -> list[Call]:
    """The calls, and those that they are compared with where these are not among them."""
    wanted = [call.compared.call for call in calls if call.compared]
    missing = dict.fromkeys(call for call in wanted if call not in calls)
    return [*calls, *(call.as_reference() for call in missing)]


class Data(NamedTuple):
    """The arrays of a call, the same in every process."""

    logits: Array
    target: Array
    #: one per class
    weight: Array
    #: one per example
    sample_weight: Array


def data(call: Call) -> Data:
    """Logits are normal, with deviation 3; labels are uniform, weights between 0.5 and 1.5.

    What several calls have in common is made once, until `forget`.
    """
    rng = np.random.default_rng(call.classes + 1)
    target = rng.integers(call.classes, size=call.targets)
    if call.option == "ignored":
        target = np.where(rng.random(call.targets) < 0.5, IGNORED, target)
    if call.option == "soft":
        target = _soft_targets(call.logits, call.dtype, call.layout)
    weight, sample_weight = (
        np.asarray(0.5 + rng.random(shape)).astype(numpy_dtype(call.dtype))
        for shape in (call.classes, call.targets)
    )
    return Data(_logits(call.logits, call.dtype, call.layout), target, weight, sample_weight)


@cache
def _logits(logits: str, dtype: str, layout: str) -> Array:
    call = Call(logits, dtype=dtype, layout=layout)
    return _laid_out(call, normal(stored_shape(call), dtype, seed=call.classes))


@cache
def _soft_targets(logits: str, dtype: str, layout: str) -> Array:
    """Positive numbers whose sum over the classes is 1."""
    call = Call(logits, dtype=dtype, layout=layout)
    shape = stored_shape(call)
    block = np.random.default_rng(1).random(min(math.prod(shape), (1 << 20) + 7), np.float32)
    q = _laid_out(call, np.resize(block, shape))
    q /= q.sum(axis=1 if q.ndim > 1 else 0, keepdims=True)
    return q.astype(numpy_dtype(dtype))


@cache
def buffer(logits: str, dtype: str, layout: str) -> Array:
    """Memory for a gradient that lies as the logits do, written to before."""
    call = Call(logits, dtype=dtype, layout=layout)
    return _laid_out(call, np.ones(stored_shape(call), numpy_dtype(dtype)))


def forget() -> None:
    for function in (_logits, _soft_targets, buffer):
        function.cache_clear()


def stored_shape(call: Call) -> tuple[int, ...]:
    """The shape of the C-contiguous array in which the logits lie."""
    first, *rest = call.shape
    if call.layout == "transposed":
        return (*rest, first)
    if call.layout == "channels_last":
        return (first, *rest[1:], rest[0])
    if call.layout == "columns":
        return (first, rest[0] + PADDING)
    return call.shape


def _laid_out(call: Call, stored: Array) -> Array:
    """The stored array, seen in the shape of the logits."""
    if call.layout == "transposed":
        return stored.T
    if call.layout == "channels_last":
        return np.moveaxis(stored, -1, 1)
    if call.layout == "columns":
        return stored[:, : call.classes]
    return stored
