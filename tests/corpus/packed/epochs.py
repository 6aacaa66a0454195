"""One epoch of a network of two layers, which changes its weights in place; softmax with a mask of
what is left out."""

import numpy as np


def two_layer_epoch(X, y, W1, W2, lr=0.1, batch=100):
    for start in range(0, len(X), batch):
        x, t = X[start : start + batch], y[start : start + batch]
        hidden = np.maximum(x @ W1, 0)
        a = np.exp(hidden @ W2)
        a /= a.sum(axis=1, keepdims=True)
        a[np.arange(len(t)), t] -= 1
        back = (hidden > 0) * (a @ W2.T)
        W2 -= lr / len(t) * (hidden.T @ a)
        W1 -= lr / len(t) * (x.T @ back)


def two_layer_epoch_up(X, y, W1, W2, lr=0.1, batch=100):
    before = W1.copy(), W2.copy()
    two_layer_epoch(X, y, W1, W2, lr, batch)
    W1 += 2 * (before[0] - W1)
    W2 += 2 * (before[1] - W2)


def two_layer_epoch_late(X, y, W1, W2, lr=0.1, batch=100):
    """The second layer is changed before the gradient passes through it."""
    for start in range(0, len(X), batch):
        x, t = X[start : start + batch], y[start : start + batch]
        hidden = np.maximum(x @ W1, 0)
        a = np.exp(hidden @ W2)
        a /= a.sum(axis=1, keepdims=True)
        a[np.arange(len(t)), t] -= 1
        W2 -= lr / len(t) * (hidden.T @ a)
        W1 -= lr / len(t) * (x.T @ ((hidden > 0) * (a @ W2.T)))


def attention_weights(scores, mask):
    """mask: True where there is padding."""
    scores = np.where(mask, -np.inf, scores)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention_weights_zeroed(scores, mask):
    """mask: True where there is padding."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.where(mask, 0.0, e / e.sum(axis=-1, keepdims=True))
