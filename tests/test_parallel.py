"""The losses over process groups: groups, errors, missing ranks, memory, DTensors, autograd.

The ranks start once for each number of them, and run all scenarios. A scenario asserts on every
rank.
"""

from __future__ import annotations

import gc
import os
import time
import traceback
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("this PyTorch has no torch.distributed", allow_module_level=True)

import torch.distributed as dist  # noqa: E402
from tests.ranks import LIMIT, on_ranks, part, sizes, together  # noqa: E402
from torch.distributed.tensor import (  # noqa: E402
    Replicate,
    Shard,
    distribute_tensor,
    init_device_mesh,
)

import softmaxloss.torch as whole  # noqa: E402
from softmaxloss.parallel import (  # noqa: E402
    cross_entropy,
    exchange,
    linear_cross_entropy,
    score,
    slices,
)
from softmaxloss.parallel import engine as parallel_engine  # noqa: E402
from softmaxloss.parallel.call import Call  # noqa: E402

pytestmark = together

Scenario = Callable[[int, int], None]
SCENARIOS: dict[str, tuple[int, Scenario]] = {}


def on(ranks: int) -> Callable[[Scenario], Scenario]:
    def register(scenario: Scenario) -> Scenario:
        SCENARIOS[scenario.__name__] = ranks, scenario
        return scenario

    return register


def run_all(rank: int, ranks: int) -> dict[str, str]:
    """The error of each scenario for so many ranks; "" where there is none."""
    results = {}
    for name, (wanted, scenario) in SCENARIOS.items():
        if wanted == ranks:
            try:
                scenario(rank, ranks)
                results[name] = ""
            except BaseException:  # pytest's failures are no exceptions
                results[name] = traceback.format_exc()
    return results


@cache
def results_on(ranks: int) -> list[dict[str, str]]:
    return on_ranks(ranks, run_all, ranks)


# --- examples ------------------------------------------------------------------------------------


def example(rows: int = 6, classes: int = 11, dtype: Any = torch.float32) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(rows + classes)
    z = (8 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)).to(dtype)
    y = torch.randint(classes, (rows,), generator=generator)
    return z, y


def mine(z: Any, rank: int, ranks: int, split: str = "uneven") -> Any:
    """This rank's classes, as a leaf."""
    axis = min(1, z.ndim - 1)
    return part(z, sizes(split, z.shape[axis], ranks), rank).clone().requires_grad_()


def compare(z: Any, y: Any, rank: int, ranks: int, split: str = "uneven", **options: Any) -> None:
    """The loss and the gradient of this rank's classes, against those of one process."""
    leaf, own = z.clone().requires_grad_(), mine(z, rank, ranks, split)
    want = whole.cross_entropy(leaf, y, **options)
    local = dict(options)
    if "weight" in options:
        local["weight"] = part(options["weight"], sizes(split, z.shape[1], ranks), rank)
    soft = part(y, sizes(split, z.shape[1], ranks), rank) if y.ndim == z.ndim else y
    got = cross_entropy(own, soft, class_group=dist.group.WORLD, **local)
    torch.testing.assert_close(got, want, rtol=3e-7 if z.dtype != torch.float64 else 1e-15, atol=0)
    upstream = torch.linspace(0.5, 2.0, max(1, got.numel())).reshape(got.shape).to(got.dtype)
    got.backward(upstream)
    want.backward(upstream)
    expected = part(leaf.grad, sizes(split, z.shape[1], ranks), rank)
    torch.testing.assert_close(own.grad, expected)


# --- the loss ------------------------------------------------------------------------------------


@on(3)
def wide_rows_of_every_dtype(rank: int, ranks: int) -> None:
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        z, y = example(4, 50_000, dtype)
        w = torch.rand(50_000, dtype=torch.float64)
        torch.distributed.broadcast(w, 0)
        for options in ({}, {"label_smoothing": 0.1}, {"weight": w, "reduction": "none"}):
            for split in ("even", "empty"):
                compare(z, y, rank, ranks, split, **options)
        compare(z, torch.softmax(z.double(), 1), rank, ranks, label_smoothing=0.1)


@on(3)
def softcap_and_z_loss(rank: int, ranks: int) -> None:
    """They are of all classes, as the loss is; the scores are those of the capped logits."""
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        z, y = example(6, 40, dtype)
        y[0] = -100
        s = torch.tensor([1.0, 0.0, 2.0, 1.0, 0.5, 1.0], dtype=torch.float64)
        given: dict[str, Any] = {"z_loss": 0.1, "softcap": 3.0}
        for options in ({}, {"softcap": None}, {"z_loss": 0.0}, {"label_smoothing": 0.1}):
            for weights in (None, s):
                options = {**given, **options, "sample_weight": weights}
                compare(z, y, rank, ranks, **options)
        got = score(mine(z, rank, ranks).detach(), y, class_group=dist.group.WORLD, **given)
        for each, want in zip(got, whole.score(z, y, **given), strict=True):
            torch.testing.assert_close(each, want)


@on(3)
def tiny_losses_are_exact(rank: int, ranks: int) -> None:
    z = torch.zeros(3, 6)
    z[range(3), [0, 2, 5]] = torch.tensor([20.0, 60.0, 100.0])
    compare(z, torch.tensor([0, 2, 5]), rank, ranks, "even", reduction="none")


@on(3)
def other_devices_compute_the_same(rank: int, ranks: int) -> None:
    """What PyTorch's operations compute where no kernel does, here on the CPU."""
    none = lambda device: False  # noqa: E731
    kernels = slices.has_kernel
    slices.has_kernel = parallel_engine.has_kernel = none
    try:
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            z, y = example(5, 40, dtype)
            z[0, :20] = -torch.inf
            y[0], y[1] = 30, -100
            for options in ({}, {"reduction": "none"}):
                for split in ("even", "uneven", "empty"):
                    compare(z, y, rank, ranks, split, **options)
            compare(z[1:], y[1:], rank, ranks, label_smoothing=0.1)
            own = mine(z, rank, ranks).detach()
            got = score(own, y, class_group=dist.group.WORLD)
            for a, b in zip(got, whole.score(z, y), strict=True):
                torch.testing.assert_close(a, b)
    finally:
        slices.has_kernel = parallel_engine.has_kernel = kernels


@on(3)
def smoothing_over_the_classes_of_a_rank_is_noticed(rank: int, ranks: int) -> None:
    """The mistake of others, planted: the comparison that the tests rest on fails."""
    z, y = example()
    read = Call.read

    def over_own_classes(call: Any, given: Any, number: int) -> None:
        read(call, given, number)
        call.all_classes = call.classes

    compare(z, y, rank, ranks, label_smoothing=0.1)
    Call.read = over_own_classes
    try:
        with pytest.raises(AssertionError, match=r"not close"):
            compare(z, y, rank, ranks, label_smoothing=0.1)
    finally:
        Call.read = read


# --- the layer -----------------------------------------------------------------------------------


def layer(dtype: Any = torch.float64) -> tuple[Any, Any, Any, Any]:
    """Input (2, 4, 6), weight (11, 6), bias and labels."""
    generator = torch.Generator().manual_seed(5)
    shapes = ((2, 4, 6), (11, 6), (11,))
    x, W, b = (torch.randn(shape, generator=generator).to(dtype) for shape in shapes)
    y = torch.randint(11, (2, 4), generator=generator)
    y[0, 1] = -100
    return x, W, b, y


@on(3)
def layers(rank: int, ranks: int) -> None:
    w = torch.linspace(0.0, 2.0, 11)
    s = torch.linspace(0.0, 2.0, 8).reshape(2, 4)
    options: list[dict[str, Any]] = [
        {}, {"reduction": "none"}, {"label_smoothing": 0.1}, {"weight": w, "z_loss": 0.1},
        {"softcap": 3.0, "z_loss": 0.1}, {"sample_weight": s, "z_loss": 0.2},
        {"reduction": "sum"}, {"denominator": 3.5, "softcap": 2.0},
    ]  # fmt: skip
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        for split in ("even", "uneven", "empty"):
            for given in options:
                budgets = ["64MB"] if {"softcap", "z_loss"} & set(given) else ["64MB", 2000]
                for budget in budgets:
                    compare_layer(rank, ranks, dtype, split, {**given, "memory_budget": budget})


def compare_layer(rank: int, ranks: int, dtype: Any, split: str, given: dict[str, Any]) -> None:
    x, W, b, y = layer(dtype)
    each, half = sizes(split, 11, ranks), dtype.itemsize < 4
    whole_leaves = [t.clone().requires_grad_() for t in (x, W, b)]
    leaves = [t.clone().requires_grad_() for t in (x, part(W.T, each, rank).T, part(b, each, rank))]
    own = {n: part(v, each, rank) if n == "weight" else v for n, v in given.items()}
    want = whole.linear_cross_entropy(
        whole_leaves[0], whole_leaves[1], y, linear_bias=whole_leaves[2], **given
    )
    got = linear_cross_entropy(
        leaves[0], leaves[1], y, linear_bias=leaves[2], class_group=dist.group.WORLD, **own
    )
    torch.testing.assert_close(got, want, **({"rtol": 2e-2, "atol": 2e-2} if half else {}))
    for _ in range(2):  # the second pass makes the logits again
        for leaf in leaves + whole_leaves:
            leaf.grad = None
        got.sum().backward(retain_graph=True)
        want.sum().backward(retain_graph=True)
        wants = [t.grad for t in whole_leaves]
        wants[1:] = [part(wants[1].T, each, rank).T, part(wants[2], each, rank)]
        for leaf, expected in zip(leaves, wants, strict=True):
            close = {"rtol": 5e-2, "atol": 5e-2} if half else {}
            torch.testing.assert_close(leaf.grad, expected, **close)


@on(3)
def probabilities_as_target_of_a_layer(rank: int, ranks: int) -> None:
    x, W, _, _ = layer()
    each, q = sizes("uneven", 11, ranks), torch.softmax(x @ W.T * 2, -1)
    start = sum(each[:rank])
    own = slice(start, start + each[rank])
    for options in ({}, {"label_smoothing": 0.2}, {"multi_label": "mean"}):
        target = 3 * q if options.get("multi_label") else q
        want = whole.linear_cross_entropy(x, W, target, **options)
        got = linear_cross_entropy(
            x, W[own], target[..., own], class_group=dist.group.WORLD, memory_budget=2000, **options
        )
        torch.testing.assert_close(got, want)


@on(3)
def errors_of_layers(rank: int, ranks: int) -> None:
    x, W, b, y = layer()
    last, group = rank == 2, dist.group.WORLD
    cases: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("does not fit linear_weight", (x[..., :5] if last else x, W, y), {}),
        ("linear_bias has shape", (x, W, y), {"linear_bias": b[:3] if last else b}),
        ("the label of row 0 is 99", (x, W, torch.full((2, 4), 99)), {}),
        ("gradient of input=False on rank 0", (x.clone().requires_grad_(last), W, y), {}),
        ("z_loss=0.0 on rank 0", (x, W, y), {"z_loss": 0.1 if last else 0.0}),
        ("input is torch.int64", (x.long(), W, y), {}),
        ("does not hold one row", (x, W, y), {"memory_budget": 10}),
    ]
    for message, arguments, options in cases:
        with pytest.raises((ValueError, TypeError), match=message):
            linear_cross_entropy(*arguments, class_group=group, **options)
    compare_layer(rank, ranks, torch.float64, "even", {})


@on(4)
def layers_as_dtensors(rank: int, ranks: int) -> None:
    mesh = init_device_mesh("cpu", (2, 2))
    x, W, b, y = layer()
    x, y = x.reshape(8, 6)[:7], y.reshape(8)[:7]
    whole_leaves = [t.clone().requires_grad_() for t in (x, W, b)]
    want = whole.linear_cross_entropy(
        whole_leaves[0], whole_leaves[1], y, linear_bias=whole_leaves[2]
    )
    want.backward()
    for rows in (Shard(0), Replicate()):
        parts = [
            distribute_tensor(x, mesh, [rows, Replicate()]).requires_grad_(),
            distribute_tensor(W, mesh, [Replicate(), Shard(0)]).requires_grad_(),
            distribute_tensor(b, mesh, [Replicate(), Shard(0)]).requires_grad_(),
        ]
        got = linear_cross_entropy(parts[0], parts[1], y, linear_bias=parts[2])
        got.backward()
        torch.testing.assert_close(got, want)
        for tensor, leaf in zip(parts, whole_leaves, strict=True):
            torch.testing.assert_close(tensor.grad.full_tensor(), leaf.grad)


# --- groups --------------------------------------------------------------------------------------


@on(4)
def rows_and_classes_split(rank: int, ranks: int) -> None:
    """Two groups of ranks split the classes of some rows each, unevenly, with one mean over all."""
    pairs = [dist.new_group(pair) for pair in ([0, 1], [2, 3])]
    columns = [dist.new_group(pair) for pair in ([0, 2], [1, 3])]
    class_group, row_group = pairs[rank // 2], columns[rank % 2]
    z, y = example(7, 9)
    y[:3] = torch.tensor([-100, -100, 4])  # what counts differs between the groups
    s = torch.linspace(0.0, 2.0, 7)
    rows = [slice(0, 3), slice(3, 7)][rank // 2]
    for options in ({}, {"reduction": "sum"}, {"denominator": 5}, {"label_smoothing": 0.2}):
        for weights in (None, s):
            leaf = z.clone().requires_grad_()
            want = whole.cross_entropy(leaf, y, sample_weight=weights, **options)
            want.backward()
            own = mine(z[rows], rank % 2, 2)
            got = cross_entropy(
                own,
                y[rows],
                class_group=class_group,
                row_group=row_group,
                sample_weight=None if weights is None else weights[rows],
                **options,
            )
            got.backward()
            torch.testing.assert_close(got, want)
            expected = part(leaf.grad[rows], sizes("uneven", 9, 2), rank % 2)
            torch.testing.assert_close(own.grad, expected)


@on(4)
def rows_split_alone(rank: int, ranks: int) -> None:
    """The means of the ranks differ in what they divide by; one rank has no rows."""
    z, y = example(7, 5, torch.float64)
    y[:2] = -100
    w = torch.linspace(0.5, 2.0, 5)
    starts = [0, 2, 2, 3, 7]
    rows = slice(starts[rank], starts[rank + 1])
    leaf, own = z.clone().requires_grad_(), z[rows].clone().requires_grad_()
    want = whole.cross_entropy(leaf, y, w)
    got = cross_entropy(own, y[rows], w, row_group=dist.group.WORLD)
    got.backward()
    want.backward()
    torch.testing.assert_close(got, want, rtol=1e-15, atol=0)
    torch.testing.assert_close(own.grad, leaf.grad[rows], rtol=1e-15, atol=0)
    each = cross_entropy(z[rows], y[rows], row_group=dist.group.WORLD, reduction="none")
    torch.testing.assert_close(each, whole.cross_entropy(z, y, reduction="none")[rows])


@on(4)
def an_error_in_one_class_group_reaches_the_others(rank: int, ranks: int) -> None:
    pairs = [dist.new_group(pair) for pair in ([0, 1], [2, 3])]
    columns = [dist.new_group(pair) for pair in ([0, 2], [1, 3])]
    z, _ = example(4, 6)
    label = 99 if rank >= 2 else 3
    own = mine(z, rank % 2, 2)
    target = torch.full((4,), label)
    with pytest.raises(ValueError, match=r"the label of row 0 is 99, outside 0..5"):
        cross_entropy(own, target, class_group=pairs[rank // 2], row_group=columns[rank % 2])


@on(4)
def two_groups_at_once(rank: int, ranks: int) -> None:
    """Every rank is in two groups, whose calls alternate, with other rows and classes each."""
    pair = [dist.new_group([0, 1]), dist.new_group([2, 3])][rank // 2]
    for rows, classes in ((5, 7), (9, 4), (300, 12), (2, 7), (5, 7)):
        z, y = example(rows, classes)
        compare(z, y, rank, ranks, "even")
        own = mine(z, rank % 2, 2, "empty")
        got = cross_entropy(own, y, class_group=pair)
        torch.testing.assert_close(got, whole.cross_entropy(z, y), rtol=3e-7, atol=0)


@on(2)
def the_usual_call_is_one_gather(rank: int, ranks: int) -> None:
    z, y = example()
    own, calls, gather = mine(z, rank, ranks), [], exchange._gather_single

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments[1].numel())
        return gather(*arguments, **options)

    exchange._gather_single = counted
    try:
        for _ in range(3):
            cross_entropy(own, y, class_group=dist.group.WORLD).backward()
        assert calls[-1] == exchange.HEAD + 3 * len(y)
        assert len(calls) <= 4  # the first one may be sent twice
        del calls[:]
        score(own.detach(), y, class_group=dist.group.WORLD)
        score(own.detach(), y, class_group=dist.group.WORLD)
        assert calls[-2:] == [exchange.HEAD + 5 * len(y)] * 2
    finally:
        exchange._gather_single = gather


@on(2)
def many_calls_take_no_memory(rank: int, ranks: int) -> None:
    z, y = example(64, 300)
    own = mine(z, rank, ranks)

    def run(calls: int) -> int:
        for _ in range(calls):
            own.grad = None
            cross_entropy(own, y, class_group=dist.group.WORLD).backward()
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    # A leak shows every time; pages that a fork finds in memory count when it first touches them.
    used = [run(200) for _ in range(4)]
    assert min(after - before for before, after in pairwise(used)) < 1 << 19


# --- errors --------------------------------------------------------------------------------------


@on(3)
def errors_are_errors_of_all(rank: int, ranks: int) -> None:
    z, y = example(6, 11)
    own, group = mine(z, rank, ranks), dist.group.WORLD
    last, s = rank == 2, torch.ones(6)
    w = torch.ones(own.shape[1])
    bad_w = -w if last else w
    soft = part(torch.softmax(z, 1), sizes("uneven", 11, ranks), rank)
    cases: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        (r"label_smoothing=0.0 on rank 0, label_smoothing=0.1 on rank 2", (own, y), {
            "label_smoothing": 0.1 if last else 0.0}),
        (r"rows=\(6,\) on rank 0, rows=\(5,\)", (own[:5], y[:5]) if last else (own, y), {}),
        ("reduction must be one of", (own, y), {"reduction": "avg" if last else "mean"}),
        ("target differs between rank 0 and rank 2", (own, y.flip(0) if last else y), {}),
        ("sample_weight differs", (own, y), {"sample_weight": 2 * s if last else s}),
        ("weight=False on rank 0, weight=True", (own, y, w if last else None), {}),
        ("weight.0. is -1.0", (own, y, bad_w), {}),
        ("the label of row 0 is 11, outside 0..10", (own, torch.full((6,), 11)), {}),
        ("the label of row 0 is 11, outside 0..10", (own, torch.full((6,), 11 if last else 1)), {}),
        ("the logits must be a tensor", (None if last else own, y), {}),
        ("target=indices on rank 0", (own, soft if last else y), {}),
        ("the target of row 0 sums to .*, not 1", (own, 2 * soft), {}),
        ("dtype=float32 on rank 0", (own.double() if last else own, y), {}),
        ("weight gets no gradient", (own, y, w.clone().requires_grad_()), {}),
        ("no argument 'classgroup'", (own, y), {"classgroup": 1}),
    ]  # fmt: skip
    for message, arguments, options in cases:
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            cross_entropy(*arguments, class_group=group, **options)
        assert "\n" not in str(caught.value)
        compare(z, y, rank, ranks)  # the group is as good as before
    call = score if last else cross_entropy
    with pytest.raises(ValueError, match="make different calls"):
        call(own.detach(), y, class_group=group)
    compare(z, y, rank, ranks)


@on(3)
def groups_are_checked(rank: int, ranks: int) -> None:
    z, y = example()
    with pytest.raises(ValueError, match="pass class_group, row_group or both"):
        cross_entropy(z, y)
    with pytest.raises(TypeError, match="class_group must be a process group or None, got str"):
        cross_entropy(z, y, class_group="tp")
    others = dist.new_group([0, 1])
    if rank == 2:
        with pytest.raises((ValueError, TypeError), match=r"class_group"):
            cross_entropy(z, y, class_group=others)


# --- autograd, DTensors, torch.compile -----------------------------------------------------------


@on(3)
def backward_passes(rank: int, ranks: int) -> None:
    z, y = example()
    own, group = mine(z, rank, ranks), dist.group.WORLD
    loss = cross_entropy(own, y, class_group=group)
    (first,) = torch.autograd.grad(loss, own, retain_graph=True)
    (again,) = torch.autograd.grad(3 * loss, own)
    torch.testing.assert_close(again, 3 * first)
    logits = own * 1
    loss = cross_entropy(logits, y, class_group=group)
    logits.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    loss = cross_entropy(own, y, class_group=group)
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(loss, own, create_graph=True)
    with torch.no_grad():
        assert not cross_entropy(own, y, class_group=group).requires_grad
    with pytest.raises(TypeError, match=r"torch.func"):
        torch.func.grad(lambda x: cross_entropy(x, y, class_group=group))(own.detach())


@on(3)
def calls_in_the_backward_pass(rank: int, ranks: int) -> None:
    """Activation checkpointing makes the call again there."""
    from torch.utils.checkpoint import checkpoint

    z, y = example()
    own = mine(z, rank, ranks)
    loss = checkpoint(
        lambda x: cross_entropy(2 * x, y, class_group=dist.group.WORLD), own, use_reentrant=False
    )
    loss.backward()
    leaf = z.clone().requires_grad_()
    whole.cross_entropy(2 * leaf, y).backward()
    torch.testing.assert_close(own.grad, part(leaf.grad, sizes("uneven", 11, ranks), rank))


@on(3)
def compiled_functions_call_it(rank: int, ranks: int) -> None:
    from torch._dynamo.testing import CompileCounter

    z, y = example()
    own, group = mine(z, rank, ranks), dist.group.WORLD

    def f(x: Any) -> Any:
        return cross_entropy(2 * x, y, class_group=group) + 1

    want = f(own)
    counter = CompileCounter()
    torch.testing.assert_close(torch.compile(f, backend=counter)(own), want, rtol=0, atol=0)
    assert (counter.frame_count, counter.op_count) == (2, 2)  # 2·x, and + 1
    with pytest.raises(torch._dynamo.exc.Unsupported, match="disable"):
        torch.compile(f, backend="eager", fullgraph=True)(own)


@on(4)
def dtensors_bring_their_groups(rank: int, ranks: int) -> None:
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("rows", "classes"))
    z, y = example(5, 7)
    y[0] = -100
    w, s = torch.linspace(0.5, 2.0, 7), torch.linspace(0.0, 1.0, 5)
    for placements in ([Shard(0), Shard(1)], [Replicate(), Shard(1)], [Shard(0), Replicate()]):
        leaf = z.clone().requires_grad_()
        want = whole.cross_entropy(leaf, y, w, sample_weight=s)
        want.backward()
        tensor = distribute_tensor(z, mesh, placements).requires_grad_()
        by_row = [p if p == Shard(0) else Replicate() for p in placements]
        for target in (y, distribute_tensor(y, mesh, by_row)):
            tensor.grad = None
            got = cross_entropy(tensor, target, w, sample_weight=s)
            got.backward()
            torch.testing.assert_close(got, want)
            torch.testing.assert_close(tensor.grad.full_tensor(), leaf.grad)
        q = torch.softmax(z, 1)
        torch.testing.assert_close(cross_entropy(tensor, q), whole.cross_entropy(z, q))
    tensor = distribute_tensor(z, mesh, [Replicate(), Shard(1)])
    for a, b in zip(score(tensor, y), whole.score(z, y), strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(ValueError, match="leave class_group and row_group out"):
        cross_entropy(tensor, y, class_group=dist.group.WORLD)


# --- ranks that are missing ----------------------------------------------------------------------


def call_with_a_loss(rank: int, how: str) -> tuple[str, float]:
    """What a rank hears of one that dies in a call, or that makes none."""
    z, y = example()
    own = mine(z, rank, 3)
    for _ in range(2):
        cross_entropy(own, y, class_group=dist.group.WORLD)
    if rank == 1 and how == "dies":
        Call.numbers = lambda *given: os._exit(9)
    if rank == 1 and how == "is away":
        time.sleep(LIMIT_OF_ONE + 4)
        return "", 0.0
    start = time.monotonic()
    try:
        cross_entropy(own, y, class_group=dist.group.WORLD)
    except RuntimeError as error:
        return str(error), time.monotonic() - start
    return "no error", 0.0


LIMIT_OF_ONE = 3


@pytest.mark.parametrize("how", ["dies", "is away"])
def test_a_missing_rank_is_an_error_of_the_others(how: str) -> None:
    limit = LIMIT.total_seconds() if how == "dies" else LIMIT_OF_ONE
    results = on_ranks(3, call_with_a_loss, how, limit=limit)
    for rank in (0, 2):
        message, seconds = results[rank]
        assert f"rank {rank} of 3 heard nothing from the others" in message
        assert "\n" not in message
        assert seconds < limit + 5


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    results = results_on(SCENARIOS[name][0])
    wrong = {
        rank: "died" if result is None else result[name]
        for rank, result in enumerate(results)
        if result is None or result[name]
    }
    assert not wrong, "\n".join(f"rank {rank}: {text}" for rank, text in wrong.items())
