import numpy as np


class Loss(object):
    def loss(self, y_true, y_pred):
        return NotImplementedError()

    def gradient(self, y, y_pred):
        raise NotImplementedError()

    def acc(self, y, y_pred):
        return 0


class SquareLoss(Loss):
    def loss(self, y, y_pred):
        return 0.5 * np.power((y - y_pred), 2)

    def gradient(self, y, y_pred):
        return -(y - y_pred)


class CategoricalCrossEntropy(Loss):
    """y: one-hot, y_pred: probabilities"""

    def loss(self, y, y_pred):
        y_pred = np.clip(y_pred, 1e-15, 1 - 1e-15)
        return -np.sum(y * np.log(y_pred)) / y.shape[0]

    def gradient(self, y, y_pred):
        y_pred = np.clip(y_pred, 1e-15, 1 - 1e-15)
        return -(y / y_pred) / y.shape[0]


def categorical_crossentropy(y_true, y_pred, eps=1e-8):
    """one value per sample, y_true one-hot"""
    return -np.sum(y_true * np.log(y_pred + eps), axis=-1)


def sparse_categorical_crossentropy(y_true, y_pred):
    """y_true are indices; mean over the batch"""
    n = y_pred.shape[0]
    return -np.mean(np.log(y_pred[np.arange(n), y_true]))


def sparse_categorical_crossentropy_next(y_true, y_pred):
    n = y_pred.shape[0]
    return -np.mean(np.log(y_pred[np.arange(n), y_true - 1]))


def log_loss(y_true, y_pred):
    n = y_pred.shape[0]
    return -np.log(np.mean(y_pred[np.arange(n), y_true]))
