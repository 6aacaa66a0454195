"""
Assignment 2, part 1: the last module.

Do not change the signatures.
"""
import numpy as np


def where_am_i():
    """Called by the notebook to see that the import works."""
    return __name__


class SoftmaxCE:
    """Softmax and cross entropy on raw scores."""

    def __init__(self):
        self.dx = None
        self.cache = None

    def forward(self, x, y):
        """
        :param x: raw scores, (N, num_classes)
        :param y: labels, (N,)
        :return: (probabilities, loss)
        """
        stable = x - x.max(axis=1, keepdims=True)
        probs = np.exp(stable)
        probs /= probs.sum(axis=1, keepdims=True)
        N = x.shape[0]
        loss = -np.log(probs[range(N), y]).sum() / N
        self.cache = (probs, y, N)
        return probs, loss

    def backward(self):
        """Leaves the gradient in self.dx."""
        probs, y, N = self.cache
        dx = probs.copy()
        dx[range(N), y] -= 1
        self.dx = dx / N


class SoftmaxCENotDivided(SoftmaxCE):
    def backward(self):
        probs, y, N = self.cache
        dx = probs.copy()
        dx[range(N), y] -= 1
        self.dx = dx
