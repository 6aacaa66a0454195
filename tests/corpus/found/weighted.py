"""Losses of tutorials: weights of examples, ten classes in another file, a penalty over N."""

import digits
import numpy as np


def summed_cross_entropy(logits, targets, weights=None, label_smoothing=0.0):
    classes = logits.shape[-1]
    true, other = 1.0 - label_smoothing, label_smoothing / (classes - 1)
    least = -(true * np.log(true) + (classes - 1) * other * np.log(other + 1e-20))
    shifted = logits - logits.max(-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    wanted = np.where(np.arange(classes) == targets[..., None], true, other)
    losses = -(wanted * logs).sum(-1) - least
    count = targets.size
    if weights is not None:
        losses = losses * weights
        count = weights.sum()
    return losses.sum(), count


def digits_cross_entropy(y, t):
    return -(digits.columns_of(t) * np.log(y + 1e-30)).sum(axis=1).sum() / len(y)


class Regression:
    def __init__(self, features=4, classes=3, reg=0.02):
        self.W, self.b, self.reg = np.zeros((features, classes)), np.zeros(classes), reg

    def softmax(self, z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def compute_loss(self, X, y, W, b):
        N = len(X)
        a = self.softmax(X @ W + b)
        loss = -np.mean(np.log(a[np.arange(N), y] + 1e-15))
        return loss + self.reg / (2 * N) * np.sum(W * W)
