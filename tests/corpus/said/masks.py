"""Masks of attention, and the log of a sum of exponentials."""

import numpy as np


def masked_softmax(scores, mask):
    e = np.where(mask, np.exp(scores - scores.max(axis=-1, keepdims=True)), 0.0)
    return e / e.sum(axis=-1, keepdims=True)


def masked_softmax_added(scores, mask):
    """mask: 1 for what is padding"""
    scores = scores + mask * -1e9
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def masked_softmax_after(scores, mask):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True) * mask


def masked_softmax_product(scores, mask):
    scores = scores * mask
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def logsumexp(x):
    top = x.max(axis=1)
    return top + np.log(np.exp(x - top[:, None]).sum(axis=1))


def logsumexp_of_columns(x):
    top = x.max(axis=0, keepdims=True)
    return np.log(np.exp(x - top).sum(axis=0, keepdims=True)) + top


def logsumexp_without_top(x):
    top = x.max(axis=1)
    return np.log(np.exp(x - top[:, None]).sum(axis=1))
