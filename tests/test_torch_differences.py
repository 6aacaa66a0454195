"""Each line of the table "What differs" of docs/pytorch.md, on PyTorch's function and on ours."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
if not torch.__version__.startswith("2.13."):
    pytest.skip("the table is of PyTorch 2.13", allow_module_level=True)

from torch.nn import functional as F  # noqa: E402, N812

import softmaxloss  # noqa: E402
import softmaxloss.torch as ours  # noqa: E402

PAGE = (Path(__file__).parent.parent / "docs" / "pytorch.md").read_text(encoding="utf-8")
THEIRS, OURS = F.cross_entropy, ours.cross_entropy
Z = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]])
Y = torch.tensor([0, 2])
Q = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.2, 0.8]])
NAN, INF = torch.nan, torch.inf

DIFFERENCES: dict[str, Callable[[], None]] = {}


def line(title: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def add(test: Callable[[], None]) -> Callable[[], None]:
        DIFFERENCES[title] = test
        return test

    return add


def fails(error: type[Exception], call: Callable[..., Any], *args: Any, **options: Any) -> None:
    with pytest.raises(error) as caught:
        call(*args, **options)
    if isinstance(caught.value, softmaxloss.LabelError | softmaxloss.OptionError):
        assert "\n" not in str(caught.value)


def gradient(function: Callable[..., Any], z: Any, *args: Any, **options: Any) -> tuple[Any, Any]:
    """(loss, gradient with respect to the logits)"""
    z = z.clone().requires_grad_()
    loss = function(z, *args, **options)
    return loss.detach(), torch.autograd.grad(loss.sum(), z)[0]


def same(*args: Any, **options: Any) -> None:
    torch.testing.assert_close(OURS(*args, **options), THEIRS(*args, **options), equal_nan=True)


def test_the_table_has_these_lines() -> None:
    (table,) = re.findall(r"^\| \| PyTorch 2\.13 .*\n\|---.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert [row.split(" | ")[0].removeprefix("| ") for row in table.splitlines()] == [*DIFFERENCES]
    assert all(len(row.split("|")) == 6 for row in table.splitlines())


@pytest.mark.parametrize("title", DIFFERENCES)
def test_difference(title: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is deprecated
        DIFFERENCES[title]()


# --- numbers -------------------------------------------------------------------------------------


@line("small losses and gradients")
def _() -> None:
    z, y = torch.tensor([[100.0, 0.0]]), torch.tensor([0])
    assert gradient(THEIRS, z, y)[0] == 0
    assert gradient(THEIRS, z, y)[1][0, 0] == 0
    loss, grad = gradient(OURS, z, y)
    assert 0 < loss < 1e-43
    assert grad[0, 0] == -grad[0, 1] < 0


@line("half precision")
def _() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        assert THEIRS(Z.to(dtype), Y).dtype is dtype
        loss, grad = gradient(OURS, Z.to(dtype), Y)
        torch.testing.assert_close(loss, THEIRS(Z, Y))
        assert grad.dtype is dtype


@line("`logsumexp` of half precision")
def _() -> None:
    assert torch.logsumexp(Z.half(), 1).dtype is torch.float16
    torch.testing.assert_close(ours.logsumexp(Z.half(), 1), torch.logsumexp(Z, 1))


@line("float64 probabilities, float32 logits")
def _() -> None:
    assert THEIRS(Z, Q.double()).dtype is torch.float64
    assert OURS(Z, Q.double()).dtype is torch.float32


@line("NaN in the logits of an ignored row")
def _() -> None:
    z, y = Z.clone(), torch.tensor([-100, 2])
    z[0, 1] = NAN
    same(z, y)
    assert gradient(THEIRS, z, y)[1][0].isnan().all()
    grad = gradient(OURS, z, y)[1]
    assert not grad[0].any()
    torch.testing.assert_close(grad[1], gradient(THEIRS, Z, y)[1][1])


@line("a logit of −inf where the probability or the weight is 0")
def _() -> None:
    z, y = Z.clone(), torch.tensor([2, 2])
    z[0, 2] = -INF
    weight = torch.tensor([1.0, 1.0, 0.0])
    for target, options in ((Q, {}), (y, {"weight": weight, "reduction": "none"})):
        assert THEIRS(z, target, **options).isnan().any()
        loss, grad = gradient(OURS, z, target, **options)
        assert loss.isfinite().all()
        assert grad.isfinite().all()


@line('"mean" where the weights sum to 0')
def _() -> None:
    weight = torch.tensor([0.0, 1.0, 0.0])
    for function in (THEIRS, OURS):
        assert function(Z, Y, weight).isnan()
        none = gradient(function, Z, torch.tensor([-100, -100]))
        assert none[0].isnan()
        assert not none[1].any()
    assert gradient(THEIRS, Z, Y, weight)[1].isnan().all()
    assert not gradient(OURS, Z, Y, weight)[1].any()


@line('a batch sharded over processes (DTensor), "mean"')
def _() -> None:
    """test_torch_distributed.py has both on two processes."""


# --- what is an error here -----------------------------------------------------------------------


@line("a label outside of 0..C−1")
def _() -> None:
    for label in (3, -1):
        fails(IndexError, THEIRS, Z, torch.tensor([0, label]))
        with pytest.raises(softmaxloss.LabelError, match=f"label of row 1 is {label}"):
            OURS(Z, torch.tensor([0, label]))


@line("other wrong values and shapes")
def _() -> None:
    for error, args, options in (
        (RuntimeError, (Z, Y, torch.ones(4)), {}),
        (RuntimeError, (Z, Y), {"label_smoothing": 1.5}),
        (ValueError, (Z, Y[:1]), {}),
        (ValueError, (Z, Y), {"reduction": "avg"}),
        (RuntimeError, (Z, Y.float()), {}),
    ):
        fails(error, THEIRS, *args, **options)
        fails(ValueError, OURS, *args, **options)


@line("probabilities that do not sum to 1")
def _() -> None:
    several = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    fails(softmaxloss.LabelError, OURS, Z, several)
    summed = OURS(Z, several, multi_label="sum")
    torch.testing.assert_close(summed, THEIRS(Z, several))


@line("negative probabilities")
def _() -> None:
    negative = torch.tensor([[1.5, -0.5, 0.0], [0.0, 0.0, 1.0]])
    assert THEIRS(Z, negative).isfinite()
    fails(softmaxloss.LabelError, OURS, Z, negative, multi_label="sum")


@line("weights that are negative, NaN or infinite")
def _() -> None:
    for number in (-1.0, NAN, INF):
        weight = torch.tensor([number, 1.0, 1.0])
        THEIRS(Z, Y, weight)
        fails(softmaxloss.OptionError, OURS, Z, Y, weight)


@line("`ignore_index` with probabilities")
def _() -> None:
    linear = torch.eye(3)
    fails(RuntimeError, THEIRS, Z, Q, ignore_index=1)
    fails(softmaxloss.OptionError, OURS, Z, Q, ignore_index=1)
    same(Z, Q, ignore_index=-1)
    for number in (1, -1):
        fails(RuntimeError, F.linear_cross_entropy, Z, linear, Q, ignore_index=number)
    fails(softmaxloss.OptionError, ours.linear_cross_entropy, Z, linear, Q, ignore_index=1)
    mine = ours.linear_cross_entropy(Z, linear, Q, ignore_index=-1)
    torch.testing.assert_close(mine, F.linear_cross_entropy(Z, linear, Q))


@line("arguments after `weight`")
def _() -> None:
    torch.testing.assert_close(THEIRS(Z, Y, None, None, 2), OURS(Z, Y, None, ignore_index=2))
    fails(TypeError, OURS, Z, Y, None, None, 2)


@line('`size_average`, `reduce`, `reduction="elementwise_mean"`')
def _() -> None:
    for options in ({"size_average": False}, {"reduce": True}):
        THEIRS(Z, Y, **options)
        fails(TypeError, OURS, Z, Y, **options)
    THEIRS(Z, Y, reduction="elementwise_mean")
    fails(softmaxloss.OptionError, OURS, Z, Y, reduction="elementwise_mean")


# --- what is an error there ----------------------------------------------------------------------


@line("labels")
def _() -> None:
    same(Z, Y.to(torch.uint8))
    for dtype in (torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32, torch.uint64):
        fails(RuntimeError, THEIRS, Z, Y.to(dtype))
        torch.testing.assert_close(OURS(Z, Y.to(dtype)), THEIRS(Z, Y))


@line("integers in the shape of the logits")
def _() -> None:
    rows = F.one_hot(Y, 3)
    fails(RuntimeError, THEIRS, Z, rows)
    torch.testing.assert_close(OURS(Z, rows), THEIRS(Z, Y))


@line("integers as logits")
def _() -> None:
    fails(NotImplementedError, THEIRS, Z.long(), Y)
    torch.testing.assert_close(OURS(Z.long(), Y), THEIRS(Z.double(), Y))


@line("the dtype of `weight`")
def _() -> None:
    weight = torch.tensor([1, 2, 3])
    for dtype in (torch.int64, torch.float64, torch.float16):
        fails(RuntimeError, THEIRS, Z, Y, weight.to(dtype))
        torch.testing.assert_close(OURS(Z, Y, weight.to(dtype)), THEIRS(Z, Y, weight.float()))


@line("input of the linear loss")
def _() -> None:
    x, W, y = torch.randn(2, 3, 4), torch.randn(5, 4), torch.randint(5, (2, 3))
    fails(RuntimeError, F.linear_cross_entropy, x, W, y)
    want = F.linear_cross_entropy(x.flatten(0, 1), W, y.flatten())
    torch.testing.assert_close(ours.linear_cross_entropy(x, W, y), want)


# --- calls ---------------------------------------------------------------------------------------


@line("`linear_cross_entropy(options=…)`")
def _() -> None:
    options, linear = torch.nn.LinearCrossEntropyOptions(), torch.eye(3)
    want = F.linear_cross_entropy(Z, linear, Y, options=options)
    torch.testing.assert_close(ours.linear_cross_entropy(Z, linear, Y, options=options), want)


@line("`isinstance(loss, torch.nn.CrossEntropyLoss)`")
def _() -> None:
    mine, theirs = ours.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    assert not isinstance(mine, torch.nn.CrossEntropyLoss)
    for name in ("weight", "ignore_index", "reduction", "label_smoothing"):
        assert getattr(mine, name) == getattr(theirs, name)


@line("`__torch_function__` of a subclass")
def _() -> None:
    seen = []

    class Logits(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function: Any, *rest: Any, **more: Any) -> Any:
            seen.append(str(function))
            return super().__torch_function__(function, *rest, **more)

    same(Z.as_subclass(Logits), Y)
    assert any(name.startswith("<function cross_entropy ") for name in seen)
    assert any("softmaxloss.cross_entropy" in name for name in seen)


@line("`torch.compile`")
def _() -> None:
    calls = []

    def backend(graph: Any, _: Any) -> Any:
        calls.extend(node.target for node in graph.graph.nodes if node.op == "call_function")
        return graph.forward

    def loss(z: Any, y: Any) -> Any:
        return OURS(z, y)

    torch.testing.assert_close(torch.compile(loss, backend=backend)(Z, Y), THEIRS(Z, Y))
    assert "softmaxloss.cross_entropy" in str(calls)


@line("TorchScript (`torch.jit.script`), which is deprecated")
def _() -> None:
    torch.jit.script(torch.nn.CrossEntropyLoss())
    for loss in (ours.CrossEntropyLoss(), ours.LinearCrossEntropyLoss(3, 2)):
        model = torch.nn.Sequential(loss)
        with pytest.raises(
            TypeError, match=rf"^torch\.jit\.script does not .* {type(loss).__name__},"
        ):
            torch.jit.script(model)
