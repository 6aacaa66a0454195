"""The softmax loss of one example, after Chapter 4."""
import numpy as np


def loss(z, y):
    a = np.exp(z - np.max(z))
    a /= a.sum()
    return -np.log(a[y])


def loss_and_grad(x, label):
    """Loss and its gradient for a single score vector x and an integer label."""
    shifted = x - x.max()
    p = np.exp(shifted) / np.exp(shifted).sum()
    d = p.copy()
    d[label] -= 1
    return -np.log(p[label]), d


def loss_lse(scores, correct):
    return -scores[correct] + scores.max() + np.log(np.sum(np.exp(scores - scores.max())))


def loss_unsafe(z, y):
    a = np.exp(z)
    a /= a.sum()
    return -np.log(a[y])


def loss_plus(z, y):
    a = np.exp(z - max(z))
    a /= a.sum()
    return np.log(a[y])


def loss_base2(z, y):
    a = np.exp(z - max(z))
    a /= a.sum()
    return -np.log2(a[y])
