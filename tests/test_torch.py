"""The loss on tensors with the tools of PyTorch: autograd of every kind, torch.compile, vmap.

The numbers for every input are in test_torch_semantics.py.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import softmaxloss

torch = pytest.importorskip("torch")

from tests.tensors import OPTIONS, close, example, name_of  # noqa: E402
from tests.without_kernels import on_kernel  # noqa: E402
from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from softmaxloss.torch import CrossEntropyLoss, cross_entropy, engine  # noqa: E402

__all__ = ["on_kernel"]

# torch.compile takes seconds to load: the tests that need it run in one process.
compiles = pytest.mark.xdist_group("compile")


# --- derivatives ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("on_kernel")
@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
@pytest.mark.parametrize("soft", [False, True])
def test_numerical_derivatives(options: dict[str, Any], soft: bool) -> None:
    """Two rows: the time of the second derivatives grows with the square of the entries."""
    z, _ = example(rows=2)
    y = torch.tensor([2, 0])
    if soft:
        y = torch.softmax(torch.randn(2, 5, dtype=torch.float64), 1)
        options = {name: value for name, value in options.items() if name != "ignore_index"}
    assert torch.autograd.gradcheck(
        lambda z: cross_entropy(z, y, **options),
        z,
        check_batched_grad=True,
        check_forward_ad=True,
    )
    assert torch.autograd.gradgradcheck(lambda z: cross_entropy(z, y, **options), z)


@pytest.mark.parametrize("options", OPTIONS[:5], ids=name_of)
def test_derivatives_with_respect_to_soft_targets_and_weights(options: dict[str, Any]) -> None:
    z, _ = example()
    q = torch.rand(6, 5, dtype=torch.float64, requires_grad=True)
    w = torch.rand(5, dtype=torch.float64, requires_grad=True)
    options = {**options, "weight": w}
    ours = cross_entropy(z, q, **options, multi_label="sum").sum()
    theirs = F.cross_entropy(z, q, **options).sum()
    for got, want in zip(
        torch.autograd.grad(ours, (z, q, w)), torch.autograd.grad(theirs, (z, q, w)), strict=True
    ):
        close(got, want)
    assert torch.autograd.gradcheck(
        lambda q: cross_entropy(z.detach(), q, **{**options, "weight": None}, multi_label="mean"), q
    )


def test_derivatives_with_respect_to_weights_of_0() -> None:
    z, y = example()
    w = torch.tensor([0.0, 1, 2, 0, 3], dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(cross_entropy(z, y, w, reduction="sum"), w)
    want = torch.zeros(5).double().index_add(0, y, F.cross_entropy(z, y, reduction="none"))
    close(grad, want)


def test_hessians() -> None:
    z, y = example(rows=3)
    want = torch.autograd.functional.hessian(lambda z: F.cross_entropy(z, y), z)
    close(torch.autograd.functional.hessian(lambda z: cross_entropy(z, y), z), want)
    close(torch.autograd.functional.hessian(lambda z: cross_entropy(z, y), z, vectorize=True), want)
    close(torch.func.hessian(lambda z: cross_entropy(z, y))(z.detach()), want)


TRANSFORMS: dict[str, Callable[..., Any]] = {
    "grad": lambda f, z, y: torch.func.grad(f)(z, y),
    "vmap of grad": lambda f, z, y: torch.func.vmap(torch.func.grad(f))(z, y),
    "vmap": lambda f, z, y: torch.func.vmap(f)(z, y),
    "vmap over another axis": lambda f, z, y: torch.func.vmap(f, in_dims=(1, None))(
        z.expand(3, 6, 5).movedim(0, 1), y
    ),
    "jacfwd": lambda f, z, y: torch.func.jacfwd(lambda z: f(z, y))(z),
    "jacrev": lambda f, z, y: torch.func.jacrev(lambda z: f(z, y, reduction="none"))(z),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_functional_transforms(transform: str) -> None:
    z, y = example()
    z = z.detach()
    close(TRANSFORMS[transform](cross_entropy, z, y), TRANSFORMS[transform](F.cross_entropy, z, y))


def test_functional_transforms_check_labels() -> None:
    z = example()[0].detach()
    bad = torch.tensor([0, 1, 2, 3, 4, 5])
    with pytest.raises(softmaxloss.LabelError, match="the label of row 5 is 5, outside"):
        torch.func.vmap(torch.func.grad(cross_entropy))(z, bad)
    with pytest.raises(softmaxloss.LabelError, match="target has shape"):
        torch.func.vmap(cross_entropy)(torch.randn(5, 3, 4), torch.zeros(5, 1, dtype=torch.int64))


@pytest.mark.usefixtures("on_kernel")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("kind", ["number", "minus", "zero", "rows", "expanded", "strided"])
def test_any_upstream_gradient(kind: str, reduction: Any) -> None:
    z, y = example()
    loss, theirs = (
        cross_entropy(z, y, reduction=reduction),
        F.cross_entropy(z, y, reduction=reduction),
    )
    upstream = {
        "number": torch.tensor(2.5).double().expand(loss.shape),
        "minus": torch.full(loss.shape, -1.0).double(),
        "zero": torch.zeros(loss.shape).double(),
        "rows": torch.rand(loss.shape).double(),
        "expanded": torch.rand(()).double().expand(loss.shape),
        "strided": torch.rand((*loss.shape, 2)).double()[..., 0],
    }[kind]
    close(torch.autograd.grad(loss, z, upstream), torch.autograd.grad(theirs, z, upstream))


def test_a_second_backward_pass() -> None:
    """The gradient of the first pass is the caller's, who may change it."""
    z, y = example()
    want = torch.autograd.grad(F.cross_entropy(z, y), z)[0]
    loss = cross_entropy(z, y)
    loss.backward(retain_graph=True)
    close(z.grad, want)
    z.grad.zero_()
    (2 * loss).backward(retain_graph=True)
    close(z.grad, 2 * want)
    loss.backward()
    close(z.grad, 3 * want)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_logits_changed_after_the_loss() -> None:
    """They may change, as with PyTorch's own loss, until a pass needs them again."""
    w = torch.ones(6, 5, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 1, 2, 3, 4, 0])
    z = w * 2
    loss = cross_entropy(z, y)
    z.detach().zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        (2 * loss).backward(retain_graph=True)
    z = w * 2
    loss = cross_entropy(z, y)
    z.detach().zero_()
    loss.backward()  # needs no logits
    close(w.grad, torch.autograd.grad(F.cross_entropy(w * 2, y), w)[0])


def test_the_gradient_is_computed_once_and_only_when_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    compute = engine._directly

    def counted(*arguments: Any) -> Any:
        if arguments[-1] is not None:
            made.append(1)
        return compute(*arguments)

    monkeypatch.setattr(engine, "_directly", counted)
    z, y = example()
    with torch.no_grad():
        cross_entropy(z, y)
    cross_entropy(z.detach(), y)
    assert not made
    cross_entropy(z, y).backward()
    assert len(made) == 1
    cross_entropy(z, y, reduction="none").sum().backward()
    assert len(made) == 2


def test_hooks_and_tied_weights() -> None:
    torch.manual_seed(0)
    seen = []
    embedding = torch.nn.Embedding(7, 3).double()
    tokens = torch.randint(7, (2, 5))

    def gradient(loss: Callable[..., Any]) -> Any:
        hidden = embedding(tokens[:, :-1])
        logits = hidden @ embedding.weight.T
        logits.register_hook(lambda grad: seen.append(grad.clone()))
        return torch.autograd.grad(
            loss(logits.movedim(-1, 1), tokens[:, 1:], reduction="sum"), embedding.weight
        )[0]

    close(gradient(cross_entropy), gradient(F.cross_entropy))
    close(seen[0], seen[1])


def test_autocast() -> None:
    layer = torch.nn.Linear(8, 5)
    x, (_, y) = torch.randn(6, 8), example()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = layer(x)
        loss = cross_entropy(logits, y)
    assert (logits.dtype, loss.dtype) == (torch.bfloat16, torch.float32)
    want = F.cross_entropy(logits.float(), y)
    close(loss, want)
    grad, want_grad = (
        torch.autograd.grad(a, layer.weight, retain_graph=True)[0] for a in (loss, want)
    )
    close(grad, want_grad, rtol=2**-7, atol=1e-4)


def test_loss_scaling_saves_small_gradients() -> None:
    """Entries below the least float16 are not lost when the loss is scaled up."""
    z = torch.zeros(1000, 4000, dtype=torch.float16)
    z[:, 0] = 10
    z.requires_grad_()
    y = torch.zeros(1000, dtype=torch.int64)
    (cross_entropy(z, y) * 65536).backward()
    want = torch.softmax(z.detach().double(), 1)[0, 1] / 1000 * 65536
    assert 1e-7 > want / 65536 > 0
    close(z.grad[0, 1].double(), want, rtol=2**-11, atol=0)


def test_accumulated_over_unequal_micro_batches() -> None:
    z, y = example(rows=11)
    y[3] = -100
    want = torch.autograd.grad(F.cross_entropy(z, y), z)[0]
    count = (y != -100).sum()  # a tensor, as trainers have it
    for part in (slice(0, 3), slice(3, 10), slice(10, 11)):
        cross_entropy(z[part], y[part], denominator=count).backward()
    close(z.grad, want)


# --- compile and operators -----------------------------------------------------------------------


@compiles
@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
def test_compiled_without_a_graph_break(options: dict[str, Any]) -> None:
    torch._dynamo.reset()
    z, y = example()
    y[1] = options.get("ignore_index", -100)
    loss = torch.compile(
        lambda z, y: softmaxloss.cross_entropy(z * 2, y, **options),
        fullgraph=True,
        backend="aot_eager",
    )
    got, want = loss(z, y), F.cross_entropy(z * 2, y, **options)
    close(got, want)
    upstream = torch.rand(got.shape).double()
    close(torch.autograd.grad(got, z, upstream), torch.autograd.grad(want, z, upstream))


@compiles
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_between_other_operations_and_in_place(backend: str) -> None:
    """The inductor calls a C++ compiler, which takes half a minute where nothing is cached."""
    torch._dynamo.reset()
    z, y = example(torch.float32, 9, 33)
    loss = torch.compile(
        lambda z: cross_entropy(z.exp(), y, inplace=True).exp(), fullgraph=True, backend=backend
    )
    got, want = loss(z), F.cross_entropy(z.exp(), y).exp()
    close(got, want)
    close(torch.autograd.grad(got, z), torch.autograd.grad(want, z))
    with pytest.raises(softmaxloss.LabelError, match="the label of row 0 is "):
        torch.compile(cross_entropy, fullgraph=True, backend=backend)(z, y + 33)


@compiles
def test_compiled_derivatives_with_respect_to_targets_and_weights() -> None:
    torch._dynamo.reset()
    z, _ = example()
    q = torch.rand(6, 5, dtype=torch.float64, requires_grad=True)
    w = torch.rand(5, dtype=torch.float64, requires_grad=True)
    loss = torch.compile(cross_entropy, fullgraph=True, backend="aot_eager")
    got = torch.autograd.grad(loss(z, q, w, multi_label="sum"), (z, q, w))
    for ours, theirs in zip(
        got, torch.autograd.grad(F.cross_entropy(z, q, w), (z, q, w)), strict=True
    ):
        close(ours, theirs)


@compiles
@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.jacfwd])
def test_compiled_transforms(transform: Callable[..., Any]) -> None:
    torch._dynamo.reset()
    z, y = example()
    z = z.detach()
    compiled = torch.compile(transform(lambda z: cross_entropy(z, y)), backend="aot_eager")
    close(compiled(z), torch.func.grad(F.cross_entropy)(z, y))


@compiles
@pytest.mark.usefixtures("on_kernel")
def test_compiled_with_classes_in_the_middle() -> None:
    torch._dynamo.reset()
    z = torch.randn(2, 5, 3, 4, requires_grad=True)
    y = torch.randint(5, (2, 3, 4))
    loss = torch.compile(lambda z: cross_entropy(z.sin(), y), backend="aot_eager")
    (got,) = torch.autograd.grad(loss(z), z)
    close(got, torch.autograd.grad(F.cross_entropy(z.sin(), y), z)[0])


def test_recorded_and_run_on_other_logits() -> None:
    z, y = example()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(lambda z: cross_entropy(z, y), (z.detach(),), check_trace=False)
    close(traced(z.detach() * 3), F.cross_entropy(z.detach() * 3, y))
    graph = make_fx(lambda z: cross_entropy(z, y))(z.detach())
    close(graph(z.detach() * 3), F.cross_entropy(z.detach() * 3, y))


@compiles
@pytest.mark.parametrize("operator", ["cross_entropy", "cross_entropy_backward", "class_indices"])
@pytest.mark.parametrize(
    ("soft", "weighted", "reduction"),
    [(False, False, "mean"), (False, True, "sum"), (True, True, "none")],
)
def test_operators_are_well_formed(
    operator: str, soft: bool, weighted: bool, reduction: str
) -> None:
    z, target = example(rows=4)
    if soft:
        target = torch.softmax(torch.randn(4, 5).double(), 1)
    weight, s = (torch.rand(size).double() if weighted else None for size in (5, 4))
    upstream = torch.rand(4 if reduction == "none" else ()).double().requires_grad_()
    tensors = {
        "cross_entropy": (z, target, weight, s),
        "cross_entropy_backward": (upstream, z, target, weight, s),
        "class_indices": (z.detach(), target, weight, s),
    }[operator]
    values = (-100, reduction, 0.1, "error", None, 0, 0.01, 3.0)
    overload = getattr(torch.ops.softmaxloss, operator).default
    torch.library.opcheck(overload, (*tensors, *values))


# --- the public functions, the module, memory and processes --------------------------------------


def test_the_public_functions_take_tensors() -> None:
    z, y = example(torch.float32)
    loss, grad = softmaxloss.cross_entropy_with_grad(z, y, reduction="none", grad_output=2.0)
    close(loss, F.cross_entropy(z, y, reduction="none").detach())
    close(grad, 2 * torch.autograd.grad(F.cross_entropy(z, y, reduction="sum"), z)[0])
    out = torch.empty_like(z)
    assert softmaxloss.cross_entropy_with_grad(z.detach(), y, out=out)[1] is out
    scores = softmaxloss.score(z, y)
    close(scores.loss, loss)
    assert scores.rank.dtype == torch.int64
    assert torch.equal(scores.predicted, z.argmax(1))
    assert softmaxloss.cross_entropy(z[0], 3).ndim == 0  # a Python integer
    assert isinstance(softmaxloss.cross_entropy(z.detach().numpy(), y.numpy()), np.float32)


def test_the_module() -> None:
    z, y = example(torch.float32)
    w = torch.rand(5)
    ours = CrossEntropyLoss(w, label_smoothing=0.2, reduction="sum")
    close(ours(z, y), torch.nn.CrossEntropyLoss(w, label_smoothing=0.2, reduction="sum")(z, y))
    assert "label_smoothing=0.2" in repr(ours)
    assert ours.state_dict().keys() == {"weight"}
    ours.reduction = "none"
    assert ours(z, y).shape == (6,)
    with pytest.raises(softmaxloss.OptionError, match="reduction must be one of"):
        CrossEntropyLoss(reduction="avg")
    close(CrossEntropyLoss()(z, y, denominator=3), F.cross_entropy(z, y, reduction="sum") / 3)


def test_the_logits_are_not_written_to() -> None:
    z, y = example()
    given = z.detach().clone()
    version = z._version
    (3 * cross_entropy(z, y)).backward()
    assert torch.equal(z.detach(), given)
    assert z._version == version
    assert z.grad.data_ptr() != z.data_ptr()


def test_more_than_2_to_31_logits() -> None:
    z = torch.zeros(1, 2**15).expand(2**16 + 1, 2**15)
    loss = cross_entropy(z, torch.zeros(2**16 + 1, dtype=torch.uint8), reduction="none")
    assert torch.equal(loss, torch.full((2**16 + 1,), 2**15).log())


class Losses(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        z, y = example(torch.float32, 300, 1000)
        return cross_entropy(z, y).item()


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
def test_workers_forked_after_use() -> None:
    z, y = example(torch.float32, 300, 1000)
    want = cross_entropy(z, y).item()
    loader = torch.utils.data.DataLoader(
        Losses(), num_workers=2, multiprocessing_context="fork", timeout=60
    )
    assert [value.item() for value in loader] == pytest.approx([want] * 4)


PEAK = """
import sys, torch
from softmaxloss.torch import cross_entropy

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

class Source(torch.autograd.Function):
    # returns memory that exists already, so that only the loss needs more
    @staticmethod
    def forward(ctx, w):
        return z.detach()
    @staticmethod
    def backward(ctx, grad):
        return grad.sum()

inplace = sys.argv[1] == "True"
for rows in (10, 2048):  # the first call loads everything; 2048 rows are whole huge pages
    z = torch.randn(rows, 1 << 14)
    y = torch.randint(1 << 14, (rows,))
    before = peak()
    w = torch.ones((), requires_grad=True)
    cross_entropy(Source.apply(w), y, inplace=inplace).backward()
print((peak() - before) / (z.numel() * 4))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("inplace", "more"), [(False, 1.0), (True, 0.0)])
def test_peak_memory(inplace: bool, more: float) -> None:
    """The size of the gradient, or nothing in place; within one per cent."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(inplace)], capture_output=True, text=True, check=True
    )
    assert more - 0.05 < float(done.stdout) < more + 0.01
