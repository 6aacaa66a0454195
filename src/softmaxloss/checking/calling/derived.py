"""Functions that give the loss or its gradient in a roundabout way, each as one that gives it
directly: the Jacobian of a softmax, a backward that is passed what forward kept, a function that
makes the loss, and one that takes one example of a layer."""

import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .codes import AXES, speaks_of_batches
from .packed import UPSTREAM, Way, signature
from .passing import arguments_of
from .roles import (
    FEATURES,
    SCORES,
    Argument,
    has_labels_of_many,
    parameters_of,
    required_of,
    role_of,
)

JACOBIAN = re.compile(
    r"jacobian|softmax_?(grad|deriv|prime|jac)|(d|grad|deriv|derivative)_?(of_)?softmax", re.I
)

#: Names of what forward kept for backward.
KEPT = {"cache", "ctx", "saved", "memory", "memo", "intermediates", "cached"}

#: Words of code that adds a column of ones to the features.
ONES = {"hstack", "column_stack", "concatenate", "c_", "insert", "append", "pad", "ones"}

#: Words of code for a batch.
OF_BATCH = AXES | {"shape", "arange", "len", "zip", "enumerate", "mean"}

BIAS = 0.5  # of every class: it changes no softmax


def of_jacobian(function: Callable[..., Any], title: str) -> Iterator[Way]:
    """A function of probabilities that returns ∂a/∂z, as the gradient Jᵀ·(−1/a_y) of the loss.

    >>> [way.protocol for way in of_jacobian(lambda s: 0, "softmax_jacobian")]
    ['J = f(a); Jᵀ·∂(−log a_y)/∂a']
    """
    names = [p.name.lower() for p in required_of(function)]
    of_logits = role_of(names[0]) == "logits" if names else False
    of_softmax = "softmax" in title.lower() or names[:1] in [["softmax"], ["probs"], ["s"], ["p"]]
    if len(names) != 1 or not (of_softmax or of_logits) or not JACOBIAN.search(title):
        return
    yield _jacobian_way(function, of_logits=of_logits)
    if names[0] in ("x", "a", "inputs"):
        yield _jacobian_way(function, of_logits=not of_logits)


def _jacobian_way(function: Callable[..., Any], *, of_logits: bool) -> Way:
    def call(probabilities: Any, y: Any) -> Any:
        a = np.asarray(probabilities)
        J = np.asarray(function(np.log(a) if of_logits else a.copy()))
        if a.ndim > 2 or J.shape != (*a.shape, a.shape[-1]):
            raise ValueError(f"its result has the shape {J.shape}, not {(*a.shape, a.shape[-1])}")
        above = -np.eye(a.shape[-1])[y] / a
        gradient = (J * above[..., :, None]).sum(axis=-2)
        return {"gradient": gradient / (len(a) if a.ndim == 2 else 1)}

    vars(call)["__signature__"] = signature("probabilities", "y")
    given = "log a" if of_logits else "a"
    return Way(call, call, f"J = f({given}); Jᵀ·∂(−log a_y)/∂a")


def of_product(function: Callable[..., Any], title: str) -> Iterator[Way]:
    """A function of probabilities and an upstream gradient that returns the gradient of what is
    before the softmax, as the gradient of the loss: that upstream is −onehot/a."""
    names = [p.name.lower() for p in required_of(function)]
    if len(names) != 2 or not re.search("softmax", title, re.I):
        return
    above = [k for k, n in enumerate(names) if n in UPSTREAM or re.match("g_|grad|d_|da$|dy$", n)]
    if len(above) != 1:
        return

    def call(probabilities: Any, y: Any) -> Any:
        a = np.asarray(probabilities)
        upstream = -np.eye(a.shape[-1])[y] / a if a.ndim == 2 else _of_one(a, y)
        given = [a.copy(), a.copy()]
        given[above[0]] = upstream
        value = np.asarray(function(*given))
        return {"gradient": value / (len(a) if a.ndim == 2 and a.shape[1] > 1 else 1)}

    vars(call)["__signature__"] = signature("probabilities", "y")
    shown = ", ".join("−onehot/a" if k in above else "a" for k in range(2))
    yield Way(call, call, f"f({shown})")


def _of_one(a: Any, y: Any) -> Any:
    """−onehot/a of one example, as a vector or as a column."""
    upstream = np.zeros(a.shape)
    upstream[y] = -1 / a[y]
    return upstream


def of_cache(function: Callable[..., Any]) -> Iterator[Way]:
    """A backward that is passed what a forward of its module returned last, as a function of what
    forward is passed."""
    names = [p.name for p in parameters_of(function) or ()]
    kept = [name for name in names if name.lower() in KEPT]
    name = str(getattr(function, "__name__", ""))
    if len(kept) != 1 or "backward" not in name:
        return
    home = getattr(function, "__globals__", {})
    # backward_v2 may belong to forward as well.
    others = [name.replace("backward", "forward"), re.sub("backward.*", "forward", name)]
    forward = next((home[one] for one in others if callable(home.get(one))), None)
    if forward is None:
        return
    first = [p for p in parameters_of(forward) or () if p.default is p.empty]
    own = [
        p for p in parameters_of(function) or ()
        if p.name not in {*kept, *(one.name for one in first)} and p.name.lower() not in UPSTREAM
    ]  # fmt: skip

    def call(*arguments: Any, **options: Any) -> Any:
        given = dict(zip([p.name for p in (*first, *own)], arguments, strict=False)) | options
        returned = forward(**{p.name: given[p.name] for p in first})
        if not isinstance(returned, tuple):
            raise ValueError(f"{forward.__name__} returned no cache")
        given[kept[0]] = returned[-1]
        given |= {one: 1.0 for one in names if one.lower() in UPSTREAM}
        return _as_gradients(function(**{one: given[one] for one in names if one in given}))

    vars(call)["__signature__"] = inspect.Signature([*first, *own])
    shown = ", ".join("cache" if name in kept else name for name in names)
    yield Way(call, call, f"cache = {forward.__name__}(…); f({shown})")


def _as_gradients(returned: Any) -> Any:
    """Gradients by the names of parameters: that of W is the gradient."""
    if not isinstance(returned, dict):
        return {"gradient": returned} if not isinstance(returned, tuple) else returned
    found = [one for name, one in returned.items() if name.lower().lstrip("d") in ("w", "w1")]
    return {"gradient": found[0]} if found else returned


def of_factory(function: Callable[..., Any]) -> Iterator[Way]:
    """A function that is passed the number of classes, at most, and returns the loss."""
    required = required_of(function)
    is_made = re.match(r"(make|get|create|build|new)_|.*_(factory|obj(ective)?)$", _name(function))
    if not is_made or len(required) > 1:
        return
    if any(role_of(p.name) != "classes" for p in required):
        return
    try:
        made = function(*[3] * len(required))
    except (Exception, SystemExit):
        return
    if not callable(made) or isinstance(made, type) or len(required_of(made)) < 2:
        return

    def call(*arguments: Any, **options: Any) -> Any:
        classes = max(np.shape(one)[-1] for one in arguments if np.ndim(one) > 0)
        matrices = [np.shape(one)[-1] for one in arguments if np.ndim(one) > 1]
        of = (matrices or [classes])[0]
        return function(*[of] * len(required))(*arguments, **options)

    vars(call)["__signature__"] = inspect.signature(made)
    shown = "C" if required else ""
    yield Way(call, call, f"f({shown})({', '.join(p.name for p in required_of(made))})")


def of_each_example(function: Callable[..., Any], code: Any = None) -> Iterator[Way]:
    """A function of the features and the label of one example and the weights, or the outputs, of a
    layer, as one of a batch: the mean of what it returns for each.

    `code` is what the function calls, if its own code is not that of the user.

    >>> [way.protocol for way in of_each_example(lambda state, w, action: 0)]
    ['the mean of f(state, w, action) of each example']
    """
    order = _order_of_layer(function, anything=code is not None)
    if order is None or _is_of_batch(function if code is None else code):
        return  # what is wrong for a batch only would be right for each example
    of_features = order.index("features")
    of_each = [k for k, role in enumerate(order) if role in ("features", "labels", *SCORES)]

    def call(*arguments: Any, **options: Any) -> Any:
        rows = len(arguments[order.index("labels")])
        columns = [np.asarray(arguments[k]) for k in of_each]
        if len(columns[of_each.index(of_features)]) != rows:
            columns = [one.T for one in columns]
        every = []
        for one in zip(*columns, strict=True):
            given = list(arguments)
            for k, value in zip(of_each, one, strict=True):
                given[k] = value.copy()
            given = [one.tolist() if isinstance(arguments[k], list) and isinstance(one, np.ndarray)
                     else one for k, one in enumerate(given)]  # fmt: skip
            every.append(function(*given, **options))
        return _mean(every)

    vars(call)["__signature__"] = inspect.signature(function)
    shown = ", ".join(p.name for p in required_of(function))
    yield Way(call, call, f"the mean of f({shown}) of each example")


def _is_of_batch(function: Callable[..., Any]) -> bool:
    """Whether its own code, its docstring or the names of its labels are those of a batch."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    words = {*getattr(code, "co_names", ())}
    for constant in getattr(code, "co_consts", ()):
        words |= {*constant} if isinstance(constant, tuple) else set()
    return bool(words & OF_BATCH) or speaks_of_batches(function) or has_labels_of_many(function)


def _mean(every: Sequence[Any]) -> Any:
    first = every[0]
    if isinstance(first, tuple):
        return tuple(_mean(one) for one in zip(*every, strict=True))
    if isinstance(first, dict):
        return {name: _mean([one[name] for one in every]) for name in first}
    return np.mean(np.array(every, np.float64), axis=0)


def of_mixture(function: Callable[..., Any]) -> Iterator[Way]:
    """A loss of two labels, λ·J(z, y) + (1 − λ)·J(z, y'), as one of labels: for λ = 1, if it is
    that mixture."""
    required = required_of(function)
    names = [p.name for p in required]
    pairs = [(k, k + 1) for k, (a, b) in enumerate(itertools.pairwise(names)) if _are_pair(a, b)]
    if len(names) != 4 or pairs != [(1, 2)]:
        return

    def call(logits: Any, y: Any) -> Any:
        other = y[::-1] if isinstance(y, np.ndarray) else y.flip(0)
        one, none, part = (function(logits, *both) for both in
                           ((y, other, 1.0), (other, y, 0.0), (y, other, 0.25)))  # fmt: skip
        mixed = 0.25 * float(one) + 0.75 * float(function(logits, other, y, 1.0))
        if max(abs(float(part) - mixed), abs(float(one) - float(none))) > 1e-5 * (1 + abs(mixed)):
            raise ValueError("it is no mixture of the losses of both labels")
        return one

    vars(call)["__signature__"] = signature("logits", "y")
    yield Way(call, call, f"f(z, {names[1]}=y, {names[2]}=…, {names[3]}=1)")


def _are_pair(first: str, second: str) -> bool:
    """Whether these are the names of two labels: y_a and y_b, target1 and target2."""
    both = first.lower(), second.lower()
    ends = [re.fullmatch(r"(.*?)_?([ab12])", name) for name in both]
    if None in ends:
        return False
    (stem, end), (other, last) = (match.groups() for match in ends if match)
    return stem == other and end + last in ("ab", "12") and role_of(stem) == "labels"


def of_closures(function: Callable[..., Any]) -> Iterator[Way]:
    """A function of features and labels that returns the loss of the weights, or that and its
    gradient, each as a function: as a function of the weights, the features and the labels."""
    parameters = parameters_of(function) or []
    roles = {p.name: role_of(p.name) for p in parameters}
    of_features = [n for n in roles if n.lower() in FEATURES]
    of_labels = [n for n, role in roles.items() if role == "labels"]
    known = {*of_features, *of_labels} | {n for n, role in roles.items() if role == "classes"}
    if len(of_features) != 1 or len(of_labels) != 1 or not parameters:
        return
    if {p.name for p in required_of(function)} - known:
        return
    try:  # a loss would return a number
        X, y, classes = np.eye(3), np.array([0, 2, 1]), 3
        made = function(**{
            n: X if n in of_features else y if n in of_labels else classes for n in known
        })  # fmt: skip
    except (Exception, SystemExit):
        return
    if not callable(made) and not (isinstance(made, tuple) and all(map(callable, made))):
        return
    of_classes = [n for n in known if n not in (*of_features, *of_labels)]
    regs = [p for p in parameters if roles[p.name] == "reg" and p.default is not p.empty]

    def call(W: Any, X: Any, y: Any, *strength: Any) -> Any:
        options = dict(zip([p.name for p in regs], strength, strict=False))
        classes = np.size(W) // np.shape(X)[-1] if X.shape[0] == len(y) else np.size(W) // len(X)
        given = {of_features[0]: X, of_labels[0]: y} | dict.fromkeys(of_classes, classes)
        made = function(**given, **options)
        if callable(made):
            return made(W)
        return tuple(one(W) for one in made)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = [inspect.Parameter(name, kind) for name in ("w", "X", "y")]
    vars(call)["__signature__"] = inspect.Signature([*names, *regs])
    yield Way(call, call, f"{_name(function)}(X, y)(W)")


def of_bias_row(function: Callable[..., Any]) -> Iterator[Way]:
    """A function whose weights have a last row for the bias, and which adds the column of ones
    itself, as one without. What it says of that row must belong to what it says of the others."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    places = _places_of_layer(function)
    if places is None or not ONES & set(getattr(code, "co_names", ())):
        return
    of_features, _, of_weights = places
    parameters = parameters_of(function) or []
    reg = next((k for k, p in enumerate(parameters) if role_of(p.name) == "reg"), None)

    def call(*arguments: Any) -> Any:
        W, X = arguments[of_weights], np.asarray(arguments[of_features])
        if np.ndim(W) != 2 or X.ndim != 2 or X.shape[1] != len(W):
            raise ValueError("its weights are no matrix with the features in rows")
        given = list(arguments)
        given[of_weights] = wide = np.vstack([W, np.full((1, W.shape[1]), BIAS, W.dtype)])
        returned = function(*given)
        if reg is None or len(given) <= reg or not given[reg]:
            _compare_bias(returned, wide.shape, X)
            return _without_row(returned, wide.shape)
        given[reg], given[of_weights] = 0.0, wide.copy()
        _compare_penalty(returned, function(*given), wide)
        return _without_row(returned, wide.shape)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters[of_weights] = inspect.Parameter("W", kind)
    vars(call)["__signature__"] = inspect.Signature(parameters)
    shown = ", ".join(p.name for p in required_of(function))
    yield Way(call, call, f"f({shown}), the last row of the weights is the bias")


def _gradient_of_shape(returned: Any, shape: tuple[int, ...]) -> Any:
    values = returned if isinstance(returned, tuple | list) else [returned]
    return next((np.asarray(one) for one in values if np.shape(one) == shape), None)


def _without_row(returned: Any, shape: tuple[int, ...]) -> Any:
    if isinstance(returned, tuple | list):
        return tuple(_without_row(one, shape) for one in returned)
    return np.asarray(returned)[:-1] if np.shape(returned) == shape else returned


def _compare_bias(returned: Any, shape: tuple[int, ...], X: Any) -> None:
    """Raises ValueError if the gradient of the bias is not the sum over those of the logits."""
    gradient = _gradient_of_shape(returned, shape)
    if gradient is None:
        return
    # 1ᵀ·G where Xᵀ·G is the gradient of the weights: one system of equations, and no inverse.
    ones = np.linalg.lstsq(X.astype(np.float64), np.ones(len(X)), rcond=None)[0]
    if not np.allclose(ones @ gradient[:-1], gradient[-1], rtol=1e-4, atol=1e-6):
        raise ValueError("its gradient of the bias does not belong to that of the weights")


def _compare_penalty(returned: Any, without: Any, W: Any) -> None:
    """Raises ValueError if the gradient of the penalty is not that of its loss, by Euler's rule:
    Σ W·∂P/∂W is P or 2·P for a penalty of the absolute values or of the squares."""
    gradients = [_gradient_of_shape(one, W.shape) for one in (returned, without)]
    losses = [
        next((float(v) for v in one if np.size(v) == 1), None) if isinstance(one, tuple) else None
        for one in (returned, without)
    ]
    if None in losses or any(one is None for one in gradients):
        return
    penalty = float(losses[0] or 0.0) - float(losses[1] or 0.0)
    product = float((W * (gradients[0] - gradients[1])).sum())
    if min(abs(product - k * penalty) for k in (1, 2)) > 1e-4 * (abs(product) + abs(penalty)):
        raise ValueError("its gradient of the penalty is not that of the penalty in its loss")


def _order_of_layer(function: Callable[..., Any], *, anything: bool) -> list[str] | None:
    """The roles of its arguments, if the names tell that it gets features, labels, and the weights
    or the outputs of a layer; `anything` if labels may have any name."""
    if not anything and not any(role_of(p.name) == "labels" for p in required_of(function)):
        return None
    orders = ([str(one.role) for one in arguments] for arguments in arguments_of(function))
    known = ({"weights", "theta", "params"}, {*SCORES})
    return next(
        (
            order
            for order in orders
            if {"features", "labels"} <= set(order) and any(one & set(order) for one in known)
        ),
        None,
    )


def _places_of_layer(function: Callable[..., Any]) -> tuple[int, int, int] | None:
    """The places of the features, the labels and the weights, if the names tell them."""
    for arguments in _named(function):
        roles = [one.role for one in arguments]
        of_weights = next((k for k, role in enumerate(roles) if role in ("weights", "params")), -1)
        of_weights = roles.index("theta") if "theta" in roles else of_weights
        if of_weights >= 0 and {"features", "labels"} <= set(roles):
            return roles.index("features"), roles.index("labels"), of_weights
    return None


def _named(function: Callable[..., Any]) -> list[tuple[Argument, ...]]:
    names = [p.name for p in required_of(function)]
    known = {role_of(name) for name in names}
    if not known & {"weights", "theta", "params"} or "labels" not in known:
        return []
    return [*arguments_of(function)]


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", ""))
