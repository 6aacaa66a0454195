"""The linear loss and its gradients from their definition, with PyTorch's autograd in float64.

All logits at once, log_softmax, a coefficient for every class: the code under test shares nothing
with this. `CASES` are calls, each with some of the options.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]
FEATURES, CLASSES, ROWS = 6, 13, 11

#: name → the options that are not the default; "target" is the kind of target
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "bias": {"bias": True},
    "weights": {"bias": True, "class_weights": True},
    "weights, none": {"class_weights": True, "reduction": "none"},
    "smoothing": {"bias": True, "label_smoothing": 0.1},
    "smoothing and weights": {"label_smoothing": 0.3, "class_weights": True},
    "some ignored": {"bias": True, "target": "ignored"},
    "some ignored, none": {"bias": True, "target": "ignored", "reduction": "none"},
    "some ignored, weights": {"target": "ignored", "class_weights": True},
    "sample weights": {"target": "ignored", "sample_weights": True, "class_weights": True},
    "sample weights, none": {"bias": True, "sample_weights": True, "reduction": "none"},
    "sample weights, soft": {"target": "soft", "sample_weights": True, "label_smoothing": 0.1},
    "sample weights, z_loss": {"z_loss": 0.5, "softcap": 1.5, "sample_weights": True},
    "ignore a class": {"ignore_index": 3},
    "one-based": {"target": "one-based", "first_class": 1},
    "denominator": {"target": "ignored", "denominator": 5.0},
    "soft": {"target": "soft", "bias": True},
    "soft, none": {"target": "soft", "reduction": "none", "class_weights": True},
    "several labels, sum": {"target": "several", "multi_label": "sum"},
    "several labels, mean": {"target": "several", "multi_label": "mean"},
    "z_loss": {"z_loss": 0.01, "bias": True},
    "z_loss, none": {"z_loss": 0.5, "reduction": "none", "target": "ignored"},
    "z_loss, soft": {"z_loss": 0.5, "target": "soft"},
    "softcap": {"softcap": 1.5, "bias": True},
    "softcap, none": {"softcap": 1.5, "reduction": "none", "class_weights": True},
    "everything": {
        "softcap": 2.0,
        "z_loss": 0.1,
        "label_smoothing": 0.2,
        "class_weights": True,
        "target": "ignored",
        "bias": True,
        "denominator": 7.0,
    },
}


class Arguments(NamedTuple):
    x: Array
    W: Array
    b: Array | None
    y: Array
    options: dict[str, Any]


class Truth(NamedTuple):
    loss: Array
    x: Array
    W: Array
    b: Array | None


def arguments(name: str, lead: tuple[int, ...] = (ROWS,)) -> Arguments:
    """The float64 arguments of a case, with an input of shape (*lead, FEATURES)."""
    options = dict(CASES[name])
    rng = np.random.default_rng(len(name))
    x = rng.normal(size=(*lead, FEATURES))
    W = rng.normal(size=(CLASSES, FEATURES))
    b = rng.normal(size=CLASSES) if options.pop("bias", False) else None
    kind = options.pop("target", "index")
    y: Array = rng.integers(CLASSES, size=lead)
    if kind == "ignored" and y.size > 2:
        y.reshape(-1)[[0, -2]] = -100
    elif kind == "one-based":
        y += 1
    elif kind == "soft":
        y = rng.dirichlet(np.ones(CLASSES), lead)
    elif kind == "several":
        y = (rng.random((*lead, CLASSES)) < 0.3).astype(np.float64)
        y[..., 0] = 1
    if options.pop("class_weights", False):
        options["weight"] = rng.uniform(0.5, 2, CLASSES)
    if options.pop("sample_weights", False):
        options["sample_weight"] = rng.uniform(0.5, 2, lead)
        options["sample_weight"].reshape(-1)[1:2] = 0
    return Arguments(x, W, b, y, options)


def truth(
    x: Array,
    W: Array,
    b: Array | None,
    y: Array,
    grad_output: Any = 1.0,
    *,
    weight: Array | None = None,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    multi_label: str = "error",
    denominator: float | None = None,
    first_class: int = 0,
    z_loss: float = 0.0,
    softcap: float | None = None,
) -> Truth:
    leaves = [None if a is None else torch.tensor(a, dtype=torch.float64) for a in (x, W, b)]
    for leaf in leaves:
        if leaf is not None:
            leaf.requires_grad_()
    tx, tW, tb = leaves
    assert tx is not None
    assert tW is not None
    z = tx @ tW.T
    if tb is not None:
        z = z + tb
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    classes = tW.shape[0]
    w = torch.ones(classes) if weight is None else torch.tensor(weight)
    w = w.double()
    labels = torch.tensor(y)
    counts = torch.ones(tx.shape[:-1], dtype=torch.bool)
    s = counts.double() if sample_weight is None else torch.tensor(sample_weight)
    if labels.shape == tx.shape[:-1]:
        counts = labels != ignore_index
        safe = torch.where(counts, labels.long() - first_class, 0)
        q = torch.nn.functional.one_hot(safe, classes).double()
        divisor = float((w[safe] * counts * s).sum())
    else:
        q = labels.double()
        if multi_label == "mean":
            q = q / q.sum(-1, keepdim=True)
        divisor = float(s.sum())
    c = w * ((1 - label_smoothing) * q + label_smoothing / classes)
    losses = -(c * torch.log_softmax(z, -1)).sum(-1)
    losses = losses + z_loss * torch.logsumexp(z, -1) ** 2
    losses = torch.where(counts, losses * s, 0.0)
    loss = losses
    if reduction != "none":
        loss = losses.sum()
    if reduction == "mean":
        loss = loss / (divisor if denominator is None else denominator)
    loss.backward(torch.as_tensor(grad_output, dtype=torch.float64).expand(loss.shape))
    grads = [None if leaf is None else leaf.grad.numpy() for leaf in leaves]  # type: ignore[union-attr]
    return Truth(loss.detach().numpy(), *grads)  # type: ignore[arg-type]


def close(got: Any, want: Any, eps: float = 2.0**-52, ops: int = 200) -> None:
    """Within `ops` roundings of the largest number: the sums have a few dozen terms."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=ops * eps * max(1.0, np.abs(want).max()))
