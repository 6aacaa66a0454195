"""Losses that look like the softmax loss and are others, and the softmax loss beside them."""

import numpy as np


class CrossEntropyCost:
    @staticmethod
    def fn(a, y):
        return np.sum(np.nan_to_num(-y * np.log(a) - (1 - y) * np.log(1 - a)))

    @staticmethod
    def delta(z, a, y):
        return a - y


def cross_entropy(prediction, target):
    each = target * np.log(prediction) + (1 - target) * np.log(1 - prediction)
    return -each.sum(axis=1).mean()


def softmax_cross_entropy(probs, target):
    each = target * np.log(probs) + (1 - target) * np.log(1 - probs)
    return -each.sum(axis=1).mean()


def cross_entropy_of_label(yhat, y):
    return -np.log(yhat) if y == 1 else -np.log(1 - yhat)


def nll(logits, labels):
    one_hot = np.eye(logits.shape[1])[labels]
    return -np.mean(np.sum(one_hot * logits, axis=-1))


def item_loss(probabilities, onehot):
    """probabilities and onehot have one number for each class."""
    total = 0.0
    for n, is_label in enumerate(onehot):
        if is_label == 1:
            total -= np.log(probabilities[n])
    return total


def item_loss_flipped(probabilities, onehot):
    """probabilities and onehot have one number for each class."""
    total = 0.0
    for n, is_label in enumerate(onehot):
        if is_label == 1:
            total += np.log(probabilities[n])
    return total


def cost_across(y, output):
    return -np.sum(y.T * np.log(output)) / y.shape[0]


def cost_across_flipped(y, output):
    return np.sum(y.T * np.log(output)) / y.shape[0]


class SoftmaxBinaryCrossEntropy:
    def loss(self, probabilities, target):
        each = target * np.log(probabilities) + (1 - target) * np.log(1 - probabilities)
        return -each.sum(axis=1).mean()
