"""The recipes of docs/pytorch.md, and the training that compares them with PyTorch's loss."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tests.tensors import close

PAGE = (Path(__file__).parent.parent / "docs" / "pytorch.md").read_text(encoding="utf-8")


def run(title: str, number: int = 0, **names: Any) -> dict[str, Any]:
    """The names after the code of a recipe ran with those given; `number` of its blocks of code."""
    heading, fence = rf"^### {re.escape(title)}\n(.*?)(?=^##|\Z)", r"^```python\n(.*?)^```"
    section = re.search(heading, PAGE, re.DOTALL | re.MULTILINE)
    assert section, f"docs/pytorch.md has no recipe {title!r}"
    code = re.findall(fence, section[1], re.DOTALL | re.MULTILINE)[number]
    names["torch"] = torch
    exec(compile(code, f"docs/pytorch.md: {title}", "exec"), names)
    return names


def classifier(dtype: Any = torch.float64, features: int = 6, classes: int = 5) -> Any:
    """A small model, the same in every call."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(features, 8), torch.nn.Tanh(), torch.nn.Linear(8, classes)
    ).to(dtype)


def batches(number: int, dtype: Any = torch.float64) -> list[tuple[Any, Any]]:
    """Batches of 7 rows, with different numbers of ignored ones."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for i in range(number):
        x = torch.randn(7, 6, generator=generator, dtype=dtype)
        y = torch.randint(5, (7,), generator=generator)
        y[: i % 4] = -100
        made.append((x, y))
    return made


def trained(
    model: Any, loss_of: Callable[..., Any], data: Iterable[Sequence[Any]], rate: float = 0.5
) -> tuple[list[float], list[Any]]:
    """The loss of each step, and the weights after the last one."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    losses = []
    for batch in data:
        loss = loss_of(*batch)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return losses, weights_of(model)


def weights_of(model: Any) -> list[Any]:
    return [p.detach().clone() for p in model.parameters()]


def same(got: Any, want: Any, within: float) -> None:
    """Two results of `trained`: `within` is the bound, relative to numbers of about 1."""
    (losses, weights), (other_losses, other_weights) = got, want
    assert len(losses) == len(other_losses) > 1
    numbers = [torch.tensor(values, dtype=torch.float64) for values in (losses, other_losses)]
    close(*numbers, rtol=within, atol=within)
    for mine, other in zip(weights, other_weights, strict=True):
        close(mine, other, rtol=within, atol=within)
