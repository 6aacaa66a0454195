from __future__ import annotations

import numpy as np

from .core.mathutils import stable_exp, to_one_hot, EPS


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = stable_exp(x, axis)
    return e / e.sum(axis=axis, keepdims=True)


def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    x = x - np.max(x, axis=axis, keepdims=True)
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


def cross_entropy(logits: np.ndarray, y: np.ndarray) -> float:
    q = to_one_hot(y, logits.shape[-1])
    return float(-(q * log_softmax(logits)).sum(-1).mean())


def nll_of_probs(probs: np.ndarray, y: np.ndarray) -> float:
    return float(-np.log(np.maximum(probs[np.arange(len(y)), y], EPS)).mean())
