"""Functions that take the logits or the labels in another shape than the forms have: each as a
function of logits and labels.

A language model predicts the next word, so its outputs are one step behind its labels. Gradient
boosting passes outputs in one long array, and the labels in an object. A recurrent network keeps a
list of columns. A student learns from the outputs of a teacher, and other losses are passed weights
for their penalty only.
"""

import dis
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import numpy as np

from .codes import takes_first_alone
from .frameworks import framework_of
from .packed import Way, signature
from .roles import WITH_WEIGHTS, parameters_of, required_of, role_of

#: Names of an object with the labels, of a library for gradient boosting.
DATASET = {"dtrain", "train_data", "dmatrix", "dataset", "train_set", "dm", "lgb_data", "data",
           "dtest", "eval_data", "train_dataset"}  # fmt: skip

#: Names of the outputs of a recurrent network at each step.
STEPS = {
    "ps",
    "ys",
    "logits_list",
    "os",
    "y_hats",
    "yhats",
    "probs",
    "outputs",
    "preds",
    "predictions",
    "y_preds",
}

TEACHER = re.compile(
    r"teacher|(^|_)t_?logits?$|^soft_?target_?logits|^(out|outputs?|logits?|pred|y|z)_?t$", re.I
)
SOFT = re.compile(r"soft_?(cross|target|ce)", re.I)
STUDENT = re.compile(r"student|(^|_)s_?logits?$|^(out|outputs?|logits?|pred|y|z)_?s$", re.I)
TEMPERATURE = 2.0
STRENGTH = 2.0
CERTAIN = 2.0**14  # logits of which the softmax is 0 and 1, also at this temperature


def of_shifted(function: Callable[..., Any]) -> Iterator[Way]:
    """A loss of sequences that leaves out the last outputs and the first labels itself: it is
    passed one more of each, whose numbers must not matter."""
    required = required_of(function)
    if len(required) != 2 or not _slices(function):
        return
    optional = [p for p in parameters_of(function) or () if p.default is not p.empty]
    for backwards in (False, True):

        def call(z: Any, y: Any, backwards: bool = backwards, **options: Any) -> Any:
            if np.ndim(z) != 3 or np.ndim(y) != 2:
                raise ValueError("it takes sequences")
            one, label = z[:, -1:] * 0 + 7.0 * _steps(z), y[:, :1] * 0
            z_and_one, y_and_one = ((one, z), (y, label)) if backwards else ((z, one), (label, y))
            value = function(_joined(*z_and_one), _joined(*y_and_one), **options)
            if np.shape(value) == (len(z), z.shape[1] + 1, z.shape[2]):
                return value[:, 1:] if backwards else value[:, :-1]
            return value

        vars(call)["__signature__"] = inspect.Signature([*required, *optional])
        if backwards:
            text = "f(z with one step before, y with one more step)"
            yield Way(call, call, text, beside=lambda: ["shifted-backwards"])
        else:
            yield Way(call, call, "f(z with one more step, y with one step before)")


def _slices(function: Any) -> bool:
    """Whether its code has slices, and the numbers 1 and −1 of `z[:, :-1]` and `y[:, 1:]`."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if not isinstance(code, CodeType):
        method = getattr(type(function), "forward", None) or getattr(function, "forward", None)
        code = getattr(method, "__code__", None)
    if not isinstance(code, CodeType):
        return False
    constants = {*code.co_consts}
    for one in code.co_consts:
        if isinstance(one, slice):
            constants |= {one.start, one.stop}
    sliced = any("SLICE" in step.opname for step in dis.get_instructions(code))
    sliced = sliced or any(isinstance(one, slice) for one in code.co_consts)
    return sliced and {1, -1} <= {one for one in constants if type(one) is int}


def _steps(z: Any) -> Any:
    """0, 1, … for the classes, in the framework of z."""
    return (z[:1, :1] * 0 + 1).cumsum(-1) if hasattr(z, "cumsum") else np.arange(z.shape[-1])


def _joined(first: Any, second: Any) -> Any:
    """Two arrays, one after the other along the time."""
    framework = framework_of(first)
    if framework == "torch":
        return sys.modules["torch"].cat([first, second], dim=1)
    numpy = sys.modules["jax"].numpy if framework == "jax" else np
    return numpy.concatenate([first, second], axis=1)


class _Dataset:
    """The labels, as the objects of libraries for gradient boosting have them."""

    def __init__(self, y: Any) -> None:
        self.label = self.labels = y

    def get_label(self) -> Any:
        return self.label.astype(np.float64)

    def get_weight(self) -> Any:
        return np.array([])

    def get_group(self) -> None:
        return None


def of_boosting(function: Callable[..., Any]) -> Iterator[Way]:
    """An objective or a metric of gradient boosting: the outputs in one array, of one class after
    another or of one example after another, or in rows; the labels in an object or an array."""
    names = [p.name for p in required_of(function)]
    if len(names) != 2:
        return
    with_dataset = [k for k, name in enumerate(names) if name.lower() in DATASET]
    code = getattr(inspect.unwrap(function), "__code__", None)
    is_flat = bool({"reshape", "shape"} & set(getattr(code, "co_names", ())))
    of_labels = with_dataset or [k for k, name in enumerate(names) if role_of(name) == "labels"]
    if len(of_labels) != 1 or not (with_dataset or is_flat):
        return
    at = of_labels[0]
    counts = [p.name for p in parameters_of(function) or () if role_of(p.name) == "classes"]
    orders = {"rows": None, "flat, by class": "F", "flat, by example": "C"}
    for text, order in orders.items():
        if order is None and not with_dataset:
            continue

        def call(z: Any, y: Any, order: Any = order) -> Any:
            if np.ndim(z) != 2:
                raise ValueError("it takes a batch")
            given: list[Any] = [z if order is None else z.ravel(order=order)] * 2
            given[at] = _Dataset(y) if with_dataset else y
            value = function(*given, **dict.fromkeys(counts, z.shape[1]))
            return _in_rows(value, z.shape, order or "C")

        vars(call)["__signature__"] = signature("logits", "y")
        shown = ["z, " + text, "y"] if at == 1 else ["y", "z, " + text]
        yield Way(call, call, f"f({', '.join(shown)})")


def _in_rows(value: Any, shape: tuple[int, ...], order: Any) -> Any:
    """The arrays of one number for each output, in rows."""
    if isinstance(value, tuple | list) and any(np.ndim(one) > 0 for one in value):
        return tuple(_in_rows(one, shape, order) for one in value)
    size = np.size(value) if isinstance(value, np.ndarray) else 0
    return value.reshape(shape, order=order) if size == shape[0] * shape[1] > 1 else value


def of_ders(method: Callable[..., Any], title: str) -> Iterator[Way]:
    """The derivatives that CatBoost asks for are those of the log-likelihood, with the other sign,
    for one example."""
    required = required_of(method)
    if not title.endswith("calc_ders_multi") or len(required) != 3:
        return

    def call(logits: Any, y: Any) -> Any:
        if np.ndim(logits) != 1:
            raise ValueError("it takes one example")
        first, *_ = method(logits.tolist(), y, 1.0)
        return {"gradient": -np.asarray(first, np.float64)}

    vars(call)["__signature__"] = signature("logits", "y")
    yield Way(call, call, "−f(z, y, 1)[0]")


#: Keys and attributes under which outputs and labels are passed.
OUTPUTS = ("logits", "scores", "pred", "preds", "predictions", "output", "outputs", "logit")
LABELS = ("labels", "label", "y", "target", "targets")


class _Record(dict[str, Any]):
    """A dict of which the values are attributes, too."""

    __getattr__ = dict.__getitem__


def of_records(function: Callable[..., Any]) -> Iterator[Way]:
    """A loss whose outputs, and perhaps whose labels, are in a dict or an object."""
    required = required_of(function)
    code = getattr(inspect.unwrap(function), "__code__", None)
    if len(required) != 2 or not isinstance(code, CodeType):
        return
    words = {*code.co_names, *(one for one in code.co_consts if isinstance(one, str))}
    if not words & set(OUTPUTS) and not words & set(LABELS):
        return
    for packed in ((True, True), (True, False), (False, True)):

        def call(outputs: Any, y: Any, packed: tuple[bool, bool] = packed) -> Any:
            given = [
                _Record(dict.fromkeys(names, one)) if is_packed else one
                for one, names, is_packed in zip(
                    (outputs, y), (OUTPUTS, LABELS), packed, strict=True
                )
            ]
            return function(*given)

        vars(call)["__signature__"] = signature("outputs", "y")
        shown = ("{'logits': z}" if packed[0] else "z", "{'labels': y}" if packed[1] else "y")
        yield Way(call, call, f"f({', '.join(shown)})")


def takes_pair(function: Callable[..., Any]) -> bool:
    """Whether it unpacks its only argument into two, such as `z, y = inputs`."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    required = required_of(function)
    if len(required) != 1 or not isinstance(code, CodeType):
        return False
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    return any(
        first[0].startswith("LOAD_FAST") and first[1] == required[0].name
        and second == ("UNPACK_SEQUENCE", 2)
        for first, second in itertools.pairwise(steps)
    )  # fmt: skip


def of_pair(function: Callable[..., Any]) -> Iterator[Way]:
    """A function of a pair of logits and labels as one of both."""
    if not takes_pair(function):
        return

    def call(logits: Any, y: Any) -> Any:
        return function((logits, y))

    vars(call)["__signature__"] = signature("logits", "y")
    yield Way(call, call, "f((z, y))")


def of_list_of_one(function: Callable[..., Any]) -> Iterator[Way]:
    """A node of a graph that is passed the list of what its parents gave, and has one parent.

    >>> [way.protocol for way in of_list_of_one(lambda parents: parents[0])]
    ['f([z])']
    >>> [way.protocol for way in of_list_of_one(lambda z: z[0] / len(z))]
    []
    """
    if not takes_first_alone(function):
        return

    def call(logits: Any) -> Any:
        return function([logits])

    vars(call)["__signature__"] = signature("logits")
    yield Way(call, call, "f([z])")


def of_inputs(target: Any) -> Iterator[Way]:
    """An object whose forward is passed a tuple of logits and labels, and returns a tuple, as in
    Chainer; backward is passed the same and a tuple of upstream gradients."""
    owner = target if isinstance(target, type) else type(target)
    forward, backward = getattr(owner, "forward", None), getattr(owner, "backward", None)
    if not (inspect.isfunction(forward) and inspect.isfunction(backward)):
        return
    if [len(required_of(one)) for one in (forward, backward)] != [2, 3]:
        return

    def call(logits: Any, y: Any) -> Any:
        made = target() if isinstance(target, type) else target
        (value,) = made.forward((logits, y))
        return {"loss": value, "gradient": made.backward((logits, y), (1.0,))[0]}

    vars(call)["__signature__"] = signature("logits", "y")
    yield Way(call, call, "forward((z, y)), backward((z, y), (1,))", methods=2)


def of_list_of_columns(function: Callable[..., Any]) -> Iterator[Way]:
    """A loss of the outputs of a recurrent network: a list with a column for each step."""
    required = required_of(function)
    code = getattr(inspect.unwrap(function), "__code__", None)
    zips = "zip" in getattr(code, "co_names", ())
    if len(required) != 2 or not (zips or STEPS & {p.name.lower() for p in required}):
        return

    def call(first: Any, second: Any) -> Any:
        given = [one if np.ndim(one) != 2 else [row[:, None] for row in one]
                 for one in (first, second)]  # fmt: skip
        if not any(isinstance(one, list) for one in given):
            raise ValueError("it takes a list")
        value = function(*given)
        steps = len(given[0])
        if isinstance(value, list | dict) and len(value) == steps:
            ones = list(value.values()) if isinstance(value, dict) else value
            return np.array([np.ravel(one) for one in ones])
        return value

    vars(call)["__signature__"] = inspect.signature(function)
    shown = ", ".join(p.name for p in required)
    yield Way(call, call, f"f({shown}), a list of columns (C, 1)")


def of_teacher(function: Callable[..., Any]) -> Iterator[Way]:
    """A loss of the outputs of a student and of a teacher who is certain, at a temperature of 2:
    both are multiplied by 2. It may be multiplied by 4, the square of it."""
    parameters = parameters_of(function) or []
    names = [p.name for p in parameters if p.default is p.empty or role_of(p.name) == "temperature"]
    of_student = next((k for k, name in enumerate(names) if STUDENT.search(name)), None)
    of_teacher = next((k for k, name in enumerate(names) if TEACHER.search(name)), None)
    hot = [k for k, n in enumerate(names) if role_of(n) == "temperature" or n == "T"]
    title = str(getattr(function, "__name__", type(function).__name__))
    if of_teacher is None and len(required_of(function)) == 2 and SOFT.search(title):
        of_student, of_teacher = 0, 1
    if of_student is None or of_teacher is None or len(names) != 2 + len(hot):
        return
    warm = TEMPERATURE if hot else 1.0
    for factor in dict.fromkeys((1.0, warm**2)):

        def call(logits: Any, onehot: Any, factor: float = factor) -> Any:
            given: list[Any] = [warm] * len(names)
            given[of_student], given[of_teacher] = logits * warm, onehot * CERTAIN * warm
            value = function(*given)
            return value if factor == 1 else value / factor

        vars(call)["__signature__"] = signature("logits", "onehot")
        times = f"/{factor:g}" if factor != 1 else ""
        shown = ", ".join(
            {of_student: f"{warm:g}·z", of_teacher: "logits of y"}.get(k, f"{warm:g}")
            for k in range(len(names))
        )
        yield Way(call, call, f"f({shown}){times}")


def of_penalised(function: Callable[..., Any]) -> Iterator[Way]:
    """A loss of probabilities and labels that is passed all weights as well, for a penalty of their
    squares, which is compared at one point."""
    required = required_of(function)
    roles = [role_of(p.name) for p in required]
    if len(required) != 4 or {"params", "reg", "labels"} - set(roles):
        return
    at = {role: k for k, role in enumerate(roles)}
    others = [k for k in range(4) if k not in (at["params"], at["reg"])]

    def call(*arguments: Any) -> Any:
        given: list[Any] = [None] * 4
        for k, one in zip(others, arguments, strict=True):
            given[k] = one
        W = np.array([[1.5, -2.0], [0.5, 1.0]])
        given[at["params"]] = {"W1": W, "b1": 3.0 * W[:, :1], "W2": 2 * W, "b2": W[:, :1]}
        losses = []
        for reg in (0.0, 0.75):
            given[at["reg"]] = reg
            losses.append(function(*given))
        squares, examples = 5 * (W**2).sum(), {*np.shape(arguments[0]), 1}
        share = (losses[1] - losses[0]) / (0.75 * squares)
        known = [half / n for half in (0.5, 1.0) for n in examples]
        if min(abs(share - one) / one for one in known) > 1e-6:
            raise ValueError("its penalty is not reg·ΣW², half of it, or that divided by N")
        return losses[0]

    vars(call)["__signature__"] = inspect.Signature([required[k] for k in others])
    shown = ", ".join(
        {"params": "{W1, b1, …}", "reg": "0"}.get(str(role), p.name)
        for p, role in zip(required, roles, strict=True)
    )
    yield Way(call, call, f"f({shown})")


def of_data_strength(function: Callable[..., Any]) -> Iterator[Way]:
    """The loss of a layer whose data term has a strength C, as that of a support vector machine, as
    one without: for C = 2, what it returns is halved."""
    parameters = parameters_of(function) or []
    roles = {role_of(p.name) for p in parameters if p.name != "C"}
    if len(parameters) == len([p for p in parameters if p.name != "C"]):
        return
    if not roles & WITH_WEIGHTS or "labels" not in roles:
        return
    names = [p.name for p in parameters if p.name != "C"]

    def call(*arguments: Any, **options: Any) -> Any:
        given = dict(zip(names, arguments, strict=False)) | options
        return _over(STRENGTH, function(**given, C=STRENGTH))

    vars(call)["__signature__"] = inspect.Signature([p for p in parameters if p.name != "C"])
    shown = ", ".join("C=2" if p.name == "C" else p.name for p in parameters)
    yield Way(call, call, f"f({shown})/2")


def of_transposed(function: Callable[..., Any]) -> Iterator[Way]:
    """The probabilities of a layer that are returned as columns, of features in rows, as rows."""
    roles = {role_of(p.name) for p in required_of(function)}
    if not roles & WITH_WEIGHTS or "labels" in roles:
        return

    def call(*arguments: Any, **options: Any) -> Any:
        return np.transpose(function(*arguments, **options))

    vars(call)["__signature__"] = inspect.signature(function)
    shown = ", ".join(p.name for p in required_of(function))
    yield Way(call, call, f"f({shown}).T", of_rows=True)


def _over(number: float, value: Any) -> Any:
    """Each array of what was returned divided by a number."""
    return (
        tuple(_over(number, one) for one in value) if isinstance(value, tuple) else value / number
    )
