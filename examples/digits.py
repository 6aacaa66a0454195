"""Softmax regression on handwritten digits, trained with the gradient of this library.

The data are the 1797 digits of 8×8 pixels that scikit-learn ships. The model is one linear layer
with logits z = x·W + b. It learns by gradient descent, W ← W − α·∂J/∂W. The library computes
G = ∂J/∂z, and the chain rule gives the rest:  ∂J/∂W = xᵀ·G  and  ∂J/∂b = Σ_i G_i.

With W = 0 every class has probability 1/10, so the loss starts at ln 10. The logits and labels of
the test digits are written to a folder, for `softmaxloss score` and `softmaxloss explain`.

    python examples/digits.py --out out
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import softmaxloss

TRAIN = 1200  # the first digits are the training set; other people wrote the remaining ones


def load() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    digits = load_digits()
    return digits.data / 16.0, digits.target


def train(
    x: NDArray[np.float64], y: NDArray[np.int64], *, steps: int = 1000, alpha: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[float]]:
    """The weights, the bias, and the loss before each step."""
    weights, bias = np.zeros((x.shape[1], 10)), np.zeros(10)
    losses = []
    for _ in range(steps):
        loss, grad = softmaxloss.cross_entropy_with_grad(x @ weights + bias, y)
        losses.append(float(loss))
        weights -= alpha * (x.T @ grad)
        bias -= alpha * grad.sum(axis=0)
    return weights, bias, losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the .npy files")
    folder = parser.parse_args().out

    x, y = load()
    weights, bias, losses = train(x[:TRAIN], y[:TRAIN])
    print(
        f"training on {TRAIN} digits: loss in nats (a uniform guess has ln 10 = {math.log(10):.4f})"
    )
    for step in (0, 1, 10, 100, len(losses) - 1):
        print(f"  before step {step + 1:4d}   {losses[step]:.4f}")

    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "digits_logits.npy", x[TRAIN:] @ weights + bias)
    np.save(folder / "digits_labels.npy", y[TRAIN:])
    print(f"wrote {folder}/digits_logits.npy and digits_labels.npy: {len(y) - TRAIN} unseen digits")


if __name__ == "__main__":
    main()
