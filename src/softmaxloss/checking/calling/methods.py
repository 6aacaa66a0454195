"""The methods of objects by their names, and the results that objects keep in attributes."""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

#: Methods that compute the loss or the probabilities, the likeliest first; `computeLoss` is read as
#: compute_loss.
FORWARD = (
    "forward", "__call__", "updateOutput", "loss", "compute", "compute_loss", "calculate", "calc",
    "calc_loss", "cost", "compute_cost", "fn", "fprop", "forward_pass", "evaluate", "error",
    "apply", "call", "objective", "value", "get_loss", "output", "activate", "function", "func",
    "f", "forward_prop", "forward_propagation", "forward_propagate",
)  # fmt: skip
#: Those of them that may be passed the labels alone, after the forward of a softmax.
OF_LABELS = ("loss", "compute_loss", "calc_loss", "cost", "compute_cost", "get_loss")
#: Methods that compute the gradient, the likeliest first.
BACKWARD = (
    "backward", "updateGradInput", "grad", "gradient", "gradients", "derivative", "delta",
    "backward_pass", "bprop", "backprop", "back", "prime", "compute_gradient", "loss_grad",
    "calc_gradient", "calc_grad", "get_grad", "get_gradient", "loss_prime", "cost_derivative",
    "grad_loss", "deriv", "df", "back_propagation", "back_propagate", "backward_prop",
    "backward_propagation",
)  # fmt: skip
#: Attributes in which objects keep results that they do not return, by the part that they are.
KEPT = {
    "loss": ("loss", "loss_", "loss_value", "cost", "value", "J", "error", "losses"),
    "softmax": ("output", "out", "probs", "probabilities", "prob", "softmax", "sm", "a", "p", "y",
                "y_hat", "outputs"),
    "gradient": ("dinputs", "dx", "dz", "dlogits", "grad", "gradient", "grad_input", "gradInput",
                 "dscores", "d_x", "grad_", "dout"),
}  # fmt: skip
#: Words in the names of others that do: compute_derivative, get_gradients, back_prop, d_loss.
_OF_GRADIENT = re.compile(
    r"back_?ward|bwd|back_?prop|bprop|back_?pass|grad|deriv|_prime$|delta|"
    r"^d_?(loss|cost|z|x|logits|scores|output|softmax|input)$",
    re.I,
)
#: Words of methods that do something with a gradient, or compute one in order to train.
_NO_GRADIENT = re.compile(
    r"^_|zero|check|numeric|approx|clip|descent|step|update|set|apply|test|train|fit|optim|reset|norm"
    r"|store|save|plot|print|num|require|accum|register|regist|ascent|no_?grad|is_",
    re.I,
)


def gradient_methods_of(target: Any) -> list[str]:
    """The methods of an object, or of the objects of a class, that compute a gradient by their
    name, the likeliest first."""
    owner = target if isinstance(target, type) else type(target)
    own = [name for base in owner.__mro__ for name in vars(base) if is_of_gradient(name)]
    return methods_of(target, [*dict.fromkeys([*BACKWARD, *own])])


def is_of_gradient(name: str) -> bool:
    """Whether a method of this name computes a gradient.

    >>> [is_of_gradient(name) for name in ("backward", "compute_derivative", "gradient_descent")]
    [True, True, False]
    """
    return name in BACKWARD or bool(_OF_GRADIENT.search(name) and not _NO_GRADIENT.search(name))


def methods_of(target: Any, names: Sequence[str]) -> list[str]:
    """Those of these methods that an object, or the objects of a class, have.

    Where there is a forward, `__call__` only calls it, as in PyTorch.
    """
    owner = target if isinstance(target, type) else type(target)
    own = {name: name for base in owner.__mro__ for name in vars(base)}
    own = {_without_style(name): name for name in own} | own
    found = [own[n] for n in (*names, *map(_without_style, names)) if n in own]
    found = [n for n in dict.fromkeys(found) if callable(getattr(owner, n))]
    return [n for n in found if n != "__call__" or "forward" not in found]


def _without_style(name: str) -> str:
    """A public name in small letters without underscores: computeLoss is compute_loss."""
    return name if name.startswith("_") else name.replace("_", "").lower()


def unbound(target: Any, name: str) -> Callable[..., Any]:
    """A method as a function without self: for its parameters."""
    owner: Any = target if isinstance(target, type) else type(target)
    static = inspect.getattr_static(owner, name)
    method: Any = getattr(owner, name)
    if isinstance(static, staticmethod | classmethod):
        function: Callable[..., Any] = method
        return function
    bound: Callable[..., Any] = method.__get__(object()) if inspect.isfunction(method) else method
    return bound


def kept(owner: Any, part: str) -> Any:
    """The part of the results that an object keeps in an attribute, or None."""
    values = (getattr(owner, name, None) for name in KEPT[part])
    return next((value for value in values if value is not None and not callable(value)), None)


def all_kept(owner: Any) -> dict[str, Any] | None:
    """The results that an object keeps in attributes, by part; None if there are none."""
    found = {part: kept(owner, part) for part in KEPT}
    return {part: value for part, value in found.items() if value is not None} or None
