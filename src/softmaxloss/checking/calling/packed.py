"""Functions whose arguments or results are packed in another way than in a form: each as a function
of the arguments of a form.

A batch may be a dict or a pair of features and labels, parameters a pair or a list of layers, and
the logits a product with the vector of a word. The log of the sum of the exponentials is all that
log softmax subtracts. A step of gradient descent changes the weights by the learning rate times the
gradient.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .roles import WITH_WEIGHTS, parameters_of, required_of, role_of

#: Names of an argument that has the features and the labels, and the keys under which it has them.
BATCH = {"batch", "minibatch", "mini_batch", "data", "example", "examples", "sample"}
IN_BATCH = {
    "X": ("x", "X", "inputs", "input", "image", "images", "features", "data"),
    "y": ("y", "Y", "label", "labels", "target", "targets"),
}

#: Names of the arguments of the loss of a word vector: that of the centre word, the vectors of all
#: words, and the word beside it.
CENTRE = {"centerwordvec", "center_word_vec", "center_vec", "centre_vec", "predicted", "v_c", "vc"}
SEVERAL = {
    "outsidewordidxs",
    "outside_word_idxs",
    "outside_idxs",
    "outside_indices",
    "context_idxs",
    "context_words",
    "outside_words",
    "context",
    "contexts",
}  # of several words beside it
OUTSIDE = {"outsidevectors", "outside_vectors", "outputvectors", "output_vectors", "u"}
BESIDE_IT = {"outsidewordidx", "outside_word_idx", "outside_idx", "target", "target_idx", "o"}


#: Names of an upstream gradient.
UPSTREAM = {
    "dout", "dvalues", "grad_output", "upstream", "dy", "dl", "da", "dlda", "g", "gy", "grad_out",
    "output_grad", "eta", "gradient", "grad", "prev_grad", "accum_grad", "dz", "d", "dloss", "loss",
    "dlosses",
}  # fmt: skip


class Way(NamedTuple):
    """One way to call something."""

    function: Callable[..., Any]
    signature: Callable[..., Any]  # whose parameters are those of the function
    protocol: str = ""  # how it is called, if that is more than a call
    methods: int = 1  # that are called
    # Of a softmax: the gradient with respect to z, from z and an upstream gradient.
    backward: Callable[[Any, Any], Any] | None = None
    of_rows: bool = False  # whether it takes a batch in rows, whatever the text says
    # The ids of the mistakes that show in this way beside those in its results.
    beside: Callable[[], Sequence[str]] = tuple
    left_out: tuple[str, ...] = ()  # the methods for the gradient that are not called


def signature(*names: str) -> inspect.Signature:
    """The signature of a function with these parameters."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([inspect.Parameter(name, kind) for name in names])


def with_batch(function: Callable[..., Any]) -> Iterator[Way]:
    """A function of weights and a batch, a dict or a pair, as one of weights, features and labels.

    >>> [way.protocol for way in with_batch(lambda params, batch: 0)]
    ["f(params, {'x': X, 'y': y})", 'f(params, (X, y))']
    """
    required = required_of(function)
    names = [p.name for p in required]
    at = next((k for k, name in enumerate(names) if name.lower() in BATCH), None)
    others = {role_of(name) for name in names}
    if at is None or len(names) != 2 or not others & WITH_WEIGHTS:
        return
    packed: dict[str, Callable[[Any, Any], Any]] = {
        "{'x': X, 'y': y}": lambda X, y: (
            dict.fromkeys(IN_BATCH["X"], X) | dict.fromkeys(IN_BATCH["y"], y)
        ),
        "(X, y)": lambda X, y: (X, y),
    }
    split = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in "Xy"]
    for text, pack in packed.items():

        def call(*arguments: Any, pack: Callable[[Any, Any], Any] = pack) -> Any:
            batch = pack(*arguments[at : at + 2])
            return function(*arguments[:at], batch, *arguments[at + 2 :])

        passed = [*required[:at], *split, *required[at + 1 :]]
        vars(call)["__signature__"] = inspect.Signature(passed)
        shown = ", ".join([*names[:at], text, *names[at + 1 :]])
        yield Way(call, call, f"f({shown})")


def with_params(function: Callable[..., Any]) -> Iterator[Way]:
    """A function of parameters, features and labels, with the weights and a bias of 0 in a pair or
    in a list of layers, as one of the weights. A dict is an argument of a form.

    >>> [way.protocol for way in with_params(lambda params, X, y: 0)]
    ['f((W, b), X, y)', 'f([(W, b)], X, y)']
    """
    parameters = parameters_of(function) or []
    names = [p.name for p in parameters]
    if not names or role_of(names[0]) != "params" or len(required_of(function)) < 2:
        return
    packed: dict[str, Callable[[Any], Any]] = {
        "(W, b)": lambda W: (W, 0 * W[0]),
        "[(W, b)]": lambda W: [(W, 0 * W[0])],
    }
    first = inspect.Parameter("W", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    for text, pack in packed.items():

        def call(W: Any, *others: Any, pack: Callable[[Any], Any] = pack, **options: Any) -> Any:
            return function(pack(W), *others, **options)

        vars(call)["__signature__"] = inspect.Signature([first, *parameters[1:]])
        shown = ", ".join([text, *(p.name for p in required_of(function)[1:])])
        yield Way(call, call, f"f({shown})")


def of_word_vectors(function: Callable[..., Any]) -> Iterator[Way]:
    """The loss of a word vector v, of which z = U·v, as one of z; its gradients with respect to v
    and to U are those of z: the first column of U is z, the others are those of the identity, and
    v is (1, 0, …)."""
    names = [p.name for p in required_of(function)]
    places = [
        next((k for k, name in enumerate(names) if name.lower() in known), None)
        for known in (CENTRE, OUTSIDE, BESIDE_IT | SEVERAL)
    ]
    if None in places or not 3 <= len(names) <= 4:
        return
    of_v, of_u, of_word = (int(place or 0) for place in places)
    times = 2 if names[of_word].lower() in SEVERAL else 1  # that the word is beside it

    def call(z: Any, y: Any) -> Any:
        if np.ndim(z) != 1:
            raise ValueError("it takes one word")
        U = np.concatenate([z[:, None], np.eye(len(z), dtype=z.dtype)], axis=1)
        v = np.eye(1, U.shape[1], dtype=z.dtype)[0]
        passed: list[Any] = [None] * len(names)
        passed[of_v], passed[of_u], passed[of_word] = v, U, y if times == 1 else [y] * times
        loss, *gradients = (np.asarray(one) / times for one in function(*passed))
        if [np.shape(gradient) for gradient in gradients] != [v.shape, U.shape]:
            shapes = ", ".join(str(np.shape(gradient)) for gradient in gradients)
            raise ValueError(f"its gradients have the shapes {shapes}, not {v.shape}, {U.shape}")
        of_features, of_weights = gradients
        return {
            "loss": loss, "gradient": of_weights.sum(axis=1), "feature_gradient": of_features[1:]
        }  # fmt: skip

    shown = [
        ("y" if times == 1 else "[y, y]") if k == of_word else {of_v: "v", of_u: "U"}.get(k, "None")
        for k in range(len(names))
    ]
    yield Way(call, call, f"f({', '.join(shown)}) with U·v = z")


#: Names of logits that are passed in several arrays, each with some of the classes.
IN_BLOCKS = re.compile(r"(^|_)(blocks|shards|chunks)$")


def of_blocks(function: Any) -> Any:
    """A function that takes the classes in several arrays, as one that takes them in one array.

    Others are returned as they are.
    """
    names = [p.name for p in required_of(function)]
    if not names or not IN_BLOCKS.search(names[0]):
        return function

    def call(z: Any, *others: Any, **options: Any) -> Any:
        half = np.shape(z)[-1] // 2
        return function([z[..., :half], z[..., half:]], *others, **options)

    call.__name__ = getattr(function, "__name__", "")
    first, *rest = parameters_of(function) or []
    vars(call)["__signature__"] = inspect.Signature([first.replace(name="logits"), *rest])
    return call


def of_log_sum_exp(function: Callable[..., Any], title: str) -> Iterator[Way]:
    """The log of the sum of exp z, as the log softmax that it gives: z minus what is returned, of
    each row or of each column.

    >>> [way.protocol for way in of_log_sum_exp(lambda z: 0, "log_sum_exp")]
    ['z − f(z), of each row', 'z − f(z), of each column']
    """
    if not re.search(r"log_?sum_?exp", title, re.I):
        return
    for axis, what in ((0, "row"), (1, "column")):

        def call(z: Any, *others: Any, axis: int = axis, **options: Any) -> Any:
            value = function(z, *others, **options)
            if np.ndim(z) == 2 and np.ndim(value) == 1:
                value = value[:, None] if axis == 0 else value[None, :]
            return z - value

        vars(call)["__signature__"] = inspect.signature(function)
        yield Way(call, call, f"z − f(z), of each {what}")


#: Names of the learning rate of a step, and of the number of steps, which is 1 here.
RATES = {"lr", "learning_rate", "step_size", "eta", "learningrate"}
STEPS = {"epochs", "num_epochs", "n_epochs", "steps", "num_steps", "n_steps", "iterations", "iters",
         "num_iters", "n_iters", "n_iter", "num_iter", "max_iter", "num_iterations"}  # fmt: skip

#: Names of the learning rate of a function that is called a step or a descent, and such names.
PERHAPS_RATES = {"alpha", "a", "rate", "step", "gamma", "mu"}
OF_STEPS = re.compile(r"step|descent|ascent|sgd|train|epoch|update|fit", re.I)

#: With a large power of two as the learning rate, hardly a digit of the gradient is lost.
RATE = 2.0**20


def of_step(function: Callable[..., Any]) -> Iterator[Way]:
    """A step of gradient descent, which returns new weights or changes them in place, as its
    gradient.

    >>> [way.protocol for way in of_step(lambda X, y, theta, lr=0.1: None)]
    ['(θ − θ after one step)/lr']
    """
    parameters = parameters_of(function) or []
    rates = [p.name for p in parameters if p.name.lower() in RATES]
    if not rates and OF_STEPS.search(str(getattr(function, "__name__", ""))):
        rates = [p.name for p in parameters if p.name.lower() in PERHAPS_RATES]
    weights = [k for k, p in enumerate(parameters) if role_of(p.name) in ("weights", "theta")]
    if len(rates) != 1 or len(weights) != 1 or weights[0] >= len(required_of(function)):
        return
    steps = [p.name for p in parameters if p.name.lower() in STEPS]
    fixed: dict[str, Any] = {rates[0]: RATE} | dict.fromkeys(steps, 1)
    passed = [p for p in parameters if p.name not in fixed]
    names = [p.name for p in passed]
    at = names.index(parameters[weights[0]].name)

    def call(*arguments: Any, **options: Any) -> Any:
        before = arguments[at]
        given = dict(zip(names, arguments, strict=False)) | options | fixed
        given[names[at]] = before.copy()
        returned = function(**given)
        values = returned if isinstance(returned, tuple) else (returned,)
        of_shape = [one for one in values if np.shape(one) == np.shape(before)]
        after = of_shape[0] if of_shape else given[names[at]]
        losses = [one for one in values if one is not None and np.size(one) == 1]
        found = {"gradient": (before - after) / RATE}
        return found if len(losses) != 1 else found | {"loss": losses[0]}

    vars(call)["__signature__"] = inspect.Signature(passed)
    symbol = "θ" if names[at].lower().startswith("theta") else "W"
    yield Way(call, call, f"({symbol} − {symbol} after one step)/lr")
