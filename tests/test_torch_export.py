"""Models with the losses that leave Python: torch.export, ONNX, traces and TorchScript."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.recipes import run  # noqa: E402
from tests.tensors import close  # noqa: E402

import softmaxloss.torch as ours  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated"),
    pytest.mark.xdist_group("compile"),  # what loads the compiler: in one process, and not at last
]


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


class Everything(torch.nn.Module):
    """Every loss of LOSSES, and the functions beside them, in one model: each export takes seconds,
    whatever it has."""

    def __init__(self) -> None:
        super().__init__()
        self.models = torch.nn.ModuleList(Model(make()) for make in LOSSES.values())

    def forward(self, x: Any, y: Any) -> Any:
        z = self.models[0].layer(x)
        losses = [
            model(x, y.masked_fill(y == -100, model.loss.ignore_index)) for model in self.models
        ]
        return (*losses, *ours.score(z, y), ours.softmax(z, 1), ours.log_softmax(z, 1))


def test_onnx(tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    onnxruntime = pytest.importorskip("onnxruntime")
    model, path = Everything(), tmp_path / "model.onnx"
    rows = torch.export.Dim("rows", min=2)
    torch.onnx.export(
        model, batch(), path, dynamo=True, dynamic_shapes=({0: rows}, {0: rows}), verbose=False
    )
    session = onnxruntime.InferenceSession(path)
    names = [value.name for value in session.get_inputs()]
    for x, y in (batch(), (torch.ones(3, 4), torch.tensor([1, -100, 4]))):
        got = session.run(None, dict(zip(names, (x.numpy(), y.numpy()), strict=True)))
        for mine, want in zip(got, model(x, y), strict=True):
            close(torch.as_tensor(mine), want.detach())


def in_a_new_process(tmp_path: Path, load: str) -> float:
    """The loss of the batch in a process that imports `softmaxloss.torch` and loads a model."""
    torch.save(batch(), tmp_path / "batch.pt")
    code = (
        "import torch, softmaxloss.torch; x, y = torch.load('batch.pt'); "
        f"print({load}(x, y).item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    return float(done.stdout)


def test_an_exported_program_is_loaded_where_the_operators_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model, (x, y) = Model(LOSSES["plain"]()), batch()
    program = run("torch.export", model=model, x=x, y=y)["program"]
    close(program.module()(x, y), model(x, y))
    got = in_a_new_process(tmp_path, "torch.export.load('model.pt2').module()")
    assert got == pytest.approx(model(x, y).item(), rel=1e-6)


@pytest.mark.slow  # it compiles C++
@pytest.mark.parametrize("name", ["plain", "linear with options"])
def test_a_package_of_aotinductor(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model, (x, y) = Model(LOSSES[name]()), batch()
    with torch.no_grad():
        close(run("AOTInductor", model=model, x=x, y=y)["loss"], model(x, y))
    got = in_a_new_process(tmp_path, "torch._inductor.aoti_load_package('model.pt2')")
    assert got == pytest.approx(model(x, y).item(), rel=1e-6)


def test_the_recipe_of_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript")
    onnx = pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    x, y = batch()
    run("ONNX", model=Model(LOSSES["plain"]()), x=x, y=y)
    domains = {node.domain for node in onnx.load("model.onnx").graph.node}
    assert domains <= {"", "ai.onnx"}
