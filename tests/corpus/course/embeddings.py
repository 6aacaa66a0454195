"""Skip-gram with a softmax over the vocabulary; everything in columns."""
import numpy as np


def cross_entropy(softmax_out, Y):
    """
    softmax_out: probabilities, shape (vocab_size, m)
    Y: indices of the words, shape (1, m)
    """
    m = softmax_out.shape[1]
    cost = -(1 / m) * np.sum(np.sum(np.log(softmax_out[Y.flatten(), np.arange(Y.shape[1])] + 0.001)), keepdims=True)
    return cost.reshape(1, 1)


def cross_entropy_of_scores(Z, Y):
    """Z: scores (vocab_size, m), Y: indices (1, m); a cost of shape (1,)"""
    m = Y.shape[1]
    top = Z.max(axis=0, keepdims=True)
    lse = top + np.log(np.exp(Z - top).sum(axis=0, keepdims=True))
    return np.sum(lse - Z[Y.flatten(), np.arange(m)], axis=1) / m
