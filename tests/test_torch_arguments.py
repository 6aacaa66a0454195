"""The arguments of the losses on tensors: what is valid, and one line for what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.without_kernels import use_formula

import softmaxloss

torch = pytest.importorskip("torch")

from tests.tensors import close, example  # noqa: E402
from torch.fx.experimental.proxy_tensor import FakeTensorMode  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812
from torch.utils.checkpoint import checkpoint  # noqa: E402

from softmaxloss.torch import (  # noqa: E402
    CrossEntropyLoss,
    LinearCrossEntropyLoss,
    cross_entropy,
    cross_entropy_with_grad,
    linear_cross_entropy,
    score,
)

# torch.compile takes seconds to load: the tests that need it run in one process.
compiles = pytest.mark.xdist_group("compile")


def test_out_tells_autograd() -> None:
    x, y = example()
    z = x * 2
    square = z**2
    softmaxloss.cross_entropy_with_grad(z.detach(), y, out=z.detach())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.sum().backward()
    with pytest.raises(softmaxloss.OptionError, match="out must be memory to write to"):
        softmaxloss.cross_entropy_with_grad(z, y, out=x)
    with pytest.raises(TypeError, match="out must be a tensor"):
        softmaxloss.cross_entropy_with_grad(z, y, out=np.empty((6, 5)))


@pytest.mark.parametrize(
    "convert",
    [
        lambda y: y.numpy()[::-1].copy()[::-1],
        lambda y: y.numpy().astype(">i8"),
        lambda y: y.tolist(),
    ],
    ids=["reversed array", "byte-swapped array", "list"],
)
def test_labels_that_are_no_tensor(convert: Callable[[Any], Any]) -> None:
    z, y = example()
    close(cross_entropy(z, convert(y)), F.cross_entropy(z, y))


def test_labels_in_an_array_may_change_after_the_call() -> None:
    z, y = example()
    labels = y.numpy().copy()
    loss = cross_entropy(z, labels) / 2
    labels[:] = 0
    close(torch.autograd.grad(loss, z), torch.autograd.grad(F.cross_entropy(z, y) / 2, z))


@pytest.mark.parametrize("bad", [None, "cat", [2**70] * 6])
def test_a_target_must_be_numbers(bad: Any) -> None:
    with pytest.raises(TypeError, match="target must be numbers"):
        cross_entropy(example()[0], bad)


def test_weights_and_upstream_gradients_must_be_real() -> None:
    z, y = example()
    with pytest.raises(TypeError, match="weight must be 5 real numbers"):
        cross_entropy(z, y, torch.ones(5) + 5j)
    with pytest.raises(TypeError, match="grad_output must be real numbers"):
        softmaxloss.cross_entropy_with_grad(z, y, grad_output=1j)


class Mine(torch.Tensor):
    pass


def test_a_subclass_is_named() -> None:
    z, y = example()
    for arguments in ((z.detach().as_subclass(Mine), y), (z, y.as_subclass(Mine))):
        with pytest.raises(
            TypeError, match=r"^cross_entropy_with_grad takes .* subclass, got Mine"
        ):
            cross_entropy_with_grad(*arguments)
        assert isinstance(score(*arguments).loss, torch.Tensor)


@pytest.mark.parametrize("grad", [False, True])
def test_sparse_tensors_and_dtypes_without_arrays(grad: bool) -> None:
    z, y = example()
    z, q = z.detach().float().requires_grad_(grad), torch.softmax(z.detach().float(), 1)
    bad: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("target: layout torch.sparse_coo", (z, q.to_sparse()), {}),
        ("weight: layout torch.sparse_coo", (z, y, torch.ones(5).to_sparse()), {}),
        ("sample_weight: layout", (z, y), {"sample_weight": torch.ones(6).to_sparse()}),
        ("target: dtype torch.float8_e4m3fn", (z, q.to(torch.float8_e4m3fn)), {}),
        ("logits: dtype torch.float8_e5m2", (q.to(torch.float8_e5m2), y), {}),
    ]
    for message, arguments, options in bad:
        for function in (cross_entropy, cross_entropy_with_grad):
            with pytest.raises(TypeError, match=f"^{message}.* not supported"):
                function(*arguments, **options)
    for target, message in ((q.to_sparse(), "layout"), (q.to(torch.float8_e4m3fn), "dtype")):
        with pytest.raises(TypeError, match=f"^target: {message}"):
            softmaxloss.linear_cross_entropy(z, torch.ones(5, 5), target)


def test_only_logits_and_target_are_positional_in_a_module() -> None:
    z, y = example()
    for module in (CrossEntropyLoss(), LinearCrossEntropyLoss(5, 7)):
        with pytest.raises(TypeError, match="takes 3 positional arguments but 4 were given"):
            module(z.float(), y, torch.ones(6))


@compiles
def test_a_misspelled_option_in_a_graph() -> None:
    z, y = example()

    def misspelled(z: Any, y: Any) -> Any:
        return cross_entropy(z, y, reducton="sum")  # type: ignore[call-arg]

    with pytest.raises(TypeError, match="no argument 'reducton'; did you mean 'reduction'"):
        torch.compile(misspelled, backend="eager")(z, y)
    torch._dynamo.reset()
    # With fullgraph=True every error in a graph becomes one of torch.compile's, which quotes it.
    with pytest.raises(RuntimeError, match=r"TypeError.*no argument 'reducton'"):
        torch.compile(misspelled, backend="eager", fullgraph=True)(z, y)


def test_tensors_on_two_devices() -> None:
    z, y = example()
    message = "target is on meta, the logits are on cpu: move one of them"
    with pytest.raises(softmaxloss.OptionError, match=message):
        cross_entropy(z, y.to("meta"))
    with pytest.raises(softmaxloss.OptionError, match="weight is on meta"):
        cross_entropy(z, y, torch.ones(5, device="meta"))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32])
def test_labels_of_every_integer_dtype(dtype: Any) -> None:
    z, y = example()
    close(cross_entropy(z, y.to(dtype)), F.cross_entropy(z, y))
    same = y[:1].expand(6)
    close(cross_entropy(z, same.to(dtype)), F.cross_entropy(z, same))


DENOMINATORS = [
    (torch.tensor([2.0, 3.0]), "denominator must be one real number"),
    (torch.tensor(2.0, requires_grad=True), "gets no gradient"),
    (torch.tensor(0.0), "denominator must be positive"),
    (torch.tensor(True), "denominator must be a positive number"),
    (0, "denominator must be positive"),
]


@pytest.mark.parametrize(("denominator", "says"), DENOMINATORS)
@pytest.mark.parametrize(
    "function",
    [
        cross_entropy,
        softmaxloss.cross_entropy_with_grad,
        lambda z, y, **options: linear_cross_entropy(z, torch.rand(5, 5).double(), y, **options),
    ],
    ids=["cross_entropy", "cross_entropy_with_grad", "linear_cross_entropy"],
)
def test_wrong_denominators(function: Callable[..., Any], denominator: Any, says: str) -> None:
    z, y = example()
    with pytest.raises((softmaxloss.OptionError, TypeError), match=says):
        function(z, y, denominator=denominator)


@compiles
@pytest.mark.parametrize("denominator", [denominator for denominator, _ in DENOMINATORS], ids=str)
def test_wrong_denominators_compiled(denominator: Any) -> None:
    z, y = example()
    torch._dynamo.reset()  # with nothing compiled before, no call falls back to eager mode
    compiled = torch.compile(cross_entropy, backend="aot_eager")
    with pytest.raises((softmaxloss.OptionError, TypeError, RuntimeError), match="denominator"):
        compiled(z, y, denominator=denominator)


def test_a_tensor_as_denominator() -> None:
    z, y = example()
    want = F.cross_entropy(z, y, reduction="sum") / 4
    close(cross_entropy(z, y, denominator=torch.tensor([4])), want)
    got, grad = softmaxloss.cross_entropy_with_grad(z, y, denominator=torch.tensor(4))
    close(got, want.detach())
    close(grad, torch.autograd.grad(want, z)[0])


@compiles
def test_compiled_with_labels_that_are_no_tensor() -> None:
    torch._dynamo.reset()
    z, y = example()
    compiled = torch.compile(cross_entropy, fullgraph=True, backend="aot_eager")
    close(compiled(z, y.tolist()), F.cross_entropy(z, y))
    close(compiled(z[0], 3), F.cross_entropy(z[0], torch.tensor(3)))


@pytest.mark.parametrize("device_has_kernel", [True, False])
def test_an_out_that_does_not_fit(device_has_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not device_has_kernel:
        use_formula(monkeypatch)
    z, y = example()
    for out in (torch.empty(6, 4).double(), torch.empty(6, 5), torch.empty(6, 5, device="meta")):
        version = out._version
        with pytest.raises(softmaxloss.OptionError, match="the gradient needs shape"):
            softmaxloss.cross_entropy_with_grad(z, y, out=out)
        assert out._version == version
    with pytest.raises(softmaxloss.OptionError, match="grad_output has shape"):
        softmaxloss.cross_entropy_with_grad(z, y, grad_output=torch.ones(6))


def test_tensors_without_numbers_are_refused() -> None:
    z, y = example()
    z, function = z.detach(), softmaxloss.cross_entropy_with_grad
    says = "cross_entropy_with_grad computes at once"
    with pytest.raises(TypeError, match=says):
        torch.func.vmap(function)(z, y)
    with pytest.raises(TypeError, match=says):
        torch.jit.trace(function, (z, y), check_trace=False)
    with FakeTensorMode() as mode, pytest.raises(TypeError, match=says):
        function(mode.from_tensor(z), mode.from_tensor(y))


def test_sparse_logits() -> None:
    with pytest.raises(TypeError, match=r"^logits: layout torch.sparse_coo is not supported"):
        cross_entropy(torch.zeros(6, 5).to_sparse(), example()[1])


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged], ids=str)
def test_nested_tensors(layout: Any) -> None:
    parts = [torch.randn(2, 5), torch.randn(3, 5)], [torch.tensor([0, 1]), torch.tensor([4, 2, 0])]
    nested, labels = (torch.nested.nested_tensor(part, layout=layout) for part in parts)
    z, y = (torch.cat(part) for part in parts)
    W, says = torch.zeros(7, 5), "nested tensors are not supported; pass the rows of all as one"
    for function in (cross_entropy, cross_entropy_with_grad, score, softmaxloss.torch.softmax):
        with pytest.raises(TypeError, match=f"^logits: {says}"):
            function(nested, labels if function is not softmaxloss.torch.softmax else 1)
    for function in (cross_entropy, cross_entropy_with_grad, score):
        with pytest.raises(TypeError, match=f"^target: {says}"):
            function(z, labels)
    for name, arguments in {"input": (nested, W, y), "target": (z, W, labels)}.items():
        with pytest.raises(TypeError, match=f"^{name}: {says}"):
            linear_cross_entropy(*arguments)
    if layout is torch.strided:  # what the message says
        close(
            cross_entropy(torch.cat(nested.unbind()), torch.cat(labels.unbind())),
            F.cross_entropy(z, y),
        )


def test_a_negated_view_beside_soft_targets_that_require_a_gradient() -> None:
    z, _ = example()
    q = torch.softmax(torch.randn(6, 5, dtype=torch.float64), 1).requires_grad_()
    negated = torch.conj(torch.complex(z, -z)).imag
    assert negated.is_neg()
    got, want = cross_entropy(negated, q), F.cross_entropy(z, q)
    close(got, want)
    for mine, other in zip(
        *(torch.autograd.grad(loss, (z, q)) for loss in (got, want)), strict=True
    ):
        close(mine, other)


def test_symbolic_traces() -> None:
    z, y = example(torch.float32)
    graph = torch.fx.symbolic_trace(CrossEntropyLoss(reduction="sum"))
    close(graph(z, y), F.cross_entropy(z, y, reduction="sum"))
    layer = LinearCrossEntropyLoss(5, 7)
    close(torch.fx.symbolic_trace(layer)(z, y), layer(z, y))


def test_checkpointing_sees_everything_that_is_kept() -> None:
    """Between the passes nothing of the size of the logits is kept except the logits."""
    z, y = example()
    layer = torch.rand(7, 5).double().requires_grad_()

    def losses(z: Any) -> Any:
        return cross_entropy(z * 2, y) + linear_cross_entropy(z, layer, y)

    want = torch.autograd.grad(losses(z), (z, layer))
    got = checkpoint(losses, z, use_reentrant=False)
    close(torch.autograd.grad(got, (z, layer)), want)
    packed: list[Any] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        loss = cross_entropy(z, y)
        linear = linear_cross_entropy(z, layer, y)
    assert any(t.data_ptr() == z.data_ptr() for t in packed)
    assert getattr(loss.grad_fn, "grad", None) is None
    assert getattr(linear.grad_fn, "kept", None) is None
    close(
        torch.autograd.grad(loss + linear, z)[0],
        torch.autograd.grad(cross_entropy(z, y) + linear_cross_entropy(z, layer, y), z)[0],
    )


@pytest.mark.parametrize("jacobian", [torch.func.jacfwd, torch.func.jacrev])
def test_the_jacobian_is_0_where_every_row_is_ignored(jacobian: Callable[..., Any]) -> None:
    z, y = example()
    z, y = z.detach(), torch.full_like(y, -100)
    assert not jacobian(lambda z: cross_entropy(z, y))(z).any()


def test_a_memory_budget_may_be_a_float() -> None:
    z, y = example()
    W = torch.rand(7, 5).double()
    close(linear_cross_entropy(z, W, y, memory_budget=64e6), linear_cross_entropy(z, W, y))


@pytest.mark.parametrize("module", [CrossEntropyLoss, LinearCrossEntropyLoss])
def test_a_subclass_of_a_module(module: Any) -> None:
    class Mine(module):  # type: ignore[misc]
        def __init__(self, *sizes: int) -> None:
            super().__init__(*sizes, label_smoothing=0.1)

    sizes = (5, 7) if module is LinearCrossEntropyLoss else ()
    z, y = example()
    torch.manual_seed(0)
    mine = Mine(*sizes)
    torch.manual_seed(0)
    close(mine(z.float(), y), module(*sizes, label_smoothing=0.1)(z.float(), y))


@pytest.mark.parametrize("module", [CrossEntropyLoss, LinearCrossEntropyLoss])
def test_a_module_takes_the_denominator_in_the_call_only(module: Any) -> None:
    sizes = (5, 7) if module is LinearCrossEntropyLoss else ()
    with pytest.raises(TypeError, match="denominator is an argument of the call"):
        module(*sizes, denominator=3)
    with pytest.raises(TypeError, match="there is no argument 'reducton'; did you mean"):
        module(*sizes, reducton="sum")


@pytest.mark.parametrize(
    ("name", "value"),
    [("ignore_index", -100.0), ("label_smoothing", False), ("first_class", False)],
)
def test_attributes_of_a_module_are_checked_in_the_call(name: str, value: Any) -> None:
    module = CrossEntropyLoss()
    setattr(module, name, value)
    with pytest.raises(TypeError, match=name):
        module(*example())


@compiles
@pytest.mark.parametrize("denominator", [4, torch.tensor(4)], ids=str)
def test_gradients_with_a_denominator_in_a_graph_that_breaks(denominator: Any) -> None:
    z, y = example()
    W = torch.rand(7, 5).double()

    def call() -> Any:
        return softmaxloss.linear_cross_entropy_with_grad(z, W, y, denominator=denominator)

    want, got = call(), torch.compile(call, backend="eager")()
    close(got[0], want[0])
    close(got[1].linear_weight, want[1].linear_weight)


@pytest.mark.parametrize("upstream", [1j, torch.tensor(True), "x"], ids=str)
def test_an_upstream_gradient_that_is_no_real_number(upstream: Any) -> None:
    z, y = example()
    W = torch.rand(7, 5).double()
    with pytest.raises(TypeError, match="grad_output"):
        softmaxloss.linear_cross_entropy_with_grad(z, W, y, grad_output=upstream)
