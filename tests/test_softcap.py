"""Softcap and z_loss of `cross_entropy`, on arrays and tensors, against their definition."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

import softmaxloss
from softmaxloss import cross_entropy, cross_entropy_with_grad, formula, score
from softmaxloss.arrays import BFLOAT16, as_floats
from softmaxloss.kernels import softcap

torch = pytest.importorskip("torch")
from tests.tensors import close as close_tensors  # noqa: E402
from tests.without_kernels import use_formula  # noqa: E402
from truth.linear import Truth, close, truth  # noqa: E402

import softmaxloss.torch as on_tensors  # noqa: E402

Array = NDArray[Any]
ROWS, CLASSES = 9, 13
BOTH: dict[str, Any] = {"softcap": 2.0, "z_loss": 0.1}
OPTIONS: dict[str, dict[str, Any]] = {
    "softcap": {"softcap": 1.5},
    "z_loss": {"z_loss": 0.3},
    "z_loss of samples": {"z_loss": 0.3, "sample_weight": np.arange(ROWS) / 4},
    "z_loss of each": {"z_loss": 0.3, "reduction": "none"},
    "both": BOTH,
    "sum": {**BOTH, "reduction": "sum"},
    "none": {**BOTH, "reduction": "none"},
    "denominator": {**BOTH, "denominator": 5.0},
    "smoothing": {**BOTH, "label_smoothing": 0.2},
    "ignore a class": {**BOTH, "ignore_index": 3},
    "weights": {**BOTH, "weight": np.linspace(0.5, 2, CLASSES)},
    "sample weights": {**BOTH, "sample_weight": np.arange(ROWS) / 4},
    "one-based": {**BOTH, "first_class": 1, "label_smoothing": 0.1},
}
TARGETS = ["index", "ignored", "soft", "several"]


def arguments(name: str, kind: str = "index") -> tuple[Array, Array, dict[str, Any]]:
    options, rng = dict(OPTIONS[name]), np.random.default_rng(1)
    z = 3 * rng.normal(size=(ROWS, CLASSES))
    y: Array = rng.integers(CLASSES, size=ROWS)
    if kind == "ignored":
        y[[0, -2]] = options.get("ignore_index", -100)
    y = y + options.get("first_class", 0) * (y != -100)
    if kind in ("soft", "several"):
        y = rng.dirichlet(np.ones(CLASSES), ROWS)
        options |= {"first_class": 0, "ignore_index": -100}
    if kind == "several":
        y, options["multi_label"] = np.round(3 * y) + np.eye(CLASSES)[0], "mean"
    return z, y, options


def definition(z: Array, y: Array, upstream: Any = 1.0, **options: Any) -> Truth:
    """The loss and, as the gradient with respect to x, that with respect to the logits."""
    return truth(z, np.eye(z.shape[-1]), None, y, upstream, **options)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("few", [softcap.FEW, 20], ids=["one block", "blocks"])
def test_loss_and_gradient(name: str, kind: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softcap, "FEW", few)
    z, y, options = arguments(name, kind)
    upstream = np.linspace(-1, 2, ROWS) if name == "none" else -1.5
    want = definition(z, y, upstream, **options)
    loss, grad = cross_entropy_with_grad(z, y, **options, grad_output=upstream)
    close(loss, want.loss)
    close(grad, want.x)
    np.testing.assert_array_equal(cross_entropy(z, y, **options), loss)


@pytest.mark.parametrize("name", ["softcap", "z_loss", "both", "smoothing"])
def test_the_formula(name: str) -> None:
    """Of one example; its differences are the gradient."""
    z, y, options = arguments(name)
    cap, factor = options.get("softcap"), options.get("z_loss", 0.0)

    def loss(z: Array) -> float:
        u = z if cap is None else formula.softcapped(z, cap)
        smoothing = options.get("label_smoothing", 0.0)
        J = formula.cross_entropy(u, int(y[0]), label_smoothing=smoothing)
        return J + formula.z_loss(u, factor)

    got, grad = cross_entropy_with_grad(z[0], y[0], **options)
    assert got == pytest.approx(loss(z[0]), rel=1e-14)
    steps = 1e-6 * np.eye(CLASSES)
    differences = [(loss(z[0] + h) - loss(z[0] - h)) / 2e-6 for h in steps]
    np.testing.assert_allclose(grad, differences, rtol=0, atol=1e-8)


@pytest.mark.parametrize("operations", [False, True])
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("name", OPTIONS)
def test_tensors(name: str, kind: str, operations: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if operations:
        use_formula(monkeypatch)
    z, y, options = arguments(name, kind)
    upstream = np.linspace(-1, 2, ROWS) if name == "none" else -1.5
    want = definition(z, y, upstream, **options)
    x = torch.tensor(z, requires_grad=True)
    given = {n: torch.as_tensor(v) if "weight" in n else v for n, v in options.items()}
    loss = cross_entropy(x, torch.tensor(y), **given)
    loss.backward(torch.as_tensor(upstream, dtype=torch.float64).expand(loss.shape))
    close(loss.detach(), want.loss)
    close(x.grad, want.x)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_narrow_logits_are_computed_in_float32(dtype: str) -> None:
    """A capped logit is rounded to float32, which changes a probability by its size times eps."""
    z, y, options = arguments("smoothing", "ignored")
    x = torch.tensor(z).to(getattr(torch, dtype)).requires_grad_()
    want = definition(x.detach().double().numpy(), y, **options)
    loss = cross_entropy(x, torch.tensor(y), **options)
    loss.backward()
    assert loss.dtype is torch.float32
    close(loss.detach(), want.loss, 2.0**-24)
    close(x.grad.double(), want.x, 2.0**-24 if dtype == "float32" else 2.0**-12, ops=20)
    bits = x.detach().view(torch.int16).numpy().view(BFLOAT16) if dtype == "bfloat16" else None
    array = x.detach().numpy() if bits is None else bits
    got, grad = cross_entropy_with_grad(array, y, **options)
    assert got == loss.detach().numpy()
    np.testing.assert_array_equal(as_floats(grad).astype(float), x.grad.double().numpy())


@pytest.mark.parametrize("name", ["weights", "z_loss"])
def test_logits_in_any_layout_and_in_place(name: str) -> None:
    z, y, options = arguments(name, "ignored")
    want = cross_entropy_with_grad(z, y, **options)
    images = np.ascontiguousarray(z[:8].reshape(2, 2, 2, CLASSES).transpose(0, 3, 1, 2))
    got = cross_entropy_with_grad(images, y[:8].reshape(2, 2, 2), **options)
    few = cross_entropy_with_grad(z[:8], y[:8], **options)
    assert got[0] == few[0]
    np.testing.assert_array_equal(got[1].transpose(0, 2, 3, 1).reshape(8, CLASSES), few[1])
    for other in (np.asfortranarray(z), z[::-1].copy()[::-1]):
        loss, grad = cross_entropy_with_grad(other, y, **options)
        assert loss == want[0]
        np.testing.assert_array_equal(grad, want[1])
    out = z.copy()
    loss, grad = cross_entropy_with_grad(out, y, **options, out=out)
    assert grad is out
    np.testing.assert_array_equal(grad, want[1])
    one = cross_entropy_with_grad(z[1], y[1], **options)
    np.testing.assert_array_equal(one[1], cross_entropy_with_grad(z[1:2], y[1:2], **options)[1][0])


def test_a_large_z_loss_takes_no_digits_from_the_true_class() -> None:
    """Its entry is a_y·(1 + 2·λ·L) − 1, where λ·L may be large and a_y small or close to 1."""
    z = np.array([[300.7, 283.1, 270.3], [283.1, 300.7, 270.3], [3.3, 300.7, 270.3]], np.float32)
    with mpmath.workdps(60):
        want = []
        for row in z.tolist():
            L = mpmath.log(sum(mpmath.exp(v) for v in row))
            a = [mpmath.exp(v - L) for v in row]
            want.append([float(a_n * (1 + 2 * 5 * L) - (n == 0)) for n, a_n in enumerate(a)])
    _, grad = cross_entropy_with_grad(z, np.zeros(3, int), z_loss=5.0, reduction="sum")
    np.testing.assert_allclose(grad, want, rtol=1e-6)


@pytest.mark.parametrize("operations", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_do_not_count_are_not_read(
    bad: float, operations: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if operations:
        use_formula(monkeypatch)
    z, y, _ = arguments("both")
    y[0], s = -100, np.ones(ROWS)
    s[1] = 0
    want = cross_entropy_with_grad(z, y, sample_weight=s, **BOTH)
    z[:2, 3] = bad
    x = torch.tensor(z, requires_grad=True)
    loss = cross_entropy(x, torch.tensor(y), sample_weight=torch.tensor(s), **BOTH)
    loss.backward()
    close(loss.detach(), want[0])
    close(x.grad, want[1])
    assert not x.grad[:2].any()
    array = cross_entropy_with_grad(z, y, sample_weight=s, **BOTH)
    np.testing.assert_array_equal(array[1], want[1])


@pytest.mark.parametrize("operations", [False, True])
def test_infinite_logits(operations: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A softcap makes ±inf ±s, with derivative 0. A NaN stays one, of its row alone."""
    if operations:
        use_formula(monkeypatch)
    z, y, _ = arguments("both")
    z[0, 1], z[1, 2], z[2, 3] = -np.inf, np.inf, np.nan
    capped = np.clip(z, -1e9, 1e9)
    want = definition(capped, y, np.ones(ROWS), **BOTH, reduction="none")
    x = torch.tensor(z, requires_grad=True)
    losses = cross_entropy(x, torch.tensor(y), reduction="none", **BOTH)
    losses.sum().backward()
    rest = np.arange(ROWS) != 2
    close(losses.detach()[rest], want.loss[rest])
    close(x.grad[rest], want.x[rest])
    assert losses[2].isnan()
    assert x.grad[2].isnan().all()
    assert x.grad[0, 1] == x.grad[1, 2] == 0


@pytest.mark.parametrize("of_tensors", [False, True])
@pytest.mark.parametrize("name", ["softcap", "z_loss", "both", "sample weights"])
def test_scores(name: str, of_tensors: bool) -> None:
    z, y, options = arguments(name, "ignored")
    options.pop("reduction", None)
    give = torch.tensor if of_tensors else np.array
    given = {n: give(v) if "weight" in n else v for n, v in options.items()}
    got = [np.asarray(values) for values in score(give(z), give(y), **given)]
    cap = options.pop("softcap", None)
    u = z if cap is None else cap * np.tanh(z / cap)
    options.pop("z_loss", None)
    plain = score(u, y, **options)
    losses = definition(z, y, np.ones(ROWS), **OPTIONS[name], reduction="none").loss
    close(got[0], losses)
    for mine, other in zip(got[1:], plain[1:], strict=True):
        close(mine, other)


@pytest.mark.parametrize("of_tensors", [False, True])
@pytest.mark.parametrize(
    "name", ["both", "sum", "none", "denominator", "sample weights", "weights"]
)
def test_the_z_loss_apart(name: str, of_tensors: bool) -> None:
    z, y, options = arguments(name, "ignored")
    give = torch.tensor if of_tensors else np.array
    given = {n: give(v) if "weight" in n else v for n, v in options.items()}
    loss, part = cross_entropy(give(z), give(y), **given, return_z_loss=True)
    close(loss, definition(z, y, **options).loss)
    close(
        part, definition(z, y, **options).loss - definition(z, y, **{**options, "z_loss": 0}).loss
    )
    _, nothing = cross_entropy(give(z), give(y), return_z_loss=True)
    assert nothing == 0


def test_the_z_loss_apart_where_the_loss_overwrites_the_logits() -> None:
    z, y, _ = arguments("both")
    want = cross_entropy(z, y, **BOTH, return_z_loss=True)
    x = torch.tensor(z, requires_grad=True)
    loss, part = on_tensors.cross_entropy(
        x * 1, torch.tensor(y), **BOTH, inplace=True, return_z_loss=True
    )
    assert not part.requires_grad
    loss.backward()
    close(loss.detach(), want[0])
    close(part, want[1])
    close(x.grad, definition(z, y, **BOTH).x)


@pytest.mark.parametrize("name", ["softcap", "z_loss", "smoothing", "none"])
def test_every_kind_of_derivative(name: str) -> None:
    z, y, options = arguments(name, "ignored")
    x, labels = torch.tensor(z[:4, :6], requires_grad=True), torch.tensor(y[:4].clip(max=5))

    def loss(x: Any) -> Any:
        return on_tensors.cross_entropy(x, labels, **options)

    assert torch.autograd.gradcheck(loss, x, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(loss, x)
    close_tensors(torch.func.jacrev(loss)(x.detach()), torch.func.jacfwd(loss)(x.detach()))


def test_compiled() -> None:
    z, y, _ = arguments("both", "ignored")
    x, labels = torch.tensor(z, requires_grad=True), torch.tensor(y)

    def loss(x: Any, n: Any) -> Any:
        return on_tensors.cross_entropy(2 * x, labels, denominator=n, return_z_loss=True, **BOTH)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    results = []
    for function in (loss, compiled):
        value, part = function(x, torch.tensor(4))
        results.append((value.detach(), part, torch.autograd.grad(value, x)[0]))
    close_tensors(results[1], results[0])


def test_the_modules() -> None:
    z, y, _ = arguments("both")
    module = on_tensors.CrossEntropyLoss(**BOTH)
    assert (module.z_loss, module.softcap) == (0.1, 2.0)
    assert repr(module) == "CrossEntropyLoss(z_loss=0.1, softcap=2.0)"
    close(module(torch.tensor(z), torch.tensor(y)), definition(z, y, **BOTH).loss)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"z_loss": -1}, ValueError, "z_loss must be a number ≥ 0, got -1"),
        ({"z_loss": "x"}, TypeError, "z_loss must be a number ≥ 0, got 'x'"),
        ({"softcap": 0}, ValueError, "softcap must be a number in [1e-30, 1e30] or None, got 0"),
    ],
)
def test_wrong_values(options: dict[str, Any], error: type[Exception], message: str) -> None:
    for function in (cross_entropy, cross_entropy_with_grad, score):
        with pytest.raises(error) as caught:
            function([0.0, 1.0], 0, **options)
        assert str(caught.value) == message


def test_the_linear_loss_has_the_same_bits() -> None:
    """Of the same logits: one feature for each class, and a weight of ones and zeros."""
    z, y, _ = arguments("both")
    want = cross_entropy_with_grad(z, y, **BOTH, label_smoothing=0.1)
    loss, grads = softmaxloss.linear_cross_entropy_with_grad(
        z, np.eye(CLASSES), y, **BOTH, label_smoothing=0.1
    )
    assert loss == want[0]
    close(grads.input, want[1])
