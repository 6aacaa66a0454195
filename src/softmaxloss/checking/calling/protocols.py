"""The ways to call a function, an object with methods, or a class: each as one function.

A loss is often an object: forward computes it and backward its gradient, or loss and grad do. Such
a pair becomes one function, which makes a new object of a class and returns both results.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from .attributes import of_attributes
from .buffers import of_buffers
from .contexts import with_context
from .derived import (
    of_bias_row,
    of_cache,
    of_closures,
    of_each_example,
    of_factory,
    of_jacobian,
    of_mixture,
    of_product,
)
from .frameworks import framework_of
from .networks import of_network, of_network_step
from .nodes import numbers_of
from .objects import copied, made_with, object_of, options_of, split_options, without_padding
from .packed import (
    UPSTREAM,
    Way,
    of_blocks,
    of_log_sum_exp,
    of_step,
    of_word_vectors,
    signature,
    with_batch,
    with_params,
)
from .recurrent import of_recurrent
from .repacked import (
    of_boosting,
    of_data_strength,
    of_ders,
    of_inputs,
    of_list_of_columns,
    of_pair,
    of_penalised,
    of_records,
    of_shifted,
    of_teacher,
    of_transposed,
    takes_pair,
)
from .roles import parameters_of, required_of, role_of
from .tables import of_embedding, of_lookup
from .two_layers import of_two_layers

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
#: Methods that compute the gradient.
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

#: Names of a learning rate that backward is passed, for layers with weights.
RATES = {"lr", "learning_rate", "alpha", "rate"}


def title_of(target: Any) -> str:
    """What a function or a class is called, without the function that made it; of an object, its
    class."""
    name = str(getattr(target, "__qualname__", type(target).__qualname__))
    return name.rpartition("<locals>.")[2]


def can_be_called(target: Any) -> bool:
    """Whether it can be called, or has a method that computes a loss or a softmax."""
    return callable(target) or has_methods(target)


def has_methods(target: Any) -> bool:
    """Whether an object, or the objects of a class, have a method of `FORWARD`."""
    return bool(_methods(target, FORWARD))


def ways_to_call(target: Any) -> Iterator[Way]:
    """The ways to call something, the most telling first.

    Those of an object with two methods check its gradient as well; so they come before the loss
    alone.
    """
    torch: Any = sys.modules.get("torch")
    target = without_padding(target)
    of_torch = torch is not None and isinstance(target, type)
    if of_torch and issubclass(target, torch.autograd.Function):
        yield Way(target.apply, _unbound(target, "forward").__get__(object()), "apply")
        return
    target = with_context(target)
    is_class = isinstance(target, type)
    is_function = inspect.isroutine(target) or not _methods(target, BACKWARD)
    if callable(target) and not is_class and is_function:
        yield from _of_backward(target)
        yield from of_attributes(target)
        yield from of_network(target)
        yield from of_network_step(target)
        yield from of_two_layers(target)
        yield from of_recurrent(target)
        for way in with_batch(target):
            yield way
            for of_params in with_params(way.function):
                yield of_params._replace(protocol=f"{way.protocol} with {of_params.protocol}")
        yield from of_word_vectors(target)
        in_one = of_blocks(target)
        log_sum_exp = list(of_log_sum_exp(in_one, title_of(target)))
        if log_sum_exp:
            yield from log_sum_exp
            return
        if in_one is not target:
            yield Way(in_one, in_one, "f of two blocks of the classes")
            return
        yield from of_step(target)
        yield from of_transposed(target)
        is_module = torch is not None and isinstance(target, torch.nn.Module)
        if is_module:
            yield Way(_of_module(target), made_with(target, target.forward))
        else:
            yield Way(_returned_or_kept(target), target)
        yield from with_params(target)
        yield from _of_unusual(target)
        return
    yield from of_inputs(target)
    if not _methods(target, BACKWARD):  # a classifier, whose loss reads its weights
        with suppress(Exception):
            made = object_of(target, [])
            for forward in _methods(target, FORWARD):
                yield from of_attributes(getattr(made, forward))
    is_called = bool(_methods(target, ("__call__",)))
    for forward in _methods(target, FORWARD):
        for backward in _methods(target, BACKWARD):
            yield from _ways_with_backward(target, forward, backward)
        method = made_with(target, _unbound(target, forward))
        yield Way(_one(target, forward), method, "" if is_called else forward)
    with suppress(Exception):
        yield from _of_unusual(object_of(target, []))


def _of_module(module: Any) -> Callable[..., Any]:
    """A module as a function that may be passed the options of its constructor as well."""

    def call(*arguments: Any, **options: Any) -> Any:
        options, made = split_options(module, module.forward, options)
        return _returned_or_kept(object_of(module, arguments, made))(*arguments, **options)

    return call if options_of(module) else _returned_or_kept(module)


def _of_backward(method: Any) -> Iterator[Way]:
    """A method that computes the gradient, after the one that computes the loss, whose conventions
    it must have."""
    owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
    if owner is None or isinstance(owner, type) or name not in _methods(owner, BACKWARD):
        return
    for forward in _methods(owner, FORWARD):
        yield from _ways_with_backward(owner, forward, name)


def _of_unusual(target: Any) -> Iterator[Way]:
    """The ways that are tried after the others, because they are rarely meant."""
    yield from of_buffers(target)
    yield from of_jacobian(target, title_of(target))
    yield from of_product(target, title_of(target))
    yield from of_cache(target)
    yield from of_factory(target)
    yield from of_closures(target)
    yield from of_mixture(target)
    yield from of_pair(target)
    yield from of_boosting(target)
    yield from of_teacher(target)
    yield from of_penalised(target)
    yield from of_data_strength(target)
    yield from of_bias_row(target)
    of_one = {"a", "action"} & {p.name for p in required_of(target)}
    steps = [
        step.function for step in (*of_step(target), *(of_attributes(target) if of_one else ()))
    ]
    for function in steps:
        yield from of_each_example(function, target)
    if not steps:
        yield from of_each_example(target)
    yield from of_lookup(target)
    yield from of_embedding(target)
    yield from of_shifted(target)
    yield from of_list_of_columns(target)
    yield from of_records(target)
    yield from of_ders(target, title_of(target))


def _ways_with_backward(target: Any, forward: str, backward: str) -> Iterator[Way]:
    """The ways to call two methods, of which the second computes the gradient."""
    method, back = _unbound(target, forward), _unbound(target, backward)
    required = [p for p in required_of(back) if p.name.lower() not in RATES]
    if takes_pair(method) and len(required) < 2:
        yield _of_pair_with_backward(target, forward, backward, len(required))
        return
    if len(required_of(method)) == 1:
        # It is passed logits only: a softmax.
        for loss in _methods(target, OF_LABELS):
            if loss != forward and len(required_of(_unbound(target, loss))) == 1:
                yield _in_three_steps(target, forward, loss, backward)
        if any(role_of(p.name) == "labels" for p in required):
            yield _softmax_then_gradient(target, forward, backward)
            return
        if len(required) < 2 and parameters_of(back):
            of_softmax = _softmax_backward(target, forward, backward)
            name = f"{forward}, {backward}"
            yield Way(_one(target, forward), method, name, backward=of_softmax)
            return
    for text, pick in _backward_arguments(back, method):
        function = _both(target, forward, backward, pick)
        both = made_with(target, method)
        yield Way(function, both, f"{forward}, {backward}({text})", methods=2)


def _methods(target: Any, names: Sequence[str]) -> list[str]:
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


def _unbound(target: Any, name: str) -> Callable[..., Any]:
    """A method as a function without self: for its parameters."""
    owner: Any = target if isinstance(target, type) else type(target)
    static = inspect.getattr_static(owner, name)
    method: Any = getattr(owner, name)
    if isinstance(static, staticmethod | classmethod):
        function: Callable[..., Any] = method
        return function
    bound: Callable[..., Any] = method.__get__(object()) if inspect.isfunction(method) else method
    return bound


def _one(target: Any, forward: str) -> Callable[..., Any]:
    method = _unbound(target, forward)

    def call(*arguments: Any, **options: Any) -> Any:
        options, of_object = split_options(target, method, options)
        made = object_of(target, arguments, of_object)
        return _returned_or_kept(getattr(made, forward), made)(*arguments, **options)

    return call


def _gradient_of(made: Any, backward: str, *arguments: Any) -> Any:
    """What backward returns, or the gradient that the object then keeps.

    It may return one for each input, None for the labels, and take a learning rate.
    """
    method = getattr(made, backward)
    rates = {p.name: 0.0 for p in required_of(method) if p.name.lower() in RATES}
    gradient = method(*arguments, **rates)
    if isinstance(gradient, tuple) and gradient and all(one is None for one in gradient[1:]):
        gradient = gradient[0]
    gradient = _kept(made, "gradient") if gradient is None else gradient
    return gradient if framework_of(gradient) != "numpy" else numbers_of(gradient)


def _gradient_after(
    made: Any, forward: str, arguments: Sequence[Any], backward: str, *passed: Any
) -> Any:
    """The gradient that backward returns after forward; where backward needs what the object keeps
    when it is called itself, after that call, which leaves the object as it was."""
    before = dict(vars(made))
    try:
        return _gradient_of(made, backward, *passed)
    except AttributeError:
        if forward != "forward" or not callable(made):
            raise
        returned = made(*arguments)
        gradient = _gradient_of(made, backward, *passed)
        del returned  # not before: the object may keep a weak reference to it
        vars(made).clear()
        vars(made).update(before)
        return gradient


def _softmax_backward(target: Any, forward: str, backward: str) -> Callable[[Any, Any], Any]:
    """A function of logits and an upstream gradient that returns the gradient of the logits.

    Some objects keep the logits of each call of forward, for one backward for all: so it is a copy
    of the object as it was.
    """
    before = copied(target)

    def call(z: Any, upstream: Any) -> Any:
        made = object_of(copied(before), [z])
        getattr(made, forward)(z)
        return _gradient_after(made, forward, [z], backward, upstream)

    return call


def _in_three_steps(target: Any, forward: str, loss: str, backward: str) -> Way:
    """A softmax, then a loss that is passed the labels, then its gradient."""
    required = required_of(_unbound(target, backward))
    of_labels = [role_of(p.name) == "labels" for p in required]

    def call(z: Any, y: Any) -> Any:
        made = object_of(target, [z])
        getattr(made, forward)(z)
        value = getattr(made, loss)(y)
        passed = [y if is_y else 1.0 for is_y in of_labels]
        return {"loss": value, "gradient": _gradient_of(made, backward, *passed)}

    passed = ", ".join("y" if is_y else "1" for is_y in of_labels)
    return Way(call, call, f"{forward}(z), {loss}(y), {backward}({passed})", methods=3)


def _of_pair_with_backward(target: Any, forward: str, backward: str, above: int) -> Way:
    """A forward that is passed a pair of logits and labels, and backward with an upstream gradient
    of 1 for each argument that it has."""

    def call(logits: Any, y: Any) -> Any:
        made = object_of(target, [logits, y])
        value = getattr(made, forward)((logits, y))
        return {"loss": value, "gradient": _gradient_of(made, backward, *[_ones(value)] * above)}

    vars(call)["__signature__"] = signature("logits", "y")
    text = f"{forward}((z, y)), {backward}({'1' if above else ''})"
    return Way(call, call, text, methods=2)


def _softmax_then_gradient(target: Any, forward: str, backward: str) -> Way:
    """A softmax whose backward is passed the labels, and returns the gradient of the loss."""

    def call(z: Any, y: Any) -> Any:
        made = object_of(target, [z])
        value = getattr(made, forward)(z)
        return {"softmax": value, "gradient": _gradient_of(made, backward, y)}

    return Way(call, call, f"{forward}(z), {backward}(y)", methods=2)


def _returned_or_kept(function: Callable[..., Any], owner: Any = None) -> Callable[..., Any]:
    """A function that returns what the object keeps where the method returns nothing."""
    owner = getattr(function, "__self__", None) if owner is None else owner
    if owner is None:
        return function

    def call(*arguments: Any, **options: Any) -> Any:
        value = function(*arguments, **options)
        return _all_kept(owner) if value is None else value

    return call


def _kept(owner: Any, part: str) -> Any:
    """The part of the results that an object keeps in an attribute, or None."""
    values = (getattr(owner, name, None) for name in KEPT[part])
    return next((value for value in values if value is not None and not callable(value)), None)


def _all_kept(owner: Any) -> dict[str, Any] | None:
    """The results that an object keeps in attributes, by part; None if there are none."""
    found = {part: _kept(owner, part) for part in KEPT}
    return {part: value for part, value in found.items() if value is not None} or None


def _both(
    target: Any, forward: str, backward: str, pick: Callable[[Sequence[Any], Any, Any], list[Any]]
) -> Callable[..., Any]:
    """A function that returns the loss of one method and the gradient of another."""

    method = _unbound(target, forward)

    def call(*arguments: Any, **options: Any) -> Any:
        options, of_object = split_options(target, method, options)
        made = object_of(target, arguments, of_object)
        value = getattr(made, forward)(*arguments, **options)
        kept = _all_kept(made) if value is None else None
        passed = pick(arguments, value, made)
        gradient = _gradient_after(made, forward, arguments, backward, *passed)
        if kept is not None:
            return kept | {"gradient": gradient}
        return {"loss": value, "gradient": gradient}

    return call


def _backward_arguments(
    backward: Callable[..., Any], forward: Callable[..., Any]
) -> Iterator[tuple[str, Callable[[Sequence[Any], Any, Any], list[Any]]]]:
    """What backward may be called with, each as text and as a function of what forward was called
    with, of what it returned, and of the object."""
    required = required_of(backward)
    same = len(parameters_of(forward) or ())
    if not required:
        yield "", lambda arguments, value, made: []
        return
    if len(required) == 1:
        if required[0].name.lower() in UPSTREAM or role_of(required[0].name) != "labels":
            yield "1", lambda arguments, value, made: [_ones(value)]
        yield "y", lambda arguments, value, made: [arguments[-1]]
        return
    if len(required) == same or len(required) == 2:
        yield "the same", lambda arguments, value, made: list(arguments)
        yield "a, y", lambda arguments, value, made: [_kept(made, "softmax"), arguments[-1]]
        yield "1, y", lambda arguments, value, made: [_ones(value), arguments[-1]]
    if len(required) == 3:
        yield (
            "z, a, y",
            lambda arguments, value, made: [
                arguments[0],
                arguments[0] if _kept(made, "softmax") is None else _kept(made, "softmax"),
                arguments[-1],
            ],
        )


def _ones(value: Any) -> Any:
    """The upstream gradient of a loss that is the final result: 1 for each number in it."""
    return np.ones_like(value) if isinstance(value, np.ndarray) and value.ndim else 1.0
