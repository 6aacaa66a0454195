"""The options of the losses: names, defaults, checks. From here on they travel as one value.

What an option means is in `formula.py`; what each input gives is in docs/semantics.md.
"""

import difflib
import inspect
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from numbers import Real
from typing import Any, Literal, TypedDict, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Array, read_real
from .errors import OptionError
from .text import shown

Reduction = Literal["mean", "sum", "none"]
MultiLabel = Literal["error", "sum", "mean"]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one call that are not arrays: see `softmaxloss.cross_entropy` for what each
    means. Raises OptionError or TypeError.

    Example:
        >>> Options(reduction="sum").reduction
        'sum'
        >>> Options(label_smoothing=1.5)
        Traceback (most recent call last):
            ...
        softmaxloss.errors.OptionError: label_smoothing must be a number in [0, 1], got 1.5
    """

    ignore_index: int = -100
    reduction: Reduction = "mean"
    label_smoothing: float = 0.0
    multi_label: MultiLabel = "error"
    denominator: float | None = None
    first_class: int = 0
    z_loss: float = 0.0
    softcap: float | None = None

    def __post_init__(self) -> None:
        self._keep_integer("ignore_index")
        self._require_one_of("reduction", get_args(Reduction))
        self._keep_number("label_smoothing", "a number in [0, 1]", lambda x: 0.0 <= x <= 1.0)
        self._require_one_of("multi_label", get_args(MultiLabel))
        if self.denominator is not None:
            given = self.denominator
            self._keep_number("denominator", "a positive number or None")
            if self.reduction != "mean":
                raise OptionError(
                    'denominator is what reduction="mean" divides by; it has no use with '
                    f"reduction={self.reduction!r}"
                )
            if not 0 < self.denominator < math.inf:
                raise OptionError(f"denominator must be positive, got {shown(given)}")
        self._keep_integer("first_class")
        if self.first_class not in (0, 1):
            raise OptionError(f"first_class must be 0 or 1, got {shown(self.first_class)}")
        self._keep_number("z_loss", "a number ≥ 0", lambda x: 0.0 <= x < math.inf)
        if self.softcap is not None:
            # A range in which z/s and s·tanh stay finite and nonzero in float32.
            needs = "a number in [1e-30, 1e30] or None"
            self._keep_number("softcap", needs, lambda x: 1e-30 <= x <= 1e30)

    @property
    def changes_logits(self) -> bool:
        """Whether the loss is more than a kernel computes: see `kernels.softcap`."""
        return self.z_loss != 0.0 or self.softcap is not None

    def _keep_integer(self, name: str) -> None:
        value = getattr(self, name)
        try:
            integer = None if isinstance(value, bool | np.bool_) else operator.index(value)
        except TypeError:
            integer = None
        if integer is None:
            hint = "; leave it out for its default" if value is None else ""
            raise TypeError(f"{name} must be an integer, got {shown(value)}{hint}")
        object.__setattr__(self, name, integer)

    def _keep_number(
        self, name: str, needs: str, fits: Callable[[float], bool] = lambda x: True
    ) -> None:
        value = getattr(self, name)
        if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
            raise TypeError(f"{name} must be {needs}, got {shown(value)}")
        try:
            number = float(value)
        except OverflowError:
            raise OptionError(f"{name} must be {needs}, got an integer beyond float64") from None
        if not fits(number):
            raise OptionError(f"{name} must be {needs}, got {value}")
        object.__setattr__(self, name, number)

    def _require_one_of(self, name: str, known: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if not isinstance(value, str) or value not in known:
            listed = ", ".join(f'"{word}"' for word in known)
            raise OptionError(f"{name} must be one of {listed}; got {shown(value)}")


@dataclass(frozen=True, slots=True)
class LinearOptions(Options):
    """The options of `softmaxloss.linear_cross_entropy`: those of every loss and its own.

    Example:
        >>> LinearOptions(memory_budget="64MB").memory_budget
        64000000
    """

    memory_budget: float | str = "256MB"
    skip_below: float = 0.0

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        object.__setattr__(self, "memory_budget", number_of_bytes(self.memory_budget))
        self._keep_number("skip_below", "a number in [0, 1)", lambda x: 0.0 <= x < 1.0)


class OptionArguments(TypedDict, total=False):
    """The types of `Options` as keyword arguments."""

    ignore_index: int
    reduction: Reduction
    label_smoothing: float
    multi_label: MultiLabel
    denominator: Any  #: a number or None; for tensors also a tensor of one element
    first_class: int
    z_loss: float
    softcap: float | None


class LinearOptionArguments(OptionArguments, total=False):
    """The types of `LinearOptions` as keyword arguments."""

    memory_budget: float | str
    skip_below: float


AnyOptions = TypeVar("AnyOptions", bound=Options)
Function = TypeVar("Function", bound=Callable[..., Any])


def with_options(kind: type[Options], *without: str) -> Callable[[Function], Function]:
    """A decorator: the signature lists the options, with their defaults, in place of **options.

    >>> @with_options(Options)
    ... def loss(logits, **options): ...
    >>> inspect.signature(loss).parameters["reduction"].default
    'mean'
    """

    def decorate(function: Function) -> Function:
        own = inspect.signature(function)
        options = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(kind).parameters.items()
            if name not in without
        ]
        kept = [p for p in own.parameters.values() if p.kind != p.VAR_KEYWORD]
        listed = own.replace(parameters=[*kept, *options])
        function.__signature__ = listed  # type: ignore[attr-defined]
        return function

    return decorate


def checked_options(kind: type[AnyOptions], /, **given: Any) -> AnyOptions:
    """`kind(**given)`, from a cache: a training loop passes the same options in every call.

    >>> checked_options(Options, reduction="sum").reduction
    'sum'
    >>> checked_options(Options, reducton="sum")
    Traceback (most recent call last):
        ...
    TypeError: there is no argument 'reducton'; did you mean 'reduction'?
    """
    if not given:
        return _DEFAULTS[kind]  # type: ignore[return-value]
    for value in given.values():
        if type(value) not in _CACHED_TYPES:  # it may change, or may not be hashable
            return new_options(kind, given)
    options: AnyOptions = _cached(kind, **given)
    return options


def new_options(kind: type[AnyOptions], given: dict[str, Any]) -> AnyOptions:
    """`kind(**given)`. A TypeError names an unknown option, and one that is spelled like it."""
    for name in given:
        if name not in _NAMES[kind]:
            near = difflib.get_close_matches(name, [*_NAMES[kind], "weight", "sample_weight"], 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"there is no argument {name!r}{hint}")
    return kind(**given)


_CACHED_TYPES = (int, float, str, type(None))


def _make(kind: type[Options], /, **given: Any) -> Options:
    options, default = new_options(kind, given), _DEFAULTS[kind]
    return default if options == default else options


_cached: Any = lru_cache(maxsize=256, typed=True)(_make)  # typed: True is not 1 here


#: The options that a score has.
SCORE_OPTIONS = (
    *("ignore_index", "label_smoothing", "multi_label", "first_class", "z_loss", "softcap"),
)


def score_options(*values: Any) -> Options:
    """The checked options of a score, in the order of `SCORE_OPTIONS`.

    >>> score_options(-1, 0.0, "error", 0, 0.0, None).ignore_index
    -1
    """
    usual = tuple(map(type, values)) in _USUAL_OF_SCORE
    return _cached_for_score(*values) if usual else _for_score(*values)  # in a third of the time


_USUAL_OF_SCORE = {(int, float, str, int, float, kind) for kind in (type(None), float)}


def _for_score(*values: Any) -> Options:
    given = dict(zip(SCORE_OPTIONS, values, strict=True))
    return checked_options(Options, reduction="none", **given)


_cached_for_score = lru_cache(maxsize=256)(_for_score)


def field_names(options: type[Options]) -> tuple[str, ...]:
    """The names of the options, in their order.

    >>> field_names(Options)[:2]
    ('ignore_index', 'reduction')
    """
    return tuple(field.name for field in fields(options))


def field_values(options: Options, kind: type[Options] | None = None) -> tuple[Any, ...]:
    """The values of the options, or of those that `kind` has, in their order: what an operator of a
    framework takes.

    >>> field_values(Options())
    (-100, 'mean', 0.0, 'error', None, 0, 0.0, None)
    """
    return tuple([getattr(options, name) for name in _NAMES[kind or type(options)]])


_UNITS = {"": 1, "B": 1}
_UNITS |= {f"{p}B": 1000**n for n, p in enumerate("KMGT", 1)}
_UNITS |= {f"{p}IB": 1024**n for n, p in enumerate("KMGT", 1)}


def number_of_bytes(budget: float | str) -> int:
    """A number of bytes, also as text: "64MB" is 64 million, "64MiB" is 64·1024².

    >>> number_of_bytes("64MB"), number_of_bytes("512KiB"), number_of_bytes(1e6)
    (64000000, 524288, 1000000)
    """
    needs = 'memory_budget must be bytes or text like "64MB" or "1GiB"'
    if isinstance(budget, Real) and not isinstance(budget, bool) and budget % 1 in (0, math.inf):
        number = float(budget)
    elif isinstance(budget, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", budget)
        if not match or match[2].upper() not in _UNITS:
            raise OptionError(f"{needs}, got {shown(budget)}")
        number = float(match[1]) * _UNITS[match[2].upper()]
    else:
        raise TypeError(f"{needs}, got {shown(budget)}")
    if not 1 <= number < 2**63:
        raise OptionError(f"memory_budget must be at least 1 byte, got {shown(budget)}")
    return int(number)


def class_weights(weight: ArrayLike | None, classes: int) -> NDArray[np.float64] | None:
    """The checked class weights, shape (C,), float64; None stays None.

    >>> class_weights([1, 2], classes=2)
    array([1., 2.])
    >>> class_weights([1, -2], classes=2)
    Traceback (most recent call last):
        ...
    softmaxloss.errors.OptionError: weight[1] is -2.0; weights must be finite and not negative
    """
    if weight is None:
        return None
    w = _read_weights(weight, "weight", f"{classes} real numbers")
    if w.shape != (classes,):
        raise OptionError(
            f"weight has shape {w.shape}; logits with {classes} classes need shape ({classes},)"
        )
    return _checked_weights(w, "weight")


def sample_weights(
    sample_weight: ArrayLike | None, lead_shape: tuple[int, ...]
) -> NDArray[np.float64] | None:
    """The checked sample weights, one for each row, (rows,) float64; None stays None.

    `lead_shape` is the shape of the examples: of the logits without the class axis. One weight for
    each of its first axis counts for all rows of that example.

    >>> sample_weights([1, 2], (2, 3))
    array([1., 1., 1., 2., 2., 2.])
    >>> sample_weights([1, -2], (2,))
    Traceback (most recent call last):
        ...
    softmaxloss.errors.OptionError: sample_weight[1] is -2.0; weights must be finite and not \
negative
    """
    if sample_weight is None:
        return None
    s = _read_weights(sample_weight, "sample_weight", "real numbers")
    check_sample_shape(s.shape, lead_shape)
    s = _checked_weights(s, "sample_weight")
    if s.shape != lead_shape:
        s = np.broadcast_to(s.reshape(-1, *[1] * len(lead_shape[1:])), lead_shape)
    return np.ascontiguousarray(s.reshape(-1))  # that of one example is broadcast


def check_sample_shape(shape: tuple[int, ...], lead_shape: tuple[int, ...]) -> None:
    """OptionError unless sample weights of this shape fit examples of the shape `lead_shape`.

    >>> check_sample_shape((4,), (2, 3))
    Traceback (most recent call last):
        ...
    softmaxloss.errors.OptionError: sample_weight has shape (4,); these examples need shape (2, 3) \
or (2,)
    """
    fitting = [lead_shape, lead_shape[:1]] if len(lead_shape) > 1 else [lead_shape]
    if shape not in fitting:
        needed = " or ".join(map(str, fitting))
        raise OptionError(f"sample_weight has shape {shape}; these examples need shape {needed}")


def _read_weights(weight: ArrayLike, name: str, needs: str) -> Array:
    try:
        return read_real(weight, name, needs)
    except ValueError as error:
        raise OptionError(str(error)) from None


def _checked_weights(w: Array, name: str) -> NDArray[np.float64]:
    """Weights as contiguous float64. Raises OptionError unless they are finite and not negative."""
    # A copy is aligned; astype alone would keep misaligned memory.
    w = (w if w.flags.aligned else w.copy()).astype(np.float64, order="C", copy=False)
    if w.size and w.item(w.argmin()) >= 0 and w.item(w.argmax()) < math.inf:  # argmin finds a NaN
        return w
    bad = np.argwhere(~(np.isfinite(w) & (w >= 0)))
    if len(bad):
        position = tuple(bad[0].tolist())
        place = f"[{', '.join(map(str, position))}]" if position else ""
        raise OptionError(
            f"{name}{place} is {w[position]}; weights must be finite and not negative"
        )
    return w


_KINDS = (Options, LinearOptions)
_NAMES = {kind: field_names(kind) for kind in _KINDS}
_DEFAULTS = {kind: kind() for kind in _KINDS}
