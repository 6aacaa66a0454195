"""Costs of one course, in which the docstrings say how the examples are stored."""

import numpy as np


def activate(Z):
    """Turns scores into probabilities.

    Z: scores, (n_classes, m)
    """
    E = np.exp(Z - Z.max(axis=0, keepdims=True))
    return E / E.sum(axis=0, keepdims=True)


def activate_rows(Z):
    """Z: scores of a batch, (batch_size, n_classes). Softmax of each."""
    E = np.exp(Z - Z.max(axis=0, keepdims=True))
    return E / E.sum(axis=0, keepdims=True)


def cost(AL, Y):
    """The cost, averaged over the examples.

    AL: probabilities of shape (n_classes, m)
    Y: one-hot labels of the same shape
    """
    return -(Y * np.log(AL)).sum() / AL.shape[1]


def cost_of_rows(AL, Y):
    """The cost, averaged over the examples.

    AL: probabilities of shape (n_classes, m)
    Y: one-hot labels of the same shape
    """
    return -(Y * np.log(AL)).sum() / AL.shape[0]


def nll(a, y):
    """a: probabilities of one example, (n,); y: its class, 1..n_classes."""
    return -np.log(a[y - 1])


def nll_from_two(a, y):
    """a: probabilities of one example, (n,); y: its class, 1..n_classes."""
    return -np.log(a[y - 2])
