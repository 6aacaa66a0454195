"""Models with the losses that leave Python: torch.export, ONNX, traces and TorchScript."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.tensors import close  # noqa: E402

import softmaxloss.torch as ours  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated")


class Model(torch.nn.Module):
    """A layer and a loss, as a model that is trained elsewhere."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.loss = torch.nn.Linear(4, 5), loss

    def forward(self, x: Any, y: Any) -> Any:
        return self.loss(self.layer(x), y)


LOSSES: dict[str, Any] = {
    "plain": lambda: ours.CrossEntropyLoss(),
    "options": lambda: ours.CrossEntropyLoss(
        torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0]),
        label_smoothing=0.1,
        reduction="none",
        ignore_index=2,
    ),
    "linear": lambda: ours.LinearCrossEntropyLoss(5, 7, bias=True),
    "linear with options": lambda: ours.LinearCrossEntropyLoss(
        5, 7, z_loss=1e-3, softcap=20.0, reduction="sum"
    ),
}


def batch() -> tuple[Any, Any]:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), torch.tensor(
        [0, 1, 2, 3, 4, 2]
    )


def gradients(model: Any, *arguments: Any) -> list[Any]:
    x = arguments[0].clone().requires_grad_()
    loss = model(x, *arguments[1:]).sum()
    return [loss.detach(), *torch.autograd.grad(loss, [x, *model.parameters()])]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("grad", [True, False])
def test_a_trace_is_for_calls_with_and_without_gradients(name: str, grad: bool) -> None:
    model = Model(LOSSES[name]())
    with torch.set_grad_enabled(grad):
        traced = torch.jit.trace(model, batch())
    close(gradients(traced, *batch()), gradients(model, *batch()))
    with torch.no_grad():
        close(traced(*batch()), model(*batch()))


@pytest.mark.parametrize("name", LOSSES)
def test_onnx(name: str, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    onnxruntime = pytest.importorskip("onnxruntime")
    model, path = Model(LOSSES[name]()), tmp_path / "model.onnx"
    rows = torch.export.Dim("rows", min=2)
    torch.onnx.export(
        model, batch(), path, dynamo=True, dynamic_shapes=({0: rows}, {0: rows}), verbose=False
    )
    session = onnxruntime.InferenceSession(path)
    names = [value.name for value in session.get_inputs()]
    ignored = model.loss.ignore_index
    for x, y in (batch(), (torch.ones(3, 4), torch.tensor([1, ignored, 4]))):
        (got,) = session.run(None, dict(zip(names, (x.numpy(), y.numpy()), strict=True)))
        close(torch.as_tensor(got), model(x, y).detach())


def test_onnx_of_scores_and_probabilities(tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    onnxruntime = pytest.importorskip("onnxruntime")

    class Scores(torch.nn.Module):
        def forward(self, z: Any, y: Any) -> Any:
            return (*ours.score(z, y), ours.softmax(z, 1), ours.log_softmax(z, 1))

    z, y, path = torch.randn(6, 5), batch()[1], tmp_path / "scores.onnx"
    torch.onnx.export(Scores(), (z, y), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path)
    names = [value.name for value in session.get_inputs()]
    got = session.run(None, dict(zip(names, (z.numpy(), y.numpy()), strict=True)))
    for mine, want in zip(got, Scores()(z, y), strict=True):
        close(torch.as_tensor(mine), want)


def test_an_exported_program_is_loaded_where_the_operators_are_known(tmp_path: Path) -> None:
    """Saved in one process, loaded in another, which imports `softmaxloss.torch` first."""
    model, path = Model(LOSSES["plain"]()), tmp_path / "model.pt2"
    program = torch.export.export(model, batch())
    close(program.module()(*batch()), model(*batch()))
    torch.export.save(program, path)
    code = (
        "import sys, torch, softmaxloss.torch; x, y = torch.load(sys.argv[2]); "
        "print(torch.export.load(sys.argv[1]).module()(x, y).item())"
    )
    torch.save(batch(), tmp_path / "batch.pt")
    done = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "batch.pt"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) == pytest.approx(model(*batch()).item(), rel=1e-6)
