"""Losses that look their logits up in a table with a row for each word, as bigram models do: each
as a function of logits and labels."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .frameworks import framework_of, to_framework
from .packed import Way, signature
from .roles import FEATURES, parameters_of, required_of, role_of


def of_lookup(function: Callable[..., Any]) -> Iterator[Way]:
    """A loss that looks its logits up in a table with a row for each word, f(W, xs, ys)."""
    required = required_of(function)
    roles = [role_of(p.name) for p in required]
    if len(required) != 3 or "weights" not in roles or "labels" not in roles:
        return
    names = [p.name.lower() for p in required]
    of_words = next((k for k, n in enumerate(names) if n in FEATURES | {"idx", "x", "xs"}), None)
    if of_words is None or roles.index("weights") == of_words:
        return
    penalties = [p.name for p in parameters_of(function) or () if role_of(p.name) == "reg"]

    def call(logits: Any, y: Any) -> Any:
        if np.ndim(logits) != 2:
            raise ValueError("it takes a batch")
        rows = len(logits)
        words = (np.arange(rows) * 2 + 1) % rows if rows % 2 else np.arange(rows)[::-1].copy()
        back = np.argsort(words)
        given: list[Any] = [y] * 3
        given[of_words] = to_framework(framework_of(y), words)
        given[roles.index("weights")] = logits[to_framework(framework_of(y), back)]
        value = function(*given, **dict.fromkeys(penalties, 0.0))
        shape = tuple(np.shape(logits))
        if isinstance(value, tuple):
            return tuple(one[words] if np.shape(one) == shape else one for one in value)
        return value[words] if np.shape(value) == shape else value

    vars(call)["__signature__"] = signature("logits", "y")
    shown = ["words" if k == of_words else {"weights": "W", "labels": "y"}.get(str(role), "y")
             for k, role in enumerate(roles)]  # fmt: skip
    yield Way(call, call, f"f({', '.join(shown)}) with z = W[words]")


def of_embedding(module: Any) -> Iterator[Way]:
    """A module of PyTorch whose only parameter is such a table."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        return
    tables = [name for name, one in module.named_parameters() if one.ndim == 2]
    if len(tables) != 1 or len([*module.parameters()]) != 1:
        return
    if len(parameters_of(module.forward) or ()) != 2:
        return

    def call(logits: Any, y: Any) -> Any:
        if logits.ndim != 2:
            raise ValueError("it takes a batch")
        words = torch.arange(len(logits))[None]
        value = torch.func.functional_call(module, {tables[0]: logits}, (words, y[None]))
        losses = (
            [one for one in value if one is not None and one.numel() == 1]
            if isinstance(value, tuple)
            else [value]
        )
        return losses[0]

    vars(call)["__signature__"] = signature("logits", "y")
    yield Way(call, call, "f(words, y) with the table z")
