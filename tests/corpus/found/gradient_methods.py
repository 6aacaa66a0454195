"""Losses and layers whose gradient has a method by another name, or with more arguments."""

import numpy as np


def probabilities_of(scores):
    scores = scores - scores.max(axis=1, keepdims=True)
    powers = np.exp(scores)
    return powers / powers.sum(axis=1, keepdims=True)


class Categorical:
    """The loss of probabilities and one-hot labels, and its derivative by the logits."""

    def compute_loss(self, labels, predictions):
        return -(labels * np.log(predictions)).sum(axis=1).mean()

    def compute_derivative(self, labels, predictions):
        return (predictions - labels) / len(labels)


class CategoricalReversed(Categorical):
    def compute_derivative(self, labels, predictions):
        return (labels - predictions) / len(labels)


class OtherOrder:
    """Its two methods have their arguments in another order."""

    def cost(self, y_true, logits):
        return -(y_true * np.log(probabilities_of(logits))).sum(axis=1).mean()

    def d_loss(self, logits, y_true):
        return (probabilities_of(logits) - y_true) / len(logits)


class OtherOrderUndivided(OtherOrder):
    def d_loss(self, logits, y_true):
        return probabilities_of(logits) - y_true


class SoftmaxInTraining:
    """Keeps its probabilities for backward in training only."""

    def __init__(self):
        self.kept = {}

    def forward(self, x, training=False):
        a = probabilities_of(x)
        if training:
            self.kept["a"] = a
        return a

    def backward(self, grad):
        a = self.kept["a"]
        return a * (grad - (grad * a).sum(axis=1, keepdims=True))


class SoftmaxInTrainingDiagonal(SoftmaxInTraining):
    def backward(self, grad):
        a = self.kept["a"]
        return a * (1 - a) * grad


class SoftmaxWithCache:
    """Returns what its backward needs."""

    def forward(self, x):
        a = probabilities_of(x)
        return a, {"a": a}

    def backprop(self, x, cache, upstream_grad):
        a = cache["a"]
        return a * (upstream_grad - (upstream_grad * a).sum(axis=1, keepdims=True))


class SoftmaxWithCacheNoSum(SoftmaxWithCache):
    def backprop(self, x, cache, upstream_grad):
        return cache["a"] * upstream_grad


class SoftmaxOfNetwork:
    """Its backward needs the layers around it."""

    def forward(self, x):
        return probabilities_of(x)

    def backward(self, following, optimizer):
        return following.weights.T @ optimizer.delta


class SoftmaxToldToKeep:
    def __init__(self):
        self.kept = {}

    def forward(self, x, store=False):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        a = e / e.sum(axis=1, keepdims=True)
        if store:
            self.kept["a"] = a
        return a

    def backward(self, dout):
        a = self.kept["a"]
        return a * (dout - (a * dout).sum(axis=1, keepdims=True))


class SoftmaxToldToKeepDiagonal(SoftmaxToldToKeep):
    def backward(self, dout):
        a = self.kept["a"]
        return dout * a * (1 - a)
