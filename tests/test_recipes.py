"""The recipes of docs/pytorch.md that need PyTorch alone train as with PyTorch's own loss."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.ranks import together  # noqa: E402
from tests.recipes import batches, classifier, run, same, trained, weights_of  # noqa: E402
from torch import multiprocessing  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from softmaxloss.torch import LinearCrossEntropyLoss  # noqa: E402

# --- one process ---------------------------------------------------------------------------------


def test_accumulation_with_a_gradient_scaler() -> None:
    """Micro-batches with different numbers of labels, in float16 under autocast."""
    step = run("Gradient accumulation and a gradient scaler")["step"]

    def reference(model: Any, optimizer: Any, scaler: Any, micro_batches: Any) -> None:
        counted = sum(int((y != -100).sum()) for _, y in micro_batches)
        for x, y in micro_batches:
            with torch.autocast("cpu", torch.float16):
                z = model(x)
            loss = F.cross_entropy(z.float(), y, reduction="sum") / counted
            scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    def train(step: Any) -> tuple[list[float], list[Any]]:
        model = classifier(torch.float32)
        optimizer, scaler = torch.optim.SGD(model.parameters(), lr=0.5), torch.amp.GradScaler("cpu")
        data, losses = batches(12, torch.float32), []
        for i in range(0, 12, 3):
            step(model, optimizer, scaler, data[i : i + 3])
            with torch.no_grad():
                losses.append(F.cross_entropy(model(data[0][0]), data[0][1]).item())
        return losses, weights_of(model)

    same(train(step), train(reference), 1e-3)


def test_checkpointing() -> None:
    def parts(model: Any) -> dict[str, Any]:
        return {"body": model[:2], "head": model[2]}

    model, data = classifier(), batches(5)
    loss_of = run("Activation checkpointing", **parts(model))["loss_of"]
    other = classifier()
    want = trained(other, lambda x, y: F.cross_entropy(other(x), y), data)
    same(trained(model, loss_of, data), want, 1e-12)


def test_distillation() -> None:
    """The losses differ by the teacher's entropy, a constant of the batch."""
    distillation = run("Distillation")["distillation"]
    teacher, data = classifier(), [(x, y.clamp(min=0)) for x, y in batches(5)]
    torch.nn.init.normal_(teacher[2].weight)
    student, other = classifier(), classifier()

    def reference(x: Any, y: Any) -> Any:
        T, z, of_teacher = 2.0, other(x), teacher(x).detach()
        soft = F.softmax(of_teacher / T, 1)
        divergence = F.kl_div(F.log_softmax(z / T, 1), soft, reduction="batchmean")
        entropy = -(soft * soft.log()).sum(1).mean()
        return 0.5 * T**2 * (divergence + entropy) + 0.5 * F.cross_entropy(z, y)

    got = trained(student, lambda x, y: distillation(student(x), teacher(x), y), data)
    same(got, trained(other, reference, data), 1e-12)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_segmentation(layout: Any) -> None:
    class_weights = torch.tensor([1.0, 0.5, 2.0, 1.0, 3.0], dtype=torch.float64)
    loss_of = run("Segmentation", class_weights=class_weights)["loss_of"]
    torch.manual_seed(0)
    model = torch.nn.Conv2d(3, 5, 3, padding=1, dtype=torch.float64).to(memory_format=layout)
    other = copy.deepcopy(model)
    data = []
    for _ in range(5):
        mask = torch.randint(5, (2, 4, 6), dtype=torch.uint8)
        mask[0, 0] = 255
        image = torch.randn(2, 3, 4, 6, dtype=torch.float64)
        data.append((image.to(memory_format=layout), mask))

    def reference(image: Any, mask: Any) -> Any:
        return F.cross_entropy(other(image), mask.long(), class_weights, ignore_index=255)

    got = trained(model, lambda image, mask: loss_of(model(image), mask), data)
    same(got, trained(other, reference, data), 1e-12)


# --- two processes -------------------------------------------------------------------------------

PROCESSES = 2


class WithLinearLoss(torch.nn.Module):
    """The model without its last layer, which is in the loss."""

    def __init__(self) -> None:
        super().__init__()
        model = classifier()
        self.body, self.loss = model[:2], LinearCrossEntropyLoss(8, 5, bias=True)
        self.loss.linear = model[2]

    def forward(self, x: Any, y: Any, denominator: Any) -> Any:
        return self.loss(self.body(x), y, denominator=denominator)


def parts_of(rank: int) -> list[tuple[Any, Any]]:
    """Of each batch the first five rows, or the last two: their numbers of labels differ."""
    rows = slice(0, 5) if rank == 0 else slice(5, 7)
    return [(x[rows], y[rows]) for x, y in batches(4)]


def spread(kind: str, model: Any) -> Any:
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    if kind == "DDP":
        return DistributedDataParallel(model)
    for layer in model.children():
        if any(True for _ in layer.parameters()):
            fully_shard(layer)
    return fully_shard(model)


def in_one_of_several(rank: int, path: str) -> None:
    import torch.distributed as dist

    dist.init_process_group("gloo", f"file://{path}", rank=rank, world_size=PROCESSES)
    try:
        recipe = run("Several processes: DDP and FSDP")["loss_of"]
        whole = classifier()
        want = trained(whole, lambda x, y: F.cross_entropy(whole(x), y), batches(4))

        def of_linear(model: Any, x: Any, y: Any) -> Any:
            counted = (y != -100).sum()
            dist.all_reduce(counted)
            return model(x, y, counted / PROCESSES)

        for kind in ("DDP", "FSDP"):
            for make, loss_of in ((classifier, recipe), (WithLinearLoss, of_linear)):
                model = spread(kind, make())
                one = lambda x, y, m=model, f=loss_of: f(m, x, y)  # noqa: E731
                losses, weights = trained(model, one, parts_of(rank))
                mean = torch.tensor(losses, dtype=torch.float64)
                dist.all_reduce(mean)
                weights = [w.full_tensor() if kind == "FSDP" else w for w in weights]
                same(((mean / PROCESSES).tolist(), weights), want, 1e-12)
    finally:
        dist.destroy_process_group()


@together
@pytest.mark.skipif(not torch.distributed.is_available(), reason="PyTorch without distributed")
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    multiprocessing.start_processes(
        in_one_of_several, (str(tmp_path / "store"),), PROCESSES, start_method="forkserver"
    )
