"""What comments and other functions of the file say."""

import numpy as np


# A and Y: (classes, examples)
def cost(A, Y):
    return -np.sum(Y * np.log(A)) / Y.shape[1]


# A and Y: (classes, examples)
def cost_by_classes(A, Y):
    return -np.sum(Y * np.log(A)) / Y.shape[0]


def objective(theta, X, y, K):
    """theta: (d, K); y: labels 1..K, as in the file"""
    h = X @ theta
    h = np.exp(h - h.max(axis=1, keepdims=True))
    h /= h.sum(axis=1, keepdims=True)
    return -sum(np.log(h[i, int(label) - 1] + 1e-300) for i, label in enumerate(y)) / len(y)


def slope(theta, X, y, K):
    h = X @ theta
    h = np.exp(h - h.max(axis=1, keepdims=True))
    h /= h.sum(axis=1, keepdims=True)
    h[np.arange(len(y)), y - 1] -= 1
    return X.T @ h / len(y)


def slope_up(theta, X, y, K):
    h = X @ theta
    h = np.exp(h - h.max(axis=1, keepdims=True))
    h /= h.sum(axis=1, keepdims=True)
    h[np.arange(len(y)), y - 1] -= 1
    return -X.T @ h / len(y)


def over_time(logits, labels):
    """logits (B, T, V), labels (B, T)"""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return -np.log(np.take_along_axis(p, labels[..., None], axis=-1)).mean()


def over_words(logits, labels):
    """logits (B, T, V), labels (B, T)"""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return -np.log(np.take_along_axis(p, labels[..., None], axis=-1)).mean()


def pixel_loss(logits, target):
    """logits [B, C, H, W], target [B, H, W]"""
    flat = np.moveaxis(logits, 1, -1).reshape(-1, logits.shape[1])
    flat = flat - flat.max(axis=1, keepdims=True)
    logp = flat - np.log(np.exp(flat).sum(axis=1, keepdims=True))
    return -logp[np.arange(len(flat)), target.ravel()].mean()


def pixel_loss_mixed(logits, target):
    """logits [B, C, H, W], target [B, H, W]"""
    flat = logits.reshape(-1, logits.shape[1])
    flat = flat - flat.max(axis=1, keepdims=True)
    logp = flat - np.log(np.exp(flat).sum(axis=1, keepdims=True))
    return -logp[np.arange(len(flat)), target.ravel()].mean()


def log_softmax_columns(s):
    """columns are examples"""
    top = s.max(axis=0)
    return s - top - np.log(np.exp(s - top).sum(axis=0))


def log_softmax_divided(s):
    """columns are examples"""
    top = s.max(axis=0)
    return s / (top + np.log(np.exp(s - top).sum(axis=0)))
