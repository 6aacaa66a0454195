"""The time that `softmaxloss check` takes for a class: a folder of 120 submissions.

    python -m benchmarks.grading

They are six functions of different shapes, each 20 times, every second one with a mistake.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from . import machine

#: A right function, a piece of it, and what stands there in the wrong ones.
SUBMISSIONS = {
    "one example": ("""
import numpy as np

def f(z, y):
    a = np.exp(z - z.max())
    a /= a.sum()
    return -np.log(a[y])
""", "-np.log(a[y])", "np.log(a[y])"),
    "loss and gradient of a batch": ("""
import numpy as np

def f(z, y):
    N = len(z)
    z = z - z.max(axis=1, keepdims=True)
    a = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    loss = -np.log(a[np.arange(N), y]).mean()
    a[np.arange(N), y] -= 1
    return loss, a / N
""", "a / N", "a"),
    "probabilities, one-hot": ("""
import numpy as np

def f(y_hat, y):
    return -np.sum(y * np.log(y_hat + 1e-7)) / len(y)
""", "-np.sum", "np.sum"),
    "a layer in loops": ("""
import numpy as np

def f(W, X, y, reg):
    loss, dW = 0.0, np.zeros_like(W)
    for i in range(len(X)):
        scores = X[i].dot(W)
        scores -= scores.max()
        p = np.exp(scores) / np.exp(scores).sum()
        loss -= np.log(p[y[i]])
        for j in range(W.shape[1]):
            dW[:, j] += (p[j] - (j == y[i])) * X[i]
    loss, dW = loss / len(X), dW / len(X)
    return loss + reg * np.sum(W * W), dW + 2 * reg * W
""", "2 * reg * W", "reg * W"),
    "a class with backward": ("""
import numpy as np

class f:
    def forward(self, x, t):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        self.y, self.t = e / e.sum(axis=-1, keepdims=True), t
        return -np.log(self.y[np.arange(len(t)), t] + 1e-12).mean()

    def backward(self, dout=1):
        dx = self.y.copy()
        dx[np.arange(len(dx)), self.t] -= 1
        return dout * dx / len(dx)
""", "-= 1", "+= 1"),
    "PyTorch": ("""
import torch

def f(logits, target):
    log_p = logits - logits.logsumexp(dim=1, keepdim=True)
    return -log_p.gather(1, target[:, None]).mean()
""", "dim=1, ", "dim=0, "),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grading", description=__doc__)
    parser.add_argument("--of-each", type=int, default=20, help="submissions of each shape")
    of_each = parser.parse_args().of_each
    with tempfile.TemporaryDirectory() as folder:
        for shape, (code, right, wrong) in SUBMISSIONS.items():
            for k in range(of_each):
                text = code.replace(right, wrong) if k % 2 else code
                Path(folder, f"{shape} {k}.py").write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "softmaxloss", "check", f"{folder}:f", "--json"]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
    found = Counter(report["verdict"] for report in json.loads(done.stdout))
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(found.items()))
    print(f"{sum(found.values())} files ({counts}) in {seconds:.0f} s")
    print(f"on {os.cpu_count()} processors; {machine.dated()}; Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
