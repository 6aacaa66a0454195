"""Losses of probabilities that are clipped, and their gradients."""

import numpy as np


def categorical(y_hat, y):
    y_hat = np.clip(y_hat, 1e-12, 1 - 1e-12)
    return -np.mean(np.sum(y * np.log(y_hat) + (1 - y) * np.log(1 - y_hat), axis=1))


def categorical_mean(y_hat, y):
    y_hat = np.clip(y_hat, 1e-12, 1.0 - 1e-12)
    return -np.mean(y * np.log(y_hat) + (1 - y) * np.log(1 - y_hat))


class CrossEntropy:
    def forward(self, y_pred, y_true):
        return -np.sum(y_true * np.log(y_pred + 1e-9)) / len(y_pred)

    def backward(self, y_pred, y_true):
        return -(y_true / (y_pred + 1e-9)) / len(y_pred)


class CrossEntropyFlipped:
    def forward(self, y_pred, y_true):
        return -np.sum(y_true * np.log(y_pred + 1e-9)) / len(y_pred)

    def backward(self, y_pred, y_true):
        return (y_true / (y_pred + 1e-9)) / len(y_pred)


def gradient_flipped(y_pred, y_true):
    return y_true / y_pred / len(y_pred)


def gradient_alone(y_pred, y_true):
    return -y_true / (y_pred + 1e-9) / y_pred.shape[0]


def gradient_binary(y_pred, y_true):
    p = np.clip(y_pred, 1e-15, 1 - 1e-15)
    return (-(y_true / p) + (1 - y_true) / (1 - p)) / len(p)


def loss_and_clipped_gradient(z, y):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p = np.clip(p, 1e-12, 1 - 1e-12)
    loss = -np.log(p[np.arange(len(y)), y]).mean()
    p[np.arange(len(y)), y] -= 1
    return loss, p / len(y)


def gradient_in_a_range(z, y):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    return np.clip(p / len(y), -0.1, 0.1)
