"""How `check` calls a function and reads its results: roles, protocols, parts, guards, backward."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from softmaxloss import check
from softmaxloss.checking.calling.arguments import arguments_for
from softmaxloss.checking.calling.forms import Form
from softmaxloss.checking.calling.passing import arguments_of
from softmaxloss.checking.calling.protocols import ways_to_call
from softmaxloss.checking.calling.results import ShapeError, parts_of, values_of
from softmaxloss.checking.calling.trials import right_for
from softmaxloss.checking.guard import Guard, guards_for
from softmaxloss.checking.inputs import plain_inputs

SEED = 16


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def loss_of(a: Any, y: Any) -> Any:
    return -np.log(a[np.arange(len(y)), y]).mean()


def gradient_of(a: Any, y: Any) -> Any:
    return (a - np.eye(a.shape[1])[y]) / len(y)


# --- roles ----------------------------------------------------------------------------------------

#: The roles in the likeliest way to call a function with these parameters; `name=` by keyword.
SIGNATURES = {
    "z": "logits",
    "x": "scores",
    "z, y": "logits, labels",
    "y, z": "labels, logits",
    "y_true, y_pred": "labels, predictions",
    "y_hat, y": "predictions, labels",
    "p, y": "probabilities, labels",
    "log_probs, target": "log-probabilities, labels",
    "x, y": "scores, labels",
    "a, k": "scores, labels",
    "a, b": "scores, labels",
    "x, y=None": "scores, labels",
    "x, eps=1e-7": "scores",
    "x, eps=1e-7, *, y=None": "scores, y=labels",
    "z, *, target": "logits, target=labels",
    "x, y, num_classes": "scores, labels, classes",
    "z, a, y": "logits, probabilities, labels",
    "model, x, y": "model, features, labels",
    "W, X, y, reg": "weights, features, labels, reg",
    "X, y, W, lmbda=0.0": "features, labels, weights, reg",
    "X, y, W, verbose=False, lam=0.0": "features, labels, weights, lam=reg",
    "W, b, X, Y": "weights, bias, features, labels",
    "theta, X, y": "weights, features, labels",
    "theta, num_classes, input_size, lambda_, data, labels":
        "theta, classes, inputs, reg, features, labels",
    "A, B, C, D": "weights, features, labels, reg",
    "*args": "scores, labels",
}  # fmt: skip


@pytest.mark.parametrize(("parameters", "roles"), SIGNATURES.items(), ids=SIGNATURES)
def test_roles(parameters: str, roles: str) -> None:
    function = eval(f"lambda {parameters}: 0")
    first = next(iter(arguments_of(function)))
    got = [f"{one.keyword}={one.role}" if one.keyword else one.role for one in first]
    assert ", ".join(got) == roles


def test_where_names_do_not_decide_both_orders_are_tried() -> None:
    orders = [[one.role for one in way] for way in arguments_of(lambda a, b: 0)]
    assert orders == [["scores", "labels"], ["labels", "scores"]]
    unknown = [
        [one.role for one in way] for way in arguments_of(lambda one, two, three, *, four: 0)
    ]
    assert unknown == []


# --- models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("by_class", [False, True])
def test_a_linear_model_gives_the_logits(columns: bool, by_class: bool) -> None:
    z = plain_inputs(SEED)[0]
    form = Form(
        ("model", "features", "labels"),
        layout="columns" if columns else "rows",
        weights_by_class=by_class,
    )
    model, X, _ = arguments_for(form, z)
    assert model.W.shape[0 if by_class else 1] == z.z.shape[1]
    want = z.z.T if columns else z.z
    for call in (model, model.forward, model.predict):
        np.testing.assert_array_equal(call(X), want)


def by_model(model: Any, X: Any, y: Any) -> Any:
    return loss_of(softmax(model(X)), y)


def by_its_weights(model: Any, X: Any, y: Any) -> Any:
    return loss_of(softmax(X @ model.W + model.b), y)


@pytest.mark.parametrize("function", [by_model, by_its_weights])
def test_a_loss_of_a_model(function: Any) -> None:
    assert check(function, seed=SEED).verdict == "right"

    def wrong(model: Any, X: Any, y: Any) -> Any:
        return -function(model, X, y)

    assert "no-minus" in check(wrong, seed=SEED).mistakes


# --- protocols ------------------------------------------------------------------------------------


class Pair:
    """forward keeps what backward needs."""

    def forward(self, z: Any, y: Any) -> Any:
        self.a, self.y = softmax(z), y
        return loss_of(self.a, y)

    def backward(self) -> Any:
        return gradient_of(self.a, self.y)


class Upstream(Pair):
    def backward(self, dout: Any) -> Any:  # type: ignore[override]
        return dout * gradient_of(self.a, self.y)


class Static:
    @staticmethod
    def loss(z: Any, y: Any) -> Any:
        return loss_of(softmax(z), y)

    @staticmethod
    def grad(z: Any, y: Any) -> Any:
        return gradient_of(softmax(z), y)


class Made(Pair):
    """Its constructor has arguments."""

    def __init__(self, num_classes: int, axis: int) -> None:
        self.num_classes, self.axis = num_classes, axis

    def forward(self, z: Any, y: Any) -> Any:
        assert z.shape[self.axis] == self.num_classes
        return super().forward(z, y)


class Keeps(Pair):
    """Its methods return nothing."""

    def forward(self, z: Any, y: Any) -> Any:
        self.loss = super().forward(z, y)

    def backward(self) -> Any:
        self.dinputs = gradient_of(self.a, self.y)


class Called(Pair):
    def __call__(self, z: Any, y: Any) -> Any:
        return self.forward(z, y)


PAIRS = {
    "forward, backward()": Pair(),
    "forward, backward() of a class": Pair,
    "forward, backward(1)": Upstream,
    "loss, grad(the same)": Static,
    "constructor": Made,
    "attributes": Keeps(),
    "called": Called(),
}


@pytest.mark.parametrize("target", PAIRS.values(), ids=PAIRS)
def test_the_gradient_of_an_object_is_checked(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    report = check(target, seed=SEED)
    assert report.verdict == "right", str(report)
    assert report.parts[-2:] == ("loss", "gradient")
    monkeypatch.setitem(globals(), "gradient_of", lambda a, y: a - np.eye(a.shape[1])[y])
    report = check(target, seed=SEED)
    assert "gradient-not-divided" in report.mistakes, str(report)


def test_a_constructor_with_arguments_that_are_not_known() -> None:
    class Passed(Pair):
        def __init__(self, secret: Any) -> None:
            self.secret = secret

    class Needs(Pair):
        def __init__(self, secret: Any) -> None:
            secret.reveal()

    assert check(Passed, seed=SEED).verdict == "right"
    report = check(Needs, seed=SEED)
    assert report.verdict == "not checked"
    assert "Needs needs secret to be made" in str(report)


def test_the_ways_to_call_an_object() -> None:
    assert [way.protocol for way in ways_to_call(Pair)] == ["forward, backward()", "forward"]
    assert [way.protocol for way in ways_to_call(softmax)] == [""]

    class Trained:
        W = np.zeros((3, 4))

        def loss(self, X: Any, y: Any) -> Any:
            return loss_of(softmax(X @ self.W), y)

    assert [way.protocol for way in ways_to_call(Trained().loss)] == ["self.W = W; loss", ""]
    report = check(Trained().loss, seed=SEED)
    assert report.verdict == "right"
    assert str(report.form).startswith("self.W = W; loss with W an array")


def test_results_that_are_kept_in_attributes() -> None:
    class Softmax:
        def forward(self, z: Any) -> None:
            self.output = softmax(z)

    class SquaredSoftmax(Softmax):
        def forward(self, z: Any) -> None:
            self.output = softmax(z) ** 2

    assert check(Softmax().forward, seed=SEED).verdict == "right"
    assert check(SquaredSoftmax, seed=SEED).verdict == "wrong"


# --- backward of a softmax ------------------------------------------------------------------------


def product(a: Any, g: Any) -> Any:
    return a * (g - (a * g).sum(axis=1, keepdims=True))


#: What backward of a softmax computes, and the mistake that it is; "" where it is right.
OF_SOFTMAX: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "right": (product, ""),
    "full Jacobian": (
        lambda a, g: np.array(
            [(np.diag(p) - np.outer(p, p)) @ d for p, d in zip(a, g, strict=True)]
        ),
        "",
    ),
    "diagonal": (lambda a, g: g * a * (1 - a), "derivative-of-the-probability"),
    "passed on": (lambda a, g: g, "softmax-not-differentiated"),
    "no sum": (lambda a, g: a * g, "jacobian-sum-left-out"),
    "flipped": (lambda a, g: -product(a, g), "gradient-flipped"),
}


@pytest.mark.parametrize("name", OF_SOFTMAX)
def test_the_backward_of_a_softmax(name: str) -> None:
    compute, id = OF_SOFTMAX[name]

    class Softmax:
        def forward(self, z: Any) -> Any:
            self.a = softmax(z)
            return self.a

        def backward(self, dout: Any) -> Any:
            return compute(self.a, dout)

    report = check(Softmax(), seed=SEED)
    assert report.parts == ("softmax", "gradient")
    assert report.verdict == ("wrong" if id else "right"), str(report)
    assert not id or report.mistakes == [id]


def test_the_backward_of_a_log_softmax() -> None:
    class LogSoftmax:
        right = True

        def forward(self, z: Any) -> Any:
            self.a = softmax(z)
            m = z.max(axis=1, keepdims=True)
            return z - m - np.log(np.exp(z - m).sum(axis=1, keepdims=True))

        def backward(self, dout: Any) -> Any:
            total = dout.sum(axis=1, keepdims=True) if self.right else 1.0
            return dout - self.a * total

    report = check(LogSoftmax(), seed=SEED)
    assert (report.verdict, report.parts) == ("right", ("log_softmax", "gradient"))
    LogSoftmax.right = False
    assert check(LogSoftmax(), seed=SEED).mistakes == ["jacobian-sum-left-out"]


# --- results --------------------------------------------------------------------------------------


class Named(NamedTuple):
    accuracy: float
    cost: float


INPUT = plain_inputs(SEED)[0]
A = softmax(INPUT.z)
LOSS, GRADIENT = loss_of(A, INPUT.y), gradient_of(A, INPUT.y)
#: What may be returned, and its parts: those of `names` in the return statement, if any.
RETURNED: dict[str, tuple[Any, str, str]] = {
    "loss": (LOSS, "", "loss"),
    "a loss of size 1": (np.array([[LOSS]]), "", "loss"),
    "gradient": (GRADIENT, "", "gradient"),
    "loss, gradient": ((LOSS, GRADIENT), "", "loss gradient"),
    "gradient, loss": ((GRADIENT, LOSS), "", "gradient loss"),
    "loss, probabilities": ((LOSS, A), "", "loss softmax"),
    "probabilities, loss, gradient": ((A, LOSS, GRADIENT), "", "softmax loss gradient"),
    "loss, accuracy": ((LOSS, 0.25), "", "loss -"),
    "accuracy, loss": ((0.25, LOSS), "acc loss", "- loss"),
    "a wrong loss, accuracy": ((7.0, 0.25), "loss acc", "loss -"),
    "accuracy, a wrong loss": ((0.25, 7.0), "acc loss", "- loss"),
    "loss, other probabilities": ((LOSS, A[::-1]), "", "loss softmax"),
    "wrong gradient beside the softmax": ((LOSS, A, 3 * A - 1), "", "loss softmax gradient"),
    "dict": ({"grad": 5 * GRADIENT, "loss": 7.0}, "", "gradient loss"),
    "dict of dicts": ({"cache": {"probs": A}, "loss": LOSS}, "", "softmax loss"),
    "named tuple": (Named(0.25, 7.0), "", "- loss"),
}


@pytest.mark.parametrize("name", RETURNED)
def test_the_parts_of_what_was_returned(name: str) -> None:
    returned, names, parts = RETURNED[name]
    form = Form()
    got = parts_of(values_of(returned), form, INPUT, right_for(form, INPUT), names.split())
    assert " ".join(part or "-" for part in got) == parts


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "it returned None"),
        ("0.5", "it returned a str"),
        ((), "it returned a tuple"),
        (np.zeros((2, 3)), "it returned shape (2, 3)"),
        ((np.zeros(3), np.zeros(2)), "it returned shape (3,), shape (2,), none of which is a loss"),
    ],
)
def test_what_is_no_result(returned: Any, message: str) -> None:
    form = Form()
    with pytest.raises(ShapeError) as caught:
        parts_of(values_of(returned), form, INPUT, right_for(form, INPUT), ())
    assert str(caught.value).startswith(message)


# --- guards ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [1e-15, 1e-9, 3e-7, 1e-2])
def test_a_guard_is_found_from_the_loss_at_zero(epsilon: float) -> None:
    of_each: dict[str, Callable[[Any], Any]] = {
        "plus": lambda a: a + epsilon,
        "clip": lambda a: np.clip(a, epsilon, 1 - epsilon),
        "floor": lambda a: np.maximum(a, epsilon),
    }
    found = {one.family: one for one in guards_for(-np.log(epsilon))}
    assert {family: one.epsilon for family, one in found.items()} == dict.fromkeys(of_each, epsilon)
    a = np.array([0.0, 0.3, 1.0])
    for family, guarded in of_each.items():
        np.testing.assert_array_equal(found[family](a), guarded(a))


@pytest.mark.parametrize("loss", [None, np.nan, np.inf, 0.0, -1.0, 750.0, np.ones(2)])
def test_no_guard(loss: Any) -> None:
    assert guards_for(loss) == []


@pytest.mark.parametrize(
    ("change", "id", "text"),
    [
        (lambda a: a + 1e-9, "log-of-a-plus-epsilon", "log(a + 1e-09)"),
        (lambda a: np.clip(a, 1e-3, 1 - 1e-3), "clipped", "log of a clipped to 0.001 … 1 − 0.001"),
        # Where no probability is within ε of 1, that is the same as a clip.
        (lambda a: np.maximum(a, 1e-5), "clipped", "log of a clipped to 1e-05 … 1 − 1e-05"),
    ],
)
def test_a_loss_of_guarded_probabilities(change: Any, id: str, text: str) -> None:
    def loss(y_hat: Any, y: Any) -> Any:
        return loss_of(change(y_hat), y)

    report = check(loss, seed=SEED)
    assert (report.verdict, report.mistakes) == ("right", [id])
    assert f"yours: {text}" in str(report)

    def wrong(y_hat: Any, y: Any) -> Any:
        return -loss(y_hat, y)

    assert check(wrong, seed=SEED).verdict == "wrong"


def test_the_id_of_a_guard() -> None:
    assert [Guard(family, 0.1).mistake for family in ("plus", "clip", "floor")] == [
        "log-of-a-plus-epsilon",
        "clipped",
        "clipped",
    ]


# --- the gradient of a loss of probabilities ------------------------------------------------------


def by_the_logits(y_hat: Any, y: Any) -> Any:
    """The gradient of the layer before as well: a − onehot."""
    return loss_of(y_hat + 1e-9, y), gradient_of(y_hat, y)


def by_the_probabilities(y_hat: Any, y: Any) -> Any:
    q = np.eye(y_hat.shape[1])[y]
    return loss_of(y_hat, y), -q / y_hat / len(y)


@pytest.mark.parametrize("function", [by_the_logits, by_the_probabilities])
def test_the_gradient_of_a_loss_of_probabilities(function: Any) -> None:
    report = check(function, seed=SEED)
    assert (report.verdict, report.parts) == ("right", ("loss", "gradient")), str(report)

    def flipped(y_hat: Any, y: Any) -> Any:
        loss, gradient = function(y_hat, y)
        return loss, -gradient

    def scaled(y_hat: Any, y: Any) -> Any:
        loss, gradient = function(y_hat, y)
        return loss, 0.3 * gradient

    assert check(flipped, seed=SEED).verdict == "wrong"
    assert check(scaled, seed=SEED).verdict == "wrong"


def test_weights_in_a_dict() -> None:
    def with_params(params: Any, X: Any, y: Any) -> Any:
        z = X @ params["W"] + params["b"]
        m = z.max(axis=1, keepdims=True)
        return (np.log(np.exp(z - m).sum(axis=1)) + m[:, 0] - z[np.arange(len(y)), y]).mean()

    report = check(with_params)
    assert report.verdict == "right", str(report)
    assert 'params["W"]' in str(report.form)


@dataclass(frozen=True)
class Step:
    value: float
    dlogits: Any
    name: str = "step"


def test_results_and_parameters_in_other_containers() -> None:
    def in_a_dataclass(z: Any, y: Any) -> Any:
        a = softmax(z)
        return Step(loss_of(a, y), gradient_of(a, y))

    def in_a_pair(params: Any, X: Any, y: Any) -> Any:
        W, b = params
        return loss_of(softmax(X @ W + b), y)

    def in_a_list(params: Any, X: Any, y: Any) -> Any:
        for W, b in params:
            X = X @ W + b
        return loss_of(softmax(X), y)

    def along(z: Any, axis: int) -> Any:
        e = np.exp(z - z.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)

    report = check(in_a_dataclass)
    assert (report.verdict, report.parts) == ("right", ("loss", "gradient")), str(report)
    for function, form in ((in_a_pair, "f((W, b), X, y)"), (in_a_list, "f([(W, b)], X, y)")):
        report = check(function)
        assert report.verdict == "right", str(report)
        assert form in str(report.form)
    report = check(along)
    assert report.verdict == "right", str(report)
    assert str(report.form) == "f(z, axis) with z an array (N, C)"


def test_a_model_that_is_no_object_of_a_layer() -> None:
    """The error of the call is in the report."""

    def of_keys(model: Any, data: Any) -> Any:
        return model["W"] @ data

    assert "is not subscriptable" in str(check(of_keys).problem)


def test_a_slow_function_is_called_on_fewer_inputs() -> None:
    def quick(z: Any, y: Any) -> Any:
        m = z.max(axis=1, keepdims=True)
        return (np.log(np.exp(z - m).sum(axis=1)) + m[:, 0] - z[np.arange(len(y)), y]).mean()

    def slow(z: Any, y: Any) -> Any:
        deadline = time.thread_time() + 0.02
        while time.thread_time() < deadline:
            pass
        return quick(z, y)

    def beside_another(z: Any, y: Any) -> Any:
        """The threads of a framework wait in loops for the next call."""
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(slow, z, y)
            loss = quick(z, y)
            waiting.result()
        return loss

    report = check(beside_another)
    assert report.verdict == "right", str(report)
    assert report.notes == ()
    report = check(slow)
    assert report.verdict == "right", str(report)
    assert report.notes == ("it is slow: it was called on fewer and smaller inputs",)
    assert len(report.checks) < len(check(quick).checks)


def test_pytorch_has_one_thread() -> None:
    seen = []

    def with_torch(z: Any, y: Any) -> Any:
        seen.append(torch.get_num_threads())
        return torch.nn.functional.cross_entropy(z, y)

    before = torch.get_num_threads()
    assert check(with_torch).verdict == "right"
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


def test_a_softmax_with_an_axis_is_meant_for_a_batch() -> None:
    def over_the_batch(x: Any) -> Any:
        if len(x.shape) > 1:
            e = np.exp(x - x.max(axis=1, keepdims=True))
            return e / e.sum(axis=0, keepdims=True)
        e = np.exp(x - x.max())
        return e / e.sum()

    assert check(over_the_batch).mistakes == ["softmax-over-the-batch"]

    def one_example(x: Any) -> Any:
        e = np.exp(x - x.max())
        return e / e.sum()

    assert check(one_example).mistakes == ["one-example-only"]


class ThreeSteps:
    """forward gives the probabilities, loss is passed the labels, backward nothing."""

    def forward(self, z: Any) -> Any:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        self.p = e / e.sum(axis=1, keepdims=True)
        return self.p

    def loss(self, y: Any) -> Any:
        self.y = y
        return -np.log(self.p[np.arange(len(y)), y]).mean()

    def backward(self) -> Any:
        d = self.p.copy()
        d[np.arange(len(self.y)), self.y] -= 1
        return d / len(self.y)


def test_a_loss_in_three_steps() -> None:
    class AtThePrediction(ThreeSteps):
        def backward(self) -> Any:
            d = self.p.copy()
            d[np.arange(len(self.y)), self.p.argmax(axis=1)] -= 1
            return d / len(self.y)

    report = check(ThreeSteps)
    assert (report.verdict, report.parts) == ("right", ("loss", "gradient"))
    assert "forward(z), loss(y), backward()" in str(report.form)
    assert "one-at-the-prediction" in check(AtThePrediction).mistakes


def test_what_is_passed_and_returned_beside_logits_and_a_loss() -> None:
    def softmax(inputs: Any, training: Any) -> Any:
        assert training is True
        e = np.exp(inputs - inputs.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    assert check(softmax).verdict == "right"

    def loss_and_logits(z: Any, y: Any) -> Any:
        m = z.max(axis=1, keepdims=True)
        return z, (np.log(np.exp(z - m).sum(axis=1)) + m[:, 0] - z[np.arange(len(y)), y]).mean()

    report = check(loss_and_logits)
    assert (report.verdict, report.parts) == ("right", ("loss",)), str(report)

    def nll(x: Any, y: Any) -> Any:
        return -x[np.arange(len(y)), y].mean()

    assert "log-probabilities" in str(check(nll).form)

    def swapped(y_pred: Any, y_true: Any) -> Any:
        return -(y_pred * np.log(y_true + 1e-12)).sum(axis=1).mean()

    assert check(swapped).verdict == "wrong"
