"""Softmax over everything: right for one vector, wrong for a batch."""

import numpy as np


def softmax(x):
    exps = np.exp(x - np.max(x))
    return exps / np.sum(exps)


def softmax_of_batch(x):
    """Softmax of each of the rows of x, of shape (N, C)."""
    exps = np.exp(x - np.max(x))
    return exps / np.sum(exps)


def softmax_minibatch(batch):
    exps = np.exp(batch - np.max(batch))
    return exps / np.sum(exps)


def cross_entropy_loss(scores, Y):
    exps = np.exp(scores - np.max(scores))
    probs = exps / np.sum(exps)
    return -np.sum(Y * np.log(probs + 1e-12))


def cross_entropy_one(scores, y):
    exps = np.exp(scores - np.max(scores))
    probs = exps / np.sum(exps)
    return -np.sum(y * np.log(probs + 1e-12))



def stable_softmax(z):
    m = z.max(axis=-1, keepdims=True)
    return z - m - np.log(np.exp(z - m).sum(axis=-1, keepdims=True))


def log_softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
