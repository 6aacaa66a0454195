"""Small examples as tensors, and options to compute their loss with."""

from __future__ import annotations

from typing import Any

import torch

OPTIONS: list[dict[str, Any]] = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"weight": torch.tensor([0.5, 2.0, 1.0, 0.0, 3.0], dtype=torch.float64)},
    {"label_smoothing": 0.1},
    {"ignore_index": 2, "reduction": "sum"},
]


def name_of(options: dict[str, Any]) -> str:
    """A short id of a test's options."""
    words = (name if name == "weight" else f"{name}={value}" for name, value in options.items())
    return ", ".join(words) or "default"


def example(dtype: Any = torch.float64, rows: int = 6, classes: int = 5) -> tuple[Any, Any]:
    """Logits that require a gradient, and labels."""
    generator = torch.Generator().manual_seed(rows * classes)
    z = torch.randn(rows, classes, generator=generator, dtype=dtype)
    y = torch.randint(classes, (rows,), generator=generator)
    return z.requires_grad_(), y


def close(got: Any, want: Any, **tolerance: float) -> None:
    torch.testing.assert_close(got, want, **tolerance)
