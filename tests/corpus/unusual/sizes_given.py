"""Functions and objects that are told the number of classes, and weights that may be left out."""

import numpy as np


def softmax(x, size):
    e = np.exp(x - x.max())
    return [e[k] / e.sum() for k in range(size)]


def softmax_but_last(x, size):
    e = np.exp(x - x.max())
    return [e[k] / e[: size - 1].sum() for k in range(size)]


class CrossEntropy:
    def __init__(self, num_class=None):
        self.num_class = num_class

    def forward(self, z, y):
        one_hot = np.eye(self.num_class)[y]
        top = z.max(axis=1, keepdims=True)
        log_a = z - top - np.log(np.exp(z - top).sum(axis=1, keepdims=True))
        self.d = (np.exp(log_a) - one_hot) / len(z)
        return -(one_hot * log_a).sum(axis=1).mean()

    def backward(self):
        return self.d


class CrossEntropyFlipped(CrossEntropy):
    def backward(self):
        return -self.d


class Classifier:
    def __init__(self):
        self.W = np.zeros((4, 3))

    def loss(self, X, y, W=None):
        W = self.W if W is None else W
        z = X @ W
        z = z - z.max(axis=1, keepdims=True)
        log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        d = np.exp(log_a)
        d[np.arange(len(y)), y] -= 1
        return -log_a[np.arange(len(y)), y].mean(), X.T @ d / len(y)

    def loss_flipped(self, X, y, W=None):
        loss, gradient = self.loss(X, y, W)
        return loss, -gradient
