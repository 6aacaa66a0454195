"""Objects that are made with the sizes of their layers, and networks of two layers.

A network with ReLU becomes a linear layer where its first layer is (I, −I) and its second (W, −W):
ReLU(x) − ReLU(−x) = x. So all that is known of a linear layer can be told of its second layer. The
gradients of all its parameters are compared with the slope of its loss.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .packed import RATE, RATES, Way, signature
from .roles import BATCH_SIZES, FEATURES, parameters_of, required_of, role_of

#: The sizes that a constructor gets, by what is in the name of the parameter, and their order.
SIZES = (
    (r"hid|(^|_)h$", 8),
    (r"^(input|in|n_?in|num_in|d)(_|$|put|dim|size|len|feat)|_in$|n_?x$|features|^input", 4),
    (r"out|class|vocab|n_?y$|nodes|labels|tags|actions", 3),
    (r"units", 8),
)
#: Parameters that get the sizes of all layers, and others that a constructor needs.
ALL_SIZES = re.compile(
    r"^(layer_?)?(sizes|dims|dimensions|layers)$|architecture|structure|topology"
)
OTHERS = {"lr": 0.1, "learning_rate": 0.1, "alpha": 0.1, "eta": 0.1, "reg": 0.0, "lam": 0.0,
          "epochs": 1, "n_epochs": 1, "n_iters": 1, "seed": 0, "batch_size": 4}  # fmt: skip

PARAMETERS = {"W1", "b1", "W2", "b2"}


class SlopeError(ValueError):
    """A gradient of a network is not the slope of its loss."""


class PenaltyError(ValueError):
    """The penalty of a network is none of the usual ones."""


def sizes_for(owner: type, features: int = 4, hidden: int = 8, classes: int = 3) -> dict[str, Any]:
    """The sizes with which an object of a class is made, by the names of its parameters.

    Raises:
        TypeError: It needs something else.

    >>> class Net:
    ...     def __init__(self, input_size, hidden_size, output_size): ...
    >>> sizes_for(Net)
    {'input_size': 4, 'hidden_size': 8, 'output_size': 3}
    """
    values = {8: hidden, 4: features, 3: classes}
    given: dict[str, Any] = {}
    names = [p.name for p in required_of(owner)]
    in_order = (
        dict(zip(names, (features, hidden, classes), strict=False)) if len(names) == 3 else {}
    )
    has_data = any(role_of(name) == "labels" for name in names)
    for name in names:
        if has_data and name.lower() in FEATURES:
            given[name] = np.zeros((5, features))
            continue
        if role_of(name) == "labels":
            given[name] = np.array([0, 2, 1, 1, 0])
            continue
        if ALL_SIZES.search(name.lower()):
            given[name] = [features, hidden, classes]
            continue
        if name.lower() in OTHERS:
            given[name] = OTHERS[name.lower()]
            continue
        size = next((size for words, size in SIZES if re.search(words, name.lower())), None)
        if size is None and len(name) == 1 and name in in_order:
            given[name] = in_order[name]
            continue
        if size is None:
            raise TypeError(f"{owner.__name__} needs {name} to be made")
        given[name] = values[size]
    return given


def of_network(method: Any) -> Iterator[Way]:
    """The loss of a network of two layers, (X, y) → (loss, gradients by name), as that of a linear
    layer."""
    owner = getattr(method, "__self__", None)
    names = [p.name for p in parameters_of(method) or ()]
    known = getattr(owner, "params", None)
    if not isinstance(known, dict) or set(known) != PARAMETERS or len(names) < 2:
        return
    if role_of(names[1]) != "labels":
        return
    regs = [name for name in names[2:] if role_of(name) == "reg"]

    def loss_of(net: Any, params: Mapping[str, Any], X: Any, y: Any, reg: float) -> Any:
        net.params.update(params)
        return getattr(net, method.__name__)(X, y, **dict.fromkeys(regs, reg))

    def call(W: Any, X: Any, y: Any) -> Any:
        net = _made(owner, len(W), W.shape[1])
        identity = np.eye(len(W), dtype=W.dtype)
        params = {
            "W1": np.hstack([identity, -identity]), "b1": np.zeros(2 * len(W), W.dtype),
            "W2": np.vstack([W, -W]), "b2": np.zeros(W.shape[1], W.dtype),
        }  # fmt: skip
        loss, gradients = loss_of(net, params, X, y, 0.0)
        above, below = np.split(gradients["W2"], 2)
        return {"loss": loss, "gradient": above - below}

    def beside() -> list[str]:
        net = _made(owner, 4, 3)
        try:
            _compare_slopes(lambda *given: loss_of(net, *given), bool(regs))
        except SlopeError:
            return ["other-layer-wrong"]
        except PenaltyError:
            return ["regularisation-wrong"]
        return []

    vars(call)["__signature__"] = signature("W", "X", "y")
    yield Way(call, call, f"W2 = (W, −W); {method.__name__}(X, y)", beside=beside)


def of_network_step(function: Any) -> Iterator[Way]:
    """A step of gradient descent of such a network without biases, f(X, y, W1, W2, lr), which
    changes the weights in place or returns them, as the gradient of a linear layer."""
    parameters = parameters_of(function) or []
    places = {"X": FEATURES, "y": {"y"}, "W1": {"w1"}, "W2": {"w2"}, "lr": RATES}
    given = {
        symbol: next((p.name for p in parameters if p.name.lower() in names), "")
        for symbol, names in places.items()
    }
    sizes = [p.name for p in parameters if p.name.lower() in BATCH_SIZES]
    if not all(given.values()) or {p.name for p in required_of(function)} - {*given.values()}:
        return

    def gradients(X: Any, y: Any, W1: Any, W2: Any) -> list[Any]:
        before = [W1, W2]
        after = [one.copy() for one in before]
        values = dict(zip(given.values(), (X, y, *after, RATE), strict=True))
        returned = function(**values, **dict.fromkeys(sizes, len(X)))
        if isinstance(returned, tuple) and [np.shape(one) for one in returned[:2]] == [
            one.shape for one in before
        ]:
            after = list(returned[:2])
        return [(was - now) / RATE for was, now in zip(before, after, strict=True)]

    def beside() -> list[str]:
        try:
            _compare_first_layer(gradients)
        except SlopeError:
            return ["other-layer-wrong"]
        return []

    def call(W: Any, X: Any, y: Any) -> Any:
        identity = np.eye(len(W), dtype=W.dtype)
        _, of_second = gradients(X, y, np.hstack([identity, -identity]), np.vstack([W, -W]))
        above, below = np.split(of_second, 2)
        return {"gradient": above - below}

    vars(call)["__signature__"] = signature("W", "X", "y")
    yield Way(call, call, "(W2 − W2 after one step)/lr, W2 = (W, −W)", beside=beside)


def _compare_first_layer(gradients: Callable[..., list[Any]]) -> None:
    """Compare the gradient of the first layer with the right one, at a point; both may have the
    factor of the second, such as that of a sum.

    Raises:
        SlopeError: It is another.
    """
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 4)), np.array([0, 2, 1, 1, 0])
    W1, W2 = rng.normal(size=(4, 8)), rng.normal(size=(8, 3))
    hidden = np.maximum(X @ W1, 0)
    a = np.exp(hidden @ W2)
    d = a / a.sum(axis=1, keepdims=True) - np.eye(3)[y]
    right = [X.T @ (d @ W2.T * (hidden > 0)), hidden.T @ d]
    of_first, of_second = gradients(X, y, W1, W2)
    factor = (of_second * right[1]).sum() / (right[1] ** 2).sum()
    if not np.allclose(of_first, factor * right[0], rtol=1e-6, atol=1e-8):
        raise SlopeError("its gradient of W1 does not belong to that of W2")


def _made(owner: Any, features: int, classes: int) -> Any:
    """A network of these sizes, made as the one that is known."""
    sizes = sizes_for(type(owner), features, 2 * features, classes)
    state = np.random.get_state()  # noqa: NPY002 - it draws its first weights
    made = type(owner)(**sizes)
    np.random.set_state(state)  # noqa: NPY002
    if "reg" in vars(made):
        made.reg = 0.0
    return made


def _compare_slopes(loss_of: Callable[..., Any], has_reg: bool) -> None:
    """Compare the gradients of all parameters with central differences of the loss, at a point.

    Raises:
        SlopeError: One is not the slope of the loss.
        PenaltyError: reg adds something else than ΣW² or its half.
    """
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 4)), np.array([0, 2, 1, 1, 0])
    shapes = {"W1": (4, 8), "b1": (8,), "W2": (8, 3), "b2": (3,)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    reg, step = (0.7 if has_reg else 0.0), 1e-5
    loss, gradients = loss_of(params, X, y, reg)
    if has_reg:
        squares = sum(float((params[name] ** 2).sum()) for name in ("W1", "W2"))
        share = (loss - loss_of(params, X, y, 0.0)[0]) / (reg * squares)
        if min(abs(share - usual) for usual in (0.5, 1.0)) > 1e-6:
            raise PenaltyError("reg adds something else than reg·ΣW² or its half")
    for name, values in params.items():
        for place in [(0,) * values.ndim, tuple(size - 1 for size in values.shape)]:
            ends = []
            for side in (step, -step):
                moved = values.copy()
                moved[place] += side
                ends.append(loss_of(params | {name: moved}, X, y, reg)[0])
            slope = (ends[0] - ends[1]) / (2 * step)
            if not abs(np.asarray(gradients[name])[place] - slope) <= 1e-5 * (1 + abs(slope)):
                raise SlopeError(f"its gradient of {name} is not the slope of its loss")
