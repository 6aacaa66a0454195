"""The ways to call a function, an object with methods, or a class: each as one function.

A loss is often an object: forward computes it and backward its gradient, or loss and grad do. Such
a pair becomes one function, which makes a new object of a class and returns both results.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from .attributes import of_attributes
from .backwards import (
    backward_arguments,
    gradient_after,
    gradient_of,
    in_training,
    ones,
    softmax_backward,
    without_rates,
)
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
from .methods import (
    FORWARD,
    OF_LABELS,
    all_kept,
    gradient_methods_of,
    methods_of,
    unbound,
)
from .networks import of_network, of_network_step
from .objects import made_with, object_of, options_of, split_options, without_padding
from .packed import (
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
    of_list_of_one,
    of_pair,
    of_penalised,
    of_records,
    of_shifted,
    of_teacher,
    of_transposed,
    takes_pair,
)
from .roles import required_of, role_of
from .tables import of_embedding, of_lookup
from .two_layers import of_two_layers


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
    return bool(methods_of(target, FORWARD))


def ways_to_call(target: Any) -> Iterator[Way]:
    """The ways to call something, the most telling first.

    Those of an object with two methods check its gradient as well; so they come before the loss
    alone.
    """
    torch: Any = sys.modules.get("torch")
    target = without_padding(target)
    of_torch = torch is not None and isinstance(target, type)
    if of_torch and issubclass(target, torch.autograd.Function):
        yield Way(target.apply, unbound(target, "forward").__get__(object()), "apply")
        return
    target = with_context(target)
    is_class = isinstance(target, type)
    gradients = gradient_methods_of(target)
    is_function = inspect.isroutine(target) or not gradients
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
    if not gradients:  # a classifier, whose loss reads its weights
        with suppress(Exception):
            made = object_of(target, [])
            for forward in methods_of(target, FORWARD):
                yield from of_attributes(getattr(made, forward))
    is_called = bool(methods_of(target, ("__call__",)))
    for forward in methods_of(target, FORWARD):
        for backward in gradients:
            yield from _ways_with_backward(target, forward, backward)
        method = made_with(target, unbound(target, forward))
        name = "" if is_called else forward
        yield Way(_one(target, forward), method, name, left_out=tuple(gradients))
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
    if owner is None or isinstance(owner, type) or name not in gradient_methods_of(owner):
        return
    for forward in methods_of(owner, FORWARD):
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
    yield from of_list_of_one(target)
    yield from of_records(target)
    yield from of_ders(target, title_of(target))


def _ways_with_backward(target: Any, forward: str, backward: str) -> Iterator[Way]:
    """The ways to call two methods, of which the second computes the gradient."""
    method, back = unbound(target, forward), unbound(target, backward)
    required = without_rates(required_of(back))
    if takes_pair(method) and len(required) < 2:
        yield _of_pair_with_backward(target, forward, backward, len(required))
        return
    if len(required_of(method)) == 1:
        # It is passed logits only: a softmax.
        for loss in methods_of(target, OF_LABELS):
            if loss != forward and len(required_of(unbound(target, loss))) == 1:
                yield _in_three_steps(target, forward, loss, backward)
        if any(role_of(p.name) == "labels" for p in required):
            yield _softmax_then_gradient(target, forward, backward)
            return
        of_softmax = softmax_backward(target, forward, backward)
        if of_softmax is not None:
            name = f"{forward}, {backward}"
            yield Way(_one(target, forward), method, name, backward=of_softmax)
            return
    for text, pick in backward_arguments(back, method):
        function = _both(target, forward, backward, pick)
        both = made_with(target, method)
        yield Way(function, both, f"{forward}, {backward}({text})", methods=2)


def _one(target: Any, forward: str) -> Callable[..., Any]:
    method = unbound(target, forward)

    def call(*arguments: Any, **options: Any) -> Any:
        options, of_object = split_options(target, method, options)
        made = object_of(target, arguments, of_object)
        return _returned_or_kept(getattr(made, forward), made)(*arguments, **options)

    return call


def _in_three_steps(target: Any, forward: str, loss: str, backward: str) -> Way:
    """A softmax, then a loss that is passed the labels, then its gradient."""
    required = required_of(unbound(target, backward))
    of_labels = [role_of(p.name) == "labels" for p in required]

    def call(z: Any, y: Any) -> Any:
        made = object_of(target, [z])
        getattr(made, forward)(z, **in_training(made, forward))
        value = getattr(made, loss)(y)
        passed = [y if is_y else 1.0 for is_y in of_labels]
        return {"loss": value, "gradient": gradient_of(made, backward, *passed)}

    passed = ", ".join("y" if is_y else "1" for is_y in of_labels)
    return Way(call, call, f"{forward}(z), {loss}(y), {backward}({passed})", methods=3)


def _of_pair_with_backward(target: Any, forward: str, backward: str, above: int) -> Way:
    """A forward that is passed a pair of logits and labels, and backward with an upstream gradient
    of 1 for each argument that it has."""

    def call(logits: Any, y: Any) -> Any:
        made = object_of(target, [logits, y])
        value = getattr(made, forward)((logits, y))
        return {"loss": value, "gradient": gradient_of(made, backward, *[ones(value)] * above)}

    vars(call)["__signature__"] = signature("logits", "y")
    text = f"{forward}((z, y)), {backward}({'1' if above else ''})"
    return Way(call, call, text, methods=2)


def _softmax_then_gradient(target: Any, forward: str, backward: str) -> Way:
    """A softmax whose backward is passed the labels, and returns the gradient of the loss."""

    def call(z: Any, y: Any) -> Any:
        made = object_of(target, [z])
        value = getattr(made, forward)(z)
        return {"softmax": value, "gradient": gradient_of(made, backward, y)}

    return Way(call, call, f"{forward}(z), {backward}(y)", methods=2)


def _returned_or_kept(function: Callable[..., Any], owner: Any = None) -> Callable[..., Any]:
    """A function that returns what the object keeps where the method returns nothing."""
    owner = getattr(function, "__self__", None) if owner is None else owner
    if owner is None:
        return function

    def call(*arguments: Any, **options: Any) -> Any:
        value = function(*arguments, **options)
        return all_kept(owner) if value is None else value

    return call


def _both(
    target: Any, forward: str, backward: str, pick: Callable[[Sequence[Any], Any, Any], list[Any]]
) -> Callable[..., Any]:
    """A function that returns the loss of one method and the gradient of another."""

    method = unbound(target, forward)

    def call(*arguments: Any, **options: Any) -> Any:
        options, of_object = split_options(target, method, options)
        made = object_of(target, arguments, of_object)
        value = getattr(made, forward)(*arguments, **in_training(made, forward) | options)
        kept = all_kept(made) if value is None else None
        passed = pick(arguments, value, made)
        gradient = gradient_after(made, forward, arguments, backward, *passed)
        if kept is not None:
            return kept | {"gradient": gradient}
        return {"loss": value, "gradient": gradient}

    return call
