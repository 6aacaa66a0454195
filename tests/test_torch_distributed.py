"""DTensors: logits in parts on two processes, against the loss of the whole in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("this PyTorch has no torch.distributed", allow_module_level=True)

import torch.distributed as dist  # noqa: E402
from tests.tensors import close  # noqa: E402
from torch import multiprocessing  # noqa: E402
from torch.distributed.tensor import (  # noqa: E402
    Replicate,
    Shard,
    distribute_tensor,
    init_device_mesh,
)
from torch.nn import functional as F  # noqa: E402, N812

from softmaxloss.torch import cross_entropy, score, softmax  # noqa: E402

PROCESSES = 2


def arguments() -> tuple[Any, ...]:
    """Five rows, which are three and two; most of the ignored ones are in one process."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(5, 4, 3, generator=generator, dtype=torch.float64)
    y = torch.randint(4, (5, 3), generator=generator)
    y[0], y[1], y[3, 0] = -100, -100, -100
    s = torch.rand(5, 3, generator=generator, dtype=torch.float64)
    w = torch.tensor([0.5, 2.0, 1.0, 0.0], dtype=torch.float64)
    return z, y, w, s


def compare(mesh: Any, placement: Any, options: Any, weighted: bool) -> None:
    z, y, w, s = arguments()
    leaves = [t.clone().requires_grad_() for t in ((z, w, s) if weighted else (z,))]
    weight, samples = leaves[1:] if weighted else (None, None)
    want = cross_entropy(leaves[0], y, weight, sample_weight=samples, **options)
    parts = [
        distribute_tensor(t, mesh, [p]).requires_grad_()
        for t, p in zip((z, w, s), (placement, Replicate(), placement), strict=True)
    ][: len(leaves)]
    if placement == Shard(1):
        parts[2:] = [distribute_tensor(s, mesh, [Replicate()]).requires_grad_()][: len(parts) - 2]
    labels = distribute_tensor(y, mesh, [Shard(0)]) if placement == Shard(0) else y
    weight, samples = parts[1:] if weighted else (None, None)
    got = cross_entropy(parts[0], labels, weight, sample_weight=samples, **options)
    close(got.full_tensor(), want)
    got.sum().backward()
    want.sum().backward()
    for part, leaf in zip(parts, leaves, strict=True):
        close(part.grad.full_tensor(), leaf.grad)


def run(rank: int, path: str) -> None:
    dist.init_process_group("gloo", f"file://{path}", rank=rank, world_size=PROCESSES)
    try:
        mesh = init_device_mesh("cpu", (PROCESSES,))
        for placement in (Replicate(), Shard(0), Shard(1)):
            for options in ({}, {"reduction": "sum"}, {"reduction": "none"}, {"denominator": 7}):
                for weighted in (False, True):
                    compare(mesh, placement, options, weighted)
            z, y, _, _ = arguments()
            part = distribute_tensor(z, mesh, [placement])
            for got, want in zip(score(part, y), score(z, y), strict=True):
                close(got.full_tensor(), want)
            close(softmax(part, 1).full_tensor(), softmax(z, 1))
        z, y, _, _ = arguments()
        part = distribute_tensor(z, mesh, [Shard(0)])
        assert cross_entropy(part, y, reduction="none").placements == (Shard(0),)
        assert cross_entropy(part, torch.full_like(y, -100)).full_tensor().isnan()
        # PyTorch's loss: not of parts of different sizes; of others the mean of their means.
        with pytest.raises(RuntimeError, match="cannot be evenly sharded"):
            F.cross_entropy(part, distribute_tensor(y, mesh, [Shard(0)]))
        z, y = z[1:], y[1:]
        part, labels = (distribute_tensor(t, mesh, [Shard(0)]) for t in (z, y))
        means = torch.stack([F.cross_entropy(z[rows], y[rows]) for rows in (slice(2), slice(2, 4))])
        close(F.cross_entropy(part, labels).full_tensor(), means.mean())
        close(cross_entropy(part, labels).full_tensor(), F.cross_entropy(z, y))
        assert abs(means.mean() - F.cross_entropy(z, y)) > 0.01
        one = distribute_tensor(z[0, :, 0], mesh, [Replicate()])
        close(
            cross_entropy(one, torch.tensor(2)).full_tensor(),
            cross_entropy(z[0, :, 0], torch.tensor(2)),
        )
    finally:
        dist.destroy_process_group()


def test_logits_of_two_processes(tmp_path: Path) -> None:
    multiprocessing.spawn(run, (str(tmp_path / "store"),), nprocs=PROCESSES)
