from __future__ import annotations

import numpy as np

from . import functional as F
from .core.mathutils import to_one_hot


class Loss:
    def loss(self, predicted: np.ndarray, actual: np.ndarray) -> float:
        raise NotImplementedError

    def grad(self, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class SoftmaxLoss(Loss):
    """predicted: logits, actual: class indices"""

    def __init__(self, n_classes: int):
        self.n_classes = n_classes

    def loss(self, predicted, actual):
        assert predicted.shape[1] == self.n_classes
        return F.cross_entropy(predicted, actual)

    def grad(self, predicted, actual):
        return (F.softmax(predicted) - to_one_hot(actual, self.n_classes)) / len(actual)


class NLL(Loss):
    """predicted: logits, actual: one-hot; summed over the batch"""

    def loss(self, predicted, actual):
        return -np.sum(actual * F.log_softmax(predicted))

    def grad(self, predicted, actual):
        return F.softmax(predicted) - actual


class LossAndHalf(Loss):
    def loss(self, predicted, actual):
        return -np.mean(np.sum(actual * F.log_softmax(predicted), axis=1))

    def grad(self, predicted, actual):
        return 2 * (F.softmax(predicted) - actual) / predicted.shape[0]
