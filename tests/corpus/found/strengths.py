"""Losses with a strength of the data term, and with a temperature."""

import numpy as np


def _probabilities(scores):
    scores = scores - scores.max(axis=1, keepdims=True)
    powers = np.exp(scores)
    return powers / powers.sum(axis=1, keepdims=True)


def objective(W, X, y, C):
    P = _probabilities(X.dot(W))
    rows = np.arange(y.size)
    value = C * -np.log(P[rows, y]).sum() + 0.5 * (W * W).sum()
    P[rows, y] -= 1.0
    return value, C * X.T.dot(P) + W


def softmax_cost_strength_once(W, X, y, C=1.0):
    P = _probabilities(X.dot(W))
    rows = np.arange(y.size)
    value = C * -np.log(P[rows, y]).sum() + 0.5 * (W * W).sum()
    P[rows, y] -= 1.0
    return value, X.T.dot(P) + W


def softmax(z, T):
    return _probabilities(z / T)


def softmax_sharper(z, temperature=0.5):
    return _probabilities(z * temperature)


def softmax_half_tempered(z, temperature=1.0):
    z = z - z.max(axis=1, keepdims=True)
    return np.exp(z / temperature) / np.exp(z).sum(axis=1, keepdims=True)


def cross_entropy(logits, labels, tau=4.0):
    a = _probabilities(logits / tau)
    return -np.log(a[np.arange(len(labels)), labels]).mean()


def cross_entropy_not_tempered(logits, labels, tau=4.0):
    a = _probabilities(logits)
    return -np.log(a[np.arange(len(labels)), labels]).mean()


def softmax_axis(matrix, axis, keepdims):
    powers = np.exp(matrix - matrix.max(axis=axis, keepdims=keepdims))
    return powers / powers.sum(axis=axis, keepdims=keepdims)


def class_probabilities(X, theta, temperature):
    scores = theta.dot(X.T) / temperature
    powers = np.exp(scores - scores.max(axis=0))
    return powers / powers.sum(axis=0)


def softmax_of(x, xp):
    powers = xp.exp(x - xp.max(x, axis=2, keepdims=True))
    return powers / xp.sum(powers, axis=2, keepdims=True)
