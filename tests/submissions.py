"""Files as students submit them, with a function f or with methods."""

from __future__ import annotations

__all__ = ["METHODS", "MINUS", "RIGHT", "WEAK"]

RIGHT = """import numpy as np
def f(x, y):
    z = x - x.max(axis=1, keepdims=True)
    log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -log_a[np.arange(len(y)), y].mean()
"""
MINUS = """import numpy as np
def f(x, y):
    a = np.exp(-x) / np.exp(-x).sum(axis=1, keepdims=True)
    return -np.log(a[np.arange(len(y)), y]).mean()
"""
WEAK = """import numpy as np
def f(z, y):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    a = e / e.sum(axis=1, keepdims=True)
    return -np.log(a[np.arange(len(y)), y]).mean()
"""
METHODS = f"""{RIGHT.replace("def f(", "def right(")}
class Loss:
    def forward(self, x, y):
        return right(x, y)
    @staticmethod
    def static(x, y):
        return right(x, y)
class Callable(Loss):
    def __call__(self, x, y):
        return right(x, y)
class Sized(Loss):
    def __init__(self, size):
        pass
class Sum:
    static = right
made = Callable()
"""
