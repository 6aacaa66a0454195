"""DTensors: logits in parts on two processes, against the loss of the whole in one."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("this PyTorch has no torch.distributed", allow_module_level=True)

from tests.ranks import on_ranks, together  # noqa: E402
from tests.tensors import close  # noqa: E402
from torch.distributed.tensor import (  # noqa: E402
    Replicate,
    Shard,
    distribute_tensor,
    init_device_mesh,
)
from torch.nn import functional as F  # noqa: E402, N812

from softmaxloss.torch import (  # noqa: E402
    cross_entropy,
    linear_cross_entropy,
    linear_cross_entropy_with_grad,
    score,
    softmax,
)

pytestmark = together

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


def linear_arguments(kind: str) -> tuple[Any, ...]:
    """Texts, (3, 4, features), or one layer for each of two positions; some rows are ignored."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    if kind == "positions":
        x, W, b, y = normal(5, 6), normal(7, 2, 6), normal(7, 2), torch.arange(10).view(5, 2) % 7
    else:
        x, W, b, y = normal(3, 4, 6), normal(7, 6), normal(7), torch.arange(12).view(3, 4) % 7
    if kind == "soft":
        return x, W, b, normal(3, 4, 7).softmax(-1), normal(3, 4).abs()
    y[:2, 0] = -100
    return x, W, b, y, normal(len(y)).abs()


def compare_linear(mesh: Any, kind: str, placement: Any, of_weight: Any, options: Any) -> None:
    x, W, b, y, s = linear_arguments(kind)
    w = torch.linspace(0.5, 2.0, 7, dtype=torch.float64)
    weights = {"weight": w, "sample_weight": s} if "weighted" in options else {}
    options = {name: value for name, value in options.items() if name != "weighted"}
    leaves = [t.clone().requires_grad_() for t in (x, W, b, *weights.values())]
    weights = dict(zip(weights, leaves[3:], strict=True))
    want, of_all = linear_cross_entropy(
        *leaves[:2], y, linear_bias=leaves[2], return_scores=True, **weights, **options
    )
    parts = [
        distribute_tensor(t.detach(), mesh, [p]).requires_grad_()
        for t, p in zip(leaves, (placement, of_weight, *[Replicate()] * 3), strict=False)
    ]
    weights = dict(zip(weights, parts[3:], strict=True))
    got, scores = linear_cross_entropy(
        *parts[:2], y, linear_bias=parts[2], return_scores=True, **weights, **options
    )
    close(got.full_tensor(), want)
    got.sum().backward()
    want.sum().backward()
    for part, leaf in zip(parts, leaves, strict=True):
        close(part.grad.full_tensor(), leaf.grad)
    for mine, other in zip(scores, of_all, strict=True):
        close(mine.full_tensor(), other)


def compare_layers(rank: int) -> bool:
    mesh = init_device_mesh("cpu", (PROCESSES,))
    every: list[dict[str, Any]] = [{}, {"reduction": "sum"}, {"reduction": "none"}]
    every += [{"denominator": 7}, {"weighted": True, "label_smoothing": 0.1, "z_loss": 0.1}]
    for options in every:
        for placement in (Replicate(), Shard(0), Shard(1)):
            compare_linear(mesh, "index", placement, Replicate(), options)
        compare_linear(mesh, "index", Shard(0), Shard(0), options)
        compare_linear(mesh, "soft", Shard(1), Replicate(), options)
        compare_linear(mesh, "positions", Shard(0), Replicate(), options)
    compare_linear(mesh, "index", Shard(2), Replicate(), {})
    x, W, _, y, _ = linear_arguments("index")
    part, weight = (
        distribute_tensor(x, mesh, [Shard(1)]),
        distribute_tensor(W, mesh, [Shard(0)]),
    )
    assert linear_cross_entropy(part, weight, y, reduction="none").placements == (Shard(1),)
    nothing = linear_cross_entropy(part, weight, torch.full_like(y, -100))
    assert nothing.full_tensor().isnan()
    with pytest.raises(TypeError, match="pass all as DTensors"):
        linear_cross_entropy(x, weight, y)
    with pytest.raises(TypeError, match="computes at once: not on DTensors"):
        linear_cross_entropy_with_grad(part, weight, y)
    return True


def compare_losses(rank: int) -> bool:
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
        extras: dict[str, Any] = {"z_loss": 0.1, "softcap": 2.0, "return_z_loss": True}
        for got, want in zip(
            cross_entropy(part, y, **extras), cross_entropy(z, y, **extras), strict=True
        ):
            close(got.full_tensor(), want)
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
    return True


def test_logits_of_two_processes() -> None:
    assert on_ranks(PROCESSES, compare_losses) == [True] * PROCESSES


def test_a_linear_layer_on_two_processes() -> None:
    assert on_ranks(PROCESSES, compare_layers) == [True] * PROCESSES
