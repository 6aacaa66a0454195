"""Processes as the ranks of a gloo group, and how a test's arrays are split over them."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing

#: What a rank waits for the others: far more than a call takes, far less than a hanging test.
LIMIT = timedelta(seconds=60)

#: All tests with ranks run in one process, which keeps the one that they are forks of.
together = pytest.mark.xdist_group("ranks")

SPLITS = ("even", "uneven", "empty")

# What the ranks import. One process, of which each rank is a fork, does it once for all.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pytest", "torch.distributed.tensor", "softmaxloss.parallel"])


def on_ranks(
    ranks: int,
    function: Callable[..., Any],
    *arguments: Any,
    limit: float = LIMIT.total_seconds(),
) -> list[Any]:
    """function(rank, *arguments) on so many ranks; what each returned, None for one that died.

    limit: seconds that a rank waits for the others.
    """
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            CONTEXT.Process(target=_rank, args=(rank, ranks, folder, limit, function, arguments))
            for rank in range(ranks)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(900)
        alive = [rank for rank, process in enumerate(processes) if process.is_alive()]
        for rank in alive:
            processes[rank].kill()
        assert not alive, f"ranks {alive} hang"
        results = []
        for rank in range(ranks):
            path = Path(folder, f"{rank}")
            results.append(pickle.loads(path.read_bytes()) if path.exists() else None)
        return results


def _rank(
    rank: int,
    ranks: int,
    folder: str,
    limit: float,
    function: Callable[..., Any],
    arguments: Any,
) -> None:
    torch.set_num_threads(1)
    timeout = timedelta(seconds=limit)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", store, rank=rank, world_size=ranks, timeout=timeout)
    result = function(rank, *arguments)
    Path(folder, f"{rank}").write_bytes(pickle.dumps(result))
    os._exit(0)  # after an error, threads of gloo may be left that end the process otherwise


def sizes(split: str, classes: int, ranks: int) -> list[int]:
    """How many of the classes each rank has.

    >>> sizes("even", 5, 3), sizes("uneven", 5, 3), sizes("empty", 5, 3)
    ([2, 2, 1], [1, 3, 1], [0, 5, 0])
    """
    if split == "even":
        return [(classes + ranks - 1 - rank) // ranks for rank in range(ranks)]
    if split == "uneven":  # one class for each but the second rank, while there are some
        each = [1 if rank < classes else 0 for rank in range(ranks)]
        each[min(1, ranks - 1)] += classes - sum(each)
        return each
    holders = [rank for rank in range(ranks) if rank % 2 == 1] or [0]
    each = [0] * ranks
    for n, rank in enumerate(holders):
        each[rank] = (classes + len(holders) - 1 - n) // len(holders)
    return each


def part(array: Any, each: list[int], rank: int) -> Any:
    """The classes of one rank, of an array or tensor (C,), (N, C) or (N, C, d1, …)."""
    start = sum(each[:rank])
    own = slice(start, start + each[rank])
    return array[own] if array.ndim == 1 else array[:, own]
