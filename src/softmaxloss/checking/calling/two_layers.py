"""Networks of two layers, whatever holds their weights: each as a function of logits and labels.

The weights W1, b1, W2 and b2 are attributes of an object, values of a dict, or arguments. The
features are the identity, and W1 is a number times it. So the hidden units H are known for the
usual activations, and W2 = H⁻¹·z gives any logits z. The gradient of W2 is Hᵀ·dz. Those of the
other weights are compared with the right ones at one point.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from .derived import KEPT
from .packed import RATE, RATES, Way, signature
from .returned import returned_names
from .roles import FEATURES, SCORES, parameters_of, role_of

LAYERS = ("w1", "b1", "w2", "b2")
FORWARD = ("forward", "forward_pass", "forward_propagation", "forward_prop", "feedforward",
           "feed_forward", "predict_proba", "fprop", "predict")  # fmt: skip
LOSSES = ("loss", "compute_loss", "cost", "compute_cost", "cross_entropy", "cross_entropy_loss")

Arrays = dict[str, Any]


class Activation(NamedTuple):
    """What the hidden units compute, and its derivative, from its result."""

    name: str
    of: Callable[[Any], Any]
    slope: Callable[[Any], Any]


ACTIVATIONS = (
    Activation("ReLU", lambda x: np.maximum(x, 0), lambda h: h > 0),
    Activation("tanh", np.tanh, lambda h: 1 - h**2),
    Activation("sigmoid", lambda x: 1 / (1 + np.exp(-x)), lambda h: h * (1 - h)),
)


def of_two_layers(target: Any) -> Iterator[Way]:
    """The ways to call the loss, the gradient, the backward or a step of such a network."""
    network = _network_of(target)
    if network is None:
        return
    for columns in (False, True):
        for activation in ACTIVATIONS:
            yield _way(network, activation, columns)


class _Network(NamedTuple):
    """How a function of a network is called."""

    function: Any
    owner: Any  # the object that has the weights, or None
    names: dict[str, str]  # of each weight
    roles: dict[str, str]  # what each of its arguments gets
    forward: Any  # that is called before, or None

    def run(self, weights: Mapping[str, Any], X: Any, y: Any) -> Arrays:
        """The loss and the gradients by weight that it returns, keeps, or steps along."""
        before = {self.names[one]: self._shaped(one, weights[one]) for one in self.names}
        given = {name: array.copy() for name, array in before.items()}
        store = self._store()
        if store is not None:
            store.update(given)
        known = {"X": X, "y": y, "params": given, "rate": RATE, "reg": 0.0, "examples": len(y)}
        if self.forward is not None:
            returned = self._call(self.forward, known | given)
            known["outputs"] = returned[0] if isinstance(returned, tuple) else returned
            known["cache"] = returned[-1] if isinstance(returned, tuple) else returned
        value = self._call(self.function, known | given)
        found = _named(value, self.function)
        for name, one in self.names.items():
            after = (given if store is None else store)[one]
            if name not in found and self.owner is not None:
                kept = (getattr(self.owner, f"{d}{one}", None) for d in ("d", "grad_", "d_"))
                of_attribute = next((k for k in kept if k is not None), None)
                found |= {} if of_attribute is None else {name: of_attribute}
            if name not in found and "rate" in self.roles.values():
                found[name] = (before[one] - np.asarray(after)) / RATE
        return found

    def _shaped(self, name: str, array: Any) -> Any:
        """A weight; a bias with as many axes as the one that it replaces."""
        held: Any = None if self.owner is None else self._store().get(self.names[name])
        if name[0] == "b" and np.ndim(array) == 1 and np.ndim(held) == 2:
            return np.array(array)[None, :]
        return np.array(array)

    def _store(self) -> Any:
        if self.owner is None:
            return None
        kept = getattr(self.owner, "params", None)
        return kept if isinstance(kept, dict) else vars(self.owner)

    def _call(self, function: Any, known: Mapping[str, Any]) -> Any:
        roles = self.roles if function is self.function else _roles_of(function, self.names) or {}
        return function(**{p: known[p] if r == "weight" else known[r] for p, r in roles.items()})


def _network_of(target: Any) -> _Network | None:
    """How a function is called, if it is one of a network with such weights."""
    owner = getattr(target, "__self__", None)
    if isinstance(owner, type):
        return None
    parameters = parameters_of(target) or []
    held = getattr(owner, "params", None)
    held = held if isinstance(held, dict) else vars(owner) if hasattr(owner, "__dict__") else {}
    of_dict = any(role_of(p.name) == "params" for p in parameters)
    by_name = {p.name.lower(): p.name for p in parameters}
    names = {one: next((n for n in held if str(n).lower() == one), "") for one in LAYERS}
    if not names["w2"]:
        owner = None
        names = {one: one.upper() if one[0] == "w" else one for one in LAYERS} if of_dict else {
            one: by_name.get(one, "") for one in LAYERS
        }  # fmt: skip
    names = {one: name for one, name in names.items() if name}
    if not {"w1", "w2"} <= set(names):
        return None
    roles = _roles_of(target, names)
    if roles is None or "y" not in roles.values():
        return None
    if "outputs" in roles.values() and not {"X", "cache", "rate"} & set(roles.values()):
        return None  # a loss of the outputs
    needs = {"cache", "outputs"} & set(roles.values())
    title = str(getattr(target, "__name__", "")).lower()
    forward = None
    if needs or (owner is not None and any(w in title for w in ("back", "grad", "update"))):
        forward = _forward_of(target, owner, names)
        if forward is None and needs:
            return None
    return _Network(target, owner, names, roles, forward)


def _roles_of(function: Any, names: Mapping[str, str]) -> dict[str, str] | None:
    """What each argument of a function gets; None if one of them is not known."""
    roles: dict[str, str] = {}
    for p in parameters_of(function) or ():
        lower, role = p.name.lower(), role_of(p.name)
        known = {
            "weight": p.name in names.values() and lower in LAYERS,
            "rate": lower in RATES or (lower == "alpha" and p.default is p.empty),
            "params": role == "params",
            "cache": lower in KEPT,
            "X": lower in FEATURES,
            "y": role == "labels",
            "reg": role == "reg",
            "examples": role == "examples",
            "outputs": role in SCORES or lower in ("a2", "output"),
        }
        found = next((what for what, is_it in known.items() if is_it), None)
        if found == "weight" or (found is not None and found not in roles.values()):
            roles[p.name] = found
        elif p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            return None
    return roles


def _forward_of(target: Any, owner: Any, names: Mapping[str, str]) -> Any:
    """The function or the method that is called before, which is passed the features."""
    if owner is not None:
        methods = (getattr(owner, name, None) for name in FORWARD)
        found = [one for one in methods if callable(one)]
    else:
        home = getattr(target, "__globals__", {})
        found = [one for name, one in home.items() if "forward" in name and inspect.isroutine(one)]
    for one in found:
        roles = _roles_of(one, names)
        if roles and "X" in roles.values() and not {"y", "cache"} & set(roles.values()):
            return one
    return None


def _named(value: Any, function: Any) -> Arrays:
    """The loss and the gradients in what was returned, by their names or their order."""
    found: Arrays = {}
    if isinstance(value, dict):
        for key, one in value.items():
            name = str(key).lower().replace("grad", "").strip("_d")
            if name in LAYERS:
                found[name] = one
    elif isinstance(value, tuple | list):
        names: Sequence[str] = returned_names(function)
        names = names if len(names) == len(value) else [""] * len(value)
        for name, one in zip(names, value, strict=True):
            more = _named(one, function) if isinstance(one, dict | tuple) else {}
            stem = name.lower().replace("grad", "").strip("_d")
            if stem in LAYERS:
                more = {stem: one}
            elif np.size(one) == 1 and "loss" not in found and not isinstance(one, dict):
                more = {"loss": one}
            found |= more
    elif value is not None and np.size(value) == 1:
        found["loss"] = np.asarray(value).reshape(())[()]
    return found


def _way(network: _Network, activation: Activation, columns: bool) -> Way:
    def run(weights: Mapping[str, Any], X: Any, y: Any) -> Arrays:
        """In rows: with the examples in columns, all are transposed."""
        if not columns:
            return network.run(weights, X, y)
        turned = {k: w.T if k[0] == "w" else w.reshape(-1, 1) for k, w in weights.items()}
        found = network.run(turned, X.T, y.T if np.ndim(y) == 2 else y)
        return {
            k: one if k == "loss" else np.asarray(one).T if k[0] == "w" else np.ravel(one)
            for k, one in found.items()
        }

    def call(logits: Any, y: Any) -> Any:
        if np.ndim(logits) != 2:
            raise ValueError("it takes a batch")
        rows = len(logits)
        X = np.eye(rows, dtype=logits.dtype)
        H = activation.of(X)
        back = np.linalg.inv(H) if activation.name != "ReLU" else H
        weights = {
            "w1": X, "b1": np.zeros(rows, logits.dtype), "w2": back @ logits,
            "b2": np.zeros(logits.shape[1], logits.dtype),
        }  # fmt: skip
        found = run(weights, X, y)
        results = {"loss": found["loss"]} if "loss" in found else {}
        if "w2" in found:
            results["gradient"] = back.T @ np.asarray(found["w2"])
        if not results:
            raise ValueError("it returned no loss and no gradient of W2")
        return results

    def beside() -> list[str]:
        return _of_other_layers(run, activation, network.names)

    vars(call)["__signature__"] = signature("logits", "y")
    shown = ", ".join(p.name for p in parameters_of(network.function) or ())
    given = "examples in columns" if columns else "examples in rows"
    text = f"f({shown}), {activation.name}, {given}, W2 = H⁻¹·z"
    return Way(call, call, text, of_rows=True, beside=beside)


def _of_other_layers(
    run: Callable[..., Arrays], activation: Activation, names: Mapping[str, str]
) -> list[str]:
    """The mistakes in the gradients of the other weights, at one point; all may have the factor
    that the gradient of W2 has, such as that of a sum."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 4)), np.array([0, 2, 1, 1, 0])
    shapes = {"w1": (4, 6), "b1": (6,), "w2": (6, 3), "b2": (3,)}
    weights = {name: rng.normal(size=shape) * (name in names) for name, shape in shapes.items()}
    compared = False
    H = activation.of(X @ weights["w1"] + weights["b1"])
    a = np.exp(H @ weights["w2"] + weights["b2"])
    d = a / a.sum(axis=1, keepdims=True) - np.eye(3)[y]
    above = d @ weights["w2"].T * activation.slope(H)
    right = {"w1": X.T @ above, "b1": above.sum(0), "w2": H.T @ d, "b2": d.sum(0)}
    for labels in (y, np.eye(3)[y]):  # of the wrong kind, it may give anything
        with suppress(Exception):
            found = run(weights, X, labels)
            compared = compared or "w2" in found
            factor = (found["w2"] * right["w2"]).sum() / (right["w2"] ** 2).sum()
            if all(_is_near(found[name], factor * right[name]) for name in {*found} & {*right}):
                return []
    return ["other-layer-wrong"] if compared else []


def _is_near(got: Any, want: Any) -> bool:
    """Whether a gradient is right, also as a row or a column."""
    x, y = np.ravel(got), np.ravel(want)
    return x.shape == y.shape and np.allclose(x, y, rtol=1e-5, atol=1e-7)
